"""``chatglm-server serve``: loads what the settings name, and serves it."""

from __future__ import annotations

import logging
import sys

from ..app import create_app
from ..engine.capabilities import Capability
from ..loader import load_embedder, load_engine
from ..service import Service
from ..settings import Settings
from .listening import CannotListen, listen
from .server import serve


def run_server(settings: Settings) -> int:
    """Serve until a signal. Returns the exit status: 1 if the address cannot be used, or if the weights are bad.

    Raises: BadOption, ModelFileError.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("chatglm_server").setLevel(logging.INFO)
    try:
        service = Service(load_engine(settings), load_embedder(settings))
        sockets = listen(settings.host, settings.port)
    except CannotListen as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    notes = _foreign_notes(settings, in_front_of_a_server=Capability.ANY_MODEL in service.engine.info.capabilities)
    return serve(create_app(settings, service), service, sockets, settings.request_timeout_s, notes)


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
