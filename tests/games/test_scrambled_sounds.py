"""Scrambled sounds: what scrambling does, and what the statistics of public sounds undo."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption.band_assignment import band_assignment
from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.rekeying import rekeying
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.decryption import sound_scramblers as scramblers
from hartley.games.decryption.decryption import decryption
from hartley.games.decryption.voices import matched, of_hisses


@pytest.fixture(scope="module")
def scene():
    return Scene("noise", Modality.AUDIO, parts=(of_hisses(), scramblers.band_scramble()))


def figures(played, where, rounds=6, **more):
    return measure(play(played, where, seed=0, game_params={"rounds": rounds}, **more), redraws=1)


def test_the_transform_loses_nothing_and_is_orthogonal():
    sounds = np.random.default_rng(0).standard_normal((3, 256 * 6)).astype(np.float32)
    frames = scramblers.spectra(sounds)
    assert frames.shape == (3, 7, 256)
    assert np.allclose(scramblers.waves(frames), sounds, atol=1e-6)
    assert (frames**2).sum() == pytest.approx((sounds.astype(float) ** 2).sum(), rel=1e-9)
    with pytest.raises(UsageError, match="a multiple of 256, got 1000"):
        scramblers.spectra(np.zeros((1, 1000)))


def test_a_tone_moves_to_another_band_and_back():
    time = np.arange(256 * 20) / 16_000
    tone = np.sin(2 * np.pi * 1230 * time)[None]
    order, inverted = np.roll(np.arange(16), 5), np.arange(16) % 2 == 1
    frames = scramblers.moved(scramblers.spectra(tone), order, inverted)
    loudest = np.abs(np.fft.rfft(scramblers.waves(frames)[0])).argmax() * 16_000 / tone.size
    # Band 2 of 500 Hz becomes band 7, upside down: 1230 Hz is 230 above 1000, or below 4000.
    assert loudest == pytest.approx(4000 - 230, abs=40)
    back = scramblers.waves(scramblers.unmoved(frames, order, inverted))
    assert np.allclose(back, tone, atol=1e-5)


def test_scrambled_sounds_as_they_are_read_nothing(scene):
    def act(view, rng):
        """Answer with what is published."""
        sounds = Data("sounds", Modality.AUDIO, np.array(view.data.x))
        return Outcome(guess=np.full(len(view.brief.question), -1), asset=sounds)

    made = attack(
        game=decryption, access=Access.NOTHING, term=Term.SIGNAL, modalities=(Modality.AUDIO,),
        paper="hartley",
    )(act)  # fmt: skip
    assert figures(made, scene, 20).bits.lower == 0


def test_usual_levels_put_bands_back_under_one_key_and_under_a_key_of_each_sound(scene):
    bare = figures(band_assignment, scene)
    assert bare.metrics["accuracy"]["value"] == 1
    assert bare.metrics["solved"]["value"] > 0.3
    behind = defended(scene, rekeying, {"every": 1})
    # One sound says less of its key than twenty; who adds up sounds under other keys has nothing.
    assert figures(band_assignment, behind, undefended=scene).bits.lower == 0
    assert figures(band_assignment, behind).bits.lower > 0


def test_the_matcher_takes_no_loudness_and_nothing_common_for_likeness():
    rng = np.random.default_rng(3)
    candidates = rng.standard_normal((4, 8, 256 * 16)) * rng.random((4, 8, 1))
    truth = np.array([5, 0, 7, 2])
    chosen = candidates[np.arange(4), truth]
    assert matched(3 * chosen, candidates).tolist() == truth.tolist()
    same = np.repeat(candidates[:, :1], 8, axis=1)
    assert matched(chosen, same).tolist() == [0, 0, 0, 0]
