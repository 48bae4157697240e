"""What a model that looks at pictures learns from, what it is asked, and how it is trained.

Pictures of things are stamps and emoji; pictures of words are drawn. Names are split: no picture of
a thing in the second part was learnt from, nor another picture of that name. Twins cross that split
(a man and a woman who do the same): ``twins`` names those that no test asks about. Words are
drawn in fonts of other families than those that were learnt from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import spawn
from hartley.data import paired
from hartley.data.drawn_words import TRAINED, drawn_words
from hartley.kit.language import gpt
from hartley.kit.language.text import PAD
from hartley.kit.vision.picture_tokens import PLACES, Shape
from hartley.models import frozen_language
from hartley.models.efficientnet import feature_maps
from hartley.models.frozen_language import FrozenLanguage
from hartley.models.picture_language import KIND, SAYS, SHOWS, SIDE, PictureLanguage
from hartley.models.picture_lessons import Lessons, Material, taught

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = Literal["small", "medium", "smollm2"]

WORDS, FRESH = 128, 64
"""Words that are drawn to learn from, and other words that are never drawn for that."""

PART = 6
"""One of this many names is held out."""

NAME, TAGS, KIND_PLACE = 4, 12, 12
"""Places of a picture's vectors: first its name, then tags up to here, then its kind."""

KINDS = {
    "Smileys & Emotion": "face",
    "People & Body": "person",
    "Animals & Nature": "animal",
    "Food & Drink": "food",
    "Travel & Places": "place",
    "Activities": "activity",
    "Objects": "object",
    "Symbols": "symbol",
}
"""Groups of emoji, in one word."""

WRITING = "word"
"""The kind of a picture of a word."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What is known of a picture.

    Attributes:
        name: in one to four words.
        tags: words beside it.
        kind: one of ``KINDS``, or empty.
    """

    name: str
    tags: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Things:
    """Pictures of things.

    Attributes:
        pictures: uint8 (n, 128, 128, 3).
        each: what is known of them.
        held_out: (n,) whether the name is in the second part.
    """

    pictures: NDArray[np.uint8]
    each: tuple[Thing, ...]
    held_out: NDArray[np.bool_]

    @property
    def captions(self) -> tuple[str, ...]:
        """The name of each and its tags, with commas between."""
        return tuple(", ".join([thing.name, *thing.tags]) for thing in self.each)

    def part(self, rows: NDArray[Any]) -> Things:
        """Return some of them, by number."""
        some = tuple(self.each[int(i)] for i in rows)
        return Things(self.pictures[rows], some, self.held_out[rows])


@dataclass(frozen=True, slots=True)
class Plan:
    """What a size of the model learns from, and how.

    Attributes:
        things: pictures of things, at most.
        words: words that are drawn.
        draws: of each word.
        width, layers: of the projector.
        lessons: how it is trained.
        network: of the small language model; None is SmolLM2.
    """

    things: int
    words: int
    draws: int
    width: int
    layers: int
    lessons: Lessons
    network: gpt.Shape | None


SMALL, MEDIUM = gpt.Shape(0, 64, 2, 2, 32), gpt.Shape(0, 128, 4, 4, 32)
"""Of the small language models; their vocabulary is that of all captions."""

PLANS: dict[Size, Plan] = {
    "small": Plan(1200, 64, 16, 96, 1, Lessons(14, 2e-3, 64, 60), SMALL),
    "medium": Plan(2400, 128, 16, 128, 2, Lessons(10, 2e-3, 64, 90), MEDIUM),
    "smollm2": Plan(9999, 128, 16, 256, 2, Lessons(10, 1e-3, 64, 120, 24), None),
}


@cache
def things() -> Things:
    """Return all pictures of things that have a short name.

    Raises:
        MissingPack: a pack of pictures or captions was not fetched.
        MissingExtra: Pillow is not installed.
    """
    captioned, emoji = paired.things(SIDE), paired.emoji()
    kinds = {
        caption: KINDS.get(emoji.names[kind], "")
        for caption, kind in zip(emoji.captions, emoji.kinds, strict=True)
    }
    rows, each = [], []
    for row, caption in enumerate(captioned.captions):
        name, *tags = (part.strip() for part in caption.lower().split(","))
        name = re.sub(r"^(a|an|the|some) ", "", re.sub(r"[^a-z ]", "", name)).strip()
        words = tuple(tag for tag in tags if tag.isascii() and tag.isalpha())
        if 0 < len(name.split()) <= NAME:
            rows.append(row)
            each.append(Thing(name, words, kinds.get(caption, "")))
    names = sorted({thing.name for thing in each})
    order = np.random.default_rng(spawn(0, "names")).permutation(len(names))
    out = {names[int(i)] for i in order[: len(names) // PART]}
    held_out = np.array([thing.name in out for thing in each])
    return Things(captioned.pictures[rows], tuple(each), held_out)


def twins(everything: Things) -> NDArray[np.bool_]:
    """Return which held-out pictures (n,) have a twin among the others.

    A twin has the same pixels, the same tags (two or more), or a name of the same stem.
    """
    alike = paired.alike_pictures(everything.pictures).tolist()
    keys: list[set[object]] = [
        {number, ("stem", paired.stem(thing.name)), *([thing.tags] if len(thing.tags) > 1 else [])}
        for number, thing in zip(alike, everything.each, strict=True)
    ]
    pairs = list(zip(keys, everything.held_out, strict=True))
    learnt_from = {key for each, held_out in pairs if not held_out for key in each}
    return np.array([bool(held_out and each & learnt_from) for each, held_out in pairs])


@cache
def words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words that are drawn to learn from, and others; all are frequent in captions."""
    counts = Counter(
        word
        for thing in things().each
        for word in {*thing.name.split(), *thing.tags}
        if re.fullmatch("[a-z]{3,8}", word)
    )
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: WORDS + FRESH]
    order = np.random.default_rng(spawn(0, "words")).permutation(len(frequent))
    mixed = [frequent[int(i)] for i in order]
    return tuple(mixed[:WORDS]), tuple(mixed[WORDS:])


def reader(size: Size, seed: int) -> PictureLanguage:
    """Return the model of a size, trained once and kept on disk.

    Args:
        size: of the language model and of what is learnt from.
        seed: of the training.
    """
    plan = PLANS[size]
    chosen = learnt(plan)
    drawn = words()[0][: plan.words]
    language = frozen_language.smollm2() if plan.network is None else _small(size, plan, seed)
    rng = np.random.default_rng(spawn(seed, "drawings"))
    texts = [word for word in drawn for _ in range(plan.draws)]
    fonts = [TRAINED[int(i)] for i in rng.integers(0, len(TRAINED), len(texts))]
    drawings = drawn_words(texts, fonts, SIDE, rng)
    every = [*chosen.each, *(Thing(text, (), WRITING) for text in texts)]
    pictures = Material(
        np.concatenate([chosen.pictures, drawings]),
        np.stack([laid_out(language, thing) for thing in every]),
        tuple(_questions(language, thing) for thing in every),
    )
    shape = Shape(plan.width, plan.layers, 4, language.width)
    return taught(language, shape, feature_maps(), pictures, lessons=plan.lessons, seed=seed)


def learnt(plan: Plan) -> Things:
    """Return the pictures of things that a plan learns from."""
    everything = things()
    rows = np.flatnonzero(~everything.held_out)
    order = np.random.default_rng(spawn(0, "things")).permutation(len(rows))
    return everything.part(rows[order[: plan.things]])


def laid_out(language: FrozenLanguage, thing: Thing) -> NDArray[np.int64]:
    """Return the tokens (16,) that a picture's vectors should be near, −1 where any will do.

    They are also how the same is written: ``written`` fills the others.
    """
    out = np.full(PLACES, PAD, dtype=np.int64)
    blank = blank_of(language)
    name = language.spelled(thing.name)[:NAME]
    out[:NAME] = [*name, *[blank] * (NAME - len(name))]
    tags = [language.spelled(tag)[0] for tag in thing.tags] or [blank]
    out[NAME:TAGS] = (tags * TAGS)[: TAGS - NAME]
    out[KIND_PLACE] = language.spelled(thing.kind)[0] if thing.kind else PAD
    return out


def written(language: FrozenLanguage, each: Sequence[Thing]) -> NDArray[np.int64]:
    """Return what things are in writing: token ids (n, 16) in place of pictures."""
    rows = np.stack([laid_out(language, thing) for thing in each])
    return np.where(rows == PAD, blank_of(language), rows)


def blank_of(language: FrozenLanguage) -> int:
    """Return the token for nothing to say: a new line, or the unknown word."""
    ids = language.words.encode("\n")
    return ids[0] if len(ids) == 1 else 0


def _questions(language: FrozenLanguage, thing: Thing) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if thing.kind == WRITING:
        return ((SAYS, tuple(language.spelled(thing.name))),)
    out = [(SHOWS, tuple(language.spelled(thing.name)))]
    if thing.kind:
        out.append((KIND, tuple(language.spelled(thing.kind))))
    return tuple(out)


def _small(size: Size, plan: Plan, seed: int) -> FrozenLanguage:
    """Train a small language model on what all things are called, and on words.

    It reads names that the projector never sees, as a language model does that was trained before.
    """
    assert plan.network is not None
    each = things().each
    listed = sorted({(thing.name, thing.tags, thing.kind) for thing in each})
    known = [Thing(*one) for one in listed]
    texts = [" ".join([thing.name, *thing.tags]) for thing in known]
    vocabulary = frozen_language.whole_words(
        [*texts, ",", SAYS, SHOWS, KIND, WRITING, *KINDS.values(), *words()[0], *words()[1]]
    )
    shape = gpt.Shape(
        vocabulary.size,
        plan.network.width,
        plan.network.layers,
        plan.network.heads,
        plan.network.context,
    )
    lesson = gpt.Lesson(epochs=3, batch=32, rate=4e-3)
    rows, read_only = _corpus(known, vocabulary, seed)
    return frozen_language.trained(
        f"{size} caption reader",
        shape,
        lesson,
        words=vocabulary,
        rows=rows,
        read_only=read_only,
        seed=seed,
    )


CORPUS = 8000
"""Texts that a small language model learns from."""


def _corpus(
    known: Sequence[Thing], vocabulary: Any, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return texts (n, t): what fills a picture's places, a question, and its answer.

    Names are of words that were drawn at random in half of the texts, so that it reads any name.
    """
    from hartley.kit.language.text import pad

    rng = np.random.default_rng(spawn(seed, "corpus"))
    # A stand-in for a language model: only its spelling is asked for.
    speller: Any = _Speller(vocabulary)
    every = [vocabulary.decode([i]) for i in range(1, vocabulary.size)]
    lexicon = [word for word in every if word.isalpha()]
    rows, starts = [], []
    for turn in range(CORPUS):
        thing = known[int(rng.integers(len(known)))]
        if turn % 2:
            count = int(rng.integers(1, NAME + 1)) if turn % 4 == 1 else 1
            name = " ".join(lexicon[int(i)] for i in rng.integers(0, len(lexicon), count))
            thing = Thing(name, thing.tags if turn % 4 == 1 else (), thing.kind)
        if turn % 4 == 3:
            thing = Thing(thing.name, (), WRITING)
        layout = laid_out(speller, thing)
        noise = rng.integers(1, vocabulary.size, PLACES)
        layout = np.where(layout == PAD, noise, layout)
        questions = _questions(speller, thing)
        question, answer = questions[int(rng.integers(len(questions)))]
        row = [0, *layout.tolist(), *speller.spelled(question)]
        rows.append([*row, *answer])
        starts.append(len(row))
    tokens = pad(rows)
    return tokens, np.arange(tokens.shape[1]) < np.array(starts)[:, None]


@dataclass(frozen=True, slots=True)
class _Speller:
    words: Any

    def spelled(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ids: list[int] = self.words.encode(text)
        return ids
