// The button that copies a text, and says that it has done so.

import { make } from "./dom.js";
import { say } from "./say.js";

const SAID_MS = 1500;

/** @param {string} text @param {string} className */
export function copyButton(text, className) {
  const button = make("button", { type: "button", class: className }, say("copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = say("copied");
    setTimeout(() => (button.textContent = say("copy")), SAID_MS);
  });
  return button;
}
