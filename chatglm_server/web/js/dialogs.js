// Questions to the person: the server's key, and whether to delete.

import { setKey } from "./api.js";
import { byId } from "./dom.js";

/**
 * Asks for the key until the server takes one.
 * @param {() => Promise<unknown>} attempt  a request that needs the key; raises if it is wrong
 */
export async function askForKey(attempt) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const field = byId("key", HTMLInputElement);
  const fault = byId("key-fault", HTMLParagraphElement);
  if (dialog.open) return;
  field.value = "";
  fault.hidden = true;
  dialog.showModal();
  await new Promise((resolve) => {
    const send = async () => {
      setKey(field.value.trim());
      try {
        await attempt();
      } catch {
        setKey("");
        fault.hidden = false;
        field.select();
        return;
      }
      dialog.close();
      resolve(undefined);
    };
    byId("key-send", HTMLButtonElement).onclick = send;
    field.onkeydown = (event) => {
      if (event.key === "Enter") void send();
    };
    dialog.oncancel = () => resolve(undefined);
  });
}

/** Whether the person wants what `text` asks. @param {string} text @returns {Promise<boolean>} */
export function confirmed(text) {
  const dialog = byId("confirm-dialog", HTMLDialogElement);
  byId("confirm-text", HTMLParagraphElement).textContent = text;
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (/** @type {boolean} */ answer) => () => {
      dialog.close();
      resolve(answer);
    };
    byId("confirm-yes", HTMLButtonElement).onclick = end(true);
    byId("confirm-no", HTMLButtonElement).onclick = end(false);
    dialog.oncancel = end(false);
  });
}
