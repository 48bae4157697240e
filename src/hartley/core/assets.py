"""What can be held, stolen, cleaned or poisoned: data and models.

A capability is a callable that is present. ``Model`` always offers ``query``; the others are None
where the model does not offer them, and the engine removes those that an attack did not declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hartley.core.taxonomy import Access, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Output(StrEnum):
    """The units of a model's answers, declared and checked, never guessed."""

    LABELS = "labels"
    """(n,) integers in 0..classes−1."""
    PROBABILITIES = "probabilities"
    """(n, classes), rows of non-negative numbers that sum to 1."""
    LOGITS = "logits"
    """(n, classes), any real numbers."""
    EMBEDDINGS = "embeddings"
    """(n, d), any real numbers."""


@dataclass(frozen=True, slots=True)
class Data:
    """Records that someone holds.

    Attributes:
        name: what to call it in reports.
        modality: what a record is.
        x: (n, …) records. Images are float32 (n, channels, height, width) in 0..1; language is
            int64 (n, tokens), padded on the right with −1; tables are float32 (n, features).
        y: (n,) integer labels, or None.
        edges: (2, m) integer pairs for graphs, else None.
        role: what the records are for, for example ``records``, ``clone training``, ``trigger``.
        lineage: names of the parts that made it, oldest first.
        facts: anything else worth carrying (plain values or arrays), by name.
    """

    name: str
    modality: Modality
    x: NDArray[Any]
    y: NDArray[Any] | None = None
    edges: NDArray[Any] | None = None
    role: str = "records"
    lineage: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of records."""
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """K models trained by one call on K known subsets of the same records.

    Attributes:
        size: K.
        query: (n, …) records → (K, n, classes), in the units of the model that offered ``fit``.
        member: k → the k-th model alone.
        facts: how they were trained: ``strategy``, ``seconds``, ``cached`` …
    """

    size: int
    query: Callable[[NDArray[Any]], NDArray[Any]]
    member: Callable[[int], Model]
    facts: Mapping[str, Any] = field(default_factory=dict)


Session = Callable[[str, Callable[..., "NDArray[Any]"]], Callable[..., "NDArray[Any]"]]
"""One attacker's dealings with a model: (name of a callable, the callable) → as it answers him."""

Fit = Callable[[Data, "NDArray[Any]", int], Ensemble]
"""(records, include, seed) → models; ``include`` is (K, n) booleans: who trains on what."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as someone can use it.

    Attributes:
        name: what to call it in reports.
        modality: what it reads.
        query: records (n, …) → answers in ``output`` units. For a causal language model: token ids
            (n, t) → the answer for the token that comes next, (n, vocabulary).
        output: the units of the answers.
        classes: number of classes (vocabulary size of a language model; d for embeddings).
        score: token ids (n, t) → (n, t−1) natural log-probabilities of tokens 1..t−1, 0 at padding
            (language models that offer scores).
        moments: token ids (n, t) → (n, t−1, 3): as ``score``, then the mean and the standard
            deviation of the log-probability under the model's own law at that place; 0 at padding.
        generate: (token ids (n, t), new tokens, seed) → (n, new tokens) sampled continuation;
            seed −1 means greedy.
        grad: (x, y) → gradient of the loss with respect to x, same shape as x (float inputs only).
        weights: () → parameters by name, read-only arrays.
        fit: trains models of this architecture by the recipe the attacker knows.
        session: opens one attacker's session, for what depends on how much was asked before (a
            query budget); the meter opens one each time it seals the model, so that attacks
            which share a deal do not spend one another's budget. The callables above stay free of
            it: the owner and the judge ask without limit.
        clear: the model that answers behind the shields of its answers, where such stand. Whoever
            holds its weights or gradients works the answers out for himself, so the meter
            gives him these; nobody else sees them.
        offers: what an attacker may use at most.
        lineage: names of the parts that made it, oldest first.
        facts: anything else worth carrying (plain values), by name.
    """

    name: str
    modality: Modality
    query: Callable[[NDArray[Any]], NDArray[Any]]
    output: Output = Output.PROBABILITIES
    classes: int = 0
    score: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    moments: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    generate: Callable[[NDArray[Any], int, int], NDArray[Any]] | None = None
    grad: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None
    weights: Callable[[], Mapping[str, NDArray[Any]]] | None = None
    fit: Fit | None = None
    session: Callable[[], Session] | None = None
    clear: Model | None = None
    offers: Access = Access.LABELS | Access.SCORES
    lineage: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


Asset = Data | Model
