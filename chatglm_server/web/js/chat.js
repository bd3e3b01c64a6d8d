// A conversation at work: questions, answers, tool calls, branches. It knows nothing of how they look.

import { ApiError } from "./api.js";
import { answer, requestBody } from "./completion.js";
import { add, openCalls, path } from "./conversation.js";
import { advice } from "./problems.js";
import { resultOf, toolList } from "./tools.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./conversation.js").Message} Message
 * @typedef {import("./completion.js").AnswerEvent} AnswerEvent
 *
 * @typedef {Object} Listener
 * @property {(chat: Chat) => void} changed  messages came or went, or the work began or ended
 * @property {(chat: Chat, message: Message) => void} grew
 * @property {(chat: Chat, progress: import("./completion.js").Progress | null) => void} reading  null: nothing is read
 * @property {(signal: AbortSignal) => Promise<void>} untilReady  resolves once the model is loaded
 */

/** Answers in a row that may call tools before a person looks. */
const MAX_ROUNDS = 10;

export class Chat {
  /** @type {AbortController | null} */
  #stopping = null;
  /** The answer that is being written. @type {Message | null} */
  running = null;

  /**
   * @param {Conversation} conversation
   * @param {() => import("./server.js").Model | undefined} model
   * @param {Listener} listener
   */
  constructor(conversation, model, listener) {
    this.conversation = conversation;
    this.#model = model;
    this.#listener = listener;
  }
  #model;
  #listener;

  get busy() {
    return this.#stopping !== null;
  }

  get shown() {
    return path(this.conversation);
  }

  /** Asks `text` after the last message. @param {string} text */
  async ask(text) {
    add(this.conversation, this.shown.at(-1)?.id ?? "", { role: "user", text });
    await this.#answer();
  }

  /** Asks `text` in place of an earlier question, in a branch of its own. @param {Message} message @param {string} text */
  async edit(message, text) {
    add(this.conversation, message.parent, { role: "user", text });
    await this.#answer();
  }

  /** Has `message` answered anew, in a branch of its own. @param {Message} message */
  async regenerate(message) {
    await this.#answer(message.parent);
  }

  /** Shows the branch of `message`. @param {Message} message */
  choose(message) {
    this.conversation.chosen[message.parent] = message.id;
    this.#listener.changed(this);
  }

  /** A person's result of a call. @param {import("./conversation.js").Call} call @param {string} text */
  async result(call, text) {
    add(this.conversation, this.shown.at(-1)?.id ?? "", { role: "tool", text, callId: call.id });
    if (openCalls(this.shown).length) this.#listener.changed(this);
    else await this.#answer();
  }

  stop() {
    this.#stopping?.abort();
  }

  /** Answers what is below `parent` (or the last message), and goes on while tools that run here are called. @param {string} [parent] */
  async #answer(parent) {
    if (this.#stopping) return;
    const { tools, ownTools } = this.conversation.settings;
    this.#stopping = new AbortController();
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const told = toolList(tools, ownTools);
        const message = await this.#oneAnswer(parent ?? this.shown.at(-1)?.id ?? "", told);
        parent = undefined;
        if (message.end || !message.calls?.length) return;
        for (const call of message.calls) {
          const text = resultOf(call, tools, told.map((tool) => tool.function.name));
          const last = this.shown.at(-1)?.id ?? "";
          if (text !== null) add(this.conversation, last, { role: "tool", text, callId: call.id });
        }
        if (openCalls(this.shown).length) return;
        if (round === MAX_ROUNDS - 1) message.end = "rounds";
      }
    } finally {
      this.#stopping = null;
      this.#listener.changed(this);
    }
  }

  /** @param {string} parent @param {object[]} tools @returns {Promise<Message>} */
  async #oneAnswer(parent, tools) {
    const signal = /** @type {AbortController} */ (this.#stopping).signal;
    // If the page is closed meanwhile, what is in storage then is an answer that was stopped.
    const asked = add(this.conversation, parent, { role: "assistant", text: "", end: "stopped" });
    const before = this.shown.slice(0, -1);
    this.running = asked;
    this.#listener.changed(this);
    const folder = new Folder(asked, this.#model()?.context_length ?? Infinity);
    try {
      const body = requestBody(this.#model(), before, this.conversation.settings, tools);
      await this.#listener.untilReady(signal);
      for await (const event of answer(body, signal)) {
        if (event.kind === "progress") this.#listener.reading(this, event);
        else {
          if (folder.begin()) this.#listener.reading(this, null);
          folder.add(event);
          this.#listener.grew(this, asked);
        }
      }
    } catch (error) {
      if (!signal.aborted) {
        asked.end = "failed";
        asked.problem = advice(error);
        if (error instanceof ApiError && error.status === 401) dispatchEvent(new Event("key-needed"));
      }
    } finally {
      folder.finish();
      this.running = null;
      this.#listener.reading(this, null);
    }
    return asked;
  }
}

/** Puts the events of an answer into its message. */
class Folder {
  #started = performance.now();
  #thinking = 0;
  /** @type {number | null} */
  #first = null;
  /** @type {number | null} */
  #speed = null;

  /** @param {Message} message @param {number} contextLength */
  constructor(message, contextLength) {
    this.message = message;
    this.#contextLength = contextLength;
  }
  #contextLength;

  /** Notes the time of the first piece. @returns {boolean} whether this is it */
  begin() {
    if (this.#first !== null) return false;
    this.#first = (performance.now() - this.#started) / 1000;
    return true;
  }

  /** @param {Exclude<AnswerEvent, {kind: "progress"}>} event */
  add(event) {
    const message = this.message;
    if (event.kind === "thought") {
      this.#thinking ||= performance.now();
      message.thought = (message.thought ?? "") + event.text;
      return;
    }
    this.#endThought();
    if (event.kind === "text") message.text += event.text;
    else if (event.kind === "call") {
      message.calls ??= [];
      message.calls[event.index] ??= { id: event.id, name: "", arguments: "" };
      message.calls[event.index].name += event.name;
      message.calls[event.index].arguments += event.text;
    } else if (event.kind === "end") {
      this.#speed = event.speed;
      if (event.reason === "length") message.end = "length";
      else delete message.end;
    } else {
      const { prompt, cached, completion } = event;
      message.figures = { prompt, cached, completion, speed: this.#speed, firstSeconds: this.#first };
    }
  }

  finish() {
    this.#endThought();
    const { end, text, calls, figures } = this.message;
    if (end === "length" && figures && figures.prompt + figures.completion >= this.#contextLength) this.message.end = "full";
    if (end) delete this.message.calls; // they may be in pieces
    else if (!text.trim() && !calls?.length) this.message.end = "empty";
  }

  #endThought() {
    if (this.#thinking) this.message.thoughtSeconds ??= (performance.now() - this.#thinking) / 1000;
  }
}
