#!/usr/bin/env python3
"""The server's estimates of a wait, against the waits that came.

    python scripts/bench_queue.py [--model FILE] [--parallel N] [--requests N]

Starts a server, has it answer a few requests by which it learns this machine's speed, and then sends a queue of
requests: short prompts and long ones, some with a beginning that is in the cache, answers of 20 to 160 tokens. Between
them, probes: a GET /health reads `estimated_wait_s`, and a request for one token, sent at once, measures the wait. All
requests of a round are in the queue before the first probe, but for those that a probe itself adds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import threading
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark.report import render  # noqa: E402
from benchmark.servers import Server, ServerFailed, ours  # noqa: E402

_PROBES = 8
_TOOL = "A tool reads a file by its path and gives the lines that were asked for, with their numbers. "


class Client(threading.Thread):
    """One request, and the seconds until its first text came."""

    def __init__(self, server: Server, text: str, tokens: int) -> None:
        super().__init__()
        self._url = f"{server.url}/v1/chat/completions"
        message = {"role": "user", "content": text}
        self._body = {"messages": [message], "max_tokens": tokens, "ignore_eos": True, "stream": True}
        self.waited = float("nan")
        self.start()

    def run(self) -> None:
        sent = time.perf_counter()
        with httpx.stream("POST", self._url, json=self._body, timeout=600) as response:
            for line in response.iter_lines():
                if line.startswith("data: {") and self.waited != self.waited:
                    self.waited = time.perf_counter() - sent if '"finish_reason":null' not in line else self.waited
                    if '"content":' in line and '"content":""' not in line:
                        self.waited = time.perf_counter() - sent


def mixed(server: Server, count: int, rng: random.Random) -> list[Client]:
    """Requests of all kinds, in an order of their own."""
    clients = []
    for number in range(count):
        new = " ".join(str(rng.randrange(10_000)) for _ in range(rng.choice((5, 20, 200))))
        text = _TOOL * 10 + new if number % 3 == 0 else new
        clients.append(Client(server, text, rng.choice((20, 60, 160))))
        time.sleep(0.02)
    return clients


def _queue(server: Server) -> dict[str, int]:
    """Requests that run, and that wait."""
    queue = httpx.get(f"{server.url}/health").json()["queue"]
    return {"running": queue["running"], "waiting": queue["waiting"]}


def main() -> int:
    """Exit status 0, or 1 if the server failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--parallel", default="1,2,4", help="numbers of sequences at once (1,2,4)")
    parser.add_argument("--requests", type=int, default=12, help="requests in the queue (12)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    rows = [["parallel", "estimated / came, s", "ratio: median", "range"]]
    try:
        for parallel in options.parallel.split(","):
            words = ["--model", options.model, "--parallel", parallel, "--kv-disk-mb", "0", "--context-length", "4096"]
            with ours(words, {}) as server:
                rng = random.Random(options.seed)
                for client in mixed(server, 6, rng):
                    client.join()
                clients = mixed(server, options.requests, rng)
                while sum(_queue(server).values()) < options.requests and all(client.is_alive() for client in clients):
                    time.sleep(0.02)
                probes = []
                for _ in range(_PROBES):
                    estimate = httpx.get(f"{server.url}/health").json()["estimated_wait_s"]
                    probes.append((estimate, Client(server, str(rng.random()), 1)))
                    time.sleep(max(0.05, estimate / _PROBES))
                for client in (*clients, *(client for _, client in probes)):
                    client.join()
            pairs = [(estimate, client.waited) for estimate, client in probes]
            ratios = [estimate / waited for estimate, waited in pairs]
            print(f"--parallel {parallel}: {pairs}", file=sys.stderr, flush=True)
            shown = ", ".join(f"{estimate:.1f} / {waited:.1f}" for estimate, waited in pairs)
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            rows.append([parallel, shown, f"{statistics.median(ratios):.2f}", spread])
    except ServerFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(render(rows, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
