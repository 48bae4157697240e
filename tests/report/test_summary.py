"""The first screen: each sentence says what a row of the document says, and nothing is left out."""

from __future__ import annotations

import math

import pytest

from hartley.infotheory.binary_channel import bits as channel_bits
from hartley.reference.schema import baseline_rows
from hartley.report import render
from hartley.report.summary import epsilon_of_bits, limited, of_one_training, summary


@pytest.fixture
def run(document):
    return {**document, "channels": baseline_rows(document)}


def _only(run, *attacks, **changes):
    rows = [{**row, **changes} for row in run["channels"] if row["attack"] in attacks]
    return {**run, "channels": rows, "defenses": []}


def test_a_leak_in_words(run):
    words = summary(_only(run, "lira_online", "loss_threshold")).sentences
    assert words == (
        "Someone who sees the model's scores and can train models like it could learn whether a "
        "record was in the training data: at least 21% of a secret that is 1 in 2 "
        "(0.262 bit per record, at least 0.214); 8\u202f000 uses in 16 clusters; by lira_online "
        "(membership).",
        "With one false alarm in a hundred, that attack names 8% of the members, where chance "
        "names 1\u00a0%.",
        "It refutes any claim of differential privacy with ε below 0.71.",
        "For comparison: chance is 0 bits, and no training with pure differential privacy at an ε "
        "below 1.18 can leak 0.214 bit of a fair coin.",
        "“At least” is certified: it holds with 95\u00a0% confidence for what this attack reads. A "
        "better attack may read more.",
    )


def test_no_leak_and_no_answer_in_words(run):
    (row,) = _only(run, "loss_threshold")["channels"]
    silent = {**row, "bits": {**row["bits"], "point": 0.0, "low": 0.0, "high": 0.004}}
    words = summary({**run, "channels": [silent], "defenses": []}).sentences
    assert words[0] == (
        "Of membership, no bit is certified by the 1 attack that was played; their upper ends are "
        "at most 0.004 bit."
    )
    (flagged,) = summary(_only(run, "rmia")).sentences
    assert flagged == "About membership nothing is settled: every row of it is flagged."
    nothing = summary({**run, "channels": [], "defenses": []})
    assert nothing.sentences == ("Nothing was measured, so nothing is known.",)


def test_one_training_certifies_what_rests_on_the_draws_alone(run):
    metrics = {
        "epsilon_lower": 1.95,
        "epsilon_delta": 1e-5,
        "exposure_1_copies": 2.9,
        "exposure_16_copies": 9.5,
        "exposure_unplanted": 1.24,
        "exposure_null": 1.436,
    }
    (row,) = _only(run, "loss_threshold")["channels"]
    row = {**row, "attack": "exposure", "bits": {**row["bits"], "low": 0.0}}
    alone = {"clusters": 1, "unit": "canary", "leakage": 0.65, "metrics": metrics, "planted": True}

    def sentences(**changes):
        return summary({**run, "channels": [{**row, **changes}], "defenses": []}).sentences

    nothing, capacity, epsilon, copies, _ = sentences(**alone)
    assert nothing.startswith("Of membership, no bit is certified")
    assert "certified that exposure read at least 0.650 bit per canary (min-capacity)" in capacity
    assert "privacy about a canary with ε below 1.95 at δ = 1e-05." in epsilon
    assert copies == (
        "Mean exposure: 2.900 bit planted once, 9.500 bit planted 16 times, 1.240 never planted; "
        "chance is 1.436."
    )
    # A terminal, whose table reads [0, ceiling], says the same; of two attacks also how it chose.
    two = [{**row, **alone}, {**row, **alone, "attack": "other", "leakage": 0.5}]
    said = of_one_training({**run, "channels": two})
    assert said[:2] == [capacity, epsilon] and said[3] == copies
    assert said[2].startswith("That is the largest figure of 2 attacks; each of them alone holds")
    two[0]["bits"] = {**row["bits"], "low": 0.2}
    assert of_one_training({**run, "channels": two}) == []
    # Over several trainings, or where nobody drew the secrets, none of these is said.
    for change in ({"clusters": 4}, {"planted": False}, {"flags": ["x"]}):
        lines = sentences(**{**alone, **change})
        assert not any("min-capacity" in line or "ε" in line for line in lines)


def test_what_did_not_run_has_its_cure(run):
    rows = {row["attack"]: row for row in run["channels"]}
    missing = {
        **rows["canary_exposure"],
        "attack": "lira",
        "cause": "access",
        "reason": "needs train; the model of mine offers labels, scores",
    }
    run["channels"] += [missing, {**missing, "attack": "rmia2"}]
    gaps = summary(run).gaps
    assert gaps == (
        "last_layer failed: answered with NaN <b>twice</b>.",
        "lira, rmia2 did not run: needs train; the model of mine offers labels, scores; they need "
        "your training: give Hartley a function that trains the model.",
    )
    page = render({**run, "channels": run["channels"]}, "html")
    # What does not fit is one line with a count.
    assert "1 more do not fit" in page
    assert "lira, rmia2 did not run" in page


def test_what_to_do_names_defenses_with_their_effect_where_it_was_measured(run):
    actions = summary(run).actions
    measured = next(a for a in actions if "behind dp_sgd" in a)
    assert "the widest is lira_online with 0.004 bit, of an attacker who knows of it" in measured
    assert "0.972 [0.951, 0.986], n 360 → 0.871 [0.832, 0.903], n 360" in measured
    others = next(a for a in actions if a.startswith("Against membership, not measured here"))
    assert "dp_sgd" not in others
    assert "memguard" in others


def test_a_defense_that_the_scene_cannot_take_is_an_action_for_a_training_of_the_owner(run):
    run["scene"]["fitting"] = ["memguard", "rounding"]
    del run["defenses"][:]
    here, elsewhere = (a for a in summary(run).actions if a.startswith("Against membership"))
    assert "memguard" in here and 'use = ["memguard"]' in here and "dp_sgd" not in here
    assert "in a training of your own, which this run cannot change" in elsewhere
    assert "dp_sgd" in elsewhere and "hartley compare" in elsewhere and "rounding" not in elsewhere


def test_the_effect_is_that_on_the_attack_that_reads_most_behind_the_defense(run):
    """A defense that stops one attack and leaves another is as good as what it leaves."""
    defense = next(d for d in run["defenses"] if d["name"] == "dp_sgd")
    stopped = next(iter(defense["residual"].values()))
    weak = next(row for row in run["channels"] if row["attack"] == "loss_threshold")
    left = {"point": 0.04, "low": 0.02, "high": 0.06, "n": 100}
    defense["residual"][weak["id"]] = {**stopped, "attack": "loss_threshold", "adaptive": left}
    action = next(a for a in summary(run).actions if "behind dp_sgd" in a)
    assert "the widest is loss_threshold with 0.040 bit" in action


def test_the_verdict_names_the_widest_that_no_limit_speaks_of(run):
    assert limited(run).startswith("The limits speak of 4 of 10 measured channels. The widest ")
    assert "substitution_break (decryption): at least 100%" in limited(run)
    every = [{"row": row["id"], "status": "pass", "reason": ""} for row in run["channels"]]
    assert limited({**run, "verdict": {"checks": every}}) == (
        "The limits speak of 10 of 10 measured channels."
    )
    assert not limited({**run, "verdict": {"checks": []}})
    for format in ("html", "md", "junit", "sarif"):
        assert "speak of 4 of 10 measured channels" in render(run, format), format


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
def test_the_anchor_is_the_epsilon_of_randomised_response(epsilon):
    right = 1 / (1 + math.exp(-epsilon))
    assert epsilon_of_bits(float(channel_bits(right, 1 - right))) == pytest.approx(
        epsilon, rel=1e-6
    )


def test_axes_on_which_nothing_was_measured_are_one_line(run):
    page = render(_only(run, "lira_online"), "html")
    assert "Nothing was measured on data → data, data → model, model → model." in page
    assert page.count('<section class="model_to_data"') == 1
    assert '<section class="data_to_data"' not in page
