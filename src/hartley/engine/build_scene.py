"""Scenes by name: the embedded recipes, plugins' recipes, and the live and dead scene of each game.

``live:membership`` is a scene that leaks everything to its game, ``dead:membership`` one that
leaks nothing; ``live:membership:language`` asks for a modality. They make the measurement visible:
anyone can see what an attack reads from a scene whose bits are known.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hartley import __version__, catalog
from hartley.core import Data, Game, Modality, Recipe, Scene, spawn
from hartley.core.code_digest import code_digest
from hartley.core.errors import HartleyError, RunError, UnknownName, UsageError
from hartley.core.parameters import from_environment
from hartley.engine.plan.parameters import checked
from hartley.kit.cache import digest

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
    recipe = _recipe(name)
    process = os.getpid()
    try:
        values = checked(recipe, params or {})
        scene = recipe(**{**values, **from_environment(recipe.parameters)})
    except HartleyError:
        raise
    except ImportError as error:
        raise catalog.missing(error) or RunError(f"the scene {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise RunError(f"the scene {name!r} failed: {type(error).__name__}: {error}") from error
    finally:
        if os.getpid() != process:  # the recipe has forked: the copy ends here
            os._exit(0)
    if not isinstance(scene, Scene):
        raise RunError(f"the recipe {name!r} must return a Scene, got {type(scene).__name__}")
    return scene if scene.digest else identified(name, scene, params or {})


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
    content = digest(
        {
            "version": __version__,
            "name": name,
            "params": dict(params),
            "code": code_digest(catalog.find("scene", name).module),
            "records": {key: [part.x, part.y, part.edges] for key, part in records.items()},
            "model": None if model is None else model.identity,
        }
    )
    return replace(scene, digest=content, resumable=model is None or bool(model.identity))


def _recipe(name: str) -> Recipe:
    if name not in {e.name for e in catalog.entries("scene")}:
        raise UnknownName("scene", name, known())
    part: Recipe = catalog.load("scene", name)
    return part


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
