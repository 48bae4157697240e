import itertools

import numpy as np
import pytest

from hartley.kit import convolutional_code as code


def test_every_message_comes_back_and_the_tail_ends_in_state_zero():
    rng = np.random.default_rng(0)
    for m in (1, 5, 32, 100):
        message = rng.integers(0, 2, m)
        sent = code.encode(message)
        assert sent.shape == (code.length(m),)
        assert np.array_equal(code.decode(2.0 * sent - 1, m), message)


def test_viterbi_finds_what_a_search_over_all_messages_finds():
    rng = np.random.default_rng(1)
    m = 8
    book = {bits: code.encode(np.array(bits)) for bits in itertools.product((0, 1), repeat=m)}
    words = np.array(list(book.values())) * 2.0 - 1
    for _ in range(20):
        heard = rng.standard_normal(code.length(m))
        best = np.array(list(book)[int((words @ heard).argmax())])
        assert np.array_equal(code.decode(heard, m), best)


def test_free_distance_is_that_of_the_known_best_code():
    # Rate 1/3, constraint length 7, generators 133 171 165: free distance 15.
    weights = [code.encode(np.array(bits)).sum() for bits in itertools.product((0, 1), repeat=8)]
    assert sorted(weights)[1] == 15


def test_coding_beats_repetition_at_equal_energy():
    rng = np.random.default_rng(2)
    wrong_coded = wrong_plain = 0
    m, noise = 32, 1.0
    n = code.length(m)
    for _ in range(60):
        message = rng.integers(0, 2, m)
        heard = 2.0 * code.encode(message) - 1 + noise * rng.standard_normal(n)
        wrong_coded += (code.decode(heard, m) != message).sum()
        repeated = (2.0 * message - 1) * np.sqrt(n / m) + noise * rng.standard_normal(m)
        wrong_plain += ((repeated > 0) != message).sum()
    assert wrong_coded < wrong_plain / 3


def test_wrong_length_is_refused():
    with pytest.raises(ValueError, match="soft must have 114 values"):
        code.decode(np.zeros(113), 32)
