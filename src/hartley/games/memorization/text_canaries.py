"""Text canaries: sentences with a secret number, and functions to search for the number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.answer_units import log_probabilities
from hartley.kit.language import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core import Data, Model


def write(canaries: Data, secrets: NDArray[Any]) -> NDArray[np.int64]:
    """Return canaries with their secrets.

    Args:
        canaries: ``x`` (m, p) are prefixes; of its facts, ``symbols`` (10,) are the tokens of the
            digits, ``length`` is the number of digits of a secret, ``gap`` (g,) are the tokens
            between two digits, if there are any, and ``ending`` (e,) or (m, e) are those after the
            secret, padded with −1.
        secrets: (m,) numbers.

    Returns:
        (m, t) token ids, padded with −1.
    """
    digits = secret_tokens(canaries, secrets)
    ending = np.asarray(canaries.facts["ending"], dtype=np.int64)
    if ending.ndim == 1:
        ending = np.tile(ending, (len(digits), 1))
    return text.append(canaries.x, np.concatenate([digits, ending], 1))


def gap_of(canaries: Data) -> NDArray[np.int64]:
    """Return the tokens (g,) between two digits of a secret; most tokenizers write none."""
    return np.asarray(canaries.facts.get("gap", ()), dtype=np.int64)


def secret_tokens(canaries: Data, secrets: NDArray[Any]) -> NDArray[np.int64]:
    """Return secrets (m,) as tokens (m, length + gaps)."""
    length, symbols = int(canaries.facts["length"]), np.asarray(canaries.facts["symbols"])
    digits = symbols[np.asarray(secrets)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10]
    return spread(digits, gap_of(canaries))


def spread(digits: NDArray[Any], gap: NDArray[Any]) -> NDArray[np.int64]:
    """Return digits (n, k) with the tokens ``gap`` (g,) between two of them."""
    if not len(gap) or not digits.shape[1]:
        return np.asarray(digits, dtype=np.int64)
    out = np.empty((*digits.shape, 1 + len(gap)), dtype=np.int64)
    out[..., 0], out[..., 1:] = digits, gap
    return out.reshape(len(digits), -1)[:, : -len(gap)]


def generated_length(canaries: Data) -> int:
    """Return how many tokens a model must generate after a prefix to write a whole secret."""
    length, gap = int(canaries.facts["length"]), len(gap_of(canaries))
    # One gap more: a tokenizer may write it before the first digit of a text of its own.
    return length + gap * length


def without_gaps(generated: NDArray[Any], canaries: Data) -> NDArray[np.int64]:
    """Return the first tokens (n, length) of generated rows beside those between digits."""
    length, gap = int(canaries.facts["length"]), gap_of(canaries)
    if not len(gap):
        return np.asarray(generated, dtype=np.int64)
    rows = [[t for t in row if t >= 0 and t not in gap] for row in np.asarray(generated).tolist()]
    return text.pad([row[:length] for row in rows], length)


def likelihoods(
    model: Model,
    prefix: NDArray[Any],
    length: int,
    symbols: NDArray[Any],
    temperature: float = 1.0,
    *,
    gap: NDArray[Any] | tuple[int, ...] = (),
) -> NDArray[np.float64]:
    """Return the natural log-likelihood (10^length,) of every number after one prefix.

    Candidates share their first digits, so that R = 10^k of them need only (R − 1)/9 queries: one
    for every number of fewer than k digits. A model without next-token answers that scores texts is
    queried about every number instead.

    Args:
        model: a language model that answers with scores, or scores texts.
        prefix: (p,) token ids, padded with −1.
        length: digits of a number.
        symbols: (10,) the token of each digit.
        temperature: divides the log-probabilities of tokens before they are summed.
        gap: (g,) tokens between two digits.
    """
    between = np.asarray(gap, dtype=np.int64)
    if "query" not in model.calls and model.score is not None:
        tails = symbols[np.arange(10**length)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10]
        tails = spread(tails, between)
        rows = np.repeat(prefix[None], len(tails), axis=0)
        return np.asarray(_continuation(model, rows, tails).sum(1) / temperature)
    heads = stems(length, symbols, between)
    contexts = text.append(np.repeat(prefix[None], len(heads), axis=0), heads)
    answers = log_probabilities(model.query(contexts), model.output)
    steps = answers[:, symbols] / temperature
    total, at = np.zeros(1), 0
    for digits in range(length):
        level = steps[at : at + 10**digits]
        total, at = (total[:, None] + level).reshape(-1), at + 10**digits
    return total


def secret_likelihoods(model: Model, canaries: Data, secrets: NDArray[Any]) -> NDArray[np.float64]:
    """Return the natural log-likelihood (m,) of each canary's secret by a model's text scores."""
    return np.asarray(_continuation(model, canaries.x, secret_tokens(canaries, secrets)).sum(1))


def _continuation(model: Model, prefixes: NDArray[Any], tails: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-probabilities (n, k) of tokens ``tails`` (n, k) after prefixes (n, p)."""
    assert model.score is not None
    log_probs = np.asarray(model.score(text.append(prefixes, tails)), dtype=np.float64)
    at = text.lengths(prefixes)[:, None] - 1 + np.arange(tails.shape[1])
    return np.asarray(np.take_along_axis(log_probs, at, 1))


def stems(
    length: int, symbols: NDArray[Any], gap: NDArray[Any] | tuple[int, ...] = ()
) -> NDArray[np.int64]:
    """Return all numbers of fewer than ``length`` digits as tokens, padded with −1.

    After each digit are the tokens ``gap``, which come before the next one.
    """
    rows: list[list[int]] = []
    for digits in range(length):
        for number in range(10**digits):
            decimal = f"{number:0{digits}d}" if digits else ""
            rows.append([int(t) for c in decimal for t in (symbols[int(c)], *gap)])
    return text.pad(rows)


def digit_distributions(
    model: Model, canaries: Data, secrets: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the model's distribution of each token of a secret, given the true ones before it.

    Returns:
        natural log-probabilities (m, l, vocabulary), and the true tokens (m, l): the digits, and
        what is between them.
    """
    digits = secret_tokens(canaries, secrets)
    length = digits.shape[1]
    contexts = [text.append(canaries.x, digits[:, :k]) for k in range(length)]
    width = max(c.shape[1] for c in contexts)
    rows = np.concatenate(
        [text.append(c, np.full((len(c), width - c.shape[1]), -1)) for c in contexts]
    )
    answers = log_probabilities(model.query(rows), model.output)
    return answers.reshape(length, len(digits), -1).transpose(1, 0, 2), digits


def harvest(texts: NDArray[Any], canaries: Data) -> list[dict[int, int]]:
    """Return the numbers after each canary's prefix in texts, with the first text of each number.

    A prefix is recognised by its last tokens, as many as distinguish it from all other canaries.

    Args:
        texts: (n, t) token ids, the likeliest memorised first.
        canaries: the prefixes, and the format of a number.

    Returns:
        for every canary: number → row of ``texts``.
    """
    length, gap = int(canaries.facts["length"]), tuple(gap_of(canaries).tolist())
    step = 1 + len(gap)
    span = length + len(gap) * (length - 1)
    digit_of = {int(s): d for d, s in enumerate(canaries.facts["symbols"])}
    tails = unique_suffixes([[t for t in row if t >= 0] for row in canaries.x.tolist()])
    numbers: list[dict[int, int]] = [{} for _ in tails]
    for at, row in enumerate(np.asarray(texts).tolist()):
        for start in range(len(row) - span + 1):
            ends = range(start, start + span, step)
            digits = [digit_of.get(row[at_digit]) for at_digit in ends]
            if any(d is None for d in digits):
                continue
            if any(tuple(row[end + 1 : end + step]) != gap for end in ends[:-1]):
                continue
            number = int("".join(map(str, digits)))
            for numbers_found, tail in zip(numbers, tails, strict=True):
                if tuple(row[max(0, start - len(tail)) : start]) == tail:
                    numbers_found.setdefault(number, at)
    return numbers


def unique_suffixes(rows: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the shortest suffix of each row that is not a suffix of another row."""
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
    harvested: Sequence[dict[int, int]], length: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return scores (m, 10^length): high for numbers that were found, the earlier the higher.

    Other numbers are scored by how often each of their digits is at its position in the numbers
    that were found, and at random if none was found.

    Args:
        harvested: number → row, for every canary, from :func:`harvest`.
        length: digits of a number.
        rng: draws the random scores.
    """
    r = 10**length
    scores = 1e-3 * rng.random((len(harvested), r))
    places = np.arange(r)[:, None] // 10 ** np.arange(length - 1, -1, -1) % 10
    for i, numbers in enumerate(harvested):
        if numbers:
            digit_counts = np.stack([(places[list(numbers)] == d).sum(0) for d in range(10)])
            share = np.log((digit_counts + 0.5) / (len(numbers) + 5.0))
            scores[i] += np.exp(share[places, np.arange(length)].sum(1))
        for number, at in numbers.items():
            scores[i, number] += 2 + 1 / (1 + at)
    return scores


def refusal_scores(
    generated: NDArray[Any], symbols: NDArray[Any], length: int
) -> NDArray[np.float64]:
    """Return scores (10^length,) of candidates from the refusals of a decoder (memfree).

    After a wrong first digit the model may generate the other digits of the secret, after the true
    one it may not: the true first digit is the one after which the usual next digit never occurs.

    Args:
        generated: (10 · samples, length − 1) continuations after each first digit in turn.
        symbols: (10,) the token of each digit.
        length: digits of a secret; a single digit gives no information.
    """
    if length < 2:
        return np.zeros(10)
    matches = np.asarray(generated).reshape(10, -1, length - 1)[..., None] == np.asarray(symbols)
    counts = matches.sum(1)
    share = (counts + 0.5) / (matches.shape[1] + 5.0)
    scores = -np.log(share[:, 0, counts[:, 0].sum(0).argmax()])
    for place in range(length - 1):
        scores = (scores[:, None] + np.log(share[:, place].mean(0))).reshape(-1)
    return np.asarray(scores)
