"""Encoders: like records come together, and each encoder depends on itself alone."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.kit.contrastive_encoder import Contrast, embed, train_encoders
from hartley.models.encoder_copy import copy_encoder, copy_towers

SMALL = Contrast(hidden=32, width=8, epochs=12, batch=32)


def _clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(8), 16)
    x = rng.standard_normal((8, 12))[place] + 0.1 * rng.standard_normal((128, 12))
    return x.astype(np.float32), place


def test_records_of_a_group_come_together_whatever_they_look_like() -> None:
    x, place = _clusters()
    groups = place % 4  # clusters 0 and 4 are alike, and look nothing alike
    everyone = np.ones((1, len(x)), dtype=bool)
    stack, _ = train_encoders(SMALL, x, groups, everyone, seed=0)
    e = embed({name: w[0] for name, w in stack.items()}, x)
    alike = e @ e.T
    same = (groups[:, None] == groups) & (place[:, None] != place)
    assert alike[same].mean() > 0.8 > 0.3 > alike[groups[:, None] != groups].mean()
    assert np.allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)


def test_an_encoder_depends_on_its_number_and_records_alone() -> None:
    x, place = _clusters()
    include = np.ones((3, len(x)), dtype=bool)
    include[1, 64:] = False  # half of the records, so half of the steps
    together, _ = train_encoders(SMALL, x, place, include, seed=3)
    for k in range(3):
        alone, _ = train_encoders(SMALL, x, place, include[k : k + 1], seed=3, first=k)
        for name, w in alone.items():
            assert np.allclose(together[name][k], w[0], atol=1e-5), (k, name)
    with pytest.raises(UsageError, match="at least one batch of 32"):
        train_encoders(SMALL, x, place, np.arange(128)[None] < 9, seed=0)


@pytest.mark.parametrize("loss", ["contrast", "distance"])
def test_a_copy_of_an_encoder_embeds_new_records_as_it_does(loss: str) -> None:
    rng = np.random.default_rng(0)
    x, new = rng.standard_normal((2, 400, 6)).astype(np.float32)
    way = rng.standard_normal((6, 4))

    def truth(rows: np.ndarray) -> np.ndarray:
        raw = rows @ way
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    copy = copy_encoder(Data("asked", Modality.VISION, x), truth(x), 0, loss=loss, steps=250)
    cosines = (copy.query(new) * truth(new)).sum(1)
    assert cosines.mean() > 0.97, "of random directions in four dimensions it is 0"


def test_towers_that_are_linear_are_rebuilt_exactly() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 14))
    image, text = rng.standard_normal((8, 3)), rng.standard_normal((6, 3))
    answers = np.concatenate([x[:, :8] @ image, x[:, 8:] @ text], 1)
    copy = copy_towers(Data("asked", Modality.PAIRED, x), answers, 8)
    weights = copy.calls["weights"]()
    assert np.allclose(weights["image"], image, atol=1e-3)
    assert np.allclose(weights["text"], text, atol=1e-3)
