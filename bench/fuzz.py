"""Does any input end Hartley in a traceback, a hang or a wrong exit code?

    python bench/fuzz.py [--inputs 100000] [--commands 1000] [--processes 50] [--seed 0]
        [--only plan] [--from 0] [--keep FOLDER] [--minutes 15]

Inputs are plans, limits, tables (CSV, TSV, JSON lines, Parquet, .npy, .npz, also packed) and run
documents. Three in four are mutated from real files of that kind: bytes, tokens, and for JSON parts
of the tree; the others are made by a grammar that knows the keys and nothing else. Each is given to
the verbs that read it, in process, by the command's own entry; its output is caught. Command lines
are random words, flags and values, in process and as processes of their own.

Where a library ends the process, the real command plays the same input, and its answer counts.

A fault is: a traceback or an internal error; no end within 20 s; an exit code other than 0, 1, 2, 3
and 130; anything but 2 where an independent reader finds a text malformed (``tomllib``, ``json``);
exit 2 with other than one line of its own on standard error; a control character in the output.

Everything follows from the seed and the number of an input, so that ``--only KIND --from N
--inputs 1`` repeats one. ``--keep`` writes the inputs that failed to a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzz_inputs import (
    ODD,
    Rng,
    delimited,
    json_lines,
    mutated,
    numpy_file,
    parquet,
    spoilt_tree,
    toml_text,
)

from hartley.core import spawn

LIMIT = 20.0
"""Seconds after which an input counts as a hang."""
LAST = "last-words.json"
"""The file with the command line that is played."""
CODES = (0, 1, 2, 3, 130)
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# --- kinds


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: of the kind.
        share: of all inputs.
        path: name of its file.
        grammar: makes an input; None: mutations alone.
        commands: the words that read it, one list for each verb.
        malformed: whether an independent reader refuses it; None: there is none.
    """

    name: str
    share: float
    path: str
    commands: tuple[tuple[str, ...], ...]
    grammar: Callable[[Rng], bytes] | None = None
    malformed: Callable[[bytes], bool] | None = None


def _not_toml(content: bytes) -> bool:
    try:
        tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return True
    return False


def _not_json(content: bytes) -> bool:
    try:
        return not isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return True


KINDS = (
    Kind(
        "plan",
        0.25,
        "plan.toml",
        # A plan that may be played is not: no attack and no run has that name.
        (
            ("assess", "plan.toml", "--only", "zz"),
            ("plan", "plan.toml", "--power", "--pilot", "zz"),
        ),
        toml_text,
        _not_toml,
    ),
    Kind(
        "limits",
        0.15,
        "l.toml",
        (("gate", "good.json", "--limits", "l.toml"),),
        toml_text,
        _not_toml,
    ),
    Kind(
        "run.json",
        0.25,
        "run.json",
        (
            ("gate", "run.json", "--limits", "good.toml"),
            ("gate", "run.json", "--limits", "good.toml", "--json"),
            ("show", "./run.json"),
            ("show", "./run.json", "entropy_metrics"),
            ("show", "./run.json", "entropy_metrics", "--json"),
            ("report", "run.json", "--format", "md"),
            ("report", "run.json", "--format", "junit"),
            ("report", "run.json", "--format", "sarif"),
            ("report", "run.json", "--format", "json"),
        ),
        None,
        _not_json,
    ),
    Kind(
        "csv", 0.08, "t.csv", (("measure", "t.csv"), ("measure", "t.csv", "--json")), delimited(",")
    ),
    Kind(
        "csv.gz",
        0.02,
        "t.csv.gz",
        (("measure", "t.csv.gz"),),
        lambda r: gzip.compress(delimited(",")(r), 1),
    ),
    Kind("tsv", 0.04, "t.tsv", (("measure", "t.tsv"),), delimited("\t")),
    Kind("jsonl", 0.07, "t.jsonl", (("measure", "t.jsonl"),), json_lines),
    Kind("parquet", 0.06, "t.parquet", (("measure", "t.parquet"),), parquet),
    Kind("npy", 0.04, "t.npy", (("measure", "t.npy"),), numpy_file("npy")),
    Kind("npz", 0.04, "t.npz", (("measure", "t.npz"),), numpy_file("npz")),
)

PLAN = """
scene = "live:membership"
seed = 1
only = ["entropy_metrics", "loss_threshold", "label_only_membership"]
[games.membership]
rounds = 4
targets = 40
[defenses]
use = ["rounding"]
[limits]
membership = 0.05
"attack:entropy_metrics" = 0.5
"membership.auc" = 0.9
[executor]
workers = 0
"""


def real_files(folder: Path) -> dict[str, list[bytes]]:
    """Return real files of each kind, from which inputs are mutated."""
    from importlib.resources import files

    from hartley.cli.main import run

    (folder / "good.toml").write_text(PLAN)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(["assess", str(folder / "good.toml"), "--store", str(folder / "runs"), "--run", "real"])
    document = (folder / "runs" / "real" / "run.json").read_bytes()
    (folder / "good.json").write_bytes(document)
    shipped = files("hartley.scenes") / "plans"
    plans = [item.read_bytes() for item in shipped.iterdir() if item.name.endswith(".toml")]
    small = json.loads(document)
    small["channels"] = small["channels"][:2]
    real = {
        "plan": [PLAN.encode(), *plans],
        "limits": [
            b'[limits]\nmembership = 0.05\n"attack:entropy_metrics" = 1\nstrict = true\n',
            PLAN.encode(),
        ],
        "run.json": [document, json.dumps(small).encode()],
    }
    rows = [(i % 2, i % 3 // 2, round(i % 7 / 7 + i % 2, 3), i // 4) for i in range(60)]
    for kind in KINDS[3:]:
        assert kind.grammar is not None
        good = [table_of(kind.name, names, rows) for names in GOOD]
        real[kind.name] = [*good * 20, *(kind.grammar(random.Random(n)) for n in range(20))]
    return real


GOOD = (("truth", "score"), ("truth", "guess"), ("truth", "score", "cluster"))
"""Columns of tables that can be measured."""


def table_of(kind: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    """Return a table that can be measured, as a file of a kind."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = {"truth": 0, "guess": 1, "score": 2, "cluster": 3}
    columns = {name: [row[place[name]] for row in rows] for name in names}
    sink = io.BytesIO()
    if kind == "jsonl":
        lines = (
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        )
        return "\n".join(map(json.dumps, lines)).encode() + b"\n"
    if kind == "parquet":
        pq.write_table(pa.table(columns), sink)
    elif kind == "npz":
        np.savez(sink, **{name: np.array(values) for name, values in columns.items()})
    elif kind == "npy":
        np.save(sink, np.rec.fromarrays(list(columns.values()), names=",".join(columns)))
    else:
        mark = "\t" if kind == "tsv" else ","
        lines = [columns, *([str(v) for v in row] for row in zip(*columns.values(), strict=True))]
        text = "\n".join(mark.join(line) for line in lines).encode() + b"\n"
        return gzip.compress(text, 1) if kind == "csv.gz" else text
    return sink.getvalue()


def made(kind: Kind, rng: Rng, real: dict[str, list[bytes]]) -> bytes:
    """Return one input: of the grammar, of a spoilt tree, or mutated from a real file."""
    if kind.grammar is not None and rng.random() < 0.25:
        return kind.grammar(rng)
    content = rng.choice(real[kind.name])
    if kind.name == "run.json" and rng.random() < 0.7:
        return spoilt_tree(content, rng)
    return mutated(content, rng, real[kind.name])


# --- command lines


WORDS = (
    *("list", "show", "assess", "attack", "chain", "measure", "plan", "gate", "report", "pack"),
    *("new", "get", "attacks", "defenses", "scenes", "runs", "lira", "entropy_metrics"),
    *("membership", "digits", "latest", "--json", "--scene", "--set", "--only", "--skip"),
    *("--seed", "--workers", "--store", "--run", "--limits", "--format", "--out", "--tries"),
    *("--pieces", "--encoding", "--power", "--pilot", "--effect", "--help", "--version"),
    *("--matrix", "--alpha", "--budget", "--game", "--to", "--slot", "--references"),
    *("--rounds", "--fresh", "--remeasure", "--executor", "good.json", "good.toml"),
    *("table.csv", "runs", "real", "md", "html", "junit", "a=1", "epochs=1", "-h", "--", "-"),
    *("=", "--="),
)


def command(rng: Rng) -> list[str]:
    """Return random words of a command line that plays nothing."""
    words = rng.choices(WORDS[:11] if rng.random() < 0.8 else WORDS, k=1)
    words += [
        rng.choice(WORDS) if rng.random() < 0.75 else rng.choice(ODD)
        for _ in range(rng.randrange(7))
    ]
    words = [word.replace("\x00", "") for word in words]
    if {"assess", "attack", "chain"} & {*words[:1]}:
        words += ["--scene", rng.choice(("nowhere", "", "live:nothing", "dead:membershi"))]
    if words[0] == "pack":  # nothing is fetched here
        words = [word for word in words if word != "--core"]
    if words[0] == "new":
        words += ["--to", "new"]
    return words


# --- running


def _called(words: list[str] | tuple[str, ...]) -> tuple[int, str, str]:
    from hartley.cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(words))
    return code, out.getvalue(), err.getvalue()


def fault(code: int, out: str, err: str, *, malformed: bool = False, usage: bool = False) -> str:
    """Return what is wrong with how a command ended, or an empty string."""
    if "Traceback" in err or "internal error" in err:
        return f"traceback: {err.strip().splitlines()[-1][:160]}"
    if code not in CODES:
        return f"exit code {code}"
    if malformed and code != 2:
        return f"malformed, and exit code {code}"
    lines = [line for line in err.splitlines() if line.startswith("hartley: ")]
    if code == 2 and not lines:
        return "exit code 2 without a line"
    if code == 2 and usage and out.strip():
        return "exit code 2 with a result"
    if RAW.search(out + err):
        return "a control character in the output"
    return ""


def _work(pipe: Connection, folder: str, seed: int, keep: str) -> None:
    """Play inputs that are named by their numbers; say before each what is played."""
    os.chdir(folder)
    real = {k: [bytes(b) for b in v] for k, v in pipe.recv().items()}
    by_name = {kind.name: kind for kind in KINDS}
    while (job := pipe.recv()) is not None:
        name, number = job
        rng = random.Random(spawn(seed, "fuzz", name, number))
        begun = time.monotonic()
        if name == "command":
            words: tuple[str, ...] = tuple(command(rng))
            Path(LAST).write_text(json.dumps(words))
            code, out, err = _called(words)
            wrong = fault(code, out, err, usage=True)
            content = repr(words).encode()
        else:
            kind = by_name[name]
            content = made(kind, rng, real)
            Path(kind.path).write_bytes(content)
            words = rng.choice(kind.commands)
            Path(LAST).write_text(json.dumps(words))
            code, out, err = _called(words)
            malformed = kind.malformed is not None and kind.malformed(content)
            wrong = fault(code, out, err, malformed=malformed, usage=True)
        if wrong and keep:
            Path(keep, f"{name}-{number}").write_bytes(content)
            Path(keep, f"{name}-{number}.txt").write_text(
                f"{words}\n{wrong}\n{err}", errors="replace"
            )
        pipe.send((code, wrong, time.monotonic() - begun))


class Player:
    """A process that plays inputs, and is replaced where one does not end."""

    def __init__(self, real: dict[str, list[bytes]], folder: Path, seed: int, keep: str) -> None:
        """Start the process."""
        self.given = (str(folder), seed, keep)
        self.real = real
        self.start()

    def start(self) -> None:
        """Start the process, in a folder that holds the good files."""
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=_work, args=(other, *self.given), daemon=True
        )
        self.process.start()
        other.close()
        self.pipe.send(self.real)

    def play(self, name: str, number: int) -> tuple[int | None, str, float]:
        """Return the exit code, what is wrong, and the seconds."""
        try:
            self.pipe.send((name, number))
            if self.pipe.poll(LIMIT):
                return self.pipe.recv()
            wrong = f"did not end within {LIMIT:g} s"
        except (EOFError, OSError):
            wrong = "the process died"
            self.process.join()
            self.start()
            return self._apart()
        self.process.kill()
        self.process.join()
        self.start()
        return None, wrong, LIMIT

    def _apart(self) -> tuple[int | None, str, float]:
        """Play the last words by the real command, which outlives a library that crashes."""
        folder, begun = Path(self.given[0]), time.monotonic()
        words = json.loads((folder / LAST).read_text())
        code, out, err = _in_process(words, folder)
        return code, fault(code, out, err, usage=True), time.monotonic() - begun


def jobs(args: argparse.Namespace) -> list[tuple[str, int]]:
    """Return the kind and the number of each input, kinds mixed, so that a part is of all."""
    begin, played = args.first, []
    for kind in KINDS:
        if args.only in ("", kind.name):
            share = 1.0 if args.only else kind.share
            played += [(kind.name, n) for n in range(begin, begin + round(args.inputs * share))]
    if args.only in ("", "command"):
        played += [("command", n) for n in range(begin, begin + args.commands)]
    random.Random(args.seed).shuffle(played)
    return played


def _in_process(words: Sequence[str], folder: Path) -> tuple[int | None, str, str]:
    """Return the exit code and the output of the real command; no code where it does not end."""
    call = [sys.executable, "-m", "hartley.cli.main", *words]
    quiet, most = subprocess.DEVNULL, 3 * LIMIT
    try:
        done = subprocess.run(
            call, cwd=folder, capture_output=True, stdin=quiet, timeout=most, check=False
        )
    except subprocess.TimeoutExpired:
        return None, "", ""
    return done.returncode, *(t.decode("utf-8", "replace") for t in (done.stdout, done.stderr))


def _processes(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """Play command lines as processes of their own; yield what was wrong with each."""
    for number in range(args.processes):
        words = command(random.Random(spawn(args.seed, "fuzz", "process", number)))
        code, out, err = _in_process(words, folder)
        yield repr(words), fault(code, out, err, usage=True)


def main() -> int:
    """Play all and print a table; return 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--keep", default="")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after these")
    args = parser.parse_args()
    begun, codes, faults, slowest = time.monotonic(), Counter[Any](), [], Counter[str]()
    if args.keep:
        args.keep = str(Path(args.keep).resolve())
        Path(args.keep).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "table.csv").write_text("truth,score\n" + "0,0.1\n1,0.9\n" * 40)
        real = real_files(folder)
        player = Player(real, folder, args.seed, args.keep)
        for name, number in jobs(args):
            if time.monotonic() - begun > 60 * args.minutes:
                break
            code, wrong, seconds = player.play(name, number)
            codes[name, code] += 1
            slowest[name] = max(slowest[name], seconds)
            if wrong:
                faults.append((name, number, wrong))
                print(f"FAULT {name} {number}: {wrong}", flush=True)
        player.process.kill()
        for words, wrong in _processes(args, folder) if not args.only else ():
            codes["process", "any"] += 1
            if wrong:
                faults.append(("process", words, wrong))
                print(f"FAULT process {words}: {wrong}", flush=True)
    print(f"\n{'kind':10} {'inputs':>7} {'exit codes':40} slowest (s)")
    for name in dict.fromkeys(name for name, _ in codes):
        counts = {code: n for (of, code), n in codes.items() if of == name}
        listed = ", ".join(f"{c}: {n}" for c, n in sorted(counts.items(), key=str))
        print(f"{name:10} {sum(counts.values()):7} {listed:40} {slowest[name]:.1f}")
    print(f"\n{sum(codes.values())} inputs, {len(faults)} faults, {time.monotonic() - begun:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
