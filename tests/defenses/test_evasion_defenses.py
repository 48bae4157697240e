"""Defenses against evasion: certificates of a model whose radii are a formula, and training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Access, Applied, Data, Modality, Model, Output, Scene
from hartley.core.brief import as_static_brief
from hartley.defenses.signal.adversarial_training import Adversarial
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.jailbreak.certificate import Certificate
from hartley.kit.denoiser import Denoiser
from hartley.kit.input_rounding import rounded_inputs
from hartley.kit.perturbation import Perturbation
from hartley.kit.vision.jpeg_rounding import jpeg_rounded
from hartley.models.smoothing import Smoothing

WEIGHTS = np.random.default_rng(0).standard_normal(12)
RECORDS = np.random.default_rng(1).standard_normal((1200, 12)).astype(np.float32)
DISTANCES = np.abs(RECORDS @ WEIGHTS) / np.linalg.norm(WEIGHTS)
"""Of a linear model the smoothed one is the model itself, and its radius this distance."""


def labels(x):
    return (np.asarray(x) @ WEIGHTS > 0).astype(np.int64)


def test_radii_are_never_above_the_true_ones_and_close_to_them_on_1200_records():
    smoothing = Smoothing(0.5, 1.0, samples=1000)
    given, radii = smoothing.certified(labels, RECORDS, 2, np.random.default_rng(2))
    # Each may fail with probability 1e-3: six of 1,200 would be one in 3,000.
    assert (radii > DISTANCES).sum() <= 5
    proved = radii > 0
    assert np.array_equal(given[proved], labels(RECORDS)[proved])
    reachable = np.minimum(DISTANCES, 0.5 * 2.2)  # 1,000 copies prove 2.46 deviations at most
    assert np.median(radii[proved] / reachable[proved]) > 0.8


def test_no_change_within_a_radius_contradicts_it_and_a_false_radius_is_caught():
    smoothing = Smoothing(0.5, 1.0, samples=1000)
    proof = Certificate(smoothing, (labels, 2), RECORDS, labels(RECORDS), 3)
    rules = Perturbation("l2", 0.6, -99, 99)
    side = np.sign(RECORDS @ WEIGHTS)[:, None] * WEIGHTS / np.linalg.norm(WEIGHTS)

    def attacked(reach):
        # The best attack on a linear model, straight towards the border.
        changed = (RECORDS - reach[:, None] * side).astype(np.float32)
        return proof.metrics(changed, labels(changed), rules)

    honest = attacked(0.999 * proof.proved[1])
    assert honest["contradicted"] == 0.0
    assert 0 < honest["certified_accuracy"] <= (DISTANCES > 0.6).mean() + 0.005
    # Radii that are too large do not stand an attack.
    proof.__dict__["proved"] = (labels(RECORDS), 3 * DISTANCES + 0.1)
    assert attacked(2 * DISTANCES + 0.05)["contradicted"] > 0.3


@pytest.mark.parametrize("name", ["pgd", "fab", "hop_skip_jump"])
def test_no_attack_on_1200_records_changes_a_class_within_its_radius(name):
    """Searches for the nearest border come close to the radii, and never below them."""

    def query(x):
        p = 1 / (1 + np.exp(-(np.asarray(x, np.float64) @ WEIGHTS)))
        return np.stack([1 - p, p], 1)

    def grad(x, y):
        return (query(x)[:, 1] - y)[:, None] * WEIGHTS

    model = Model(
        "linear", Modality.TABULAR, query, Output.PROBABILITIES, 2, grad=grad,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS,
    )  # fmt: skip
    test = Data("test", Modality.TABULAR, RECORDS, labels(RECORDS))
    rules = Perturbation("l2", 1.5, -99, 99)
    scene = Scene("linear", Modality.TABULAR, model=model, extra={"test": test}, parts=(rules,))
    attack = catalog.load("attack", name)
    table = deal(attack, scene, seed=0, params={"rounds": 1, "records": len(RECORDS)})
    view = table.rounds[0].view
    clean = view.brief.question.x
    changed = attack(view, np.random.default_rng(0)).asset.x
    given, radii = Smoothing(0.5, 1.0, samples=1000).certified(
        labels, clean, 2, np.random.default_rng(2)
    )
    away, moved = rules.sizes(clean, changed), labels(changed) != given
    # Each radius may be wrong with probability 1e-3, see above.
    assert (moved & (away < radii)).sum() <= 5
    assert (moved & (radii > 0)).mean() > 0.4
    if name == "fab":
        assert np.median((away / np.maximum(radii, 1e-9))[moved & (radii > 0)]) < 1.5


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_training_records_stay_within_the_budget_and_raise_the_loss(norm):
    import torch

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 6, 4, generator=generator)
    x = torch.rand(3, 50, 6, generator=generator)
    targets = torch.eye(4)[torch.randint(0, 4, (3, 50), generator=generator)]
    scale = (1.0, 0.5, 2.0, 1.0, 0.0, 1.0)
    objective = Adversarial(norm, 0.1, 5, (0.0,), (1.0,), scale)

    def logits(rows):
        return rows @ weight

    def loss(rows):
        return -(targets * torch.log_softmax(logits(rows), 2)).sum(2)

    changed = objective.inputs(
        x, targets, logits, lambda n: torch.randn(3, 50, n, generator=generator)
    )
    rules = Perturbation(norm, 0.1, 0.0, 1.0, np.array(scale))
    flat, new = x.reshape(150, 6).numpy(), changed.reshape(150, 6).numpy()
    assert rules.allows(flat, new).all()
    assert (loss(changed) > loss(x)).float().mean() > 0.97
    # No random change of the same budget comes near it, on average.
    tries = [
        rules.projected(rules.random(flat, np.random.default_rng(s)), flat, rules.box(flat))
        for s in range(30)
    ]
    best = torch.stack([loss(torch.tensor(t).reshape(x.shape)) for t in tries]).max(0).values
    assert (loss(changed) > best).float().mean() > 0.9


def test_adversarial_training_keeps_the_records_right_that_plain_training_loses():
    game = catalog.load("game", "evasion")
    scene = game.live(Modality.VISION, np.random.default_rng(0))
    plain = replace(scene, fit=scene.training.fit)
    after = defended(scene, catalog.load("defense", "adversarial_training"))
    pgd = catalog.load("attack", "pgd")
    before, behind = (
        play(pgd, s, game_params={"rounds": 3}, undefended=scene).metrics for s in (plain, after)
    )
    assert before["robust_accuracy"] < 0.1 and behind["robust_accuracy"] > 0.95
    assert behind["clean_accuracy"] > 0.95


def test_rounding_of_inputs_is_idempotent_and_keeps_to_the_range():
    x = np.random.default_rng(0).uniform(-1, 2, (40, 3)).astype(np.float32)
    low, high = np.array([-1.0, 0.0, 5.0]), np.array([2.0, 1.0, 5.0])
    once = rounded_inputs(x, 3, low, high)
    np.testing.assert_allclose(rounded_inputs(once, 3, low, high), once, atol=1e-6)
    assert once[:, 0].min() >= -1 and once[:, 0].max() <= 2
    assert len(np.unique(once[:, 0])) <= 8 and np.array_equal(once[:, 2], x[:, 2])


def test_an_attacker_who_knows_of_bit_depth_sends_rounded_records_through_the_network():
    """The slope is that at the rounded record: at the record itself it is another one."""
    from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes

    game = catalog.load("game", "evasion")
    scene = game.live(Modality.VISION, np.random.default_rng(0))
    view = game(scene, np.random.default_rng(0), rounds=1).rounds[0].view
    x, rows = np.asarray(view.brief.question.x), np.arange(32)
    knows = replace(view, defenses=(Applied("bit_depth", {"bits": 2}),))
    of = lambda v, records: Slopes.of(v, np.random.default_rng(0), 1).at(records, rows, "ce")  # noqa: E731
    rounded = of(view, rounded_inputs(x, 2, 0.0, 1.0))
    np.testing.assert_array_equal(of(knows, x).slope, rounded.slope)
    assert not np.array_equal(of(view, x).slope, rounded.slope)


def test_an_attacker_who_knows_of_jpeg_passes_the_slope_straight_through():
    from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes

    game = catalog.load("game", "evasion")
    scene = game.live(Modality.VISION, np.random.default_rng(0))
    view = game(scene, np.random.default_rng(0), rounds=1).rounds[0].view
    x, rows = np.asarray(view.brief.question.x), np.arange(32)
    knows = replace(view, defenses=(Applied("jpeg", {"quality": 20}),))
    of = lambda v, records: Slopes.of(v, np.random.default_rng(0), 1).at(records, rows, "ce")  # noqa: E731
    rounded = of(view, jpeg_rounded(x, 20, 0.0, 1.0))
    np.testing.assert_array_equal(of(knows, x).slope, rounded.slope)
    assert not np.array_equal(of(view, x).slope, rounded.slope)


def test_an_attacker_who_knows_the_purifier_goes_up_the_slope_of_both_networks():
    from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes

    game = catalog.load("game", "evasion")
    scene = game.live(Modality.VISION, np.random.default_rng(0))
    after = defended(scene, "purifier", {"epochs": 5, "width": 16})
    view = game(after, np.random.default_rng(0), rounds=1).rounds[0].view
    denoiser = after.find(Denoiser)
    assert view.brief.denoiser is denoiser and as_static_brief(view.brief, scene).denoiser is None
    # Of a purifier that is deployed, an attacker who does not know what was added knows too.
    assert as_static_brief(view.brief, after).denoiser is denoiser
    x, rows = np.asarray(view.brief.question.x), np.arange(32)
    known = Slopes.of(view, np.random.default_rng(0), 1).at(x, rows, "ce")
    bare = Slopes.of(replace(view, defenses=()), np.random.default_rng(0), 1)
    behind = bare.at(denoiser(x), rows, "ce")
    np.testing.assert_allclose(known.loss, behind.loss)
    np.testing.assert_allclose(known.slope, denoiser.pulled_back(x, behind.slope))
    assert not np.allclose(known.slope, behind.slope)


def test_defenses_of_inputs_are_followed_from_the_last_that_was_added_inwards():
    """The owner's model reads a record through the last defense first."""
    from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes

    game = catalog.load("game", "evasion")
    scene = game.live(Modality.VISION, np.random.default_rng(0))
    after = defended(defended(scene, "jpeg", {"quality": 30}), "purifier", {"epochs": 5})
    view = game(after, np.random.default_rng(0), rounds=1).rounds[0].view
    x = np.asarray(view.brief.question.x)
    changed, passed = Slopes.of(view, np.random.default_rng(0), 1)._through(x)
    denoiser = after.find(Denoiser)
    np.testing.assert_array_equal(changed, jpeg_rounded(denoiser(x), 30, 0.0, 1.0))
    assert [part for part, _ in passed] == [denoiser]
    answers = view.model.query(x)
    np.testing.assert_array_equal(answers, view.model.clear.query(changed))
