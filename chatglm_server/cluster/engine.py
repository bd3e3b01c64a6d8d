"""The engine of the front: each request is answered by the engine of a replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from ..chat import Accepted, ChatRequest, CompletionRequest, Event, PromptRead
from ..engine.base import ModelInfo, Token
from ..errors import ChatGLMServerError, NotReady, ReplicaLost
from ..queueing.status import Status
from .status import NO_REPLICA, summed

if TYPE_CHECKING:
    from ray.serve._private.replica_result import ReplicaResult

_STATUS_S = 1.0
"""How long the state of the replicas may take. One that says nothing meanwhile is left out."""

_ACCEPTED_S = 60.0
"""How long a request waits for a replica to take it, which has encoded its prompt by then."""


class ReplicatedEngine:
    """Sends requests to replicas of an engine. If a replica ends before its answer begins, another one answers."""

    def __init__(self, replicas: DeploymentHandle, info: ModelInfo, front: ActorHandle) -> None:
        """`front` is the process of this engine, as Ray knows it: replicas end its answers with it."""
        self.info = info
        self._front = front
        self._replicas = replicas
        self._streams = replicas.options(stream=True)

    @classmethod
    async def connect(cls, replicas: DeploymentHandle) -> ReplicatedEngine:
        """The engine of the front that this process is. Waits until a replica has loaded its model."""
        return cls(replicas, await replicas.info.remote(), ray.get_runtime_context().current_actor)

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request)

    async def count_tokens(self, request: ChatRequest) -> int:
        return int(await self._ask("count_tokens", request))

    async def models(self) -> Sequence[ModelInfo]:
        models: Sequence[ModelInfo] = await self._ask("models")
        return models

    async def find(self, name: str) -> ModelInfo | None:
        if self.info.is_called(name):
            return self.info
        found: ModelInfo | None = await self._ask("find", name)
        return found

    async def keep(self, name: str | None, seconds: float | None) -> None:
        """All replicas keep the model in memory, or give it back. They may have to load it, which takes its time."""
        with _translated():
            asked = self._replicas.broadcast("ask", "keep", name, seconds)
            outcomes = await asked.results_async(return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, RayActorError):  # a replica may end
                raise outcome

    async def tokenize(self, text: str) -> list[Token]:
        tokens: list[Token] = await self._ask("tokenize", text)
        return tokens

    async def status(self) -> Status:
        """The sum over the replicas that answer in time."""
        asked = self._replicas.broadcast("status")
        try:
            # What is public of Ray gives the answers of all or of none.
            replicas = await asyncio.wait_for(asked._fetch_replica_results_async(), _STATUS_S)
        except (asyncio.TimeoutError, DeploymentUnavailableError):
            return NO_REPLICA
        states = await asyncio.gather(*map(_status_of, replicas))
        return summed([state for state in states if state is not None])

    async def load(self) -> None:
        """Replicas load their models themselves."""

    def stop(self) -> None:
        """Ray waits for the answers before it ends a front."""

    async def close(self) -> None:
        """Nothing is held here."""

    async def _ask(self, method: str, *words: object) -> Any:
        """Asks a replica's engine, and another one if the replica ends. Returns what the engine returns."""
        try:
            return await self._ask_one(method, *words)
        except ReplicaLost:
            return await self._ask_one(method, *words)

    async def _ask_one(self, method: str, *words: object) -> Any:
        with _translated():
            outcome = await asyncio.wait_for(self._replicas.ask.remote(method, *words), _ACCEPTED_S)
        return _checked(outcome)

    async def _answer(self, request: ChatRequest | CompletionRequest) -> AsyncGenerator[Event, None]:
        """The events of a replica's answer. Raises: ReplicaLost if the replica ends in mid-answer, or two before it."""
        accepted = begun = False
        for last in (False, True):
            try:
                async with aclosing(self._events(request)) as events:
                    async for event in events:
                        if isinstance(event, Accepted) and accepted:
                            continue
                        accepted = True
                        begun = begun or not isinstance(event, Accepted | PromptRead)
                        yield event
                return
            except ReplicaLost:
                if begun or last:
                    raise

    async def _events(self, request: ChatRequest | CompletionRequest) -> AsyncGenerator[Event, None]:
        """One replica's events. It is told if they are not read to their end. Raises: ReplicaLost, NotReady."""
        with _translated():
            response = self._streams.answer.remote(request, self._front)
            ended = False
            try:
                outcome = await asyncio.wait_for(anext(response), _ACCEPTED_S)
                while True:
                    yield _checked(outcome)
                    outcome = await anext(response)
            except StopAsyncIteration:
                ended = True
            finally:
                if not ended:
                    response.cancel()


async def _status_of(replica: ReplicaResult) -> Status | None:
    """The state of a replica that was asked for it; None if it does not answer in time."""
    try:
        state: Status = await asyncio.wait_for(replica.get_async(), _STATUS_S)
    except (asyncio.TimeoutError, RayError):
        return None
    return state


def _checked(outcome: Any) -> Any:
    """Returns a replica's answer. Raises: ChatGLMServerError, if the answer is one."""
    if isinstance(outcome, ChatGLMServerError):
        raise outcome
    return outcome


@contextmanager
def _translated() -> Iterator[None]:
    """Turns Ray's errors into ours."""
    try:
        yield
    except DeploymentUnavailableError:
        raise NotReady("no replica runs; the command serve status says why") from None
    except (TimeoutError, asyncio.TimeoutError):
        raise NotReady("no replica has taken the request; all of them are busy, loading or gone") from None
    except RayActorError:
        raise ReplicaLost("the replica that wrote this answer has ended; send the request again") from None
