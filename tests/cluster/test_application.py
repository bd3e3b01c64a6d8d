"""What the application makes of its options, and whom the front lets in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError
from ray.exceptions import ActorDiedError
from starlette.types import Message, Receive, Scope, Send

from chatglm_server.cluster import app
from chatglm_server.cluster.front import FromApp, reached_from_elsewhere
from chatglm_server.cluster.replica import Replica
from chatglm_server.errors import BadOption, ModelFileError
from chatglm_server.settings import Settings
from tests.cluster.running_cluster import ROOT


def test_a_word_that_is_no_option_is_refused() -> None:
    with pytest.raises(BadOption, match="replica: no option has this name"):
        app({"replica": "2"})


@pytest.mark.parametrize("words", [{"replicas": "0"}, {"threads": "many"}, {"max_replicas": "-1"}])
def test_values_that_make_no_sense_are_refused(words: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(words))):
        app(words)


@pytest.mark.filterwarnings("ignore:coroutine 'Replica.__del__' was never awaited")  # Python's own call, at the end
def test_a_model_that_is_missing_is_the_only_error() -> None:
    """Ray awaits the destructor of a replica that could not be made, and logs what that raises."""
    replica = Replica.__new__(Replica)

    async def start_and_end() -> None:
        with pytest.raises(ModelFileError, match="no such file"):
            await Replica.__init__(replica, Settings(_env_file=None, model="/missing.gguf"))
        await Replica.__del__(replica)

    asyncio.run(start_and_end())


def test_a_client_whose_proxy_has_ended_has_left() -> None:
    """Ray's error would be an internal one, with a traceback in the log for each request."""
    received: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())

    async def lost() -> Message:
        raise ActorDiedError

    async def sent(message: Message) -> None:
        received.append(message)

    asyncio.run(FromApp(application)({"type": "http"}, lost, sent))
    assert received == [{"type": "http.disconnect"}]


@pytest.mark.parametrize("chosen", [None, "1"])
def test_ray_reports_nothing_unless_the_user_says_so(chosen: str | None) -> None:
    name = "RAY_USAGE_STATS_ENABLED"
    env = {key: value for key, value in os.environ.items() if key != name} | ({name: chosen} if chosen else {})
    code = f"import chatglm_server.cluster, os; print(os.environ[{name!r}])"
    said = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == (chosen or "0")


@pytest.mark.parametrize(
    ("address", "elsewhere"),
    [("127.0.0.1", False), ("::1", False), ("10.0.0.7", True), ("fe80::1", True), ("/run/socket", False)],
)
def test_other_machines_need_a_key(address: str, elsewhere: bool) -> None:
    assert reached_from_elsewhere({"type": "http", "server": (address, 8000)}) == elsewhere
