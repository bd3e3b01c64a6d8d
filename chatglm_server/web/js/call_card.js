// A tool call as a card: name, arguments, result, or a field for a person's result.

import { make } from "./dom.js";
import { say } from "./say.js";

/** Characters. */
const SHORT = 80;

/**
 * @param {import("./conversation.js").Call} call
 * @param {string | undefined} result
 * @param {((text: string) => void) | null} answer  takes a person's result, where one is waited for
 */
export function callCard(call, result, answer) {
  const card = make(
    "section",
    { class: "call", "aria-label": say("callLabel", { name: call.name }) },
    make("p", { class: "title" }, say("call"), " ", make("code", {}, call.name)),
    make("pre", { class: "arguments", tabindex: "0", "aria-label": say("arguments") }, readable(call.arguments)),
  );
  if (result !== undefined) {
    const label = say("result");
    card.append(make("p", { class: "title" }, label), make("pre", { class: "result", tabindex: "0", "aria-label": label }, readable(result)));
  } else if (answer) {
    card.append(...answerField(call, answer));
  }
  return card;
}

/** @param {import("./conversation.js").Call} call @param {(text: string) => void} answer */
function answerField(call, answer) {
  const id = `result-${call.id}`;
  const field = make("textarea", { id, rows: "3", placeholder: '{"temperature": 21}' });
  const button = make("button", { type: "button", class: "main", onclick: () => answer(field.value) }, say("sendResult"));
  return [make("label", { for: id }, say("resultByHand")), field, button];
}

/** JSON in lines, or in one if it is short; anything else as it is. @param {string} text */
function readable(text) {
  try {
    const lines = JSON.stringify(JSON.parse(text), null, 2);
    return lines.length < SHORT ? lines.replace(/\n */g, " ") : lines; // line ends within texts are escaped
  } catch {
    return text;
  }
}
