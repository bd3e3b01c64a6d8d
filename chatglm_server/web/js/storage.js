// Conversations in the browser's own storage: one record each in an IndexedDB database of this origin.

import { PLAIN, takeOver } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const DATABASE = "chatglm-server";
const STORE = "conversations";
export const MAX_CONVERSATIONS = 500;

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new Error("another tab holds an older version"));
  });
  return opened;
}

/**
 * Does `work` in a transaction of its own.
 * @template Result
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<Result>} work
 * @returns {Promise<Result>}
 */
async function inTransaction(mode, work) {
  const transaction = (await database()).transaction(STORE, mode);
  const asked = work(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onabort = () => reject(transaction.error); // any error of a request ends in this
  });
}

/** All conversations, the latest first. @returns {Promise<Conversation[]>} */
export async function everyConversation() {
  const found = await inTransaction("readonly", (store) => store.getAll(null, MAX_CONVERSATIONS));
  return found.map(withAllSettings).sort((one, other) => other.updated - one.updated);
}

/** @param {string} id @returns {Promise<Conversation | undefined>} */
export async function load(id) {
  const found = await inTransaction("readonly", (store) => store.get(id));
  return found && withAllSettings(found);
}

/** An earlier page wrote fewer settings. @param {Conversation} conversation */
function withAllSettings(conversation) {
  conversation.settings = { ...PLAIN, ...conversation.settings };
  return conversation;
}

/** Keeps a conversation, and takes over what another tab has kept of it meanwhile. @param {Conversation} conversation */
export async function save(conversation) {
  await inTransaction("readwrite", (store) => {
    const earlier = store.get(conversation.id);
    earlier.onsuccess = () => {
      if (earlier.result) takeOver(conversation, earlier.result);
      store.put(conversation);
    };
    return earlier;
  });
}

/** @param {string} id */
export async function remove(id) {
  await inTransaction("readwrite", (store) => store.delete(id));
}
