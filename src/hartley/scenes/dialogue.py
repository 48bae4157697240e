"""Dialogue: SmolLM2-135M-Instruct, fine-tuned here by LoRA on real dialogues."""

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
"""Tokens of the longest dialogue that is used: tuning time grows with every token."""

REFERENCES = 2
"""Adapters that an attacker on membership tunes for comparison."""

TEST = 48
"""Dialogues that utility is measured on; as many are the attacker's own."""


@recipe(modality=Modality.LANGUAGE, packs=("smollm2", "dialogue"))
def dialogue(
    *,
    records: Annotated[int, Range(2)] = 96,
    secrets: Annotated[int, Range(1, 64)] = 16,
    digits: Annotated[int, Range(1, 4)] = 3,
    epochs: Annotated[int, Range(1)] = 3,
    batch: Annotated[int, Range(1)] = 8,
    rank: Annotated[int, Range(1)] = 16,
    rate: Annotated[float, Range(0, open_low=True)] = 2e-3,
    rounds: Annotated[int, Range(1, 10_000)] = 1,
    seed: Annotated[int, Range(0)] = 0,
) -> Scene:
    """A real chat model, fine-tuned on dialogues; half of the records, by coin, tuned it.

    The deployed model is tuned when it is first asked: games that train their own victims do not
    wait for it.

    Args:
        records: dialogues; a fair coin makes each a member or a non-member.
        secrets: canaries that the memorization game may plant.
        digits: digits of a canary's secret.
        epochs: passes over the training records.
        batch: records a step.
        rank: of the adapters.
        rate: learning rate.
        rounds: victims that a game tunes unless it is told otherwise.
        seed: of the split and of the tuning.
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
        model=_later(lambda: fit(parts["train"], everyone, seed).member(0), words.size, fit),
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
    spoken = [words.encode("\n".join(talk)) for talk in language.dialogues()]
    short = distinct(text.pad([row for row in spoken if 8 <= len(row) <= WINDOW]))
    rng = np.random.default_rng(spawn(seed, "parts", "dialogue"))
    short = short[rng.permutation(len(short))]
    pool, rest = short[:records], short[records:]
    coin = rng.random(len(pool)) < 0.5
    cut = {
        "train": pool[coin],
        "holdout": pool[~coin],
        "test": rest[:TEST],
        "public": rest[TEST : 2 * TEST],
    }
    return {name: Data(name, Modality.LANGUAGE, x) for name, x in cut.items()}


def _fit(tuning: Tuning, words: str, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
    """Tune adapters on each subset; the adapters, and nothing else, are kept on disk."""
    include = np.asarray(include, dtype=bool)

    @cache
    def member(k: int) -> Model:
        rows, mine = data.x[include[k]], spawn(seed, "member", k)
        key = {**tuning.recipe, "base": smollm.NAME, "words": words, "rows": rows, "seed": mine}
        network = lora.adapted(smollm.network(tuning.dtype), tuning, mine)
        dropped = left_out(data)
        if dropped is not None:
            dropped = np.asarray(dropped)[include[k]]
            key["dropped"] = dropped
        adapters = cached(
            "lora",
            key,
            lambda: lora.train(network, rows, tuning, mine, dropped),
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


def _later(make: Callable[[], Model], vocabulary: int, fit: Fit) -> Model:
    """A model that is made when it is first asked."""
    real = cache(make)

    def through(name: str) -> Callable[..., NDArray[Any]]:
        def call(*asked: Any) -> NDArray[Any]:
            answers: NDArray[Any] = getattr(real(), name)(*asked)
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
