"""The front: the HTTP API before the replicas. It checks, renders and streams, and computes nothing."""

from __future__ import annotations

import ipaddress
from contextlib import AsyncExitStack

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api.errors import error_response
from ..app import create_app
from ..cli.log_lines import set_up_log
from ..errors import PermissionDenied
from ..loader import load_embedder
from ..service import Service
from ..settings import Settings
from .engine import ReplicatedEngine


class Front:
    """The application of this server over a `ReplicatedEngine`. Ray passes it each HTTP request."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self, settings: Settings, replicas: DeploymentHandle
    ) -> None:
        """Waits for a replica, and loads the embedding model, if there is one. Raises: ModelFileError."""
        self._running = AsyncExitStack()  # first: Ray awaits __del__ also if the rest fails
        set_up_log(settings.log_format)
        self._has_no_key = settings.api_key is None
        service = Service(await ReplicatedEngine.connect(replicas), load_embedder(settings))
        app = create_app(settings, service)
        self._app: ASGIApp = app
        await self._running.enter_async_context(app.router.lifespan_context(app))
        await service.start()

    async def __call__(self, request: Request) -> Response:
        """Returns the response that Ray sends."""
        if self._has_no_key and reached_from_elsewhere(request.scope):
            error = PermissionDenied(
                "other machines can reach this address, which needs a key: set CHATGLM_API_KEY where serve is started"
            )
            return error_response(error, request.url.path)
        return _FromApp(self._app)

    async def __del__(self) -> None:
        """Ray awaits it once the last answer has ended."""
        await self._running.aclose()


class _FromApp(Response):
    """The application's own response. Ray calls it as it calls any response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_leave() -> Message:
            try:
                return await receive()
            except RayActorError:  # Ray's proxy has ended, and the client's connection with it
                return {"type": "http.disconnect"}

        await self._app(scope, receive_or_leave, send)


def reached_from_elsewhere(scope: Scope) -> bool:
    """True if a request came in at an address that is not this machine's loopback."""
    address = (scope.get("server") or ("", None))[0]
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:  # a socket of the file system, or a name that Ray put there
        return False
