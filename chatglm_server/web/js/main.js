// The chat page: its parts, put together.

import { ApiError } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { askForKey, confirmed } from "./dialogs.js";
import { byId, make } from "./dom.js";
import { Messages } from "./messages.js";
import { advice } from "./problems.js";
import { hideProgress, showLoading, showReading } from "./progress.js";
import { say } from "./say.js";
import { health, models, untilReady } from "./server.js";
import { SettingsPanel, settingsFault } from "./settings_panel.js";
import { Shelf } from "./shelf.js";
import { showConversations, showSidebar, sidebarShown } from "./sidebar.js";
import { showStrip } from "./strip.js";
import { download, readFile } from "./transfer.js";
import { fillIn } from "./words.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const LAST = "chatglm-server conversation";
const MODEL = "chatglm-server model";
/** Between two looks at the server: while an answer is written, and otherwise. */
const LOOK_MS = 2000;
const IDLE_LOOK_MS = 30_000;

/** @type {import("./server.js").Model[]} */
let known = [];
/** null: the server was not reached; undefined: it was not looked at yet. @type {import("./server.js").Health | null | undefined} */
let state;
/** Whether the notice says what is wrong with the settings. */
let faulty = false;
/** Chats that were opened. @type {Map<string, Chat>} */
const chats = new Map();
/** @type {Chat} */
let chat;

const shelf = new Shelf(notice, changedElsewhere);
const modelChoice = byId("model", HTMLSelectElement);
const settings = new SettingsPanel(() => {
  shelf.keepSoon(chat.conversation);
  if (faulty) allowed();
});
const composer = new Composer({ send, stop: () => chat.stop(), editLast });
const messages = new Messages(byId("scroller", HTMLElement), byId("messages", HTMLElement), {
  edit(message, text) {
    const sent = allowed();
    if (sent) keepingFocus(() => void chat.edit(message, text));
    return sent;
  },
  regenerate: (message) => allowed() && keepingFocus(() => void chat.regenerate(message)),
  choose(message) {
    chat.choose(message);
    messages.focusBranches(message);
  },
  result: (call, text) => allowed() && keepingFocus(() => void chat.result(call, text)),
});

/** @type {import("./chat.js").Listener} */
const listener = {
  changed(one) {
    void shelf.keep(one.conversation, !one.busy);
    if (one === chat) draw();
    if (one === chat && !one.busy) announce(one);
    if (!one.busy) void lookAtServer();
  },
  grew(one, message) {
    shelf.keepSoon(one.conversation);
    if (one === chat) messages.grew(message);
  },
  reading(one, progress) {
    if (one !== chat) return;
    if (progress === null) hideProgress();
    else showReading(progress, unit());
  },
  async untilReady(signal) {
    await untilReady(signal, showLoading);
    hideProgress();
  },
};

/** Another tab has changed or removed conversations. */
function changedElsewhere() {
  for (const { conversation } of chats.values()) if (!shelf.conversations.includes(conversation)) leave(conversation);
  draw();
}

/** Forgets a conversation that was removed. @param {Conversation} conversation */
function leave(conversation) {
  chats.get(conversation.id)?.stop();
  chats.delete(conversation.id);
  if (conversation === chat.conversation) open("");
  else draw();
}

function draw() {
  messages.show(chat);
  composer.show(chat.busy);
  byId("hint", HTMLElement).hidden = chat.shown.length > 0;
  drawStrip();
  showConversations(shelf.conversations, chat.conversation.id, {
    open,
    save: (conversation) => download([conversation], "chat.json"),
    remove: removeConversation,
  });
}

function drawStrip() {
  const figures = chat.shown.findLast((message) => message.figures)?.figures;
  showStrip({ unit: unit(), contextLength: model()?.context_length ?? null, figures, state: state ?? null });
}

/** @param {string} id */
function open(id) {
  const conversation = shelf.conversations.find((one) => one.id === id) ?? shelf.begin(chat?.conversation);
  let opened = chats.get(conversation.id);
  if (opened === undefined) {
    opened = new Chat(conversation, model, listener);
    chats.set(conversation.id, opened);
  }
  chat = opened;
  localStorage.setItem(LAST, conversation.id);
  settings.show(conversation.settings);
  if (faulty) allowed(); // what was wrong with the settings of another conversation
  hideProgress();
  draw();
  messages.toEnd();
  showSidebar(false);
}

/** @param {string} text @returns {boolean} whether it was sent */
function send(text) {
  if (!allowed()) return false;
  void chat.ask(text);
  messages.toEnd();
  return true;
}

/** Whether a request can be made; says what has to change if not. */
function allowed() {
  const fault = settingsFault(chat.conversation.settings);
  faulty = fault !== "";
  notice(fault && say("settingsFault", { fault }));
  return !fault;
}

/** Does `work`. If it takes away what was pressed by a key, the next field gets the focus. @param {() => void} work */
function keepingFocus(work) {
  const byKey = document.activeElement?.matches(":focus-visible");
  work();
  if (byKey && document.activeElement === document.body) nextField().focus();
}

/** The field for the result of a call that waits for one, or else for the next question. */
function nextField() {
  const field = /** @type {HTMLTextAreaElement | null} */ (document.querySelector("#messages textarea"));
  return field ?? byId("question", HTMLTextAreaElement);
}

function editLast() {
  const last = chat.shown.findLast((message) => message.role === "user");
  if (last && !chat.busy) messages.edit(last);
}

/** @param {Conversation} conversation */
async function removeConversation(conversation) {
  if (!(await confirmed(say("removeConfirm", { title: conversation.title || say("untitled") })))) return;
  await shelf.remove(conversation);
  leave(conversation);
  byId("question", HTMLTextAreaElement).focus();
}

/** Says above the composer what a person should know; "" takes it away. @param {string} text */
function notice(text) {
  const element = byId("notice", HTMLDivElement);
  element.hidden = !text;
  const close = make("button", { type: "button", class: "small", onclick: () => notice("") }, say("close"));
  element.replaceChildren(...(text ? [make("p", {}, text), close] : []));
}

/** For screen readers: the answer, once it is whole. @param {Chat} one */
function announce(one) {
  const last = one.shown.at(-1);
  if (last?.role === "assistant") byId("announcer", HTMLDivElement).textContent = last.text || say("answerEnded");
}

function model() {
  return known.find(({ id }) => id === modelChoice.value);
}

/** Shows what depends on the model. */
function showModel() {
  settings.showThinking(model()?.thinking === "optional");
  drawStrip();
}

function unit() {
  return model()?.unit ?? "tokens";
}

async function readModels() {
  known = await models();
  const chosen = modelChoice.value || localStorage.getItem(MODEL);
  modelChoice.replaceChildren(...known.map(({ id }) => make("option", { value: id }, id)));
  if (chosen && known.some(({ id }) => id === chosen)) modelChoice.value = chosen;
  showModel();
}

/** Reads the models; asks for the key if there must be one. */
async function meetServer() {
  try {
    await readModels();
    await untilReady(new AbortController().signal, showLoading);
    if (!chat.busy) hideProgress(); // a question that waited for the model is read by now
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) await askForKey(readModels).then(draw);
    else notice(advice(error));
  }
}

async function lookAtServer() {
  const before = state;
  try {
    state = await health();
  } catch {
    state = null; // the next request says it
  }
  const { problem = "" } = state ?? {};
  if (problem && problem !== before?.problem) {
    notice(say("problemBackend", { message: say("serverSays", { message: problem }) }));
  } else if (state && before?.problem && !problem) notice("");
  drawStrip();
  const another = state && before !== undefined && state.model !== before?.model;
  if (another) await readModels().then(draw, () => {}); // it was started again; the next request says what is wrong
}

async function watchServer() {
  for (;;) {
    if (document.visibilityState === "visible") await lookAtServer();
    const began = performance.now();
    while (performance.now() - began < (chat.busy ? LOOK_MS : IDLE_LOOK_MS)) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS / 2));
    }
  }
}

function exportAll() {
  const begun = shelf.conversations.filter((one) => one.messages.length);
  notice(begun.length ? "" : say("exportNothing"));
  if (begun.length) download(begun, "chats.json");
}

/** @param {boolean} shown */
function showSettings(shown) {
  const panel = byId("settings", HTMLElement);
  const button = byId("open-settings", HTMLButtonElement);
  if (!shown && panel.contains(document.activeElement)) button.focus();
  panel.hidden = !shown;
  button.setAttribute("aria-expanded", String(shown));
  if (shown) byId("system", HTMLTextAreaElement).focus();
}

function listen() {
  const press = (/** @type {string} */ id, /** @type {() => void} */ work) => {
    byId(id, HTMLButtonElement).addEventListener("click", work);
  };
  press("new", () => open(""));
  press("menu", () => showSidebar(!sidebarShown()));
  press("open-settings", () => showSettings(Boolean(byId("settings", HTMLElement).hidden)));
  press("close-settings", () => showSettings(false));
  press("export", exportAll);
  const file = byId("import", HTMLInputElement);
  file.addEventListener("change", async () => {
    try {
      const read = file.files?.[0] ? await readFile(file.files[0]) : [];
      await shelf.add(read);
      if (read.length) open(read[0].id);
    } catch (error) {
      notice(error instanceof Error ? error.message : String(error));
    }
    file.value = "";
  });
  modelChoice.addEventListener("change", () => {
    localStorage.setItem(MODEL, modelChoice.value);
    showModel();
  });
  addEventListener("key-needed", () => void askForKey(readModels).then(draw));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open], .editor")) {
      if (sidebarShown()) showSidebar(false);
      else if (chat.busy) chat.stop();
      else showSettings(false);
    }
  });
  addEventListener("pagehide", () => shelf.keepRest());
}

fillIn(say);
listen();
await shelf.load();
open(localStorage.getItem(LAST) ?? "");
void meetServer();
void watchServer();
