from dataclasses import fields, replace

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RunError
from hartley.engine.run.play import deal, play
from hartley.games.watermark.watermark import watermark
from hartley.kit.vision import image, marks


def act(make, name="act"):
    """An attack that publishes ``make(marked picture, rng)``."""

    def run(view, rng):
        """Publish."""
        return Outcome(asset=Data("made", Modality.VISION, make(view.data.x[0], rng)[None]))

    run.__name__ = name
    return attack(
        game=watermark, access=Access.NOTHING, term=Term.NOISE, modalities=(Modality.VISION,),
        paper="hartley",
    )(run)  # fmt: skip


@pytest.fixture(scope="module")
def live():
    return watermark.live(Modality.VISION, np.random.default_rng(0))


def test_doing_nothing_destroys_nothing(live):
    trials = play(act(lambda x, _: x), live, seed=0)
    assert np.array_equal(trials.guess, trials.truth)
    assert np.array_equal(trials.reference, trials.truth)
    assert measure(trials).bits.value == 0
    assert trials.metrics["psnr"] == 100


def test_a_little_noise_destroys_the_fragile_mark_whole(live):
    dust = act(lambda x, rng: x + rng.integers(-1, 2, x.shape) / 255)
    channel = measure(play(dust, live, seed=0))
    assert channel.bits.value > 0.9
    assert channel.bits.lower > 0.3


def test_removal_below_the_quality_floor_is_no_removal(live):
    black = act(lambda x, _: np.zeros_like(x))
    trials = play(black, live, seed=0)
    assert trials.metrics["violated"] == 1
    assert np.array_equal(trials.guess, trials.reference)
    # The same pictures pass when there is no floor: it is the floor that saves the mark.
    free = play(black, live, seed=0, game_params={"floor": 0.0})
    assert free.metrics["violated"] == 0
    assert measure(free).bits.value > 0.9


def test_the_attacker_sees_neither_message_nor_key_nor_original(live):
    table = deal(act(lambda x, _: x), live, seed=0)
    photos = {one.tobytes() for one in image.eight_bits(live.extra["carriers"].x)}
    for one in table.rounds:
        known = {field.name for field in fields(one.view.brief)}
        assert known == {"public", "quality_floor", "bits"}
        assert one.view.data.x[0].tobytes() not in photos
        own = {row.tobytes() for row in one.view.brief.public.x}
        assert one.view.data.x[0].tobytes() not in own
    # The attacker's photographs carry no mark in any round.
    public = table.rounds[0].view.brief.public.x
    assert len(public) == len(live.extra["carriers"].x) // 6


def test_messages_are_fair_and_fresh(live):
    truth = np.stack([one.truth for one in deal(act(lambda x, _: x), live, seed=0).rounds])
    assert truth.shape == (40, 32)
    assert len({row.tobytes() for row in truth}) == 40
    assert abs(truth.mean() - 0.5) < 5 * 0.5 / np.sqrt(truth.size)


def test_parameters_reach_the_deal(live):
    table = deal(act(lambda x, _: x), live, seed=0, params={"rounds": 5, "bits": 8, "floor": 30.0})
    assert len(table.rounds) == 5
    assert len(table.rounds[0].truth) == 8
    assert table.rounds[0].view.brief.quality_floor == 30


def test_a_scene_without_a_marker_gets_the_widespread_one():
    wire = watermark.live(Modality.VISION, np.random.default_rng(0))
    plain = play(act(lambda x, _: x), replace(wire, parts=()), seed=0)
    known = play(act(lambda x, _: x), replace(wire, parts=(marks.dwt_dct(),)), seed=0)
    assert plain.metrics == known.metrics
    assert np.array_equal(plain.reference, known.reference)


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda x, _: x[:, 1:], "shape"), (lambda x, _: x * np.nan, "NaN")],
    ids=["shape", "nan"],
)
def test_loot_that_is_no_picture_is_an_error_not_a_low_number(live, make, words):
    with pytest.raises(RunError, match=words):
        play(act(make), live, seed=0)


def test_one_carrier_is_enough():
    photo = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    data = Data("one", Modality.VISION, photo)
    scene = Scene("one", Modality.VISION, extra={"carriers": data})
    trials = play(act(lambda x, _: x), scene, seed=0)
    assert len(trials) == 40 * 32
