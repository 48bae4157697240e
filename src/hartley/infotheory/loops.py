"""Does a compromise grow round the loop? The gain matrix, its spectral radius, the weakest cut.

Assets (data sets, models) have a compromised share x_i in 0..1. A gain G_ij is the slope of asset
j's share in the next round against asset i's in this one, at x = 0, measured by *intervention*:
i is compromised at three doses or more, everything else being as it was. Then
x_r ≈ (Gᵀ)^r·x_0 near 0, and the spectral radius ρ(G) says whether a small compromise grows.
ρ counts compromised assets; it creates no information: the bits that leak of one secret stay below
its entropy.

ρ does not change with the unit in which an asset is counted. It rises with every gain (Perron and
Frobenius), which gives it limits even where the matrix is defective and its slope is infinite:
every gain is lowered (raised) by one number of standard errors, and that number is calibrated by a
bootstrap of the gains. Percentiles of a bootstrap of ρ fail there: a loop that is cut has ρ = 0,
every resample of it ρ > 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FEWEST_DOSES = 3
FEWEST_CLUSTERS = 4
RESAMPLES = 1000
LARGEST = 8
"""Assets of a loop whose simple cycles are all listed."""


def loop_gain(gains: ArrayLike) -> float:
    """Spectral radius of a gain matrix: compromised assets per compromised asset and round.

    Unchanged when an asset is counted in another unit (D⁻¹GD). Near 0 it says whether a compromise
    grows; it creates no information.

    Raises:
        UsageError: not a square matrix of finite gains of 0 or more.
    """
    g = np.asarray(gains, dtype=np.float64)
    if g.ndim != 2 or g.shape[0] != g.shape[1] or not np.isfinite(g).all() or (g < 0).any():
        raise UsageError(
            f"gains must be a square matrix of finite numbers ≥ 0, got shape {g.shape}"
        )
    return float(np.abs(np.linalg.eigvals(g)).max()) if len(g) else 0.0


def in_units(gains: ArrayLike, units: ArrayLike) -> Floats:
    """The same gains with asset i counted in ``units[i]``: D⁻¹GD."""
    g, d = np.asarray(gains, dtype=np.float64), np.asarray(units, dtype=np.float64)
    if d.shape != g.shape[:1] or not (d > 0).all():
        raise UsageError(f"units must be positive with shape {g.shape[:1]}, got shape {d.shape}")
    return np.asarray(g * d[None, :] / d[:, None])


@dataclass(frozen=True, slots=True)
class Gain:
    """One edge of a loop, from doses and responses.

    Attributes:
        value: slope at dose 0.
        low, high: its interval.
        draws: (B,) slopes of resampled clusters, at the width of the interval.
        doses: the doses, ascending.
        n, clusters: trials, and independent units that were resampled.
        saturates: whether the response bends beyond chance.
        bend: curvature with its interval (value, low, high).
    """

    value: float
    low: float
    high: float
    draws: Floats
    doses: tuple[float, ...]
    n: int
    clusters: int
    saturates: bool
    bend: tuple[float, float, float]


def dose_response(
    dose: ArrayLike,
    response: ArrayLike,
    cluster: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
    weights: Floats | None = None,
    straight: bool = False,
    read: ArrayLike | None = None,
) -> Gain:
    """Return the slope of a response at dose 0, with the interval of resampled clusters.

    A parabola is fitted, whose slope at 0 is right where a response saturates. To fit a line unless
    a test sees a bend would leave the truth out of a fifth to a half of the intervals: a bend that
    matters is rarely beyond chance. Draws are the fits of resampled clusters, widened for few
    clusters by t over normal quantiles and √(m/(m − 1)).

    Args:
        dose: (n,) compromised share of asset i, at least 3 different ones, with or without 0.
        response: (n,) share of asset j in the next round.
        cluster: (n,) integers: rows of one unit (a victim, a seed) at all its doses; every row is
            one of its own when None.
        alpha: error level of the interval.
        resamples: B.
        seed: of the resamples; edges that were measured on unlike units have seeds of their own.
        weights: (B, m) times that each cluster is drawn, so that edges of the same units are
            resampled together; drawn here when None.
        straight: fit a line, at half the width: for doses that are known to be small enough.
        read: (n,) share that was read of each dose, where it is met in the mean alone or read with
            an error. Its mean over clusters is what counts as the dose, and is resampled with the
            responses; ``dose`` then only says which rows have one level.

    Raises:
        UsageError: fewer than 3 doses or 4 clusters, another shape, or a number that is not finite.
    """
    from scipy.stats import norm, t

    table, levels = _by_level(dose, response, cluster, read)
    m = table.shape[1]
    if weights is None:
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(m, np.full(m, 1.0 / m), resamples).astype(np.float64)
    elif weights.shape[1] != m:
        raise UsageError(f"weights must be of {m} clusters, got {weights.shape[1]}")
    scale = float(levels.max())
    widen = math.sqrt(m / (m - 1)) * float(t.ppf(1 - alpha / 2, m - 1) / norm.ppf(1 - alpha / 2))

    def fitted(degree: int) -> tuple[Floats, Floats]:
        """Coefficients of the whole table (degree + 1,) and of the resamples (B, degree + 1)."""
        every = np.concatenate([np.ones((1, m)), weights])
        rows, total, response = every @ table
        unit = total / np.maximum(rows, 1e-12) / scale
        x = unit[:, :, None] ** np.arange(degree + 1)
        left = np.einsum("bl,bli,blj->bij", rows, x, x)
        right = np.einsum("bl,bli->bi", response, x)
        left += 1e-9 * np.eye(degree + 1)  # a resample may lack a dose
        fits = np.linalg.solve(left, right[:, :, None])[:, :, 0]
        return fits[0], fits[1:]

    def ends(value: float, draws: Floats) -> tuple[float, float, float]:
        low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
        return value, float(low), float(high)

    line, lines = fitted(1)
    parabola, parabolas = fitted(2)
    bends = parabola[2] + widen * (parabolas[:, 2] - parabola[2])
    bend = ends(float(parabola[2]), bends)
    saturates = not bend[1] <= 0 <= bend[2]
    point, draws = (line, lines) if straight else (parabola, parabolas)
    slopes = (point[1] + widen * (draws[:, 1] - point[1])) / scale
    value, low, high = ends(float(point[1] / scale), slopes)
    return Gain(
        value=value,
        low=low,
        high=high,
        draws=slopes,
        doses=tuple(levels.tolist()),
        n=int(table[0].sum()),
        clusters=m,
        saturates=saturates,
        bend=(bend[0] / scale**2, bend[1] / scale**2, bend[2] / scale**2),
    )


def _by_level(
    dose: ArrayLike, response: ArrayLike, cluster: ArrayLike | None, read: ArrayLike | None
) -> tuple[Floats, Floats]:
    """Return rows, shares and responses as sums (3, m, levels), and the mean share of each level.

    Raises:
        UsageError: as ``dose_response`` says.
    """
    d, y = np.asarray(dose, dtype=np.float64), np.asarray(response, dtype=np.float64)
    c = np.arange(len(d)) if cluster is None else np.asarray(cluster)
    shares = d if read is None else np.asarray(read, dtype=np.float64)
    if d.ndim != 1 or not d.shape == y.shape == c.shape == shares.shape:
        raise UsageError(
            f"dose, response, cluster and read must have one shape (n,), got {d.shape}, {y.shape}, "
            f"{c.shape}, {shares.shape}"
        )
    if not np.isfinite([d, y, shares]).all() or (d < 0).any():
        raise UsageError("doses must be finite and 0 or more, and responses finite")
    levels, row_of = np.unique(d, return_inverse=True)
    names, index = np.unique(c, return_inverse=True)
    table = np.zeros((3, len(names), len(levels)))
    for sums, values in zip(table, (np.ones_like(d), shares, y), strict=True):
        np.add.at(sums, (index, row_of), values)
    means = levels if read is None else table[1].sum(0) / table[0].sum(0)
    if len(np.unique(means)) < FEWEST_DOSES or means.max() <= 0:
        raise UsageError(
            f"a gain needs at least {FEWEST_DOSES} different doses, got "
            f"{', '.join(f'{mean:.3g}' for mean in means)}: two say nothing about saturation"
        )
    if len(names) < FEWEST_CLUSTERS:
        raise UsageError(f"a gain needs at least {FEWEST_CLUSTERS} clusters, got {len(names)}")
    return table, means


Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class GainMatrix:
    """The gains between all assets of a loop.

    Attributes:
        assets: their names.
        gains: (n, n) point of each gain, 0 or more; 0 where an edge is absent or open.
        slopes: (n, n) the same before slopes below 0, which are noise, were raised to 0.
        draws: (B, n, n) resampled slopes.
        absent: edges that do not exist, with the reason.
        open: edges that were not measured: they are unknown, not 0.
    """

    assets: tuple[str, ...]
    gains: Floats
    slopes: Floats
    draws: Floats
    absent: Mapping[Edge, str]
    open: tuple[Edge, ...]


def gain_matrix(
    assets: Sequence[str],
    edges: Mapping[Edge, Gain],
    *,
    absent: Mapping[Edge, str] | None = None,
    allow_open: bool = False,
) -> GainMatrix:
    """Put the gains of a loop together; an edge that nobody measured is never 0 in silence.

    Args:
        assets: names of all assets.
        edges: (from, to) → gain.
        absent: (from, to) → why there cannot be an edge, for example because nothing that the first
            asset holds enters the second.
        allow_open: leave the other edges open, so that only lower ends hold.

    Raises:
        UsageError: an unknown asset, an edge that is measured and declared absent, gains of unlike
            numbers of resamples, or edges that are neither measured nor declared absent.
    """
    names, absent = tuple(assets), dict(absent or {})
    if len(set(names)) < len(names) or not names:
        raise UsageError(f"assets must be different names, got {', '.join(names) or 'none'}")
    for edge in (*edges, *absent):
        if not set(edge) <= set(names):
            raise UsageError(f"edge {edge[0]} → {edge[1]} must join assets of {', '.join(names)}")
    if both := [edge for edge in edges if edge in absent]:
        raise UsageError(f"edge {both[0][0]} → {both[0][1]} is measured and declared absent")
    missing = tuple((i, j) for i in names for j in names if (i, j) not in {*edges, *absent})
    if missing and not allow_open:
        listed = ", ".join(f"{i} → {j}" for i, j in missing)
        raise UsageError(
            f"every edge must be measured or declared absent with a reason, missing: {listed}"
        )
    sizes = {len(gain.draws) for gain in edges.values()}
    if len(sizes) > 1:
        raise UsageError(f"gains must have one number of resamples, got {sorted(sizes)}")
    n, count = len(names), sizes.pop() if sizes else 1
    slopes, draws = np.zeros((n, n)), np.zeros((count, n, n))
    for (i, j), gain in edges.items():
        at = names.index(i), names.index(j)
        slopes[at] = gain.value
        draws[:, at[0], at[1]] = gain.draws
    # A share that was compromised on purpose cannot clean another asset: less than 0 is noise.
    return GainMatrix(names, np.maximum(slopes, 0.0), slopes, draws, absent, missing)


@dataclass(frozen=True, slots=True)
class Radius:
    """Spectral radius of measured gains.

    Attributes:
        value: ρ of the points.
        low, high: limits; ``high`` is None where an edge is open.
        grows: share of resamples with ρ > 1; None where an edge is open.
        alpha: error level of both limits together.
    """

    value: float
    low: float
    high: float | None
    grows: float | None
    alpha: float


def spectral_radius(matrix: GainMatrix, *, alpha: float = 0.05) -> Radius:
    """Return the spectral radius with limits that hold for defective matrices too.

    Each limit lowers or raises all slopes by one number of their standard errors, which is chosen
    so that among resamples the limit is on the wrong side of the point's ρ in alpha/2 of them, for
    the lower limit also if all gains that may be 0 are 0 (there ρ has an infinite slope). Open
    edges can only add: they leave the lower limit valid. The point is that of the slopes as they
    are: raising those below 0 would add noise of one sign on every edge that is not there.
    """
    slopes, draws, errors = matrix.slopes, matrix.draws, matrix.draws.std(0)
    point = float(_roots(slopes))
    down = _shift(draws, errors, point, alpha / 2, below=True)
    # A gain that may be 0 closes cycles that may not be there; the limit must hold without too.
    doubtful = np.where(np.quantile(draws, alpha / 2, axis=0) <= 0, slopes, 0.0)
    without = float(_roots(slopes - doubtful))
    down = max(down, _shift(draws - doubtful, errors, without, alpha / 2, below=True))
    up = _shift(draws, errors, point, alpha / 2, below=False)
    low = float(_roots(np.maximum(slopes - down * errors, 0.0)))
    high = float(_roots(np.maximum(slopes + up * errors, 0.0)))
    complete = not matrix.open
    return Radius(
        value=point,
        low=min(low, point),
        high=max(high, point) if complete else None,
        grows=float((_roots(draws) > 1).mean()) if complete else None,
        alpha=alpha,
    )


def _roots(slopes: Floats) -> Floats:
    """(…) largest real part of the eigenvalues, or 0: ρ where no slope is below 0 (Perron)."""
    return np.asarray(np.maximum(np.linalg.eigvals(slopes).real.max(-1), 0.0), dtype=np.float64)


def _shift(draws: Floats, errors: Floats, truth: float, level: float, *, below: bool) -> float:
    """The least number of standard errors at which a limit errs in ``level`` of the resamples."""
    if not errors.any():
        return 0.0
    slack = 1e-9 * max(1.0, truth)

    def wrong(by: float) -> float:
        moved = _roots(np.maximum(draws + (-by if below else by) * errors, 0.0))
        return float((moved > truth + slack if below else moved < truth - slack).mean())

    least, most = 0.0, 8.0
    for _ in range(20):
        middle = 0.5 * (least + most)
        least, most = (middle, most) if wrong(middle) > level else (least, middle)
    return most


@dataclass(frozen=True, slots=True)
class Cut:
    """The edge whose removal slows the loop most.

    Attributes:
        edge: by the fall of ρ, every edge tried.
        radius: ρ without it.
        before: ρ with it.
        share: share of resamples in which this edge is the one.
        by_cycles: the same by the largest mean cycle; None where nothing closes.
        falls: every edge that is above 0, with ρ without it, the largest fall first.
    """

    edge: Edge | None
    radius: float
    before: float
    share: float
    by_cycles: Edge | None
    falls: tuple[tuple[Edge, float], ...]

    @property
    def agree(self) -> bool:
        """Whether both ways name one edge."""
        return self.edge == self.by_cycles


def weakest_cut(matrix: GainMatrix) -> Cut:
    """Return the edge whose removal lowers the spectral radius most, by trying every edge.

    Where nothing closes (ρ = 0) there is no such edge. Between equal edges the first is taken.
    """
    g, names = np.maximum(matrix.gains, 0.0), matrix.assets
    before = loop_gain(g)
    edges = [(int(i), int(j)) for i, j in np.argwhere(g > 0)]
    if before <= 0 or not edges:
        return Cut(None, before, before, 0.0, None, ())

    def without(gains: Floats) -> Floats:
        """(…, edges) ρ without each edge."""
        cut = np.repeat(gains[..., None, :, :], len(edges), axis=-3)
        for k, (i, j) in enumerate(edges):
            cut[..., k, i, j] = 0.0
        return _roots(cut)

    radii = without(g)
    best = int(np.argmin(np.round(radii, 12)))
    order = np.argsort(radii, kind="stable")
    each = without(np.maximum(matrix.draws, 0.0)).argmin(-1)
    cycles = np.array([_cycle_mean_without(g, edge) for edge in edges])
    by_cycles = edges[int(np.argmin(np.round(cycles, 12)))]
    return Cut(
        edge=(names[edges[best][0]], names[edges[best][1]]),
        radius=float(radii[best]),
        before=before,
        share=float((each == best).mean()),
        by_cycles=(names[by_cycles[0]], names[by_cycles[1]]),
        falls=tuple(((names[edges[k][0]], names[edges[k][1]]), float(radii[k])) for k in order),
    )


def _cycle_mean_without(gains: Floats, edge: tuple[int, int]) -> float:
    cut = gains.copy()
    cut[edge] = 0.0
    return cycle_mean(cut)


def cycle_mean(gains: ArrayLike) -> float:
    """The largest geometric mean of the gains round a cycle (Karp 1978); 0 where nothing closes.

    At most ρ, and equal to it where one cycle is all there is.
    """
    g = np.asarray(gains, dtype=np.float64)
    n = len(g)
    with np.errstate(divide="ignore"):
        logs = np.log2(g)
    walks = np.full((n + 1, n), -np.inf)  # the best walk of k edges to each asset, from any
    walks[0] = 0.0
    for k in range(n):
        walks[k + 1] = (walks[k][:, None] + logs).max(0)
    last, earlier = walks[n], walks[:n]
    alive = np.isfinite(last)
    if not alive.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        means = (last[alive] - earlier[:, alive]) / np.arange(n, 0, -1)[:, None]
    means[~np.isfinite(earlier[:, alive])] = np.inf
    return float(2.0 ** means.min(0).max())


def cycles(matrix: GainMatrix) -> list[tuple[tuple[str, ...], float]]:
    """Return every simple cycle with the product of its gains, the largest mean first.

    A product round a cycle has no unit, whatever each asset is counted in.

    Raises:
        UsageError: more than 8 assets.
    """
    if len(matrix.assets) > LARGEST:
        raise UsageError(f"cycles are listed of at most {LARGEST} assets, got {len(matrix.assets)}")
    rows = []
    for path in _simple_cycles(matrix.gains > 0):
        pairs = zip(path, (*path[1:], path[0]), strict=True)
        product = math.prod(float(matrix.gains[i, j]) for i, j in pairs)
        rows.append((tuple(matrix.assets[i] for i in path), product))
    return sorted(rows, key=lambda row: -(row[1] ** (1 / len(row[0]))))


def _simple_cycles(edges: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    n = len(edges)

    def onward(path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for after in range(path[0], n):
            if not edges[path[-1], after]:
                continue
            if after == path[0]:
                yield path
            elif after not in path:
                yield from onward((*path, after))

    for start in range(n):
        yield from onward((start,))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the gains predict of rounds, beside rounds that were run.

    Attributes:
        predicted, low, high: (rounds + 1, n) compromised shares, round 0 being the start.
        observed: (rounds + 1, n) means of what was run, NaN where nothing was.
        inside: (rounds + 1, n) whether the observation is within the interval.
        linear: (rounds + 1, n) whether the prediction is small enough to be one: a share of 1 or
            more only says that the asset saturates.
    """

    predicted: Floats
    low: Floats
    high: Floats
    observed: Floats
    inside: NDArray[np.bool_]
    linear: NDArray[np.bool_]


def forecast(
    matrix: GainMatrix,
    start: ArrayLike,
    observed: ArrayLike,
    *,
    alpha: float = 0.05,
) -> Forecast:
    """Predict compromised shares round by round, (Gᵀ)^r·x_0, beside rounds that were really run.

    The interval holds the resampled gains and, where rounds were run several times, the error of
    the observed mean.

    Args:
        matrix: complete gains.
        start: (n,) shares at round 0.
        observed: (rounds + 1, n) or (repeats, rounds + 1, n); at least 3 rounds
            after round 0.
        alpha: error level of each interval.

    Raises:
        UsageError: an edge is open, another shape, or fewer than 3 rounds.
    """
    from scipy.stats import norm

    if matrix.open:
        listed = ", ".join(f"{i} → {j}" for i, j in matrix.open)
        raise UsageError(f"a forecast needs every edge, and these are open: {listed}")
    n = len(matrix.assets)
    x, o = np.asarray(start, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    runs = o[None] if o.ndim == 2 else o
    if x.shape != (n,) or runs.ndim != 3 or runs.shape[2] != n or runs.shape[1] < 4:
        raise UsageError(
            f"start must have shape ({n},) and observed (repeats, rounds + 1, {n}) with 3 rounds "
            f"or more, got {x.shape} and {o.shape}"
        )
    rounds = runs.shape[1]
    predicted, resampled = [x], [np.tile(x, (len(matrix.draws), 1))]
    draws = np.maximum(matrix.draws, 0.0)
    for _ in range(rounds - 1):
        predicted.append(predicted[-1] @ matrix.gains)
        resampled.append(np.einsum("bi,bij->bj", resampled[-1], draws))
    spread = np.stack(resampled, 1)
    low, high = np.quantile(spread, [alpha / 2, 1 - alpha / 2], axis=0)
    if len(runs) > 1:
        error = norm.ppf(1 - alpha / 2) * runs.std(0, ddof=1) / math.sqrt(len(runs))
        centre = np.stack(predicted)
        low, high = (
            centre - np.hypot(centre - low, error),
            centre + np.hypot(high - centre, error),
        )
    mean = runs.mean(0)
    slack = 1e-12
    return Forecast(
        predicted=np.stack(predicted),
        low=np.maximum(low, 0.0),
        high=high,
        observed=mean,
        inside=(mean >= low - slack) & (mean <= high + slack),
        linear=np.stack(predicted) < 1,
    )
