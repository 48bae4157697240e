import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.data.language import corpus
from hartley.games.decryption import ciphers


@pytest.fixture(scope="module")
def prose():
    return ciphers.letters(corpus())


@pytest.fixture(scope="module")
def language(prose):
    return letter_model.learn(prose[:100_000])


def test_a_language_is_three_laws(language):
    assert np.exp(language.one).sum() == pytest.approx(1)
    assert np.exp(language.two).sum() == pytest.approx(1)
    assert np.exp(language.three).sum() == pytest.approx(1)
    assert np.allclose(np.exp(language.three).sum(2), np.exp(language.two))
    assert ciphers.spell(language.one.argsort()[-1:]) == "e"


def test_gains_of_swaps_equal_scores_before_and_after(language):
    """The products of matrices against the plain double sum, for every swap of three keys."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (26, 26)).astype(float)
    keys = np.stack([rng.permutation(26) for _ in range(3)])

    def score(key):
        return sum(
            counts[a, b] * language.two[key[a], key[b]] for a in range(26) for b in range(26)
        )

    gains = letter_model.pair_gains(keys, counts, language.two)
    for key, row in zip(keys, gains, strict=True):
        before = score(key)
        for swap in range(0, 325, 13):
            a, b = letter_model.FIRST[swap], letter_model.SECOND[swap]
            after = key.copy()
            after[[a, b]] = after[[b, a]]
            assert row[swap] == pytest.approx(score(after) - before, abs=1e-8)


def test_the_search_finds_the_key_of_a_long_text(prose, language):
    rng = np.random.default_rng(1)
    key = rng.permutation(26)
    plain = prose[150_000:150_600]
    everywhere = np.ones(len(plain), dtype=bool)
    found = letter_model.solve(key[plain], everywhere, language, rng, 24)
    assert np.mean(found[key[plain]] == plain) > 0.98


def test_runs_do_not_cross_a_payload(prose, language):
    """Garbage in the payload's place must not change what is made of the prose around it."""
    rng = np.random.default_rng(2)
    plain = prose[160_000:160_400].copy()
    natural = np.ones(400, dtype=bool)
    natural[100:200] = False
    other = plain.copy()
    other[100:200] = rng.integers(0, 26, 100)
    solved = [
        letter_model.solve(units, natural, language, np.random.default_rng(3), 8)
        for units in (plain, other)
    ]
    assert np.array_equal(*solved)


def test_folding_keeps_26_signs_and_numbers_more_by_frequency():
    few = np.array([3, 25, 0])
    assert np.array_equal(letter_model.fold(few), few)
    many = np.concatenate([np.full(9, 200), np.arange(40)])
    folded = letter_model.fold(many)
    assert folded.max() < 26
    assert (folded[:9] == 0).all()
