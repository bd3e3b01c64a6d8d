"""The calls of a chat format over a demo model's tokenizer, written by noise and read by the format's parser."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from chatglm_server.chat import Tool, ToolCallDelta, ToolCallStart
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix
from chatglm_server.decoding.constraints.grammars import Grammar, Grammars
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints, HeldCalls
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.bpe_tokenizer import BytePairTokenizer
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import Detokenizer, Tokenizer, encode_prompt
from tests.decoding.test_grammar import MODELS

PROMPT = Prompt((Special("<|assistant|>"),))
CLOSING = (b'"', b"'", b"}", b"]", b")")


class Dialect:
    """A format over a demo model's tokenizer; the tagged ones have special tokens of their own in GLM-4's."""

    def __init__(self, name: str) -> None:
        self.format = FORMATS[name]
        file = read_model_file(MODELS / ("demo-chatglm3.bin" if name == "chatglm3" else "demo-glm4.bin"))
        tokenizer = file.load_tokenizer(FORMATS[file.chat_format])
        self.tokenizer: Tokenizer = tokenizer
        if isinstance(tokenizer, BytePairTokenizer) and self.format.special_tokens != tuple(tokenizer.specials):
            words = {token: tokenizer.token_bytes(token) for token in range(tokenizer.size)}
            ranks = {word: token for token, word in words.items() if word}
            specials = {special: len(ranks) + place for place, special in enumerate(self.format.special_tokens)}
            self.tokenizer = BytePairTokenizer(ranks, specials, len(ranks) + len(specials))
        self.ends = {self.tokenizer.specials[name] for name in self.format.stop_tokens}
        self.size = self.tokenizer.size
        self.grammars = Grammars(self.tokenizer, self.ends, self.size)
        texts = (self.tokenizer.token_bytes(token) for token in range(self.size))
        self.closing = {token for token, text in enumerate(texts) if text.startswith(CLOSING)}
        self.closing |= {token for name, token in self.tokenizer.specials.items() if name.startswith("</")}

    def constraint(self, tools: Sequence[Tool], *, strict: bool = False, once: bool = True) -> TriggeredGrammar:
        """Holds an answer that begins with a call of one of `tools`."""
        calls = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict)
        held = calls.held(tools, {tool.name: place for place, tool in enumerate(tools)}, PROMPT)
        assert held is not None
        openings = [Prompt(self.format.call_opening(tool.name, PROMPT)) for tool in tools]
        return TriggeredGrammar(
            held.trigger,
            ForcedPrefix([encode_prompt(self.tokenizer, opening) for opening in openings]),
            once=once,
        )

    def noise(self, constraint: TriggeredGrammar, seed: int, most: int = 500) -> list[int]:
        """A call; without its end if it has more than `most` tokens."""
        draw, tokens = random.Random(seed), list[int]()
        while len(tokens) < most and not (tokens and tokens[-1] in self.ends):
            following = list(constraint.forced())
            if not following:
                assert not constraint.free
                mask = TokenMask(self.size)
                constraint.fill(mask)
                allowed = set(mask)
                narrow = allowed & self.closing if draw.random() < 0.35 else set()
                following = [draw.choice(sorted(narrow or allowed))]
            constraint.accept(following)
            tokens += following
        return tokens

    def texts(self, tokens: Sequence[int]) -> list[bytes]:
        """What each token spells."""
        return [self.tokenizer.token_bytes(token) for token in tokens]

    def cut(self, text: str) -> list[int]:
        """The tokens of a text that goes on behind another."""
        tokens = self.tokenizer.encode_text("\n" + text)
        for count in range(1, len(tokens) + 1):
            if b"".join(map(self.tokenizer.token_bytes, tokens[:count])).endswith(b"\n"):
                return tokens[count:]
        return tokens

    def calls(self, tokens: Sequence[int], tools: Sequence[Tool], *, exact: bool = True) -> list[tuple[str, Any]]:
        """The calls that the format's parser reads."""
        detokenizer, parser = Detokenizer(self.tokenizer), self.format.parser(tools, exact=exact)
        pieces = [piece for token in tokens if token not in self.ends for piece in detokenizer.feed(token)]
        events = [event for piece in pieces for event in parser.feed(piece)] + parser.flush("stop")
        names = [event.name for event in events if isinstance(event, ToolCallStart)]
        texts = [""] * len(names)
        for event in events:
            if isinstance(event, ToolCallDelta):
                texts[event.index] += event.arguments
        return [(name, json.loads(text)) for name, text in zip(names, texts, strict=True)]


def compiled(dialect: Dialect, held: HeldCalls) -> Grammar:
    """The grammar of all calls."""
    grammar = held.grammar()
    assert grammar is not None
    return dialect.grammars.compile(grammar.text)
