"""What a model of each generation writes: a call of `get_weather` in its own notation, and then the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ANSWER = "It is sunny in Paris, 21 degrees."

_TAGGED = "<tool_call>get_weather{n}<arg_key>city</arg_key>{n}<arg_value>{city}</arg_value>{n}</tool_call>"


def _tagged(city: str, newline: str = "") -> str:
    return _TAGGED.format(n=newline, city=city)


CALLS: dict[str, dict[str, Any]] = {
    "chatglm3": {"raw": "get_weather\n ```python\ntool_call(city='Paris')\n```<|observation|>"},
    "glm4": {"raw": '\nget_weather\n{"city": "Paris"}<|observation|>'},
    "glm4-0414": {"raw": 'get_weather\n{"city": "Paris"}<|observation|>'},
    "glm-z1": {
        "raw": 'They ask for Paris.</think>\nget_weather\n{"city": "Paris"}<|observation|>',
        "prompt_ends_in_think": True,
    },
    "glm45": {"raw": f"\n<think>They ask for Paris.</think>\n{_tagged('Paris', chr(10))}<|observation|>"},
    "glm47": {"raw": f"They ask for Paris.</think>{_tagged('Paris')}<|observation|>", "prompt_ends_in_think": True},
    "glm52": {"raw": f"They ask for Paris.</think>{_tagged('Paris')}<|observation|>", "prompt_ends_in_think": True},
}
"""Format → the line of a replay file that holds the call."""

THINKS = ("glm-z1", "glm45", "glm47", "glm52")
THOUGHT = "They ask for Paris."

PARALLEL = {
    "raw": "Both.</think>" + _tagged("Paris") + _tagged("Oslo") + "<|observation|>",
    "prompt_ends_in_think": True,
}
"""Two calls at once, as GLM-4.7 writes them."""


def replay_file(folder: Path, chat_format: str, *first: dict[str, Any]) -> Path:
    """A file for ``--model replay:…``: the call (or `first`), then the answer."""
    path = folder / f"{chat_format}.jsonl"
    ended = "</think>" if chat_format in THINKS and CALLS[chat_format].get("prompt_ends_in_think") else ""
    lines = [*(first or (CALLS[chat_format],)), {"raw": f"{ended}{ANSWER}<|user|>"}]
    lines[-1]["prompt_ends_in_think"] = bool(ended)
    text = "".join(json.dumps({"format": chat_format, **line}, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path
