"""Defenses against poison on real digits: what they find, what they repair, what they prove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning.badnets import badnets
from hartley.attacks.data_to_model.poisoning.blended import blended
from hartley.core import Data, Scene
from hartley.core.errors import UsageError
from hartley.defenses._shared.retrain_without import Features
from hartley.defenses.signal.deep_knn import support
from hartley.defenses.signal.deep_partition_aggregation import certified, part_of
from hartley.defenses.signal.fine_pruning import prune
from hartley.defenses.signal.neural_cleanse import anomaly, reconstruct
from hartley.defenses.signal.spectral_signatures import _beyond
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.poisoning import poisoning as game
from hartley.kit.nets import dense

RULES = {"rounds": 4, "slots": 1, "poisons": 50}


def _metrics(scene: Scene, bare: Scene, attack: Any = blended, **params: Any) -> Any:
    return play(attack, scene, seed=0, params=params, game_params=RULES, undefended=bare).metrics


@pytest.mark.parametrize(
    ("name", "most"),
    [("loss_filter", 0.05), ("neural_cleanse", 0.5), ("suspect_relabelling", 0.05)],
)
def test_a_tenth_of_blended_poison_is_disarmed_and_accuracy_stays(
    digits: Scene, name: str, most: float
) -> None:
    bare = _metrics(digits, digits)
    after = _metrics(defended(digits, name), digits)
    assert bare["asr"] > 0.95 and bare["robust_accuracy"] < 0.05
    assert after["asr"] < most
    assert after["clean_accuracy"] > bare["clean_accuracy"] - 0.06


def test_strip_refuses_triggered_inputs_at_its_false_alarm_rate(digits: Scene) -> None:
    after = _metrics(defended(digits, "strip", {"false_alarms": 0.1}), digits, badnets)
    assert after["refused_triggered"] > 0.7
    # 200 clean records set the threshold of 10 %: five deviations of its error and of the count's.
    assert after["refused_clean"] < 0.1 + 5 * np.sqrt(0.09 * (1 / 200 + 1 / 397))
    assert after["asr"] + after["refused_triggered"] <= 1


def test_the_loss_filter_finds_wrong_labels_at_its_false_alarm_rate(digits: Scene) -> None:
    after = _metrics(defended(digits, "loss_filter", {"false_alarms": 0.05}), digits)
    assert after["dropped_poison"] > 0.95
    assert after["dropped_clean"] < 0.05 + 5 * np.sqrt(0.0475 * (1 / 450 + 1 / 450))


def test_suspects_are_trained_on_with_the_label_that_clean_models_give(digits: Scene) -> None:
    """The pipeline is asked for poison with its true label; a filter would be asked for none."""
    asked: list[tuple[Data, Any]] = []
    assert digits.fit is not None and digits.train is not None
    inner = digits.fit

    def fit(data: Data, include: Any, seed: int) -> Any:
        asked.append((data, include))
        return inner(data, include, seed)

    scene = defended(replace(digits, fit=fit, model=None), "suspect_relabelling")
    train, others = digits.train, digits.extra["public"]
    flipped = replace(others, y=(others.labels + 5) % 10)
    mixed = Data(
        "mixed",
        train.modality,
        np.concatenate([train.x, flipped.x]),
        np.concatenate([train.labels, flipped.labels]),
    )
    n, bad = len(mixed), len(flipped)
    assert scene.fit is not None
    facts = scene.fit(mixed, np.ones((1, n), bool), 0).facts
    data, include = asked[-1]
    suspects = np.flatnonzero(~include[0, :n])
    assert np.array_equal(suspects, np.flatnonzero(facts[game.DROPPED][0]))
    poison = suspects >= n - bad
    assert poison.sum() > 0.9 * bad
    given = data.labels[n : n + len(suspects)][poison]
    assert (given == others.labels[suspects[poison] - (n - bad)]).mean() > 0.85
    # 450 clean records are calibrated on: five deviations of that and of the count of records.
    alarms = (~poison).sum() / len(train)
    assert alarms < 0.15 + 5 * np.sqrt(0.15 * 0.85 * (1 / 450 + 1 / len(train)))
    assert include[0, n:].all()


def test_certified_answers_of_deep_partition_aggregation_never_change(digits: Scene) -> None:
    """More than a thousand certified answers, clean and triggered, against two attacks."""
    parts, pairs, moved = 10, 0, 0
    scene = defended(digits, "deep_partition_aggregation", {"parts": parts})
    test = scene.extra["test"]
    for attack in (badnets, blended):
        table = deal(attack, scene, seed=1, params={"rounds": 2, "slots": 1, "poisons": 2})
        loots: list[Any] = [
            attack(one.view, np.random.default_rng(i)).asset for i, one in enumerate(table.rounds)
        ]
        victims, _ = game.victims_of(scene, loots, 0)
        clean = victims.member(len(loots))
        for r, loot in enumerate(loots):
            for x in (test.x, game.triggers.stamped(loot, 0, test.x)):
                before = clean.query(x)
                holds = certified(before, parts) >= len(loot)
                changed = victims.member(r).query(x).argmax(1) != before.argmax(1)
                pairs += int(holds.sum())
                moved += int(changed.sum())
                assert not (holds & changed).any()
    assert pairs >= 1000 and moved > 0


def test_a_certificate_counts_the_votes_that_must_be_turned() -> None:
    votes = np.array([[7, 3, 0], [5, 5, 0], [4, 5, 1], [3, 3, 4], [10, 0, 0]])
    # One vote that is turned narrows a lead by 2; class 0 wins a tie against class 1.
    assert certified(votes / 10, 10).tolist() == [2, 0, 0, 0, 5]
    rng = np.random.default_rng(0)
    for row in rng.multinomial(12, [0.5, 0.3, 0.2], 200):
        safe, winner = int(certified(row[None] / 12, 12)[0]), row.argmax()
        for turned in range(13):
            beaten = False
            for other in set(range(3)) - {int(winner)}:
                after = row.copy()
                moving = min(turned, after[winner])
                after[winner] -= moving
                after[other] += moving
                beaten |= after.argmax() != winner
            assert beaten == (turned > safe) or turned > row[winner]


def test_a_record_s_part_depends_on_its_bytes_alone() -> None:
    x = np.random.default_rng(0).random((300, 8)).astype(np.float32)
    part = part_of(x, 7)
    assert np.array_equal(part_of(x[::-1], 7), part[::-1])
    assert set(part) == set(range(7))


def test_reconstruction_finds_the_class_that_a_pixel_turns() -> None:
    """A net in which pixel 5 alone switches class 2 on has its smallest trigger there."""
    import torch

    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {
        "1.weight": rng.normal(0, 0.3, (4, 16)).astype(np.float32),
        "1.bias": np.zeros(4, np.float32),
    }
    weights["1.weight"][:, 5] = 0
    weights["1.weight"][2, 5] = 30
    module = dense((1, 4, 4), 4, ()).module(weights)
    x = torch.from_numpy(rng.random((200, 1, 4, 4)).astype(np.float32))
    x[..., 1, 1] = 0
    found = reconstruct(module, x, 4, 200, rng)
    assert found.sizes.argmin() == 2
    assert found.masks[2].flatten().argmax() == 5
    assert anomaly(found.sizes).argmax() == 2


def test_pruning_cuts_units_that_are_idle_and_none_that_accuracy_needs() -> None:
    import torch

    weights = {
        "1.weight": np.eye(3, dtype=np.float32),
        "1.bias": np.array([0, 0, -5], np.float32),
        "3.weight": np.array([[1, 0, 9], [0, 1, 0]], np.float32),
        "3.bias": np.array([-0.5, 0], np.float32),
    }
    module = dense((3,), 2, (3,)).module(weights)
    x = torch.eye(2).repeat(10, 1)
    x = torch.nn.functional.pad(x, (0, 1))
    alive = prune(module, 1, x, torch.tensor([0, 1] * 10), 0.05)
    assert alive.tolist() == [1, 1, 0]
    assert module(torch.tensor([[1.0, 2.0, 9.0]])).argmax() == 1, "the idle unit still answers"


def test_neighbours_support_a_label_and_a_projection_beyond_the_clean_ones_is_found() -> None:
    x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    clean = Features(x, np.array([0, 0, 0, 1, 1, 1]))
    own = Features(np.array([[0.05], [5.05]]), np.array([0, 0]))
    assert support(own, clean, 3).tolist() == [1, 0]
    assert support(clean, clean, 2, themselves=True).tolist() == [1] * 6
    rng = np.random.default_rng(0)
    usual = Features(rng.standard_normal((500, 6)), np.zeros(500, int))
    rows = rng.standard_normal((500, 6))
    rows[:25] += 9 * np.eye(6)[2]
    flagged = _beyond(Features(rows, np.zeros(500, int)), usual, 0.05)
    assert flagged[:25].all() and flagged[25:].mean() < 0.1


def test_spectral_signatures_drop_the_declared_share_of_clean_records(digits: Scene) -> None:
    """A net sees the records that it was trained on otherwise than others: 9 % were dropped."""
    assert digits.train is not None
    after = defended(digits, "spectral_signatures", {"false_alarms": 0.05})
    rng = np.random.default_rng(0)
    include = np.array([rng.random(len(digits.train)) < 0.9 for _ in range(8)])
    assert after.fit is not None
    dropped = after.fit(digits.train, include, 1).facts[game.DROPPED] & include
    shares = dropped.sum(1) / include.sum(1)
    assert 0.03 < shares.mean() < 0.07


def test_a_detector_without_the_records_that_it_needs_says_so_in_one_line(digits: Scene) -> None:
    holdout = digits.holdout
    assert holdout is not None
    one = holdout.labels == 3
    single = replace(holdout, x=holdout.x[one], y=holdout.labels[one])
    for name in ("strip", "loss_filter", "deep_knn", "fine_pruning", "neural_cleanse"):
        with pytest.raises(UsageError, match="of two classes or more, got class 3 only"):
            defended(replace(digits, holdout=single), name)
    nine = holdout.labels != 9
    without = Data("holdout", holdout.modality, holdout.x[nine], holdout.labels[nine])
    with pytest.raises(UsageError, match="none of class 9"):
        defended(replace(digits, holdout=without), "spectral_signatures", {"false_alarms": 0.1})
