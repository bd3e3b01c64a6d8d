"""Moves blocks between the slots of a model and the disk, a few in each pass.

A prefix is written while it grows: each block once its tokens were read, so that a server that is killed in the middle
of a long prompt loses little. The model's thread only copies a block out of its slot, which takes less than a
millisecond a megabyte; a thread of its own hashes and writes it. Blocks of a prompt that are on disk are read, checked
and put into its slot before the rest of the prompt is read. If others wait for their next token meanwhile, both are
done in short parts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from ...errors import ModelFailure
from ...queueing.status import DiskStatus
from ..model import PortableCache
from .blocks import BLOCK, Block, block_at
from .store import BlockStore

_SHORT_S, _LONG_S = 0.03, 0.5
"""Seconds of a pass for reading from disk: if others wait for their next token, and if nobody does."""
_SHORT_BYTES, _LONG_BYTES = 16 << 20, 64 << 20
"""As much is copied out of slots in a pass, and as much may wait to be written."""
_MOST_BLOCKS = 64  # of one slot, in a pass
_TELLING = 32
"""Tokens of a pass that tell how fast prompts are read: with fewer, the weights take most of its time."""

_log = logging.getLogger("chatglm_server")


class HoldsPrefix(Protocol):
    """A slot, as `kv_cache.py` keeps it."""

    index: int
    tokens: list[int]
    busy: bool
    last_used: int
    stored: list[Block]
    """The first blocks of its sequence that are on disk, or on their way there."""
    awaited: list[Block]
    """Those of them that are to be read from disk before anything else is read."""


@dataclass(slots=True)
class Restore:
    """Blocks that a slot awaits, and how many of them came from disk. `broken`: the next one did not."""

    slot: HoldsPrefix
    blocks: list[Block]
    count: int = 0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Moves:
    """What a pass reads from disk, for at most `seconds`, and the blocks of slots that it copies out, to be written."""

    restores: list[Restore] = field(default_factory=list)
    saves: list[tuple[int, Block]] = field(default_factory=list)
    seconds: float = _LONG_S

    def __bool__(self) -> bool:
        return bool(self.restores or self.saves)


class Snapshots:
    """Decides what goes to disk and comes from there, and moves it.

    `carry_out` is called on the model's thread, `find_note` on any, the other methods on the event loop.
    """

    def __init__(self, cache: PortableCache, store: BlockStore, after_s: float) -> None:
        """Prefixes that take `after_s` seconds to read are written."""
        self._cache = cache
        self.store = store
        """The files. They can be looked for after `close`, too."""
        self._after_s = after_s
        self._block_bytes = cache.cache_bytes(BLOCK)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")
        self._unwritten: list[Future[None]] = []
        self._token_s = 0.0  # that a token of a prompt takes
        # of slots that await blocks, by `last_used`: since when, and how many tokens they had
        self._began: dict[int, tuple[float, int]] = {}
        self._restored = 0
        self._closed = False

    def close(self) -> None:
        """Wait until what was copied out is written. Nothing may be carried out afterwards."""
        self._closed = True
        self._writer.shutdown()

    def find(self, tokens: Sequence[int]) -> list[Block]:
        """The blocks at the beginning of `tokens` that are on disk."""
        return self.store.find(tokens)

    def keep_note(self, name: str, prefix: Sequence[int], note: bytes) -> None:
        """Have a note written beside the blocks of `prefix`, if these are. `name` is that of a file, without suffix."""
        if not self._closed:
            self._writer.submit(self.store.write_note, name, prefix, note)

    def find_note(self, name: str) -> bytes | None:
        """A note that was kept, by this server or another. It waits for the disk; any thread may call it."""
        return self.store.read_note(name)

    def status(self) -> DiskStatus:
        """Tokens read from disk, and written there, since the start, and how full the folder is."""
        store = self.store
        written = store.written * BLOCK
        return {"read": self._restored, "written": written, "bytes": store.held, "most_bytes": store.limit}

    def note_pass(self, tokens: int, seconds: float) -> None:
        """Learn from a pass how fast prompts are read. Mutates this."""
        if tokens >= _TELLING:
            rate = seconds / tokens
            self._token_s = 0.8 * self._token_s + 0.2 * rate if self._token_s else rate

    def unsaved(self, slots: Sequence[HoldsPrefix]) -> list[HoldsPrefix]:
        """The slots that hold a block which should be written."""
        if not self.store.writable:
            return []
        return [
            slot
            for slot in slots
            if len(slot.tokens) >= (len(slot.stored) + 1) * BLOCK and len(slot.tokens) * self._token_s >= self._after_s
        ]

    def plan(self, slots: Sequence[HoldsPrefix], make_room: Callable[[int], bool], *, short: bool) -> Moves:
        """What the next pass moves. `short`: others wait for their next token.

        `make_room` makes room for so many tokens in memory; false if there is none, and then a slot goes on awaiting.
        Mutates the slots: the blocks that will be written count as stored.
        """
        restores: list[Restore] = []
        room = 0
        for slot in slots:
            if slot.busy and slot.awaited:
                blocks = slot.awaited[:_MOST_BLOCKS]
                room += blocks[-1].start + BLOCK - len(slot.tokens)
                if not make_room(room):
                    break
                restores.append(Restore(slot, blocks))
                self._began.setdefault(slot.last_used, (time.perf_counter(), len(slot.tokens)))
        if not restores:
            self._began.clear()  # of sequences whose clients have left
        return Moves(restores, self._saves(slots, short=short), _SHORT_S if short else _LONG_S)

    def carry_out(self, moves: Moves) -> None:
        """Move what a pass moves. Mutates the restores. Raises: ModelFailure."""
        for slot, block in moves.saves:
            try:
                data = self._cache.read_cache(slot, block.start, BLOCK)
            except ModelFailure:  # no memory for a copy: answers go on, and this prefix is not written further
                continue
            self._unwritten.append(self._writer.submit(self.store.write, block, data))
        until = time.perf_counter() + moves.seconds
        for restore in moves.restores:
            for block in restore.blocks:
                known = self.store.read(block)
                if known is None:
                    restore.broken = True
                    break
                self._cache.write_cache(restore.slot.index, block.start, BLOCK, known)
                restore.count += 1
                if time.perf_counter() > until:
                    break

    def note_restore(self, restore: Restore) -> int:
        """Note in its slot what came from disk. Returns how many tokens more the slot holds. Mutates the slot."""
        slot, before = restore.slot, len(restore.slot.tokens)
        for block in restore.blocks[: restore.count]:
            slot.tokens[block.start :] = block.as_list()
        del slot.awaited[: restore.count]
        if restore.broken:
            slot.awaited.clear()
            del slot.stored[len(slot.tokens) // BLOCK :]
        if not slot.awaited:
            began, had = self._began.pop(slot.last_used)
            _log.info("kv: %d tokens from disk in %.2f s", len(slot.tokens) - had, time.perf_counter() - began)
        self._restored += len(slot.tokens) - before
        return len(slot.tokens) - before

    def _saves(self, slots: Sequence[HoldsPrefix], *, short: bool) -> list[tuple[int, Block]]:
        self._unwritten = [write for write in self._unwritten if not write.done()]
        most = max(1, _LONG_BYTES // self._block_bytes) - len(self._unwritten)
        most = min(most, _MOST_BLOCKS, max(1, _SHORT_BYTES // self._block_bytes) if short else most)
        chosen: list[tuple[int, Block]] = []
        for slot in self.unsaved(slots):
            while len(chosen) < most and len(slot.tokens) >= (len(slot.stored) + 1) * BLOCK:
                parent = slot.stored[-1].name if slot.stored else self.store.key
                slot.stored.append(block_at(slot.tokens, len(slot.stored) * BLOCK, parent))
                chosen.append((slot.index, slot.stored[-1]))
        return chosen
