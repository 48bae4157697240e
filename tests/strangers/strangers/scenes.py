"""Scenes whose victims answer what they should not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hartley.core import Modality, recipe
from hartley.core.assets import Ensemble
from hartley.games.membership.membership import membership


def _spoiled(spoil, digest):
    scene = membership.live(Modality.VISION, np.random.default_rng(0))
    inner = scene.fit

    def fit(data, include, seed):
        made = inner(data, include, seed)

        def member(k):
            honest = made.member(k)
            return honest.with_(query=lambda x: spoil(honest.query(x)))

        return Ensemble(made.size, made.query, member)

    return replace(scene, name=digest, digest=digest, fit=fit)


@recipe(modality=Modality.VISION)
def says_nan():
    """A model that answers NaN."""
    return _spoiled(lambda p: np.where(p > 0.5, np.nan, p), "says_nan")


@recipe(modality=Modality.VISION)
def says_too_little():
    """A model that answers one class too few."""
    return _spoiled(lambda p: p[:, 1:], "says_too_little")


@recipe(modality=Modality.VISION)
def says_logits():
    """A model that answers logits where it declares probabilities."""
    return _spoiled(np.log, "says_logits")


@recipe(modality=Modality.VISION)
def falls_down():
    """A recipe that fails."""
    raise ZeroDivisionError("no scene today")


@recipe(modality=Modality.VISION)
def plain(*, sure: float = 1.0):
    """The live wire under another name.

    Args:
        sure: nothing.
    """
    return _spoiled(lambda p: p, "plain")


@recipe(modality=Modality.VISION)
def keyed(*, api_key: str = ""):
    """A live scene that is built with a key.

    Args:
        api_key: of a service; read from the environment.
    """
    if not api_key:
        raise ValueError("the key did not arrive")
    return replace(membership.live(Modality.VISION, np.random.default_rng(0)), digest="keyed")
