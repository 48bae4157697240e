"""Several attacks on one secret: three compositions, and what bounds the bits at their end.

**Degrade**: each stage reads what the stage before handed on and asks nothing new. Data processing
holds: I(S; O_k) ≤ min(η_k·I(S; O_{k−1}), C_k), with η_k the stage's contraction coefficient.
**Aggregate**: several looks at one secret. Bits add up at most: I(S; O_1 … O_k) ≤ Σ u_t·C_t ≤ H(S),
adaptive queries included, where the looks are independent given the secret.
**Enable**: the first attack changes the channel of the next (poison, then membership). Nothing
bounds the second by the first; their quotient or difference is a gain, not a bound.

Data processing is applied only to stages whose metered fresh uses are 0. A certified lower bound
of the *whole* chain above the proved upper bound is a side channel, a false claim or a bug. Lower
bounds of stages are never multiplied: a product of two lower bounds bounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory.capacity import capacity
from hartley.infotheory.channel_matrix import (
    as_channel,
    as_prior,
    cascade,
    entropy,
    eta_kl,
    eta_tv,
    min_capacity,
    mutual_information,
    repeated,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hartley.infotheory.channel_matrix import Floats

LARGEST = 200_000
"""Outputs of a pooled channel that are enumerated."""


class Composition(StrEnum):
    """How two attacks are joined."""

    DEGRADE = "degrade"
    ENABLE = "enable"
    AGGREGATE = "aggregate"


def composition_of(*, changes_channel: bool, fresh: int | None) -> Composition:
    """Return how a stage is joined to those before it.

    Args:
        changes_channel: what was handed on changed the victim that the stage attacks, as poison in
            its training data does.
        fresh: metered uses by the stage of a channel that sees the secret; None where they were not
            metered, which counts as fresh.
    """
    if changes_channel:
        return Composition.ENABLE
    return Composition.DEGRADE if fresh == 0 else Composition.AGGREGATE


@dataclass(frozen=True, slots=True)
class Link:
    """What is proved of one stage.

    Attributes:
        bits: most bits of one use, from a proof or of an enumerated channel.
        contraction: η in 0..1 with I(U; output) ≤ η·I(U; input) for every U; 1 where none is known.
        fresh: metered uses of a channel that sees the secret; None where they were not metered. A
            stage with 0 reads nothing but what the stage before handed on.
        matrix: (K, M) the stage as a channel, proved or estimated; None where there is none.
        name: of the stage, for messages.
    """

    bits: float
    contraction: float = 1.0
    fresh: int | None = 0
    matrix: Floats | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse values that bound nothing."""
        if not self.bits >= 0:
            raise UsageError(f"the bits of a stage must be 0 or more, got {self.bits!r}")
        if not 0 <= self.contraction <= 1:
            raise UsageError(f"a contraction must be in 0..1, got {self.contraction!r}")
        if self.fresh is not None and self.fresh < 0:
            raise UsageError(f"fresh uses must be 0 or more, got {self.fresh}")


def link_of(
    matrix: ArrayLike, *, fresh: int | None = 0, leakage: bool = False, name: str = ""
) -> Link:
    """Return the link of a fully known channel.

    Args:
        matrix: (K, M) channel, enumerated or declared. An estimate of one proves nothing: give its
            proved ceiling to ``Link`` instead.
        fresh: metered uses of a channel that sees the secret.
        leakage: bits of min-entropy (maximal leakage) and not Shannon's; they do not contract.
        name: of the stage.
    """
    a = as_channel(matrix)
    if leakage:
        return Link(min_capacity(a), 1.0, fresh, a, name)
    return Link(capacity(a).upper, min(eta_kl(a), eta_tv(a)), fresh, a, name)


def upper_of(links: Sequence[Link], secret_bits: float) -> tuple[float, str]:
    """Return the most bits of the secret at the end of a chain, and what bounds them.

    Args:
        links: the stages in order. The first one reads the secret.
        secret_bits: H(S).

    Returns:
        Bits, and the rule in words.

    Raises:
        UsageError: no stage, or a first stage that asks nothing.
    """
    if not links:
        raise UsageError("a composition must have at least 1 stage, got 0")
    if not secret_bits >= 0:
        raise UsageError(f"secret_bits must be 0 or more, got {secret_bits!r}")
    if links[0].fresh == 0:
        raise UsageError(
            f"the first stage{_named(links[0])} must use a channel that sees the secret, got 0 uses"
        )
    bound, rule = 0.0, ""
    for link in links:
        if link.fresh is None:
            bound, rule = secret_bits, f"entropy: uses{_named(link)} were not metered"
        elif link.fresh:
            bound += link.fresh * link.bits
            rule = "sum over uses (chain rule)"
        else:
            legs = serial_bounds(bound, link.bits, link.contraction)
            if legs["bound"] < bound:
                narrow = legs["dpi"] <= legs["sdpi"]
                rule = "capacity of a later stage" if narrow else "strong data processing"
            bound = legs["bound"]
        if bound >= secret_bits:
            bound, rule = secret_bits, rule if rule.startswith("entropy") else "entropy"
    return bound, rule


@dataclass(frozen=True, slots=True)
class Triple:
    """What is reported of a composition: three numbers of different kinds, never combined.

    Attributes:
        lower: certified, measured end to end; None where it was not measured.
        estimate: bits of the product of the stages' matrices, which assumes that each stage depends
            on the one before only; None where a stage asks something new or has no matrix.
        upper: theory.
        excess: bits by which the certified lower bound exceeds the proved upper bound, or 0.
    """

    lower: Quantity | None
    estimate: Quantity | None
    upper: Quantity
    excess: float

    @property
    def violation(self) -> bool:
        """Whether more was certified than is possible: a side channel, a false claim, or a bug."""
        return self.excess > 0


def triple(
    links: Sequence[Link],
    secret_bits: float,
    *,
    end_to_end: Quantity | None = None,
    prior: ArrayLike | None = None,
) -> Triple:
    """Return lower, estimated and upper bits of the secret at the end of a chain.

    Args:
        links: the stages, in order.
        secret_bits: H(S).
        end_to_end: the certified measurement of the whole chain; its ``lower`` is used.
        prior: (K,) law of the secret for the estimate; uniform when None.

    Raises:
        UsageError: matrices do not fit one another, or ``end_to_end`` is not certified.
    """
    if end_to_end is not None and end_to_end.kind is not Kind.CERTIFIED:
        raise UsageError(f"end_to_end must be a certified quantity, got {end_to_end.kind}")
    bound, rule = upper_of(links, secret_bits)
    upper = Quantity(
        name="bits at the end of the chain",
        value=bound,
        upper=bound,
        kind=Kind.THEORY,
        method=rule,
        assumptions=tuple(f"{link.name or 'stage'}: {link.fresh} fresh uses" for link in links),
    )
    lower = None if end_to_end is None else end_to_end.lower
    return Triple(
        lower=end_to_end,
        estimate=_estimate(links, prior),
        upper=upper,
        excess=(lower or 0.0) - bound if breaks_dpi(lower or 0.0, bound) else 0.0,
    )


def _estimate(links: Sequence[Link], prior: ArrayLike | None) -> Quantity | None:
    matrices = [link.matrix for link in links if link.matrix is not None]
    if len(matrices) < len(links) or links[0].fresh != 1 or any(link.fresh for link in links[1:]):
        return None
    return Quantity(
        name="bits of the product of the stages",
        value=mutual_information(cascade(*matrices), prior),
        kind=Kind.ESTIMATE,
        method="matrix product",
        assumptions=("each stage depends on the stage before only (Markov)",),
    )


def confusion(truth: ArrayLike, answer: ArrayLike, inputs: int, outputs: int) -> Floats:
    """Return the shares of answers to each input, a failed item (−1) being an erasure.

    Args:
        truth: (n,) integers 0..inputs − 1.
        answer: (n,) integers −1..outputs − 1.
        inputs: symbols of the input.
        outputs: symbols of the answer; the erasure is one more column.

    Returns:
        (inputs, outputs + 1), rows sum to 1.

    Raises:
        UsageError: another shape, a symbol outside the alphabet, or an input that was never tried.
    """
    x, y = np.asarray(truth, dtype=np.int64), np.asarray(answer, dtype=np.int64)
    if x.ndim != 1 or x.shape != y.shape:
        raise UsageError(f"truth and answer must have one shape (n,), got {x.shape} and {y.shape}")
    if ((x < 0) | (x >= inputs) | (y < -1) | (y >= outputs)).any():
        raise UsageError(f"symbols must be of {inputs} inputs and {outputs} outputs or −1")
    counts = np.zeros((inputs, outputs + 1))
    np.add.at(counts, (x, np.where(y < 0, outputs, y)), 1.0)
    if missing := np.flatnonzero(counts.sum(1) == 0).tolist():
        raise UsageError(f"every input must be tried at least once, got no trial of {missing[0]}")
    return np.asarray(counts / counts.sum(1, keepdims=True))


def pass_erasures(matrix: ArrayLike) -> Floats:
    """Return a (K, M) channel as one of K + 1 inputs that hands an erasure on as output M."""
    a = as_channel(matrix)
    out = np.zeros((a.shape[0] + 1, a.shape[1] + 1))
    out[:-1, :-1], out[-1, -1] = a, 1.0
    return out


def pooled(*channels: ArrayLike, limit: int = LARGEST) -> Floats:
    """Return the channel of several looks at one secret, independent given it: all outputs at once.

    Raises:
        UsageError: channels of different inputs, or more than ``limit`` outputs.
    """
    matrices = [as_channel(c) for c in channels]
    for k, (left, right) in enumerate(pairwise(matrices), 2):
        if len(left) != len(right):
            raise UsageError(
                f"looks must have the same inputs; look {k} has {len(right)}, the one before "
                f"{len(left)}"
            )
    if (outputs := math.prod(m.shape[1] for m in matrices)) > limit:
        raise UsageError(f"outputs of all looks must be at most limit={limit}, got {outputs}")
    whole = matrices[0]
    for more in matrices[1:]:
        whole = (whole[:, :, None] * more[:, None, :]).reshape(len(whole), -1)
    return whole


@dataclass(frozen=True, slots=True)
class Collusion:
    """What k principals read together who each have the same channel of their own.

    Attributes:
        bits: of all principals together, at the prior.
        alone: of one of them.
        upper: min(k·capacity, H(S)), which holds for adaptive principals too.
        leakage_upper: the same in bits of min-entropy, where bits add up without a logarithm.
    """

    bits: float
    alone: float
    upper: float
    leakage_upper: float


def collusion(matrix: ArrayLike, principals: int, *, prior: ArrayLike | None = None) -> Collusion:
    """Return what colluding principals read of one secret: the aggregate composition.

    A limit on each principal (a query budget) does not limit k of them alike.

    Args:
        matrix: (K, M) what one principal reads.
        principals: k.
        prior: (K,) law of the secret; uniform when None.
    """
    a = as_channel(matrix)
    p = as_prior(prior, len(a))
    h = entropy(p)
    return Collusion(
        bits=mutual_information(repeated(a, principals), p),
        alone=mutual_information(a, p),
        upper=min(h, principals * capacity(a).upper),
        leakage_upper=min(math.log2(np.count_nonzero(p)), principals * min_capacity(a)),
    )


def ldp_contraction(epsilon: float) -> tuple[float, float]:
    """Most that an ε-locally private stage lets through: (η_TV, η_KL) ≤ (tanh ε/2, tanh² ε/2).

    arXiv:2210.13386.
    """
    if not epsilon >= 0:
        raise UsageError(f"epsilon must be 0 or more, got {epsilon!r}")
    return math.tanh(epsilon / 2), math.tanh(epsilon / 2) ** 2


def parallel_contraction(eta: float, uses: int) -> float:
    """Contraction of n parallel uses, at most 1 − (1 − η)^n (arXiv:1508.06025)."""
    if not 0 <= eta <= 1 or uses < 0:
        raise UsageError(f"eta must be in 0..1 and uses 0 or more, got {eta!r} and {uses}")
    return -math.expm1(uses * math.log1p(-eta)) if eta < 1 else float(uses > 0)


def serial_bounds(
    first: float, second: float, eta: float, secret: float = math.inf
) -> dict[str, float]:
    """Upper bounds on what survives S → O1 → O2 when both legs' bounds are *theory*.

    Args:
        first: upper bound on I(S; O1), bits.
        second: upper bound on I(O1; O2), bits (the second leg's capacity is one).
        eta: contraction coefficient of the second leg, 0..1.
        secret: entropy of the secret, bits.

    Returns:
        ``dpi`` = min(first, second), ``sdpi`` = η·first, ``bound`` = the least of all.
    """
    if not 0 <= eta <= 1:
        raise UsageError(f"eta must be in 0..1, got {eta!r}")
    dpi, sdpi = min(first, second), eta * first
    return {"dpi": dpi, "sdpi": sdpi, "bound": min(dpi, sdpi, secret)}


def breaks_dpi(certified: float, proved: float) -> bool:
    """Whether an end-to-end certified lower bound exceeds a proved upper bound.

    If so, there is a side channel around the stages, or a bug: the chain is not what it was
    declared to be. False alarms are as rare as the lower bound's α.
    """
    return certified > proved + 1e-9


def _named(link: Link) -> str:
    return f" of {link.name}" if link.name else ""
