"""Copies of a classifier of texts: by texts, and by words in random order."""

from __future__ import annotations

import numpy as np

from hartley.attacks.model_to_model.extraction.text_imitation import _nonsense, text_imitation
from hartley.core import Modality
from hartley.engine.run.play import play
from hartley.games.extraction.descriptions import described
from hartley.games.extraction.extraction import live
from hartley.games.extraction.tiny_texts import CLUSTERS, EACH


def _scene():
    return live(Modality.LANGUAGE, np.random.default_rng(0))


def test_texts_with_the_same_words_are_described_alike() -> None:
    scene = _scene()
    rows = described(scene, scene.extra["pool"])
    place = np.repeat(np.arange(CLUSTERS), EACH)
    alike = rows @ rows.T
    same = place[:, None] == place
    assert alike[same].mean() > 0.9 > 0.1 > alike[~same].mean()


def test_nonsense_has_the_words_and_lengths_of_the_texts_in_no_order() -> None:
    texts = np.array(["a a a b", "c c"] * 200)
    drawn = _nonsense(texts, 300, np.random.default_rng(0))
    words = [text.split() for text in drawn]
    assert {len(row) for row in words} == {2, 4}
    counts = {w: sum(row.count(w) for row in words) for w in "abc"}
    total = sum(counts.values())
    for word, share in (("a", 3 / 6), ("b", 1 / 6), ("c", 2 / 6)):
        assert abs(counts[word] / total - share) < 5 * np.sqrt(share * (1 - share) / total)


def test_texts_copy_the_victim_and_so_does_nonsense_in_part() -> None:
    kinds = {
        ask: play(
            text_imitation, _scene(), params={"ask": ask, "steps": 150}, game_params={"rounds": 2}
        )
        for ask in ("texts", "nonsense")
    }
    assert kinds["texts"].metrics["queries"] == 192
    assert kinds["nonsense"].metrics["queries"] == 1000, "words have no end"
    assert (kinds["texts"].guess == kinds["texts"].truth).mean() > 0.9
    # The victim answers nonsense by the nearest text, of which it has a word or two.
    assert (kinds["nonsense"].guess == kinds["nonsense"].truth).mean() > 0.5
