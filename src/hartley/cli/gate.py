"""``hartley gate``: a stored run against limits or an earlier run, for CI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.compare import print_comparison
from hartley.cli.store_option import Store
from hartley.cli.terminal import note, print_departures, print_json, say
from hartley.core.errors import DamagedRun, UsageError

if TYPE_CHECKING:
    from hartley.engine.plan.plan import Plan
    from hartley.engine.result.gate import Verdict
    from hartley.engine.result.waivers import Waivers
    from hartley.store import Reading

app = App(name="gate")


@app.default
def gate(
    run: str,
    /,
    *,
    limits: Path | None = None,
    against: str = "",
    margin: float | None = None,
    waivers: Path | None = None,
    signed_by: str | None = None,
    store: Store = Path("runs"),
    accept_unverified: Annotated[bool, Parameter(negative="")] = False,
    save: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Judge a stored run by limits, against an earlier run, or by both.

    Exit code: 0 pass, 1 over, 2 bad input, 3 inconclusive; of two verdicts the worse one counts.

    The files of the run are compared with the digests in its journal: a run that is damaged or was
    edited is inconclusive, and nothing in it is judged. No code of plugins is run.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    limits
        A TOML file, or a plan, whose table [limits] says how many bits per use are allowed:
        a line [limits], and below it a line such as membership = 0.05.
    against
        The run of the last release: over where a row leaks more than there, at the level of all
        rows together; pass where none leaks more than the margin more.
    margin
        Share of the secret that a row may leak more than in the earlier run; 0.01 unless given.
    waivers
        A TOML file whose tables [[waiver]] raise limits of single rows until a day.
    signed_by
        Fingerprint of a key: a run, or an earlier run, that it did not sign is inconclusive.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    accept_unverified
        Let a document pass that no journal vouches for: a copy of run.json, or a run of an earlier
        version.
    save
        Keep the verdict in the folder of the run, where reports, JUnit and SARIF read it.
    json
        Print the verdict as one JSON document.
    """
    from hartley.catalog import own_code_only
    from hartley.store.signing import checked_fingerprint

    if margin is not None and not against:
        raise UsageError("--margin must have --against RUN: it is what a row may leak more")
    if limits is None and not against:
        raise UsageError("hartley gate must have --limits FILE, --against RUN, or both")
    if margin is not None and not 0 <= margin <= 1:
        raise UsageError(f"--margin must be a share in 0..1, got {margin:g}")
    with own_code_only():
        # An empty one, as of a variable that is not set, must not turn the check off.
        signer = "" if signed_by is None else checked_fingerprint(signed_by)
        question = _Question(
            run, limits, against, margin, waivers, signer, store, accept_unverified
        )
        return _judged(question, save=save, json=json)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is judged, and by what; the fields are the options of the command."""

    run: str
    limits: Path | None
    against: str
    margin: float | None
    waivers: Path | None
    signer: str
    store: Path
    accept_unverified: bool


def _judged(question: _Question, *, save: bool, json: bool) -> int:
    """Judge a run and print the verdict; return the exit code."""
    from hartley.cli.find_run import path_of
    from hartley.engine.result.judge_stored import read_limits
    from hartley.store import read_verified
    from hartley.store.remote import refuse_index

    refuse_index(question.store, "judge it")
    limits = question.limits
    plan = None if limits is None else read_limits(limits)
    path = path_of(question.run, question.store)
    try:
        reading = read_verified(path)
    except DamagedRun as damage:
        if save:
            note("nothing was saved: a damaged run keeps no verdict")
        return _inconclusive(path.name, str(damage), json=json)
    if save and not reading.digest:
        raise UsageError(f"--save must be given a run with its journal, got {path}, which has none")
    if reason := _unsigned(question, path, reading):
        if save:
            note("nothing was saved: a run that is not signed keeps no verdict")
        return _inconclusive(path.name, reason, json=json)
    verdict = _verdict(question, reading, plan)
    _print(question, reading, verdict, json=json)
    if save:
        _save(path, reading.digest, verdict, question)
    return verdict.code


def _print(question: _Question, reading: Reading, verdict: Verdict, *, json: bool) -> None:
    """Print a verdict and what it was made of."""
    from hartley.reference.schema import waived
    from hartley.report.format_numbers import meaning
    from hartley.report.summary import limited

    document = reading.document
    if json:
        facts: dict[str, Any] = {"run": document["id"], "verified": not reading.doubt}
        facts |= {"signed_by": question.signer} if question.signer else {}
        print_json(facts | {**verdict.dump(), "meaning": meaning(verdict.dump())})
        return
    unverified = " (unverified)" if reading.doubt else ""
    also = f" ({words})" if (words := waived(verdict.dump())) else ""
    say(f"{document['id']}: {verdict.status}{unverified}{also}")
    say(f"  meaning: {meaning(verdict.dump())}")
    if words := limited({**document, "verdict": verdict.dump()}):
        say(f"  {words}")
    if question.signer:
        say(f"  signed by {question.signer}")
    for reason in verdict.reasons:
        say(f"  {reason}")
    if verdict.against is not None:
        print_comparison(verdict.against)
    print_departures(verdict.departures)


def _unsigned(question: _Question, path: Path, reading: Reading) -> str:
    """Say why the run, or the earlier run, is not signed by the key that it must be signed by.

    Raises:
        UsageError: there is no earlier run of that name.
    """
    if not question.signer:
        return ""
    from hartley.cli.find_run import path_of
    from hartley.store import read_verified
    from hartley.store.signing import unsigned_reason

    sides = [(path, reading)]
    if question.against:
        earlier = path_of(question.against, question.store)
        try:
            sides.append((earlier, read_verified(earlier)))
        except DamagedRun as damage:
            return str(damage)
    for place, side in sides:
        folder = place if place.is_dir() else place.parent
        if reason := unsigned_reason(folder, side, question.signer):
            return f"{side.document['id']} must be signed by {question.signer}: {reason}"
    return ""


def _verdict(question: _Question, reading: Reading, plan: Plan | None) -> Verdict:
    """Return the verdict by limits, by comparison, or by both."""
    from hartley.engine.result.judge_against import with_limits
    from hartley.engine.result.judge_stored import judge_stored
    from hartley.engine.result.waivers import read_waivers

    waivers = None
    if question.waivers is not None:
        waivers = read_waivers(question.waivers, reading.document)
    against = _against(question, reading, waivers) if question.against else None
    if plan is None or question.limits is None:
        assert against is not None
        return against
    limited = judge_stored(
        reading,
        plan,
        question.limits,
        accept_unverified=question.accept_unverified,
        waivers=waivers,
    )
    return limited if against is None else with_limits(limited, against)


def _against(question: _Question, reading: Reading, waivers: Waivers | None) -> Verdict:
    """Return the verdict by comparison with an earlier run.

    Raises:
        UsageError: the earlier run is not there, is damaged, or is the very run in question.
    """
    from hartley.cli.find_run import path_of, read_with_trials
    from hartley.engine.result.compare_runs import MARGIN, Side
    from hartley.engine.result.judge_against import judge_against

    paths = [path_of(run, question.store).resolve() for run in (question.against, question.run)]
    if paths[0] == paths[1]:
        raise UsageError(f"--against must name another run, got {question.against} itself")
    sides, doubts = [], []
    for run in (question.against, question.run):
        document, load, doubt = read_with_trials(run, question.store)
        sides.append(Side(document, load))
        if doubt and not question.accept_unverified:
            doubts.append(f"unverified: {doubt}; --accept-unverified compares it as it is")
    if sides[0].document["id"] == reading.document["id"]:
        raise UsageError(f"--against must name another run, got a copy of {question.run}")
    margin = MARGIN if question.margin is None else question.margin
    return judge_against(sides[0], sides[1], margin=margin, doubts=doubts, waivers=waivers)


def _save(path: Path, digest: str, verdict: Verdict, question: _Question) -> None:
    """Keep the verdict in the run's folder, for reports."""
    from hartley.engine.result.judge_stored import judged_with
    from hartley.store import save_verdict

    folder = path if path.is_dir() else path.parent
    judged = judged_with(question.limits, question.waivers)
    place = save_verdict(folder, digest, {"verdict": verdict.dump(), "judged": judged})
    note(f"saved in {place}; hartley report reads it")


def _inconclusive(run: str, reason: str, *, json: bool) -> int:
    """Print that a damaged run is not judged; return the exit code."""
    from hartley.engine.result.gate import EXIT, INCONCLUSIVE

    if json:
        print_json({"run": run, "verified": False, "status": INCONCLUSIVE, "reasons": [reason]})
    else:
        say(f"{run}: {INCONCLUSIVE}")
        say(f"  {reason}")
    return EXIT[INCONCLUSIVE]
