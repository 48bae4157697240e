"""What the measurement of one answer form returns, before ceilings and costs are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hartley.core import Quantity

Lows = tuple[tuple[float, float], ...]
"""Error levels, falling, each with the certified bound at it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The measured numbers of one answer form.

    Attributes:
        point: bias-corrected Shannon bits per use.
        raw: the plug-in point before correction.
        lower: certified bits per use.
        high: calibrated upper limit.
        method, assumptions: how ``lower`` was certified and what it rests on.
        leakage, capacity: certified min-capacity, and capacity of an enumerated channel.
        signal, noise: of a score, else None.
        metrics: usual metrics by name.
        curve: arrays worth drawing.
        lows: certified bits at smaller and smaller error levels; ``lower`` is the first.
        quantity: in words, what point, lower and high are of.
        beside: lower bounds of other quantities at the same falling error levels, by name.
    """

    point: float
    raw: float
    lower: float
    high: float
    method: str
    assumptions: tuple[str, ...]
    leakage: Quantity | None = None
    capacity: Quantity | None = None
    signal: float | None = None
    noise: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    lows: Lows = ()
    quantity: str = ""
    beside: Mapping[str, Lows] = field(default_factory=dict)
