"""From a chatglm.cpp file to the contents of a GGUF file: every block as it is, the tokenizer as keys.

Both formats hold ggml's blocks in ggml's order of rows, so the bytes of a matrix are copied unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from ..errors import ModelFileError
from ..formats.registry import FORMATS, format_of_model
from ..model_files.chatglm_bin import ChatGLMBin
from ..model_files.chatglm_bin_spec import model_spec
from ..model_files.spec import TensorSpec
from ..model_files.tokenizer import load_tokenizer
from ..model_files.weight_types import WEIGHT_TYPES
from .byte_pair_keys import byte_pair_keys
from .contents import Contents, network_keys
from .gguf_writer import TensorData, Value
from .mixes import MIXES
from .sentencepiece_keys import sentencepiece_keys
from .vocabulary import end_keys

_PIECE_BYTES = 8 << 20
_GATE, _UP = ".ffn_gate.weight", ".ffn_up.weight"


def bin_contents(file: ChatGLMBin) -> Contents:
    """Returns the contents of a GGUF file with the weights and the tokenizer of `file`.

    Raises: ModelFileError for a file of another network than llama.cpp's "chatglm", or with a broken tokenizer.
    """
    spec = model_spec(file)
    if spec.architecture != "chatglm":
        raise ModelFileError(f"{file.path}: GGUF has no network for it; ChatGLM2, ChatGLM3 and GLM-4 can be converted")
    tensors = tuple(_tensors(spec.tensors))
    named = format_of_model(file.path.stem) == file.family
    metadata: dict[str, Value] = {
        "general.architecture": spec.architecture,
        "general.name": file.path.stem if named else f"{file.family} {file.path.stem}",
        "general.file_type": MIXES[WEIGHT_TYPES[max(tensor.type for tensor in tensors)].name.lower()].number,
        "general.quantization_version": 2,
        **network_keys(spec.architecture, spec),
        **_tokenizer_keys(file),
    }
    return Contents(metadata, tensors)


def _tensors(specs: Mapping[str, TensorSpec]) -> Iterator[TensorData]:
    """In the file's order. llama.cpp wants the gate's and the other rows of a feed-forward layer in one matrix."""
    for name, spec in specs.items():
        gate = specs.get(name.replace(_UP, _GATE)) if name.endswith(_UP) else None
        if gate:
            shape = (gate.shape[0] + spec.shape[0], *spec.shape[1:])
            yield _copied(name, shape, gate, spec)
        elif not name.endswith(_GATE):
            yield _copied(name, spec.shape, spec)


def _copied(name: str, shape: tuple[int, ...], *parts: TensorSpec) -> TensorData:
    nbytes = sum(part.nbytes for part in parts)
    return TensorData(name, shape, parts[0].type, nbytes, lambda: chain.from_iterable(map(_read, parts)))


def _read(spec: TensorSpec) -> Iterator[bytes]:
    with spec.path.open("rb") as file:
        file.seek(spec.offset)
        left = spec.nbytes
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece


def _tokenizer_keys(file: ChatGLMBin) -> dict[str, Value]:
    """Raises: ModelFileError."""
    try:
        return _keys(file)
    except ModelFileError as error:
        raise ModelFileError(f"{file.path}: {error.message}") from None


def _keys(file: ChatGLMBin) -> dict[str, Value]:
    """Raises: ModelFileError, whose message does not name the file."""
    tokenizer = load_tokenizer(file.family, file.tokenizer, FORMATS[file.family])
    specials, size = tokenizer.specials, file.header.vocab_size
    if file.family == "glm4":
        tokens = [tokenizer.token_bytes(token) for token in range(tokenizer.size - len(specials))]
        keys = byte_pair_keys(tokens, specials, size)
        end = specials["<|endoftext|>"]
    else:
        keys = sentencepiece_keys(file.tokenizer, specials, size)
        end = file.header.eos_token_id
    return keys | end_keys(specials, end)
