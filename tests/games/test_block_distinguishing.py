"""Pairs of Speck blocks: their coins, what few rounds do to a difference, and who reads it."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption._shared.pair_net import known_words
from hartley.attacks.data_to_data.decryption.difference_distribution import difference_distribution
from hartley.attacks.data_to_data.decryption.neural_distinguisher import neural_distinguisher
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.engine.run.play import play
from hartley.games.decryption.block_distinguishing import (
    ReducedSpeck,
    block_distinguishing,
    pairs,
)
from hartley.kit.speck import encrypted
from hartley.scenes.encrypted_blocks import encrypted_blocks

COUNTS = {"samples": 200_000, "positions": 6}


def differences(cipher, coins):
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 1 << 16, (len(coins), 4), dtype=np.uint16)
    blocks = pairs(cipher, coins, keys, rng)
    return blocks[:, 0] ^ blocks[:, 1]


def played(attack, rounds, params):
    scene = Scene("few", Modality.LANGUAGE, parts=(ReducedSpeck(rounds),))
    return play(attack, scene, seed=0, params=params, game_params={"rounds": 40})


def accuracy(trials):
    return float(((trials.guess > 0) == (trials.truth == 1)).mean())


def test_coins_are_fair_and_keys_fresh():
    dealt = block_distinguishing(
        encrypted_blocks(rounds_of_cipher=5), np.random.default_rng(0), rounds=200
    )
    truth = np.concatenate([one.truth for one in dealt.rounds])
    assert abs(truth.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(truth))
    assert {len(one.truth) for one in dealt.rounds} == {50}
    blocks = np.concatenate([one.view.data.x for one in dealt.rounds])
    assert len(np.unique(blocks.reshape(len(blocks), -1), axis=0)) == len(blocks)


def test_a_difference_takes_the_ways_that_are_known_of_it():
    ones = np.ones(4000, dtype=np.int64)
    # One round takes the difference to the highest bits, where nothing is carried.
    assert (differences(ReducedSpeck(1), ones) == 0x8000).all()
    # In the second round one bit may be carried, which it is half of the time.
    straight = (differences(ReducedSpeck(2), ones) == (0x8100, 0x8102)).all(1).mean()
    assert abs(straight - 0.5) < 4 * 0.5 / np.sqrt(4000)
    other = differences(ReducedSpeck(1), 0 * ones)
    assert (other == 0x8000).all(1).mean() < 0.01


def test_the_right_word_before_the_last_round_is_read_without_the_key():
    rng = np.random.default_rng(0)
    plain, key = rng.integers(0, 1 << 16, (50, 2)), rng.integers(0, 1 << 16, 4)
    _, right = known_words(encrypted(plain, key, 7))
    assert (right == encrypted(plain, key, 6)[:, 1]).all()


def test_a_sure_difference_has_the_odds_of_all_its_bits():
    trials = played(difference_distribution, 1, COUNTS)
    sure = trials.guess[trials.truth == 1]
    assert np.allclose(sure, 32 * np.log(2), atol=0.2)
    assert (trials.guess[trials.truth == 0] < 0).all()


@pytest.mark.parametrize(
    ("attack", "params", "least"),
    [(difference_distribution, COUNTS, 0.83), (neural_distinguisher, {"samples": 25_000}, 0.82)],
)
def test_five_rounds_are_distinguished(attack, params, least):
    five = played(attack, 5, params)
    # Gohr's net, trained on 10 million pairs many times, has 0.929.
    assert least < accuracy(five) < 0.95
    assert measure(five, redraws=1).bits.lower > 0.2


def test_all_rounds_read_nothing():
    channel = measure(played(difference_distribution, 22, COUNTS), redraws=1)
    assert not channel.bits.lower
    assert channel.high < 0.02


def test_a_cipher_that_is_not_is_one_clear_line():
    with pytest.raises(UsageError, match="1 to 22 rounds, got 23"):
        ReducedSpeck(23)
    with pytest.raises(UsageError, match="not both 0"):
        ReducedSpeck(5, (0, 0))
