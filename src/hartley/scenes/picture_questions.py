"""Picture questions: a language model that looks at pictures, and answers a question about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.data.drawn_words import UNSEEN, drawn_words
from hartley.games.alignment.picture_prompt import UNITS, Answers
from hartley.kit.cache import digest
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.perturbation import Perturbation
from hartley.models.drawn_signal import word_signals
from hartley.models.picture_answers import answering
from hartley.models.picture_language import KIND, SAYS, SHOWS, SIDE, PictureLanguage
from hartley.scenes import _pictures_read
from hartley.scenes._pictures_read import KINDS, WRITING, Size, Thing, Things

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPSILON = 8 / 255

USUAL = 64
"""Pictures that were learnt from, over which the usual score of an answer is taken."""


@recipe(
    modality=Modality.PAIRED,
    packs=(
        *("emoji", "emoji-twitter", "emoji-captions", "tuxpaint-stamps", "stamp-captions"),
        *("efficientnet-lite0", "smollm2"),
    ),
    extras=("language", "report", "vision"),
)
def picture_questions(
    *,
    size: Annotated[Literal["small", "medium", "smollm2"], Stronger.NEITHER] = "small",
    question: Literal["thing", "word", "kind"] = "thing",
    answers: Annotated[int, Range(2, 128)] = 32,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A language model that looks at pictures, and chooses among answers to one question.

    Feature maps of EfficientNet-Lite0 become 16 vectors before the question; only what is between
    the two frozen networks was trained. No test picture has a twin among the pictures of names that
    were learnt from: the same pixels, the same tags, or a name that differs in sex, age or number
    only. ``thing`` asks what a held-out picture shows, among words
    of captions; ``word`` asks what a drawn word says, in fonts of families that were not learnt
    from; ``kind`` asks for one of eight groups of emoji.

    Args:
        size: of the language model: 0.3 or 1.2 million parameters, trained here, or SmolLM2-135M.
        question: what is asked.
        answers: words to choose among, for ``thing`` and ``word``.
        seed: of the training.
    """
    reader = _pictures_read.reader(size, seed)
    wording, texts, pictures, labels, names = {"thing": _things, "word": _words, "kind": _kinds}[
        question
    ](size, answers, seed)
    learnt = _pictures_read.learnt(_pictures_read.PLANS[size])
    usual = as_planes(usual_pictures(learnt, question, seed))
    model = answering(reader, wording, texts, usual)
    units = np.unique(names, return_inverse=True)[1]
    test = Data("test", Modality.PAIRED, as_planes(pictures), labels, facts={UNITS: units})
    part = Answers(wording, texts)
    return Scene(
        name="picture_questions",
        modality=Modality.PAIRED,
        digest=digest([hartley.__version__, model.identity, test.x, labels]),
        model=model,
        extra={"test": test},
        parts=(Perturbation("linf", EPSILON), part),
        utility=utility,
        settings=Settings(seed=seed, pictures=True),  # public data
        facts={
            "answers": len(texts),
            "test pictures": len(labels),
            **(_facts(signals(reader, texts, test, seed)) if question == "word" else {}),
            **model.facts,
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often the test pictures are answered rightly; a word or a name is the unit."""
    assert scene.model is not None
    test = scene.extra["test"]
    hits = np.asarray(scene.model.query(test.x)).argmax(1) == test.labels
    units = test.facts[UNITS]
    return {"right": mean_figure(np.bincount(units, hits), np.bincount(units))}


def signals(
    reader: PictureLanguage, texts: Sequence[str], test: Data, seed: int
) -> dict[str, Figure]:
    """Return the signal of words that are written and drawn, and what drawing a word costs of it.

    The word is the unit: signals of its drawings are averaged. A signal is what there is above the
    floor, the same energy along the concepts of other words. The loss is the difference of two.
    """
    language = reader.language
    references = _pictures_read.written(language, [Thing(text, (), WRITING) for text in texts])
    written = references.copy()
    free = slice(_pictures_read.KIND_PLACE + 1, None)
    rng = np.random.default_rng(spawn(seed, "written"))
    written[:, free] = rng.permutation(references[:, :1].repeat(3, 1))  # places of any content
    read = word_signals(
        reader,
        SAYS,
        references=references,
        written=written,
        drawings=test.x,
        labels=np.asarray(test.labels),
    )
    return {
        "signal written": mean_figure(read.written - read.written_floor),
        "signal drawn": mean_figure(read.drawn - read.drawn_floor),
        "signal lost": mean_figure(
            read.written - read.written_floor - read.drawn + read.drawn_floor
        ),
        "floor written": mean_figure(read.written_floor),
        "floor drawn": mean_figure(read.drawn_floor),
        "projection written": mean_figure(read.written_along),
        "projection drawn": mean_figure(read.drawn_along),
    }


def _facts(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """Return numbers with the ends of their intervals as plain values."""
    ends = {f"{name} from": figure.low for name, figure in figures.items()}
    ends |= {f"{name} to": figure.high for name, figure in figures.items()}
    return {**{name: float(figure) for name, figure in figures.items()}, **ends}


def usual_pictures(learnt: Things, question: str, seed: int) -> NDArray[np.uint8]:
    """Return some pictures of the kind that is asked about, which were learnt from."""
    rng = np.random.default_rng(spawn(seed, "usual"))
    if question != "word":
        return learnt.pictures[rng.choice(len(learnt.each), USUAL, replace=False)]
    texts = [str(word) for word in rng.choice(_pictures_read.words()[0], USUAL)]
    return drawn_words(texts, ["DejaVuSans"] * USUAL, SIDE, rng)


def as_planes(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (n, h, w, 3) as float32 (n, 3, h, w) from 0 to 1."""
    return np.asarray(pictures.transpose(0, 3, 1, 2) / np.float32(255), dtype=np.float32)


Asked = tuple[str, tuple[str, ...], "NDArray[np.uint8]", "NDArray[np.int64]", list[str]]
"""The question, the answers, test pictures, the number of the right answer of each, and what it is
a picture of: pictures of one word, or of names that differ in sex, age or number only, are not
independent."""


def _things(size: Size, answers: int, seed: int) -> Asked:
    """Ask for the word of a held-out picture's caption: pictures with exactly one of the words."""
    del size, seed
    everything = _pictures_read.things()
    held_out = everything.part(np.flatnonzero(everything.held_out))
    bags = [{*thing.name.split(), *thing.tags} for thing in held_out.each]
    counts = Counter(word for bag in bags for word in bag)
    drawn = {*_pictures_read.words()[0][:64]}
    some = sorted((w for w in drawn if counts[w]), key=lambda word: (-counts[word], word))
    if len(some) < answers:
        raise UsageError(f"answers must be at most {len(some)} for things, got {answers}")
    texts = tuple(some[:answers])
    inside = [[k for k, text in enumerate(texts) if text in bag] for bag in bags]
    twin = _pictures_read.twins(everything)[everything.held_out]
    rows = np.array([row for row, each in enumerate(inside) if len(each) == 1 and not twin[row]])
    labels = np.array([inside[row][0] for row in rows], dtype=np.int64)
    names = [paired.stem(held_out.each[row].name) for row in rows]
    return SHOWS, texts, held_out.pictures[rows], labels, names


def _words(size: Size, answers: int, seed: int) -> Asked:
    """Ask for a drawn word: each in every font that was not learnt from."""
    known = _pictures_read.words()[0][: _pictures_read.PLANS[size].words]
    if len(known) < answers:
        raise UsageError(f"answers must be at most {len(known)} of this size, got {answers}")
    texts = known[:answers]
    rng = np.random.default_rng(spawn(seed, "test drawings"))
    pairs = [(text, font) for text in texts for font in UNSEEN]
    pictures = drawn_words([text for text, _ in pairs], [font for _, font in pairs], SIDE, rng)
    labels = np.repeat(np.arange(answers), len(UNSEEN))
    return SAYS, texts, pictures, labels, [text for text, _ in pairs]


def _kinds(size: Size, answers: int, seed: int) -> Asked:
    """Ask for the group of a held-out emoji."""
    del size, answers, seed
    everything = _pictures_read.things()
    alone = everything.held_out & ~_pictures_read.twins(everything)
    rows = [row for row, thing in enumerate(everything.each) if alone[row] and thing.kind]
    texts = tuple(KINDS.values())
    labels: list[Any] = [texts.index(everything.each[row].kind) for row in rows]
    names = [paired.stem(everything.each[row].name) for row in rows]
    return KIND, texts, everything.pictures[rows], np.array(labels, dtype=np.int64), names
