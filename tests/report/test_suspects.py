"""What the page says of a scan: sentences of records and of planted poison."""

from __future__ import annotations

import pytest

from hartley.report.suspects import sentences

SCAN = {
    "n": 100,
    "trusted": 200,
    "flagged": 0,
    "false_alarms": 0.01,
    "expected": 1.0,
    "likely": 4,
    "beyond": 0,
    "detectors": {},
    "records": [],
}


def _row(knowledge, success):
    rate = {"value": success, "low": 0.0, "high": 1.0}
    return {
        "id": f"badnets-{knowledge}",
        "attack": "badnets",
        "status": "measured",
        "knowledge": knowledge,
        "metrics": {"asr": rate, "dropped_poison": {"value": 0.4, "low": None, "high": None}},
        "experiment": {
            "stages": [{"params": {"count": 16}}],
            "defenses": [] if knowledge == "none" else [{"name": "record_scan"}],
        },
    }


@pytest.mark.parametrize(
    ("static", "adaptive", "passes"), [(0.65, 0.3, True), (0.3, 0.65, True), (0.3, 0.3, False)]
)
def test_poison_passes_a_scan_where_either_attacker_succeeds(static, adaptive, passes):
    rows = [_row("none", 1.0), _row("static", static), _row("adaptive", adaptive)]
    said = list(sentences({"suspects": SCAN, "channels": rows}))
    (last,) = [text for text in said if "badnets" in text]
    assert ("would pass" in last) == passes
    assert ("did not work behind the detectors" in last) != passes
    assert ("65\u00a0%" in last or "65%" in last) == passes


def test_without_trusted_records_too_few_to_flag_any_are_said_to_be_too_few():
    scan = {**SCAN, "trusted": None, "likely": None, "calibrating": 89, "n": 359}
    (few,) = sentences({"suspects": scan, "channels": []})
    assert "none is flagged, since 1% of these are less than one" in few.replace("\u00a0", "")
    assert "most suspicious" not in few
    (some,) = sentences({"suspects": {**scan, "flagged": 4}, "channels": []})
    assert "the 4 most suspicious are flagged whatever is in them" in some
