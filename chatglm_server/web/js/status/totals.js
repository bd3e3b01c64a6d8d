// The figures since the server's start, from /metrics.

import { ApiError, request } from "../api.js";
import { askForKey } from "../dialogs.js";
import { byId, make } from "../dom.js";
import { samples, total } from "./metrics.js";
import { number, say } from "./say.js";

/** @typedef {import("./metrics.js").Sample} Sample */

/** The figures, shown; null if the server does not give them: then the page says what to do. @returns {Promise<Sample[] | null>} */
export async function showTotals() {
  const notice = byId("totals-notice", HTMLParagraphElement);
  const giveKey = byId("give-key", HTMLButtonElement);
  const list = byId("totals", HTMLDListElement);
  let found = null;
  let status = 200;
  try {
    found = await figures();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    status = error.status;
  }
  giveKey.hidden = status !== 401;
  giveKey.onclick = () => askForKey(figures).then(showTotals);
  notice.hidden = found !== null;
  notice.textContent = status === 404 ? say("totalsOff") : status === 401 ? say("totalsKey") : say("totalsLoading");
  list.replaceChildren(...(found ? rows(found) : []));
  return found;
}

async function figures() {
  return samples(await (await request("/metrics")).text());
}

/** @param {Sample[]} found */
function rows(found) {
  /** @type {[string, string | null][]} */
  const items = [
    ["requestsDone", count(total(found, "requests_total", ({ status }) => status.startsWith("2")) ?? 0)],
    ["requestsFailed", count(total(found, "requests_total", ({ status }) => !status.startsWith("2")) ?? 0)],
    ["promptTokens", count(total(found, "prompt_tokens_total"))],
    ["cachedTokens", share(found, "prompt_tokens_cached_total", "prompt_tokens_total")],
    ["diskTokens", count(total(found, "kv_disk_tokens_read_total"))],
    ["answerTokens", count(total(found, "generated_tokens_total"))],
    ["draftTokens", share(found, "draft_tokens_accepted_total", "draft_tokens_total")],
    ["firstToken", mean(found, "time_to_first_token_seconds", (value) => say("seconds", { value: number(value, 2) }))],
    ["eachToken", mean(found, "time_per_output_token_seconds", (value) => say("milliseconds", { value: number(1000 * value, 1) }))],
    ["diskBytes", disk(found)],
  ];
  return items.flatMap(([key, value]) =>
    value === null ? [] : [make("div", {}, make("dt", {}, say(key)), make("dd", {}, value))],
  );
}

/** @param {number | null} value */
function count(value) {
  return value === null ? null : number(value);
}

/** @param {Sample[]} found @param {string} part @param {string} whole */
function share(found, part, whole) {
  const [some, all] = [total(found, part), total(found, whole)];
  return some === null || !all ? null : say("share", { count: number(some), percent: number((100 * some) / all) });
}

/** @param {Sample[]} found @param {string} histogram @param {(value: number) => string} written */
function mean(found, histogram, written) {
  const [sum, observed] = [total(found, `${histogram}_sum`), total(found, `${histogram}_count`)];
  return sum === null || !observed ? null : written(sum / observed);
}

/** @param {Sample[]} found */
function disk(found) {
  const [bytes, most] = [total(found, "kv_disk_bytes"), total(found, "kv_disk_bytes_max")];
  return bytes === null || most === null
    ? null
    : say("megabytes", { value: number(bytes / 1e6, 1), most: number(most / 1e6) });
}
