"""An answer that went wrong becomes a line that ``replay:`` and ``parse`` read."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatglm_server.cli.format_commands import parse_line, render_line
from chatglm_server.decoding.backends import BACKENDS
from chatglm_server.engine.recordings import read_recordings
from chatglm_server.errors import ModelFileError
from chatglm_server.formats.base import Prompt
from chatglm_server.formats.registry import FORMATS
from chatglm_server.formats.scanning.markers import SpecialTokenScanner
from chatglm_server.loader import load_engine
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import encode_prompt
from chatglm_server.settings import Settings
from tests.conftest import WEATHER
from tests.random_gguf import GLM4_0414, write_random_gguf
from tests.serving import user
from tests.serving_here import serving
from tests.toy_backend import ToyBackend

FORMAT = "glm47"
CALL = "</think><tool_call>get_weather<arg_key>city</arg_key>"
GOOD = f"{CALL}<arg_value>Oslo</arg_value></tool_call><|observation|>"
MENDED = f"{CALL}Oslo</arg_value></tool_call></tool_call><|observation|>"
CUT = f"{CALL}<arg_value>Os"
QUESTION: dict[str, Any] = {"messages": user("How is the weather in Oslo?"), "tools": [WEATHER], "temperature": 0}


@pytest.mark.parametrize(
    ("said", "fault"), [(GOOD, None), (MENDED, "missing <arg_value>"), (CUT, "a call was given up")]
)
def test_what_went_wrong_can_be_played_again(
    said: str, fault: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "toy", "tests.toy_backend:ToyBackend")
    path = write_random_gguf(tmp_path / "model.gguf", GLM4_0414, vocabulary=FORMAT)
    tokenizer = read_model_file(path).load_tokenizer(FORMATS[FORMAT])
    ended = said.endswith("|>")
    text = said.removesuffix("<|observation|>")
    scanner = SpecialTokenScanner(tokenizer.specials)
    script = [
        token
        for piece in (*scanner.feed(said), *scanner.flush())
        for token in encode_prompt(tokenizer, Prompt((piece,)))
    ]
    monkeypatch.setattr(ToyBackend, "script", script)
    record = tmp_path / "record.jsonl"
    common: dict[str, Any] = {"_env_file": None, "chat_format": FORMAT, "tool_grammar": "off"}
    body = QUESTION | {"max_tokens": len(script)}
    with serving(Settings(model=str(path), engine="toy", record=record, **common)) as (url, _):
        first = httpx.post(f"{url}/v1/chat/completions", json=body).json()["choices"][0]
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    lines = record.read_text(encoding="utf-8").splitlines()
    if fault is None:
        assert lines == []
        return
    (line,) = map(json.loads, lines)
    assert line["raw"] == text
    assert fault in line["faults"]
    assert "".join(read_recordings(record)[0].pieces(1000)) == text
    assert len(list(read_recordings(record)[0].pieces(1000))) == len(script) - ended
    assert "Oslo?" in render_line(line)["prompt"]
    parsed = parse_line(line)
    assert parsed["finish_reason"] == first["finish_reason"]
    assert [call["arguments"] for call in parsed["tool_calls"]] == [
        json.loads(call["function"]["arguments"]) for call in first["message"].get("tool_calls", [])
    ]
    with serving(Settings(model=f"replay:{record}", **common)) as (url, _):
        again = httpx.post(f"{url}/v1/chat/completions", json=QUESTION).json()["choices"][0]
    for choice in (first, again):
        for call in choice["message"].get("tool_calls", []):
            call["id"] = ""
    assert again == first


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"--record .*: Is a directory"):
        load_engine(Settings(_env_file=None, record=tmp_path))
