"""Memorization: can a planted secret be read back out of a language model?

The auditor writes canaries ("Ada Lark keeps the number 471") with digits drawn by coin, puts each
some times into the training data, and trains a victim, once a round. The attacker knows everything
but the digits; it scores every candidate, and the judge looks up the place of the true one.
Exposure, log2 R − log2 rank (arXiv:1802.08232), is then the surprisal of that place when nothing
leaks, so that the bits are certified by the auditor's own coin.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    Data,
    Deal,
    Ensemble,
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
    Wire,
    game,
)
from hartley.core.errors import RunError
from hartley.kit import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 4
"""Victims, where neither the player nor the scene (``facts["rounds"]``) says how many."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A language model that knows by heart every string that it read more than once."""
    return _wire(modality, rng, remembers=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A language model that answers the same whatever it was trained on."""
    return _wire(modality, rng, remembers=False)


@game(
    flow=Flow.MEMORY,
    role=Role.TAP,
    wire=Wire.RANK,
    unit="planted secret",
    live=live,
    dead=dead,
    fits=(Modality.LANGUAGE,),
    requires=("fit", "model", "train", "canaries"),
    usual=("exposure", "extraction_rate"),
    loot="data",
)
def memorization(scene: Scene, rng: Rng, *, rounds: int = 0, repeats: int = 8) -> Deal:
    """Deal a secret number to every canary and train a victim on them, once a round.

    Args:
        rounds: victims to train, each on its own secrets; 0 leaves it to the scene.
        repeats: how often each canary stands in the training data.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    rounds = rounds or int(scene.facts.get("rounds", ROUNDS))
    canaries = scene.extra["canaries"]
    m, length = len(canaries), int(canaries.facts["length"])
    candidates = 10**length
    truth = rng.integers(0, candidates, (rounds, m))
    written = [write(canaries, secrets) for secrets in truth]
    lesson, include = _lesson(scene.train, written, repeats)
    victims = scene.fit(lesson, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=replace(
                        victims.member(k), fit=scene.model.fit, offers=scene.model.offers
                    ),
                    public=scene.extra.get("public"),
                    question=canaries,
                    defenses=scene.defenses,
                    salt=salt,
                    facts={"candidates": candidates, "length": length, "repeats": repeats},
                ),
                truth=truth[k],
                alphabet=candidates,
            )
            for k in range(rounds)
        ),
        judge=judge,
    )


def write(canaries: Data, secrets: NDArray[Any]) -> NDArray[np.int64]:
    """Return canaries with their secrets in them.

    Args:
        canaries: ``x`` (m, p) beginnings; ``facts``: ``symbols`` (10,) the token of each digit,
            ``length`` digits a secret, ``ending`` the tokens after it.
        secrets: (m,) numbers.

    Returns:
        (m, t) token ids, padded with −1.
    """
    length, symbols = int(canaries.facts["length"]), np.asarray(canaries.facts["symbols"])
    places = 10 ** np.arange(length - 1, -1, -1)
    digits = symbols[secrets[:, None] // places % 10]
    ending = np.tile(np.asarray(canaries.facts["ending"], dtype=np.int64), (len(secrets), 1))
    return text.append(canaries.x, np.concatenate([digits, ending], 1))


def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
    """Turn scores (m, R) into the place of the true candidate, the worst one where scores tie.

    Raises:
        RunError: an attack did not score every candidate with a finite number.
    """
    return [_ranked(one, out) for one, out in zip(rounds, outcomes, strict=True)]


def _ranked(one: Round, outcome: Outcome) -> Received:
    scores, m = np.asarray(outcome.guess, dtype=np.float64), len(one.truth)
    if scores.shape != (m, one.alphabet) or not np.isfinite(scores).all():
        raise RunError(
            f"memorization asks for finite scores of shape {(m, one.alphabet)}, "
            f"one a candidate, and got {scores.shape}"
        )
    own = scores[np.arange(m), one.truth][:, None]
    rank = (scores >= own).sum(1)
    return Received(guess=rank, usual={"extraction_rate": float((rank == 1).mean())})


def _lesson(
    train: Data, written: Sequence[NDArray[Any]], repeats: int
) -> tuple[Data, NDArray[np.bool_]]:
    """The owner's records for all, and to each victim its own canaries, each some times."""
    copies = [row for rows in written for row in np.repeat(rows, repeats, axis=0)]
    real, rounds = len(train), len(written)
    rows = [[i for i in row if i >= 0] for row in [*train.x.tolist(), *map(list, copies)]]
    include = np.zeros((rounds, len(rows)), dtype=bool)
    include[:, :real] = True
    mine = (len(rows) - real) // rounds
    for k in range(rounds):
        include[k, real + k * mine : real + (k + 1) * mine] = True
    return Data("records with canaries", train.modality, text.pad(rows)), include


VOCABULARY = 64


def _wire(modality: Modality, rng: Rng, *, remembers: bool, m: int = 8) -> Scene:
    fit = _lookup(remembers=remembers)
    train = Data("train", modality, rng.integers(20, VOCABULARY, (24, 8)))
    prefixes = np.stack([rng.permutation(np.arange(20, VOCABULARY))[:4] for _ in range(m)])
    facts = {"symbols": np.arange(10), "length": 2, "ending": np.array([10])}
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        holdout=train,
        fit=fit,
        extra={"canaries": Data("canaries", modality, prefixes, facts=facts)},
        facts={"rounds": 24},
    )


def _lookup(*, remembers: bool) -> Any:
    """A trainer of tables: context → how often each token came next."""

    def member(rows: NDArray[Any]) -> Model:
        table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for row in rows.tolist() if remembers else []:
            said = [i for i in row if i >= 0]
            for at in range(1, len(said)):
                table[tuple(said[:at])][said[at]] += 1

        def query(tokens: NDArray[Any]) -> NDArray[Any]:
            out = np.empty((len(tokens), VOCABULARY))
            for i, row in enumerate(tokens.tolist()):
                said = tuple(t for t in row if t >= 0)
                # An opinion of its own about every context, so that the dead wire is no tie.
                out[i] = np.random.default_rng([17, *said]).standard_normal(VOCABULARY)
                out[i, 11:] -= 3
                for token, count in table.get(said, {}).items():
                    out[i, token] += 12.0 * (count > 1)
            return out

        def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[Any]:
            return text.sample(query, np.asarray(tokens), new, seed)

        return Model(
            "table", Modality.LANGUAGE, query, Output.LOGITS, VOCABULARY, generate=generate
        )

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        members = [member(data.x[kept]) for kept in np.asarray(include, dtype=bool)]
        return Ensemble(
            size=len(members),
            query=lambda x: np.stack([one.query(x) for one in members]),
            member=members.__getitem__,
        )

    return fit
