"""Filters of pairs: their scores by hand, their false alarms, and what poison they find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning.backdoored_pairs import backdoored_pairs
from hartley.core import Data, Ensemble, Modality, Model, Output, Scene
from hartley.core.errors import UsageError
from hartley.defenses._shared import pair_scores
from hartley.defenses.signal.feature_filter import agreement
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.poisoning.poisoning import live
from hartley.kit.ensemble_of import separate
from hartley.kit.infonce_towers import Towers, train_towers

PAIRED = Modality.PAIRED
FILTERS = ("alignment_filter", "loss_filter", "feature_filter")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return live(PAIRED, np.random.default_rng(1))


def test_scores_by_hand() -> None:
    pairs = np.array([[1.0, 0, 1, 0], [1, 0, 0, 1], [0.6, 0.8, 0.6, 0.8]])
    assert pair_scores.misalignment(pairs, pairs, True) == pytest.approx([-1, 0, -1])
    clean = np.array([[0.6, 0.8, 0.6, 0.8], [1, 0, 0, 1]])
    t = pair_scores.TEMPERATURE
    # Pair 0 is held against one clean pair of two, as a clean one would be, here the second: its
    # picture is unlike that caption (1 against 0), its caption as like that picture as its own.
    first, second = np.log(1 + np.exp(-1 / t)), np.log(2)
    loss = pair_scores.contrastive_loss(pairs[:1], clean, False)
    assert loss[0] == pytest.approx((first + second) / 2)
    alone = pair_scores.contrastive_loss(pairs[:1], pairs[:1], True)
    assert alone[0] == pytest.approx(0), "a pair is not its own rival"


def test_agreement_is_the_cosine_with_captions_of_pictures_that_look_alike() -> None:
    clean = np.array([[0.0, 1, 0], [0.1, 1, 0], [5, 0, 1], [5.1, 0, 2]])
    pairs = np.array([[0.05, 3, 0], [0.05, 0, 1], [5, 1, 1]])
    close = agreement(pairs, clean, 1, 2)
    assert close == pytest.approx([1, 0, np.sqrt(0.5)])
    assert agreement(clean, clean, 1, 1, themselves=True) == pytest.approx([1, 1, 1, 1])


@pytest.mark.parametrize("score", [pair_scores.misalignment, pair_scores.contrastive_loss])
def test_false_alarms_are_the_declared_ones_on_clean_pairs(score: Any) -> None:
    """Pairs of one law, in models that do not depend on them: the rate is the declared one."""
    rng = np.random.default_rng(0)

    def fit(data: Data, include: Any, seed: int) -> Ensemble:
        del data, seed
        query = lambda x: x  # noqa: E731
        return separate([Model("m", PAIRED, query, Output.EMBEDDINGS, 12) for _ in include])

    def pairs(n: int) -> Data:
        picture = rng.standard_normal((n, 6))
        return Data(
            "p", PAIRED, np.concatenate([picture, picture + rng.standard_normal((n, 6))], 1)
        )

    flagged = [
        pair_scores.suspicious(
            fit, pairs(400), pairs(400), score, folds=4, false_alarms=0.1, seed=0
        ).mean()
        for _ in range(20)
    ]
    # 400 clean pairs set the threshold and 400 are counted, 20 times.
    assert abs(np.mean(flagged) - 0.1) < 5 * np.sqrt(0.09 * (1 / 400 + 1 / 400) / 20)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_captions_of_another_kind(scene: Scene, name: str) -> None:
    after = play(
        backdoored_pairs, defended(scene, name, {"false_alarms": 0.2}), seed=0, undefended=scene
    ).metrics
    assert after["dropped_poison"] > 0.6 and after["dropped_clean"] < 0.35
    assert after["dropped_poison"] > after["dropped_clean"] + 0.4


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_without_clean_pairs_says_so_in_one_line(scene: Scene, name: str) -> None:
    holdout = scene.holdout
    assert holdout is not None
    with pytest.raises(UsageError, match="two or more held-out pairs"):
        defended(replace(scene, holdout=replace(holdout, x=holdout.x[:1])), name)


def test_a_pool_breaks_pairs_that_have_nothing_in_common(scene: Scene) -> None:
    """With a pool at every pass a model never meets a pair, so that it cannot remember it."""
    del scene
    x = np.random.default_rng(2).standard_normal((96, 60)).astype(np.float32)
    everyone = np.ones((1, 96), dtype=bool)
    how = Towers(split=30, width=8, epochs=25, batch=32, lr=2e-2)
    matched = []
    for pool, every in ((0, 2), (16, 2), (16, 1)):
        weights, _ = train_towers(replace(how, pool=pool, every=every), x, everyone, seed=0)
        pictures, texts = x[:, :30] @ weights["image"][0], x[:, 30:] @ weights["text"][0]
        pictures, texts = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (pictures, texts))
        matched.append(float((pictures * texts).sum(1).mean()))
    assert matched[0] > matched[1] > matched[2]
    assert matched[2] < 0.3 < matched[0]


def test_a_pool_of_one_model_does_not_depend_on_the_others() -> None:
    x = np.random.default_rng(2).standard_normal((96, 20)).astype(np.float32)
    include = np.random.default_rng(3).random((3, 96)) < 0.7
    how = Towers(split=10, width=4, epochs=6, batch=16, pool=8, every=2)
    together, _ = train_towers(how, x, include, seed=1)
    for k in range(3):
        alone, _ = train_towers(how, x, include[k : k + 1], seed=1, first=k)
        assert np.allclose(together["image"][k], alone["image"][0], atol=1e-5)
