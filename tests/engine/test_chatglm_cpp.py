"""The model backend against the binding used plainly: same tokens, whatever was cached before."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import chatglm_cpp._C as binding
import pytest

from chatglm_server.chat import SamplingParams
from chatglm_server.engine.chatglm_cpp import ChatGLMCppModel
from chatglm_server.engine.model_writer import DType, ModelType
from chatglm_server.errors import ModelFileError
from tests.random_models import write_random_model

GREEDY = SamplingParams(temperature=0)
CONTEXT = 128


def generate(model: ChatGLMCppModel, prompt: list[int], count: int) -> tuple[list[int], int]:
    """`count` greedy tokens, and how many tokens of the prompt were cached."""
    cached = model.start(prompt)
    while not model.prefill():
        pass
    return [model.step(GREEDY) for _ in range(count)], cached


def generate_plainly(path: Path, prompt: list[int], count: int) -> list[int]:
    """The same by the binding alone, with the prompt in one pass."""
    model = binding.Pipeline(str(path), CONTEXT).model
    config = binding.GenerationConfig(do_sample=False)
    ids, past = list(prompt), 0
    for _ in range(count):
        token = model.generate_next_token(ids, None, config, past, len(prompt))
        past = len(ids)
        ids.append(token)
    return ids[len(prompt) :]


@pytest.fixture(scope="module", params=ModelType, ids=lambda kind: kind.name)
def model_type(request: pytest.FixtureRequest) -> ModelType:
    return ModelType(request.param)


@pytest.fixture(scope="module")
def path(model_type: ModelType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", model_type)


@pytest.fixture
def model(model_type: ModelType, path: Path) -> ChatGLMCppModel:
    return ChatGLMCppModel(path, CONTEXT, bidirectional=model_type == ModelType.CHATGLM)


@pytest.fixture
def prompt() -> list[int]:
    rng = random.Random(1)
    return [rng.randrange(5, 260) for _ in range(40)]


def test_same_tokens_as_the_binding_alone(model: ChatGLMCppModel, path: Path, prompt: list[int]) -> None:
    assert generate(model, prompt, 30)[0] == generate_plainly(path, prompt, 30)


def test_cached_prefix_changes_nothing(
    model: ChatGLMCppModel, model_type: ModelType, path: Path, prompt: list[int]
) -> None:
    cold, cached = generate(model, prompt, 20)
    assert cached == 0
    other = [*prompt[:25], 7, 8, 9]
    fresh = ChatGLMCppModel(path, CONTEXT, bidirectional=model_type == ModelType.CHATGLM)
    expected = generate(fresh, other, 20)[0]
    assert generate(model, other, 20) == (expected, 0 if model_type == ModelType.CHATGLM else 25)
    again, cached = generate(model, prompt, 20)
    assert again == cold
    assert cached == (0 if model_type == ModelType.CHATGLM else 25)
    assert generate(model, prompt, 20) == (cold, 0 if model_type == ModelType.CHATGLM else len(prompt) - 1)


def test_answer_is_cached_for_the_next_turn(model: ChatGLMCppModel, model_type: ModelType, prompt: list[int]) -> None:
    answer, _ = generate(model, prompt, 10)
    _, cached = generate(model, [*prompt, *answer, 5, 6], 1)
    assert cached == (0 if model_type == ModelType.CHATGLM else len(prompt) + len(answer) - 1)


def test_abandoned_prompt_leaves_a_sound_cache(model: ChatGLMCppModel, prompt: list[int]) -> None:
    expected = generate(model, prompt, 10)[0]
    model.start(list(reversed(prompt)))
    for _ in range(5):
        model.prefill()
    assert generate(model, prompt, 10)[0] == expected


def test_whole_context_token_by_token(model_type: ModelType, tmp_path: Path) -> None:
    """To the last token of the context, from a prompt of one: in a child, for what fails here is the heap."""
    context = 2048
    path = write_random_model(tmp_path / "model.bin", model_type, max_length=context)
    program = f"""
from pathlib import Path
from chatglm_server.chat import SamplingParams
from chatglm_server.engine.chatglm_cpp import ChatGLMCppModel
model = ChatGLMCppModel(Path({str(path)!r}), {context}, bidirectional={model_type == ModelType.CHATGLM})
model.start([5])
for _ in range({context} - 1):
    model.step(SamplingParams(temperature=0))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-500:]


def test_choose_keeps_to_what_is_allowed(model: ChatGLMCppModel, prompt: list[int]) -> None:
    best = generate(model, prompt, 1)[0][0]
    for allowed in ([best, 11], [11, best], [12, 13]):
        model.start(prompt)
        while not model.prefill():
            pass
        chosen = model.choose(allowed)
        assert chosen in allowed
        assert best not in allowed or chosen == best


def test_draws_follow_the_logits(tmp_path: Path) -> None:
    """The frequencies of 2,000 draws, within four standard deviations of the softmax; the other tokens never come."""
    logits = {300: 2.0, 301: 1.0, 302: 0.0}
    path = write_random_model(tmp_path / "model.bin", dtype=DType.F32, layers=1, logits=logits)
    model = ChatGLMCppModel(path, CONTEXT, bidirectional=False)
    count, temperature = 2000, 0.8
    for top_k in (0, 50, 2):
        drawn: Counter[int] = Counter()
        sampling = SamplingParams(temperature=temperature, top_k=top_k)
        for _ in range(count // 100):
            model.start([5])
            drawn.update(model.step(sampling) for _ in range(100))
        weights = {token: math.exp(logit / temperature) for token, logit in list(logits.items())[: top_k or None]}
        for token in drawn.keys() | weights.keys():
            share = weights.get(token, 0.0) / sum(weights.values())
            assert abs(drawn[token] - count * share) <= 4 * math.sqrt(count * share * (1 - share)), (top_k, token)


@pytest.mark.parametrize("sampling", [SamplingParams(temperature=1e-50), SamplingParams(top_p=1e-50)])
def test_values_too_small_for_float32_are_greedy(tmp_path: Path, sampling: SamplingParams) -> None:
    path = write_random_model(tmp_path / "model.bin", layers=1, logits={300: 1.0, 301: 0.9})
    model = ChatGLMCppModel(path, CONTEXT, bidirectional=False)
    model.start([5])
    assert {model.step(sampling) for _ in range(50)} == {300}


def test_appended_tokens_are_read(model: ChatGLMCppModel, model_type: ModelType, prompt: list[int]) -> None:
    if model_type == ModelType.CHATGLM:
        return  # forced openings are for models with tools
    expected = generate(model, [*prompt, 5, 6], 10)[0]
    model.start(prompt)
    model.append([5, 6])
    while not model.prefill():
        pass
    assert [model.step(GREEDY) for _ in range(10)] == expected


def test_file_that_the_binding_refuses(tmp_path: Path) -> None:
    path = tmp_path / "junk.bin"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(ModelFileError, match=r"junk\.bin"):
        ChatGLMCppModel(path, CONTEXT, bidirectional=False)


def test_threads_are_limited_by_affinity() -> None:
    program = (
        "import os, chatglm_server.engine.chatglm_cpp as c; c.limit_threads(1); print(len(os.sched_getaffinity(0)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"
