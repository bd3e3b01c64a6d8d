"""The same model for llama.cpp: a chatglm.cpp file, copied block for block into GGUF.

Both formats hold ggml's blocks in ggml's order of rows, so a matrix's bytes are taken over as they are: the two engines
compute with the same weights, not with similar ones. llama.cpp knows the network as "chatglm", and expects, like
chatglm.cpp, the gate and the value of the feed-forward layer in one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sentencepiece
from demo_model.sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN

from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.chatglm_bin import ModelFile
from chatglm_server.model_files.chatglm_bin_layout import BLOCK

if TYPE_CHECKING:
    import gguf

CHATGLM3 = FORMATS["chatglm3"]
_UNUSED = 5
_NAMES = {
    "transformer.embedding.word_embeddings.weight": "token_embd.weight",
    "transformer.encoder.final_layernorm.weight": "output_norm.weight",
    "transformer.output_layer.weight": "output.weight",
}
_LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attention.query_key_value.weight": "attn_qkv.weight",
    "self_attention.query_key_value.bias": "attn_qkv.bias",
    "self_attention.dense.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.dense_h_to_4h.weight": "ffn_up.weight",
    "mlp.dense_4h_to_h.weight": "ffn_down.weight",
}


def obstacle(file: ModelFile) -> str:
    """What keeps a file from being copied; "" if nothing does."""
    if file.family not in ("chatglm2", "chatglm3"):
        return f"a {file.family} model cannot be copied to GGUF here; ChatGLM2 and ChatGLM3 can"
    if any(_gguf_name(tensor.name) is None for tensor in file.tensors):
        return "it has tensors that llama.cpp's chatglm network does not know"
    return ""


def write_gguf(file: ModelFile, path: Path) -> None:
    """Writes the copy; tensors go from file to file without being held in memory. `obstacle` must be ""."""
    import gguf

    head = file.header
    writer = gguf.GGUFWriter(path, "chatglm")
    writer.add_context_length(head.max_length)
    writer.add_embedding_length(head.hidden_size)
    writer.add_feed_forward_length(head.intermediate_size)
    writer.add_block_count(head.num_hidden_layers)
    writer.add_head_count(head.num_attention_heads)
    writer.add_head_count_kv(head.num_key_value_heads)
    writer.add_layer_norm_rms_eps(head.norm_eps)
    writer.add_rope_dimension_count(head.hidden_size // head.num_attention_heads // 2)
    writer.add_rope_freq_base(head.rope_theta)
    _add_tokenizer(writer, file)
    for tensor in file.tensors:
        kind = gguf.GGMLQuantizationType(tensor.type)  # both use ggml's numbers
        columns, size = BLOCK[tensor.type]
        shape = (*tensor.shape[:-1], tensor.shape[-1] // columns * size)
        writer.add_tensor_info(str(_gguf_name(tensor.name)), shape, np.dtype(np.uint8), tensor.nbytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in file.tensors:
        writer.write_tensor_data(np.memmap(file.path, np.uint8, "r", tensor.offset, tensor.nbytes))
    writer.close()


def _gguf_name(name: str) -> str | None:
    if name in _NAMES:
        return _NAMES[name]
    number, _, rest = name.removeprefix("transformer.encoder.layers.").partition(".")
    return f"blk.{number}.{_LAYER_NAMES[rest]}" if rest in _LAYER_NAMES else None


def _add_tokenizer(writer: gguf.GGUFWriter, file: ModelFile) -> None:
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


def _vocabulary(file: ModelFile) -> Iterator[tuple[str, float, int]]:
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
