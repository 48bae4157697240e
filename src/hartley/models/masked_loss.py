"""Tokens that a training leaves out of its loss: how records name them, and who minds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FACT = "dropped"


@dataclass(frozen=True, slots=True)
class MaskedLoss:
    """A part of scenes whose ``fit`` leaves out of its loss the tokens that the records name."""


def leaving_out(data: Data, tokens: NDArray[Any]) -> Data:
    """Return texts with the tokens (n, t) that training must leave out of its loss."""
    return replace(data, facts={**data.facts, _FACT: tokens})


def left_out(data: Data) -> NDArray[np.bool_] | None:
    """Return which tokens (n, t) of texts training must leave out, or None for none."""
    tokens = data.facts.get(_FACT)
    return None if tokens is None else np.asarray(tokens, dtype=bool)
