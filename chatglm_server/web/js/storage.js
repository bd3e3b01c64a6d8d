// Conversations in the browser's own storage: one record each in an IndexedDB database of this origin.

import { PLAIN } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const DATABASE = "chatglm-server";
const STORE = "conversations";
export const MAX_CONVERSATIONS = 500;

/** What a list of conversations shows. @typedef {Pick<Conversation, "id" | "title" | "updated">} Summary */

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
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? asked.error);
  });
}

/** All conversations, the latest first. @returns {Promise<Conversation[]>} */
export async function everyConversation() {
  const found = await inTransaction("readonly", (store) => store.getAll(null, MAX_CONVERSATIONS));
  for (const one of found) one.settings = { ...PLAIN, ...one.settings }; // an earlier page wrote fewer settings
  return found.sort((one, other) => other.updated - one.updated);
}

/** @param {string} id @returns {Promise<Conversation | undefined>} */
export function load(id) {
  return inTransaction("readonly", (store) => store.get(id));
}

/** Keeps a conversation, in place of an earlier state of it. @param {Conversation} conversation */
export async function save(conversation) {
  await inTransaction("readwrite", (store) => store.put(conversation));
}

/** @param {string} id */
export async function remove(id) {
  await inTransaction("readwrite", (store) => store.delete(id));
}
