"""The dialects of calls."""

from __future__ import annotations

import pytest

from tests.call_dialects import Dialect


@pytest.fixture(scope="session", params=["chatglm3", "glm4", "glm45", "glm47"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)
