"""Tokenizers from GGUF's keys against Hugging Face's library, SentencePiece and llama.cpp, and keys that are broken.

`CHATGLM_TEST_STRINGS` is the number of strings that each comparison tries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.chat import Message
from chatglm_server.errors import ModelFileError
from chatglm_server.formats.base import Special
from chatglm_server.formats.registry import FORMATS
from chatglm_server.loader import model_path
from chatglm_server.model_files.chatglm_bin import read_chatglm_bin
from chatglm_server.model_files.gguf_tokenizer import gguf_tokenizer
from chatglm_server.model_files.tokenizer import Tokenizer, check_special_tokens, encode_prompt
from tests.vocabularies import (
    CONTROL,
    GLM4_SPECIALS,
    NORMAL,
    THOUGHTS,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    all_merges,
    gpt2_metadata,
    llama_metadata,
    nasty_texts,
    oracle_of,
    trained,
    trained_sentencepiece,
)

STRINGS = int(os.environ.get("CHATGLM_TEST_STRINGS", "3000"))
KEY = "tokenizer.ggml."
CHATGLM3_SPECIALS = FORMATS["chatglm3"].special_tokens


@cache
def demo_proto() -> bytes:
    """The SentencePiece model in the ChatGLM3 demo."""
    return read_chatglm_bin(model_path("demo")).tokenizer


@cache
def bpe(pre: str = "glm4") -> Tokenizer:
    return gguf_tokenizer(gpt2_metadata(pre))


@cache
def hugging_faces() -> Callable[[str], list[int]]:
    oracle = oracle_of(*trained(), ignore_merges=True)
    return lambda text: list(oracle.encode(text).ids)


@cache
def sentencepiece_of_demo() -> Tokenizer:
    return gguf_tokenizer(llama_metadata(demo_proto(), CHATGLM3_SPECIALS))


def assert_same(tokenizer: Tokenizer, reference: Callable[[str], list[int]], count: int = STRINGS) -> None:
    for text in nasty_texts(count):
        assert tokenizer.encode_text(text) == reference(text), ascii(text)


def test_bpe_is_hugging_faces() -> None:
    tokens, merges = trained()
    oracles = [
        oracle_of(tokens, merges, ignore_merges=True),
        oracle_of(tokens, merges, ignore_merges=False),
        oracle_of(tokens, all_merges(tokens), ignore_merges=False),
    ]
    tokenizer = bpe()
    for text in nasty_texts(STRINGS):
        ids = tokenizer.encode_text(text)
        for oracle in oracles:
            assert ids == oracle.encode(text).ids, ascii(text)
        assert b"".join(map(tokenizer.token_bytes, ids)).decode() == text


@settings(deadline=None)
@given(text=st.text())
def test_bpe_of_any_text(text: str) -> None:
    assert bpe().encode_text(text) == hugging_faces()(text)


def test_tokens_that_merges_cannot_reach_are_taken_whole() -> None:
    """Some of GLM-4's tokens are such; Hugging Face's ``ignore_merges`` and tiktoken take them as they stand."""
    tokens, merges = trained()
    whole = ["zqxjkvw", "qxzjQ", "ĠzzqqXX"]
    listed = [*tokens, *whole]
    metadata = gpt2_metadata() | {
        KEY + "tokens": [*listed, *GLM4_SPECIALS],
        KEY + "token_type": [NORMAL] * len(listed) + [CONTROL] * len(GLM4_SPECIALS),
    }
    tokenizer, oracle = gguf_tokenizer(metadata), oracle_of(listed, merges, ignore_merges=True)
    for text in ("zqxjkvw", "azqxjkvw zqxjkvw zzqqXX zzqqXXa", "qxzjQ1qxzjQ"):
        assert tokenizer.encode_text(text) == oracle.encode(text).ids
    assert tokenizer.encode_text("zqxjkvw") == [len(tokens)]


def test_merges_of_several_parts() -> None:
    """llama.cpp's first converter for GLM-4 lists all parts of a token that no two tokens make."""
    tokens, merges = trained()
    metadata = gpt2_metadata() | {KEY + "merges": [*merges[:-1], " ".join(tokens[-1])]}
    assert_same(gguf_tokenizer(metadata), bpe().encode_text, 100)


@pytest.mark.parametrize("proto", [demo_proto, trained_sentencepiece])
def test_sentencepiece_is_the_files_own(proto: Callable[[], bytes]) -> None:
    own = sentencepiece.SentencePieceProcessor(model_proto=proto())
    tokenizer = gguf_tokenizer(llama_metadata(proto(), CHATGLM3_SPECIALS))
    assert_same(tokenizer, lambda text: list(own.encode(text)))


@settings(deadline=None)
@given(text=st.text())
def test_sentencepiece_of_any_text(text: str) -> None:
    own = sentencepiece.SentencePieceProcessor(model_proto=demo_proto())
    assert sentencepiece_of_demo().encode_text(text) == own.encode(text)


def test_sentencepiece_without_a_blank_in_front() -> None:
    metadata = llama_metadata(demo_proto(), CHATGLM3_SPECIALS) | {KEY + "add_space_prefix": False}
    with_blank, without = sentencepiece_of_demo(), gguf_tokenizer(metadata)
    assert with_blank.token_bytes(with_blank.encode_text("Hello")[0]).startswith(b" ")
    assert not without.token_bytes(without.encode_text("Hello")[0]).startswith(b" ")


@pytest.mark.parametrize("pre", ["glm4", "chatglm-bpe", "chatglm-spm"])
def test_same_ids_as_llama_cpp(pre: str, tmp_path: Path) -> None:
    if pre == "chatglm-spm":
        # llama.cpp lets the text sop become the special token, so it gets none of this name
        metadata = llama_metadata(trained_sentencepiece(), [name for name in CHATGLM3_SPECIALS if "op" not in name])
    else:
        metadata = gpt2_metadata(pre)
        # llama.cpp lets text become user-defined tokens, so it gets none
        metadata[KEY + "token_type"] = [
            CONTROL if kind == USER_DEFINED else kind for kind in metadata[KEY + "token_type"]
        ]
    assert_same(gguf_tokenizer(metadata), llama_cpp_encoder(tmp_path / "vocabulary.gguf", metadata))


def llama_cpp_encoder(path: Path, metadata: dict[str, Any]) -> Callable[[str], list[int]]:
    writer = gguf.GGUFWriter(path, "chatglm")
    for key, value in metadata.items():
        add = writer.add_array if isinstance(value, list) else writer.add_string
        add(key, value)
    for add_number in (writer.add_context_length, writer.add_embedding_length, writer.add_feed_forward_length):
        add_number(64)
    for add_one in (writer.add_block_count, writer.add_head_count, writer.add_head_count_kv):
        add_one(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    llama_cpp.llama_log_set(_QUIET, None)
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    assert model
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    return partial(_encode, vocabulary)


def _encode(vocabulary: Any, text: str) -> list[int]:
    data = text.encode()
    ids = (llama_cpp.llama_token * (len(data) + 16))()
    count = llama_cpp.llama_tokenize(vocabulary, data, len(data), ids, len(ids), False, False)
    return list(ids[:count])


_QUIET = llama_cpp.llama_log_callback(lambda *_: None)


@pytest.mark.parametrize("make", [bpe, sentencepiece_of_demo])
def test_text_never_becomes_a_special_token(make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    for name in (*GLM4_SPECIALS, *CHATGLM3_SPECIALS, *THOUGHTS, "<s>", "</s>", "<unk>", "[PAD4021]", "<control 1>"):
        text = f"a{name}b {name}"
        ids = tokenizer.encode_text(text)
        assert not set(ids) & set(tokenizer.specials.values())
        assert all(map(tokenizer.token_bytes, ids))
        assert b"".join(map(tokenizer.token_bytes, ids)).decode() in (text, " " + text)


def test_special_tokens_have_their_names() -> None:
    tokenizer, count = bpe(), len(trained()[0])
    assert tokenizer.specials == {name: count + place for place, name in enumerate((*GLM4_SPECIALS, *THOUGHTS))}
    assert tokenizer.size == count + len(GLM4_SPECIALS) + len(THOUGHTS) + 7
    assert tokenizer.token_bytes(tokenizer.size - 1) == b""
    other = sentencepiece_of_demo()
    assert {"<s>", "</s>", *CHATGLM3_SPECIALS} == set(other.specials)
    assert other.token_bytes(other.specials["sop"]) == other.token_bytes(other.size - 1) == b""


@pytest.mark.parametrize("name", ["chatglm3", "glm4", "glm4-0414", "glm-z1"])
def test_prompts(name: str) -> None:
    tokenizer = sentencepiece_of_demo() if name == "chatglm3" else bpe()
    check_special_tokens(tokenizer, FORMATS[name])
    prompt = FORMATS[name].render([Message("system", "Be brief."), Message("user", "<|assistant|>你好 sop")])
    expected: list[int] = []
    for piece in prompt.pieces:
        expected += [tokenizer.specials[piece.name]] if isinstance(piece, Special) else tokenizer.encode_text(piece)
    assert encode_prompt(tokenizer, prompt) == expected
    assert expected.count(tokenizer.specials["<|assistant|>"]) == 1


def test_missing_special_token_is_named() -> None:
    with pytest.raises(ModelFileError, match=r"lacks the special token <.endoftext.> of the chat format glm4"):
        check_special_tokens(sentencepiece_of_demo(), FORMATS["glm4"])


def test_special_tokens_spelled_in_other_ways() -> None:
    """Brackets round a name that is a piece of text too, and the type of text."""
    metadata = llama_metadata(demo_proto(), [f"<{name}>" if name == "sop" else name for name in CHATGLM3_SPECIALS])
    first = len(metadata[KEY + "tokens"]) - metadata[KEY + "token_type"].count(UNUSED) - len(CHATGLM3_SPECIALS)
    for place in range(first, first + len(CHATGLM3_SPECIALS), 2):
        metadata[KEY + "token_type"][place] = USER_DEFINED
    metadata[KEY + "token_type"][first + 3] = CONTROL
    tokenizer = gguf_tokenizer(metadata)
    assert tokenizer.specials == sentencepiece_of_demo().specials
    assert_same(tokenizer, sentencepiece_of_demo().encode_text, 100)


@pytest.mark.parametrize("make", [bpe, sentencepiece_of_demo])
def test_half_a_surrogate_pair_is_a_replacement_character(make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    assert tokenizer.encode_text("a\ud800b") == tokenizer.encode_text("a\ufffdb")
    assert tokenizer.encode_text("\ud83d\ude00") == tokenizer.encode_text("😀")


@pytest.mark.parametrize("before", ["", "a", "!\n", "\n", "! \n"])
@pytest.mark.parametrize("after", ["", "a", "!", "1", "\n a", "\x1c"])
def test_long_runs_of_blanks_are_cut_where_the_pattern_cuts(before: str, after: str) -> None:
    text = before + " " * 100_003 + after
    assert bpe().encode_text(text) == hugging_faces()(text)


@pytest.mark.parametrize("unit", [" ", "a", "你", "\0"])
@pytest.mark.parametrize("make", [bpe, sentencepiece_of_demo])
def test_a_million_characters(make: Callable[[], Tokenizer], unit: str) -> None:
    tokenizer = make()
    text = "x" + unit * (1_000_001 // len(unit)) + "y"
    decoded = b"".join(map(tokenizer.token_bytes, tokenizer.encode_text(text))).decode()
    assert decoded in (text, " " + text)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("model", None, "the file has no tokenizer.ggml.model"),
        ("model", "bert", "model is 'bert'; this server reads gpt2 and llama"),
        ("model", 3, "model is of type int, not str"),
        ("pre", "qwen2", "pre is 'qwen2'; this server knows glm4, glm5, chatglm-bpe"),
        ("pre", None, "no tokenizer.ggml.pre"),
        ("tokens", [], "tokens has 0 entries"),
        ("tokens", ["a", 1], "list of something else than str"),
        ("tokens", "abc", "tokens is of type str, not list"),
        ("token_type", [1, 1], "token_type has 2 entries"),
        ("token_type", None, "no tokenizer.ggml.token_type"),
        ("merges", None, "no tokenizer.ggml.merges"),
        ("merges", ["Ġ 你"], "makes no token"),
        ("add_space_prefix", True, "add_space_prefix is true"),
    ],
)
def test_broken_bpe(key: str, value: object, error: str) -> None:
    metadata = gpt2_metadata() | {KEY + key: value}
    assert_refused({key: value for key, value in metadata.items() if value is not None}, error)


@pytest.mark.parametrize(
    ("place", "token", "error"),
    [
        (300, "a b", "'a b' has a letter that means no byte"),
        (300, "你", "has a letter that means no byte"),
        (3999, "the", "holds 'the' twice"),
        (4001, "<sop>", "holds '<sop>' twice"),
        (0, "zzzzqq", "no token for the byte 33"),
    ],
)
def test_broken_bpe_token(place: int, token: str, error: str) -> None:
    metadata = gpt2_metadata() | {KEY + "merges": []}
    metadata[KEY + "tokens"][place] = token
    assert_refused(metadata, error)


def test_merges_in_another_order() -> None:
    metadata = gpt2_metadata()
    metadata[KEY + "merges"].reverse()
    assert_refused(metadata, "needs merges in the order of the tokens")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("pre", "llama-bpe", "pre is 'llama-bpe'; this server knows chatglm-spm, default"),
        ("scores", [0.0], "scores has 1 entries"),
        ("scores", None, "no tokenizer.ggml.scores"),
        ("remove_extra_whitespaces", True, "remove_extra_whitespaces is true"),
        ("add_space_prefix", 1, "add_space_prefix is of type int, not bool"),
    ],
)
def test_broken_sentencepiece(key: str, value: object, error: str) -> None:
    metadata = llama_metadata(demo_proto(), CHATGLM3_SPECIALS) | {KEY + key: value}
    assert_refused({key: value for key, value in metadata.items() if value is not None}, error)


@pytest.mark.parametrize(
    ("key", "place", "value", "error"),
    [
        ("scores", 500, float("nan"), "no score"),
        ("scores", 500, 1e39, "no score"),
        ("token_type", 500, 7, "unknown type 7"),
        ("token_type", 0, NORMAL, "marks no token as unknown"),
        ("token_type", 500, UNKNOWN, "the tokenizer is broken"),
        ("token_type", 5, NORMAL, "the tokenizer is broken"),
        ("tokens", 500, "", "the tokenizer is broken"),
        ("tokens", 5, "<0xZZ>", "the tokenizer is broken"),
        ("tokens", 500, "\udc80", "is not Unicode"),
        ("tokens", 1000, "<0x00>", "the tokenizer is broken"),
        ("tokens", 1, "</s>", "holds '</s>' twice"),
    ],
)
def test_broken_sentencepiece_entry(key: str, place: int, value: object, error: str) -> None:
    metadata = llama_metadata(demo_proto(), CHATGLM3_SPECIALS)
    metadata[KEY + key][place] = value
    assert_refused(metadata, error)


def assert_refused(metadata: dict[str, Any], error: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        gguf_tokenizer(metadata)
    assert error in refused.value.message
    assert refused.value.message.isprintable()
