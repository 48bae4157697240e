"""What a gradient gives away, held against the records it was computed from."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core import Applied
from hartley.core.errors import UsageError
from hartley.games.inversion.assignment import assign, likeness
from hartley.games.inversion.client_step import Step
from hartley.games.inversion.update_protection import Protection, correctly_labelled
from hartley.kit.nets import conv, dense

NET = dense((1, 8, 8), 10, (128,))


def _step(batch: int, seed: int, net=NET):
    rng = np.random.default_rng(seed)
    x = rng.random((batch, *net.inputs), dtype=np.float32)
    y = rng.integers(0, net.classes, batch)
    weights = net.initial(rng)
    return x, y, weights, Step(net).update(weights, x, y, rng)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_first_dense_layer_gives_its_batch_away_exactly(batch: int) -> None:
    for seed in range(3):
        x, _, _, sent = _step(batch, seed)
        read = gradient_leaks.inputs(sent, NET, batch, np.random.default_rng(0))
        gaps = np.abs(read[:, None] - x.reshape(batch, -1)[None]).max(2)
        assert gaps.min(0).max() < 1e-4  # every record is among what was read


def test_one_record_is_exact_to_float_precision_on_digits() -> None:
    from hartley.data.vision import digits

    data = digits()
    for at in range(5):
        rng = np.random.default_rng(at)
        sent = Step(NET).update(NET.initial(rng), data.x[[at]], data.y[[at]], rng)
        read = gradient_leaks.inputs(sent, NET, 1, np.random.default_rng(0))
        assert np.abs(read[0] - data.x[at].reshape(-1)).max() < 1e-5


def test_the_label_of_one_record_is_certain_and_those_of_a_batch_are_counted() -> None:
    for seed in range(5):
        _, y, _, sent = _step(1, seed)
        assert gradient_leaks.labels(sent, NET, 1, np.full(10, 0.1)).tolist() == y.tolist()
        _, y, _, sent = _step(4, seed)
        assert gradient_leaks.labels(sent, NET, 4, np.full(10, 0.1)).tolist() == np.sort(y).tolist()


def test_who_knows_that_entries_are_left_out_reads_the_rest_better() -> None:
    x, _, _, sent = _step(1, 0)
    thin = Protection(keep=0.2).apply(sent, np.random.default_rng(0))
    flat = x.reshape(-1)
    plain, knowing = (
        np.abs(
            gradient_leaks.inputs(thin, NET, 1, np.random.default_rng(0), sparse=s)[0] - flat
        ).mean()
        for s in (False, True)
    )
    assert knowing < 0.7 * plain
    assert gradient_leaks.knows((Applied("gradient_compression"),), "gradient_compression")
    assert not gradient_leaks.knows((), "gradient_compression")


def test_the_records_behind_features_have_those_features() -> None:
    import torch

    net = conv((1, 8, 8), 4, channels=(16, 32), hidden=(16,))
    x, _, weights, _ = _step(2, 3, net)
    read = gradient_leaks.features(net, weights, torch.from_numpy(x)).numpy()
    start = np.full_like(x, 0.5)
    found = gradient_leaks.records_of(net, weights, read, start, limits=(0.0, 1.0), steps=200)
    # So small a net's features do not settle a picture of pure noise, but narrow it down.
    seen = gradient_leaks.features(net, weights, torch.from_numpy(found)).numpy()
    assert np.abs(seen - read).mean() < 0.02 * np.abs(read).mean()
    assert np.abs(found - x).mean() < 0.8 * np.abs(start - x).mean()
    assert found.min() >= 0
    assert found.max() <= 1


def test_of_many_records_with_the_same_features_a_smooth_one_is_found() -> None:
    import torch

    net = conv((1, 24, 24), 4, channels=(16, 16, 24), hidden=(16,))
    assert net.features < 24 * 24 / 2
    weights = net.initial(np.random.default_rng(0))
    down, across = np.mgrid[:24, :24] / 24
    true = (0.5 + 0.4 * np.sin(5 * down) * np.cos(4 * across))[None, None].astype(np.float32)
    read = gradient_leaks.features(net, weights, torch.from_numpy(true)).numpy()
    start = np.full_like(true, 0.5)
    found = gradient_leaks.records_of(net, weights, read, start, limits=(0.0, 1.0), steps=20)
    seen = gradient_leaks.features(net, weights, torch.from_numpy(found)).numpy()
    assert np.abs(seen - read).mean() < 0.02 * np.abs(read).mean()
    assert np.abs(found - true).mean() < 0.4 * np.abs(start - true).mean()


def test_a_match_is_zero_at_the_truth_and_nowhere_near() -> None:
    import torch

    x, y, weights, sent = _step(2, 1)

    def squares(a, b):
        return sum(((p - q) ** 2).sum() for p, q in zip(a, b, strict=True))

    gap = gradient_matching.GradientObjective(NET, weights, sent, squares, batch=2)
    there = float(gap(torch.from_numpy(x), torch.from_numpy(y)).detach())
    away = float(gap(torch.from_numpy(1 - x), torch.from_numpy(y)).detach())
    assert there < 1e-9 < 1e-3 < away


def test_protection_does_what_it_says() -> None:
    _, _, _, sent = _step(1, 0)
    rng = np.random.default_rng(0)

    def norm(u) -> float:
        return float(np.sqrt(sum((a**2).sum() for a in u.values())))

    assert norm(Protection(clip=0.1).apply(sent, rng)) == pytest.approx(0.1, rel=1e-4)
    loose = Protection(clip=1e6).apply(sent, rng)
    assert norm(loose) == pytest.approx(norm(sent), rel=1e-5)
    noisy = Protection(clip=0.1, noise=2.0).apply(sent, rng)
    blur = np.concatenate([a.reshape(-1) for a in noisy.values()])
    assert blur.std() == pytest.approx(0.2, rel=0.05)
    thin = Protection(keep=0.1).apply(sent, rng)["1.weight"]
    kept = np.flatnonzero(thin)
    assert len(kept) == round(0.1 * thin.size)
    assert (
        np.abs(thin.reshape(-1)[kept]).min() >= np.sort(np.abs(sent["1.weight"]), None)[-len(kept)]
    )
    assert Protection(clip=1.0, noise=2.0).rho == pytest.approx(0.5)
    assert Protection(noise=2.0).rho is None
    for wrong in ({"keep": 0.0}, {"noise": -1.0}, {"clip": -1.0}):
        with pytest.raises(UsageError, match="must be at least 0"):
            Protection(**wrong)


def test_training_on_protected_updates_costs_accuracy(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    middle = rng.random((3, 6))
    y = rng.integers(0, 3, 300)
    x = (middle[y] + 0.05 * rng.standard_normal((300, 6))).astype(np.float32)
    net = dense((6,), 3, (8,))
    plain, drowned = (
        correctly_labelled(Step(net), (x[:200], y[:200]), (x[200:], y[200:]), p).mean()
        for p in (Protection(), Protection(clip=0.01, noise=1000.0))
    )
    assert plain > 0.9 > drowned


def test_rebuilt_records_find_their_places_without_the_truth() -> None:
    rng = np.random.default_rng(0)
    candidates = rng.random((4, 8, 5))
    truth = rng.integers(0, 8, 4)
    rebuilt = candidates[np.arange(4), truth][[2, 0, 3, 1]] + 1e-3
    assert assign(rebuilt, candidates).tolist() == truth.tolist()
    partly = assign(rebuilt[:2], candidates)  # those of places 2 and 0
    assert partly[[2, 0]].tolist() == truth[[2, 0]].tolist()
    assert partly[[1, 3]].tolist() == [-1, -1]


def test_a_bad_record_is_no_better_than_it_is_and_a_missing_one_is_grey() -> None:
    true = np.random.default_rng(0).random((2, 1, 4, 4))
    wrong = likeness(np.stack([true[0], 1 - true[1]]), true)["psnr"]
    missing = likeness(true[:1], true)["psnr"]
    assert wrong < missing < likeness(true[::-1], true)["psnr"]


def test_noise_finds_places_at_chance() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        candidates = rng.random((4, 8, 5))
        hits += int((assign(rng.random((4, 5)), candidates) == rng.integers(0, 8, 4)).sum())
    assert 70 < hits < 130  # 800 uses at 1/8: a matcher that peeked would be far above
