"""Model files: good ones are read as they are, bad ones are refused in one line before chatglm_cpp sees them."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from chatglm_bin_writer import DType, ModelType

from chatglm_server.errors import ModelFileError
from chatglm_server.loader import load_engine, model_path
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.token_level import one_cpu

HEADER_BYTES = 4 + 8 + 52
FAMILIES = {
    ModelType.CHATGLM: "chatglm",
    ModelType.CHATGLM2: "chatglm2",
    ModelType.CHATGLM3: "chatglm3",
    ModelType.CHATGLM4: "glm4",
}


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("dtype", [DType.F32, DType.Q4_0, DType.Q8_0])
def test_good_file(tmp_path: Path, model_type: ModelType, dtype: DType) -> None:
    file = read_model_file(write_random_model(tmp_path / "model.bin", model_type, dtype))
    assert (file.chat_format, file.container) == (FAMILIES[model_type], "chatglm.cpp")
    assert (file.spec.hidden_size, file.spec.layers, file.spec.context_length) == (64, 2, 256)
    assert max(tensor.offset + tensor.nbytes for tensor in file.spec.tensors.values()) == file.path.stat().st_size
    assert file.end_tokens == {file.spec.vocab_size - 1}


@pytest.mark.parametrize("model", ["demo", "demo-glm4"])
def test_demo_files(model: str) -> None:
    assert read_model_file(model_path(model)).spec.context_length == 4096


def refusal(path: Path) -> str:
    """The message for a file that must be refused."""
    with pytest.raises(ModelFileError) as caught:
        load_engine(Settings(_env_file=None, model=str(path)))
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_random_model(tmp_path_factory.mktemp("good") / "model.bin", hidden=32, layers=1).read_bytes()


def test_every_truncation(tmp_path: Path, good: bytes) -> None:
    tokenizer_end = HEADER_BYTES + 4 + struct.unpack_from("<i", good, HEADER_BYTES)[0]
    cuts = {*range(HEADER_BYTES + 8), *range(tokenizer_end - 4, tokenizer_end + 200), len(good) - 1}
    cuts |= set(random.Random(0).sample(range(len(good)), 150))
    path = tmp_path / "cut.bin"
    for cut in sorted(cuts):
        path.write_bytes(good[:cut])
        refusal(path)


def test_flipped_header_bytes_never_kill_the_process(tmp_path: Path, good: bytes) -> None:
    """Each file is loaded, and asked for a token if it loads, in a child that must not die of a signal."""
    rng = random.Random(0)
    paths = []
    for place in [*range(HEADER_BYTES + 4), *rng.sample(range(HEADER_BYTES + 4, len(good)), 100)]:
        broken = bytearray(good)
        broken[place] ^= 1 << rng.randrange(8)
        path = tmp_path / f"flip{place}.bin"
        path.write_bytes(broken)
        paths.append(path)
    program = """
import asyncio, sys
from chatglm_server.chat import CompletionRequest
from chatglm_server.sampling import Sampling
from chatglm_server.loader import load_engine
from chatglm_server.errors import ModelFailure, ModelFileError
from chatglm_server.settings import Settings

async def use(path):
    # The binding first computes with as many tokens as a long context has it reserve memory for: minutes for a million.
    engine = load_engine(Settings(_env_file=None, model=path, context_length=64))
    await engine.load()
    async for event in engine.complete(CompletionRequest("the", Sampling(max_tokens=2, temperature=0))):
        pass

for path in sys.stdin.read().split():
    print(path, flush=True)
    try:
        asyncio.run(use(path))
        print("served", flush=True)
    except ModelFileError as error:
        print("refused", error.message, flush=True)
    except ModelFailure as error:  # weights that make no numbers
        print("failed", error, flush=True)
"""
    words, files = [sys.executable, "-c", program], "\n".join(map(str, paths))
    with one_cpu():
        result = subprocess.run(words, input=files, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    outcomes = [line.split()[0] for line in result.stdout.splitlines()]
    assert outcomes.count("refused") > 40
    assert outcomes.count("served") > 40


def test_flipped_tokenizer_bytes(tmp_path: Path, good: bytes) -> None:
    """Bytes all over a SentencePiece tokenizer, one at a time: it loads, or is refused in one line."""
    (length,) = struct.unpack_from("<i", good, HEADER_BYTES)
    rng = random.Random(0)
    path = tmp_path / "flip.bin"
    refused = 0
    for place in range(HEADER_BYTES + 4, HEADER_BYTES + 4 + length, 11):
        broken = bytearray(good)
        broken[place] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            load_engine(Settings(_env_file=None, model=str(path)))
        except ModelFileError as error:
            refused += 1
            assert "\n" not in error.message
    assert refused > 10


@pytest.mark.parametrize("model_type", FAMILIES)
def test_deepest_model_that_is_accepted_runs(tmp_path: Path, model_type: ModelType) -> None:
    path = write_random_model(tmp_path / "deep.bin", model_type, hidden=32, layers=64, max_length=16)
    program = f"""
from pathlib import Path
from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppRunner
from chatglm_server.model_files.containers import read_model_file
from tests.token_level import generate
path = Path({str(path)!r})
read_model_file(path)
model = ChatGLMCppRunner(path, 16, bidirectional={model_type == ModelType.CHATGLM})
print(generate(model, [5, 6, 7], 1))
"""
    with one_cpu():
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-500:]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 0x46545047, "neither"),
        (4, 9, "model type"),
        (4, 1004, "GLM-4V"),
        (8, 3, "record version"),
        (12, 5, "weight type"),
        (16, 1 << 30, "vocab_size"),
        (20, 40, "heads"),
        (24, 0, "heads"),
        (28, 3, "key/value heads"),
        (32, 7, "lacks the tensor"),
        (36, 65, "shape"),
        (52, -1, "max_length"),
        (HEADER_BYTES, -5, "tokenizer"),
        (HEADER_BYTES, 1 << 28, "tokenizer"),
    ],
)
def test_message_says_what_is_wrong(tmp_path: Path, good: bytes, place: int, value: int, words: str) -> None:
    broken = bytearray(good)
    struct.pack_into("<i", broken, place, value)
    path = tmp_path / "broken.bin"
    path.write_bytes(broken)
    assert words in refusal(path)


def test_no_file_folder_and_empty_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.bin")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "empty.bin").touch()
    refusal(tmp_path / "empty.bin")


def test_renamed_tensor(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(good.replace(b"self_attention.dense", b"self_attention.dance"))
    assert "lacks the tensor" in refusal(path)


def test_format_that_does_not_fit(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM4)
    with pytest.raises(ModelFileError, match="chat-format"):
        load_engine(Settings(_env_file=None, model=str(path), chat_format="chatglm3"))
    with pytest.raises(ModelFileError, match="context-length"):
        load_engine(Settings(_env_file=None, model=str(path), context_length=4096))


def test_command_line_ends_with_one_line_and_status_1(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(good[:-1])
    command = [sys.executable, "-m", "chatglm_server", "--model", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
