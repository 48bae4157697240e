"""Training on safe pairs and tuning on clean ones: the mixture, the division, and what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning.mismatched_pairs import mismatched_pairs
from hartley.core import Modality, Scene
from hartley.core.errors import RunError, UsageError
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.poisoning.poisoning import live
from hartley.kit.careful_towers import DROPPED, CleanTuning, Plain, SafeOnly, upper_law
from hartley.kit.infonce_towers import Towers, train_towers

HOW = Towers(split=40, width=8, epochs=20, batch=32, lr=1e-2)
SAFE = SafeOnly(warm=2, look=5, folds=4, sure=0.9, growth=0.0, dropout=0.3)
RIGHT, WRONG = slice(60, 160), slice(160, 200)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return live(Modality.PAIRED, np.random.default_rng(1))


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    """200 pairs, of which the last 40 have the caption of another."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((200, 6))
    sides = [hidden @ rng.standard_normal((6, d)) for d in (40, 30)]
    x = np.concatenate(sides, 1) + 0.5 * rng.standard_normal((200, 70))
    x[WRONG, 40:] = np.roll(x[WRONG, 40:], 1, axis=0)
    return x.astype(np.float32)


def cosine(stack: Any, x: np.ndarray) -> float:
    """Return the mean cosine of pictures and captions in the first model of a stack."""
    a, b = x[:, :40] @ stack["image"][0], x[:, 40:] @ stack["text"][0]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / lengths).mean())


def test_the_mixture_is_that_of_a_library() -> None:
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(0)
    values = np.concatenate([0.1 + 0.1 * rng.standard_normal(150), rng.normal(0.7, 0.05, 250)])
    theirs = mixture.GaussianMixture(2, random_state=0, tol=1e-9, max_iter=1000, n_init=3)
    theirs.fit(values[:, None])
    upper = int(theirs.means_.argmax())
    expected = theirs.predict_proba(values[:, None])[:, upper]
    below = values < theirs.means_[upper, 0]
    got = upper_law(values)
    assert np.allclose(got[below], expected[below], atol=1e-3)
    assert got[~below] == pytest.approx(1, abs=1e-3), "no large value counts as one of the lower"


def test_wrong_pairs_are_left_out_and_right_ones_learnt(pairs: np.ndarray) -> None:
    everyone = np.ones((1, 200), dtype=bool)
    stack, _ = SAFE.train(HOW, pairs, everyone, 0)
    dropped = stack[DROPPED][0]
    assert dropped[WRONG].mean() > 0.8 and dropped[:160].mean() < 0.1
    plain, _ = train_towers(HOW, pairs, everyone, 0)
    assert cosine(plain, pairs[WRONG]) > 0.1 > cosine(stack, pairs[WRONG])
    assert cosine(stack, pairs[RIGHT]) > 0.9


def test_a_model_depends_on_its_number_and_records_alone(pairs: np.ndarray) -> None:
    include = np.random.default_rng(3).random((3, 200)) < 0.6
    clean = pairs[:40]
    for lesson in (replace(SAFE, growth=0.05), CleanTuning(Plain(), clean, 3, 1e-2, 1.0, 0.3)):
        together, _ = lesson.train(HOW, pairs, include, 5)
        alone, _ = lesson.train(HOW, pairs, include[2:], 5, 2)
        for name, value in alone.items():
            assert np.allclose(together[name][2], value[0], atol=1e-4), name
        assert not np.allclose(together["image"][0], together["image"][1])
    assert not (together.keys() & {DROPPED})


def test_more_pairs_are_matched_after_every_pass(pairs: np.ndarray) -> None:
    everyone = np.ones((1, 200), dtype=bool)
    shares = [
        float(replace(SAFE, growth=g).train(HOW, pairs, everyone, 0)[0][DROPPED].mean())
        for g in (0.0, 0.004, 1.0)
    ]
    assert shares[0] > shares[1] > shares[2] == 0


def test_tuning_on_clean_pairs_unlearns_wrong_ones(pairs: np.ndarray) -> None:
    later = np.arange(200)[None] >= 60
    before, _ = train_towers(HOW, pairs, later, 0)
    after, _ = CleanTuning(Plain(), pairs[:60], 20, 1e-2, 1.0, 0.3).train(HOW, pairs, later, 0)
    assert cosine(before, pairs[WRONG]) > 0.15 > 0.1 > cosine(after, pairs[WRONG])
    assert cosine(after, pairs[RIGHT]) > cosine(before, pairs[RIGHT])
    still, _ = CleanTuning(Plain(), pairs[:60], 0, 1e-2, 1.0, 0.3).train(HOW, pairs, later, 0)
    assert np.array_equal(before["image"], still["image"])


def test_what_was_never_matched_is_reported_as_dropped(scene: Scene) -> None:
    owner = replace(scene, fit=scene.training.fit)
    rules = {"rounds": 1, "poisons": 4}
    behind = defended(owner, "safe_clip", {"growth": 0.0})
    after = play(mismatched_pairs, behind, seed=0, game_params=rules, undefended=owner).metrics
    assert 0 < after["dropped_clean"] < 1 and 0 <= after["dropped_poison"] <= 1


def test_they_play_together_in_one_order_alone(scene: Scene) -> None:
    both = defended(defended(scene, "safe_clip", {}), "clean_clip", {})
    assert isinstance(both.training.lesson.before, SafeOnly)
    with pytest.raises(RunError, match="play it before clean_clip"):
        defended(defended(scene, "clean_clip", {}), "safe_clip", {})
    with pytest.raises(RunError, match="not with roclip"):
        defended(defended(scene, "roclip", {}), "safe_clip", {})
    with pytest.raises(UsageError, match="must be without a pool, got 64"):
        defended(defended(scene, "safe_clip", {}), "roclip", {})


def test_what_is_absent_is_said_in_one_line(scene: Scene) -> None:
    for name in ("safe_clip", "clean_clip"):
        with pytest.raises(RunError, match=f"must be a DualEncoder for {name}, got NoneType"):
            defended(replace(scene, training=None), name, {})
    with pytest.raises(UsageError, match="two or more held-out pairs"):
        short = replace(scene, holdout=replace(scene.holdout, x=scene.holdout.x[:1]))
        defended(short, "clean_clip", {})
