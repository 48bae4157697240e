"""From trials to a channel: the only way to bits.

``measure`` uses numbers only: what was sent, what was received, and which uses are dependent. For
the estimator of each answer form and the grounds of each certificate see ``design/measurement.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.ceilings import ceiling
from hartley.channel.bounds.degenerate_intervals import rounds_interval
from hartley.channel.outbreaks import course, reproduced
from hartley.channel.readouts.information import HALVINGS, Binned, exchangeable, in_sample, weigh
from hartley.channel.readouts.jam import measure_jam
from hartley.channel.readouts.rank import measure_rank
from hartley.channel.readouts.reading import Lows, Reading
from hartley.channel.readouts.score import measure_score
from hartley.channel.readouts.symbol import measure_symbol
from hartley.channel.trials.assumption_checks import check_assumptions
from hartley.channel.trials.carriers import silent_victims
from hartley.channel.trials.optional_columns import at_declared_tries, declared, enrich
from hartley.channel.trials.split_quality import blind_bits, doubts
from hartley.channel.trials.validate import Columns, check_columns, measured_rows
from hartley.core import AnswerForm, Channel, Kind, Quantity, Role, Trials, spawn
from hartley.infotheory.surprisal import certified_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

REDRAWS = 9
"""How many times the secrets are redrawn for the null arm."""
NULL_CERTIFICATES = 4
"""In how many of these the certified bound is computed as well."""


ONE_COIN = "all rows of a cluster have one secret: a cluster is one use"


def measure(trials: Trials, *, redraws: int | None = None) -> Channel:
    """Measure one attack's trials as a channel.

    Args:
        trials: what was sent and received, with the declaration of the channel.
        redraws: how many times the secrets are redrawn for the null arm, nine tenths of the time;
            ``REDRAWS`` where none is given. No other field depends on it.

    Returns:
        Bits per use with certified lower bound and calibrated upper limit, the null arm (the same
        measurement with redrawn secrets), the theory ceiling, costs and the usual metrics.

    Raises:
        BadTrials: the trials cannot be measured: 0 rows, one class only, NaN, or symbols out of
            range.
    """
    trials = measured_rows(trials)
    declared(trials)
    columns = check_columns(trials)
    # The attacker's knowledge is left out: static and adaptive rows of the same trials agree.
    # The seed names the class, not the game: a game split off from its class keeps its numbers.
    cls = trials.cls or trials.game
    seed = spawn(trials.seed, "measure", trials.attack, cls, trials.scene, "none")
    at_level = at_declared_tries(trials)
    uses_of = columns.with_one_use_per_coin(trials.spec.form)
    binned = Binned.of(uses_of.guess) if trials.spec.form is AnswerForm.SCORE else None
    rng = np.random.default_rng(spawn(seed, "folds"))
    reading = _read(at_level, uses_of, rng, full=True, binned=binned)
    tries = trials.spec.tries
    readout_metrics = {name: _of_tries(metric, tries) for name, metric in reading.metrics.items()}
    reading = enrich(reading, at_level, columns)
    reasons = [*trials.notes, *doubts(trials.metrics, planted=trials.spec.planted)]
    reasons += [check.says for check in check_assumptions(trials, columns)]
    reasons += silent_victims(trials)
    if len(uses_of.truth) < len(columns.truth):
        reasons.insert(0, ONE_COIN)
    reading = replace(reading, assumptions=(*reading.assumptions, *reasons))
    top = ceiling(trials.spec, len(trials))
    n = len(uses_of.truth)
    bits, high, flags = _bounded(trials, reading, top, n)
    spec, value = trials.spec, bits.value
    # The class's own metrics come first, then what the optional columns add.
    class_metrics = {**readout_metrics, **flags, **trials.metrics, **blind_bits(trials.metrics)}
    class_metrics |= _by_round(trials) | reproduced(trials)
    uses = spec.uses if spec.uses else n
    score = spec.form is AnswerForm.SCORE and reading.noise is not None
    seconds = (spec.seconds or 0.0) + sum(trials.shared_seconds.values())
    equivalent = 4.0**value - 1.0
    snr = equivalent
    if score:
        assert reading.signal is not None and reading.noise is not None
        # A noiseless score has no finite ratio; the equivalent of its bits is reported.
        snr = reading.signal / reading.noise if reading.noise > 0 else equivalent
    return Channel(
        bits=bits,
        high=high,
        raw=reading.raw,
        null=_null(trials, uses_of, seed, binned, redraws),
        ceiling=top,
        capacity=reading.capacity,
        leakage=reading.leakage,
        signal=reading.signal,
        noise=reading.noise,
        snr=float(snr),
        uses=uses,
        seconds=spec.seconds or 0.0,
        rate=value * n / seconds if seconds else None,
        budget_bits=value * n / uses * spec.budget if spec.budget is not None else None,
        authorised=_authorised(trials),
        n=n,
        clusters=n if uses_of.cluster is None else int(uses_of.cluster.max()) + 1,
        metrics={
            **class_metrics,
            **{name: v for name, v in reading.metrics.items() if name not in class_metrics},
        },
        estimator=reading.method,
        curve=reading.curve,
        lows=tuple((a * spec.tries, min(low, top.value)) for a, low in reading.lows),
        quantity=reading.quantity,
        beside=_beside(reading, spec.tries),
        epidemic=course(trials),
    )


def point_of(trials: Trials) -> float:
    """Return the bits per use of trials, without intervals: for resampling.

    Raises:
        BadTrials: the trials cannot be measured.
    """
    columns = check_columns(trials)
    seed = spawn(trials.seed, "point", trials.attack, trials.game, trials.scene)
    columns = columns.with_one_use_per_coin(trials.spec.form)
    return max(0.0, _read(trials, columns, np.random.default_rng(seed), full=False).point)


def bits_on_the_sample(
    trials: Trials, columns: Columns, parts: Iterable[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """Return the bits on some of the rows, without correction and limits, for each choice of rows.

    Args:
        trials: the declaration.
        columns: the checked rows.
        parts: for each choice (n,) booleans, which rows are read.
    """
    score = trials.spec.form is AnswerForm.SCORE
    binned = Binned.of(columns.guess) if score else None
    bits = []
    for keep in parts:
        rng, some = np.random.default_rng(spawn(0, "sample")), columns.rows(keep)
        if binned is None:
            bits.append(_read(trials, some, rng, full=False).raw)
            continue
        # Without the fit that leaves rows out, which would take most of the time.
        fair = trials.spec.planted and not exchangeable(some.truth, some.cluster, trials.spec)
        scores = Binned(binned.where[keep], binned.bins)
        weighed = weigh(some.truth, scores, some.cluster, rng, coins=fair)
        bits.append(in_sample(weighed, trials.spec.pieces)[0])
    return np.array(bits)


def _read(
    trials: Trials,
    columns: Columns,
    rng: np.random.Generator,
    *,
    full: bool,
    certify: bool = False,
    binned: Binned | None = None,
) -> Reading:
    spec = trials.spec
    how = {"full": full, "certify": certify}
    if spec.form is AnswerForm.SCORE:
        return measure_score(
            columns.truth, columns.guess, columns.cluster, spec, rng, binned=binned, **how
        )
    if spec.form is AnswerForm.RANK:
        return measure_rank(columns.guess, columns.cluster, spec, rng, **how)
    if spec.role is Role.JAM:
        assert columns.reference is not None
        return measure_jam(
            columns.truth,
            columns.guess,
            columns.reference,
            columns.cluster,
            spec,
            rng=rng,
            full=full,
        )
    return measure_symbol(
        columns.truth,
        columns.guess,
        columns.cluster,
        spec,
        rng,
        reference=columns.reference,
        **how,
    )


def _bounded(
    trials: Trials, reading: Reading, top: Quantity, n: int
) -> tuple[Quantity, float, dict[str, float]]:
    """Limit the reading to the ceiling; flag it where it was above."""
    limit = top.value
    flags: dict[str, float] = {}
    assumptions = reading.assumptions
    lower = min(reading.lower, limit)
    if reading.lower > limit + 1e-9:
        # A certified leak above a proved limit: the proof does not hold here, or there is a bug.
        flags["dpi_violation"] = reading.lower - limit
        assumptions = (
            *assumptions,
            f"DPI VIOLATION: certified {reading.lower:.6g} bit exceeds the proved ceiling "
            f"{limit:.6g} bit ({top.method}): a side channel, a false claim or a bug",
        )
    value = min(max(reading.point, lower), limit)
    if reading.point > limit + 1e-9:
        flags["over_ceiling"] = reading.point - limit
    bits = Quantity(
        name="bits",
        value=value,
        unit="bit/use",
        lower=lower,
        kind=Kind.CERTIFIED,
        alpha=trials.spec.alpha,
        n=n,
        method=reading.method,
        assumptions=assumptions,
    )
    high = min(max(reading.high, value), limit)
    return bits, high, flags


def _null(
    trials: Trials, columns: Columns, seed: int, binned: Binned | None, redraws: int | None
) -> Quantity:
    """Measure redrawn secrets: what the estimator reads when nothing leaks."""
    draws = redraws or (REDRAWS if len(trials) <= 20_000 else 3)
    certified = NULL_CERTIFICATES if len(trials) <= 20_000 and redraws is None else 0
    points, lows = [], []
    for k in range(draws):
        rng = np.random.default_rng(spawn(seed, "null", k))
        redrawn = columns.redrawn(trials.spec.form, trials.spec.alphabet, rng)
        reading = _read(trials, redrawn, rng, full=False, certify=k < certified, binned=binned)
        points.append(max(0.0, reading.point))
        lows.append(reading.lower)
    # Any one certifies in one of 20 sound measurements, three of four in one of 2,000.
    low = sorted(lows[:certified])[1] if certified else 0.0
    return Quantity(
        name="bits of re-drawn secrets",
        value=float(np.mean(points)),
        unit="bit/use",
        lower=low,
        upper=float(np.max(points)),
        kind=Kind.ESTIMATE,
        n=len(trials),
        method=f"mean and largest of {draws} redraws",
    )


def _by_round(trials: Trials) -> dict[str, dict[str, Any]]:
    """Return the judge's metrics with an interval over rounds, where there are two or more."""
    return {
        name: rounds_interval(np.asarray(values, np.float64), trials.spec.alpha)
        for name, values in trials.metrics_by_round.items()
        if len(values) >= 2
    }


def _of_tries(metric: Any, tries: int) -> Any:
    """Return a metric whose lower ends are at the levels that they have after all tries."""
    if tries == 1 or not isinstance(metric, dict) or "lows" not in metric:
        return metric
    return {**metric, "lows": [[level * tries, low] for level, low in metric["lows"]]}


def _beside(reading: Reading, tries: int) -> dict[str, Lows]:
    """Return the lower bounds of quantities besides bits, at the levels after all tries."""
    beside = dict(reading.beside)
    if (leak := reading.leakage) is not None and leak.alpha is not None:
        alphas = [leak.alpha / 2**k for k in range(HALVINGS)]
        beside["min_capacity"] = tuple((a, certified_at(leak, a)) for a in alphas)
    return {
        name: tuple((alpha * tries, low) for alpha, low in lows) for name, lows in beside.items()
    }


def _authorised(trials: Trials) -> float | None:
    """Return log2 of the answers a query may have (Seed B's bandwidth), where declared."""
    alphabet_bits = [b.params["bits"] for b in trials.spec.bounds if b.kind == "alphabet"]
    return float(min(alphabet_bits)) if alphabet_bits else None
