// What the server said in the last two minutes.

/**
 * @typedef {{running: number, waiting: number, max: number}} Queue
 * @typedef {{tokens: number, cached: number, read: number, seconds: number}} Reading
 * @typedef {{read: number, generated: number}} Tokens
 * @typedef {{tokens: number, most: number}} Cache
 * @typedef {{address: string, in_service: boolean, running: number, requests: number, problem?: string}} Upstream
 * @typedef {Object} Health
 * @property {"ok" | "loading" | "degraded"} status
 * @property {string} model
 * @property {false} [loaded]
 * @property {Queue} queue
 * @property {number} [estimated_wait_s]
 * @property {Reading[]} [reading]
 * @property {Tokens} [tokens]
 * @property {Cache} [kv_cache]
 * @property {{model: string, loaded: boolean, queue: Queue}[]} [models]
 * @property {Upstream[]} [upstreams]
 * @property {string} [problem]
 *
 * @typedef {Object} Moment  What was so at a time; null where nothing tells.
 * @property {number} at  seconds
 * @property {number | null} generated  tokens a second since the moment before
 * @property {number | null} read  the same
 * @property {number} running
 * @property {number} waiting
 * @property {number | null} held  tokens in the KV cache
 */

export const SPAN_S = 120;
const GAP_S = 5; // a page that was hidden did not ask: a mean over that time would say little

export class History {
  constructor() {
    /** @type {Moment[]} */
    this.moments = [];
    /** @type {Tokens | null} */
    this._tokens = null;
  }

  /**
   * @param {number} at  seconds
   * @param {Health} health
   * @param {Tokens | null} tokens  since the server's start
   */
  add(at, health, tokens) {
    const last = this.moments.at(-1);
    const seconds = last ? at - last.at : Infinity;
    /** @param {"read" | "generated"} name */
    const rate = (name) => {
      if (!tokens || !this._tokens || seconds > GAP_S) return null;
      const more = tokens[name] - this._tokens[name];
      return more < 0 ? null : more / seconds; // fewer than before: the server was started anew
    };
    this.moments.push({
      at,
      generated: rate("generated"),
      read: rate("read"),
      running: health.queue.running,
      waiting: health.queue.waiting,
      held: health.kv_cache?.tokens ?? null,
    });
    this._tokens = tokens;
    this.moments = this.moments.filter((moment) => at - moment.at <= SPAN_S);
  }
}
