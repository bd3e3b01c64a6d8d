"""The model backend against the binding used plainly: same tokens, whatever was cached before."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import chatglm_cpp._C as binding
import pytest
from chatglm_bin_writer import ModelType

from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppRunner
from chatglm_server.errors import ModelFileError
from tests.random_models import write_random_model
from tests.token_level import generate, one_cpu

CONTEXT = 128


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


@pytest.fixture(autouse=True)
def cpus() -> Iterator[None]:
    with one_cpu():
        yield


@pytest.fixture(scope="module", params=ModelType, ids=lambda kind: kind.name)
def model_type(request: pytest.FixtureRequest) -> ModelType:
    return ModelType(request.param)


@pytest.fixture(scope="module")
def path(model_type: ModelType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", model_type)


@pytest.fixture
def model(model_type: ModelType, path: Path) -> ChatGLMCppRunner:
    return ChatGLMCppRunner(path, CONTEXT, bidirectional=model_type == ModelType.CHATGLM)


@pytest.fixture
def prompt() -> list[int]:
    rng = random.Random(1)
    return [rng.randrange(5, 260) for _ in range(40)]


def test_same_tokens_as_the_binding_alone(model: ChatGLMCppRunner, path: Path, prompt: list[int]) -> None:
    assert generate(model, prompt, 30) == generate_plainly(path, prompt, 30)


def test_whole_context_token_by_token(model_type: ModelType, tmp_path: Path) -> None:
    """To the last token of the context, from a prompt of one: in a child, for what fails here is the heap."""
    context = 2048
    path = write_random_model(tmp_path / "model.bin", model_type, max_length=context)
    program = f"""
from pathlib import Path
from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppRunner
from tests.token_level import generate
model = ChatGLMCppRunner(Path({str(path)!r}), {context}, bidirectional={model_type == ModelType.CHATGLM})
generate(model, [5], {context} - 1)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-500:]


def test_file_that_the_binding_refuses(tmp_path: Path) -> None:
    path = tmp_path / "junk.bin"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(ModelFileError, match=r"junk\.bin"):
        ChatGLMCppRunner(path, CONTEXT, bidirectional=False)


def test_threads_are_limited_by_affinity() -> None:
    program = (
        "import os; from chatglm_server.decoding.backends.chatglm_cpp import limit_threads; "
        "limit_threads(1); print(len(os.sched_getaffinity(0)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"
