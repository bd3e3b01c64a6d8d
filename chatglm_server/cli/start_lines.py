"""What a person should know when a server starts: what it serves, where, with what memory and how fast."""

from __future__ import annotations

import chatglm_native
import psutil

from ..engine.base import ModelInfo
from ..hub.sizes import size_text
from ..model_files.spec import ModelSpec
from ..service import Service
from .show_command import measured_for, speed_text

_PROBE_S = 0.3

Lines = list[tuple[str, str]]


def expected(spec: ModelSpec, context: int, *, measure: bool) -> Lines:
    """The memory for a model and a conversation of `context` tokens; the speed too if this machine is to be measured,
    which takes a third of a second.
    """
    weights, cache = size_text(spec.nbytes), size_text(spec.cache_bytes * context)
    free = size_text(psutil.virtual_memory().available)
    lines = [("memory", f"{weights} of weights, up to {cache} for {context} tokens; {free} are free")]
    if measure:
        try:
            chatglm_native.check(spec)
        except (RuntimeError, ValueError):  # another program than the core computes it
            return lines
        lines.append(("speed", speed_text(spec, measured_for(spec, _PROBE_S))))
    return lines


def start_lines(service: Service, url: str, expectations: Lines, notes: list[str]) -> Lines:
    """All lines, in the order in which they are read. `notes` say where settings came from."""
    lines = [("model", _model(service.engine.info)), *expectations]
    if service.embedder is not None:
        lines.append(("embed", service.embedder.info.id))
    lines += [("from", note) for note in notes]
    lines += [("page", f"{url}/"), ("API", f"{url}/v1  (reference: {url}/docs)"), ("stop", "Ctrl-C")]
    return lines


def _model(info: ModelInfo) -> str:
    note = f" ({info.note})" if info.note else ""
    context = f", {info.context_length} {info.unit} of context" if info.context_length else ""
    return f"{info.id}: {info.chat_format}{context}{note}"
