"""The decorators that turn a function into a part, and check what it declares.

Arguments are written as literals of the enums, because the catalogue reads them from the syntax
tree without importing anything.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hartley.core.parts import Attack, Defense, Game, Parameter, Recipe, TinyScene
from hartley.core.scene import Deal, Outcome, Scene
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

PAPER = re.compile(r"^(arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/\S+|hartley)$")

STAGES = ("data", "training", "output", "budget", "marker", "cipher")
"""Where a defence stands: on the records, in training, on the answers, on the number of questions,
in the owner's watermark or in the owner's cipher."""


def recipe(
    *, modality: Modality, packs: tuple[str, ...] = ()
) -> Callable[[Callable[..., Scene]], Recipe]:
    """Declare the recipe of a scene: ``scenes/x.py`` holds the recipe ``x``.

    Args:
        modality: what its records are.
        packs: packs that must have been fetched before it can be built.
    """

    def wrap(function: Callable[..., Scene]) -> Recipe:
        return Recipe(
            name=function.__name__,
            build=function,
            modality=modality,
            packs=packs,
            parameters=_parameters(function),
            summary=_summary(function),
        )

    return wrap


def game(
    *,
    flow: Flow,
    role: Role,
    form: AnswerForm,
    unit: str,
    live: TinyScene,
    dead: TinyScene,
    modalities: tuple[Modality, ...],
    requires: tuple[str, ...] = (),
    metrics: tuple[str, ...] = (),
    loot: str = "any",
    paper: str = "arXiv:2603.24857",
    axis: Axis | None = None,
) -> Callable[[Callable[..., Deal]], Game]:
    """Declare a game.

    Args:
        flow: the information flow it rides on (Seed B).
        role: tap, inject or jam.
        form: the form of one answer.
        unit: what one use is, in a word or two.
        live: (modality, rng) → a tiny scene that leaks everything.
        dead: (modality, rng) → a tiny scene that leaks nothing.
        modalities: modalities the game is defined for.
        requires: what a scene must hold (see ``Scene.has``).
        metrics: names of the usual metrics that its channels carry.
        loot: kind of asset an attack must return: ``data``, ``model`` or ``any``.
        paper: where the class is defined.
        axis: only for a class that the taxonomy does not list.
    """

    def wrap(function: Callable[..., Deal]) -> Game:
        name = function.__name__
        if axis is None and name not in AXES[EDITION]:
            raise TypeError(f"game {name!r} is not in the taxonomy; declare axis=…")
        return Game(
            name=name,
            play=function,
            flow=flow,
            role=role,
            form=form,
            unit=unit,
            requires=requires,
            metrics=metrics,
            live=live,
            dead=dead,
            modalities=modalities,
            loot=loot,
            paper=_paper(name, paper),
            axis_override=axis,
            parameters=_parameters(function),
            summary=_summary(function),
        )

    return wrap


def attack(
    *,
    game: Game,
    access: Access,
    term: Term,
    modalities: tuple[Modality, ...],
    paper: str,
    requires: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    game_params: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Outcome]], Attack]:
    """Declare an attack.

    Args:
        game: the game it plays.
        access: what it uses; everything else is hidden from it.
        term: the term of Seed B's formula it works on.
        modalities: modalities it can play.
        paper: ``arXiv:…``, ``doi:…``, or ``hartley`` for our own.
        requires: what a scene must hold beyond what the game requires.
        tags: further framework ids, ``scheme:edition:id``.
        game_params: parameters that the game is dealt with for this attack, for example
            ``{"release": "gradients"}``: what it needs the owner to have let out. Attacks that ask
            alike share a deal.
        expected_failures: conformance checks it cannot pass, each with its reason.
    """

    def wrap(function: Callable[..., Outcome]) -> Attack:
        return Attack(
            name=function.__name__,
            run=function,
            game=game,
            access=access,
            term=term,
            modalities=modalities,
            paper=_paper(function.__name__, paper),
            requires=requires,
            tags=tags,
            game_params=MappingProxyType(dict(game_params or {})),
            expected_failures=MappingProxyType(dict(expected_failures or {})),
            parameters=_parameters(function),
            summary=_summary(function),
        )

    return wrap


def defense(
    *,
    term: Term,
    stage: str,
    protects: tuple[str, ...],
    modalities: tuple[Modality, ...],
    paper: str,
    strongest: Mapping[str, Any],
    requires: tuple[str, ...] = (),
    covers_only: Mapping[str, tuple[str, ...]] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Scene]], Defense]:
    """Declare a defence.

    Args:
        term: the term of Seed B's formula it works on.
        stage: where it stands, one of ``STAGES``.
        protects: names of the games it should narrow.
        modalities: modalities it can guard.
        paper: ``arXiv:…``, ``doi:…``, or ``hartley`` for our own.
        strongest: parameters of its strongest setting, at which a live wire must narrow.
        requires: what a scene must hold.
        covers_only: games that it narrows in fewer modalities than it fits, by name, with those
            modalities as words: ``{"membership": ("paired",)}``.
        expected_failures: conformance checks it cannot pass, each with its reason.
    """
    for name, covered in (covers_only or {}).items():
        if name not in protects or not covered or not {*covered} <= {*modalities}:
            raise TypeError(
                f"covers_only={covers_only!r} names a game or a modality that is not claimed at all"
            )
    if stage not in STAGES:
        raise TypeError(f"stage={stage!r} is not one of {', '.join(STAGES)}")

    def wrap(function: Callable[..., Scene]) -> Defense:
        return Defense(
            name=function.__name__,
            apply=function,
            term=term,
            stage=stage,
            protects=protects,
            modalities=modalities,
            paper=_paper(function.__name__, paper),
            strongest=MappingProxyType(dict(strongest)),
            requires=requires,
            covers_only=MappingProxyType(dict(covers_only or {})),
            expected_failures=MappingProxyType(dict(expected_failures or {})),
            parameters=_parameters(function),
            summary=_summary(function),
        )

    return wrap


def _paper(name: str, paper: str) -> str:
    if not PAPER.match(paper):
        raise TypeError(f"{name}: paper={paper!r} is not arXiv:NNNN.NNNNN, doi:… or hartley")
    return paper


def _summary(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").split("\n", 1)[0].strip()


def _parameters(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Keyword parameters with their defaults and their line of the docstring's ``Args:``."""
    notes = _notes(inspect.getdoc(function) or "")
    found = []
    for one in inspect.signature(function).parameters.values():
        if one.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if not isinstance(one.default, bool | int | float | str):
            raise TypeError(
                f"{function.__name__}: parameter {one.name!r} needs a plain default "
                "(bool, int, float or str), so that it can be a flag"
            )
        found.append(Parameter(one.name, one.default, type(one.default), notes.get(one.name, "")))
    return tuple(found)


def _notes(doc: str) -> dict[str, str]:
    """Parse a Google docstring's ``Args:`` into one line a parameter."""
    notes: dict[str, str] = {}
    inside, last = False, ""
    for line in doc.splitlines():
        if line.strip() in {"Args:", "Arguments:"}:
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
        elif inside and (match := re.match(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$", line)):
            last = match[1]
            notes[last] = match[2].strip()
        elif inside and last and line.startswith(" " * 8):
            notes[last] += " " + line.strip()
    return notes
