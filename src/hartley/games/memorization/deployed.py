"""Memorization on a deployed model, whose owner planted canaries that were drawn before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Deal, Round, Scene, View
from hartley.core.errors import UsageError
from hartley.games.judged_model import judged
from hartley.games.memorization import canaries as book
from hartley.games.memorization.judging import Copies, judge
from hartley.games.memorization.verbatim import Verified
from hartley.games.planted_canaries import PlantedCanaries
from hartley.kit.language.text import pad

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def deal(scene: Scene, rng: Rng, rounds: int, brief: Any) -> Deal:
    """Return one round: the attacker scores the candidates of every canary, planted or not.

    Measured are those that were planted; the others show what a secret reads that was never in the
    training. All share one training run, so that the round is one cluster: what is certified is
    the min-capacity, by the draw of the secrets alone (``design/measurement.md``, E4).

    Args:
        scene: with a model and ``PlantedCanaries``.
        rng: for the salt.
        rounds: victims that are asked for; there is one.
        brief: what the attacker knows.

    Raises:
        UsageError: more than one victim is asked for, or no canary was planted.
    """
    part = scene.part(PlantedCanaries)
    assert scene.model is not None
    if rounds > 1:
        raise UsageError(f"rounds must be 0 or 1 where {scene.name} is one model, got {rounds}")
    planted = np.flatnonzero(part.planted)
    if not len(planted):
        raise UsageError(f"{scene.name} must have canaries that were planted, got none")
    chosen = part.rows(planted)
    trained = [row for data in (chosen.texts, scene.train) if data is not None
               for row in data.x.tolist()]  # fmt: skip
    untrained = chosen.texts.x[:0] if scene.holdout is None else scene.holdout.x
    verified = Verified(
        judged(scene.model), chosen.canaries, chosen.secrets, pad(trained), untrained
    )
    view = View(
        source=scene.model,
        brief=brief,
        defenses=scene.defenses,
        salt=int(rng.integers(2**31)),
    )
    copies = Copies(np.where(part.planted, part.repeats, 0))
    return Deal(
        rounds=(Round(view, part.secrets, book.candidates(part.canaries)),),
        judge=partial(judge, verify=[verified], copies=copies),
        unit="planted canary",
    )
