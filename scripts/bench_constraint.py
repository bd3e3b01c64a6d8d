"""What a constraint on calls costs before the first token, and at each token.

python scripts/bench_constraint.py [--vocabulary FILE] [--tools 50]

text      writing the grammars of the calls of some tools
compile   writing them, and compiling what is compiled before a call, as for the first request with these tools
rest      compiling the others, and walking an example of each tool's calls, beside the prompt that is read
again     what the next request with the same tools takes
call      the wait for a tool's grammar, if its name is written before that is done: the median of the first calls
mask      a mask, where a token is sampled in a call, once the rest is done: the median, and the 99th percentile in the
          first calls, in the same calls again, and in first calls that come before the rest is done
free      the watch for calls, for each token of an answer without one

Times are CPU time of one thread. Tools and calls are random, the same in each run. What comes before the first token is
the median of five sets of tools, each the best of three.

FILE is a GGUF or chatglm.cpp file of GLM-4 or later, whose tokens all dialects are measured with. Without it, made-up
words stand in for GLM-4's tokens: as many, of like lengths, and as many of them with quotes, brackets or blanks.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chatglm_server.chat import JsonSchemaFormat, Message, Tool, ToolCall
from chatglm_server.decoding.constraints.base import TokenMask, accept_and_force
from chatglm_server.decoding.constraints.grammars import Grammars
from chatglm_server.decoding.constraints.triggered import Trigger, TriggeredGrammar
from chatglm_server.engine.answer_grammar import EMPTY_LEAD, AnswerGrammars
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.formats.base import ChatFormat, Prompt, Special
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.bpe_tokenizer import BytePairTokenizer
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import encode_prompt

ROOT = Path(__file__).resolve().parent.parent
ROWS = 151_552
"""Of logits, as GLM-4's."""
WORDS = 151_000
SETS = 5
CALLS = 60
Figures = tuple[float, ...]
PROMPT = Prompt((Special("<|assistant|>"),))
NAMES = (
    *("path", "file", "city", "query", "limit", "offset", "start", "end", "name", "title", "body", "user", "repo"),
    *("branch", "commit", "message", "unit", "days", "lang", "format", "sort", "filter", "page", "size", "content"),
    *("line", "old_string", "new_string", "command", "timeout", "description"),
)
VERBS = ("get", "set", "list", "create", "delete", "search", "read", "write")
CHOICES = ("celsius", "fahrenheit", "asc", "desc", "open", "closed", "all", "none")
TEXTS = (
    *("Paris", "src/main.py", 'def f(x):\n    return "a" + x\n', "天气怎么样", "https://example.org/a?b=c&d=e"),
    *("hello world, a longer text with 'quotes' and \"more\" <b>tags</b>", "C:\\temp\\x", '{"a": 1}'),
)


def made_up_words() -> list[bytes]:
    """Every byte, the demo model's tokens, then made-up words."""
    demo = read_model_file(ROOT / "models" / "demo-glm4.bin")
    tokenizer = demo.load_tokenizer(FORMATS[demo.chat_format])
    words = dict.fromkeys(tokenizer.token_bytes(token) for token in range(tokenizer.size))
    words |= dict.fromkeys(str(number).encode() for number in range(1000))
    words |= dict.fromkeys(b"\n" * lines + b" " * blanks for lines in range(3) for blanks in range(80))
    draw = random.Random(1)
    parts = [first + second for first in "bcdfghklmnprstvwz" for second in ("a", "e", "i", "o", "u", "er", "in", "al")]
    marks = "\"'`<>()[]{}=,.:;/\\-+*&|!?#$%_\n "
    while len(words) < WORDS:
        kind = draw.random()
        if kind < 0.05:
            word = "".join(draw.choices(marks, k=draw.randint(2, 4)))
        elif kind < 0.3:
            word = "".join(chr(draw.randint(0x4E00, 0x9FA5)) for _ in range(draw.randint(1, 4)))
        else:
            word = draw.choice(["", " "]) + "".join(draw.choices(parts, k=draw.randint(1, 4)))
            word = draw.choice([word, word, word.title(), word.upper()])
        words[word.encode()] = None
    return [word for word in words if word][:WORDS]


def words_of(file: str) -> list[bytes]:
    """The tokens of plain text of a model file."""
    model = read_model_file(Path(file))
    tokenizer = model.load_tokenizer(FORMATS[model.chat_format])
    specials = set(tokenizer.specials.values())
    return [word for token in range(tokenizer.size) if token not in specials and (word := tokenizer.token_bytes(token))]


def random_schema(draw: random.Random, depth: int) -> dict[str, Any]:
    kind = draw.random()
    if kind < 0.35 or depth > 2:
        return {"type": "string", "description": "Some text."}
    if kind < 0.5:
        return {"type": "integer", "minimum": 0, "maximum": draw.choice([10, 100, 1000])}
    if kind < 0.7:
        return {"type": draw.choice(["boolean", "number"])}
    if kind < 0.8:
        return {"type": "string", "enum": draw.sample(CHOICES, 3)}
    if kind < 0.9:
        return {"type": "array", "items": random_schema(draw, depth + 1)}
    return random_object(draw, depth + 1)


def random_object(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    names = draw.sample(NAMES, draw.randint(2, 3 if depth else 6))
    return {
        "type": "object",
        "properties": {name: random_schema(draw, depth) for name in names},
        "required": names[: draw.randint(0, len(names))],
        "additionalProperties": False,
    }


def random_tools(seed: int, count: int, version: str = "") -> list[Tool]:
    """Tools of another `version` have other names, so that no grammar of theirs is kept."""
    draw = random.Random(seed)
    names = [f"{draw.choice(VERBS)}_{draw.choice(NAMES)}_{place}{version}" for place in range(count)]
    return [Tool({"name": name, "description": "It acts.", "parameters": random_object(draw)}) for name in names]


def random_value(draw: random.Random, schema: dict[str, Any]) -> Any:
    """A value that fits a schema of these."""
    if "enum" in schema:
        return draw.choice(schema["enum"])
    if schema["type"] == "object":
        chosen = {n: one for n, one in schema["properties"].items() if n in schema["required"] or draw.random() < 0.6}
        return {name: random_value(draw, one) for name, one in chosen.items()}
    if schema["type"] == "array":
        return [random_value(draw, schema["items"]) for _ in range(draw.randint(0, 3))]
    if schema["type"] == "integer":
        return draw.randint(schema["minimum"], schema["maximum"])
    return {"string": draw.choice(TEXTS), "number": round(draw.uniform(-5, 5000), 2)}.get(
        schema["type"], draw.random() < 0.5
    )


def best(rounds: Sequence[Figures]) -> Figures:
    return tuple(map(min, zip(*rounds, strict=True)))


def median(sets: Sequence[Figures]) -> Figures:
    return tuple(map(statistics.median, zip(*sets, strict=True)))


def percentile(times: Sequence[float]) -> float:
    """The 99th."""
    return statistics.quantiles(times, n=100)[98]


def milliseconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return 1e3 * (time.thread_time() - started)


class Dialect:
    """A chat format over some vocabulary."""

    def __init__(self, name: str, words: Sequence[bytes]) -> None:
        self.format: ChatFormat = FORMATS[name]
        specials = {special: len(words) + place for place, special in enumerate(self.format.special_tokens)}
        ranks = {word: token for token, word in enumerate(words)}
        self.tokenizer = BytePairTokenizer(ranks, specials, len(words) + len(specials))
        ends = [specials[name] for name in self.format.stop_tokens]
        self.grammars = Grammars(self.tokenizer, ends, ROWS)
        self.grammars.compile('start: "a"\n')  # reads the vocabulary

    def before(self, seed: int, count: int, *, strict: bool) -> Figures:
        """Milliseconds for text, compile, rest and again."""
        rounds = []
        for version in "abc":
            tools = random_tools(seed, count, version)
            names = {tool.name for tool in tools} if strict else set[str]()
            write = partial(self._write, tools, names)
            calls = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict)
            hold = partial(calls.held, tools, {}, PROMPT)
            first = (milliseconds(write), milliseconds(hold))
            held = hold()
            assert held is not None
            rounds.append((*first, milliseconds(held.compile_all), milliseconds(hold)))
        return best(rounds)

    def _write(self, tools: Sequence[Tool], strict: Collection[str]) -> None:
        for tool in tools:
            self.format.call_grammar([tool], strict, ())

    def form(self, seed: int, count: int) -> Figures:
        """Milliseconds for compile and again of an answer's form: an object with the arguments of all tools."""
        rounds, forms = [], AnswerGrammars(self.grammars)
        for version in "abc":
            properties = {tool.name: tool.function["parameters"] for tool in random_tools(seed, count, version)}
            wanted = JsonSchemaFormat({"type": "object", "properties": properties}, strict=True)
            hold = partial(forms.of, wanted, EMPTY_LEAD)
            rounds.append((milliseconds(hold), milliseconds(hold)))
        return best(rounds)

    def early(self, tools: Sequence[Tool], *, strict: bool) -> tuple[list[float], list[float]]:
        """Milliseconds for each mask in some calls, and for the longest wait for a grammar in each of them."""
        held = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict).held(tools, {}, PROMPT)
        assert held is not None
        return self._masks(held.trigger, tools)

    def masks(self, tools: Sequence[Tool], *, strict: bool) -> tuple[list[float], list[float]]:
        """Milliseconds for each mask in some calls, when all grammars are compiled, and in the same calls again."""
        held = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict).held(tools, {}, PROMPT)
        assert held is not None
        held.compile_all()
        (first, _), (second, _) = (self._masks(held.trigger, tools) for _ in range(2))
        return first, second

    def _masks(self, trigger: Trigger, tools: Sequence[Tool]) -> tuple[list[float], list[float]]:
        draw, times, waits = random.Random(7), list[float](), list[float]()
        for _ in range(CALLS):
            tool = draw.choice(tools)
            call = ToolCall("1", tool.name, random_value(draw, tool.function["parameters"]))
            pieces = self.format.render([Message("assistant", "", tool_calls=(call,))]).pieces[:-1]
            tokens = encode_prompt(self.tokenizer, Prompt(pieces[pieces.index(Special("<|assistant|>")) + 1 :]))
            constraint, accepted = TriggeredGrammar(trigger), list[float]()
            for token in tokens:
                if not constraint.free and not constraint.forced():
                    times.append(milliseconds(partial(self._mask, constraint)))
                accepted.append(milliseconds(partial(constraint.accept, [token])))
            waits.append(max(accepted))
        return times, waits

    def _mask(self, constraint: TriggeredGrammar) -> None:
        constraint.fill(TokenMask(ROWS))

    def free(self, tools: Sequence[Tool], *, strict: bool) -> float:
        """Microseconds for a token of prose and code."""
        held = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict).held(tools, {}, PROMPT)
        assert held is not None
        tokens = self.tokenizer.encode_text((ROOT / "README.md").read_text(encoding="utf-8"))[:4000]

        def watch() -> None:
            constraint = TriggeredGrammar(held.trigger)
            for token in tokens:
                assert constraint.free
                accept_and_force(constraint, [token])

        return 1e3 * min(milliseconds(watch) for _ in range(3)) / len(tokens)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--vocabulary")
    options.add_argument("--tools", type=int, default=50)
    chosen = options.parse_args()
    words = words_of(chosen.vocabulary) if chosen.vocabulary else made_up_words()
    print(f"{len(words)} tokens of plain text, {ROWS} rows of logits, {chosen.tools} tools")
    heads = ("text", "compile", "rest", "again", "call", "mask", "p99", "p99 again", "p99 early", "free")
    print(_row("ms; free in us", *heads))
    for name in ("glm4", "glm47", "chatglm3"):
        dialect = Dialect(name, words)
        for strict in (False, True):
            tools = random_tools(0, chosen.tools, "s" if strict else "")
            before = median([dialect.before(seed, chosen.tools, strict=strict) for seed in range(SETS)])
            early, waits = dialect.early(tools, strict=strict)
            others = random_tools(0, chosen.tools, "ps" if strict else "p")
            first, second = dialect.masks(others, strict=strict)
            masks = (statistics.median(first), *(percentile(times) for times in (first, second, early)))
            free = dialect.free(tools, strict=strict)
            calls = (*before, statistics.median(waits))
            figures = (*(f"{one:.2f}" for one in calls), *(f"{one:.3f}" for one in masks), f"{free:.1f}")
            print(_row(f"{name}, strict" if strict else name, *figures), flush=True)
        if name == "glm4":
            before = median([dialect.form(seed, chosen.tools) for seed in range(SETS)])
            compiled, again = (f"{one:.2f}" for one in before)
            print(_row("response_format", "", compiled, "", again), flush=True)


def _row(name: str, *figures: str) -> str:
    return f"{name:18}" + "".join(f"{figure:>11}" for figure in figures)


if __name__ == "__main__":
    main()
