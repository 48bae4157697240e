"""Decryption: what does a protected item reveal about symbols that only the auditor knows?

An item (a message of English prose, a column of a table, an album of pictures or sounds) has a
payload of uniformly drawn symbols at known places. The attacker sees the item in its protected
form, knows what such items usually look like, and guesses the payload. Prose can be guessed without
any ciphertext; a uniform payload cannot, so a model of the language alone reads 0 bits.

Shannon's information between plaintext and ciphertext is large as soon as the text is longer than
the unicity distance, for AES as well. This game measures *usable* information (Xu et al.,
arXiv:2002.10689): what a given attack can extract. Controls are AES-GCM and the one-time pad, at
0 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import RunError
from hartley.games.decryption import (
    albums,
    ciphers,
    columns,
    messages,
    picture_ciphers,
    sound_scramblers,
    voices,
)
from hartley.kit.protection import PlantedItem, PlantedItems, Protection, aes_gcm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """Items under protections that hide nearly nothing from any attack of their modality.

    Long prose under one shift of the alphabet; columns whose order and equality are visible;
    pictures whose blocks change places; noise whose bands do.
    """
    del rng
    readable = {
        Modality.LANGUAGE: ciphers.caesar,
        Modality.TABULAR: columns.order_preserving,
        Modality.VISION: picture_ciphers.block_scramble,
        Modality.AUDIO: sound_scramblers.band_scramble,
    }
    return _scene("live", modality, readable[modality]())


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same items under AES-GCM with a fresh key and nonce."""
    del rng
    return _scene("dead", modality, aes_gcm(modality))


@dataclass(frozen=True, slots=True)
class DecryptionBrief:
    """What an attacker of decryption knows; the source of the view is one protected item.

    Attributes:
        question: its ``x`` (payload,) are the places that are asked about: letters of the message,
            records of the column. One symbol 0..symbols−1 answers each.
        public: what everybody knows of such items, none of which is in this one: text of the same
            language, as letters 0..25 (1, n); values of the same column, 0..symbols−1 (n, 1).
        symbols: how many values one symbol can have.
        units: how many different units the protection writes; 0 where there is no finite alphabet.
        clear: what is sent in the clear besides: nonces and tags.
        known: plain form of the item's last places, which the attacker has besides: pictures of
            their own that the owner encrypted under the same key. None where they have none.
    """

    question: Data
    public: Data
    symbols: int
    units: int
    clear: bytes
    known: Data | None = None


@game(
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="payload symbol",
    live=live,
    dead=dead,
    brief=DecryptionBrief,
    modalities=(Modality.LANGUAGE, Modality.TABULAR, Modality.VISION, Modality.AUDIO),
    unfit={
        "graph": "secrets are planted in letters, in columns and in albums of pictures and sounds",
        "paired": "the picture of a pair is encrypted as a picture, and its caption as a text",
    },
    requires=("planted_items",),
    metrics=("solved", "length"),
    loot="data",
)
def decryption(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 40,
    length: Annotated[int, Range(0), Stronger.MORE] = 0,
    payload: Annotated[int, Range(0)] = 0,
) -> Deal:
    """Protect items with a secret payload; the attacker guesses the symbols of the payload.

    Args:
        rounds: number of items, each with its own key; each is one cluster.
        length: size of an item without the payload, in letters of prose, records of a column or
            pictures that the attacker knows; 0 takes the usual one of the items (400 letters, 800
            records, 16 pictures).
        payload: number of secret symbols in an item, drawn uniformly; 0 takes the usual number.

    Raises:
        RunError: there is too little material for items of this length.
    """
    items = items_of(scene)
    protection = scene.find(Protection) or items.usual
    if protection.modality is not items.modality:
        raise RunError(
            f"the protection {protection.name} must be of {items.modality}, as the items, "
            f"got {protection.modality}"
        )
    planted = items.draw(rounds, length or items.length, payload or items.payload, rng)
    salt = int(rng.integers(2**31))

    def known(one: PlantedItem) -> Data | None:
        return None if one.known is None else Data("known", scene.modality, one.known)

    dealt = []
    for one in planted:
        published = protection.protect(one.item, rng)
        dealt.append(
            Round(
                view=View(
                    source=Data(
                        f"protected {items.name}",
                        scene.modality,
                        published.x[None],
                        role="ciphertext",
                    ),
                    brief=DecryptionBrief(
                        question=Data("payload", scene.modality, one.places, role="positions"),
                        public=items.public,
                        symbols=items.symbols,
                        units=protection.units,
                        clear=published.clear,
                        known=known(one),
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=np.asarray(one.secret, dtype=np.int64),
                alphabet=items.symbols,
            )
        )
    return Deal(rounds=tuple(dealt), judge=_judge(items, protection, planted))


def items_of(scene: Scene) -> PlantedItems:
    """Return a scene's items with secrets: its part, or messages that are cut from its corpus."""
    items = scene.find(PlantedItems)
    return messages.of_corpus(scene.extra["corpus"]) if items is None else items


def stretches(view: View[DecryptionBrief]) -> list[NDArray[Any]]:
    """Return the places under each key, as far as the attacker knows of a change of keys.

    A change that was added later cuts the item first; earlier ones begin anew in each of its parts.
    """
    parts = [np.arange(view.data.x.shape[1])]
    for defense in reversed(view.defenses):
        if defense.name == "rekeying":
            every = int(defense.params["every"]) or usual_stretch(view.data.modality)
            parts = [p[at : at + every] for p in parts for at in range(0, len(p), every)]
    return parts


def usual_stretch(modality: Modality) -> int:
    """Return the places under one key of re-keying that names none.

    25 letters or records are below the 28 that determine the key of a substitution; each picture
    and each sound has a key of its own.
    """
    return 25 if modality in (Modality.LANGUAGE, Modality.TABULAR) else 1


def unplanted(view: View[DecryptionBrief]) -> NDArray[np.bool_]:
    """Return (n,) booleans: the places of an item that are not asked about, of the usual law."""
    mask = np.ones(view.data.x.shape[1], dtype=bool)
    mask[view.brief.question.x] = False
    return mask


def _judge(
    items: PlantedItems, protection: Protection, planted: Sequence[PlantedItem]
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del rounds
        return [read(one, out) for one, out in zip(planted, outcomes, strict=True)]

    def read(one: PlantedItem, outcome: Outcome) -> Received:
        """Return the guesses, and how much of the rest of the item was decrypted."""
        if outcome.guess is None or not isinstance(outcome.asset, Data):
            raise RunError("decryption: an attack must return a guess and the plaintext as Data")
        decrypted = np.asarray(outcome.asset.x)
        if decrypted.shape != (1, *one.item.shape):
            raise RunError(
                f"decryption: the loot must have the shape {(1, *one.item.shape)}, one "
                f"{items.name} as it was before its protection, got {decrypted.shape}"
            )
        guess = outcome.guess if items.read is None else items.read(one, decrypted[0])
        return Received.of(
            outcome,
            np.asarray(guess),
            metrics={
                **items.figures(one, decrypted[0]),
                "length": float(len(one.item) - len(one.places)),
                **_key(protection),
            },
        )

    return judge


def _key(protection: Protection) -> dict[str, float]:
    """Return the unicity distance of a cipher over letters, where it has one."""
    if protection.modality is not Modality.LANGUAGE or protection.key_bits is None:
        return {}
    return {"unicity": ciphers.unicity(protection)}


def _scene(name: str, modality: Modality, protection: Protection) -> Scene:
    if modality is Modality.VISION:
        items = albums.of_photographs(32)
    elif modality is Modality.AUDIO:
        items = voices.of_hisses()
    else:
        items = messages.of_bundled() if modality is Modality.LANGUAGE else columns.skewed()
    return Scene(name=name, modality=modality, parts=(items, protection))
