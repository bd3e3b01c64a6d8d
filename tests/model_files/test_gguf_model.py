"""What a GGUF file says of itself beside its network: what kind of file it is, its name, and where answers end."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.containers import read_model_file
from tests.random_gguf import write_random_gguf


@pytest.mark.parametrize(
    ("architecture", "kind", "words"),
    [
        ("clip", "mmproj", "the image part of a model that sees (mmproj)"),
        ("clip", "", "take the model's own .gguf file, which lies beside it"),
        ("glm4", "adapter", "an adapter (LoRA)"),
        ("glm4", "imatrix", "an importance matrix"),
    ],
)
def test_a_file_that_holds_no_language_model(tmp_path: Path, architecture: str, kind: str, words: str) -> None:
    path = tmp_path / "mmproj-model.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    if kind:
        writer.add_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert caught.value.message.startswith(f"{path}: the file is {words}" if kind else f"{path}: the file is the image")
    assert words in caught.value.message


def test_no_end_of_the_text(tmp_path: Path) -> None:
    """Writers put -1 where a tokenizer has no such token; the chat format's end tokens remain."""
    path = write_random_gguf(tmp_path / "model.gguf", ends={"eom": (1 << 32) - 1})
    named = read_model_file(path).end_tokens
    reader = gguf.GGUFReader(path, "r+")
    eos = reader.fields["tokenizer.ggml.eos_token_id"]
    ours = int(eos.parts[eos.data[0]][0])
    eos.parts[eos.data[0]][0] = (1 << 32) - 1
    reader.data.flush()
    assert read_model_file(path).end_tokens == named - {ours}


@pytest.mark.parametrize("name", ["645b8482494e31b6b752272bf7f7f273ef0f3caf", ""])
def test_a_name_that_is_a_commit_counts_as_none(tmp_path: Path, name: str) -> None:
    """Converters name a model after its folder, which in a cache is a commit."""
    file = read_model_file(write_random_gguf(tmp_path / "GLM-Z1-9B-0414-Q4_0.gguf", name=name))
    assert (file.chat_format, "'GLM-Z1-9B-0414-Q4_0'" in file.chat_format_reason) == ("glm-z1", True)
