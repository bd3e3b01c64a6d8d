// The strip of figures: model, context, speed, first token, cache, queue.

import { byId, make } from "./dom.js";
import { say } from "./say.js";

/**
 * @typedef {Object} State
 * @property {string} unit  what the model's lengths count: tokens or characters
 * @property {number | null} contextLength
 * @property {import("./conversation.js").Figures | undefined} figures  of the last answer
 * @property {import("./server.js").Health | null} state
 */

/** @param {State} state */
export function showStrip({ unit, contextLength, figures, state }) {
  /** @type {[string, string][]} */
  const items = [];
  if (figures) {
    const used = figures.prompt + figures.completion;
    const share = contextLength ? say("stripShare", { percent: ((100 * used) / contextLength).toFixed(used ? 1 : 0) }) : "";
    items.push([say("stripContext"), contextLength ? `${grouped(used)} / ${grouped(contextLength)} ${share}` : grouped(used)]);
    if (figures.speed) items.push([say(unit === "characters" ? "stripCharacters" : "stripSpeed"), figures.speed.toFixed(1)]);
    if (figures.firstSeconds !== null) items.push([say("stripFirst"), say("seconds", { seconds: figures.firstSeconds.toFixed(2) })]);
    items.push([say("stripCached"), `${grouped(figures.cached)} / ${grouped(figures.prompt)}`]);
  } else if (contextLength) {
    items.push([say("stripContext"), grouped(contextLength)]);
  }
  if (state) {
    const wait = state.estimated_wait_s ?? 0;
    const queue = say("stripQueueFigures", state.queue);
    items.push([say("stripQueue"), wait >= 1 ? say("stripWait", { queue, seconds: Math.round(wait) }) : queue]);
  }
  byId("strip", HTMLDListElement).replaceChildren(
    ...items.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

/** @param {number} number */
function grouped(number) {
  return number.toLocaleString();
}
