"""DP-SGD where a record is a text: the wires of language, the owner of texts, and who has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.core.errors import RunError
from hartley.defenses.noise.dp_sgd import dp_sgd
from hartley.defenses.signal.goldfish import goldfish
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.membership import membership
from hartley.games.memorization import memorization
from hartley.models.text_pipeline import TextPipeline

pytest.importorskip("opacus")

ROUNDS = {"rounds": 4}
BRIEF = {"epochs": 5.0, "lr": 0.01, "accountant": "rdp"}


def rng(seed: int = 0):
    return np.random.default_rng(seed)


def wire(game, kind: str):
    """A wire of language, and the same with its owner's own small transformer at work."""
    bare = getattr(game, kind)(Modality.LANGUAGE, rng())
    return bare, replace(bare, fit=bare.training.fit)


def heard(attack, scene):
    return measure(play(attack, scene, seed=0, game_params=ROUNDS))


@pytest.fixture(scope="module")
def plain():
    """What a loss threshold hears of the transformer that knows its texts of dice by heart."""
    return heard(loss_threshold, wire(membership, "live")[1])


@pytest.mark.parametrize("epsilon", [0.5, 4.0])
def test_the_live_wire_of_membership_narrows_and_the_certified_epsilon_is_kept(plain, epsilon):
    shielded = dp_sgd(wire(membership, "live")[0], rng(), epsilon=epsilon, **BRIEF)
    after = heard(loss_threshold, shielded)
    assert plain.metrics["auc"]["value"] > 0.99 and plain.bits.lower > 0.25
    assert float(plain.metrics["epsilon_lower"]) > 3
    assert after.bits.value < 0.1 and float(after.metrics["epsilon_lower"]) <= epsilon
    assert after.bits.lower <= after.ceiling.value < 1 and after.ceiling.method.startswith("dp")


def test_planted_secrets_drown_with_no_ceiling_claimed():
    bare, own = wire(memorization, "live")
    shielded = dp_sgd(bare, rng(), epsilon=0.5, **BRIEF)
    before, after = heard(exposure, own), heard(exposure, shielded)
    assert after.bits.value < 1.0 < 1.5 < before.bits.lower
    assert after.ceiling.method.startswith("entropy")


@pytest.mark.parametrize("game", [membership, memorization])
def test_on_a_dead_wire_no_text_moves_the_network(game):
    bare, _ = wire(game, "dead")
    owner = dp_sgd(bare, rng()).training
    assert owner.private.steps == 0 and owner.private.noise == 0
    texts = bare.train
    turned = replace(texts, x=texts.x[::-1].copy())
    coins = np.eye(2, len(texts), dtype=bool)
    one, other = (owner.fit(data, coins, 3).query(texts.x[:5]) for data in (texts, turned))
    np.testing.assert_array_equal(one, other)


def test_the_numbers_of_the_run_follow_from_the_public_size_alone():
    bare, _ = wire(membership, "live")
    owner = defended(bare, dp_sgd, BRIEF).training
    assert isinstance(owner, TextPipeline) and bare.training.private is None
    private = owner.private
    assert (private.rate, private.steps, private.expected) == (0.25, 20, 0.25 * 128)
    usual = defended(bare, dp_sgd, {"rate": 1.0})
    assert usual.training.private.steps == 10
    assert usual.training.private.lr == 0.01 and usual.bounds[-1].games == ("membership",)
    assert usual.fit == usual.model.fit == usual.training.fit
    assert owner.recipe != usual.training.recipe != bare.training.recipe


def test_what_is_dropped_is_dropped_in_private_too():
    """Goldfish round a private training: a token that it drops is nothing to the network."""
    bare, _ = wire(memorization, "live")
    shielded = goldfish(dp_sgd(bare, rng(), **BRIEF), rng(), k=2, context=1)
    texts = bare.train
    last = np.zeros(texts.x.shape, dtype=bool)
    last[:, -1] = True
    masked = replace(texts, facts={**texts.facts, "dropped": last})
    changed = replace(masked, x=np.where(last, (texts.x + 1) % 64, texts.x))
    everyone = np.ones((1, len(texts)), dtype=bool)
    one, other = (shielded.fit(d, everyone, 3).member(0).score(texts.x) for d in (masked, changed))
    free = shielded.fit(texts, everyone, 3).member(0).score(texts.x)
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one - free).max() > 1e-4


def test_a_training_that_shows_no_text_its_gradient_is_refused():
    bare, _ = wire(membership, "live")
    with pytest.raises(RunError, match="the gradient of every record"):
        dp_sgd(replace(bare, training=None), rng())
