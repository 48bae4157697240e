"""The records that a report names: of one attack, counted against chance, never by content."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from tests.channel.test_exposed_records import many, one
from tests.report.sample import document as sample

from hartley.channel.exposed_records import exposures
from hartley.core import Trials
from hartley.reference.schema import check_document
from hartley.report import render
from hartley.report.worst_records import worst_records


def with_records(trials: Trials, **changes):
    """The sample run with one sound row of membership that lists its records."""
    run = sample()
    rows = [row for row in run["channels"] if row["attack"] in ("loss_threshold", "lira_online")]
    worst = exposures(trials)
    for row in rows:
        low = row["bits"]["low"]
        row["bits"]["lows"] = [[0.05 / 2**k, low] for k in range(4)]
        row["exposed"] = {**asdict(worst), "records": [asdict(one) for one in worst.records]}
        row.update(changes)
    return run


@pytest.fixture
def run():
    return with_records(one(0, marked=30))


def test_every_format_names_rows_and_a_model_card_only_their_number(run):
    check_document(run)
    worst = worst_records(run)
    first = worst.records[0]
    assert worst.attack == "lira_online" and first.source == "train.csv"
    for name in ("html", "md", "dpia"):
        text = render(run, name)
        assert "200 records that the model was trained on and 200 others" in text
        assert "train.csv" in text and f"{worst.beyond} records are exposed beyond chance" in text
        assert "Rows are counted from 0" in text
    card = render(run, "modelcard").replace("\\", "")
    assert f"lira_online exposes {worst.beyond} beyond chance" in card and "train.csv" not in card
    several = render(with_records(many(0, marked=4)), "html")
    assert "by 24 models" in several and "models trained on it" in several


def test_the_choice_of_an_attack_is_paid_for_where_it_certifies_nothing():
    trials = one(0, marked=30)
    certain = worst_records(with_records(trials))
    assert certain.records[0].chance == exposures(trials).records[0].chance
    silent = {"point": 0.01, "low": 0.0, "high": 0.1, "lows": [[0.05, 0.0]], "alpha": 0.05}
    bits = {**sample()["channels"][6]["bits"], **silent}
    paid = worst_records(with_records(trials, bits=bits))
    assert paid.records[0].chance == pytest.approx(2 * certain.records[0].chance)


def test_a_list_that_chance_explains_says_so():
    text = render(with_records(one(5)), "md")
    assert "No record is exposed beyond chance." in text and "exposes" not in text


def test_flagged_rows_and_rows_of_no_record_name_nobody(run):
    for row in run["channels"]:
        row["flags"] = ["FLAWED SPLIT"]
    assert worst_records(run) is None and "Most exposed records" not in render(run, "html")
    assert worst_records(sample()) is None
    assert "Most exposed records" not in render(sample(), "md")
