"""How many threads to compute with: fewer, if that is wanted, while the machine runs on its battery."""

from __future__ import annotations

import logging
import time

import psutil

_LOOK_S = 5.0
"""Seconds between looks at the power supply. A look takes less than a millisecond."""

_log = logging.getLogger("chatglm_server")


class ThreadCount:
    """Follows the power supply, if the two counts differ."""

    def __init__(self, usual: int, on_battery: int | None = None) -> None:
        """`on_battery` of None: as many as usual."""
        self._usual = usual
        self._on_battery = usual if on_battery is None else on_battery
        self._on_mains = True
        self._looked: float | None = None

    def now(self) -> int:
        """The threads to compute with now. Mutates the count."""
        if self._usual == self._on_battery:
            return self._usual
        moment = time.monotonic()
        if self._looked is None or moment - self._looked >= _LOOK_S:
            self._looked = moment
            on_mains = not runs_on_battery()
            if on_mains != self._on_mains:
                self._on_mains = on_mains
                _log.info(
                    "threads: %s", f"{self._usual}, on mains power" if on_mains else f"{self._on_battery}, on battery"
                )
        return self._usual if self._on_mains else self._on_battery


def runs_on_battery() -> bool:
    """False if the machine has no battery, or does not tell."""
    battery = psutil.sensors_battery()
    return battery is not None and battery.power_plugged is False
