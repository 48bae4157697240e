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
