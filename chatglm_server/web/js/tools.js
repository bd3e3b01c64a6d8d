// Tools that run in the browser, for trying, and the tools that a person adds and answers for.

import { calculate } from "./calculator.js";
import { say } from "./say.js";

const MAX_OWN_TOOLS = 64;
const MAX_DICE = 100;
const MAX_SIDES = 1_000_000;
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * @typedef {Object} Tool
 * @property {string} description
 * @property {Record<string, object>} properties  JSON schemas by parameter
 * @property {string[]} required
 * @property {(values: Record<string, unknown>) => object} run
 */

/** @type {Record<string, Tool>} */
const TOOLS = {
  current_time: {
    description: "Get the current date and time",
    properties: { time_zone: { type: "string", description: "IANA name such as Asia/Shanghai; default: the user's" } },
    required: [],
    run({ time_zone }) {
      const timeZone = typeof time_zone === "string" && time_zone ? time_zone : undefined;
      // As Swedes write it: 2026-11-28 12:54:34. Results are short, for small models copy long ones badly.
      const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone });
      return { time: format.format(new Date()), time_zone: format.resolvedOptions().timeZone };
    },
  },
  calculator: {
    description: "Calculate the value of an arithmetic expression",
    properties: { expression: { type: "string", description: "such as (2 + 3) * sqrt(2) ^ 4" } },
    required: ["expression"],
    run({ expression }) {
      return { result: calculate(String(expression ?? "")) };
    },
  },
  dice: {
    description: "Roll dice",
    properties: {
      count: { type: "integer", description: "number of dice, from 1 to 100; default: 1" },
      sides: { type: "integer", description: "sides of each die; default: 6" },
    },
    required: [],
    run({ count = 1, sides = 6 }) {
      const rolls = whole("count", count, MAX_DICE);
      const most = whole("sides", sides, MAX_SIDES);
      const rolled = Array.from({ length: rolls }, () => 1 + below(most));
      return { sum: rolled.reduce((one, other) => one + other), rolls: rolled.join(", ") };
    },
  },
};

export const TOOL_NAMES = Object.keys(TOOLS);

/**
 * The tools of a request, as OpenAI has them.
 * @param {string[]} names  of those that run here
 * @param {string} own  a person's, as JSON
 * @returns {{type: string, function: {name: string}}[]}
 * @throws {Error}  says what is wrong with `own`
 */
export function toolList(names, own) {
  const here = names.filter((name) => Object.hasOwn(TOOLS, name)).map((name) => {
    const { description, properties, required } = TOOLS[name];
    const parameters = { type: "object", properties, required };
    return { type: "function", function: { name, description, parameters } };
  });
  return [...here, ...ownTools(own, names)];
}

/**
 * The result of a call as JSON text, or null if the person gives it.
 * @param {import("./conversation.js").Call} call
 * @param {string[]} here  the tools of this browser that are switched on
 * @param {string[]} all  the tools that the model was told of
 */
export function resultOf(call, here, all) {
  if (!all.includes(call.name)) {
    return json({ error: `there is no tool ${call.name}; there is ${all.join(", ") || "none"}` });
  }
  if (!here.includes(call.name)) return null;
  try {
    const values = call.arguments.trim() ? JSON.parse(call.arguments) : {};
    return json(TOOLS[call.name].run(values));
  } catch (error) {
    return json({ error: error instanceof Error ? error.message : String(error) });
  }
}

/** JSON in a line with blanks, as models have read it most: `{"sum": 7, "rolls": "3, 4"}`. @param {object} value */
function json(value) {
  const lines = JSON.stringify(value, null, 1); // line ends within texts are escaped
  return lines.replace(/([[{])\n */g, "$1").replace(/\n *([\]}])/g, "$1").replace(/\n */g, " ");
}

/** @param {string} text @param {string[]} taken */
function ownTools(text, taken) {
  if (!text.trim()) return [];
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(say("ownToolsJson", { error: error instanceof Error ? error.message : "" }));
  }
  const list = Array.isArray(value) ? value : [value];
  if (list.length > MAX_OWN_TOOLS) throw new Error(say("ownToolsMany", { most: MAX_OWN_TOOLS }));
  const seen = new Set(taken);
  return list.map((item) => {
    const declared = item?.type === "function" && item.function ? item.function : item;
    const name = declared?.name;
    if (typeof name !== "string" || !NAME.test(name)) throw new Error(say("ownToolsName"));
    if (seen.has(name)) throw new Error(say("ownToolsTwice", { name }));
    seen.add(name);
    return { type: "function", function: { parameters: { type: "object", properties: {} }, ...declared } };
  });
}

/** @param {string} name @param {unknown} value @param {number} most */
function whole(name, value, most) {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > most) {
    throw new Error(`${name} must be a whole number from 1 to ${most}`);
  }
  return number;
}

/** A random number from 0 to `most` - 1, each as likely as any other. @param {number} most */
function below(most) {
  const fair = Math.floor(2 ** 32 / most) * most;
  for (;;) {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    if (drawn < fair) return drawn % most;
  }
}
