"""Parts: games, attacks, defences and recipes are plain functions with a declaration beside them.

These are the records that the decorators of ``core.declare`` return. The file tree is the registry:
``attacks/<axis>/<class>/x.py`` holds the attack ``x``, and no list has to be edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hartley.core.scene import Deal, Outcome, Scene, View
from hartley.core.taxonomy import (
    AXES,
    EDITION,
    Access,
    AnswerForm,
    Axis,
    Flow,
    Modality,
    Role,
    Term,
)

if TYPE_CHECKING:
    import numpy as np

    Rng = np.random.Generator

TinyScene = Callable[[Modality, "Rng"], Scene]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword parameter of a part: a plain value, so it can be a flag, hashed and swept."""

    name: str
    default: Any
    kind: type
    help: str


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How an embedded scene is made: ``build(**params) -> Scene``, cached by its digest."""

    name: str
    build: Callable[..., Scene]
    modality: Modality
    packs: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""

    def __call__(self, **params: Any) -> Scene:
        """Build the scene, or load what an earlier build left in the cache."""
        return self.build(**params)


@dataclass(frozen=True, slots=True, eq=False)
class Game:
    """A threat class as a game: ``play(scene, rng, **params) -> Deal``."""

    name: str
    play: Callable[..., Deal]
    flow: Flow
    role: Role
    form: AnswerForm
    unit: str
    requires: tuple[str, ...]
    metrics: tuple[str, ...]
    live: TinyScene
    dead: TinyScene
    modalities: tuple[Modality, ...]
    loot: str
    paper: str
    axis_override: Axis | None = None
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""

    def axis(self, edition: str = EDITION) -> Axis:
        """The axis in that edition of Seed A's taxonomy."""
        if self.axis_override is not None:
            return self.axis_override
        return AXES[edition][self.name]

    def __call__(self, scene: Scene, rng: Rng, **params: Any) -> Deal:
        """Deal the secret."""
        return self.play(scene, rng, **params)


@dataclass(frozen=True, slots=True, eq=False)
class Attack:
    """An attack: ``run(view, rng, **params) -> Outcome``, blind to truth and to measurement."""

    name: str
    run: Callable[..., Outcome]
    game: Game
    access: Access
    term: Term
    modalities: tuple[Modality, ...]
    paper: str
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    game_params: Mapping[str, Any] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""

    def __call__(self, view: View, rng: Rng, **params: Any) -> Outcome:
        """Play one round."""
        return self.run(view, rng, **params)


@dataclass(frozen=True, slots=True, eq=False)
class Defense:
    """A defence: ``apply(scene, rng, **params) -> Scene``."""

    name: str
    apply: Callable[..., Scene]
    term: Term
    stage: str
    protects: tuple[str, ...]
    modalities: tuple[Modality, ...]
    paper: str
    strongest: Mapping[str, Any]
    requires: tuple[str, ...] = ()
    covers_only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""

    def covers(self, game: str, modality: Modality) -> bool:
        """Whether it claims to narrow that game in that modality."""
        return game in self.protects and modality in self.covers_only.get(game, self.modalities)

    def __call__(self, scene: Scene, rng: Rng, **params: Any) -> Scene:
        """Return the scene with the defence in it."""
        return self.apply(scene, rng, **params)
