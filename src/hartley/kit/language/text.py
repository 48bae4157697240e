"""Token arrays: byte-pair vocabularies, padding, and batches in which rows share their beginnings.

Padding is −1 on the right everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec
from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAD = -1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Text to token ids and back.

    Attributes:
        size: number of tokens.
        encode: text → ids; without added tokens at either end.
        decode: ids → text.
        digest: sha256 of the vocabulary, for cache keys that depend on it.
    """

    size: int
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    digest: str


def byte_pair(text: str, size: int = 2048) -> Vocabulary:
    """Train a byte-level byte-pair vocabulary on a text, once (arXiv:1508.07909).

    Every digit is a token of its own, so that a number of k digits is always k tokens.

    Args:
        text: what to learn merges from.
        size: number of tokens, at least 256 + digits.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise MissingExtra("tokenizers", "language") from error

    def build() -> dict[str, NDArray[Any]]:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, show_progress=False, initial_alphabet=letters
        )
        tokenizer.train_from_iterator(text.split("\n"), trainer)
        return {"json": np.frombuffer(tokenizer.to_str().encode(), dtype=np.uint8)}

    arrays = cached("vocabulary", ["byte_pair", 1, text, size], build)
    return vocabulary(arrays["json"].tobytes().decode())


def vocabulary(json: str) -> Vocabulary:
    """Return the vocabulary of a ``tokenizer.json`` document.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("tokenizers", "language") from error
    from hartley.kit.cache import digest

    tool = Tokenizer.from_str(json)
    return Vocabulary(
        size=tool.get_vocab_size(),
        encode=lambda text: list(tool.encode(text, add_special_tokens=False).ids),
        decode=lambda ids: str(tool.decode([int(i) for i in ids if i >= 0])),
        digest=digest(json),
    )


def codec(words: Vocabulary) -> Codec:
    """Return a vocabulary as the codec of a model: many texts at once, padded with −1."""
    return Codec(
        encode=lambda texts: pad([words.encode(text) for text in texts]),
        decode=lambda tokens: [words.decode(row) for row in np.asarray(tokens).tolist()],
        size=words.size,
        identity=words.digest,
    )


def pad(rows: Sequence[Sequence[int]], width: int = 0) -> NDArray[np.int64]:
    """Return rows as one (n, t) array, padded on the right with −1.

    Args:
        rows: token ids, of any lengths.
        width: least number of columns.
    """
    longest = max([width, *(len(row) for row in rows)])
    out = np.full((len(rows), longest), PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def lengths(tokens: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many tokens each row of (n, t) holds."""
    return np.asarray((tokens >= 0).sum(1), dtype=np.int64)


def append(tokens: NDArray[Any], tails: NDArray[Any]) -> NDArray[np.int64]:
    """Return rows (n, t) continued by ``tails`` (n, k) right after their last token."""
    n, t = tokens.shape
    out = np.full((n, t + tails.shape[1]), PAD, dtype=np.int64)
    out[:, :t] = tokens
    at = lengths(tokens)[:, None] + np.arange(tails.shape[1])
    out[np.arange(n)[:, None], at] = tails
    return out


def sample(
    logits: Callable[[NDArray[Any]], NDArray[Any]], tokens: NDArray[Any], new: int, seed: int
) -> NDArray[np.int64]:
    """Continue rows token by token at temperature 1, or greedily.

    Args:
        logits: rows (n, t) → (n, vocabulary) logits of the next token.
        tokens: (n, t) beginnings, none of them empty.
        new: tokens to add.
        seed: −1 for greedy. Each row draws its own stream, so that rows do not depend on company.

    Returns:
        (n, new) token ids.
    """
    rows = np.asarray(tokens, dtype=np.int64)
    out = np.empty((len(rows), new), dtype=np.int64)
    draws = np.random.default_rng(max(seed, 0)).random((len(rows), new))
    for step in range(new):
        unique, back = np.unique(rows, axis=0, return_inverse=True)
        back = back.reshape(-1)
        for first in range(0, len(unique), 64):
            here = np.flatnonzero((back >= first) & (back < first + 64))
            answers = np.asarray(logits(unique[first : first + 64]), dtype=np.float64)
            if seed < 0:
                out[here, step] = answers.argmax(1)[back[here] - first]
            else:
                heap = np.exp(answers - answers.max(1, keepdims=True)).cumsum(1)
                cumulative = heap[back[here] - first]
                out[here, step] = (cumulative < draws[here, step, None] * cumulative[:, -1:]).sum(1)
        rows = append(rows, out[:, step : step + 1])
    return out


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows that share beginnings, each shared token once.

    Attributes:
        tokens: (N,) ids of the nodes.
        depth: (N,) position of each node in its rows.
        sees: (N, N) booleans: node i has node j on its path, itself included.
        node: (m, t) the node of each row's position, −1 at padding.
    """

    tokens: NDArray[np.int64]
    depth: NDArray[np.int64]
    sees: NDArray[np.bool_]
    node: NDArray[np.int64]


def tree(tokens: NDArray[Any]) -> Tree:
    """Merge the shared beginnings of rows (m, t); a causal model then reads each token once."""
    m, t = tokens.shape
    node = np.full((m, t), -1, dtype=np.int64)
    ids: list[NDArray[Any]] = []
    parents: list[NDArray[Any]] = []
    count, above = 0, np.full(m, -1, dtype=np.int64)
    for depth in range(t):
        live = np.flatnonzero(tokens[:, depth] >= 0)
        if not len(live):
            break
        pairs = np.stack([above[live], tokens[live, depth]], 1)
        unique, back = np.unique(pairs, axis=0, return_inverse=True)
        node[live, depth] = count + back.reshape(-1)
        above[live] = node[live, depth]
        ids.append(unique[:, 1])
        parents.append(unique[:, 0])
        count += len(unique)
    depths = np.repeat(np.arange(len(ids)), [len(i) for i in ids])
    sees = np.eye(count, dtype=bool)
    for i, parent in enumerate(np.concatenate(parents)):
        if parent >= 0:
            sees[i] |= sees[parent]
    return Tree(np.concatenate(ids), depths, sees, node)


NODES = 512
"""Tokens of a tree beyond which it is cut: what attention costs grows with their square."""


def groups(tokens: NDArray[Any], most: int = 512) -> Iterator[NDArray[np.int64]]:
    """Cut rows (n, t) into groups whose beginnings overlap, as row numbers.

    Rows join a group while they share at least half of their tokens with its first row, and the
    tree of the group has room; a group of one is a row that shares nothing.

    Args:
        tokens: the rows.
        most: rows in a group at most.
    """
    order = np.lexsort(tokens.T[::-1])
    ordered, sizes = tokens[order], lengths(tokens)[order]
    # In sorted order a row adds to the tree what it does not share with the row before it.
    same = (ordered[1:] == ordered[:-1]).cumprod(1).sum(1)
    fresh = sizes[1:] - np.minimum(same, sizes[1:])
    start, nodes = 0, int(sizes[0]) if len(sizes) else 0
    for stop in range(1, len(order) + 1):
        if stop < len(order) and stop - start < most and nodes + fresh[stop - 1] <= NODES:
            differ = np.flatnonzero(ordered[start] != ordered[stop])
            shared = differ[0] if len(differ) else tokens.shape[1]
            if 2 * shared >= min(sizes[start], sizes[stop]):
                nodes += int(fresh[stop - 1])
                continue
        yield np.asarray(order[start:stop], dtype=np.int64)
        start, nodes = stop, int(sizes[stop]) if stop < len(order) else 0
