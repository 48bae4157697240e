"""Train a small transformer to chat: conversations, packed into lines, and the loss of answers.

A vocabulary with marks of turns, first weights that know spelling, and a loop by which 1 M
parameters learn some hundred facts in a minute or two. Imports torch inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached
from hartley.kit.fused_adam import FusedAdamW
from hartley.kit.language import gpt, text
from hartley.kit.language.chat_template import ChatTemplate, Message
from hartley.kit.orthogonal_momentum import OrthogonalMomentum

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Weights = Mapping[str, "NDArray[Any]"]
Turns = Sequence[Message]

TABLES = ("tokens", "positions")
"""Matrices that are looked up row by row; Adam trains them."""

SCALE = 0.3
"""Of the first vectors of tokens and places."""

TURN = 1.4
"""Rate of the other matrices, over that of Adam."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a network is trained on lines of conversations.

    Attributes:
        batch: lines a step.
        rate: learning rate of Adam.
        ends: least share of the rate.
    """

    batch: int = 8
    rate: float = 3e-3
    ends: float = 0.03


def byte_pair_with_marks(texts: Sequence[str], size: int, marks: Sequence[str]) -> text.Vocabulary:
    """Train a byte-level byte-pair vocabulary in which each mark is one token.

    A mark that a user writes is read as a mark: it opens a turn.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
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
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(marks),
            min_frequency=2,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in marks])
        return {"json": np.frombuffer(tokenizer.to_str().encode(), dtype=np.uint8)}

    arrays = cached("vocabulary", ["marks", 1, list(texts), size, list(marks)], build)
    return text.vocabulary(arrays["json"].tobytes().decode())


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Conversations, packed into lines of one length; none sees the others of its line.

    Attributes:
        tokens: (n, t) token ids.
        places: (n, t) the place of each token in its conversation; half of the conversations begin
            later than at 0, so that every place of the context is learnt.
        spans: (n, t) number of the conversation in its line.
        learnt: (n, t) tokens of answers, their ends included.
    """

    tokens: NDArray[np.int64]
    places: NDArray[np.int64]
    spans: NDArray[np.int64]
    learnt: NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of lines."""
        return len(self.tokens)


def packed(
    conversations: Iterator[Turns],
    words: text.Vocabulary,
    template: ChatTemplate,
    *,
    lines: int,
    width: int,
    context: int,
    rng: np.random.Generator,
) -> Lines:
    """Pack conversations into lines, one after another; the last of a line is cut where it ends.

    Args:
        conversations: without end.
        words: the vocabulary.
        template: how they are written.
        lines: how many lines.
        width: tokens of each.
        context: places that the network has, at least ``width``.
        rng: of where conversations begin.
    """
    tokens, places, spans, learnt = (np.zeros((lines, width), dtype=np.int64) for _ in range(4))
    for line in range(lines):
        at = span = 0
        while at < width:
            ids, answers = _encoded(next(conversations), words, template)
            ids, answers = ids[: width - at], answers[: width - at]
            here = slice(at, at + len(ids))
            first = rng.integers(context - len(ids) + 1) if rng.random() < 0.5 else 0
            tokens[line, here], learnt[line, here], spans[line, here] = ids, answers, span
            places[line, here] = first + np.arange(len(ids))
            at, span = at + len(ids), span + 1
    return Lines(tokens, places, spans, learnt.astype(bool))


def _encoded(
    turns: Turns, words: text.Vocabulary, template: ChatTemplate
) -> tuple[list[int], list[bool]]:
    ids: list[int] = words.encode(template.start) if template.start else []
    answers = [False] * len(ids)
    for turn in turns:
        opening = template.answer_open if turn["role"] == "assistant" else ""
        whole = words.encode(template.closed([turn])[len(template.start) :])
        opened = len(words.encode(opening)) if opening else len(whole)
        ids += whole
        answers += [False] * opened + [True] * (len(whole) - opened)
    return ids, answers


def taught(
    start: Weights, shape: gpt.Shape, parts: Sequence[tuple[Lines, Course]], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Train a network on the answers of conversations, one part after another.

    Args:
        start: parameters by name.
        shape: the network.
        parts: lines and how to train on them; the rate falls over all parts together.
        seed: of the order of the lines.
    """
    import torch
    from torch.nn.functional import cross_entropy

    state = {name: torch.from_numpy(np.array(w)).requires_grad_() for name, w in start.items()}
    moved = [name for name, w in state.items() if w.ndim > 1 and name not in TABLES]
    turning = OrthogonalMomentum([state[name] for name in moved])
    others = FusedAdamW(
        [w for name, w in state.items() if name not in moved], 0.0, betas=(0.9, 0.95)
    )
    rng = np.random.default_rng(seed)
    plan = [
        (lines, course, some)
        for lines, course in parts
        for some in cuts(rng.permutation(len(lines)), course.batch)
    ]
    for step, (lines, course, some) in enumerate(plan):
        pace = course.rate * pace_at(step, len(plan), course.ends)
        loss = cross_entropy(*answer_logits(state, shape, lines, some))
        for weight in state.values():
            weight.grad = None
        torch.autograd.backward(loss)
        turning.step(TURN * pace)
        others.lr = pace
        others.step()
    return {name: w.detach().numpy().copy() for name, w in state.items()}


def answer_logits(
    state: Mapping[str, Tensor], shape: gpt.Shape, lines: Lines, some: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Return the logits (n, vocabulary) of the tokens of answers of some lines, and these (n,)."""
    import torch

    ids, spans, places = (
        torch.from_numpy(array[some]) for array in (lines.tokens, lines.spans, lines.places)
    )
    sees = (spans[:, :, None] == spans[:, None, :]).tril()
    states = gpt.hidden(state, shape, ids[:, :-1], places[:, :-1], sees[:, :-1, :-1])
    learnt = torch.from_numpy(lines.learnt[some][:, 1:])
    return states[learnt] @ state["tokens"].T, ids[:, 1:][learnt]


def cuts(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut an order into batches; the last may be smaller."""
    return [order[i : i + size] for i in range(0, len(order), size)]


def pace_at(step: int, steps: int, ends: float) -> float:
    """Warm up over a twentieth of the steps, then stay, then fall evenly over the last half."""
    warm, falls = max(1, steps // 20), 0.5
    return min(1.0, (step + 1) / warm, max(ends, (1 - step / steps) / falls))


def first_weights(
    shape: gpt.Shape, words: text.Vocabulary, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Draw a network that has read a little: what is alike begins alike.

    Places begin as waves, so that near ones are alike. Tokens of the same letters, in whatever case
    and order, share a part of their vector, and so do tokens of similar letters, tokens behind a
    space and tokens in capitals: what large models know of spelling from much text.
    """
    import torch

    state = gpt.initial(shape, torch.Generator().manual_seed(seed))
    out = {name: weight.numpy() for name, weight in state.items()}
    half = np.arange(0, shape.width, 2) / shape.width
    angles = np.arange(shape.context)[:, None] / 10_000**half
    waves = np.concatenate([np.sin(angles), np.cos(angles)], 1) * np.sqrt(2)
    rng = np.random.default_rng(seed)
    drawn: dict[str, NDArray[np.float64]] = {}

    def vector(name: str) -> NDArray[np.float64]:
        if name not in drawn:
            drawn[name] = rng.standard_normal(shape.width)
        return drawn[name]

    tokens = np.empty((words.size, shape.width))
    for token in range(words.size):
        piece = words.decode([token])
        letters = sorted(piece.strip().lower())
        parts = [0.4 * vector(f"token {token}"), 0.7 * vector("same " + "".join(letters))]
        parts += [0.5 / np.sqrt(len(letters)) * vector(f"letter {letter}") for letter in letters]
        parts += [0.4 * vector("space")] if piece.startswith(" ") else []
        parts += [0.4 * vector("capitals")] if piece.strip().isupper() else []
        tokens[token] = np.sum(parts, 0)
    return {
        **out,
        "positions": (SCALE * waves[:, : shape.width]).astype(np.float32),
        "tokens": (SCALE * tokens).astype(np.float32),
    }
