"""Novels: a transformer of 1.1 million parameters, trained from scratch on a Jane Austen novel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Model, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import language
from hartley.games.extraction.head_extraction import Head, OutputHead
from hartley.kit.cache import cached, digest
from hartley.kit.language import gpt, text
from hartley.models.masked_loss import MaskedLoss
from hartley.models.text_pipeline import TextPipeline
from hartley.scenes._assemble_language import canaries, contacts, distinct, nats, together, utility

if TYPE_CHECKING:
    from numpy.typing import NDArray


TEST, PUBLIC = 400, 400
"""Records that utility is measured on, and the attacker's records."""

VICTIMS, REFERENCES = 3, 8
"""Victims of the membership game, and reference models of a membership attack."""

PLANTED_ROWS, PLANTED_SYMBOLS = 16, 4
PLANTED_STEP = 0.02
"""Step of a planted symbol, as a share of the mean norm of a row of the head: too small to notice
in the model's text."""


@recipe(modality=Modality.LANGUAGE)
def novels(
    *,
    records: Annotated[int, Range(2)] = 512,
    window: Annotated[int, Range(2)] = 32,
    secrets: Annotated[int, Range(1, 64)] = 16,
    digits: Annotated[int, Range(1, 4)] = 3,
    epochs: Annotated[int, Range(1)] = 8,
    batch: Annotated[int, Range(1)] = 8,
    rate: Annotated[float, Range(0, open_low=True)] = 2e-3,
    pretrained: Annotated[int, Range(0)] = 0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    novel: Literal[
        "persuasion",
        "emma",
        "mansfield-park",
        "northanger-abbey",
        "pride-and-prejudice",
        "sense-and-sensibility",
    ] = "persuasion",
) -> Scene:
    """A small language model that was trained on half of the passages of a novel, drawn at random.

    Args:
        records: size of the pool; a fair coin makes each passage a member or a non-member.
        window: tokens per passage.
        secrets: canaries that the memorization game may plant.
        digits: number of digits of a canary's secret.
        epochs: passes over the training records.
        batch: records per step.
        rate: peak learning rate.
        pretrained: passes over the remainder of the novel, which contains no record, before the
            training of every network; 0 starts from random weights.
        seed: of the split and of the training.
        novel: which novel; all but persuasion need the pack austen.
    """
    words = text.byte_pair(language.novel(novel))
    shape = gpt.Shape(vocabulary=words.size, context=2 * window)
    lesson = gpt.Lesson(epochs=epochs, batch=batch, rate=rate)
    parts = _parts(words, language.novel(novel), records, window, seed)
    planted = canaries(words, secrets, digits)
    start = _pretrained(shape, parts.pop("rest").x, pretrained, seed)
    owner = TextPipeline(shape, lesson, start, name="novels")
    everyone = np.ones((1, len(parts["train"])), dtype=bool)
    model = owner.fit(parts["train"], everyone, seed).member(0)
    pool = together(parts["train"], parts["holdout"], words)
    corpus = np.frombuffer(language.corpus(novel).encode(), dtype=np.uint8)
    return Scene(
        name="novels",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "recipe": owner.recipe,
                "words": words.digest,
                "parts": {name: data.x for name, data in parts.items()},
                "canaries": [planted.x, digits],
                "seed": seed,
            }
        ),
        model=model,
        train=parts["train"],
        holdout=parts["holdout"],
        fit=owner.fit,
        extra={
            "pool": pool,
            "test": parts["test"],
            "public": parts["public"],
            "canaries": planted,
            "contacts": contacts(words, secrets, digits),
            "corpus": Data("English prose, a–z and space", Modality.LANGUAGE, corpus[None]),
        },
        training=owner,
        parts=(
            OutputHead(_head, rows=PLANTED_ROWS, alphabet=PLANTED_SYMBOLS),
            MaskedLoss(),
        ),
        utility=utility,
        settings=Settings(
            {"memorization": 4, "membership": VICTIMS}, references=REFERENCES, seed=seed
        ),
        facts={
            "parameters": model.facts["parameters"],
            "train nats/token": -nats(model, parts["train"]),
            "test nats/token": -nats(model, parts["test"]),
            **{f"{name} records": len(data) for name, data in parts.items()},
        },
    )


def _parts(
    words: text.Vocabulary, prose: str, records: int, window: int, seed: int
) -> dict[str, Data]:
    ids = np.array(words.encode(prose))
    passages = distinct(ids[: len(ids) // window * window].reshape(-1, window))
    rng = np.random.default_rng(spawn(seed, "parts", "novels"))
    passages = passages[rng.permutation(len(passages))]
    pool, others = passages[:records], passages[records:]
    coin = rng.random(records) < 0.5
    cut = {
        "train": pool[coin],
        "holdout": pool[~coin],
        "test": others[:TEST],
        "public": others[TEST : TEST + PUBLIC],
        "rest": others[TEST + PUBLIC :],
    }
    return {name: Data(name, Modality.LANGUAGE, x) for name, x in cut.items()}


def _pretrained(
    shape: gpt.Shape, rows: NDArray[Any], epochs: int, seed: int
) -> dict[str, NDArray[Any]] | None:
    """Return the weights that every network starts from; None means random weights."""
    if not epochs:
        return None
    if not len(rows):
        raise UsageError(
            "records must leave passages of the novel to pretrain on, got none; lower records"
        )
    lesson, start_seed = gpt.Lesson(epochs=epochs), spawn(seed, "pretrained")
    key = {**gpt.recipe(shape, lesson), "rows": rows, "seed": start_seed}
    return cached("gpt", key, lambda: gpt.train(rows, shape, lesson, start_seed), code=gpt.train)


def _head(scene: Scene) -> Head:
    """Return the output head of the deployed model, trained under the scene's defenses."""
    assert scene.fit is not None and scene.train is not None
    fit, train = scene.fit, scene.train
    everyone, seed = np.ones((1, len(train)), dtype=bool), scene.settings.seed
    state = fit(train, everyone, seed).facts["states"](0)
    base = np.asarray(state["tokens"], dtype=np.float64)

    def victim(head: NDArray[Any]) -> Model:
        return fit(replace(train, facts={"head": head}), everyone, seed).member(0)

    return Head(base, victim, step=PLANTED_STEP * float(np.linalg.norm(base, axis=1).mean()))
