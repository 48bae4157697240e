"""Fingerprints: secrets that an auditor plants in a victim and reads from a copy of it.

Agreement between a victim and its copy is mostly shared skill: two good models agree without any
theft. A planted secret, which no independent model can know, separates copying from skill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Asset, Data, Deal, Model, Outcome, Output, Received, Round, Scene, View
from hartley.core.assets import Session
from hartley.core.errors import BudgetSpent, RuleError, RunError
from hartley.kit.accounts import spread
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True)
class ExtractionBrief:
    """What an attacker of extraction knows.

    Attributes:
        public: records of the attacker's own, to query the victim about.
        classes: of the victim.
        queries: records that the attacker may ask of the victim, by all accounts together.
        accounts: with the victim that the attacker holds, asked in turn.
        graph: features and links of all nodes, where records are nodes of one graph; else None.
    """

    public: Data
    classes: int
    queries: int
    accounts: int = 1
    graph: Graph | None = None


@dataclass(frozen=True, slots=True)
class Planted:
    """Victims that each contain a secret, and how the judge reads it from a copy.

    Attributes:
        victims: one per round, with the access that the deployed model grants.
        truth: (rounds, m) integers in 0..alphabet−1, drawn uniformly.
        alphabet: number of symbols.
        read: (loot, round) → (m,) symbols, −1 for an erasure.
        metrics: (loot, round) → metrics; must have ``fidelity`` (agreement of copy and victim) and
            ``baseline`` (agreement of an independent model and the victim).
    """

    victims: tuple[Model, ...]
    truth: NDArray[Any]
    alphabet: int
    read: Callable[[Asset, int], NDArray[Any]]
    metrics: Callable[[Asset, int], Mapping[str, float]]


def dealt(planted: Planted, scene: Scene, rng: Rng, *, queries: int, accounts: int = 1) -> Deal:
    """Return the deal of victims with fingerprints; the loot is a copy of the victim.

    Args:
        planted: the victims, and how their fingerprints are read.
        scene: has ``public``, the attacker's records.
        rng: draws the salt.
        queries: largest number of records that the attacker may query per victim.
        accounts: with each victim that the attacker holds; ``queries`` is of all together.
    """
    rounds = len(planted.victims)
    salt, bills = int(rng.integers(2**31)), [_Bill() for _ in range(rounds)]
    sources = [
        _limited(victim, queries, accounts, bills, k) for k, victim in enumerate(planted.victims)
    ]

    def judge(rounds_: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        for bill in bills:
            bill.open = False
        return [
            # Who holds a copy in the victim's place has asked the victim nothing.
            _received(
                planted,
                k,
                outcome,
                bills[k].spent if _same(round_.view.source, sources[k]) else 0,
                len(round_.truth),
            )
            for k, (round_, outcome) in enumerate(zip(rounds_, outcomes, strict=True))
        ]

    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=sources[k],
                    brief=ExtractionBrief(
                        scene.extra["public"],
                        victim.classes,
                        queries,
                        accounts=accounts,
                        graph=scene.find(Graph),
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=planted.truth[k],
                alphabet=planted.alphabet,
            )
            for k, victim in enumerate(planted.victims)
        ),
        judge=judge,
    )


def _same(source: Asset | None, victim: Model) -> bool:
    """Whether a view's source is the victim itself, perhaps with other reference models."""
    return isinstance(source, Model) and source.session is victim.session


def labels_of(asset: Asset, x: NDArray[Any]) -> NDArray[Any]:
    """Return the labels (n,) that a model predicts for records (n, …), −1 for none.

    Raises:
        RunError: the asset is not a classifier, or answers with labels that its classes do not
            have.
    """
    if not isinstance(asset, Model):
        raise RunError(f"the loot must be a model, got data {asset.name!r}")
    if asset.output is Output.EMBEDDINGS:
        raise RunError(f"{asset.name!r} must answer with classes, got embeddings")
    answers = np.asarray(asset.query(x))
    if asset.output is not Output.LABELS:
        return np.asarray(answers.argmax(1))
    whole = answers.astype(np.int64)
    if (whole != answers).any() or ((whole < -1) | (whole >= asset.classes)).any():
        raise RunError(f"labels of {asset.name!r} must be whole numbers from −1 to classes − 1")
    return whole


def _received(planted: Planted, k: int, outcome: Outcome, spent: int, m: int) -> Received:
    loot = outcome.asset
    assert loot is not None  # the engine refuses an attack without loot
    metrics = {"queries": float(spent)} | ({"symbols_per_query": m / spent} if spent else {})
    return Received(
        guess=planted.read(loot, k),
        metrics={**planted.metrics(loot, k), **metrics},
        cost={"queries": float(spent)},
    )


@dataclass(slots=True)
class _Bill:
    """The queries of one attacker to one victim, and whether more are allowed."""

    spent: int = 0
    open: bool = True


def _limited(victim: Model, limit: int, accounts: int, bills: list[_Bill], k: int) -> Model:
    """Return the victim with at most ``limit`` answers, and none after the attack."""
    inner = victim.session

    def opened() -> Session:
        bill = bills[k] = _Bill()
        inner_session = spread(inner, accounts)

        def session(name: str, function: Callable[..., NDArray[Any]]) -> Any:
            answer = inner_session(name, function) if inner_session is not None else function

            def call(x: NDArray[Any], *arguments: Any) -> NDArray[Any]:
                if not bill.open:
                    raise RuleError(
                        "the loot must be independent of the victim, got a model that queries it"
                    )
                if bill.spent + len(x) > limit:
                    raise BudgetSpent(f"queries must be at most {limit} records per victim")
                bill.spent += len(x)
                return answer(x, *arguments)

            return call

        return session

    return replace(victim, session=opened)
