"""Which defense: the choice, why, how settled it is, and what to measure next.

The defender picks the defense whose worst attack reads least, among those that keep the utility
(Seed B's deterministic minimax), and is shown what a mixture would leave whose draw no attacker
sees. Leaks are shares of the secret, against the stronger of the static and the adaptive attacker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.core.errors import UsageError, did_you_mean
from hartley.engine.choice.bandwidth_claim import bandwidth_claim
from hartley.engine.choice.cell_draws import CellDraws, Load, draws_of
from hartley.engine.choice.leak_suite import KNOWLEDGES, Suite, suite_of
from hartley.engine.result.document import finite
from hartley.infotheory.coverage_index import (
    BREADTH,
    TERMS,
    Coverage,
    Terms,
    all_pairs,
    attack_weights,
    attribution,
    cell_coverage,
    dci_hartley,
    interaction,
    search_pairs,
    thinned,
)
from hartley.infotheory.decisions import minimax
from hartley.infotheory.next_measurement import next_measurements, stability, worst_ends
from hartley.reference.declared_defenses import ORIGIN, declared_defenses

SCHEMA = "hartley.choice/1"
ALPHA = 0.05
LISTED = 5
"""Next measurements that are listed."""
NEGLIGIBLE = 0.001
"""Share of the secret: a measurement that is expected to lower the worst leak by less is not
worth its uses."""
PRINCIPALS = (1, 2, 4, 10, 100)
"""Numbers of principals who collude against a limit on each."""
LIMIT = "queries"
"""Parameter of a defense that limits answers: how many a principal gets."""
UNMOVED = 0.9
"""Share of a leak that is left behind the best defense, from which no defense moves the attack."""
MIXED = 0.005
"""Probability below which a defense is left out of a mixture."""

Floats = NDArray[np.float64]


def which_defense(
    document: Mapping[str, Any],
    *,
    floors: Mapping[str, float] | None = None,
    attacks: Sequence[str] = (),
    load: Load | None = None,
) -> dict[str, Any]:
    """Return the choice of a run as plain JSON values.

    Args:
        document: the run document.
        floors: metric of utility → value that must be kept; the metric "" is the only one there is.
        attacks: patterns of attacks, games or classes that count; all when empty.
        load: returns the trials of a row, for intervals over victims; None for intervals alone.

    Raises:
        UsageError: no defenses, no measured cell, or a floor that no defense meets.
        UnknownName: a pattern that matches no attack of the run.
    """
    suite = suite_of(document, attacks=attacks)
    limits = _floors(suite, floors or {})
    allowed = _allowed(suite, limits)
    draws = draws_of(suite, load)
    indices = dci_hartley(suite.leaks)
    choice = _choice(suite, draws, allowed, limits)
    plain: dict[str, Any] = finite(
        {
            "schema": SCHEMA,
            "run": document["id"],
            "scene": document["scene"]["name"],
            "floors": limits,
            "choice": choice,
            "by_class": _by_class(suite, draws, allowed),
            "defenses": _defenses(suite, draws, indices, allowed, limits),
            "matrix": _matrix(suite, draws),
            "pairs": _pairs(suite, draws, indices),
            "next": _next(suite, draws, allowed),
            "bandwidth_claim": bandwidth_claim(suite, draws),
            "collusion": _collusion(suite),
            "open": _open(suite),
            "declared": _declared(suite),
            "left_out": dict(suite.left_out),
            "outside": list(dict.fromkeys(suite.outside)),
            "relative_to_suite": list(suite.labels),
            "intervals": draws.how,
        }
    )
    return plain


def _floors(suite: Suite, floors: Mapping[str, float]) -> dict[str, float]:
    known = list(suite.utilities)
    limits = {}
    for metric, value in floors.items():
        if not metric and len(known) != 1:
            listed = ", ".join(known) or "none"
            raise UsageError(
                f"a floor must name its metric, METRIC=VALUE, where a run has other than one "
                f"(this one has {listed}), got {value:g}"
            )
        name = metric or known[0]
        if name not in known:
            raise UsageError(
                f"a floor must be about a utility that the run measured ({', '.join(known)}), got "
                f"{name!r}{did_you_mean(name, known)}"
            )
        limits[name] = float(value)
    return limits


def _allowed(suite: Suite, floors: Mapping[str, float]) -> NDArray[np.bool_]:
    """(D,) defenses that keep every floor at their points."""
    allowed = np.ones(len(suite.declared), dtype=bool)
    for metric, floor in floors.items():
        with np.errstate(invalid="ignore"):
            allowed &= suite.utilities[metric][:, 0] >= floor
    if not allowed.any():
        words = []
        for metric, floor in floors.items():
            values = suite.utilities[metric][:, 0]
            best = int(np.nanargmax(values)) if np.isfinite(values).any() else -1
            state = (
                f"the best is {suite.leaks.defenses[best]} with {values[best]:.3g}"
                if best >= 0
                else "it was measured behind none"
            )
            without = suite.before[metric][0]
            words.append(
                f"{metric} {floor:g}: {state}"
                + (f", without a defense {without:.3g}" if math.isfinite(without) else "")
            )
        raise UsageError(f"a floor must be one that some defense meets; {'; '.join(words)}")
    return allowed


def _choice(
    suite: Suite, draws: CellDraws, allowed: NDArray[np.bool_], floors: Mapping[str, float]
) -> dict[str, Any]:
    names, labels = suite.leaks.defenses, suite.labels
    settled = stability(
        draws.points,
        draws.worst,
        allowed=allowed,
        alpha=ALPHA,
        further=(draws.weaker_points, draws.weaker),
    )
    best = settled.defense
    columns = np.flatnonzero(allowed)
    utility = np.array([suite.utilities[m][allowed, 0] for m in floors]) if floors else None
    mixed = minimax(draws.points[:, allowed], utility, list(floors.values()) or -math.inf)
    worst = np.where(allowed, draws.points.max(0), np.inf)
    order = np.argsort(worst, kind="stable")
    rival = int(order[1]) if allowed.sum() > 1 else None
    undefended = suite.leaks.before[:, 0]
    attack = int(draws.points[:, best].argmax())
    return {
        "defense": names[best],
        "worst": dict(zip(("value", "low", "high"), settled.worst, strict=True)),
        "worst_attack": labels[attack],
        "undefended": float(undefended.max()),
        "undefended_attack": labels[int(undefended.argmax())],
        "runner_up": None
        if rival is None
        else {
            "defense": names[rival],
            "worst": float(worst[rival]),
            "worst_attack": labels[int(draws.points[:, rival].argmax())],
        },
        "share_best": settled.share,
        "shares": {names[j]: float(settled.shares[j]) for j in columns},
        "mixture": {
            "value": mixed.value,
            "weights": {
                names[columns[k]]: float(p) for k, p in enumerate(mixed.mixture) if p >= MIXED
            },
        },
        "price_of_determinism": mixed.price_of_determinism,
        "static_only": [
            labels[i] for i in np.flatnonzero(suite.leaks.static_only[:, best]).tolist()
        ],
        "assumed": [
            labels[i]
            for i in np.flatnonzero((suite.leaks.unclaimed & ~suite.beside)[:, best]).tolist()
        ],
        "unmoved": [labels[i] for i in _unmoved(suite, draws, allowed)],
        "open": [labels[i] for i in np.flatnonzero(suite.leaks.open[:, best]).tolist()],
    }


def _unmoved(suite: Suite, draws: CellDraws, allowed: NDArray[np.bool_]) -> list[int]:
    """Attacks that read nearly as much behind the best allowed defense as without any."""
    before = suite.leaks.before[:, 0]
    least = draws.points[:, allowed].min(1)
    unmoved: list[int] = np.flatnonzero((before > 0) & (least >= UNMOVED * before)).tolist()
    return unmoved


def _by_class(
    suite: Suite, draws: CellDraws, allowed: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """The same choice for each class alone, of the defenses that claim any of it.

    One defense seldom protects from everything: where attacks of another class decide the choice,
    a defense for each class is what a defender puts together.
    """
    leaks = suite.leaks
    choices: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(leaks.classes):
        rows = np.array([cls == name for cls in leaks.classes])
        claims = allowed & (~leaks.unclaimed[rows]).any(0)
        if not claims.any():
            choices[name] = {"defense": None, "undefended": float(leaks.before[rows, 0].max())}
            continue
        settled = stability(
            draws.points[rows],
            draws.worst[:, rows],
            allowed=claims,
            alpha=ALPHA,
            further=(draws.weaker_points[rows], draws.weaker[:, rows]),
        )
        choices[name] = {
            "defense": leaks.defenses[settled.defense],
            "worst": dict(zip(("value", "low", "high"), settled.worst, strict=True)),
            "share_best": settled.share,
            "undefended": float(leaks.before[rows, 0].max()),
        }
    return choices


def _defenses(
    suite: Suite,
    draws: CellDraws,
    indices: Sequence[Coverage],
    allowed: NDArray[np.bool_],
    floors: Mapping[str, float],
) -> list[dict[str, Any]]:
    """One row for each defense: its index with all parts, its worst leak, its utility."""
    ends = _index_ends(suite, draws)
    cells = np.concatenate([draws.points, draws.weaker_points])
    cell_draws = np.concatenate([draws.worst, draws.weaker], axis=1)
    rows = []
    for j, index in enumerate(indices):
        worst = draws.points[:, j]
        low, high = worst_ends(cells[:, j], cell_draws[:, :, j], alpha=ALPHA)
        near = [
            metric
            for metric, floor in floors.items()
            if suite.utilities[metric][j, 1] < floor <= suite.utilities[metric][j, 2]
        ]
        rows.append(
            {
                "name": index.name,
                "term": index.term,
                "dci_hartley": {
                    "value": index.value,
                    "low": np.fmin(ends[0][j], index.value),
                    "high": np.fmax(ends[1][j], index.value),
                    "conservative": index.low,
                    "static": index.static,
                    "least": index.least,
                    "most": index.most,
                    "breadth": index.breadth,
                    "threshold": BREADTH,
                    "worst": index.worst,
                    "worst_attack": index.worst_attack,
                    "by_class": dict(index.by_class),
                    "by_term": dict(index.by_term),
                    "open": list(index.open),
                    "unclaimed": list(index.unclaimed),
                    "static_only": list(index.static_only),
                    "silent": list(index.silent),
                    "relative_to_suite": list(index.relative_to_suite),
                },
                "worst": {"value": float(worst.max()), "low": low, "high": high},
                "worst_attack": suite.labels[int(worst.argmax())],
                "utility": {
                    metric: {
                        "before": dict(
                            zip(("value", "low", "high"), suite.before[metric], strict=True)
                        ),
                        "after": dict(zip(("value", "low", "high"), table[j], strict=True)),
                    }
                    for metric, table in suite.utilities.items()
                },
                "allowed": bool(allowed[j]),
                "near_floor": near,
                "raises": [suite.labels[i] for i in np.flatnonzero(draws.helped[:, j]).tolist()],
                "attribution": _attribution(suite, j),
            }
        )
    return rows


def signed_coverage(suite: Suite, draws: CellDraws) -> Floats:
    """(B, A, D) coverage of each cell before it is clipped at 0, at least −1.

    Cells that are worse than without the defense beyond doubt, and those that are not claimed and
    were not played, cover 0.
    """
    signed = np.clip(1 - draws.worst / np.maximum(draws.before, 1e-12)[:, :, None], -1, 1)
    worse = np.quantile(signed, 1 - ALPHA / 2, axis=0) <= 0
    return np.asarray(np.where(suite.leaks.unclaimed | worse, 0.0, signed))


def _index_ends(suite: Suite, draws: CellDraws) -> tuple[Floats, Floats]:
    """(D,) interval of each index over victims, open cells left out as in its value.

    Coverage is clipped at 0 cell by cell, so that noise round 0 has a mean above it. The lower end
    is that of the mean before clipping, but for cells that are worse than without the defense
    beyond doubt, which cover 0.
    """
    leaks = suite.leaks
    leaked = leaks.before[:, 0] > 0
    signed = signed_coverage(suite, draws)
    lows, highs = [], []
    for j in range(len(leaks.defenses)):
        rows = leaked & ~leaks.open[:, j]
        weights = attack_weights([c for c, row in zip(leaks.classes, rows, strict=True) if row])
        if not len(weights):
            lows.append(math.nan)
            highs.append(math.nan)
            continue
        cells = signed[:, rows, j]
        lows.append(max(0.0, float(np.quantile(cells @ weights, ALPHA / 2))))
        highs.append(float(np.quantile(np.maximum(cells, 0) @ weights, 1 - ALPHA / 2)))
    return np.array(lows), np.array(highs)


def _attribution(suite: Suite, j: int) -> dict[str, Any] | None:
    """Mean effect of a defense on its attacks' rates by term; None where nothing can be said."""
    shares = []
    for i, before in enumerate(suite.rows):
        for knowledge in reversed(KNOWLEDGES):
            row = suite.behind.get((i, j, knowledge))
            if row is not None:
                break
        terms = [_terms(r) for r in (before, row)]
        if None not in terms:
            part = attribution(terms[0], terms[1])  # type: ignore[arg-type]
            if part.scale == "log2":
                shares.append([part.signal, part.noise, part.bandwidth, part.unexplained])
    if not shares:
        return None
    mean = np.mean(shares, axis=0).tolist()
    return {**dict(zip((*TERMS, "unexplained"), mean, strict=True)), "attacks": len(shares)}


def _terms(row: Mapping[str, Any] | None) -> Terms | None:
    """Signal, noise and uses a round of a row, where it has them."""
    if row is None or not row.get("signal") or not row.get("noise") or not row.get("n"):
        return None
    uses = row["n"] / (row.get("rounds") or 1)
    return Terms(row["signal"], row["noise"], uses, uses * row["bits"]["point"])


def _matrix(suite: Suite, draws: CellDraws) -> list[dict[str, Any]]:
    """One row for each attack: the share of the secret that is left behind each defense."""
    leaks = suite.whole
    rows = []
    for i, label in enumerate(suite.labels):
        cells = {}
        for j, name in enumerate(leaks.defenses):
            state = (
                "not claimed"
                if leaks.unclaimed[i, j]
                else "open"
                if leaks.open[i, j]
                else "static only"
                if leaks.static_only[i, j]
                else "measured"
            )
            cells[name] = {
                "state": state,
                "claimed": bool(not leaks.unclaimed[i, j] and not suite.beside[i, j]),
                "static": _triple(leaks.static[i, j]),
                "adaptive": _triple(leaks.adaptive[i, j]),
                "taken": float(draws.points[i, j]),
                "rows": {
                    knowledge: row["id"]
                    for knowledge in KNOWLEDGES
                    if "id" in (row := suite.behind.get((i, j, knowledge), {}))
                },
            }
        rows.append(
            {
                "attack": label,
                "row": suite.rows[i]["id"],
                "class": leaks.classes[i],
                "term": leaks.attack_terms[i],
                "objective": suite.objectives[i],
                "before": _triple(leaks.before[i]),
                "behind": cells,
            }
        )
    return rows


def _triple(ends: Floats) -> dict[str, float] | None:
    if math.isnan(ends[0]):
        return None
    return dict(zip(("value", "low", "high"), map(float, ends), strict=True))


def _pairs(suite: Suite, draws: CellDraws, indices: Sequence[Coverage]) -> dict[str, Any] | None:
    """Greedy search of pairs against all of them; None where no pair of two was played."""
    values = {index.name: index.value for index in indices if not math.isnan(index.value)}
    singles = {name: value for name, value in values.items() if "+" not in name}
    played = {
        (parts[0], parts[1]): name
        for name in values
        if len(parts := name.split("+")) == 2 and set(parts) <= set(singles)
    }
    if not played:
        return None
    order = {(min(pair), max(pair)): pair for pair in played}
    guesses = {pair: thinned(suite.leaks, *pair) for pair in all_pairs(singles)}
    search = search_pairs(
        singles,
        {pair: values[name] for pair, name in played.items()},
        predicted={pair: value for pair, value in guesses.items() if not math.isnan(value)},
    )
    rows = []
    for pair, name in played.items():
        adds = search.gains[pair[0], pair[1]]
        rows.append(
            {
                "pair": name,
                "value": values[name],
                "predicted": thinned(suite.leaks, *pair),
                "second_adds": adds[0],
                "second_alone": adds[1],
                "interaction": _interactions(suite, draws, pair, name),
            }
        )

    def named(pair: tuple[str, str] | None) -> str | None:
        return None if pair is None else played[order[pair]]

    return {
        "rows": sorted(rows, key=lambda row: -row["value"]),
        "single": search.single,
        "single_value": search.single_value,
        "greedy": named(search.greedy),
        "greedy_value": search.greedy_value,
        "best": named(search.best),
        "best_value": search.best_value,
        "regret": search.regret,
        "diminishing": search.diminishing,
        "unplayed": {"+".join(pair): value for pair, value in search.predicted.items()},
    }


def _interactions(
    suite: Suite, draws: CellDraws, pair: tuple[str, str], name: str
) -> dict[str, dict[str, float | None]]:
    leaks = suite.leaks
    columns = [leaks.defenses.index(which) for which in (*pair, name)]
    kappas = {}
    for i, label in enumerate(suite.labels):
        if leaks.before[i, 0] <= 0 or (leaks.open | leaks.unclaimed)[i, columns].any():
            continue
        cells = [
            np.concatenate([[leaks.before[i, 0]], draws.before[:, i]]),
            *(np.concatenate([[draws.points[i, j]], draws.worst[:, i, j]]) for j in columns),
        ]
        both = interaction(*cells, alpha=ALPHA)
        kappas[label] = {"value": both.kappa, "low": both.low, "high": both.high}
    return kappas


def _next(suite: Suite, draws: CellDraws, allowed: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """What to measure next, the most valuable first; empty where nothing changes the choice."""
    if not (draws.uses > 0).any():
        return []
    leaks = suite.leaks
    rows = next_measurements(draws.worst, draws.uses, open_cells=draws.uses == 0, allowed=allowed)
    return [
        {
            "attack": suite.labels[row.attack],
            "defense": leaks.defenses[row.defense],
            "state": "open"
            if row.open
            else "not claimed"
            if leaks.unclaimed[row.attack, row.defense]
            else "measured",
            "value": row.value,
            "changes": row.changes,
            "uses": row.uses,
            "certain": row.certain,
        }
        for row in rows[:LISTED]
        if row.value > 0
    ]


def _collusion(suite: Suite) -> list[dict[str, Any]]:
    """What a limit on answers still covers, at most, where several principals have one each.

    Principals who put their answers together ask as many times as one without a limit does, once
    there are enough of them: an attack whose questions all fit reads what it reads without the
    limit. Of the others they read what one does at least.
    """
    leaks, rows = suite.leaks, []
    for j, declared in enumerate(suite.declared):
        limit = _limit(declared)
        beside = leaks.unclaimed[:, j] | leaks.open[:, j] | suite.beside[:, j]
        counted = np.flatnonzero((leaks.before[:, 0] > 0) & ~beside)
        if limit is None or not len(counted):
            continue
        questions = np.array(
            [(suite.rows[i].get("uses") or 0) / (suite.rows[i].get("rounds") or 1) for i in counted]
        )
        weights = attack_weights([leaks.classes[i] for i in counted])
        covered, _ = cell_coverage(leaks.before[counted], leaks.worst[counted, j])
        limits = []
        for k in PRINCIPALS:
            fits = (questions > limit) & (questions <= k * limit)
            limits.append(
                {
                    "principals": k,
                    "at_most": float(weights @ np.where(fits, 0.0, covered)),
                    "undone": [suite.labels[i] for i in counted[fits]],
                }
            )
        rows.append(
            {
                "defense": leaks.defenses[j],
                "limit": limit,
                "attacks": len(counted),
                "limits": limits,
            }
        )
    return rows


def _limit(declared: Mapping[str, Any]) -> int | None:
    """Return how many answers a defense gives a principal; None where it does not limit them."""
    params = declared.get("params") or {}
    value = params.get(LIMIT, (params.get("query_budget") or {}).get(LIMIT))
    limits = "budget" in str(declared.get("stage") or "").split("+")
    return int(value) if limits and value is not None else None


def _declared(suite: Suite) -> dict[str, Any]:
    """Which of the declared defenses the run measured, which have a form elsewhere, which none."""
    played = {part for name in suite.leaks.defenses for part in name.split("+")}
    places: dict[str, list[dict[str, Any]]] = {"here": [], "elsewhere": [], "open": []}
    for row in declared_defenses():
        here = [part for part in row.parts if part in played]
        kind = "here" if here else "elsewhere" if row.forms else "open"
        entry = {"number": row.number, "term": row.term, "name": row.name}
        forms = [f"{parts[0]} ({scene})" for scene, parts in row.forms.items()]
        places[kind].append({**entry, "parts": here or forms, "waits": row.waits})
    return {"origin": ORIGIN, **places}


def _open(suite: Suite) -> list[dict[str, str]]:
    """Cells that were not measured, or rest on a static attacker, with the reason."""
    leaks = suite.whole
    return [
        {
            "attack": suite.labels[i],
            "defense": leaks.defenses[j],
            "state": "open" if leaks.open[i, j] else "static only",
            "reason": suite.reasons.get((i, j), "not played"),
        }
        for i, j in np.ndindex(*leaks.unclaimed.shape)
        if leaks.open[i, j] or leaks.static_only[i, j]
    ]
