"""Logs unforeseen exceptions."""

from __future__ import annotations

import logging

_log = logging.getLogger("chatglm_server")


def log_internal_error(error: Exception) -> None:
    """Log an exception's type and the places it passed, innermost last; not its text, which may quote a user."""
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    _log.error("internal error: %s\n  %s", type(error).__name__, "\n  ".join(places[-12:]))
