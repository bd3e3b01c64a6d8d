"""Log lines that say what many requests have in common, once."""

from __future__ import annotations

import logging

_MAX_LOGGED = 200
_log = logging.getLogger("chatglm_server")
_logged: set[str] = set()


def log_once(message: str) -> None:
    """Log `message`, unless it was logged before. Stops after 200 messages: clients may choose a part of them."""
    if message not in _logged and len(_logged) < _MAX_LOGGED:
        _logged.add(message)
        _log.info("%s", message)
