// What the page knows of the server: its models, its queue, and whether it is ready.

import { request } from "./api.js";

/**
 * @typedef {Object} Model
 * @property {string} id
 * @property {number | null} context_length
 * @property {string} unit
 * @property {"never" | "optional" | "always" | null} thinking  when it thinks before it answers; null if that is not known
 *
 * @typedef {{running: number, waiting: number}} Queue
 * @typedef {{status: string, model: string, queue: Queue, estimated_wait_s?: number, problem?: string}} Health
 */

const LOAD_SECONDS = "chatglm-server seconds to load ";

/** @returns {Promise<Model[]>} */
export async function models() {
  return (await (await request("/v1/models")).json()).data;
}

/** @returns {Promise<Health>} */
export async function health() {
  return (await request("/health", { anyStatus: true })).json();
}

/**
 * Resolves once the model is loaded. `told` hears of each look at a model that is not: the seconds so far, and those
 * that this model took when the page last saw it load.
 * @param {AbortSignal} signal
 * @param {(seconds: number, lastTime: number | null) => void} told
 */
export async function untilReady(signal, told) {
  const started = performance.now();
  for (let looks = 0; ; looks++) {
    const { status, model } = await health();
    signal.throwIfAborted();
    const seconds = (performance.now() - started) / 1000;
    if (status !== "loading") {
      if (looks) localStorage.setItem(LOAD_SECONDS + model, String(seconds));
      return;
    }
    told(seconds, Number(localStorage.getItem(LOAD_SECONDS + model)) || null);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
