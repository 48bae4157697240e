"""What the gate knows of the plan: weaker play, attacks left out and loose levels do not pass."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from hartley.core.errors import BadPlan, UnknownName
from hartley.engine.plan.plan import normalised, parse
from hartley.engine.result.departures import departures_of, words_of
from hartley.engine.result.gate import judge
from hartley.report import render

QUIET = 'scene = "dead:membership"\nonly = ["loss_threshold"]\n[executor]\nworkers = 0\n'
ENOUGH = '[limits.least]\nattacks = ["loss_threshold"]\n'


@pytest.fixture
def assessed(call, tmp_path):
    """Assess a plan given as text; return the answer and the run document."""

    def run(text, *words):
        (tmp_path / "plan.toml").write_text(text)
        done = call("assess", "plan.toml", "--json", *words)
        return done, json.loads(done.stdout)

    return run


def departures(document):
    return "\n".join(document["verdict"]["departures"])


def test_a_plan_of_one_attack_passes_only_where_the_limits_say_that_it_is_enough(assessed, call):
    done, document = assessed(QUIET + "[limits]\nmembership = 1.0\n")
    assert done.returncode == 3
    (reason,) = [c["reason"] for c in document["verdict"]["checks"] if "row" not in c]
    assert reason.startswith("membership: the plan leaves out ") and " rmia, " in reason
    assert reason.endswith('such as [limits.least] attacks = ["loss_threshold"]')
    assert "compression" not in reason and "min_k" not in reason  # the scene cannot carry them
    assert "the plan leaves out what fits the scene: " in departures(document)
    done, document = assessed(QUIET + "[limits]\nmembership = 1.0\n" + ENOUGH)
    assert done.returncode == 0
    assert "calibrated_loss" in departures(document)  # accepted, and named all the same
    done = call("assess", "plan.toml")
    assert "played otherwise than shipped:\n  the plan leaves out what fits" in done.stdout
    done, _ = assessed(QUIET + '[limits]\n"attack:loss_threshold" = 1.0\n')
    assert done.returncode == 0  # a limit on the attack asks for no other
    both = ENOUGH.replace('["loss', '["rmia", "loss')
    done, document = assessed(QUIET + "[limits]\nmembership = 1.0\n" + both)
    assert done.returncode == 3
    assert "membership: the limits ask for rmia (left out by the plan: only loss_threshold)" in (
        "\n".join(document["verdict"]["reasons"])
    )


def test_a_plan_of_chains_alone_is_not_a_plan_of_the_class():
    document = {"plan": {"only": ["chains"]}, "channels": [row("loss_threshold")]}
    assert judge(document, {"membership": 1.0}).status == "inconclusive"
    assert judge(document, {"attack:loss_threshold": 1.0}).status == "pass"
    least = parse("[limits]\nmembership = 1.0\n" + ENOUGH).least
    assert judge(document, {"membership": 1.0}, least=least).status == "pass"


def row(attack, **more):
    return {
        "id": f"{attack}-0a1b2c",
        "baseline": True,
        "attack": attack,
        "game": "membership",
        "axis": "model_to_data",
        "status": "measured",
        "reason": None,
        "cause": None,
        "flags": [],
        "bits": {"low": 0.0, "high": 0.01, "point": 0.0, "alpha": 0.05},
        "ceiling": 1.0,
        "metrics": {},
        "n": 400,
        "clusters": 8,
        "rounds": 8,
        **more,
    }


@pytest.mark.parametrize(
    ("only", "settings", "words", "least"),
    [
        (
            "exposure",
            "[games.memorization]\nrepeats = 0\n",
            "the game memorization was dealt with repeats = 0 (shipped: 8)",
            "repeats = 0",
        ),
        (
            "lira",
            "[attacks.lira]\nreferences = 2\n",
            "lira was played with references = 2 (shipped: 64)",
            "references = 2",
        ),
        (
            "entropy_metrics",
            '[attacks.entropy_metrics]\nmetric = "correctness"\n',
            'entropy_metrics was played with metric = "correctness" (shipped: "modified")',
            'metric = "correctness"',
        ),
        (
            "loss_threshold",
            "budget = 100000\n",
            "the plan sets budget = 100000 (shipped: none)",
            "budget = 100000",
        ),
    ],
)
def test_a_weaker_setting_does_not_pass_until_the_limits_state_it(
    assessed, only, settings, words, least
):
    game = "memorization" if only == "exposure" else "membership"
    top = settings if settings.startswith("budget") else ""
    text = f'{top}scene = "dead:{game}"\nonly = ["{only}"]\n[executor]\nworkers = 0\n'
    text += (
        "" if top else settings
    ) + f'[limits]\n{game} = 9\n[limits.least]\nattacks = ["{only}"]\n'
    done, document = assessed(text)
    (check,) = document["verdict"]["checks"]
    assert (done.returncode, check["status"]) == (3, "inconclusive"), check
    assert f"within the limit 9, but {words}; play it as shipped" in check["reason"]
    assert check["reason"].endswith(f"[limits.least] {least}")
    assert words in departures(document)
    for format in ("html", "md", "sarif", "junit"):
        text_of_report = re.sub(r"\\(?=[\[\]_\"])", "", unescape(render(document, format)))
        assert words in text_of_report and check["reason"] in text_of_report, format
    done, document = assessed(text + least)
    assert done.returncode == 0 and words in departures(document)


def test_stronger_settings_seeds_and_sweeps_that_hold_the_shipped_one_pass(assessed):
    text = QUIET.replace("[exec", "seed = 3\n[exec").replace("loss_threshold", "rmia")
    text += "[attacks.rmia]\nreferences = [2, 64, 66]\n[limits]\nmembership = 1.0\n"
    done, document = assessed(text + '[limits.least]\nattacks = ["rmia"]\n')
    assert done.returncode == 0, document["verdict"]["reasons"]
    assert "references = 2 " in departures(document) and "66" not in departures(document)
    # The floor moves up with what the limits state.
    done, document = assessed(text + '[limits.least]\nattacks = ["rmia"]\nreferences = 80\n')
    assert done.returncode == 3
    assert "was played with references = 66, not 80, as the limits ask" in (
        "\n".join(document["verdict"]["reasons"])
    )
    part = (
        '[limits.least]\nattacks = ["rmia"]\nreferences = 80\n[limits.least.rmia]\nreferences = 3'
    )
    assert assessed(text + part)[0].returncode == 0


def test_a_zero_that_takes_a_number_from_elsewhere_is_written_as_what_it_means():
    changed = {"kind": "scene", "name": "own_network", "setting": "references", "value": 16}
    assert words_of({**changed, "shipped": 0}).endswith(
        "built with references = 16 (shipped: as many as each attack says)"
    )
    assert words_of({**changed, "setting": "epochs", "shipped": 0}).endswith("(shipped: 0)")


def test_a_level_above_five_percent_settles_nothing_within_a_limit(assessed, call, tmp_path):
    text = "alpha = 0.49\n" + QUIET + "[limits]\nmembership = 1.0\n" + ENOUGH
    done, document = assessed(text)
    assert done.returncode == 3
    (check,) = document["verdict"]["checks"]
    assert check["reason"].endswith(
        "but its interval is at alpha = 0.49, and a pass needs at most 0.05"
    )
    assert "the plan sets alpha = 0.49 (shipped: 0.05)" in departures(document)
    # A leak is over its limit at the level of the gate, whatever the level of the row.
    loud = text.replace("dead:", "live:").replace("= 1.0", "= 0.1")
    done, document = assessed(loud)
    assert done.returncode == 1 and document["verdict"]["level"] == 0.05
    assert document["verdict"]["checks"][0]["p"] <= 0.05
    (tmp_path / "limits.toml").write_text(
        "[limits]\nmembership = 1.0\n[limits.least]\nalpha = 0.01"
    )
    assessed(QUIET)
    gate = call("gate", "latest", "--limits", "limits.toml")
    assert gate.returncode == 3 and "alpha = 0.05, and a pass needs at most 0.01" in gate.stdout


@pytest.mark.parametrize(
    ("least", "words"),
    [
        ("uses = 10000000", "has 2"),
        ("clusters = 500", "clusters, not 500"),
        ("rounds = 500", "rounds, not 500"),
    ],
)
def test_the_limits_say_how_many_trials_a_row_must_have(assessed, call, tmp_path, least, words):
    assessed(QUIET)
    limits = "[limits]\nmembership = 1.0\n" + ENOUGH
    for text, code in ((limits, 0), (limits + least, 3)):
        (tmp_path / "limits.toml").write_text(text)
        gate = call("gate", "latest", "--limits", "limits.toml")
        assert gate.returncode == code, gate.stdout
    assert "within the limit 1, but has " in gate.stdout and words in gate.stdout


def test_another_scene_than_the_limits_are_about_does_not_pass(assessed, call, tmp_path):
    scene = 'scene = "digits"\n[scenes.digits]\nepochs = 0\nrecords = 60\n'
    text = 'scene = "digits"\nonly = ["loss_threshold"]\n[executor]\nworkers = 0\n'
    text += scene.split("\n", 1)[1] + "[games.membership]\nrounds = 2\n"
    done, document = assessed(text)
    words = "the scene digits was built with epochs = 0 (shipped: 60)"
    assert done.returncode == 0 and words in departures(document)
    limits = "[limits]\nmembership = 1.0\n" + ENOUGH
    answers = {
        limits: (3, f"{words}: limits that are about this scene must name it"),
        scene + limits: (0, words),
        scene.replace("epochs = 0", "epochs = 3") + limits: (3, "built with epochs = 0, not 3"),
        'scene = "digits"\n' + limits: (3, "built with epochs = 0, not 60, records = 60, not 900"),
    }
    for text, (code, reason) in answers.items():
        (tmp_path / "limits.toml").write_text(text)
        gate = call("gate", "latest", "--limits", "limits.toml")
        assert (gate.returncode, reason in gate.stdout) == (code, True), gate.stdout


@pytest.mark.parametrize(
    ("least", "words"),
    [
        ("least = 3", "limits.least must be a table"),
        ("least.attacks = 3", "limits.least.attacks must be a list of names of attacks, got 3"),
        ("least.attacks = ['liraa']", "did you mean lira"),
        ("least.attacks = ['exposure']", "must be about attacks that a limit covers, got 'expos"),
        (
            "least.alpha = 2026-11-29",
            'limits.least.alpha must be above 0 and at most 0.05, got "20',
        ),
        ("least.alpha = nan", "at most 0.05, got NaN"),
        ("least.attacks = [2026-11-29]", "must be a list of names of attacks"),
        ("least.alpha = 0.2", "limits.least.alpha must be above 0 and at most 0.05, got 0.2"),
        ("least.uses = 0", "limits.least.uses must be a whole number of at least 1, got 0"),
        ("least.rounds = true", "must be a whole number of at least 1"),
        ("least.referenes = 4", "limits.least.referenes must be about a parameter"),
        ("least.references = 'x'", "references must be a whole number"),
        ("least.liraa.references = 4", "did you mean lira?"),
        ("least.lira.repeats = 4", "limits.least.lira.repeats must be about a parameter"),
        ("least.lira.references = 1", "references must be from 2 to 512, got 1"),
    ],
)
def test_mistakes_in_the_table_are_one_line(least, words):
    with pytest.raises((BadPlan, UnknownName)) as error:
        parse(f"[limits]\nmembership = 1\n{least}\n")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_plan_keeps_its_table_when_it_is_written():
    text = '[limits]\nmembership = 1\n[limits.least]\nattacks = ["lira"]\nalpha = 0.01\nuses = 5\n'
    text += 'budget = 7\nreferences = 4\nmetric = "entropy"\n[limits.least.rmia]\ngamma = 2.0\n'
    plan = parse(text)
    assert parse(normalised(plan)).least == plan.least and plan.least.alpha == 0.01


def test_a_run_of_an_older_version_is_held_against_the_declarations_of_today():
    stage = {"attack": "lira", "game": "membership", "params": {"references": 2}, "game_params": {}}
    old = row("lira", experiment={"stages": [stage]})
    verdict = judge({"channels": [old]}, {"membership": 1.0})
    assert verdict.status == "inconclusive"
    assert "lira was played with references = 2 (shipped: 64)" in verdict.departures


def test_settings_that_a_plan_gives_to_several_attacks_are_one_line():
    def played(attack, count):
        params = {"count": count}
        stage = {"attack": attack, "game": "poisoning", "params": params, "game_params": {}}
        return row(attack, id=f"{attack}-{count}", experiment={"stages": [stage]})

    rows = [played(a, n) for a in ("badnets", "blended") for n in (4, 16, 64)]
    departures = judge({"channels": rows}, {"membership": 1.0}).departures
    counts = [words for words in departures if "count" in words]
    assert counts == ["badnets, blended were played with count = 4, 16 and 64 (shipped: 0)"]
    rows.append(played("label_flip", 4))
    departures = judge({"channels": rows}, {"membership": 1.0}).departures
    assert "label_flip was played with count = 4 (shipped: 0)" in departures


def test_zero_is_worded_where_it_means_another_number():
    """A game whose rounds are 0 is dealt as often as its scene says."""
    rounds = {"kind": "game", "name": "gradient_inversion", "setting": "rounds", "value": 12}
    words = "the game gradient_inversion was dealt with rounds = 12"
    assert words_of({**rounds, "shipped": 0}) == f"{words} (shipped: the scene's own number)"
    assert words_of({**rounds, "shipped": 16}) == f"{words} (shipped: 16)"
    stage = {"attack": "loss_threshold", "params": {}, "game": "membership"}
    (departure,) = departures_of([{**stage, "game_params": {"targets": 9}}])
    assert words_of(departure).endswith("targets = 9 (shipped: all records)")
