"""Dialogue: SmolLM2-135M-Instruct, fine-tuned by LoRA on real dialogues."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import (
    Access,
    Data,
    Ensemble,
    Fit,
    Modality,
    Model,
    Output,
    Range,
    Scene,
    Settings,
    Stronger,
    recipe,
    spawn,
)
from hartley.data import language
from hartley.kit.cache import cached, digest
from hartley.kit.language import text
from hartley.models import lora, smollm
from hartley.models.lora import Tuning
from hartley.models.masked_loss import MaskedLoss, left_out
from hartley.scenes._assemble_language import canaries, contacts, distinct, together, utility
from hartley.targets.huggingface import from_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFERS = Access.LABELS | Access.SCORES | Access.TRAIN
WINDOW = 24
"""Tokens of the longest dialogue that is used; longer ones take longer to fine-tune on."""

REFERENCES = 2
"""Reference adapters that a membership attack fine-tunes."""

TEST = 48
"""Dialogues that utility is measured on; the attacker owns as many others."""


@recipe(modality=Modality.LANGUAGE, packs=("smollm2", "dialogue"), extras=("language",))
def dialogue(
    *,
    records: Annotated[int, Range(2)] = 96,
    secrets: Annotated[int, Range(1, 64)] = 16,
    digits: Annotated[int, Range(1, 4)] = 3,
    epochs: Annotated[int, Range(1)] = 3,
    batch: Annotated[int, Range(1)] = 8,
    rank: Annotated[int, Range(1)] = 16,
    rate: Annotated[float, Range(0, open_low=True)] = 2e-3,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 1,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A chat model that was fine-tuned on half of the dialogues of the pool, drawn at random.

    The deployed model is fine-tuned at the first query, so that games which train their own victims
    do not wait for it.

    Args:
        records: size of the pool; a fair coin makes each dialogue a member or a non-member.
        secrets: canaries that the memorization game may plant.
        digits: number of digits of a canary's secret.
        epochs: passes over the training records.
        batch: records per step.
        rank: of the adapters.
        rate: learning rate.
        rounds: default number of victims of the memorization game.
        seed: of the split and of the training.
    """
    words = smollm.words()
    tuning = Tuning(rank=rank, epochs=epochs, batch=batch, rate=rate, dtype=smollm.native())
    parts = _parts(words, records, seed)
    planted = canaries(words, secrets, digits)

    fit = partial(_fit, tuning, words.digest)
    everyone = np.ones((1, len(parts["train"])), dtype=bool)
    corpus = np.frombuffer(language.corpus().encode(), dtype=np.uint8)
    return Scene(
        name="dialogue",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "tuning": tuning.recipe,
                "words": words.digest,
                "parts": {name: data.x for name, data in parts.items()},
                "canaries": [planted.x, digits],
                "seed": seed,
            }
        ),
        model=_lazy(lambda: fit(parts["train"], everyone, seed).member(0), words.size, fit),
        train=parts["train"],
        holdout=parts["holdout"],
        fit=fit,
        extra={
            "pool": together(parts["train"], parts["holdout"], words),
            "test": parts["test"],
            "public": parts["public"],
            "canaries": planted,
            "contacts": contacts(words, secrets, digits),
            "corpus": Data("English prose, a–z and space", Modality.LANGUAGE, corpus[None]),
        },
        parts=(MaskedLoss(),),
        utility=utility,
        settings=Settings({"memorization": rounds}, references=REFERENCES, seed=seed),
        facts={
            "number format": tuning.dtype,
            **{f"{name} records": len(data) for name, data in parts.items()},
        },
    )


def _parts(words: text.Vocabulary, records: int, seed: int) -> dict[str, Data]:
    encoded = [words.encode("\n".join(turns)) for turns in language.dialogues()]
    short = distinct(text.pad([row for row in encoded if 8 <= len(row) <= WINDOW]))
    rng = np.random.default_rng(spawn(seed, "parts", "dialogue"))
    short = short[rng.permutation(len(short))]
    pool, others = short[:records], short[records:]
    coin = rng.random(len(pool)) < 0.5
    cut = {
        "train": pool[coin],
        "holdout": pool[~coin],
        "test": others[:TEST],
        "public": others[TEST : 2 * TEST],
    }
    return {name: Data(name, Modality.LANGUAGE, x) for name, x in cut.items()}


def _fit(tuning: Tuning, words: str, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
    """Train adapters on each subset (K, n); only the adapters are cached on disk."""
    include = np.asarray(include, dtype=bool)

    @cache
    def member(k: int) -> Model:
        rows, member_seed = data.x[include[k]], spawn(seed, "member", k)
        key = {
            **tuning.recipe,
            "base": smollm.NAME,
            "words": words,
            "rows": rows,
            "seed": member_seed,
        }
        network = lora.adapted(smollm.network(tuning.dtype), tuning, member_seed)
        mask = left_out(data)
        if mask is not None:
            mask = np.asarray(mask)[include[k]]
            key["dropped"] = mask
        adapters = cached(
            "lora",
            key,
            lambda: lora.train(network, rows, tuning, member_seed, mask),
            code=lora.train,
        )
        lora.load(network, adapters)
        network.train(False)
        tuned = from_network(
            network.get_base_model(), name="dialogue", output=Output.PROBABILITIES, offers=OFFERS
        )
        return tuned.with_(fit=partial(_fit, tuning, words))

    for k in range(len(include)):
        member(k)
    return Ensemble(
        size=len(include),
        query=lambda x: np.stack([member(k).query(x) for k in range(len(include))]),
        member=member,
    )


def _lazy(make: Callable[[], Model], vocabulary: int, fit: Fit) -> Model:
    """Return a model that is made at the first query."""
    model = cache(make)

    def through(name: str) -> Callable[..., NDArray[Any]]:
        def call(*arguments: Any) -> NDArray[Any]:
            answers: NDArray[Any] = getattr(model(), name)(*arguments)
            return answers

        return call

    return Model(
        "dialogue",
        Modality.LANGUAGE,
        through("query"),
        Output.PROBABILITIES,
        vocabulary,
        score=through("score"),
        moments=through("moments"),
        generate=through("generate"),
        fit=fit,
        offers=OFFERS,
    )
