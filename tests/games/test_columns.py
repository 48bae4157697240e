"""Encrypted columns: what protections show, and what frequency analysis reads of them."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption.blind_guess import blind_guess
from hartley.attacks.data_to_data.decryption.cumulative_matching import (
    _assigned,
    cumulative_matching,
)
from hartley.attacks.data_to_data.decryption.frequency import frequency
from hartley.attacks.data_to_data.decryption.sorting import sorting
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.core.errors import RunError, UsageError
from hartley.defenses.bandwidth.rekeying import rekeying
from hartley.defenses.noise.frequency_smoothing import frequency_smoothing
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.decryption import columns

VALUES = np.array([3, 0, 3, 7, 1, 0, 3])


def scene(protection):
    return Scene("columns", Modality.TABULAR, parts=(columns.skewed(), protection))


def bits(attack, where, before=None, **size):
    return measure(play(attack, where, seed=0, undefended=before, game_params=size)).bits


def test_deterministic_encryption_shows_equality_and_is_aes_siv():
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    units = columns.deterministic().protect(VALUES, np.random.default_rng(0)).x
    assert ((units[:, None] == units) == (VALUES[:, None] == VALUES)).all()
    key = np.random.default_rng(0).bytes(64)
    nonce = AESSIV(key).encrypt((3).to_bytes(8, "big"), None)[:8]
    assert units[0] == int.from_bytes(nonce, "big", signed=True)
    other = columns.deterministic().protect(VALUES, np.random.default_rng(1)).x
    assert not np.intersect1d(units, other).size


def test_order_preserving_encryption_shows_order_and_is_uniform_among_such_maps():
    protect, rng = columns.order_preserving(bits=4).protect, np.random.default_rng(0)
    images = np.array([protect(np.array([0, 1]), rng).x for _ in range(6000)])
    assert (images[:, 0] < images[:, 1]).all()
    # 120 pairs out of 16 numbers, each as likely as any other.
    _, counts = np.unique(images @ [16, 1], return_counts=True)
    assert len(counts) == 120
    assert ((counts - 50) ** 2 / 50).sum() < 119 + 5 * np.sqrt(2 * 119)


def test_smoothing_gives_a_value_ciphertexts_by_its_frequency():
    public = np.repeat([0, 1, 2], [60, 30, 10])
    assert columns.homophones(public, 4, 10).tolist() == [6, 3, 1, 1]
    smooth = columns.smoothed(columns.order_preserving(), public, 4, 10)
    units = smooth.protect(np.repeat([0, 1, 2], 500), np.random.default_rng(0)).x.reshape(3, 500)
    assert [len(set(row)) for row in units] == [6, 3, 1]
    assert units[0].max() < units[1].min() <= units[1].max() < units[2].min()


def test_values_that_are_no_codes_are_one_clear_line():
    for bad in (np.array([0.5]), np.zeros((2, 2), dtype=int)):
        with pytest.raises(UsageError, match="must be one list of whole numbers"):
            columns.deterministic().protect(bad, np.random.default_rng(0))
    with pytest.raises(UsageError, match="must be from 0, got -1"):
        columns.order_preserving().protect(np.array([-1]), np.random.default_rng(0))


def test_a_column_longer_than_the_table_is_one_clear_line():
    with pytest.raises(RunError, match="has 8000 records to draw from"):
        bits(sorting, scene(columns.deterministic()), length=9000)


def test_frequency_reads_equality_and_order_reads_more():
    """Of eight values, each half as frequent as the one before, nearly all are told apart."""
    shown = scene(columns.deterministic())
    assert bits(frequency, shown).value > 2.2
    assert bits(cumulative_matching, shown).value < 0.2
    ordered = scene(columns.order_preserving())
    for attack in (sorting, cumulative_matching):
        assert bits(attack, ordered).value > 2.8
    assert bits(blind_guess, ordered).value < 0.02


def test_a_key_for_every_record_and_smoothing_close_what_they_hide_and_no_more():
    shown, ordered = scene(columns.deterministic()), scene(columns.order_preserving())
    for before in (shown, None):
        assert bits(frequency, defended(shown, rekeying, {"every": 1}), before).value < 0.05
        smooth = defended(shown, frequency_smoothing, {"copies": 200})
        assert bits(frequency, smooth, before).value < 0.3
    # A hidden frequency does not hide the order.
    assert bits(cumulative_matching, defended(ordered, frequency_smoothing)).value > 1.5


def test_the_assignment_is_that_of_least_cost():
    law = np.array([50.0, 20.0, 20.0, 10.0])
    assert _assigned(np.array([52.0, 19.0, 21.0, 8.0]), law).tolist() == [0, 1, 2, 3]
    # Value 1 is missing: the last two ciphertexts are the last two values.
    assert _assigned(np.array([62.0, 25.0, 13.0]), law).tolist() == [0, 2, 3]
