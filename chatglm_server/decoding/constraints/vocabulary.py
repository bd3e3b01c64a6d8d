"""A model's vocabulary as llguidance reads it: the bytes of each token, and how text is cut into tokens."""

from __future__ import annotations

from collections.abc import Iterable

from llguidance import LLTokenizer, TokenizerWrapper

from ...model_files.tokenizer import Tokenizer

_SPECIAL = b"\xff"  # llguidance's mark of a special token: no text begins with this byte
_PLAIN = r"""[^"'\\<\x00-\x1F\x7F]"""
_IN_DOUBLE_QUOTES = r"""[^"\\\x00-\x1F\x7F]+"""
_IN_SINGLE_QUOTES = r"""[^'\\\x00-\x1F\x7F]+"""
_AFTER_BACKSLASH = "bfnrt"  # letters that follow one in JSON; each set takes 12 MB
_SLICES = [
    r"[\x20\x0A\x0D\x09]+",
    *(f"{letter}{_PLAIN}{{0,9}}" for letter in _AFTER_BACKSLASH),
    *(f"{_PLAIN}{{1,10}}", f"{_PLAIN}{{1,30}}", f"{_PLAIN}+"),
    *(_IN_DOUBLE_QUOTES, _IN_SINGLE_QUOTES, "(?s:.)+"),
]
"""Sets of tokens, each without those before it. llguidance allows a set together where any text of its kind fits, and
tries the tokens of others one by one: without sets 2 ms in a string. The last three nearly halve what the first leave
in strings of JSON and Python, and leave an eighth in text between tags. Those of one first letter each take two thirds
off the mask behind a backslash in a string: it was the slowest. llguidance does not see that they fit there if they are
one set, or longer."""


def grammar_vocabulary(tokenizer: Tokenizer, end_tokens: Iterable[int], vocab_size: int) -> LLTokenizer:
    """The vocabulary of a model with `vocab_size` rows of logits. A grammar may end with any of `end_tokens`.

    Special tokens go by their names in grammars (``<tool_call>``) and are never matched by text.
    """
    ends = sorted(end_tokens)
    words = _Words(tokenizer, ends, vocab_size)
    return LLTokenizer(TokenizerWrapper(words), n_vocab=vocab_size, eos_token=ends, slices=_SLICES)


class _Words:
    """The tokenizer object that llguidance asks for."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, ends: list[int], vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = ends[0]
        self.tokens = [tokenizer.token_bytes(token) for token in range(vocab_size)]
        specials = {token: name.encode() for name, token in tokenizer.specials.items()}
        specials = {token: f"<|end of answer {token}|>".encode() for token in ends} | specials
        for token, name in specials.items():
            self.tokens[token] = _SPECIAL + name
        self.special_token_ids = sorted(specials)

    def __call__(self, text: bytes | str) -> list[int]:
        """Token ids of a text that goes on behind another."""
        text = text if isinstance(text, str) else text.decode()
        ids = self._tokenizer.encode_text(text)
        if self._spell(ids) == text.encode():
            return ids
        # SentencePiece puts a blank before a text. It stands before a line break in front, which is dropped again.
        ids = self._tokenizer.encode_text("\n" + text)
        for count in range(1, len(ids) + 1):
            if self._spell(ids[:count]).endswith(b"\n"):
                return ids[count:]
        return []

    def _spell(self, ids: list[int]) -> bytes:
        return b"".join(map(self._tokenizer.token_bytes, ids))
