"""Every format reads version 1 and nothing else."""

import html
import json
from importlib.resources import files

import jsonschema
import pytest

from hartley.core.errors import UsageError
from hartley.report import FORMATS, render
from hartley.report.format_numbers import bits, count, metric, number, quantity, span, widest


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_draws_the_sample_and_the_least_document(format, document, minimal):
    assert "lira" in render(document, format)
    assert "nothing" in render(minimal, format)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_refuses_version_3(format, document):
    document["schema"] = "hartley.run/3"
    with pytest.raises(UsageError, match=r"hartley\.run/2"):
        render(document, format)


def test_the_sample_is_a_run_document_by_its_schema(document):
    schema = json.loads(files("hartley.reference").joinpath("run.schema.json").read_text())
    jsonschema.validate(document, schema)


def test_an_unknown_format_offers_the_known_ones(document):
    with pytest.raises(
        UsageError, match=r"choose from html, json, md, .*; for a PDF print the page"
    ):
        render(document, "pdf")
    with pytest.raises(UsageError, match="did you mean junit"):
        render(document, "junti")
    with pytest.raises(UsageError):
        render(document, "render")


@pytest.mark.parametrize("format", FORMATS)
def test_drawing_changes_nothing_and_repeats(format, document):
    before = json.dumps(document)
    first = render(document, format)
    assert render(document, format) == first
    assert json.dumps(document) == before


def test_json_is_the_document_itself(document):
    assert json.loads(render(document, "json")) == document


def test_json_refuses_what_json_cannot_carry(document):
    document["channels"][0]["bits"]["point"] = float("nan")
    with pytest.raises(UsageError, match="damaged run document"):
        render(document, "json")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (0.26212, "0.262"),
        (0.00042, "0.0004"),
        (3.14159, "3.142"),
        (34.1, "34.10"),
        (-3.5871, "−3.587"),
        (0.00002, "2.00e−05"),
        (8000, "8\u202f000"),
        (1635.4, "1\u202f635"),
        (4e7, "40\u202f000\u202f000"),
        (float("inf"), "∞"),
        ("text", "text"),
    ],
)
def test_numbers_are_written_for_people(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.2625, "0.263"), (5.8e-5, "0.0001"), (4e-5, "0.000"), (-0.0004, "−0.0004"), (None, "–")],
)
def test_bits_have_no_powers_of_ten(value, words):
    assert bits(value) == words


def test_an_absent_side_of_an_interval_is_said():
    assert span(0.1, 0.2) == "[0.100, 0.200]"
    assert span(0.1, None) == "≥ 0.100"
    assert span(None, 0.2) == "≤ 0.200"
    assert span(None, None) == "no interval"
    assert quantity(0.5) == ("0.500", "no interval")
    assert quantity({"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}) == (
        "0.500",
        "[0.400, 0.600], n 10",
    )
    assert count(1, "cluster") == "1 cluster"
    assert count(2, "cluster") == "2 clusters"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("auc", "AUC"),
        ("tpr_at_fpr_1e2", "TPR at 1 % FPR"),
        ("tpr_at_fpr_1e3", "TPR at 0.1 % FPR"),
        ("ber_after", "BER after"),
        ("clean_accuracy", "clean accuracy"),
    ],
)
def test_metrics_are_called_as_their_fields_call_them(name, words):
    assert metric(name) == words


def test_half_of_a_coin_is_wider_than_one_of_ten_bits(document):
    """Bits of unlike secrets are ranked by the share of the secret that they are."""
    coin, number_of_1024 = (
        next(c for c in document["channels"] if c["game"] == "membership" and c["bits"])
        | {"attack": name, "alphabet": n, "bits": {"point": bit, "low": bit, "high": bit}}
        for name, n, bit in (("coin", 2, 0.5), ("number", 1024, 1.0))
    )
    assert widest([number_of_1024, coin])["attack"] == "coin"


def test_the_widest_channel_is_sound_and_undefended(document):
    rows = [c for c in document["channels"] if c["game"] == "membership"]
    assert widest(rows)["attack"] == "lira_online"
    rows[1]["flags"] = ["its null arm reads 0.3 bit"]
    assert widest(rows)["attack"] == "loss_threshold"
    rows[0] |= {"knowledge": "static", "baseline": True}  # behind what its owner has deployed
    assert widest(rows)["attack"] == "loss_threshold"
    rows[0]["baseline"] = False
    assert widest(rows) is None


@pytest.mark.parametrize("kind", ["html", "md", "sarif", "junit"])
def test_every_format_names_the_quantity_its_level_and_what_it_rests_on(document, kind):
    row = next(c for c in document["channels"] if c["attack"] == "lira_online")
    row["bits"] |= {"quantity": "I_F: bits a use through a reader", "alpha": 0.04}
    row["assumptions"] = ["clusters independent", "secrets drawn uniformly"]
    text = html.unescape(render(document, kind)).replace("\\", "")
    assert "I_F: bits a use through a reader" in text
    assert "0.04" in text or "0.96" in text
    for assumption in row["assumptions"]:
        assert assumption in text


def test_every_format_writes_the_level_and_the_clusters_alike(document):
    row = next(row for row in document["channels"] if row["status"] == "measured")
    row["bits"] |= {"alpha": 0.05 / 3, "quantity": "bits a use of a test"}
    row |= {"n": 480, "clusters": 480}
    pages = {format: render(document, format) for format in ("html", "md", "junit")}
    for format, page in pages.items():
        assert "each end at 98.33 %" in page, format
        assert "480 clusters" not in page, format  # its uses are independent of each other
    row["clusters"] = 16
    assert "480 in 16 clusters" in render(document, "md")
    assert "in 16 clusters" in render(document, "html")
