"""``hartley report``: render a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import note
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
    out: Path | None = None,
    open: Annotated[bool, Parameter(negative="")] = False,
    store: Path = Path("runs"),
) -> int:
    """Render a stored run.

    HTML goes to report.html in the run's folder, everything else to standard output.

    Parameters
    ----------
    run
        A run's name in the store, its folder, its run.json, or latest.
    out
        Write to this file instead.
    open
        Show the file in a browser.
    store
        The folder of all runs.
    """
    from hartley.cli.find_run import folder_of, read
    from hartley.report.render import check_format, render
    from hartley.store import write_atomically

    check_format(format)
    text = render(read(run, store), format)
    if out is None and (format == "html" or open):
        path = Path(run) if Path(run).is_file() else folder_of(run, store)
        out = (path.parent if path.is_file() else path) / f"report.{format}"
    if out is None:
        print(text)
        return 0
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    write_atomically(out, text.encode())
    note(f"wrote {out}")
    if open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
    return 0
