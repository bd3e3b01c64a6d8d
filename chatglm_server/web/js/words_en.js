/** @type {import("./words.js").Words} */
export const EN = {
  title: "chatglm-server: chat",
};
