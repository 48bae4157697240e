"""Floors of what is published: what they must refuse, whatever else stays."""

import numpy as np
import pytest

from hartley.kit.item_quality import column_distance, holds, own_words, tables, texts

WORDS = [f"word{k}" for k in range(60)]


def test_the_same_words_in_another_order_are_another_text():
    quality = texts()
    published = " ".join(WORDS)
    shuffled = " ".join(np.random.default_rng(0).permutation(WORDS))
    assert quality.figures(published, published)["word_f1"] == 1
    assert quality.figures(shuffled, published)["word_f1"] < 0.2
    # Three of 60 words replaced, far from one another: 54 of 59 pairs are left, one at an end.
    some = [word if k % 25 else "other" for k, word in enumerate(WORDS)]
    assert quality.figures(" ".join(some), published)["word_f1"] == pytest.approx(54 / 59)


def test_a_quotation_counts_by_its_words_whatever_stands_between_them():
    theirs = "it was a bright cold day in april and the clocks were striking thirteen"
    own = "the rain in april fell on the roof of the house by the sea"
    quote = own_words(own, [theirs])
    assert quote(own)["own_words"] == 1
    assert quote("in april")["own_words"] == 1
    assert quote(f"{own} It was a, BRIGHT\ncold")["own_words"] == pytest.approx(1 - 5 / 14)
    # Neither words of others around it make it less of one, nor leaving out own words.
    padded = " ".join([own, *(f"word{k}" for k in range(300)), "it was a bright cold"])
    assert quote(padded)["own_words"] == pytest.approx(1 - 5 / 14)
    assert quote("the rain it was a bright cold")["own_words"] == pytest.approx(1 - 5 / 7)
    assert quote(f"{padded} {theirs}")["own_words"] == 0
    # What both wrote is no quotation.
    assert own_words(theirs, [theirs])(theirs)["own_words"] == 1


def test_a_forged_table_has_few_rows_that_are_not_the_forger_s():
    rng = np.random.default_rng(0)
    label = np.tile([0.0, 1.0], 50)[:, None]
    own, theirs = (np.hstack([rng.standard_normal((100, 6)) + label, label]) for _ in range(2))
    quality = tables()
    floors = quality.floors(-1, forging=True)

    def passes(rows):
        return holds(quality.figures(rows, own), floors)

    assert passes(own)
    assert passes(own + np.hstack([np.full((100, 6), 0.1), 0 * label]))
    assert passes(np.concatenate([own, theirs[:5]]))
    assert not passes(np.concatenate([own, theirs[:20]]))
    assert not passes(np.concatenate([own, own]))


def test_columns_are_as_far_apart_as_scipy_says():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(0)
    table, other = rng.integers(0, 9, (40, 6)), rng.integers(1, 12, (57, 6))
    other[:, 0] = rng.permutation(np.resize(table[:, 0], len(other)))
    gaps = [ks_2samp(table[:, c], other[:, c]).statistic for c in range(6)]
    assert column_distance(table, other) == pytest.approx(np.mean(gaps), abs=1e-12)
    assert column_distance(table, rng.permutation(table)) == 0
