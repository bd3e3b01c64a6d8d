#!/usr/bin/env python3
"""What routing by prefixes gains, and what the way through Ray Serve costs.

    python scripts/bench_cluster.py

Needs the extra ray. Conversations of several turns, --clients at a time, are held with --replicas replicas of a model:
once with this server's router and once with Ray Serve's own, which takes the less busy one of two replicas. Each
replica computes on --threads CPUs. Then the same conversations are held with one server without Ray. Figures are:

cached     share of the turns after the first whose prompt found all of the last turn's prompt in the KV cache
read       share of the tokens of all prompts that had to be read
first      seconds to the first token of a turn, median and the slowest of twenty
turns/s    turns of all clients in a second

and, from one client alone, the tokens a second of an answer, and the seconds to its first token.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import httpx  # noqa: E402
from benchmark import machine  # noqa: E402
from benchmark.report import number, render  # noqa: E402
from benchmark.servers import ServerFailed, ours  # noqa: E402

_START_S = 600
_QUEUE = 32
_POWER_OF_TWO = "ray.serve._private.request_router.PowerOfTwoChoicesRequestRouter"
_WORDS = ("ask", "say", "city", "river", "name", "day", "year", "house", "road", "water", "light", "time", "people")


@dataclass(frozen=True)
class Turn:
    """One answer: tokens of its prompt, those of them that were cached, and times in seconds."""

    prompt: int
    cached: int
    before: int
    first: float
    whole: float
    written: int


def main() -> int:
    """Exit status 0, 1 if a server failed, 130 if interrupted."""
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sides = {}
        words = {"model": options.model, "threads": options.threads, "kv_disk_mb": 0}
        for side, router in (("by prefix", None), ("power of two", _POWER_OF_TWO)):
            with cluster(words | {"replicas": options.replicas}, router) as url:
                sides[side] = measure(url, options)
        with ours([f"--{name.replace('_', '-')}={value}" for name, value in words.items()], {}) as server:
            sides["one server"] = measure(server.url, options)
    except (ServerFailed, OSError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    for line in machine.describe(machine.usable_cpus()):
        print(line)
    print(render(table(sides), options.markdown))
    return 0


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="demo")
    add("--replicas", type=int, default=2, help="replicas (2)")
    add("--threads", type=int, default=1, help="CPUs of each replica (1)")
    add("--conversations", type=int, default=20, help="conversations (20)")
    add("--turns", type=int, default=10, help="turns of each (10)")
    add("--clients", type=int, default=4, help="conversations at a time (4)")
    add("--tokens", type=int, default=24, help="tokens of an answer at most (24)")
    add("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


@contextmanager
def cluster(words: dict[str, Any], router: str | None) -> Iterator[str]:
    """``serve run`` on a free port, with another router of Ray's if one is named. Raises: ServerFailed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    application: dict[str, Any] = {"name": "default", "import_path": "chatglm_server.cluster:app", "args": words}
    if router is not None:
        application["deployments"] = [{"name": "Replica", "request_router_config": {"request_router_class": router}}]
    http = {"host": "127.0.0.1", "port": port}
    config = {"proxy_location": "HeadOnly", "http_options": http, "applications": [application]}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "cluster.yaml"
        path.write_text(json.dumps(config))
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.serve.scripts", "run", str(path)],
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"},
            )
            try:
                url = f"http://127.0.0.1:{port}"
                wait(url, process, words["replicas"] * _QUEUE)
                yield url
            finally:
                process.terminate()
                process.wait(120)


def wait(url: str, process: subprocess.Popen[bytes], most: int) -> None:
    """Until all replicas are counted in the queue. Raises: ServerFailed."""
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=10).json()["queue"]["max"] == most:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(0.2)
    raise ServerFailed(f"serve run was not ready after {_START_S} s, or has ended")


def measure(url: str, options: argparse.Namespace) -> dict[str, str]:
    """The figures of one side."""
    with httpx.Client(base_url=url, timeout=600) as client:
        ask(client, [user("Hello")], options.tokens, 0)
        began = time.perf_counter()
        with ThreadPoolExecutor(options.clients) as pool:
            held = pool.map(lambda seed: converse(client, seed, options), range(options.conversations))
            turns = [turn for conversation in held for turn in conversation]
        seconds = time.perf_counter() - began
        alone = [ask(client, [user(f"Begin {seed}.")], 400, 0, ignore_eos=True) for seed in range(5)]
    later = [turn for turn in turns if turn.before]
    firsts = [turn.first for turn in turns]
    return {
        "cached": f"{100 * sum(turn.cached >= turn.before for turn in later) / len(later):.1f}%",
        "read": f"{100 * (1 - sum(turn.cached for turn in turns) / sum(turn.prompt for turn in turns)):.1f}%",
        "first, s": f"{number(median(firsts))} ({number(quantiles(firsts, n=20)[-1])})",
        "turns/s": number(len(turns) / seconds),
        "alone: tokens/s": number(median((turn.written - 1) / (turn.whole - turn.first) for turn in alone)),
        "alone: first, s": number(median(turn.first for turn in alone)),
    }


def converse(client: httpx.Client, seed: int, options: argparse.Namespace) -> list[Turn]:
    """A conversation whose questions are drawn from `seed`."""
    draw = random.Random(seed)
    messages: list[dict[str, str]] = []
    turns: list[Turn] = []
    for _ in range(options.turns):
        messages.append(user(" ".join(draw.choices(_WORDS, k=30)) + f" {draw.randrange(10_000)}?"))
        turns.append(ask(client, messages, options.tokens, turns[-1].prompt if turns else 0))
    return turns


def ask(
    client: httpx.Client, messages: list[dict[str, str]], tokens: int, before: int, *, ignore_eos: bool = False
) -> Turn:
    """One turn. Mutates `messages`: the answer is added."""
    body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": ignore_eos}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    sent, first, text = time.perf_counter(), 0.0, ""
    usage: dict[str, Any] = {}
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    if choice["delta"].get("content"):
                        first = first or time.perf_counter() - sent
                        text += choice["delta"]["content"]
    whole = time.perf_counter() - sent
    messages.append({"role": "assistant", "content": text})
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return Turn(usage["prompt_tokens"], cached, before, first or whole, whole, usage["completion_tokens"])


def user(text: str) -> dict[str, str]:
    """A user's message."""
    return {"role": "user", "content": text}


def table(sides: dict[str, dict[str, str]]) -> list[list[str]]:
    """A row a figure, a column a side."""
    names = list(next(iter(sides.values())))
    return [["", *sides], *([name, *(figures[name] for figures in sides.values())] for name in names)]


if __name__ == "__main__":
    sys.exit(main())
