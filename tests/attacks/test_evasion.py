"""Evasion: losses against autograd, the search against what a linear model's optimum is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.data_to_model.jailbreak._shared.boundary_steps import to_plane
from hartley.attacks.data_to_model.jailbreak._shared.slopes import slope_of
from hartley.core import Access, Modality, Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.jailbreak.evasion import EvasionBrief
from hartley.kit.evasion_losses import of_array, of_tensor
from hartley.kit.nets import dense
from hartley.kit.perturbation import Perturbation
from hartley.targets.torch import from_torch

ATTACKS = ("fgsm", "pgd", "apgd", "fab", "square", "hop_skip_jump", "auto_attack")
BLACK_BOX = ("square", "hop_skip_jump")


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
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in BLACK_BOX])
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


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.3)])
def test_a_walk_that_reads_labels_alone_reaches_most_of_the_closed_form(norm, epsilon):
    scene, fooled = _linear(norm, epsilon)
    scene = defended(scene, "label_only")
    trials = play(name_of("hop_skip_jump"), scene, game_params={"rounds": 1, "records": 300})
    robust = trials.metrics["robust_accuracy"]
    assert 1 - fooled.mean() - 1e-9 <= robust <= 1 - 0.9 * fooled.mean()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_smallest_change_onto_a_plane_within_a_box_is_a_solvers(norm):
    """A linear program and a quadratic one, solved by SciPy; a scale of 0 is a fixed entry."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(3)
    n = 6
    for trial in range(12):
        w, x = rng.standard_normal(n), rng.random(n)
        scale = np.where(np.arange(n) == trial % n, 0.0, rng.uniform(0.5, 2, n))
        low, high = np.where(scale > 0, 0.0, x), np.where(scale > 0, 1.0, x)
        reachable = np.where(w > 0, high - x, low - x) @ w
        margin = -(0.2 + 0.7 * (trial / 12)) * reachable  # the plane is within the box
        rules = Perturbation(norm, 1.0, 0.0, 1.0, scale)
        change = to_plane(
            rules, x[None].astype(np.float32), (low[None], high[None]), w[None], np.array([margin])
        )[0]
        assert change @ w == pytest.approx(-margin, abs=1e-5)
        assert (x + change >= low - 1e-6).all() and (x + change <= high + 1e-6).all()
        size = rules.sizes(np.zeros((1, n)), change[None])[0]
        bounds = [*zip(*_units(low - x, high - x, scale), strict=True)]
        if norm == "linf":
            # Variables: the change in units of the scale, and their bound.
            rows = np.concatenate([np.eye(n), -np.eye(n)])
            best = linprog(
                [*np.zeros(n), 1], A_ub=np.c_[rows, -np.ones(2 * n)], b_ub=np.zeros(2 * n),
                A_eq=[[*(w * scale), 0]], b_eq=[-margin],
                bounds=[*bounds, (0, None)],
            ).fun  # fmt: skip
        else:
            best = _least_length(w * scale, bounds, margin)
        assert size == pytest.approx(best, rel=1e-3, abs=1e-5)


def _least_length(w, bounds, margin):
    """The length of the shortest change u within bounds for which w·u = −margin."""
    from scipy.optimize import minimize

    plane = {"type": "eq", "fun": lambda u: w @ u + margin}
    least = minimize(
        lambda u: u @ u, 0 * w, jac=lambda u: 2 * u, tol=1e-12, bounds=bounds, constraints=plane
    )
    return least.fun**0.5


def _units(low, high, scale):
    """Bounds of a change in units of the scale."""
    safe = np.where(scale > 0, scale, 1)
    return np.where(scale > 0, low / safe, 0), np.where(scale > 0, high / safe, 0)


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
