"""The two demo models: their tokenizers, sizes and training plans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chatglm_bin_writer import DType, ModelHeader, ModelType

from chatglm_server.formats.base import ChatFormat, Special
from chatglm_server.formats.chatglm3 import ChatGLM3Format
from chatglm_server.formats.glm4 import GLM4Format
from chatglm_server.model_files.tokenizer import load_tokenizer

from . import sentencepiece_file, tiktoken_file, vocabulary
from .engine import CONTEXT
from .model import Shape
from .sequences import Codec
from .text.conversations import conversation
from .text.draw import Draw
from .training import Plan, Stage

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
    dtype: DType = DType.Q8_0
    starts_from: str | None = None
    """The recipe of the same shape whose layers this model starts from."""


CHATGLM3 = Recipe(
    "demo-chatglm3", ModelType.CHATGLM3, ChatGLM3Format(), 256, 5, 4, 2, 576,
    Plan(steps=3100),
)  # fmt: skip
GLM4 = Recipe(
    "demo-glm4", ModelType.CHATGLM4, GLM4Format(), 256, 5, 4, 2, 576,
    Plan(steps=700, stages=(Stage(0.2, 2, 2, 512), Stage(1.0, 4, 4, 1024)), muon_rate=0.003, warmup=30),
    starts_from="demo-chatglm3", dtype=DType.Q5_1,
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
    texts = maker.texts(tokenizer)
    plain = range(next(index for index, text in enumerate(texts) if text), len(texts))
    codec = Codec(recipe.format, load_tokenizer(recipe.format.name, tokenizer, recipe.format), plain)
    ids = codec.tokenizer.specials
    vocab = -(-codec.tokenizer.size // ROUND_TO) * ROUND_TO
    eos = ids.get("<|endoftext|>", sentencepiece_file.EOS)
    shape = Shape(vocab, recipe.hidden, recipe.layers, recipe.heads, recipe.kv_heads, recipe.ffn)
    header = ModelHeader(
        recipe.model_type, vocab, recipe.hidden, recipe.heads, recipe.kv_heads, recipe.layers, recipe.ffn, CONTEXT, eos,
        norm_eps=shape.epsilon, rope_theta=shape.theta,
    )  # fmt: skip
    stops = frozenset(ids[name] for name in recipe.format.stop_tokens) | {eos}
    return Prepared(recipe, header, shape, tokenizer, texts, codec, stops)


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


RECIPES = {"chatglm3": CHATGLM3, "glm4": GLM4}
