"""Options: one settings class behind the command line, the environment and ``.env``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil
import pytest

from chatglm_server.cli.commands import COMMANDS
from chatglm_server.cli.listening import CannotListen, listen
from chatglm_server.cli.main import main
from chatglm_server.decoding.backends import BACKENDS
from chatglm_server.formats.registry import FORMATS
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in shown for name in Settings.model_fields)


@pytest.mark.parametrize("command", [[], ["serve"], ["parse"], ["render"], ["convert"]])
def test_help_is_in_a_persons_words(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    shown = capsys.readouterr().out
    for word in ("SecretStr", "list[", "null", "None", "==SUPPRESS==", "Literal", "ge=", "int", "str "):
        assert word not in shown.replace("string", "").replace("print", "").replace("hint", "").replace("point", "")
    assert "--version" in shown
    if command in ([], ["serve"]):
        assert shown.index("--model ") < shown.index("--port ") < shown.index("--upstream-api-key ")


def test_help_fits_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 80
        assert "chatglm-\n" not in shown


@pytest.mark.parametrize("command", [[], ["serve"], ["parse"]])
def test_version(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"chatglm-server {version('chatglm-server')}\n"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatglm_server", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_port_in_use_by_this_server(server: RunningServer) -> None:
    port = int(server.url.rpartition(":")[2])
    result = run("--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"error: --port {port}: another chatglm-server with the model 'demo' (process {server.process.pid})"
    )
    advised = int(line.rpartition("--port ")[2])
    assert port < advised < port + 50
    with socket.create_server(("127.0.0.1", advised)):
        pass


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", b"\xff\r\n\r\n", None])
def test_port_in_use_by_another_program(answer: bytes | None) -> None:
    """One that closes at once, one that speaks HTTP, one that does not, one that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def serve() -> None:
            client = other.accept()[0]
            if answer is not None:
                client.sendall(answer)
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        result = run("--port", str(port))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    program = f"{psutil.Process().name()} (process {os.getpid()})"
    assert line.startswith(f"error: --port {port}: {program} listens on port {port} of 127.0.0.1 already; try --port ")


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1", "a..b"])
def test_host_that_is_not_this_machine(host: str) -> None:
    result = run("--host", host, "--api-key", "a key", "--port", "0")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --host {host}: ")


def test_one_port_on_each_address_of_localhost() -> None:
    sockets = listen("localhost", 0)
    try:
        (port,) = {listening.getsockname()[1] for listening in sockets}
        assert "127.0.0.1" in {listening.getsockname()[0] for listening in sockets}
        for listening in sockets:
            with socket.create_connection(listening.getsockname()[:2], 5):
                pass
        with pytest.raises(CannotListen, match=f"--port {port}"):
            listen("localhost", port)
    finally:
        for listening in sockets:
            listening.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "http"], "--port"),
        (["--chat-format", "glm9"], "--chat-format"),
        (["--engine", "glm"], "--engine"),
        (["--threads", "0"], "--threads"),
        (["--max-queue", "-1"], "--max-queue"),
        (["--max-body-mb", "inf"], "--max-body-mb"),
        (["--host", "0.0.0.0"], "--api-key"),
        (["--host", "0.0.0.0", "--api-key", ""], "--api-key"),
    ],
)
def test_bad_option_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pul", "glm-4-9b"], "error: pul: no such command; did you mean pull?\n"),
        (["model.gguf"], "error: model.gguf: no such command; it is one of serve, chat, pull, list, "),
    ],
)
def test_an_unknown_command_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(message)


def test_an_unknown_format_or_engine_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chat-format", "glm9"]) == 2
    assert capsys.readouterr().err.endswith(f"choose auto or one of {', '.join(FORMATS)}\n")
    assert main(["--engine", "glm"]) == 2
    assert capsys.readouterr().err.endswith(f"choose auto or one of {', '.join(BACKENDS)}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modle", "demo"], "--modle: no such option; did you mean --model?"),
        (["--prot=8001"], "--prot=8001: no such option; did you mean --port?"),
        (["chat", "demo", "--temprature", "0"], "--temprature: no such option; did you mean --temperature?"),
        (["list", "models"], "models: no such option; chatglm-server list --help shows all"),
        (["cache", "purge"], "ACTION: Input should be 'list' or 'clear'"),
    ],
)
def test_unknown_option(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_more_threads_than_cpus() -> None:
    command = [sys.executable, "-m", "chatglm_server", "--port", "0", "--threads", "100000"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "--threads" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_environment_dotenv_and_command_line(tmp_path: Path) -> None:
    """The command line wins over the environment, the environment over ``.env``."""
    model = write_random_model(tmp_path / "tiny.bin")
    (tmp_path / ".env").write_text(f"CHATGLM_MODEL={model}\nCHATGLM_ALIAS=dotenv\nCHATGLM_MAX_QUEUE=7\nOTHER=1\n")
    options = ("serve", "--alias", "one,two", "--alias", "three", "--threads", "1")
    with RunningServer(*options, env={"CHATGLM_MAX_QUEUE": "5", "CHATGLM_ALIAS": "env"}, cwd=tmp_path) as server:
        (info,) = httpx.get(f"{server.url}/v1/models").json()["data"]
        assert (info["id"], info["aliases"], info["context_length"]) == ("tiny", ["one", "two", "three"], 256)
        assert server.queue()["max"] == 5


def test_context_length(tmp_path: Path) -> None:
    model = write_random_model(tmp_path / "tiny.bin")
    with RunningServer("--model", str(model), "--context-length", "64") as server:
        answer = server.post("/v1/completions", json={"prompt": "the", "max_tokens": 1000, "temperature": 0}).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["total_tokens"] == 64
