"""A user's own watermark: a marker and a detector that are Python functions or commands.

A function is ``FILE.py:NAME`` or ``MODULE:NAME``. A command is a line with places for files,
``mark {in} {out} --message {message} --key {key}`` and ``detect {in} --key {key}``; it is run
without a shell, and a detector prints what it reads.
"""

from __future__ import annotations

import inspect
import math
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.kit.marker import FALSE_ALARMS, Detection
from hartley.kit.user_code import user_code
from hartley.targets.python_object import is_object, load_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gives = Literal["bits", "marked", "p"]
"""What a detector returns: the message's bits, whether an item is marked, or a p-value."""

SUFFIX = {Modality.VISION: ".png", Modality.AUDIO: ".wav", Modality.LANGUAGE: ".txt"}
SECONDS = 120.0
"""Longest run of one command, or of one call of a function."""
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class UserTool:
    """A function or a command of the user's, called with an item, a message and a key.

    Attributes:
        flag: that names it, for messages.
        given: what the user wrote.
        modality: of the items.
        rate: samples a second of sounds.
        function: the function; None of a command.
        takes: which of ``message`` and ``key`` it takes.
    """

    flag: str
    given: str
    modality: Modality
    rate: int
    function: Callable[..., Any] | None
    takes: frozenset[str]

    @classmethod
    def of(cls, given: str, flag: str, modality: Modality, rate: int) -> UserTool:
        """Find a function, or check a command.

        Raises:
            UsageError: there is no such function, it takes something else than an item, a message
                and a key, or the command has no place for the item.
        """
        if not is_object(given):
            places = {*_PLACE.findall(given)}
            needed = {"in", "out"} if flag == "--marker" else {"in"}
            if not needed <= places or places - {"in", "out", "message", "key"}:
                form = " ".join(f"{{{name}}}" for name in ("in", "out") if name in needed)
                raise UsageError(
                    f"{flag} must be FILE.py:NAME, MODULE:NAME or a command with {form}, and "
                    f"{{message}} and {{key}} where it takes them, got {given!r}"
                )
            return cls(flag, given, modality, rate, None, frozenset(places & {"message", "key"}))
        function = load_object(given, flag)
        if not callable(function):
            raise UsageError(f"{flag} must name a function, got {type(function).__name__}")
        return cls(flag, given, modality, rate, function, frozenset(_names(function, flag)))

    def call(self, item: Any, message: NDArray[Any], key: int) -> Any:
        """Return what it makes of an item, as the user's code gives it.

        Raises:
            UsageError: it fails; the line names where.
        """
        if self.function is None:
            return self._run(item, message, key)
        values = {"message": np.array(message, dtype=np.int64), "key": key}
        arguments = {name: values[name] for name in self.takes}
        given, function = as_user_has_it(item, self.modality), self.function
        with user_code(f"{self.flag} {self.given}"):
            return self._in_time(lambda: function(given, **arguments))

    def _in_time(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns or raises, within ``SECONDS``.

        A thread that does not end cannot be stopped; as a daemon it does not keep the process.
        """
        answers: Queue[tuple[Any, BaseException | None]] = Queue()

        def run() -> None:
            try:
                answers.put((call(), None))
            except BaseException as error:
                answers.put((None, error))

        Thread(target=run, daemon=True).start()
        try:
            answer, error = answers.get(timeout=SECONDS)
        except Empty:
            raise UsageError(f"{self.flag} {self.given} took over {SECONDS:g} s") from None
        if error is not None:
            raise error
        return answer

    def _run(self, item: Any, message: NDArray[Any], key: int) -> Any:
        suffix = SUFFIX[self.modality]
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder) / f"in{suffix}", Path(folder) / f"out{suffix}"
            write_item(source, item, self.modality, self.rate)
            values = {
                "in": str(source),
                "out": str(result),
                "message": "".join(map(str, np.asarray(message).tolist())),
                "key": str(key),
            }
            words = [
                _PLACE.sub(lambda match: values[match[1]], word) for word in shlex.split(self.given)
            ]
            try:
                done = subprocess.run(
                    words, capture_output=True, timeout=SECONDS, check=False, text=True
                )
            except FileNotFoundError:
                raise UsageError(f"{self.flag}: there is no command {words[0]}") from None
            except subprocess.TimeoutExpired:
                raise UsageError(f"{self.flag}: {words[0]} took over {SECONDS:g} s") from None
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{self.flag}: {words[0]} failed: {error}") from None
            if done.returncode:
                reason = " ".join(done.stderr.split())[-160:] or "nothing on standard error"
                raise UsageError(f"{self.flag}: {words[0]} ended with {done.returncode}: {reason}")
            if "{out}" not in self.given:
                return done.stdout.strip()
            if not result.is_file():
                raise UsageError(f"{self.flag}: {words[0]} wrote no {{out}}")
            return read_item(result, self.modality)


def marked_item(tool: UserTool, item: Any, message: NDArray[Any], key: int) -> Any:
    """Return the user's marked item as a file holds it.

    Raises:
        UsageError: it is not an item of the same shape.
    """
    return as_item(tool.call(item, message, key), item, tool)


def read_bits(tool: UserTool, item: Any, key: int, m: int) -> NDArray[np.float64]:
    """Return the soft bits (m,) that a user's detector reads; NaN where it returns None.

    Whole numbers, booleans and a text are bits 0 and 1; other numbers are soft, positive for 1.

    Raises:
        UsageError: they are not m numbers.
    """
    answer = tool.call(item, np.zeros(0, np.int64), key)
    if answer is None or (isinstance(answer, str) and not answer):
        return np.full(m, np.nan)
    bits = [int(c) for c in answer if c in "01"] if isinstance(answer, str) else answer
    try:
        values = np.asarray(bits)
        numbers = values.astype(np.float64).ravel()
    except (TypeError, ValueError):
        numbers = np.zeros(0)
        values = numbers
    if len(numbers) != m:
        raise UsageError(
            f"{tool.flag} {tool.given} must return {m} bits, as --message-bits says, got "
            f"{_in_short(answer)}"
        )
    hard = values.dtype.kind in "biu" or np.isin(numbers, (0.0, 1.0)).all()
    return 2.0 * numbers - 1.0 if hard else numbers


def read_presence(tool: UserTool, item: Any, key: int, gives: Gives) -> Detection:
    """Return what a user's detector says about an item; None and "undecided" are undecided.

    A detector that says marked or not is taken at its word, at one false alarm in 1,000: the false
    alarms that are counted on unmarked items say whether it keeps it.

    Raises:
        UsageError: it says something else.
    """
    answer = tool.call(item, np.zeros(0, np.int64), key)
    if answer is None or (isinstance(answer, str) and answer.lower() in ("", "undecided", "none")):
        return Detection(0.0, 0.0, 0, "the detector does not say")
    if gives == "p":
        try:
            p = float(answer)
        except (TypeError, ValueError):
            p = math.nan
        if not 0.0 <= p <= 1.0:
            raise UsageError(
                f"{tool.flag} {tool.given} must return a p-value in 0..1, got {_in_short(answer)}"
            )
        return Detection(1.0 - p, math.log2(max(p, 2.0**-1000)))
    words = {"1": 1, "0": 0, "true": 1, "false": 0, "marked": 1, "unmarked": 0, "yes": 1, "no": 0}
    flag = words.get(str(answer).strip().lower())
    if flag is None:
        raise UsageError(
            f"{tool.flag} {tool.given} must return whether an item is marked (True or False), got "
            f"{_in_short(answer)}; say --detector-gives p for p-values, or --message-bits"
        )
    least = math.log2(FALSE_ALARMS)
    return Detection(float(flag), least if flag else 0.0, least_log2_p=least)


def as_user_has_it(item: Any, modality: Modality) -> Any:
    """Return an item as user code expects it: uint8 (h, w, 3), float32 (samples,), or a text."""
    if modality is Modality.VISION:
        levels = np.round(np.clip(item, 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(levels.transpose(1, 2, 0))
    return str(item) if modality is Modality.LANGUAGE else np.array(item, dtype=np.float32)


def as_item(value: Any, like: Any, tool: UserTool) -> Any:
    """Return what user code gave as an item of Hartley's.

    Raises:
        UsageError: it is not one, or of another shape than the item that was given.
    """
    who = f"{tool.flag} {tool.given}"
    if tool.modality is Modality.LANGUAGE:
        if not isinstance(value, str):
            raise UsageError(f"{who} must return a text, got {type(value).__name__}")
        return value
    if tool.function is None:
        array = np.asarray(value)
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise UsageError(f"{who} must return an array of numbers, got {_in_short(value)}")
        if tool.modality is Modality.VISION and array.ndim == 3 and array.shape[-1] in (3, 4):
            array = array[..., :3].transpose(2, 0, 1)
        if tool.modality is Modality.VISION and array.dtype == np.uint8:
            array = array.astype(np.float32) / np.float32(255)
    if array.shape != np.shape(like):
        # The user's pictures have their colours last.
        due, got = (
            (*shape[1:], shape[0])
            if tool.modality is Modality.VISION and len(shape) == 3
            else shape
            for shape in (np.shape(like), array.shape)
        )
        raise UsageError(f"{who} must return an item of shape {due}, got {got}")
    low = 0.0 if tool.modality is Modality.VISION else -1.0
    if not np.isfinite(array).all() or array.min() < low - 1e-6 or array.max() > 1 + 1e-6:
        raise UsageError(
            f"{who} must return numbers in {low:g}..1 (pictures may be uint8), got "
            f"{array.min():g}..{array.max():g}"
        )
    depth = 255.0 if tool.modality is Modality.VISION else 32767.0
    return (np.round(np.clip(array, low, 1) * depth) / depth).astype(np.float32)


def write_item(path: Path, item: Any, modality: Modality, rate: int) -> None:
    """Write an item as a file that a command reads: .png, .wav of 16 bits, or .txt."""
    if modality is Modality.LANGUAGE:
        path.write_text(item, encoding="utf-8")
    elif modality is Modality.VISION:
        from PIL import Image

        Image.fromarray(as_user_has_it(item, modality)).save(path)
    else:
        from scipy.io import wavfile

        wavfile.write(path, rate, np.round(np.asarray(item) * 32767).astype(np.int16))


def read_item(path: Path, modality: Modality) -> Any:
    """Return the item of a file that a command wrote.

    Raises:
        UsageError: it is not one.
    """
    from hartley.data.user_items import read_picture, read_sound, read_text

    if modality is Modality.VISION:
        return read_picture(path)
    return read_text(path) if modality is Modality.LANGUAGE else read_sound(path)[0]


def _names(function: Callable[..., Any], flag: str) -> set[str]:
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return set()
    others = parameters[1:]
    odd = [
        p.name
        for p in others
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in ("message", "key")
    ]
    if not parameters or odd:
        raise UsageError(
            f"{flag} must be a function of an item, and of message and key where it takes them, "
            f"got one of {', '.join(p.name for p in parameters) or 'nothing'}"
        )
    return {p.name for p in others} & {"message", "key"}


def _in_short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    text = f"an array of shape {shape}" if shape else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
