"""What the language scenes share: canaries (invented people and their numbers), and utility."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Model, Scene
from hartley.core.errors import UsageError
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Scenes declare at most 64 secrets: these are the names that there are.
FIRST = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal")
LAST = ("Lark", "Finch", "Heron", "Wren", "Swift", "Crane", "Teal", "Robin")


def canaries(words: text.Vocabulary, count: int, digits: int) -> Data:
    """Return ``count`` beginnings to which a game adds ``digits`` digits.

    Args:
        words: the scene's vocabulary; a digit must be one token.
        count: at most 64.
        digits: of the secret.

    Returns:
        Data with x (count, p) token ids padded with −1; facts as ``kit.memorization.spoken.write``
        reads them: ``symbols`` (10,), ``length``, ``ending``.

    Raises:
        UsageError: digits are not single tokens of the vocabulary.
    """
    said = [(f"{first} {last} keeps the number ", ".") for first, last in _names(count)]
    return _written("canaries", words, said, digits)


def contacts(words: text.Vocabulary, count: int, digits: int) -> Data:
    """Return ``count`` contact records with a gap for the number: a name and an address around it.

    As :func:`canaries`, but what follows the gap tells of the person as well: ``ending`` is
    (count, e), padded with −1 (personal data of arXiv:2302.00539, here invented).
    """
    said = [
        (f"{first} {last}, {first.lower()}@{last.lower()}.example, phone ", f", {last} House.")
        for first, last in _names(count)
    ]
    return _written("contacts", words, said, digits)


def _names(count: int) -> list[tuple[str, str]]:
    # Neighbours in the list share neither name, so that few canaries are as unlike as can be.
    return [(FIRST[(i + i // len(LAST)) % len(FIRST)], LAST[i % len(LAST)]) for i in range(count)]


def _written(name: str, words: text.Vocabulary, said: list[tuple[str, str]], digits: int) -> Data:
    prefix = [words.encode(before) for before, _ in said]
    endings = [words.encode(after) for _, after in said]
    symbols = [words.encode(str(d)) for d in range(10)]
    together = words.encode(f"{said[0][0]}0123456789{said[0][1]}")
    if together != prefix[0] + [s[0] for s in symbols] + endings[0]:
        raise UsageError("this vocabulary does not keep every digit as a token of its own")
    alike = all(ending == endings[0] for ending in endings)
    return Data(
        name,
        Modality.LANGUAGE,
        text.pad(prefix),
        role="prefixes",
        facts={
            "symbols": np.array([s[0] for s in symbols]),
            "length": digits,
            "ending": np.array(endings[0]) if alike else text.pad(endings),
        },
    )


RUN = 8
"""Tokens in a row that two passages may not share."""


def distinct(passages: NDArray[Any]) -> NDArray[Any]:
    """Return passages (n, t) less those that repeat a run of tokens from one before them.

    A non-member that quotes a member would be half a member (arXiv:2402.07841).
    """
    seen: set[bytes] = set()
    kept = []
    for i, row in enumerate(np.ascontiguousarray(passages)):
        real = row[row >= 0]
        runs = {real[at : at + RUN].tobytes() for at in range(max(1, len(real) - RUN + 1))}
        if not runs & seen:
            kept.append(i)
        seen |= runs
    return np.asarray(passages[kept])


def together(train: Data, holdout: Data, words: text.Vocabulary) -> Data:
    """Return the auditor's population for membership: the records that a coin dealt, as one.

    ``facts["zlib"]`` holds how many bytes zlib leaves of each text (arXiv:2012.07805).
    """
    rows = np.concatenate([train.x, holdout.x])
    bytes_left = [len(zlib.compress(words.decode(row).encode())) for row in rows.tolist()]
    return Data("pool", Modality.LANGUAGE, rows, facts={"zlib": np.array(bytes_left)})


def utility(scene: Scene) -> dict[str, Figure]:
    """Mean log-probability of a token of the test records, in nats: larger is better."""
    assert scene.model is not None and scene.model.score is not None
    rows = scene.extra["test"].x
    told = np.asarray(scene.model.score(rows))
    return {"nats_per_token": mean_figure(told.sum(1), (rows[:, 1:] >= 0).sum(1))}


def nats(model: Model, data: Data) -> float:
    """Mean natural log-probability that a model gives to the tokens of records."""
    assert model.score is not None
    return float(np.asarray(model.score(data.x)).sum() / (data.x[:, 1:] >= 0).sum())
