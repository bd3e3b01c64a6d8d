"""What the name of a GGUF file says: its quantization, and its place among the parts of a split model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![A-Z0-9])(?:(?:UD-)?I?Q[1-8](?:_(?:K|[01]|NL|XXS|XS|S|M|L|XL))*|B?F16|FP16|FP?32|MXFP4(?:_MOE)?)(?![A-Z0-9_])",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"mmproj|imatrix", re.IGNORECASE)
_MOST_PARTS = 1000
_LONGEST_NAME = 255


def quantization(file: str) -> str:
    """The quantization in a file's name, in capitals: "Q4_K_M". Returns "" if the name has none."""
    match = _PART.fullmatch(file)
    words = _QUANTIZATION.findall(match["stem"] if match else file.removesuffix(".gguf"))
    return words[-1].upper() if words else ""


def is_quantization(text: str) -> bool:
    """True for the name of a quantization, such as Q4_K_M or bf16."""
    return _QUANTIZATION.fullmatch(text) is not None


def is_model(file: str) -> bool:
    """True for a GGUF file with a language model: no image encoder and no importance matrix."""
    return file.lower().endswith(".gguf") and not _NO_MODEL.search(PurePosixPath(file).name)


def is_safe(file: str) -> bool:
    """True for a relative path that stays below its folder on every file system."""
    parts = file.split("/")
    return (
        len(file) <= _LONGEST_NAME
        and file.isprintable()
        and not any(character in '\\:*?"<>|' for character in file)
        and not any(part in ("", ".", "..") for part in parts)
    )


def split_parts(file: str) -> list[str]:
    """Returns the names of all parts of a split model, in order, if `file` is one of them, and else `file` alone.

    Returns [] if the number or the count makes no sense.
    """
    match = _PART.fullmatch(file)
    if not match:
        return [file]
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count <= _MOST_PARTS:
        return []
    return [f"{match['stem']}-{number:05}-of-{match['count']}.gguf" for number in range(1, count + 1)]


def whole_models(files: Iterable[str]) -> list[list[str]]:
    """Returns the models among `files`, each as a list of its parts. Leaves out a model if a part is missing."""
    present = set(files)
    models = []
    for file in sorted(present):
        parts = split_parts(file) if is_model(file) else []
        if parts and file == parts[0] and present.issuperset(parts):
            models.append(parts)
    return models
