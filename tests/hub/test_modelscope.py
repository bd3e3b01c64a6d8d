"""ModelScope's API and caches, against the stand-in."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.local_models import local_models, remove
from chatglm_server.hub.pull import local_path, pull
from chatglm_server.hub.references import read_reference
from tests.hub.stand_in import TOKEN, Repository, StandIn, gguf

NAME = "ms:glm/GLM-4.1-GGUF"
FILES = {
    "README.md": b"# a model",
    "GLM-Q4_K_M.gguf": gguf(5000),
    "GLM-Q8_0.gguf": gguf(9000),
    "mmproj-F16.gguf": gguf(100),
    "BF16/GLM-BF16-00001-of-00002.gguf": gguf(400),
    "BF16/GLM-BF16-00002-of-00002.gguf": gguf(500),
    "lost-Q2_K-00001-of-00002.gguf": gguf(10),
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn({"glm/GLM-4.1-GGUF": Repository(FILES), "glm/locked": Repository(FILES, gated=True)}) as hub:
        hub.repositories["glm/GLM-4-9B-0414"] = Repository({"model.safetensors": b"weights"})
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        yield hub


def test_what_suits_this_machine_is_fetched_once(
    hub: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = local_path(NAME)
    assert path == tmp_path / "modelscope" / "models" / "glm--GLM-4.1-GGUF" / "snapshots" / "master" / "GLM-Q4_K_M.gguf"
    assert path.read_bytes() == FILES["GLM-Q4_K_M.gguf"]
    assert f"{NAME}: Q4_K_M (5.0 kB), which fits into the" in caplog.text
    hub.requests.clear()
    assert local_path(NAME) == local_path(f"{NAME}:q4_k_m") == local_path(f"{NAME}:GLM-Q4_K_M.gguf") == path
    assert hub.requests == []  # it is here
    assert pull(read_reference(NAME)) == path
    assert hub.ranges() == []  # the hub was only asked for the hash
    assert "is here already" in caplog.text


def test_all_parts_of_a_split_model(hub: StandIn) -> None:
    path = local_path(f"{NAME}:BF16")
    assert path.name == "GLM-BF16-00001-of-00002.gguf"
    for part in ("BF16/GLM-BF16-00001-of-00002.gguf", "BF16/GLM-BF16-00002-of-00002.gguf"):
        assert (path.parent.parent / part).read_bytes() == FILES[part]
    assert local_path(f"{NAME}:BF16/GLM-BF16-00002-of-00002.gguf") == path
    assert [(model.name, model.size) for model in local_models()] == [(f"{NAME}:BF16", 900)]


def test_remove_frees_the_bytes(hub: StandIn) -> None:
    local_path(f"{NAME}:BF16")
    local_path(f"{NAME}:Q8_0")
    with pytest.raises(ModelFileError, match=f"name one of {NAME}:BF16, {NAME}:Q8_0"):
        remove(NAME)
    assert remove(f"{NAME}:BF16")[1] == 900
    assert remove(NAME)[1] == 9000
    assert local_models() == []
    with pytest.raises(ModelFileError, match="not among the models here"):
        remove(NAME)


def test_the_old_layout_is_used_on(hub: StandIn, tmp_path: Path) -> None:
    """Older tools write a dot in a folder's name as three underscores."""
    folder = tmp_path / "modelscope" / "hub" / "models" / "glm" / "GLM-4___1-GGUF"
    folder.mkdir(parents=True)
    (folder / "GLM-Q8_0.gguf").write_bytes(FILES["GLM-Q8_0.gguf"])
    assert local_path(NAME) == folder / "GLM-Q8_0.gguf"
    assert [model.name for model in local_models()] == [f"{NAME}:Q8_0"]
    assert hub.requests == []
    assert local_path(f"{NAME}:Q4_K_M") == folder / "GLM-Q4_K_M.gguf"


def test_a_break_and_wrong_bytes(hub: StandIn) -> None:
    hub.faults.break_after = [2000]
    hub.faults.damage = True
    with pytest.raises(ModelFileError, match="SHA-256"):
        local_path(NAME)
    assert local_models() == []
    hub.faults.damage = False
    assert local_path(NAME).read_bytes() == FILES["GLM-Q4_K_M.gguf"]


def test_a_file_that_changed_here_is_told(hub: StandIn) -> None:
    path = local_path(NAME)
    path.write_bytes(gguf(5000, seed=1))
    with pytest.raises(ModelFileError, match="not the file that the hub has now"):
        pull(read_reference(NAME))


def test_the_token_goes_to_the_hub_alone(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match="set MODELSCOPE_API_TOKEN"):
        local_path("ms:glm/locked")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", TOKEN)
    local_path("ms:glm/locked")
    (fetched,) = (request for request in hub.requests if "/bytes/" in request.path)
    assert fetched.host.startswith("localhost:")
    assert not {"authorization", "cookie"} & set(fetched.headers)
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "a b")
    with pytest.raises(ModelFileError, match="MODELSCOPE_API_TOKEN"):
        local_path("ms:glm/locked:Q8_0")


def test_names_that_are_not_there(hub: StandIn) -> None:
    with pytest.raises(ModelFileError, match=r"no such repository .* did you mean LLM-Research/glm-4-9b-chat-GGUF\?"):
        local_path("ms:LLM-Research/glm-4-9b-GGUF")
    with pytest.raises(ModelFileError, match="it has BF16, Q4_K_M, Q8_0"):
        local_path(f"{NAME}:Q5_K_M")
    with pytest.raises(ModelFileError, match=r"did you mean GLM-Q8_0.gguf"):
        local_path(f"{NAME}:GLM-Q8.gguf")
    with pytest.raises(ModelFileError, match=r"mmproj-F16.gguf is no language model; the repository has BF16, Q4_K_M"):
        local_path(f"{NAME}:mmproj-F16.gguf")
    with pytest.raises(ModelFileError, match=r"this repository has no GGUF file; did you mean glm-4-9b-0414\?"):
        local_path("ms:glm/GLM-4-9B-0414")


def test_a_disk_that_is_too_small(hub: StandIn, tmp_path: Path) -> None:
    """For all parts together, before the first is fetched."""
    hub.faults.claimed_sizes["BF16/GLM-BF16-00002-of-00002.gguf"] = shutil.disk_usage(tmp_path).total
    with pytest.raises(ModelFileError, match="another folder with MODELSCOPE_CACHE"):
        local_path(f"{NAME}:BF16")
    assert hub.ranges() == []


def test_a_machine_that_is_too_small(hub: StandIn) -> None:
    hub.faults.claimed_sizes |= {"GLM-Q4_K_M.gguf": 6 << 40, "GLM-Q8_0.gguf": 9 << 40}
    hub.faults.claimed_sizes["BF16/GLM-BF16-00001-of-00002.gguf"] = 17 << 40
    with pytest.raises(ModelFileError, match=f"even Q4_K_M needs .* of memory, .* {NAME}:Q4_K_M takes it all the same"):
        local_path(NAME)


@pytest.mark.parametrize("answer", ["[]", '{"Data": {"Files": 3}}', "<html>", "[" * 100_000])
def test_answers_that_are_no_list(hub: StandIn, answer: str) -> None:
    hub.raw_listing = answer
    with pytest.raises(ModelFileError, match="no list of files"):
        local_path(NAME)


@pytest.mark.parametrize("entry", [{}, {"Path": 3}, {"Path": "../a-Q4_K_M.gguf"}, {"Path": "/a-Q4_K_M.gguf"}])
def test_entries_that_cannot_be_files(hub: StandIn, entry: dict[str, object]) -> None:
    hub.raw_listing = {"Data": {"Files": [{"Size": 10, "Sha256": "0" * 64} | entry, 3]}}
    with pytest.raises(ModelFileError, match="this repository has no GGUF file; "):
        local_path(NAME)


@pytest.mark.parametrize("size", [-1, 0, 10**400, 1e3, "10"])
def test_sizes_that_no_file_has(hub: StandIn, size: object) -> None:
    hub.raw_listing = {"Data": {"Files": [{"Path": "GLM-Q4_K_M.gguf", "Size": size, "Sha256": "0" * 64}]}}
    with pytest.raises(ModelFileError, match="this repository has no GGUF file; "):
        local_path(f"{NAME}:Q4_K_M")


def test_a_list_that_is_too_long(hub: StandIn) -> None:
    hub.raw_listing = {"Data": {"Files": [{}] * 10_001}}
    with pytest.raises(ModelFileError, match="lists 10001 files, and at most 10000 are read"):
        local_path(NAME)
    hub.raw_listing = " " * (33 << 20)
    with pytest.raises(ModelFileError, match="answer is longer than 32 MB"):
        local_path(NAME)


def test_an_error_shows_a_part_of_a_long_list(hub: StandIn) -> None:
    names = [f"GLM-{number}-Q8_0.gguf" for number in range(1000)]
    hub.raw_listing = {"Data": {"Files": [{"Path": name, "Size": 1, "Sha256": "0" * 64} for name in names]}}
    with pytest.raises(ModelFileError, match=r"several files fit; .* and 960 more$"):
        local_path(f"{NAME}:Q8_0")


def test_no_connection(hub: StandIn) -> None:
    hub.__exit__(None, None, None)
    with pytest.raises(ModelFileError, match=r"cannot be reached .* MODELSCOPE_ENDPOINT"):
        local_path(NAME)
