"""The chains of a run on a terminal: what the loot of one attack gave the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.cli.terminal import number, print_table, quantity, say


def print_edges(document: Mapping[str, Any]) -> None:
    """Print a table of a run's edges with their bounds; say where there is no quotient, and why."""
    edges: Sequence[Mapping[str, Any]] = document.get("edges") or ()
    if not edges:
        return
    from hartley.engine.result.edge_family import settings_apart

    say()
    lines = []
    for edge, apart in zip(edges, settings_apart(edges, document["channels"]), strict=True):
        bits = {"value": edge["gain"], "low": edge["low"], "high": edge["high"]}
        path = edge["path"][0]
        for slot, name in zip(edge["slots"], edge["path"][1:], strict=True):
            path += f" →{slot}→ {name}"
        path += f" ({apart})" if apart else ""
        auc = edge["auc"]
        lines.append(
            (
                path,
                _against(edge),
                quantity(bits),
                _times(edge["log_gain"]),
                "–" if auc is None else quantity(auc),
                edge["family"],
                edge["composition"],
                str(edge["n"]),
            )
        )
    columns = (
        *("chain", "against", "gain in bits", "times", "gain in AUC", "together", "joined"),
        "victims",
    )
    print_table(columns, lines, numbers=(7,), drop=(6,))
    say("gains: 95% intervals over victims; both arms have the same secrets")
    reasons: dict[str, list[str]] = {}
    for edge in edges:
        if why := edge["log_gain"]["why"]:
            reasons.setdefault(why, []).append(f"{_words(edge)} against {_against(edge)}")
    for line in (line for edge in edges for line in _bounded(edge)):
        say(line)
    products = {_words(edge): edge["product"] for edge in edges if edge.get("product")}
    for words, estimate in products.items():
        say(
            f"  {words}: {quantity(estimate)} bits if the end depends on the loot alone (product "
            "of the two matrices, an estimate)"
        )
    for why, names in reasons.items():
        say(f"  no times, but the difference, of {', '.join(names)}: {why}")


def _bounded(edge: Mapping[str, Any]) -> Iterator[str]:
    """Say what is proved of an edge, where that is less than its secret holds."""
    bound = edge["bound"]
    if not bound:
        return
    low, most = number(bound["certified"]), number(bound["theory"])
    if bound["violation"]:
        yield (
            f"VIOLATION {_words(edge)}: {low} bit are certified, at most {most} are possible: a "
            "side channel, a false claim, or a bug"
        )
    elif not str(bound["rule"]).startswith("entropy"):
        yield (
            f"  {_words(edge)} against {_against(edge)}: {low} bit certified, at most {most} by "
            "what is proved of the victims"
        )


def _words(edge: Mapping[str, Any]) -> str:
    return " → ".join(edge["path"])


def _against(edge: Mapping[str, Any]) -> str:
    return " + ".join(edge.get("control") or ()) or "alone"


def _times(gain: Mapping[str, Any]) -> str:
    """How many times as many bits, where there is a quotient."""
    if gain["scale"] != "log2":
        return "–"
    low, high = (None if gain[end] is None else 2 ** gain[end] for end in ("low", "high"))
    ends = f"[{'0' if low is None else number(low)}, {number(high)}]"
    return f"{number(2 ** gain['value'])} {ends}"
