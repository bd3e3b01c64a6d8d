"""Model files by name, asked for by several requests at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from chatglm_server.engine.base import ModelInfo
from chatglm_server.engine.known_models import KnownModels


class WatchedPath(type(Path())):  # type: ignore[misc]  # the class of paths on this system
    """Says when it is looked up."""

    looked_up: Callable[[], None] = staticmethod(lambda: None)

    def resolve(self, strict: bool = False) -> WatchedPath:
        return self

    def __hash__(self) -> int:
        WatchedPath.looked_up()
        return hash(str(self))


def test_a_file_is_read_while_another_request_looks_again(tmp_path: Path) -> None:
    """While the look goes through the files that were read, another thread reads one more at each step."""
    paths = {f"{number}.gguf": WatchedPath(tmp_path / f"{number}.gguf") for number in range(50)}
    for path in paths.values():
        path.touch()
    unread = iter(paths)

    def list_models() -> Mapping[str, Path]:
        return paths

    def describe(name: str, path: Path) -> ModelInfo:
        return ModelInfo(name, (), 0, "glm4", True, 0)

    known = KnownModels(list_models, describe)
    known._look()
    for _ in range(2):
        assert known._find(next(unread)) is not None
    here, lookups = threading.current_thread(), count()

    def read_one_more() -> None:
        if threading.current_thread() is here and next(lookups) >= len(paths):  # the names are known by then
            thread = threading.Thread(target=known._find, args=(next(unread, ""),))
            thread.start()
            thread.join()

    WatchedPath.looked_up = staticmethod(read_one_more)
    try:
        known._look()
    finally:
        WatchedPath.looked_up = staticmethod(lambda: None)
    assert len(known._all()) == len(paths)
