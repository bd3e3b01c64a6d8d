// The page with the server's state: it asks /health once a second, and /metrics every fifth time, while it is seen.

import { ApiError, request } from "../api.js";
import { byId, make } from "../dom.js";
import { fillIn } from "../words.js";
import { History } from "./history.js";
import { total } from "./metrics.js";
import { makePlots } from "./plots.js";
import { say } from "./say.js";
import { showTotals } from "./totals.js";

/** @typedef {import("./history.js").Health} Health */

const PAUSE_MS = 1000;
const LOOKS_A_TOTAL = 5;

fillIn(say);
const showPlots = makePlots(byId("plots", HTMLElement));
const history = new History();
const summary = byId("summary", HTMLParagraphElement);
const notice = byId("notice", HTMLParagraphElement);
let looks = 0;

async function look() {
  const health = await state();
  if (!health) return;
  const all = looks++ % LOOKS_A_TOTAL === 0 || !health.tokens ? await showTotals() : null;
  const now = performance.now() / 1000;
  history.add(now, health, health.tokens ?? counted(all));
  showState(health);
  showPlots({ health, moments: history.moments, now });
}

/** The server's state; null if it gave none, and then the page says so. @returns {Promise<Health | null>} */
async function state() {
  try {
    const response = await request("/health", { anyStatus: true });
    if (response.status === 200 || response.status === 503) {
      const health = await response.json();
      if (health.queue) return health;
    }
    tell(say("failed", { status: response.status }));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tell(say("unreached"));
  }
  return null;
}

/** Another server's tokens are counted when an answer is over. @param {import("./metrics.js").Sample[] | null} all */
function counted(all) {
  if (!all) return null;
  const read = (total(all, "prompt_tokens_total") ?? 0) - (total(all, "prompt_tokens_cached_total") ?? 0);
  return { read, generated: total(all, "generated_tokens_total") ?? 0 };
}

/** @param {Health} health */
function showState({ status, model, loaded, models, upstreams, problem }) {
  const key = status === "loading" ? "loading" : loaded === false ? "unloaded" : "ready";
  const text = say(key, { model });
  if (summary.textContent !== text) summary.textContent = text; // a screen reader says it when it changes
  tell(problem ? say("degraded", { problem }) : "");
  const several = models && models.length > 1 ? models : undefined; // one is named above
  showList(
    "models",
    several?.map(({ model: name, loaded: here, queue }) =>
      say(here ? "modelLoaded" : "modelUnloaded", { model: name, running: queue.running, waiting: queue.waiting }),
    ),
  );
  showList("upstreams", upstreams?.map(upstreamState));
}

/** @param {import("./history.js").Upstream} upstream */
function upstreamState({ address, in_service: serves, running, requests, problem }) {
  if (problem) return say(serves ? "upstreamFaulty" : "upstreamLeftOut", { address, problem });
  return say("upstreamServes", { address, running, requests });
}

/** @param {string} id @param {string[]} [lines]  none: the list is hidden */
function showList(id, lines) {
  const shown = byId(id, HTMLUListElement);
  shown.hidden = !lines;
  shown.replaceChildren(...(lines ?? []).map((line) => make("li", {}, line)));
}

/** @param {string} text  what is wrong; "": nothing */
function tell(text) {
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = !text;
}

async function watch() {
  summary.textContent = say("looking");
  for (;;) {
    if (document.visibilityState === "visible") await look();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

void watch();
