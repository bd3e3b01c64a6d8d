// The page's words, in the browser's language.

/**
 * @typedef {Record<string, string>} Words  By key; `{name}` stands for a value.
 * @typedef {(key: string, values?: Record<string, string | number>) => string} Say
 */

export const LANGUAGE = navigator.languages[0]?.toLowerCase().startsWith("zh") ? "zh" : "en";

/**
 * The function that says a key's words in the browser's language.
 * @param {{en: Words, zh: Words}} tables
 * @returns {Say}
 */
export function speaker(tables) {
  const words = tables[LANGUAGE];
  return (key, values = {}) =>
    words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Writes the words into the elements that ask for them: `data-say="key"` for the text, and
 * `data-say-title="key"` (or another attribute's name) for an attribute.
 * @param {Say} say
 */
export function fillIn(say) {
  document.documentElement.lang = LANGUAGE === "zh" ? "zh-CN" : "en";
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("*"))) {
    for (const [name, key] of Object.entries(element.dataset)) {
      if (name === "say") element.textContent = say(key ?? "");
      else if (name.startsWith("say")) element.setAttribute(attribute(name), say(key ?? ""));
    }
  }
}

/** `sayAriaLabel` → `aria-label`. @param {string} name */
function attribute(name) {
  return name.slice(3).replace(/[A-Z]/g, (letter, place) => (place ? "-" : "") + letter.toLowerCase());
}
