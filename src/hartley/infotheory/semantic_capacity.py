"""Seed B's four quantities, as its early or its late edition defines them, never mixed.

C = B·log2(1 + S/N) keeps its letters but changes their meaning (arXiv:2411.11195): early, they
are those of a channel; late (v6), C is the effective semantic capacity I(z; y | t), S the energy of
an embedding along a concept, and B the entropy of the actions that the system's rules allow. The
two bandwidths are different quantities: uses per second that an attacker can make, and bits that
the policy leaves open. A caller must name the meaning; there is no default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory.channel_matrix import as_prior, entropy
from hartley.infotheory.gaussian import LOG2E

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Meaning(StrEnum):
    """The edition whose definitions are used."""

    EARLY = "early"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Terms:
    """The four letters of the formula, with the meaning they are used in.

    Attributes:
        meaning: early or late.
        capacity: bits per use (early: the measured I; late: C_eff = I(z; y | t)).
        signal, noise: in one common unit.
        bandwidth: early: uses per second; late: bits of authorised action entropy.
        unit: the unit of ``bandwidth``.
    """

    meaning: Meaning
    capacity: Quantity
    signal: float | None
    noise: float | None
    bandwidth: float | None
    unit: str

    @property
    def snr(self) -> float | None:
        """Signal over noise, +inf without noise, None without a signal."""
        if self.signal is None or self.noise is None:
            return None
        return self.signal / self.noise if self.noise > 0 else math.inf


def terms(
    meaning: Meaning,
    capacity: Quantity,
    *,
    signal: float | None = None,
    noise: float | None = None,
    uses_per_second: float | None = None,
    authorised_bits: float | None = None,
) -> Terms:
    """Gather the four quantities in one meaning.

    Raises:
        UsageError: the bandwidth given belongs to the other meaning.
    """
    bandwidth, other = uses_per_second, authorised_bits
    if meaning is Meaning.LATE:
        bandwidth, other = authorised_bits, uses_per_second
    if other is not None:
        raise UsageError(
            "the early bandwidth must be given as uses_per_second, the late one as "
            f"authorised_bits; got the other one with the {meaning} meaning"
        )
    unit = "use/s" if meaning is Meaning.EARLY else "bit"
    return Terms(meaning, capacity, signal, noise, bandwidth, unit)


def authorised_bits(actions: int | ArrayLike) -> float:
    """Late bandwidth: entropy of the allowed action space after the system's constraints.

    Args:
        actions: how many actions are allowed (their law is then taken as uniform: log2 |A|), or
            the (|A|,) law of the allowed actions.
    """
    if isinstance(actions, int | np.integer):
        if actions < 1:
            raise UsageError(f"actions must be 1 or more (doing nothing counts), got {actions}")
        return math.log2(int(actions))
    return entropy(np.asarray(actions, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Projection:
    """Energy of embeddings along and off a concept, per record.

    Attributes:
        signal: (n,) (⟨e(x), ĉ⟩)² of the mean embedding.
        noise: (n,) ‖e(x)‖² − signal, all energy off the concept (stochastic passes included).
        external: (n,) the part of ``noise`` that misleading input brought: energy off the concept
            of e(x) − e(clean x); None without a clean reference.
        internal: (n,) variance over stochastic passes (0 with one pass).
    """

    signal: Floats
    noise: Floats
    external: Floats | None
    internal: Floats

    @property
    def snr(self) -> float:
        """Mean signal over mean noise."""
        noise = float(self.noise.mean())
        return float(self.signal.mean()) / noise if noise > 0 else math.inf


def concept(clean: ArrayLike) -> Floats:
    """Unit concept vector from embeddings (n, d) of clean native-modality references, one task."""
    e = _embeddings(clean, (2,))
    mean = e.mean(0)
    length = float(np.linalg.norm(mean))
    if length <= 1e-12 * max(1.0, float(np.abs(e).max())):
        raise UsageError(
            "the references must share a concept direction, got embeddings that cancel"
        )
    return np.asarray(mean / length)


def project(
    embeddings: ArrayLike, direction: ArrayLike, clean: ArrayLike | None = None
) -> Projection:
    """Split embedding energy into signal along a concept and noise off it.

    Args:
        embeddings: (n, d), or (passes, n, d) from a stochastic encoder.
        direction: (d,) concept vector, or (n, d) one for each record, of any length above 0.
        clean: (n, d) embeddings of the same records without disturbance.

    Raises:
        UsageError: shapes that do not match, NaN, or a zero direction.
    """
    e = _embeddings(embeddings, (2, 3))
    e = e[None] if e.ndim == 2 else e
    c = np.asarray(direction, dtype=np.float64)
    length = np.linalg.norm(c, axis=-1, keepdims=True)
    if c.shape not in (e.shape[1:], e.shape[2:]) or not (length > 0).all():
        raise UsageError(
            f"a concept must be a non-zero vector of {e.shape[2]} numbers, got shape {c.shape}"
        )
    c = c / length
    mean = e.mean(0)
    internal = ((e - mean) ** 2).sum(2).mean(0)
    signal = (mean * c).sum(1) ** 2
    noise = np.maximum((mean**2).sum(1) - signal, 0.0) + internal
    external = None
    if clean is not None:
        reference = _embeddings(clean, (2,))
        if reference.shape != mean.shape:
            raise UsageError(
                f"clean embeddings must have shape {mean.shape}, got {reference.shape}"
            )
        moved = mean - reference
        external = np.minimum(np.maximum((moved**2).sum(1) - (moved * c).sum(1) ** 2, 0.0), noise)
    return Projection(signal, noise, external, internal)


def effective_capacity(
    log_probabilities: ArrayLike,
    target: ArrayLike,
    task: ArrayLike | None = None,
    *,
    prior: ArrayLike | None = None,
    floor: float = 0.01,
    alpha: float = 0.05,
) -> Quantity:
    """C_eff = I(z; y | t) from below, by a held-out classifier on z: H(y | t) − cross-entropy.

    Barber and Agakov's bound. With targets drawn by the auditor (``prior``) H is exact and the
    result calibrated. Without it H is estimated from the same labels, and the result is only an
    estimate. Predictions are mixed with the prior so that one miss costs at most
    log2(1/floor) bits.

    Args:
        log_probabilities: (n, K) natural log of the classifier's law of y, given z and t.
        target: (n,) integers in 0..K−1.
        task: (n,) which task each row belongs to; one task when None.
        prior: (K,) the auditor's law of y in every task, or None when y was not drawn.
        floor: weight of the prior in the mixture, in 0..1.
        alpha: error level of the one-sided normal bound.

    Raises:
        UsageError: shapes that do not match, NaN, or targets outside the alphabet.
    """
    from scipy.special import stdtrit

    logs, y = np.asarray(log_probabilities, dtype=np.float64), np.asarray(target)
    if logs.ndim != 2 or y.shape != logs.shape[:1] or len(y) < 2 or np.isnan(logs).any():
        raise UsageError(
            "log-probabilities must have shape (n, K) and targets (n,), n ≥ 2, got "
            f"{logs.shape} and {y.shape}"
        )
    n, k = logs.shape
    if y.dtype.kind not in "iu" or (y < 0).any() or (y >= k).any():
        raise UsageError(f"targets must be integers in 0..{k - 1}")
    t = np.zeros(n, dtype=np.intp) if task is None else np.unique(task, return_inverse=True)[1]
    if t.shape != y.shape:
        raise UsageError(f"task must have shape {y.shape}, got {t.shape}")
    if prior is None:
        tables = np.zeros((t.max() + 1, k))
        np.add.at(tables, (t, y), 1.0)
        law = (tables / tables.sum(1, keepdims=True))[t]
    else:
        law = np.broadcast_to(as_prior(prior, k), (n, k))
    rows = np.arange(n)
    posterior = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))[rows, y]
    before = law[rows, y]
    gain = np.log((1.0 - floor) * posterior + floor * before) - np.log(before)
    value = float(gain.mean()) * LOG2E
    lower = None
    if prior is not None:
        error = float(gain.std(ddof=1)) * LOG2E / math.sqrt(n)
        lower = max(0.0, value + float(stdtrit(n - 1, alpha)) * error)
    return Quantity(
        name="effective semantic capacity I(z; y | t)",
        value=value,
        lower=lower,
        kind=Kind.ESTIMATE if lower is None else Kind.CALIBRATED,
        alpha=None if lower is None else alpha,
        n=n,
        clusters=n,
        method="H(y|t) − cross-entropy of a held-out classifier (Barber–Agakov)",
        assumptions=(
            "classifier fixed before these rows",
            "independent rows",
            "targets drawn by the auditor" if prior is not None else "H(y|t) guessed from labels",
        ),
    )


def _embeddings(e: ArrayLike, ranks: tuple[int, ...]) -> Floats:
    a = np.asarray(e, dtype=np.float64)
    if a.ndim not in ranks or 0 in a.shape or not np.isfinite(a).all():
        raise UsageError(
            f"embeddings must be finite numbers with {ranks} axes, got shape {a.shape}"
        )
    return a
