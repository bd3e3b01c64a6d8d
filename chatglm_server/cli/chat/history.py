"""Where the lines that a person typed are kept, for the next conversation."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


def typed_lines() -> History:
    """A file that only this user may read, or memory where no file can be written."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        path = (Path(state) if state else Path.home() / ".local" / "state") / "chatglm-server" / "chat-history"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except (OSError, RuntimeError):  # the latter without a home folder
        return InMemoryHistory()
    return FileHistory(path)
