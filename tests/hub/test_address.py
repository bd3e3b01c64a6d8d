"""A GGUF file at an address of its own: nothing is known of it but what its server says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.address import path_of
from chatglm_server.hub.local_models import local_models, remove
from chatglm_server.hub.pull import local_path
from chatglm_server.open_files import try_lock
from tests.hub.stand_in import Repository, StandIn, gguf

FILES = {"d/GLM-Q4_K_M.gguf": gguf(50_000), "page.gguf": b"<html>not a model</html>", "short.gguf": b"GG"}


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with StandIn({"glm/files": Repository(FILES)}) as hub:
        yield hub


@pytest.mark.parametrize("ignore_ranges", [False, True])
def test_fetched_once_listed_and_deleted(hub: StandIn, tmp_path: Path, ignore_ranges: bool) -> None:
    url = f"{hub.url}/bytes/glm/files/d/GLM-Q4_K_M.gguf"
    hub.faults.ignore_ranges = ignore_ranges
    path = local_path(url)
    assert path == tmp_path / f"cache/chatglm-server/models/http/127.0.0.1:{hub.port}/bytes/glm/files/d/GLM-Q4_K_M.gguf"
    assert path.read_bytes() == FILES["d/GLM-Q4_K_M.gguf"]
    hub.requests.clear()
    assert local_path(url) == path
    assert hub.requests == []
    assert [(model.name, model.size) for model in local_models()] == [(url, 50_000)]
    assert remove(url)[1] == 50_000
    assert local_models() == []


def test_another_version_does_not_go_on_from_the_first(hub: StandIn) -> None:
    """The server's entity tag tells them apart."""
    url = f"{hub.url}/bytes/glm/files/d/GLM-Q4_K_M.gguf"
    hub.faults.break_after = [4, 20_000, *[0] * 9]
    with pytest.raises(ModelFileError, match="the same command goes on from there"):
        local_path(url)
    hub.faults.break_after = []
    hub.repositories["glm/files"] = Repository(FILES | {"d/GLM-Q4_K_M.gguf": gguf(50_000, seed=1)})
    assert local_path(url).read_bytes() == gguf(50_000, seed=1)


def test_another_version_is_left_to_the_process_that_fetches_it(hub: StandIn) -> None:
    url = f"{hub.url}/bytes/glm/files/d/GLM-Q4_K_M.gguf"
    path = path_of(url)
    other = path.with_name(f"{path.name}.0123456789ab.incomplete")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"GGUF")
    with other.open("r+b") as file:
        assert try_lock(file)
        assert local_path(url) == path
        assert other.exists()
    path.unlink()
    assert local_path(url) == path
    assert not other.exists()


def test_a_tag_that_no_request_can_hold(hub: StandIn) -> None:
    hub.faults.tag = '"é"'
    assert local_path(f"{hub.url}/bytes/glm/files/d/GLM-Q4_K_M.gguf").read_bytes() == FILES["d/GLM-Q4_K_M.gguf"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("page.gguf", "not a GGUF file; it begins with b'<htm'"), ("short.gguf", "not a GGUF file"), ("no.gguf", "404")],
)
def test_no_model(hub: StandIn, name: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        local_path(f"{hub.url}/bytes/glm/files/{name}")
    assert local_models() == []


def test_no_server(hub: StandIn) -> None:
    hub.__exit__(None, None, None)
    with pytest.raises(ModelFileError, match="cannot be reached"):
        local_path(f"{hub.url}/a.gguf")
