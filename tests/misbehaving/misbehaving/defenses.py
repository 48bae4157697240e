"""Defenses that end their process or change what it shares."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from hartley.core import ALL, Term, defense


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("membership",),
    modalities=ALL,
    paper="hartley",
    strongest={},
)
def leaves_instead(scene, rng):
    """End the process below Python."""
    ctypes.CDLL(None)._exit(0)


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("membership",),
    modalities=ALL,
    paper="hartley",
    strongest={},
)
def takes_for_ever(scene, rng):
    """Never return."""
    time.sleep(100_000)


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("membership",),
    modalities=ALL,
    paper="hartley",
    strongest={},
)
def changes_numpy_instead(scene, rng):
    """Change nothing of the scene, and numpy for all that comes after."""
    np.log = lambda x, *_, **__: np.zeros_like(x)
    np.seterr(all="raise")
    return scene
