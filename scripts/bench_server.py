#!/usr/bin/env python3
"""How fast the server is, end to end over HTTP, with 1, 4 and 16 clients at once.

    python scripts/bench_server.py [--model FILE.bin] [--llama-cpp FILE.gguf]

--model starts a server of this project. --llama-cpp starts llama-cpp-python's own server as its peer, with the same
threads, and with the same weights if the file is the copy that scripts/bench.py writes. --url measures any other
OpenAI-compatible server that is running.

All clients send a streaming request at once. Their prompts share a system message that describes tools as text, so that
every server reads the same; the question after it differs from client to client and from round to round. One request
before the rounds lets a server cache the shared prefix. In "cold" a single client's system message is new from its
first word on. Answers are greedy and, by ignore_eos, all of --tokens tokens; llama-cpp-python's server does not know
that field and gets min_tokens instead.

Several servers take turns: each serves a number of clients before the next number begins, and the order is reversed
from round to round. Figures are medians of the rounds, with their range:

start            from the start of the server's process to its first answer, of one token; once.
first token      seconds from sending a request to the first text of its answer: the median and the worst client's.
tokens in all    all answers' tokens, as the server's usage counts them, over the time from the first request to the end
                 of the last answer, so with the time for reading the prompts. If streams have no usage, an answer that
                 ended for its length counts as --tokens.
for a client     its own tokens over the time from its request to its last text; the median of the clients.
state            the longest that GET /health took, asked 20 times a second meanwhile; for a server without that path,
                 the longest that its error took.
refusals         answers with status 429; such a client waits as long as the answer says and asks again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark import machine  # noqa: E402
from benchmark.clients import Load, messages, question, run_clients, tool_prompt  # noqa: E402
from benchmark.measures import Figure  # noqa: E402
from benchmark.report import Results, render  # noqa: E402
from benchmark.servers import Server, ServerFailed, connect, llama_cpp, ours, prompt_tokens  # noqa: E402

FIGURES = {
    "first": Figure("first token, median", "s", -1),
    "worst": Figure("first token, worst", "s", -1),
    "all": Figure("tokens in all", "tok/s", 1),
    "each": Figure("tokens for a client", "tok/s", 1),
    "health": Figure("state, worst", "ms", -1),
    "refused": Figure("refusals", "", 0),
}


class Bench:
    """Servers under load, round by round."""

    def __init__(self, servers: Sequence[Server], options: argparse.Namespace) -> None:
        self._servers = servers
        self._options = options
        self._system = tool_prompt(options.tools)
        figures = {
            "start": Figure("start, to the first answer", "s", -1),
            "cold": Figure("1 client, cold: first token", "s", -1),
        }
        for clients in options.clients:
            for key, figure in FIGURES.items():
                label = f"{clients} client{'s' if clients > 1 else ''}: {figure.label}"
                figures[f"{clients} {key}"] = Figure(label, figure.unit, figure.speed)
        self.results = Results(figures)
        self._prompt_tokens: dict[str, int] = {}
        self._short: dict[str, int] = {}

    def run(self) -> None:
        """All rounds. Raises: ServerFailed."""
        for server in self._servers:
            self._prompt_tokens[server.name] = prompt_tokens(server, messages(self._system, question("warm up")))
            if server.start_s is not None:
                self._add(0, server, {"start": server.start_s})
        for round_ in range(self._options.rounds):
            servers = self._servers[:: -1 if round_ % 2 else 1]
            for server in servers:
                salt = question(f"salt {round_}") + "\n"
                load = self._load(server, tool_prompt(self._options.tools, salt), [question(f"cold {round_}")])
                self._add(round_, server, {"cold": load.figures()["first"]})
                # the cold prompt may have replaced the shared one in the cache: read that again
                self._load(server, self._system, [question(f"warm up {round_}")])
            for clients in self._options.clients:
                questions = [question(f"{round_} {clients} {client}") for client in range(clients)]
                for server in servers:
                    load = self._load(server, self._system, questions)
                    self._add(round_, server, {f"{clients} {key}": value for key, value in load.figures().items()})

    def notes(self) -> list[str]:
        """A line for each server."""
        lines = []
        for server in self._servers:
            prompt = f"prompts of about {self._prompt_tokens.get(server.name, 0)} tokens"
            lines.append(f"{server.name}: model {server.model}, {prompt}, answers of {self._options.tokens}")
            if short := self._short.get(server.name):
                lines.append(f"{server.name}: {short} answers ended early: its figures are of shorter answers")
        return lines

    def _load(self, server: Server, system: str, questions: list[str]) -> Load:
        load = run_clients(server, system, questions, self._options.tokens)
        short = sum(not answer.complete for answer in load.answers)
        self._short[server.name] = self._short.get(server.name, 0) + short
        return load

    def _add(self, round_: int, server: Server, values: dict[str, float]) -> None:
        self.results.add(round_, server.name, values)
        shown = ", ".join(f"{key} {value:.3g}" for key, value in values.items())
        print(f"round {round_ + 1} of {self._options.rounds}, {server.name}: {shown}", file=sys.stderr, flush=True)


def main() -> int:
    """Exit status 0, 1 if a server failed, 130 if interrupted."""
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers started here are stopped
    status = 0
    with ExitStack() as stack:
        bench = None
        try:
            bench = Bench(start(options, stack), options)
            bench.run()
        except ServerFailed as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            print("interrupted: the figures are of the rounds until then", file=sys.stderr)
            status = 130
        if bench and bench.results.sides:
            report(bench, options)
    return status


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", help="model of this project's server (demo, unless --url is given)")
    add("--url", action="append", default=[], help="a server that is running; may be given more than once")
    add("--llama-cpp", type=Path, metavar="GGUF", help="start llama-cpp-python's server with this file, too")
    add("--parallel", type=_positive, help="sequences that this project's server computes at once")
    add("--threads", type=_positive, help="CPUs that a server computes on (all that this process may use)")
    add("--context-length", type=_positive, default=4096, help="tokens of prompt and answer (4096)")
    add("--clients", type=_numbers, default=[1, 4, 16], help="numbers of clients (1,4,16)")
    add("--tokens", type=_positive, default=64, help="length of an answer (64)")
    add("--tools", type=_positive, default=6, help="tools in the shared system message (6)")
    add("--rounds", type=_positive, default=3, help="(3)")
    add("--ignore-eos", action=argparse.BooleanOptionalAction, default=True, help="ask for answers of full length (on)")
    add("--body", type=_object, default={}, metavar="JSON", help="fields to add to all requests")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    return parser.parse_args(words)


def start(options: argparse.Namespace, stack: ExitStack) -> list[Server]:
    """The servers, until the stack is closed. Raises: ServerFailed."""
    extra = options.body | ({"ignore_eos": True} if options.ignore_eos else {})
    servers = [connect(url.partition("://")[2] or url, url, extra) for url in options.url]
    threads = options.threads or len(machine.usable_cpus())
    if options.model or not options.url:
        words = ["--model", options.model or "demo", "--context-length", str(options.context_length)]
        words += ["--threads", str(threads), "--kv-disk-mb", "0"]  # or else cold prompts would be known from before
        words += ["--parallel", str(options.parallel)] if options.parallel else []
        servers.append(stack.enter_context(ours(words, extra)))
    if options.llama_cpp:
        full = {"min_tokens": options.tokens} if options.ignore_eos else {}
        peer = llama_cpp(options.llama_cpp, options.context_length, threads, options.body | full)
        servers.append(stack.enter_context(peer))
    return servers


def report(bench: Bench, options: argparse.Namespace) -> None:
    """Prints the tables, and writes the file that was asked for."""
    lines = [*machine.describe(machine.usable_cpus()[: options.threads]), *bench.notes(), f"{options.rounds} rounds"]
    mark = "* " if options.markdown else ""
    print("\n".join(mark + line for line in lines))
    for rows in (bench.results.table(), bench.results.ratio_table()):
        if len(rows) > 1:
            print("\n" + render(rows, options.markdown))
    if options.json:
        data = {"about": lines, "figures": bench.results.as_json()}
        options.json.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number above 0")
    return int(word)


def _numbers(text: str) -> list[int]:
    return [_positive(word.strip()) for word in text.split(",")]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


if __name__ == "__main__":
    sys.exit(main())
