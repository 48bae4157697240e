"""Decryption: what does a ciphertext reveal about letters that only the auditor knows?

A message is English prose with a payload of uniformly drawn letters at a known position. The
attacker sees the ciphertext, knows English, and guesses the letters of the payload. Prose can be
guessed without any ciphertext; a uniform payload cannot, so a language model alone reads 0 bits.

Shannon's information between plaintext and ciphertext is large as soon as the text is longer than
the unicity distance, for AES as well. This game measures *usable* information (Xu et al.,
arXiv:2002.10689): what a given attack can extract. The control is AES-GCM, at 0 bits.
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
from hartley.games.decryption import ciphers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """Long prose under one substitution, far beyond its unicity distance of 28 letters."""
    del rng
    return _scene("live", modality, ciphers.substitution())


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same prose under AES-GCM with a fresh key and nonce."""
    del rng
    return _scene("dead", modality, ciphers.aes_gcm())


@dataclass(frozen=True, slots=True)
class DecryptionBrief:
    """What an attacker of decryption knows.

    Attributes:
        question: its ``x`` (payload,) are positions in the message that are asked about;
            one letter 0..25 answers each.
        public: its ``x`` (1, n) is text of the same language, as letters 0..25.
        units: how many different units the cipher writes.
        clear: what is sent in the clear besides: nonces and tags.
    """

    question: Data
    public: Data
    units: int
    clear: bytes


@game(
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="payload letter",
    live=live,
    dead=dead,
    brief=DecryptionBrief,
    modalities=(Modality.LANGUAGE,),
    requires=("corpus",),
    metrics=("text_accuracy", "key_letters", "unicity", "length"),
    loot="data",
)
def decryption(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 40,
    length: Annotated[int, Range(1), Stronger.MORE] = 400,
    payload: Annotated[int, Range(1)] = 12,
) -> Deal:
    """Encrypt messages with a secret payload; the attacker guesses the letters of the payload.

    The attacker learns the language from the first half of the corpus. Messages are cut from the
    second half; they overlap only if there are more rounds than text.

    Args:
        rounds: number of messages, each with its own key; each is one cluster.
        length: letters of prose in a message.
        payload: number of secret letters, drawn uniformly.
    """
    text = letters_of(scene.extra["corpus"])
    half = len(text) // 2
    # Letter statistics of a language need at least a few thousand letters.
    if half < max(length, 2000):
        raise RunError(
            f"the corpus has {len(text)} letters; decryption(length={length}) needs "
            f"{2 * max(length, 2000)}"
        )
    cipher = scene.find(ciphers.Cipher) or ciphers.substitution()
    public = Data("english", scene.modality, text[None, :half], role="corpus")
    starts = half + length * rng.permutation((len(text) - half) // length)
    secrets = rng.integers(0, ciphers.LETTERS, (rounds, payload))
    salt = int(rng.integers(2**31))
    dealt, prose = [], []
    for index, secret in enumerate(secrets):
        start = starts[index % len(starts)]
        place = int(rng.integers(length // 4, length - length // 4 + 1))
        plain = np.insert(text[start : start + length], place, secret)
        message = cipher.encrypt(plain, rng)
        prose.append(plain)
        dealt.append(
            Round(
                view=View(
                    source=Data(
                        "ciphertext", scene.modality, message.units[None], role="ciphertext"
                    ),
                    brief=DecryptionBrief(
                        question=Data(
                            "payload",
                            scene.modality,
                            np.arange(place, place + payload),
                            role="positions",
                        ),
                        public=public,
                        units=cipher.units,
                        clear=message.clear,
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=secret.astype(np.int64),
                alphabet=ciphers.LETTERS,
            )
        )
    return Deal(rounds=tuple(dealt), judge=_judge(cipher, prose))


def stretches(view: View[DecryptionBrief]) -> list[NDArray[Any]]:
    """Return the positions under each key, as far as the attacker knows of a change of keys."""
    length = view.data.x.shape[1]
    periods = [int(d.params["every"]) for d in view.defenses if d.name == "rekeying"]
    every = min(periods, default=length)
    return [np.arange(at, min(at + every, length)) for at in range(0, length, every)]


def letters_of(corpus: Data) -> NDArray[Any]:
    """Return a scene's corpus as letters 0..25, without spaces, other signs and padding.

    ``x`` contains text as ASCII bytes (uint8), or letters 0..25 as integers of any other type.
    """
    flat = np.asarray(corpus.x).reshape(-1)
    if flat.dtype == np.uint8:
        return ciphers.letters(flat.tobytes().decode("ascii", "ignore"))
    return flat[(flat >= 0) & (flat < ciphers.LETTERS)].astype(np.int64)


def _judge(
    cipher: ciphers.Cipher, prose: Sequence[NDArray[Any]]
) -> Callable[[Sequence[Round], Sequence[Outcome]], list[Received]]:
    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            read(plain, round_, out)
            for plain, round_, out in zip(prose, rounds, outcomes, strict=True)
        ]

    def read(plain: NDArray[Any], round_: Round, outcome: Outcome) -> Received:
        """Return the guesses, and the share of the surrounding prose that was decrypted."""
        if outcome.guess is None or not isinstance(outcome.asset, Data):
            raise RunError("decryption: an attack must return a guess and the plaintext as Data")
        decrypted = np.asarray(outcome.asset.x).reshape(-1)
        if decrypted.shape != plain.shape:
            raise RunError(
                f"decryption: the loot must have {len(plain)} letters, as the message, got "
                f"{len(decrypted)}"
            )
        in_prose = np.ones(len(plain), dtype=bool)
        in_prose[round_.view.brief.question.x] = False
        correct = decrypted == plain
        solved = [
            bool(correct[in_prose & (plain == a)].mean() > 0.5) for a in np.unique(plain[in_prose])
        ]
        return Received.of(
            outcome,
            np.asarray(outcome.guess),
            metrics={
                "text_accuracy": float(correct[in_prose].mean()),
                "key_letters": float(sum(solved)),
                "unicity": cipher.unicity,
                "length": float(in_prose.sum()),
            },
        )

    return judge


def _scene(name: str, modality: Modality, cipher: ciphers.Cipher) -> Scene:
    from hartley.data.language import corpus

    # An eighth of the novel is enough for the attacker's letter statistics and keeps tests fast.
    text = ciphers.letters(corpus())[:50_000]
    return Scene(
        name=name,
        modality=modality,
        extra={"corpus": Data("novel", modality, text[None], role="corpus")},
        parts=(cipher,),
    )
