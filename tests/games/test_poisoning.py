"""The poisoning game: what the judge lets pass, and that what he reads is what was taught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RuleError
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.poisoning import CLEAN_EVERY, _near, dead, live, poisoning

VISION = Modality.VISION


def _attack(build: Any) -> Any:
    """An attack of the poisoning game from a function view → loot."""

    def made(view: Any, rng: Any) -> Outcome:
        """Submit what the test says."""
        return Outcome(asset=build(view))

    wrap = attack(
        game=poisoning,
        access=Access.POISON,
        term=Term.SIGNAL,
        modalities=(VISION,),
        paper="hartley",
    )
    return wrap(made)


def _nothing(view: Any, **facts: Any) -> Data:
    held = view.data
    return Data("none", VISION, held.x[:0], held.y[:0], role="poison", facts=facts)


def _scene(kind: Any = live) -> Scene:
    return kind(VISION, np.random.default_rng(0))


def test_no_poison_carries_no_bit_and_equals_its_reference() -> None:
    trials = play(_attack(_nothing), _scene())
    assert trials.reference is not None
    assert np.array_equal(trials.guess, trials.reference)
    assert measure(trials).bits.lower == pytest.approx(0, abs=1e-9)
    assert trials.cost["poisons"] == 0
    assert trials.metrics["poison_rate"] == 0
    assert trials.metrics["clean_accuracy_drop"] == 0


def test_messages_are_uniform_over_all_classes_and_drawn_anew_each_round() -> None:
    dealt = poisoning(_scene(), np.random.default_rng(3), rounds=200)
    messages = np.stack([one.truth for one in dealt.rounds])
    counts = np.bincount(messages.reshape(-1), minlength=4)
    assert np.all(abs(counts - 200) < 5 * np.sqrt(200 * 0.75))
    for one in dealt.rounds[:5]:
        assert np.array_equal(one.view.brief.message, one.truth)
        assert one.alphabet == 4


def test_a_trigger_without_poison_shows_in_the_base_rate() -> None:
    """A pattern that fools every model is evasion, and the unpoisoned victim unmasks it."""
    scene = _scene()
    held = scene.extra["public"]
    assert held.y is not None

    def cheat(view: Any) -> Data:
        wanted = [held.x[held.y == m][0] for m in view.brief.message]
        masks = np.ones((4, *held.x.shape[1:]))
        return _nothing(view, patterns=np.stack(wanted), masks=masks)

    trials = play(_attack(cheat), scene, game_params={"cover": 1.0})
    assert trials.metrics["asr"] == 1.0
    assert trials.metrics["base_rate"] == 1.0
    with pytest.raises(RuleError, match="at most 20% of a record"):
        play(_attack(cheat), scene)


def _bad(**change: Any) -> Any:
    def build(view: Any) -> Data:
        held = view.data
        good = Data("poison", VISION, np.array(held.x[:4]), np.array(held.y[:4]))
        return replace(good, **{k: v(good) for k, v in change.items()})

    return build


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            _bad(x=lambda d: np.repeat(d.x, 17, 0), y=lambda d: np.repeat(d.y, 17)),
            "must be at most 64, got 68",
        ),
        (_bad(y=lambda d: None), "label each"),
        (_bad(y=lambda d: d.y + 4), "must be from 0 to 3, got"),
        (_bad(y=lambda d: d.y - 4), "must be from 0 to 3, got"),
        (_bad(x=lambda d: d.x[:, :, :4]), "shape"),
        (_bad(x=lambda d: d.x + 1), "must be from 0 to 1"),
        (_bad(x=lambda d: d.x * np.nan), "finite"),
        (
            _bad(facts=lambda d: {"patterns": np.zeros((4, 1, 8, 8)), "masks": np.zeros((4, 8))}),
            "patterns and masks",
        ),
        (
            _bad(facts=lambda d: {"patterns": np.zeros((4, 1, 8, 8)), "masks": -d.x}),
            "at most",
        ),
    ],
)
def test_loot_that_breaks_the_rules_is_refused(build: Any, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        play(_attack(build), _scene())


def test_probes_are_held_out_of_one_class_and_near_the_published_record() -> None:
    """The judge asks about test records only, each slot's own class, never a public record."""
    scene = _scene()
    asked: list[Any] = []

    def watched(data: Data, include: Any, seed: int) -> Any:
        fleet = inner(data, include, seed)

        def member(k: int) -> Any:
            model = fleet.member(k)
            return replace(model, query=lambda x: (asked.append((k, x)), model.query(x))[1])

        return replace(fleet, member=member)

    inner = scene.fit
    assert inner is not None
    scene = replace(scene, fit=watched)
    trials = play(_attack(_nothing), scene, game_params={"rounds": 4})
    held, public = scene.extra["test"], scene.extra["public"]
    known = {row.tobytes() for row in held.x}
    assert asked and all(row.tobytes() in known for _, x in asked for row in x)
    table = deal(_attack(_nothing), scene, seed=0, params={"rounds": 4})
    for r, one in enumerate(table.rounds):
        assert one.view.brief.question is not None and one.view.brief.question.y is not None
        assert len(set(one.view.brief.question.y.tolist())) == 4, (
            "slots should be of different classes"
        )
        probes = [x for k, x in asked if k == r][:4]
        for slot, x in enumerate(probes):
            labels = [int(held.y[np.all(held.x == row, (1, 2, 3))][0]) for row in x]
            assert set(labels) == {int(one.view.brief.question.y[slot])}
            assert len(x) == 9
    assert len(trials) == 16
    assert not known & {row.tobytes() for row in public.x}


def test_all_victims_and_the_clean_ones_are_trained_in_one_call() -> None:
    calls = []
    scene = _scene()
    fit = scene.fit
    assert fit is not None and scene.train is not None

    def counted(data: Data, include: Any, seed: int) -> Any:
        calls.append(include)
        return fit(data, include, seed)

    def one_poison(view: Any) -> Data:
        return replace(_nothing(view), x=view.data.x[:1], y=np.array(view.data.y[:1]))

    play(_attack(one_poison), replace(scene, fit=counted), game_params={"rounds": 8})
    (include,) = calls
    n = len(scene.train)
    assert include.shape == (8 + 8 // CLEAN_EVERY, n + 8)
    assert include[:, :n].all()
    assert np.array_equal(include[:8, n:], np.eye(8, dtype=bool))
    assert not include[8:].all(1).any() and not include[8:, n:].any()


def test_the_dead_wire_learns_nothing_whatever_is_submitted() -> None:
    def flip(view: Any) -> Data:
        held = view.data
        rows = np.arange(64)
        wanted = np.repeat(view.brief.message, 16)
        return replace(_nothing(view), x=held.x[rows], y=wanted)

    trials = play(_attack(flip), _scene(dead))
    assert trials.reference is not None
    assert np.array_equal(trials.guess, trials.reference)


def test_a_nearer_record_of_another_class_is_no_probe() -> None:
    x = np.arange(6, dtype=np.float32)[:, None]
    held = Data("held", Modality.TABULAR, x, np.array([0, 1, 0, 1, 0, 1]))
    public = Data("public", Modality.TABULAR, x[:1] + 1, np.array([0]))
    assert _near(held, public, 0, 2).tolist() == [0, 2]
    assert _near(held, public, 0, 9).tolist() == [0, 2, 4]
