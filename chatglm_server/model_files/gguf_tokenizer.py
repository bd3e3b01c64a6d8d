"""The tokenizer of a GGUF file, from its keys ``tokenizer.ggml.*``.

GLM-4 and later have the model "gpt2" (byte-level BPE), ChatGLM2 and ChatGLM3 the model "llama" (SentencePiece). Control
tokens are special tokens, which no text becomes. So are the user-defined tokens of "gpt2" files (``<think>``), for only
formats write them; those of "llama" files are pieces of text, as in SentencePiece.
"""

from __future__ import annotations

from codecs import charmap_build, charmap_encode
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from ..errors import ModelFileError
from .bpe_tokenizer import BytePairTokenizer
from .sentencepiece_proto import CONTROL, NORMAL, TYPES, UNKNOWN, USER_DEFINED, sentencepiece_proto
from .sentencepiece_tokenizer import SentencePieceTokenizer
from .tokenizer import Tokenizer

_PREFIX = "tokenizer.ggml."
_MOST_TOKENS = 1 << 20
_GLM4_SPLITTING = ("glm4", "glm5", "chatglm-bpe")
"""Names that converters gave to one and the same splitting pattern."""
_CHATGLM3_SPLITTING = ("chatglm-spm", "default")
_BARE_NAMES = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
"""ChatGLM2's and ChatGLM3's special tokens that are not written ``<|…|>``."""

Value = TypeVar("Value")


def gguf_tokenizer(metadata: Mapping[str, object]) -> Tokenizer:
    """The tokenizer that `metadata` describe: a file's keys, with values as str, int, float, bool or a list of these.

    Raises: ModelFileError, whose message is one line that names the key and the fault.
    """
    model = _value(metadata, "model", str)
    if model == "gpt2":
        return _byte_pair_tokenizer(metadata)
    if model == "llama":
        return _sentencepiece_tokenizer(metadata)
    raise ModelFileError(f"{_PREFIX}model is {_shown(model)}; this server reads gpt2 and llama")


def _byte_pair_tokenizer(metadata: Mapping[str, object]) -> BytePairTokenizer:
    _check_splitting(metadata, _GLM4_SPLITTING, None)
    _refuse(metadata, "add_space_prefix")
    tokens, types = _tokens(metadata)
    texts = _places(tokens, types, (NORMAL,))
    specials = _places(tokens, types, (CONTROL, USER_DEFINED))
    _check_merges(_list(metadata, "merges", str), texts)
    try:
        ranks = {charmap_encode(token, "strict", _LETTERS)[0]: place for token, place in texts.items()}
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{_PREFIX}tokens: {_shown(error.object)} has a letter that means no byte") from None
    return BytePairTokenizer(ranks, specials, len(tokens))


def _check_merges(merges: Sequence[str], texts: Mapping[str, int]) -> None:
    """Merges must come in the order of the tokens that they make: then BPE by merges is BPE by ids.

    Files differ in what they list. A merge may have more than two parts, or be one of several that make a token. That
    changes nothing: the bytes of a token always go through the same merges, so BPE only meets the last of these.

    Raises: ModelFileError.
    """
    made = [texts.get(merge.replace(" ", ""), -1) for merge in merges]
    if -1 in made:
        raise ModelFileError(f"{_PREFIX}merges: {_shown(merges[made.index(-1)])} makes no token")
    for before, after in pairwise(made):
        if before > after:
            raise ModelFileError(
                f"{_PREFIX}merges: a merge makes token {after} after one that makes token {before}; this server needs "
                "merges in the order of the tokens, as GLM's are"
            )


def _sentencepiece_tokenizer(metadata: Mapping[str, object]) -> SentencePieceTokenizer:
    _check_splitting(metadata, _CHATGLM3_SPLITTING, "default")
    _refuse(metadata, "remove_extra_whitespaces")
    tokens, types = _tokens(metadata)
    scores = _list(metadata, "scores", float)
    if len(scores) != len(tokens):
        raise ModelFileError(f"{_PREFIX}scores has {len(scores)} entries for {len(tokens)} tokens")
    if not all(-1e30 < score < 1e30 for score in scores):
        raise ModelFileError(f"{_PREFIX}scores holds a number that is no score")
    if UNKNOWN not in types:
        raise ModelFileError(f"{_PREFIX}token_type marks no token as unknown (2), which SentencePiece needs")
    controls: dict[str, int] = {}
    pieces: list[tuple[str, float, int]] = []
    for place, (token, score, kind) in enumerate(zip(tokens, scores, types, strict=True)):
        if kind == CONTROL or (kind == USER_DEFINED and _is_special(token)):
            if controls.setdefault(token, place) != place:
                raise ModelFileError(f"{_PREFIX}tokens holds {_shown(token)} twice")
            # SentencePiece wants pieces that differ, but a special token may be spelled like a piece of text.
            pieces.append((f"<control {place}>", 0.0, CONTROL))
        else:
            pieces.append((token, score, kind))
    for name in _BARE_NAMES:  # some converters write <sop> where a piece of text is spelled sop
        if name not in controls and f"<{name}>" in controls:
            controls[name] = controls.pop(f"<{name}>")
    try:
        proto = sentencepiece_proto(pieces, dummy_prefix=_value(metadata, "add_space_prefix", bool, True))
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{_PREFIX}tokens: {_shown(error.object)} is not Unicode") from None
    return SentencePieceTokenizer(proto, controls)


def _is_special(token: str) -> bool:
    """True for the names of special tokens, which some converters mark as user-defined."""
    return token in _BARE_NAMES or (token.startswith("<|") and token.endswith("|>"))


def _places(tokens: Sequence[str], types: Sequence[int], wanted: Sequence[int]) -> dict[str, int]:
    """The tokens of the `wanted` types and their ids. Raises: ModelFileError."""
    places = {token: place for place, token in enumerate(tokens) if types[place] in wanted}
    if len(places) < sum(map(types.count, wanted)):
        twice = next(token for place, token in enumerate(tokens) if places.get(token, place) > place)
        raise ModelFileError(f"{_PREFIX}tokens holds {_shown(twice)} twice")
    return places


def _tokens(metadata: Mapping[str, object]) -> tuple[list[str], list[int]]:
    """The tokens and their types. Raises: ModelFileError."""
    tokens, types = _list(metadata, "tokens", str), _list(metadata, "token_type", int)
    if not 0 < len(tokens) <= _MOST_TOKENS:
        raise ModelFileError(f"{_PREFIX}tokens has {len(tokens)} entries, not between 1 and {_MOST_TOKENS}")
    if len(types) != len(tokens):
        raise ModelFileError(f"{_PREFIX}token_type has {len(types)} entries for {len(tokens)} tokens")
    unknown = set(types).difference(TYPES)
    if unknown:
        raise ModelFileError(f"{_PREFIX}token_type holds the unknown type {min(unknown)}")
    return tokens, types


def _check_splitting(metadata: Mapping[str, object], known: Sequence[str], default: str | None) -> None:
    pre = _value(metadata, "pre", str, default)
    if pre not in known:
        raise ModelFileError(f"{_PREFIX}pre is {_shown(pre)}; this server knows {', '.join(known)}")


def _refuse(metadata: Mapping[str, object], key: str) -> None:
    if _value(metadata, key, bool, False):
        raise ModelFileError(f"{_PREFIX}{key} is true, which no GLM model wants; this server does not support it")


def _value(metadata: Mapping[str, object], key: str, kind: type[Value], default: Value | None = None) -> Value:
    value = metadata.get(_PREFIX + key, default)
    if value is None:
        raise ModelFileError(f"the file has no {_PREFIX}{key}")
    if not isinstance(value, kind):
        raise ModelFileError(f"{_PREFIX}{key} is of type {type(value).__name__}, not {kind.__name__}")
    return value


def _list(metadata: Mapping[str, object], key: str, kind: type[Value]) -> list[Value]:
    values: list[Value] = _value(metadata, key, list)
    if set(map(type, values)) - {kind}:
        raise ModelFileError(f"{_PREFIX}{key} is a list of something else than {kind.__name__}")
    return values


def _shown(text: str) -> str:
    """`text` for an error: on one line, in ASCII, cut."""
    return ascii(text[:40])


def _letters() -> str:
    """GPT-2's letters for the 256 bytes: a printable byte is its own letter, the others are those from U+0100 on."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in own else next(others)) for byte in range(256))


_LETTERS = charmap_build(_letters())
