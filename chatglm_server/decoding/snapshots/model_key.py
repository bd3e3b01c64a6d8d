"""Which model's keys and values can be used again: a hash of all that their bits depend on, but for the tokens."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import chatglm_native

from ...model_files.spec import ModelSpec

_SAMPLE = 4096
"""Bytes of each tensor that are read."""


def model_key(spec: ModelSpec, kernels: str) -> str:
    """64 hexadecimal digits, for the weights and figures of `spec`, computed by this build of the core with `kernels`.

    Of each tensor the beginning is read, so that a model trained further, whose file mostly has the same size and the
    same first megabytes, has a key of its own. Reading all would take as long as loading. A file that is moved keeps
    its key.

    Raises: OSError.
    """
    figures = replace(spec, path=Path(), tensors={}, context_length=0)
    digest = sha256(Path(chatglm_native.__file__).read_bytes())
    digest.update(f"{kernels}\0{figures!r}\0".encode())
    files = {path: path.open("rb") for path in {tensor.path for tensor in spec.tensors.values()}}
    try:
        for name, tensor in sorted(spec.tensors.items()):
            digest.update(f"{name}\0{tensor.type}\0{tensor.shape}\0{tensor.nbytes}\0".encode())
            file = files[tensor.path]
            file.seek(tensor.offset)
            digest.update(file.read(min(_SAMPLE, tensor.nbytes)))
    finally:
        for file in files.values():
            file.close()
    return digest.hexdigest()
