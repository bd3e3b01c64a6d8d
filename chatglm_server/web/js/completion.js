// From a conversation to a request of /v1/chat/completions, and from its stream to what the page shows.

import { ApiError, request } from "./api.js";
import { eventData } from "./sse.js";

/**
 * @typedef {import("./conversation.js").Message} Message
 * @typedef {import("./conversation.js").Settings} Settings
 *
 * @typedef {{kind: "progress", read: number, cached: number, total: number, seconds: number}} Progress
 * @typedef {{kind: "thought", text: string}} Thought
 * @typedef {{kind: "text", text: string}} Text
 * @typedef {{kind: "call", index: number, id: string, name: string, text: string}} CallPiece
 * @typedef {{kind: "end", reason: string, speed: number | null}} End
 * @typedef {{kind: "usage", prompt: number, cached: number, completion: number}} Usage
 * @typedef {Progress | Thought | Text | CallPiece | End | Usage} AnswerEvent
 */

/** What a call gets that was never answered: the model reads the conversation only with a result of each. */
const NO_RESULT = '{"error": "there is no result"}';

/**
 * The body of a request.
 * @param {import("./server.js").Model | undefined} model  undefined: the server chooses
 * @param {Message[]} shown
 * @param {Settings} settings
 * @param {object[]} tools  as OpenAI has them
 */
export function requestBody(model, shown, settings, tools) {
  /** @type {Record<string, unknown>} */
  const body = {
    model: model?.id,
    messages: [...(settings.system ? [{ role: "system", content: settings.system }] : []), ...spoken(shown)],
    stream: true,
    stream_options: { include_usage: true },
    timings_per_token: true,
    return_progress: true,
  };
  if (settings.thinking && model?.thinking === "optional") body.enable_thinking = settings.thinking === "on";
  if (settings.temperature !== "") body.temperature = Number(settings.temperature);
  if (settings.seed !== "") body.seed = Number(settings.seed);
  if (settings.maxTokens !== "") body.max_tokens = Number(settings.maxTokens);
  if (settings.schema.trim()) {
    const schema = JSON.parse(settings.schema);
    body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  if (tools.length) body.tools = tools;
  return body;
}

/** @param {Message[]} shown */
function spoken(shown) {
  /** @type {Record<string, unknown>[]} */
  const messages = [];
  /** @type {Set<string>} */
  const open = new Set();
  for (const message of shown) {
    if (message.role === "tool") {
      open.delete(message.callId ?? "");
      messages.push({ role: "tool", tool_call_id: message.callId, content: message.text });
      continue;
    }
    for (const id of open) messages.push({ role: "tool", tool_call_id: id, content: NO_RESULT });
    open.clear();
    if (message.role === "user") {
      messages.push({ role: "user", content: message.text });
      continue;
    }
    const calls = message.calls ?? [];
    if (!message.text && !calls.length) continue; // an answer that failed before its first word
    /** @type {Record<string, unknown>} */
    const answer = { role: "assistant", content: message.text };
    if (message.thought) answer.reasoning_content = message.thought;
    if (calls.length) {
      answer.tool_calls = calls.map(({ id, name, arguments: text }) => ({
        id,
        type: "function",
        function: { name, arguments: text },
      }));
      for (const call of calls) open.add(call.id);
    }
    messages.push(answer);
  }
  return messages;
}

/**
 * The events of the answer.
 * @param {unknown} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<AnswerEvent, void>}
 * @throws {ApiError}
 */
export async function* answer(body, signal) {
  const response = await request("/v1/chat/completions", { body, signal });
  try {
    for await (const data of eventData(response)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(500, String(chunk.error.message), String(chunk.error.code ?? ""));
      yield* events(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError(0, ""); // the connection broke
  }
  throw new ApiError(0, ""); // the stream ended before its end
}

/**
 * @param {any} chunk
 * @returns {Generator<AnswerEvent, void>}
 */
function* events(chunk) {
  if (chunk.prompt_progress) {
    const { processed, cache, total, time_ms } = chunk.prompt_progress;
    yield { kind: "progress", read: processed, cached: cache, total, seconds: time_ms / 1000 };
  }
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  if (delta.reasoning_content) yield { kind: "thought", text: delta.reasoning_content };
  if (delta.content) yield { kind: "text", text: delta.content };
  for (const call of delta.tool_calls ?? []) {
    const { name = "", arguments: text = "" } = call.function ?? {};
    yield { kind: "call", index: call.index ?? 0, id: call.id ?? "", name, text };
  }
  if (choice?.finish_reason) {
    yield { kind: "end", reason: choice.finish_reason, speed: chunk.timings?.predicted_per_second ?? null };
  }
  if (chunk.usage) {
    const { prompt_tokens, completion_tokens, prompt_tokens_details } = chunk.usage;
    const cached = prompt_tokens_details?.cached_tokens ?? 0;
    yield { kind: "usage", prompt: prompt_tokens, cached, completion: completion_tokens };
  }
}
