"""Text linkage: who wrote this, in texts that were published without their authors?

The owner publishes one text of each person, rewritten so that it names nobody, in an order that the
auditor drew. The attacker has other texts of the same people with their names, and scores every
published text for every person. The place of a person's text is the secret, uniform among all
(author identification, doi:10.1109/SP.2012.46). Texts that are other people's read 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Form,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.brief import ADAPTIVE_ONLY
from hartley.core.errors import UsageError
from hartley.games.decryption.ranked_rows import judge_of
from hartley.kit.releases.text_release import TextRelease

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LIVE_PEOPLE, LIVE_TEXTS, LIVE_WORDS = 64, 3, 60
"""Of the live and dead scenes: people, texts of each, and different words."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Texts that are published with the names and numbers in them."""
    return _scene("live", modality, rng, related=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Texts of other people."""
    return _scene("dead", modality, rng, related=False)


@dataclass(frozen=True, slots=True)
class TextLinkageBrief:
    """What an attacker of text linkage knows; the source of the view is the published texts.

    Attributes:
        question: ``x`` (k,) other texts of the people, and ``y`` (k,) whose each is, 0..m−1.
        people: m, how many there are.
        rewrite: what the owner does to a text before it is published.
    """

    question: Data
    people: int
    rewrite: Callable[[str], str] | None = field(default=None, metadata=ADAPTIVE_ONLY)


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="person",
    live=live,
    dead=dead,
    brief=TextLinkageBrief,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "pictures without faces are of the games of pictures",
        "tabular": "rows of a table are linked by linkage",
        "audio": "voices are linked by inversion",
        "graph": "nodes of a graph are linked by deanonymisation",
        "paired": "pairs have no author",
    },
    requires=("text_release",),
    metrics=("linked", "linked_by_chance"),
    paper="doi:10.1109/SP.2012.46",
)
def text_linkage(
    scene: Scene,
    rng: Rng,
    *,
    people: Annotated[int, Range(2), Stronger.NEITHER] = 32,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 20,
) -> Deal:
    """Publish a text of each person without their names; the attacker finds the text of each.

    The guess is (m, m), a score of each published text for each person, larger for a likelier one.
    The answer is the rank of the true text; texts of the same score are ordered at random.

    Args:
        people: whose texts are published in a round.
        rounds: releases, each with people and texts of its own draw.

    Raises:
        UsageError: too few people have texts enough.
    """
    part = scene.part(TextRelease)
    counts = np.bincount(part.authors)
    writers = np.flatnonzero(counts > part.known)
    needed = people if part.related else 2 * people
    if len(writers) < needed:
        raise UsageError(
            f"{scene.name} must have {needed} people with {part.known + 1} texts each, got "
            f"{len(writers)}"
        )
    texts = [np.flatnonzero(part.authors == writer) for writer in range(len(counts))]
    dealt, places = [], []
    for _ in range(rounds):
        drawn = rng.permutation(writers)[:needed]
        texts_of = [rng.permutation(texts[writer])[: part.known + 1] for writer in drawn]
        place = rng.permutation(people)
        released = np.empty(people, dtype=object)
        for person, row in enumerate(place):
            # The last ones are those of whom the attacker has nothing.
            released[row] = part.released(part.texts[texts_of[person - people][-1]])
        x = np.array([part.texts[k] for rows in texts_of[:people] for k in rows[:-1]], dtype=object)
        y = np.repeat(np.arange(people), part.known)
        shuffled = rng.permutation(len(x))
        view = View(
            source=_texts("published texts", released),
            brief=TextLinkageBrief(
                _texts("texts with names", x[shuffled], y[shuffled]), people, part.released
            ),
            defenses=scene.defenses,
        )
        places.append(place.astype(np.int64))
        dealt.append(Round(view=view, truth=places[-1], alphabet=people))
    judge = judge_of("text_linkage", places, [people] * rounds, int(rng.integers(2**62)))
    return Deal(rounds=tuple(dealt), judge=judge)


def _texts(name: str, x: NDArray[np.object_], y: NDArray[np.int64] | None = None) -> Data:
    return Data(name, Modality.LANGUAGE, x, y, role="texts", form=Form.TEXT)


def _scene(name: str, modality: Modality, rng: Rng, *, related: bool) -> Scene:
    """Texts of the same words, each signed with a name and a number."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, 4)) for _ in range(LIVE_WORDS)]
    names = ["".join(rng.choice(letters, 7)).capitalize() for _ in range(LIVE_PEOPLE)]
    numbers = rng.integers(10**6, 10**7, LIVE_PEOPLE)
    texts, authors = [], np.repeat(np.arange(LIVE_PEOPLE), LIVE_TEXTS)
    for author in authors:
        body = " ".join(rng.choice(words, 20))
        texts.append(f"{body}. It is {names[author]}, please call {numbers[author]}.")
    part = TextRelease(
        texts=tuple(texts),
        authors=authors.astype(np.int64),
        names=frozenset(one.lower() for one in names),
        known=LIVE_TEXTS - 1,
        related=related,
    )
    return Scene(name=name, modality=modality, parts=(part,))
