"""The Python examples of the pages run as they stand, against the demo model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import RunningServer

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = {
    "README.md#Call a tool": 'get_weather {"city": "Paris"}\n',
    "docs/tools.md#A whole loop": "Here is the weather: city Paris, weather sunny, degrees 21.",
    "docs/clients.md#openai-python": "Hello! How can I help you?",
    "docs/clients.md#LangChain": "'name': 'get_weather', 'args': {'city': 'Paris'}",
}
"""Page and heading, and what the output of its first Python block holds."""


def code(place: str) -> str:
    page, _, heading = place.partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    match = re.search(rf"^## {re.escape(heading)}\n.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert match, place
    return match[1]


@pytest.mark.parametrize("place", EXAMPLES)
def test_python_example(place: str, server: RunningServer) -> None:
    example = code(place)
    assert "http://127.0.0.1:8000/v1" in example
    example = example.replace("http://127.0.0.1:8000/v1", f"{server.url}/v1")
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert EXAMPLES[place] in run.stdout
