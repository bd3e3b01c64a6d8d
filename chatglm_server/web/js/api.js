// Requests to the server, with the key that it may ask for.

const KEY = "chatglm-server key";

/** What the server refused, or that it was not reached. `status` is 0 then. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message  in the server's words; "" if it was not reached
   * @param {string} [code]  the server's, for programs
   * @param {number} [retryAfter]  seconds
   */
  constructor(status, message, code = "", retryAfter = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The key, kept for this tab only. */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} value */
export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/**
 * The response to a GET, or to a POST of `body` as JSON.
 * @param {string} path
 * @param {{body?: unknown, signal?: AbortSignal, anyStatus?: boolean}} [options]
 *     `anyStatus`: do not raise for a status that is not 2xx
 * @returns {Promise<Response>}
 * @throws {ApiError}
 */
export async function request(path, { body, signal, anyStatus = false } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (key()) headers.Authorization = `Bearer ${String.fromCharCode(...new TextEncoder().encode(key()))}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "");
  }
  if (!response.ok && !anyStatus) throw await refusal(response);
  return response;
}

/** @param {Response} response */
async function refusal(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  try {
    const { error } = await response.json();
    return new ApiError(response.status, String(error.message), String(error.code ?? ""), retryAfter);
  } catch {
    return new ApiError(response.status, response.statusText, "", retryAfter);
  }
}
