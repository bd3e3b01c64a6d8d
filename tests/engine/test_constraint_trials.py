"""A sample of the trials in `tests/constraint_trials.py`: strict calls and answers in a form by real models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.constraint_trials import models, trials


@pytest.mark.parametrize("number", range(4))
def test_strict_calls_and_forms_fit_their_schemas(number: int, tmp_path: Path) -> None:
    _, settings = list(models(tmp_path))[number]
    verdicts = asyncio.run(trials(settings, range(8), range(3)))
    assert not verdicts.faults
    assert verdicts.counts["calls"] >= 2
    assert not verdicts.counts["refused"]
