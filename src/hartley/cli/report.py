"""``hartley report``: render a stored run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hartley.cli.store_option import Store
from hartley.cli.terminal import note, say_text
from hartley.core.code_digest import code_digest
from hartley.core.errors import UsageError
from hartley.report import FORMATS

_FORMATS = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())

app = App(name="report")


@app.default
def report(
    run: str,
    /,
    *,
    format: Annotated[str, Parameter(help=f"{_FORMATS}.")] = "html",
    limits: Path | None = None,
    accept_unverified: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    open: Annotated[bool, Parameter(negative="")] = False,
    store: Store = Path("runs"),
) -> int:
    """Render a stored run, with its verdict: that of hartley gate --save, or of its own plan.

    HTML goes to report.html in the run's folder, everything else to standard output. A page that
    was made from the same run by the same code is left as it is.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    limits
        Judge the run by this plan's table [limits], for this page alone.
    accept_unverified
        Show the verdict of a document that no journal vouches for, as hartley gate has it.
    out
        Write to this file instead.
    open
        Show the file in a browser.
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    """
    from hartley.catalog import own_code_only
    from hartley.cli.find_run import folder_of, read, read_judged
    from hartley.report.render import check_format, render
    from hartley.store import as_bytes, write_atomically

    check_format(format)
    if limits is None:
        document = read(run, store, accept_unverified=accept_unverified)
    else:
        with own_code_only():
            document = read_judged(run, store, limits, accept_unverified=accept_unverified)
    stamp = ""
    if out is None and (format == "html" or open):
        path = Path(run) if Path(run).is_file() else folder_of(run, store)
        out = (path.parent if path.is_file() else path) / f"report.{format}"
        stamp = _stamp(document) if format == "html" else ""
    if out is None:
        say_text(render(document, format))
        return 0
    if out.is_dir():
        raise UsageError(
            f"--out must be a file, got the folder {out}; such as {out / 'report'}.{format}"
        )
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    if stamp and out.is_file() and out.read_bytes().endswith(stamp.encode()):
        note(f"{out} is up to date")
    else:
        write_atomically(out, as_bytes(render(document, format) + stamp))
        note(f"wrote {out}")
    if open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
    return 0


def _stamp(document: Mapping[str, Any]) -> str:
    """A comment that names the run document and the code that a page is made from.

    A page that ends with it need not be drawn again.
    """
    from importlib.resources import files

    templates = [
        *(
            files("hartley.report.templates") / name
            for name in ("page.html", "page.css", "loop.svg", "ring.svg")
        ),
        *(files("hartley.report") / name for name in ("words.toml", "prose.toml")),
    ]
    state = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for part in (code_digest("hartley.report.html").encode(), *(p.read_bytes() for p in templates)):
        state.update(part)
    return f"\n<!-- {state.hexdigest()[:16]} -->\n"
