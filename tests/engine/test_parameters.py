"""One door for parameters: what a part declares is refused there in one line, whoever asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

import hartley
from hartley import catalog
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.engine.build_scene import build
from hartley.engine.plan.check_plan import check_parameters
from hartley.engine.plan.parameters import checked
from hartley.engine.plan.plan import parse
from hartley.engine.run.play_row import play_row
from hartley.games.membership.membership import membership
from hartley.testing import parameters
from hartley.testing.checks import CheckFailed
from hartley.testing.parameters import refuses_values_outside_its_ranges


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="hartley",
)
def ranged(
    view: View,
    rng: Any,
    *,
    count: Annotated[int, Range(2, 512)] = 64,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.5,
    law: Literal["laplace", "gaussian"] = "laplace",
    deep: bool = False,
) -> Outcome:
    """Guess."""
    return Outcome()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"count": 1}, "ranged: count must be from 2 to 512, got 1"),
        ({"count": 2.0}, "ranged: count must be a whole number from 2 to 512, got 2.0"),
        ({"share": 0}, "ranged: share must be above 0 and at most 1, got 0"),
        ({"share": float("nan")}, "ranged: share must be a number above 0 and at most 1, got nan"),
        ({"law": "x"}, "ranged: law must be laplace or gaussian, got 'x'"),
        (
            {"law": "laplase"},
            "ranged: law must be laplace or gaussian, got 'laplase'; did you mean laplace?",
        ),
        ({"deep": 1}, "ranged: deep must be true or false, got 1"),
        ({"cout": 3}, "the attack 'ranged' has no parameter 'cout'; did you mean count?"),
        ({"zzz": 3}, "the attack 'ranged' has no parameter 'zzz'; it has: count, share, law, deep"),
    ],
)
def test_what_is_not_declared_is_refused_in_one_line(params, words):
    with pytest.raises(UsageError) as refused:
        checked(ranged, params)
    assert str(refused.value) == words


def test_what_is_declared_comes_back_in_its_type():
    params = checked(ranged, {"count": 512, "share": 1, "law": "gaussian"})
    assert params == {"count": 512, "share": 1.0, "law": "gaussian"}
    assert type(params["share"]) is float


@pytest.mark.parametrize(
    "part", [catalog.load("scene", e.name) for e in catalog.entries("scene")], ids=lambda p: p.name
)
def test_scenes_are_held_to_their_ranges_like_attacks_games_and_defenses(part):
    refuses_values_outside_its_ranges(part)


def _guess(view: View, rng: Any, *, count: int = 3) -> Outcome:
    """Guess."""
    return Outcome()


def test_a_number_without_a_range_and_a_door_that_is_open_are_noticed(monkeypatch):
    refuses_values_outside_its_ranges(ranged)
    declared = {"game": membership, "access": Access.SCORES, "term": Term.NOISE}
    bare = attack(**declared, modalities=(Modality.VISION,), paper="hartley")(_guess)
    with pytest.raises(CheckFailed, match="'count' is a number; it must declare a range"):
        refuses_values_outside_its_ranges(bare)
    monkeypatch.setattr(parameters, "checked", lambda part, params: dict(params))
    with pytest.raises(CheckFailed, match="count = 1 is not refused"):
        refuses_values_outside_its_ranges(ranged)


LIRA = "lira: references must be from 2 to 512, got 1"
SCENE = "live:membership"


@pytest.mark.parametrize(
    "door",
    [
        lambda: hartley.play("lira", SCENE, references=1),
        lambda: hartley.play("lira", build(SCENE), params={"references": 1}),
        lambda: play_row("lira", SCENE, params={"references": 1}, game_params={}),
        lambda: check_parameters(parse("[attacks.lira]\nreferences = 1")),
        lambda: check_parameters(parse("[attacks.lira]\nreferences = [64, 1]")),
    ],
)
def test_every_door_refuses_the_same_value_in_the_same_words(door):
    with pytest.raises(UsageError) as refused:
        door()
    assert str(refused.value) == LIRA


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[games.membership]\nrounds = 10001", "membership: rounds must be from 0 to 10000"),
        ("[games.poisoning]\nrounds = 0", "poisoning: rounds must be from 1 to 10000, got 0"),
        ("[scenes.digits]\nrecords = 901", "digits: records must be from 2 to 900, got 901"),
        ("[scenes.novels]\nnovel = 'ema'", "got 'ema'; did you mean emma?"),
    ],
)
def test_a_plan_is_held_to_the_ranges_of_games_and_scenes(table, words):
    with pytest.raises(UsageError, match=words):
        check_parameters(parse(table))
