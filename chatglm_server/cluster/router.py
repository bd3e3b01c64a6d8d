"""Ray Serve's router for the replicas: a request goes where its beginning has been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from ..chat import ChatRequest, CompletionRequest
from .prefixes import Prefix, PrefixMap, prefixes

if TYPE_CHECKING:
    from ray.serve._private.replica_result import ReplicaResult


class PrefixRouter(RequestRouter):
    """Chooses by the request, which is the first argument of a call, and by what each replica is answering.

    It runs in the process of the front, so it knows the requests of that front only.
    Source: https://docs.ray.io/en/latest/serve/advanced-guides/custom-request-router.html
    """

    def initialize_state(self, most_behind: int) -> None:
        """Ray calls it with the router's options. `most_behind`: as for `PrefixMap`."""
        self._map: PrefixMap[ReplicaID] = PrefixMap(most_behind)
        self._answering: dict[ReplicaID, set[object]] = {}

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The replica that is to answer, and all others in case that it does not take the request."""
        replicas = {replica.replica_id: replica for replica in candidate_replicas}
        asked = _prefixes_of(pending_request)
        chosen = self._map.choose(asked, {name: len(self._answering.get(name, ())) for name in replicas})
        self._map.add(asked, chosen)  # now, so that requests that come at the same moment are spread
        return [[replicas.pop(chosen)], list(replicas.values())]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult) -> None:
        """A replica has taken a request. Ray may call back from another thread: adding and discarding are atomic."""
        request = object()
        answering = self._answering.setdefault(replica_id, set())
        answering.add(request)
        result.add_done_callback(lambda _: answering.discard(request))
        self._map.add(_prefixes_of(pending_request), replica_id)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """The replicas have changed."""
        super().update_replicas(replicas)
        self._keep({replica.replica_id for replica in replicas})

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """A replica has ended."""
        super().on_replica_actor_died(replica_id)
        self._keep(set(self.curr_replicas) - {replica_id})

    def _keep(self, names: set[ReplicaID]) -> None:
        self._map.keep(names)
        self._answering = {name: requests for name, requests in self._answering.items() if name in names}


def _prefixes_of(pending_request: PendingRequest | None) -> list[Prefix]:
    """None of a call that asks for no answer."""
    request = pending_request.args[0] if pending_request is not None and pending_request.args else None
    return prefixes(request) if isinstance(request, ChatRequest | CompletionRequest) else []
