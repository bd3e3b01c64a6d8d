// A conversation: a tree of messages, in which one path is shown.

/**
 * @typedef {"stopped" | "length" | "full" | "failed" | "empty" | "rounds"} End  "full": so is the model's context;
 *     "rounds": it calls tools again and again
 *
 * @typedef {{id: string, name: string, arguments: string}} Call  `arguments` is JSON text
 *
 * @typedef {Object} Figures  What an answer cost; counts are in the model's unit.
 * @property {number} prompt
 * @property {number} cached
 * @property {number} completion
 * @property {number | null} speed  a second
 * @property {number | null} firstSeconds  from the request to the first piece of the answer
 *
 * @typedef {Object} Message
 * @property {string} id
 * @property {string} parent  "" for the first message
 * @property {"user" | "assistant" | "tool"} role
 * @property {string} text
 * @property {string} [thought]
 * @property {number} [thoughtSeconds]
 * @property {Call[]} [calls]
 * @property {string} [callId]  the call whose result this is
 * @property {End} [end]  why the answer is not whole, or is the last for now
 * @property {string} [problem]  what failed, and what to do
 * @property {Figures} [figures]
 *
 * @typedef {Object} Settings
 * @property {string} system
 * @property {string} temperature  a number, or "" for the server's default; so are the next two
 * @property {string} seed
 * @property {string} maxTokens
 * @property {"" | "on" | "off"} thinking  "" for the model's default
 * @property {string} schema  JSON, or ""
 * @property {string[]} tools  names of the tools that run in the browser
 * @property {string} ownTools  JSON, or ""
 *
 * @typedef {Object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} updated  milliseconds since the epoch
 * @property {Settings} settings
 * @property {Message[]} messages  in the order in which they were added
 * @property {Record<string, string>} chosen  which child of a message is shown, where it is not the last one
 */

/** @type {Settings} */
export const PLAIN = {
  system: "",
  thinking: "",
  temperature: "",
  seed: "",
  maxTokens: "",
  schema: "",
  tools: [],
  ownTools: "",
};
const TITLE_LENGTH = 60;

/** Messages that this page has added: no other tab changes them. @type {WeakSet<Message>} */
const ADDED_HERE = new WeakSet();

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("");
}

/** @param {Settings} [settings] @returns {Conversation} */
export function newConversation(settings = PLAIN) {
  const copied = { ...settings, tools: [...settings.tools] };
  return { id: newId(), title: "", updated: Date.now(), settings: copied, messages: [], chosen: {} };
}

/**
 * Adds a message below `parent` and shows it.
 * @param {Conversation} conversation
 * @param {string} parent
 * @param {Omit<Message, "id" | "parent">} message
 * @returns {Message}
 */
export function add(conversation, parent, message) {
  const added = { id: newId(), parent, ...message };
  ADDED_HERE.add(added);
  conversation.messages.push(added);
  conversation.chosen[parent] = added.id;
  conversation.updated = Date.now();
  if (!conversation.title && message.role === "user") {
    conversation.title = [...message.text.trim().replace(/\s+/g, " ")].slice(0, TITLE_LENGTH).join("");
  }
  return added;
}

/**
 * Puts into `conversation` what another tab has kept of it: new messages, and the rest of those that were not whole.
 * @param {Conversation} conversation
 * @param {Conversation} kept
 */
export function takeOver(conversation, kept) {
  const here = new Map(conversation.messages.map((message) => [message.id, message]));
  for (const message of kept.messages) {
    const known = here.get(message.id);
    if (known === undefined) conversation.messages.push(message);
    else if (!ADDED_HERE.has(known)) replaceFields(known, message);
  }
  conversation.chosen = { ...kept.chosen, ...conversation.chosen };
  conversation.title ||= kept.title;
  conversation.updated = Math.max(conversation.updated, kept.updated);
}

/** The page knows a message by its object, which therefore stays. @param {Message} message @param {Message} newer */
function replaceFields(message, newer) {
  for (const name of /** @type {(keyof Message)[]} */ (Object.keys(message))) if (!(name in newer)) delete message[name];
  Object.assign(message, newer);
}

/**
 * The messages that are shown, from the first to the last.
 * @param {Conversation} conversation
 * @returns {Message[]}
 */
export function path(conversation) {
  /** @type {Map<string, Message[]>} */
  const children = new Map();
  for (const message of conversation.messages) {
    const siblings = children.get(message.parent);
    if (siblings) siblings.push(message);
    else children.set(message.parent, [message]);
  }
  const shown = [];
  let parent = "";
  for (;;) {
    const below = children.get(parent) ?? [];
    const next = below.find((message) => message.id === conversation.chosen[parent]) ?? below.at(-1);
    if (next === undefined) return shown;
    shown.push(next);
    parent = next.id;
  }
}

/**
 * The messages in the same place as `message`, itself included.
 * @param {Conversation} conversation
 * @param {Message} message
 */
export function branches(conversation, message) {
  return conversation.messages.filter((other) => other.parent === message.parent);
}

/**
 * The calls of the last answer that is shown, as far as they have no result yet.
 * @param {Message[]} shown
 * @returns {Call[]}
 */
export function openCalls(shown) {
  const asking = shown.findLastIndex((message) => message.role === "assistant");
  const after = shown.slice(asking + 1);
  if (asking < 0 || after.some((message) => message.role !== "tool")) return [];
  const answered = new Set(after.map((message) => message.callId));
  return (shown[asking].calls ?? []).filter((call) => !answered.has(call.id));
}
