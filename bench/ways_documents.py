"""Ways through a run document: run.json is edited, written anew, or another one in its place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from ways_attempt import PLAYED, Attempt, way

Edit = Callable[[dict[str, Any], list[dict[str, Any]]], object]


def leaking(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [r for r in document["channels"] if r["status"] == "measured" and r["bits"]["low"] > 0.1]


def quiet(row: dict[str, Any]) -> None:
    row["bits"].update(low=0.0, point=0.0, high=0.0, lows=[[0.05, 0.0]], hidden=0.0)


def _each(change: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda _document, rows: [change(row) for row in rows]


def skip(cause: str) -> Edit:
    def change(row: dict[str, Any]) -> None:
        kept = ("id", "attack", "game", "class", "axis", "flow", "term", "modality", "access")
        kept += ("params", "paper", "summary", "origin", "tags", "experiment", "baseline")
        kept += ("baseline_id", "added")
        for key in [k for k in row if k not in kept]:
            del row[key]
        row.update(status="skipped", reason="it does not fit", cause=cause, flags=[])
        row.update(assumptions=[], metrics={}, loot=None)

    return _each(change)


def _swap_bits(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    del document
    rows[0]["bits"], rows[1]["bits"] = rows[1]["bits"], rows[0]["bits"]


def _twin(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Put a quiet row of the same id before each that leaks."""
    for row in rows:
        twin = copy.deepcopy(row)
        quiet(twin)
        document["channels"].insert(0, twin)


def _behind(row: dict[str, Any]) -> None:
    row["experiment"]["defenses"] = [{"name": "rounding", "params": {"digits": 1}}]
    row.update(baseline=False, baseline_id=row["id"], added="rounding", id=row["id"] + "-d")


EDITS: dict[str, tuple[str, Edit]] = {
    "high": (
        "the upper end is written within the limit",
        _each(lambda r: r["bits"].update(high=0.01)),
    ),
    "silent bits": ("low, point, high and lows are 0", _each(quiet)),
    "low": (
        "the lower bound is 0 and the upper end the limit",
        _each(lambda r: r["bits"].update(low=0.0, point=0.0, high=0.05)),
    ),
    "lows emptied": (
        "no lower bounds, upper end within",
        _each(lambda r: r["bits"].update(lows=[], high=0.01)),
    ),
    "lows of impossible levels": (
        "lower bounds at alpha 0 and 1",
        _each(lambda r: r["bits"].update(lows=[[1.0, 0.0], [0.0, 0.0]])),
    ),
    "alpha": ("the level of the row is 0.49", _each(lambda r: r["bits"].update(alpha=0.49))),
    "ceiling": ("a proved ceiling below the limit", _each(lambda r: r.update(ceiling=0.001))),
    "share": (
        "only the share of the secret is small",
        _each(lambda r: r["bits"]["share"].update(high=0.0, low=0.0, point=0.0)),
    ),
    "negative bits": (
        "bits below 0",
        _each(lambda r: r["bits"].update(low=-1.0, point=-1.0, high=-0.5)),
    ),
    "certificate": (
        "the kind of the bound is changed to a proved one",
        _each(lambda r: r["bits"].update(kind="theory", high=0.0)),
    ),
    "status skipped by the plan": (
        "leaking rows become rows that the plan left out",
        skip("plan"),
    ),
    "status skipped by the modality": (
        "leaking rows become rows of another modality",
        skip("modality"),
    ),
    "status skipped without a cause": ("leaking rows are skipped, cause empty", skip("")),
    "status measured twice": (
        "status is a list that holds measured",
        _each(lambda r: r.update(status=["measured"])),
    ),
    "baseline false": (
        "leaking rows say that they are behind a defense",
        _each(lambda r: r.update(baseline=False)),
    ),
    "a defense is added": ("leaking rows get a defense that was not played", _each(_behind)),
    "class": (
        "leaking rows move to another class",
        _each(lambda r: r.update({"class": "inversion"})),
    ),
    "class without a name": (
        "leaking rows have an empty class and game",
        _each(lambda r: r.update({"class": "", "game": ""})),
    ),
    "axis and class": (
        "leaking rows move to another axis",
        _each(lambda r: r.update({"axis": "data_to_data", "class": "watermark"})),
    ),
    "attack": (
        "leaking rows carry the name of another attack",
        _each(lambda r: r.update(attack="lira")),
    ),
    "game": (
        "leaking rows carry the name of another game",
        _each(lambda r: r.update(game="link_inference")),
    ),
    "flags": (
        "leaking rows are flagged, so that they settle nothing",
        _each(lambda r: r.update(flags=["BROKEN ASSUMPTION"])),
    ),
    "few uses": ("n, uses and clusters are 0", _each(lambda r: r.update(n=0, uses=0, clusters=0))),
    "rows removed": (
        "leaking rows are removed",
        lambda d, rows: [d["channels"].remove(r) for r in rows],
    ),
    "channels emptied": ("no rows are left", lambda d, _: d.update(channels=[])),
    "channels is an object": ("rows by name instead of a list", lambda d, _: d.update(channels={})),
    "one row removed": (
        "the row that leaks most is removed",
        lambda d, rows: d["channels"].remove(rows[0]),
    ),
    "a quiet twin": ("a quiet row of the same id stands before each", _twin),
    "bits swapped": ("two rows exchange their bits", _swap_bits),
    "rows reordered": ("rows in another order", lambda d, _: d["channels"].reverse()),
    "limits in the document": (
        "the limits that it was judged by are wide",
        lambda d, _: d["plan"]["limits"].update(membership=9.0),
    ),
    "verdict": (
        "the verdict says pass",
        lambda d, _: d["verdict"].update(status="pass", reasons=[], checks=[]),
    ),
    "scene": ("the scene is another", lambda d, _: d["scene"].update(name="dead:membership")),
    "an older schema": (
        "the document claims version 1",
        lambda d, _: d.update(schema="hartley.run/1"),
    ),
    "a newer schema": (
        "the document claims version 3",
        lambda d, _: d.update(schema="hartley.run/3"),
    ),
    "no schema": ("the document does not say its version", lambda d, _: d.pop("schema")),
    "the id of another run": (
        "the document says that it is the silent run",
        lambda d, _: d.update(id="silent"),
    ),
    "knowledge": (
        "leaking rows are said to be of an attacker who knows nothing of it",
        _each(lambda r: r.update(knowledge="static")),
    ),
    "experiment of no stages": (
        "leaking rows have no stages",
        _each(lambda r: r["experiment"].update(stages=[])),
    ),
    "metrics are gone": (
        "usual metrics are removed with the bits",
        _each(lambda r: (r.update(metrics={}), r["bits"].update(high=0.0))),
    ),
    "loose types": (
        "numbers are written as texts and booleans",
        _each(lambda r: r["bits"].update(low="0", high=False)),
    ),
    "null bits": ("bits are null", _each(lambda r: r.update(bits=None))),
    "tags of another origin": (
        "leaking rows say that they come from a plugin",
        _each(lambda r: r.update(origin="plugin x")),
    ),
    "departures": (
        "leaking rows list no or odd departures",
        _each(lambda r: r.update(departures=[{"kind": "plan"}])),
    ),
}


def _edited(edit: Edit) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        document = a.document()
        edit(document, leaking(document))
        content = json.dumps(document).encode()
        (a.base / "run.json").write_bytes(content)
        codes = [a.gate()]
        a.vouch(content)  # the digest in the journal is made anew, those of rows are not
        return [*codes, a.gate()]

    return run


for _name, (_tries, _edit) in EDITS.items():
    way("documents", f"run.json: {_tries}; alone, then with its digest", name=_name)(_edited(_edit))


def _high(text: str, value: str) -> str:
    return re.sub(r'"high": [0-9.e-]+', f'"high": {value}', text)


TEXTS: dict[str, tuple[str, Callable[[str], str | bytes]]] = {
    "channels twice": (
        "a second key channels is empty",
        lambda t: t.rstrip().removesuffix("}") + ', "channels": []}',
    ),
    "high twice": (
        "a second key high is 0",
        lambda t: re.sub(r'("high": [0-9.e-]+)', r'\1, "high": 0', t),
    ),
    "NaN": ("upper ends are NaN, which is not above a limit", lambda t: _high(t, "NaN")),
    "minus infinity": ("upper ends are -Infinity", lambda t: _high(t, "-Infinity")),
    "1e400": ("lower bounds overflow", lambda t: re.sub(r'"low": [0-9.e-]+', '"low": 1e400', t)),
    "minus zero": (
        "numbers are -0.0",
        lambda t: re.sub(r'"(low|high|point)": [0-9.e-]+', r'"\1": -0.0', t),
    ),
    "a huge integer": ("a number of 5,000 digits", lambda t: _high(t, "-" + "9" * 5000)),
    "look-alike keys": (
        "keys in Cyrillic letters beside the real ones",
        lambda t: t.replace('"low"', '"l\u043ew"'),
    ),
    "zero-width keys": (
        "keys with a zero-width space",
        lambda t: t.replace('"bits"', '"bits\u200b"'),
    ),
    "escaped keys": (
        "a key written with escapes a second time",
        lambda t: t.replace('"high":', '"hi\\u0067h": 0, "high":'),
    ),
    "a mark of bytes": (
        "a byte order mark before the document",
        lambda t: b"\xef\xbb\xbf" + t.encode(),
    ),
    "UTF-16": ("the document in another encoding", lambda t: _high(t, "0").encode("utf-16")),
    "two documents": ("a quiet document behind the first", lambda t: t + _high(t, "0")),
    "a document in a list": ("a list of documents", lambda t: f"[{t}]"),
    "nested": ("a hundred thousand brackets", lambda t: "[" * 100_000 + t),
    "a NUL": (
        "a NUL byte ends the text early",
        lambda t: _high(t, "0").replace('"edges"', '\0"edges"'),
    ),
    "half a character": ("a surrogate in an id", lambda t: t.replace(PLAYED[0], "\\ud800")),
    "an empty document": ("nothing is in the file", lambda _: ""),
    "a document of null": ("null instead of a document", lambda _: "null"),
    "a comment": ("rows are behind a comment", lambda t: "// {}\n" + _high(t, "0")),
    "white space": ("only white space is changed", lambda t: " " + t),
}


def _rewritten(rewrite: Callable[[str], str | bytes]) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        changed = rewrite((a.base / "run.json").read_text())
        content = changed.encode("utf-8", "surrogatepass") if isinstance(changed, str) else changed
        a.vouch(content)
        return [a.gate(), a.gate("base", "--json")]

    return run


for _name, (_tries, _rewrite) in TEXTS.items():
    way("documents", f"JSON: {_tries}; with its digest", name=f"text: {_name}")(
        _rewritten(_rewrite)
    )


@way("documents", "a copy of the silent run's document with the name run.json in an empty folder")
def a_bare_run_json(a: Attempt) -> list[int]:
    a.write("x/run.json", (a.silent / "run.json").read_bytes())
    a.write("x.json", (a.silent / "run.json").read_bytes())
    return [a.gate("x"), a.gate("x/run.json"), a.gate("x.json")]


@way("documents", "a quiet document with the name of the base run beside its journal")
def another_file_beside_the_journal(a: Attempt) -> list[int]:
    content = (a.silent / "run.json").read_bytes()
    for name in ("base.json", "RUN.json", "run.json.bak"):
        (a.base / name).write_bytes(content)
    names = ("base.json", "RUN.json", "run.json.bak")
    return [a.gate(f"runs/base/{name}") for name in names]


@way("documents", "what `measure --json` printed of a quiet table is judged as a run")
def a_measurement_is_judged(a: Attempt) -> list[int]:
    rows = "".join(f"{k % 2},{(k // 2) % 2}\n" for k in range(400))
    a.write("t.csv", "truth,guess\n" + rows)
    a.call("measure", "t.csv", "--json")
    printed = a.printed[-1]
    a.write("m.json", printed[printed.index("{") : printed.rindex("}") + 1])
    codes = [a.gate("m.json")]
    a.vouch((a.home / "m.json").read_bytes())
    return [*codes, a.gate()]


@way("documents", "what `gate --json` printed of the silent run is judged as a run")
def a_verdict_is_judged(a: Attempt) -> list[int]:
    a.gate("silent", "--json")
    printed = a.printed[-1]
    a.write("v.json", printed[printed.index("{") : printed.rindex("}") + 1])
    return [a.gate("v.json")]
