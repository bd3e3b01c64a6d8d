// What went wrong, in words that say what to do next.

import { ApiError } from "./api.js";
import { say } from "./say.js";

/**
 * @param {unknown} error
 * @returns {string}
 */
export function advice(error) {
  if (!(error instanceof ApiError)) return say("problemOther", { message: error instanceof Error ? error.message : "" });
  const { status, code, retryAfter } = error;
  const message = error.message && say("serverSays", { message: error.message });
  if (status === 0) return say("problemUnreached");
  if (status === 401) return say("problemKey");
  if (code === "context_length_exceeded") return say("problemContext", { message });
  if (status === 413) return say("problemLarge", { message });
  if (status === 429) return say("problemBusy", { message, seconds: retryAfter || 5 });
  if (status === 503) return say("problemNotReady", { message });
  if (status >= 500) return say("problemServer", { message });
  return say("problemRequest", { message });
}
