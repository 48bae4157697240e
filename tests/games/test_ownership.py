"""Ownership: p-values are those of a model without the key, and a copy carries what was planted."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction.marked_copy import marked_copy
from hartley.attacks.model_to_model.extraction.washed_copy import washed_copy
from hartley.core import Access, Data, Modality, Outcome, Term, attack
from hartley.core.errors import BudgetSpent, RuleError, RunError, UsageError
from hartley.engine.run.play import deal, play
from hartley.games import nearest_learner
from hartley.games.extraction.ownership import Innocent, ownership
from hartley.kit.ownership.dawn import dawn, log2_tail
from hartley.kit.ownership.entangled import Entangled, entangled
from hartley.kit.ownership.ownership_mark import LEVEL, Claim
from hartley.kit.ownership.radioactive import log_cosine_tails, radioactive
from hartley.scenes.owned_digits import owned_digits


def test_the_tail_of_wrong_answers_is_that_of_all_draws_of_a_key() -> None:
    asked, different, chosen, classes = 6, 3, 2, 3
    hits = []
    for drawn in combinations(range(asked), chosen):
        for wrong in product(range(classes - 1), repeat=chosen):
            # The suspect differs on records 0 to 2, where it has the other label 0.
            agree = (one < different and w == 0 for one, w in zip(drawn, wrong, strict=True))
            hits.append(sum(agree))
    for k in range(4):
        right = np.mean(np.array(hits) >= k)
        got = 2.0 ** log2_tail(k, asked, different, chosen, classes)
        assert got == pytest.approx(right, abs=1e-12)


def test_cosines_of_random_directions_have_uniform_p_values() -> None:
    rng = np.random.default_rng(0)
    ways = rng.standard_normal((4000, 9))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    slope = np.tile(rng.standard_normal(9), (4000, 1))
    p = np.exp(log_cosine_tails(slope, ways))
    for share in (0.01, 0.1, 0.5, 0.9):
        assert abs((p <= share).mean() - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    assert np.all(log_cosine_tails(0 * slope, ways) == 0)


def _law(x: Any) -> Any:
    """Answers of some model of three classes, without any key."""
    logits = np.asarray(x).reshape(len(x), -1) @ np.random.default_rng(5).standard_normal((6, 3))
    odds = np.exp(2 * logits)
    return odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize("name", ["dawn", "entangled", "radioactive"])
def test_a_model_without_the_key_is_claimed_as_often_as_the_level_says(name: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.random((120, 6)).astype(np.float32)
    mark = {
        "dawn": dawn(0.2),
        "entangled": entangled(x, 3, share=0.1, size=2, strength=1.0),
        "radioactive": radioactive(x, 3, share=1.0, strength=1.0, components=6),
    }[name]

    def honest(rows: Any) -> Any:
        return _law(rows + 0.1)

    claim = Claim(_law, honest, x[:80], x[80:], honest(x[80:]).argmax(1), 3)
    p = np.array([2.0 ** mark.test(claim, key) for key in range(300)])
    for share in (0.05, 0.2):
        assert (p <= share).mean() < share + 3.5 * np.sqrt(share * (1 - share) / 300)
    # It is no test that never speaks.
    assert (p <= 0.3).mean() > 0.1


def test_near_duplicates_are_one_record() -> None:
    # In 32 bits the second record of each pair rounds up, in 64 bits both round down.
    rng = np.random.default_rng(4)
    base = rng.integers(0, 90, (12, 6)) / 100
    pairs = np.concatenate([base + 0.0149, base + 0.015]).astype(np.float32)
    wide = pairs.astype(np.float64).round(2)
    pairs[12:] = np.where(wide[12:] == wide[:12], pairs[12:], pairs[:12])
    assert (pairs.round(2)[:12] != pairs.round(2)[12:]).any(1).sum() >= 8
    labels = rng.integers(0, 2, 12)

    def suspect(x: Any) -> Any:
        which = (np.abs(np.asarray(x)[:, None] - pairs[:12]).sum(2)).argmin(1)
        return np.eye(2)[labels[which]]

    def honest(x: Any) -> Any:
        return np.tile([1.0, 0.0], (len(x), 1))

    mark = dawn(0.5)
    claim = Claim(suspect, honest, pairs, pairs[:0], labels[:0], 2)
    p = np.array([2.0 ** mark.test(claim, key) for key in range(4000)])
    for share in (LEVEL, 0.01, 0.05):
        assert (p <= share).mean() <= share + 4 * np.sqrt(share * (1 - share) / 4000)


def test_radioactive_data_needs_two_components() -> None:
    line = np.random.default_rng(0).random((20, 1))
    with pytest.raises(UsageError, match="2 components or more, got 1"):
        radioactive(line, 2, share=1.0, strength=1.0, components=6)


def test_copies_are_claimed_and_washed_ones_are_not() -> None:
    scene = owned_digits()
    dealt = deal(marked_copy, scene, seed=0, params={"rounds": 8, "innocents": 2})
    copied = play(marked_copy, scene, seed=0, dealt=dealt)
    washed = play(washed_copy, scene, seed=0, dealt=dealt)
    assert copied.metrics["accused_copies"] == 1 and washed.metrics["accused_copies"] == 0
    assert copied.metrics["false_claims"] == 0 and washed.metrics["washed"] == 1
    # The verdict on the model itself is the reference of both.
    assert np.array_equal(copied.reference, copied.truth)
    assert np.array_equal(copied.guess, copied.truth) and not washed.guess.any()


def test_wrong_answers_are_the_same_when_asked_again_and_as_rare_as_declared() -> None:
    x = np.random.default_rng(2).random((5000, 6))
    rows = _law(x)
    mark = dawn(0.1).answers
    assert mark is not None
    first = mark(x, rows, 7)
    assert np.array_equal(first, mark(x + 1e-9, rows, 7)) and np.allclose(first.sum(1), 1)
    wrong = first.argmax(1) != rows.argmax(1)
    assert abs(wrong.mean() - 0.1) < 0.02
    assert (mark(x, rows, 8).argmax(1) != rows.argmax(1))[wrong].mean() < 0.25


def test_entanglement_is_the_soft_nearest_neighbour_loss() -> None:
    import torch

    from hartley.kit.fleet import ForwardPass

    rng = np.random.default_rng(3)
    hidden = torch.from_numpy(rng.standard_normal((1, 5, 2)))
    targets = torch.full((1, 5, 2), 0.0, dtype=torch.float64)
    targets[0, :, 1] = torch.tensor([0.999, 0.999, 1.0, 1.0, 0.0])
    targets[0, :, 0] = 1 - targets[0, :, 1]
    none: Any = None
    batch = ForwardPass(hidden, targets, [hidden], torch.zeros(1, 5, 2), none, {}, none, none)
    got = float((batch.cross_entropy().mean(1) - Entangled(1.0).loss(batch))[0])
    rows, sign = hidden[0, :4].numpy(), [1, 1, 0, 0]
    apart = ((rows[:, None] - rows) ** 2).sum(2)
    near = np.exp(-apart / apart[~np.eye(4, dtype=bool)].mean())
    loss = 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        same = sum(near[i, j] for j in others if sign[j] == sign[i])
        loss -= np.log((same + 1e-6) / (sum(near[i, j] for j in others) + 1e-6)) / 4
    assert got == pytest.approx(loss, rel=1e-6)


def _thief(build: Any) -> Any:
    def thief(view: Any, rng: Any) -> Outcome:
        """Return what the test says."""
        return Outcome(asset=build(view))

    return thief


def test_a_thief_keeps_the_rules() -> None:
    scene = ownership.live(Modality.VISION, np.random.default_rng(0))

    def played(build: Any) -> Any:
        entry = attack(
            game=ownership,
            access=Access.SCORES,
            term=Term.SIGNAL,
            modalities=ownership.modalities,
            paper="hartley",
        )(_thief(build))
        return play(entry, scene, seed=0, game_params={"rounds": 2, "queries": 10})

    public = scene.extra["public"]
    three = Data("three classes", Modality.VISION, public.x, public.labels % 3)
    fit = nearest_learner.trainer(Modality.VISION, 3)
    with pytest.raises(BudgetSpent):
        played(lambda view: view.model.query(view.brief.public.x[:11]))
    with pytest.raises(RuleError, match="independent of the victim"):
        played(lambda view: view.model)
    with pytest.raises(RunError, match="a classifier of 4 classes"):
        played(lambda view: fit(three, np.ones((1, 64), dtype=bool), 0).member(0))


def test_a_thief_who_asks_nothing_is_no_better_than_the_model_beside_it() -> None:
    live = ownership.live(Modality.VISION, np.random.default_rng(0))
    scene = replace(live, parts=(dawn(0.3), live.part(Innocent)))
    fit = nearest_learner.trainer(Modality.VISION, 4)

    def played(build: Any, rounds: int = 12) -> Any:
        entry = attack(
            game=ownership,
            access=Access.SCORES,
            term=Term.SIGNAL,
            modalities=ownership.modalities,
            paper="hartley",
        )(_thief(build))
        return play(entry, scene, seed=0, game_params={"rounds": rounds, "queries": 200})

    def ask_nothing(view: Any) -> Any:
        public = view.brief.public
        return fit(public, np.ones((1, len(public)), dtype=bool), 0).member(0)

    def ask(view: Any) -> Any:
        view.model.query(view.brief.public.x)
        return ask_nothing(view)

    idle, asking = played(ask_nothing), played(ask)
    rows = idle.metrics_by_round
    assert np.mean(rows["queries"]) == 0 and np.mean(rows["washed"]) == 1
    # Its wash is that of a model which had nothing to wash.
    for name in ("washed", "accuracy", "fidelity"):
        beside = "own_data_washed" if name == "washed" else f"own_data_{name}"
        assert np.array_equal(rows[name], rows[beside])
    # The owner's own model is claimed whatever the thief asked, and so is what was destroyed.
    assert np.array_equal(idle.reference, idle.truth) and idle.truth.any()
    assert np.array_equal(asking.reference, idle.reference)
    assert not np.any(rows["accused_models_as_asked"]) and not idle.guess.any()
    assert np.array_equal(asking.metrics_by_round["accused_models_as_asked"], idle.truth.ravel())
