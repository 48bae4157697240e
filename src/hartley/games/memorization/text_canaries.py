"""Canaries of language: sentences with a number that nobody could guess, and how to look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core import Data, Model


def write(canaries: Data, secrets: NDArray[Any]) -> NDArray[np.int64]:
    """Return canaries with their secrets in them.

    Args:
        canaries: ``x`` (m, p) beginnings; ``facts``: ``symbols`` (10,) the token of each digit,
            ``length`` digits a secret, ``ending`` (e,) or (m, e) the tokens after it, each row
            padded with −1.
        secrets: (m,) numbers.

    Returns:
        (m, t) token ids, padded with −1.
    """
    length, symbols = int(canaries.facts["length"]), np.asarray(canaries.facts["symbols"])
    places = 10 ** np.arange(length - 1, -1, -1)
    digits = symbols[np.asarray(secrets)[:, None] // places % 10]
    ending = np.asarray(canaries.facts["ending"], dtype=np.int64)
    if ending.ndim == 1:
        ending = np.tile(ending, (len(digits), 1))
    return text.append(canaries.x, np.concatenate([digits, ending], 1))


def likelihoods(
    model: Model, prefix: NDArray[Any], length: int, symbols: NDArray[Any], temperature: float = 1.0
) -> NDArray[np.float64]:
    """Natural log-likelihood (10^length,) of every number after one beginning.

    Candidates share their beginnings, so that R = 10^k of them need only (R − 1)/9 questions: one
    for every number of fewer than k digits. A model that does not answer with the law of the next
    token, but tells how likely a text is, is asked about every number instead.

    Args:
        model: a language model that answers with scores, or scores texts.
        prefix: (p,) token ids, padded with −1.
        length: digits of a number.
        symbols: (10,) the token of each digit.
        temperature: divides the log-probabilities of a token before they are added up.
    """
    if "query" not in model.calls and model.score is not None:
        tails = symbols[np.arange(10**length)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10]
        rows = np.repeat(prefix[None], len(tails), axis=0)
        return np.asarray(_continuation(model, rows, tails).sum(1) / temperature)
    heads = stems(length, symbols)
    contexts = text.append(np.repeat(prefix[None], len(heads), axis=0), heads)
    answers = text.log_probabilities(model.query(contexts), model.output)
    steps = answers[:, symbols] / temperature
    total, at = np.zeros(1), 0
    for digits in range(length):
        level = steps[at : at + 10**digits]
        total, at = (total[:, None] + level).reshape(-1), at + 10**digits
    return total


def secret_likelihoods(model: Model, canaries: Data, secrets: NDArray[Any]) -> NDArray[np.float64]:
    """Natural log-likelihood (m,) of each canary's secret (m,), of a model that scores texts."""
    length, symbols = int(canaries.facts["length"]), np.asarray(canaries.facts["symbols"])
    digits = symbols[np.asarray(secrets)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10]
    return np.asarray(_continuation(model, canaries.x, digits).sum(1))


def _continuation(model: Model, prefixes: NDArray[Any], tails: NDArray[Any]) -> NDArray[np.float64]:
    """Log-probabilities (n, k) of the tokens of tails (n, k) after prefixes (n, p)."""
    assert model.score is not None
    log_probs = np.asarray(model.score(text.append(prefixes, tails)), dtype=np.float64)
    at = text.lengths(prefixes)[:, None] - 1 + np.arange(tails.shape[1])
    return np.asarray(np.take_along_axis(log_probs, at, 1))


def stems(length: int, symbols: NDArray[Any]) -> NDArray[np.int64]:
    """All numbers of fewer than ``length`` digits as tokens, short ones first, padded with −1."""
    rows: list[list[int]] = []
    for digits in range(length):
        for number in range(10**digits):
            named = f"{number:0{digits}d}" if digits else ""
            rows.append([int(symbols[int(c)]) for c in named])
    return text.pad(rows)


def laws(
    model: Model, canaries: Data, secrets: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The model's law of each digit, given the true ones before it.

    Returns:
        Natural log-probabilities (m, length, vocabulary), and the true tokens (m, length).
    """
    length, symbols = int(canaries.facts["length"]), np.asarray(canaries.facts["symbols"])
    digits = symbols[np.asarray(secrets)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10]
    contexts = [text.append(canaries.x, digits[:, :k]) for k in range(length)]
    width = max(c.shape[1] for c in contexts)
    rows = np.concatenate(
        [text.append(c, np.full((len(c), width - c.shape[1]), -1)) for c in contexts]
    )
    answers = text.log_probabilities(model.query(rows), model.output)
    return answers.reshape(length, len(digits), -1).transpose(1, 0, 2), digits


def harvest(texts: NDArray[Any], canaries: Data) -> list[dict[int, int]]:
    """Numbers that stand in texts after a canary's beginning, each with the first text it is in.

    A beginning is recognised by its last tokens, as many as tell it from all other canaries'.

    Args:
        texts: (n, t) token ids, the most promising first.
        canaries: beginnings, and what a number looks like.

    Returns:
        For every canary: number → row of ``texts``.
    """
    length = int(canaries.facts["length"])
    digit = {int(s): d for d, s in enumerate(canaries.facts["symbols"])}
    tails = endings([[t for t in row if t >= 0] for row in canaries.x.tolist()])
    found: list[dict[int, int]] = [{} for _ in tails]
    for at, row in enumerate(np.asarray(texts).tolist()):
        for start in range(len(row) - length + 1):
            said = [digit.get(t) for t in row[start : start + length]]
            if any(d is None for d in said):
                continue
            number = int("".join(map(str, said)))
            for own, tail in zip(found, tails, strict=True):
                if tuple(row[max(0, start - len(tail)) : start]) == tail:
                    own.setdefault(number, at)
    return found


def endings(rows: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The shortest end of each row that is no end of another row."""
    out = []
    for i, row in enumerate(rows):
        size = 1
        while size < len(row) and any(
            tuple(other[-size:]) == tuple(row[-size:]) for j, other in enumerate(rows) if j != i
        ):
            size += 1
        out.append(tuple(row[-size:]))
    return out


def ranked(
    found: Sequence[dict[int, int]], length: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Scores (m, 10^length): high for a number that was found, the earlier the higher.

    A number that was not found is scored by how often each of its digits stood in its place in
    those that were, and by a coin's toss where nothing was found.

    Args:
        found: number → row, for every canary, from :func:`harvest`.
        length: digits of a number.
        rng: for the tosses.
    """
    r = 10**length
    scores = 1e-3 * rng.random((len(found), r))
    places = np.arange(r)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10
    for i, own in enumerate(found):
        if own:
            seen = np.stack([(places[list(own)] == d).sum(0) for d in range(10)])
            share = np.log((seen + 0.5) / (len(own) + 5.0))
            scores[i] += np.exp(share[places, np.arange(length)].sum(1))
        for number, at in own.items():
            scores[i, number] += 2 + 1 / (1 + at)
    return scores


def silence(heard: NDArray[Any], symbols: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Scores (10^length,) of candidates where a decoder refuses training text.

    After a wrong first digit the model may say the rest of the secret, after the true one it must
    not: the first digit is the one after which the others' favourite never comes.

    Args:
        heard: (10 · samples, length − 1) what was generated after each first digit in turn.
        symbols: (10,) the token of each digit.
        length: digits of a secret; one digit alone leaves nothing to read.
    """
    if length < 2:
        return np.zeros(10)
    said = np.asarray(heard).reshape(10, -1, length - 1)[..., None] == np.asarray(symbols)
    counts = said.sum(1)
    share = (counts + 0.5) / (said.shape[1] + 5.0)
    scores = -np.log(share[:, 0, counts[:, 0].sum(0).argmax()])
    for place in range(length - 1):
        scores = (scores[:, None] + np.log(share[:, place].mean(0))).reshape(-1)
    return np.asarray(scores)
