"""What does a language model that looks at pictures read and answer, and what is it made to say?

    python bench/pictures.py [--sizes small medium smollm2] [--seed 0] [--attack]

For each size of the scene ``picture_questions``: forced choice among 64 drawn words in fonts of
families that were not learnt from, among 32 words for held-out pictures of things, and among eight
groups of emoji, each beside chance and beside the most frequent answer, with the difference to
that; among 64 words that were never drawn to learn from; the signal of a word that is written and
of one that is drawn, above that along other words, and their difference. For each size of
``pictures_and_words``: how often a held-out picture finds its caption. ``--attack`` plays
``picture_prefix`` and ``typographic_prompt`` on it, about 32 things, on 62 pictures. The word or
the stem of a name is the unit of an interval, but for captions and attacks, where it is the
picture, and no two are of one name. Training takes a minute, three minutes and five to twenty
minutes of one core, once.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from hartley import measure, play
from hartley.attacks.data_to_model.alignment.picture_prefix import picture_prefix
from hartley.attacks.data_to_model.alignment.typographic_prompt import typographic_prompt
from hartley.core import Scene
from hartley.data.drawn_words import UNSEEN, drawn_words
from hartley.games.alignment.picture_prompt import UNITS
from hartley.kit.interval_values import Figure, mean_figure, share_figure
from hartley.models.picture_language import SAYS, SIDE
from hartley.scenes import _pictures_read
from hartley.scenes.picture_questions import as_planes, picture_questions, utility
from hartley.scenes.pictures_and_words import pictures_and_words
from hartley.scenes.pictures_and_words import utility as retrieval

SIGNALS = (
    *("signal written", "signal drawn", "signal lost", "floor written", "floor drawn"),
    *("projection written", "projection drawn"),
)
"""Of the facts of the scene for ``question=word``."""

ROUNDS = {"rounds": 2, "pictures": 31}
"""Of a game: the 62 held-out pictures of things that are not twins."""


def line(name: str, figure: Figure, beside: str = "") -> None:
    """Print a figure with its interval and n."""
    print(f"  {name:34} {figure:.3f} [{figure.low:.3f}, {figure.high:.3f}] n={figure.n} {beside}")


def fresh_words(size: Any, seed: int) -> Figure:
    """Return how often a word is read that was never drawn to learn from, among 64 such words."""
    reader = _pictures_read.reader(size, seed)
    fresh = _pictures_read.words()[1]
    pairs = [(word, font) for word in fresh for font in UNSEEN]
    rng = np.random.default_rng(seed)
    pictures = drawn_words([word for word, _ in pairs], [font for _, font in pairs], SIDE, rng)
    vectors = reader.vectors(as_planes(pictures))
    scores = reader.log_likelihoods(vectors, SAYS, reader.rows(fresh))
    answers = (scores - scores.mean(0)).argmax(1)
    right = answers == np.repeat(np.arange(len(fresh)), len(UNSEEN))
    return mean_figure(right.reshape(len(fresh), -1).mean(1))  # the word is the unit


def above_constant(scene: Scene) -> Figure:
    """Return how much more often the model is right than the most frequent answer is."""
    assert scene.model is not None
    test = scene.extra["test"]
    hits = np.asarray(scene.model.query(test.x)).argmax(1) == test.labels
    constant = test.labels == np.bincount(test.labels).argmax()
    units = test.facts[UNITS]
    difference = hits.astype(float) - constant
    return mean_figure(np.bincount(units, difference), np.bincount(units))


def main() -> None:
    """Print one block for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["small", "medium", "smollm2"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", action="store_true")
    chosen = parser.parse_args()
    for size in chosen.sizes:
        started = time.perf_counter()
        common = {"size": size, "seed": chosen.seed}
        print(size)
        for question, answers in (("word", 64), ("thing", 32), ("kind", 8)):
            scene = picture_questions(question=question, answers=answers, **common)
            right = utility(scene)["right"]
            labels = scene.extra["test"].labels
            usual = np.bincount(labels).max() / len(labels)
            line(
                question,
                right,
                f"units, {len(labels)} pictures, chance {1 / answers:.3f}, "
                f"most frequent {usual:.3f}",
            )
            line(f"{question} above the most frequent", above_constant(scene))
            if question == "word":
                for name in SIGNALS:
                    ends = scene.facts[f"{name} from"], scene.facts[f"{name} to"]
                    line(name, Figure(scene.facts[name], *ends, answers))
        line("words never drawn before", fresh_words(size, chosen.seed), "chance 0.016")
        paired = pictures_and_words(**common)
        for name, figure in retrieval(paired).items():
            line(name, figure, f"chance {1 / figure.n:.4f}")
        print(f"  parameters {paired.facts['parameters']:,}")
        if chosen.attack:
            scene = picture_questions(question="thing", answers=32, **common)
            for attack in (picture_prefix, typographic_prompt):
                played = play(attack, scene, seed=chosen.seed, game_params=ROUNDS)
                channel = measure(played, redraws=1)
                obeyed = share_figure(np.asarray(played.guess) == np.asarray(played.truth))
                line(f"{attack.name} obeyed", obeyed, f"without {channel.metrics['base_rate']}")
                print(f"  {attack.name:34} {channel.bits} of 5 bits a picture")
        print(f"  {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
