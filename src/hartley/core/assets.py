"""What can be held, stolen, cleaned or poisoned: data and models.

A capability is a callable that is present in ``Model.calls``; the engine removes those that an
attack did not declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hartley.core.capabilities import CAPABILITIES, Calls, Capability
from hartley.core.errors import UsageError, did_you_mean
from hartley.core.taxonomy import Access, Form, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray


E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], word: str, field_name: str) -> E:
    """Return the member of an enum that a word names."""
    if word in {*kind}:
        return kind(word)
    known = [*map(str, kind)]
    expected = f"{', '.join(known[:-1])} or {known[-1]}"
    hint = did_you_mean(str(word), known)
    raise TypeError(f"{field_name} must be {expected}, got {word!r}{hint}")


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
        x: (n, …) records. Images are float32 (n, channels, height, width) in 0..1; tokens are int64
            (n, tokens), padded on the right with −1; texts are (n,) strings; tables are float32
            (n, features). A data frame or a sparse matrix is taken as the array that it holds.
        y: (n,) integer labels, or None.
        edges: (2, m) integer pairs for graphs, else None.
        role: what the records are for, for example ``records``, ``clone training``, ``trigger``.
        lineage: names of the parts that made it, oldest first.
        facts: anything else worth carrying (plain values or arrays), by name.
        form: how ``x`` looks; where it is not given, read off the modality and the type of ``x``.
    """

    name: str
    modality: Modality
    x: NDArray[Any]
    y: NDArray[Any] | None = None
    edges: NDArray[Any] | None = None
    role: str = "records"
    lineage: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    form: Form = None  # type: ignore[assignment]  # never None once it is made

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            object.__setattr__(self, name, _as_array(getattr(self, name)))
        if self.form is None:
            object.__setattr__(self, "form", form_of(self.modality, self.x))

    def __len__(self) -> int:
        """The number of records."""
        return len(self.x)

    @property
    def labels(self) -> NDArray[Any]:
        """(n,) integer labels: ``y`` of records that must carry them.

        Raises:
            UsageError: these records carry none.
        """
        if self.y is None:
            raise UsageError(f"the records {self.name!r} must have labels, got none")
        return self.y

    @property
    def links(self) -> NDArray[Any]:
        """(2, m) integer pairs: ``edges`` of records that must carry them.

        Raises:
            UsageError: these records carry none.
        """
        if self.edges is None:
            raise UsageError(f"the records {self.name!r} must have edges, got none")
        return self.edges


def _as_array(table: Any) -> Any:
    """Return the array that a data frame, a series or a sparse matrix holds; else what is given."""
    for method in ("to_numpy", "toarray"):
        if hasattr(table, method):
            return getattr(table, method)()
    return table


def form_of(modality: Modality, x: Any) -> Form:
    """Return how records of a modality look, where nobody says it."""
    if modality is Modality.LANGUAGE:
        return Form.TEXT if is_text(x) else Form.TOKENS
    if modality is Modality.GRAPH:
        shape: tuple[int, ...] = getattr(x, "shape", ())
        return Form.NODES if len(shape) == 2 and shape[1] <= 2 else Form.GRAPHS
    return Form.PAIRS if modality is Modality.PAIRED else Form.ARRAY


def is_text(x: Any) -> bool:
    """Whether records are strings: an array of them, or a sequence."""
    kind = getattr(getattr(x, "dtype", None), "kind", "O")
    if kind != "O" or isinstance(x, str | bytes):
        return bool(kind == "U")
    return len(x) > 0 and all(isinstance(text, str) for text in x)


@dataclass(frozen=True, slots=True)
class Codec:
    """Text to the tokens of one model, and back.

    Attributes:
        encode: n texts → int64 (n, t) token ids, padded on the right with −1; no token is added
            at either end.
        decode: (n, t) token ids → n texts.
        size: number of tokens.
        identity: a name that this vocabulary has and no other.
    """

    encode: Callable[[Sequence[str]], NDArray[Any]]
    decode: Callable[[NDArray[Any]], list[str]]
    size: int
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """K models trained by one call on K known subsets of the same records.

    Attributes:
        size: K.
        query: (n, …) records → (K, n, classes), in the units of the model that offered ``fit``.
        member: k → the k-th model alone.
        facts: how they were trained: ``strategy``, ``seconds``, ``cached`` …
        output: the units of ``query`` where they are known before any model is trained, or None:
            then those of a member.
    """

    size: int
    query: Callable[[NDArray[Any]], NDArray[Any]]
    member: Callable[[int], Model]
    facts: Mapping[str, Any] = field(default_factory=dict)
    output: Output | None = None


Session = Callable[[str, Callable[..., Any]], Callable[..., Any]]
"""One attacker's session with a model: (capability, its callable) → as it answers that attacker."""

Fit = Callable[[Data, "NDArray[Any]", int], Ensemble]
"""(records, include, seed) → K models; ``include`` (K, n): which record trains which model."""


class TrainingPipeline(Protocol):
    """How an owner trains: it makes models of subsets of the owner's records."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train, as a ``Fit``."""


@dataclass(frozen=True, slots=True, init=False)
class Model:
    """A model as someone can use it: what it can do (``calls``), and what its answers mean.

    Attributes:
        name: what to call it in reports.
        modality: what it reads.
        calls: what it can do: callables by capability (see ``CAPABILITIES`` for what each takes and
            returns). Each may be given under its own name instead: ``Model("m", modality, query,
            score=score)``. ``calls["grad"]`` raises AccessDenied in words where it is absent.
        output: the units of the answers of ``query``.
        classes: number of classes (vocabulary size of a language model; d for embeddings).
        width: numbers in an embedding of ``embed``, where that is not ``query``.
        reads: numbers in a record, where it reads records of one size alone; 0 where that is not
            known. A scene with other records is refused before anything is asked.
        identity: a name that this model has and no other: the digest of its weights, or address,
            name and revision. Empty where it is not declared; a run on it is then never continued.
        codec: text to its tokens and back, for a model that reads tokens of language.
        deterministic: whether the same question always gets the same answer; where it does not,
            no answer is remembered.
        session: opens one attacker's session, for what depends on how much was asked before (a
            query budget); the meter opens one each time it seals the model, so that attacks
            which share a deal do not spend one another's budget. The callables above stay free of
            it: the owner and the judge ask without limit.
        clear: the model that answers behind the defenses of its answers, where there are any.
            Attackers who hold its weights or gradients compute the answers themselves, so the meter
            gives them these; nobody else sees them.
        offers: what an attacker may use at most.
        lineage: names of the parts that made it, oldest first.
        facts: anything else worth carrying (plain values), by name.

    Raises:
        TypeError: a capability that is not in the table, or that cannot be called; a modality or an
            output that is not one of theirs.
    """

    name: str
    modality: Modality
    calls: Calls
    output: Output = Output.PROBABILITIES
    classes: int = 0
    width: int = 0
    reads: int = 0
    identity: str = ""
    codec: Codec | None = None
    deterministic: bool = True
    session: Callable[[], Session] | None = None
    clear: Model | None = None
    offers: Access = Access.LABELS | Access.SCORES
    lineage: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __init__(
        self,
        name: str,
        modality: Modality,
        query: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        output: Output = Output.PROBABILITIES,
        classes: int = 0,
        *,
        calls: Mapping[Capability, Callable[..., Any] | None] | None = None,
        width: int = 0,
        reads: int = 0,
        identity: str = "",
        codec: Codec | None = None,
        deterministic: bool = True,
        session: Callable[[], Session] | None = None,
        clear: Model | None = None,
        offers: Access = Access.LABELS | Access.SCORES,
        lineage: tuple[str, ...] = (),
        facts: Mapping[str, Any] | None = None,
        **named: Callable[..., Any] | None,
    ) -> None:
        """Take what is given; ``query`` and ``named`` win over ``calls``.

        The words of ``modality`` and ``output`` are taken for their members: ``"tabular"``.
        """
        if query is not None:
            named["query"] = query
        same = isinstance(calls, Calls) and not named
        values = {
            "name": name,
            "modality": _member(Modality, modality, "modality"),
            "calls": calls if same else Calls({**(calls or {}), **named}),
            "output": _member(Output, output, "output"),
            "classes": classes,
            "width": width,
            "reads": reads,
            "identity": identity,
            "codec": codec,
            "deterministic": deterministic,
            "session": session,
            "clear": clear,
            "offers": offers,
            "lineage": lineage,
            "facts": {} if facts is None else facts,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def with_(self, **changes: Any) -> Model:
        """The same model with some fields or capabilities changed; None removes a capability."""
        calls = {name: changes.pop(name) for name in [*changes] if name in CAPABILITIES}
        whole = Calls({**self.calls, **calls}) if calls else self.calls
        return replace(self, calls=whole, **changes)

    @property
    def query(self) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Records (n, …) → answers in ``output`` units; where it is absent, asking is denied."""
        return self.calls.get("query") or self._denied("query")

    @property
    def score(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        """Log-probabilities of the tokens of texts, or None."""
        return self.calls.get("score")

    @property
    def moments(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        """As ``score``, with mean and deviation of the law at each place, or None."""
        return self.calls.get("moments")

    @property
    def generate(self) -> Callable[[NDArray[Any], int, int], NDArray[Any]] | None:
        """Continuations of token rows, or None."""
        return self.calls.get("generate")

    @property
    def grad(self) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None:
        """Gradients of the loss with respect to the records, or None."""
        return self.calls.get("grad")

    @property
    def weights(self) -> Callable[[], Mapping[str, NDArray[Any]]] | None:
        """Parameters by name, or None."""
        return self.calls.get("weights")

    @property
    def fit(self) -> Fit | None:
        """What trains models of the same recipe, or None."""
        return self.calls.get("fit")

    def _denied(self, name: Capability) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            return self.calls[name](*arguments)

        return call


Asset = Data | Model
