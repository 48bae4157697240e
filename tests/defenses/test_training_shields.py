"""What all training-time shields share: where they stand, whom they show, what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Modality
from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.defenses.noise.dp_sgd import dp_sgd
from hartley.defenses.noise.score_noise import score_noise
from hartley.defenses.signal.label_smoothing import label_smoothing
from hartley.defenses.signal.relax_loss import relax_loss
from hartley.engine.defend import as_static, defended
from hartley.games.membership.membership import membership
from hartley.kit.fleet import Privacy

SETTINGS: dict[str, dict[str, float]] = {
    "hamp": {},
    "selena": {"parts": 4, "apart": 2},
    "relax_loss": {"target": 3.0},  # far above where a few passes end, so that it acts
    "label_smoothing": {"amount": 0.5},
    "mid": {},
    "bido": {},
}
NAMES = tuple(SETTINGS)


@pytest.fixture(scope="module")
def bare(tiny) -> Any:
    return tiny.scene(epochs=10, n=60)


@pytest.mark.parametrize("name", NAMES)
def test_victims_and_informed_references_are_trained_by_it_and_static_ones_are_not(
    tiny, bare, name
):
    shielded = defended(bare, name, SETTINGS[name])
    pool, include = bare.extra["pool"], np.ones((1, len(bare.extra["pool"])), bool)
    assert shielded.model.fit is not None and bare.model.fit is not None
    plain = bare.model.fit(pool, include, 5).query(pool.x)
    victim = shielded.fit(pool, include, 5).query(pool.x)
    informed = shielded.model.fit(pool, include, 5).query(pool.x)
    deal = membership(shielded, tiny.rng(), rounds=1)
    (static,) = as_static(deal, bare).rounds
    unaware = static.view.model.fit(pool, include, 5).query(pool.x)
    assert np.abs(victim - plain).max() > 1e-3
    np.testing.assert_array_equal(unaware, plain)
    if name != "hamp":  # whose answers have numbers of their own
        np.testing.assert_allclose(informed, victim, atol=1e-6)
    assert shielded.model.lineage[-1] == name and shielded.digest != bare.digest
    again = defended(bare, name, SETTINGS[name])
    assert again.digest == shielded.digest
    np.testing.assert_array_equal(again.model.query(pool.x), shielded.model.query(pool.x))


@pytest.mark.parametrize("name", NAMES)
def test_convolutions_and_audio_train_by_it(tiny, name):
    audio = tiny.scene(tiny.CONV, epochs=3, n=40, modality=Modality.AUDIO)
    part = catalog.load("defense", name)
    assert Modality.AUDIO in part.modalities
    shielded = part(audio, tiny.rng(), **SETTINGS[name])
    made, _, pool = tiny.victims(shielded, 2)
    plain, _, _ = tiny.victims(audio, 2)
    said = made.query(pool.x)
    assert said.shape == (2, 80, 10) and np.isfinite(said).all()
    assert np.abs(said - plain.query(pool.x)).max() > 1e-3
    np.testing.assert_allclose(made.member(1).query(pool.x), said[1], atol=1e-5)


def test_dp_sgd_trains_audio(tiny):
    audio = tiny.scene(tiny.DENSE, epochs=3, n=40, modality=Modality.AUDIO)
    shielded = dp_sgd(audio, tiny.rng(), epsilon=2.0, epochs=2.0, accountant="rdp")
    assert shielded.training.private is not None
    assert np.isfinite(shielded.model.query(audio.train.x)).all()


def test_one_training_has_one_objective(tiny, bare):
    relaxed = relax_loss(bare, tiny.rng())
    with pytest.raises(RunError, match="Relaxed already"):
        label_smoothing(relaxed, tiny.rng())
    with pytest.raises(RunError, match="has another objective"):
        dp_sgd(relaxed, tiny.rng())
    private = bare.training.with_(private=Privacy(1.0, 1.0, 0.5, 2, 30.0))
    with pytest.raises(RunError, match="clips the plain"):
        relax_loss(replace(bare, training=private), tiny.rng())
    twice = relax_loss(relaxed, tiny.rng(), target=1.0)
    assert twice.training.objective.target == 1.0


def test_a_shield_that_would_be_lost_is_named(tiny, bare):
    noisy = defended(bare, score_noise)
    with pytest.raises(RunError, match="which would drop score_noise"):
        defended(noisy, relax_loss)
    behind = defended(defended(bare, relax_loss), score_noise)
    assert [d.name for d in behind.defenses] == ["relax_loss", "score_noise"]


def test_sub_models_that_all_miss_a_record_are_refused(tiny, bare):
    with pytest.raises(UsageError, match="selena: apart must be below parts, got 4 of 4"):
        catalog.load("defense", "selena")(bare, tiny.rng(), parts=4, apart=4)


def test_training_that_is_not_a_fleet_is_refused(tiny, bare):
    other = replace(bare, training=object())
    for name in NAMES:
        with pytest.raises(HartleyError, match=r"must be a Pipeline for .*, got object"):
            catalog.load("defense", name)(other, tiny.rng())
