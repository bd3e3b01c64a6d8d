"""A GGUF model that is split into several files: ``NAME-00001-of-00003.gguf`` and so on.

The first part holds the keys of the model; each part holds some tensors, and says in ``split.no`` which part it is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ..errors import ModelFileError
from .gguf import GGUFFile, read_gguf
from .spec import TensorSpec

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf")
_COUNT, _NUMBER, _TENSORS = "split.count", "split.no", "split.tensors.count"


def read_gguf_parts(path: Path) -> GGUFFile:
    """Reads a model of one or more files; `path` may be that of any part.

    Raises: ModelFileError, whose message is one line that names the file and the fault.
    """
    file = read_gguf(path)
    count = _integer(file, _COUNT, 0)
    if count <= 1:
        return file
    named = _NAME.fullmatch(path.name)
    if named is None or int(named["count"]) != count:
        raise ModelFileError(
            f"{path}: the file is one of {count} parts, but its name does not end in -0000N-of-{count:05}.gguf; "
            "give the parts their names back"
        )
    tensors: dict[str, TensorSpec] = {}
    metadata = file.metadata
    for number in range(count):
        part_path = path.with_name(f"{named['stem']}-{number + 1:05}-of-{count:05}.gguf")
        part = file if part_path == path else _read_part(part_path, path)
        if (_integer(part, _NUMBER, -1), _integer(part, _COUNT, 0)) != (number, count):
            raise ModelFileError(f"{part_path}: the file is not part {number + 1} of {count}, as its name says")
        if number == 0:
            metadata = part.metadata
        if twice := tensors.keys() & part.tensors.keys():
            raise ModelFileError(f"{part_path}: the file holds the tensor {min(twice)}, which another part holds, too")
        tensors.update(part.tensors)
    expected = metadata.get(_TENSORS)
    if expected != len(tensors):
        raise ModelFileError(f"{path}: the parts hold {len(tensors)} tensors; the first says that they hold {expected}")
    return replace(file, metadata=metadata, tensors=tensors)


def _read_part(path: Path, named: Path) -> GGUFFile:
    if not path.exists():
        raise ModelFileError(f"{named}: the part {path.name} is missing; put all parts into one folder")
    return read_gguf(path)


def _integer(file: GGUFFile, key: str, default: int) -> int:
    value = file.metadata.get(key, default)
    if type(value) is not int:
        raise ModelFileError(f"{file.path}: the file's {key} is not a whole number")
    return value
