"""The section of a model card and the impact assessment: what was measured, and what is open."""

from __future__ import annotations

import re

import pytest

from hartley.report import render

CARDS = ("modelcard", "dpia")


def _with(run, *attacks, **changes):
    rows = [{**row, **changes} for row in run["channels"] if row["attack"] in attacks]
    return {**run, "channels": rows, "defenses": []}


def test_a_model_card_has_each_measured_row_with_its_interval_and_n(document):
    text = render(document, "modelcard")
    rows = [row for row in document["channels"] if row["status"] == "measured" and row["baseline"]]
    table = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(table) == len(rows) > 3
    for row, line in zip(rows, table, strict=True):
        assert row["attack"].replace("_", r"\_") in line
        for end in ("point", "low"):
            assert f"{row['bits'][end]:.3f}" in line, (row["attack"], end)
        assert all(flag.split()[0] in line for flag in row["flags"])
    assert document["id"] in text and str(document["seed"]) in text
    assert text.startswith("## Privacy and security\n")
    assert "a better attack may read more" in text


def test_a_defense_of_a_model_card_costs_what_it_changes(document):
    text = render(document, "modelcard")
    assert "### Defenses" in text
    effects = [line for line in text.splitlines() if "measured here: behind" in line]
    assert effects
    for before, after in (re.findall(r"(\d[^;→]*) → ([^;.]*)", line)[0] for line in effects
                          if "it costs" in line):  # fmt: skip
        assert before.strip() != after.strip()


def test_an_assessment_names_the_risks_of_persons_and_leaves_the_rest_open(document):
    text = render(document, "dpia")
    risks, beside = (
        text.partition("## 3.")[2].partition("## 4.")[0].partition("Measured beside")[::2]
    )
    assert "whether a record was in the training data" in risks
    assert "poisoning" not in risks and "to be filled in" in risks
    personal = {row["axis"] for row in document["channels"]} - {"model_to_data"}
    assert not personal or "bit per" in beside
    assert text.count("*To be filled in by the controller:*") == 4
    assert [f"Article 35(7)({letter})" in text for letter in "abcd"] == [True] * 4


def test_what_is_not_known_is_never_small(document):
    flagged = render(_with(document, "rmia"), "dpia")
    assert "unknown: every row of it is flagged" in flagged
    failed = render(_with(document, "lira_online", status="failed", reason="it broke"), "dpia")
    assert "these risks are unknown" in failed and "it broke" not in failed.partition("## 4")[0]
    one = [row for row in document["channels"] if row["attack"] == "loss_threshold"]
    silent = {**one[0], "bits": {**one[0]["bits"], "point": 0.0, "low": 0.0, "high": 0.004}}
    text = render({**document, "channels": [silent], "defenses": []}, "dpia")
    assert "none certified by 1 attack, at most 0.004 bit per record (loss" in text
    # The widest of several is the one that certifies or reads most; another may have a wider end.
    vague = {**silent, "attack": "rmia", "bits": {**silent["bits"], "point": 0.0, "high": 0.3}}
    text = render({**document, "channels": [silent, vague], "defenses": []}, "dpia")
    assert "by 2 attacks, at most 0.300 bit per record (the largest of their upper ends)" in text
    two = [
        {**row, "bits": {**row["bits"], "low": 0.2, "lows": [[0.05, 0.2], [0.025, 0.17]]}}
        for row in (silent, {**silent, "attack": "rmia"})
    ]
    text = render({**document, "channels": two, "defenses": []}, "dpia")
    assert "at least 0.200 (loss" in text
    assert "; 0.170 at the level of all 2 attacks together)" in text


@pytest.mark.parametrize("format", CARDS)
def test_nothing_measured_is_said(document, format):
    text = render({**document, "channels": [], "defenses": []}, format)
    assert "Nothing was measured" in text or "unknown" in text
