"""A run carries its seed's commitment, and its row what was declared."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_model.extraction.copycat import copycat
from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.core.errors import BadTrials, UsageError
from hartley.engine.run.play import play
from hartley.games.membership.membership import live

WIRE = live(Modality.TABULAR, np.random.default_rng(0))


def test_a_run_is_held_to_the_seed_it_published() -> None:
    played = play(loss_threshold, WIRE, seed=11, game_params={"rounds": 2})
    # What anyone can compute before the run, without Hartley.
    assert played.spec.commit == hashlib.sha256(b"hartley seed 11").hexdigest()
    assert measure(played).n == len(played)
    with pytest.raises(BadTrials, match="committed"):
        measure(replace(played, seed=12))


def test_the_registration_is_the_same_for_every_run_of_one_declaration() -> None:
    one, two = (play(loss_threshold, WIRE, seed=1, game_params={"rounds": 2}) for _ in range(2))
    strict = play(loss_threshold, WIRE, seed=1, game_params={"rounds": 2}, alpha=0.01)
    assert one.spec.seconds != two.spec.seconds
    assert one.spec.registration == two.spec.registration != strict.spec.registration


@pytest.mark.parametrize("rounds", [-1, 10**9])
def test_rounds_that_cannot_be_dealt_are_a_mistake_of_the_user(rounds: int) -> None:
    with pytest.raises(
        UsageError, match=f"membership: rounds must be from 0 to 10000, got {rounds}"
    ):
        play(loss_threshold, WIRE, game_params={"rounds": rounds})


def test_a_game_that_leaves_no_rounds_to_the_scene_wants_one_at_least() -> None:
    with pytest.raises(UsageError, match="extraction: rounds must be from 1 to 10000, got 0"):
        play(copycat, WIRE, game_params={"rounds": 0})


def test_a_scene_that_lacks_what_the_game_wants_is_told_so() -> None:
    assert WIRE.fit is not None and WIRE.holdout is not None
    with pytest.raises(
        UsageError, match="loss_threshold cannot be played: the scene live has no members"
    ):
        play(loss_threshold, replace(WIRE, fit=None, holdout=None))
