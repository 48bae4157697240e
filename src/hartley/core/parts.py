"""Parts: games, attacks, defenses and recipes are plain functions with a declaration beside them.

These are the records that the decorators of ``core.declare`` return, and the one table of what a
part may declare (see ``core.fields``): a new field is one line here. The file tree is the registry:
``games/<class>/x.py`` holds the game ``x``, ``attacks/<axis>/<class>/x.py`` the attack ``x``, and
no list has to be edited.
"""

# No ``from __future__ import annotations``: the annotations of the fields are what is checked.

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from hartley.core.assets import Data
from hartley.core.brief import mistake_in
from hartley.core.errors import did_you_mean
from hartley.core.fields import Matches, about, checked
from hartley.core.parameters import Parameter, parameters_of
from hartley.core.scene import Deal, Outcome, Scene, View
from hartley.core.taxonomy import (
    AXES,
    EDITION,
    Access,
    AnswerForm,
    Axis,
    Flow,
    Loot,
    Modality,
    Role,
    Slot,
    Term,
)

if TYPE_CHECKING:
    import numpy as np

    Rng = np.random.Generator

MOST_COMBINATIONS = 6
"""Combinations of settings that a sweep may make: each costs a play of the tuning rounds."""

TinyScene = Callable[[Modality, "Rng"], Scene]

Paper = Annotated[
    str,
    Matches(
        re.compile(r"^(arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/\S+|hartley)$"),
        "arXiv:NNNN.NNNNN, doi:10.… or hartley",
    ),
]

Stage = Literal["data", "training", "output", "budget", "marker", "cipher", "release", "system"]
"""Where a defense acts: on the records, in training, on the answers, on the number of questions, in
the owner's watermark, in the owner's cipher, in how a table is published or inside a system: in
what its agents may do and its stores may answer."""

STAGES: tuple[str, ...] = get_args(Stage)

DEFENSE_NAME: ContextVar[str] = ContextVar("DEFENSE_NAME", default="")
"""The defense that is being applied: what it puts around a model can name it in errors."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Part:
    """What every part has; its name, summary and parameters are read from its function.

    Raises:
        TypeError: a declared value is not what its field's annotation says, or a parameter of the
            function cannot be a flag (see ``core.parameters``).
    """

    name: str = field(init=False)
    parameters: tuple[Parameter, ...] = field(init=False)
    summary: str = field(init=False)

    def __post_init__(self) -> None:
        function = self.function
        notes = inspect.getdoc(function) or ""
        object.__setattr__(self, "name", function.__name__)
        object.__setattr__(self, "summary", notes.split("\n", 1)[0].strip())
        try:
            object.__setattr__(self, "parameters", parameters_of(function))
            checked(self)
            self._check_unfit()
            self._check()
        except TypeError as error:
            raise TypeError(f"{type(self).__name__.lower()} {self.name}: {error}") from None

    @property
    def kind(self) -> str:
        """``attack``, ``defense``, ``game`` or ``scene``."""
        return next(kind for kind, record in RECORDS.items() if isinstance(self, record))

    @property
    def function(self) -> Callable[..., Any]:
        """The function that was declared."""
        first = next(f for f in dataclasses.fields(self) if f.init)
        function: Callable[..., Any] = getattr(self, first.name)
        return function

    def _check(self) -> None:
        """Check what more than one field must agree on."""

    def _check_unfit(self) -> None:
        """Check that only modalities are excused that are left out, each with a reason."""
        unfit: Mapping[str, str] = getattr(self, "unfit", {})
        for name, reason in unfit.items():
            if name not in (others := self._left_out()) or not reason:
                raise TypeError(
                    f"unfit must say why each of some of {', '.join(others)} is left out, "
                    f"got {name!r}: {reason!r}"
                )

    def _left_out(self) -> list[str]:
        """Return what ``unfit`` may excuse: modalities that the part does not have."""
        fits = getattr(self, "modalities", ())
        return [str(modality) for modality in Modality if modality not in fits]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recipe(Part):
    """How an embedded scene is made: ``build(**params) -> Scene``, cached by its digest."""

    build: Callable[..., Scene] = field(kw_only=False)
    modality: Modality = field(metadata=about("what its records are", listed_as="modalities"))
    packs: tuple[str, ...] = field(
        default=(),
        metadata=about("packs that must be fetched before it can be built", listed_as="requires"),
    )
    extras: tuple[str, ...] = field(
        default=(),
        metadata=about("extras of Hartley that it is built and played with", listed_as="extras"),
    )

    def __call__(self, **params: Any) -> Scene:
        """Build the scene, or load what an earlier build left in the cache."""
        return self.build(**params)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Game(Part):
    """One game of a threat class: ``play(scene, rng, **params) -> Deal``.

    A class may have several games. Limits, the matrix and the taxonomies refer to the class;
    attacks and defenses name their game.
    """

    play: Callable[..., Deal] = field(kw_only=False)
    cls: str = field(
        default="",
        metadata=about("threat class it belongs to; by default its own name", listed_as="class"),
    )
    axis: Axis | None = field(
        default=None, metadata=about("only for a class that the taxonomy does not list")
    )
    flow: Flow = field(metadata=about("the information flow it rides on (Seed B)"))
    role: Role = field(metadata=about("tap, inject or jam"))
    form: AnswerForm = field(metadata=about("the form of one answer"))
    unit: str = field(metadata=about("what one use is, in a word or two"))
    live: TinyScene = field(metadata=about("(modality, rng) → a tiny scene that leaks everything"))
    dead: TinyScene = field(metadata=about("(modality, rng) → a tiny scene that leaks nothing"))
    alike: TinyScene | None = field(
        default=None,
        metadata=about(
            "another live scene, whose items share what a key draws: defenses may claim what holds "
            "there",
            listed=False,
        ),
    )
    modalities: tuple[Modality, ...] = field(
        metadata=about("modalities that the game is defined for")
    )
    unfit: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about("modalities that it leaves out, each with why"),
    )
    brief: type = field(
        metadata=about(
            "frozen dataclass of what the attacker knows besides the asset they attack",
            listed=False,
        )
    )
    requires: tuple[str, ...] = field(
        default=(), metadata=about("what a scene must hold (see ``Scene.has``)")
    )
    metrics: tuple[str, ...] = field(
        default=(), metadata=about("names of the usual metrics that its channels carry")
    )
    loot: Literal["data", "model", "any"] = field(
        default="any", metadata=about("kind of asset that an attack must return")
    )
    paper: Paper = field(default="arXiv:2603.24857", metadata=about("where the class is defined"))
    accepts: tuple[Slot, ...] = field(
        default=(), metadata=about("slots by which another attack's loot can enter its scene")
    )
    targets: Callable[..., Data] | None = field(
        default=None,
        metadata=about(
            "(scene, count) → the records that an attack before this game is aimed at", listed=False
        ),
    )
    aim: Callable[..., View[Any] | tuple[View[Any], ...]] | None = field(
        default=None,
        metadata=about(
            "(scene, target, rng, **parameters) → the view of its attacks when they are aimed at "
            "the targets or at a victim of another game; several views, whose loot is joined, "
            "where an attack brings home one record of each",
            listed=False,
        ),
    )
    aim_requires: tuple[str, ...] = field(
        default=(),
        metadata=about("what a scene must hold for ``aim`` (see ``Scene.has``)", listed=False),
    )
    aim_requires_by: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=about("what it must hold besides, by modality", listed=False),
    )
    aims_at: Literal["records", "model"] = field(
        default="records",
        metadata=about(
            "what ``aim`` takes as its target: records that the next game asks about, or a model, "
            "which is each victim of the next game or the deployed one"
        ),
    )

    def needed_to_aim(self, modality: Modality) -> tuple[str, ...]:
        """What a scene of a modality must hold for ``aim``."""
        return (*self.aim_requires, *self.aim_requires_by.get(str(modality), ()))

    def axis_in(self, edition: str = EDITION) -> Axis:
        """The axis in that edition of Seed A's taxonomy."""
        return self.axis if self.axis is not None else AXES[edition][self.cls]

    def _check(self) -> None:
        object.__setattr__(self, "cls", self.cls or self.name)
        if self.axis is None and self.cls not in AXES[EDITION]:
            near = did_you_mean(self.cls, AXES[EDITION])
            way = " A new class must declare axis=…" if near else "; declare axis=…"
            raise TypeError(f"its class {self.cls!r} is not in the taxonomy{near}{way}")
        if mistake := mistake_in(self.brief):
            raise TypeError(mistake)

    def __call__(self, scene: Scene, rng: "Rng", **params: Any) -> Deal:
        """Deal the secret."""
        return self.play(scene, rng, **params)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Attack(Part):
    """An attack: ``run(view, rng, **params) -> Outcome``, blind to truth and to measurement."""

    run: Callable[..., Outcome] = field(kw_only=False)
    game: Game = field(metadata=about("the game it plays"))
    access: Access = field(metadata=about("what it uses; everything else is hidden from it"))
    term: Term = field(metadata=about("the term of Seed B's formula that it works on"))
    modalities: tuple[Modality, ...] = field(metadata=about("modalities that it can play"))
    unfit: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about("modalities that it leaves out, each with why"),
    )
    paper: Paper = field(metadata=about("``arXiv:…``, ``doi:…``, or ``hartley`` for our own"))
    requires: tuple[str, ...] = field(
        default=(), metadata=about("what a scene must hold beyond what the game requires")
    )
    tags: tuple[str, ...] = field(
        default=(), metadata=about("further framework ids, ``scheme:edition:id``")
    )
    game_params: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=about(
            "parameters that the game is dealt with for this attack; attacks that settle the same "
            "share a deal"
        ),
    )
    adapts: Literal[True, False, "trains"] = field(
        default=False,
        metadata=about(
            'how it uses what it knows of the defenses: True where it reads them, "trains" where '
            "it trains reference models behind them, False where an adaptive attacker would play "
            "it as a static one does"
        ),
    )
    sweep: Mapping[str, tuple[Any, ...]] = field(
        default_factory=dict,
        metadata=about(
            "values of its own parameters that an adaptive attacker tries against a defense, by "
            "name; at most 6 combinations"
        ),
    )
    loot: Loot = field(default=Loot.RECORDS, metadata=about("what kind of asset it brings home"))
    control: bool = field(
        default=False,
        metadata=about(
            "whether it is a control of chains: it must read nothing, and is played where a plan "
            "names it"
        ),
    )
    together: str = field(
        default="",
        metadata=about(
            "a function of its module, (views, rngs, **params) → outcomes, that plays all rounds "
            "of a deal at once with the results of one by one; what serves all is asked once",
            listed=False,
        ),
    )
    light: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=about(
            "parameters of a setting that costs less and still reads a live scene; conformance "
            "plays dead, noisy and defended scenes at it",
            listed=False,
        ),
    )
    expected_failures: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about("conformance checks it cannot pass, each with its reason", listed=False),
    )

    def _check(self) -> None:
        parameters = {parameter.name: parameter for parameter in self.parameters}
        for name, values in self.sweep.items():
            if name not in parameters:
                raise TypeError(f"sweep must name parameters of the attack, got {name!r}")
            if not values or len({*values}) < len(values):
                raise TypeError(f"sweep must give {name} different values, got {values!r}")
            for value in values:
                if mistake := parameters[name].mistake(value):
                    raise TypeError(f"in sweep, {mistake}")
        count = prod(map(len, self.sweep.values()))
        if count > MOST_COMBINATIONS:
            raise TypeError(
                f"sweep must make at most {MOST_COMBINATIONS} combinations, got {count}"
            )

    def __call__(self, view: View[Any], rng: "Rng", **params: Any) -> Outcome:
        """Play one round."""
        return self.run(view, rng, **params)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Defense(Part):
    """A defense: ``apply(scene, rng, **params) -> Scene``."""

    apply: Callable[..., Scene] = field(kw_only=False)
    term: Term = field(metadata=about("the term of Seed B's formula that it works on"))
    stage: Stage = field(metadata=about("where it acts"))
    protects: tuple[str, ...] = field(metadata=about("names of the games that it should narrow"))
    modalities: tuple[Modality, ...] = field(metadata=about("modalities that it can protect"))
    unfit: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about(
            "modalities that it leaves out, or ``GAME MODALITY`` for one that it leaves out of a "
            "game, each with why"
        ),
    )
    paper: Paper = field(metadata=about("``arXiv:…``, ``doi:…``, or ``hartley`` for our own"))
    strongest: Mapping[str, Any] = field(
        metadata=about(
            "parameters of its strongest setting, at which a live scene must narrow", listed=False
        )
    )
    requires: tuple[str, ...] = field(default=(), metadata=about("what a scene must hold"))
    keeps_proof: bool = field(
        default=False,
        metadata=about(
            "whether privacy that was proved of the training before it is still proved after it"
        ),
    )
    covers_only: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=about(
            "games that it narrows in fewer modalities than it fits, by name, with those "
            "modalities as words"
        ),
    )
    usual: Callable[[Scene], Mapping[str, Any]] | None = field(
        default=None,
        metadata=about(
            "(scene) → the values of parameters that are 0 by default, where 0 leaves the choice "
            "to the defense",
            listed=False,
        ),
    )
    idle: Callable[[str, Mapping[str, Any]], str] | None = field(
        default=None,
        metadata=about(
            "(game that it protects, parameters) → why it does nothing there at these parameters, "
            "or an empty string",
            listed=False,
        ),
    )
    expected_failures: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about("conformance checks it cannot pass, each with its reason", listed=False),
    )

    def settled(self, scene: Scene, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return its parameters as they act on a scene: what is 0 has the usual value."""
        defaults = {} if self.usual is None else self.usual(scene)
        return {name: value or defaults.get(name, value) for name, value in params.items()}

    def covers(self, game: str, modality: Modality) -> bool:
        """Whether it claims to narrow that game in that modality."""
        return game in self.protects and modality in self.covers_only.get(game, self.modalities)

    def idle_in(self, game: str, params: Mapping[str, Any]) -> str:
        """Return why it does nothing in a game at these parameters, or an empty string."""
        return "" if self.idle is None else self.idle(game, params)

    def _left_out(self) -> list[str]:
        """Return modalities, and a game with one that ``covers_only`` leaves out of it."""
        cells = [(game, m) for game in self.covers_only for m in self.modalities]
        some = [f"{game} {m}" for game, m in cells if not self.covers(game, m)]
        return [*Part._left_out(self), *some]

    def _check(self) -> None:
        for name, covered in self.covers_only.items():
            if name not in self.protects or not covered or not {*covered} <= {*self.modalities}:
                raise TypeError(
                    "covers_only must name games of protects, each with some of modalities, "
                    f"got {dict(self.covers_only)!r}"
                )

    def __call__(self, scene: Scene, rng: "Rng", **params: Any) -> Scene:
        """Return the scene with the defense in it."""
        values = {parameter.name: parameter.default for parameter in self.parameters} | params
        token = DEFENSE_NAME.set(self.name)
        try:
            return self.apply(scene, rng, **self.settled(scene, values))
        finally:
            DEFENSE_NAME.reset(token)


RECORDS: Mapping[str, type[Part]] = {
    "attack": Attack,
    "defense": Defense,
    "game": Game,
    "scene": Recipe,
}
"""The record of each kind of part."""
