"""The adaptive attacker by a sweep: what is declared, chosen, kept, and never measured."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from scipy.stats import binom

from hartley import catalog
from hartley.cli.main import run as hartley
from hartley.core import (
    Access,
    Applied,
    Data,
    Experiment,
    Knowledge,
    Modality,
    Outcome,
    Stage,
    Term,
    attack,
)
from hartley.engine.assess import assess, remeasure
from hartley.engine.plan.plan import Plan
from hartley.engine.run import player as players
from hartley.engine.run.player import NOT_PLANTED, Player
from hartley.engine.run.tuning import tuning_params, tuning_rounds
from hartley.games.membership.membership import membership
from hartley.report.render import render
from hartley.store.table import trials_from_bytes

PLAN = Plan(
    scene="live:membership",
    only=("picky", "guesses", "loss_threshold"),
    games={"membership": {"rounds": 8}},
    use=("rounding",),
    workers=0,
    isolate=False,
)
SCHEMA = jsonschema.Draft202012Validator(
    json.loads(files("hartley.reference").joinpath("run.schema.json").read_text())
)


@pytest.fixture(autouse=True)
def _plugins(strangers):
    del strangers


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def document(store):
    """The plan, played once for all tests of this file."""
    return assess(PLAN, store=store)


def behind(document, name):
    """The rows of an attack behind the defense, by what the attacker knows."""
    return {
        row["experiment"]["knowledge"]: row
        for row in document["channels"]
        if row["attack"] == name and not row["baseline"]
    }


def without_time(tuning):
    """A record of tuning without what the clock decides."""
    plain = {name: value for name, value in tuning.items() if name != "seconds"}
    tried = [{k: v for k, v in one.items() if k != "seconds"} for one in tuning["tried"]]
    return {**plain, "tried": tried}


def test_the_setting_that_reads_behind_the_defense_is_chosen(document):
    SCHEMA.validate(document)
    baseline = next(r for r in document["channels"] if r["attack"] == "picky" and r["baseline"])
    assert baseline["bits"]["low"] > 0.5 and "tuning" not in baseline
    assert baseline["params"]["way"] == "digits", "a row without a defense is not tuned"
    static, adaptive = (behind(document, "picky")[known] for known in ("static", "adaptive"))
    assert static["params"]["way"] == "digits" and "tuning" not in static
    assert static["bits"]["high"] < 0.02 and adaptive["bits"]["low"] > 0.5
    tuning = adaptive["tuning"]
    assert adaptive["params"] == {"way": "asks_often", "sign": 1}
    assert tuning["setting"] == {"way": "asks_often"} and tuning["rounds"] == 2
    assert [one["setting"]["way"] for one in tuning["tried"]] == [
        *("digits", "fails", "asks_often", "whole")
    ]
    failed = tuning["tried"][1]
    assert failed["bits"] is None and failed["reason"] == "ZeroDivisionError: on purpose"
    assert tuning["queries"] == 2 * 128 * (1 + 100 + 1)
    assert adaptive["uses"] == 8 * 128 * 100, "tuning is paid for apart"
    assert adaptive["run_id"] != static["run_id"]
    residual = document["defenses"][0]["residual"][baseline["id"]]
    assert residual["reason"] is None and residual["tuned"] == {
        "setting": {"way": "asks_often"},
        "bits": tuning["bits"],
        "rounds": 2,
        "settings": 4,
    }
    assert document["defenses"][0]["coverage"][baseline["id"]]["attackers"] == [
        *("static", "adaptive")
    ]


def test_an_attack_without_either_keeps_its_empty_cell(document):
    rows = behind(document, "loss_threshold")
    assert rows["static"]["status"] == "measured"
    skipped = rows["adaptive"]
    assert (skipped["status"], skipped["cause"]) == ("skipped", "adapts")
    assert skipped["reason"] == (
        "not adaptive: it neither reads the defenses nor trains reference models, and it declares "
        "no sweep"
    )
    residual = document["defenses"][0]["residual"][rows["static"]["baseline_id"]]
    assert residual["adaptive"] is None and residual["tuned"] is None
    assert residual["reason"] == skipped["reason"]


def test_what_the_plan_sets_is_not_swept(tmp_path):
    given = assess(replace(PLAN, attacks={"picky": {"way": "digits"}}), store=tmp_path)
    skipped = behind(given, "picky")["adaptive"]
    assert (skipped["status"], skipped["cause"]) == ("skipped", "adapts")
    assert skipped["reason"].endswith("and the plan sets what it would sweep")
    # Another parameter that is set stays set, and the sweep goes on around it.
    signed = assess(replace(PLAN, attacks={"picky": {"sign": -1}}), store=tmp_path)
    adaptive = behind(signed, "picky")["adaptive"]
    assert adaptive["params"]["sign"] == -1 and len(adaptive["tuning"]["tried"]) == 4


def test_a_setting_that_overspends_is_left_out_and_not_the_row(tmp_path):
    # 8 rounds of 128 records once: enough for every setting but the one that asks a hundred times.
    document = assess(replace(PLAN, budget=8 * 128), store=tmp_path)
    adaptive = behind(document, "picky")["adaptive"]
    assert adaptive["status"] == "measured" and adaptive["params"]["way"] == "whole"
    dear = next(o for o in adaptive["tuning"]["tried"] if o["setting"]["way"] == "asks_often")
    assert dear["bits"] is None and dear["reason"].startswith("BudgetSpent")


def _experiment(name, sweep, scene, rounds=8, **more):
    part = catalog.load("attack", name)
    params = {parameter.name: parameter.default for parameter in part.parameters}
    return Experiment(
        scene,
        stages=(Stage(name, params, "membership", {"rounds": rounds}),),
        defenses=(Applied("rounding", {"digits": 1}),),
        knowledge=Knowledge.ADAPTIVE,
        baseline=False,
        sweep=tuple(sweep),
        **more,
    )


def test_where_every_setting_fails_the_usual_one_is_played():
    broken = _experiment("picky", [{"way": "fails"}], "live:membership")
    usual = broken.stages[0]
    stage = replace(usual, params={**usual.params, "way": "fails"})
    result = Player(isolate=False).run(replace(broken, stages=(stage,), sweep=({"way": "fails"},)))
    assert result.status == "failed" and "on purpose" in result.note["reason"]
    result = Player(isolate=False).run(replace(broken, budget=8))
    assert result.status == "failed" and "BudgetSpent" in result.note["reason"]


def test_tuning_meets_victims_and_secrets_of_its_own_which_are_dealt_once(monkeypatch):
    dealt = []
    deal = players.deal

    def watched(part, scene, **more):
        table = deal(part, scene, **more)
        dealt.append(np.concatenate([one.truth for one in table.rounds]))
        return table

    monkeypatch.setattr(players, "deal", watched)
    player = Player(isolate=False)
    experiments = [
        _experiment("picky", [{"way": "whole"}], "live:membership"),
        _experiment("guesses", [{"stream": 1}], "live:membership"),
    ]
    trials = [trials_from_bytes(player.run(one).content) for one in experiments]
    assert [len(truth) for truth in dealt] == [8 * 128, 2 * 128], "shared by both attacks"
    measured, tuning = dealt
    for one in trials:
        np.testing.assert_array_equal(one.truth, measured)
        assert one.tuning["uses"] == len(tuning)
    # Coins of their own: no more alike than any two coins are.
    assert 0.35 < (measured[: len(tuning)] == tuning).mean() < 0.65


def test_no_bits_appear_from_choosing_among_settings(monkeypatch):
    """Nothing leaks and there are seven settings: the choice must not show in what is measured."""
    # Nine tenths of the time of a measurement, and not what is looked at here.
    monkeypatch.setattr("hartley.channel.measure.REDRAWS", 1)
    monkeypatch.setattr("hartley.channel.measure.NULL_CERTIFICATES", 0)
    settings = [{"stream": k} for k in range(1, 7)]
    seeds, alpha = range(24), 0.05
    chosen, usual, best, certified = [], [], [], 0
    for seed in seeds:
        player = Player(isolate=False)
        experiment = _experiment("guesses", settings, "dead:membership", rounds=4, seed=seed)

        def bits(stream, player=player, experiment=experiment):
            stage = replace(experiment.stages[0], params={"stream": stream})
            return player.run(replace(experiment, stages=(stage,), sweep=())).row["row"]["bits"]

        row = player.run(experiment).row["row"]
        certified += row["bits"]["low"] > 0
        chosen.append(row["bits"]["raw"])
        usual.append(bits(0)["raw"])
        if seed < 6:  # the fault that is looked for: the best of all on what is measured
            best.append(max(bits(stream)["raw"] for stream in range(7)) - usual[-1])
    assert len({*chosen}) > 20, "the seeds are different plays"
    assert certified <= binom.ppf(0.999, len(seeds), alpha)
    gains = np.subtract(chosen, usual)
    error = gains.std(ddof=1) / len(gains) ** 0.5
    assert np.any(gains) and abs(gains.mean()) < 3.5 * error, "no more than the usual setting"
    assert np.mean(best) > 3.5 * error, "such a bias would have been seen"


def test_the_choice_does_not_depend_on_the_number_of_workers(document, tmp_path):
    # The one whose choice is chance: any other stream of random numbers would change it.
    elsewhere = assess(replace(PLAN, only=("guesses",), workers=2), store=tmp_path)
    rows = [behind(one, "guesses")["adaptive"] for one in (document, elsewhere)]
    assert rows[0]["params"] == rows[1]["params"] and rows[0]["bits"] == rows[1]["bits"]
    records = [without_time(row["tuning"]) for row in rows]
    assert records[0] == records[1]


def test_attackers_who_know_no_defense_choose_without_it_and_alike_in_every_row(
    document, tmp_path, monkeypatch
):
    """With one worker, which chooses once, and with two, whose rows are played in another order."""
    chosen = []
    choose = players.tuned

    def counted(part, scene, *rest, **more):
        chosen.append((part.name, [defense.name for defense in scene.defenses]))
        return choose(part, scene, *rest, **more)

    monkeypatch.setattr(players, "tuned", counted)
    plan = replace(PLAN, only=("guesses",), tuned_baseline=True)
    runs = [
        assess(replace(plan, workers=workers), store=tmp_path / str(workers)) for workers in (0, 2)
    ]
    assert chosen == [("guesses", []), ("guesses", ["rounding"])]
    bare = next(row for row in runs[0]["channels"] if row["attack"] == "guesses")
    static, adaptive = (behind(runs[0], "guesses")[known] for known in ("static", "adaptive"))
    assert without_time(bare["tuning"]) == without_time(static["tuning"])
    assert bare["params"] == static["params"] and bare["id"] == static["baseline_id"]
    # Behind the defense an attacker who knows it chooses there, as where baselines are not tuned.
    alike = behind(document, "guesses")
    assert without_time(adaptive["tuning"]) == without_time(alike["adaptive"]["tuning"])
    assert static["id"] == alike["static"]["id"] and "tuning" not in alike["static"]
    one, two = (
        [
            (row["id"], row["params"], row["bits"], row["metrics"], without_time(row["tuning"]))
            for row in run["channels"]
            if row["status"] == "measured"
        ]
        for run in runs
    )
    assert one == two and len(one) == 3
    ends = [[d["residual"] for d in run["defenses"]] for run in runs]
    assert ends[0] == ends[1]


def test_a_run_that_is_continued_or_measured_again_keeps_the_choice(document, store, monkeypatch):
    monkeypatch.setattr(Player, "run", None)  # nothing may be played any more
    (store / document["id"] / "run.json").unlink()
    again = assess(PLAN, store=store)
    assert again["channels"] == document["channels"] and again["id"] == document["id"]
    anew = remeasure(store / document["id"])
    assert anew["channels"] == document["channels"] and anew["defenses"] == document["defenses"]


def test_secrets_that_hartley_did_not_draw_are_not_tuned_on():
    scene = membership.live(Modality.VISION, np.random.default_rng(0))
    owned = replace(scene, fit=None, holdout=scene.extra["public"])
    experiment = _experiment("picky", [{"way": "whole"}], scene.name)
    stage = replace(experiment.stages[0], game_params={})
    player = Player(isolate=False)
    player.hold(owned.name, owned, {})
    result = player.run(replace(experiment, stages=(stage,)))
    assert result.status == "skipped" and result.note["cause"] == "adapts"
    assert result.note["reason"] == NOT_PLANTED


def test_a_sweep_is_part_of_the_key_and_not_of_the_id():
    plain = _experiment("picky", [], "live:membership")
    tuned = _experiment("picky", [{"way": "whole"}], "live:membership")
    assert tuned.id == plain.id and tuned.key != plain.key
    assert Experiment.load(tuned.dump()) == tuned
    # What is deployed is part of a row behind an added defense, and follows from a baseline row.
    assert replace(plain, deployed=1).id != plain.id
    baseline = replace(plain, baseline=True)
    assert replace(baseline, deployed=1).id == baseline.id


@pytest.mark.parametrize(
    ("rounds", "uses", "expected"),
    [(16, 600, 4), (32, 4, 8), (24, 1, 12), (40, 32, 10), (2, 600, 1), (1, 600, 1), (5, 100, 2)],
)
def test_a_quarter_of_the_rounds_is_dealt_for_tuning_and_more_where_they_are_small(
    rounds, uses, expected
):
    scene = membership.live(Modality.VISION, np.random.default_rng(0))
    table = membership(scene, np.random.default_rng(0), rounds=1)
    one = replace(table.rounds[0], truth=np.zeros(uses, dtype=int))
    table = replace(table, rounds=(one,) * rounds)
    assert tuning_rounds(table) == expected
    part = catalog.load("attack", "picky")
    assert tuning_params(part, {"rounds": 3, "group": 1}, table) == {"rounds": expected, "group": 1}


@pytest.mark.parametrize("attack", ["harmful_examples", "prefilling"])
def test_secrets_of_one_victim_are_reserved_for_tuning(attack):
    part = catalog.load("attack", attack)
    scene = part.game.live(Modality.LANGUAGE, np.random.default_rng(0))
    measured = part.game(scene, np.random.default_rng(0), rounds=2, questions=16)
    tuning = part.game(
        scene, np.random.default_rng(1), **tuning_params(part, {"questions": 16}, measured)
    )
    asked = [
        {str(question) for round_ in dealt.rounds for question in round_.view.brief.question.x}
        for dealt in (measured, tuning)
    ]
    assert all(asked) and not asked[0] & asked[1]


def reads(view, rng, *, share: float = 0.2, times: int = 1):
    """Read nothing."""
    return Outcome(guess=np.zeros(1), asset=Data("nothing", Modality.VISION, np.zeros(1)))


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"shares": (0.1,)}, "sweep must name parameters of the attack, got 'shares'"),
        ({"share": (0.1, "all")}, "in sweep, share must be a number, got 'all'"),
        ({"times": (1.5,)}, "in sweep, times must be a whole number, got 1.5"),
        ({"share": ()}, "sweep must give share different values"),
        ({"share": (0.1, 0.1)}, "sweep must give share different values"),
        ({"share": (0.1, 0.3, 0.5), "times": (1, 2, 3)}, "at most 6 combinations, got 9"),
        ({"share": [0.1]}, "sweep must be a dictionary of str to a tuple of any value"),
    ],
)
def test_a_declaration_that_cannot_be_played_is_refused(sweep, words):
    with pytest.raises(TypeError, match=f"attack reads: .*{words}"):
        attack(
            game=membership,
            access=Access.SCORES,
            term=Term.NOISE,
            modalities=(Modality.VISION,),
            paper="hartley",
            sweep=sweep,
        )(reads)


def test_a_sweep_is_shown_where_a_part_is_shown_and_where_its_row_is(document, store, capsys):
    assert dict(catalog.find("attack", "guesses").sweep) == {"stream": (1, 2, 3, 4, 5, 6)}
    assert hartley(["show", "guesses"]) == 0
    assert "sweep       stream = 1, 2, 3, 4, 5, 6" in capsys.readouterr().out
    row = behind(document, "picky")["adaptive"]["id"]
    assert hartley(["show", document["id"], row, "--store", str(store)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "tuning way=asks_often, of 4 settings on 2 rounds that are not measured" in out
    assert "way=fails: not playable, ZeroDivisionError: on purpose" in out


def test_reports_name_the_setting_in_the_adaptive_cell_and_how_it_was_chosen(document):
    page, table = (render(document, kind) for kind in ("html", "md"))
    bits = behind(document, "picky")["adaptive"]["tuning"]["bits"]
    assert 0.95 < bits <= 1
    words = f"(best of 4 settings on 2 tuning rounds, {bits:.3f} bit there)"
    assert f"n 1 024; with way=asks_often {words}" in page.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert f"n 1 024; with way=asks\\_often {words}" in table
