"""Which replica has read which beginning of a conversation, and which one is to answer."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..chat import ChatRequest, CompletionRequest

MOST_PREFIXES = 65_536
"""Prefixes that are remembered; each takes about 350 bytes."""

_PIECE = 1024
"""Characters or tokens of a bare prompt between two prefixes."""

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Prefix:
    """A beginning of a prompt. `size` is its length in characters, as Python shows its parts.

    `instructions`: it holds no more than tools and system messages, which many conversations may share.
    """

    digest: bytes
    size: int
    instructions: bool = False


def prefixes(request: ChatRequest | CompletionRequest) -> list[Prefix]:
    """The beginnings of a request's prompt, each longer than the one before it.

    Those of a conversation end with its instructions and with each message, so that the next turn has all of them, too.
    Those of a bare prompt end after each 1,024 characters or tokens.
    """
    digest, size = b"", 0
    found = []
    for part, instructions in _parts(request):
        digest = hashlib.blake2b(digest + part.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        size += len(part)
        found.append(Prefix(digest, size, instructions))
    return found


def _parts(request: ChatRequest | CompletionRequest) -> Iterator[tuple[str, bool]]:
    if isinstance(request, CompletionRequest):
        prompt = request.prompts[0] if request.prompts else ""
        for end in range(_PIECE, len(prompt) + 1, _PIECE):
            yield repr(prompt[end - _PIECE : end]), False
        return
    messages = list(request.messages)
    instructions = ""
    if request.tools or request.foreign_tools:
        instructions = repr((request.tools, request.foreign_tools))
    while messages and messages[0].role == "system":
        instructions += repr(messages.pop(0))
    if instructions:
        yield instructions, True
    for message in messages:
        yield repr(message), False


class PrefixMap(Generic[Name]):
    """Remembers the prefixes that replicas have read, the latest ones, and chooses a replica for each request."""

    def __init__(self, most_behind: int, most: int = MOST_PREFIXES) -> None:
        """A replica that holds a request's prefix may have up to `most_behind` requests more than the least busy one.

        `most` prefixes are remembered.
        """
        self._most_behind, self._most = most_behind, most
        self._holders: OrderedDict[bytes, set[Name]] = OrderedDict()
        self._held: Counter[Name] = Counter()

    def choose(self, asked: Sequence[Prefix], busy: Mapping[Name, int]) -> Name:
        """The replica for a request with the prefixes `asked`. `busy`: the requests of each replica; there is one.

        It is the least busy one of those that hold the longest prefix, unless it is too far behind the others. Then,
        and without such a prefix, it is the least busy one of all, and among equals the one that holds the least.
        """
        least = min(busy.values())
        holders = self._holders_of_longest(asked, busy)
        if holders:
            best = min(holders, key=lambda name: (busy[name], self._held[name]))
            if busy[best] - least <= self._most_behind:
                return best
        return min(busy, key=lambda name: (busy[name], self._held[name]))

    def add(self, read: Sequence[Prefix], name: Name) -> None:
        """Remember that the replica `name` has read a prompt with these prefixes."""
        for prefix in read:
            holders = self._holders.setdefault(prefix.digest, set())
            self._holders.move_to_end(prefix.digest)
            if name not in holders:
                holders.add(name)
                self._held[name] += 1
        while len(self._holders) > self._most:
            _, holders = self._holders.popitem(last=False)
            self._held.subtract(holders)

    def keep(self, names: set[Name]) -> None:
        """Forget all replicas but these."""
        for digest, holders in list(self._holders.items()):
            holders &= names
            if not holders:
                del self._holders[digest]
        self._held = Counter({name: count for name, count in self._held.items() if name in names})

    def _holders_of_longest(self, asked: Sequence[Prefix], busy: Mapping[Name, int]) -> set[Name]:
        """The replicas that hold the longest prefix that any of them holds.

        Instructions alone count only if they are half of the prompt: else all conversations of an application would go
        to one replica.
        """
        for prefix in reversed(asked):
            holders = self._holders.get(prefix.digest, set()) & busy.keys()
            if holders:
                return set() if prefix.instructions and 2 * prefix.size < asked[-1].size else holders
        return set()
