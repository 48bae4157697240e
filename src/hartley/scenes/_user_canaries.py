"""Canaries that a user planted → tokens of their model, by the format of text canaries."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Data, Modality
from hartley.core.errors import UsageError
from hartley.data.canary_files import CanarySet
from hartley.games.memorization import text_canaries
from hartley.games.planted_canaries import PlantedCanaries
from hartley.kit.cache import digest
from hartley.kit.language.text import lengths, pad
from hartley.targets.tokenizer_folder import tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYMBOLS = 10
Words = Callable[[dict[str, Any]], str]
"""A row of a training file → the text that a model reads."""


def planted(drawn: CanarySet, codec: Codec, words: Words, longest: int) -> PlantedCanaries:
    """Return canaries as tokens.

    Args:
        drawn: the canaries.
        codec: of the model.
        words: writes a row of a training file as the text that the model was trained on.
        longest: tokens of a text at most.

    Raises:
        UsageError: the tokenizer does not split a secret into its digits, or a canary is longer.
    """
    canaries = _prefixes(drawn, codec, words)
    secrets = np.array([canary.secret for canary in drawn.canaries], dtype=np.int64)
    texts = [words(drawn.record(canary, canary.secret)) for canary in drawn.canaries]
    tokens = codec.encode(texts)
    composed = text_canaries.write(canaries, secrets)
    width = max(tokens.shape[1], composed.shape[1])
    if not np.array_equal(pad(tokens.tolist(), width), pad(composed.tolist(), width)):
        raise UsageError(_unsplit("it joins digits of some secrets"))
    if (size := int(lengths(tokens).max())) > longest:
        raise UsageError(
            f"--longest must be at least the {size} tokens of a canary, which the model must be "
            f"able to read, got {longest}"
        )
    sizes = np.array([len(zlib.compress(text.encode())) for text in texts])
    return PlantedCanaries(
        canaries,
        Data("canaries", Modality.LANGUAGE, tokens, facts={"zlib": sizes}),
        secrets,
        np.array([canary.planted for canary in drawn.canaries]),
        np.array([canary.repeats for canary in drawn.canaries], dtype=np.int64),
        digest(asdict(drawn)),
    )


def check_tokenizer(drawn: CanarySet, folder: Path) -> None:
    """Check that a tokenizer splits secrets into digits, before anybody trains on them.

    Raises:
        UsageError: it does not, or it cannot be read.
    """
    _prefixes(drawn, tokenizer(folder), _last_message)


def _last_message(record: dict[str, Any]) -> str:
    """Return the text of a row without its template, whose tokens end before the secret's."""
    return str(record["text"] if "text" in record else record["messages"][-1]["content"])


def _prefixes(drawn: CanarySet, codec: Codec, words: Words) -> Data:
    """Return the canaries without secrets, with their format in tokens.

    It is read from ten texts of each canary, whose secret is one digit again and again: they may
    differ at the digits alone.

    Raises:
        UsageError: a digit is not one token, or not the same one everywhere.
    """
    same = sum(10**place for place in range(drawn.digits))
    encoded = [
        codec.encode([words(drawn.record(canary, digit * same)) for canary in drawn.canaries])
        for digit in range(SYMBOLS)
    ]
    sizes = np.stack([lengths(rows) for rows in encoded])
    if (sizes != sizes[0]).any():
        raise UsageError(_unsplit("digits are of unlike numbers of tokens"))
    rows = np.stack(encoded)
    differs = (rows != rows[:1]).any(0)
    if (differs.sum(1) != drawn.digits).any():
        raise UsageError(_unsplit(f"{drawn.digits} digits change {_counts(differs)} tokens"))
    at = np.stack([np.flatnonzero(row) for row in differs])
    symbols = rows[:, 0, at[0, 0]]
    steps = np.unique(np.diff(at, axis=1)).tolist() or [1]
    here = np.take_along_axis(rows, at[None], 2)
    if len(steps) > 1 or (here != symbols[:, None, None]).any() or len({*symbols}) < SYMBOLS:
        raise UsageError(_unsplit("a digit is not the same token at every place"))
    first = rows[0]
    gaps = {tuple(row[k + 1 : k + steps[0]]) for row, places in zip(first, at, strict=True)
            for k in places[:-1].tolist()}  # fmt: skip
    if len(gaps) > 1:
        raise UsageError(_unsplit("what is between digits differs"))
    real = lengths(first)
    return Data(
        "canaries",
        Modality.LANGUAGE,
        pad([row[:start].tolist() for row, start in zip(first, at[:, 0], strict=True)]),
        role="prefixes",
        facts={
            "symbols": symbols,
            "length": drawn.digits,
            "gap": np.array(next(iter(gaps), ()), dtype=np.int64),
            "ending": pad(
                [r[e + 1 : n].tolist() for r, e, n in zip(first, at[:, -1], real, strict=True)]
            ),
        },
    )


def _counts(differs: NDArray[np.bool_]) -> str:
    return " or ".join(map(str, np.unique(differs.sum(1))[:3].tolist()))


def _unsplit(why: str) -> str:
    return (
        f"the tokenizer must write each digit of a canary as one token, got one where {why}: make "
        "canaries with --tokenizer FOLDER, which checks that, and --separator '' or ' '"
    )
