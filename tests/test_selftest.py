"""``chatglm-server selftest``: this server keeps all rules, and one that breaks a rule is told which."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.cli.main import main
from chatglm_server.cli.selftest.report import RULES
from tests.faulty_server import faulty_server
from tests.serving import RunningServer

ALSO: dict[str, set[str]] = {
    "disconnect": {"answered"},
    "tool-results": {"answered"},
    "history": {"answered"},
    "unknown-fields": {"answered"},
    "null-fields": {"answered"},
    "usage": {"usage-asked"},
    "not-as-text": {"tool-choice-required", "tool-choice-named"},
    "error-status": {"error-first", "too-long"},
    "error-shape": {"too-long"},
}
"""Rules that cannot but be broken with another one."""


def selftest(capsys: pytest.CaptureFixture[str], url: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit status, and the report."""
    status = main(["selftest", url, "--json", *options])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, report


def in_state(report: dict[str, Any], state: str) -> set[str]:
    return {name for name, rule in report["rules"].items() if rule["state"] == state}


def test_this_server_keeps_all_rules(server: RunningServer) -> None:
    command = [sys.executable, "-m", "chatglm_server", "selftest", server.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent.parent)
    assert result.returncode == 0, result.stdout
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    states = {row[0]: row[1] for row in rows if row and row[0] in RULES}
    assert states.keys() == RULES.keys()
    unseen = {rule for rule, text in states.items() if not text.startswith("kept")}
    assert unseen <= {"thoughts-apart"}  # the demo model has none
    assert "0 broken" in result.stdout


def test_a_server_without_fault_keeps_all_rules(capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server() as server:
        status, report = selftest(capsys, server.url)
    assert {name: rule["faults"] for name, rule in report["rules"].items() if rule["faults"]} == {}
    assert (status, report["conforms"], report["model"], in_state(report, "kept")) == (0, True, "glm", set(RULES))


GROUPS = [
    {*("models-list", "whole-answer", "content-null", "framing", "chunk-fields", "call-fragments", "error-status")}
    | {"tool-choice-required", "stop-strings"},
    {*("usage", "call-arguments", "done", "choices", "finish-alone", "call-index", "tool-choice-named", "error-shape")}
    | {"max-tokens"},
    {
        "finish-reason",
        "event-stream",
        "role-once",
        "usage-unasked",
        "call-ids",
        "no-filler",
        "parallel-off",
        "error-first",
    },
    {"call", "finish-once", "usage-asked", "call-start", "thoughts-apart", "tool-choice-none", "unknown-fields"},
    {"not-as-text", "same-answer", "history", "null-fields", "tool-results"},
    {"disconnect", "too-long"},
]
"""Rules that one server can break without breaking others."""


@pytest.mark.parametrize("faults", GROUPS, ids=lambda faults: min(faults))
def test_a_server_that_breaks_rules(faults: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server(*faults) as server:
        status, report = selftest(capsys, server.url)
    assert (status, report["conforms"]) == (1, False)
    assert in_state(report, "broken") == faults.union(*(ALSO.get(fault, set()) for fault in faults)), report["rules"]


def test_a_server_that_does_not_name_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server("no-context") as server:
        status, report = selftest(capsys, server.url)
    assert (status, in_state(report, "not seen")) == (0, {"too-long"})


def test_every_rule_is_broken_once() -> None:
    assert set.union(*GROUPS) == RULES.keys() - {"answered"}


def test_a_server_that_never_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server("silent") as server:
        status, report = selftest(capsys, server.url, "--timeout-s", "0.2", "--model", "other")
        assert server.asked == 1  # the others would wait as long
    assert (status, report["model"], in_state(report, "broken")) == (1, "other", {"answered"})
    assert "no end of the response after 0.2 s" in report["rules"]["answered"]["faults"][0]


def test_a_server_that_sends_garbage(capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server("garbage") as server:
        assert main(["selftest", server.url]) == 1
    shown = capsys.readouterr()
    assert "BROKEN" in shown.out
    assert "\x1b" not in shown.out + shown.err


def test_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert main(["selftest", f"http://127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: http://127.0.0.1:{port}/v1: ConnectError")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *(
            (url, "an address is http:// or https://")
            for url in ("127.0.0.1:8000", "ftp://host", "http://", "http://[::1", "http://host:99999")
        ),
        (f"http://{'a' * 64}.example", "an address is http:// or https://"),  # no name of a host is so long
        ("http://key@host", "must not hold a user, a query or a fragment; a key is --api-key"),
    ],
)
def test_what_is_no_address(url: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", url]) == 2
    assert message in capsys.readouterr().err


def test_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with faulty_server("key") as server:
        assert main(["selftest", server.url]) == 1
        assert "--api-key" in capsys.readouterr().err
        status, report = selftest(capsys, server.url, "--api-key", "a-key")
    assert (status, in_state(report, "kept")) == (0, set(RULES))
    assert main(["selftest", "http://127.0.0.1:1", "--api-key", "a\nkey"]) == 2
