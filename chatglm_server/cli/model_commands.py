"""The commands about model files: fetch one, list those that are here, delete one."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from ..errors import ModelFileError
from ..hub.base import LocalModel
from ..hub.catalog import CATALOG
from ..hub.local_models import local_models, remove, unfinished
from ..hub.pull import pull
from ..hub.references import read_reference
from ..hub.sizes import size_text
from ..hub.unfinished import Unfinished
from ..model_files.gguf import read_gguf
from .commands import ListOptions, PullOptions, RemoveOptions
from .tables import path_text, print_table
from .wrapped_text import wrapped

_MISSING = "–"
_LONGEST_NAME = 40


def run_pull(options: PullOptions) -> int:
    """Raises: ModelFileError."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
    logging.getLogger("chatglm_server").setLevel(logging.INFO)
    path = pull(read_reference(options.model))
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    print(f"{path}\nserve it: chatglm-server --model {options.model}")
    return 0


def run_list(_options: ListOptions) -> int:
    rows = [*map(_row, local_models()), *map(_unfinished_row, unfinished())]
    print_table([("NAME", "SIZE", "NETWORK", "WHERE"), *rows] if rows else [])
    names = (f"{name} ({entry.size_gb:g} GB)" for name, entry in CATALOG.items())
    if rows:
        print()
    print(wrapped(f"{'' if rows else 'No models here. '}chatglm-server pull knows {', '.join(names)}"))
    return 0


def run_remove(options: RemoveOptions) -> int:
    """Raises: ModelFileError."""
    name, freed = remove(options.model)
    print(f"{name}: deleted, {size_text(freed)} are free again")
    return 0


def _row(model: LocalModel) -> tuple[str, str, str, str]:
    path = model.paths[0]
    try:
        size = size_text(model.size)
    except OSError:
        size = _MISSING
    return model.name, size, _architecture(path), f"{model.store}: {path_text(path)}"


def _unfinished_row(model: Unfinished) -> tuple[str, str, str, str]:
    where = f"{model.store}: part, {model.have * 100 // model.size}%; chatglm-server pull {model.name} goes on"
    return model.name, size_text(model.size), _MISSING, where


def _architecture(path: Path) -> str:
    """The network that a GGUF file names; a dash for other files and broken ones."""
    try:
        name = read_gguf(path).metadata.get("general.architecture")
    except ModelFileError:
        return _MISSING
    return name if isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_NAME else _MISSING
