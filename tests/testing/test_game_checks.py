"""The checks of a game find what they are for."""

from __future__ import annotations

import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.core import Scene
from hartley.games.membership.membership import membership
from hartley.testing import game_checks
from hartley.testing.checks import CheckFailed


def test_a_victim_with_the_owners_own_training_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {check.name: check for check in game_checks((loss_threshold,))}
    check = checks["hands_out_victims_as_attackers_may_see_them"]
    check(membership)

    def raw(scene: Scene, *training: object) -> object:
        assert scene.fit is not None
        return scene.fit(*training)  # type: ignore[arg-type]

    monkeypatch.setattr(Scene, "victims", raw)
    with pytest.raises(CheckFailed, match="carries another training"):
        check(membership)
