"""How many clusters settle a limit on a usual metric, by resampling a pilot's clusters.

A metric has no channel of declared strength to draw from, as bits have (``channel.power``): what is
drawn is the pilot itself, its clusters (or rounds, or rows where these are independent) with
replacement, and the interval of the metric is computed on them as the measurement does. Scores are
spread evenly between their neighbours of one secret: at equal scores a threshold would jump. Where
another value is planned for than resamples have, since the pilot may have erred, the limit is moved
by the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel import power
from hartley.channel.bounds.degenerate_intervals import rounds_interval
from hartley.channel.power import Need, Question
from hartley.channel.readouts import information, jam, rank, score, symbol
from hartley.channel.trials.validate import Columns, check_columns, measured_rows
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.core.errors import BadTrials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

CENTRES = 8
"""Large resamples whose mean says what value resamples have."""
REDRAWN = 100
"""How often a resample that has no interval is drawn anew."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """A metric that the judge computes round by round."""

    values: Array
    uses: int
    spec: ChannelSpec

    @property
    def units(self) -> int:
        """The pilot's rounds."""
        return len(self.values)

    def metric(self, units: int, rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the mean over rounds drawn with replacement."""
        # Every bound of a row but those over rounds is at the level of its tries.
        return rounds_interval(rng.choice(self.values, units), self.spec.alpha)


@dataclass(frozen=True, slots=True)
class Answers:
    """A metric of the answers: of a score, of guessed symbols, of ranks, of a jam.

    Attributes:
        name: of the metric.
        columns: the pilot's rows.
        spec: their declaration.
        places: the rows of each cluster; empty where rows are independent.
        reach: (2, n) how far a score is spread below and above itself; (2, 0) for other answers.
    """

    name: str
    columns: Columns
    spec: ChannelSpec
    places: tuple[Whole, ...] = field(default=(), repr=False)
    reach: Array = field(default_factory=lambda: np.zeros((2, 0)), repr=False)

    @property
    def units(self) -> int:
        """The pilot's clusters, or rows."""
        return len(self.places) or len(self.columns.truth)

    @property
    def uses(self) -> int:
        """Rows of a cluster on average."""
        return max(1, round(len(self.columns.truth) / self.units))

    def metric(self, units: int, rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the metric of clusters (or rows) drawn with replacement."""
        rows, where = rng.integers(0, self.units, units), None
        if self.places:
            parts = [self.places[unit] for unit in rows]
            where = np.repeat(np.arange(units), [len(part) for part in parts])
            rows = np.concatenate(parts)
        guess = self.columns.guess[rows]
        if self.reach.size:
            u = rng.uniform(-1.0, 1.0, len(rows))
            guess = guess + np.where(u < 0.0, u * self.reach[0, rows], u * self.reach[1, rows])
        reference = None if self.columns.reference is None else self.columns.reference[rows]
        return self.of(Columns(self.columns.truth[rows], guess, reference, where), rng)

    def of(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the metric of some rows, as ``measure`` computes it."""
        spec = replace(self.spec, alpha=self.spec.alpha / self.spec.tries)
        truth, guess, cluster = columns.truth, columns.guess, columns.cluster
        metric: Mapping[str, Any] | None
        if spec.form is AnswerForm.SCORE:
            if truth.min() == truth.max():
                return None
            metric = score.usual_metric(self.name, truth, guess, cluster, spec=spec, rng=rng)
        elif spec.form is AnswerForm.RANK:
            metric = rank.usual_metrics(guess, cluster, spec).get(self.name)
        elif spec.role is Role.JAM:
            assert columns.reference is not None
            metric = jam.error_rates(truth, guess, columns.reference, cluster, spec).get(self.name)
        else:
            metric = symbol.usual_metrics(
                truth, guess, cluster, spec, reference=columns.reference
            ).get(self.name)
        if not isinstance(metric, Mapping):
            return None
        lows = [[level * spec.tries, low] for level, low in metric.get("lows", ())]
        return {**metric, "lows": lows}


def resampled(trials: Trials, name: str) -> Rounds | Answers:
    """Return a metric of a pilot to draw anew.

    Args:
        trials: the pilot's.
        name: of the metric.

    Raises:
        BadTrials: it has no interval that the answers or the rounds give.
    """
    trials = measured_rows(trials)
    columns = check_columns(trials).with_one_use_per_coin(trials.spec.form)
    if (values := trials.metrics_by_round.get(name)) is not None:
        if len(values) < 2:
            raise BadTrials("the pilot has one round: a mean over rounds needs two")
        uses = max(1, round(len(columns.truth) / len(values)))
        return Rounds(np.asarray(values, np.float64), uses, trials.spec)
    if name in trials.metrics:
        raise BadTrials("the game gives it as one number for the whole deal")
    places: tuple[Whole, ...] = ()
    if columns.cluster is not None:
        order = np.argsort(columns.cluster, kind="stable")
        places = tuple(np.split(order, np.cumsum(np.bincount(columns.cluster))[:-1]))
    reach = np.zeros((2, 0))
    if trials.spec.form is AnswerForm.SCORE:
        reach = _reach(columns.truth, columns.guess)
    answers = Answers(name, columns, trials.spec, places, reach)
    if answers.of(columns, np.random.default_rng(0)) is None:
        raise BadTrials("it has no interval that follows from the answers")
    return answers


def _reach(truth: Whole, score: Array) -> Array:
    """Return half of the way to the next lower and higher score of one secret, (2, n).

    A score that occurs twice stays where it is: such a law has steps of its own.
    """
    reach = np.zeros((2, len(score)))
    for secret in (0, 1):
        rows = np.flatnonzero(truth == secret)
        values, where, counts = np.unique(score[rows], return_inverse=True, return_counts=True)
        if len(values) < 2:
            continue
        half = np.diff(values) / 2
        below, above = np.append(half[0], half), np.append(half, half[-1])
        for side, width in enumerate((below, above)):
            reach[side, rows] = np.where(counts == 1, width, 0.0)[where]
    return reach


def chance_of(name: str, metrics: Mapping[str, Any]) -> float:
    """Return what a metric is where nothing leaks, from which its distance to a limit counts.

    Args:
        name: of the metric.
        metrics: of its row, by name.
    """
    if name in ("auc", "auc_two_sided", "balanced_accuracy"):
        return 0.5
    beside = {"accuracy": "chance", "asr": "chance", "exposure": "exposure_null"}.get(name)
    level = metrics.get(beside, 0.0) if beside else 0.0
    return float(level) if isinstance(level, int | float) else 0.0


def needed(
    pilot: Rounds | Answers,
    limit: float,
    *,
    planned: float,
    chance: float = 0.0,
    tests: int = 1,
    seed: int = 0,
) -> Need:
    """Return how many clusters, rounds or rows settle a metric against a limit.

    Args:
        pilot: what to draw from.
        limit: of the metric.
        planned: the value to plan for.
        chance: the metric where nothing leaks.
        tests: checks that share the level of "over".
        seed: of the simulation.
    """
    if abs(planned - limit) < power.NEAR * max(abs(limit - chance), 1e-9):
        return Need("", reason="it is too near the limit")
    side = "over" if planned > limit else "pass"
    alpha = pilot.spec.alpha
    question = Question(side, alpha / tests if side == "over" else alpha)
    clustered = isinstance(pilot, Rounds) or bool(pilot.places)
    least = information.FEW_CLUSTERS if clustered else 2 * information.RARE

    sizes = power.Sizes(least, max(least, power.MOST // pilot.uses), pilot.uses)
    try:
        rng = np.random.default_rng(seed)
        values = [_drawn(pilot, sizes.most, rng)["value"] for _ in range(CENTRES)]
        centre = float(np.mean(values))

        def end(units: int, rng: np.random.Generator) -> float:
            return settling_end(_drawn(pilot, units, rng), question, alpha)

        # Instead of all ends the limit is moved by what resamples have too much.
        moved = limit + centre - planned
        return power.search(end, side, planned=centre, limit=moved, sizes=sizes, seed=seed)
    except BadTrials as error:
        return Need("", reason=str(error))


def _drawn(pilot: Rounds | Answers, units: int, rng: np.random.Generator) -> Mapping[str, Any]:
    for _ in range(REDRAWN):
        metric = pilot.metric(units, rng)
        if metric is not None and metric.get("low") is not None:
            return metric
    raise BadTrials("it has no interval where rounds are alike and nothing limits it")


def settling_end(metric: Mapping[str, Any], question: Question, alpha: float) -> float:
    """Return the end of a metric that settles it, as the gate reads it.

    Args:
        metric: value, low, high, and lower ends at falling levels (``lows``) where it has them.
        question: which end, at which level; a lower end at a level that is not listed is that of
            the next listed one below.
        alpha: the level of ``low``.

    Raises:
        BadTrials: no lower end is at so small a level.
    """
    if question.side == "pass":
        return float(metric["high"])
    lows = metric.get("lows") or [[alpha, metric["low"]]]
    below = [float(low) for level, low in lows if level <= question.level * (1.0 + 1e-9)]
    if not below:
        word = "one level" if len(lows) == 1 else f"{len(lows)} levels"
        raise BadTrials(
            f"its lower end is known at {word} only, and all checks share alpha: it is never over"
        )
    return below[0]
