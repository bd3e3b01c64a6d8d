// The prompts that are being read: a bar for each, from the beginning of the prompt to its end.

import { number, say } from "./say.js";
import { draw, image } from "./svg.js";

const LEFT = 8;
const ROW = 22;
const BOTTOM = 36;
const MIDDLE = 11;

/**
 * What a prompt's bar says.
 * @param {import("./history.js").Reading} prompt
 */
export function progressText({ tokens, cached, read, seconds }) {
  const fresh = read - cached;
  const rest = fresh > 0 ? say("secondsLeft", { seconds: number((seconds * (tokens - read)) / fresh) }) : say("secondsUnknown");
  const percent = number((100 * read) / tokens);
  return say("promptsOne", { read: number(read), tokens: number(tokens), percent, cached: number(cached), rest });
}

/**
 * @param {import("./history.js").Reading[]} prompts
 * @param {number} width  pixels
 */
export function promptsPlot(prompts, width) {
  const right = width - LEFT;
  const bottom = Math.max(1, prompts.length) * ROW;
  /** @param {number} share */
  const x = (share) => LEFT + share * (right - LEFT);
  const parts = prompts.flatMap(({ tokens, cached, read }, row) => {
    /** @param {string} kind @param {number} from @param {number} to */
    const bar = (kind, from, to) =>
      draw("rect", { class: kind, x: x(from / tokens), y: row * ROW + 4, width: x(to / tokens) - x(from / tokens), height: 14 });
    return [bar("cached", 0, cached), bar("done", cached, read), bar("rest", read, tokens)];
  });
  if (!prompts.length) parts.push(draw("line", { class: "axis", x1: x(0), x2: x(1), y1: MIDDLE, y2: MIDDLE }));
  for (const [share, anchor] of /** @type {[number, string][]} */ ([[0, "start"], [0.5, "middle"], [1, "end"]])) {
    parts.push(draw("text", { x: x(share), y: bottom + 14, "text-anchor": anchor }, number(100 * share)));
  }
  parts.push(draw("text", { x: x(0.5), y: bottom + 30, "text-anchor": "middle" }, say("promptsUnit")));
  const alternative = prompts.length ? prompts.map(progressText).join("; ") : say("promptsNone");
  return image(width, bottom + BOTTOM, `${say("promptsTitle")}: ${alternative}`, ...parts);
}
