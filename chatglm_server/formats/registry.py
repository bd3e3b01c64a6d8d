"""The chat formats: one line for each generation, with the names of the models that speak it."""

from __future__ import annotations

import re

from .base import ChatFormat
from .chatglm import ChatGLMFormat
from .chatglm2 import ChatGLM2Format
from .chatglm3 import ChatGLM3Format
from .glm4 import GLM4Format
from .glm4_0414 import GLM40414Format
from .glm45 import GLM45Format
from .glm47 import GLM47Format
from .glm52 import GLM52Format
from .glm_z1 import GLMZ1Format

_POINT = "[.p-]"  # of a version: glm-4.5, glm-4p5, glm-4-5
_NO_SIZE = r"(?!\d*b)"  # glm-4-9b is not version 4.9

_TABLE: tuple[tuple[ChatFormat, str], ...] = (
    (ChatGLMFormat(), r"chatglm-?6b"),
    (ChatGLM2Format(), r"chatglm-?2"),
    (ChatGLM3Format(), r"chatglm-?3"),
    (GLM4Format(), r"glm-?4"),
    (GLM40414Format(), r"glm-?4[-:].*0414"),
    (GLMZ1Format(), r"glm-?(4-)?z1"),
    (GLM45Format(), rf"glm-?4{_POINT}[56]{_NO_SIZE}"),
    (GLM47Format(), rf"glm-?(4{_POINT}[7-9]{_NO_SIZE}|5)"),
    (GLM52Format(), rf"glm-?(5{_POINT}[2-9]{_NO_SIZE}|[6-9](?![\db]))"),
)
"""From the oldest to the newest: each format, and a pattern for its models' names."""

FORMATS: dict[str, ChatFormat] = {chat_format.name: chat_format for chat_format, _ in _TABLE}
"""Every format by the name that ``--chat-format`` takes."""

_OTHER_GLM = GLM47Format.name
"""The format of GLM models that no pattern matches."""


def format_of_model(name: str) -> str | None:
    """Returns the name of the format that the model `name` speaks, or None if it is not a GLM model.

    The newest format whose pattern is found in the name decides. Case, and hyphens against underscores, do not matter.
    """
    name = name.lower().replace("_", "-")
    found = [chat_format.name for chat_format, pattern in _TABLE if re.search(pattern, name)]
    if found:
        return found[-1]
    return _OTHER_GLM if "glm" in name else None
