"""Edges of a run: how the attacks are joined, what bounds the last one, and all judged together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hartley.channel.log_gain import together
from hartley.core import Kind, Quantity, Role, Slot
from hartley.infotheory.compositions import Composition, Link, composition_of, triple

ABOVE, BELOW, OPEN = "above", "below", "open"
ALPHA = 0.05
CHANGING = (Slot.TRAIN, Slot.PROMPT, Slot.MEMORY)
"""Slots whose loot changes the victim that the next attack reads."""

Row = Mapping[str, Any]


def with_family(edges: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the edges of a run with ``family``: above, below or open.

    If no loot changed anything, any edge would be called above, or any below, with chance at most
    5 % each, however many edges a run has (Holm 1979). Edges that gain nothing stay in the list.

    Args:
        edges: rows with ``log_gain``.
    """
    above, below = (
        together({k: edge["log_gain"][side] for k, edge in enumerate(edges)}, ALPHA)
        for side in ("p_above", "p_below")
    )
    return [
        {**edge, "family": ABOVE if k in above else BELOW if k in below else OPEN}
        for k, edge in enumerate(edges)
    ]


def with_compositions(edges: Sequence[Row], channels: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the edges with how their attacks are joined, and what is proved of the last one.

    ``bound`` holds the certified bits at the end, the proved upper bound, its rule, and whether the
    one exceeds the other: a side channel, a false claim, or a bug. Data processing is applied where
    the last attack asked the victim nothing: a copy that is held in its place shows at most what
    the victim may show to an attacker who copies it. Where the last attack asked as well, all looks
    together show at most that. Both are the ceiling of the chain's row, in which the answers are
    counted that all its attacks were given. Poison makes another channel, of which only its own
    ceiling is known, and so does loot by which an attacker chooses better what they send.

    Args:
        edges: rows with ``row``, ``alone`` and ``slots``.
        channels: rows of the run.
    """
    by_id = {row["id"]: row for row in channels}
    return [
        {**edge, **_composed(edge, by_id.get(edge["row"]), by_id.get(edge["alone"]))}
        for edge in edges
    ]


def settings_apart(edges: Sequence[Row], channels: Sequence[Row]) -> list[str]:
    """Return for each edge the settings that tell it from others of the same names; mostly empty.

    Args:
        edges: rows with ``row``, ``path``, ``slots`` and ``control``.
        channels: rows of the run, with their experiments.
    """
    by_id = {row["id"]: row.get("experiment") or {} for row in channels}
    alike: dict[str, list[int]] = {}
    for k, edge in enumerate(edges):
        names = [edge.get(part) for part in ("from", "to", "path", "slots", "control")]
        alike.setdefault(str(names), []).append(k)
    words = [""] * len(edges)
    for rows in alike.values():
        stages = [by_id.get(edges[k].get("row"), {}).get("stages") or [] for k in rows]
        for kind in ("params", "game_params"):
            settings = [
                {
                    (place, name): value
                    for place, stage in enumerate(one)
                    for name, value in stage[kind].items()
                }
                for one in stages
            ]
            differ = [name for name in settings[0] if len({str(s.get(name)) for s in settings}) > 1]
            if differ:
                for k, one in zip(rows, settings, strict=True):
                    words[k] = ", ".join(f"{name[1]}={one.get(name)}" for name in differ)
                break
    return words


def _composed(edge: Row, last: Row | None, alone: Row | None) -> dict[str, Any]:
    slot = Slot(edge["slots"][-1])
    # What the attack asks of a copy is not asked of the victim.
    fresh = 0 if slot is Slot.SOURCE else None if last is None else last.get("uses")
    # What an attacker sends, they know: loot does not show it to them, but helps to send it.
    sends = last is not None and last.get("role") == str(Role.INJECT)
    kind = composition_of(changes_channel=slot in CHANGING or sends, fresh=fresh)
    facts: dict[str, Any] = {"composition": str(kind), "fresh": fresh, "bound": None}
    if last is None or alone is None or {last["status"], alone["status"]} != {"measured"}:
        return facts
    secret = math.log2(max(2, last["alphabet"]))
    ceiling = secret if last["ceiling"] is None else last["ceiling"]
    links = [Link(ceiling, fresh=1, name=last["attack"])]
    if kind is Composition.DEGRADE:
        links = [Link(ceiling, fresh=1, name="loot"), Link(math.inf, name="copy")]
    bits = last["bits"]
    # A row's own bits end at its ceiling; what was certified beyond is kept beside them.
    low = bits["low"] + last.get("metrics", {}).get("dpi_violation", 0.0)
    end = Quantity("bits at the end of the chain", bits["point"], lower=low, kind=Kind.CERTIFIED)
    joined = triple(links, secret, end_to_end=end)
    facts["bound"] = {
        "certified": low,
        "theory": joined.upper.value,
        "rule": joined.upper.method,
        "violation": joined.violation,
    }
    return facts
