"""The tokenizer of a Hugging Face folder as GGUF's metadata.

``tokenizer.json`` holds byte-pair tokens and merges. The original repositories have ``tokenizer.model``: a
SentencePiece model (ChatGLM3), or tiktoken's lines (GLM-4-9B).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..formats.registry import FORMATS
from ..model_files.sentencepiece_proto import CONTROL, NORMAL, USER_DEFINED
from ..model_files.tokenizer import load_tokenizer
from .byte_pair_keys import byte_pair_keys
from .gguf_writer import Value
from .json_files import read_bytes, read_json, read_json_if_there
from .sentencepiece_keys import sentencepiece_keys
from .vocabulary import end_keys, filled

_TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")
_CONTROL = re.compile(r"<\|.*\|>")
_END = "<|endoftext|>"


def tokenizer_keys(folder: Path, vocab_size: int, end_tokens: Sequence[int]) -> dict[str, Value]:
    """The keys of a folder's tokenizer and chat template. `end_tokens` are those that its configuration names.

    Raises: ModelFileError.
    """
    config = read_json_if_there(folder / "tokenizer_config.json")
    if (folder / "tokenizer.json").exists():
        keys, specials = _from_json(folder / "tokenizer.json", vocab_size)
    elif (folder / "tokenizer.model").exists():
        keys, specials = _from_model(folder / "tokenizer.model", config, vocab_size)
    else:
        raise ModelFileError(f"{folder}: tokenizer.json and tokenizer.model are missing; download one of them")
    if any(token >= vocab_size for token in end_tokens):
        raise ModelFileError(f"{folder}: an end token is {max(end_tokens)}, but the model's vocab_size is {vocab_size}")
    end = specials.get(_END, end_tokens[0] if end_tokens else None)
    if end is None:
        raise ModelFileError(f"{folder}: neither config.json nor the tokenizer names a token that ends an answer")
    keys |= end_keys(specials, end)
    template = _chat_template(folder, config)
    return keys | {"tokenizer.chat_template": template} if template else keys


def _from_json(path: Path, vocab_size: int) -> tuple[dict[str, Value], dict[str, int]]:
    """The keys, and the special tokens by name."""
    values = read_json(path)
    model = values.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE" or not _byte_level(values):
        raise ModelFileError(f"{path}: the tokenizer is not a byte-level BPE, the kind that GLM models have")
    tokens = _by_id(path, model.get("vocab"), vocab_size)
    added = _added_tokens(path, values.get("added_tokens", []), vocab_size)
    specials = {text: token for token, (text, kind) in added.items() if kind == CONTROL}
    texts, types = filled(tokens, [NORMAL] * len(tokens), {}, vocab_size)
    for token, (text, kind) in added.items():
        texts[token], types[token] = text, kind
    keys: dict[str, Value] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "glm4",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": _merges(path, model.get("merges")),
        "tokenizer.ggml.add_bos_token": False,
    }
    return keys, specials


def _byte_level(values: Mapping[str, Any]) -> bool:
    """True if text becomes GPT-2's alphabet before it is merged: some step says so, alone or in a sequence."""
    step = values.get("pre_tokenizer")
    if not isinstance(step, dict):
        return False
    steps = step.get("pretokenizers") if step.get("type") == "Sequence" else [step]
    return isinstance(steps, list) and any(isinstance(part, dict) and part.get("type") == "ByteLevel" for part in steps)


def _by_id(path: Path, vocabulary: object, vocab_size: int) -> list[str]:
    """The tokens in the order of their ids, which must be 0, 1, 2, …"""
    if not isinstance(vocabulary, dict) or not vocabulary or len(vocabulary) > vocab_size:
        raise ModelFileError(f"{path}: model.vocab is not an object of at most {vocab_size} tokens and their ids")
    ids = list(vocabulary.values())
    if not all(type(token) is int for token in ids) or sorted(ids) != list(range(len(ids))):
        raise ModelFileError(f"{path}: the ids in model.vocab are not 0, 1, 2, …")
    return sorted((_unicode(path, text) for text in vocabulary), key=vocabulary.__getitem__)


def _added_tokens(path: Path, entries: object, vocab_size: int) -> dict[int, tuple[str, int]]:
    """(text, type) by id. A name like ``<|user|>`` makes a control token, too, as in llama.cpp's converter."""
    if not isinstance(entries, list):
        raise ModelFileError(f"{path}: added_tokens is not a list")
    added = {}
    for entry in entries:
        token, text = (entry.get("id"), entry.get("content")) if isinstance(entry, dict) else (None, None)
        if type(token) is not int or not 0 <= token < vocab_size or not isinstance(text, str) or not text:
            raise ModelFileError(
                f"{path}: added_tokens holds {entry!r:.80}; a token needs a text, and an id below {vocab_size}"
            )
        control = entry.get("special") is True or _CONTROL.fullmatch(text)
        added[token] = (_unicode(path, text), CONTROL if control else USER_DEFINED)
    return added


def _merges(path: Path, merges: object) -> list[str]:
    """ "LEFT RIGHT", which newer files write as a list of the two."""
    if not isinstance(merges, list):
        raise ModelFileError(f"{path}: model.merges is not a list")
    made = []
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise ModelFileError(f"{path}: model.merges holds {merge!r:.80}, which is not a pair of tokens")
        made.append(_unicode(path, " ".join(parts)))
    return made


def _unicode(path: Path, text: str) -> str:
    """JSON may spell half of a surrogate pair, which UTF-8 cannot."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ModelFileError(f"{path}: the token {text!a:.80} is not Unicode")
    return text


def _from_model(path: Path, config: Mapping[str, Any], vocab_size: int) -> tuple[dict[str, Value], dict[str, int]]:
    """The keys, and the special tokens by name: those that the chat format knows, and those that `config` adds."""
    data = read_bytes(path)
    family = "glm4" if _TIKTOKEN_LINE.match(data) else "chatglm3"
    tokenizer = load_tokenizer(family, data, FORMATS[family])
    added = config.get("added_tokens_decoder", {})
    if not isinstance(added, dict):
        raise ModelFileError(f"{path.with_name('tokenizer_config.json')}: added_tokens_decoder is not an object")
    entries = [{**entry, "id": _id(token)} for token, entry in added.items() if isinstance(entry, dict)]
    named = {text: token for token, (text, _) in _added_tokens(path, entries, vocab_size).items()}
    specials = named if set(FORMATS[family].special_tokens) <= named.keys() else {**tokenizer.specials, **named}
    if family == "chatglm3":
        pieces = tokenizer.size - len(tokenizer.specials)
        specials = {text: token for text, token in specials.items() if token >= pieces}  # <s> is a piece already
        return sentencepiece_keys(data, specials, vocab_size), specials
    tokens = [tokenizer.token_bytes(token) for token in range(tokenizer.size - len(tokenizer.specials))]
    return byte_pair_keys(tokens, specials, vocab_size), specials


def _id(token: str) -> int | None:
    return int(token) if token.isascii() and token.isdigit() and len(token) < 10 else None


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The template in a file of its own, or the default one of tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return read_bytes(path).decode()
        except UnicodeDecodeError:
            raise ModelFileError(f"{path}: the file is not UTF-8") from None
    template = config.get("chat_template") or read_json_if_there(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):
        named = [entry for entry in template if isinstance(entry, dict)]
        template = next((entry.get("template") for entry in named if entry.get("name") == "default"), None)
    return _unicode(folder, template) if isinstance(template, str) else None
