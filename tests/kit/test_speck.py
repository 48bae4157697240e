"""Speck32/64 against its published test vector, and against what one round is."""

import numpy as np

from hartley.kit.speck import encrypted, round_keys

KEY = np.array([0x1918, 0x1110, 0x0908, 0x0100])
PLAIN = np.array([0x6574, 0x694C])


def test_the_published_vector():
    assert encrypted(PLAIN, KEY).tolist() == [0xA868, 0x42F2]


def test_many_blocks_under_many_keys_are_those_of_one_by_one():
    rng = np.random.default_rng(0)
    blocks, keys = rng.integers(0, 1 << 16, (6, 3, 2)), rng.integers(0, 1 << 16, (6, 4))
    blocks[2, 1], keys[2] = PLAIN, KEY
    many = encrypted(blocks, keys[:, None])
    assert many[2, 1].tolist() == [0xA868, 0x42F2]
    for k, key in enumerate(keys):
        assert (encrypted(blocks[k], key) == many[k]).all()
        assert encrypted(blocks[k, 0], key).tolist() == many[k, 0].tolist()


def test_fewer_rounds_are_the_first_of_all():
    after = encrypted(PLAIN, KEY, 21)
    last = int(round_keys(KEY)[21])
    left, right = (int(word) for word in after)
    turned = (left >> 7 | left << 9) & 0xFFFF
    left = ((turned + right) & 0xFFFF) ^ last
    right = ((right << 2 | right >> 14) & 0xFFFF) ^ left
    assert [left, right] == [0xA868, 0x42F2]
