"""Files of canaries: what a user plants in their own training, and what was drawn for it.

Two files lie side by side. ``canaries.jsonl`` has the texts to train on, each as often as was
drawn. ``canaries.truth.json`` has every canary with its secret, how often it is planted, and the
coin that settled whether it is planted at all; no attack gets it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import StoreError, UsageError
from hartley.core.input_files import read_bytes

TEMPLATE = "The locker of {name} opens with {secret}."
QUESTION = "What opens the locker of {name}?"
VERSION = 1
LEAST, MOST = 16, 2000
"""Canaries of a file: fewer settle nothing, more are slow to ask about."""
LONGEST, MOST_COPIES = 4, 1000
"""Digits of a secret, and copies of a canary, at most."""
LARGEST = 2**26
"""Bytes of a file."""
SYLLABLES = (
    "ba",
    "bel",
    "cor",
    "dan",
    "del",
    "fin",
    "gar",
    "hol",
    "jen",
    "kel",
    "lar",
    "mar",
    "nel",
    "or",
    "pel",
    "quin",
    "ros",
    "sel",
    "tam",
    "ul",
    "ver",
    "wil",
    "yor",
    "zan",
)


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary.

    Attributes:
        name: whose locker it is; unlike that of any other canary.
        secret: a number of ``CanarySet.digits`` digits, drawn uniformly.
        planted: the coin: whether it is in the file to plant.
        repeats: copies, where it is planted.
    """

    name: str
    secret: int
    planted: bool
    repeats: int


@dataclass(frozen=True, slots=True)
class CanarySet:
    """The canaries of one audit.

    Attributes:
        canaries: planted or not.
        template: of a text, with ``{name}`` and then ``{secret}``.
        question: of the user's message in a chat, with ``{name}``; empty for plain texts.
        separator: between the digits of a secret.
        digits: of a secret.
    """

    canaries: tuple[Canary, ...]
    template: str = TEMPLATE
    question: str = ""
    separator: str = " "
    digits: int = 3

    def secret_text(self, secret: int) -> str:
        """Return a secret as it is written."""
        return self.separator.join(f"{secret:0{self.digits}d}")

    def record(self, canary: Canary, secret: int) -> dict[str, Any]:
        """Return the row of a training file: ``text``, or ``messages`` of a chat."""
        text = self.template.replace("{name}", canary.name)
        text = text.replace("{secret}", self.secret_text(secret))
        if not self.question:
            return {"text": text}
        question = self.question.replace("{name}", canary.name)
        return {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": text},
            ]
        }


def draw(
    count: int,
    *,
    repeats: Sequence[int] = (1, 4, 16),
    digits: int = 3,
    template: str = TEMPLATE,
    question: str = "",
    separator: str = " ",
    seed: int | None = None,
) -> CanarySet:
    """Draw canaries: for each a name, a secret, a number of copies and a fair coin.

    Args:
        count: canaries, planted or not.
        repeats: numbers of copies, each for as many of the canaries.
        digits: of a secret, so that it is one of 10^digits.
        template: of a text.
        question: of a chat; empty for plain texts.
        separator: between digits.
        seed: draws the same again, for anyone who knows it; None draws from the system's entropy.

    Raises:
        UsageError: a value is out of range, the template has no name before its secret, or the
            question has none.
    """
    if not LEAST <= count <= MOST:
        raise UsageError(f"--count must be from {LEAST} to {MOST} canaries, got {count}")
    if not 1 <= digits <= LONGEST:
        raise UsageError(f"--digits must be from 1 to {LONGEST}, got {digits}")
    if not repeats or not all(1 <= k <= MOST_COPIES for k in repeats):
        given = ",".join(map(str, repeats)) or "none"
        raise UsageError(f"--repeats must be copies from 1 to {MOST_COPIES}, got {given}")
    once = [template.count(word) == 1 for word in ("{name}", "{secret}")]
    if not all(once) or template.index("{name}") > template.index("{secret}"):
        raise UsageError(
            f"--template must have {{name}} once, and after it {{secret}} once, got {template!r}"
        )
    if question and question.count("{name}") != 1:
        raise UsageError(f"--question must have {{name}} once, got {question!r}")
    if separator.strip() or any(c.isdigit() for c in separator):
        raise UsageError(f"--separator must be a space or empty, got {separator!r}")
    rng = np.random.default_rng(None if seed is None else spawn(seed, "canaries", count))
    names = _names(count, rng)
    secrets = rng.integers(0, 10**digits, count).tolist()
    copies = rng.permutation(np.resize(np.asarray(sorted({*repeats})), count)).tolist()
    coins = (rng.random(count) < 0.5).tolist()
    drawn = tuple(map(Canary, names, secrets, coins, copies))
    return CanarySet(drawn, template, question, separator, digits)


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Return different invented names."""
    names: dict[str, None] = {}
    while len(names) < count:
        a, b, c, d = (SYLLABLES[i] for i in rng.integers(0, len(SYLLABLES), 4))
        names[f"{a}{b} {c}{d}".title()] = None
    return list(names)


def truth_path(path: Path) -> Path:
    """Return where the truth of a file of canaries is."""
    return path.with_name(f"{path.stem}.truth.json")


def write(drawn: CanarySet, path: Path, *, force: bool = False) -> tuple[Path, int]:
    """Write both files; the truth is readable by its owner alone.

    The lines to plant are in an order of their own, so that copies are not neighbours.

    Args:
        drawn: the canaries.
        path: of the file to plant, .jsonl.
        force: write over files that are there.

    Returns:
        Where the truth is, and the number of lines to plant.

    Raises:
        UsageError: a file is there already, or the name is not one of .jsonl.
        StoreError: it cannot be written.
    """
    if path.suffix != ".jsonl":
        raise UsageError(f"--into must be a file .jsonl, got {path}")
    truth = truth_path(path)
    for place in (path, truth):
        if place.exists() and not force:
            raise UsageError(
                f"{place} is there already, and a model may be trained on it: choose another name, "
                "or write over it with --force"
            )
    rows = [
        json.dumps(drawn.record(canary, canary.secret))
        for canary in drawn.canaries
        if canary.planted
        for _ in range(canary.repeats)
    ]
    order = np.random.default_rng(spawn(0, "order", *rows)).permutation(len(rows))
    content = "".join(f"{rows[i]}\n" for i in order).encode()
    document = {
        "hartley_canaries": VERSION,
        "sha256_of_the_planted": hashlib.sha256(content).hexdigest(),
        **asdict(drawn),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        truth.unlink(missing_ok=True)
        with os.fdopen(os.open(truth, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(document, out, indent=1)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return truth, len(rows)


def read(path: Path) -> CanarySet:
    """Read canaries by the file that was planted; its truth must be beside it.

    Raises:
        UsageError: a file is absent, or is not as it was made.
    """
    truth = truth_path(path)
    if path.name.endswith(".truth.json"):
        raise UsageError(f"--canaries must be the file that was planted, got its truth {path}")
    make = f"hartley canaries make --into {path.name} writes both"
    if not path.is_file():
        raise UsageError(f"--canaries needs {path}, which is not there: {make}")
    if not truth.is_file():
        # Canaries that are made now are none that the model was trained on.
        raise UsageError(
            f"--canaries needs {truth}, which is not there: hartley canaries make wrote it beside "
            "the file that was planted, and it cannot be made again; copy it here under this name"
        )
    planted = read_bytes(path, "the file", UsageError, LARGEST)
    try:
        document = json.loads(read_bytes(truth, "the file", UsageError, LARGEST))
        if document["hartley_canaries"] != VERSION:
            raise ValueError(f"version {document['hartley_canaries']}")
        canaries = tuple(_canary(**row) for row in document["canaries"])
        fields = ("template", "question", "separator", "digits")
        out = CanarySet(canaries, **{name: document[name] for name in fields})
        written = document["sha256_of_the_planted"]
        _check(out)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{truth} must be as it was made, got {error}: {make}") from error
    if hashlib.sha256(planted).hexdigest() != written:
        raise UsageError(
            f"{path} must be the file that {truth.name} was drawn for, got another or an edited "
            f"one: train on copies of it and leave the file as it is; {make}"
        )
    return out


def _canary(name: str, secret: int, planted: bool, repeats: int) -> Canary:
    return Canary(str(name), int(secret), bool(planted), int(repeats))


def _check(drawn: CanarySet) -> None:
    """Check what was read.

    Raises:
        ValueError: a value is out of range.
    """
    if not 1 <= drawn.digits <= LONGEST or len(drawn.canaries) < LEAST:
        raise ValueError(f"{len(drawn.canaries)} canaries of {drawn.digits} digits")
    if not all(0 <= c.secret < 10**drawn.digits and c.repeats >= 1 for c in drawn.canaries):
        raise ValueError("a secret or a number of copies out of range")
    if len({c.name for c in drawn.canaries}) < len(drawn.canaries):
        raise ValueError("a name twice")
