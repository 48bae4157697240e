"""Sentences about chains and loops of attacks: what one leg of a run hands to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.report.evidence.statements import Statement, fact, quoted, row_ids, word
from hartley.report.format_numbers import bits, count, level, number, span

Table = Mapping[str, Any]

FAMILY = {
    "above": "it gains something",
    "below": "it loses something",
    "open": "whether it gains or loses anything is open",
}
"""What is known of an edge, judged with all edges of its run."""


def of_edges(document: Table) -> Iterator[tuple[str, Statement]]:
    """Yield, of each chain, the id of its row (empty where it has none) and what it gains."""
    rows = {str(row["id"]): row for row in document["channels"]}
    for k, edge in enumerate(document.get("edges") or ()):
        those = [rows[name] for name in (edge.get("row"), edge.get("alone")) if name in rows]
        about = (fact("run", "edges", k), *row_ids(those))
        for words in _edge(edge):
            yield str(edge.get("row") or ""), Statement(words, about)


def _edge(edge: Table) -> Iterator[str]:
    """Yield sentences about one edge."""
    path = edge.get("path") or (edge["from"], edge["to"])
    name = f"The chain {_path(path)}"
    control = " and ".join(word(one) for one in edge.get("control") or ())
    against = f"{word(path[-1])} after {control}" if control else f"{word(path[-1])} alone"
    if edge["gain"] is None:
        yield f"{name} was not measured against {against}."
        return
    n = f", n {count(edge['n'], 'victim')}" if edge.get("n") is not None else ""
    known = FAMILY.get(str(edge.get("family")))
    judged = f", and judged with all chains of the run {known}" if known else ""
    yield (
        f"{name} gains {bits(edge['gain'])} bit {_ends(edge['low'], edge['high'])} at "
        f"{level(None)}{n} over {against}{judged}."
    )
    bound = edge.get("bound")
    if bound and bound["violation"]:
        yield (
            f"{name} has {bits(bound['certified'])} bit certified where at most "
            f"{bits(bound['theory'])} are proved to be possible, which is a side channel, a false "
            "claim or a mistake."
        )
    product = edge.get("product")
    if product:
        yield (
            f"{name} would read {bits(product['value'])} bit "
            f"{_ends(product['low'], product['high'])} if its end depends on what was handed on "
            "alone, which is an estimate."
        )


def of_loops(document: Table) -> Iterator[Statement]:
    """Yield what goes once round each loop, by which legs, and which leg to cut."""
    for k, one in enumerate(document.get("loops") or ()):
        place = ("run", "loops", k)
        yield Statement(_round(one), (fact(*place),))
        for j, leg in enumerate(one["gains"]):
            yield Statement(_leg(one, leg), (fact(*place, "gains", j),))
        reasons: dict[str, list[tuple[int, Table]]] = {}
        for j, pair in enumerate(one.get("absent") or ()):
            reasons.setdefault(str(pair["why"]), []).append((j, pair))
        for why, pairs in reasons.items():
            names = ", ".join(f"from {word(p['from'])} to {word(p['to'])}" for _, p in pairs)
            yield Statement(
                f"There is not a leg {names}: {quoted(why)}.",
                tuple(fact(*place, "absent", j) for j, _ in pairs),
            )
        if cut := one.get("cut"):
            yield Statement(_cut(cut), (fact(*place, "cut"),))
        if change := one.get("change"):
            yield Statement(
                f"In the rounds that were run{_behind(one)}, the excess of {word(one['path'][0])} "
                f"over a loop that nobody touched changed by {number(change['value'])} "
                f"{_ends(change['low'], change['high'])}.",
                (fact(*place, "change"),),
            )


def _round(one: Table) -> str:
    name = f"The loop {_path(one['path'])}{_behind(one)}"
    owners = f"over {count(one['clusters'], 'independent owner')}"
    radius = one["radius"]
    if radius is None:
        return f"{name} has no gain {owners}, as {quoted(one.get('why') or 'no reason given')}."
    return (
        f"{name} gives back {number(one['gain'])} {_ends(one['low'], one['high'])} of each "
        f"compromised share once round, which is {number(radius['value'])} "
        f"{_ends(radius['low'], radius['high'])} a leg at {level(one['alpha'])} {owners}, and the "
        f"chance that it is above 1 is {number(radius['grows'])}."
    )


def _leg(one: Table, leg: Table) -> str:
    attacks = [row["attack"] for row in one["legs"] if _ends_of(row) == _ends_of(leg)]
    by = f" by {word(attacks[0])}" if attacks else ""
    name = f"The leg from {word(leg['from'])} to {word(leg['to'])}{by}{_behind(one)}"
    if leg.get("value") is None:
        return f"{name} was not measured, as {quoted(leg.get('why') or 'no reason given')}."
    return (
        f"{name} leaves {number(leg['value'])} {_ends(leg['low'], leg['high'])} of each "
        f"compromised share, n {count(leg['n'], 'measurement')} of "
        f"{count(one['clusters'], 'owner')}."
    )


def _cut(cut: Table) -> str:
    start, end = cut["edge"]
    tied = len(cut.get("tied") or ())
    also = f", as do {count(tied - 1, 'other leg')}" if tied > 1 else ""
    return (
        f"To cut the leg from {word(start)} to {word(end)} slows the loop most{also}: per leg "
        f"{number(cut['before'])} become {number(cut['radius'])}, and it is that leg in "
        f"{number(cut['share'])} of the resamples."
    )


def _ends_of(row: Table) -> tuple[str, str]:
    return str(row["from"]), str(row["to"])


def _behind(one: Table) -> str:
    return f" behind {word(one['added'])}" if one.get("added") else ""


def _path(names: Sequence[str]) -> str:
    return ", then ".join(word(name) for name in names)


def _ends(low: Any, high: Any) -> str:
    return "without an interval" if low is None and high is None else span(low, high)
