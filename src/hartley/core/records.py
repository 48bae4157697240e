"""The results of a game: its trials, and the channel that is measured from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hartley.core.outbreak import Outbreak
from hartley.core.quantity import Quantity
from hartley.core.scene import Applied, Bound
from hartley.core.taxonomy import AnswerForm, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """The declaration of a channel, fixed before the run.

    Attributes:
        role: tap, inject or jam.
        form: the form of one answer.
        alphabet: K symbols, or R candidates for ranks.
        unit: what one use is, for example ``record``, ``bit of the mark``, ``trigger``.
        planted: the auditor drew the secret from a known prior (uniform here).
        clustered: rows of one cluster are dependent.
        levels: pre-declared false-positive rates (scores).
        alpha: error level of every bound.
        pieces: k: a score is read by posteriors of at most k monotone pieces, 1 or 2.
        bounds: proved limits.
        seconds, uses, budget: the attacker's own time and queries over the whole run, and the
            declared query budget, if any.
        judge: (sensitivity, specificity, n) of a judge who says what a success is, checked on n
            items of each class; None where success needs no judge.
        commit: ``commitment(seed)``, published before the run; ``measure`` checks the seed.
        tries: how many thresholds, scores or attacks were tried on these rows before this one was
            reported; every bound then has the error level ``alpha / tries`` (Bonferroni).
    """

    role: Role = Role.TAP
    form: AnswerForm = AnswerForm.SCORE
    alphabet: int = 2
    unit: str = "use"
    planted: bool = True
    clustered: bool = False
    levels: tuple[float, ...] = (0.002, 0.0044, 0.0097, 0.0213, 0.0469, 0.1032, 0.2272, 0.5)
    alpha: float = 0.05
    pieces: int = 1
    bounds: tuple[Bound, ...] = ()
    seconds: float | None = None
    uses: int | None = None
    budget: int | None = None
    judge: tuple[float, float, int] | None = None
    commit: str | None = None
    tries: int = 1

    @property
    def registration(self) -> str:
        """SHA-256 of what is declared before the run: everything but what the run itself cost."""
        declared = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("seconds", "uses", "bounds")
        }
        declared["bounds"] = [(b.kind, dict(b.params), b.games) for b in self.bounds]
        plain = json.dumps(declared, sort_keys=True, default=lambda v: v.item())
        return hashlib.sha256(plain.encode()).hexdigest()


COSTS = ("cost_queries", "cost_tokens", "cost_s", "cost_money", "poison_n", "distortion", "utility")
"""Names of the columns of ``Trials.costs``: what one row cost the attacker, and what it did to the
owner: queries, tokens, seconds, money, poison records, distortion and utility that was left."""

COLUMNS: Mapping[str, tuple[float | None, float | None, bool]] = MappingProxyType(
    {
        "trial": (0, None, True),
        "item": (0, None, True),
        "split": (0, 1, True),
        "order": (None, None, False),
        "logq": (None, 0, False),
        "gain": (0, 1, False),
        "p_null": (0, 1, False),
        "observed": (0, None, True),
        **{name: (0, None, False) for name in COSTS if name != "utility"},
        "utility": (None, None, False),
    }
)
"""Optional columns of trials: the least and the largest value allowed, and whole numbers or not."""


@dataclass(frozen=True, slots=True)
class Trials:
    """One row a use: what was sent, what was received, what it cost.

    Attributes:
        spec: how to measure it.
        truth: (n,) integers, the secret symbols.
        guess: (n,) float scores, integer symbols (−1 = erased) or integer ranks (1 = first).
        reference: (n,) what is received without the attack, for a jam; else None.
        cluster: (n,) integers; rows of one cluster share a victim.
        trial: (n,) numbers of the rows, each once; with ``run_id`` they name a row for good.
        item: (n,) which record, canary, trigger, photograph … of the round the row is about.
        split: (n,) 0 = the attacker tuned on this row, which is then not measured; 1 = measured.
        order: (n,) time of the row, for evidence that is gathered row by row.
        logq: (n,) log2 of the posterior that the attacker gave the true secret, at most 0.
        gain: (n,) partial credit in 0..1.
        p_null: (n,) chance in (0, 1] of a success at least this good, were the secret independent
            of what was seen; 1 for a failure.
        observed: (n,) codes ≥ 0 of what was seen, where few values are possible.
        costs: (n,) floats a column, by names out of ``COSTS``.
        run_id: 16 hexadecimal digits of the SHA-256 of what was played: the scene's digest, game,
            attack and their parameters, seed, budget, defenses and what the attacker knew. The
            same play has the same id; empty for trials that were not played here.
        attack, game, cls, scene: names; ``cls`` is the threat class of the game.
        params: the attack's parameters.
        seed: the run's seed.
        shared_seconds: time of work that is done once for all attacks that use it, by name, such as
            reference models or answers of victims. Every attack that used it has all of it here,
            and none of it in its own seconds.
        queried: whether the attack asked the victim anything new (bounds of a chain need it).
        metrics: metrics from the judge, mean over rounds, and those of the deal itself, by name:
            floats, or {value, low, high, n}.
        metrics_by_round: the same metrics round by round, by name; their intervals come from these.
            Of rounds that form a cluster, their mean.
        cost: what the attacker spent in a round, by unit; ``judge_queries`` and the like are what
            the judge spent, apart from that.
        defenses: those of the scene.
        knowledge: ``none`` (the scene had no defense), ``static`` or ``adaptive``.
        loot: one line about the asset that the attack returned.
        tuning: how an adaptive attacker chose ``params`` on other rounds (``engine.run.tuning``);
            empty where they chose nothing.
        stage_of: the chain it belongs to, or None.
        notes: what was done to the rows before they are measured, one sentence each.
        sources: names of the data that ``item`` numbers the records of, each with the number of its
            first record, ascending; empty where an item is not one record.
        pictures: what the attack did to one record, of the first round that shows it.
        outbreaks: what spread among agents, one for each round where something could.
    """

    spec: ChannelSpec
    truth: NDArray[Any]
    guess: NDArray[Any]
    reference: NDArray[Any] | None = None
    cluster: NDArray[Any] | None = None
    trial: NDArray[Any] | None = None
    item: NDArray[Any] | None = None
    split: NDArray[Any] | None = None
    order: NDArray[Any] | None = None
    logq: NDArray[Any] | None = None
    gain: NDArray[Any] | None = None
    p_null: NDArray[Any] | None = None
    observed: NDArray[Any] | None = None
    costs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    run_id: str = ""
    attack: str = ""
    game: str = ""
    cls: str = ""
    scene: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    queried: bool = True
    metrics: Mapping[str, Any] = field(default_factory=dict)
    metrics_by_round: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    shared_seconds: Mapping[str, float] = field(default_factory=dict)
    defenses: tuple[Applied, ...] = ()
    knowledge: str = "none"
    loot: str = ""
    tuning: Mapping[str, Any] = field(default_factory=dict)
    stage_of: str | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[tuple[str, int], ...] = ()
    pictures: tuple[Mapping[str, Any], ...] = ()
    outbreaks: tuple[Outbreak, ...] = ()

    def __len__(self) -> int:
        """The number of uses."""
        return len(self.truth)


@dataclass(frozen=True, slots=True)
class Channel:
    """A measured channel.

    ``bits`` is Shannon information per use at the auditor's uniform prior: ``value`` the bias-
    corrected point, ``lower`` the certified bound. ``high`` carries the calibrated upper side.
    For a jam, ``bits`` is what the attack destroyed: capacity without it minus capacity with it.

    Attributes:
        bits: kind ``certified``; ``lower`` holds with probability 1 − alpha.
        high: calibrated upper end of the interval, or None.
        raw: plug-in point before bias correction and clipping.
        null: the same measurement with the secrets re-drawn after the fact; about 0 when sound.
        ceiling: theory upper bound per use (entropy of the secret, DP, alphabet), kind ``theory``.
        capacity: max over the attacker's input law, where the channel is fully enumerated.
        leakage: min-capacity in bits per use (maximal leakage), named apart from Shannon bits.
        signal, noise: (μ1−μ0)²/4 and pooled variance of a score; None without a score.
        snr: measured signal/noise, or the Gaussian-equivalent 4^bits − 1 without a score.
        uses: metered queries; seconds: the attacker's own time; n: rows; clusters: independent
            units.
        rate: bits per second of the attacker's own time and all shared work that they used;
            budget_bits: bits within the query budget.
        authorised: log2 of the answers the policy allows per query (Seed B's bandwidth), or None.
        metrics: the class's usual metrics: each value is a float, or {value, low, high, n}.
        estimator: which method gave ``bits``.
        curve: arrays worth drawing: ``fpr``, ``tpr`` (log-spaced), by name.
        lows: error levels alpha, alpha/2, … each with the certified bits at it, for a gate that
            weighs several limits together.
        quantity: in words, what point, lower and high are of.
        beside: the same lower bounds of other quantities: ``epsilon`` of differential privacy, and
            ``min_capacity`` in bits a use.
        epidemic: mean share that is infected after each step, with ``low`` and ``high`` over
            outbreaks, by name; empty where nothing spreads.
    """

    bits: Quantity
    high: float | None
    raw: float
    null: Quantity
    ceiling: Quantity
    capacity: Quantity | None = None
    leakage: Quantity | None = None
    signal: float | None = None
    noise: float | None = None
    snr: float | None = None
    uses: int = 0
    seconds: float = 0.0
    rate: float | None = None
    budget_bits: float | None = None
    authorised: float | None = None
    n: int = 0
    clusters: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = ""
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    lows: tuple[tuple[float, float], ...] = ()
    quantity: str = ""
    beside: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    epidemic: Mapping[str, list[float]] = field(default_factory=dict)
