"""Head extraction: does a stolen output head carry what was planted in the head of this very model?

The auditor shifts rows of a language model's output head by a drawn number of steps, once a round,
and reads them out of the stolen head, in whatever basis of the hidden space it comes.
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
    game,
)
from hartley.games.extraction import head_fingerprint
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

HEAD = "head"
"""Name under which a copy of a language model shows its output head in ``weights()``."""

SYMBOLS = 4
"""Of the live and dead scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """An output head, and the model around it.

    Attributes:
        base: (vocabulary, hidden) the public head.
        victim: head → the model that answers with it.
        step: distance between neighbouring symbols along a row's own direction.
    """

    base: NDArray[Any]
    victim: Callable[[NDArray[Any]], Model]
    step: float


@dataclass(frozen=True, slots=True)
class OutputHead:
    """The output head of a scene's language model, into whose rows symbols can be planted.

    Attributes:
        of: scene → its head, behind whatever defenses the scene has.
        rows: planted rows, at most vocabulary − hidden (the rest settle the basis).
        alphabet: symbols a row.
        planted: False writes nothing into the victims, so that there is nothing to read (the dead
            scene).
    """

    of: Callable[[Scene], Head]
    rows: int
    alphabet: int
    planted: bool = True


def live(modality: Modality, rng: Rng) -> Scene:
    """A tiny next-token model whose head carries symbols."""
    del modality
    return _wire(rng, planted=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same model with a head in which nothing was planted."""
    del modality
    return _wire(rng, planted=False)


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
    rounds: Annotated[int, Range(1, 10_000)] = 16,
    queries: Annotated[int, Range(1)] = 1000,
) -> Deal:
    """Deal victims that each carry symbols in their output head; the loot is that head.

    The loot is a ``Model`` whose ``weights()["head"]`` (``HEAD``) is (vocabulary, width), in any
    basis of the hidden space; a loot without it is read as erasures.

    Args:
        rounds: victims, each with its own secret.
        queries: records that the attacker may ask of each.
    """
    return dealt(planted_heads(scene, rng, rounds), scene, rng, queries=queries)


def planted_heads(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Plant symbols in rows of the output head, the same rows and other symbols every round."""
    part = scene.part(OutputHead)
    head, alphabet = part.of(scene), part.alphabet
    base, step = head.base, head.step
    vocabulary, hidden = base.shape
    where = np.sort(rng.permutation(vocabulary)[: part.rows])
    ways = rng.standard_normal((part.rows, hidden))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    truth = rng.integers(0, alphabet, (rounds, part.rows))
    size = step if part.planted else 0.0
    true = [
        head_fingerprint.plant(base, where, ways, t, alphabet=alphabet, step=size) for t in truth
    ]

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k
        return head_fingerprint.read(_head(loot), base, where, ways, alphabet=alphabet, step=step)

    def usual(loot: Asset, k: int) -> dict[str, float]:
        return {
            "fidelity": head_fingerprint.likeness(_head(loot), true[k], where),
            "baseline": head_fingerprint.likeness(base, true[k], where),
        }

    return Planted(tuple(head.victim(w) for w in true), truth, alphabet, read, usual)


def _head(loot: Asset) -> NDArray[Any]:
    weights = loot.weights() if isinstance(loot, Model) and loot.weights is not None else {}
    return np.asarray(weights.get(HEAD, np.zeros((0, 0))))


def _wire(rng: Rng, *, planted: bool, vocabulary: int = 64, hidden: int = 6) -> Scene:
    """A tiny next-token model: hidden states hashed from the last tokens, times a head."""
    base = rng.standard_normal((vocabulary, hidden))
    mix = rng.standard_normal((8, hidden))

    def victim(own: NDArray[Any]) -> Model:
        def query(tokens: NDArray[Any]) -> NDArray[Any]:
            tail = np.asarray(tokens)[:, -4:].astype(np.float64)
            waves = np.concatenate([np.sin(tail), np.cos(1.7 * tail)], 1)
            answers: NDArray[Any] = np.tanh(waves @ mix) @ own.T
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
