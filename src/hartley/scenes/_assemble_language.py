"""Parts of every language scene: canaries (invented people and their numbers), and utility."""

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

FIRST = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal")
LAST = ("Lark", "Finch", "Heron", "Wren", "Swift", "Crane", "Teal", "Robin")
MOST_NAMES = len(FIRST) * len(LAST)
"""The most secrets that a scene can declare: each is of another name."""


def canaries(words: text.Vocabulary, count: int, digits: int) -> Data:
    """Return ``count`` prefixes of canaries, to which a game appends secret digits.

    Args:
        words: the scene's vocabulary; a digit must be one token.
        count: at most 64.
        digits: number of digits of a secret.

    Returns:
        Data with x (count, p), token ids padded with −1. Its facts are those that
        ``games.memorization.text_canaries.write`` reads: ``symbols`` (10,), ``length``, ``ending``.

    Raises:
        UsageError: digits are not single tokens of the vocabulary.
    """
    frames = [(f"{first} {last} keeps the number ", ".") for first, last in _names(count)]
    return _encoded("canaries", words, frames, digits)


def contacts(words: text.Vocabulary, count: int, digits: int) -> Data:
    """Return ``count`` contact records with a gap for the number, between a name and an address.

    They differ from :func:`canaries` in that the text after the gap also depends on the person:
    ``ending`` is (count, e), padded with −1. The people are invented; arXiv:2302.00539 uses real
    personal data.
    """
    frames = [
        (f"{first} {last}, {first.lower()}@{last.lower()}.example, phone ", f", {last} House.")
        for first, last in _names(count)
    ]
    return _encoded("contacts", words, frames, digits)


def _names(count: int) -> list[tuple[str, str]]:
    # Neighbours in the list share neither name, so that a few canaries are as unlike as possible.
    return [(FIRST[(i + i // len(LAST)) % len(FIRST)], LAST[i % len(LAST)]) for i in range(count)]


def _encoded(name: str, words: text.Vocabulary, frames: list[tuple[str, str]], digits: int) -> Data:
    prefix = [words.encode(before) for before, _ in frames]
    endings = [words.encode(after) for _, after in frames]
    symbols = [words.encode(str(d)) for d in range(10)]
    whole_text = words.encode(f"{frames[0][0]}0123456789{frames[0][1]}")
    if whole_text != prefix[0] + [s[0] for s in symbols] + endings[0]:
        raise UsageError("every digit must be a token of its own in the vocabulary")
    same_ending = all(ending == endings[0] for ending in endings)
    return Data(
        name,
        Modality.LANGUAGE,
        text.pad(prefix),
        role="prefixes",
        facts={
            "symbols": np.array([s[0] for s in symbols]),
            "length": digits,
            "ending": np.array(endings[0]) if same_ending else text.pad(endings),
        },
    )


RUN = 8
"""Number of successive tokens that two passages may not share."""


def distinct(passages: NDArray[Any]) -> NDArray[Any]:
    """Return passages (n, t) without those that repeat a run of tokens of an earlier passage.

    A non-member that quotes a member would be partly a member (arXiv:2402.07841).
    """
    earlier_runs: set[bytes] = set()
    rows = []
    for i, row in enumerate(np.ascontiguousarray(passages)):
        real = row[row >= 0]
        runs = {real[at : at + RUN].tobytes() for at in range(max(1, len(real) - RUN + 1))}
        if not runs & earlier_runs:
            rows.append(i)
        earlier_runs |= runs
    return np.asarray(passages[rows])


def together(train: Data, holdout: Data, words: text.Vocabulary) -> Data:
    """Return the population of the membership game: members and non-members as one data set.

    ``facts["zlib"]`` is the number of bytes of each text after zlib compression
    (arXiv:2012.07805).
    """
    rows = np.concatenate([train.x, holdout.x])
    bytes_left = [len(zlib.compress(words.decode(row).encode())) for row in rows.tolist()]
    return Data("pool", Modality.LANGUAGE, rows, facts={"zlib": np.array(bytes_left)})


def utility(scene: Scene) -> dict[str, Figure]:
    """Return the mean log-probability of a token of the test records, in nats: larger is better."""
    assert scene.model is not None and scene.model.score is not None
    rows = scene.extra["test"].x
    log_probs = np.asarray(scene.model.score(rows))
    return {"nats_per_token": mean_figure(log_probs.sum(1), (rows[:, 1:] >= 0).sum(1))}


def nats(model: Model, data: Data) -> float:
    """Return the mean log-probability, in nats, that a model gives to a token of the records."""
    assert model.score is not None
    return float(np.asarray(model.score(data.x)).sum() / (data.x[:, 1:] >= 0).sum())
