"""The list of a repository's files, as a hub's API gives it. It is checked before anything else uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ModelFileError
from . import file_names
from .http_client import http_client

_LONGEST_ANSWER = 32 << 20
_MOST_FILES = 10_000
_LARGEST_FILE = 1 << 50  # bytes
_TIMEOUT_S = 30.0
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a hub's API answers. The names in `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The value of the body; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class ListedFile(NamedTuple):
    """A file of a repository: its path in it, its bytes, and their SHA-256 in 64 small hexadecimal digits."""

    name: str
    size: int
    sha256: str


def ask(url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Sends a GET request and reads the whole answer, of any status.

    Raises: ModelFileError for an answer of more than 32 MB; httpx.HTTPError, httpx.InvalidURL if there is none.
    """
    with (
        http_client(_TIMEOUT_S, headers) as client,
        client.stream("GET", url, params=query) as response,
    ):
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LONGEST_ANSWER:
                raise ModelFileError(f"{url}: the hub's answer is longer than {_LONGEST_ANSWER >> 20} MB")
        return Answer(response.status_code, dict(response.headers), bytes(body))


def check_count(files: list[Any], repository: str) -> None:
    """Raises: ModelFileError if a hub lists more files than any repository of a model has."""
    if len(files) > _MOST_FILES:
        raise ModelFileError(f"{repository}: the hub lists {len(files)} files, and at most {_MOST_FILES} are read")


def listed_file(name: object, size: object, sha256: object) -> ListedFile | None:
    """A file from these fields of a list; None if one of them cannot be that of a file with weights."""
    if not isinstance(name, str) or not isinstance(size, int) or not isinstance(sha256, str):
        return None
    if not file_names.is_safe(name) or not 0 < size <= _LARGEST_FILE or not is_hex(sha256.lower(), 64):
        return None
    return ListedFile(name, size, sha256.lower())


def is_hex(text: object, digits: int) -> bool:
    """True for a text of so many hexadecimal digits, in small letters."""
    return isinstance(text, str) and len(text) == digits and _HEX.issuperset(text)
