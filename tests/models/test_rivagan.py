"""RivaGAN's frames and bits, with networks that say what they were given."""

import numpy as np

from hartley.models.rivagan import of_sessions


class Encoder:
    """Adds the first bit to the first channel of its frame, which is blue."""

    def run(self, _, given):
        frame = given["frame"].copy()
        assert frame.shape == (1, 3, 1, 8, 8)
        frame[:, 0] += 0.25 * given["data"][0, 0]
        return [frame]


class Decoder:
    """Says 32 times whether its frame's first channel is above grey."""

    def run(self, _, given):
        return [np.full((1, 32), float(given["frame"][0, 0].mean() > 0.1), np.float32)]


def test_blue_is_first_and_a_key_turns_bits():
    marker, grey = of_sessions(Encoder(), Decoder()), np.full((3, 8, 8), 0.5, np.float32)
    ones = np.ones(32, np.int64)
    turned = {key: np.random.default_rng(key).integers(0, 2, 32) for key in range(4)}
    for key, mask in turned.items():
        marked = marker.embed(grey, ones, key, np.random.default_rng(0))
        assert np.abs(marked[:2] - grey[:2]).max() < 0.003
        assert (marked[2].mean() > 0.6) == (mask[0] == 0)
        read = marker.decode(marked, key, 32)
        assert np.array_equal(read, mask ^ int(mask[0] == 0))
