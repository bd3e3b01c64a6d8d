"""scripts/run on machines that lack something: it says what, and which package brings it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent.parent / "scripts" / "run"


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUN, "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | {"CHATGLM_RUN_VENV": str(tmp_path / "venv")} | environment,
    )


def python_without(tmp_path: Path, module: str) -> str:
    """This Python, but for code that names `module`."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\ncase "$2" in *{module}*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("module", "package"), [("ensurepip", "python3-venv"), ("sysconfig", "python3-dev"), ("version_info", "python3")]
)
def test_incomplete_python(tmp_path: Path, module: str, package: str) -> None:
    result = run(tmp_path, PYTHON=python_without(tmp_path, module))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f"sudo apt install {package}\n")
    assert not (tmp_path / "venv").exists()


def test_no_compiler(tmp_path: Path) -> None:
    result = run(tmp_path, CXX="no-such-compiler")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("sudo apt install g++\n")


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    result = run(tmp_path, PYTHON=python_without(tmp_path, "ensurepip"), CXX="no-such-compiler")
    assert result.stderr.endswith("sudo apt install python3-venv g++\n")


def test_installed_once_and_found_from_any_folder(tmp_path: Path) -> None:
    """An environment that is there and newer than the sources is used as it is; the arguments reach the server."""
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    server = scripts / "chatglm-server"
    server.write_text('#!/bin/sh\nprintf "%s|" "$PWD" "$@"\n')
    server.chmod(0o755)
    (tmp_path / "venv" / "installed").touch()
    result = run(tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{tmp_path}|--version|", "")
