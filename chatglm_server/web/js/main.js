// The chat page.

import { fillIn, speaker } from "./words.js";
import { EN } from "./words_en.js";
import { ZH } from "./words_zh.js";

fillIn(speaker({ en: EN, zh: ZH }));
