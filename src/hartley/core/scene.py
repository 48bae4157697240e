"""Both sides of a game: the owner's scene, the adversary's view, and what passes between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hartley.core.assets import Asset, Data, Ensemble, Fit, Model, Output, TrainingPipeline
from hartley.core.brief import B
from hartley.core.errors import UsageError
from hartley.core.outbreak import Outbreak
from hartley.core.taxonomy import Access, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Applied:
    """A defense of a scene, by name and all its parameters; an adaptive attacker sees it.

    The engine writes it (``engine.defend.defended``), no defense does.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """A proved limit on what a scene can leak, for the theory ceiling.

    Attributes:
        kind: ``dp`` (epsilon, delta, mi_bits), ``gdp`` (mu), ``zcdp`` (rho), ``alphabet`` (bits a
            query).
        params: the numbers that the kind names.
        games: the games it speaks about; empty means all taps on the model.
    """

    kind: str
    params: Mapping[str, float]
    games: tuple[str, ...] = ()

    @property
    def private(self) -> bool:
        """Whether it is a claim of differential privacy, about one record more or less."""
        return self.kind in ("dp", "gdp", "zcdp")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scene settles for anyone who deals or plays on it and does not say otherwise.

    Attributes:
        rounds: victims that a game deals, by the game's name.
        references: reference models that are enough for an attacker, where each is dear; 0 leaves
            their number to the attack.
        sparing: whether an attacker trains no more reference models, up to that number, than still
            add to the attack.
        on_order: games that are played only where a plan names them.
        opens: what the scene would let attackers use besides, were it ordered to.
        opening: the flag that orders it.
        pictures: whether reports may hold a picture of one of its test records.
        seed: of the deployed model's training, for who trains it again.
    """

    rounds: Mapping[str, int] = field(default_factory=dict)
    references: int = 0
    sparing: bool = False
    on_order: frozenset[str] = frozenset()
    opens: Access = Access.NOTHING
    opening: str = "--set opened=true"
    pictures: bool = False
    seed: int = 0

    def rounds_of(self, game: str, requested: int, default: int) -> int:
        """Return the number of victims: the requested one, else the scene's, else the default."""
        return requested or self.rounds.get(game, default)


def part_names(kind: type) -> tuple[str, ...]:
    """Return the names under which a type of part is required: its own first, then its bases'.

    A class ``StoredEmbeddings`` is required as ``stored_embeddings``.
    """
    names = (base.__name__ for base in kind.__mro__[:-1])
    return tuple(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in names)


INSTEAD: Mapping[str, str] = {
    "planted_items": "corpus",
    "embedding_endpoint": "stored_embeddings",
}
"""What a scene may hold in place of a part that it is asked for."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The owner's side: what there is to attack, and how it was made.

    Attributes:
        name: the name on the command line.
        modality: what its records are.
        digest: sha256 of the recipe (code version, data digests, parameters); keys every cache.
        resumable: whether the digest identifies this scene. It does not where the
            recipe gives none and the model declares no identity: such a run is never continued.
        model: the deployed model, or None (pure data scenes).
        train: what the deployed model was trained on.
        holdout: records of the same law that it never saw.
        fit: the owner's training pipeline with every training-time defense in it, as an Ensemble
            maker; games train victims, whose secrets the auditor drew, with it by ``victims``.
        extra: other records by name: ``pool`` (auditor's population), ``test`` (for utility),
            ``public`` (attacker's records), ``carriers`` (photos for watermarks), ``corpus`` …
        training: how the owner trains, where a defense can change it; then its ``fit`` is the
            scene's.
        parts: what else the owner has, each an object of a type of its own (a ``Protection``, a
            ``Graph``, ``StoredEmbeddings``): read it with ``part`` or ``find``, replace it with
            ``with_part``. In ``requires`` a part goes by its type's name in small letters
            (``stored_embeddings``).
        defenses: those that are applied, oldest first.
        bounds: proved limits.
        utility: scene → {metric: value}, larger is better; called again after a defense. A value
            that carries its interval is a ``kit.figures.Figure``.
        settings: what games, defenses and attackers take from the scene where the player does not
            say otherwise.
        facts: plain values worth reporting (test accuracy, train accuracy, parameters …); nothing
            is read from them.
    """

    name: str
    modality: Modality
    digest: str = ""
    resumable: bool = True
    model: Model | None = None
    train: Data | None = None
    holdout: Data | None = None
    fit: Fit | None = None
    extra: Mapping[str, Data] = field(default_factory=dict)
    training: TrainingPipeline | None = None
    parts: tuple[Any, ...] = ()
    defenses: tuple[Applied, ...] = ()
    bounds: tuple[Bound, ...] = ()
    utility: Callable[[Scene], Mapping[str, float]] | None = None
    settings: Settings = field(default_factory=Settings)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the scene holds ``name``: a field that is not None, an extra, or a part.

        ``members`` are records whose membership can be asked about: a pool and a pipeline to train
        on its halves, or a deployed model with its training records and others, or with canaries
        that coins chose. ``planting`` is a pipeline to plant canaries with, or canaries that are
        planted already. ``private_training`` is a training that can clip the gradient of each
        record. ``generator`` is a deployed model that writes texts. ``planted_items`` are items
        that an auditor puts secrets into, or a corpus that messages are cut from.
        """
        planted = any("planted_canaries" in part_names(type(part)) for part in self.parts)
        if name == "members":
            pooled = self.fit is not None and "pool" in self.extra
            return self.model is not None and (
                pooled or planted or (self.train is not None and self.holdout is not None)
            )
        if name == "planting":
            return planted or (self.fit is not None and self.train is not None)
        if name == "generator":
            return self.model is not None and self.model.generate is not None
        if name == "private_training":
            return hasattr(self.training, "privately")
        names = {*self.extra}.union(*(part_names(type(part)) for part in self.parts))
        if {name, INSTEAD.get(name, name)} & names:
            return True
        fields = {"model", "train", "holdout", "fit", "training"}
        return name in fields and getattr(self, name) is not None

    def find(self, kind: type[P]) -> P | None:
        """Return the part of a type, or None where the scene has none."""
        return next((part for part in self.parts if isinstance(part, kind)), None)

    def part(self, kind: type[P]) -> P:
        """Return the part of a type.

        Raises:
            UsageError: the scene has none.
        """
        part = self.find(kind)
        if part is None:
            raise UsageError(f"the scene {self.name} has no {part_names(kind)[0]}")
        return part

    def with_part(self, part: Any) -> Scene:
        """Return the scene with a part; one of the same type goes."""
        others = (other for other in self.parts if type(other) is not type(part))
        return replace(self, parts=(*others, part))

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return which of ``names`` are absent, each once; for members, also what they need."""
        out = [name for name in dict.fromkeys(names) if not self.has(name)]
        if "planting" in out:
            out[out.index("planting")] = ", ".join(n for n in ("fit", "train") if not self.has(n))
        pooled = self.fit is not None and "pool" in self.extra
        needed = ("model",) if pooled else ("model", "train", "holdout")
        short = [name for name in needed if not self.has(name)]
        return [f"members ({', '.join(short)} missing)" if n == "members" else n for n in out]

    def victims(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train victims by the owner's pipeline; hand each out as an attacker may see it.

        A victim takes the place of the deployed model. So it offers what that offers, and an
        attacker who may train trains by the pipeline that they know, which is the deployed model's
        and not the owner's own.

        Args:
            data: the records that victims are trained on.
            include: (K, n) booleans, which victim is trained on which record.
            seed: of the training.

        Returns:
            K models. One that answers with embeddings where the deployed model answers with
            classes, or the other way round, keeps its own ``offers``.

        Raises:
            UsageError: the scene has no pipeline.
        """
        if self.fit is None:
            raise UsageError(f"{self.name}: fit must be a training pipeline, got None")
        trained, deployed = self.fit(data, include, seed), self.model
        if deployed is None:
            return trained

        def member(k: int) -> Model:
            victim = trained.member(k)
            embeds = {model.output is Output.EMBEDDINGS for model in (victim, deployed)}
            offers = deployed.offers if len(embeds) == 1 else victim.offers
            return victim.with_(fit=deployed.fit, offers=offers)

        return replace(trained, member=member)


@dataclass(frozen=True, slots=True)
class View(Generic[B]):
    """The attacker's side of one round. Arrays are read-only; the model is metered and sealed.

    Attributes:
        source: the asset that the attacker holds or may query.
        brief: everything else that the attacker knows, of the type that the game declares: the
            question, records of the attacker's own, budgets (see ``core.brief``).
        defenses: those that the attacker knows: all of them for an adaptive one, those that are
            deployed for a static one.
        salt: a seed that all attacks on the same deal share, so that what several of them need
            (reference models, say) is made once.
    """

    source: Asset | None
    brief: B
    defenses: tuple[Applied, ...] = ()
    salt: int = 0

    @property
    def model(self) -> Model:
        """The source, when it is a model.

        Raises:
            TypeError: the attacker holds data in this game, not a model.
        """
        if not isinstance(self.source, Model):
            raise TypeError("this game's source is data, not a model")
        return self.source

    @property
    def data(self) -> Data:
        """The source, when it is data.

        Raises:
            TypeError: the attacker faces a model in this game, not data.
        """
        if not isinstance(self.source, Data):
            raise TypeError("this game's source is a model, not data")
        return self.source


@dataclass(frozen=True, slots=True)
class Round:
    """One deal of the secret: a cluster, since everything in it shares one victim.

    Attributes:
        view: what the attacker sees; its brief is of the type that the game declares.
        truth: (m,) integers in 0..alphabet−1, drawn uniformly by the auditor.
        alphabet: number of symbols, or of candidates for ranks; more than two must be given.
    """

    view: View[Any]
    truth: NDArray[Any]
    alphabet: int = 2


BY_ATTACK = ("order", "observed", "cost_tokens", "cost_money")
"""Columns of the trials that an attack may fill: neither needs the truth, nor leaves a row out."""

BY_JUDGE = ("item", "split", "gain", "p_null", "poison_n", "distortion", "utility")
"""Columns that a judge may fill besides."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack returns: one guess a question, and its loot for the next attack.

    Attributes:
        guess: one answer a question.
        asset: the loot.
        posterior: how likely the attacker takes each symbol to be: (m, alphabet) rows that sum to
            1, or (m,) probabilities of symbol 1 of a secret bit. The engine looks up the true
            symbol's (``Trials.logq``), which an attack cannot.
        columns: (m,) columns of the trials that only the attacker knows, by names in
            ``BY_ATTACK``.
    """

    guess: NDArray[Any] | None = None
    asset: Asset | None = None
    posterior: NDArray[Any] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """What the judge read of one round.

    Attributes:
        guess: (m,) the received symbol (−1 = erased), score, or rank.
        reference: (m,) what is received without the attack, for a jam (same form as ``guess``).
        metrics: the class's usual metrics that need more than truth and guess (PSNR, clean
            accuracy, fidelity …), by name.
        cost: what the attacker spent, by unit (``poisons``, ``queries`` …).
        posterior: as of ``Outcome``; a judge that reads one answer a row passes it on (``of``).
        columns: (m,) columns of the trials, by names out of ``BY_ATTACK`` and ``BY_JUDGE``.
        pictures: what the attack did to one record, as plain values (``games.example_pictures``).
        seconds: of a service that worked on the attacker's order, such as a tuning: the attacker
            waits for it, so that it counts as their own time.
        dependent: what the attack drew once decides all rows of this round, so that the rounds are
            the units of dependence even where the game's rows are not (``Deal.cluster``).
        outbreak: of this round, where something spread among agents.
    """

    guess: NDArray[Any]
    reference: NDArray[Any] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    posterior: NDArray[Any] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    pictures: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    dependent: bool = False
    outbreak: Outbreak | None = None

    @classmethod
    def of(cls, outcome: Outcome, guess: NDArray[Any], **more: Any) -> Received:
        """Read one answer a row: with the posterior and the columns that the attack gave.

        Args:
            outcome: of the attack.
            guess: (m,) what was received.
            more: the other fields; ``columns`` here win over the attack's.
        """
        columns = {**outcome.columns, **more.pop("columns", {})}
        return cls(guess, posterior=outcome.posterior, columns=columns, **more)


Judge = Callable[[Sequence[Round], Sequence[Outcome]], Sequence[Received]]


@dataclass(frozen=True, slots=True)
class PriorLoot:
    """What an attacker holds of the victims of a deal, by the attacks before theirs in a chain.

    Attributes:
        queries: answers that all victims together gave for it.
        games: the games of the attacks that asked them.
        copies: whether copies are held in the place of the victims, who then answer no more.
    """

    queries: int
    games: tuple[str, ...]
    copies: bool


@dataclass(frozen=True, slots=True)
class Deal:
    """All rounds of one game on one scene, and who judges them.

    Attributes:
        rounds: each is a cluster, or part of one (``groups``).
        judge: all rounds and outcomes at once → what was received, so that it can train or decode
            in one batch. None: an attack's guesses are what was received.
        cluster: False when the trials of one round are independent given the deal (fresh victims
            inside), so that the rounds are not the units of dependence.
        groups: which cluster each round is in, where several rounds share what was drawn (a key);
            empty where each round is one.
        bounds: proved limits on one use, besides the scene's own.
        planted: whether the auditor drew the secrets; False where they existed before (a user's own
            model), so that no guarantee can be based on random draws of the auditor.
        unit: what one use is, where the parameters of the game change it; else the game's own.
        metrics: metrics of the deal itself, whatever the attack: floats, or {value, low, high, n}.
        sources: names of the data that ``item`` numbers the records of, each with the number of its
            first record, ascending; empty where a question is not about one record.
        judge_rates: (sensitivity, specificity, n) of a judge that says what a success is, measured
            on n items of each class; its bits are then beside each row.
        prior: what the attacker holds of the victims from the start; None outside of chains.
    """

    rounds: tuple[Round, ...]
    judge: Judge | None = None
    cluster: bool = True
    bounds: tuple[Bound, ...] = ()
    planted: bool = True
    unit: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[tuple[str, int], ...] = ()
    judge_rates: tuple[float, float, int] | None = None
    prior: PriorLoot | None = None
    groups: tuple[int, ...] = ()
