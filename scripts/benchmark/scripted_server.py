"""The server, whose model computes every pass, and then says what `tool_loops.said` has for the turn.

    python -m scripts.benchmark.scripted_server [options of the server]

Only the last step is not the model's: each token is sampled under a constraint that allows the script's next one. So
prompts, keys and values, their cache and their blocks on disk are those of the server. With `FORGETS` in the
environment it does not know its answers again: they are rendered, as the client sends them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chatglm_server.cli.main import main
from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.backends.native import NativeBackend
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.runner import Step, StepResult
from chatglm_server.engine.sampled_answers import SampledAnswers
from chatglm_server.errors import ModelFailure
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.model_files.tokenizer import Tokenizer
from chatglm_server.sampling import SamplingParams

from .tool_loops import said

FORMAT = "glm47"
FORGETS = "TURNS_FORGETS"


class Script:
    """A constraint: the answer is `tokens`."""

    ready = True
    done = False
    free = False

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens
        self._next = 0

    def fill(self, mask: TokenMask) -> None:
        mask.allow(self._tokens[min(self._next, len(self._tokens) - 1)])

    def forced(self) -> list[int]:
        return []

    def accept(self, tokens: Sequence[int]) -> None:
        self._next += len(tokens)

    def rollback(self, count: int) -> None:
        self._next -= count


class ScriptedRunner(ModelRunner):
    """A runner that takes the place of `runner`. The turn is the number of results in the prompt."""

    def __init__(self, runner: ModelRunner, tokenizer: Tokenizer) -> None:
        vars(self).update(vars(runner))
        self._tokenizer = tokenizer
        self._scripts: dict[Any, Script] = {}

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> Any:
        made = super().sampler(prompt, sampling, answer)
        turn = prompt.count(self._tokenizer.specials["<|observation|>"])
        self._scripts = {made: Script(encode(self._tokenizer, said(turn)))}  # answers come one after the other
        return made

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        return super().run(
            [replace(step, constraint=self._scripts[step.sampler]) if step.samples else step for step in steps]
        )


class ScriptedBackend(NativeBackend):
    """The core, which says what is in the script."""

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        return ScriptedRunner(super().load(file, options, stopping), file.load_tokenizer(FORMATS[FORMAT]))


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Marks as special tokens, and all other text a character at a time, as no tokenizer cuts it."""
    ids: list[int] = []
    while text:
        mark = next((name for name in tokenizer.specials if text.startswith(name)), "")
        ids += [tokenizer.specials[mark]] if mark else tokenizer.encode_text(text[0])[-1:]
        text = text[len(mark) or 1 :]
    return ids


if __name__ == "__main__":
    BACKENDS["scripted"] = f"{__name__}:ScriptedBackend"
    if FORGETS in os.environ:
        SampledAnswers.find = lambda *_: None  # type: ignore[method-assign]
    sys.exit(main())
