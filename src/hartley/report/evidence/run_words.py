"""Sentences about a whole run: what it is of, its verdict, and what was not played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hartley.engine.result.enough import departures_in_words
from hartley.engine.result.waivers import AGAINST
from hartley.report.evidence.row_words import failed, flagged
from hartley.report.evidence.statements import (
    Source,
    Statement,
    fact,
    quoted,
    row_id,
    row_ids,
    word,
)
from hartley.report.format_numbers import (
    count,
    figure,
    judged,
    meaning,
    number,
    plain,
    sentence,
    verdict_words,
    widest,
)
from hartley.report.summary import share_in_words
from hartley.report.unplayed import FITS_NOT, cure, listed


def of_run(source: Source, rows: list[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield what identifies a run, and its verdict.

    Args:
        source: of the pack.
        rows: the baseline rows of the run, those that limits are about.
    """
    document = source.document
    date = str(document.get("created") or "")[:10]
    yield Statement(
        f"This pack is drawn from the run {quoted(document['id'])} of {date}, which Hartley "
        f"{document['version']} played with the seed {document.get('seed')}.",
        tuple(fact("run", key) for key in ("id", "created", "version", "seed")),
    )
    yield Statement(
        "As the pack was written, the journal of the run vouched for every file of it: the SHA-256 "
        f"of run.json is {source.run_sha256}, and the last line of the journal is {source.chain}.",
        (fact("journal", "run_sha256"), fact("journal", "chain")),
    )
    by = "by no key"
    if source.signer:
        by = (
            f"by the key with the fingerprint {source.signer}, which a reader compares with the "
            "one that the signer gave them in another way"
        )
    yield Statement(f"The run is signed {by}.", (fact("signature", "fingerprint"),))
    if source.later_verdict:
        yield Statement(
            "Its verdict was saved after it was signed, so that this signature does not vouch for "
            "the verdict.",
            (fact("signature", "later_verdict"),),
        )
    scene = document["scene"]
    yield Statement(
        f"It is about the scene {quoted(scene['name'])} of the modality {scene['modality']}, whose "
        f"digest is {quoted(scene['digest'])}.",
        tuple(fact("run", "scene", key) for key in ("name", "modality", "digest")),
    )
    if str(scene["name"]).partition(":")[0] in ("live", "dead"):
        yield Statement(
            "That scene is one that Hartley builds to check its games, and not a system in use.",
            (fact("run", "scene", "name"),),
        )
    for name, value in (scene.get("facts") or {}).items():
        yield Statement(
            f"The scene states {quoted(name)}: {quoted(_value(value))}.",
            (fact("run", "scene", "facts", name),),
        )
    deployed = (document.get("plan") or {}).get("deployed") or ()
    if deployed:
        names = ", ".join(map(word, deployed))
        yield Statement(
            f"All rows without an added defense were played behind {names}.",
            (fact("run", "plan", "deployed"),),
        )
    yield from _verdict(source, rows)
    for k, words in enumerate(document.get("notes") or ()):
        yield Statement(f"The run notes {quoted(words)}.", (fact("run", "notes", k),))
    yield from flagged(rows)
    yield from failed([row for row in rows if row["status"] == "failed"])
    yield _known(document, rows)
    if source.verdict.get("departures") is None or not source.verdict.get("checks"):
        about = (fact("run", "plan"), fact("run", "channels"))
        for words in departures_in_words({**document, "channels": rows}):
            yield Statement(f"Played otherwise than shipped: {quoted(words)}.", about)


def _known(document: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Statement:
    """Return what can be known of a run at all."""
    measured = [row for row in rows if row["status"] == "measured"]
    if measured:
        return Statement(
            "Evidence by attacks is a lower bound: what a row certifies was read, and an attack "
            "that was not played may read more.",
            row_ids(measured),
        )
    if any(one["radius"] is not None for one in document.get("loops") or ()):
        return Statement(
            "No single attack was measured, and what is known is about the loop of attacks.",
            (fact("run", "channels"), fact("run", "loops")),
        )
    return Statement("Nothing was measured, so nothing is known.", (fact("run", "channels"),))


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value:
        return figure(value)
    return number(value) if isinstance(value, float | int) else str(value)


def _verdict(source: Source, rows: list[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield the verdict in force, its reasons, and what departs from what ships."""
    verdict = source.verdict
    _, title, reading = verdict_words(verdict)
    by = judged(verdict)
    origin = f"was {by}" if by else "is that of the run's own plan"
    basis = (fact("verdict", "status"), *([fact("verdict", "judged")] if by else []))
    yield Statement(f"The verdict is {quoted(title)}, and {origin}.", basis)
    if not verdict.get("against"):
        yield Statement(sentence(reading), basis[:1])
    if words := meaning(verdict):
        yield Statement(sentence(words), basis[:1])
    checks = verdict.get("checks") or ()
    if checks:
        yield from _covered(verdict, rows)
    for k, check in enumerate(checks):
        about = [row for row in rows if row["id"] == check.get("row")]
        yield Statement(
            f"The verdict of one check is {check['status']}: {quoted(check['reason'])}.",
            (fact("verdict", "checks", k), *row_ids(about)),
        )
    listed_reasons = {str(check["reason"]) for check in checks}
    for k, reason in enumerate(verdict.get("reasons") or ()):
        if str(reason) not in listed_reasons:
            yield Statement(
                f"The verdict gives the reason {quoted(reason)}.", (fact("verdict", "reasons", k),)
            )
    for k, words in enumerate(verdict.get("departures") or ()):
        yield Statement(
            f"Played otherwise than shipped: {quoted(words)}.", (fact("verdict", "departures", k),)
        )
    yield from _waivers(verdict, rows)


def _covered(verdict: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield how many rows the limits are about, and which is the widest of the others."""
    checks = verdict.get("checks") or ()
    named = {check.get("row") for check in checks if check["limit"] != AGAINST}
    measured = [row for row in rows if row["status"] == "measured"]
    within = [row for row in measured if row["id"] in named]
    compared = row_ids(
        row
        for row in measured
        if row["id"] in {check.get("row") for check in checks if check["limit"] == AGAINST}
    )
    if compared:
        yield Statement(
            f"Compared with an earlier run were {number(len(compared))} of "
            f"{count(len(measured), 'measured row')}, which says nothing about how much they leak.",
            (fact("verdict", "checks"), *compared),
        )
    if not named:
        yield Statement("No limit was given.", (fact("verdict", "checks"),))
        return
    yield Statement(
        f"The limits are about {number(len(within))} of {count(len(measured), 'measured row')}.",
        (fact("verdict", "checks"), *row_ids(within)),
    )
    other = widest([row for row in measured if row["id"] not in named])
    if other is not None:
        yield Statement(
            f"The widest row that no limit is about is {word(other['attack'])} with "
            f"{share_in_words(other)}.",
            (row_id(other),),
        )


def _waivers(verdict: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield what was waived, up to what, by whom, why and until when."""
    for k, one in enumerate(verdict.get("waivers") or ()):
        about = [row for row in rows if row["id"] == one["row"]]
        yield Statement(
            f"The waiver of the row {quoted(one['row'])} under the limit {quoted(one['limit'])} "
            f"is {quoted(one['state'])}: up to {number(one['up_to'])}, from {one['granted']} until "
            f"{one['expires']}, owned by {quoted(one['owner'])} for the reason "
            f"{quoted(one['reason'])}.",
            (fact("verdict", "waivers", k), *row_ids(about)),
        )


def of_unplayed(rows: list[Mapping[str, Any]]) -> Iterator[Statement]:
    """Yield what was not played, by reason, with every row."""
    alike: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"] == "skipped":
            cause, reason = str(row.get("cause")), str(row.get("reason") or "no reason given")
            fits = row.get("cause") not in FITS_NOT
            words = reason + (cure(cause, reason) if fits else "")
            alike.setdefault((fits, words), []).append(row)
    for (fits, reason), those in sorted(alike.items(), key=lambda pair: not pair[0][0]):
        names = [word(plain(row["attack"])) for row in those]
        kind = "Not played although it fits" if fits else "Not played because it does not apply"
        yield Statement(f"{kind}: {listed(names)}, {quoted(reason)}.", row_ids(those))
