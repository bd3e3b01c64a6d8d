// The list of conversations. A narrow page shows it over the messages, and only when it is asked for.

import { byId, make } from "./dom.js";
import { say } from "./say.js";

const OVER = "with-sidebar";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 *
 * @typedef {Object} Actions
 * @property {(id: string) => void} open
 * @property {(conversation: Conversation) => void} save  as a file
 * @property {(conversation: Conversation) => void} remove
 */

/**
 * @param {Conversation[]} conversations  the latest first
 * @param {string} current
 * @param {Actions} actions
 */
export function showConversations(conversations, current, actions) {
  const focused = document.activeElement?.id ?? "";
  byId("conversations", HTMLUListElement).replaceChildren(
    ...conversations.map((conversation) => {
      const { id } = conversation;
      const title = conversation.title || say("untitled");
      return make(
        "li",
        {},
        make(
          "button",
          {
            type: "button",
            class: "open",
            id: `open-${id}`,
            "aria-current": id === current && "true",
            onclick: () => actions.open(id),
          },
          title,
        ),
        small("↓", say("exportOne", { title }), () => actions.save(conversation)),
        small("×", say("removeOne", { title }), () => actions.remove(conversation)),
      );
    }),
  );
  if (focused.startsWith("open-")) document.getElementById(focused)?.focus();
}

/** Whether the list lies over the messages. */
export function sidebarShown() {
  return document.body.classList.contains(OVER);
}

/** @param {boolean} shown */
export function showSidebar(shown) {
  if (shown === sidebarShown()) return;
  const menu = byId("menu", HTMLButtonElement);
  const focused = byId("sidebar", HTMLElement).contains(document.activeElement);
  document.body.classList.toggle(OVER, shown);
  menu.setAttribute("aria-expanded", String(shown));
  if (shown) byId("new", HTMLButtonElement).focus();
  else if (focused) menu.focus();
}

/** @param {string} sign @param {string} label @param {() => void} onclick */
function small(sign, label, onclick) {
  return make("button", { type: "button", class: "small", "aria-label": label, title: label, onclick }, sign);
}
