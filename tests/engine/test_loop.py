"""Loops through the command's own code: known gains, a null leg, units, bad input, resuming."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hartley.core import Experiment
from hartley.core.errors import BadPlan, UsageError
from hartley.engine.assess import assess
from hartley.engine.build_scene import build
from hartley.engine.loop.in_words import rounds_say, settings_say
from hartley.engine.loop.loop_order import (
    Leg,
    LoopOrder,
    check_chords,
    check_numbers,
    check_ring,
    course,
    stages,
)
from hartley.engine.loop.loop_row import loop_row
from hartley.engine.loop.play_loop import play_loop
from hartley.engine.plan.plan import LOOP, Plan, normalised, parse
from hartley.engine.plan.worklist import expand
from hartley.infotheory.loops import gain_matrix, in_units, spectral_radius

GAINS = (1.5, 0.8, 0.7)
RING = ("one", "two", "three")


def order(gains=GAINS, **changes) -> LoopOrder:
    legs = tuple(
        Leg(source, target, "carries", {"gain": gain})
        for source, target, gain in zip(RING, (*RING[1:], RING[0]), gains, strict=True)
    )
    return LoopOrder(legs, **{"clusters": 8, "rounds": 3, **changes})


def run(store, gains=GAINS, *, workers=0, seed=0, **changes):
    plan = Plan(
        scene="purses", only=(LOOP,), workers=workers, seed=seed, loop=order(gains, **changes)
    )
    return assess(plan, store=store)


# Case C63: three assets, each of which leads to both others; its radius is that of the cases.
CASE = {
    ("one", "two"): 0.9, ("two", "three"): 0.1, ("three", "one"): 0.3,
    ("one", "three"): 0.2, ("two", "one"): 0.6, ("three", "two"): 0.4,
}  # fmt: skip
RADIUS = 0.8531746436535886


def chorded(**changes) -> LoopOrder:
    legs = [Leg(i, j, "carries", {"gain": gain}) for (i, j), gain in CASE.items()]
    return LoopOrder(
        tuple(legs[:3]), chords=tuple(legs[3:]), **{"clusters": 8, "rounds": 3, **changes}
    )


_KNOWN = {}


@pytest.fixture
def known(strangers, tmp_path):
    """One run that several tests read: attacks of a plugin play in processes of their own."""
    if not _KNOWN:
        _KNOWN.update(run(tmp_path))
    return _KNOWN


def test_known_gains_are_in_their_intervals(known):
    (loop,) = known["loops"]
    assert [row["from"] for row in loop["gains"]] == list(RING)
    for row, truth in zip(loop["gains"], GAINS, strict=True):
        assert row["low"] < truth < row["high"], row
        assert row["high"] - row["low"] < 1
    product = math.prod(GAINS)
    assert loop["low"] < product < loop["high"]
    radius = loop["radius"]
    assert radius["low"] < product ** (1 / 3) < radius["high"] < 1.2
    assert radius["value"] ** 3 == pytest.approx(loop["gain"])
    # Every pair is measured, or says why there is nothing to measure.
    assert {(one["from"], one["to"]) for one in loop["absent"]} == {
        (i, j) for i in RING for j in RING
    } - {("one", "two"), ("two", "three"), ("three", "one")}
    assert all(one["why"] for one in loop["absent"]) and not loop["open"]


def test_rounds_are_really_run_beside_a_forecast(known):
    (loop,) = known["loops"]
    rows = loop["rounds"]
    assert [row["asset"] for row in rows[:4]] == ["one", "two", "three", "one"]
    assert rows[-1]["round"] == 3 and len(rows) == 10
    expected = 0.125
    for row, gain in zip(rows[1:], GAINS * 3, strict=True):
        expected *= gain
        assert row["share"] == pytest.approx(expected, abs=0.05)
        assert row["control"] == 0 and row["inside"] and row["linear"]
        # One reading of each dose: its error counts as the owner's own, in each round anew.
        assert row["by_owners"]["value"] == pytest.approx(expected, abs=0.08)
    # 0.125 · 0.84³, and what was run fell by the rest.
    change = loop["change"]
    assert change["low"] < 0.125 * (math.prod(GAINS) ** 3 - 1) < change["high"] < 0.05
    assert known["weakest_cut"]["radius"] == 0
    assert len(known["weakest_cut"]["tied"]) == 3
    assert known["weakest_cut"]["narrowest"]["edge"] in (["three", "one"], ["two", "three"])
    assert [step["attack"] for step in loop["trace"]] == ["carries"] * 9


def test_a_defense_is_measured_along_the_whole_loop(call, tmp_path):
    """Defended at one leg, read at every asset: the same secrets without and behind it."""
    ordered = order((1.5, 0.9, 1.4), clusters=6)
    (tmp_path / "ring.toml").write_text(normalised(Plan(scene="purses", loop=ordered)))
    done = call("loop", "ring.toml", "--defend", "tape", "--workers", "0", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    bare, taped = document["loops"]
    assert (bare["added"], taped["added"]) == ("", "tape")
    for before, after, truth in zip(
        bare["gains"], taped["gains"], ((1.5, 1.5), (0.9, 0.9), (1.4, 0.7)), strict=True
    ):
        assert before["low"] < truth[0] < before["high"]
        assert after["low"] < truth[1] < after["high"]
    for one, truth in ((bare, 1.5 * 0.9 * 1.4), (taped, 1.5 * 0.9 * 0.7)):
        assert one["low"] < truth < one["high"]
    assert taped["radius"]["value"] < bare["radius"]["value"]
    assert taped["radius"]["grows"] < bare["radius"]["grows"]
    # The assets before the defended leg are hit as hard in the first round, and less in the next.
    share = [[row["share"] for row in one["rounds"]] for one in (bare, taped)]
    assert share[0][:3] == share[1][:3] and share[1][3] < share[0][3]
    assert sum(share[1][4:7]) < sum(share[0][4:7])
    again = call("loop", "ring.toml", "--defend", "tape", "--workers", "0")
    assert "the loop without and behind each defense" in again.stdout and "behind tape" in (
        again.stdout
    )
    assert call("loop", "ring.toml", "--defend", "tap").returncode == 2


def test_in_front_of_a_defense_each_leg_chooses_its_setting_on_other_owners(strangers, tmp_path):
    legs = (
        Leg("one", "two", "pushes"),
        Leg("two", "three", "pushes", {"force": 1}),
        Leg("three", "one", "carries", {"gain": 1.0}),
    )
    ordered = LoopOrder(legs, rounds=3, clusters=4)
    plan = Plan(scene="purses", only=(LOOP,), workers=0, isolate=False, loop=ordered)
    bare, taped = assess(replace(plan, use=("tape",)), store=tmp_path)["loops"]
    for one in (bare, taped):
        first, second, third = one["settings"]
        # Twice the force is twice the gain; what tears is no choice, and three are tried at most.
        assert first["setting"] == {"force": 2} and first["owners"] == 4
        assert [row["setting"]["force"] for row in first["tried"]] == [1, 2, 3, 4]
        usual, best, torn, _ = first["tried"]
        assert 1.5 * usual["left"] < best["left"] and torn["left"] is None
        assert "the purse is torn" in torn["reason"]
        # What a leg sets is not chosen, and what an attack does not declare cannot be.
        assert second["setting"] == third["setting"] == {} and not second["tried"] + third["tried"]
        gains = [row["value"] for row in one["gains"]]
        assert one["gains"][0]["low"] < 1.0 < one["gains"][0]["high"] and gains[1] < 0.7
    said = settings_say(taped)
    assert "pushes force = 2 of 4 settings (leaves 0." in said
    assert "carries declares no other setting" in said and not settings_say({"settings": []})
    # Without a defense, or by attackers who do not know it, the loop is played as it is ordered.
    scene = build("purses")
    for changes in ({}, {"use": ("tape",), "adaptive": False}):
        for line in expand(replace(plan, **changes), scene):
            assert not isinstance(line, Experiment) or "settings" not in line.loop


def test_a_defense_that_does_not_fit_is_refused_by_every_command_that_runs_a_loop(call, tmp_path):
    plan = Plan(scene="purses", only=(LOOP,), loop=order(clusters=4), use=("tape", "jpeg"))
    (tmp_path / "ring.toml").write_text(normalised(plan))
    for verb in ("assess", "loop", "plan"):
        done = call(verb, "ring.toml")
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 2 and last.startswith("hartley: jpeg protects vision"), verb
        assert "what fits it: bit_depth" in last and "tape" in last
    assert not (tmp_path / "runs").exists()


def test_a_loop_with_chords_has_the_radius_of_its_matrix(strangers, tmp_path):
    """Six legs between three assets, played step by step, each asset made of what two leave."""
    ordered = chorded(doses=(0.0, 0.2, 0.5))
    plan = Plan(scene="purses", only=(LOOP,), workers=0, isolate=False, loop=ordered)
    (loop,) = assess(plan, store=tmp_path)["loops"]
    assert {(row["from"], row["to"]) for row in loop["gains"]} == CASE.keys()
    for row in loop["gains"]:
        assert row["low"] < CASE[row["from"], row["to"]] < row["high"], row
    radius = loop["radius"]
    assert radius["low"] < RADIUS < radius["high"] and radius["high"] - radius["low"] < 0.6
    assert loop["gain"] == pytest.approx(radius["value"] ** 3)
    # The weakest cut is that of brute force on the true gains, of which two nearly tie (.41, .45).
    names, true = list(RING), np.zeros((3, 3))
    for (i, j), gain in CASE.items():
        true[names.index(i), names.index(j)] = gain
    falls = {}
    for i, j in CASE:
        cut = true.copy()
        cut[names.index(i), names.index(j)] = 0
        falls[i, j] = np.abs(np.linalg.eigvals(cut)).max()
    nearly = sorted(falls, key=falls.get)[:2]
    assert nearly == [("two", "one"), ("one", "two")] and tuple(loop["cut"]["edge"]) in nearly
    assert len(loop["cut"]["tied"]) == 1
    for fall in loop["cut"]["falls"]:
        assert fall["radius"] == pytest.approx(falls[fall["from"], fall["to"]], abs=0.15)
    # Everything is reached in the second step; shares follow the powers of the matrix.
    steps = [[row["asset"] for row in loop["rounds"] if row["step"] == k] for k in range(4)]
    assert steps == [["one"], ["three", "two"], ["one", "two", "three"], ["two", "three", "one"]]
    shares = [np.array([0.125, 0, 0])]
    for _ in range(9):
        shares.append(shares[-1] @ true)
    for row in loop["rounds"]:
        expected = shares[row["step"]][names.index(row["asset"])]
        assert row["share"] == pytest.approx(expected, abs=0.05)
        assert row["by_owners"]["value"] == pytest.approx(expected, abs=0.08)
    # Each interval errs in 5 %.
    assert sum(not row["inside"] for row in loop["rounds"]) <= 3


def test_an_asset_that_nobody_can_set_is_what_its_leg_makes_of_a_dosed_source(
    strangers, tmp_path, monkeypatch
):
    from strangers.loops import World, purses

    dosed = World.dosed

    def by_hand(self, asset, share, rng, base, full):
        return None if asset == "two" else dosed(self, asset, share, rng, base, full)

    monkeypatch.setattr(World, "dosed", by_hand)
    (loop,) = run(tmp_path, clusters=4, doses=(0.0, 0.25, 0.5))["loops"]
    for row, truth in zip(loop["gains"], GAINS, strict=True):
        assert row["low"] < truth < row["high"], row
    # What counts as the dose is what is read: the first leg's gain times the share of its source.
    assert [p["dose"] for p in loop["gains"][1]["points"]] == pytest.approx(
        [0, 1.5 * 0.25, 1.5 * 0.5], abs=0.06
    )
    monkeypatch.setattr(World, "dosed", lambda *_: None)
    scene = purses()
    legs = stages(order(), scene)
    with pytest.raises(UsageError, match="must begin with an asset that can be set by hand"):
        play_loop(Experiment("purses", stages=legs, loop=order().dump()), scene)


def test_a_leg_that_does_nothing_is_reported_so(strangers, tmp_path):
    document = run(tmp_path, (1.5, 0.0, 2.0), clusters=5)
    (loop,) = document["loops"]
    null = loop["gains"][1]
    assert null["low"] <= 0 <= null["high"] and null["value"] == pytest.approx(0, abs=0.02)
    assert loop["low"] == 0 and loop["radius"]["grows"] < 0.05
    assert all(row["share"] == 0 for row in loop["rounds"] if row["round"] > 1)


def test_the_radius_has_no_unit(known):
    """The gains that the command measured, each asset counted in another unit."""
    (loop,) = known["loops"]
    n = len(RING)
    gains = np.zeros((n, n))
    for row in loop["gains"]:
        gains[RING.index(row["from"]), RING.index(row["to"])] = row["value"]
    for units in ([1, 1, 1], [0.01, 3, 700]):
        roots = np.abs(np.linalg.eigvals(in_units(gains, units)))
        assert roots.max() == pytest.approx(loop["radius"]["value"])


def test_workers_change_nothing_and_a_run_is_continued(strangers, tmp_path):
    alone = run(tmp_path / "a", clusters=4)
    two = run(tmp_path / "b", clusters=4, workers=2)
    assert alone["loops"] == two["loops"]
    # One cluster is lost: it alone is played again, and the numbers are the same.
    folder = tmp_path / "a" / alone["id"]
    lines = (folder / "journal.jsonl").read_text().splitlines()
    kept = next(k for k, line in enumerate(lines) if json.loads(line).get("event") == "done")
    (folder / "journal.jsonl").write_text("\n".join(lines[: kept + 1]) + "\n")
    (folder / "run.json").unlink()
    events = []
    plan = Plan(scene="purses", only=(LOOP,), workers=0, loop=order(clusters=4))
    again = assess(plan, store=tmp_path / "a", watch=lambda name, facts: events.append(name))
    assert again["loops"] == alone["loops"] and events.count("started") == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"doses": (0.0, 0.5)}, "loop.doses must be 3 or more different shares, got 0, 0.5"),
        ({"doses": (0.0, 0.5, 0.5)}, "3 or more different"),
        ({"doses": (0.1, 0.5, 0.9)}, "must be from 0, to at most 1"),
        ({"doses": (0.0, 0.5, 1.5)}, "must be from 0, to at most 1"),
        ({"rounds": 2}, "loop.rounds must be 3 or more"),
        ({"clusters": 3}, "loop.clusters must be 4 or more"),
        ({"start": 0.0}, "loop.start must be above 0"),
    ],
)
def test_too_little_of_anything_is_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        check_numbers(order(**changes))


def test_doses_may_be_listed_in_any_order():
    mixed, ascending = (order(doses=doses) for doses in ((0.5, 0.0, 0.25), (0.0, 0.25, 0.5)))
    check_numbers(mixed)
    assert mixed.dump() == ascending.dump()


def test_a_change_has_a_width_where_all_clusters_agree():
    """Four loops that die out are no proof that all do; two hundred are."""
    doses = [
        {"from": source, "to": target, "dose": dose, "set": dose, "left": 0.5 * dose}
        for source, target in (("one", "two"), ("two", "one"))
        for dose in (0.0, 0.25, 0.5)
    ]
    cluster = {"doses": doses, "control": [0.0] * 7, "rounds": [0.125, *[0.0] * 6], "trace": []}
    described = {"path": ["one", "two", "one"], "legs": [], "assets": [], "story": "", "start": 0.1}
    described |= {"rounds": 3}
    few, many = (
        loop_row(described | {"clusters": m}, [cluster] * m, added="", alpha=0.05, seed=0)
        for m in (4, 200)
    )
    for row, word in ((few, "neither grew nor fell"), (many, "fell")):
        assert row["change"]["value"] == -0.125 and word in rounds_say(row)
        assert row["change"]["low"] < -0.125 < row["change"]["high"]
    # P(no other value in 4 draws) is 2.5 % where that value has chance 0.025^(1/4).
    assert few["change"]["high"] == pytest.approx(1 - 1.125 * 0.025**0.25)


def test_a_loop_must_close():
    legs = order().legs
    with pytest.raises(UsageError, match="must close: carries leaves three, and carries takes one"):
        check_ring(legs[:2])
    with pytest.raises(UsageError, match="a ring of attacks, got none"):
        check_ring(())
    with pytest.raises(UsageError, match="each asset once, got one, two twice"):
        check_ring((Leg("one", "two", "a"), Leg("two", "one", "b")) * 2)


def test_a_chord_joins_two_assets_of_the_ring_once():
    check_chords(chorded())
    for chord, words in [
        (Leg("one", "four", "a"), "join assets of the ring .one, two, three., got 'four'"),
        (
            Leg("one", "two", "a"),
            "one leg from one to two, got two, whose gains cannot be separated",
        ),
    ]:
        with pytest.raises(UsageError, match=words):
            check_chords(replace(chorded(), chords=(chord,)))
    assert chorded().dump()["chords"] == [["one", "three"], ["two", "one"], ["three", "two"]]
    assert "chords" not in order().dump()


def test_the_course_of_a_ring_is_one_leg_a_step_and_that_of_a_chord_reaches_more():
    assert course(("a", "b", "c", "a"), (), 2) == [
        (1, "b", ("a",)), (2, "c", ("b",)), (3, "a", ("c",)),
        (4, "b", ("a",)), (5, "c", ("b",)), (6, "a", ("c",)),
    ]  # fmt: skip
    assert course(("a", "b", "c", "a"), (("b", "a"),), 1) == [
        (1, "b", ("a",)), (2, "a", ("b",)), (2, "c", ("b",)), (3, "b", ("a",)), (3, "a", ("c",)),
    ]  # fmt: skip


def test_every_leg_that_does_not_fit_says_why_before_anything_is_run(call, tmp_path):
    text = """
scene = "digits"
[loop]
legs = [
  { from = "uploads", to = "victim", attack = "knockoff" },
  { from = "victim", to = "copy", attack = "knockof" },
  { from = "copy", to = "uploads", attack = "resampling" },
]
chords = [{ from = "victim", to = "uploads", attack = "resampling" }]
"""
    (tmp_path / "odd.toml").write_text(text)
    done = call("loop", "odd.toml")
    assert done.returncode == 2 and "\n" not in done.stderr.strip().removeprefix(
        "building the scene digits\n"
    )
    for words in (
        "uploads → victim: the attack must play poisoning",
        "and knockoff plays extraction",
        "did you mean knockoff",
        "copy → uploads: copy leads to records, not to uploads",
        "uploads cannot be made of what two legs leave; records can",
    ):
        assert words in done.stderr
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").glob("*/journal.jsonl"))


def test_a_scene_without_assets_says_so(call, tmp_path):
    done = call("loop", "--scene", "live:membership")
    assert done.returncode == 2 and "must say what the assets of a loop are" in done.stderr


def test_a_plan_is_written_as_it_was_read():
    text = normalised(Plan(scene="purses", loop=order()))
    assert parse(text).loop == order() and normalised(parse(text)) == text
    text = normalised(Plan(scene="purses", loop=chorded()))
    assert parse(text).loop == chorded() and normalised(parse(text)) == text
    for odd, words in [
        ("[loop]\nlegs = 3", "must be tables"),
        ("[loop]\nround = 3", "did you mean loop.rounds"),
        ('[loop]\nlegs = [{ from = "a", to = "b" }]', "must have from, to and attack"),
        ("[loop]\ndoses = 3", "must be a list"),
        ("[loop]\nchords = 3", "loop.chords must be tables"),
        ('[loop]\nchords = [{ from = "a" }]', "each of loop.chords must have"),
    ]:
        with pytest.raises(BadPlan, match=words):
            parse(f'scene = "digits"\n{odd}\n')


def test_the_command_prints_chords_and_says_which_leg_to_cut(call, tmp_path):
    plan = normalised(Plan(scene="purses", only=(LOOP,), isolate=False, loop=chorded(clusters=4)))
    (tmp_path / "mesh.toml").write_text(plan)
    done = call("loop", "mesh.toml", "--workers", "0")
    assert done.returncode == 0, done.stderr
    for words in ("one ─▶ three (across)", "in 3 legs: ×", "carries + carries"):
        assert words in done.stdout
    assert re.search("weakest cut: (one → two|two → one), in [0-9]+% of", done.stdout)


def test_the_command_prints_the_ring_and_its_numbers(call, tmp_path):
    plan = normalised(Plan(scene="purses", only=(LOOP,), loop=order(clusters=4)))
    (tmp_path / "ring.toml").write_text(plan)
    done = call("loop", "ring.toml", "--workers", "0")
    assert done.returncode == 0, done.stderr
    for words in (
        "╭─▶ one",
        "carries (coins, data → data): coins are carried on",
        "once round: ×",
        "P(ρ > 1) =",
        "It creates no information",
        "any of 3 legs opens the ring",
        "turned",
    ):
        assert words in done.stdout


def test_open_edges_keep_a_lower_end_alone():
    """A gain that nobody measured is unknown and not 0, so nothing bounds the radius from above."""
    matrix = gain_matrix(["one", "two"], {}, absent={("one", "one"): "no"}, allow_open=True)
    assert spectral_radius(matrix).high is None


def test_owners_who_differ_are_followed_one_by_one():
    # Half of the owners hand all of it on in each leg, half nothing: gains of the mean, one half
    # each, let it die out, and it stays in half of the owners.
    doses = (0.0, 0.5, 1.0)
    path = [*RING, RING[0]]
    legs = list(pairwise(path))
    described = {
        **{"path": path, "assets": [{"name": name} for name in RING], "story": ""},
        **{"legs": [{"from": i, "to": j} for i, j in legs], "chords": []},
        **{"start": 1.0, "rounds": 3, "clusters": 8},
    }
    clusters = [
        {
            "doses": [
                {"from": i, "to": j, "dose": d, "set": d, "left": d * carries}
                for i, j in legs
                for d in doses
            ],
            **{"rounds": [1.0] + [float(carries)] * 9, "control": [0.0] * 10, "trace": []},
        }
        for carries in (True, False) * 4
    ]
    rows = loop_row(described, clusters, added="", alpha=0.05, seed=0)["rounds"]
    assert [row["predicted"] for row in rows] == pytest.approx([0.5**k for k in range(10)])
    for row in rows[1:]:
        followed = row["by_owners"]
        assert followed["value"] == row["excess"] == 0.5 and followed["inside"]
        assert followed["low"] < 0.5 < followed["high"]
    # Rounds that lose it after all are not what the owners' own legs say.
    for one in clusters:
        one["rounds"] = [1.0] + [0.0] * 9
    rows = loop_row(described, clusters, added="", alpha=0.05, seed=0)["rounds"]
    assert rows[0]["by_owners"]["inside"]
    assert not any(row["by_owners"]["inside"] for row in rows[1:])
