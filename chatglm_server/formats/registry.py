"""The chat formats by name."""

from __future__ import annotations

from .base import ChatFormat
from .chatglm import ChatGLMFormat
from .chatglm2 import ChatGLM2Format
from .chatglm3 import ChatGLM3Format
from .glm4 import GLM4Format

FORMATS: dict[str, ChatFormat] = {
    format.name: format for format in (ChatGLMFormat(), ChatGLM2Format(), ChatGLM3Format(), GLM4Format())
}
"""Every format the server knows, under the name that ``--chat-format`` takes."""
