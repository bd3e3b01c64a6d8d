// The messages of the conversation that is shown.

import { branches, openCalls } from "./conversation.js";
import { MessageView } from "./message_view.js";

/**
 * @typedef {import("./conversation.js").Message} Message
 * @typedef {import("./chat.js").Chat} Chat
 */

/** Pixels from the end within which the list follows an answer that grows. */
const AT_END = 80;

export class Messages {
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** @type {Chat | null} */
  #chat = null;

  /** @param {HTMLElement} element  scrolls @param {HTMLElement} list @param {import("./message_view.js").Actions} actions */
  constructor(element, list, actions) {
    this.element = element;
    this.list = list;
    this.actions = actions;
    const resized = new ResizeObserver(() => this.#follow());
    resized.observe(element);
    resized.observe(list);
    element.addEventListener("scroll", () => this.#scrolled());
  }
  #following = true;
  #top = 0;

  /** Shows all messages of `chat`. @param {Chat} chat */
  show(chat) {
    if (this.#chat !== chat) this.#views.clear();
    this.#chat = chat;
    const shown = chat.shown;
    const waiting = new Set(chat.busy ? [] : openCalls(shown).map((call) => call.id));
    const results = new Map(shown.filter(({ role }) => role === "tool").map((one) => [one.callId ?? "", one.text]));
    const views = shown.filter(({ role }) => role !== "tool").map((message) => {
      const view = this.#view(message);
      const calls = new Set(message.calls?.map((call) => call.id));
      view.update({
        branches: branches(chat.conversation, message),
        results: new Map([...results].filter(([id]) => calls.has(id))),
        waiting: new Set([...waiting].filter((id) => calls.has(id))),
        running: chat.running === message,
        busy: chat.busy,
      });
      return view.element;
    });
    this.#place(views);
  }

  /** Shows a message's new text. @param {Message} message */
  grew(message) {
    this.#view(message).grow(true);
  }

  /** Has the person change a question. @param {Message} message */
  edit(message) {
    this.#view(message).startEdit();
  }

  /** Puts the focus on the switch that a person has just used. @param {Message} message */
  focusBranches(message) {
    this.#view(message).focusBranches();
  }

  /** Goes to the end, and follows it from now on. */
  toEnd() {
    this.#following = true;
    this.#follow();
  }

  /** @param {Message} message */
  #view(message) {
    let view = this.#views.get(message.id);
    if (view === undefined || view.message !== message) {
      view = new MessageView(message, this.actions);
      this.#views.set(message.id, view);
    }
    return view;
  }

  /** Moves no element that stays in its place: it may have the focus. @param {HTMLElement[]} elements */
  #place(elements) {
    elements.forEach((element, at) => {
      if (this.list.children[at] !== element) this.list.insertBefore(element, this.list.children[at] ?? null);
    });
    while (this.list.children.length > elements.length) this.list.lastElementChild?.remove();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < AT_END;
  }

  /** A person has scrolled, or `#follow` has: then the list may have grown meanwhile, but nothing has moved up. */
  #scrolled() {
    const { scrollTop } = this.element;
    if (this.#atEnd()) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
  }

  #follow() {
    if (!this.#following) return;
    this.element.scrollTop = this.element.scrollHeight;
    this.#top = this.element.scrollTop;
  }
}
