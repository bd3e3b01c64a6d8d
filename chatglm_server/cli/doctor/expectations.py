"""What to expect of the models in the catalogue on this machine: whether they fit, and how fast they are."""

from __future__ import annotations

from dataclasses import dataclass

from ...hub.catalog import CATALOG, CatalogEntry
from ...hub.choice import CONTEXT, memory_beside_weights
from ...memory import memory_limit
from ..speed import MachineSpeed
from .computing import free_memory


@dataclass(frozen=True, slots=True)
class Expectation:
    """A model as a Q4_K_M file. `lacking`: bytes of memory that other programs hold and it needs. Rates are in tokens a
    second.
    """

    name: str
    size: int
    needed: int
    fits: bool
    lacking: int
    answers: float
    prompts: float


def expectations(machine: MachineSpeed) -> list[Expectation]:
    """One for each model of the catalogue, those that need least memory first."""
    found = [_expectation(name, entry, machine) for name, entry in CATALOG.items()]
    return sorted(found, key=lambda model: model.needed)


def _expectation(name: str, entry: CatalogEntry, machine: MachineSpeed) -> Expectation:
    size = round(entry.size_gb * 1e9)
    needed = size + memory_beside_weights(entry.cache_bytes)
    return Expectation(
        name,
        size,
        needed,
        needed <= memory_limit()[0],
        max(0, size + entry.cache_bytes * CONTEXT - free_memory()),
        answers=machine.read / (size * entry.used_parameters / entry.parameters),
        prompts=machine.computed / (entry.used_parameters * 1e9),
    )
