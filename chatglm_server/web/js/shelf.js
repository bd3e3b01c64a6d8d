// The conversations that there are: in memory while they are used, and in the browser's storage.

import { newConversation, takeOver } from "./conversation.js";
import { say } from "./say.js";
import { everyConversation, load, MAX_CONVERSATIONS, remove, save } from "./storage.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/** Between two savings of an answer that is being written. */
const SAVE_MS = 2000;
/** Where a tab names a conversation that it has changed. */
const CHANNEL = "chatglm-server conversations";

export class Shelf {
  /** The latest first. @type {Conversation[]} */
  conversations = [];
  /** @type {Map<string, number>} */
  #timers = new Map();
  #tabs = new BroadcastChannel(CHANNEL);

  /**
   * @param {(problem: string) => void} failed  hears in words what storage refused
   * @param {() => void} changed  another tab has changed or removed a conversation
   */
  constructor(failed, changed) {
    this.#failed = failed;
    this.#changed = changed;
  }
  #failed;
  #changed;

  async load() {
    try {
      this.conversations = await everyConversation();
    } catch {
      this.#failed(say("storageClosed"));
    }
    this.#tabs.onmessage = ({ data }) => void this.#readAgain(data);
  }

  /** A new conversation, or the empty one that there is, or the latest one where there are too many. @param {Conversation} [like]  gives it its settings */
  begin(like) {
    const empty = this.conversations.find(({ messages }) => messages.length === 0);
    if (empty !== undefined) return empty;
    if (this.conversations.length >= MAX_CONVERSATIONS) {
      this.#failed(say("storageMany", { most: MAX_CONVERSATIONS }));
      return this.conversations[0];
    }
    const begun = newConversation(like?.settings);
    this.conversations.unshift(begun);
    return begun;
  }

  /** Keeps `added` beside what is there. @param {Conversation[]} added */
  async add(added) {
    if (this.conversations.length + added.length > MAX_CONVERSATIONS) {
      this.#failed(say("storageMany", { most: MAX_CONVERSATIONS }));
      return;
    }
    this.conversations = [...added, ...this.conversations];
    for (const conversation of added) await this.keep(conversation);
  }

  /**
   * Writes a conversation into storage now, unless it is empty or was removed.
   * @param {Conversation} conversation
   * @param {boolean} [whole]  no answer is being written, and other tabs may show it
   */
  async keep(conversation, whole = true) {
    clearTimeout(this.#timers.get(conversation.id));
    this.#timers.delete(conversation.id);
    if (conversation.messages.length === 0 || !this.conversations.includes(conversation)) return;
    this.#sort();
    try {
      await save(conversation);
      if (whole) this.#tabs.postMessage(conversation.id);
    } catch (error) {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      this.#failed(say(full ? "storageFull" : "storageClosed"));
    }
  }

  /** Writes it soon. @param {Conversation} conversation */
  keepSoon(conversation) {
    if (this.#timers.has(conversation.id)) return;
    this.#timers.set(conversation.id, setTimeout(() => void this.keep(conversation, false), SAVE_MS));
  }

  /** Writes what was to be written soon, for the page is left. */
  keepRest() {
    for (const one of this.conversations) if (this.#timers.has(one.id)) void this.keep(one, false);
  }

  /** @param {Conversation} removed */
  async remove(removed) {
    clearTimeout(this.#timers.get(removed.id));
    this.conversations = this.conversations.filter((one) => one !== removed);
    try {
      await remove(removed.id);
      this.#tabs.postMessage(removed.id);
    } catch {
      this.#failed(say("storageClosed"));
    }
  }

  /** @param {string} id  of a conversation that another tab has kept or removed */
  async #readAgain(id) {
    let kept;
    try {
      kept = await load(id);
    } catch {
      this.#failed(say("storageClosed"));
      return;
    }
    const known = this.conversations.find((one) => one.id === id);
    if (kept === undefined) this.conversations = this.conversations.filter((one) => one !== known);
    else if (known === undefined) this.conversations.unshift(kept);
    else takeOver(known, kept);
    this.#sort();
    this.#changed();
  }

  #sort() {
    this.conversations.sort((one, other) => other.updated - one.updated);
  }
}
