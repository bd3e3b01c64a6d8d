// The words of the chat page.

import { speaker } from "./words.js";
import { EN } from "./words_en.js";
import { ZH } from "./words_zh.js";

export const say = speaker({ en: EN, zh: ZH });
