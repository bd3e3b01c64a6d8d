"""Server-sent events out of bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatglm_server.engine.upstream.event_reader import EventReader, EventTooLong

STREAM = (
    '\ufeffdata: one\n\n: comment\r\n\r\nevent: x\ndata: {"two":\ndata:  2}\n\nid: 4\n\n\ndata:\n\ndatax: 1\n\n'
    "data: 三\r\rdata: four"
).encode()
EVENTS = ["one", '{"two":\n 2}', "", "三", "four"]


def read(parts: list[bytes], limit: int = 1000) -> list[str]:
    reader = EventReader(limit)
    return [event for part in parts for event in reader.feed(part)] + reader.flush()


def test_whole() -> None:
    assert read([STREAM]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[start:end] for start, end in pairwise(places)]) == EVENTS


@given(st.lists(st.binary(max_size=20), max_size=20))
@example([b"data: x\r", b"\n", b"\n", b"data: y"])
def test_any_bytes(parts: list[bytes]) -> None:
    assert read(parts) == read([b"".join(parts)])


@pytest.mark.parametrize(
    "parts",
    [[b"data: " + b"x" * 100], [b"data: x\n"] * 100, [b"data: "] + [b"x"] * 100],
    ids=["at once", "lines", "bytes"],
)
def test_too_long(parts: list[bytes]) -> None:
    with pytest.raises(EventTooLong):
        read(parts, limit=50)


def test_the_limit_is_for_one_event() -> None:
    assert len(read([b": a comment\nevent: name\ndata: x\n\n"] * 100, limit=50)) == 100
    assert read([b": comment\n"] * 100, limit=50) == []
