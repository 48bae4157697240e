"""Embedding inversion: does a stolen vector database reveal the records that were embedded?

The owner stores embeddings of secret records. The attacker has the stored embeddings and may embed
their own records with the encoder. Each target is one of N secret records, drawn by the auditor. A
rebuilt record is compared with all N in the space of records (``games.inversion.matching``), so
that the encoder does not influence the judge.
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
    Stronger,
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
"""Default number of databases."""

Keep = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Embeddings (n, d) of the encoder → embeddings as stored."""


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """A vector database of embeddings of secret records.

    Attributes:
        secret: the owner's records; the attacker has none of them.
        public: the attacker's records.
        matcher: identifies rebuilt records among records of ``secret``.
        columns: first and last column of the encoder's answers that are stored; None stores all.
        keep: functions that the owner applies to embeddings before storing them.
        number: N, the number of candidates of each target.
        targets: number of targets per round.
        known: number of records of ``public`` that are in the stolen database too, because the
            attacker had them stored (as a customer of the service, for example).
        most: largest number of bits that a stored embedding can contain; 0 means no proven limit.
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
        """The attacker may query the encoder for embeddings."""
        return Access.EMBEDDINGS

    def stored(self, model: Model, x: NDArray[Any]) -> NDArray[Any]:
        """Return the stored embeddings (n, d) of records ``x`` (n, …).

        Raises:
            UsageError: the model does not answer with embeddings.
        """
        if model.output is not Output.EMBEDDINGS:
            raise UsageError(
                f"{model.name!r} must answer with embeddings to be stored, got {model.output}"
            )
        embeddings = np.asarray(model.query(x))
        if self.columns is not None:
            embeddings = embeddings[:, slice(*self.columns)]
        for change in self.keep:
            embeddings = change(embeddings)
        return embeddings


def live(modality: Modality, rng: Rng) -> Scene:
    """A database of linear embeddings of random records."""
    return _scene(modality, rng, leaks=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A database of embeddings of other records than those in question."""
    return _scene(modality, rng, leaks=False)


@dataclass(frozen=True, slots=True)
class EmbeddingInversionBrief:
    """What an attacker of embedding inversion knows.

    Attributes:
        question: its ``x`` (m, d) are the stolen embeddings; the loot is one record for each.
        public: the attacker's records, which the encoder embeds.
        number: number of candidates of each target.
        known: (k, d) stored embeddings of the first k records of ``public``, or None.
        columns: first and last column of the encoder's answers that are stored; None stores all.
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
    scene: Scene, rng: Rng, *, rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0
) -> Deal:
    """Store embeddings of secret records; the attacker rebuilds the records from them.

    Args:
        rounds: number of databases, each with its own targets; 0 takes the scene's default.

    Raises:
        UsageError: there are fewer secret records than candidates, or the model does not embed.
    """
    part = scene.part(StoredEmbeddings)
    rounds = scene.settings.rounds_of("embedding_inversion", rounds, ROUNDS)
    assert scene.model is not None
    if len(part.secret) < part.number:
        raise UsageError(
            f"secret records must be at least the {part.number} candidates, got {len(part.secret)}"
        )
    model = replace(scene.model, offers=scene.model.offers | part.grants)
    pairs = part.stored(model, part.public.x[: part.known]) if part.known else None
    candidate_rows, dealt_rounds = [], []
    for _ in range(rounds):
        rows = rng.choice(len(part.secret), part.number, replace=False)
        truth = rng.integers(0, part.number, part.targets)
        stored = part.stored(model, part.secret.x[rows[truth]])
        candidate_rows.append(rows)
        dealt_rounds.append(
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
    dealt_rounds = [
        replace(round_, view=replace(round_.view, salt=salt)) for round_ in dealt_rounds
    ]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> Sequence[Received]:
        symbols: list[NDArray[Any]] = []
        metrics: list[Mapping[str, float]] = []
        for rows, round_, outcome in zip(candidate_rows, dealt, outcomes, strict=True):
            guess, matched = part.matcher(_rebuilt(outcome, len(round_.truth)), rows, round_.truth)
            symbols.append(guess)
            metrics.append(matched)
        return answers(dealt, symbols, metrics)

    # The encoder is fixed, and targets are drawn independently: a row is a cluster of its own.
    bounds = (Bound("entropy", {"bits": part.most}),) if part.most else ()
    return Deal(tuple(dealt_rounds), judge=judge, cluster=False, bounds=bounds)


def _scene(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    """Return a tiny database of linear embeddings of random records, or of unrelated ones.

    The encoder is a random projection of the bag of tokens (language), of the record (audio), or of
    the bag of a caption's tokens, which is in both halves of a record (paired).
    """
    make = {Modality.LANGUAGE: _texts, Modality.AUDIO: _sounds, Modality.PAIRED: _pairs}
    part, model = make[modality](rng)
    if not leaks:

        def unrelated(embeddings: NDArray[Any]) -> NDArray[Any]:
            generator = np.random.default_rng(spawn(0, digest(embeddings)))
            rows = generator.integers(0, len(part.public), len(embeddings))
            unprotected = replace(part, keep=())
            return unprotected.stored(model, part.public.x[rows])

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
        return _count(tokens) @ sketch

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
    # The encoders invert the features, so that a picture and its caption have one embedding.
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
    return tokens, _count(tokens)


def _count(tokens: NDArray[Any]) -> NDArray[np.float64]:
    counts = np.zeros((len(tokens), TOKENS))
    rows, columns = np.nonzero((tokens >= 0) & (tokens < TOKENS))
    np.add.at(counts, (rows, tokens[rows, columns]), 1)
    return counts


def _rebuilt(outcome: Outcome, count: int) -> NDArray[Any]:
    loot = outcome.asset
    if not isinstance(loot, Data) or len(loot) != count:
        raise RunError(f"the loot must be {count} rebuilt records, one per stored embedding")
    return loot.x
