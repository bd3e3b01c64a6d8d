// One message: a question, or an answer with its thought, calls and figures.

import { callCard } from "./call_card.js";
import { copyButton } from "./copy_button.js";
import { make } from "./dom.js";
import { RenderedText } from "./rendered_text.js";
import { say } from "./say.js";

/**
 * @typedef {import("./conversation.js").Message} Message
 * @typedef {import("./conversation.js").Call} Call
 *
 * @typedef {Object} Actions
 * @property {(message: Message, text: string) => boolean} edit  returns whether it was sent
 * @property {(message: Message) => void} regenerate
 * @property {(message: Message) => void} choose
 * @property {(call: Call, text: string) => void} result
 *
 * @typedef {Object} Place  Where a message stands.
 * @property {Message[]} branches  all messages in its place
 * @property {Map<string, string>} results  of its calls, by the call's id
 * @property {Set<string>} waiting  the calls that wait for a person's result
 * @property {boolean} running  whether it is being written
 * @property {boolean} busy  whether any answer of the conversation is being written
 */

export class MessageView {
  /** @param {Message} message @param {Actions} actions */
  constructor(message, actions) {
    this.message = message;
    this.#actions = actions;
    const own = message.role === "user";
    this.element = make(
      "article",
      { class: `message ${message.role}`, "aria-label": say(own ? "you" : "model") },
      ...(own ? [this.#plain] : [this.#thought, this.#text.element, this.#calls, this.#end]),
      this.#bar,
    );
  }
  #actions;
  #thoughtText = make("div", { class: "thought-text" });
  #thoughtTitle = make("summary");
  #thought = make("details", { class: "thought", hidden: true }, this.#thoughtTitle, this.#thoughtText);
  #plain = make("div", { class: "plain" });
  #text = new RenderedText();
  #calls = make("div", { class: "calls" });
  #end = make("div", { class: "end" });
  #bar = make("div", { class: "bar" });
  #drawn = "";

  /** Shows the message as it is now. @param {Place} place */
  update(place) {
    this.grow(place.running);
    const state = JSON.stringify([
      ...[place.branches.length, [...place.results], [...place.waiting], place.running, place.busy],
      ...[this.message.calls, this.message.end, this.message.figures],
    ]);
    if (state === this.#drawn) return; // what a person types into a card stays
    this.#drawn = state;
    this.#drawCalls(place);
    this.#drawEnd(place);
    this.#drawBar(place);
  }

  /** Shows the text and the thought as far as they are written. @param {boolean} running */
  grow(running) {
    const { role, text, thought, thoughtSeconds, calls } = this.message;
    if (role === "user") {
      this.#plain.textContent = text;
      return;
    }
    if (running) this.#text.update(text);
    else void this.#text.finish(text);
    this.element.classList.toggle("waiting", running && !text && !calls?.length);
    if (!thought) return;
    this.#thought.hidden = false;
    this.#thoughtText.textContent = thought;
    const seconds = thoughtSeconds === undefined ? null : thoughtSeconds.toFixed(thoughtSeconds < 10 ? 1 : 0);
    this.#thoughtTitle.textContent = seconds === null ? say(running ? "thinking" : "thought") : say("thoughtFor", { seconds });
    if (running && calls?.length) this.#drawCalls(null);
  }

  /** @param {Place | null} place */
  #drawCalls(place) {
    this.#calls.replaceChildren(
      ...(this.message.calls ?? []).map((call) => {
        const waits = place?.waiting.has(call.id);
        const answer = waits ? (/** @type {string} */ text) => this.#actions.result(call, text) : null;
        return callCard(call, place?.results.get(call.id), answer);
      }),
    );
  }

  /** @param {Place} place */
  #drawEnd({ running, busy }) {
    const { end, problem } = this.message;
    this.#end.replaceChildren();
    if (running) return;
    if (end === "failed") {
      const again = make(
        "button",
        { type: "button", onclick: () => this.#actions.regenerate(this.message), disabled: busy },
        say("retry"),
      );
      this.#end.append(make("div", { class: "problem", role: "alert" }, make("p", {}, problem ?? ""), again));
    } else if (end) {
      this.#end.append(make("p", { class: "note" }, say(`end_${end}`)));
    }
  }

  /** @param {Place} place */
  #drawBar({ branches, running, busy }) {
    const { message } = this;
    const own = message.role === "user";
    this.#bar.replaceChildren();
    if (running) return;
    if (branches.length > 1) this.#bar.append(this.#branchSwitch(branches, busy));
    if (navigator.clipboard && message.text) {
      this.#bar.append(copyButton(message.text, "small"));
    }
    if (own) this.#bar.append(button("edit", () => this.startEdit(), busy));
    else this.#bar.append(button("regenerate", () => this.#actions.regenerate(message), busy));
    if (message.figures) this.#bar.append(make("span", { class: "figures" }, figuresLine(message.figures)));
  }

  /** @param {Message[]} branches @param {boolean} busy */
  #branchSwitch(branches, busy) {
    const at = branches.indexOf(this.message);
    const step = (/** @type {number} */ by) => () => this.#actions.choose(branches[at + by]);
    return make(
      "span",
      { class: "branches", role: "group", "aria-label": say("branches") },
      make("button", { type: "button", "aria-label": say("previous"), onclick: step(-1), disabled: busy || at === 0 }, "‹"),
      make("span", {}, `${at + 1}/${branches.length}`),
      make(
        "button",
        { type: "button", "aria-label": say("next"), onclick: step(1), disabled: busy || at === branches.length - 1 },
        "›",
      ),
    );
  }

  focusBranches() {
    /** @type {HTMLElement | null} */ (this.#bar.querySelector(".branches button:not(:disabled)"))?.focus();
  }

  /** Puts a field in place of a question. */
  startEdit() {
    if (!this.#plain.isConnected) return;
    const field = make("textarea", { rows: "4", "aria-label": say("editLabel") });
    field.value = this.message.text;
    const end = () => {
      editor.replaceWith(this.#plain);
      this.#bar.hidden = false;
    };
    const leave = () => {
      end();
      /** @type {HTMLElement | null} */ (this.#bar.lastElementChild)?.focus();
    };
    const send = () => {
      if (!field.value.trim()) leave();
      else if (this.#actions.edit(this.message, field.value)) end();
    };
    const editor = make(
      "div",
      { class: "editor" },
      field,
      make("button", { type: "button", class: "main", onclick: send }, say("sendEdit")),
      make("button", { type: "button", onclick: leave }, say("cancel")),
    );
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
    });
    this.#plain.replaceWith(editor);
    this.#bar.hidden = true;
    field.focus();
  }
}

/** @param {string} key @param {() => void} onclick @param {boolean} [disabled] */
function button(key, onclick, disabled = false) {
  return make("button", { type: "button", onclick, disabled, class: "small" }, say(key));
}

/** @param {import("./conversation.js").Figures} figures */
function figuresLine({ completion, speed, firstSeconds }) {
  const parts = [say("figuresTokens", { count: completion })];
  if (speed) parts.push(say("figuresSpeed", { speed: speed.toFixed(1) }));
  if (firstSeconds !== null) parts.push(say("figuresFirst", { seconds: firstSeconds.toFixed(1) }));
  return parts.join(" · ");
}
