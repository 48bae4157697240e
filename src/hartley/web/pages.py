"""The pages: each reads the store in a thread of its own and fills one template."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from hartley.core.control_characters import one_line, visible, visible_values
from hartley.core.errors import HartleyError, UsageError
from hartley.engine.result.compare_runs import MARGIN, Side, compare_runs
from hartley.reference.schema import check_schema
from hartley.report import compared, loop, render, which_defense
from hartley.report.format_numbers import plain
from hartley.report.html import check_of_page, counts_of_page, verdict_of_page
from hartley.report.render import with_baseline_rows
from hartley.report.summary import limited, summary
from hartley.report.table_rows import channel
from hartley.report.templates import text as report_text
from hartley.report.words import words
from hartley.web.access import REPORT_POLICY, Access, checked
from hartley.web.row_pages import (
    ORDERS,
    PAGE,
    experiment,
    matches,
    row_line,
    sorted_rows,
    trial_lines,
)
from hartley.web.stored import DAMAGED, FOREIGN, UNFINISHED, NoSuchRun, Run, Stored
from hartley.web.templates import environment, text

LOG = logging.getLogger("hartley.web")

TONES = {
    "pass": "pass",
    "over": "over",
    "inconclusive": "inconclusive",
    UNFINISHED: "neutral",
    DAMAGED: "over",
    FOREIGN: "inconclusive",
    "none": "neutral",
    "worse": "over",
    "better": "pass",
    "no worse": "pass",
    "open": "inconclusive",
}
FACTS = {"created": "began", "seed": "seed", "version": "Hartley"}
SORTS = {"created": "newest first", "id": "name", "scene": "scene", "status": "status"}
SHOWN = ("measured", "failed", "skipped", "all")
STATIC = {
    "page.css": ("text/css", report_text),
    "serve.css": ("text/css", text),
    "serve.js": ("text/javascript", text),
    "icon.svg": ("image/svg+xml", text),
}
DRAWING = threading.Lock()
"""Charts are drawn one at a time: matplotlib is not made for several threads."""

REPORTS = 4
"""Whole reports that stay in memory."""


class Pages:
    """The pages over one store.

    Args:
        stored: the store.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self._reports: dict[Any, str] = {}
        self._views: dict[Any, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def app(self, access: Access) -> web.Application:
        """Return the application.

        Args:
            access: the rule of reading.
        """
        app = web.Application(middlewares=[checked(access, refusal)])
        routes: Mapping[str, Callable[[web.Request], web.Response]] = {
            "/": self.list_runs,
            "/compare": self.compare,
            "/words": self.words,
            "/runs/{run}": self.run,
            "/runs/{run}/progress": self.progress,
            "/runs/{run}/report": self.report,
            "/runs/{run}/rows/{row}": self.row,
        }
        for path, page in routes.items():
            app.router.add_get(path, _in_thread(page))
        app.router.add_get("/static/{name}", static)
        return app

    def warm(self) -> None:
        """Draw the newest run that is finished once: what that imports takes two seconds."""
        with contextlib.suppress(Exception):  # its page says what is wrong with it
            rows, _ = self.stored.listed()
            name = next(row["id"] for row in rows if row["status"] not in _UNREADABLE)
            self._view(self.stored.run(name))

    def list_runs(self, request: web.Request) -> web.Response:
        """Answer with the list of runs."""
        rows, others = self.stored.listed()
        wanted, status = request.query.get("q", ""), request.query.get("status", "")
        order = _one_of(request.query.get("sort", ""), SORTS)
        states = sorted({str(row["status"]) for row in rows})
        total = len(rows)
        if wanted:
            rows = [r for r in rows if _has(wanted, r["id"], r.get("scene", ""))]
        if status:
            rows = [row for row in rows if row["status"] == status]
        if order != "created":
            rows = sorted(rows, key=lambda row: str(row.get(order, "")))
        page, pages = _page(request, len(rows))
        lines = [self._run_line(row) for row in rows[page * PAGE : (page + 1) * PAGE]]
        query = {"q": one_line(wanted), "status": status, "sort": order}
        return _page_of(
            "runs.html",
            title="Runs",
            store=one_line(self.stored.store),
            lines=lines,
            total=total,
            matching=len(rows),
            states=states,
            sorts=SORTS,
            query=query,
            others=[one_line(name, 200) for name in others],
            turns=_turns("/", query, page, pages),
        )

    def _run_line(self, row: Mapping[str, Any]) -> dict[str, Any]:
        status, progress = str(row["status"]), None
        if status == UNFINISHED:
            progress = self.stored.progress(row["id"])
        return {
            "id": one_line(row["id"]),
            "href": run_path(row["id"]),
            "created": one_line(row.get("created", "")),
            "scene": one_line(row.get("scene", "")),
            "status": "no limits" if status == "none" else one_line(status),
            "waived": one_line(row.get("waived", "")),
            "tone": TONES.get(status, "inconclusive"),
            "reason": one_line(row.get("reason", ""), 300),
            "progress": progress,
        }

    def run(self, request: web.Request) -> web.Response:
        """Answer with one run: its verdict, its loop, its rows and its defenses."""
        run = self._run(request)
        wanted = request.query.get("q", "")
        order = _one_of(request.query.get("sort", ""), ORDERS)
        which = _one_of(request.query.get("show", ""), SHOWN)
        path = run_path(run.name)
        context: dict[str, Any] = {
            "title": run.name,
            "name": run.name,
            "path": path,
            "state": run.state,
            "tone": TONES.get(run.state, "inconclusive"),
            "doubt": one_line(run.doubt),
            "signature": one_line(run.signature),
            "progress": run.progress,
            "orders": ORDERS,
            "shows": SHOWN,
            "query": {"q": one_line(wanted), "sort": order, "show": which},
            "view": None,
        }
        if run.document is not None:
            context["view"] = view = self._view(run)
            rows = [r for r in view["rows"] if which in ("all", r["status"])]
            rows = [row for row in rows if matches(row, wanted)]
            lines = [row_line(row) for row in sorted_rows(rows, order)]
            for line in lines:
                line["href"] = row_path(run.name, line["id"])
            context["lines"] = lines
        return _page_of("run.html", **context)

    def _view(self, run: Run) -> dict[str, Any]:
        """Return what the page of a run says beside its rows; kept while its files are the same."""
        key = (run.name, run.stamp)
        view = self._views.get(key)
        if view is None:
            view = _view(run)
            with self._lock:
                while len(self._views) >= REPORTS:
                    self._views.pop(next(iter(self._views)))
                self._views[key] = view
        return view

    def progress(self, request: web.Request) -> web.Response:
        """Answer with how far a run is, for the script."""
        progress = self.stored.progress(request.match_info["run"])
        if progress is None:
            return web.json_response({"ended": True})
        facts = {"done": progress.done, "planned": progress.planned, "words": progress.words}
        return web.json_response({"ended": False, **facts})

    def report(self, request: web.Request) -> web.Response:
        """Answer with the whole report of a run, which has its looks inside."""
        run = self._run(request)
        if run.document is None or run.progress is not None:
            raise UsageError(f"The run {run.name} has no report yet.")
        with DRAWING:
            key = (run.name, run.stamp)
            if key not in self._reports:
                while len(self._reports) >= REPORTS:
                    self._reports.pop(next(iter(self._reports)))
                self._reports[key] = render(run.document, "html")
            page = self._reports[key]
        policy = {"Content-Security-Policy": REPORT_POLICY}
        return web.Response(text=page, content_type="text/html", headers=policy)

    def row(self, request: web.Request) -> web.Response:
        """Answer with one row of a run, and a page of its trials."""
        run = self._run(request)
        wanted = request.match_info["row"]
        rows = (run.document or {}).get("channels") or ()
        # An address carries the id as it is printed.
        row = next((row for row in rows if wanted in (row["id"], visible(row["id"]))), None)
        if row is None:
            raise NoSuchRun(f"The run {run.name} has no row {one_line(wanted, 200)!r}.")
        which = _one_of(request.query.get("show", ""), ("all", "right", "wrong"))
        table, absent = None, ""
        try:
            trials = run.load(row)
            if trials is not None:
                table = trial_lines(trials, PAGE * _number(request.query.get("page", "")), which)
        except HartleyError as error:
            absent = one_line(error)
        path, query, turns = row_path(run.name, wanted), {"show": which}, None
        if table is not None:
            pages = max(1, -(-table["total"] // PAGE))
            turns = _turns(path, query, table["first"] // PAGE, pages)
        safe = visible_values(row)
        return _page_of(
            "row.html",
            title=f"{one_line(row['attack'])} in {run.name}",
            name=run.name,
            run_path=run_path(run.name),
            path=path,
            row=row_line(safe),
            summary=str(safe.get("summary") or ""),
            channel=channel(safe) if row["status"] == "measured" else None,
            played=experiment(safe),
            table=table,
            absent=absent or one_line(run.doubt),
            which=which,
            turns=turns,
        )

    def compare(self, request: web.Request) -> web.Response:
        """Answer with two runs compared, or with the choice of two."""
        names = [request.query.get(side, "") for side in ("first", "second")]
        known = [str(r["id"]) for r in self.stored.listed()[0] if r["status"] not in _UNREADABLE]
        context: dict[str, Any] = {
            "title": "Compare two runs",
            "names": names,
            "known": known,
            "result": None,
            "problem": "",
        }
        if all(names):
            sides = [self.stored.run(name) for name in names]
            unread = [s for s in sides if s.document is None or s.progress is not None]
            unread += [side for side in sides if side.state == DAMAGED]
            if unread:
                why = one_line(unread[0].doubt or "it is not finished")
                context["problem"] = f"{unread[0].name} cannot be compared: {why}"
            else:
                context["result"] = _compared(sides)
        return _page_of("compare.html", **context)

    def words(self, _request: web.Request) -> web.Response:
        """Answer with what the words mean."""
        return _page_of("words.html", title="What the words mean", words=words())

    def _run(self, request: web.Request) -> Run:
        return self.stored.run(request.match_info["run"])


_UNREADABLE = (UNFINISHED, DAMAGED, FOREIGN)


def _view(run: Run) -> dict[str, Any]:
    document = run.document
    assert document is not None
    finished = run.progress is None
    document = visible_values(document)
    page = with_baseline_rows(check_schema(document) if finished else document)
    from markupsafe import Markup

    svg: Any = Markup  # only what `loop.picture` drew, which escapes what it prints
    verdict = document["verdict"]
    return {
        "scene": page["scene"],
        "facts": [
            (words_of_it, str(page[name]).replace("T", " ")[:16])
            for name, words_of_it in FACTS.items()
            if page.get(name) is not None
        ],
        "verdict": verdict_of_page(page["verdict"]) if finished else None,
        "checks": [check_of_page(c) for c in verdict.get("checks") or ()] if finished else [],
        "limited": limited(page) if finished else "",
        "summary": summary(page) if finished else None,
        "counts": counts_of_page(page["channels"]),
        "caption": loop.caption(page),
        "loop_wide": svg(loop.picture(page)),
        "loop_tall": svg(loop.picture(page, narrow=True)),
        "choice": which_defense.of_page(page) if finished else None,
        "rows": document["channels"],
        "numbers": {
            which: sum(which in ("all", row["status"]) for row in document["channels"])
            for which in SHOWN
        },
    }


def _compared(sides: Sequence[Run]) -> dict[str, Any]:
    documents = [side.document for side in sides]
    assert documents[0] is not None and documents[1] is not None
    first, second = (
        Side(document, side.load)
        for document, side in zip((documents[0], documents[1]), sides, strict=True)
    )
    comparison = visible_values(compare_runs(first, second, margin=MARGIN))
    table = compared.of_verdict({"against": comparison})
    assert table is not None
    lines = [
        {
            "cells": cells,
            "tone": TONES.get(row["status"], "inconclusive"),
            "href": row_path(sides[1].name, str(row["id"])),
        }
        for row, cells in zip(comparison["rows"], table["rows"], strict=True)
    ]
    facts = [
        (plain(name), str(comparison["first"][name])[:64], str(comparison["second"][name])[:64])
        for name in ("scene", "digest", "seed", "version")
        if comparison["first"][name] != comparison["second"][name]
    ]
    return {
        "status": comparison["status"],
        "tone": TONES.get(comparison["status"], "inconclusive"),
        "reasons": comparison["reasons"],
        "head": [name.capitalize() for name in table["head"]],
        "lines": lines,
        "facts": facts,
        "notes": table["notes"],
        "doubts": [f"{s.name}: {one_line(s.doubt)}" for s in sides if s.doubt],
    }


def _in_thread(
    page: Callable[[web.Request], web.Response],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler that makes a page in a thread: to read a large run may take a second."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await asyncio.to_thread(page, request)
        except NoSuchRun as error:
            return refusal(404, one_line(error))
        except HartleyError as error:
            return refusal(409, one_line(error))
        except Exception as error:  # a document of somewhere else may hold anything
            LOG.exception("a page could not be made: %s", one_line(request.path, 300))
            kind = type(error).__name__
            return refusal(500, f"The files of this run are not what a page can show ({kind}).")

    return handler


async def static(request: web.Request) -> web.Response:
    """Answer with the looks or the script."""
    if request.match_info["name"] not in STATIC:
        raise web.HTTPNotFound
    kind, read = STATIC[request.match_info["name"]]
    return web.Response(text=read(request.match_info["name"]), content_type=kind)


def refusal(status: int, words_of_it: str) -> web.Response:
    """Return the page that says why there is no other."""
    response = _page_of("refusal.html", title="Not here", words=words_of_it)
    response.set_status(status)
    return response


def _page_of(template: str, **context: Any) -> web.Response:
    page = environment().get_template(template).render(context)
    return web.Response(text=page, content_type="text/html")


def run_path(run: str) -> str:
    """Return the address of a run."""
    return f"/runs/{quote(str(run), safe='')}"


def row_path(run: str, row: str) -> str:
    """Return the address of a row of a run."""
    return f"{run_path(run)}/rows/{quote(row, safe='')}"


def _one_of(value: str, allowed: Sequence[str] | Mapping[str, str]) -> str:
    """Return a value that is allowed, else the first that is."""
    return value if value in allowed else next(iter(allowed))


def _has(wanted: str, *texts: str) -> bool:
    line = " ".join(map(str, texts)).casefold()
    return all(word in line for word in wanted.casefold().split())


def _number(value: str) -> int:
    """Return a page's number, from 0; the first page for all that is not one."""
    return max(0, int(value) - 1) if value.isascii() and value.isdecimal() and len(value) < 9 else 0


def _page(request: web.Request, total: int) -> tuple[int, int]:
    pages = max(1, -(-total // PAGE))
    return min(_number(request.query.get("page", "")), pages - 1), pages


def _turns(path: str, query: Mapping[str, str], page: int, pages: int) -> dict[str, Any]:
    """Return the addresses of the pages before and after one."""

    def address(number: int) -> str:
        named = {name: value for name, value in {**query, "page": str(number)}.items() if value}
        return f"{path}?{urlencode(named)}"

    return {
        "page": page + 1,
        "pages": pages,
        "before": address(page) if page else "",
        "after": address(page + 2) if page + 1 < pages else "",
    }


def pages_of(store: Path) -> Pages:
    """Return the pages over a store.

    Raises:
        StoreError: there is no such folder.
    """
    return Pages(Stored(store))
