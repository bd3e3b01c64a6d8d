"""The folder for files that this server can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ModelFileError


def cache_folder() -> Path:
    """Returns ``chatglm-server`` in the user's cache folder (XDG Base Directory Specification).

    Raises: ModelFileError without a home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base).expanduser() if base else Path.home() / ".cache") / "chatglm-server"
    except RuntimeError:
        raise ModelFileError("this user has no home folder: set XDG_CACHE_HOME") from None
