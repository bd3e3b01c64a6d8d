"""Bodies as shells, gateways and other programs encode them: a byte order mark, gzip, half a character."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import RunningServer, user

BODY = json.dumps({"messages": user("Who are you? 你是谁"), "max_tokens": 4, "temperature": 0}).encode()
ENDPOINTS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/chat",
    "/tokenize",
    "/embedding",
    "/keyword",
]


def post(server: RunningServer, content: bytes | Iterator[bytes], coding: str | None = None, path: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": coding} if coding else {})
    address = server.url + (path or "/v1/chat/completions")
    return httpx.post(address, content=content, headers=headers, timeout=60)


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def message(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    message: str = response.json()["error"]["message"]
    return message


def test_byte_order_mark(server: RunningServer) -> None:
    plain = text(post(server, BODY))
    assert text(post(server, b"\xef\xbb\xbf" + BODY)) == plain
    assert text(post(server, gzip.compress(b"\xef\xbb\xbf" + BODY), "gzip")) == plain
    assert "not valid JSON" in message(post(server, b"\xef\xbb\xbf\xef\xbb\xbf" + BODY), 400)
    assert "not valid JSON" in message(post(server, BODY.decode().encode("utf-16")), 400)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_gzip(server: RunningServer, coding: str, size: int) -> None:
    packed = gzip.compress(BODY)
    pieces = (packed[start : start + size] for start in range(0, len(packed), size))
    assert text(post(server, pieces, coding)) == text(post(server, BODY))


@pytest.mark.parametrize("coding", ["identity", ""])
def test_no_coding(server: RunningServer, coding: str) -> None:
    assert text(post(server, BODY, coding)) == text(post(server, BODY))


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "compress", "nonsense\tgzip"])
def test_other_codings(server: RunningServer, coding: str) -> None:
    response = post(server, zlib.compress(BODY), coding)
    assert "gzip" in message(response, 415)
    assert response.json()["error"]["param"] == "Content-Encoding"


BROKEN_GZIP = {
    "plain": BODY,
    "empty member and rest": gzip.compress(b"") + BODY,
    "two members": gzip.compress(BODY) + gzip.compress(BODY),
    "cut": gzip.compress(BODY)[:-9],
    "without checksum": gzip.compress(BODY)[:-8],
    "wrong checksum": gzip.compress(BODY)[:-8] + bytes(8),
    "header alone": gzip.compress(BODY)[:10],
    "zlib": zlib.compress(BODY),
}


@pytest.mark.parametrize("kind", BROKEN_GZIP)
def test_broken_gzip(server: RunningServer, kind: str) -> None:
    assert "gzip" in message(post(server, BROKEN_GZIP[kind], "gzip"), 400)


def test_nothing_in_gzip(server: RunningServer) -> None:
    for content in (b"", gzip.compress(b"")):
        assert "not valid JSON" in message(post(server, content, "gzip"), 400)


def resident_mb(server: RunningServer) -> float:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmHWM")


def test_gzip_bomb(server: RunningServer) -> None:
    """A megabyte that decodes to a gigabyte is refused without being decoded."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(10_000_000)) for _ in range(100)) + packer.flush()
    assert len(bomb) < 2_000_000
    before, started = resident_mb(server), time.monotonic()
    assert "--max-body-mb" in message(post(server, bomb, "gzip"), 413)
    assert time.monotonic() - started < 5
    assert resident_mb(server) - before < 100


def test_limit_counts_the_decoded_body(tmp_path: Path) -> None:
    with RunningServer("--max-body-mb", "0.001", cwd=tmp_path) as server:
        for size, status in ((1000, 200), (1001, 413)):
            body = BODY + b" " * (size - len(BODY))
            assert len(body) == size
            assert post(server, body).status_code == status
            assert post(server, gzip.compress(body), "gzip").status_code == status
            assert post(server, iter([gzip.compress(body)]), "gzip").status_code == status


LONE_SURROGATES = [
    *(r"a\ud800b", r"\ud83d", r"\udc00 and more", r"\ud800\u0041", r"\ud83d\ud83d\ude00", r"\ud800\n", r"\ud800A"),
]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_lone_surrogate(server: RunningServer, path: str) -> None:
    """One message at each endpoint, wherever in the body it stands; it says what is wrong, and not what was written."""
    with httpx.Client(headers={"Content-Type": "application/json"}) as client:
        for value in LONE_SURROGATES:
            for body in (f'{{"prompt": "{value}"}}', f'{{"{value}": 1}}', f'[["xylophone", "{value}"]]'):
                error = message(client.post(server.url + path, content=body.encode()), 400)
                assert "surrogate pair" in error
                assert "line 1 column" in error
                assert "xylophone" not in error


def test_whole_characters_in_escapes(server: RunningServer) -> None:
    body = BODY.replace(b"Who", b"\\ud83d\\ude00 \\u4f60 \\\\ud800 Who")
    assert post(server, body).status_code == 200
