"""Formats by model names, as GLM models are published and as other servers call them."""

from __future__ import annotations

import pytest

from chatglm_server.formats.registry import FORMATS, format_of_model

NAMES = {
    "chatglm": ["THUDM/chatglm-6b", "chatglm-6b-int4"],
    "chatglm2": ["chatglm2-6b-32k", "ChatGLM2"],
    "chatglm3": ["THUDM/chatglm3-6b", "chatglm3-6b-128k", "chatglm3:6b-q4_0", "chatglm_3"],
    "glm4": ["THUDM/glm-4-9b-chat", "glm4:9b-chat-q4_K_M", "glm-4-plus", "glm-4-0520", "GLM-4V-9B", "glm-4.1v-9b"],
    "glm-z1": ["THUDM/GLM-4-32B-0414", "GLM-Z1-9B-0414", "glm-z1-air"],
    "glm45": ["zai-org/GLM-4.5", "glm-4.5-air", "GLM-4.5-Air-106B-A12B", "z-ai/glm-4-6", "glm-4.6", "glm4.6:cloud"],
    "glm47": ["glm-4.7", "GLM-4.7-Flash-31B", "glm-4p7", "glm-5", "GLM-5.1", "glm-5-744b-a40b", "my-glm", "glm-10b"],
    "glm52": ["glm-5.2", "GLM-5.3-Flash", "glm-6"],
    None: ["gpt-4o", "qwen3-8b", "llama-3.1-8b", "", "gl-m"],
}


@pytest.mark.parametrize(("name", "expected"), [(name, key) for key, names in NAMES.items() for name in names])
def test_format_of_model(name: str, expected: str | None) -> None:
    assert format_of_model(name) == expected


def test_every_format_is_the_format_of_some_model() -> None:
    assert {format_of_model(name) for names in NAMES.values() for name in names} - {None} == set(FORMATS)
