// Conversations as a JSON file, and back. A file may come from anywhere, so all of it is checked.

import { newId } from "./conversation.js";
import { say } from "./say.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./conversation.js").Message} Message
 */

const FORMAT = "chatglm-server chat";
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGES = 10_000;
const ROLES = ["user", "assistant", "tool"];
const ENDS = [undefined, "stopped", "length", "full", "failed", "empty", "rounds"];

/** Has the browser keep the conversations as a file. @param {Conversation[]} conversations @param {string} name */
export function download(conversations, name) {
  const text = JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * The conversations of a file that `download` made, under new ids.
 * @param {File} file
 * @returns {Promise<Conversation[]>}
 * @throws {Error}  says what is wrong with the file
 */
export async function readFile(file) {
  if (file.size > MAX_BYTES) throw new Error(say("importLarge", { most: MAX_BYTES / 1024 / 1024 }));
  let value;
  try {
    value = JSON.parse(await file.text());
  } catch {
    throw new Error(say("importJson"));
  }
  if (value?.format !== FORMAT || value.version !== 1 || !Array.isArray(value.conversations)) {
    throw new Error(say("importFormat"));
  }
  return value.conversations.map((/** @type {unknown} */ one, /** @type {number} */ place) => {
    try {
      return conversation(one);
    } catch (error) {
      throw new Error(say("importBroken", { number: place + 1, field: error instanceof Error ? error.message : "" }));
    }
  });
}

/** @param {any} value @returns {Conversation} @throws {Error}  names the field that is wrong */
function conversation(value) {
  const settings = value?.settings ?? {};
  check(Array.isArray(value?.messages) && value.messages.length <= MAX_MESSAGES, "messages");
  check(settings.tools === undefined || (Array.isArray(settings.tools) && settings.tools.every(isText)), "tools");
  const messages = value.messages.map(message);
  const ids = new Set([""]);
  for (const one of messages) {
    check(!ids.has(one.id) && ids.has(one.parent), "id"); // a message comes after its parent, so there is no circle
    ids.add(one.id);
  }
  const chosen = Object.entries(value.chosen ?? {});
  check(chosen.every(([parent, child]) => ids.has(parent) && ids.has(/** @type {string} */ (child))), "chosen");
  return {
    id: newId(),
    title: text(value.title, "title").slice(0, 200),
    updated: number(value.updated ?? 0, "updated"),
    settings: {
      system: text(settings.system ?? "", "system"),
      thinking: switched(settings.thinking ?? ""),
      temperature: text(settings.temperature ?? "", "temperature"),
      seed: text(settings.seed ?? "", "seed"),
      maxTokens: text(settings.maxTokens ?? "", "maxTokens"),
      schema: text(settings.schema ?? "", "schema"),
      tools: settings.tools ?? [],
      ownTools: text(settings.ownTools ?? "", "ownTools"),
    },
    messages,
    chosen: /** @type {Record<string, string>} */ (Object.fromEntries(chosen)),
  };
}

/** @param {any} value @returns {Message} */
function message(value) {
  check(ROLES.includes(value?.role), "role");
  check(ENDS.includes(value.end), "end");
  /** @type {Message} */
  const read = {
    id: text(value.id, "id"),
    parent: text(value.parent, "parent"),
    role: value.role,
    text: text(value.text, "text"),
  };
  check(read.id !== "", "id");
  if (value.thought !== undefined) read.thought = text(value.thought, "thought");
  if (value.thoughtSeconds !== undefined) read.thoughtSeconds = number(value.thoughtSeconds, "thoughtSeconds");
  if (value.callId !== undefined) read.callId = text(value.callId, "callId");
  if (value.problem !== undefined) read.problem = text(value.problem, "problem");
  if (value.end !== undefined) read.end = value.end;
  if (value.calls !== undefined) {
    check(Array.isArray(value.calls) && value.calls.length <= MAX_MESSAGES, "calls");
    read.calls = value.calls.map((/** @type {any} */ call) => ({
      id: text(call?.id, "calls"),
      name: text(call?.name, "calls"),
      arguments: text(call?.arguments, "calls"),
    }));
  }
  return read;
}

/** @param {boolean} right @param {string} field */
function check(right, field) {
  if (!right) throw new Error(field);
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === "string";
}

/** @param {unknown} value @param {string} field @returns {string} */
function text(value, field) {
  check(isText(value), field);
  return /** @type {string} */ (value);
}

/** @param {unknown} value @returns {"" | "on" | "off"} */
function switched(value) {
  check(value === "" || value === "on" || value === "off", "thinking");
  return /** @type {"" | "on" | "off"} */ (value);
}

/** @param {unknown} value @param {string} field @returns {number} */
function number(value, field) {
  check(Number.isFinite(value), field);
  return /** @type {number} */ (value);
}
