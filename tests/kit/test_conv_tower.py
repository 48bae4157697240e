"""A tower of convolutions: slopes by differences, and what it learns against an attacker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.kit.vision.conv_tower import (
    HEAD,
    Shape,
    all_features,
    as_tensors,
    embedded,
    features,
    initial,
    pulled_back,
)
from hartley.kit.vision.tower_lessons import Lesson, Material, learnt

SMALL = Shape(3, 16, ((4, 6, 4), (6, 3, 1), (8, 3, 2)), 5, 0.6, 0.3)
CLASSES, SIDE, REACH = 8, 8, 0.02


def test_slopes_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    state = initial(SMALL, 1)
    x, way = rng.random((4, 3, 16, 16)), rng.standard_normal((4, 3, 16, 16))
    assert SMALL.features == 8 * 2 * 2 == all_features(state, SMALL, x).shape[1]
    towards, step = rng.standard_normal((4, SMALL.features)), 1e-3
    slope = pulled_back(state, SMALL, x, towards)
    ends = [
        (all_features(state, SMALL, x + s * step * way).astype(float) * towards).sum(1)
        for s in (1, -1)
    ]
    moved = (ends[0] - ends[1]) / (2 * step)
    assert (slope * way).reshape(4, -1).sum(1) == pytest.approx(moved, rel=0.02, abs=0.02)


def test_a_picture_has_the_same_features_alone_and_among_others() -> None:
    x = np.random.default_rng(0).random((70, 3, 16, 16))
    state = initial(SMALL, 1)
    every = all_features(state, SMALL, x)
    assert np.allclose(all_features(state, SMALL, x[66:67]), every[66:67], atol=1e-5)
    assert all_features(state, SMALL, x[:0]).shape == (0, SMALL.features)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of eight classes that a block shows plainly and half of the pixels show faintly.

    Returns:
        Pictures, their classes, the faint patterns (8, 32) and one embedding for each class.
    """
    rng = np.random.default_rng(4)
    faint = np.linalg.qr(rng.standard_normal((32, 32)))[0][:CLASSES]
    faint = np.sign(faint) * 0.75 * REACH
    of = np.tile(np.arange(CLASSES), 32)
    x = np.full((len(of), SIDE * SIDE), 0.5) + 0.001 * rng.standard_normal((len(of), SIDE * SIDE))
    x[:, :32] += faint[of]
    x[np.arange(len(of)), 32 + of] += 0.15
    captions = np.linalg.qr(rng.standard_normal((CLASSES, CLASSES)))[0]
    return x.reshape(-1, 1, SIDE, SIDE).astype(np.float32), of, faint, captions


PIXELS = Shape(1, SIDE, (), CLASSES)


def attacked(state, x, of, captions) -> float:
    """Return the share of pictures that 20 steps up the margin of a wrong class do not move."""
    import torch

    tensors, aims = as_tensors(state), torch.from_numpy(captions.astype(np.float32))
    clean = torch.from_numpy(x)
    change, right = torch.zeros_like(clean), torch.from_numpy(of)
    rows = torch.arange(len(of))
    for _ in range(20):
        now = (clean + change).requires_grad_()
        alike = embedded(tensors, features(tensors, PIXELS, now)) @ aims.T
        wrong = alike.clone()
        wrong[rows, right] = -2
        far = wrong.amax(1) - alike[rows, right]
        (slope,) = torch.autograd.grad(far.sum(), now)
        change = (change + 0.2 * REACH * slope.sign()).clamp(-REACH, REACH)
    alike = embedded(tensors, features(tensors, PIXELS, clean + change)) @ aims.T
    return float((alike.argmax(1) == right).float().mean())


@pytest.mark.parametrize("loss", ["captions", "own"])
def test_tuned_on_attacked_pictures_it_reads_what_an_attacker_cannot_change(drawn, loss) -> None:
    """The block withstands the attacker, the faint half does not, and tuning learns which does."""
    x, of, faint, captions = drawn
    # Before, both halves are read, the faint one far more strongly.
    head = np.zeros((SIDE * SIDE, CLASSES), np.float32)
    head[:32] = faint.T @ captions / (0.75 * REACH) ** 2 / 32 * 3
    head[32 : 32 + CLASSES] = captions / 0.15 * 0.3
    before = {HEAD: head / 40}  # of embeddings of length 1 the scale says nothing but how fast
    material = Material(x, captions[of], of, None, 10.0)
    lesson = Lesson(loss, 40, 3e-2, REACH, steps=3, batch=64, decay=0.0, dropout=0.0, shift=0)
    after = learnt(PIXELS, before, material, lesson, 0)
    assert attacked(before, x, of, captions) < 0.2
    assert attacked(after, x, of, captions) > 0.9
    still = learnt(PIXELS, before, material, replace(lesson, epsilon=0.0), 0)
    assert attacked(still, x, of, captions) < 0.5, "it is the attacker in the training that helps"


def test_what_cannot_be_learnt_from_is_named(drawn) -> None:
    x, of, _, captions = drawn
    material = Material(x, captions[of], of, None, 10.0)
    state = initial(PIXELS, 0)
    with pytest.raises(UsageError, match="must have aims, got none"):
        learnt(PIXELS, state, material, Lesson("learn", 1, 1e-3), 0)
    few = replace(material, pictures=x[:9], captions=captions[of[:9]], numbers=of[:9])
    with pytest.raises(UsageError, match="64 pictures or more, got 9"):
        learnt(PIXELS, state, few, Lesson("captions", 1, 1e-3), 0)
