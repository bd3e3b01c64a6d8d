// The settings of a conversation: system prompt, thinking, sampling, JSON schema, tools.

import { byId, make } from "./dom.js";
import { say } from "./say.js";
import { TOOL_NAMES, toolList } from "./tools.js";

/**
 * @typedef {import("./conversation.js").Settings} Settings
 * @typedef {Exclude<keyof Settings, "thinking" | "tools">} Field
 */

/** @type {Record<Field, (text: string) => string>} what is wrong with a field's text; "" if nothing is */
const FAULTS = {
  system: () => "",
  temperature: (text) => (inRange(text, 0, 2) ? "" : say("faultTemperature")),
  seed: (text) => (/^\d{0,15}$/.test(text) ? "" : say("faultSeed")),
  maxTokens: (text) => (/^([1-9]\d{0,8})?$/.test(text) ? "" : say("faultMaxTokens")),
  schema: schemaFault,
  ownTools: (text) => faultOf(() => toolList([], text)),
};

export class SettingsPanel {
  /** @param {() => void} changed  the settings of the conversation were changed */
  constructor(changed) {
    this.#changed = changed;
    for (const name of /** @type {Field[]} */ (Object.keys(FAULTS))) {
      const field = fieldOf(name);
      field.addEventListener("input", () => {
        if (this.#settings === null) return;
        this.#settings[name] = field.value;
        showFault(name, FAULTS[name](field.value));
        this.#changed();
      });
    }
    this.#thinking.addEventListener("change", () => {
      if (this.#settings === null) return;
      this.#settings.thinking = /** @type {Settings["thinking"]} */ (this.#thinking.value);
      this.#changed();
    });
    byId("tools", HTMLFieldSetElement).append(...TOOL_NAMES.map((name) => this.#toolBox(name)));
  }
  #changed;
  #thinking = byId("thinking", HTMLSelectElement);
  /** @type {Settings | null} */
  #settings = null;

  /** Shows these settings; changes go into them. @param {Settings} settings */
  show(settings) {
    this.#settings = settings;
    for (const name of /** @type {Field[]} */ (Object.keys(FAULTS))) {
      fieldOf(name).value = settings[name];
      showFault(name, FAULTS[name](settings[name]));
    }
    this.#thinking.value = settings.thinking;
    for (const name of TOOL_NAMES) byId(`tool-${name}`, HTMLInputElement).checked = settings.tools.includes(name);
  }

  /** Offers the choice whether to think, or not. @param {boolean} offered */
  showThinking(offered) {
    byId("thinking-choice", HTMLDivElement).hidden = !offered;
  }

  /** @param {string} name */
  #toolBox(name) {
    const box = make("input", { type: "checkbox", id: `tool-${name}` });
    box.addEventListener("change", () => {
      const settings = this.#settings;
      if (settings === null) return;
      settings.tools = TOOL_NAMES.filter((one) => byId(`tool-${one}`, HTMLInputElement).checked);
      this.#changed();
    });
    return make("label", {}, box, " ", say(`tool_${name}`));
  }
}

/**
 * What is wrong with the settings, or "".
 * @param {Settings} settings
 */
export function settingsFault(settings) {
  for (const name of /** @type {Field[]} */ (Object.keys(FAULTS))) {
    const fault = FAULTS[name](settings[name]);
    if (fault) return fault;
  }
  return faultOf(() => toolList(settings.tools, settings.ownTools));
}

/** @param {Field} name */
function fieldOf(name) {
  const field = document.getElementById(name);
  if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) return field;
  throw new Error(`the page has no field ${name}`);
}

/** @param {Field} name @param {string} fault */
function showFault(name, fault) {
  byId(`${name}-fault`, HTMLParagraphElement).textContent = fault;
  fieldOf(name).setAttribute("aria-invalid", String(fault !== ""));
}

/** @param {string} text @param {number} least @param {number} most */
function inRange(text, least, most) {
  const number = Number(text);
  return text.trim() === text && number >= least && number <= most;
}

/** @param {string} text */
function schemaFault(text) {
  if (!text.trim()) return "";
  try {
    const schema = JSON.parse(text);
    return typeof schema === "object" && schema !== null && !Array.isArray(schema) ? "" : say("faultSchemaObject");
  } catch (error) {
    return say("faultSchema", { error: error instanceof Error ? error.message : "" });
  }
}

/** @param {() => unknown} work */
function faultOf(work) {
  try {
    work();
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
