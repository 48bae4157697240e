"""Edges judged together, and what is proved of the last attack of a chain."""

import pytest

from hartley.engine.result.edge_family import with_compositions, with_family

VIOLATION = "dpi_violation"


def edge(slot="train", p_above=0.5, p_below=0.5):
    log_gain = {"p_above": p_above, "p_below": p_below}
    return {"slots": [slot], "row": "chain", "alone": "alone", "log_gain": log_gain}


def rows(low=0.2, ceilings=(0.3, 0.5)):
    return [
        {"id": name, "attack": name, "status": "measured", "alphabet": 2, "ceiling": ceiling,
         "uses": 640, "bits": {"point": low + 0.1, "low": low}}
        for name, ceiling in zip(("alone", "chain"), ceilings, strict=True)
    ]  # fmt: skip


def test_twelve_edges_are_one_family():
    edges = [edge(p_above=p) for p in (0.001, 0.01, *[0.3] * 10)]
    assert [row["family"] for row in with_family(edges)] == ["above", "open", *["open"] * 10]
    assert with_family([edge(p_below=0.01)])[0]["family"] == "below"
    assert with_family([]) == []


@pytest.mark.parametrize(
    ("slot", "composition", "fresh", "theory"),
    [
        ("source", "degrade", 0, 0.5),  # a copy shows at most what the victim may show its maker
        ("train", "enable", 640, 0.5),  # poison makes another channel
        ("public", "aggregate", 640, 0.5),  # the ceiling counts what all attacks asked
    ],
)
def test_data_processing_is_applied_where_nothing_is_asked_anew(slot, composition, fresh, theory):
    (row,) = with_compositions([edge(slot)], rows())
    assert (row["composition"], row["fresh"]) == (composition, fresh)
    assert row["bound"]["theory"] == theory and not row["bound"]["violation"]


def test_more_than_is_possible_is_a_violation():
    for slot in ("source", "train", "public"):
        alone, chain = rows(low=0.5)
        (row,) = with_compositions([edge(slot)], [alone, chain])
        assert not row["bound"]["violation"]
        # Bits end at the ceiling of their row: what was certified beyond is a metric of it.
        (row,) = with_compositions([edge(slot)], [alone, {**chain, "metrics": {VIOLATION: 0.1}}])
        assert row["bound"]["violation"] and row["bound"]["certified"] == pytest.approx(0.6)
    failed = [rows()[0], {**rows()[1], "status": "failed"}]
    assert with_compositions([edge()], failed)[0]["bound"] is None
