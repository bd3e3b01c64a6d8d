"""The embedder by itself: batches, the queue, cancelling, ONNX, and folders that are no model."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatglm_server.embeddings.embedder import SentenceEmbedder
from chatglm_server.errors import ModelFileError, NotReady, QueueFull, ShuttingDown
from tests.conftest import MINILM

TEXTS = [f"text number {number}" for number in range(40)]


class Batches:
    """What the model of an embedder runs: the size of each batch, and when the first one is begun."""

    def __init__(self, embedder: SentenceEmbedder) -> None:
        self.sizes: list[int] = []
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        embedder._model.register_forward_pre_hook(self._note)

    def _note(self, model: object, inputs: tuple[dict[str, Any]]) -> None:
        self.sizes.append(len(inputs[0]["input_ids"]))
        self._loop.call_soon_threadsafe(self.begun.set)


def with_embedder(scenario: Callable[[SentenceEmbedder, Batches], Coroutine[Any, Any, None]], queue: int = 32) -> None:
    """Run `scenario` with a loaded embedder, and see that it leaves nothing in the queue."""

    async def main() -> None:
        embedder = SentenceEmbedder(MINILM, (), queue)
        await embedder.load()
        await scenario(embedder, Batches(embedder))
        assert embedder.status().queue == {"running": 0, "waiting": 0, "max": queue}

    asyncio.run(main())


def test_requests_share_batches() -> None:
    async def scenario(embedder: SentenceEmbedder, batches: Batches) -> None:
        answers = await asyncio.gather(*(embedder.embed([text], param="input") for text in TEXTS[:30]))
        assert sum(batches.sizes) == 30
        assert len(batches.sizes) <= 3
        batches.sizes.clear()
        together = await embedder.embed(TEXTS, param="input")
        assert batches.sizes == [32, 8]
        assert together.vectors.dtype == np.float32
        for number, answer in enumerate(answers):
            assert answer.tokens == together.tokens[number : number + 1]
            assert np.allclose(answer.vectors[0], together.vectors[number], atol=1e-5)

    with_embedder(scenario)


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    async def scenario(embedder: SentenceEmbedder, batches: Batches) -> None:
        large = asyncio.create_task(embedder.embed(TEXTS * 6, param="input"))
        await batches.begun.wait()
        await embedder.embed(["small"], param="input")
        assert not large.done()
        await large

    with_embedder(scenario)


def test_a_cancelled_request_stops_within_a_batch() -> None:
    async def scenario(embedder: SentenceEmbedder, batches: Batches) -> None:
        cancelled = asyncio.create_task(embedder.embed(TEXTS * 20, param="input"))
        other = asyncio.create_task(embedder.embed(TEXTS, param="input"))
        await batches.begun.wait()
        cancelled.cancel()
        assert (await other).vectors.shape == (40, 384)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert len(batches.sizes) <= 5  # of 25

    with_embedder(scenario)


def test_full_queue_and_stop() -> None:
    async def scenario(embedder: SentenceEmbedder, batches: Batches) -> None:
        taken = [asyncio.create_task(embedder.embed(TEXTS * 20, param="input")) for _ in range(2)]
        await batches.begun.wait()
        with pytest.raises(QueueFull):
            await embedder.embed(["x"], param="input")
        embedder.stop()
        ended = await asyncio.gather(*taken, return_exceptions=True)
        assert [type(error) for error in ended] == [ShuttingDown, ShuttingDown]

    with_embedder(scenario, queue=1)


def test_not_loaded_yet() -> None:
    with pytest.raises(NotReady):
        asyncio.run(SentenceEmbedder(MINILM, (), 1).embed(["x"], param="input"))


def test_onnx(tmp_path: Path) -> None:
    """A folder with nothing but an ONNX file gives the vectors that PyTorch gives."""
    from sentence_transformers import SentenceTransformer

    options = {"export": True, "provider": "CPUExecutionProvider"}
    exported = SentenceTransformer(str(MINILM), backend="onnx", model_kwargs=options, local_files_only=True)
    exported.save_pretrained(str(tmp_path))
    assert (tmp_path / "onnx" / "model.onnx").is_file()
    assert not list(tmp_path.glob("*.safetensors"))

    async def vectors(folder: Path) -> Any:
        embedder = SentenceEmbedder(folder, (), 1)
        await embedder.load()
        return (await embedder.embed(TEXTS, param="input")).vectors

    assert np.allclose(asyncio.run(vectors(tmp_path)), asyncio.run(vectors(MINILM)), atol=1e-4)


def start(folder: Path, prelude: str = "pass") -> subprocess.CompletedProcess[str]:
    """Start a server on `folder`, which is to fail."""
    code = f"import sys; {prelude}; from chatglm_server.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--port", "0", "--embedding-model", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stdout + result.stderr
    assert "ready" not in result.stdout
    return line


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, words in (("none", "no such folder"), ("file", "is not a folder"), ("empty", "modules.json")):
        assert words in refusal(start(tmp_path / name))


def test_broken_folders(tmp_path: Path) -> None:
    copies = {}
    for name, file in (("config", "config.json"), ("weights", "model.safetensors")):
        copies[name] = shutil.copytree(MINILM, tmp_path / name)
        (copies[name] / file).write_bytes((MINILM / file).read_bytes()[:100])
    assert str(copies["config"]) in refusal(start(copies["config"]))
    with pytest.raises(ModelFileError, match=str(copies["weights"])):
        asyncio.run(SentenceEmbedder(copies["weights"], (), 1).load())


def test_missing_extra(tmp_path: Path) -> None:
    line = refusal(start(MINILM, "sys.modules['sentence_transformers'] = None"))
    assert "pip install 'chatglm-server[embeddings]'" in line


def test_servers_without_embeddings_import_nothing_of_it() -> None:
    code = (
        "import sys; from chatglm_server.app import create_app; from chatglm_server.loader import *\n"
        "from chatglm_server.service import Service\n"
        "settings = Settings(); create_app(settings, Service(load_engine(settings), load_embedder(settings)))\n"
        "assert not {'numpy', 'torch', 'sentence_transformers', 'jieba', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
