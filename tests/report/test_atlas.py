"""The layer for the ATLAS Navigator keeps to its format and scores what was measured alone."""

from __future__ import annotations

import json

import jsonschema
import pytest

from hartley.reference.frameworks import entries
from hartley.report.render import render

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
NAMED = {
    "type": "array",
    "items": {
        "type": "object", "required": ["name", "value"], "additionalProperties": False,
        "properties": {"name": TEXT, "value": TEXT},
    },
}  # fmt: skip
FORMAT = {
    # Properties, kinds and what is required, as the Navigator's page on layers 4.5 lists them.
    "type": "object", "required": ["name", "domain"], "additionalProperties": False,
    "properties": {
        "name": TEXT, "description": TEXT, "domain": TEXT, "sorting": {"enum": [0, 1, 2, 3]},
        "versions": {
            "type": "object", "required": ["layer", "navigator"], "additionalProperties": False,
            "properties": {"layer": {"const": "4.5"}, "navigator": TEXT, "attack": TEXT},
        },
        "layout": {
            "type": "object", "additionalProperties": False,
            "properties": {"layout": {"enum": ["side", "flat", "mini"]}, "showID": FLAG,
                           "showName": FLAG},
        },
        "techniques": {
            "type": "array",
            "items": {
                "type": "object", "required": ["techniqueID"], "additionalProperties": False,
                "properties": {"techniqueID": TEXT, "comment": TEXT, "enabled": FLAG,
                               "score": NUMBER, "showSubtechniques": FLAG, "metadata": NAMED},
            },
        },
        "gradient": {
            "type": "object", "required": ["colors", "minValue", "maxValue"],
            "additionalProperties": False,
            "properties": {"minValue": NUMBER, "maxValue": NUMBER,
                           "colors": {"type": "array", "minItems": 2, "items": TEXT}},
        },
        "legendItems": {
            "type": "array",
            "items": {"type": "object", "required": ["label", "color"],
                      "properties": {"label": TEXT, "color": TEXT}},
        },
        "metadata": NAMED,
    },
}  # fmt: skip


def _layer(document):
    layer = json.loads(render(document, "atlas"))
    jsonschema.validate(layer, FORMAT)
    return layer, {t["techniqueID"]: t for t in layer["techniques"]}


def test_every_technique_of_a_row_is_in_the_layer_once(document):
    layer, techniques = _layer(document)
    assert layer["domain"] == "atlas-atlas"
    assert len(techniques) == len(layer["techniques"]) > 0
    known = {name for name, entry in entries().items() if entry.scheme == "atlas"}
    assert set(techniques) <= known
    for technique in techniques.values():
        assert "score" in technique or technique["comment"].startswith("not measured")


def test_the_score_is_the_share_of_the_highest_row_and_its_interval_is_beside(document):
    rows = [r for r in document["channels"] if r["status"] == "measured" and r.get("tags")]
    row = max(rows, key=lambda r: r["bits"]["point"])
    row = {**row, "flags": [], "ceiling": 1.0, "alphabet": 2,
           "bits": {**row["bits"], "point": 0.25, "low": 0.2, "high": 0.3}}  # fmt: skip
    low = {**row, "id": "lower", "bits": {**row["bits"], "point": 0.1, "low": 0.0, "high": 0.2}}
    _, techniques = _layer({**document, "channels": [low, row]})
    for technique in techniques.values():
        assert technique["score"] == pytest.approx(25.0)
        assert "0.250 [0.200, 0.300] of 1.000 bit" in technique["comment"]
        assert f"row {row['id']}" in technique["comment"]
        (listed,) = [m["value"] for m in technique["metadata"] if m["name"] == "rows"]
        assert listed == f"lower, {row['id']}"


@pytest.mark.parametrize("change", [{"flags": ["null arm"]}, {"status": "failed", "bits": None}])
def test_what_settles_nothing_has_no_score(document, change):
    (row, *_) = [r for r in document["channels"] if r["status"] == "measured" and r.get("tags")]
    more = {"reason": "it stopped"} if "status" in change else {}
    _, techniques = _layer({**document, "channels": [{**row, **change, **more}]})
    assert techniques
    for technique in techniques.values():
        assert "score" not in technique
        assert technique["comment"].startswith("not measured")
