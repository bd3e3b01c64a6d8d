// The field for the next question. Enter sends, Shift-Enter makes a line, Escape stops.

import { byId } from "./dom.js";

/**
 * @typedef {Object} Actions
 * @property {(text: string) => boolean} send  returns whether it was sent
 * @property {() => void} stop
 * @property {() => void} editLast  the arrow up in an empty field
 */

export class Composer {
  /** @param {Actions} actions */
  constructor(actions) {
    const send = () => {
      const text = this.#field.value;
      if (!text.trim() || this.#busy || !actions.send(text)) return;
      this.#field.value = "";
      this.#fit();
    };
    this.#send.addEventListener("click", send);
    this.#stop.addEventListener("click", () => {
      actions.stop();
      this.#field.focus();
    });
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => {
      if (event.isComposing) return; // Enter chooses among the words of an input method
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        send();
      } else if (event.key === "ArrowUp" && !this.#field.value) {
        event.preventDefault();
        actions.editLast();
      }
    });
  }
  #field = byId("question", HTMLTextAreaElement);
  #send = byId("send", HTMLButtonElement);
  #stop = byId("stop", HTMLButtonElement);
  #busy = false;

  /** @param {boolean} busy */
  show(busy) {
    this.#busy = busy;
    this.#send.hidden = busy;
    this.#stop.hidden = !busy;
  }

  #fit() {
    this.#field.rows = Math.min(10, Math.max(2, this.#field.value.split("\n").length));
  }
}
