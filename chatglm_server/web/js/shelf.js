// The conversations that there are: in memory while they are used, and in the browser's storage.

import { newConversation } from "./conversation.js";
import { say } from "./say.js";
import { everyConversation, MAX_CONVERSATIONS, remove, save } from "./storage.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/** Between two savings of an answer that is being written. */
const SAVE_MS = 2000;

export class Shelf {
  /** The latest first. @type {Conversation[]} */
  conversations = [];
  /** @type {Map<string, number>} */
  #timers = new Map();

  /** @param {(problem: string) => void} failed  hears in words what storage refused */
  constructor(failed) {
    this.#failed = failed;
  }
  #failed;

  async load() {
    try {
      this.conversations = await everyConversation();
    } catch {
      this.#failed(say("storageClosed"));
    }
  }

  /** A new conversation, or the empty one that there is. @param {Conversation} [like]  gives it its settings */
  begin(like) {
    const empty = this.conversations.find(({ messages }) => messages.length === 0);
    if (empty !== undefined) return empty;
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
    this.conversations = [...added, ...this.conversations].sort((one, other) => other.updated - one.updated);
    for (const conversation of added) await this.keep(conversation);
  }

  /** Writes a conversation into storage now. @param {Conversation} conversation */
  async keep(conversation) {
    clearTimeout(this.#timers.get(conversation.id));
    this.#timers.delete(conversation.id);
    if (conversation.messages.length === 0) return;
    try {
      await save(conversation);
    } catch (error) {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      this.#failed(say(full ? "storageFull" : "storageClosed"));
    }
  }

  /** Writes it soon. @param {Conversation} conversation */
  keepSoon(conversation) {
    if (this.#timers.has(conversation.id)) return;
    this.#timers.set(conversation.id, setTimeout(() => void this.keep(conversation), SAVE_MS));
  }

  /** @param {Conversation} removed */
  async remove(removed) {
    clearTimeout(this.#timers.get(removed.id));
    this.conversations = this.conversations.filter((one) => one !== removed);
    try {
      await remove(removed.id);
    } catch {
      this.#failed(say("storageClosed"));
    }
  }
}
