"""Block distinguishing: do ciphertexts show that two plaintexts differ in a known way?

Of each pair of blocks a fair coin of the auditor says whether the plaintexts differ by a fixed
difference or are drawn independently. Both are encrypted under one key that nobody else knows, by
Speck32/64 with some of its 22 rounds. The attacker sees the pair of ciphertexts, knows the
algorithm, the number of its rounds and the difference, and scores how likely the plaintexts
differ so (Gohr 2019, doi:10.1007/978-3-030-26951-7_6). A cipher whose pairs are distinguished is
not yet broken, but its key can then be searched for with less work than all keys take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Outcome,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.core.taxonomy import Form
from hartley.kit.speck import FULL, encrypted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

DIFFERENCE = (0x0040, 0x0000)
"""Gohr's: after one round it is a difference of one bit with certainty."""

WORDS = 1 << 16


@dataclass(frozen=True, slots=True)
class ReducedSpeck:
    """Speck32/64 of which the first rounds are used.

    Attributes:
        rounds: 1 to 22, all of them.
        difference: words (left, right) by which plaintexts differ where the coin says so.
    """

    rounds: int = FULL
    difference: tuple[int, int] = DIFFERENCE

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= FULL:
            raise UsageError(f"Speck32/64 must have 1 to {FULL} rounds, got {self.rounds}")
        if self.difference == (0, 0) or not all(0 <= word < WORDS for word in self.difference):
            raise UsageError(
                f"a difference must be 2 words of 16 bits, not both 0, got {self.difference}"
            )


def pairs(
    cipher: ReducedSpeck, coins: NDArray[np.int64], keys: NDArray[np.uint16], rng: Rng
) -> NDArray[np.uint16]:
    """Return (n, 2, 2) ciphertexts of pairs of plaintexts: pair, block, word.

    Args:
        cipher: what encrypts.
        coins: (n,) 1 where both plaintexts differ by the difference, 0 where they are independent.
        keys: (4,) words for all pairs, or (n, 4).
        rng: draws the plaintexts.
    """
    plain = rng.integers(0, WORDS, (len(coins), 2, 2), dtype=np.uint16)
    differ = coins == 1
    plain[differ, 1] = plain[differ, 0] ^ np.array(cipher.difference, dtype=np.uint16)
    return encrypted(plain, keys if keys.ndim == 1 else keys[:, None], cipher.rounds)


def live(modality: Modality, rng: Rng) -> Scene:
    """Speck with three of its rounds, which leave almost every difference plain."""
    del rng
    return Scene(name="live", modality=modality, parts=(ReducedSpeck(3),))


def dead(modality: Modality, rng: Rng) -> Scene:
    """Speck as it is used."""
    del rng
    return Scene(name="dead", modality=modality, parts=(ReducedSpeck(FULL),))


@dataclass(frozen=True, slots=True)
class BlockDistinguishingBrief:
    """What an attacker of a block cipher knows; the source of the view are pairs of ciphertexts.

    Attributes:
        cipher: the algorithm with its number of rounds, and the difference of plaintexts. The key
            is not in it.
    """

    cipher: ReducedSpeck


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="pair of blocks",
    live=live,
    dead=dead,
    brief=BlockDistinguishingBrief,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "blocks are of bits, which are taken as those of messages",
        "audio": "blocks are of bits, which are taken as those of messages",
        "graph": "blocks are of bits, which are taken as those of messages",
        "tabular": "blocks are of bits, which are taken as those of messages",
        "paired": "blocks are of bits, which are taken as those of messages",
    },
    requires=("reduced_speck",),
    metrics=("cipher_rounds",),
    paper="doi:10.1007/978-3-030-26951-7_6",
)
def block_distinguishing(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 100,
    pairs_per_key: Annotated[int, Range(2, 10_000)] = 50,
) -> Deal:
    """Encrypt pairs of blocks under fresh keys; the attacker scores which differ as agreed.

    Args:
        rounds: keys; the pairs of one key are one cluster. Not the rounds of the cipher, which are
            the scene's.
        pairs_per_key: pairs that are encrypted under each key, each by a coin of its own.
    """
    cipher = scene.part(ReducedSpeck)
    return Deal(
        rounds=tuple(_round(scene, cipher, pairs_per_key, rng) for _ in range(rounds)),
        metrics={"cipher_rounds": float(cipher.rounds)},
    )


def _round(scene: Scene, cipher: ReducedSpeck, count: int, rng: Rng) -> Round:
    key = rng.integers(0, WORDS, 4, dtype=np.uint16)
    coins = rng.integers(0, 2, count)
    blocks = Data(
        "pairs of ciphertexts",
        scene.modality,
        pairs(cipher, coins, key, rng).astype(np.int64),
        role="ciphertext",
        form=Form.ARRAY,
    )
    view = View(source=blocks, brief=BlockDistinguishingBrief(cipher), defenses=scene.defenses)
    return Round(view=view, truth=coins)


def judged(view: View[BlockDistinguishingBrief], scores: NDArray[np.float64]) -> Outcome:
    """Return scores as an answer; the loot are the pairs that score above 0.

    Args:
        view: the attacker's.
        scores: (n,) log-odds that the plaintexts of a pair differ as agreed.
    """
    taken = view.data.x[scores > 0]
    loot = Data("pairs that differ", view.data.modality, taken, role="pairs", form=Form.ARRAY)
    return Outcome(guess=scores, asset=loot)
