"""Errors that go from one process to another."""

from __future__ import annotations

import inspect
import pickle

import pytest

from chatglm_server import errors
from chatglm_server.errors import ChatGLMServerError, ContextLengthExceeded, UpstreamError, WaitTooLong

EXAMPLES = [
    ContextLengthExceeded("too long", length=5000, limit=4096, param="messages"),
    WaitTooLong("too late", retry_after=7),
    UpstreamError("no", status=418, type="teapot", code="short", retry_after=3),
]
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ChatGLMServerError)]


def alike(error: ChatGLMServerError, again: ChatGLMServerError) -> bool:
    return type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_keep_their_fields_between_processes(error: ChatGLMServerError) -> None:
    assert alike(error, pickle.loads(pickle.dumps(error)))  # noqa: S301


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in map(type, EXAMPLES)])
def test_errors_of_every_kind_can_go_to_another_process(kind: type[ChatGLMServerError]) -> None:
    error = kind("what is wrong", param="model")
    assert alike(error, pickle.loads(pickle.dumps(error)))  # noqa: S301
