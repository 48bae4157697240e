"""Learnability: can a net learn from pictures that were published so that none can?

An owner adds a little noise to pictures before publishing them with their labels, so that a net
which is trained on them learns the noise instead of the pictures (unlearnable examples). Removing
that protection is the decryption. The auditor renames the classes at random, draws pictures that
were not published, each class as likely as any other, and asks for their names: only an attacker
who has learned from the published pictures can answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PUBLISHED = 1200
"""Digits of the live and dead scenes that may be published."""

Protect = Callable[["NDArray[Any]", "NDArray[Any]", "Rng"], "NDArray[Any]"]
"""(pictures (n, c, h, w) in 0..1, labels (n,), rng) → pictures as they are published."""


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Pictures that are published with their labels, and others that are not.

    Attributes:
        records: labelled pictures (n, c, h, w) in 0..1; ``records`` of them are published a round.
        held_out: labelled pictures of the same law that are not.
        protect: what is done to pictures before they are published, or None.
        taught: False where the published labels are drawn at random, so that there is nothing to
            learn.
    """

    records: Data
    held_out: Data
    protect: Protect | None = None
    taught: bool = True


def live(modality: Modality, rng: Rng) -> Scene:
    """Digits as they are."""
    del rng
    return _scene("live", modality, taught=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Digits with random labels."""
    del rng
    return _scene("dead", modality, taught=False)


@dataclass(frozen=True, slots=True)
class LearnabilityBrief:
    """What an attacker of learnability knows; the source of the view are the published pictures.

    Attributes:
        question: ``x`` (m, c, h, w) pictures whose class names are asked for.
        classes: how many classes there are.
    """

    question: Data
    classes: int


@game(
    cls="decryption",
    flow=Flow.LEARNING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="picture",
    live=live,
    dead=dead,
    brief=LearnabilityBrief,
    modalities=(Modality.VISION,),
    unfit={
        "language": "noise that nobody sees is of pictures",
        "audio": "noise that nobody sees is of pictures",
        "graph": "noise that nobody sees is of pictures",
        "tabular": "noise that nobody sees is of pictures",
        "paired": "noise that nobody sees is of pictures",
    },
    requires=("labelled_pictures",),
    paper="arXiv:2101.04898",
)
def learnability(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 8,
    records: Annotated[int, Range(1)] = 1000,
    questions: Annotated[int, Range(1)] = 50,
) -> Deal:
    """Publish protected pictures in each round; the attacker names the classes of others.

    Args:
        rounds: publications, each with its own pictures, noise and class names; each is one
            cluster.
        records: pictures of a publication.
        questions: pictures that are asked about.

    Raises:
        UsageError: the scene has fewer pictures.
    """
    given = scene.part(LabelledPictures)
    if records > len(given.records):
        raise UsageError(f"records must be at most {len(given.records)}, got {records}")
    return Deal(rounds=tuple(_round(scene, given, records, questions, rng) for _ in range(rounds)))


def _round(scene: Scene, given: LabelledPictures, records: int, questions: int, rng: Rng) -> Round:
    labels, held_out = given.records.labels, given.held_out.labels
    classes = int(max(labels.max(), held_out.max())) + 1
    names = rng.permutation(classes)
    rows = rng.permutation(len(labels))[:records]
    y = labels[rows] if given.taught else rng.integers(0, classes, records)
    x = given.records.x[rows]
    if given.protect is not None:
        x = given.protect(x, y, rng)
    drawn = rng.integers(0, classes, questions)
    places = np.array([rng.choice(np.flatnonzero(held_out == one)) for one in drawn])
    view = View(
        source=Data("published pictures", Modality.VISION, x, names[y], role="ciphertext"),
        brief=LearnabilityBrief(
            question=Data("pictures", Modality.VISION, given.held_out.x[places]), classes=classes
        ),
        defenses=scene.defenses,
    )
    return Round(view=view, truth=names[drawn].astype(np.int64), alphabet=classes)


def _scene(name: str, modality: Modality, *, taught: bool) -> Scene:
    from hartley.data.vision import digits

    # A net of strided convolutions needs more pixels than digits have.
    everything = digits()
    x, y = everything.x.repeat(2, axis=2).repeat(2, axis=3), everything.labels
    first = np.arange(len(y)) < PUBLISHED
    published = Data("digits", modality, x[first], y[first])
    others = Data("other digits", modality, x[~first], y[~first])
    given = LabelledPictures(published, others, taught=taught)
    return Scene(name=name, modality=modality, parts=(given,))
