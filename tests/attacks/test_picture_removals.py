"""Removals of pictures' marks on real photographs: what each takes from which mark, and at what."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark._shared import picture_denoiser, picture_vae
from hartley.attacks.data_to_data.watermark._shared.pictures import strongest
from hartley.attacks.data_to_data.watermark.distortion import distortion
from hartley.attacks.data_to_data.watermark.mean_residual import mean_residual
from hartley.attacks.data_to_data.watermark.regeneration import regeneration
from hartley.attacks.data_to_data.watermark.sparse_waves import sparse_waves
from hartley.core import Modality, Scene
from hartley.data.photos import carriers
from hartley.engine.run.play import play
from hartley.kit.marker import Marker
from hartley.kit.vision import image
from hartley.kit.vision.marks import dwt_dct, spread_spectrum
from hartley.kit.vision.synchronised_mark import synchronised

ROUNDS = {"rounds": 4}


def scene(marker, size=128):
    photos = carriers(16, size)
    return Scene("photos", Modality.VISION, extra={"carriers": photos}, parts=(marker,))


def test_webp_at_the_floor_takes_most_of_the_fragile_mark_alone():
    found = {}
    for name, marker in (("fragile", dwt_dct()), ("robust", synchronised())):
        trials = play(
            distortion, scene(marker, 256), seed=0, params={"change": "webp"}, game_params=ROUNDS
        )
        assert trials.metrics["violated"] == 0
        assert trials.metrics["psnr"] >= 34
        found[name] = trials.metrics["ber_after"] - trials.metrics["ber_before"]
    assert found["fragile"] > 0.25
    assert found["robust"] < found["fragile"] / 2


def test_a_few_large_waves_turn_bits_that_noise_of_the_same_size_leaves():
    played, wrong = scene(spread_spectrum(), 256), {}
    for attack in (sparse_waves, distortion):
        trials = play(attack, played, seed=0, game_params=ROUNDS)
        assert trials.metrics["violated"] == 0 and trials.metrics["psnr"] >= 34
        wrong[attack] = trials.metrics["ber_after"]
    assert wrong[sparse_waves] > 0.2
    assert wrong[distortion] == 0


def test_averaging_takes_out_a_pattern_that_pictures_share():
    def embed(picture, bits, key, rng):
        wave = np.random.default_rng(key).choice([-1.0, 1.0], (32, *picture.shape))
        return image.eight_bits(picture + np.tensordot(bits * 2.0 - 1, wave, 1) * 0.5 / 255)

    def soft(picture, key, m):
        wave = np.random.default_rng(key).choice([-1.0, 1.0], (32, *picture.shape))
        return (wave * (picture - picture.mean())).sum((1, 2, 3))

    added = Marker("added", embed, soft)
    played = scene(added)
    trials = play(mean_residual, played, seed=0, game_params=ROUNDS)
    alone = play(distortion, played, seed=0, game_params=ROUNDS)
    # White noise of the same quality does not know the pattern.
    assert trials.metrics["ber_after"] > alone.metrics["ber_after"] + 0.05


def test_a_network_that_saw_other_photographs_takes_noise_out(monkeypatch):
    monkeypatch.setattr(picture_denoiser, "cached", lambda _, __, build, **___: build())
    monkeypatch.setattr(picture_denoiser, "LEAVES", 4)
    photos, rng = carriers(6, 128).x, np.random.default_rng(0)
    denoise = picture_denoiser.denoiser(list(photos[:4]), training=120)
    for photo in (photos[4], photos[5][:, :101, :]):
        noisy = photo + 0.1 * rng.standard_normal(photo.shape).astype(np.float32)
        assert image.psnr(denoise(noisy, 0.1), photo) > image.psnr(noisy, photo) + 1


def test_an_autoencoder_draws_photographs_that_it_did_not_see_better_than_its_noise(monkeypatch):
    monkeypatch.setattr(picture_vae, "cached", lambda _, __, build, **___: build())
    monkeypatch.setattr(picture_vae, "LEAVES", 4)
    photos, rng = carriers(6, 128).x, np.random.default_rng(0)
    off = {}
    for training in (0, 80):
        noise = picture_vae.latent_noise(photos[0].shape, rng)
        redraw = picture_vae.redrawer(list(photos[:4]), training, noise)
        for photo in (photos[4], photos[5][:, :101, :]):
            # Before it learns it is orthonormal: its noise is that of the pixels, at any level.
            for strength in (0.0, 1.0):
                redrawn = redraw(photo, strength)
                off.setdefault((training, strength), []).append(np.std(redrawn - photo))
    assert off[0, 0.0] == pytest.approx([picture_vae.LEAST] * 2, rel=0.05)
    assert off[0, 1.0] == pytest.approx([picture_vae.LOUDEST] * 2, rel=0.05)
    assert max(off[80, 1.0]) < 0.75 * picture_vae.LOUDEST


@pytest.mark.parametrize("by", ["network", "vae"])
def test_regeneration_by_what_learned_stays_above_the_floor(monkeypatch, by):
    for part in (picture_denoiser, picture_vae):
        monkeypatch.setattr(part, "cached", lambda _, __, build, **___: build())
        monkeypatch.setattr(part, "LEAVES", 2)
    params = {"by": by, "training": 3, "steps": 6}
    trials = play(regeneration, scene(dwt_dct()), seed=0, params=params, game_params={"rounds": 2})
    assert trials.metrics["violated"] == 0
    # As much noise as the floor of 34 dB allows, and no less.
    assert 34 <= trials.metrics["psnr"] < 35


def test_the_strongest_change_is_at_the_floor():
    grey = np.full((3, 8, 8), 0.5, np.float32)
    found = strongest(lambda s: grey + s, lambda x: float(np.abs(x - grey).max()) <= 0.2, grey, 12)
    assert found.max() - 0.5 == pytest.approx(0.2, abs=1 / 255)
    assert strongest(lambda _: grey + 1, lambda _: False, grey, 3) is grey
