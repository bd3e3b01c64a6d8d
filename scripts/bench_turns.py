#!/usr/bin/env python3
"""How many tokens a turn of an agent reads, by API and by what its client does to the answers that it sends back.

    python scripts/bench_turns.py

A client sends 12 tools and a page of instructions, and goes through --turns turns of a loop: the model thinks, writes a
text and calls a tool, and the client sends all of it back with the tool's result. The model is small and random, with
GLM-4.7's format and a vocabulary of single letters. The server is the real one. Only what the model says comes from a
script, as the format allows it, but not as its layout would write it (scripts/benchmark/scripted_server.py). Figures
are those of GET /metrics before and after each request:

prompt     tokens of the last turn's prompt
added      tokens that a turn adds to the conversation: the result, and the marks around it
read       tokens of a turn's prompt that were not in the KV cache, from the second turn on
cached     the share of all prompts' tokens that was
rendered   what is read by a server that does not know its answers again and reads them as the client writes them; with
           chat completions, for two of the clients

Of all turns these are the median and, in brackets, the most.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import httpx  # noqa: E402
from benchmark import machine  # noqa: E402
from benchmark.servers import Server, ServerFailed, ours  # noqa: E402
from benchmark.tool_loops import DIALECTS, HABITS, INSTRUCTIONS, Chat, Habit, Json, result  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from chatglm_server.decoding.snapshots import folder as blocks  # noqa: E402
from chatglm_server.decoding.snapshots.blocks import BLOCK  # noqa: E402
from tests.random_gguf import GLM4_0414, write_random_gguf  # noqa: E402

_SERVER = "scripts.benchmark.scripted_server"
_FORMAT, _FORGETS = "glm47", "TURNS_FORGETS"
_WAIT_S = 60
_RENDERED = (HABITS[0], HABITS[-1])
_TITLE = "Write a title of at most six words for what the user asks. " * 20


@dataclass(frozen=True)
class Read:
    """Tokens of a request: of its prompt, those of them that were cached, and those of the answer."""

    prompt: int = 0
    cached: int = 0
    written: int = 0


class Meter:
    """What a server has counted, request by request."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(base_url=server.url, timeout=600)
        self._before = self._counted()

    def post(self, path: str, body: Json) -> tuple[Json, Read]:
        """The answer, and what it took. Raises: ServerFailed."""
        response = self._client.post(path, json=body)
        if not response.is_success:
            raise ServerFailed(f"{path}: status {response.status_code}: {response.text[:300]}")
        answer: Json = response.json()
        return answer, self.lap()

    def lap(self) -> Read:
        """What was counted since the last time, once a request more is."""
        requests, *before = self._before
        while (now := self._counted())[0] == requests:
            time.sleep(0.002)
        self._before = now
        return Read(*(int(after - count) for after, count in zip(now[1:], before, strict=True)))

    def _counted(self) -> tuple[float, ...]:
        """Requests, tokens of prompts, those of them that were cached, and tokens of answers."""
        counted = dict.fromkeys(("requests", "prompt_tokens", "prompt_tokens_cached", "generated_tokens"), 0.0)
        for family in text_string_to_metric_families(self._client.get("/metrics").text):
            name = family.name.removeprefix("chatglm_")
            if name in counted:
                counted[name] = sum(one.value for one in family.samples if one.name.endswith("_total"))
        return tuple(counted.values())


def main() -> int:
    """Exit status 0, 1 if a server failed or an answer was not understood, 130 if interrupted."""
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped
    try:
        with tempfile.TemporaryDirectory(prefix="chatglm-turns-") as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            shape = replace(GLM4_0414, layers=1, heads=2, kv_heads=1, context=32_768)
            bench(options, write_random_gguf(Path(folder) / "random.gguf", shape, vocabulary=_FORMAT))
    except (ServerFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=30, help="turns of each conversation (30)")
    parser.add_argument("--conversations", type=int, help="only so many of all pairs of an API and a client")
    return parser.parse_args()


def bench(options: argparse.Namespace, model: Path) -> None:
    """Take all figures, and print them. Raises: ServerFailed."""
    for line in machine.describe(machine.usable_cpus()):
        print(line)
    pairs = [(dialect, habit) for dialect, habit in product(DIALECTS, HABITS) if dialect.can(habit)]
    with served(model, "--kv-disk-mb", "0") as server:
        known = {
            (dialect, habit): loop(Meter(server), dialect(habit), options.turns)
            for dialect, habit in pairs[: options.conversations]
        }
        others = [*interleaved(Meter(server), options.turns), broken_off(server)]
    with served(model, "--kv-disk-mb", "0", forgets=True) as server:
        asked = [habit for habit in _RENDERED if (Chat, habit) in known]
        rendered = {habit: loop(Meter(server), Chat(habit), options.turns) for habit in asked}
    others.append(restarted(model, options.turns))
    lengths = [turns[-1].prompt for turns in known.values()]
    new = [tokens for turns in known.values() for tokens in added(turns)]
    print(f"prompts of {options.turns} turns: {min(lengths):,}-{max(lengths):,} tokens; added by a turn: {spread(new)}")
    print(f"\n| read by a turn | {' | '.join(dialect.name for dialect in DIALECTS)} | rendered |")
    print(f"|---|{'---:|' * len(DIALECTS)}---:|")
    for habit in HABITS:
        cells = [read(known[dialect, habit]) if (dialect, habit) in known else "" for dialect in DIALECTS]
        print(f"| {habit.name} | {' | '.join(cells)} | {read(rendered[habit]) if habit in rendered else ''} |")
    print("\n| | prompt | added | read | cached |")
    print("|---|---:|---:|---:|---:|")
    for name, turns in others:
        share = sum(turn.cached for turn in turns) / sum(turn.prompt for turn in turns)
        print(f"| {name} | {turns[-1].prompt:,} | {spread(added(turns))} | {read(turns)} | {100 * share:.1f}% |")


@contextmanager
def served(model: Path, *words: str, forgets: bool = False) -> Iterator[Server]:
    """A server whose model says what is in the script. Raises: ServerFailed."""
    os.environ.pop(_FORGETS, None)
    if forgets:
        os.environ[_FORGETS] = "1"
    options = ["--model", str(model), "--engine", "scripted", "--chat-format", _FORMAT, "--keep-alive-s", "0.2"]
    with ours([*options, "--tool-grammar", "off", "--speculation", "off", *words], {}, _SERVER) as server:
        yield server


def loop(meter: Meter, conversation: Chat, turns: int, first: int = 0) -> list[Read]:
    """Turns of a conversation, from the turn `first` on. Raises: ServerFailed."""
    reads = []
    for turn in range(first, first + turns):
        answer, taken = meter.post(conversation.path, conversation.body())
        reads.append(taken)
        if conversation.go_on(answer, result(turn)) != f"pages/{turn}":
            raise ServerFailed(f"{conversation.path}: another call than that of turn {turn}: {answer}")
    return reads


def interleaved(meter: Meter, turns: int) -> list[tuple[str, list[Read]]]:
    """An agent's conversation, and between its turns a title by another prompt, and a summary of all."""
    main, titles, summaries = list[Read](), list[Read](), list[Read]()
    conversation = Chat(Habit("drops thoughts", keeps_thoughts=False), "For three. " + INSTRUCTIONS)
    for turn in range(turns):
        main += loop(meter, conversation, 1, turn)
        title = {"messages": [{"role": "system", "content": _TITLE}, {"role": "user", "content": f"Page {turn}?"}]}
        titles.append(meter.post(Chat.path, title | {"max_tokens": 16})[1])
        summary = conversation.body()
        summary["messages"].append({"role": "user", "content": "Sum up what was done."})
        summaries.append(meter.post(Chat.path, summary | {"max_tokens": 16})[1])
    return [("an agent's turns", main), ("a title after each", titles), ("a summary after each", summaries)]


def broken_off(server: Server) -> tuple[str, list[Read]]:
    """A prompt whose client leaves while it is read, and its retry."""
    conversation = Chat(HABITS[0], "Not yet known. " + 2 * INSTRUCTIONS)
    meter = Meter(server)
    with httpx.stream("POST", server.url + Chat.path, json=conversation.body() | {"stream": True}, timeout=60) as left:
        next(line for line in left.iter_lines() if line.startswith(": reading a prompt"))
    meter.lap()
    return "the retry of a prompt whose client left", loop(meter, conversation, 1)


def restarted(model: Path, turns: int) -> tuple[str, list[Read]]:
    """A conversation in whose middle the server is stopped and started again, with prompts on disk."""
    conversation = Chat(Habit("drops thoughts", keeps_thoughts=False), "On disk. " + INSTRUCTIONS)
    with served(model, "--kv-disk-after-s", "0") as server:
        before = loop(Meter(server), conversation, turns // 2)
        wait_for_blocks(before[-1].prompt // BLOCK)
    with served(model, "--kv-disk-after-s", "0") as server:
        after = loop(Meter(server), conversation, turns - turns // 2, turns // 2)
    return "an agent's turns, the server started again between", [before[-1], *after]


def wait_for_blocks(count: int) -> None:
    """Raises: ServerFailed if the blocks of a prompt are not on disk in time."""
    deadline = time.monotonic() + _WAIT_S
    while sum(1 for _ in blocks.stored_files(blocks.default_folder())) < count:
        if time.monotonic() > deadline:
            raise ServerFailed(f"there are not {count} blocks on disk after {_WAIT_S} s")
        time.sleep(0.1)


def added(turns: Sequence[Read]) -> list[int]:
    """Tokens that each turn but the first adds to the conversation, or the only one."""
    between = [turn.prompt - last.prompt - last.written for last, turn in pairwise(turns)]
    return [max(0, tokens) for tokens in between] or [turns[0].prompt]


def read(turns: Sequence[Read]) -> str:
    """Tokens that a turn reads, from the second on, or the only one."""
    return spread([turn.prompt - turn.cached for turn in turns[1:] or turns])


def spread(values: Sequence[int]) -> str:
    """The median, and the most."""
    return f"{median(values):,.0f} ({max(values):,})"


if __name__ == "__main__":
    sys.exit(main())
