"""Lets models call random tools and answer in random forms: ``python -m tests.constraint_trials COUNT [SEED]``.

Both demo models, and models with random weights, which write anything, at a temperature of 1.5. Every call must be
JSON, of a declared tool, and fit its schema; and so must every answer in a form. What is cut is not judged.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
from chatglm_bin_writer import ModelType

from chatglm_server.answer import Answer
from chatglm_server.chat import ChatRequest, JsonSchemaFormat, Message, Tool, ToolChoice
from chatglm_server.engine.local import LocalEngine
from chatglm_server.errors import InvalidRequest
from chatglm_server.loader import DEMO_MODELS, load_local_engine
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.random_schemas import WORDS, random_object, random_tools

QUESTIONS = ("What is the weather in Paris?", "你好", "Book it, please.", "Say {word} twice.", "查一下{word}。", "Go.")
CLOSING = "\"'}])"
_AT_ONCE = 4
Bias = tuple[tuple[int, float], ...]


@dataclass
class Verdicts:
    """What became of some trials."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        return f"{counts}; {len(self.faults)} faults"


def models(folder: Path) -> Iterator[tuple[str, Settings]]:
    """Names and settings; the random models are written into `folder`."""
    common: dict[str, Any] = {"tool_grammar": "strict", "parallel": _AT_ONCE, "threads": 1}
    for name in ("demo", "demo-glm4"):
        yield name, Settings(_env_file=None, model=name, **common)
    for kind in (ModelType.CHATGLM3, ModelType.CHATGLM4):
        path = write_random_model(folder / f"{kind.name}.bin", kind, max_length=32768)
        yield f"random {kind.name}", Settings(_env_file=None, model=str(path), **common)


def conversation(seed: int) -> ChatRequest:
    """A request with random tools, of which it may ask for a call."""
    draw = random.Random(seed)
    tools = random_tools(seed)
    mode = draw.choice(["auto", "required", "required", "named"])
    messages = [Message("user", draw.choice(QUESTIONS).format(word=draw.choice(WORDS)))]
    if draw.random() < 0.3:
        messages[:0] = [Message("user", "Hello!"), Message("assistant", "Hello! What can I do for you?")]
    return ChatRequest(
        tuple(messages),
        tuple(tools),
        ToolChoice("named", draw.choice(tools).name) if mode == "named" else ToolChoice(mode),  # type: ignore[arg-type]
        parallel_tool_calls=draw.choice([True, False]),
        sampling=Sampling(temperature=1.5, seed=seed, max_tokens=250),
    )


def form(seed: int) -> tuple[ChatRequest, dict[str, Any]]:
    """A request for an answer that fits a random schema, and the schema."""
    draw = random.Random(seed)
    schema = random_object(draw, [f"k{place}" for place in range(draw.randint(1, 4))])
    return replace(
        conversation(seed),
        tools=(),
        tool_choice=ToolChoice(),
        response_format=JsonSchemaFormat(schema, strict=True),
    ), schema


async def answer(engine: LocalEngine, request: ChatRequest) -> Answer:
    """The engine's whole answer."""
    return Answer.of([event async for event in engine.chat(request)])


def is_json(text: str) -> bool:
    """True unless `text` was cut."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def judge_calls(given: Answer, tools: tuple[Tool, ...], verdicts: Verdicts) -> None:
    """Raises: ValueError for JSON that is none, or does not fit. Mutates the verdicts."""
    assert given.finish is not None
    cut = given.finish.reason == "length"
    verdicts.counts["cut"] += cut
    verdicts.counts["without a call"] += not given.tool_calls
    for call in given.tool_calls:
        if cut and call is given.tool_calls[-1] and not is_json(call.arguments):
            continue
        schema = next(tool.function["parameters"] for tool in tools if tool.name == call.name)
        jsonschema.validate(json.loads(call.arguments), schema)
        verdicts.counts["calls"] += 1


async def _trial(engine: LocalEngine, seed: int, verdicts: Verdicts, bias: Bias) -> None:
    verdicts.counts["conversations"] += 1
    request = conversation(seed)
    request = replace(request, sampling=replace(request.sampling, logit_bias=bias))
    try:
        given = await answer(engine, request)
        judge_calls(given, request.tools, verdicts)
        if request.tool_choice.mode != "auto" and given.finish and given.finish.reason != "length":
            assert given.tool_calls, "no call, though one was asked for"
    except InvalidRequest as error:
        verdicts.counts["refused"] += 1
        verdicts.counts[f"refused: {str(error)[-60:]}"] += 1
    except Exception as error:
        verdicts.faults.append(f"conversation {seed}: {type(error).__name__}: {str(error)[:300]}")


async def _form_trial(engine: LocalEngine, seed: int, verdicts: Verdicts, bias: Bias) -> None:
    verdicts.counts["forms"] += 1
    request, schema = form(seed)
    request = replace(request, sampling=replace(request.sampling, logit_bias=bias))
    try:
        given = await answer(engine, request)
        assert given.finish is not None
        if given.finish.reason == "length":
            verdicts.counts["cut"] += 1
        else:
            jsonschema.validate(json.loads(given.content), schema)
    except Exception as error:
        verdicts.faults.append(f"form {seed}: {type(error).__name__}: {str(error)[:300]}")


async def trials(settings: Settings, seeds: range, form_seeds: range) -> Verdicts:
    """Runs a trial for each seed with one model, some at a time."""
    engine, verdicts, turns = load_local_engine(settings), Verdicts(), asyncio.Semaphore(_AT_ONCE)
    await engine.load()
    bias: Bias = ()
    if settings.model not in DEMO_MODELS:  # noise seldom ends a string
        bias = tuple([((await engine.tokenize(char))[-1].id, 4.0) for char in CLOSING])

    async def run(trial: Any, seed: int) -> None:
        async with turns:
            await trial(engine, seed, verdicts, bias)

    await asyncio.gather(*(run(_trial, seed) for seed in seeds), *(run(_form_trial, seed) for seed in form_seeds))
    engine.stop()
    return verdicts


def main() -> None:
    """Command line: trials of each model, and the first seed."""
    count, first = int(sys.argv[1]), int([*sys.argv, "0"][2])
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in models(Path(folder)):
            verdicts = asyncio.run(trials(settings, range(first, first + count), range(first, first + count // 4)))
            print(f"{name}: {verdicts}", *verdicts.faults, sep="\n  ", flush=True)
            faults += len(verdicts.faults)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
