"""Head extraction: does a stolen output head contain the symbols that were planted in the model's?

In each round the auditor shifts rows of a language model's output head by a random number of steps,
and reads the shifts from the stolen head, which may be in any basis of the hidden space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Asset,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Output,
    Range,
    Role,
    Scene,
    Stronger,
    game,
)
from hartley.games.extraction import head_fingerprint
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

HEAD = "head"
"""Name of the output head in the ``weights()`` of a copy of a language model."""

SYMBOLS = 4
"""Symbols per row in the live and dead scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """An output head, and the model around it.

    Attributes:
        base: (vocabulary, hidden) the public head.
        victim: head → the model with this head.
        step: distance between neighbouring symbols along a row's direction.
    """

    base: NDArray[Any]
    victim: Callable[[NDArray[Any]], Model]
    step: float


@dataclass(frozen=True, slots=True)
class OutputHead:
    """The output head of a scene's language model, with rows in which symbols can be planted.

    Attributes:
        of: scene → its head, trained under the scene's defenses.
        rows: number of planted rows, at most vocabulary − hidden (the others determine the basis).
        alphabet: number of symbols per row.
        planted: False plants nothing (the dead scene).
    """

    of: Callable[[Scene], Head]
    rows: int
    alphabet: int
    planted: bool = True


def live(modality: Modality, rng: Rng) -> Scene:
    """A tiny next-token model with symbols in its head."""
    del modality
    return _scene(rng, planted=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same model without planted symbols."""
    del modality
    return _scene(rng, planted=False)


@game(
    cls="extraction",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted row",
    live=live,
    dead=dead,
    brief=ExtractionBrief,
    modalities=(Modality.LANGUAGE,),
    requires=("model", "output_head", "public"),
    metrics=("fidelity", "baseline", "queries", "symbols_per_query"),
    loot="model",
)
def head_extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 16,
    queries: Annotated[int, Range(1), Stronger.MORE] = 1000,
) -> Deal:
    """Plant symbols in the victims' output heads; the attacker returns a copy of the head.

    The loot is a ``Model`` whose ``weights()["head"]`` (``HEAD``) is (vocabulary, width), in any
    basis of the hidden space. Without it all symbols are erasures.

    Args:
        rounds: number of victims, each with its own secret.
        queries: largest number of records that the attacker may query per victim.
    """
    return dealt(planted_heads(scene, rng, rounds), scene, rng, queries=queries)


def planted_heads(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Plant symbols in rows of the output head: the same rows and new symbols in every round."""
    part = scene.part(OutputHead)
    head, alphabet = part.of(scene), part.alphabet
    base, step = head.base, head.step
    vocabulary, hidden = base.shape
    rows = np.sort(rng.permutation(vocabulary)[: part.rows])
    directions = rng.standard_normal((part.rows, hidden))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    truth = rng.integers(0, alphabet, (rounds, part.rows))
    size = step if part.planted else 0.0
    heads = [
        head_fingerprint.plant(base, rows, directions, t, alphabet=alphabet, step=size)
        for t in truth
    ]

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k
        return head_fingerprint.read(
            _head(loot), base, rows, directions, alphabet=alphabet, step=step
        )

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        return {
            "fidelity": head_fingerprint.likeness(_head(loot), heads[k], rows),
            "baseline": head_fingerprint.likeness(base, heads[k], rows),
        }

    return Planted(tuple(head.victim(w) for w in heads), truth, alphabet, read, metrics)


def _head(loot: Asset) -> NDArray[Any]:
    weights = loot.weights() if isinstance(loot, Model) and loot.weights is not None else {}
    return np.asarray(weights.get(HEAD, np.zeros((0, 0))))


def _scene(rng: Rng, *, planted: bool, vocabulary: int = 64, hidden: int = 6) -> Scene:
    """Return a tiny next-token model: hidden states depend on the last tokens; times a head."""
    base = rng.standard_normal((vocabulary, hidden))
    mix = rng.standard_normal((8, hidden))

    def victim(head_weights: NDArray[Any]) -> Model:
        def query(tokens: NDArray[Any]) -> NDArray[Any]:
            tail = np.asarray(tokens)[:, -4:].astype(np.float64)
            waves = np.concatenate([np.sin(tail), np.cos(1.7 * tail)], 1)
            answers: NDArray[Any] = np.tanh(waves @ mix) @ head_weights.T
            return answers

        offers = Access.LABELS | Access.SCORES
        return Model("head", Modality.LANGUAGE, query, Output.LOGITS, vocabulary, offers=offers)

    head = Head(base, victim, step=0.5)
    public = Data("prompts", Modality.LANGUAGE, rng.integers(0, 50, (256, 8)))
    return Scene(
        name="live" if planted else "dead",
        modality=Modality.LANGUAGE,
        model=victim(base),
        extra={"public": public},
        parts=(OutputHead(lambda _: head, 16, SYMBOLS, planted),),
    )
