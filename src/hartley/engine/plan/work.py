"""How much work a run is: seconds of each job, known or judged by jobs like it.

A job that an earlier run played takes what it took there. Any other takes what its attack takes
without a defense, times what the defense costs, times the number of plays: attacks that choose
among settings play each on a quarter of the rounds. A defense that was not played yet costs what
those of its stage do in the mean: one that trains anew costs more than one that changes answers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hartley import catalog
from hartley.core import Experiment
from hartley.core.errors import HartleyError
from hartley.engine.run.tuning import SHARE

PRIOR = 2.0
"""Jobs, or defenses of a stage, as many as which what is believed beforehand counts."""
UTILITY = "utility"
EVERY = 100
"""Of this many parts of a run: jobs that are left are judged anew after each."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the seconds of a job depend on.

    Attributes:
        attack: with its settings; of a chain all attacks.
        game: of the last attack; ``utility`` where the job measures that.
        defenses: names of all that are applied, joined by ``+``.
        stage: where they act, joined alike.
        plays: of the rounds: 1, and a share for each setting that is tried.
    """

    attack: str
    game: str
    defenses: str
    stage: str
    plays: float

    @classmethod
    def of(cls, job: Experiment) -> Kind:
        """Return the kind of a job."""
        stages = [(s.attack, sorted((k, str(v)) for k, v in s.params.items())) for s in job.stages]
        tried = (1 + len(job.sweep)) / SHARE if job.sweep else 0.0
        return cls(
            attack=str(stages) if stages else UTILITY,
            game=job.stages[-1].game if job.stages else UTILITY,
            defenses="+".join(defense.name for defense in job.defenses),
            stage="+".join(sorted({_stage(defense.name) for defense in job.defenses})),
            plays=1.0 + tried,
        )


@dataclass(slots=True)
class Costs:
    """What jobs cost, judged by those that were played.

    Attributes:
        played: kind and seconds of each.
    """

    played: list[tuple[Kind, float]] = field(default_factory=list)
    _attacks: dict[str, float] = field(default_factory=dict)
    _games: dict[str, float] = field(default_factory=dict)
    _usual: float = 1.0
    _factors: dict[tuple[str, str], float] = field(default_factory=dict)
    _stages: dict[tuple[str, str], float] = field(default_factory=dict)

    def fit(self) -> None:
        """Judge attacks by their rows without a defense, then defenses by what they add."""
        bare = defaultdict[str, list[float]](list)
        every = defaultdict[str, list[float]](list)
        of_game = defaultdict[str, list[float]](list)
        for kind, seconds in self.played:
            each = seconds / kind.plays
            every[kind.attack].append(each)
            of_game[kind.game].append(each)
            if not kind.defenses:
                bare[kind.attack].append(each)
        self._attacks = {name: _mean(bare.get(name) or rows) for name, rows in every.items()}
        self._games = {game: _mean(rows) for game, rows in of_game.items()}
        self._usual = _mean([seconds / kind.plays for kind, seconds in self.played]) or 1.0
        spent, plain = defaultdict[Any, float](float), defaultdict[Any, float](float)
        stages: dict[str, str] = {}
        for kind, seconds in self.played:
            if kind.defenses:
                stages[kind.defenses] = kind.stage
                for key in ((kind.defenses, kind.game), (kind.defenses, "")):
                    spent[key] += seconds
                    plain[key] += self._attacks[kind.attack] * kind.plays
        weight = PRIOR * self._usual
        self._factors, of_stage = {}, defaultdict[Any, list[float]](list)
        for key in sorted(spent, key=lambda key: key[1]):  # that of all games comes first
            mean = self._factors.get((key[0], ""), 1.0)
            self._factors[key] = (spent[key] + weight * mean) / (plain[key] + weight)
            of_stage[stages[key[0]], key[1]].append(math.log(self._factors[key]))
        # One of a few may be dear by far: the mean of logarithms, drawn towards a factor of 1.
        self._stages = {k: math.exp(sum(v) / (len(v) + PRIOR)) for k, v in of_stage.items()}

    def of(self, kind: Kind) -> float:
        """Return the seconds that a job of a kind is expected to take."""
        base = self._attacks.get(kind.attack)
        if base is None:
            base = self._games.get(kind.game, self._usual)
        if not kind.defenses:
            return base * kind.plays
        for table, name in ((self._factors, kind.defenses), (self._stages, kind.stage)):
            for game in (kind.game, ""):
                if (factor := table.get((name, game))) is not None:
                    return base * factor * kind.plays
        return base * kind.plays


class WorkLeft:
    """Says, while a run is played, which share of its work is done.

    Args:
        jobs: that are to be played.
        known: seconds by id of jobs that earlier runs played, on this machine or on another.
        done: of this run, what was played before it was stopped.
    """

    def __init__(
        self,
        jobs: Sequence[Experiment],
        known: Mapping[str, float],
        done: Iterable[tuple[Experiment, float]] = (),
    ) -> None:
        self._known = known
        self._costs = Costs([(Kind.of(job), seconds) for job, seconds in done])
        self._left = {job.key: (job.id, Kind.of(job)) for job in jobs}
        self._every, self._since = max(1, len(jobs) // EVERY), 0
        self._spent = self._as_known = self._with_known = 0.0
        self._expected: dict[str, float] = {}
        self._judge()

    @property
    def seconds(self) -> float:
        """Seconds that the jobs which are left are expected to take, one after the other."""
        return sum(self._expected.values())

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the jobs that are left."""
        return frozenset(self._left)

    @property
    def known(self) -> bool:
        """Whether anything is known of what the jobs take that are left."""
        return bool(self._costs.played) or any(n in self._known for n, _ in self._left.values())

    def ended(self, job: Experiment, seconds: float) -> float:
        """Take note that a job has ended; return the share of the work that is done, 0..1."""
        name, kind = self._left.pop(job.key)
        self._expected.pop(job.key)
        self._spent += seconds
        self._costs.played.append((kind, seconds))
        if name in self._known:
            self._as_known += self._known[name]
            self._with_known += seconds
        self._since += 1
        if self._since >= self._every:
            self._judge()
        whole = self._spent + self.seconds
        return self._spent / whole if whole > 0 else 1.0

    def _judge(self) -> None:
        self._since = 0
        speed = self._with_known / self._as_known if self._as_known > 0 else 1.0
        costs = self._costs
        if not costs.played:
            # Nothing was played yet: others are like those that are known.
            known = {name: s for name, s in self._known.items() if s > 0}
            costs = Costs([(kind, known[n]) for n, kind in self._left.values() if n in known])
        costs.fit()
        self._expected = {
            key: self._known[name] * speed if name in self._known else costs.of(kind)
            for key, (name, kind) in self._left.items()
        }


def _stage(name: str) -> str:
    try:
        return str(catalog.find("defense", name).stage)
    except HartleyError:
        return ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
