"""The pages: each reads the store in a thread of its own and fills one template."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from aiohttp import web

from hartley.core.control_characters import one_line, visible, visible_values
from hartley.core.errors import HartleyError, UsageError
from hartley.engine.result.compare_runs import MARGIN
from hartley.reference.schema import check_schema
from hartley.report import loop, render, which_defense
from hartley.report.html import check_of_page, counts_of_page, verdict_of_page
from hartley.report.render import with_baseline_rows
from hartley.report.summary import limited, summary
from hartley.report.table_rows import channel
from hartley.report.templates import text as report_text
from hartley.report.words import words
from hartley.store import named
from hartley.web.access import REPORT_POLICY, Access, checked
from hartley.web.addresses import row_path, run_path
from hartley.web.compare_page import TONES as COMPARED
from hartley.web.compare_page import compared_or_why
from hartley.web.picture_pages import loop_page, matrix_page
from hartley.web.row_pages import (
    ORDERS,
    PAGE,
    ROWS,
    cut,
    experiment,
    matches,
    row_line,
    row_lines,
    sorted_rows,
    trial_lines,
)
from hartley.web.stored import DAMAGED, FOREIGN, UNFINISHED, NoSuchRun, Run, Stored
from hartley.web.templates import environment, text

LOG = logging.getLogger("hartley.web")
Page = Callable[[web.Request], web.Response]

TONES = {
    "pass": "pass",
    "over": "over",
    "inconclusive": "inconclusive",
    UNFINISHED: "neutral",
    DAMAGED: "over",
    FOREIGN: "inconclusive",
    "none": "neutral",
    **COMPARED,
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
READERS = 4
"""Pages that are made at a time."""

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
        self._readers = ThreadPoolExecutor(READERS, "reader")
        # Charts are drawn one at a time: matplotlib is not made for several threads.
        self._drawer = ThreadPoolExecutor(1, "drawer")
        self._making: set[Future[Any]] = set()

    def app(self, access: Access) -> web.Application:
        """Return the application.

        Args:
            access: the rule of reading.
        """
        app = web.Application(middlewares=[checked(access, refusal)])
        app.on_cleanup.append(self._close)
        routes: Mapping[str, Page] = {
            "/": self.list_runs,
            "/compare": self.compare,
            "/words": self.words,
            "/runs/{run}": self.run,
            "/runs/{run}/progress": self.progress,
            "/runs/{run}/loop": self.loop,
            "/runs/{run}/matrix": self.matrix,
            "/runs/{run}/rows/{row}": self.row,
        }
        for path, page in routes.items():
            app.router.add_get(path, self._in_thread(page, self._readers))
        app.router.add_get("/runs/{run}/report", self._in_thread(self.report, self._drawer))
        app.router.add_get("/static/{name}", static)
        return app

    def _in_thread(
        self, page: Page, threads: ThreadPoolExecutor
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that makes a page in a thread: to read a large run may take a second."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await asyncio.wrap_future(self._make(threads, _made, page, request))

        return handler

    def _make(self, threads: ThreadPoolExecutor, work: Callable[..., Any], *given: Any) -> Any:
        future = threads.submit(work, *given)
        self._making.add(future)
        future.add_done_callback(self._making.discard)
        return future

    def warm_up(self) -> None:
        """Draw the newest run that is finished, beside what is asked for; see ``warm``."""
        self._make(self._readers, self.warm)

    async def _close(self, _app: web.Application) -> None:
        for threads in (self._readers, self._drawer):
            threads.shutdown(wait=False, cancel_futures=True)

    def wait(self, seconds: float) -> bool:
        """Wait until no page is being made any more; return whether that is so."""
        return not wait(set(self._making), seconds).not_done

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
        page, pages = _page(request, len(rows), PAGE)
        lines = [self._run_line(row) for row in rows[page * PAGE : (page + 1) * PAGE]]
        query = {"q": one_line(wanted), "status": status, "sort": order}
        return _page_of(
            "runs.html",
            title="Runs",
            store=one_line(named(self.stored.store)),
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
            "unchecked": row.get("checked") is False and row["status"] != UNFINISHED,
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
            "title": one_line(run.name),
            "name": one_line(run.name),
            "compare": f"/compare?{urlencode({'second': run.name}, errors='replace')}",
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
            rows = sorted_rows([row for row in rows if matches(row, wanted)], order)
            page, pages = _page(request, len(rows), ROWS)
            context |= {
                "lines": row_lines(run.name, rows[page * ROWS : (page + 1) * ROWS]),
                "matching": len(rows),
                "turns": _turns(path, context["query"], page, pages, "#rows"),
            }
        return _page_of("run.html", **context)

    def loop(self, request: web.Request) -> web.Response:
        """Answer with the loop of a run: each arrow leads to the rows of its axis."""
        run = self._readable(request)
        context = loop_page(run.document or {}, run.name)
        return _page_of("loop.html", **self._head(run, "The loop"), **context)

    def matrix(self, request: web.Request) -> web.Response:
        """Answer with the attacks and defenses of a run: each cell leads to its rows."""
        run = self._readable(request)
        context = {"why": "Defenses are compared once the run has ended."}
        if run.progress is None:
            context = matrix_page(run.document or {}, run.name)
        return _page_of("matrix.html", **self._head(run, "Attacks and defenses"), **context)

    def _readable(self, request: web.Request) -> Run:
        """Return a run of which something can be read.

        Raises:
            UsageError: there is nothing.
        """
        run = self._run(request)
        if run.document is None:
            raise UsageError(f"Nothing of the run {one_line(run.name)} can be read: {run.doubt}.")
        return run

    def _head(self, run: Run, what: str) -> dict[str, Any]:
        """Return what the pages about one picture of a run say first."""
        name = one_line(run.name)
        unsure = run.progress.words if run.progress is not None else one_line(run.doubt)
        return {
            "title": f"{what} of {name}",
            "what": what,
            "name": name,
            "run_path": run_path(run.name),
            "doubt": unsure,
        }

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
        progress = self.stored.progress(_name_in(request))
        if progress is None:
            return web.json_response({"ended": True})
        names = ("done", "planned", "playing", "words")
        facts = {name: getattr(progress, name) for name in names}
        return web.json_response({"ended": False, **facts})

    def report(self, request: web.Request) -> web.Response:
        """Answer with the whole report of a run, which has its looks inside."""
        run = self._run(request)
        if run.document is None or run.progress is not None:
            raise UsageError(f"The run {run.name} has no report yet.")
        key = (run.name, run.stamp)
        if key not in self._reports:  # reports are made by one thread
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
        trial = request.query.get("trial", "")
        table, absent = None, ""
        try:
            trials = run.load(row)
            if trials is not None:
                begin = PAGE * _number(request.query.get("page", ""))
                table = trial_lines(trials, begin, which, trial)
        except HartleyError as error:
            absent = one_line(error)
        path, query, turns = row_path(run.name, wanted), {"show": which}, None
        if table is not None:
            pages = max(1, -(-table["total"] // PAGE))
            turns = _turns(path, query, table["first"] // PAGE, pages, "#trials")
        safe = visible_values(row)
        return _page_of(
            "row.html",
            title=f"{one_line(row['attack'])} in {one_line(run.name)}",
            name=one_line(run.name),
            run_path=run_path(run.name),
            path=path,
            row=row_line(safe),
            summary=cut(safe.get("summary")),
            channel=channel(safe) if row["status"] == "measured" else None,
            played=experiment(safe),
            table=table,
            absent=absent or one_line(run.doubt),
            which=which,
            trial=one_line(trial, 40),
            turns=turns,
        )

    def compare(self, request: web.Request) -> web.Response:
        """Answer with two runs compared, or with the choice of two."""
        names = [request.query.get(side, "") for side in ("first", "second")]
        margin = request.query.get("margin", "")
        known = [str(r["id"]) for r in self.stored.listed()[0] if r["status"] not in _UNREADABLE]
        # Where nothing was chosen: the newest run with the one before it.
        chosen = names if any(names) else [*known[1::-1], ""][:2]
        context: dict[str, Any] = {
            "title": "Compare two runs",
            "chosen": chosen,
            "names": [one_line(name, 200) for name in names],
            "known": [(name, one_line(name)) for name in known],
            "margin": one_line(margin, 40) or f"{MARGIN:g}",
            "result": None,
            "problem": "",
        }
        if all(names):
            sides = [self.stored.run(name) for name in names]
            context |= compared_or_why(sides, margin)
        return _page_of("compare.html", **context)

    def words(self, request: web.Request) -> web.Response:
        """Answer with what the words mean."""
        wanted = request.query.get("q", "")
        entries = [word for word in words() if _has(wanted, word.name, word.says, *word.also)]
        query = {"q": one_line(wanted, 200)}
        return _page_of("words.html", title="What the words mean", words=entries, query=query)

    def _run(self, request: web.Request) -> Run:
        return self.stored.run(_name_in(request))


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


def _made(page: Page, request: web.Request) -> web.Response:
    """Make a page, or the one that says why there is none."""
    try:
        return page(request)
    except NoSuchRun as error:
        return refusal(404, one_line(error))
    except HartleyError as error:
        return refusal(409, one_line(error))
    except Exception as error:  # a document of somewhere else may hold anything
        path, lines = one_line(request.path, 300), visible(traceback.format_exc())
        LOG.error("a page could not be made: %s\n%s", path, lines)
        kind = type(error).__name__
        return refusal(500, f"The files of this run are not what a page can show ({kind}).")


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


def _name_in(request: web.Request) -> str:
    """Return the name of the run in an address: that of a folder, whatever bytes it is of."""
    return os.fsdecode(unquote_to_bytes(request.rel_url.raw_parts[2]))


def _one_of(value: str, allowed: Sequence[str] | Mapping[str, str]) -> str:
    """Return a value that is allowed, else the first that is."""
    return value if value in allowed else next(iter(allowed))


def _has(wanted: str, *texts: str) -> bool:
    line = " ".join(map(str, texts)).casefold()
    return all(word in line for word in wanted.casefold().split())


def _number(value: str) -> int:
    """Return a page's number, from 0; the first page for all that is not one."""
    return max(0, int(value) - 1) if value.isascii() and value.isdecimal() and len(value) < 9 else 0


def _page(request: web.Request, total: int, lines: int) -> tuple[int, int]:
    pages = max(1, -(-total // lines))
    return min(_number(request.query.get("page", "")), pages - 1), pages


def _turns(
    path: str, query: Mapping[str, str], page: int, pages: int, place: str = ""
) -> dict[str, Any]:
    """Return the addresses of the pages before and after one; ``place`` is where they begin."""

    def address(number: int) -> str:
        named = {name: value for name, value in {**query, "page": str(number)}.items() if value}
        return f"{path}?{urlencode(named)}{place}"

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
