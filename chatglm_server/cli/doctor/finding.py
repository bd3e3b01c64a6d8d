"""The finding of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]
"""A problem: something will not work. A warning: it will be slow, or surprise someone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is what was looked at, `found` what is there, and `advice` what to do about it: "" if nothing."""

    check: str
    state: State
    found: str
    advice: str = ""
