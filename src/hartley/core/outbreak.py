"""What is counted of an outbreak among agents, for the reproduction number and the curve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outbreak:
    """One outbreak, as a judge saw it.

    Attributes:
        offspring: how many others each counted individual infected; counted are those that were
            infected while few had been, and whose infectious period was seen whole.
        curve: individuals infected after each step, from the first.
        population: individuals.
    """

    offspring: tuple[int, ...]
    curve: tuple[int, ...]
    population: int
