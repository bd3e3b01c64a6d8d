// The words of the page with the server's state.

import { LANGUAGE, speaker } from "../words.js";
import { EN } from "./words_en.js";
import { ZH } from "./words_zh.js";

export const say = speaker({ en: EN, zh: ZH });

/**
 * A number as people write it in the page's language.
 * @param {number} value
 * @param {number} [digits]  after the point
 */
export function number(value, digits = 0) {
  return value.toLocaleString(LANGUAGE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A number of an axis: 1,500 is 1.5K. @param {number} value */
export function short(value) {
  return value.toLocaleString(LANGUAGE, { notation: "compact" });
}
