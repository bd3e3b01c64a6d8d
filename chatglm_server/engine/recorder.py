"""Keeps answers that went wrong in a file, so that a bug report is a file: ``--record FILE``.

A line is a recording as ``--model replay:FILE`` and ``chatglm-server parse`` read it, with the request it answered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ..chat import ChatRequest
from ..errors import ModelFileError
from ..formats.base import ChatFormat, Prompt, Special
from ..json_text import join_surrogates
from ..log_once import log_once
from ..model_files.tokenizer import Detokenizer, Tokenizer
from .choice import EndedAnswer
from .recordings import MAX_FILE_BYTES, MAX_LINE_BYTES
from .upstream.body import chat_body


class Recorder:
    """Appends to one file, which only its owner may read."""

    def __init__(self, path: Path) -> None:
        """Raises: ModelFileError if the file cannot be written."""
        self._path = path
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        except OSError as error:
            raise ModelFileError(f"--record {path}: {error.strerror or error}") from None

    def note(
        self,
        request: ChatRequest,
        chat_format: ChatFormat,
        prompt: Prompt,
        tokenizer: Tokenizer,
        tokens: Sequence[int],
        answer: EndedAnswer,
    ) -> None:
        """Append an answer to `prompt`, of these `tokens`. What is too long, or finds the file full, is left out."""
        detokenizer = Detokenizer(tokenizer)
        pieces = [piece for token in tokens for piece in detokenizer.feed(token)] + detokenizer.flush()
        texts = [piece.name if isinstance(piece, Special) else piece for piece in pieces]
        line = {
            "faults": answer.faults,
            "format": chat_format.name,
            "prompt_ends_in_think": prompt.ends_in_think,
            "finish_reason": answer.reason,
            "raw": "".join(texts),
            "cuts": [len(text) for text in texts],
            **chat_body(request),
        }
        data = join_surrogates(json.dumps(line, ensure_ascii=False)).encode() + b"\n"
        try:
            if len(data) <= MAX_LINE_BYTES and self._path.stat().st_size + len(data) <= MAX_FILE_BYTES:
                with self._path.open("ab") as file:
                    file.write(data)
            else:
                log_once(f"--record {self._path}: an answer is too long, or the file is full: it is left out")
        except OSError as error:
            log_once(f"--record {self._path}: {error.strerror or error}: answers are left out")
