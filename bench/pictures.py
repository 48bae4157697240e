"""What does a language model that looks at pictures read and answer, and what is it made to say?

    python bench/pictures.py [--sizes small medium smollm2] [--seed 0] [--attack]

For each size of the scene ``picture_questions``: forced choice among 64 drawn words in fonts of
families that were not learnt from, among 32 words for held-out pictures of things, and among eight
groups of emoji, each beside chance; among 64 words that were never drawn to learn from; the signal
of a word that is written and of one that is drawn, and their difference (the word is the unit). For
each size of ``pictures_and_words``: how often a held-out picture finds its caption. ``--attack``
plays ``picture_prefix`` and ``typographic_prompt`` on it, about 32 things. Training takes a minute,
three minutes and five to twenty minutes of one core, once.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from hartley import measure, play
from hartley.attacks.data_to_model.alignment.picture_prefix import picture_prefix
from hartley.attacks.data_to_model.alignment.typographic_prompt import typographic_prompt
from hartley.data.drawn_words import UNSEEN, drawn_words
from hartley.kit.interval_values import Figure, share_figure
from hartley.models.picture_language import SAYS, SIDE
from hartley.scenes import _pictures_read
from hartley.scenes.picture_questions import as_planes, picture_questions, utility
from hartley.scenes.pictures_and_words import pictures_and_words
from hartley.scenes.pictures_and_words import utility as retrieval


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
    return share_figure(answers == np.repeat(np.arange(len(fresh)), len(UNSEEN)))


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
            line(question, right, f"chance {1 / answers:.3f}, most frequent {usual:.3f}")
            if question == "word":
                for name in ("signal written", "signal drawn", "signal lost"):
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
                channel = measure(play(attack, scene, seed=chosen.seed), redraws=1)
                print(f"  {attack.name:34} {channel.bits} of 5 bits a picture")
        print(f"  {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
