// The progress bar: while the model loads, and while a long prompt is read.

import { byId } from "./dom.js";
import { say } from "./say.js";

/**
 * Shows a bar with what it is about; `share` is from 0 to 1, or null if nothing tells.
 * @param {string} text
 * @param {number | null} share
 */
export function showProgress(text, share) {
  byId("progress", HTMLDivElement).hidden = false;
  byId("progress-text", HTMLSpanElement).textContent = text;
  const bar = byId("progress-bar", HTMLProgressElement);
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}

export function hideProgress() {
  byId("progress", HTMLDivElement).hidden = true;
}

/** @param {import("./completion.js").Progress} progress @param {string} unit */
export function showReading({ read, cached, total, seconds }, unit) {
  const done = read - cached;
  const left = done > 0 ? Math.round((seconds / done) * (total - read)) : null;
  const values = { read: read.toLocaleString(), total: total.toLocaleString(), unit: say(unit), left: left ?? "" };
  showProgress(say(left === null ? "reading" : "readingLeft", values), total ? read / total : null);
}

/** @param {number} seconds  since the page saw it @param {number | null} lastTime  what it took then */
export function showLoading(seconds, lastTime) {
  const left = lastTime === null ? 0 : Math.round(lastTime - seconds);
  const text = left > 0 ? say("loadingLeft", { left }) : say("loading", { seconds: Math.round(seconds) });
  showProgress(text, left > 0 && lastTime ? seconds / lastTime : null);
}
