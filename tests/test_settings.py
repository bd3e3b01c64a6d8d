"""Where settings come from, and which of glm-proxy's environment names mean what."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatglm_server.cli import main
from chatglm_server.engine.capabilities import Capability
from chatglm_server.engine.loader import load_engine
from chatglm_server.errors import ModelFileError
from chatglm_server.settings import GLM_PROXY_NAMES, Settings

BACKEND = "http://127.0.0.1:1234/v1"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in GLM_PROXY_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_our_own_names_win(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CHATGLM_PORT=1\nCHATGLM_MAX_QUEUE=3\nPORT=2\nOPENAI_BASE_URL=http://dotenv/v1\n")
    assert (Settings().port, Settings().max_queue, Settings().openai_base_url) == (1, 3, None)
    monkeypatch.setenv("PORT", "4")
    assert Settings().port == 4
    monkeypatch.setenv("CHATGLM_PORT", "5")
    assert Settings().port == 5
    assert Settings(port=6).port == 6


def test_glm_proxy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("ENABLE_THINK_FILTER", "true")
    settings = Settings()
    assert settings.think_filter
    assert settings.upstream_api_key is not None
    assert settings.upstream_api_key.get_secret_value() == "sk-x"
    assert "sk-x" not in repr(settings)
    info = load_engine(settings).info
    assert info.id == BACKEND
    assert Capability.FOREIGN_CONVERSATION in info.capabilities
    assert "OPENAI_BASE_URL" in info.note


def test_a_chosen_model_wins_over_openai_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", BACKEND)
    assert load_engine(Settings(model="demo")).info.id == "demo"
    monkeypatch.setenv("CHATGLM_MODEL", "demo-glm4")
    assert load_engine(Settings()).info.id == "demo-glm4"
    assert load_engine(Settings(model="http://other/v2/")).info.id == "http://other/v2"


@pytest.mark.parametrize("address", ["http://localhost:8000/v1", "http://127.0.0.1:8000"])
def test_this_very_server_is_no_backend(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that has the address for its clients must not make the server its own backend."""
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    assert load_engine(Settings()).info.id == "demo"
    assert load_engine(Settings(port=8001)).info.id.startswith(address)
    with pytest.raises(ModelFileError, match="itself"):
        load_engine(Settings(model=address))


BAD_ADDRESSES = {
    "http://user:secret@host/v1": "--upstream-api-key",
    "https://host/v1?key=secret": "--upstream-api-key",
    "http://": "a host",
    "http://host:99999999/v1": "a port",
    "http://[/v1": "a host",
    "http://a b/v1": "a host",
    f"http://{'a' * 64}/v1": "a host",
    "https://host\n/v1": "a host",
}


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_bad_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_engine(Settings(model=address))
    assert BAD_ADDRESSES[address] in caught.value.message
    assert "secret" not in caught.value.message
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ModelFileError, match="OPENAI_BASE_URL"):
        load_engine(Settings())


def test_openai_base_url_without_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "127.0.0.1:1234")
    with pytest.raises(ModelFileError, match="http://"):
        load_engine(Settings())


@pytest.mark.parametrize("key", ["sk x", "sk\nx", "sk\u20ac", "sk\x00"])
def test_key_that_fits_no_header(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", BACKEND, "--upstream-api-key", key]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --upstream-api-key: ")
    assert key not in error
