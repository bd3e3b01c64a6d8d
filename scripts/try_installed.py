"""Tries the installed package: its version, and one answer of the demo model. Needs nothing but Python.

    python scripts/try_installed.py

Exits with 0 if both are right. It runs outside the repository too, so that the installed package is what is imported.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version

_QUESTION = "Who are you?"
_ANSWER = "I am a small demonstration model of chatglm-server"
_API = re.compile(r"API\s+http://(\S+)/v1")


def main() -> None:
    command = [sys.executable, "-m", "chatglm_server"]
    # elsewhere, so that Python does not import the package from the sources in the current folder
    with tempfile.TemporaryDirectory() as folder:
        shown = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True, cwd=folder).stdout
        assert version("chatglm-server") in shown, shown
        server = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=folder)
        try:
            answer = ask(address(server))
        finally:
            server.terminate()
            server.wait(60)
    assert answer.startswith(_ANSWER), answer
    print(shown.strip(), "on Python", sys.version.split()[0], "answers:", answer)


def address(server: subprocess.Popen[str]) -> str:
    """Host and port, once the server is ready."""
    assert server.stdout is not None
    found = ""
    for line in server.stdout:
        if match := _API.search(line):
            found = match[1]
        if line.strip() == "ready":
            return found
    raise SystemExit("the server ended before it was ready")


def ask(host: str) -> str:
    body = {"messages": [{"role": "user", "content": _QUESTION}], "temperature": 0}
    connection = http.client.HTTPConnection(host, timeout=120)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    content: str = json.load(connection.getresponse())["choices"][0]["message"]["content"]
    return content


if __name__ == "__main__":
    main()
