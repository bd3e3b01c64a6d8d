#!/usr/bin/env python3
"""Records the examples of the API's reference: sends the requests in chatglm_server/api/examples to the demo model.

python scripts/api_examples.py

An example is left as it is while the server's answer has the same fields. Vectors are cut to a few numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import MINILM  # noqa: E402
from tests.serving import RunningServer  # noqa: E402

FOLDER = ROOT / "chatglm_server" / "api" / "examples"
_NUMBERS = 4
"""Of a vector that are shown."""

Example = dict[str, Any]


def main() -> None:
    with RunningServer("--embedding-model", str(MINILM), "--kv-disk-mb", "0") as server:
        for page in sorted(FOLDER.glob("*.json")):
            examples = json.loads(page.read_text(encoding="utf-8"))
            for operation, named in examples.items():
                for example in named.values():
                    answered = answer(server.url, operation, example)
                    if fields(answered) != fields(example):
                        example |= answered
            page.write_text(json.dumps(examples, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def answer(url: str, operation: str, example: Example) -> Example:
    """What the server answers to the example's request: JSON in ``answer``, or ``text``."""
    method, path = operation.split(" ")
    body = json.dumps(example["request"]) if "request" in example else None
    headers = {"Content-Type": "application/json"} | example.get("headers", {})
    response = httpx.request(method, url + path.format(model="demo"), content=body, headers=headers, timeout=60)
    response.raise_for_status()
    if response.headers["content-type"] == "application/json":
        return {"answer": _shortened(response.json())}
    return {"text": response.text}


def fields(example: Example) -> Any:
    """The names and types of an example's answer, without what differs from one answer to the next."""
    if "answer" in example:
        return _types(example["answer"])
    events = [line.removeprefix("data: ") for line in example.get("text", "").splitlines()]
    return sorted({str(_types(json.loads(event))) if event.startswith("{") else event[:12] for event in events})


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted({str(_types(item)) for item in value})
    return float.__name__ if isinstance(value, int | float) else type(value).__name__


def _shortened(value: Any) -> Any:
    """`value` with the first numbers of each vector."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, float) for item in value):
        return [round(number, 4) for number in value[:_NUMBERS]]
    return [_shortened(item) for item in value]


if __name__ == "__main__":
    main()
