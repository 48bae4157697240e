"""Scenes by name: embedded recipes, recipes of plugins and of users' files, live and dead scenes.

``audit.py:scene`` is a recipe in a user's file. ``live:membership`` is a scene that leaks
everything to its game, ``dead:membership`` one that leaks nothing; ``live:membership:language``
asks for a modality. They make the measurement visible: anyone can see what an attack reads from a
scene whose bits are known.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley import __version__, catalog
from hartley.core import Data, Game, Modality, Recipe, Scene, recipe, spawn
from hartley.core.code_digest import code_digest
from hartley.core.errors import HartleyError, MissingExtra, RunError, UnknownName, UsageError
from hartley.core.parameters import from_environment
from hartley.engine.plan.parameters import checked
from hartley.kit.cache import digest
from hartley.targets.python_object import code_of_object, is_object, load_object

TEST_SCENES = ("live", "dead")


def known() -> list[str]:
    """Return every scene's name, with the live and dead scenes."""
    games = [e.name for e in catalog.entries("game") if e.kind == "game" and not e.error]
    return [
        *(e.name for e in catalog.entries("scene") if e.kind == "scene"),
        *(f"{kind}:{game}" for game in games for kind in TEST_SCENES),
    ]


def check(name: str, params: Mapping[str, Any] | None = None) -> None:
    """Check the name and the parameters of a scene, before anything is built.

    Raises:
        UnknownName: no such scene; offers the nearest.
        UsageError: a parameter that its recipe does not take.
    """
    if name.partition(":")[0] in TEST_SCENES and ":" in name:
        _test_scene(name)
        if params:
            raise UsageError(f"the scene {name!r} takes no parameters, got {', '.join(params)}")
    else:
        part = _recipe(name)
        checked(part, params or {})


def declared_modality(name: str) -> Modality | None:
    """Return what the records of a scene are; None where its parameters or its files decide."""
    entry = next((e for e in catalog.entries("scene") if e.name == name and not e.error), None)
    if entry is None:
        return None
    part = _recipe(name)
    if any(parameter.name == "modality" for parameter in part.parameters):
        return None
    return part.modality


def build(name: str, params: Mapping[str, Any] | None = None) -> Scene:
    """Build a scene, or load what an earlier build left in the cache.

    Raises:
        UnknownName: no such scene; offers the nearest.
        MissingPack: its data was not fetched yet.
        MissingExtra: it needs a dependency that is not installed.
        RunError: its recipe failed.
    """
    check(name, params)
    if name.partition(":")[0] in TEST_SCENES and ":" in name:
        kind, game, modality = _test_scene(name)
        make = game.live if kind == "live" else game.dead
        # The name of a seed outlives the word: another one would be another scene.
        scene = make(modality, np.random.default_rng(spawn(0, "wire", name)))
        digest = hashlib.sha256(
            f"{name} {modality} {__version__}".encode("utf-8", "surrogatepass")
        ).hexdigest()
        return replace(scene, name=name, digest=scene.digest or digest)
    part = _recipe(name)
    process = os.getpid()
    try:
        values = checked(part, params or {})
        scene = part(**{**values, **from_environment(part.parameters)})
    except MissingExtra as error:
        raise _whole(error, part) from error
    except HartleyError:
        raise
    except ImportError as error:
        known_as = catalog.missing(error)
        if known_as is not None:
            raise _whole(known_as, part) from error
        raise RunError(f"the scene {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise RunError(f"the scene {name!r} failed: {type(error).__name__}: {error}") from error
    finally:
        if os.getpid() != process:  # the recipe has forked: the copy ends here
            os._exit(0)
    if not isinstance(scene, Scene):
        reason = f"the recipe {name!r} must return a Scene, got {type(scene).__name__}"
        if is_object(name):
            raise UsageError(
                f"{reason}; a network of your own is --model {name} with --weights, --train and "
                "--test"
            )
        raise RunError(reason)
    return scene if scene.digest else identified(name, scene, params or {})


def _whole(error: MissingExtra, part: Recipe) -> MissingExtra:
    """Name all extras that a scene needs and that are absent, so that one installation is enough.

    Where its modules are there, however they came, none is asked for.
    """
    return MissingExtra(error.module, error.extra, *catalog.absent(part.extras))


def identified(name: str, scene: Scene, params: Mapping[str, Any]) -> Scene:
    """Return a scene whose recipe gives no digest with one made of what is declared.

    Without a digest a run of last week's model would be taken for a run of today's. The digest
    covers the recipe's source, its parameters, its records and the identity that the model declares
    (``Model.identity``). Nothing is asked of the model: it may cost money, and answers that are
    alike but for rounding come from the same model. Where it declares no identity the scene is not
    resumable.
    """
    parts: dict[str, Any] = {"train": scene.train, "holdout": scene.holdout, **scene.extra}
    records = {key: part for key, part in parts.items() if isinstance(part, Data)}
    model = scene.model
    stated = {type(p).__name__: getattr(p, "identity", "") for p in scene.parts}
    content = digest(
        {
            **({"parts": stated} if any(stated.values()) else {}),
            "version": __version__,
            "name": name,
            "params": dict(params),
            "code": code_of_object(name)
            if is_object(name)
            else code_digest(catalog.find("scene", name).module),
            "records": {key: [part.x, part.y, part.edges] for key, part in records.items()},
            "model": None if model is None else model.identity,
        }
    )
    return replace(scene, digest=content, resumable=model is None or bool(model.identity))


def _recipe(name: str) -> Recipe:
    if is_object(name):
        return _of_file(name)
    if name not in {e.name for e in catalog.entries("scene")}:
        raise UnknownName("scene", name, known())
    part: Recipe = catalog.load("scene", name)
    return part


def _of_file(name: str) -> Recipe:
    """Return a recipe out of a user's file: one that is declared, or a function without arguments.

    Raises:
        UsageError: the name means something else.
    """
    part = load_object(name, "the scene")
    if isinstance(part, Recipe):
        return part
    if not callable(part):
        raise UsageError(
            f"the scene {name!r} must be a function that returns a hartley.Scene, got "
            f"{type(part).__name__}"
        )
    needed = [p.name for p in inspect.signature(part).parameters.values() if p.default is p.empty]
    if needed:
        raise UsageError(
            f"the scene {name!r} must be a function without arguments, got one that needs "
            f"{', '.join(needed)}"
        )
    # The scene itself says its modality; that of the declaration is only listed.
    return recipe(modality=Modality.TABULAR)(part)


def _test_scene(name: str) -> tuple[str, Game, Modality]:
    kind, _, remainder = name.partition(":")
    game_name, _, parameter = remainder.partition(":")
    if game_name not in {e.name for e in catalog.entries("game")}:
        raise UnknownName("scene", name, known())
    game: Game = catalog.load("game", game_name)
    if not parameter:
        return kind, game, game.modalities[0]
    if parameter not in set(Modality) or Modality(parameter) not in game.modalities:
        raise UnknownName("modality", parameter, [str(m) for m in game.modalities])
    return kind, game, Modality(parameter)
