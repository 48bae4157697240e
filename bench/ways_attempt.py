"""What a way round the gate has to work with: a copy of the base store, and ways to call Hartley.

A way is a function that takes an ``Attempt`` and returns the exit codes that must not be 0. It
registers itself with ``way``; a table of small edits registers one way a row with ``rows``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 60
"""Seconds that one command may take; more is a hang."""
CODES = {0, 1, 2, 3, 129, 130, 143}
"""Every code that a Hartley command may end with."""
PLAYED = ("loss_threshold", "rmia")
LEAST = '[limits.least]\nattacks = ["rmia"]\ngamma = 1e9\n'
LIMITS = f"[limits]\nmembership = 0.05\n{LEAST}"
"""A limit that the base run is over (0.78 and 0.64 bit) and the silent run is within (0.005).

Of the least that counts it states as little as can be: what is silent in the base run is enough,
so that a pass takes no more than to lose the two rows that leak.
"""
LIVE, DEAD = "live:membership", "dead:membership"
PLAN = """scene = "{scene}"
only = ["loss_threshold", "rmia"]
[attacks.rmia]
gamma = [1.0, 1e9]
"""
"""Two rows of the live scene leak; with a gamma of 1e9 every answer is 0, and one row is silent."""
PLUGIN = """
import contextlib, ctypes, os, random, signal, sys, threading, time
import numpy as np
from dataclasses import replace
from hartley.core import *
from hartley.core import errors
from hartley.core import Range
from typing import Annotated, Literal
from hartley.games.membership.membership import membership

def honest(view):
    q = view.brief.question
    guess = view.model.query(q.x)[np.arange(len(q)), q.y]
    return Outcome(guess=guess, asset=Data("claimed", q.modality, q.x[guess > 0.5]))

def live(name):
    return replace(membership.live(Modality.VISION, np.random.default_rng(0)), name=name)
"""


class Hang(Exception):
    """A command in this process took too long."""


@dataclass(frozen=True)
class Way:
    """One way: its name, the surface, what it tries, and the codes of an honest answer."""

    name: str
    surface: str
    tries: str
    honest: frozenset[int]
    run: Callable[[Attempt], Iterable[int] | int]
    why_not_held: str = ""


WAYS: dict[str, Way] = {}


def way(surface: str, tries: str, *honest: int, not_held: str = "", name: str = "") -> Any:
    """Register a function as a way; it is named after the function.

    Args:
        surface: documents, limits, plan, process, store or parts.
        tries: one line.
        honest: exit codes of an honest answer; 1, 2 and 3 where nothing is given.
        not_held: why the gate does not promise to withstand it; such a way may pass.
        name: where the function's is not it.
    """

    def registered(function: Callable[[Attempt], Iterable[int] | int]) -> Any:
        called = name or function.__name__.replace("_", " ").strip()
        if called in WAYS:
            raise ValueError(f"two ways are named {called!r}")
        codes = frozenset(honest or (1, 2, 3))
        WAYS[called] = Way(called, surface, tries, codes, function, not_held)
        return function

    return registered


@dataclass
class Attempt:
    """A folder with ``runs/base`` (leaks), ``runs/silent`` and ``limits.toml``, which a way spoils.

    Attributes:
        home: the folder; it is the current one while the way runs.
        printed: what the commands printed, of all of them.
    """

    home: Path
    printed: list[str] = field(default_factory=list)

    @property
    def base(self) -> Path:
        """The folder of the run that leaks."""
        return self.home / "runs/base"

    @property
    def silent(self) -> Path:
        """The folder of the run that leaks nothing."""
        return self.home / "runs/silent"

    def call(self, *words: str) -> int:
        """Run a command in this process; return its exit code."""
        from hartley.cli.main import run

        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), alarm():
            code = run(words)
        self.printed.append(f"$ hartley {' '.join(words)}\n{out.getvalue()}→ {code}\n")
        return code

    def gate(self, run: str = "base", *words: str, limits: str | None = None) -> int:
        """Judge a run by ``limits.toml``, or by these limits."""
        if limits is not None:
            self.write("limits.toml", limits)
        return self.call("gate", run, "--limits", "limits.toml", *words)

    def assess(self, plan: str, *words: str, run: str = "mine") -> int:
        """Play a plan in this process, with its own limits."""
        self.write("plan.toml", plan)
        return self.call("assess", "plan.toml", "--workers", "0", "--run", run, *words)

    def process(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        python: Iterable[str] = (),
        shell: str = "",
        **options: Any,
    ) -> int:
        """Run a command as a process; return its exit code.

        Args:
            words: of the command.
            env: variables that are added.
            python: flags of the interpreter.
            shell: a line of bash in which ``$HARTLEY`` is the command.
            options: of ``subprocess.run``.
        """
        # As the installed command does, nothing is imported from the current folder.
        code = "from hartley.cli.main import main; main()"
        command = [sys.executable, "-P", *python, "-c", code, *words]
        environment = {**os.environ, "HARTLEY_CACHE": str(self.home / "cache"), **(env or {})}
        if (site := self.home / "site").is_dir():
            path = [str(site), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(path)
        if shell:
            quoted = f"{sys.executable} -P -c '{code}'"
            command = ["bash", "-c", shell.replace("$HARTLEY", quoted)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        try:
            done = subprocess.run(
                command,
                cwd=self.home,
                env=environment,
                check=False,
                timeout=PATIENCE * 2,
                **options,
            )
        except subprocess.TimeoutExpired as late:
            raise Hang(f"no answer within {PATIENCE * 2} s") from late
        text = b"".join(part for part in (done.stdout, done.stderr) if part)
        shown = text.decode(errors="replace")
        self.printed.append(f"$ {shell or ' '.join(words)}\n{shown}→ {done.returncode}\n")
        return done.returncode

    def plugin(self, source: str, *, name: str = "odd", preamble: bool = True) -> None:
        """Install a plugin of one module, for processes alone."""
        package, info = self.home / f"site/{name}", self.home / f"site/{name}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").touch()
        (package / "part.py").write_text((PLUGIN if preamble else "") + source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[hartley.parts]\n{name} = {name}.part\n")

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file into the folder."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def document(self, run: Path | None = None) -> dict[str, Any]:
        """Return the document of a run, of the base run unless another is given."""
        document: dict[str, Any] = json.loads(((run or self.base) / "run.json").read_bytes())
        return document

    def lines(self, run: Path | None = None) -> list[dict[str, Any]]:
        """Return the lines of a journal, without their digests."""
        path = (run or self.base) / "journal.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [{k: v for k, v in one.items() if k not in ("before", "check")} for one in lines]

    def forge(self, lines: Iterable[Mapping[str, Any]], run: Path | None = None) -> None:
        """Write a journal whose lines carry right digests of themselves and of those before."""
        from hartley.store.journal import journal_bytes

        ((run or self.base) / "journal.jsonl").write_bytes(journal_bytes(lines)[0])

    def vouch(self, content: bytes | None = None) -> None:
        """Write run.json, where given, and its digest into the last line of the journal."""
        from hartley.store.verify import digest_of

        path = self.base / "run.json"
        if content is not None:
            path.write_bytes(content)
        lines = self.lines()
        last = max(k for k, line in enumerate(lines) if line.get("event") == "finished")
        lines[last]["run_sha256"] = digest_of(path.read_bytes())
        self.forge(lines)


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    """End what takes too long in this process."""

    def late(_number: int, _frame: object) -> None:
        raise Hang(f"no answer within {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make a folder the current one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def new_folder(parent: Path) -> Path:
    """Return a new folder in another."""
    return Path(tempfile.mkdtemp(dir=parent))
