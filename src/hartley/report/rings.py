"""Closed loops in reports: ring and chords drawn, gains, rounds, forecast, defenses beside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.engine.loop.in_words import (
    MEANING,
    beside,
    cut_words,
    facts,
    null_or_bent,
    owner_by_owner,
    ring_of,
    rounds_say,
    settings_say,
    step_key,
    steps_of,
    verdict,
)
from hartley.report import figures
from hartley.report.format_numbers import AXIS_TITLES, NOTHING, number, plain, span

Point = tuple[float, float]
SIZE, CENTRE, RADII = (960, 560), (480, 280), (300, 180)
NODE = 48
"""Radius of an asset in the drawing; half of the card of a leg is ``CARD``."""
CARD = (126, 36)
OUTSIDE = (1.52, 1.36)
"""How far out cards are, in radii of the ring, so that they leave the arrows free."""
ASIDE = 26
"""How far a chord bends to its right, so that one each way between two assets do not meet."""
KEY = 28
"""Height of the line under the drawing that explains a chord."""
GAIN_HEAD = ("Leg", "Attack", "What happens", "Gain", "Interval", "At the doses")
ROUND_HEAD = (
    *("Round", "Leg", "Asset", "Share", "Untouched", "Forecast of the excess", "Beside it"),
    *("Owner by owner", "What happened"),
)
BESIDE_HEAD = ("Defense", "Once round", "ρ a leg", "P(ρ > 1)", "Change in rounds", "Narrowest leg")


def of_page(document: Mapping[str, Any], drawn: Any) -> dict[str, Any] | None:
    """Return what the page shows of the loops of a run; None where it has none.

    Args:
        document: the run document.
        drawn: marks text as markup; only what this module and ``figures`` drew passes through it.
    """
    loops = [one for one in document.get("loops") or () if one.get("legs")]
    if not loops:
        return None
    measured = [one for one in loops if one["radius"] is not None]
    return {
        "story": loops[0]["story"],
        "meaning": MEANING,
        "loops": [_one(one, k, drawn) for k, one in enumerate(loops)],
        "beside_head": BESIDE_HEAD,
        "beside": [_beside(one) for one in measured] if len(measured) > 1 else [],
        "course": _course(measured, drawn),
    }


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Say of each loop of a run whether it grows; none where it has none."""
    return [
        sentence(one)
        for one in document.get("loops") or ()
        if one.get("legs") and one["radius"] is not None
    ]


def sentence(one: Mapping[str, Any]) -> str:
    """Say of one loop what goes once round it, ρ, and whether it grows."""
    radius, behind = one["radius"], f" behind {one['added']}" if one["added"] else ""
    ring = ring_of(one) == len(one["legs"])
    way = "Once round the loop" if ring else "In as many legs as the ring has"
    return (
        f"{way}{behind}, each compromised share comes back as {number(one['gain'])} "
        f"{span(one['low'], one['high'])}: ρ is {number(radius['value'])} "
        f"{span(radius['low'], radius['high'])} a leg, P(ρ > 1) {number(radius['grows'])}, over "
        f"{one['clusters']} clusters; {verdict(one)}. Beside that, {rounds_say(one)}."
    )


def gain_rows(one: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield a row for each leg: attack, what happens, gain with interval, means at the doses."""
    gains = _gains(one)
    for leg in one["legs"]:
        row = gains.get((leg["from"], leg["to"]))
        if row is None:
            continue
        points = ", ".join(
            f"{number(point['dose'])} → {number(point['left'])}" for point in row["points"]
        )
        words = null_or_bent(row)
        yield [
            f"{leg['from']} → {leg['to']}",
            f"{plain(leg['attack'])} ({AXIS_TITLES.get(leg['axis'], leg['axis'])})",
            leg["how"],
            number(row["value"]),
            span(row["low"], row["high"]) + (f", {words}" if words else ""),
            points,
        ]


def round_rows(one: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield a row for each leg of each round that was run."""
    trace = steps_of(one)
    for row in one["rounds"]:
        steps = trace.get(step_key(row, row["asset"]), [])
        yield [
            str(row["round"]) if row["leg"] else "start",
            " + ".join(plain(step["attack"]) for step in steps) or NOTHING,
            row["asset"],
            number(row["share"]),
            number(row["control"]),
            f"{number(row['predicted'])} {span(row['low'], row['high'])}",
            beside(row) or NOTHING,
            owner_by_owner(row) or NOTHING,
            ", ".join(f"{name} {number(value)}" for name, value in facts(steps)) or NOTHING,
        ]


def weakest(one: Mapping[str, Any]) -> str:
    """Say which leg to cut, with what is left without each."""
    if one["cut"] is None:
        return "No leg is worth cutting: nothing goes round."
    tried = ", ".join(
        f"{fall['from']} → {fall['to']} {number(fall['radius'])}" for fall in one["cut"]["falls"]
    )
    return f"Weakest cut: {cut_words(one)}. ρ without each leg: {tried}."


def picture(one: Mapping[str, Any], name: str) -> str:
    """Draw a loop: assets in a ring, and on the arrows the attacks and their gains.

    Chords lead across it; each has a letter, and its attack and gain in a line below.

    Args:
        one: a loop of a run document.
        name: prefix of the ids inside the drawing; unique on the page.
    """
    from hartley.report.templates import environment

    n = ring_of(one)
    turns = {leg["from"]: k / n for k, leg in enumerate(one["legs"][:n])}
    arrows, chords = [], []
    for k, leg in enumerate(one["legs"][:n]):
        start, end = _clear(k / n, 1, NODE + 3), _clear((k + 1) / n, -1, NODE + 10)
        middle = zip(_at((k + 0.5) / n, OUTSIDE), CARD, SIZE, strict=True)
        arrows.append(
            {
                **_arrow(leg, one),
                "path": f"M {start[0]:.1f} {start[1]:.1f} "
                f"A {RADII[0]} {RADII[1]} 0 0 1 {end[0]:.1f} {end[1]:.1f}",
                "at": [min(max(place, half + 2), size - half - 2) for place, half, size in middle],
            }
        )
    for k, leg in enumerate(one["legs"][n:]):
        path, middle_of = _across(_at(turns[leg["from"]]), _at(turns[leg["to"]]))
        chords.append(
            {
                **_arrow(leg, one),
                "path": path,
                "at": middle_of,
                "letter": chr(ord("A") + k),
                "legs": f"{leg['from']} → {leg['to']}",
                "key": SIZE[1] + KEY * (k + 0.5),
            }
        )
    return (
        environment()
        .get_template("ring.svg")
        .render(
            size=(SIZE[0], SIZE[1] + KEY * len(chords)),
            nodes=[{"name": asset, "at": _at(turn)} for asset, turn in turns.items()],
            arrows=arrows,
            chords=chords,
            name=name,
            radius=NODE,
            card=CARD,
        )
    )


def _gains(one: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["from"], row["to"]): row for row in one["gains"]}


def _arrow(leg: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written on the arrow of a leg, and how it is drawn."""
    row = _gains(one).get((leg["from"], leg["to"]))
    value = None if row is None else row["value"]
    return {
        "axis": leg["axis"],
        "title": AXIS_TITLES.get(leg["axis"], leg["axis"]),
        "attack": _cut(plain(leg["attack"])),
        "gain": f"× {number(value)} {span(row['low'], row['high'])}" if row else NOTHING,
        "open": row is not None and value is not None and not row["low"] <= 0,
        "width": f"{2 + 4 * min(1.0, max(0.0, (value or 0.0) / 2)):.1f}",
    }


def _across(start: Point, end: Point) -> tuple[str, Point]:
    """Return the path of a chord between two assets, and its middle."""
    middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
    length = math.dist(start, end)
    right = (end[1] - start[1]) / length, (start[0] - end[0]) / length
    bend = (
        middle[0] + (CENTRE[0] - middle[0]) / 2 - 2 * ASIDE * right[0],
        middle[1] + (CENTRE[1] - middle[1]) / 2 - 2 * ASIDE * right[1],
    )

    def off(place: Point, distance: float) -> Point:
        share = distance / math.dist(place, bend)
        return place[0] + share * (bend[0] - place[0]), place[1] + share * (bend[1] - place[1])

    first, last = off(start, NODE + 3), off(end, NODE + 10)
    path = (
        f"M {first[0]:.1f} {first[1]:.1f} Q {bend[0]:.1f} {bend[1]:.1f} {last[0]:.1f} {last[1]:.1f}"
    )
    return path, (
        0.25 * first[0] + 0.5 * bend[0] + 0.25 * last[0],
        0.25 * first[1] + 0.5 * bend[1] + 0.25 * last[1],
    )


def _at(turn: float, scale: tuple[float, float] = (1, 1)) -> tuple[float, float]:
    """Return the place of a share of the way round, from the top, with the clock."""
    angle = 2 * math.pi * (turn - 0.25)
    return (
        CENTRE[0] + scale[0] * RADII[0] * math.cos(angle),
        CENTRE[1] + scale[1] * RADII[1] * math.sin(angle),
    )


def _clear(turn: float, way: int, distance: float) -> tuple[float, float]:
    """Return the first place on the ring, in one direction, that is so far from an asset."""
    centre, step = _at(turn), 0
    while math.dist(centre, place := _at(turn + way * step / 1000)) < distance:
        step += 1
    return place


def _cut(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _one(one: Mapping[str, Any], index: int, drawn: Any) -> dict[str, Any]:
    title = f"Behind {one['added'].replace('+', ' + ')}" if one["added"] else "As it is deployed"
    if one["radius"] is None:
        return {"title": title, "why": one["why"], "svg": None}
    words, chosen = sentence(one), settings_say(one)
    steps = "; ".join(f"{row[0]}: {row[1]}, gain {row[3]} {row[4]}" for row in gain_rows(one))
    return {
        "title": title,
        "why": "",
        "sentence": words,
        "settings": chosen[:1].upper() + chosen[1:],
        "cut": weakest(one),
        "label": f"{words} {steps}.",
        "svg": drawn(picture(one, f"ring-{index}")),
        "gain_head": GAIN_HEAD,
        "gains": list(gain_rows(one)),
        "round_head": ROUND_HEAD,
        "rounds": list(round_rows(one)),
        "shares": "; ".join(f"{asset['name']}: {asset['share']}" for asset in one["assets"]),
    }


def _beside(one: Mapping[str, Any]) -> list[str]:
    radius, cut = one["radius"], one["cut"]
    return [
        one["added"].replace("+", " + ") or "none",
        f"{number(one['gain'])} {span(one['low'], one['high'])}",
        f"{number(radius['value'])} {span(radius['low'], radius['high'])}",
        number(radius["grows"]),
        f"{number(one['change']['value'])} {span(one['change']['low'], one['change']['high'])}",
        " → ".join(cut["narrowest"]["edge"]) if cut else NOTHING,
    ]


def _course(loops: Sequence[Mapping[str, Any]], drawn: Any) -> dict[str, Any] | None:
    """Return the chart of shares over the legs of the rounds, of each loop and untouched."""
    if not loops:
        return None
    first = loops[0]
    # With chords a step makes several assets anew: a line through all of them would say nothing.
    chorded = bool(first.get("chords"))
    start = first["path"][0]
    rows = [[row for row in one["rounds"] if not chorded or row["asset"] == start] for one in loops]
    lines = [
        (one["added"] or "planted", [row["share"] for row in drawn_rows])
        for one, drawn_rows in zip(loops, rows, strict=True)
    ]
    lines.append(("untouched", [row["control"] for row in rows[0]]))
    words = [
        f"{name}: {', '.join(number(share) for share in shares)}" for name, shares in lines[:4]
    ]
    ticks = [f"step {row['step']}" if chorded else row["asset"] for row in rows[0]]
    what = f"share of {start} after each step" if chorded else "share after each leg"
    return {
        "title": f"Compromised {what} of the rounds, means over clusters",
        "label": f"Compromised {what}. {'; '.join(words)}.",
        "svg": drawn(figures.course(lines, ticks, "course")),
    }
