"""Perth against the figures of its own package, resemble-perth 1.0.1, on the same sounds."""

import numpy as np
import pytest

from hartley.core.errors import UsageError

PEER = {
    # seed: score unmarked at 32 kHz, unmarked at 16 kHz, sum of |marked - original| at 32 kHz
    1: (0.0010690577328205109, 0.00042789243161678314, 189.8165283203125),
    2: (0.00030131731182336807, 0.0019599637016654015, 189.531494140625),
    3: (0.0010796105489134789, 0.008132904767990112, 189.7127685546875),
}


def voice(seed: int, seconds: float, rate: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    pitch = 120 * (1 + 0.2 * np.sin(2 * np.pi * 1.5 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)
    return (0.1 * (tone * loud + 0.05 * rng.standard_normal(len(t)))).astype(np.float32)


@pytest.fixture(scope="module")
def network(need_pack):
    need_pack("perth")
    from hartley.models.perth import perth

    return perth()


@pytest.mark.parametrize("seed", PEER)
def test_as_the_package_computes_it(network, seed) -> None:
    unmarked, at_16, moved = PEER[seed]
    wave = voice(seed, 1.2, 32_000)
    assert network.score(wave, 32_000) == pytest.approx(unmarked, abs=2e-5)
    assert network.score(voice(seed, 1.2, 16_000), 16_000) == pytest.approx(at_16, abs=2e-5)
    marked = network.embed(wave, 32_000)
    assert network.score(marked, 32_000) == pytest.approx(1.0, abs=1e-5)
    n = (len(wave) // 320) * 320  # the package leaves the last, unfinished hop out
    assert np.abs(marked[:n] - wave[:n]).sum() == pytest.approx(moved, rel=1e-4)


def test_too_short_for_one_window(network) -> None:
    with pytest.raises(UsageError, match="at least 1024 samples at 16000"):
        network.score(np.ones(500, np.float32), 16_000)


def test_it_has_a_gradient(network) -> None:
    import torch

    wave = torch.from_numpy(voice(1, 1.2, 32_000)).requires_grad_()
    (slope,) = torch.autograd.grad(network.read(wave), wave)
    assert torch.isfinite(slope).all() and float(slope.abs().sum()) > 0
