"""Evasion: losses against autograd, the search against what a linear model's optimum is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.data_to_model.jailbreak._shared.slopes import slope_of
from hartley.core import Access, Modality, Scene
from hartley.engine.run.play import deal, play
from hartley.games.jailbreak.evasion import EvasionBrief
from hartley.kit.evasion_losses import of_array, of_tensor
from hartley.kit.nets import dense
from hartley.kit.perturbation import Perturbation
from hartley.targets.torch import from_torch

ATTACKS = ("fgsm", "pgd", "apgd", "square", "auto_attack")


@pytest.fixture(scope="module")
def net():
    """A net with 5 classes and its model, with and without the fused slope."""
    form = dense((7,), 5, (16,))
    module = form.module(form.initial(np.random.default_rng(0)))
    offers = Access.LABELS | Access.SCORES | Access.GRADIENTS
    model = from_torch(module, modality=Modality.TABULAR, classes=5, offers=offers)
    return model, model.with_(slope=None)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
def test_the_slope_of_a_loss_is_autograds_with_and_without_the_fused_call(net, loss, targeted):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 7)).astype(np.float32)
    y = rng.integers(0, 5, 40)
    wanted = np.stack([y, (y + rng.integers(1, 5, 40)) % 5], 1) if targeted else y
    fused, apart = (slope_of(model, x, wanted, loss) for model in net)
    for a, b in zip(fused, apart, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    # And by differences of the loss itself, which no gradient code shares.
    step, at = 5e-3, rng.standard_normal(x.shape).astype(np.float32)
    ends = [slope_of(net[1], x + sign * step * at, wanted, loss)[0] for sign in (1, -1)]
    along = (fused[2] * at).sum(1)
    close = np.isclose((ends[0] - ends[1]) / (2 * step), along, rtol=0.05, atol=0.01)
    assert close.mean() > 0.8, "a kink of ReLU or of the maximum may be between the two ends"


def test_dlr_ignores_the_scale_of_the_logits_and_needs_three_classes():
    import torch

    z = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6) % 5
    one, hundred = (of_tensor(s * z, y, None, "dlr") for s in (1.0, 100.0))
    torch.testing.assert_close(one, hundred)
    two = z[:, :2].numpy()
    labels = y.numpy() % 2
    assert np.array_equal(
        of_array(two, labels, None, "dlr")[0], of_array(two, labels, None, "margin")[0]
    )


def _linear(norm: str, epsilon: float) -> tuple[Scene, np.ndarray]:
    """A linear scene of two classes, and which records (n,) some change within the budget fools."""
    from hartley.core import Data, Model, Output

    rng = np.random.default_rng(2)
    weights, x = rng.standard_normal(20), rng.standard_normal((300, 20)).astype(np.float32)
    y = (x @ weights > 0).astype(np.int64)

    def query(rows):
        z = np.asarray(rows, np.float64) @ weights
        p = 1 / (1 + np.exp(-z))
        return np.stack([1 - p, p], 1)

    def grad(rows, labels):
        return (query(rows)[:, 1] - labels)[:, None] * weights

    model = Model(
        "linear", Modality.TABULAR, query, Output.PROBABILITIES, 2, grad=grad,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS,
    )  # fmt: skip
    reach = epsilon * (np.abs(weights).sum() if norm == "linf" else np.linalg.norm(weights))
    rules = Perturbation(norm, epsilon, -99, 99)
    test = Data("test", Modality.TABULAR, x, y)
    scene = Scene("linear", Modality.TABULAR, model=model, extra={"test": test}, parts=(rules,))
    return scene, np.abs(x @ weights) < reach


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "square"])
def test_on_a_linear_model_robust_accuracy_is_the_closed_form(name, norm):
    """|w·x| ≤ ε·‖w‖ of the dual norm decides which records can be fooled, exactly."""
    scene, fooled = _linear(norm, 0.1 if norm == "linf" else 0.3)
    trials = play(name_of(name), scene, game_params={"rounds": 1, "records": 300})
    assert 0.2 < fooled.mean() < 0.8
    assert trials.metrics["robust_accuracy"] == pytest.approx(1 - fooled.mean(), abs=0.011)
    assert trials.metrics["refused"] == 0.0


def test_square_reaches_most_of_the_closed_form_and_never_more():
    scene, fooled = _linear("linf", 0.1)
    trials = play(name_of("square"), scene, game_params={"rounds": 1, "records": 300})
    robust = trials.metrics["robust_accuracy"]
    assert 1 - fooled.mean() - 1e-9 <= robust <= 1 - 0.85 * fooled.mean()


def name_of(name):
    return catalog.load("attack", name)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_budget_of_queries_is_kept_to(name):
    """The session of a round refuses what is asked beyond it, so that a play shows it was kept."""
    scene = name_of(name).game.live(Modality.VISION, np.random.default_rng(0))
    trials = play(name_of(name), scene, game_params={"rounds": 2, "records": 20, "queries": 30})
    assert 0 < trials.spec.uses <= 2 * 20 * 30


@pytest.mark.parametrize("name", ATTACKS)
def test_targets_are_reached_on_the_live_scene(name):
    scene = name_of(name).game.live(Modality.VISION, np.random.default_rng(0))
    settings = {"rounds": 4, "goal": "targeted", "epsilon": 0.2}
    trials = play(name_of(name), scene, game_params=settings)
    assert trials.spec.alphabet == 4
    assert (trials.guess == trials.truth).mean() > 0.9
    assert trials.metrics["base_rate"] < 0.1 < trials.metrics["asr"]


def test_an_adaptive_attacker_averages_the_noise_of_a_smoothed_model():
    """The slope is the mean over draws: its error falls with their number."""
    from hartley.attacks.data_to_model.jailbreak._shared.slopes import Slopes
    from hartley.core import Applied, View

    scene = name_of("pgd").game.live(Modality.VISION, np.random.default_rng(0))
    table = deal(name_of("pgd"), scene, seed=0, params={"rounds": 1})
    view: View[EvasionBrief] = replace(
        table.rounds[0].view, defenses=(Applied("randomized_smoothing", {"sigma": 0.3}),)
    )
    x, rows = np.asarray(view.brief.question.x), np.arange(32)

    def slopes(draws: int, seed: int) -> np.ndarray:
        return Slopes.of(view, np.random.default_rng(seed), draws).at(x, rows, "ce").slope / draws

    errors = [np.abs(slopes(n, 0) - slopes(n, 1)).mean() for n in (4, 64)]
    assert errors[1] < 0.4 * errors[0]
