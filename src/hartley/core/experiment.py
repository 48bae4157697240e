"""One experiment: which attacks, in which order, against what, by an attacker who knows what.

A row of a run is an experiment, not the name of an attack: the same attack with other parameters,
behind another defense or once more with fresh secrets is another row. Everything that is joined
(rows of defenses, charts, limits, stored files) is joined by its id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hartley.core.scene import Applied
from hartley.core.seeds import spawn
from hartley.core.taxonomy import Knowledge, Slot


@dataclass(frozen=True, slots=True)
class Stage:
    """One attack in a chain of one or more.

    Attributes:
        attack: its name.
        params: all its parameters, those left to their defaults too.
        game: the game that it plays.
        game_params: the parameters that the game is dealt with.
        slot: where what this attack brings home enters the scene of the next stage; None for the
            last stage.
    """

    attack: str
    params: Mapping[str, Any] = field(default_factory=dict)
    game: str = ""
    game_params: Mapping[str, Any] = field(default_factory=dict)
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """One line of the work list, and one row of a run.

    Attributes:
        scene: name of the scene.
        scene_params: parameters of its recipe.
        stages: attacks in order; without any, the experiment measures the scene's utility.
        defenses: every defense that is applied, those that are deployed first.
        knowledge: what the attacker knows of the defenses.
        replicate: 0, 1, …: the same experiment with fresh secrets and models.
        batch: 1, 2, …: the rounds that a look adds to those of the look before, with secrets and
            models of their own; 0 where all rounds are played at once.
        baseline: no defense was added to what is deployed; limits apply to these rows.
        deployed: how many of the defenses are deployed; a static attacker knows of these alone.
        sweep: settings besides that of the last stage, of which an attacker who knows the defenses
            chooses the best on tuning rounds; each gives the swept parameters by name.
        seed: of the run.
        budget: queries that each attack may ask, or None.
        alpha: error level of the bounds.
        loop: of one cluster of a closed loop, whose legs the stages are: the assets that it passes,
            doses, start and rounds, and in front of a defense ``settings``, what the attacker of
            each leg tries besides its own; empty for an attack or a chain.
        code: digest of the code that plays it, with the versions of the libraries.
    """

    scene: str
    scene_params: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    defenses: tuple[Applied, ...] = ()
    knowledge: Knowledge = Knowledge.NONE
    replicate: int = 0
    batch: int = 0
    baseline: bool = True
    deployed: int = 0
    sweep: tuple[Mapping[str, Any], ...] = ()
    seed: int = 0
    budget: int | None = None
    alpha: float = 0.05
    loop: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""

    @property
    def id(self) -> str:
        """A short name that the same experiment has in every run, such as ``lira-4c1f2a``.

        The seed, the error level, the budget, the sweep and the code are not part of it: they say
        how a run was made, and rows of two runs are compared by id.
        """
        return f"{self.label}-{self._digest('seed', 'budget', 'alpha', 'sweep', 'code')[:6]}"

    @property
    def key(self) -> str:
        """A file name that is the same for the same work by the same code, and for no other."""
        return f"{self.id}.{self._digest()[:12]}"

    @property
    def label(self) -> str:
        """The attacks by name, joined by ``+``."""
        if self.loop:
            return "loop"
        return "+".join(stage.attack for stage in self.stages) or "utility"

    @property
    def root_seed(self) -> int:
        """The seed of this replicate, and of this batch of it."""
        seed = spawn(self.seed, "replicate", self.replicate) if self.replicate else self.seed
        return spawn(seed, "batch", self.batch) if self.batch > 1 else seed

    @property
    def known_defenses(self) -> tuple[Applied, ...]:
        """The defenses that a static attacker knows of and prepares for: those of the baseline.

        A baseline row is static only where the attack can make nothing of what it knows.
        """
        return () if self.baseline else self.defenses[: self.deployed]

    @property
    def prefix(self) -> Experiment | None:
        """The experiment without its last stage, whose loot the last stage starts from."""
        return replace(self, stages=self.stages[:-1]) if len(self.stages) > 1 else None

    @property
    def group(self) -> tuple[str, ...]:
        """Experiments of one group share a deal, so one worker should take them in a row."""
        last = self.stages[-1] if self.stages else Stage("")
        return (
            _plain([asdict(stage) for stage in self.stages[:-1]]),
            _plain([asdict(applied) for applied in self.defenses]),
            last.game,
            _plain(dict(last.game_params)),
            str(self.replicate),
        )

    def words(self) -> str:
        """What to call it in a line of progress."""
        attacks = " then ".join(stage.attack for stage in self.stages)
        name = attacks or f"utility of {self.scene}"
        if self.loop:
            name = f"loop, cluster {self.replicate + 1}"
            defenses = " + ".join(defense.name for defense in self.defenses)
            return f"{name} behind {defenses}" if defenses else name
        if self.defenses:
            suffix = f" ({self.knowledge})" if self.stages else ""
            name += f" behind {' + '.join(defense.name for defense in self.defenses)}{suffix}"
        name += f", replicate {self.replicate}" if self.replicate else ""
        return name + (f", batch {self.batch}" if self.batch else "")

    def dump(self) -> dict[str, Any]:
        """Return it as plain values, to cross a process or to be stored."""
        plain: dict[str, Any] = json.loads(_plain(asdict(self)))
        return plain

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> Experiment:
        """Return the experiment that ``dump`` wrote."""
        stages = tuple(
            Stage(**{**stage, "slot": Slot(stage["slot"]) if stage.get("slot") else None})
            for stage in plain["stages"]
        )
        defenses = tuple(
            Applied(applied["name"], applied["params"]) for applied in plain["defenses"]
        )
        knowledge = Knowledge(plain["knowledge"])
        sweep = tuple(plain["sweep"])
        values = {"stages": stages, "defenses": defenses, "knowledge": knowledge, "sweep": sweep}
        return cls(**{**plain, **values})

    def _digest(self, *without: str) -> str:
        content = {name: value for name, value in asdict(self).items() if name not in without}
        # What is deployed follows from a baseline row; what is empty changes nothing.
        if self.baseline or not self.deployed:
            del content["deployed"]
        if not self.sweep:
            content.pop("sweep", None)
        if not self.batch:
            del content["batch"]
        if not self.loop:
            del content["loop"]
        return hashlib.sha256(_plain(content).encode()).hexdigest()


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_item)


def _item(value: Any) -> Any:
    """Let numpy's scalars and read-only mappings pass as what they are."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a plain value")
