"""The page: one file that loads nothing, drawn from the run document alone."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from hartley.core.taxonomy import Axis
from hartley.reference import flows, implemented_by, seed_a, threats, title_of
from hartley.report import charts, compared, loop, pictures, rings, suspects, which_defense
from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    AXIS_TITLES,
    DEPARTED,
    VERDICTS,
    bits_line,
    certified_share,
    count,
    judged,
    level,
    meaning,
    number,
    percent,
    plain,
    sentence,
    verdict_words,
    widest,
)
from hartley.report.summary import limited, summary
from hartley.report.table_rows import by_reason, defense, edges, unmeasured
from hartley.report.templates import environment, text
from hartley.report.unplayed import FITS_NOT
from hartley.report.words import of_page
from hartley.report.worst_records import explained, head, lines, worst_records


def render(document: Mapping[str, Any]) -> str:
    """Return the page.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    from markupsafe import Markup

    measured = [c for c in document["channels"] if c["status"] == "measured"]
    # Drawings come from our own code, which escapes what it writes; all else is escaped here.
    svg: Any = Markup
    table = list(_threats(measured))
    context = {
        "css": svg(text("page.css")),
        "run": {key: document.get(key) for key in ("id", "created", "seed", "version")},
        "scene": {"modality": "", **document["scene"]},
        "verdict": verdict_of_page(document["verdict"]),
        "checks": [check_of_page(c) for c in document["verdict"].get("checks") or ()],
        "compared": compared.of_verdict(document["verdict"]),
        "limited": limited(document),
        "summary": summary(document),
        "worst": _worst(document),
        "suspects": _suspects(document),
        "asked": list(_asked(document["scene"])),
        "counts": counts_of_page(document["channels"]),
        "widest": _widest(document["channels"]),
        "level": _level(measured),
        "caption": loop.caption(document),
        "loop_wide": svg(loop.picture(document)),
        "loop_tall": svg(loop.picture(document, narrow=True)),
        "axes": [a for a in (charts.axis(str(x), measured, svg) for x in Axis) if a["rows"]],
        "empty_axes": [t for x, t in AXIS_TITLES.items() if not _on(x, measured)],
        "curves": list(charts.curves(measured, svg)),
        "pictures": list(pictures.of_attacks(measured, svg)),
        "outbreaks": list(charts.outbreaks(document, svg)),
        "defenses": [defense(row) for row in document.get("defenses") or ()],
        "defense_charts": list(charts.defenses(document, svg)),
        "choice": which_defense.of_page(document, svg),
        "edges": edges(document),
        "rings": rings.of_page(document, svg),
        "failed": [unmeasured(c) for c in document["channels"] if c["status"] == "failed"],
        "skipped": by_reason(c for c in _skipped(document) if c.get("cause") not in FITS_NOT),
        "unfit": by_reason(c for c in _skipped(document) if c.get("cause") in FITS_NOT),
        "unfit_count": sum(c.get("cause") in FITS_NOT for c in _skipped(document)),
        "definitions": of_page(document["channels"]),
        "provenance": prose()["provenance"],
        "classes": [_class(class_row, document["channels"]) for class_row in seed_a()],
        "threats": table,
        "flows": list(_flows(table)),
        "papers": list(_papers(document["channels"])),
        "facts": list(_facts(document)),
        "notes": document.get("notes") or [],
        "plan": _words(document.get("plan")),
    }
    context["contents"] = list(_contents(context))
    return environment().get_template("page.html").render(context) + "\n"


OWN = "hartley"
"""What stands for a paper where an attack is Hartley's own."""


def prose() -> dict[str, Any]:
    """Return the fixed texts of the page."""
    return tomllib.loads(files("hartley.report").joinpath("prose.toml").read_text("utf-8"))


def verdict_of_page(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page says of a verdict: its tone, title, sentences and reasons."""
    tone, title, words = verdict_words(verdict)
    passed = {
        check.get("reason")
        for check in verdict.get("checks") or ()
        if check.get("status") == "pass" and not check.get("waiver")
    }
    return {
        "tone": tone,
        "title": title,
        "words": sentence(words),
        "meaning": sentence(meaning(verdict)),
        # The table of limits below has the checks that pass.
        "reasons": [r for r in verdict.get("reasons") or () if r not in passed],
        "judged": sentence(judged(verdict)),
        "departed": DEPARTED,
        "departures": list(verdict.get("departures") or ()),
    }


def check_of_page(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return one limit that was checked, as a page prints it."""
    status = str(check.get("status"))
    return {
        "limit": check.get("limit"),
        "at": number(check.get("at")),
        "attack": check.get("attack") or "–",
        "status": status,
        "tone": status if status in VERDICTS else "inconclusive",
        "reason": check.get("reason"),
    }


RECORDS = 20
"""Records that the page lists."""


def _worst(document: Mapping[str, Any]) -> dict[str, Any] | None:
    worst = worst_records(document)
    if worst is None or not worst.records:
        return None
    length = min(RECORDS, len(worst.records))
    return {
        "words": " ".join(explained(worst, length)),
        "head": head(worst),
        "lines": list(lines(worst, length)),
    }


def _suspects(document: Mapping[str, Any]) -> dict[str, Any] | None:
    if not document.get("suspects"):
        return None
    return {
        "words": " ".join(suspects.explained(document)),
        "head": suspects.HEAD,
        "lines": list(suspects.lines(document, RECORDS)),
        "planted_head": suspects.PLANTED_HEAD,
        "planted": list(suspects.planted_lines(document)),
    }


def counts_of_page(channels: Sequence[Mapping[str, Any]]) -> str:
    """Say how many channels were measured, failed and were not run."""
    measured = sum(c["status"] == "measured" for c in channels)
    failed = sum(c["status"] == "failed" for c in channels)
    skipped = [c for c in channels if c["status"] == "skipped"]
    unfit = sum(c.get("cause") in FITS_NOT for c in skipped)
    return (
        f"{count(measured, 'channel')} measured, {failed} failed, "
        f"{len(skipped) - unfit} not run although they fit; {unfit} do not fit."
    )


def _on(axis: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get("axis") == axis for row in rows)


def _skipped(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in document["channels"] if row["status"] == "skipped"]


def _asked(scene: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was measured: the scene, and what it states of its model and its records."""
    yield "scene", str(scene["name"])
    if scene.get("digest"):
        yield "digest", str(scene["digest"])[:16]
    for name, value in (scene.get("facts") or {}).items():
        number_like = isinstance(value, int | float) and not isinstance(value, bool)
        yield plain(str(name)), number(value) if number_like else _inline(value)


def _widest(channels: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    best = widest(list(channels))
    if best is None:
        return None
    candidates, certified = certified_share(best)
    words = (
        f"at least {percent(certified)} of a secret that is 1 in {candidates} ({bits_line(best)})"
    )
    game = best["game"] or best.get("class") or "a table"
    return {"name": f"{plain(best['attack'])} ({plain(game)})", "words": words}


def _level(measured: Sequence[Mapping[str, Any]]) -> str:
    levels = {c["bits"].get("alpha") for c in measured} - {None}
    if len(levels) != 1:
        return "its own level"
    return level(levels.pop())


def _class(one: Any, channels: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    here = [c for c in channels if class_of(c) == one.cls]
    by = {s: [c["attack"] for c in here if c["status"] == s] for s in ("measured", "failed")}
    if by["measured"]:
        words = "measured: " + ", ".join(by["measured"])
    elif by["failed"]:
        words = "failed: " + ", ".join(by["failed"])
    else:
        words = f"not run ({count(len(here), 'attack')} known)" if here else "no part in this run"
    return {
        "title": one.title,
        "arxiv": AXIS_TITLES[one.axis("arxiv-v1")],
        "openreview": AXIS_TITLES[one.axis("openreview")],
        "here": words,
    }


def _threats(measured: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    attacks = [
        {"name": c["attack"], "class": class_of(c), "paper": c.get("paper")} for c in measured
    ]
    for row in threats():
        attack_names = implemented_by(row, attacks)
        words = [f"{name} (its own paper)" for name in attack_names["same_paper"]] + attack_names[
            "same_class"
        ]
        yield {
            "name": row.name,
            "flow": str(row.flow),
            "term": str(row.move),
            "goal": row.goal,
            "cls": plain(row.cls) or "no class",
            "here": ", ".join(words) or "not measured in this run",
            "measured": "yes" if words else "",
        }


def _flows(table: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    for flow in flows():
        rows = [row for row in table if row["flow"] == str(flow.flow)]
        yield {
            "name": str(flow.flow),
            "path": flow.path,
            "level": flow.level,
            "threats": str(len(rows)),
            "here": str(sum(bool(row["measured"]) for row in rows)),
        }


def _papers(channels: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    cited: dict[str, list[str]] = {}
    for row in channels:
        # Only what was played here; Hartley's own attacks have no paper to cite.
        if row.get("paper") not in (None, "", OWN) and row["status"] != "skipped":
            cited.setdefault(str(row["paper"]), []).append(str(row["attack"]))
    for paper, attacks in sorted(cited.items()):
        yield {
            "id": paper,
            "href": _link(paper),
            "title": title_of(paper) or "",
            "attacks": ", ".join(dict.fromkeys(attacks)),
        }


def _link(paper: str) -> str:
    """Return the address of a paper by its arXiv id or DOI, or an empty string."""
    if match := re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", paper):
        return f"https://arxiv.org/abs/{match[1]}"
    if match := re.fullmatch(r"doi:(10\.\d{4,}/[\w.()/:;-]+)", paper):
        return f"https://doi.org/{match[1]}"
    return ""


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("id", "schema", "created", "finished", "version", "seed"):
        if document.get(key) is not None:
            yield key, str(document[key])
    for group in ("scene", "host"):
        for key, value in (document.get(group) or {}).items():
            yield f"{group} {plain(key)}", _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inline(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_inline, value))
    return str(value)


def _words(value: Any) -> str:
    if not value:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _contents(context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sections = {
        "now": ("What to do now", context["summary"].actions),
        "suspects": ("Suspect records", context["suspects"]),
        "records": ("Most exposed records", context["worst"]),
        "loop": ("Loop", True),
        "limits": ("Limits", context["checks"]),
        "compared": ("The earlier run", context["compared"]),
        "channels": ("Channels", True),
        "outbreaks": ("Epidemic curves", context["outbreaks"]),
        "curves": ("ROC", context["curves"]),
        "pictures": ("What attacks did", context["pictures"]),
        "choice": ("Which defense", context["choice"]),
        "defenses": ("Defenses", context["defenses"]),
        "chains": ("Chains", context["edges"]),
        "rings": ("Closed loop", context["rings"]),
    }
    yield from ((name, title) for name, (title, there) in sections.items() if there)
    yield "missing", "Not measured"
    yield "definitions", "Definitions"
    yield "run", "The run"
    yield "papers", "Sources"
