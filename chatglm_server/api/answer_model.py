"""The base of the models that describe answers in ``/openapi.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class AnswerModel(BaseModel):
    """An object of an answer. It has no other fields; a test validates real answers against these models."""

    model_config = ConfigDict(extra="forbid")
