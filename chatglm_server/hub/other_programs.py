"""Models that other programs keep on this machine, and those in the folder ``models``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from . import file_names
from .base import LocalModel

_LONGEST_MANIFEST = 1 << 20
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_OLLAMA_REGISTRY = "registry.ollama.ai"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def ollama_models() -> Iterator[LocalModel]:
    """Ollama's store: a manifest for each name and tag, which names a blob."""
    for root in _ollama_folders():
        manifests = root / "manifests"
        for path in sorted(manifests.glob("*/*/*/*")):
            blob = _ollama_blob(path, root / "blobs")
            if blob:
                registry, owner, model, tag = path.relative_to(manifests).parts
                name = f"{model}:{tag}" if owner == "library" else f"{owner}/{model}:{tag}"
                name = name if registry == _OLLAMA_REGISTRY else f"{registry}/{name}"
                yield LocalModel(f"ollama:{name}", "Ollama", [blob], removal=f"ollama rm {name}")


def lm_studio_models() -> Iterator[LocalModel]:
    """LM Studio's folder: PUBLISHER/MODEL/FILE.gguf."""
    for root in (Path.home() / ".lmstudio" / "models", Path.home() / ".cache" / "lm-studio" / "models"):
        files = {path.relative_to(root).as_posix(): path for path in root.glob("*/*/*.gguf") if path.is_file()}
        for parts in file_names.whole_models(files):
            paths = [files[part] for part in parts]
            yield LocalModel(
                f"lmstudio:{parts[0]}", "LM Studio", paths, file=parts[0], removal="delete it in LM Studio"
            )


def folder_models(folder: Path = Path("models")) -> Iterator[LocalModel]:
    """The model files in the folder ``models`` of the working folder; chatglm.cpp's too."""
    files = {str(path): path for path in folder.glob("*.gguf") if path.is_file()}
    models = [[files[part] for part in parts] for parts in file_names.whole_models(files)]
    models += [[path] for path in sorted(folder.glob("*.bin")) if path.is_file()]
    for paths in models:
        yield LocalModel(
            str(paths[0]),
            "this folder",
            paths,
            file=paths[0].name,
            removal=f"delete {' '.join(map(str, paths))} yourself",
        )


def _ollama_folders() -> list[Path]:
    """The store that ``OLLAMA_MODELS`` names, or else the user's and that of Linux's service."""
    chosen = os.environ.get("OLLAMA_MODELS")
    if chosen:
        return [Path(chosen).expanduser()]
    return [Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _ollama_blob(manifest: Path, blobs: Path) -> Path | None:
    """The GGUF file of a manifest, if it is there."""
    try:
        if not manifest.is_file() or manifest.stat().st_size > _LONGEST_MANIFEST:
            return None
        layers = json.loads(manifest.read_bytes())["layers"]
        digests = [layer["digest"] for layer in layers if layer["mediaType"] == _OLLAMA_MODEL]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    match = _DIGEST.fullmatch(digests[0]) if digests and isinstance(digests[0], str) else None
    blob = blobs / f"sha256-{match[1]}" if match else None
    return blob if blob and blob.is_file() else None
