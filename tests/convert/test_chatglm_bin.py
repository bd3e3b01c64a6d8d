"""chatglm.cpp files as GGUF: the same blocks, the same vocabulary, as the `gguf` package reads them."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import sentencepiece
from chatglm_bin_writer import DType, ModelType

from chatglm_server.cli.main import main
from chatglm_server.convert.byte_pair_keys import spell
from chatglm_server.convert.chatglm_bin import bin_contents
from chatglm_server.convert.gguf_writer import write_gguf
from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.chatglm_bin import read_chatglm_bin

from ..random_models import write_random_model

DEMOS = Path(__file__).parent.parent.parent / "models"


def converted(path: Path, folder: Path) -> gguf.GGUFReader:
    contents = bin_contents(read_chatglm_bin(path))
    write_gguf(folder / "copy.gguf", contents.metadata, contents.tensors)
    return gguf.GGUFReader(folder / "copy.gguf")


@pytest.mark.parametrize("dtype", DType)
def test_blocks_are_copied(tmp_path: Path, dtype: DType) -> None:
    file = read_chatglm_bin(write_random_model(tmp_path / "chatglm3.bin", dtype=dtype))
    reader = converted(file.path, tmp_path)
    data = file.path.read_bytes()
    for tensor, copy in zip(file.tensors, reader.tensors, strict=True):
        assert copy.data.tobytes() == data[tensor.offset : tensor.offset + tensor.nbytes], copy.name
        assert int(copy.tensor_type) == tensor.type
        assert [int(size) for size in copy.shape] == [*reversed(tensor.shape)]
    file_type = gguf.LlamaFileType(reader.fields["general.file_type"].contents())
    assert file_type.name.removeprefix("MOSTLY_").removeprefix("ALL_") == dtype.name


def test_figures(tmp_path: Path) -> None:
    file = read_chatglm_bin(write_random_model(tmp_path / "chatglm2-x.bin", ModelType.CHATGLM2, hidden=128, layers=3))
    fields = converted(file.path, tmp_path).fields
    figures = {key: field.contents() for key, field in fields.items() if key.startswith("chatglm.")}
    epsilon = figures.pop("chatglm.attention.layer_norm_rms_epsilon")
    assert epsilon == pytest.approx(file.header.norm_eps)
    assert figures == {
        "chatglm.vocab_size": 512,
        "chatglm.context_length": 256,
        "chatglm.embedding_length": 128,
        "chatglm.feed_forward_length": 256,
        "chatglm.block_count": 3,
        "chatglm.attention.head_count": 4,
        "chatglm.attention.head_count_kv": 2,
        "chatglm.attention.key_length": 32,
        "chatglm.attention.value_length": 32,
        "chatglm.rope.dimension_count": 16,
        "chatglm.rope.freq_base": 10000.0,
    }
    assert fields["general.architecture"].contents() == "chatglm"
    assert fields["general.name"].contents() == "chatglm2-x"


def test_a_sentencepiece_vocabulary(tmp_path: Path) -> None:
    file = read_chatglm_bin(DEMOS / "demo-chatglm3.bin")
    keys = {key: field.contents() for key, field in converted(file.path, tmp_path).fields.items()}
    model = sentencepiece.SentencePieceProcessor(model_proto=file.tokenizer)
    count = model.get_piece_size()
    tokens, scores = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"]
    types = [gguf.TokenType(number) for number in keys["tokenizer.ggml.token_type"]]
    assert len(tokens) == len(scores) == len(types) == file.header.vocab_size
    for token in range(count):
        assert tokens[token] == model.id_to_piece(token)
        assert scores[token] == model.get_score(token)
        assert (types[token] == gguf.TokenType.CONTROL) == model.is_control(token)
        assert (types[token] == gguf.TokenType.BYTE) == model.is_byte(token)
        assert (types[token] == gguf.TokenType.UNKNOWN) == model.is_unknown(token)
    assert types[tokens.index('{"')] == gguf.TokenType.USER_DEFINED
    roles = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    assert tokens[count : count + 10] == ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", *roles, f"[PAD{count + 9}]"]
    assert types[count : count + 10] == [gguf.TokenType.CONTROL] * 9 + [gguf.TokenType.UNUSED]
    assert len(set(tokens)) == len(tokens)
    assert keys["tokenizer.ggml.model"] == "llama"
    assert keys["tokenizer.ggml.add_space_prefix"] is True
    assert keys["tokenizer.ggml.remove_extra_whitespaces"] is False
    assert keys["tokenizer.ggml.add_bos_token"] is False
    ids = {name: keys[f"tokenizer.ggml.{name}_token_id"] for name in ("unknown", "bos", "eos", "eot", "eom")}
    assert ids == {"unknown": 0, "bos": 1, "eos": 2, "eot": tokens.index("<|user|>"), "eom": count + 8}


def test_a_byte_pair_vocabulary(tmp_path: Path) -> None:
    file = read_chatglm_bin(DEMOS / "demo-glm4.bin")
    keys = {key: field.contents() for key, field in converted(file.path, tmp_path).fields.items()}
    tokens, merges = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.merges"]
    assert keys["tokenizer.ggml.model"] == "gpt2"
    assert len(tokens) == len(set(tokens)) == file.header.vocab_size
    first = tokens.index("<|endoftext|>")
    assert first == len(file.tokenizer.splitlines())
    assert tokens[first + 6 : first + 10] == ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    ids = {name: keys[f"tokenizer.ggml.{name}_token_id"] for name in ("eos", "eot", "eom")}
    assert ids == {"eos": first, "eot": first + 7, "eom": first + 9}
    splits = [merge.split(" ") for merge in merges]
    ranks = [tokens.index(left + right) for left, right in splits]
    assert ranks == sorted(ranks)
    assert len(splits) == len({tuple(split) for split in splits})


def test_spelling() -> None:
    """Known spellings of GPT-2's own vocabulary."""
    assert spell(b" the\n") == "ĠtheĊ"
    assert spell("é".encode()) == "Ã©"
    assert len({spell(bytes([byte])) for byte in range(256)}) == 256


def test_other_networks_are_refused(tmp_path: Path) -> None:
    file = read_chatglm_bin(write_random_model(tmp_path / "chatglm.bin", ModelType.CHATGLM))
    with pytest.raises(ModelFileError, match=r"chatglm\.bin: GGUF has no network for it"):
        bin_contents(file)


def test_sources_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_random_model(tmp_path / "a.bin")
    made, original = tmp_path / "a.gguf", source.read_bytes()
    assert main(["convert", str(source), "--out", str(source)]) == 2
    assert "choose another name" in capsys.readouterr().err and source.read_bytes() == original
    assert main(["convert", str(source), "--out", str(made)]) == 0
    for name, words in ((str(made), "is a GGUF file already"), ("missing", "missing: No such file")):
        assert main(["convert", name, "--out", str(tmp_path / "b.gguf"), "--type", "q4_0"]) == 1
        assert words in capsys.readouterr().err
