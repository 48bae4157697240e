"""``hartley serve``: pages over the runs of a store, for a browser."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.store_option import Store
from hartley.cli.terminal import note, say, whole
from hartley.core.errors import MissingExtra

EXTRA = "serve"
PORT = 8417

app = App(name="serve", help_format="plaintext", suppress_keyboard_interrupt=False)


@app.default
def serve(
    *,
    store: Store = Path("runs"),
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(converter=whole)] = PORT,
    name: tuple[str, ...] = (),
    no_token: Annotated[bool, Parameter(negative="")] = False,
    open: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show the runs of a store in a browser: verdicts, rows, trials, and what is played now.

    Prints one address, which carries a token; without it nothing can be read. Nothing of a run can
    be changed. Ctrl-C ends it.

    Parameters
    ----------
    store
        The folder of all runs, or a URL: s3://BUCKET/PLACE, sftp://HOST/PLACE and others.
    host
        The address to listen at. Beyond this machine, what is read is not encrypted.
    port
        The port; 0 takes any that is free.
    name
        A name by which browsers call this machine or a proxy in front of it, where that is not
        the host: HOST, or HOST:PORT; repeatable.
    no_token
        Let everybody on this machine read, without a token.
    open
        Open the address in a browser.
    """
    try:
        import jinja2  # noqa: F401

        from hartley.store import named
        from hartley.store.remote import refuse_index
        from hartley.web import serving
        from hartley.web.pages import pages_of
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "aiohttp", EXTRA) from None
    refuse_index(store, "show it")
    pages = pages_of(store)
    serving.access_of(host, port, token=not no_token, names=name)  # refused before it listens
    with serving.listening(host, port) as at:
        taken: int = at.getsockname()[1]
        access = serving.access_of(host, taken, token=not no_token, names=name)
        address = serving.start_address(access, host, taken, name)

        with ExitStack() as stack:

            def ready() -> None:
                say(address)
                sys.stdout.flush()
                note(f"serves the runs of {named(store)}; Ctrl-C ends it")
                if open:
                    import webbrowser

                    webbrowser.open(stack.enter_context(serving.opening(address)))

            serving.serve(at, pages, access, ready)
    note("ended")
    serving.leave(pages)
    return 0
