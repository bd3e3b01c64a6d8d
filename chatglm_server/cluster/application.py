"""The application that ``serve run chatglm_server.cluster:app`` starts: a front, and replicas behind it."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from ..errors import BadOption
from ..settings import Settings
from .front import Front
from .replica import Replica

_ROUTER = "chatglm_server.cluster.router.PrefixRouter"

_DRAIN_S = 600
"""How long a replica that is replaced may go on with its answers."""

_FRONT_REQUESTS = 4096
"""Requests that the front holds at once; more of them wait in Ray's proxy."""

_FRONT_LOOK_S = 1
"""Seconds between Ray's looks at the front: while it is gone, nobody is answered."""

_FRONT_SILENCE_S = 10
"""Seconds for which the front may be silent. Ray replaces it when it was silent for three looks."""

_LOGGING = {"enable_access_log": False}
"""The front writes a line for each request itself, and the calls between it and the replicas are many."""

_FURTHER_CALLS = 64
"""Calls that a replica takes besides those that its own queue holds, so that it can refuse a request itself."""


class ClusterSettings(Settings):
    """The options of the server, and those of its replicas."""

    replicas: int = Field(1, ge=1, description="Replicas of the model.")
    max_replicas: int | None = Field(
        None, ge=1, description="Replicas at most. While requests wait there are more of them, up to this number."
    )


def app(words: dict[str, Any]) -> Application:
    """The application with the options in `words`, in the environment and in ``.env``.

    Raises: BadOption, pydantic's ValidationError.
    """
    unknown = sorted(words.keys() - ClusterSettings.model_fields.keys())
    if unknown:
        raise BadOption(f"{unknown[0]}: no option has this name; docs/settings.md and docs/cluster.md list all")
    return application(ClusterSettings(**words))


def application(settings: ClusterSettings) -> Application:
    """The front and the replicas, as Ray Serve deploys them.

    A replica has `threads` CPUs to itself. Without that setting it has all of its machine's, so each machine gets one.
    """
    settings = settings.model_copy(update={"models_max": 0})  # the front could not tell whose shelf has what
    placed = {} if settings.threads else {"max_replicas_per_node": 1}
    most = max(settings.replicas, settings.max_replicas or 0)
    scaled: dict[str, Any] = {"num_replicas": settings.replicas}
    if most > settings.replicas:
        scaled = {
            "autoscaling_config": {
                "min_replicas": settings.replicas,
                "max_replicas": most,
                "target_ongoing_requests": settings.parallel,
            }
        }
    replica = serve.deployment(
        name="Replica",
        logging_config=_LOGGING,
        ray_actor_options={"num_cpus": settings.threads or 1},
        max_ongoing_requests=settings.parallel + settings.max_queue + _FURTHER_CALLS,
        graceful_shutdown_timeout_s=_DRAIN_S,
        request_router_config=RequestRouterConfig(
            request_router_class=_ROUTER, request_router_kwargs={"most_behind": settings.parallel}
        ),
        **scaled,
        **placed,
    )(Replica)
    front = serve.deployment(
        name="Front",
        logging_config=_LOGGING,
        num_replicas=1,
        health_check_period_s=_FRONT_LOOK_S,
        health_check_timeout_s=_FRONT_SILENCE_S,
        max_surge_percent=100,  # the old front stays until the new one has found a replica
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=_FRONT_REQUESTS,
        graceful_shutdown_timeout_s=_DRAIN_S,
    )(Front)
    started: Application = front.bind(settings, replica.bind(settings))
    return started
