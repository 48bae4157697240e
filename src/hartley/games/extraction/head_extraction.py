"""Head extraction: does a stolen output head contain the symbols that were planted in the model's?

In each round the auditor shifts rows of a language model's output head by a random number of steps,
and reads the shifts from the stolen head, which may be in any basis of the hidden space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Asset,
    Data,
    Deal,
    Ensemble,
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
from hartley.core.errors import RunError
from hartley.games.extraction import head_fingerprint
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt
from hartley.kit import next_tokens
from hartley.kit.answer_units import log_probabilities
from hartley.kit.ensemble_of import separate

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
        scale: (hidden,) by which the last norm scales hidden states; None where there is none.
    """

    base: NDArray[Any]
    victim: Callable[[NDArray[Any]], Model]
    step: float
    scale: NDArray[Any] | None = None


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
    metrics=("fidelity", "baseline", "size_error", "head_error", "queries", "symbols_per_query"),
    loot="model",
)
def head_extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 16,
    queries: Annotated[int, Range(1), Stronger.MORE] = 20_000,
) -> Deal:
    """Plant symbols in the victims' output heads; the attacker returns a copy of the head.

    The loot is a ``Model`` whose ``weights()["head"]`` (``HEAD``) is (vocabulary, width), in any
    basis of the hidden space. Without it all symbols are erasures. Beside the bits: by how much the
    width misses the hidden size, the relative error of the head after the best invertible map and
    after the best rotation, and the largest difference of two answers to one question.

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
            stolen_head(loot), base, rows, directions, alphabet=alphabet, step=step
        )

    victims = tuple(head.victim(w) for w in heads)
    prompts = scene.extra["public"].x[:2]

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        stolen = stolen_head(loot)
        scale = np.ones(hidden) if head.scale is None else head.scale
        return {
            "fidelity": head_fingerprint.likeness(stolen, heads[k], rows),
            "baseline": head_fingerprint.likeness(base, heads[k], rows),
            "size_error": float(abs(stolen.shape[1] - hidden)),
            "head_error": head_fingerprint.error_of(stolen, heads[k]),
            "rotation_error": head_fingerprint.rotation_error(stolen, heads[k] * scale),
            "instability": instability(victims[k], prompts),
        }

    return Planted(victims, truth, alphabet, read, metrics)


def instability(model: Model, tokens: NDArray[Any]) -> float:
    """Return the largest difference of two answers of a model to the same rows (n, t) of tokens.

    Of its log-probabilities of the likeliest next tokens, or else of its answers to ``query``; a
    token that is likeliest once and not the other time counts as a difference of at least 1.
    """
    ask = model.calls.get("top_logprobs")
    if ask is None or "query" in model.calls:
        first, again = (np.asarray(model.query(tokens), dtype=np.float64) for _ in range(2))
        if model.output is Output.PROBABILITIES:
            first, again = (log_probabilities(a, model.output) for a in (first, again))
        return float(np.abs(first - again).max())
    most, none = next_tokens.limits(model.facts)[0], np.full((len(tokens), 1), -1)
    first, again = (np.asarray(ask(tokens, most, none, 0.0)) for _ in range(2))
    order = [np.argsort(a[..., 0], axis=1) for a in (first, again)]
    ids, values = (
        [np.take_along_axis(a[..., c], o, 1) for a, o in zip((first, again), order, strict=True)]
        for c in (0, 1)
    )
    return float(max(np.abs(values[0] - values[1]).max(), float((ids[0] != ids[1]).any())))


def stolen_head(loot: Asset) -> NDArray[Any]:
    """Return the stolen head; (0, 0) where the loot has none.

    Raises:
        RunError: it has no numbers that a head could have.
    """
    weights = loot.weights() if isinstance(loot, Model) and loot.weights is not None else {}
    head = np.asarray(weights.get(HEAD, np.zeros((0, 0))))
    if head.dtype.kind not in "fiu" or not np.isfinite(head).all():
        raise RunError(f"a stolen head must be finite numbers, got {head.dtype} with others")
    if head.ndim == 2 and head.shape[1] > len(head):
        raise RunError(
            f"a stolen head must be at most as wide as its vocabulary, got {head.shape[1]} columns "
            f"for {len(head)} tokens"
        )
    return head


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

        def top(tokens: NDArray[Any], k: int, biased: NDArray[Any], bias: float) -> NDArray[Any]:
            return next_tokens.likeliest(query(tokens), k, biased, bias)

        return Model(
            "head",
            Modality.LANGUAGE,
            query,
            Output.LOGITS,
            vocabulary,
            top_logprobs=top,
            offers=Access.LABELS | Access.SCORES,
            facts={next_tokens.MOST: 8, next_tokens.BIAS: 100.0},
        )

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        return separate([victim(data.facts.get(HEAD, base))] * len(include))

    def head(scene: Scene) -> Head:
        return Head(base, lambda weights: served(scene, weights), step=0.5)

    public = Data("prompts", Modality.LANGUAGE, rng.integers(0, 50, (256, 8)))
    return Scene(
        name="live" if planted else "dead",
        modality=Modality.LANGUAGE,
        model=victim(base),
        train=public,
        fit=fit,
        extra={"public": public},
        parts=(OutputHead(head, 16, SYMBOLS, planted),),
    )


def served(scene: Scene, head: NDArray[Any]) -> Model:
    """Return the scene's model with another output head, behind the scene's defenses.

    The pipeline of the scene takes the head (vocabulary, hidden) from ``data.facts["head"]``.
    """
    assert scene.train is not None
    data = replace(scene.train, facts={**scene.train.facts, HEAD: head})
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    return scene.victims(data, everyone, scene.settings.seed).member(0)
