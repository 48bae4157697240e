"""Ways through what is stored: run.json, the journal, rows, trials, names of runs."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from typing import Any

from ways_attempt import LIVE, PLAN, PLAYED, Attempt, way

Edit = Callable[[dict[str, Any], list[dict[str, Any]]], object]


def _leaking(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [r for r in document["channels"] if r["status"] == "measured" and r["bits"]["low"] > 0.1]


def _quiet(row: dict[str, Any]) -> None:
    row["bits"].update(low=0.0, point=0.0, high=0.0, lows=[[0.05, 0.0]], hidden=0.0)


def _each(change: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda _document, rows: [change(row) for row in rows]


def _skip(cause: str) -> Edit:
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
        quiet = copy.deepcopy(row)
        _quiet(quiet)
        document["channels"].insert(0, quiet)


def _behind(row: dict[str, Any]) -> None:
    row["experiment"]["defenses"] = [{"name": "rounding", "params": {"digits": 1}}]
    row.update(baseline=False, baseline_id=row["id"], added="rounding", id=row["id"] + "-d")


EDITS: dict[str, tuple[str, Edit]] = {
    "high": (
        "the upper end is written within the limit",
        _each(lambda r: r["bits"].update(high=0.01)),
    ),
    "silent bits": ("low, point, high and lows are 0", _each(_quiet)),
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
        _skip("plan"),
    ),
    "status skipped by the modality": (
        "leaking rows become rows of another modality",
        _skip("modality"),
    ),
    "status skipped without a cause": ("leaking rows are skipped, cause empty", _skip("")),
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
        edit(document, _leaking(document))
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


@way("documents", "the document of the silent run in the place of the other")
def document_of_the_silent_run(a: Attempt) -> list[int]:
    content = (a.silent / "run.json").read_bytes()
    (a.base / "run.json").write_bytes(content)
    codes = [a.gate()]
    a.vouch(content)
    return [*codes, a.gate()]


@way("documents", "run.json is a link to that of the silent run")
def document_is_a_link(a: Attempt) -> int:
    (a.base / "run.json").unlink()
    (a.base / "run.json").symlink_to("../silent/run.json")
    return a.gate()


@way("documents", "journal and document of the silent run, rows and trials of the other")
def journal_and_document_of_the_silent_run(a: Attempt) -> int:
    for name in ("journal.jsonl", "run.json"):
        shutil.copy(a.silent / name, a.base / name)
    return a.gate()


@way("documents", "every file of the silent run but its trials")
def all_but_trials_of_the_silent_run(a: Attempt) -> int:
    for name in ("journal.jsonl", "run.json", "plan.toml"):
        shutil.copy(a.silent / name, a.base / name)
    for row in (a.silent / "rows").iterdir():
        shutil.copy(row, a.base / "rows" / row.name)
    return a.gate()


@way("documents", "the folder of the silent run is copied over the other's name")
def folder_of_the_silent_run(a: Attempt) -> int:
    shutil.rmtree(a.base)
    shutil.copytree(a.silent, a.base)
    return a.gate()


@way("documents", "the run's folder is a link to the silent run")
def folder_is_a_link(a: Attempt) -> int:
    shutil.rmtree(a.base)
    a.base.symlink_to("silent")
    return a.gate()


@way("documents", "the journal is a link to that of the silent run")
def journal_is_a_link(a: Attempt) -> int:
    (a.base / "journal.jsonl").unlink()
    (a.base / "journal.jsonl").symlink_to("../silent/journal.jsonl")
    return a.gate()


@way("documents", "a silent run lies inside the folder of the other, and is named by a path")
def a_run_inside_a_run(a: Attempt) -> list[int]:
    shutil.copytree(a.silent, a.base / "rows/base")
    return [a.gate(), a.gate("base/rows"), a.gate("base/rows/base"), a.gate("runs/base/rows/base")]


@way("documents", "the current folder holds a silent run of the name that is asked for")
def a_run_in_the_current_folder(a: Attempt) -> int:
    shutil.copytree(a.silent, a.home / "base")
    return a.gate()


@way("documents", "names in capitals, with dots, spaces and other forms of Unicode")
def names_that_look_alike(a: Attempt) -> list[int]:
    for name in ("BASE", "base ", "b\u0430se", "base."):
        shutil.copytree(a.silent, a.home / "runs" / name)
    return [a.gate(), a.gate("./runs/base"), a.gate("runs//base/"), a.gate("base/../base")]


@way("documents", "latest names the silent run, with the old digest")
def latest_is_edited(a: Attempt) -> int:
    path = a.home / "runs/latest"
    path.write_text(path.read_text().replace("base", "silent"))
    return a.gate("latest")


@way("documents", "latest names the silent run, and its digest is cut off")
def latest_without_a_digest(a: Attempt) -> int:
    a.write("runs/latest", "silent\n")
    return a.gate("latest")


@way("documents", "latest names a run by a path, or leads out of the store")
def latest_is_a_path(a: Attempt) -> list[int]:
    codes = []
    for text in ("../runs/silent", "silent/../silent", "./silent", "/silent", ""):
        a.write("runs/latest", text + "\n")
        codes.append(a.gate("latest"))
    return codes


@way("documents", "latest is a folder with a silent run in it")
def latest_is_a_folder(a: Attempt) -> int:
    (a.home / "runs/latest").unlink()
    shutil.copytree(a.silent, a.home / "runs/latest")
    return a.gate("latest")


@way("documents", "latest is removed, and the silent run is dated newer")
def latest_by_an_edited_date(a: Attempt) -> int:
    (a.home / "runs/latest").unlink()
    path = a.silent / "journal.jsonl"
    path.write_text(path.read_text().replace('"created": "2', '"created": "3', 1))
    return a.gate("latest")


def _cut(keep: Callable[[list[bytes]], list[bytes]]) -> Callable[[Attempt], int]:
    def run(a: Attempt) -> int:
        path = a.base / "journal.jsonl"
        path.write_bytes(b"".join(keep(path.read_bytes().splitlines(keepends=True))))
        return a.gate()

    return run


CUTS: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]] = {
    "a row's line removed": ("the line of a row is removed", lambda x: [*x[:2], *x[3:]]),
    "lines reordered": (
        "the last line comes first after the header",
        lambda x: [x[0], x[-1], *x[1:-1]],
    ),
    "half a line at the end": ("half a line is added", lambda x: [*x, x[-1][:40]]),
    "last line cut": ("the line of the document is removed", lambda x: x[:-1]),
    "header alone": ("only the header is left", lambda x: x[:1]),
    "emptied": ("the journal is empty", lambda _: []),
    "last line twice": ("the last line is repeated", lambda x: [*x, x[-1]]),
    "plan's line removed": ("the work list is removed", lambda x: [x[0], *x[2:]]),
    "empty lines": ("empty lines between lines", lambda x: [b"\n".join([line, b""]) for line in x]),
    "carriage returns": (
        "lines end as in Windows",
        lambda x: [line.replace(b"\n", b"\r\n") for line in x],
    ),
    "digits changed": (
        "one digit of a digest is changed",
        lambda x: [*x[:-1], x[-1].replace(b'"run_sha256": "', b'"run_sha256": "0')],
    ),
    "keys in capitals": (
        "digests are removed from the lines",
        lambda x: [re.sub(rb', "check": "\w+"', b"", line) for line in x],
    ),
}
for _name, (_tries, _keep) in CUTS.items():
    way("documents", f"journal: {_tries}", name=f"journal: {_name}")(_cut(_keep))


@way("documents", "the journal claims version 1, whose lines have no digests; run.json is edited")
def journal_of_version_1(a: Attempt) -> int:
    _as_version_1(a)
    document = a.document()
    for row in document["channels"]:
        if row["status"] == "measured":
            _quiet(row)
            row["bits"]["share"].update(low=0.0, point=0.0, high=0.0)
    (a.base / "run.json").write_text(json.dumps(document))
    return a.gate()


def _as_version_1(a: Attempt) -> None:
    lines = a.lines()
    for line in lines:
        for key in [key for key in line if key.endswith("_sha256")]:
            del line[key]
    lines[0]["schema"] = "hartley.journal/1"
    text = "".join(json.dumps(line) + "\n" for line in lines[:-1])
    (a.base / "journal.jsonl").write_text(text)


@way(
    "documents",
    "version 1 is claimed, trials are exchanged, --remeasure adds digests, then the gate",
)
def version_1_is_measured_again(a: Attempt) -> list[int]:
    _as_version_1(a)
    quiet = sorted((a.silent / "trials").iterdir())
    for mine, other in zip(sorted((a.base / "trials").iterdir()), quiet, strict=True):
        shutil.copy(other, mine)
    a.call("assess", "--remeasure", "base")
    return [a.gate()]


@way("documents", "the journal is removed, so that nothing vouches for run.json", 1, 3)
def no_journal(a: Attempt) -> list[int]:
    (a.base / "journal.jsonl").unlink()
    codes = [a.gate()]
    shutil.copy(a.silent / "run.json", a.base / "run.json")
    return [*codes, a.gate()]


@way("documents", "the journal is a folder, or a pipe")
def journal_is_no_file(a: Attempt) -> list[int]:
    import os

    path = a.base / "journal.jsonl"
    path.unlink()
    path.mkdir()
    codes = [a.gate()]
    path.rmdir()
    os.mkfifo(path)
    return [*codes, a.gate()]


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


@way("documents", "rows/*.json are edited, and run.json with its digest agrees with them")
def rows_are_edited(a: Attempt) -> int:
    document = a.document()
    for path in (a.base / "rows").iterdir():
        stored = json.loads(path.read_bytes())
        _quiet(stored["row"])
        path.write_text(json.dumps(stored))
    for row in document["channels"]:
        if row["status"] == "measured":
            _quiet(row)
    a.vouch(json.dumps(document).encode())
    return a.gate()


@way("documents", "two rows exchange their files rows/*.json")
def rows_are_exchanged(a: Attempt) -> int:
    one, two, _ = sorted((a.base / "rows").iterdir())
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    return a.gate()


@way("documents", "rows of the silent run, in files of the names of the other's")
def rows_of_the_silent_run(a: Attempt) -> list[int]:
    for mine, other in zip(
        sorted((a.base / "rows").iterdir()), sorted((a.silent / "rows").iterdir()), strict=True
    ):
        shutil.copy(other, mine)
    codes = [a.gate()]
    a.call("assess", "--remeasure", "base")
    return [*codes, a.gate()]


@way("documents", "trials of the silent run in the place of the other's, then the gate")
def trials_of_the_silent_run(a: Attempt) -> int:
    for mine, other in zip(
        sorted((a.base / "trials").iterdir()), sorted((a.silent / "trials").iterdir()), strict=True
    ):
        shutil.copy(other, mine)
    return a.gate()


@way("documents", "the same, and the run is measured again before the gate")
def trials_of_the_silent_run_measured_again(a: Attempt) -> list[int]:
    trials_of_the_silent_run(a)
    return [a.call("assess", "--remeasure", "base"), a.gate()]


@way("documents", "the same, and the command that made the run is repeated with limits")
def trials_of_the_silent_run_played_again(a: Attempt) -> list[int]:
    trials_of_the_silent_run(a)
    a.assess(PLAN.format(scene=LIVE), run="base")
    return [a.gate()]


@way("documents", "trials are removed, emptied, or a folder")
def trials_are_gone(a: Attempt) -> list[int]:
    path = min((a.base / "trials").iterdir())
    path.write_bytes(b"")
    codes = [a.gate()]
    path.unlink()
    codes.append(a.gate())
    path.mkdir()
    return [*codes, a.gate()]


@way("documents", "plan.toml is the plan of the silent run")
def plan_of_the_silent_run(a: Attempt) -> list[int]:
    shutil.copy(a.silent / "plan.toml", a.base / "plan.toml")
    return [a.gate(), a.call("assess", "--remeasure", "base") or 3, a.gate()]


@way("documents", "wide limits are written into plan.toml, then the run is measured again")
def limits_in_the_stored_plan(a: Attempt) -> int:
    path = a.base / "plan.toml"
    path.write_text(path.read_text().replace("[limits]", '[limits]\n"membership" = 9.0'))
    return a.call("assess", "--remeasure", "base")


@way("documents", "a finished document is put back while its run is played again")
def a_document_of_the_last_time(a: Attempt) -> list[int]:
    content = (a.silent / "run.json").read_bytes()
    lines = a.lines()
    a.forge(lines[:2])
    (a.base / "run.json").unlink()
    codes = [a.gate()]
    (a.base / "run.json").write_bytes(content)
    return [*codes, a.gate()]


@way(
    "documents",
    "a second work list without the leaking rows is added, with right digests",
    not_held="all that the gate reads was computed anew: the journal, and run.json by it",
)
def another_work_list(a: Attempt) -> int:
    lines, document = a.lines(), a.document()
    leaking = {r["id"] for r in _leaking(document)}
    rows = [r for r in lines[1]["lines"]["rows"] if r["standing"]["id"] not in leaking]
    plan = {**lines[1], "lines": {**lines[1]["lines"], "rows": rows}}
    document["channels"] = [r for r in document["channels"] if r["id"] not in leaking]
    a.forge([*lines[:-1], plan, lines[-1]])
    a.vouch(json.dumps(document).encode())
    return a.gate()


@way(
    "documents",
    "a failed line is added for each leaking row, and the document says skipped",
    not_held="all that the gate reads was computed anew: the journal, and run.json by it",
)
def rows_fail_later(a: Attempt) -> list[int]:
    lines, document = a.lines(), a.document()
    ids = {r["id"] for r in _leaking(document)}
    keys = [r["key"] for r in lines[1]["lines"]["rows"] if r["standing"]["id"] in ids]
    codes = []
    for cause in ("modality", "plan"):
        _skip(cause)(document, _leaking(document))
        more = [{"event": "skipped", "job": k, "cause": cause, "reason": "odd"} for k in keys]
        a.forge([*lines[:-1], *more, lines[-1]])
        a.vouch(json.dumps(document).encode())
        codes.append(a.gate())
    return codes


@way(
    "documents",
    "rows, trials, document and every digest are made anew",
    not_held="whoever writes the whole folder can compute its digests; nothing is signed",
)
def everything_is_forged(a: Attempt) -> int:
    from hartley.store.verify import digest_of

    lines, document = a.lines(), a.document()
    others = [r for r in a.document(a.silent)["channels"] if r["status"] == "measured"]
    quiet = {f"{r['attack']} {r['params']}": r for r in others}
    stored = {line["job"]: line for line in lines if line.get("event") == "done"}
    rows = document["channels"]
    for line in lines[1]["lines"]["rows"]:
        if line.get("key"):
            path = a.base / "rows" / f"{line['key']}.json"
            row = json.loads(path.read_bytes())
            name = f"{line['standing']['attack']} {line['standing']['params']}"
            row["row"] = {k: quiet[name][k] for k in row["row"]}
            path.write_text(json.dumps(row))
            stored[line["key"]]["row_sha256"] = digest_of(path.read_bytes())
            index = next(k for k, r in enumerate(rows) if r["id"] == line["standing"]["id"])
            rows[index] = {**line["standing"], **row["row"]}
    a.forge(lines)
    a.vouch(json.dumps(document).encode())
    return a.gate()


@way(
    "documents",
    "latest names the silent run, with a digest made anew",
    not_held="the digest of latest finds damage; whoever writes the store can compute it",
)
def latest_is_forged(a: Attempt) -> int:
    from hartley.store.verify import digest_of

    a.write("runs/latest", f"silent\n{digest_of(b'silent')}\n")
    return a.gate("latest")


@way(
    "documents",
    "a copy of the silent document is accepted by a flag",
    not_held="--accept-unverified says that the caller vouches for the document",
)
def accepted_unverified(a: Attempt) -> int:
    a.write("x.json", (a.silent / "run.json").read_bytes())
    return a.gate("x.json", "--accept-unverified")
