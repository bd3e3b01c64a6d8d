"""The same model for llama.cpp: a chatglm.cpp file, copied block for block into GGUF.

Both formats hold ggml's blocks in ggml's order of rows, so the bytes of a matrix are copied unchanged: the two engines
compute with the same weights. llama.cpp's network "chatglm" expects the gate and the up part of the feed-forward layer
in one matrix, as chatglm.cpp writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sentencepiece
from demo_model.sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN

from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.chatglm_bin import ChatGLMBin
from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType
from chatglm_server.model_files.chatglm_bin_spec import model_spec

if TYPE_CHECKING:
    import gguf

CHATGLM3 = FORMATS["chatglm3"]
_UNUSED = 5


def obstacle(file: ChatGLMBin) -> str:
    """Why a file cannot be copied; "" if it can."""
    if file.family not in ("chatglm2", "chatglm3"):
        return f"a {file.family} model cannot be copied to GGUF here; ChatGLM2 and ChatGLM3 can"
    spec = model_spec(file)
    if spec.architecture != "chatglm" or any(".ffn_gate." in name for name in spec.tensors):
        return "it has tensors that llama.cpp's chatglm network does not know"
    return ""


def write_gguf(file: ChatGLMBin, path: Path) -> None:
    """Writes the copy; tensors go from file to file without being held in memory. `obstacle` must be ""."""
    import gguf

    spec = model_spec(file)
    writer = gguf.GGUFWriter(path, spec.architecture)
    writer.add_context_length(spec.context_length)
    writer.add_embedding_length(spec.hidden_size)
    writer.add_feed_forward_length(spec.ffn_size)
    writer.add_block_count(spec.layers)
    writer.add_head_count(spec.heads)
    writer.add_head_count_kv(spec.kv_heads)
    writer.add_layer_norm_rms_eps(spec.norm_epsilon)
    writer.add_rope_dimension_count(spec.rotary_size)
    writer.add_rope_freq_base(spec.rope_theta)
    _add_tokenizer(writer, file)
    for name, tensor in spec.tensors.items():
        kind = gguf.GGMLQuantizationType(tensor.type)  # both use ggml's numbers
        columns, size = BLOCK[DType(tensor.type)]
        shape = (*tensor.shape[:-1], tensor.shape[-1] // columns * size)
        writer.add_tensor_info(name, shape, np.dtype(np.uint8), tensor.nbytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in spec.tensors.values():
        writer.write_tensor_data(np.memmap(tensor.path, np.uint8, "r", tensor.offset, tensor.nbytes))
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, file: ChatGLMBin) -> None:
    pieces = list(_vocabulary(file))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.encode() for piece, _, _ in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_types([kind for _, _, kind in pieces])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(file.header.eos_token_id)
    writer.add_add_bos_token(False)


def _vocabulary(file: ChatGLMBin) -> Iterator[tuple[str, float, int]]:
    """(piece, score, type) of every embedding: SentencePiece's, the role tokens, and what fills the matrix up."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=file.tokenizer)
    size = tokenizer.get_piece_size()
    for token in range(size):
        kind = NORMAL
        if tokenizer.is_unknown(token):
            kind = UNKNOWN
        elif tokenizer.is_control(token):
            kind = CONTROL
        elif tokenizer.is_byte(token):
            kind = BYTE
        yield tokenizer.id_to_piece(token), tokenizer.get_score(token), kind
    for name in CHATGLM3.special_tokens:
        taken = tokenizer.piece_to_id(name) != tokenizer.unk_id()  # llama.cpp wants every token to have its own text
        yield f"<{name}>" if taken else name, 0.0, CONTROL
    for token in range(size + len(CHATGLM3.special_tokens), file.header.vocab_size):
        yield f"[unused{token}]", -1e4, _UNUSED
