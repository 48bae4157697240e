"""Where the command starts: a Ctrl-C during its imports ends it in one line, not in a traceback."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line of this process."""
    guard()
    from hartley.cli.main import main as command

    command()


def guard() -> None:
    """Let a Ctrl-C end this process at once, as long as nothing has to be kept.

    A KeyboardInterrupt would be raised in the middle of a foreign library that is just imported,
    where some catch it and others print it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def unguard() -> None:
    """From now on, let a Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    try:
        os.write(2, b"hartley: stopped\n")
    finally:
        os._exit(130)


if __name__ == "__main__":
    main()
