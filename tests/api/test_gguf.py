"""A GGUF file behind a real socket: it says what NumPy computes from the same weights, and ends where the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from tests.expert_reference import ExpertReference
from tests.random_expert_gguf import AIR, FLASH
from tests.random_gguf import CHATGLM3, GLM4_0414, Shape, write_random_gguf
from tests.reference import Reference
from tests.serving import RunningServer, user

PROMPT = [71, 200, 5, 68, 33]
TOKENS = 8
MODELS = {
    "chatglm3": (CHATGLM3, "llama"),
    "glm-4-0414": (GLM4_0414, "gpt2"),
    "glm-4.5-air": (AIR, "glm45"),
    "glm-4.7-flash": (FLASH, "glm47"),
}


def greedy(spec: ModelSpec) -> list[int]:
    """The tokens that follow the prompt."""
    reference = Reference(spec) if spec.experts is None else ExpertReference(spec)
    ids = list(PROMPT)
    for _ in range(TOKENS):
        ids.append(int(reference.logits(ids)[-1].argmax()))
    return ids[len(PROMPT) :]


def completion(server: RunningServer, **fields: Any) -> Any:
    body = {"model": "model", "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, **fields}
    answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("shape", "vocabulary"), MODELS.values(), ids=MODELS.keys())
def test_it_says_what_the_weights_say(tmp_path: Path, shape: Shape, vocabulary: str) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", shape, vocabulary=vocabulary)
    file = read_model_file(path)
    tokens = greedy(file.spec)
    tokenizer = file.load_tokenizer(FORMATS[file.chat_format])
    with RunningServer("--model", str(path)) as server:
        answer = completion(server, logprobs=0, ignore_eos=True)
        chat = {"model": "model", "messages": user("the anther"), "max_tokens": 4}
        said = httpx.post(f"{server.url}/v1/chat/completions", json=chat, timeout=60)
    (choice,) = answer["choices"]
    assert choice["text"] == b"".join(map(tokenizer.token_bytes, tokens)).decode(errors="replace")
    assert said.status_code == 200, said.text
    assert f"  model  model: {file.chat_format}, 1024 tokens of context" in server.lines


def test_it_ends_at_the_tokens_that_the_file_names(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf")
    tokens = greedy(read_model_file(path).spec)
    end = next(place for place, token in enumerate(tokens) if place > 1 and token not in tokens[:place])
    write_random_gguf(path, ends={"eom": tokens[end]})
    with RunningServer("--model", str(path)) as server:
        answer = completion(server)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == end + 1  # the end token counts
