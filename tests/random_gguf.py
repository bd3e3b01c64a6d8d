"""Small GGUF files with random weights, written by the ``gguf`` package: real files whose text is noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from chatglm_server.convert.quantizers.table import quantize
from chatglm_server.formats.registry import FORMATS

Array = npt.NDArray[np.float32]
Kind = gguf.GGMLQuantizationType

GLM4_TEMPLATE = "[gMASK]<sop>{% if tools %}<|system|>\n# 可用工具{% endif %}{{ messages }}<|assistant|>"
TEXT = ["th", "the", " the", "an", "and", " and", "er", "in", "ing"]
"""What the vocabularies hold besides single bytes and letters."""


@dataclass(frozen=True)
class Shape:
    """The figures of a model. 256 columns everywhere, so that every type of weights fits; others become Q8_0."""

    architecture: str = "glm4"
    layers: int = 2
    hidden: int = 256
    heads: int = 8
    kv_heads: int = 2
    head_size: int = 32
    ffn: int = 512
    joined: bool = False
    """Queries, keys and values in one tensor."""
    biases: bool = False
    extra_norms: bool = True
    tied: bool = False
    sections: tuple[int, ...] = ()
    """Of the rotary embedding."""
    context: int = 1024
    theta: float = 10000.0

    def add_figures(self, writer: gguf.GGUFWriter) -> None:
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.hidden)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.ffn)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_size)
        writer.add_value_length(self.head_size)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(self.head_size // 2)
        writer.add_rope_freq_base(self.theta)
        if self.sections:
            writer.add_rope_dimension_sections(self.sections)

    def tensors(self, tokens: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and sizes, rows first, of a model's tensors."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        yield "token_embd.weight", (tokens, self.hidden)
        for layer in range(self.layers):
            rows = {"attn_q": queries, "attn_k": keys, "attn_v": keys}
            if self.joined:
                rows = {"attn_qkv": queries + 2 * keys}
            for name, count in rows.items():
                yield f"blk.{layer}.{name}.weight", (count, self.hidden)
                if self.biases:
                    yield f"blk.{layer}.{name}.bias", (count,)
            yield f"blk.{layer}.attn_output.weight", (self.hidden, queries)
            yield f"blk.{layer}.ffn_up.weight", (2 * self.ffn, self.hidden)
            yield f"blk.{layer}.ffn_down.weight", (self.hidden, self.ffn)
            for norm in (
                "attn_norm",
                "ffn_norm",
                *(("post_attention_norm", "post_ffw_norm") if self.extra_norms else ()),
            ):
                yield f"blk.{layer}.{norm}.weight", (self.hidden,)
        yield "output_norm.weight", (self.hidden,)
        if not self.tied:
            yield "output.weight", (tokens, self.hidden)


CHATGLM3 = Shape("chatglm", joined=True, biases=True, extra_norms=False)
GLM4_9B = Shape("chatglm", joined=True, biases=True, extra_norms=False, theta=5e6)
GLM4_0414 = Shape("glm4")


def write_random_gguf(
    path: Path,
    shape: Shape = GLM4_0414,
    kinds: Sequence[Kind] = (Kind.F32,),
    *,
    vocabulary: str = "gpt2",
    template: str = "",
    name: str = "tiny",
    ends: Mapping[str, int] = {},
    seed: int = 0,
    split: int = 0,
    file_type: int | None = None,
) -> Path:
    """A file; always the same for the same arguments. Matrices take turns with `kinds`.

    `vocabulary` is "gpt2" (GLM-4), "llama" (ChatGLM3), the name of a later chat format, or "none", which has 320 tokens
    without text. `ends`
    are the ids of end tokens besides its own, by their names ("eom"). With `split` the model is written in parts of as
    many tensors, beside `path`. `file_type` is llama.cpp's number of its mix of types.
    """
    writer = gguf.GGUFWriter(path, shape.architecture, split_max_tensors=split)
    tokens = add_vocabulary(writer, vocabulary)
    for end, token in ends.items():
        writer.add_uint32(f"tokenizer.ggml.{end}_token_id", token)
    writer.add_name(name)
    if file_type is not None:
        writer.add_file_type(file_type)
    if template:
        writer.add_chat_template(template)
    shape.add_figures(writer)
    random = np.random.default_rng(seed)
    for number, (tensor, size) in enumerate(shape.tensors(tokens)):
        if len(size) == 1:
            writer.add_tensor(tensor, random.normal("norm" in tensor, 0.1, size).astype(np.float32))
            continue
        kind = Kind.F32 if "ffn_gate_inp" in tensor else kinds[number % len(kinds)]
        if size[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = Kind.Q8_0
        inputs = size[-2] if "attn_k_b" in tensor else size[-1]  # whose columns are outputs: it is stored transposed
        data = encode(random.normal(0, inputs**-0.5, size).astype(np.float32), kind)
        writer.add_tensor(tensor, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def encode(values: Array, kind: Kind) -> npt.NDArray[np.generic]:
    """The rows as the type stores them; by our own quantizers for the types that the package cannot write."""
    if kind in (Kind.F32, Kind.F16):
        return values.astype(np.float32 if kind == Kind.F32 else np.float16)
    try:
        encoded: npt.NDArray[np.generic] = gguf.quantize(values, kind)
    except NotImplementedError:
        rows = values.reshape(-1, values.shape[-1])
        encoded = np.frombuffer(quantize(rows, int(kind)), np.uint8).reshape(*values.shape[:-1], -1)
    return encoded


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: str) -> int:
    """Adds a tokenizer; returns how many tokens it has, a multiple of 32."""
    if vocabulary == "none":
        writer.add_tokenizer_model("none")
        writer.add_vocab_size(320)
        return 320
    chat_format = {"gpt2": "glm4", "llama": "chatglm3"}.get(vocabulary, vocabulary)
    tokens = list(_pieces() if vocabulary == "llama" else _bpe_tokens(chat_format))
    tokens += [(f"[PAD{index}]", gguf.TokenType.UNUSED) for index in range(len(tokens), -(-len(tokens) // 32) * 32)]
    ids = {token: index for index, (token, _) in enumerate(tokens)}
    writer.add_tokenizer_model("llama" if vocabulary == "llama" else "gpt2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    if vocabulary != "llama":
        writer.add_tokenizer_pre("glm4")
        texts = [text.replace(" ", "Ġ") for text in TEXT]
        known = {*texts, *(token for token, kind in tokens if len(token) == 1 and kind == gguf.TokenType.NORMAL)}
        splits = [(text[:cut], text[cut:]) for text in texts for cut in range(1, len(text))]
        writer.add_token_merges([f"{left} {right}" for left, right in splits if {left, right} <= known])
        writer.add_eos_token_id(ids["<|endoftext|>"])
        writer.add_eot_token_id(ids["<|user|>"])
    else:
        writer.add_token_scores([-float(index) for index in range(len(tokens))])
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
    return len(tokens)


def _bpe_tokens(chat_format: str) -> Iterator[tuple[str, gguf.TokenType]]:
    """GPT-2's letters for the bytes, in the order of the bytes, then `TEXT`, then the special tokens."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    for byte in range(256):
        yield chr(byte if byte in shown else next(hidden)), gguf.TokenType.NORMAL
    for text in TEXT:
        yield text.replace(" ", "Ġ"), gguf.TokenType.NORMAL
    for token in FORMATS[chat_format].special_tokens:
        yield token, gguf.TokenType.CONTROL


def _pieces() -> Iterator[tuple[str, gguf.TokenType]]:
    """SentencePiece's control pieces, bytes, letters and `TEXT`, then ChatGLM3's special tokens."""
    kinds = gguf.TokenType
    yield from (("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL))
    for byte in range(256):
        yield f"<0x{byte:02X}>", kinds.BYTE
    for piece in ["▁", *map(chr, range(33, 127)), *"你好天气", *(text.replace(" ", "▁") for text in TEXT)]:
        yield piece, kinds.NORMAL
    for token in FORMATS["chatglm3"].special_tokens:
        yield token, kinds.CONTROL
