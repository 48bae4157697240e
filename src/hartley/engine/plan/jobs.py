"""Jobs: the unit of work. A job is names, parameters and seeds, so it crosses a process as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PLAY, UTILITY = "play", "utility"


@dataclass(frozen=True, slots=True)
class Job:
    """Play one attack on a scene, or measure the scene's utility; perhaps behind one defence.

    Attributes:
        task: ``play`` or ``utility``.
        scene, scene_params: what is attacked.
        attack, params, game, game_params: empty for a utility job.
        defense, defense_params: empty where nothing was added to the scene.
        knowledge: ``static`` or ``adaptive`` behind a defence, else empty.
        seed, budget, alpha: of the plan.
        code: digest of the modules of the parts, so that an edited part is played again.
    """

    task: str
    scene: str
    scene_params: Mapping[str, Any] = field(default_factory=dict)
    attack: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    game: str = ""
    game_params: Mapping[str, Any] = field(default_factory=dict)
    defense: str = ""
    defense_params: Mapping[str, Any] = field(default_factory=dict)
    knowledge: str = ""
    seed: int = 0
    budget: int | None = None
    alpha: float = 0.05
    code: str = ""

    @property
    def key(self) -> str:
        """A file name that is the same for the same work and for no other."""
        text = json.dumps(asdict(self), sort_keys=True)
        words = [self.attack or "utility", self.defense, self.knowledge]
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return ".".join([*(word for word in words if word), digest])

    @property
    def group(self) -> tuple[str, str, str]:
        """Jobs of one group share a deal, so one worker should take them in a row."""
        return self.defense, self.game, repr(sorted(self.game_params.items()))

    @property
    def label(self) -> str:
        """What to call it in a progress line."""
        name = self.attack or f"utility of {self.scene}"
        knows = f" ({self.knowledge})" if self.knowledge else ""
        return f"{name} behind {self.defense}{knows}" if self.defense else name

    def dump(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def code_of(*modules: str) -> str:
    """Return a digest of the source files of modules, found without running them again."""
    state = hashlib.sha256()
    for module in modules:
        state.update(_source(module))
    return state.hexdigest()[:16]


@cache
def _source(module: str) -> bytes:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return module.encode()
    return hashlib.sha256(Path(spec.origin).read_bytes()).digest()
