// A model's text as the server renders it. Nothing else becomes HTML on this page.

import { request } from "./api.js";
import { copyButton } from "./copy_button.js";
import { make } from "./dom.js";

const MAX_TEXT = 60_000;
/** Between two renderings of a text that grows; more where the last one took long. */
const PAUSE_MS = 150;
/** Browsers open six connections to a server, of which the conversation needs some. */
const MOST_AT_ONCE = 3;
const DEFINES_LINK = /^ {0,3}\[[^\]\n]+\]:/m;

/** Shows a text that grows. Only what follows its last settled block is rendered again. */
export class RenderedText {
  element = make("div", { class: "rendered" });
  #text = "";
  /** Lines of the text, and elements, that stay as they are. */
  #settledLines = 0;
  #settledBlocks = 0;
  /** @type {Promise<void> | null} */
  #rendering = null;
  #shown = "";

  /** Shows all of `text` as soon as it may. @param {string} text */
  update(text) {
    this.#text = text;
    if (this.#rendering === null && this.#shown !== text) this.#rendering = this.#renderUntilShown();
  }

  /** Shows `text`, which is whole now. @param {string} text */
  async finish(text) {
    this.update(text);
    await this.#rendering;
    if (!DEFINES_LINK.test(text)) return;
    this.#settledLines = this.#settledBlocks = 0; // what is settled may name links that were defined later
    this.#shown = "";
    this.update(text);
    await this.#rendering;
  }

  async #renderUntilShown() {
    this.element.setAttribute("aria-busy", "true");
    let failed = false;
    while (this.#shown !== this.#text) {
      const text = this.#text;
      const started = performance.now();
      try {
        while (!(await this.#renderPart(text)));
        failed = false;
      } catch {
        this.#append([make("pre", {}, this.#rest(text))]); // the server is away or asks for a key: the text itself is here
        failed = true;
      }
      this.#shown = text;
      if (this.#text !== text) await pause(Math.max(PAUSE_MS, 3 * (performance.now() - started)));
    }
    this.#rendering = null;
    if (failed) this.#shown = ""; // the next `update` tries again
    this.element.setAttribute("aria-busy", "false");
  }

  /** @param {string} text */
  #rest(text) {
    return text.split(/\r\n|\r|\n/).slice(this.#settledLines).join("\n");
  }

  /** Renders what is not settled, or as much of it as the server takes. @param {string} text @returns {Promise<boolean>} whether that was all */
  async #renderPart(text) {
    const rest = this.#rest(text);
    const part = rest.slice(0, MAX_TEXT).replace(/[\ud800-\udbff]$/, "");
    const response = await inTurn(() => request("/render", { body: { text: part } }));
    /** @type {{blocks: {line: number, html: string}[]}} */
    const { blocks } = await response.json();
    const whole = part.length === rest.length;
    if (!whole && blocks.length < 2) {
      this.#append([make("pre", {}, rest)]); // one block that is too long to render
      return true;
    }
    this.#append(blocks.map(({ html }) => blockElement(html)));
    this.#settledLines += blocks.at(-1)?.line ?? 0;
    this.#settledBlocks += Math.max(blocks.length - 1, 0);
    return whole;
  }

  /** Puts `elements` behind the settled ones. @param {Element[]} elements */
  #append(elements) {
    const after = [...this.element.children].slice(this.#settledBlocks);
    for (const element of after) element.remove();
    this.element.append(...elements);
  }
}

let running = 0;
/** What waits for its turn. @type {(() => void)[]} */
const waiting = [];

/** Does `work`, with at most MOST_AT_ONCE at a time. The latest goes first: the end of a conversation is in sight. @param {() => Promise<Response>} work */
async function inTurn(work) {
  if (running < MOST_AT_ONCE) running++;
  else await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  try {
    return await work();
  } finally {
    const next = waiting.pop();
    if (next) next();
    else running--;
  }
}

/** @param {string} html  from the server's /render */
function blockElement(html) {
  const block = make("div", { class: "block" });
  block.innerHTML = html;
  for (const code of block.querySelectorAll("pre")) addCopyButton(code);
  for (const scrolled of block.querySelectorAll('pre, table, math[display="block"]')) scrolled.setAttribute("tabindex", "0");
  return block;
}

/** @param {HTMLPreElement} code */
function addCopyButton(code) {
  const bar = make("div", { class: "code-bar" }, make("span", {}, code.dataset.language ?? ""));
  if (navigator.clipboard) bar.append(copyButton(code.textContent ?? "", "copy")); // browsers offer it on this machine and over https only
  code.before(bar);
}

/** @param {number} milliseconds */
function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
