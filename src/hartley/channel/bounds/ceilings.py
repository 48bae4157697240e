"""Ceilings: the most a proof lets a channel carry, by entropy, by DP or by the alphabet of answers.

An attack gives only lower bounds on a leak; upper bounds come from here. All of them
are for one use at the auditor's uniform prior, where a use is one planted secret of K symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from hartley.core import Bound, ChannelSpec, Kind, Quantity, Role
from hartley.core.errors import UsageError
from hartley.infotheory.differential_privacy import check_dp, dp_advantage, not_negative
from hartley.infotheory.gaussian import LOG2E, bpsk_capacity, h2


def dp_mi(epsilon: float, delta: float = 0.0, alphabet: int = 2) -> float:
    """Most bits that an (ε, δ)-DP release can carry about a uniform secret of K symbols.

    K = 2: δ + (1 − δ)(1 − h2(1/(1 + e^ε))), reached by randomised response (Blackwell dominance).
    K > 2 with δ = 0: the best subset mechanism. Any output column of an ε-DP channel is a mixture
    of columns that are e^ε on a set A and 1 elsewhere, information is convex and homogeneous in a
    column, and only |A| matters at the uniform prior (arXiv:1407.1338); so the best |A| bounds all.
    K > 2 with δ > 0: ask for the symbol in ⌈log2 K⌉ yes-no questions; each answer is a binary
    channel between mixtures of (ε, δ)-close laws, hence no better than the binary bound.

    Args:
        epsilon: nats, 0 or more; +inf means no limit.
        delta: in 0..1.
        alphabet: K ≥ 1.

    Raises:
        UsageError: a parameter is out of range.
    """
    check_dp(epsilon, delta)
    top = _entropy(alphabet)
    if alphabet == 1:
        return 0.0
    if epsilon > 700.0:
        return top
    if alphabet == 2 or delta > 0.0:
        pair = delta + (1.0 - delta) * (1.0 - h2(1.0 / (1.0 + math.exp(epsilon))))
        return min(top, math.ceil(top) * pair)
    return min(top, _subset(epsilon, alphabet))


def _subset(epsilon: float, alphabet: int) -> float:
    if epsilon < 1e-9:
        return epsilon * epsilon / 8 * LOG2E  # the limit; the formula below would cancel
    rise = math.expm1(epsilon)
    # In q = |A|/K the information p·ε − ln D has its only peak at D = q·(e^ε − 1) + 1 below.
    peak = (epsilon * math.exp(epsilon) / rise - 1.0) / rise * alphabet
    best = 0.0
    for size in {math.floor(peak), math.ceil(peak)}:
        q = min(max(size, 1), alphabet - 1) / alphabet
        d = q * rise + 1.0
        best = max(best, (q * math.exp(epsilon) / d * epsilon - math.log(d)) * LOG2E)
    return best


def gdp_mi(mu: float, alphabet: int = 2) -> float:
    """Most bits of a μ-GDP release about a uniform secret of K symbols.

    K = 2: C_BPSK(μ²/4), exact. K > 2: the smaller of ⌈log2 K⌉ such questions and the mean pairwise
    divergence (1 − 1/K)·μ²/2.
    """
    not_negative(mu, "mu")
    top = _entropy(alphabet)
    if mu == math.inf:
        return top
    questions = math.ceil(top) * bpsk_capacity(mu * mu / 4.0)
    return min(top, questions, zcdp_mi(mu * mu / 2.0, alphabet))


def zcdp_mi(rho: float, alphabet: int = 2) -> float:
    """Most bits of a ρ-zCDP release about a uniform secret of K symbols: (1 − 1/K)·ρ·log2 e.

    I = mean_s KL(P_s ‖ mean P) ≤ mean over pairs of KL(P_s ‖ P_t), which is 0 on the diagonal and
    at most ρ nats off it. K = 2: (ρ/2)·log2 e.
    """
    not_negative(rho, "rho")
    return min(_entropy(alphabet), (1.0 - 1.0 / alphabet) * rho * LOG2E)


def quoted_dp_mi(epsilon: float) -> float:
    """The often quoted ε·log2 e bits: true, but 9 times loose at ε = 1."""
    check_dp(epsilon, 0.0)
    return epsilon * LOG2E


def dp_leakage(epsilon: float, delta: float = 0.0) -> float:
    """Largest min-capacity (maximal leakage) of a binary (ε, δ)-DP release, log2(1 + advantage)."""
    return math.log2(1.0 + dp_advantage(epsilon, delta))


def dp_min_entropy(epsilon: float, values: int) -> float:
    """Largest min-entropy leakage about one individual of v values: log2(v·e^ε/(v − 1 + e^ε))."""
    check_dp(epsilon, 0.0)
    return -math.log2(1.0 / values + (1.0 - 1.0 / values) * math.exp(-epsilon))


def dp_contraction(epsilon: float) -> tuple[float, float]:
    """Return bounds on (η_TV, η_KL) of ε-LDP channels: tanh(ε/2), its square (arXiv:2210.13386)."""
    check_dp(epsilon, 0.0)
    t = math.tanh(epsilon / 2.0)
    return t, t * t


def ceiling(spec: ChannelSpec, n_uses: int) -> Quantity:
    """Return the least proved upper bound on the bits of one use, and which proof it is.

    The entropy of the secret always applies. The declared bounds apply as well, by kind:

    ``dp`` {epsilon, delta = 0, mi_bits}, ``gdp`` {mu}, ``zcdp`` {rho}: the release, for secrets
    that change one record (``group`` records, where given; group privacy is applied first). Not for
    a jam, whose channel is the owner's. ``mi_bits``, where given, are the most bits of a fair coin
    for one record, from the whole privacy loss: they bound K = 2 without ``group``. ``alphabet``
    {bits}: log2 of the number of answers a query may have, for a tap that reads nothing but
    answers; all queries together (``queries``, else ``spec.uses``, else ``spec.budget``) are spread
    over the ``n_uses`` secrets. ``entropy`` {bits}: a secret that is not uniform. ``sdpi`` {eta}:
    the secret passes a stage that keeps at most this share of any information.

    Args:
        spec: the declaration.
        n_uses: secrets sent (rows of the trials).

    Returns:
        kind ``theory``; ``value`` = ``upper``; ``method`` names the bound that binds.

    Raises:
        UsageError: an unknown kind of bound or a number out of range. It is never skipped: dropping
            a proof would make a leak look permitted.
    """
    top = _entropy(spec.alphabet)
    limits = [(top, f"entropy of the secret, log2 {spec.alphabet}")]
    shares = []
    for bound in spec.bounds:
        rule = _RULES.get(bound.kind)
        if rule is None:
            raise UsageError(
                f"the kind of a bound must be one of {', '.join(sorted(_RULES))}, got "
                f"{bound.kind!r}"
            )
        limit = rule(bound, spec, n_uses)
        if bound.kind == "sdpi":
            shares.append((limit, _named(bound)))
        elif limit is not None:
            limits.append((limit, _named(bound)))
    for share, name in shares:
        assert share is not None
        limits.append((share * top, name))
    value, method = min(limits)
    return Quantity(
        name="ceiling",
        value=value,
        upper=value,
        kind=Kind.THEORY,
        n=n_uses,
        method=method,
        assumptions=("uniform independent secrets",),
    )


def _of_release(limit: Callable[[Mapping[str, float], float, int], float]) -> _Rule:
    def rule(bound: Bound, spec: ChannelSpec, n_uses: int) -> float | None:
        del n_uses
        group = bound.params.get("group", 1.0)
        if group < 1:
            raise UsageError(f"group must be 1 record or more, got {group:g}")
        return None if spec.role is Role.JAM else limit(bound.params, group, spec.alphabet)

    return rule


def _of_group(p: Mapping[str, float], group: float, alphabet: int) -> float:
    epsilon, delta = _get(p, "epsilon"), p.get("delta", 0.0)
    check_dp(epsilon, delta)
    if group > 1 and delta > 0:  # δ grows by (e^{gε} − 1)/(e^ε − 1)
        e = min(epsilon, 700.0)
        grown = math.expm1(min(group * e, 700.0)) / math.expm1(e) if e > 0 else group
        delta = min(1.0, delta * grown)
    limit = dp_mi(group * epsilon, delta, alphabet)
    if group == 1 and alphabet == 2 and "mi_bits" in p:
        return min(limit, not_negative(p["mi_bits"], "mi_bits"))
    return limit


def _of_alphabet(bound: Bound, spec: ChannelSpec, n_uses: int) -> float | None:
    bits = not_negative(_get(bound.params, "bits"), "alphabet bits")
    metered = spec.uses if spec.uses is not None else spec.budget
    queries = bound.params.get("queries", metered)
    # No metered query means that the bits came another way (weights, a released file), not 0 bits.
    return bits * queries / n_uses if spec.role is Role.TAP and queries and n_uses else None


_Rule = Callable[[Bound, ChannelSpec, int], "float | None"]
_RULES: Mapping[str, _Rule] = {
    "dp": _of_release(_of_group),
    "gdp": _of_release(lambda p, g, k: gdp_mi(g * _get(p, "mu"), k)),
    "zcdp": _of_release(lambda p, g, k: zcdp_mi(g * g * _get(p, "rho"), k)),
    "alphabet": _of_alphabet,
    "entropy": lambda bound, *_: not_negative(_get(bound.params, "bits"), "entropy bits"),
    "sdpi": lambda bound, *_: min(1.0, not_negative(_get(bound.params, "eta"), "eta")),
}


def _named(bound: Bound) -> str:
    return f"{bound.kind}({', '.join(f'{k}={v:g}' for k, v in sorted(bound.params.items()))})"


def _get(params: Mapping[str, float], name: str) -> float:
    if name not in params:
        raise UsageError(
            f"a bound of this kind must have {name!r}, got {', '.join(sorted(params)) or 'nothing'}"
        )
    return params[name]


def _entropy(alphabet: int) -> float:
    if alphabet < 1:
        raise UsageError(f"alphabet must have at least 1 symbol, got {alphabet}")
    return math.log2(alphabet)
