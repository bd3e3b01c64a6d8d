// The plots of the page, each in a figure with its title and its last values.

import { make } from "../dom.js";
import { progressText, promptsPlot } from "./prompts_plot.js";
import { number, say } from "./say.js";
import { timePlot } from "./time_plot.js";

const FEW = 5; // looks, until it is clear that nothing tells

/**
 * @typedef {Object} Shown
 * @property {import("./history.js").Health} health
 * @property {import("./history.js").Moment[]} moments
 * @property {number} now  seconds
 */

/** @param {HTMLElement} place */
export function makePlots(place) {
  const drawn = [writing, reading, queue, cache, prompts].map((plot) => {
    const values = make("p");
    const picture = make("div");
    const title = make("h2", { id: `${plot.name}-title` }, say(`${plot.name}Title`));
    place.append(
      make("figure", { "aria-labelledby": title.id, id: plot.name }, make("figcaption", {}, title, values), picture),
    );
    return { plot, values, picture };
  });
  return (/** @type {Shown} */ shown) => {
    for (const { plot, values, picture } of drawn) {
      const { says, image } = plot(shown, picture.clientWidth || 320);
      values.replaceChildren(...says.map((text, index) => make("span", { class: kind(plot, index) }, text)));
      picture.replaceChildren(...(image ? [image] : []));
    }
  };
}

/** The class of a text: whether it names a line of the picture. @param {Function} plot @param {number} index */
function kind(plot, index) {
  if (plot !== queue || index > 1) return "fact";
  return index ? "name second" : "name";
}

/**
 * @typedef {{says: string[], image: Element | null}} Drawn  The last values in words, and the picture, if there is one.
 */

/** @param {Shown} shown @param {number} width @returns {Drawn} */
function writing(shown, width) {
  return rate("writing", shown, width, (moment) => moment.generated, 10);
}

/** @param {Shown} shown @param {number} width @returns {Drawn} */
function reading(shown, width) {
  return rate("reading", shown, width, (moment) => moment.read, 100);
}

/**
 * @param {string} name
 * @param {Shown} shown
 * @param {number} width
 * @param {(moment: Moment) => number | null} value
 * @param {number} least
 * @returns {Drawn}
 */
function rate(name, { moments, now }, width, value, least) {
  const last = moments.at(-1);
  if (!moments.some((moment) => value(moment) !== null)) {
    return { says: [say(moments.length > FEW ? "speedUnknown" : "looking")], image: null };
  }
  const says = [say("speed", { value: number((last && value(last)) ?? 0, 1) })];
  return { says, image: timePlot(moments, { width, now, unit: say("speedUnit"), alternative: words(name, says), lines: [value], least }) };
}

/** @param {Shown} shown @param {number} width @returns {Drawn} */
function queue({ health, moments, now }, width) {
  const says = [say("running", { value: number(health.queue.running) }), say("waiting", { value: number(health.queue.waiting) })];
  if (health.estimated_wait_s !== undefined) says.push(say("wait", { seconds: number(health.estimated_wait_s, 1) }));
  const lines = [(/** @type {Moment} */ one) => one.running, (/** @type {Moment} */ one) => one.waiting];
  return { says, image: timePlot(moments, { width, now, unit: say("queueUnit"), alternative: words("queue", says), lines, least: 2 }) };
}

/** @param {Shown} shown @param {number} width @returns {Drawn} */
function cache({ health, moments, now }, width) {
  if (!health.kv_cache) return { says: [say("cacheUnknown")], image: null };
  const { tokens, most } = health.kv_cache;
  const percent = number((100 * tokens) / Math.max(1, most), 1);
  const says = [say("held", { value: number(tokens), most: number(most), percent })];
  const lines = [(/** @type {Moment} */ one) => one.held];
  return { says, image: timePlot(moments, { width, now, unit: say("cacheUnit"), alternative: words("cache", says), lines, least: 100 }) };
}

/** @param {Shown} shown @param {number} width @returns {Drawn} */
function prompts({ health }, width) {
  const read = health.reading ?? [];
  return { says: read.length ? read.map(progressText) : [say("promptsNone")], image: promptsPlot(read, width) };
}

/** @typedef {import("./history.js").Moment} Moment */

/** @param {string} name @param {string[]} says */
function words(name, says) {
  return `${say(`${name}Title`)}: ${says.join(", ")}`;
}
