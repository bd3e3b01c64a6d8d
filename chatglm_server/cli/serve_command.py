"""``chatglm-server serve``: loads what the settings name, and serves it."""

from __future__ import annotations

import sys

from ..app import create_app
from ..engine.base import ModelInfo
from ..engine.capabilities import Capability
from ..loader import load_embedder, load_engine, model_path
from ..model_files.containers import read_model_file
from ..model_files.model_file import with_cache_type
from ..service import Service
from ..settings import Settings
from .announcement import LoggedAnnouncement, PrintedAnnouncement
from .listening import CannotListen, listen
from .log_lines import set_up_log
from .server import serve
from .start_lines import Lines, expected, start_lines


def run_server(settings: Settings) -> int:
    """Serve until a signal. Returns the exit status: 1 if the address cannot be used, or if the weights are bad.

    Raises: BadOption, ModelFileError.
    """
    set_up_log(settings.log_format)
    try:
        service = Service(load_engine(settings), load_embedder(settings))
        sockets = listen(settings.host, settings.port)
    except CannotListen as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    notes = _foreign_notes(settings, in_front_of_a_server=Capability.ANY_MODEL in service.engine.info.capabilities)
    expectations = _expectations(settings, service.engine.info)
    announcement = LoggedAnnouncement if settings.log_format == "json" else PrintedAnnouncement
    announce = announcement(lambda url: start_lines(service, url, expectations, notes))
    return serve(create_app(settings, service), service, sockets, settings.request_timeout_s, announce)


def _expectations(settings: Settings, info: ModelInfo) -> Lines:
    """What the model file needs of this machine; [] if there is none. Raises: ModelFileError."""
    if info.facts is None:
        return []
    file = with_cache_type(read_model_file(model_path(settings.model, may_fetch=False)), settings.kv_cache_type)
    return expected(file.spec, info.context_length, measure=sys.stdout.isatty())


def _foreign_notes(settings: Settings, *, in_front_of_a_server: bool) -> list[str]:
    """The start lines about names that belong to other programs."""
    of_the_server = {"openai_base_url", "upstream_api_key", "think_filter"}
    taken = [
        f"{value.name} in {value.place}"
        for value in settings.foreign
        if value.used and (in_front_of_a_server or value.option not in of_the_server)
    ]
    left = [
        f"{value.name} in {value.place}: not used, it names no file" for value in settings.foreign if not value.used
    ]
    return [*([", ".join(taken)] if taken else []), *left]
