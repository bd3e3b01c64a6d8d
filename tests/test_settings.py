"""Where settings come from, and what the names of glm-proxy and openai_api.py mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatglm_server.cli.main import main
from chatglm_server.engine.capabilities import Capability
from chatglm_server.errors import ModelFileError
from chatglm_server.foreign_names import FOREIGN_NAMES
from chatglm_server.loader import load_engine
from chatglm_server.settings import GROUPS, Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer

BACKEND = "http://127.0.0.1:1234/v1"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in FOREIGN_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_each_source_wins_over_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign names count last, because they may be meant for another program."""
    assert Settings().port == 8000
    Path(".env").write_text("PORT=2\n")
    assert Settings().port == 2
    monkeypatch.setenv("PORT", "3")
    assert Settings().port == 3
    Path(".env").write_text("PORT=2\nCHATGLM_PORT=4\n")
    assert Settings().port == 4
    monkeypatch.setenv("CHATGLM_PORT", "5")
    assert Settings().port == 5
    assert Settings(port=6).port == 6


def test_foreign_names_in_dotenv() -> None:
    """glm-proxy's file as it is: quotes, comments, ``export`` and a byte order mark included."""
    lines = ["# glm-proxy", f'OPENAI_BASE_URL="{BACKEND}"', "export OPENAI_API_KEY=sk-x", "PORT=8123", "OTHER=1", ""]
    Path(".env").write_text("\n".join([*lines, "ENABLE_THINK_FILTER=true"]), encoding="utf-8-sig")
    settings = Settings()
    assert (settings.openai_base_url, settings.port, settings.think_filter) == (BACKEND, 8123, True)
    assert settings.upstream_api_key is not None
    assert settings.upstream_api_key.get_secret_value() == "sk-x"
    assert [(value.name, value.place) for value in settings.foreign] == [
        (name, ".env") for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "PORT", "ENABLE_THINK_FILTER")
    ]


def test_openai_api_py_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_random_model(tmp_path / "tiny.bin")
    Path(".env").write_text("MODEL=tiny.bin\nNUM_THREADS=1\n")
    settings = Settings()
    assert (settings.model, settings.threads) == ("tiny.bin", 1)
    assert load_engine(settings).info.id == "tiny"
    monkeypatch.setenv("NUM_THREADS", "0")  # its default: as many as it likes
    assert Settings().threads == 1
    Path(".env").unlink()
    assert Settings().threads is None


@pytest.mark.parametrize("name", ["gpt-4", "glm-4.6", "org/model", ".", "http://host/v1"])
def test_model_that_is_no_file_is_another_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside OPENAI_BASE_URL, MODEL usually names a model of that server for its clients."""
    monkeypatch.setenv("MODEL", name)
    assert Settings().model == "demo"
    assert [(value.name, value.used) for value in Settings().foreign] == [("MODEL", False)]
    monkeypatch.setenv("OPENAI_BASE_URL", BACKEND)
    assert load_engine(Settings()).info.id == BACKEND


def test_wrong_value_is_named_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".env").write_text("PORT=eighty\n")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: PORT in .env: ")


def test_dotenv_that_is_not_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".env").write_bytes("PORT=8000 # 端口".encode("gbk"))
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: .env: ")


def test_start_lines_say_what_was_taken_from_where(tmp_path: Path) -> None:
    write_random_model(tmp_path / "tiny.bin")
    (tmp_path / ".env").write_text(f"MODEL=tiny.bin\nOPENAI_API_KEY=sk-x\nPORT=1\nOPENAI_BASE_URL={BACKEND}\n")
    with RunningServer(env={"NUM_THREADS": "1"}, cwd=tmp_path) as server:  # which gives --port itself
        assert server.wait_for_line("  from ").endswith(" MODEL in .env, NUM_THREADS in the environment")
    Path(".env").unlink()
    with RunningServer(env={"MODEL": "gpt-4"}, cwd=tmp_path) as server:
        assert server.wait_for_line("  from ").endswith(" MODEL in the environment: not used, it names no file")
    with RunningServer(cwd=tmp_path) as server:
        assert "  from " not in server.output
    Path(".env").write_text(f"OPENAI_BASE_URL={BACKEND}\nOPENAI_API_KEY=sk-x\n")
    with RunningServer(cwd=tmp_path, ready=False) as server:
        assert server.wait_for_line("  from ").endswith(" OPENAI_BASE_URL in .env, OPENAI_API_KEY in .env")
        assert "sk-x" not in server.output


def test_every_option_has_one_group_and_a_sentence() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description[0].isupper() or field.description.startswith("auto"), name
        assert field.description.endswith("."), name
        for ending, unit in (("_s", "econds"), ("_mb", "M")):
            assert not name.endswith(ending) or unit in field.description, name


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


def test_several_addresses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    several = "http://one/v1, http://two:8001/v1"
    assert load_engine(Settings(model="http://one, http://two:8001/v1/,http://one/v1")).info.id == several
    assert load_engine(Settings(model=["http://one", "http://two:8001"])).info.id == several
    assert load_engine(Settings(model="http://one/a,b/v1")).info.id == "http://one/a,b/v1"
    monkeypatch.setenv("CHATGLM_MODEL", "HTTP://one,HTTP://two:8001")
    assert load_engine(Settings()).info.id == several
    monkeypatch.delenv("CHATGLM_MODEL")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://one/v1,http://two:8001/v1")
    assert load_engine(Settings()).info.id == several
    with pytest.raises(ModelFileError, match="http://localhost:8000/v1 is the address of this server itself"):
        load_engine(Settings(model="http://one/v1,http://localhost:8000/v1"))
    assert main(["--model", "http://one", "--model", "demo"]) == 2
    assert "--model: only addresses of servers may be given several times" in capsys.readouterr().err


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
