"""Record scan: what it drops is the poison, each detector is counted, and the success falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning.badnets import badnets
from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.core.errors import UsageError
from hartley.defenses.signal.record_scan import record_scan
from hartley.engine.defend import defended
from hartley.engine.run.play import play


def test_behind_the_scan_poison_is_found_by_each_detector_and_the_success_falls(
    digits: Scene,
) -> None:
    rules = {"rounds": 4, "slots": 1, "poisons": 12}
    behind = defended(digits, "record_scan", {"false_alarms": 0.05})
    before = measure(play(badnets, digits, seed=0, game_params=rules)).metrics
    after = measure(play(badnets, behind, seed=0, game_params=rules, undefended=digits)).metrics
    assert after["dropped_poison"]["value"] > 0.7 and after["dropped_clean"]["value"] < 0.12
    assert after["detected_by_loss_filter"]["value"] > 0.7
    assert after["asr"]["value"] < 0.5 * before["asr"]["value"]


def test_it_refuses_what_cannot_calibrate_the_rate(digits: Scene) -> None:
    assert digits.holdout is not None
    few = replace(digits, holdout=replace(digits.holdout, x=digits.holdout.x[:30], y=None))
    with pytest.raises(UsageError, match="at least 38 trusted records"):
        record_scan(few, np.random.default_rng(0))
