"""Clients that stream answers from a server all at once, and their figures."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

from .servers import Server, ServerFailed

POLLS_A_SECOND = 20
_LONGEST_RETRY_S = 5.0
_WORDS = (
    *("weather", "train", "report", "city", "price", "order", "ticket", "market"),
    *("music", "garden", "letter", "window", "doctor", "number", "winter", "summer"),
)


@dataclass(frozen=True)
class Answer:
    """One streamed answer, in seconds since the request was first sent, and in tokens as the server counts them.

    `complete`: it has ``max_tokens`` tokens.
    """

    first_s: float
    last_s: float
    tokens: int
    refusals: int
    complete: bool


@dataclass(frozen=True)
class Load:
    """A number of clients at once. `health_s` is the longest time that ``/health`` took meanwhile."""

    answers: list[Answer]
    seconds: float
    health_s: float

    def figures(self) -> dict[str, float]:
        """By the keys of the report."""
        firsts = [answer.first_s for answer in self.answers]
        speeds = [answer.tokens / answer.last_s for answer in self.answers]
        return {
            "first": statistics.median(firsts),
            "worst": max(firsts),
            "all": sum(answer.tokens for answer in self.answers) / self.seconds,
            "each": statistics.median(speeds),
            "health": 1000 * self.health_s,
            "refused": sum(answer.refusals for answer in self.answers),
        }


def tool_prompt(tools: int, salt: str = "") -> str:
    """A system message that describes some tools, the same each time but for the salt in front."""
    draw = random.Random(0)
    lines = []
    for number in range(tools):
        words = draw.sample(_WORDS, 3)
        properties = {name: {"type": "string", "description": f"the {name} to look for"} for name in words}
        lines.append(
            json.dumps(
                {
                    "name": f"find_{words[0]}_{number}",
                    "description": f"Finds a {words[0]} by its {words[1]} and its {words[2]}.",
                    "parameters": {"type": "object", "properties": properties, "required": words[:1]},
                }
            )
        )
    return f"{salt}Answer as best you can. You have these tools:\n" + "\n".join(lines)


def question(seed: str) -> str:
    """A client's own question: some words, which differ from the first one on."""
    draw = random.Random(seed)
    return " ".join(draw.choices(_WORDS, k=16))


def run_clients(server: Server, system: str, questions: list[str], max_tokens: int) -> Load:
    """Sends a question from each client at once, and waits for all answers. Raises: ServerFailed."""
    body = {
        "model": server.model,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **server.extra,
    }
    with _Poller(server) as poller:
        started = time.perf_counter()
        try:
            answers = asyncio.run(_ask_all(server, body, system, questions))
        except httpx.HTTPError as error:
            raise ServerFailed(f"{server.name}: {type(error).__name__}: {error}") from None
        seconds = time.perf_counter() - started
    return Load(answers, seconds, poller.longest_s)


def messages(system: str, text: str) -> list[dict[str, str]]:
    """A conversation of one question."""
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


async def _ask_all(server: Server, body: dict[str, Any], system: str, questions: list[str]) -> list[Answer]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=None, limits=limits) as client:  # noqa: S113
        bodies = [body | {"messages": messages(system, text)} for text in questions]
        return list(await asyncio.gather(*(_ask(client, server, one) for one in bodies)))


async def _ask(client: httpx.AsyncClient, server: Server, body: dict[str, Any]) -> Answer:
    """One answer. A full server is asked again after the time that it names, which counts."""
    started = time.perf_counter()
    refusals = 0
    while True:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code == 200:
                return await _read(response, server, started, refusals, body["max_tokens"])
            text = (await response.aread()).decode(errors="replace")
            if response.status_code != 429:
                raise ServerFailed(f"{server.name}: status {response.status_code}: {text[:300]}")
        refusals += 1
        after = response.headers.get("retry-after", "1")
        await asyncio.sleep(min(float(after) if after.isdecimal() else 1.0, _LONGEST_RETRY_S))


async def _read(response: httpx.Response, server: Server, started: float, refusals: int, max_tokens: int) -> Answer:
    first = last = 0.0
    usage: dict[str, int] = {}
    finish = ""
    async for line in response.aiter_lines():
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise ServerFailed(f"{server.name}: {str(chunk['error'])[:300]}")
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            if any(value for name, value in choice["delta"].items() if name != "role"):
                last = time.perf_counter() - started
                first = first or last
            finish = choice.get("finish_reason") or finish
    complete = finish == "length"
    if not usage and not complete:
        raise ServerFailed(f"{server.name}: an answer ended early, and its stream has no usage: its length is unknown")
    tokens = usage.get("completion_tokens", max_tokens)  # without usage: it ended for its length
    if not first:
        raise ServerFailed(f"{server.name}: an answer of {tokens} tokens has no text")
    return Answer(first, last, tokens, refusals, complete)


class _Poller:
    """Asks for the server's state on a thread of its own, and keeps the longest time that it took."""

    def __init__(self, server: Server) -> None:
        self._url = server.url + "/health"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.longest_s = 0.0

    def __enter__(self) -> _Poller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        with httpx.Client(timeout=600) as client:
            while True:
                started = time.perf_counter()
                try:
                    client.get(self._url)
                except httpx.HTTPError:
                    return  # the clients report the fault
                self.longest_s = max(self.longest_s, time.perf_counter() - started)
                if self._stop.wait(max(0.0, 1 / POLLS_A_SECOND - (time.perf_counter() - started))):
                    return
