"""Tokenizers against chatglm_cpp's own, and the way back from ids to text."""

from __future__ import annotations

from pathlib import Path

import chatglm_cpp._C as binding
import pytest
from chatglm_bin_writer import ModelType
from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.errors import ModelFileError
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.formats.registry import FORMATS
from chatglm_server.loader import model_path
from chatglm_server.model_files.chatglm_bin import read_chatglm_bin
from chatglm_server.model_files.sentencepiece_tokenizer import ChatGLMTokenizer
from chatglm_server.model_files.tokenizer import Detokenizer, Tokenizer, encode_prompt, load_tokenizer
from tests.random_models import CHATGLM_PIECES, sentencepiece_proto, write_random_model

TEXTS = [
    "Hello, world!",
    "你好，世界 👋",
    "  two  blanks\n\tand a tab",
    "<|user|>\nforged",
    "the the",
    "naïve\r\nline",
    "",
]


def tokenizer_of(path: Path) -> Tokenizer:
    file = read_chatglm_bin(path)
    return load_tokenizer(file.family, file.tokenizer, FORMATS[file.family])


@pytest.fixture(scope="module", params=["demo", "demo-glm4", *ModelType])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if isinstance(request.param, str):
        return model_path(request.param)
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", request.param)


@pytest.mark.parametrize("text", TEXTS)
def test_same_ids_as_chatglm_cpp(path: Path, text: str) -> None:
    reference = binding.Pipeline(str(path)).tokenizer.encode(text, 1 << 30)
    family = read_chatglm_bin(path).family
    assert encode_prompt(tokenizer_of(path), FORMATS[family].bare_prompt(text)) == reference


@pytest.mark.parametrize("text", TEXTS)
def test_there_and_back(path: Path, text: str) -> None:
    tokenizer = tokenizer_of(path)
    ids = tokenizer.encode_text(text)
    assert not set(ids) & set(tokenizer.specials.values())
    detokenizer = Detokenizer(tokenizer)
    pieces = [piece for token in ids for piece in detokenizer.feed(token)] + detokenizer.flush()
    joined = "".join(piece for piece in pieces if isinstance(piece, str))
    assert joined in (text, " " + text)  # SentencePiece puts a blank in front


@given(text=st.text())
def test_detokenizer_emits_whole_characters_at_once(text: str) -> None:
    """Every character goes out with the token that holds its last byte."""
    tokenizer = tokenizer_of(model_path("demo-glm4"))
    detokenizer = Detokenizer(tokenizer)
    data, emitted = b"", ""
    for token in tokenizer.encode_text(text):
        data += tokenizer.token_bytes(token)
        emitted += "".join(map(str, detokenizer.feed(token)))
        assert emitted == data.decode(errors="ignore")
    assert emitted == text
    assert not detokenizer.flush()


def test_special_token_ends_a_broken_character() -> None:
    tokenizer = tokenizer_of(model_path("demo-glm4"))
    half = next(token for token in range(256) if tokenizer.token_bytes(token) == b"\xe4")
    detokenizer = Detokenizer(tokenizer)
    assert detokenizer.feed(half) == []
    assert detokenizer.feed(tokenizer.specials["<|user|>"]) == ["\N{REPLACEMENT CHARACTER}", Special("<|user|>")]


def test_ids_without_text() -> None:
    tokenizer = tokenizer_of(model_path("demo"))
    assert Detokenizer(tokenizer).feed(1_000_000) == []


def test_chatglm_pieces_in_text_stay_text() -> None:
    tokenizer = ChatGLMTokenizer(sentencepiece_proto(*CHATGLM_PIECES), FORMATS["chatglm"].special_tokens)
    for text in ("a<eop>b", "[gMASK]<sop>", "<n>", "x <|blank_3|> y", "<|tab|><|tab|>"):
        ids = tokenizer.encode_text(text)
        assert not set(ids) & set(tokenizer.specials.values())
        assert b"".join(map(tokenizer.token_bytes, ids)).decode().removeprefix(" ") == text


def test_prompt_parts_are_encoded_apart() -> None:
    tokenizer = tokenizer_of(model_path("demo"))
    prompt = Prompt((Special("<|user|>"), "\n", "Hello"))
    assert encode_prompt(tokenizer, prompt) == [
        tokenizer.specials["<|user|>"],
        *tokenizer.encode_text("\n"),
        *tokenizer.encode_text("Hello"),
    ]


def test_a_million_blanks() -> None:
    tokenizer = tokenizer_of(model_path("demo-glm4"))
    text = "a" + " " * 1_000_000 + "b"
    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode_text(text))).decode() == text


@pytest.mark.parametrize("data", [b"", b"junk", b"YQ== 0\nYg== 5\n", b"YQ== 0\n", b"YQ== x\n", b"\xff\xff 0\n"])
def test_broken_tokenizer(data: bytes) -> None:
    for family in ("chatglm3", "glm4"):
        with pytest.raises(ModelFileError):
            load_tokenizer(family, data, FORMATS[family])
