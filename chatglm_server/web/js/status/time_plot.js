// A plot of one or two figures over the last two minutes.

import { SPAN_S } from "./history.js";
import { number, say, short } from "./say.js";
import { draw, image } from "./svg.js";

const HEIGHT = 180;
const LEFT = 44;
const RIGHT = 12;
const TOP = 22;
const BOTTOM = 36;

/** @typedef {(moment: import("./history.js").Moment) => number | null} Line  null: not known */

/**
 * @param {import("./history.js").Moment[]} moments
 * @param {Object} options
 * @param {number} options.width  pixels
 * @param {number} options.now  seconds
 * @param {string} options.unit  of the values
 * @param {string} options.alternative  what the plot says, in words
 * @param {Line[]} options.lines
 * @param {number} [options.least]  the top of the axis is no lower
 */
export function timePlot(moments, { width, now, unit, alternative, lines, least = 1 }) {
  const values = lines.flatMap((line) => moments.map((moment) => line(moment) ?? 0));
  const top = round(Math.max(least, ...values));
  const right = width - RIGHT;
  const bottom = HEIGHT - BOTTOM;
  /** @param {number} at */
  const x = (at) => right - ((now - at) / SPAN_S) * (right - LEFT);
  /** @param {number} value */
  const y = (value) => bottom - (value / top) * (bottom - TOP);

  const parts = [draw("text", { x: LEFT, y: 12 }, unit)];
  for (const value of [0, top / 2, top]) {
    parts.push(draw("line", { class: "axis", x1: LEFT, x2: right, y1: y(value), y2: y(value) }));
    parts.push(draw("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const [ago, anchor] of /** @type {[number, string][]} */ ([[SPAN_S, "start"], [SPAN_S / 2, "middle"], [0, "end"]])) {
    parts.push(draw("text", { x: x(now - ago), y: bottom + 15, "text-anchor": anchor }, number(ago)));
  }
  parts.push(draw("text", { x: (LEFT + right) / 2, y: bottom + 31, "text-anchor": "middle" }, say("secondsAgo")));
  lines.forEach((line, index) => {
    const path = pathOf(moments, line, x, y);
    parts.push(draw("path", { class: index ? "line second" : "line", d: path }));
  });
  return image(width, HEIGHT, alternative, ...parts);
}

/**
 * A line through the known values; it is broken where one is not known.
 * @param {import("./history.js").Moment[]} moments
 * @param {Line} line
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function pathOf(moments, line, x, y) {
  let path = "";
  let begun = false;
  for (const moment of moments) {
    const value = line(moment);
    if (value !== null) path += `${begun ? "L" : "M"}${x(moment.at).toFixed(1)} ${y(value).toFixed(1)}`;
    begun = value !== null;
  }
  return path;
}

/** The next of 1, 2, 4, 10, 20, 40, 100 and so on. @param {number} value */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return (/** @type {number} */ ([1, 2, 4, 10].find((step) => step * power >= value))) * power;
}
