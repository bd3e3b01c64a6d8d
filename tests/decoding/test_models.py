"""What every model backend has to do: the same tests over each."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from chatglm_bin_writer import DType, ModelType

from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppRunner
from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.runner import Runner, Step
from chatglm_server.errors import ModelFailure
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.sampling import SamplingParams
from tests.random_models import write_random_model
from tests.token_level import Continued, OnlyTokens, generate, model_runner, one_cpu

CONTEXT = 128
ENGINES = [("chatglm-cpp", kind) for kind in ModelType] + [
    ("native", kind) for kind in ModelType if kind != ModelType.CHATGLM
]


def load(engine: str, path: Path) -> Runner:
    file = read_model_file(path)
    if engine == "native":
        return model_runner(NativeModel(file.spec, CONTEXT, threads=2))
    return ChatGLMCppRunner(path, CONTEXT, bidirectional=file.spec.architecture == "chatglm-6b")


@pytest.fixture(scope="module", params=ENGINES, ids=lambda pair: f"{pair[0]}-{pair[1].name}")
def chosen(request: pytest.FixtureRequest) -> tuple[str, ModelType]:
    engine, kind = request.param
    return engine, ModelType(kind)


@pytest.fixture(scope="module")
def model_type(chosen: tuple[str, ModelType]) -> ModelType:
    return chosen[1]


@pytest.fixture(scope="module")
def engine(chosen: tuple[str, ModelType]) -> str:
    return chosen[0]


@pytest.fixture(scope="module")
def path(model_type: ModelType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", model_type)


@pytest.fixture(autouse=True)
def cpus(engine: str) -> Iterator[None]:
    with one_cpu() if engine == "chatglm-cpp" else nullcontext():
        yield


@pytest.fixture
def model(engine: str, path: Path) -> Runner:
    return load(engine, path)


@pytest.fixture
def prompt() -> list[int]:
    rng = random.Random(1)
    return [rng.randrange(5, 260) for _ in range(40)]


def test_cached_prefix_changes_nothing(engine: str, model: Runner, path: Path, prompt: list[int]) -> None:
    if not model.reuses_prefixes:
        return
    cold = generate(model, prompt, 20)
    other = [*prompt[:25], 7, 8, 9]
    assert generate(model, other, 20, cached=25) == generate(load(engine, path), other, 20)
    assert generate(model, prompt, 20, cached=25) == cold
    assert generate(model, prompt, 20, cached=len(prompt) - 1) == cold


def test_abandoned_prompt_leaves_a_sound_cache(model: Runner, prompt: list[int]) -> None:
    expected = generate(model, prompt, 10)
    if model.reuses_prefixes:
        other = Continued(model, list(reversed(prompt)))
        for _ in range(5):
            other.read(min(3, model.chunk))
    assert generate(model, prompt, 10) == expected


def test_allowed_tokens_are_kept_to(model: Runner, prompt: list[int]) -> None:
    (best,) = generate(model, prompt, 1)
    for allowed in ([best, 11], [11, best], [12, 13]):
        drawn = Continued(model, prompt).step(OnlyTokens(allowed))
        assert drawn in allowed
        assert best not in allowed or drawn == best


def test_a_constraint_that_allows_nothing_fails_and_leaves_a_sound_cache(model: Runner, prompt: list[int]) -> None:
    expected = generate(model, prompt, 3)
    sequence = Continued(model, prompt)
    while model.reuses_prefixes and len(prompt) - sequence.past > 1:
        sequence.read(model.chunk)
    step = Step(0, sequence.past, prompt[sequence.past :], sequence.sampler, samples=True, constraint=OnlyTokens([]))
    (failure,) = model.run([step])
    assert isinstance(failure, ModelFailure)
    assert "allows no token" in str(failure)
    assert generate(model, prompt, 3, cached=len(prompt) - 1 if model.reuses_prefixes else 0) == expected


@pytest.mark.parametrize("engine", ["chatglm-cpp", "native"])
def test_draws_follow_the_logits(engine: str, tmp_path: Path) -> None:
    """The frequencies of 2,000 draws, within four standard deviations of the softmax; the other tokens never come."""
    logits = {300: 2.0, 301: 1.0, 302: 0.0}
    path = write_random_model(tmp_path / "model.bin", dtype=DType.F32, layers=1, logits=logits)
    model = load(engine, path)
    count, temperature = 2000, 0.8
    for top_k in (0, 50, 2):
        drawn: Counter[int] = Counter()
        sampling = SamplingParams(temperature=temperature, top_k=top_k)
        for _ in range(count // 100):
            sequence = Continued(model, [5], sampling=sampling)
            drawn.update(sequence.step() for _ in range(100))
        weights = {token: math.exp(logit / temperature) for token, logit in list(logits.items())[: top_k or None]}
        for token in drawn.keys() | weights.keys():
            share = weights.get(token, 0.0) / sum(weights.values())
            assert abs(drawn[token] - count * share) <= 4 * math.sqrt(count * share * (1 - share)), (top_k, token)


@pytest.mark.parametrize("engine", ["chatglm-cpp", "native"])
@pytest.mark.parametrize("sampling", [SamplingParams(temperature=1e-50), SamplingParams(top_p=1e-50)])
def test_values_too_small_for_float32_are_greedy(engine: str, tmp_path: Path, sampling: SamplingParams) -> None:
    path = write_random_model(tmp_path / "model.bin", layers=1, logits={300: 1.0, 301: 0.9})
    model = load(engine, path)
    sequence = Continued(model, [5], sampling=sampling)
    assert {sequence.step() for _ in range(50)} == {300}
