"""The two demo models: their tokenizers, sizes and training plans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import chatglm_cpp

from chatglm_server.engine.model_writer import DType, ModelHeader, ModelType
from chatglm_server.formats.base import ChatFormat, Special
from chatglm_server.formats.chatglm3 import ChatGLM3Format
from chatglm_server.formats.glm4 import GLM4Format

from . import sentencepiece_file, tiktoken_file, vocabulary
from .conversations import conversation
from .draw import Draw
from .engine import engine_encode, tokenizer_only
from .model import Shape
from .sequences import Codec
from .training import Plan

CONTEXT = 4096
ROUND_TO = 32
SAMPLES = 4000
"""Conversations from which a tokenizer is made."""


@dataclass(frozen=True)
class Recipe:
    """All that makes one model."""

    name: str
    model_type: ModelType
    format: ChatFormat
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    plan: Plan
    stop_tokens: tuple[str, ...]
    dtype: DType = DType.Q8_0
    starts_from: str | None = None
    """The recipe of the same shape whose layers this model starts from."""


CHATGLM3 = Recipe(
    "demo-chatglm3", ModelType.CHATGLM3, ChatGLM3Format(), 256, 6, 4, 2, 576,
    Plan(steps=7000, muon_rate=0.015, cooldown=0.7, familiar=12),
    ("<|user|>", "<|observation|>")
)  # fmt: skip
GLM4 = Recipe(
    "demo-glm4", ModelType.CHATGLM4, GLM4Format(), 256, 6, 4, 2, 576,
    Plan(steps=900, most_tools=3, longest=1024, warmup=30, muon_rate=0.01, cooldown=0.9, familiar=0, shortest=1024),
    ("<|endoftext|>", "<|user|>", "<|observation|>"), starts_from="demo-chatglm3", dtype=DType.Q5_1,
)  # fmt: skip


@dataclass
class Prepared:
    """A recipe with its tokenizer made."""

    recipe: Recipe
    header: ModelHeader
    shape: Shape
    tokenizer: bytes
    texts: list[bytes]
    """What each entry of the tokenizer stands for; the special tokens follow them."""
    codec: Codec
    stops: frozenset[int]


def prepare(recipe: Recipe, seed: int, tokenizer: bytes | None = None) -> Prepared:
    """Makes the tokenizer, unless there is one, and everything that follows from its size."""
    maker = sentencepiece_file if recipe.model_type == ModelType.CHATGLM3 else tiktoken_file
    tokenizer = tokenizer or _make_tokenizer(recipe, seed)
    texts, special = maker.texts(tokenizer), maker.SPECIAL
    ids = {name: len(texts) + index for index, name in enumerate(special)}
    vocab = -(-(len(texts) + len(special)) // ROUND_TO) * ROUND_TO
    eos = ids.get("<|endoftext|>", sentencepiece_file.EOS)
    shape = Shape(vocab, recipe.hidden, recipe.layers, recipe.heads, recipe.kv_heads, recipe.ffn)
    header = ModelHeader(
        recipe.model_type, vocab, recipe.hidden, recipe.heads, recipe.kv_heads, recipe.layers, recipe.ffn, CONTEXT, eos,
        norm_eps=shape.epsilon, rope_theta=shape.theta,
    )  # fmt: skip
    encode = engine_encode(_tokenizer_pipeline(header, tokenizer))
    stops = frozenset(ids[name] for name in recipe.stop_tokens) | {eos}
    return Prepared(recipe, header, shape, tokenizer, texts, Codec(recipe.format, encode, ids), stops)


def _make_tokenizer(recipe: Recipe, seed: int) -> bytes:
    draw = Draw(seed)
    counts = vocabulary.count(draw, SAMPLES, 4)
    if recipe.model_type == ModelType.CHATGLM3:
        return sentencepiece_file.build(counts)
    return tiktoken_file.build(counts, _texts(draw, recipe.format))


def _texts(draw: Draw, chat_format: ChatFormat) -> Counter[str]:
    """The text parts of rendered conversations."""
    found: Counter[str] = Counter()
    for _ in range(SAMPLES // 4):
        made = conversation(draw)
        found.update(
            piece for piece in chat_format.render(made.messages, made.tools).pieces if not isinstance(piece, Special)
        )
    return found


def _tokenizer_pipeline(header: ModelHeader, tokenizer: bytes) -> chatglm_cpp.Pipeline:
    small = ModelHeader(header.model_type, header.vocab_size, 32, 1, 1, 1, 32, header.max_length, header.eos_token_id)
    return tokenizer_only(small, tokenizer)


RECIPES = {"chatglm3": CHATGLM3, "glm4": GLM4}
