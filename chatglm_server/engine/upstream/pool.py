"""The servers behind this one: which of them gets a request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...errors import ChatGLMServerError, UpstreamUnreachable
from ...recent import Recent
from .failover import all_failed, goes_elsewhere, is_busy
from .pool_member import PoolMember

MAX_PREFIXES = 20_000
"""Beginnings of requests whose server is remembered. A conversation has one, a bare prompt a dozen at most."""
HOME_LEAD = 2
"""So many more requests than the least busy server may run at the one that has a request's prefix in its cache:
to wait for them takes less time than to read the prompt again. With 0, every fourth or fifth turn of 20 conversations
at two servers leaves its prefix; with 2, every twentieth or none."""


class BackendPool:
    """One server, or several with the same model.

    A request goes to the server that answered the latest one with the longest beginning in common, unless that is
    busier than others, and else to the least busy one. A server that fails is left out until it answers again, and its
    request goes to another if the answer has not begun. A server that is alone is never left out.
    """

    def __init__(self, members: Sequence[PoolMember]) -> None:
        self.members = members
        self._homes: Recent[bytes, PoolMember] = Recent(MAX_PREFIXES)
        self._sent = 0

    async def get(self, path: str) -> Any:
        """Returns the JSON value at `path`, from the first server that has it.

        Raises: the errors of `UpstreamClient.get`.
        """
        errors: dict[str, ChatGLMServerError] = {}
        for member in sorted(self.members, key=lambda one: one.left_out):
            try:
                return await self.get_from(member, path)
            except ChatGLMServerError as error:
                if not goes_elsewhere(error):
                    raise
                errors[member.address] = error
        raise all_failed(errors)

    async def get_from(self, member: PoolMember, path: str) -> Any:
        """The same from one server. A server that is there may lack the path: it stays in service."""
        try:
            return await member.get(path)
        except UpstreamUnreachable as error:
            self.failed(member, error)
            raise

    def choose(
        self, keys: Sequence[bytes], tried: Collection[PoolMember], *, in_service: bool = False
    ) -> PoolMember | None:
        """Returns the server for a request that those in `tried` did not answer; None if there is none.

        `keys` are those of the request's beginnings, as `prefix_keys` gives them. Servers that are left out are the
        last resort, and none if it must be one `in_service`. Mutates the pool.
        """
        others = [member for member in self.members if member not in tried]
        candidates = [member for member in others if not member.left_out]
        if not candidates and not in_service:
            candidates = others
        if not candidates:
            return None
        chosen = min(candidates, key=lambda member: (member.running, member.last_asked))
        home = next(filter(None, map(self._homes.get, reversed(keys))), None)
        if home in candidates and home.running <= chosen.running + HOME_LEAD:
            chosen = home
        self._sent += 1
        chosen.last_asked = self._sent
        return chosen

    def failed(self, member: PoolMember, error: ChatGLMServerError) -> None:
        """Notes that `member` did not answer. Leaves it out if another can take its place. Mutates the pool."""
        if is_busy(error):
            return
        member.failed()
        if len(self.members) > 1:
            member.leave_out(error)

    def answered(self, member: PoolMember, keys: Sequence[bytes]) -> None:
        """Notes that `member` has begun to answer. Mutates the pool."""
        member.answered()
        for key in keys:
            self._homes.keep(key, member, 1)

    def stop(self) -> None:
        for member in self.members:
            member.stop()

    async def close(self) -> None:
        for member in self.members:
            await member.close()
