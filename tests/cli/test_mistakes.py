"""Mistakes of the user, by the real command: one line, exit 2, and before anything runs."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("asess",), 'Did you mean "assess"'),
        (("assess", "--scen", "digits"), "Did you mean --scene"),
        (("assess",), "give a PLAN.toml"),
        (("assess", "--scene", "digts"), "did you mean digits"),
        (("assess", "--scene", "live:menbership"), "did you mean live:membership"),
        (("assess", "--scene", "digits", "--only", "lirra"), "did you mean lira"),
        (("assess", "--scene", "digits", "--seed", "x"), "--seed"),
        (("assess", "--scene", "digits", "--seed", "1.5"), "must be a whole number, got '1.5'"),
        (("assess", "--scene", "digits", "--seed", "-1"), "--seed must be at least 0, got -1"),
        (("assess", "--scene", "digits", "--executor", "loca"), "did you mean local"),
        (("assess", "demoo"), "did you mean demo"),
        (("assess", "gone.toml"), "cannot read the plan"),
        (("assess", "--remeasure", "x", "--scene", "digits"), "--remeasure measures a stored run"),
        (("assess", "--remeasure", "x"), "holds no runs"),
        (("attack", "lirra", "--scene", "digits"), "did you mean lira"),
        (("attack", "lira"), "--scene"),
        (("attack", "honest", "--scene", "live:membership", "--noise", "much"), "--noise"),
        (("attack", "honest", "--scene", "live:membership", "--times", "1.5"), "--times"),
        (("attack", "honest", "--scene", "live:membership", "--noize", "1"), "--noise"),
        (("attack", "honest", "--scene", "live:membership", "--alpha", "2"), "--alpha"),
        (("list", "atacks"), "did you mean attacks"),
        (
            ("attack", "lira", "--scene", "live:membership", "--set", "membership.rounds=2"),
            "got membership.rounds; set it with --game-rounds",
        ),
        (
            ("attack", "lira", "--scene", "live:membership", "--set", "references=2"),
            "got references; set it with --references",
        ),
        (("show", "latest"), "holds no runs"),
        (("show", "los_threshold"), "did you mean loss_threshold"),
        (("gate", "x", "--limits", "0.05"), "must be a file with a table [limits], got 0.05"),
        (("assess", "demo", "--only", "lira", "rmia"), "takes several as --only lira,rmia"),
        (("assess", "demo", "--only", "lira,rmai"), "no attack named 'rmai'"),
        (("evidence", "x", "--for", "edpb,nits"), "did you mean nist?"),
        (("guard", "guard.toml", "check"), "check comes first, then what it is about"),
        (("guard", "chek", "guard.toml"), "did you mean check?"),
        (("report", "x"), "holds no runs"),
        (("report", "x", "--format", "pdf"), "pdf"),
        (("pack", "get", "fashion-mnits"), "did you mean fashion-mnist"),
        (("measure", "gone.csv"), "gone.csv"),
        (("new", "attack", "Bad-Name"), "small letters, digits and _, got 'Bad-Name'"),
        (("new", "attack", "lira"), "there is already an attack named 'lira'"),
        (("new", "attack", "mine", "--game", "menbership"), "did you mean membership"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(call, words, said):
    done = call(*words)
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert said in lines[-1] and lines[-1].startswith("hartley: "), done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert len([line for line in lines if line.startswith("hartley: ")]) == 1


def test_a_malformed_plan_says_line_and_column(call, tmp_path):
    (tmp_path / "bad.toml").write_text('scene = "digits"\nseed = = 1\n')
    done = call("assess", "bad.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("hartley: bad.toml: line 2, column 8: this value must be a ")
    assert done.stderr.count("\n") == 1


MISSPELT = [
    (
        "[games.membership]\nround = 2",
        "the game 'membership' has no parameter 'round'; did you mean ",
    ),
    ("[games.membership]\nrounds = 2.5", "rounds must be a whole number from 0 to 10000, got 2.5"),
    ("[games.membership]\nrounds = -2", "membership: rounds must be from 0 to 10000, got -2"),
    ("[games.poisoning]\nslots = true", "slots must be a whole number at least 1, got True"),
    ('only = ["contact_infill"]\n[games.memorization]\nform = "contact"', "did you mean contacts?"),
    ("[games.inversion]\nrounds = 4", "inversion is a class; its games are attribute_inference,"),
    ("[attacks.loss_threshold]\nflor = 1", "did you mean floor?"),
    ('[attacks.entropy_metrics]\nmetric = "modifed"', "got 'modifed'; did you mean modified?"),
    ("[attacks.lira]\nmark = 1", "the attack 'lira' has no parameter 'mark'"),
    ("[defenses.rounding]\ndigitz = 2", "did you mean digits?"),
    (
        "[defenses]\nuse = ['rounding']\n[defenses.rounding]\ndigits = 'a'",
        "digits must be a whole number",
    ),
    ("[defenses.rounding]\ndigits = 2", "add 'rounding' to defenses.use"),
    ("[defenses]\nused = ['rounding']", "did you mean defenses.use?"),
    (
        "[defenses]\nuse = ['rounding(digits=2)']",
        "got 'rounding(digits=2)'; set its parameters in [defenses.rounding]",
    ),
    ("[scenes.digits]\nepoch = 2", "did you mean epochs?"),
    ('[scenes."live:membershi"]', "did you mean live:membership"),
    ('[scenes."live:membership"]\nx = 1', "takes no parameters"),
]


@pytest.mark.parametrize(("table", "said"), MISSPELT)
def test_a_wrong_parameter_of_a_plan_is_told_before_anything_runs(call, tmp_path, table, said):
    """Also of a part that the plan does not use: it was meant to be used."""
    (tmp_path / "plan.toml").write_text(f'scene = "live:membership"\n{table}\n')
    done = call("assess", "plan.toml", "--workers", "0")
    assert done.returncode == 2 and said in done.stderr, done
    assert done.stderr.startswith("hartley: ") and done.stderr.count("\n") == 1
    assert done.stdout == "" and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_value_that_only_the_scene_can_judge_exits_2_and_shows_the_rest(call, tmp_path, workers):
    (tmp_path / "plan.toml").write_text(
        'scene = "live:membership:tabular"\n'
        'only = ["loss_threshold", "label_only_membership", "honest"]\n'
        '[attacks.label_only_membership]\nmethod = "shift"\n[attacks.honest]\ntimes = -1\n'
        "[executor]\nisolate = false\n"
    )
    done = call("assess", "plan.toml", "--workers", workers)
    assert done.returncode == 2, done
    assert "loss_threshold" in done.stdout and "FAILED" not in done.stdout
    assert "must be pictures" not in done.stdout and "verdict: inconclusive" in done.stdout
    *_, kept, line = done.stderr.splitlines()
    assert kept.startswith("kept in runs/")
    assert line.startswith("hartley: the attack 'label_only_membership' cannot be played: rec")
    assert done.stderr.count("hartley: ") == 1
    (path,) = tmp_path.glob("runs/*/run.json")
    rows = {r["attack"]: r for r in json.loads(path.read_text())["channels"]}
    assert rows["loss_threshold"]["status"] == "measured"
    assert rows["label_only_membership"]["status"] == "failed"
    again = call("assess", "plan.toml", "--workers", "0", "--json")
    assert again.returncode == 2 and json.loads(again.stdout)["channels"] == list(rows.values())


OUTSIDE = {
    "[attacks.lira]\nreferences = 1": "lira: references must be from 2 to 512, got 1",
    "[games.membership]\ngroup = -2": "membership: group must be at least 0, got -2",
    "[defenses.rounding]\ndigits = -5": "rounding: digits must be from 0 to 15, got -5",
    "[defenses.dp_sgd]\nepsilon = -1": "dp_sgd: epsilon must be above 0, got -1",
    "[scenes.digits]\nrecords = 3000": "digits: records must be from 2 to 900, got 3000",
}


def test_values_outside_their_ranges_are_refused_at_once_before_anything_runs(call, tmp_path):
    (tmp_path / "plan.toml").write_text('scene = "live:membership"\n' + "\n".join(OUTSIDE))
    done = call("assess", "plan.toml")
    assert done.returncode == 2 and done.stdout == "" and not (tmp_path / "runs").exists()
    assert done.stderr.splitlines() == [f"hartley: {line}" for line in OUTSIDE.values()]


def test_what_a_defense_cannot_do_in_this_combination_is_one_line(call, tmp_path):
    (tmp_path / "plan.toml").write_text(
        'scene = "live:membership"\nonly = ["loss_threshold"]\n'
        '[defenses]\nuse = ["selena"]\n[defenses.selena]\nparts = 3\napart = 9\n'
    )
    done = call("assess", "plan.toml", "--workers", "0")
    assert done.returncode == 2 and "loss_threshold" in done.stdout, done
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("hartley: ")]
    assert line.startswith(
        "hartley: the defense 'selena' cannot be applied: selena: apart must be below"
    )


def test_a_complaint_of_a_scene_is_told_once_and_the_gate_stays_shut(call, tmp_path):
    (tmp_path / "plan.toml").write_text(
        'scene = "owned"\nonly = ["membership", "extraction"]\n[scenes.owned]\nfault = "few"\n'
        '[defenses]\nuse = ["rounding"]\n[limits]\nmembership = 1.0\n'
    )
    done = call("assess", "plan.toml", "--workers", "0", "-v")
    assert done.returncode == 2, done
    words = "must have at least 20 members, got 12"
    assert words not in done.stdout and "FAILED" not in done.stdout
    assert "knockoff" in done.stdout and "verdict: inconclusive" in done.stdout
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("hartley: ")]
    assert line.startswith("hartley: the game 'membership' cannot be played: ") and words in line
    assert line == done.stderr.splitlines()[-1] and done.stderr.count(words) == 2  # and its row
    gate = call("gate", "latest", "--limits", "plan.toml")
    assert gate.returncode == 3 and words in gate.stdout


@pytest.mark.parametrize("verb", ["assess", "attack"])
def test_a_model_that_cannot_read_the_records_is_refused_before_it_is_asked(call, tmp_path, verb):
    words = ("--only", "membership") if verb == "assess" else ("loss_threshold",)
    done = call(verb, *words, "--scene", "misread")
    assert done.returncode == 2 and done.stdout == "" and not (tmp_path / "runs").exists()
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("hartley: ")]
    assert line.endswith(
        "records of train in the scene misread must have 7 numbers each, "
        "because the model DecisionTreeClassifier reads that many, got 4"
    )
