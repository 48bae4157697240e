"""``hartley defend``: which defense a stored run supports, why, and what to measure next.

Of several runs: whether a defense covers on the scene of one what it covers on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.several import Names
from hartley.cli.store_option import Store
from hartley.cli.terminal import note, number, print_json, print_table, quantity, say
from hartley.core.errors import UsageError
from hartley.report.format_numbers import count

app = App(name="defend")

Repeated = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]
NAMED = 6
"""Defenses whose names head the columns of the matrix; more have numbers."""
FEW = 6
"""Attacks that a line lists."""
LISTED = 10
"""Pairs that are printed."""
MARKS = {"static only": "*", "open": "?", "not claimed": "="}
"""Signs of cells that are not a measurement against both attackers."""
BESIDE = "°"
"""Sign of a cell that was measured although the defense does not claim it."""


@app.default
def defend(
    run: str,
    /,
    *more: str,
    floor: Repeated = None,
    attacks: Names = None,
    store: Store = Path("runs"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Choose among the defenses of a stored run: the one whose worst attack reads least.

    Nothing is played. Leaks are shares of the secret, against the stronger of the static and the
    adaptive attacker. Of several runs it prints instead what each common defense covers on the
    scenes of every two of them. Exit code: 0 a choice was printed, 2 bad input: a run without
    defenses, a floor that none of them meets, or runs without a common defense.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    more
        More runs, of other scenes.
    floor
        Utility that must be kept, METRIC=VALUE such as accuracy=0.93; VALUE alone where the run has
        one metric. May be repeated.
    attacks
        An attack, game or class that counts, or a pattern of it; may be repeated, or commas between
        them. Default: all.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    json
        Print one JSON document.
    """
    from hartley.cli.find_run import read_with_trials
    from hartley.engine.choice.which_defense import which_defense

    if more:
        return _defend_all((run, *more), floor, attacks or (), store, json=json)
    floors = dict(map(_floor, floor or ()))
    document, load, doubt = read_with_trials(run, store)
    if doubt:
        note(f"{doubt}: its intervals are those of the rows alone")
    choice = which_defense(document, floors=floors, attacks=attacks or (), load=load)
    if json:
        print_json(choice)
    else:
        _print(choice)
    return 0


def _defend_all(
    names: Sequence[str],
    floor: Sequence[str] | None,
    attacks: Sequence[str],
    store: Path,
    *,
    json: bool,
) -> int:
    from hartley.cli.find_run import read_with_trials
    from hartley.engine.choice.transfer import transfer

    if floor:
        raise UsageError("--floor must go with one run, whose utility it is about, got several")
    read = [read_with_trials(name, store) for name in names]
    for name, (_, _, doubt) in zip(names, read, strict=True):
        if doubt:
            note(f"{name}: {doubt}: its intervals are those of the rows alone")
    table = transfer([row[0] for row in read], [row[1] for row in read], attacks=attacks)
    if json:
        print_json(table)
    else:
        _print_transfer(table)
    return 0


def _print_transfer(table: Mapping[str, Any]) -> None:
    say("share of the leak that a defense closes, on the games that both scenes of a row have")
    rows, apart, missing = [], [], []
    for row in table["defenses"]:
        head = row["defense"], row["term"]
        for pair in row["pairs"]:
            one, other = pair["scenes"]
            names = f"{one['scene']} → {other['scene']}"
            missing += [
                f"{row['defense']}, {names}: {', '.join(side['games'])} in {side['run']} alone"
                for side in pair["missing"]
            ]
            if pair["difference"] is None:
                apart.append(f"{row['defense']} ({names})")
                continue
            rows.append(
                (
                    *head,
                    names,
                    ", ".join(pair["games"]),
                    *(_share(place["coverage"]) for place in (one, other)),
                    f"{one['coverage']['n']}, {other['coverage']['n']}",
                    _points(pair["difference"]),
                )
            )
            head = "", ""
    columns = ("defense", "term", "scenes", "games", "covered on the first", "on the second")
    print_table((*columns, "attacks", "difference, points"), rows, drop=(1, 6))
    for line in missing:
        say(f"  not compared: {line}")
    if apart:
        say(f"no common game: {', '.join(apart)}")
    if table["alone"]:
        say(f"in one run alone, or on no common game: {', '.join(table['alone'])}")
    for run in table["runs"]:
        say(f"{run['run']} ({run['scene']}, {run['modality']}): 95 % intervals, {run['intervals']}")


def _points(gap: Mapping[str, float]) -> str:
    value, low, high = (f"{round(100 * gap[end]) or 0:+d}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _floor(text: str) -> tuple[str, float]:
    """Read ``accuracy=0.9`` or ``0.9``.

    Raises:
        UsageError: it is neither.
    """
    metric, _, value = text.rpartition("=")
    try:
        return metric.strip(), float(value)
    except ValueError:
        raise UsageError(
            f"--floor must be METRIC=VALUE or a number, such as accuracy=0.93, got {text!r}"
        ) from None


def _print(choice: Mapping[str, Any]) -> None:
    suite, defenses = choice["relative_to_suite"], choice["defenses"]
    say(
        f"{choice['run']}: {choice['scene']}, {count(len(suite), 'attack')}, "
        f"{count(len(defenses), 'defense')}"
    )
    _print_choice(choice)
    _print_index(defenses)
    _print_matrix(choice)
    _print_pairs(choice["pairs"])
    _print_next(choice)
    _print_claim(choice["bandwidth_claim"])
    _print_collusion(choice["collusion"])
    _print_declared(choice["declared"])
    _print_gaps(choice)
    say(f"intervals: 95 %, {choice['intervals']}")


def _print_choice(choice: Mapping[str, Any]) -> None:
    best = choice["choice"]
    say(f"choice: {best['defense']}")
    say(
        f"  its worst attack, {best['worst_attack']}, reads {_share(best['worst'])} of the secret; "
        f"without a defense {best['undefended_attack']} reads {best['undefended']:.0%}"
    )
    if (rival := best["runner_up"]) is not None:
        say(
            f"  next is {rival['defense']} with {rival['worst']:.1%} "
            f"({rival['worst_attack']}); {best['defense']} is the best one in "
            f"{best['share_best']:.0%} of resampled runs"
        )
    weights = best["mixture"]["weights"]
    if len(weights) > 1:
        words = ", ".join(f"{name} {share:.0%}" for name, share in weights.items())
        say(
            f"  a mixture, drawn anew where the attacker does not see it: {words}, worst "
            f"{best['mixture']['value']:.1%}; price of determinism "
            f"{best['price_of_determinism']:.1%}"
        )
    else:
        say("  no mixture leaves less: the price of determinism is 0")
    for metric, value in choice["floors"].items():
        row = next(r for r in choice["defenses"] if r["name"] == best["defense"])
        doubt = " (the floor is inside its interval)" if metric in row["near_floor"] else ""
        say(f"  {metric} {quantity(row['utility'][metric]['after'])} ≥ {number(value)}{doubt}")
    for key, words in {
        "static_only": "rests on attackers who do not know it",
        "assumed": "does not claim to protect from, so that the leak without it is taken",
        "open": "was not measured against, so that the leak without it is taken",
    }.items():
        if best[key]:
            more = f" and {len(best[key]) - FEW} more" if len(best[key]) > FEW else ""
            say(f"  it {words}: {', '.join(best[key][:FEW])}{more}")
    if best["unmoved"]:
        more = f" and {len(best['unmoved']) - FEW} more" if len(best["unmoved"]) > FEW else ""
        say(f"  no defense narrows {', '.join(best['unmoved'][:FEW])}{more} by a tenth or more")
    if len(choice["by_class"]) > 1:
        say("  class by class:")
    for name, row in choice["by_class"].items() if len(choice["by_class"]) > 1 else ():
        if row["defense"] is None:
            say(f"    {name}: no defense claims it ({row['undefended']:.0%} without)")
            continue
        say(
            f"    {name}: {row['defense']} leaves {_share(row['worst'])} of "
            f"{row['undefended']:.0%}; the best one in {row['share_best']:.0%} of resampled runs"
        )


def _print_index(defenses: Sequence[Mapping[str, Any]]) -> None:
    say()
    rows = []
    metrics = [
        metric
        for metric, pair in defenses[0]["utility"].items()
        if len(
            {pair["before"]["value"], *(d["utility"][metric]["after"]["value"] for d in defenses)}
        )
        > 1
    ]
    for row in sorted(defenses, key=lambda one: -(one["dci_hartley"]["value"] or 0.0)):
        index = row["dci_hartley"]
        by_term = index["by_term"]
        terms = " ".join(
            f"{name[0].upper()} {by_term[name]:.0%}"
            for name in ("signal", "noise", "bandwidth")
            if by_term.get(name) is not None
        )
        rows.append(
            (
                _numbered(row["name"], defenses) + ("" if row["allowed"] else " (below the floor)"),
                row["term"],
                _share(index),
                "–" if index["static"] is None else f"{index['static']:.0%}",
                terms,
                "–" if index["breadth"] is None else f"{index['breadth']:.0%}",
                "–" if index["worst"] is None else f"{index['worst']:.0%} {index['worst_attack']}",
                _moved(row["attribution"]),
                ", ".join(
                    f"{metric} {number(row['utility'][metric]['after']['value'])}"
                    for metric in metrics
                ),
            )
        )
    columns = ("defense", "term", "dci_hartley", "static", "attacks on S, N, B", "breadth")
    print_table((*columns, "least covered", "moved, log2", "utility"), rows, drop=(7, 5, 1, 8))
    for row in defenses:
        if row["raises"]:
            more = f" and {len(row['raises']) - FEW} more" if len(row["raises"]) > FEW else ""
            say(f"  {row['name']} helps the attacker: {', '.join(row['raises'][:FEW])}{more}")


def _print_matrix(choice: Mapping[str, Any]) -> None:
    say("", "share of the secret that the stronger attacker reads")
    names = [row["name"] for row in choice["defenses"]]
    rows = [
        (
            row["attack"],
            row["objective"] or "–",
            f"{row['before']['value']:.0%}",
            *(_cell(row["behind"][name]) for name in names),
        )
        for row in choice["matrix"]
    ]
    heads = names if len(names) <= NAMED else [f"[{k}]" for k in range(1, len(names) + 1)]
    print_table(
        ("attack", "objective", "without", *heads), rows, numbers=tuple(range(2, 3 + len(names)))
    )
    cells = [cell for row in choice["matrix"] for cell in row["behind"].values()]
    states = {"beside" if _beside(cell) else cell["state"] for cell in cells}
    states |= {cell["state"] for cell in cells}
    meanings = {
        "static only": "* an attacker who does not know it alone",
        "not claimed": "= not claimed: taken as without it",
        "open": "? not measured: taken as without it",
        "beside": f"{BESIDE} not claimed, but measured: counts where it helps the attacker",
    }
    if words := [text for state, text in meanings.items() if state in states]:
        say(f"  {'; '.join(words)}")


def _beside(cell: Mapping[str, Any]) -> bool:
    return not cell["claimed"] and cell["state"] in ("measured", "static only")


def _cell(cell: Mapping[str, Any]) -> str:
    played = [cell[k]["value"] for k in ("static", "adaptive") if cell[k] is not None]
    mark = BESIDE if _beside(cell) else ""
    return f"{max(played, default=cell['taken']):.0%}{MARKS.get(cell['state'], '')}{mark}"


def _numbered(name: str, defenses: Sequence[Mapping[str, Any]]) -> str:
    """A name with its number where the matrix has numbers in place of long names."""
    place = [row["name"] for row in defenses].index(name) + 1
    return name if len(defenses) <= NAMED else f"[{place}] {name}"


def _print_pairs(pairs: Mapping[str, Any] | None) -> None:
    if pairs is None:
        return
    say("", "pairs")
    rows = []
    for row in pairs["rows"][:LISTED]:
        known = {a: k for a, k in row["interaction"].items() if k["value"] is not None}
        top = max(known, key=lambda a: abs(known[a]["value"]), default=None)
        rows.append(
            (
                row["pair"],
                f"{row['value']:.0%}",
                f"{row['predicted']:.0%}",
                f"+{max(row['second_adds'], 0):.0%} (alone {row['second_alone']:.0%})"
                if row["second_adds"] >= 0
                else f"−{-row['second_adds']:.0%} (alone {row['second_alone']:.0%})",
                "–" if top is None else f"{quantity(known[top])} {top}",
            )
        )
    print_table(("pair", "dci_hartley", "predicted", "second adds", "largest κ"), rows)
    if len(pairs["rows"]) > LISTED:
        say(f"  and {len(pairs['rows']) - LISTED} more (--json)")
    greedy = pairs["greedy"] or f"none, since no pair of {pairs['single']} was played"
    say(f"  greedy: {greedy}; best of all played: {pairs['best']}")
    if pairs["diminishing"] is not None:
        say(
            f"  the second defense adds no more than alone in {pairs['diminishing']:.0%} of cases"
            f" ({2 * len(pairs['rows'])})"
        )
    if pairs["unplayed"]:
        best = max(pairs["unplayed"], key=lambda name: pairs["unplayed"][name])
        say(
            f"  not played: {len(pairs['unplayed'])} pairs; were they independent, {best} would "
            f"cover most, {pairs['unplayed'][best]:.0%}"
        )


def _print_next(choice: Mapping[str, Any]) -> None:
    from hartley.engine.choice.which_defense import NEGLIGIBLE

    say()
    rows = [row for row in choice["next"] if row["value"] >= NEGLIGIBLE]
    if not rows:
        say(f"next measurement: no single one would lower the worst leak by {NEGLIGIBLE:.1%}")
        return
    first, *rest = rows
    say(
        f"next measurement: {first['attack']} behind {first['defense']} ({first['state']}), "
        f"{first['uses']} more uses: changes the choice with chance {first['changes']:.0%}, lowers "
        f"the worst leak by {first['value']:.2%} of the secret in the mean"
    )
    for row in rest:
        say(
            f"  then {row['attack']} behind {row['defense']}, {row['uses']} more uses: "
            f"{row['changes']:.0%}, {row['value']:.2%}"
        )


def _print_claim(claim: Mapping[str, Any]) -> None:
    say("", "does bandwidth beat noise and signal under adaptation?")
    if claim["status"] == "not measured":
        say(f"  not measured: {claim['reason']}")
        return
    words = {"beats": "yes", "loses": "no, they cover more", "open": "open"}[claim["status"]]
    sides = [
        f"{claim['coverage'][kind]['adaptive']:.0%} ({', '.join(claim[kind])})"
        for kind in ("bandwidth", "others")
    ]
    say(
        f"  {words}: coverage {' against '.join(sides)}, difference "
        f"{quantity(claim['difference'])} over {count(claim['difference']['n'], 'attack')}"
    )
    for metric, pair in claim["utility"].items():
        if pair["bandwidth"] != pair["others"] and None not in pair.values():
            say(f"  mean {metric}: {number(pair['bandwidth'])} against {number(pair['others'])}")
    if (everywhere := claim["everywhere"]) is not None:
        say(
            f"  over all cells, those that no defense claims too: {quantity(everywhere)} "
            f"({count(everywhere['n'], 'attack')})"
        )
    say(
        f"  of other attacks and defenses like them: {quantity(claim['beyond'])}; what adaptation "
        f"takes from bandwidth more than from the others: {quantity(claim['lost'])}"
    )


def _print_collusion(rows: Sequence[Mapping[str, Any]]) -> None:
    """What a limit covers at most where several principals have one each."""
    for row in rows:
        say("", f"principals who collude, each with the {row['limit']} answers of {row['defense']}")
        words = [f"{limit['principals']}: {limit['at_most']:.0%}" for limit in row["limits"]]
        most = row["limits"][-1]
        say(
            f"  it covers of its {count(row['attacks'], 'attack')} at most, by their number: "
            f"{', '.join(words)}; {most['principals']} ask all that is asked without a limit by "
            f"{count(len(most['undone']), 'attack')}"
        )


def _print_declared(declared: Mapping[str, Any]) -> None:
    say("", f"the fifteen declared defenses ({declared['origin']})")
    for word, key in (("in this run", "here"), ("on other scenes", "elsewhere")):
        if rows := declared[key]:
            names = [f"{row['number']} {', '.join(row['parts'])}" for row in rows]
            say(f"  {word}: {'; '.join(names)}")
    waiting = [f"{row['number']} {row['name']}" for row in declared["open"]]
    say(f"  open: {'; '.join(waiting)}: {declared['open'][0]['waits']}")


def _print_gaps(choice: Mapping[str, Any]) -> None:
    reasons: dict[str, dict[str, list[str]]] = {}
    for cell in choice["open"]:
        # A reason that names the defense is the same one behind all of them.
        reason = cell["reason"].replace(f"behind {cell['defense']}", "behind it")
        cells = reasons.setdefault(f"{cell['state']}: {reason}", {})
        cells.setdefault(cell["attack"], []).append(cell["defense"])
    if reasons or choice["left_out"] or choice["outside"]:
        say()
    for reason, attacks in reasons.items():
        words = [
            attack if len(names) == len(choice["defenses"]) else f"{attack} ({', '.join(names)})"
            for attack, names in attacks.items()
        ]
        say(f"{reason}: {'; '.join(words)}")
    for name, reason in choice["left_out"].items():
        say(f"left out: {name}: {reason}")
    if choice["outside"]:
        say(f"no defense of this run claims to protect from: {', '.join(choice['outside'])}")


def _share(value: Mapping[str, Any]) -> str:
    if value["value"] is None:
        return "–"
    ends = "" if value["low"] is None else f" [{value['low']:.0%}, {value['high']:.0%}]"
    return f"{value['value']:.0%}{ends}"


def _moved(parts: Mapping[str, float] | None) -> str:
    """Signal and noise together, since a statistic in other units moves one against the other."""
    if parts is None:
        return "–"
    return (
        f"S/N {number(parts['signal'] + parts['noise'], 1)}, B {number(parts['bandwidth'], 1)}, "
        f"rest {number(parts['unexplained'], 1)}"
    )
