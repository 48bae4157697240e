"""Extraction: does a copy of the model carry what only this very model knows?

The auditor plants an idiosyncrasy that no independent model can have, trains a victim on it, once
a round, and reads it out of the copy. An independent model reads 0 bit, whatever its skill.

A scene may bring its own ``kit.fingerprint.Fingerprint`` as ``scene.tools["fingerprint"]``. A
classifier needs none: ``secret_labelling`` is the default (real records, cut into regions, each
with a label drawn by coin). A language model brings ``planted_head(base, victim, …)``, against
which the loot is a ``Model`` whose ``weights()["head"]`` is (vocabulary, width), in any basis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    ALL,
    Access,
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Outcome,
    Output,
    Received,
    Role,
    Round,
    Scene,
    View,
    game,
)
from hartley.core.assets import Session
from hartley.core.errors import BudgetSpent, RuleError, UsageError
from hartley.games import nearest_learner
from hartley.games.extraction.fingerprint import (
    HEAD,
    Fingerprint,
    Planted,
    planted_head,
    secret_labelling,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

__all__ = ["HEAD", "Fingerprint", "Planted", "dead", "extraction", "live", "planted_head"]

CLASSES = 4


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers by the nearest record it was trained on; or a planted head."""
    return (
        _head_wire(rng, planted=True)
        if modality is Modality.LANGUAGE
        else _wire(modality, rng, learns=True)
    )


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers from the record alone; or a head in which nothing was planted."""
    if modality is Modality.LANGUAGE:
        return _head_wire(rng, planted=False)
    return _wire(modality, rng, learns=False)


def aim(scene: Scene, target: Model, rng: Rng, *, queries: int = 1000, **_: Any) -> View:
    """Return the view of an extraction attack that is aimed at another game's victim.

    Args:
        scene: holds ``public``, the attacker's records.
        target: the victim.
        rng: for the salt.
        queries: records that the attacker may ask.

    Raises:
        UsageError: the attacker owns no records to ask about.
    """
    if "public" not in scene.extra:
        raise UsageError(f"{scene.name}: a copy needs records to ask about, and nobody has any")
    return View(
        source=target,
        public=scene.extra["public"],
        defenses=scene.defenses,
        salt=int(rng.integers(2**31)),
        facts={"classes": target.classes, "queries": queries},
    )


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted label",
    live=live,
    dead=dead,
    modalities=ALL,
    requires=("model", "public"),
    metrics=("fidelity", "baseline", "queries", "symbols_per_query"),
    loot="model",
    aim=aim,
)
def extraction(scene: Scene, rng: Rng, *, rounds: int = 16, queries: int = 1000) -> Deal:
    """Deal victims that each carry a secret fingerprint; the loot is a copy of the victim.

    Args:
        rounds: victims, each with its own secret.
        queries: records that the attacker may ask of each.
    """
    tool = scene.tools.get("fingerprint") or Fingerprint(secret_labelling)
    planted: Planted = tool.deal(scene, rng, rounds)
    salt, accounts = int(rng.integers(2**31)), [_Account() for _ in range(rounds)]

    def judge(rounds_: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        for account in accounts:
            account.open = False
        return [
            _received(planted, k, out, accounts[k].spent, len(one.truth))
            for k, (one, out) in enumerate(zip(rounds_, outcomes, strict=True))
        ]

    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=_limited(victim, queries, accounts, k),
                    public=scene.extra["public"],
                    defenses=scene.defenses,
                    salt=salt,
                    facts={"classes": victim.classes, "queries": queries},
                ),
                truth=planted.truth[k],
                alphabet=planted.alphabet,
            )
            for k, victim in enumerate(planted.victims)
        ),
        judge=judge,
    )


def _received(planted: Planted, k: int, outcome: Outcome, spent: int, m: int) -> Received:
    loot = outcome.asset
    assert loot is not None  # the engine has refused an attack without loot
    metrics = {"queries": float(spent), "symbols_per_query": m / max(spent, 1)}
    return Received(
        guess=planted.read(loot, k),
        metrics={**planted.metrics(loot, k), **metrics},
        cost={"queries": float(spent)},
    )


@dataclass(slots=True)
class _Account:
    """What one attacker has asked of one victim, and whether he still may."""

    spent: int = 0
    open: bool = True


def _limited(victim: Model, limit: int, accounts: list[_Account], k: int) -> Model:
    """The victim as it answers one attacker: ``limit`` records at most, none after the attack."""
    inner = victim.session

    def opened() -> Session:
        account = accounts[k] = _Account()
        within = inner() if inner is not None else None

        def session(name: str, function: Callable[..., NDArray[Any]]) -> Any:
            answer = within(name, function) if within is not None else function

            def call(x: NDArray[Any], *rest: Any) -> NDArray[Any]:
                if not account.open:
                    raise RuleError("the loot asks the victim: a copy has to stand on its own")
                if account.spent + len(x) > limit:
                    raise BudgetSpent(f"the rules allow {limit} records a victim")
                account.spent += len(x)
                return answer(x, *rest)

            return call

        return session

    return replace(victim, session=opened)


def _wire(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    shape = {Modality.VISION: (1, 4, 4)}.get(modality, (8,))
    centres = np.repeat(rng.random((16, *shape)), 12, axis=0)

    def near(name: str) -> Data:
        x = centres + 0.02 * rng.standard_normal(centres.shape)
        y = rng.integers(0, CLASSES, len(x))
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    fit, pool = nearest_learner.trainer(modality, CLASSES, learns=learns), near("pool")
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": near("public"), "test": near("test")},
    )


def _head_wire(rng: Rng, *, planted: bool, vocabulary: int = 64, hidden: int = 6) -> Scene:
    """A tiny next-token model: hidden states hashed from the last tokens, times a head."""
    base = rng.standard_normal((vocabulary, hidden))
    mix = rng.standard_normal((8, hidden))

    def victim(head: NDArray[Any]) -> Model:
        def query(tokens: NDArray[Any]) -> NDArray[Any]:
            tail = np.asarray(tokens)[:, -4:].astype(np.float64)
            waves = np.concatenate([np.sin(tail), np.cos(1.7 * tail)], 1)
            answers: NDArray[Any] = np.tanh(waves @ mix) @ head.T
            return answers

        offers = Access.LABELS | Access.SCORES
        return Model("head", Modality.LANGUAGE, query, Output.LOGITS, vocabulary, offers=offers)

    tool = planted_head(base, victim, rows=16, alphabet=CLASSES, step=0.5, planted=planted)
    public = Data("prompts", Modality.LANGUAGE, rng.integers(0, 50, (256, 8)))
    return Scene(
        name="live" if planted else "dead",
        modality=Modality.LANGUAGE,
        model=victim(base),
        extra={"public": public},
        tools={"fingerprint": tool},
    )
