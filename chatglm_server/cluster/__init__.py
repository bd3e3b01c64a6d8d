"""Replicas of this server on one machine or many, with Ray Serve: the extra ``ray``, and docs/cluster.md."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers; read before it is started

from .application import app

__all__ = ["app"]
