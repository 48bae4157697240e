"""Embedding inversion: a stolen vector database whose rows were computed from secret records.

The owner keeps the embeddings of the records and takes them for harmless. Whoever steals the
database has the vectors and may ask the encoder about records of their own. Each target is one of N
secret records, drawn by the auditor; what is rebuilt is matched with all N in the space of the
records (``games.inversion.matching``), so that no weight of the encoder has a say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Bound,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Outcome,
    Output,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Settings,
    View,
    game,
    spawn,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.judging import answers
from hartley.games.inversion.matching import Matcher, Spectra, Texts
from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 6
"""Databases, where neither the player nor the scene says how many."""

Keep = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Embeddings (n, d) as the encoder gives them → as the owner stores them."""


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """A vector database of embeddings that the owner takes for harmless.

    Attributes:
        secret: the owner's records; the attacker holds none of them.
        public: the attacker's own records.
        matcher: holds what is rebuilt against records of ``secret``.
        columns: which part of the encoder's answers is stored; None: all of it.
        keep: what the owner does to embeddings before they are stored.
        number: N, candidates of each target.
        targets: targets a round.
        known: records of ``public`` that are in the stolen database too, because the attacker had
            them stored (a customer of the service, say): the pairs that undo a secret map.
        most: bits that a stored embedding can hold at most; 0: a limit was not proved.
    """

    secret: Data
    public: Data
    matcher: Matcher
    columns: tuple[int, int] | None = None
    keep: tuple[Keep, ...] = ()
    number: int = 64
    targets: int = 32
    known: int = 0
    most: float = 0.0

    @property
    def grants(self) -> Access:
        """The encoder can be asked for embeddings."""
        return Access.EMBEDDINGS

    def stored(self, model: Model, x: NDArray[Any]) -> NDArray[Any]:
        """What lies in the database for records ``x`` (n, …): (n, d).

        Raises:
            UsageError: the model answers with something else than embeddings.
        """
        if model.output is not Output.EMBEDDINGS:
            raise UsageError(
                f"stored embeddings need an encoder; {model.name} gives {model.output}"
            )
        made = np.asarray(model.query(x))
        if self.columns is not None:
            made = made[:, slice(*self.columns)]
        for one in self.keep:
            made = one(made)
        return made


def live(modality: Modality, rng: Rng) -> Scene:
    """Linear embeddings of random records."""
    return _wire(modality, rng, leaks=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Embeddings of quite other records than those in question."""
    return _wire(modality, rng, leaks=False)


@dataclass(frozen=True, slots=True)
class EmbeddingInversionBrief:
    """What an attacker of embedding inversion knows.

    Attributes:
        question: its ``x`` (m, d) are the stolen embeddings; one record of the loot answers each.
        public: records of the attacker's own, which they can have embedded.
        number: candidates of each target.
        known: (k, d) stored embeddings of the first k records of ``public``, or None.
        columns: first and last column of the encoder's answers that is stored; None: all of it.
    """

    question: Data
    public: Data
    number: int
    known: NDArray[Any] | None = None
    columns: tuple[int, int] | None = None


@game(
    cls="inversion",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="stored embedding",
    live=live,
    dead=dead,
    brief=EmbeddingInversionBrief,
    modalities=(Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED),
    requires=("stored_embeddings", "model"),
    metrics=("identified", "identified_without_target"),
    loot="data",
)
def embedding_inversion(
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000)] = 0
) -> Deal:
    """Draw candidates and targets, and store the targets' embeddings; the loot is the records.

    Args:
        rounds: databases, each with targets of its own; 0 leaves it to the scene.

    Raises:
        UsageError: fewer secret records than candidates, or a model that embeds nothing.
    """
    part = scene.part(StoredEmbeddings)
    rounds = scene.settings.rounds_of("embedding_inversion", rounds, ROUNDS)
    assert scene.model is not None
    if len(part.secret) < part.number:
        raise UsageError(f"{len(part.secret)} secret records, {part.number} candidates")
    model = replace(scene.model, offers=scene.model.offers | part.grants)
    pairs = part.stored(model, part.public.x[: part.known]) if part.known else None
    chosen, made = [], []
    for _ in range(rounds):
        rows = rng.choice(len(part.secret), part.number, replace=False)
        truth = rng.integers(0, part.number, part.targets)
        stored = part.stored(model, part.secret.x[rows[truth]])
        chosen.append(rows)
        made.append(
            Round(
                view=View(
                    source=model,
                    brief=EmbeddingInversionBrief(
                        question=Data("stored embeddings", scene.modality, stored),
                        public=part.public,
                        number=part.number,
                        known=pairs,
                        columns=part.columns,
                    ),
                    defenses=scene.defenses,
                ),
                truth=truth.astype(np.int64),
                alphabet=part.number,
            )
        )
    salt = int(rng.integers(2**31))
    made = [replace(one, view=replace(one.view, salt=salt)) for one in made]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> Sequence[Received]:
        read: list[NDArray[Any]] = []
        metrics: list[Mapping[str, float]] = []
        for rows, one, outcome in zip(chosen, dealt, outcomes, strict=True):
            said, measured = part.matcher(_rebuilt(outcome, len(one.truth)), rows, one.truth)
            read.append(said)
            metrics.append(measured)
        return answers(dealt, read, metrics)

    # The encoder is fixed, and every target is drawn for itself: rounds share no victim.
    bounds = (Bound("entropy", {"bits": part.most}),) if part.most else ()
    return Deal(tuple(made), judge=judge, cluster=False, bounds=bounds)


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    """A tiny database: linear embeddings of random records, or of quite other ones.

    The encoder is a random projection of the bag of tokens (language), of the record (audio), or of
    the bag of a caption's tokens that is in both halves of a record (paired).
    """
    make = {Modality.LANGUAGE: _texts, Modality.AUDIO: _sounds, Modality.PAIRED: _pairs}
    part, model = make[modality](rng)
    if not leaks:

        def unrelated(made: NDArray[Any]) -> NDArray[Any]:
            other = np.random.default_rng(spawn(0, digest(made)))
            pick = other.integers(0, len(part.public), len(made))
            plain = replace(part, keep=())
            return plain.stored(model, part.public.x[pick])

        part = replace(part, keep=(unrelated,))
    return Scene(
        name="live" if leaks else "dead",
        modality=modality,
        model=model,
        parts=(part,),
        settings=Settings({"embedding_inversion": 2}),
    )


TOKENS, LENGTH, WIDE = 48, 6, 64
"""Tokens, length of a record, and width of an embedding in the live and dead scenes."""


def _texts(rng: Rng) -> tuple[StoredEmbeddings, Model]:
    x, _ = _bags(rng, 512)
    sketch = rng.standard_normal((TOKENS, WIDE)) / 8

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        return _counted(tokens) @ sketch

    secret = Data("secret texts", Modality.LANGUAGE, x[:128])
    public = Data("public texts", Modality.LANGUAGE, x[128:])
    return _small(secret, public, Texts(secret.x)), _linear(Modality.LANGUAGE, query, WIDE)


def _sounds(rng: Rng) -> tuple[StoredEmbeddings, Model]:
    x = rng.random((512, 1, 8, 8)).astype(np.float32)
    sketch = rng.standard_normal((64, WIDE)) / 8
    secret = Data("secret clips", Modality.AUDIO, x[:128])
    public = Data("public clips", Modality.AUDIO, x[128:])
    model = _linear(Modality.AUDIO, lambda a: a.reshape(len(a), -1) @ sketch, WIDE)
    return _small(secret, public, Spectra(secret.x)), model


def _pairs(rng: Rng) -> tuple[StoredEmbeddings, Model]:
    captions, bags = _bags(rng, 512)
    image, text = (rng.standard_normal((TOKENS, WIDE)) / 8 for _ in range(2))
    x = np.concatenate([bags @ image, bags @ text], 1).astype(np.float32)
    # The towers undo what the features did, so that a picture and its caption meet.
    towers = [np.linalg.pinv(part) @ image for part in (image, text)]

    def query(pairs: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([pairs[:, :WIDE] @ towers[0], pairs[:, WIDE:] @ towers[1]], 1)

    def half(name: str, rows: slice) -> Data:
        facts = {"captions": captions[rows], "split": WIDE}
        return Data(name, Modality.PAIRED, x[rows], facts=facts)

    secret, public = half("secret pairs", slice(128)), half("public pairs", slice(128, None))
    part = _small(secret, public, Texts(captions[:128]))
    return replace(part, columns=(0, WIDE)), _linear(Modality.PAIRED, query, 2 * WIDE)


def _small(secret: Data, public: Data, matcher: Matcher) -> StoredEmbeddings:
    return StoredEmbeddings(secret, public, matcher, number=32, targets=24, known=96)


def _linear(modality: Modality, query: Callable[..., NDArray[Any]], width: int) -> Model:
    return Model("projection", modality, query, Output.EMBEDDINGS, width, offers=Access.EMBEDDINGS)


def _bags(rng: Rng, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    tokens = np.stack([rng.permutation(TOKENS)[:LENGTH] for _ in range(n)])
    return tokens, _counted(tokens)


def _counted(tokens: NDArray[Any]) -> NDArray[np.float64]:
    counts = np.zeros((len(tokens), TOKENS))
    rows, columns = np.nonzero((tokens >= 0) & (tokens < TOKENS))
    np.add.at(counts, (rows, tokens[rows, columns]), 1)
    return counts


def _rebuilt(outcome: Outcome, due: int) -> NDArray[Any]:
    found = outcome.asset
    if not isinstance(found, Data) or len(found) != due:
        raise RunError(f"{due} rebuilt records are due, one a stored embedding")
    return found.x
