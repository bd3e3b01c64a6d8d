"""An OpenAI-compatible server on a real socket that answers at once, and breaks rules of the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TEXT = "I am a server of a test, and I say this to everyone."
_THOUGHT = "They ask me something."
_CONTEXT_LENGTH = 500


class FaultyServer(ThreadingHTTPServer):
    """Breaks the rules `faults`. "silent": never answers a chat. "garbage": answers with bytes. "key": wants the key
    a-key.
    """

    daemon_threads = True

    def __init__(self, *faults: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = set(faults)
        self.was_left = False
        self.asked = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""


@contextmanager
def faulty_server(*faults: str) -> Iterator[FaultyServer]:
    with FaultyServer(*faults) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join(30)


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if "key" in self.server.faults and self.headers["Authorization"] != "Bearer a-key":
            self._send(401, {"error": {"message": "no key"}})
            return
        model: dict[str, Any] = {"id": "glm", "object": "model", "created": 7, "owned_by": "test"}
        if "no-context" not in self.server.faults:
            model["max_model_len"] = _CONTEXT_LENGTH
        self._send(200, {"object": "models" if "models-list" in self.server.faults else "list", "data": [model]})

    def do_POST(self) -> None:
        faults = self.server.faults
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        if "silent" in faults:
            self.server.closing.wait(60)
            return
        if "garbage" in faults:
            self._write(200, "text/event-stream", b'data: [[[[\xff\r\rdata: {"choices": [[7]], "id": {}}\n\n\x1b[2J')
            return
        if "disconnect" in faults and self.server.was_left:
            return
        problem = _problem(content)
        if problem and "error-first" in faults and b'"stream": true' in content:
            self._send(200, {})
        elif problem:
            code = "context_length_exceeded" if "too long" in problem and "too-long" not in faults else None
            error = {"message": problem, "type": "invalid_request_error", "param": None, "code": code}
            status = 500 if "error-status" in faults else 400
            self._send(status, {"detail": problem} if "error-shape" in faults else {"error": error})
        elif _refuses(faults, json.loads(content)):
            self._send(400, {"error": {"message": "no"}})
        else:
            self._answer(json.loads(content))

    def _answer(self, body: dict[str, Any]) -> None:
        faults = self.server.faults
        message, reason = _message(body, faults)
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9 if "usage" in faults else 8}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {"id": "a", "object": "chat.completion", "created": 7, "model": "glm", "choices": [choice]}
            if "whole-answer" in faults:
                del whole["created"]
            self._send(200, whole | {"usage": usage})
            return
        asked = bool(body.get("stream_options"))
        chunks = _chunks(message, reason, faults)
        if (asked and "usage-asked" not in faults) or "usage-unasked" in faults:
            chunks.append(_chunk([], usage=usage))
        if "chunk-fields" in faults:
            chunks[-1]["id"] = "b"
        if "choices" in faults:
            chunks.insert(1, {name: value for name, value in chunks[0].items() if name != "choices"})
        begin = b"data:" if "framing" in faults else b"data: "
        events = b"".join(begin + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        kind = "application/json" if "event-stream" in faults else "text/event-stream"
        content = b": hello\n\n" + events + (b"" if "done" in faults else b"data: [DONE]\n\n")
        if body.get("max_tokens", 0) > 512:  # as a long answer, of which the rest is still to be written
            self._write(200, kind, content[:40], length=len(content))
            self.rfile.read()  # until the client leaves
            self.server.was_left = True
        else:
            self._write(200, kind, content)

    def _send(self, status: int, value: object) -> None:
        self._write(status, "application/json", json.dumps(value).encode())

    def _write(self, status: int, kind: str, content: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


def _problem(content: bytes) -> str:
    """Why a request cannot be answered, or ""."""
    try:
        body = json.loads(content)
    except ValueError:
        return "no JSON"
    messages = body.get("messages")
    roles = {"developer", "user", "assistant", "tool"}
    if not isinstance(messages, list) or not {message["role"] for message in messages} <= roles:
        return "bad messages"
    if content.count(b" ") > _CONTEXT_LENGTH:
        return "the prompt is too long"
    if "hot" in body.values() or "many" in body.values():
        return "not a number"
    if body.get("stream_options") and not body.get("stream"):
        return "stream_options without stream"
    return "tool_choice without tools" if body.get("tool_choice") and not body.get("tools") else ""


def _refuses(faults: set[str], body: dict[str, Any]) -> bool:
    """Whether a server with these faults refuses a request that is right."""
    roles = [message["role"] for message in body["messages"]]
    breaks: dict[str, bool] = {
        "tool-results": roles[-1] == "tool",
        "history": roles[0] == "developer",
        "unknown-fields": "store" in body,
        "null-fields": "seed" in body,
    }
    return any(breaks[fault] for fault in faults & breaks.keys())


def _message(body: dict[str, Any], faults: set[str]) -> tuple[dict[str, Any], str]:
    message: dict[str, Any] = {"role": "assistant", "content": _TEXT, "reasoning_content": _THOUGHT}
    choice = body.get("tool_choice")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    calls = _calls(body, faults) if body.get("tools") and body["messages"][-1]["role"] != "tool" else []
    if (choice == "none" and "tool-choice-none" not in faults) or (
        choice == "required" and "tool-choice-required" in faults
    ):
        calls = []
    if limit is not None and limit <= 3:
        return message | {"content": _TEXT[:6]}, "stop" if "max-tokens" in faults else "length"
    if "not-as-text" in faults and calls:
        return message | {"content": f"<tool_call>{calls[0]['function']['name']}"}, "stop"
    if calls:
        content = "" if "content-null" in faults else None
        return message | {
            "content": content,
            "tool_calls": calls,
        }, "stop" if "finish-reason" in faults else "tool_calls"
    if body.get("stop") and "stop-strings" not in faults:
        message["content"] = _TEXT.partition(body["stop"][0])[0]
    if "same-answer" in faults and body.get("stream"):
        message["content"] += "\n"
    return message, "stop"


def _calls(body: dict[str, Any], faults: set[str]) -> list[dict[str, Any]]:
    named = isinstance(body.get("tool_choice"), dict) and "tool-choice-named" not in faults
    calls = [("add", '{"a": 1, "b": 2}')] if named else [("get_weather", '{"city": "Paris"}')]
    if "London" in json.dumps(body["messages"]) and (body.get("parallel_tool_calls", True) or "parallel-off" in faults):
        calls.append(("get_weather", '{"city": "London"}'))
    found = []
    for number, (name, arguments) in enumerate(calls):
        text = arguments[:-1] if "call-arguments" in faults else arguments
        call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": text}}
        found.append(call | ({"index": number} if "call" in faults and not body.get("stream") else {}))
    return found


def _chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    fields = {"id": "a", "object": "chat.completion.chunk", "created": 7, "model": "glm", "choices": choices}
    return fields | more


def _chunks(message: dict[str, Any], reason: str, faults: set[str]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"reasoning_content": _THOUGHT}]
    if message["content"]:
        deltas += [{"content": message["content"][:4]}, {"content": message["content"][4:]}]
    for index, call in enumerate(message.get("tool_calls", ())):
        place = 1 - index if "call-index" in faults else index
        ids = "call_0" if "call-ids" in faults else call["id"]
        function = call["function"]
        first = call | {
            "index": place,
            "id": "" if "call-start" in faults else ids,
            "function": function | {"arguments": ""},
        }
        rest = {"index": place, "function": {"arguments": function["arguments"]}}
        deltas.append({"tool_calls": [first]})
        deltas.append({"tool_calls": [rest | ({"type": None} if "call-fragments" in faults else {})]})
        if "no-filler" in faults:
            deltas.append({"content": ""})
    if "role-once" in faults:
        deltas[1]["role"] = "assistant"
    if "thoughts-apart" in faults:
        deltas.append(deltas.pop(1))
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if "finish-once" in faults:
        choices[0]["finish_reason"] = reason
    if "finish-alone" in faults:
        choices.append({"index": 0, "delta": choices.pop()["delta"], "finish_reason": reason})
    else:
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    return [_chunk([choice]) for choice in choices]
