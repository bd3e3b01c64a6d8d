"""Chat formats by what a GGUF file says. The templates here are short ones of each kind, with the marks of the real."""

from __future__ import annotations

import pytest

from chatglm_server.formats.detection import detect_format
from chatglm_server.formats.registry import FORMATS

CALL = "output the function name and arguments within the following XML format:\n"
ARGUMENT = "<arg_key>{arg-key-1}</arg_key>"
TOOLS = "# 可用工具\n{% endif %}{{ m.content.split('</think>')[-1] }}"
INTRODUCTION = "你是一个名为 ChatGLM 的人工智能助手。"

TEMPLATES = {
    "glm52": f"[gMASK]<sop><|system|>Reasoning Effort: High{CALL}<tool_call>{{function-name}}{ARGUMENT}",
    "glm47": f"[gMASK]<sop>\n<|system|>\n{CALL}<tool_call>{{function-name}}{ARGUMENT}<|assistant|><think>",
    "glm45": f"[gMASK]<sop>\n<|system|>\n{CALL}<tool_call>{{function-name}}\n{ARGUMENT}\n<|assistant|>\n<think>",
    "glm-z1": f"[gMASK]<sop><|system|>\n{INTRODUCTION}\n\n{TOOLS}<|assistant|>\n<think>{{% endif %}}",
    "glm4-0414": f"[gMASK]<sop>{{%- if tools -%}}<|system|>\n{TOOLS}<|assistant|>{{% endif %}}",
    "glm4": f"[gMASK]<sop><|system|>\n{INTRODUCTION}\n\n{TOOLS}<|assistant|>{{% endif %}}",
    "chatglm3": "{% for m in messages %}{% if loop.first %}[gMASK]sop<|{{ m.role }}|>\n {{ m.content }}{% endif %}",
    "chatglm2": "{% for m in messages %}[Round {{ loop.index }}]\n\n问：{{ m.content }}\n\n答：{% endfor %}",
}


@pytest.mark.parametrize("architecture", ["glm4", "chatglm"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_decides(name: str, architecture: str) -> None:
    found = detect_format(architecture, "gpt2", TEMPLATES[name], "GLM-Z1-9B, or chatglm2, whatever it is called")
    assert found.name == name
    assert "its chat template holds" in found.reason


def test_a_template_with_escaped_line_breaks() -> None:
    for name in ("glm-z1", "glm4-0414"):
        assert detect_format("glm4", "gpt2", TEMPLATES[name].replace("\n", "\\n"), "").name == name
    assert detect_format("glm4moe", "gpt2", TEMPLATES["glm45"].replace("\n", "\\n"), "").name == "glm45"


def test_a_template_without_tools() -> None:
    template = "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}<|assistant|>"
    assert detect_format("glm4", "gpt2", template, "").name == "glm4-0414"
    assert detect_format("chatglm", "gpt2", template, "").name == "glm4"
    assert detect_format("deepseek2", "gpt2", template, "").name == "glm47"
    assert detect_format("glm4", "gpt2", template + "\n<think>", "").name == "glm-z1"


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "name", "expected"),
    [
        ("glm4", "gpt2", "GLM 4 9B 0414", "glm4-0414"),
        ("glm4", "gpt2", "GLM-Z1-9B-0414", "glm-z1"),
        ("glm4", "gpt2", "Thudm_GLM Z1 32B 0414", "glm-z1"),
        ("glm4", "gpt2", "", "glm4-0414"),
        ("deepseek2", "gpt2", "GLM 4.7 Flash", "glm47"),
        ("glm4moelite", "gpt2", "", "glm47"),
        ("glm4moe", "gpt2", "GLM 4.5 Air", "glm45"),
        ("chatglm", "gpt2", "Glm 4 9b Chat", "glm4"),
        ("chatglm", "llama", "Chatglm3 6b", "chatglm3"),
        ("chatglm", "llama", "", "chatglm3"),
        ("chatglm", "llama", "chatglm2-6b", "chatglm2"),
        ("chatglm", "none", "", "glm4"),
    ],
)
@pytest.mark.parametrize("template", ["", "{{ messages }}<|im_start|>"])
def test_without_a_known_template_the_name_and_the_architecture_do(
    architecture: str, tokenizer: str, name: str, expected: str, template: str
) -> None:
    found = detect_format(architecture, tokenizer, template, name)
    assert found.name == expected
    assert ("of no known kind" if template else "no chat template") in found.reason


def test_every_result_is_a_format() -> None:
    assert TEMPLATES.keys() <= FORMATS.keys()


@pytest.mark.parametrize(
    "part", ["<|assistant|>", "<|assistant|> ", "<|system|> ", "<tool_call>{", "<tool_call>{a", "[gMASK]", "\\n"]
)
def test_long_templates_take_no_long_time(part: str) -> None:
    """A pattern that went back and forth would not end."""
    assert detect_format("chatglm", "gpt2", part * (4_000_000 // len(part)), "").name == "glm4"
