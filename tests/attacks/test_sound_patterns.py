"""What marked recordings have in common, against marks that are known."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark._shared import sound_patterns
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Applied
from hartley.kit.sound import tiles

SAMPLES, N = 12_000, 16


def sounds(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise whose loudness moves, (N, SAMPLES)."""
    smooth = np.apply_along_axis(
        np.convolve, 1, rng.standard_normal((N, SAMPLES)), np.hanning(9) / 3, "same"
    )
    loud = 1 + 0.5 * np.sin(np.linspace(0, 20, SAMPLES) + rng.uniform(0, 6, (N, 1)))
    return 0.1 * smooth * loud


def in_samples(rng, waves):
    return waves + 0.003 * rng.choice([-1.0, 1.0], SAMPLES)


def in_spectra(rng, waves):
    shape = tiles.spectrum(waves[0]).shape
    gain = np.kron(rng.choice([-3.0, 3.0], (shape[0] // 6 + 1, shape[1] // 4 + 1)), np.ones((6, 4)))
    gain = 10 ** (gain[: shape[0], : shape[1]] / 20)
    return np.stack([tiles.wave_of(tiles.spectrum(w) * gain, SAMPLES) for w in waves])


def in_cepstra(rng, waves):
    echoes = 0.3 * rng.choice([-1.0, 1.0], 400) / 20
    kernel = np.concatenate([[1.0], np.zeros(29), echoes])
    return np.stack([np.convolve(w, kernel)[:SAMPLES] for w in waves])


@pytest.mark.parametrize(
    ("mark", "domain", "factor"),
    # Fine detail is three times (1 - cos) of each frequency: on white noise a sixth fits best.
    [
        (in_samples, "samples", -0.17),
        (in_spectra, "spectra", -0.5),
        (in_cepstra, "cepstra", -0.7),
    ],
)
def test_the_domain_of_the_mark_is_recognised_and_taken_out(mark, domain, factor) -> None:
    rng = np.random.default_rng(0)
    marked, unmarked = mark(rng, sounds(rng)), sounds(rng)
    pattern = sound_patterns.common(list(marked[1:]), list(unmarked), "likeliest", marked[0])
    assert pattern.domain == domain and pattern.agreement > 0.05
    # After it is taken out, less is in common.
    cleaned = np.stack([pattern.added(wave, factor) for wave in marked])
    rest = sound_patterns.common(list(cleaned), list(unmarked), domain, marked[0])
    assert np.sum(rest.values**2) < 0.6 * np.sum(pattern.values**2)


def test_behind_several_keys_the_recordings_most_like_one_are_of_its_key() -> None:
    rng = np.random.default_rng(2)
    marks = [in_spectra(rng, sounds(rng)) for _ in range(4)]
    own, others = marks[0], [wave for mark in marks for wave in mark[1:]]
    unmarked = list(sounds(rng))
    # What all four share is a quarter of each mark; what the nearest share is this one.
    blind = sound_patterns.common(others, unmarked, "spectra", own[0])
    aware = sound_patterns.common(others, unmarked, "spectra", own[0], 4)
    truth = sound_patterns.common(list(own[1:]), unmarked, "spectra", own[0])

    def match(pattern):
        return np.corrcoef(pattern.values.ravel(), truth.values.ravel())[0, 1]

    assert match(aware) > 0.8 > 0.7 > match(blind)
    known = [Applied("voting", {"votes": 3}), Applied("multi_key", {"keys": 4})]
    assert sound_patterns.keys_of(known) == 4 and sound_patterns.keys_of(known[:1]) == 1


def test_recordings_without_a_mark_have_nothing_in_common() -> None:
    rng = np.random.default_rng(1)
    first, second = sounds(rng), sounds(rng)
    # The same recording many times over is one recording.
    pattern = sound_patterns.common([*first, *first], list(second), "likeliest", first[0])
    assert pattern.agreement < 0.03
    assert sound_patterns.common(list(first[:1]) * 3, list(second), "likeliest", first[0]) is None


def test_the_strongest_change_above_the_floor() -> None:
    wave = np.zeros(4)
    change = lambda strength: wave + strength  # noqa: E731
    best = strongest(change, lambda candidate: candidate[0] <= 0.7, wave, 8)
    assert 0.69 < best[0] <= 0.7
    assert strongest(change, lambda candidate: True, wave, 8)[0] == 1
    assert strongest(change, lambda candidate: candidate[0] <= 0, wave, 8) is wave
