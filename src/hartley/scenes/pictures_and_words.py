"""Pictures and words: a language model that looks at pictures, and finds the caption of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.data.paired import alike_captions, alike_pictures, groups_of
from hartley.games.alignment.pair_encoders import PairEncoders, pairs
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, share_figure
from hartley.kit.language.text import codec, pad
from hartley.kit.perturbation import Perturbation
from hartley.models.frozen_language import FrozenLanguage
from hartley.models.picture_embeddings import SharedSpace
from hartley.scenes import _pictures_read
from hartley.scenes._pictures_read import Thing, Things
from hartley.scenes.picture_questions import EPSILON, as_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PUBLIC, USUAL = 200, 128
"""Pairs of the attacker's, and those that the usual values are taken over."""


@recipe(
    modality=Modality.PAIRED,
    packs=(
        *("emoji", "emoji-twitter", "emoji-captions", "tuxpaint-stamps", "stamp-captions"),
        *("efficientnet-lite0", "smollm2"),
    ),
    extras=("language", "report", "vision"),
)
def pictures_and_words(
    *,
    size: Annotated[Literal["small", "medium", "smollm2"], Stronger.NEITHER] = "small",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """The space in which a language model has pictures and captions side by side.

    Feature maps of EfficientNet-Lite0 become vectors in the language model's input, where the
    embeddings of a caption could be too. Held-out pictures are of names that it never saw,
    and have no twin among those that it saw.

    Args:
        size: of the language model: 0.3 or 1.2 million parameters, trained here, or SmolLM2-135M.
        seed: of the training.
    """
    reader = _pictures_read.reader(size, seed)
    language = reader.language
    rng = np.random.default_rng(spawn(seed, "pairs"))
    everything = _pictures_read.things()
    alone = everything.held_out & ~_pictures_read.twins(everything)
    test = _distinct(everything.part(rng.permutation(np.flatnonzero(alone))))
    learnt = _pictures_read.learnt(_pictures_read.PLANS[size])
    order = rng.permutation(len(learnt.each))
    usual, public = learnt.part(order[:USUAL]), learnt.part(order[USUAL : USUAL + PUBLIC])

    def laid_out(tokens: NDArray[Any]) -> NDArray[np.int64]:
        texts = codec(language.words).decode(tokens)
        return _pictures_read.written(language, [_thing(text) for text in texts])

    space = SharedSpace.of(reader, laid_out, as_planes(usual.pictures), _tokens(language, usual))
    identity = digest([language.identity, space.picture_mean, space.caption_mean])
    part = PairEncoders(
        test=pairs("test", as_planes(test.pictures), _tokens(language, test)),
        public=pairs("public", as_planes(public.pictures), _tokens(language, public)),
        pictures=space.pictures,
        captions=space.captions,
        slope=space.slope,
        vocabulary=language.words.size,
        codec=codec(language.words),
        budget=Perturbation("linf", EPSILON),
    )
    model = space.model(language.name, identity)
    return Scene(
        name="pictures_and_words",
        modality=Modality.PAIRED,
        digest=digest([hartley.__version__, identity, part.test.x, test.captions]),
        model=model,
        extra={"test": part.test, "public": part.public},
        parts=(part,),
        utility=utility,
        settings=Settings(seed=seed, pictures=True),  # public data
        facts={"test pictures": len(test.each), **model.facts},
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a held-out picture retrieves its caption among all held-out captions."""
    assert scene.model is not None
    part = scene.part(PairEncoders)
    images = np.asarray(part.picture_model(scene.model).query(part.test.x))
    texts = np.asarray(part.caption_model(scene.model).query(part.test.facts["captions"]))
    alike = images @ texts.T
    rank = (alike >= np.diag(alike)[:, None]).sum(1) - 1
    return {"recall_at_1": share_figure(rank < 1), "recall_at_10": share_figure(rank < 10)}


def _distinct(some: Things) -> Things:
    """Return pictures without twins among them: the first of each stem, tags and pixels."""
    alike = alike_pictures(some.pictures)
    groups = groups_of(alike, *alike_captions(some.captions))
    return some.part(np.sort(np.unique(groups, return_index=True)[1]))


def _tokens(language: FrozenLanguage, some: Things) -> NDArray[np.int64]:
    return pad([language.spelled(caption) for caption in some.captions])


def _thing(caption: str) -> Thing:
    """Return what a caption says: a name, and tags between commas."""
    name, *tags = (part.strip() for part in caption.split(","))
    return Thing(name, tuple(tag for tag in tags if tag), "")
