"""Tools whose input is text in a form, called by models with random weights; the package lark and `re` judge."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from chatglm_bin_writer import ModelType
from lark import Lark

from chatglm_server.answer import Answer
from chatglm_server.chat import ChatRequest, GrammarFormat, Message, RegexFormat, Tool, ToolChoice
from chatglm_server.engine.local import LocalEngine
from chatglm_server.loader import load_local_engine
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings
from tests.call_dialects import Dialect
from tests.random_expert_gguf import FLASH
from tests.random_gguf import write_random_gguf
from tests.random_models import write_random_model

PATCH = r"""
start: head change+ tail
head: "*** Begin Patch" LF
tail: "*** End Patch" LF?

change: added | removed | updated
added: "*** Add File: " path LF added_line+
removed: "*** Delete File: " path LF
updated: "*** Update File: " path LF moved? place*
moved: "*** Move to: " path LF
place: ("@@" | "@@ " path) LF (line | added_line)+ ("*** End of File" LF)?   // as a diff has it
added_line: "+" TEXT? LF
line: ("-" | " ") TEXT? LF
path: TEXT
TEXT: /[^\n\r]{1,9}/

%import common.LF
"""
BALANCED = 'start: "(" start* ")" | "[" start? "]"'
CODE = r"[A-Z]{2}-[0-9]+(\n/[^x\"]{1,5}|\\t)*"
FORMS: dict[str, tuple[RegexFormat | GrammarFormat, Callable[[str], object]]] = {
    "patch": (GrammarFormat(PATCH, "lark"), Lark(PATCH).parse),
    "balanced": (GrammarFormat(BALANCED, "lark"), Lark(BALANCED).parse),
    "code": (RegexFormat(CODE), re.compile(CODE).fullmatch),
}


def tool(form: RegexFormat | GrammarFormat) -> Tool:
    parameters = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return Tool({"name": "apply", "parameters": parameters}, input_form=form)


@pytest.fixture(scope="module", params=["glm47", "glm4", "chatglm3"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    if request.param == "glm47":
        return write_random_gguf(folder / "model.gguf", FLASH, vocabulary="glm47")
    kind = ModelType.CHATGLM4 if request.param == "glm4" else ModelType.CHATGLM3
    return write_random_model(folder / "model.bin", kind, max_length=1024)


async def inputs(engine: LocalEngine, form: RegexFormat | GrammarFormat, count: int) -> list[str]:
    """What a model that writes anything gives the tool, where the call came to its end."""
    bias = tuple([((await engine.tokenize(char))[-1].id, 3.0) for char in '\n*E\\n"'])

    async def call(seed: int) -> Answer:
        request = ChatRequest(
            (Message("user", "Go."),),
            (tool(form),),
            ToolChoice("named", "apply"),
            parallel_tool_calls=False,
            sampling=Sampling(temperature=1.5, seed=seed, max_tokens=300, logit_bias=bias),
        )
        return Answer.of([event async for event in engine.chat(request)])

    answers = await asyncio.gather(*map(call, range(count)))
    calls = [given.tool_calls[0] for given in answers if given.finish and given.finish.reason == "tool_calls"]
    return [json.loads(call.arguments)["input"] for call in calls]


@pytest.mark.parametrize("name", FORMS)
def test_every_input_is_in_its_form(model: Path, name: str) -> None:
    """But where calls are JSON or Python, a grammar whose rules are recursive is left out."""
    form, judge = FORMS[name]

    async def main() -> list[str]:
        engine = load_local_engine(Settings(_env_file=None, model=str(model), parallel=4, threads=1))
        await engine.load()
        try:
            return await inputs(engine, form, 5)
        finally:
            engine.stop()

    given = asyncio.run(main())
    assert len(given) >= 2
    if name != "balanced" or model.suffix == ".gguf":
        for text in given:
            assert judge(text), text


@pytest.mark.parametrize(
    ("grammar", "ends"),
    [("start: /a+/ /a+/", True), ('start: x\nx: /a+/ /a+/ | "b" x', False), ('start: "a" start', False)],
)
def test_a_text_that_has_no_end_is_cut(grammar: str, ends: bool) -> None:
    """A terminal takes as much as it can, so some texts cannot end; a grammar without recursion is one terminal."""
    dialect = Dialect("glm47")
    tokens = dialect.noise(dialect.constraint([tool(GrammarFormat(grammar, "lark"))]), 1, most=60)
    assert (tokens[-1] in dialect.ends) == ends
