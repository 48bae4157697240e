"""A layer of MITRE's ATLAS Navigator: measured bits on each technique that a row is of.

The layer format is 4.5 (``layers/spec/v4.5`` of the Navigator). The score of a technique is the
share of the secret that its highest row read a use, in percent, since bits of unlike secrets
cannot be put on one scale; bits, interval and n are in its comment. A technique of which nothing
settles a limit has no score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hartley.core.control_characters import visible_json
from hartley.reference.frameworks import current_id, entries
from hartley.reference.schema import verdict_of
from hartley.report.format_numbers import count, level, meaning, number, span, units

LAYER, NAVIGATOR, DOMAIN = "4.5", "5.2.0", "atlas-atlas"
COLORS = ("#f7fbff", "#08519c")
"""From nothing to the whole secret: light to dark, which greyscale and colour-blind eyes order."""


def render(document: Mapping[str, Any]) -> str:
    """Return the layer as JSON text."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in document["channels"]:
        for tag in row.get("tags") or ():
            if tag["scheme"] == "atlas":
                rows.setdefault(current_id(str(tag["id"])), []).append(row)
    verdict = document["verdict"]
    layer = {
        "name": f"hartley {document['id']}",
        "versions": {"layer": LAYER, "navigator": NAVIGATOR},
        "domain": DOMAIN,
        "description": (
            f"Bits that attacks read or moved in run {document['id']} on "
            f"{document['scene'].get('name')}, as shares of the secret in percent. Evidence by "
            "attacks bounds a leak from below: a technique without a score was not measured, and "
            "a low score says nothing of attacks that were not played."
        ),
        "techniques": [_technique(name, rows[name]) for name in sorted(rows)],
        "gradient": {"colors": list(COLORS), "minValue": 0, "maxValue": 100},
        "legendItems": [
            {"label": "nothing was read", "color": COLORS[0]},
            {"label": "the whole secret", "color": COLORS[1]},
        ],
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True},
        "metadata": [
            {"name": "run", "value": str(document["id"])},
            {"name": "verdict", "value": verdict_of(verdict)},
            {"name": "meaning", "value": meaning(verdict)},
            {"name": "hartley", "value": str(document["version"])},
        ],
    }
    return visible_json(json.dumps(layer, indent=1, ensure_ascii=False) + "\n")


def _technique(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of one technique: its highest row that settles something, and the others."""
    settled = [row for row in rows if row["status"] == "measured" and not row.get("flags")]
    entry: dict[str, Any] = {"techniqueID": name, "enabled": True, "showSubtechniques": True}
    listed = [{"name": "rows", "value": ", ".join(str(row["id"]) for row in rows)}]
    if title := getattr(entries().get(name), "title", ""):
        listed.insert(0, {"name": "title", "value": title})
    origins = {
        str(tag["origin"])
        for row in rows
        for tag in row["tags"]
        if tag["scheme"] == "atlas" and current_id(str(tag["id"])) == name
    }
    listed.append({"name": "placed by", "value": ", ".join(sorted(origins))})
    unsettled = len(rows) - len(settled)
    missing = f"; {count(unsettled, 'row')} failed, left out or flagged" if unsettled else ""
    if not settled:
        return {**entry, "comment": "not measured" + missing, "metadata": listed}
    highest = max(settled, key=_share)
    bits = highest["bits"]
    clusters = f" {units(highest)}" if units(highest) else ""
    comment = (
        f"{number(bits['point'])} {span(bits.get('low'), bits.get('high'))} of "
        f"{number(_most(highest))} bit per {highest.get('unit') or 'use'}, each end at "
        f"{level(bits.get('alpha'))}, n {number(highest.get('n'))}{clusters}: "
        f"{highest['attack']}, row {highest['id']}"
    )
    score = round(100.0 * min(1.0, max(0.0, _share(highest))), 2)
    return {**entry, "score": score, "comment": comment + missing, "metadata": listed}


def _most(row: Mapping[str, Any]) -> float:
    """The bits of the whole secret."""
    return float(row.get("ceiling") or math.log2(max(2, row.get("alphabet") or 2)))


def _share(row: Mapping[str, Any]) -> float:
    point = (row.get("bits") or {}).get("point")
    return float(point) / _most(row) if point is not None else 0.0
