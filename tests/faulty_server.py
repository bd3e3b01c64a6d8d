"""An OpenAI-compatible server on a real socket that answers at once, and breaks one rule of the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TEXT = "I am a server of a test, and I say this to everyone."
_THOUGHT = "They ask me something."


class FaultyServer(ThreadingHTTPServer):
    """Breaks the rule `fault`; none if that is "". "silent": never answers a chat. "garbage": answers with bytes.
    "key": wants the key a-key.
    """

    daemon_threads = True

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.was_left = False
        self.asked = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""


@contextmanager
def faulty_server(fault: str) -> Iterator[FaultyServer]:
    with FaultyServer(fault) as server:
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
        if self.server.fault == "key" and self.headers["Authorization"] != "Bearer a-key":
            self._send(401, {"error": {"message": "no key"}})
            return
        model = {"id": "glm", "object": "model", "created": 7, "owned_by": "test"}
        self._send(200, {"object": "models" if self.server.fault == "models-list" else "list", "data": [model]})

    def do_POST(self) -> None:
        fault = self.server.fault
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        if fault == "silent":
            self.server.closing.wait(60)
            return
        if fault == "garbage":
            self._write(200, "text/event-stream", b'data: [[[[\xff\r\rdata: {"choices": [[7]], "id": {}}\n\n\x1b[2J')
            return
        if fault == "disconnect" and self.server.was_left:
            return
        problem = _problem(content)
        if problem and fault == "error-first" and b'"stream": true' in content:
            self._send(200, {})
        elif problem:
            error = {"message": problem, "type": "invalid_request_error", "param": None, "code": None}
            status = 500 if fault == "error-status" else 400
            self._send(status, {"detail": problem} if fault == "error-shape" else {"error": error})
        elif _refuses(fault, json.loads(content)):
            self._send(400, {"error": {"message": fault}})
        else:
            self._answer(json.loads(content))

    def _answer(self, body: dict[str, Any]) -> None:
        fault = self.server.fault
        message, reason = _message(body, fault)
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9 if fault == "usage" else 8}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {"id": "a", "object": "chat.completion", "created": 7, "model": "glm", "choices": [choice]}
            if fault == "whole-answer":
                del whole["created"]
            self._send(200, whole | {"usage": usage})
            return
        asked = bool(body.get("stream_options"))
        chunks = _chunks(message, reason, fault)
        if (asked and fault != "usage-asked") or fault == "usage-unasked":
            chunks.append(_chunk([], usage=usage))
        if fault == "chunk-fields":
            chunks[-1]["id"] = "b"
        if fault == "choices":
            chunks.insert(1, {name: value for name, value in chunks[0].items() if name != "choices"})
        begin = b"data:" if fault == "framing" else b"data: "
        events = b"".join(begin + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        kind = "application/json" if fault == "event-stream" else "text/event-stream"
        content = b": hello\n\n" + events + (b"" if fault == "done" else b"data: [DONE]\n\n")
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
    if "hot" in body.values() or "many" in body.values():
        return "not a number"
    if body.get("stream_options") and not body.get("stream"):
        return "stream_options without stream"
    return "tool_choice without tools" if body.get("tool_choice") and not body.get("tools") else ""


def _refuses(fault: str, body: dict[str, Any]) -> bool:
    """Whether a server with this fault refuses a request that is right."""
    roles = [message["role"] for message in body["messages"]]
    breaks: dict[str, bool] = {
        "tool-results": roles[-1] == "tool",
        "history": roles[0] == "developer",
        "unknown-fields": "store" in body,
        "null-fields": "seed" in body,
    }
    return breaks.get(fault, False)


def _message(body: dict[str, Any], fault: str) -> tuple[dict[str, Any], str]:
    message: dict[str, Any] = {"role": "assistant", "content": _TEXT, "reasoning_content": _THOUGHT}
    choice = body.get("tool_choice")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    calls = _calls(body, fault) if body.get("tools") and body["messages"][-1]["role"] != "tool" else []
    if (choice == "none" and fault != "tool-choice-none") or (choice == "required" and fault == "tool-choice-required"):
        calls = []
    if limit is not None and limit <= 3:
        return message | {"content": _TEXT[:6]}, "stop" if fault == "max-tokens" else "length"
    if fault == "not-as-text" and calls:
        return message | {"content": f"<tool_call>{calls[0]['function']['name']}"}, "stop"
    if calls:
        content = "" if fault == "content-null" else None
        return message | {"content": content, "tool_calls": calls}, "stop" if fault == "finish-reason" else "tool_calls"
    if body.get("stop") and fault != "stop-strings":
        message["content"] = _TEXT.partition(body["stop"][0])[0]
    if fault == "same-answer" and body.get("stream"):
        message["content"] += "\n"
    return message, "stop"


def _calls(body: dict[str, Any], fault: str) -> list[dict[str, Any]]:
    named = isinstance(body.get("tool_choice"), dict) and fault != "tool-choice-named"
    calls = [("add", '{"a": 1, "b": 2}')] if named else [("get_weather", '{"city": "Paris"}')]
    if "London" in json.dumps(body["messages"]) and (body.get("parallel_tool_calls", True) or fault == "parallel-off"):
        calls.append(("get_weather", '{"city": "London"}'))
    found = []
    for number, (name, arguments) in enumerate(calls):
        text = arguments[:-1] if fault == "call-arguments" else arguments
        call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": text}}
        found.append(call | ({"index": number} if fault == "call" and not body.get("stream") else {}))
    return found


def _chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    fields = {"id": "a", "object": "chat.completion.chunk", "created": 7, "model": "glm", "choices": choices}
    return fields | more


def _chunks(message: dict[str, Any], reason: str, fault: str) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"reasoning_content": _THOUGHT}]
    if message["content"]:
        deltas += [{"content": message["content"][:4]}, {"content": message["content"][4:]}]
    for index, call in enumerate(message.get("tool_calls", ())):
        place = 1 - index if fault == "call-index" else index
        ids = {"call-ids": "call_0", "call-start": ""}
        function = call["function"]
        first = call | {"index": place, "id": ids.get(fault, call["id"]), "function": function | {"arguments": ""}}
        rest = {"index": place, "function": {"arguments": function["arguments"]}}
        deltas.append({"tool_calls": [first]})
        deltas.append({"tool_calls": [rest | ({"type": None} if fault == "call-fragments" else {})]})
        if fault == "no-filler":
            deltas.append({"content": ""})
    if fault == "role-once":
        deltas[1]["role"] = "assistant"
    if fault == "thoughts-apart":
        deltas.append(deltas.pop(1))
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if fault == "finish-once":
        choices[0]["finish_reason"] = reason
    if fault == "finish-alone":
        choices.append({"index": 0, "delta": choices.pop()["delta"], "finish_reason": reason})
    else:
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    return [_chunk([choice]) for choice in choices]
