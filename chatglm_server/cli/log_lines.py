"""The log on stderr: a coloured line for people at a terminal, a plain one elsewhere, or an object of JSON a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from .safe_text import printable

LogFormat = Literal["auto", "text", "json"]
_TIME = "%H:%M:%S"


def set_up_log(log_format: LogFormat) -> None:
    """Send the log of this process to stderr. Only this server's own lines are shown below warnings."""
    handler: logging.Handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines())
    elif log_format == "auto" and sys.stderr.isatty():
        handler = TerminalLines(Console(stderr=True, highlight=False))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _TIME))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("chatglm_server").setLevel(logging.INFO)


class JsonLines(logging.Formatter):
    """``{"time", "level", "message"}``; of a request its `fields` too, under "request"."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        for name in ("request", "start"):
            if fields := getattr(record, name, None):
                line[name] = fields
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TerminalLines(logging.Handler):
    """Requests with their outcome in colour, warnings in yellow, errors in red."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        line = Text(f"{datetime.fromtimestamp(record.created):{_TIME}} ", style="dim")
        request: dict[str, Any] | None = getattr(record, "request", None)
        if request is not None:
            head = f"{request['method']} {request['path']} "
            outcome, _, rest = record.getMessage().removeprefix(head).partition(" ")
            line.append(head, "not dim").append(f"{outcome} ", f"not dim {_colour(request)}").append(rest)
        else:
            style = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}.get(record.levelno, "")
            line.append(printable(self.format(record)), f"not dim {style}")
        self._console.print(line, soft_wrap=True)


def _colour(request: dict[str, Any]) -> str:
    status = request["status"] or 500
    if request["cut_off"] or 400 <= status < 500:
        return "yellow"
    return "red" if status >= 500 else "green"
