"""``hartley show NAME``: what one part declares, or one row of a run."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley import catalog
from hartley.cli.store_option import Store
from hartley.cli.terminal import note, print_json, print_table, say, say_hung
from hartley.core import AnswerForm, Game, Stronger
from hartley.core import Parameter as Declared
from hartley.core.brief import brief_fields
from hartley.core.errors import UnknownName, UsageError

app = App(name="show")

ANSWERS = {
    AnswerForm.SCORE: "(m,) one number for each question; larger means that the secret bit is 1",
    AnswerForm.SYMBOL: "(m,) the guessed symbol 0..alphabet-1 of each question, or -1 for none; "
    "None where the game reads the answers off the asset",
    AnswerForm.RANK: "(m, candidates) a score for each candidate of each question; the engine "
    "ranks the true one",
}
"""What an attack answers in each form."""


@app.default
def show(
    name: str,
    row: str | None = None,
    /,
    *,
    store: Store = Path("runs"),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show one part, the rows of a run, or one row of it.

    Parameters
    ----------
    name
        An attack, defense, game or scene; or a run, or latest.
    row
        The id of a row of that run, such as lira-4c1f2a, or the name of its attack; where it is
        left out, the rows are listed.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    json
        Print one JSON document.
    """
    if row is not None:
        return _show_row(name, row, store, json=json)
    matches = [e for e in catalog.entries() if e.name == name]
    if not matches and _is_run(name, store):
        return _list_rows(name, store, json=json)
    if not matches:
        raise UnknownName("part", name, [e.name for e in catalog.entries()])
    facts = [_facts(entry) for entry in matches]
    if json:
        print_json(facts[0] if len(facts) == 1 else facts)
        return 0
    for part_facts in facts:
        _print(part_facts)
    return 0


def _is_run(name: str, store: Path) -> bool:
    """Return whether it is the name or the path of a run; ``latest`` always is one."""
    from hartley.cli.find_run import folder_of

    try:
        folder_of(name, store)
    except UsageError:
        if name == "latest":
            raise
        return False
    return True


def _list_rows(run: str, store: Path, *, json: bool) -> int:
    """Print the id of each row of a run that was played, and what it read; as JSON all rows."""
    from hartley.cli.find_run import read
    from hartley.report.format_numbers import quantity

    rows = read(run, store)["channels"]
    if json:
        names = ("id", "attack", "knowledge", "status", "bits")
        print_json([{n: row.get(n) for n in names} | {"defenses": _defenses(row)} for row in rows])
        return 0
    print_table(
        ("row", "attack", "defenses", "knowledge", "bits per use"),
        [
            (
                *(row["id"], row["attack"]),
                "+".join(_defenses(row)) or "none",
                row.get("knowledge") or "none",
                " ".join(quantity(row["bits"])) if row.get("bits") else row["status"],
            )
            for row in rows
            if row["status"] != "skipped"
        ],
    )
    note(f"show one with: hartley show {run} ROW")
    return 0


def _defenses(row: dict[str, Any]) -> list[str]:
    return [defense["name"] for defense in row["experiment"]["defenses"]]


def _show_row(run: str, wanted: str, store: Path, *, json: bool) -> int:
    """Print one row of a run, with its experiment."""
    from hartley.cli.find_run import read

    rows = read(run, store)["channels"]
    matches = [row for row in rows if row["id"] == wanted]
    matches = matches or [row for row in rows if row["attack"] == wanted and row["baseline"]]
    if not matches:
        near = get_close_matches(wanted, [row["id"] for row in rows], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"no row {wanted!r} in the run {run}; {hint}hartley show {run} lists them")
    if json:
        print_json(matches[0] if len(matches) == 1 else matches)
        return 0
    for row in matches:
        for name, words in _row_lines(row):
            say(f"{name:28} {words}")
    return 0


ELSEWHERE = (
    "curve",
    "tags",
    "lows",
    "share",
    "quantity",
    "point",
    "low",
    "high",
    "null_low",
    "flags",
)
"""What other lines of a row say, or what is for programs (``--json`` prints it)."""


NAMES = {
    "uses": "queries",
    "hidden": "could hide",
    "certifiable": "could certify",
    "raw": "raw point",
    "null": "null arm",
}
"""What a person reads in place of a field's name."""


def _row_lines(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a row of a run as names and words, one line each."""
    from hartley.report.format_numbers import played_params, tuning, usual

    row = {**row, "params": played_params(row)}
    for name, value in row.items():
        if value in (None, [], {}, "") or name in ELSEWHERE:
            continue
        if name == "experiment":
            yield from _experiment_lines(value, row)
        elif name == "bits":
            yield from _bits_lines(row)
        elif name == "metrics":
            for metric, figure in value.items():
                yield f"  {metric}", " ".join(usual(metric, figure))
        elif name == "assumptions":
            for words in value:
                yield "rests on", str(words)
        else:
            yield NAMES.get(name, name), tuning(value) if name == "tuning" else _plain(value)
    for flag in row.get("flags") or ():
        yield "FLAGGED", str(flag)


def _experiment_lines(
    experiment: Mapping[str, Any], row: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    from hartley.report.format_numbers import params

    for stage in experiment["stages"]:
        slot = f", through the slot {stage['slot']}" if stage["slot"] else ""
        # What the last stage played with is known of its row; no row says it of those before.
        played = row["params"] if stage is experiment["stages"][-1] else {}
        values = {name: played.get(name, value) for name, value in stage["params"].items()}
        yield "stage", f"{stage['attack']} ({params(values)}){slot}"
        yield "  its game", f"{stage['game']} ({params(stage['game_params'])})"
    defenses = [f"{one['name']} ({params(one['params'])})" for one in experiment["defenses"]]
    yield "defenses", " + ".join(defenses) or "none"
    yield "replicate", str(experiment["replicate"])


def _bits_lines(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from hartley.report.format_numbers import bits, share, span

    value = row["bits"]
    yield "bits per use", f"{bits(value['point'])} {span(value['low'], value['high'])}"
    yield "  which is", str(value.get("quantity") or "not recorded")
    yield "  of the secret", ", ".join(filter(None, share(row)))
    for key, part in value.items():
        if part is not None and key not in ELSEWHERE:
            yield f"  {NAMES.get(key, key)}", bits(part)


def _plain(value: Any) -> str:
    """Write a value for a person, with what is in it: numbers, yes or no, texts."""
    from hartley.report.format_numbers import number

    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_plain, value))
    return ("yes" if value else "no") if isinstance(value, bool) else number(value)


def _facts(entry: catalog.Entry) -> dict[str, Any]:
    facts = {**entry.as_json(), "description": entry.summary, "parameters": []}
    if entry.error:
        return facts
    try:
        part = catalog.load(entry.kind, entry.name)
    except UsageError as error:
        return facts | {"error": str(error)}
    facts["description"] = inspect.getdoc(part.function) or entry.summary
    facts["parameters"] = [_parameter(declared) for declared in part.parameters]
    if isinstance(part, Game):
        facts["brief"] = [asdict(field) for field in brief_fields(part.brief)]
    return facts


def _parameter(declared: Declared) -> dict[str, Any]:
    limits, ends = declared.range, {}
    if limits is not None:
        ends = {
            "low": limits.low if isfinite(limits.low) else None,
            "high": limits.high if isfinite(limits.high) else None,
            "open_low": limits.open_low,
            "open_high": limits.open_high,
        }
    return {
        "name": declared.name,
        "type": declared.kind.__name__,
        "default": declared.default,
        "range": ends or None,
        "choices": list(declared.choices) or None,
        "limits": declared.limits,
        "stronger": declared.stronger,
        "help": declared.help,
    }


_STRONGER = {Stronger.MORE: "stronger with more", Stronger.LESS: "stronger with less"}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_words(item)}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print(facts: dict[str, Any]) -> None:
    say_hung(f"{facts['kind']} {facts['name']}  ", f"({facts['origin']}, {facts['module']})")
    for name in catalog.DECLARED:
        if name == "unfit":
            for modality, reason in (facts[name] or {}).items():
                say_hung(f"  {'leaves out':11} {modality}: ", reason)
        elif facts[name] not in (None, [], {}):
            say_hung(f"  {name:11} ", _words(facts[name]))
    if facts["error"]:
        say(f"  CANNOT BE USED: {facts['error']}")
    say()
    head = facts["description"].split("\nArgs:")[0].rstrip()
    say(*(f"  {line}".rstrip() for line in head.splitlines()))
    if facts["parameters"]:
        say("", "  parameters")
    for parameter in facts["parameters"]:
        flag = f"--{parameter['name'].replace('_', '-')}"
        kind, default = parameter["type"], parameter["default"]
        words = [parameter["limits"], _STRONGER.get(parameter["stronger"], "")]
        limits = f" [{'; '.join(filter(None, words))}]" if any(words) else ""
        say_hung(f"    {flag:18} {kind:6} ", f"{default!r:10}{limits} {parameter['help']}")
    if facts.get("brief"):
        _print_brief(facts)


def _print_brief(facts: dict[str, Any]) -> None:
    """Print what an attack on this game reads, and what it must return."""
    say("", "  brief: what an attack reads as view.brief, besides the asset it attacks")
    for field in facts["brief"]:
        note = " Only adaptive attackers get it." if field["adaptive_only"] else ""
        say_hung(f"    {field['name']:18} {field['type']:28} ", f"{field['help']}{note}")
    say("", "  an attack returns")
    say_hung(f"    {'Outcome.guess':18} ", ANSWERS[AnswerForm(facts["form"])])
    kind = {"any": "data or a model, or nothing"}.get(facts["loot"], f"a {facts['loot']} asset")
    say(f"    {'Outcome.asset':18} {kind}")
