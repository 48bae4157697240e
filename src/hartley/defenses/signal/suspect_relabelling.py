"""Suspect relabelling: records whose label clean models do not believe get the label that they say.

A filter that drops poison leaves a model that has never met the trigger, and a trigger that covers
a picture hides some of it. Records that stay with another label teach the model to see through it:
the attacker's trigger becomes an augmentation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Data,
    Ensemble,
    Fit,
    Form,
    Modality,
    Output,
    Range,
    Scene,
    Term,
    defense,
    spawn,
)
from hartley.core.errors import UsageError
from hartley.defenses._shared import retrain_without
from hartley.defenses._shared.clean_records import clean_records
from hartley.games.poisoning.poisoning import DROPPED
from hartley.kit.answer_units import log_probabilities, zero_floor
from hartley.kit.graph.link_budget import SmallGraphLinks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 1e-6
"""Probabilities of a label below this are raised to it."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.GRAPH,
    ),
    unfit={
        "paired": "it replaces a label by the likeliest class, and a caption has no such other; "
        "loss_filter drops the pair",
    },
    paper="arXiv:2202.03423",
    strongest={"false_alarms": 0.5, "copies": 6},
    requires=("fit", "train", "holdout"),
)
def suspect_relabelling(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.15,
    folds: Annotated[int, Range(2, 20)] = 4,
    clean: Annotated[int, Range(2)] = 1000,
    noise: Annotated[float, Range(0, 1)] = 0.1,
    copies: Annotated[int, Range(0, 20)] = 3,
) -> Scene:
    """Take the label off suspicious records, and train on them with the one that clean models give.

    Models are trained on all but each of ``folds`` parts of the owner's clean records and on noisy
    copies of these, so that they see a little through a trigger. A training record is suspicious if
    its mean loss in them is larger than the losses of all but a share ``false_alarms`` of the clean
    records, each in the model that was trained without it. The final model is trained on the clean
    records, the others, and the suspicious ones with their likeliest label in these models. This is
    the last stage of the paper (labels that are not believed are removed, and training is
    semi-supervised); the paper judges labels by a net whose body learnt from the same records
    without labels, and needs no clean ones. Poison without a wrong label is not suspicious.

    Args:
        false_alarms: share of clean records that the threshold suspects.
        folds: models that are trained on clean records.
        clean: the owner's held-out records that are used, at most.
        noise: largest deviation of the noise in the copies, as a share of the range of each entry
            of a record; of texts the largest share of words, and of small graphs of links, that a
            copy lacks. Each copy draws its own.
        copies: of each clean record, with noise.

    Raises:
        UsageError: the records are graphs whose links are not known.
    """
    trusted = clean_records(scene, clean, "suspect_relabelling")
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES
    classes = int(trusted.labels.max()) + 1 if scene.model is None else scene.model.classes

    def logs(answers: NDArray[Any]) -> NDArray[np.float64]:
        """Log-probabilities (n, classes); of labels, 0 and a large loss."""
        if output is Output.LABELS:
            return np.where(np.eye(classes)[np.asarray(answers, np.int64)] > 0, 0.0, np.log(LEAST))
        floor = zero_floor(answers, LEAST) if output is Output.PROBABILITIES else LEAST
        return np.asarray(log_probabilities(answers, output, floor=floor))

    small = scene.find(SmallGraphLinks)
    if scene.modality is Modality.GRAPH and small is None:
        raise UsageError(
            f"the scene {scene.name} must have small graphs whose links are known for "
            "suspect_relabelling"
        )
    noisy = _with_copies(trusted, noise, copies, int(rng.integers(2**31)), small)

    def doubted(fit: Fit, data: Data, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which records (n,) are suspicious, and the likeliest label (n,) of each."""
        part = np.arange(len(trusted)) % folds
        others = part != np.arange(folds)[:, None]
        models = fit(noisy, np.tile(others, copies + 1), seed)
        members = [models.member(f) for f in range(folds)]
        usual = [
            -_picked(logs(member.query(trusted.x[part == f])), trusted.labels[part == f])
            for f, member in enumerate(members)
        ]
        limit = np.quantile(np.concatenate(usual), 1 - false_alarms, method="higher")
        beliefs = np.mean([logs(member.query(data.x)) for member in members], axis=0)
        return -_picked(beliefs, data.labels) > limit, beliefs.argmax(1)

    def around(fit: Fit) -> Fit:
        def relabelling(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            include = np.asarray(include, dtype=bool)
            suspicious, labels = doubted(fit, data, spawn(seed, "relabel") & 0x7FFFFFFF)
            suspects = np.flatnonzero(suspicious)
            mixed = Data(
                data.name,
                data.modality,
                np.concatenate([data.x, data.x[suspects], _like(trusted.x, data)]),
                np.concatenate([data.labels, labels[suspects], trusted.labels]),
            )
            everyone = np.ones((len(include), len(trusted)), dtype=bool)
            rows = [include & ~suspicious, include[:, suspects], everyone]
            trained = fit(mixed, np.concatenate(rows, axis=1), seed)
            before = trained.facts.get(DROPPED, np.zeros((1, include.shape[1]), bool))
            dropped = (include & suspicious) | before[:, : include.shape[1]]
            return replace(trained, facts={**trained.facts, DROPPED: dropped})

        return relabelling

    return retrain_without.around_training(scene, rng, around)


def _like(x: NDArray[Any], data: Data) -> NDArray[Any]:
    """Return records in the number format of others; texts keep their length."""
    return x if data.form is Form.TEXT else x.astype(data.x.dtype)


def _picked(logs: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(logs[np.arange(len(labels)), labels])


def _with_copies(
    clean: Data, noise: float, copies: int, seed: int, small: SmallGraphLinks | None
) -> Data:
    """Return records followed by copies of all of them, each with noise of its own size.

    Noise is normal; texts lack words and small graphs links instead.
    """
    rng = np.random.default_rng(seed)
    x = np.asarray(clean.x)
    low, high = (0.0, 0.0)
    if clean.modality is Modality.TABULAR:
        low, high = x.min(0), x.max(0)
    elif clean.form is not Form.TEXT and small is None:
        low, high = x.min(), x.max()
    out = [x]
    for _ in range(copies):
        size = rng.uniform(0, noise, (len(x), *(1,) * (x.ndim - 1)))
        if clean.form is Form.TEXT:
            out.append(_lacking_words(x, size, rng))
        elif small is not None:
            links = small.linked(x)
            out.append(
                small.flipped(x, links & (rng.random(links.shape) < size.reshape(len(x), 1)))
            )
        else:
            moved = x + size * (high - low) * rng.standard_normal(x.shape)
            out.append(np.clip(moved, low, high).astype(x.dtype))
    return Data(clean.name, clean.modality, np.concatenate(out), np.tile(clean.labels, copies + 1))


def _lacking_words(texts: NDArray[Any], share: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """Return texts (n,) without a share (n,) of their words, each with one word at least."""
    out = np.empty(len(texts), dtype=texts.dtype)
    for row, text in enumerate(texts):
        words = str(text).split()
        stays = rng.random(len(words)) >= share[row]
        out[row] = " ".join(np.array(words, dtype=object)[stays]) or str(text)
    return out
