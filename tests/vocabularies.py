"""Vocabularies as GGUF files hold them, learnt from this project's own pages, and texts that are hard to cut."""

from __future__ import annotations

import io
import json
import random
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import regex
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sp
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Oracle

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
GLM4_SPECIALS = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
)
THOUGHTS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "/nothink")
"""Tokens of GLM-4.5 and later, which GGUF files mark as user-defined."""
_ROOT = Path(__file__).parent.parent
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The splitting pattern of GLM-4 and later, as models of Hugging Face's library write it."""


@cache
def corpus() -> tuple[str, ...]:
    """English, Chinese and code."""
    pages = [*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md"), *(_ROOT / "scripts" / "demo_model").glob("**/*.py")]
    return tuple(path.read_text(encoding="utf-8") for path in sorted(pages))


@cache
def trained(size: int = 4000) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(tokens, merges) of byte-level BPE; a token's rank is its id, and it has one merge."""
    oracle = Oracle(models.BPE())
    oracle.pre_tokenizer = splitter()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    oracle.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    vocabulary = oracle.get_vocab()
    tokens = tuple(sorted(vocabulary, key=vocabulary.__getitem__))
    merges = tuple(map(" ".join, json.loads(oracle.to_str())["model"]["merges"]))
    return tokens, merges


def all_merges(tokens: Sequence[str]) -> list[str]:
    """All ways to make a token of two others, in the order of the tokens: what converters of tiktoken's files list."""
    known = set(tokens)
    return [
        f"{token[:cut]} {token[cut:]}"
        for token in tokens
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]


def splitter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def oracle_of(tokens: Sequence[str], merges: Sequence[str], *, ignore_merges: bool) -> Oracle:
    """The same tokenizer in Hugging Face's library."""
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    oracle = Oracle(models.BPE(vocabulary, pairs, ignore_merges=ignore_merges))
    oracle.pre_tokenizer = splitter()
    return oracle


@cache
def trained_sentencepiece(size: int = 3000) -> bytes:
    """A SentencePiece model as ChatGLM3's: BPE with bytes, nothing normalized, all blanks kept."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for page in corpus() for line in page.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.999,
        minloglevel=2,
    )
    return model.getvalue()


def gpt2_metadata(pre: str = "glm4", size: int = 4000, *, padding: int = 7) -> dict[str, Any]:
    """The keys of a GLM-4 file, with user-defined tokens too, and embeddings that no token uses."""
    tokens, merges = trained(size)
    specials = [(name, CONTROL) for name in GLM4_SPECIALS] + [(name, USER_DEFINED) for name in THOUGHTS]
    unused = [f"[PAD{len(tokens) + len(specials) + place}]" for place in range(padding)]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*tokens, *(name for name, _ in specials), *unused],
        "tokenizer.ggml.token_type": [NORMAL] * len(tokens) + [kind for _, kind in specials] + [UNUSED] * padding,
        "tokenizer.ggml.merges": list(merges),
    }


def llama_metadata(proto: bytes, specials: Sequence[str], *, padding: int = 5) -> dict[str, Any]:
    """The keys of a ChatGLM3 file: the pieces of a SentencePiece model, its special tokens, and unused embeddings."""
    model = sp.ModelProto()
    model.ParseFromString(proto)
    count = len(model.pieces) + len(specials)
    extra = len(specials) + padding
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "chatglm-spm",
        "tokenizer.ggml.tokens": [
            *(piece.piece for piece in model.pieces),
            *specials,
            *(f"[PAD{count + place}]" for place in range(padding)),
        ],
        "tokenizer.ggml.scores": [*(piece.score for piece in model.pieces), *[0.0] * extra],
        "tokenizer.ggml.token_type": [
            *(int(piece.type) for piece in model.pieces),
            *[CONTROL] * len(specials),
            *[UNUSED] * padding,
        ],
    }


_RANGES = (
    *((0, 0x80), (0x80, 0x250), (0x300, 0x2000), (0x2000, 0x3100)),
    *((0x4E00, 0xA000), (0xE000, 0x10000), (0x10000, 0x110000)),
)
"""Code points, without surrogates."""
_NASTY = (
    *(
        "'s",
        "'S",
        "'ſ",
        "'t",
        "'T",
        "'re",
        "'RE",
        "'ve",
        "'m",
        "'ll",
        "'LL",
        "'lL",
        "'d",
        "''s",
        "’s",
        "it's",
        "I'M",
        "'ſt",
    ),
    *(
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        " \n",
        "\n ",
        " \n ",
        "\t\n\r",
        "\v",
        "\f",
        "\x85",
        "\xa0",
        "\u3000",
    ),
    *(
        "\u2028",
        "\u200b",
        "\u2003",
        "\u202f",
        "\ufeff",
        "\x1c",
        "\x1f",
        "\x00",
        "\x7f",
        "\xad",
        "\u0301",
        "\ufe0f",
        "\u200d",
    ),
    *("1", "12", "123", "1234", "12345678901", "3.14", "0x1F", "½", "²", "٣", "Ⅷ", "一二三", "①"),
    *(
        "a",
        "A",
        "the",
        " the",
        "Hello",
        "WORLD",
        "naïve",
        "straße",
        "İ",
        "ı",
        "ﬁ",
        "ǅ",
        "Ωmega",
        "ß",
        "K",
        "あ",
        "カ",
        "한국",
        "ру",
    ),
    *("你好", "，", "。", "世界", "天气", "“引号”", "龘", "𠮷", "㍿", "々", "〇"),
    *("👋", "👩‍👩‍👧", "🇨🇳", "❤️", "😀😀", "𝒳", "𐍈", "\U0010fffd", "\U000e0041"),
    *(
        "<|user|>",
        "<|endoftext|>",
        "[gMASK]<sop>",
        "[gMASK]sop",
        "<think>",
        "</think>",
        "<tool_call>",
        "<|",
        "|>",
        "sop",
    ),
    *("Ġ", "Ċ", "ĉ", "▁", "<0x0A>", "<s>", "</s>", "<unk>", "[PAD4021]"),
    *(
        "def f(x):\n    return x\n",
        "if (a && b) {",
        "};\n\n",
        "// ---\n",
        '{"a": [1, 2]}',
        "```python\n",
        "!!!",
        "...\n",
        "--",
        "=>",
    ),
    *("a" * 50, " " * 50, "!" * 50, "1" * 50, "\n" * 20, "ab" * 40, "你" * 30),
)


def nasty_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Texts of up to some hundred characters: parts that tokenizers stumble on, random characters, parts of pages."""
    source, of_pages = random.Random(seed), random.Random(seed)  # so that the others stay when a page changes
    pages = corpus()
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield "".join(source.choices(_NASTY, k=source.randint(1, 12)))
        elif kind == 1:
            yield "".join(_character(source) for _ in range(source.randint(0, 40)))
        elif kind == 2:
            page = of_pages.choice(pages)
            start = of_pages.randrange(len(page))
            yield page[start : start + of_pages.randint(1, 300)]
        else:
            mixed = [
                source.choice((source.choice(_NASTY), _character(source), " ")) for _ in range(source.randint(1, 25))
            ]
            yield "".join(mixed)


def _character(source: random.Random) -> str:
    ranges = (
        (0, 0x80),
        (0x80, 0x250),
        (0x300, 0x2000),
        (0x2000, 0x3100),
        (0x4E00, 0xA000),
        (0xE000, 0x10000),
        (0x10000, 0x110000),
    )
    while True:
        character = chr(source.randrange(*source.choice(ranges)))
        if not _is_new(character):
            return character


def _is_new(character: str) -> bool:
    """True for a letter or number that Unicode has had for a short time: libraries with older tables split there."""
    return unicodedata.category(character) == "Cn" and regex.match(r"[\p{L}\p{N}]", character) is not None
