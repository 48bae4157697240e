"""The first screen: each sentence says what a row of the document says, and nothing is left out."""

from __future__ import annotations

import math

import pytest

from hartley.channel.trials.split_quality import BLIND
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
        "With one false alarm in a hundred, lira_online names 8% [6%, 10%] of the members, where "
        "chance names 1\u00a0%.",
        "It refutes any claim of differential privacy with ε below 0.71.",
        "For comparison: chance is 0 bits, and no training with pure differential privacy at an ε "
        "below 1.18 can leak 0.214 bit of a fair coin.",
        "“At least” is certified: it holds with 95\u00a0% confidence for one row, for what its "
        "attack reads. A better attack may read more.",
    )


@pytest.mark.parametrize(
    ("game", "does"),
    [
        ("jailbreak", "makes the model give what it was made to withhold"),
        ("class_unblocking", "makes the model give what it was made to withhold"),
        ("evasion", "gets messages of their own into the system's behaviour"),
    ],
)
def test_what_an_injected_message_does_is_said_by_its_game(run, game, does):
    some = _only(run, "lira_online", role="inject", game=game, **{"class": "jailbreak"})
    assert f"{does} (jailbreak): at least 21%" in summary(some).sentences[0]


def _with_lows(row, fall=0.8):
    """A row with lower ends at falling error levels, as one that was measured has them."""
    low = row["bits"]["low"]
    lows = [[0.05 / 2**k, low * fall**k] for k in range(13)]
    return {**row, "bits": {**row["bits"], "lows": lows}}


def test_the_widest_of_many_rows_has_a_bound_at_the_level_of_all(run):
    rows = [_with_lows(row) for row in _only(run, "lira_online", "loss_threshold")["channels"]]
    *_, last = summary({**run, "channels": rows, "defenses": []}).sentences
    assert last == (
        "What is named is the widest of 2 rows: at the level of all of them together, lira_online "
        "at least 0.171 bit."
    )


def test_an_attacker_with_less_is_named_who_reads_nearly_as_much(run):
    strong, weak = _only(run, "lira_online", "loss_threshold")["channels"][::-1]
    weak = {**weak, "bits": {**weak["bits"], "low": 0.2}}
    words = summary({**run, "channels": [strong, weak], "defenses": []}).sentences
    assert words[1] == (
        "Someone who sees the model's scores reads at least 20% of a secret that is 1 in 2, by "
        "loss_threshold."
    )
    weak = {**weak, "bits": {**weak["bits"], "low": 0.1}}
    words = summary({**run, "channels": [strong, weak], "defenses": []}).sentences
    assert not any("loss_threshold" in line for line in words)


def test_a_rate_at_rare_alarms_that_too_few_records_give_is_not_printed(run):
    (row,) = _only(run, "lira_online")["channels"]
    rate = {"value": 0.24, "low": 0.0, "high": 1.0, "n": 48}
    row = {**row, "metrics": {**row["metrics"], "tpr_at_fpr_1e2": rate}}
    words = summary({**run, "channels": [row], "defenses": []}).sentences
    assert words[1] == (
        "How many members lira_online names with one false alarm in a hundred is not known from "
        "these few records."
    )


def test_where_nothing_is_certified_no_at_least_is_explained_and_a_difference_is_named(run):
    (row,) = _only(run, "loss_threshold")["channels"]
    bits = {**row["bits"], "point": 0.01, "low": 0.0, "high": 0.04}
    words = summary({**run, "channels": [{**row, "bits": bits}], "defenses": []}).sentences
    assert not any("At least" in line for line in words)
    assert words[-1] == "A better attack may read more."
    area = {"value": 0.57, "low": 0.54, "high": 0.6, "n": 800, "lows": [[0.05, 0.54], [0.01, 0.52]]}
    row = {**row, "bits": bits, "metrics": {"auc": area}}
    words = summary({**run, "channels": [row], "defenses": []}).sentences
    assert (
        "A difference shows all the same: the AUC of loss_threshold is 0.570 [0.540, 0.600]"
        in (words[1])
    )
    # Of so many rows one is as far from ½ by chance.
    rows = [{**row, "id": f"{k}"} for k in range(9)]
    words = summary({**run, "channels": rows, "defenses": []}).sentences
    assert not any("difference" in line for line in words)


def test_a_flawed_split_says_why_and_what_it_cannot_explain(run):
    (row,) = _only(run, "lira_online")["channels"]
    blind = {"value": 0.58, "low": 0.56, "high": 0.6, "n": 600}
    flag = f"{BLIND} separates members from non-members"
    row = {**row, "flags": [flag], "metrics": {**row["metrics"], "blind_auc": blind}}

    def first(low, **changes):
        value = {**row["bits"], "low": low}
        return summary({**run, "channels": [{**row, "bits": value, **changes}]}).sentences[0]

    assert (
        first(0.1) == f"About membership nothing is settled: every row of it is flagged ({flag})."
    )
    assert first(0.688) == (
        "About membership, members and others differ without any model, which could explain 0.200 "
        "bit; lira_online certifies 0.688, so that at least 0.488 bit per record is a leak."
    )
    assert first(0.688, flags=[flag, "x"]).startswith("About membership nothing is settled")


def test_no_leak_and_no_answer_in_words(run):
    (row,) = _only(run, "loss_threshold")["channels"]
    silent = {**row, "bits": {**row["bits"], "point": 0.0, "low": 0.0, "high": 0.004}}
    words = summary({**run, "channels": [silent], "defenses": []}).sentences
    assert words[0] == (
        "Of membership, no bit is certified by the 1 attack that was played; its upper end is "
        "0.004 bit."
    )
    (flagged,) = summary(_only(run, "rmia")).sentences
    assert flagged == (
        "About membership nothing is settled: every row of it is flagged (its null arm reads 0.041 "
        "bit)."
    )
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
    # Canaries are two classes of one training, which is introduced once.
    other = {**row, **alone, "attack": "loss", "class": "memorization", "game": "memorization"}
    for lines in (
        of_one_training({**run, "channels": [two[0], other]}),
        summary({**run, "channels": [two[0], other], "defenses": []}).sentences,
    ):
        assert sum("One training certifies no mean" in line for line in lines) == 1
        assert sum(line.startswith("Of the same training it is") for line in lines) == 1
    two[0]["bits"] = {**row["bits"], "low": 0.2}
    assert of_one_training({**run, "channels": two}) == []
    # Over several trainings, or where nobody drew the secrets, none of these is said.
    for change in ({"clusters": 4}, {"planted": False}, {"flags": ["x"]}):
        lines = sentences(**{**alone, **change})
        assert not any("min-capacity" in line or "ε" in line for line in lines)


def test_an_endpoint_that_answers_equal_requests_differently_is_named(run):
    name = "log-probabilities of the endpoint, asked twice"
    apart = "up to 0.12 nats a token apart: another run reads other numbers"
    words = f"Equal requests had unlike answers: log-probabilities of the endpoint are {apart}."
    for fact, expected in ((apart, [words]), ("the same", [])):
        document = {**run, "scene": {**run["scene"], "facts": {name: fact, "records": 9}}}
        sentences = summary(document).sentences
        assert [s for s in sentences if s.startswith("Equal requests")] == expected
        assert (words in render(document, "md")) == bool(expected)


def test_records_that_look_swapped_are_named(run):
    """More than chance: of 280 records .954 against 1 is three deviations and more, .99 is not."""
    for train, test, expected in ((0.954, 1.0, True), (0.98, 0.99, False), (1.0, 0.954, False)):
        facts = {"train accuracy": train, "test accuracy": test, "records": 280}
        document = {**run, "scene": {**run["scene"], "facts": facts}}
        named = [s for s in summary(document).sentences if "were the two swapped?" in s]
        assert len(named) == expected
        assert ("were the two swapped?" in render(document, "md")) == expected


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
    assert "the widest is lira_online with 0.004 bit [0.000, 0.012], of an attacker" in measured
    assert "who knows of it" in measured
    assert "0.972 [0.951, 0.986], n 360 → 0.871 [0.832, 0.903], n 360" in measured
    others = next(a for a in actions if a.startswith("Against membership, not measured here"))
    assert "dp_sgd" not in others
    assert "memguard" in others


def test_a_defense_that_the_scene_cannot_take_is_an_action_for_a_training_of_the_owner(run):
    run["scene"]["fitting"] = ["memguard", "rounding"]
    del run["defenses"][:]
    here, elsewhere = (a for a in summary(run).actions if a.startswith("Against membership"))
    assert "--defense memguard" in here and 'use = ["memguard"]' in here and "dp_sgd" not in here
    assert "in a training of your own, which this run cannot change" in elsewhere
    assert "dp_sgd" in elsewhere and "hartley compare" in elsewhere and "rounding" not in elsewhere


def test_an_estimator_is_not_told_to_train_as_networks_do(run):
    run["scene"]["fitting"] = ["memguard"]
    run["plan"] = {**run["plan"], "scene": "own_table"}
    del run["defenses"][:]
    actions = summary(run).actions
    (elsewhere,) = (a for a in actions if "in a training of your own" in a and "membership" in a)
    assert "regularise the estimator more" in elsewhere and "dp_sgd" not in elsewhere


def test_the_effect_is_that_on_the_attack_that_reads_most_behind_the_defense(run):
    """A defense that stops one attack and leaves another is as good as what it leaves."""
    defense = next(d for d in run["defenses"] if d["name"] == "dp_sgd")
    stopped = next(iter(defense["residual"].values()))
    weak = next(row for row in run["channels"] if row["attack"] == "loss_threshold")
    left = {"point": 0.04, "low": 0.02, "high": 0.06, "n": 100}
    defense["residual"][weak["id"]] = {**stopped, "attack": "loss_threshold", "adaptive": left}
    action = next(a for a in summary(run).actions if "behind dp_sgd" in a)
    assert "the widest is loss_threshold with 0.040 bit [0.020, 0.060]" in action
    # The one that looks smaller is less well known: it may read more in truth.
    defense["residual"][weak["id"]]["adaptive"] = {**left, "point": 0.003, "high": 0.5}
    action = next(a for a in summary(run).actions if "behind dp_sgd" in a)
    assert "the widest is lira_online with 0.004 bit [0.000, 0.500]" in action
    assert "that it lessens the leak is not shown" in action


def test_a_defense_that_lowers_no_utility_costs_none(run):
    defense = next(d for d in run["defenses"] if d["name"] == "dp_sgd")
    better = {"value": 0.61, "low": 0.54, "high": 0.68, "n": 200}
    worse = {"value": 0.565, "low": 0.49, "high": 0.64, "n": 200}
    defense["utility"] = {"accuracy": {"before": worse, "after": better}}
    action = next(a for a in summary(run).actions if "behind dp_sgd" in a)
    assert "it does not lower accuracy 0.565" in action and "costs" not in action


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


def test_what_one_training_certifies_has_a_bound_at_the_level_of_all_its_attacks(run):
    (row,) = _only(run, "loss_threshold")["channels"]
    lows = [[0.05 / 2**k, 2.0 * 0.9**k] for k in range(13)]
    metrics = {"epsilon_lower": 2.0, "epsilon_delta": 1e-5}
    row = {
        **{**row, "bits": {**row["bits"], "low": 0.0}, "clusters": 1, "planted": True},
        **{"leakage": None, "metrics": metrics},
        "beside": {"epsilon": {"low": 2.0, "high": None, "lows": lows}},
    }
    rows = [{**row, "id": str(k), "attack": f"a{k}"} for k in range(4)]
    words = summary({**run, "channels": rows, "defenses": []}).sentences
    assert "At the level of all of them together: ε at least 1.62." in words
