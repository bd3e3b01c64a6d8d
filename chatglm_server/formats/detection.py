"""Which chat format a model was trained with, by what its file says of it.

Chat templates are used to recognize a format only: many hands edit them, and rendering is the format's own work.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class DetectedFormat(NamedTuple):
    """The name of a format in the registry, and what speaks for it."""

    name: str
    reason: str


_MARKS: tuple[tuple[str, str], ...] = (
    ("glm52", r"Reasoning Effort:"),
    ("glm45", r"(<tool_call>\{[^{}]{0,64}\})(?:\s|\\n)"),
    ("glm47", r"<arg_key>"),
    ("glm-z1", r"(<\|assistant\|>)(?:\s|\\n){0,16}(<think>)"),
    ("glm4-0414", r"(<\|system\|>)(?:\s|\\n){0,16}(# 可用工具)"),
    ("glm4", r"可用工具"),
    ("", r"\[gMASK\]<sop>"),
    ("chatglm3", r"\[gMASK\]sop"),
    ("chatglm2", r"\[Round "),
)
"""The first pattern that is found in a chat template decides; "": which GLM it is, the architecture says."""

_BY_ARCHITECTURE = {"glm4": "glm4-0414", "glm4moe": "glm45", "deepseek2": "glm47", "glm4moelite": "glm47"}
"""The formats of GGUF's architectures; those of others have "glm4"."""


def detect_format(architecture: str, tokenizer: str, template: str, name: str) -> DetectedFormat:
    """The format of a GGUF model, by its ``general.architecture``, ``tokenizer.ggml.model``,
    ``tokenizer.chat_template`` and its name; "" for what the file does not say.
    """
    usual = _BY_ARCHITECTURE.get(architecture, "glm4")
    for chat_format, pattern in _MARKS:
        if found := re.search(pattern, template):
            mark = "".join(found.groups()) or found[0]
            return DetectedFormat(chat_format or usual, f'its chat template holds "{mark[:40]}"')
    unknown = "its chat template is of no known kind" if template else "it has no chat template"
    plain = re.sub(r"[\s_.-]", "", name.lower())
    for chat_format in ("glm-z1", "chatglm2"):
        if chat_format.replace("-", "") in plain:
            return DetectedFormat(chat_format, f"{unknown}; its name is {name[:80]!r}")
    pieces = architecture == "chatglm" and tokenizer == "llama"
    reason = f"{unknown}; its architecture is {architecture}, its tokenizer {tokenizer or 'unknown'!r:.40}"
    return DetectedFormat("chatglm3" if pieces else usual, reason)
