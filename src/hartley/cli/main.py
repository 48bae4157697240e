"""The command ``hartley``: one file a verb, imported when it is called.

The exit codes are in ``EXIT_CODES``, which ``hartley --help`` prints. That page, and the version,
import no library: what only some verbs need is imported for them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

from hartley.cli.front_page import answers, asks_for_help, print_front_page
from hartley.cli.start import guard, unguard
from hartley.cli.terminal import complain, complain_at_length, note
from hartley.cli.verbs import EXIT_CODES, NESTED, PLAYING, START, SUMMARY, VERBS
from hartley.core.errors import HartleyError, Mistakes, UsageError, did_you_mean
from hartley.engine.run.threads import one_thread

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

USAGE, INCONCLUSIVE, STOPPED = 2, 3, 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk without room."""


def build(called: str = "") -> App:
    """Return the application, with no verb imported yet.

    Args:
        called: the verb that is about to run, whose help is its own whole description; of the
            others, help is the line in ``VERBS``.
    """
    from cyclopts import App

    from hartley import __version__

    app = App(
        name="hartley",
        help=f"{SUMMARY}\n\n{START}\n\n{EXIT_CODES}",
        version=__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,
    )
    for verb, text in VERBS.items():
        described = _description(verb) if verb == called else ""
        app.command(f"hartley.cli.{verb}:app", name=verb, help=described or text)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a user's mistake shows no traceback."""
    try:
        unguard()
        if answers(arguments):
            return print_front_page(arguments)
        _check_text(arguments)
        code: Any = build(_verb(arguments))(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except BaseException as error:
        lines, code = _error_lines(error, arguments)
        for line in lines:
            complain(line)
    if index := sys.modules.get("hartley.store.shared_index"):
        for sentence in index.missed:
            note(sentence)
    return code if isinstance(code, int) else 0


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse words that no file, plan or terminal can carry.

    Raises:
        UsageError: an argument is not UTF-8, or holds NUL.
    """
    for word in arguments:
        # Bytes that are not UTF-8 arrive as halves of characters.
        if "\0" in word or word.encode("utf-8", "replace").decode() != word:
            raise UsageError(f"an argument must be UTF-8 text, got {word!r}")


def _description(verb: str) -> str:
    """Return all that a verb says of itself before its parameters; empty for one of several."""
    import inspect

    function = import_module(f"hartley.cli.{verb}").app.default_command
    text = None if function is None else inspect.getdoc(function)
    return (text or "").partition("\nParameters\n")[0].strip()


def _verb(arguments: Sequence[str]) -> str:
    """Return the verb of a command, or an empty string."""
    return next((word for word in arguments if word in VERBS), "")


def main() -> None:
    """Run the command line of this process."""
    guard()
    _fill_standard_descriptors()
    arguments = sys.argv[1:]
    if answers(arguments):
        sys.exit(_in_own_process(arguments))
    if _verb(arguments) in PLAYING:
        one_thread()  # numpy starts its threads as it is imported, and workers are forked
    # Every verb needs it, and an import that Ctrl-C breaks off cannot be repeated.
    import_module(f"hartley.cli.{_verb(arguments) or 'list'}")
    # The help of a verb plays nothing; that of attack NAME imports the part.
    if _verb(arguments) in (*PLAYING, "measure") and not asks_for_help(arguments):
        sys.exit(_supervised(arguments))
    sys.exit(_in_own_process(arguments))


def _supervised(arguments: Sequence[str]) -> int:
    """Run a command that plays parts, or parses a file of results, in a supervised child."""
    from hartley.cli.second_verdict import second_verdict
    from hartley.cli.supervise import Unconfirmed, can_supervise, supervised

    def command() -> int:
        return _in_own_process(arguments)

    if not can_supervise():
        return command()
    if _verb(arguments) in PLAYING:
        # A first word of another verb, or --help, plays nothing.
        return supervised(command, second_verdict(arguments) if arguments[0] == "assess" else None)
    # Libraries that parse tables are not written in Python: a hostile file can end their process.
    words = (
        "nothing was measured: the process that reads the file ended, as with a damaged file or "
        "too little memory"
    )
    return supervised(command, unconfirmed=Unconfirmed(words, USAGE))


def _fill_standard_descriptors() -> None:
    """Have something under 0, 1 and 2, also where a shell has closed one (`>&-`).

    Else a pipe of the run gets that number, and is lost in a copy of this process that sets up its
    own standard streams.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _in_own_process(arguments: Sequence[str]) -> int:
    """Run one command in a process that ends with its exit code."""
    from hartley.engine.run.own_process import forbid_play

    # Where a shell has closed them (`>&-`), what is printed goes nowhere, and the code counts.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name or an error of somewhere else may hold what this terminal cannot show.
            stream.reconfigure(errors="replace")
    sys.stdout, sys.stderr = _Unbroken(sys.stdout), _Unbroken(sys.stderr)
    os._exit = _refuse_to_exit(os._exit)  # type: ignore[assignment]
    forbid_play()
    code = run(arguments)
    guard()  # also while Python ends
    return code


def _refuse_to_exit(leave: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
    """Return an ``os._exit`` that a part cannot end this process with, unjudged and with code 0.

    Child processes that were forked from this one still leave with it.
    """
    process = os.getpid()

    def exit_or_raise(code: int) -> NoReturn:
        if os.getpid() == process:
            raise SystemExit(code)
        leave(code)

    return exit_or_raise


class _Unbroken:
    """Standard output or error whose reader may go away, as in ``hartley list | head``.

    What is written after that is lost, but the command goes on and exits with its own code: a gate
    that is over its limit must not pass because nobody reads its reasons.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            self._stream.write(text)
        except BrokenPipeError:
            self._drop()
        except OSError as error:
            self._refuse(error)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, or drop it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> None:
        """End the command in one line: its verdict was not printed, so that it is not a pass."""
        self._drop()
        raise UsageError(f"the output cannot be written: {error.strerror or error}") from error

    def _drop(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def _error_lines(error: BaseException, arguments: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """One line for each mistake, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return (str(error) or "stopped",), STOPPED
    if isinstance(error, ModuleNotFoundError):
        from hartley.core.extras import missing

        error = missing(error) or error
    if isinstance(error, HartleyError):
        lines = error.lines if isinstance(error, Mistakes) else (str(error),)
        return lines, USAGE if isinstance(error, UsageError) else INCONCLUSIVE
    from cyclopts import CycloptsError

    if isinstance(error, CycloptsError):
        return (_plain(error, arguments),), USAGE
    if isinstance(error, SystemExit):
        # A part that is imported or built here stopped the process: nothing was judged.
        return (f"a part of a plugin ended the program: SystemExit({error.code!r})",), INCONCLUSIVE
    if isinstance(error, OSError) and (error.filename is not None or error.errno in FULL):
        # A name that is too long, a folder that is a file, a file that may not be read; or no
        # space for what was to be printed.
        place = "standard output" if error.filename is None else error.filename
        return (f"cannot use {place}: {error.strerror or error}",), USAGE
    import traceback

    # a bug of ours: it must not exit with 1, which would mean "over a limit"
    complain_at_length("".join(traceback.format_exception(error)))
    line = f"internal error, please report it: {type(error).__name__}: {error}"
    return (line,), INCONCLUSIVE


def _plain(error: CycloptsError, arguments: Sequence[str]) -> str:
    """One line from cyclopts' error, with what to do."""
    text = " ".join(str(error).split()).partition(" Available commands:")[0]
    text = text.replace("Unused Tokens:", "There is no place for the words")
    verb = _verb(arguments)
    inner = next((word for word in arguments if word in NESTED.get(verb, ())), "")
    page = " ".join(filter(None, ("hartley", verb, inner)))
    text = text.rstrip(".")
    if text.startswith("There is no place") and verb in NESTED:
        text += _misplaced(verb, inner, arguments)
    elif text.startswith("There is no place"):
        from hartley.cli.several import where_several

        text += where_several(text, arguments)
    return f"{text}{' See:' if text.endswith('?') else '; see:'} {page} --help"


def _misplaced(verb: str, inner: str, arguments: Sequence[str]) -> str:
    """Say that a command of a verb comes first, or which one was meant."""
    first = next(iter(arguments[arguments.index(verb) + 1 :]), "")
    if inner and first != inner:
        return f": {inner} comes first, then what it is about"
    return "" if inner else did_you_mean(first, NESTED[verb])


if __name__ == "__main__":
    main()
