"""Code words: 1,024 words with three translations, drawn uniformly."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.kit.encodings.code_words import LANGUAGES, draw_code_words, translations, word_list


def test_the_list_has_ten_bits_and_each_word_its_translations() -> None:
    words = word_list()
    assert len(set(words)) == 2**10
    assert all(word.isascii() and word.isalpha() and 4 <= len(word) <= 10 for word in words)
    for by_language in translations().values():
        assert set(by_language) == set(LANGUAGES)
        assert all(w and " " not in w for ways in by_language.values() for w in ways)
    assert translations()["bear"]["german"] == ("bär", "baer")


def test_code_words_are_of_the_list_and_begin_differently() -> None:
    drawn = draw_code_words(np.random.default_rng(0), 256)
    assert len({word.split()[0] for word in drawn}) == 256
    assert {len(word.split()) for word in drawn} == {4}
    assert {part for word in drawn for part in word.split()} <= set(word_list())
    # The last word is uniform: 256 draws of 1,024 words are about 226 different ones.
    assert 200 < len({word.split()[-1] for word in drawn}) < 250
    with pytest.raises(UsageError, match="from 1 to 1024, got 0"):
        draw_code_words(np.random.default_rng(0), 0)
