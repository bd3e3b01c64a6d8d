"""From a short name to an answer: the server fetches a model, serves it, and needs no network for it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.stand_in import Repository, StandIn
from tests.random_gguf import GLM4_0414, Kind, write_random_gguf
from tests.serving import RunningServer, user

FILE = "THUDM_GLM-4-9B-0414-Q4_K_M.gguf"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandIn]:
    content = write_random_gguf(tmp_path / FILE, GLM4_0414, [Kind.Q4_0, Kind.Q8_0]).read_bytes()
    with StandIn({"bartowski/THUDM_GLM-4-9B-0414-GGUF": Repository({FILE: content})}) as hub:
        yield hub


def test_a_short_name_is_served(hub: StandIn, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",  # other tests switch it on for this whole process
    }
    with RunningServer("--model", "glm-4-9b-0414", env=environment, cwd=tmp_path) as server:
        assert server.wait_for_line("fetching THUDM").endswith("from Hugging Face")
        body = {"model": "glm-4-9b-0414", "messages": user("hi"), "max_tokens": 4, "seed": 1}
        answer = server.post(json=body).json()
        assert answer["usage"]["completion_tokens"] > 0, answer
        assert answer["model"] == "glm-4-9b-0414"
    hub.requests.clear()
    with RunningServer("--model", "glm-4-9b-0414:q4_k_m", env=environment, cwd=tmp_path) as server:
        assert server.post(json=body).json()["choices"] == answer["choices"]
    assert hub.requests == []


@pytest.mark.parametrize("model", ["demo", FILE])
def test_what_is_here_needs_no_connection(hub: StandIn, tmp_path: Path, model: str) -> None:
    """Neither to a hub nor, as a proxy would see, to anywhere else."""
    proxies = {f"{scheme}_proxy": hub.url for scheme in ("http", "https", "all")}
    hubs = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url, "HOME": str(tmp_path)}
    with RunningServer("--model", model, env=proxies | hubs, cwd=tmp_path):
        pass
    assert hub.requests == []
