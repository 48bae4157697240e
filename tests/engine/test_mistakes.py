"""When a plan is at fault for rows that failed, and when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hartley.core.errors import UsageError
from hartley.engine import build_scene
from hartley.engine.plan import preflight
from hartley.engine.plan.blame import Mistaken, check_parameters, told
from hartley.engine.plan.jobs import PLAY, UTILITY, Job
from hartley.engine.plan.plan import Plan, parse
from hartley.engine.plan.preflight import rehearse
from hartley.engine.plan.worklist import orders

LOSS = Job(PLAY, "digits", attack="loss_threshold", game="membership")
LIRA = Job(PLAY, "digits", attack="lira", game="membership")
BEHIND = Job(
    PLAY, "digits", attack="lira", game="membership", defense="rounding", knowledge="static"
)
COST = Job(UTILITY, "digits", defense="rounding")
EVERY = [LOSS, LIRA, BEHIND, COST]


GROUP = {"membership": {"group": -1}}
DIGITS = {"rounding": {"digits": -1}}
GAME, ATTACK, DEFENSE = (
    "the game 'membership' cannot be played: ",
    "the attack 'lira' cannot be played: ",
    "the defense 'rounding' cannot be applied: ",
)


@pytest.mark.parametrize(
    ("plan", "blamed", "lines"),
    [
        (Plan(games=GROUP), [(LOSS, "game", "a"), (LIRA, "game", "b")], [f"{GAME}a"]),
        (Plan(games=GROUP), [(LOSS, "game", "a"), (LIRA, "game", "a")], [f"{GAME}a"]),
        (Plan(games=GROUP), [(LOSS, "game", "a")], []),
        (Plan(games=GROUP), [(LOSS, "attack", "a"), (LIRA, "game", "b")], []),
        (Plan(games={"poisoning": {"slots": 1}}), [(LOSS, "game", "a")], []),
        # Without a table of the plan it is the scene, if all rows of a game say the same.
        (Plan(), [(LOSS, "game", "a"), (LIRA, "game", "a")], [f"{GAME}a"]),
        (Plan(games={"membership": {}}), [(LOSS, "game", "a"), (LIRA, "game", "b")], []),
        (Plan(), [(LOSS, "game", "a")], []),
        (Plan(), [(LOSS, "", "a"), (LIRA, "", "a")], []),
        (
            Plan(),
            [(LOSS, "attack", "a"), (LIRA, "attack", "a")],
            [f"the attack 'loss_threshold', {ATTACK}a"],
        ),
        # No word of a wrong parameter: the part may mean the scene.
        (Plan(attacks={"lira": {"augment": 99}}), [(LIRA, "attack", "a\n b")], [f"{ATTACK}a b"]),
        (Plan(attacks={"lira": {"augment": 99}}), [(LIRA, "game", "a")], []),
        (
            Plan(attacks={"lira": {"augment": 99}}),
            [(LOSS, "attack", "a"), (LIRA, "attack", "a")],
            [f"{ATTACK}a"],
        ),
        (
            Plan(defenses=DIGITS),
            [(BEHIND, "defense", "a"), (COST, "defense", "a")],
            [f"{DEFENSE}a"],
        ),
        (Plan(defenses=DIGITS), [(BEHIND, "defense", "a")], []),
        (Plan(defenses=DIGITS), [(BEHIND, "game", "a"), (COST, "", "a")], []),
        (
            Plan(attacks={"lira": {"augment": 99}}, defenses=DIGITS),
            [(LIRA, "attack", "a"), (BEHIND, "defense", "b"), (COST, "defense", "b")],
            [f"{ATTACK}a", f"{DEFENSE}b"],
        ),
    ],
)
def test_every_mistake_is_told_once_in_a_line_that_names_the_part(plan, blamed, lines):
    refused = told(plan, EVERY, {job.key: (kind, said) for job, kind, said in blamed})
    assert list(Mistaken(refused).lines) == lines


DIGITS_PLAN = Plan(
    scene="live:membership", use=("rounding",), defenses={"rounding": {"digits": -5}}
)


@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        (DIGITS_PLAN, ["rounding"]),
        (replace(DIGITS_PLAN, defenses={"rounding": {"digits": 2}}), []),
        (replace(DIGITS_PLAN, use=()), []),
        (replace(DIGITS_PLAN, games={"membership": {"group": -2}}), ["rounding", "membership"]),
    ],
)
def test_a_rehearsal_hears_what_the_parts_refuse(plan, parts):
    plan = replace(plan, only=("loss_threshold",))
    scene = build_scene.build(plan.scene)
    jobs = [one.job for one in orders(plan, scene) if one.job is not None]
    assert [one.name for one in rehearse(plan, jobs, scene)] == parts


@pytest.mark.parametrize("refuses", ["form", "scene", "both"])
def test_what_only_the_small_wire_refuses_is_played(monkeypatch, refuses):
    plan = replace(DIGITS_PLAN, only=("loss_threshold",))
    scene = build_scene.build(plan.scene)
    asked = []

    def applied(where, **_kept):
        asked.append("scene" if where is scene else "form")
        if refuses in {asked[-1], "both"}:
            raise UsageError("too few")

    monkeypatch.setattr(preflight, "defended", applied)
    jobs = [one.job for one in orders(plan, scene) if one.job is not None]
    assert bool(rehearse(plan, jobs, scene)) is (refuses == "both")
    assert asked == (["form"] if refuses == "scene" else ["form", "scene"])


def test_a_way_to_deal_is_fine_while_one_attack_of_the_plan_plays_it():
    text = '[games.inversion]\nrelease = "{}"'
    check_parameters(parse(text.format("links")))
    check_parameters(parse('only = ["membership"]\n' + text.format("gradiens")))
    with pytest.raises(UsageError, match="with release = 'links'; they play gradients"):
        check_parameters(parse('only = ["dlg"]\n' + text.format("links")))
