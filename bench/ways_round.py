"""Is there a way round the gate? Hundreds of tries to turn a leak into an exit code of 0.

    python bench/ways_round.py [--only PATTERN] [--surface NAME] [--list] [--verbose]

A run that leaks (``live:membership``: 0.78 and 0.64 bit, limit 0.05) and one that does not are
played once. Each way gets a copy of both, spoils what it likes — documents, limits, plan, process,
store, parts — and asks ``hartley gate`` or ``hartley assess`` again, in this process, or as a
process where the way is about processes, variables of the environment or plugins. A way is

* refused, where every answer is 1, 2 or 3 (or that of a command that was stopped);
* a false pass, where one is 0;
* a wrong code, where the answer is not one of Hartley's, a traceback is printed, or nothing comes
  within a minute;
* not held, where the gate does not promise to withstand it: whoever owns the whole machine and
  computes every digest anew, edits the installed package or chooses the limits. Each says why.

The exit code is 0 where there is no false pass and no wrong code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import ways_documents
import ways_journals
import ways_limits
import ways_names
import ways_parts
import ways_plans
import ways_processes
import ways_stores
from ways_attempt import CODES, DEAD, LIMITS, LIVE, PLAN, WAYS, Attempt, Way, inside, new_folder

SURFACES = {
    "documents": (ways_documents, ways_names, ways_journals),
    "limits": ways_limits,
    "plan": ways_plans,
    "process": ways_processes,
    "store": ways_stores,
    "parts": ways_parts,
}
REFUSED, FALSE_PASS, WRONG_CODE, NOT_HELD = "refused", "FALSE PASS", "WRONG CODE", "not held"


@dataclass(frozen=True)
class Answer:
    """How a way ended."""

    way: Way
    ending: str
    codes: tuple[int, ...]
    printed: str
    seconds: float


def play_base(scratch: Path) -> Path:
    """Play the run that leaks and the silent one; check that the gate tells them apart."""
    home = scratch / "base"
    home.mkdir()
    attempt = Attempt(home)
    attempt.write("limits.toml", LIMITS)
    with inside(home):
        for scene, run in ((DEAD, "silent"), (LIVE, "base")):
            attempt.assess(PLAN.format(scene=scene), run=run)
        codes = attempt.gate("base"), attempt.gate("latest"), attempt.gate("silent")
    if codes != (1, 1, 0):
        raise SystemExit(f"the gate must answer 1, 1, 0 before anything is tried, got {codes}")
    return home


def tried(way: Way, base: Path, scratch: Path) -> Answer:
    """Try a way on a copy of the base folder."""
    folder = new_folder(scratch)
    home = shutil.copytree(base, folder / "home", symlinks=True)
    attempt, begun = Attempt(home), time.monotonic()
    codes: tuple[int, ...] = ()
    try:
        with inside(home):
            answer = way.run(attempt)
        codes = (answer,) if isinstance(answer, int) else tuple(answer)
        ending = _ending(way, codes, "".join(attempt.printed))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        ending = WRONG_CODE
        attempt.printed.append("".join(traceback.format_exception(error)))
    shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - begun
    return Answer(way, ending, codes, "".join(attempt.printed), seconds)


def _ending(way: Way, codes: tuple[int, ...], printed: str) -> str:
    if not codes:
        return WRONG_CODE
    if 0 in codes:
        return NOT_HELD if way.why_not_held else FALSE_PASS
    # What a part has left to be done at the end of a process is reported by Python, not by Hartley.
    own = printed.replace("Exception ignored in atexit callback", "").split("\nTraceback (most")
    late = printed.count("Exception ignored in atexit callback")
    internal = "internal error, please report" in printed or len(own) - 1 > late
    if internal or not set(codes) <= way.honest & CODES:
        return WRONG_CODE
    return REFUSED


def report(answers: list[Answer]) -> None:
    """Print a table by surface, then what was not refused."""
    print(f"\n{'surface':10} {'ways':>5} {'refused':>8}   1/2/3   false  wrong  not held")
    for surface in [*SURFACES, "all"]:
        mine = [a for a in answers if surface in ("all", a.way.surface)]
        ends = Counter(a.ending for a in mine)
        last = Counter(a.codes[-1] for a in mine if a.ending == REFUSED)
        split = "/".join(str(last[code]) for code in (1, 2, 3))
        print(
            f"{surface:10} {len(mine):5} {ends[REFUSED]:8}   {split:9} {ends[FALSE_PASS]:3}"
            f"    {ends[WRONG_CODE]:3}    {ends[NOT_HELD]:3}"
        )
    for ending in (FALSE_PASS, WRONG_CODE, NOT_HELD):
        for answer in answers:
            if answer.ending == ending:
                because = f": {answer.way.why_not_held}" if ending == NOT_HELD else ""
                codes = ",".join(map(str, answer.codes))
                print(f"{ending}: {answer.way.surface}: {answer.way.name} [{codes}]{because}")


def main() -> int:
    """Try every way that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", help="a pattern of names")
    parser.add_argument("--surface", choices=SURFACES)
    parser.add_argument("--list", action="store_true", help="list the ways and try none")
    parser.add_argument("--verbose", action="store_true", help="print what every command printed")
    options = parser.parse_args()
    ways = [
        way
        for way in WAYS.values()
        if fnmatchcase(way.name, options.only) and options.surface in (None, way.surface)
    ]
    if options.list:
        for way in ways:
            print(f"{way.surface:10} {way.name:60} {way.tries}")
        return 0
    scratch = Path(tempfile.mkdtemp(prefix="ways-"))
    answers = []
    try:
        base = play_base(scratch)
        for way in ways:
            answer = tried(way, base, scratch)
            answers.append(answer)
            codes = ",".join(map(str, answer.codes))
            print(
                f"{answer.ending:10} {way.surface:10} {way.name} [{codes}] {answer.seconds:.1f} s",
                flush=True,
            )
            if options.verbose or answer.ending in (FALSE_PASS, WRONG_CODE):
                print("    " + answer.printed[-3000:].replace("\n", "\n    "), flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(answers)
    return int(any(answer.ending in (FALSE_PASS, WRONG_CODE) for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
