"""OpenAI's `prediction`: what much of the answer is expected to be like, such as the file that is to be edited."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import InvalidRequest
from ..validation import read


class PredictionPart(BaseModel):
    """A part of the text."""

    type: Literal["text"]
    text: str


class PredictionBody(BaseModel):
    """The text, whole or in parts that follow each other."""

    model_config = ConfigDict(extra="allow")

    type: Literal["content"]
    content: str | Annotated[list[PredictionPart], Field(fail_fast=True)]


def read_prediction(value: Any, extras: dict[str, Any], *, foreign: bool) -> str | None:
    """The text. `foreign`: a prediction that only another server understands is added to `extras`.

    Raises: InvalidRequest.
    """
    if value is None:
        return None
    try:
        body: PredictionBody = read(PredictionBody, value, "prediction")
    except InvalidRequest:
        if not foreign:
            raise
        extras["prediction"] = value
        return None
    return body.content if isinstance(body.content, str) else "".join(part.text for part in body.content)
