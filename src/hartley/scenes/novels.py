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
from hartley.games.memorization import text_canaries
from hartley.kit.cache import cached, digest
from hartley.kit.language import gpt, text
from hartley.models.masked_loss import MaskedLoss
from hartley.models.text_pipeline import Later, TextPipeline
from hartley.scenes._assemble_language import (
    MOST_NAMES,
    canaries,
    contacts,
    distinct,
    nats,
    together,
    utility,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


TEST, PUBLIC = 400, 400
"""Records that utility is measured on, and the attacker's records."""

VICTIMS, REFERENCES = 3, 8
"""Victims of the membership game, and reference models of a membership attack."""

COPIES = 4
"""Copies of each leaked record among the training records."""

LATER = gpt.Lesson(epochs=2, batch=8, rate=1e-3)
"""How a network is trained on the passages that follow its records."""

PLANTED_ROWS, PLANTED_SYMBOLS = 16, 4
PLANTED_STEP = 0.02
"""Step of a planted symbol, as a share of the mean norm of a row of the head: too small to notice
in the model's text."""


@recipe(modality=Modality.LANGUAGE, extras=("language",))
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
    leaked: Annotated[int, Range(0, 63)] = 0,
    later: Annotated[int, Range(0)] = 0,
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
        leaked: further records like the canaries, four copies of each among the training records,
            whose numbers everybody knows.
        later: passages of the remainder of the novel that every network is trained on twice after
            its records, of which it forgets much.
        seed: of the split and of the training.
        novel: which novel; all but persuasion need the pack austen.
    """
    words = text.byte_pair(language.novel(novel))
    shape = gpt.Shape(vocabulary=words.size, context=2 * window)
    lesson = gpt.Lesson(epochs=epochs, batch=batch, rate=rate)
    parts = _parts(words, language.novel(novel), records, window, seed)
    if secrets + leaked > MOST_NAMES:
        raise UsageError(
            f"secrets and leaked must be at most {MOST_NAMES} in all, got {secrets + leaked}"
        )
    planted = canaries(words, secrets, digits)
    rest = parts.pop("rest").x
    start = _pretrained(shape, rest, pretrained, seed)
    pool = together(parts["train"], parts["holdout"], words)
    known = _leaked(words, secrets, leaked, digits, seed)
    if known is not None:
        parts["train"] = _with_copies(parts["train"], known)
    owner = TextPipeline(
        shape, lesson, start, name="novels", later=_later(rest, later), codec=text.codec(words)
    )
    everyone = np.ones((1, len(parts["train"])), dtype=bool)
    model = owner.fit(parts["train"], everyone, seed).member(0)
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
            **({} if known is None else {"leaked": known}),
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


def _later(rest: NDArray[Any], passages: int) -> tuple[Later, ...]:
    """Return the training on passages of the remainder of the novel, if there is any."""
    if passages > len(rest):
        raise UsageError(f"later must be at most the {len(rest)} passages left, got {passages}")
    return (Later(rest[len(rest) - passages :], LATER),) if passages else ()


def _leaked(
    words: text.Vocabulary, secrets: int, leaked: int, digits: int, seed: int
) -> Data | None:
    """Return records (leaked, t) like the canaries, with numbers that everybody knows.

    ``facts["starts"]`` (leaked,) are their tokens before the number.
    """
    if not leaked:
        return None
    others = canaries(words, secrets + leaked, digits)
    others = replace(others, name="leaked", x=others.x[secrets:])
    rng = np.random.default_rng(spawn(seed, "leaked", "novels"))
    rows = text_canaries.write(others, rng.integers(0, 10**digits, leaked))
    starts = text.lengths(others.x)
    return replace(others, x=rows, role="records", facts={"starts": starts})


def _with_copies(train: Data, known: Data) -> Data:
    rows = [*train.x.tolist(), *np.repeat(known.x, COPIES, axis=0).tolist()]
    return replace(train, x=text.pad([[i for i in row if i >= 0] for row in rows]))


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
