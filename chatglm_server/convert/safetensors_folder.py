"""The weights of a Hugging Face model: one or several safetensors files in a folder, read some rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  # teaches NumPy, and so safetensors, bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from ..errors import ModelFileError
from .json_files import read_json
from .quantizers.arrays import Floats

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_TYPES = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of one of the files; its shape, rows first."""

    path: Path
    name: str
    shape: tuple[int, ...]

    def rows(self, start: int, stop: int) -> Floats:
        """Some rows (of a vector: values) as float32. Raises: ModelFileError."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                part = file.get_slice(self.name)[start:stop]
        except (SafetensorError, OSError) as error:
            raise _unreadable(self.path, error) from None
        return np.ascontiguousarray(part, dtype=np.float32)


def read_folder(folder: Path) -> Mapping[str, StoredTensor]:
    """Every tensor of a folder, by its name.

    Raises: ModelFileError for a file that is missing or broken, and for weights that are not floating-point numbers.
    """
    found: dict[str, StoredTensor] = {}
    for path, names in _files(folder).items():
        tensors = _read_header(path)
        if names is not None and (missing := sorted(names - tensors.keys())):
            raise ModelFileError(f"{path}: the file lacks {missing[0]}, which {_INDEX} says it holds")
        found |= tensors
    return found


def _files(folder: Path) -> dict[Path, set[str] | None]:
    """The files, each with the names of its tensors if an index says them."""
    index = folder / _INDEX
    if not index.exists():
        if not (folder / _SINGLE).exists():
            pickled = next(iter(sorted(folder.glob("pytorch_model*.bin"))), None)
            reason = f"only PyTorch's own format ({pickled.name}), which can run code" if pickled else "no weights"
            raise ModelFileError(f"{folder}: the folder holds {reason}; download the *.safetensors files of the model")
        return {folder / _SINGLE: None}
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelFileError(f"{index}: weight_map is not an object of tensors and their files")
    files: dict[Path, set[str] | None] = {}
    for tensor, name in places.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelFileError(f"{index}: {str(name)!r:.80} is not the name of a safetensors file in this folder")
        names = files.setdefault(folder / name, set())
        if names is not None:
            names.add(tensor)
    missing = sorted(path.name for path in files if not path.exists())
    if missing:
        raise ModelFileError(f"{folder}: {missing[0]} is missing ({len(missing)} of {len(files)} files); download it")
    return files


def _read_header(path: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: _tensor(path, name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _tensor(path: Path, name: str, tensor: Any) -> StoredTensor:
    kind = tensor.get_dtype()
    if kind not in _TYPES:
        raise ModelFileError(
            f"{path}: {name!r:.120} is stored as {kind}; convert needs the original weights in {', '.join(_TYPES)}"
        )
    return StoredTensor(path, name, tuple(tensor.get_shape()))


def _unreadable(path: Path, error: Exception) -> ModelFileError:
    """The library's errors quote the file, which may hold anything."""
    return ModelFileError(f"{path}: cannot be read as safetensors: {ascii(str(error))[1:-1]:.200}")
