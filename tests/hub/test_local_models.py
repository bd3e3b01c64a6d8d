"""What is on this machine already: every store in its own layout, and each model served by the name shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from chatglm_server.convert.gguf_writer import write_gguf
from chatglm_server.errors import ModelFileError
from chatglm_server.hub.local_models import local_models, remove
from chatglm_server.hub.pull import local_path, model_id
from tests.hub.stand_in import gguf

DIGEST = "ab" * 32


def write(path: Path, content: bytes = b"GGUF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def manifest(root: Path, name: str, digest: str = f"sha256:{DIGEST}") -> None:
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 5},
    ]
    write(root / "manifests" / name, json.dumps({"schemaVersion": 2, "layers": layers}).encode())


def names() -> list[str]:
    return [model.name for model in local_models()]


@pytest.mark.parametrize("moved", [False, True])
def test_ollama(home: Path, moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    root = home / ("elsewhere" if moved else ".ollama/models")
    if moved:
        monkeypatch.setenv("OLLAMA_MODELS", str(root))
    else:
        monkeypatch.delenv("OLLAMA_MODELS")
    blob = write(root / "blobs" / f"sha256-{DIGEST}")
    manifest(root, "registry.ollama.ai/library/glm4/latest")
    manifest(root, "registry.ollama.ai/someone/glm4/9b")
    manifest(root, "hf.co/owner/GLM-4-GGUF/Q4_K_M")
    manifest(root, "registry.ollama.ai/library/gone/latest", "sha256:" + "1" * 64)
    manifest(root, "registry.ollama.ai/library/away/latest", "sha256:../../../etc/passwd")
    write(root / "manifests/registry.ollama.ai/library/broken/latest", b"{")
    write(root / "manifests/registry.ollama.ai/library/odd/latest", b'{"layers": [3]}')
    write(root / "manifests/registry.ollama.ai/library/deep/latest", b"[" * 100_000)
    expected = ["ollama:hf.co/owner/GLM-4-GGUF:Q4_K_M", "ollama:glm4:latest", "ollama:someone/glm4:9b"]
    assert (
        names() == expected if moved else set(expected) <= set(names())
    )  # this machine may have a store of the system, too
    assert {local_path(name) for name in expected} == {blob}
    assert local_path("ollama:glm4") == blob
    assert model_id("ollama:glm4:latest", blob, "glm4") == "glm4:latest"
    assert model_id(str(blob), blob, "glm4") == "glm4"
    with pytest.raises(ModelFileError, match=r"did you mean ollama:glm4:latest"):
        local_path("ollama:glm5:latest")
    with pytest.raises(ModelFileError, match="found in Ollama; ollama rm glm4:latest"):
        remove("ollama:glm4")
    assert blob.exists()


def test_lm_studio(home: Path) -> None:
    write(home / ".lmstudio/models/pub/GLM-4/GLM-4-Q4_K_M.gguf")
    write(home / ".lmstudio/models/pub/GLM-4/mmproj-GLM-4.gguf")
    part = write(home / ".cache/lm-studio/models/pub/GLM-32B/g-00001-of-00002.gguf")
    write(home / ".cache/lm-studio/models/pub/GLM-32B/g-00002-of-00002.gguf", gguf(10))
    assert names() == ["lmstudio:pub/GLM-4/GLM-4-Q4_K_M.gguf", "lmstudio:pub/GLM-32B/g-00001-of-00002.gguf"]
    assert local_path("lmstudio:pub/GLM-32B/g-00001-of-00002.gguf") == part
    assert local_models()[1].size == 14
    with pytest.raises(ModelFileError, match="LM Studio"):
        remove("lmstudio:pub/GLM-4/GLM-4-Q4_K_M.gguf")


def test_the_folder_models(home: Path) -> None:
    write(home / "models/GLM.gguf")
    write(home / "models/chatglm3.bin", b"ggml")
    write(home / "models/notes.txt")
    assert names() == ["models/GLM.gguf", "models/chatglm3.bin"]
    assert local_path("models/GLM.gguf") == Path("models/GLM.gguf")
    with pytest.raises(ModelFileError, match=r"found in this folder; delete models/GLM.gguf yourself"):
        remove("models/GLM.gguf")


def test_a_folder_that_cannot_be_read(home: Path) -> None:
    write(home / "models/GLM.gguf")
    write(home / ".lmstudio/models")
    write(home / "ollama/manifests")
    assert names() == ["models/GLM.gguf"]


def test_nothing_here() -> None:
    assert names() == []
    with pytest.raises(ModelFileError, match="chatglm-server list"):
        remove("ollama:glm4")
    with pytest.raises(ModelFileError, match="not among the models here"):
        remove("glm-4-9b")


def test_a_store_that_cannot_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", "x" * 5000)
    with pytest.raises(ModelFileError, match="no such model"):
        local_path("ollama:glm4")


def test_removal_stays_in_the_cache(home: Path) -> None:
    """A link in the cache may lead anywhere; what it leads to is not ours."""
    cache = Path(constants.HF_HUB_CACHE)
    other = write(home / "other.gguf")
    link = cache / "models--o--r" / "snapshots" / ("a" * 40) / "a-Q4_0.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    remove("hf:o/r:Q4_0")
    assert other.exists() and not link.is_symlink()


def test_the_list_of_odd_files(home: Path, tmp_path: Path) -> None:
    """Names that are no Unicode, and a network's name that would move the cursor."""
    folder = tmp_path / "here" / "models"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xff.gguf")).write_bytes(b"GGUF")
    write_gguf(folder / "a.gguf", {"general.architecture": "x\n\x1b[2J"}, [])
    write_gguf(folder / "b.gguf", {"general.architecture": ["x", "y"]}, [])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii:strict"}
    run = subprocess.run(
        [sys.executable, "-m", "chatglm_server", "list"],
        cwd=folder.parent, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line for line in run.stdout.splitlines() if line.startswith("models/")]
    assert [row.split()[3] for row in rows] == ["\\u2013"] * 3
