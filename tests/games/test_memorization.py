"""Memorization: ranks by hand, canaries in the lesson, and what deduplication takes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.attacks.model_to_data.memorization.prefix_completion import (
    _score,
    prefix_completion,
)
from hartley.channel.measure import measure
from hartley.core import ALL, Data, Ensemble, Modality, Outcome, Round, View
from hartley.core.capabilities import CAPABILITIES
from hartley.core.costs import charge
from hartley.core.errors import RunError, UsageError
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.defenses.signal.deduplication import (
    deduplication,
    distinct,
    first,
    neighbours,
    once,
)
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.memorization import canaries as canaries_
from hartley.games.memorization import memorization as room
from hartley.games.memorization.judging import judge
from hartley.kit.language import text


def test_a_coin_settles_ties_and_nothing_else() -> None:
    one = Round(View(None, None), np.array([2, 0, 1]), alphabet=4)
    scores = np.array([[0, 1, 5, 2], [3, 3, 3, 1], [9, 0, 9, 9]])
    (got,) = judge([one], [Outcome(guess=scores)])
    assert got.guess[0] == 1 and got.guess[1] in {1, 2, 3} and got.guess[2] == 4
    assert got.metrics["extraction_rate"] == pytest.approx((got.guess == 1).mean())
    truth = np.random.default_rng(0).integers(0, 4, 4000)
    many = Round(View(None, None), truth, alphabet=4)
    (even,) = judge([many], [Outcome(guess=np.zeros((4000, 4)))])
    assert np.bincount(even.guess, minlength=5)[1:] == pytest.approx(1000, rel=0.12)
    (again,) = judge([many], [Outcome(guess=np.zeros((4000, 4)))])
    assert np.array_equal(even.guess, again.guess)


def test_who_gets_no_answer_hears_nothing() -> None:
    scene = query_budget(room.live(Modality.VISION, np.random.default_rng(0)), queries=0, rng=None)
    heard = measure(play(exposure, scene, seed=0))
    assert heard.bits.lower == 0 and heard.bits.value < 0.02


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((3, 3)), r"scores must be of shape \(3, 4\), one a candidate, got \(3, 3\)"),
        (np.full((3, 4), np.nan), "scores must be finite, got 12 of 12 NaN or infinite"),
    ],
)
def test_scores_that_are_none_are_refused(scores, words) -> None:
    one = Round(View(None, None), np.array([2, 0, 1]), alphabet=4)
    with pytest.raises(RunError, match=words):
        judge([one], [Outcome(guess=scores)])


def test_secrets_are_written_after_their_prefix() -> None:
    facts = {"symbols": np.arange(10) + 50, "length": 3, "ending": np.array([99])}
    canaries = Data("c", Modality.LANGUAGE, np.array([[1, 2, -1], [3, 4, 5]]), facts=facts)
    out = canaries_.write(canaries, np.array([70, 912]))
    assert out[0].tolist() == [1, 2, 50, 57, 50, 99, -1]
    assert out[1].tolist() == [3, 4, 5, 59, 51, 52, 99]


def test_every_victim_reads_its_own_canaries_and_no_others() -> None:
    train = Data("t", Modality.LANGUAGE, np.arange(12).reshape(3, 4))
    written = [np.full((2, 5), 7), np.full((2, 5), 8)]
    lesson, include = room._with_canaries(train, written, repeats=3)
    assert include.sum(1).tolist() == [9, 9] and include[:, :3].all()
    assert (lesson.x[include[1]][3:] == 8).all() and (lesson.x[include[0]][3:] == 7).all()


def test_completion_counts_what_was_said() -> None:
    symbols = np.arange(10)
    said = np.array([[4, 2], [4, 2], [1, 7], [4, 60]])
    scores = _score(said, symbols, 100)
    order = np.argsort(-scores)
    assert order[:2].tolist() == [42, 17] and order[2] in {47, 12}


def test_a_tree_holds_each_shared_token_once() -> None:
    rows = text.pad([[1, 2, 3], [1, 2, 4], [1, 5], [6]])
    merged = text.tree(rows)
    assert len(merged.tokens) == 6
    assert merged.sees.sum(1)[merged.node[1, 2]] == 3
    for i, row in enumerate(rows):
        said = row[row >= 0]
        path = merged.node[i, : len(said)]
        assert (merged.tokens[path] == said).all()
        assert set(np.flatnonzero(merged.sees[path[-1]])) == set(path)
    both = np.concatenate(list(text.groups(rows)))
    assert sorted(both) == [0, 1, 2, 3]


def test_near_duplicates_by_hand() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 1000, (20, 30))
    near = base[3].copy()
    near[29] = 2000
    rows = np.concatenate([base, base[:2], near[None]])
    kept = once(rows, np.ones((1, 23), dtype=bool), ngram=4, threshold=0.8)[0]
    assert kept[:20].all() and not kept[20:].any()
    kept = once(rows, np.ones((1, 23), dtype=bool), ngram=4, threshold=0.99)[0]
    assert kept[22] and not kept[20:22].any()
    alone = np.zeros((1, 23), dtype=bool)
    alone[0, 21] = True
    assert once(rows, alone, ngram=4, threshold=0.8)[0, 21]
    pairs = neighbours(rows[[3, 22, 5]], ngram=4, threshold=0.8)
    assert pairs == [{1}, {0}, set()]


def test_copies_of_records_that_are_no_text_by_hand() -> None:
    x = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0.1], [-1, 0]], np.float32)
    rows = Data("rows", Modality.TABULAR, x, np.array([0, 0, 1, 1, 0, 0]))
    everyone = np.ones((1, 6), dtype=bool)
    # The same record under another label is no copy of it.
    assert first(*distinct(rows, 1.0), everyone)[0].tolist() == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    near = first(*distinct(rows, 0.99), everyone)[0]
    assert near.tolist() == [True, False, True, True, False, True]
    late = np.array([[False, True, False, False, True, False]])
    assert first(*distinct(rows, 1.0), late)[0].tolist() == late[0].tolist()
    two = np.array([[1, 0, 0, 1], [1, 0.1, 0, 1], [1, 0, 1, 0]], np.float32)
    pairs = Data("pairs", Modality.PAIRED, two, facts={"split": 2})
    # Alike on one side is another pair; on both it is a copy.
    assert distinct(pairs, 0.99)[1] == [{1}, {0}, set()]
    assert distinct(replace(pairs, facts={}), 0.4)[1] == [{1, 2}, {0, 2}, {0, 1}]
    nodes = Data("nodes", Modality.GRAPH, np.array([[3], [4], [3]]), np.array([0, 0, 0]))
    assert first(*distinct(nodes, 0.5), np.ones((1, 3), bool))[0].tolist() == [True, True, False]


@pytest.mark.parametrize("modality", [m for m in ALL if m is not Modality.LANGUAGE])
def test_copies_leave_every_lesson_and_the_owners_own_stays(modality) -> None:
    scene = room.live(modality, np.random.default_rng(0))
    shut = defended(scene, deduplication)
    before = measure(play(exposure, scene, seed=0))
    after = measure(play(exposure, shut, seed=0))
    assert before.bits.value > 6 and after.bits.value < 0.1
    assert shut.facts["records dropped as copies"] == 0
    assert shut.defenses[-1].params == {"threshold": 0.8, "ngram": 4, "alike": 1.0}
    with pytest.raises(UsageError, match="alike"):
        defended(scene, deduplication, {"alike": 1.5})


def test_repetition_leaks_and_deduplication_stops_it() -> None:
    for attack in (exposure, prefix_completion):
        scene = room.live(Modality.LANGUAGE, np.random.default_rng(0))
        before = measure(play(attack, scene, seed=0))
        shut = defended(scene, deduplication)
        after = measure(play(attack, shut, seed=0, undefended=scene))
        assert before.bits.value > 0.9 * np.log2(100)
        assert (after.bits.lower or 0) == 0 and after.bits.value < 0.1
        single = measure(play(attack, scene, seed=0, game_params={"repeats": 1}))
        assert single.bits.value < 0.1


def test_what_the_judge_asks_is_counted_apart_from_the_attacker() -> None:
    """A model that is paid by the record: who verifies the loot pays for it, and no attacker."""
    bare = room.live(Modality.LANGUAGE, np.random.default_rng(0))

    def priced(call):
        def ask(x, *rest):
            charge(money=len(x))
            return call(x, *rest)

        return ask

    def fit(data, include, seed):
        trained = bare.fit(data, include, seed)

        def member(k):
            model = trained.member(k)
            names = [name for name in model.calls if CAPABILITIES[name].by_record]
            return model.with_(**{name: priced(model.calls[name]) for name in names})

        return Ensemble(trained.size, trained.query, member)

    trials = play(prefix_completion, replace(bare, fit=fit), game_params={"rounds": 2})
    assert trials.cost["judge_money"] == trials.cost["judge_queries"] > 0
    assert trials.cost["money"] * 2 == trials.spec.uses
