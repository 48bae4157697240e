"""Ways through what vouches for a document: the journal, and the rows, trials and plan in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable

from ways_attempt import LIVE, PLAN, Attempt, way
from ways_documents import leaking, quiet, skip


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
            quiet(row)
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


@way("documents", "rows/*.json are edited, and run.json with its digest agrees with them")
def rows_are_edited(a: Attempt) -> int:
    document = a.document()
    for path in (a.base / "rows").iterdir():
        stored = json.loads(path.read_bytes())
        quiet(stored["row"])
        path.write_text(json.dumps(stored))
    for row in document["channels"]:
        if row["status"] == "measured":
            quiet(row)
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
    over = {r["id"] for r in leaking(document)}
    rows = [r for r in lines[1]["lines"]["rows"] if r["standing"]["id"] not in over]
    plan = {**lines[1], "lines": {**lines[1]["lines"], "rows": rows}}
    document["channels"] = [r for r in document["channels"] if r["id"] not in over]
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
    ids = {r["id"] for r in leaking(document)}
    keys = [r["key"] for r in lines[1]["lines"]["rows"] if r["standing"]["id"] in ids]
    codes = []
    for cause in ("modality", "plan"):
        skip(cause)(document, leaking(document))
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
