/** @type {import("./words.js").Words} */
export const ZH = {
  title: "chatglm-server：对话",
};
