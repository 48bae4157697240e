from dataclasses import fields, replace

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import AccessDenied, BudgetSpent, RunError, UsageError
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.defenses.noise.score_noise import score_noise
from hartley.engine.defend import defended
from hartley.engine.result.document import flags
from hartley.engine.run.play import deal, play
from hartley.games.watermark.watermark import watermark
from hartley.kit.marker import KeyUse, Marker, multi_keyed
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
        assert known == {
            "public", "bits", "floor", "quality", "others", "detector", "model", "pages", "scheme",
            "scheme_bits",
        }  # fmt: skip
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
    assert table.rounds[0].view.brief.floor["psnr"] == 30


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


def asking(access, make, name="asking"):
    """An attack that publishes ``make(view)``, and may ask."""

    def run(view, rng):
        """Publish."""
        return Outcome(asset=Data("made", view.data.modality, make(view)))

    run.__name__ = name
    return attack(
        game=watermark, access=access, term=Term.NOISE,
        modalities=watermark.modalities, paper="hartley",
    )(run)  # fmt: skip


MODALITIES = watermark.modalities


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("bits", [-1, 0])
def test_messages_and_presence_are_read_in_every_modality(modality, bits):
    scene = watermark.live(modality, np.random.default_rng(0))
    size = {"rounds": 24, "bits": bits}
    trials = play(asking(Access.NOTHING, lambda v: v.data.x), scene, seed=0, game_params=size)
    assert np.array_equal(trials.reference, trials.truth)
    assert np.array_equal(trials.guess, trials.truth)
    assert len(trials) == 24 * (32 if bits else 1)
    assert trials.metrics["detected_before"] == 1
    if not bits:
        assert trials.metrics["false_alarm_before"] == 0
        assert not trials.spec.clustered


def test_a_mark_that_does_not_work_is_said_to_make_the_row_mean_nothing():
    dead = watermark.dead(Modality.AUDIO, np.random.default_rng(0))
    channel = measure(play(asking(Access.NOTHING, lambda v: v.data.x), dead, seed=0))
    assert any("SILENT CHANNEL" in flag for flag in flags(channel))


def test_further_items_bear_the_message_under_the_same_key(live):
    table = deal(act(lambda x, _: x), live, seed=0, params={"rounds": 3, "others": 5})
    assert live.find(Marker).bits == 32
    for one in table.rounds:
        others = one.view.brief.others
        assert len(others) == 5
        assert not any(np.array_equal(other, one.view.data.x[0]) for other in others.x)
        # The detector of this round's owner knows them; that of another owner does not.
        labels = [r.view.brief.detector.query(others.x).argmax(1) for r in table.rounds]
        for k, round_ in enumerate(table.rounds):
            assert labels[k].tolist() == [int(round_ is one)] * 5


def test_what_is_asked_of_the_detector_is_counted_and_limited(live):
    curious = asking(Access.LABELS, lambda v: v.data.x[v.brief.detector.query(v.data.x) >= 0])
    size = {"rounds": 4}
    trials = play(curious, live, seed=0, game_params=size)
    assert trials.spec.uses == 4
    with pytest.raises(BudgetSpent):
        play(curious, live, seed=0, game_params=size, budget=3)
    blind = asking(Access.NOTHING, lambda v: v.brief.detector.query(v.data.x) * 0)
    with pytest.raises(AccessDenied):
        play(blind, live, seed=0, game_params=size)


def test_noise_and_limits_of_answers_apply_to_the_detector(live):
    answers = {}
    for name, defense, params in (
        ("plain", None, {}),
        ("noise", score_noise, {"scale": 10.0, "keep_label": False}),
        ("budget", query_budget, {"queries": 0}),
    ):
        scene = live if defense is None else defended(live, defense, params)
        rows = []

        def look(view, rows=rows):
            rows.append(view.brief.detector.query(view.data.x)[0])
            return view.data.x

        play(asking(Access.SCORES, look), scene, seed=0, game_params={"rounds": 12})
        answers[name] = np.array(rows)
    assert (answers["plain"].argmax(1) == 1).all()
    assert (answers["plain"] != answers["noise"]).all()
    assert (answers["budget"] == 0).all()


@pytest.mark.parametrize("bits", [-1, 0])
def test_rounds_under_one_key_are_one_cluster(live, bits):
    shared = live.with_part(KeyUse(owners=3))
    trials = play(act(lambda x, _: x), shared, seed=0, game_params={"rounds": 8, "bits": bits})
    assert trials.spec.clustered
    each = 32 if bits else 1
    assert np.bincount(trials.cluster).tolist() == [3 * each, 3 * each, 2 * each]
    # Intervals of metrics are over owners too.
    assert len(trials.metrics_by_round["violated"]) == 3
    assert measure(trials, redraws=1).bits.value == 0


def test_fewer_owners_than_rounds_share_their_further_items(live):
    shared = live.with_part(KeyUse(owners=2))
    table = deal(act(lambda x, _: x), shared, seed=0, params={"rounds": 6, "others": 3})
    sets = [one.view.brief.others.x.tobytes() for one in table.rounds]
    assert len(set(sets)) == 2


def test_rounds_on_one_carrier_are_one_cluster(live):
    """Twenty carriers are left for the owner: 44 rounds are on twenty, three on four of them."""
    untouched, few = act(lambda x, _: x), live.with_part(KeyUse(by_item=True))
    assert not deal(untouched, few, seed=0, params={"rounds": 20}).groups
    groups = deal(untouched, few, seed=0, params={"rounds": 44}).groups
    assert sorted(np.bincount(groups)) == [2] * 16 + [3] * 4
    trials = play(untouched, few, seed=0, game_params={"rounds": 44, "bits": 0})
    assert trials.spec.clustered
    assert trials.cluster.max() + 1 == 20


def test_further_items_are_made_from_none_of_those_that_their_owner_publishes(live):
    """Two owners, six rounds: three items of each are in question, and none is among the others."""
    carriers = live.extra["carriers"].x
    plain = replace(
        live.find(Marker), embed=lambda item, message, key, rng: item, plain=lambda item, rng: item
    )
    shared = live.with_part(KeyUse(owners=2)).with_part(plain)
    table = deal(act(lambda x, _: x), shared, seed=0, params={"rounds": 6, "others": 200})
    assert len(carriers) == 24
    for owner in (0, 1):
        published = {one.view.data.x[0].tobytes() for one in table.rounds[owner::2]}
        others = {one.tobytes() for one in table.rounds[owner].view.brief.others.x}
        assert len(published) == 3
        # Twenty are the owners', without the attacker's four; 200 draws see nearly all of the rest.
        assert len(others) > 14
        assert not published & others


def test_undecided_items_are_counted_and_the_others_are_the_share_that_is_detected(live):
    """Eight bits are too few to say at one false alarm in 1,000 whether an item is marked."""
    untouched = act(lambda x, _: x)
    few = play(untouched, live, seed=0, game_params={"rounds": 4, "bits": 8}).metrics
    assert few["undecided_before"] == few["undecided_after"] == 1
    assert not any(name.startswith(("detected", "evidence")) for name in few)
    assert few["ber_before"] == 0
    enough = play(untouched, live, seed=0, game_params={"rounds": 4, "bits": 16}).metrics
    assert enough["undecided_before"] == enough["undecided_after"] == 0
    assert enough["detected_before"] == 1
    assert enough["evidence_before"] == 16


def test_the_chance_that_a_random_item_is_accepted_is_in_the_row(live):
    untouched = act(lambda x, _: x)
    few = {"rounds": 2}
    assert "accepted_by_chance" not in play(untouched, live, seed=0, game_params=few).metrics
    mark = live.find(Marker)
    checked = replace(mark, accept=mark.decode, chance=lambda m: 2.0**-m, key_shows=True)
    scenes = {1: checked, 4: multi_keyed(checked, 4)}
    for keys, marker in scenes.items():
        trials = play(untouched, live.with_part(marker), seed=0, game_params=few)
        assert trials.metrics["accepted_by_chance"] == keys * 2.0**-32


def test_each_carrier_must_hold_the_mark(live):
    small = np.empty(2, dtype=object)
    small[:] = [live.extra["carriers"].x[0], live.extra["carriers"].x[1, :, :4, :4]]
    mixed = replace(live, extra={"carriers": Data("mixed", Modality.VISION, small)})
    marker = replace(live.find(Marker), fits=lambda item, m: item.shape[-1] >= 16)
    mixed = mixed.with_part(marker)
    for bits, words in ((-1, "bits must be at most what .* number 2 of 2"), (0, "large enough")):
        with pytest.raises(UsageError, match=words.replace("number", r"\(number")):
            deal(act(lambda x, _: x), mixed, seed=0, params={"bits": bits})


def test_bits_that_are_turned_over_are_flipped_and_those_that_are_lost_are_not(live):
    """The pooled channel of half flipped items and half whole ones says that all is destroyed."""
    marker = live.find(Marker)

    def soft(item, key, m):
        read = marker.read(item, key, m)
        return -read if key % 2 else read

    some = live.with_part(replace(marker, soft=soft))
    untouched = act(lambda x, _: x)
    shares = play(untouched, some, seed=0, game_params={"rounds": 24}).metrics_by_round
    assert 4 < np.sum(shares["flipped"]) < 20
    assert np.array_equal(np.equal(shares["flipped"], 1), np.equal(shares["ber_after"], 1))
    destroyed = act(lambda x, rng: np.round(rng.random(x.shape) * 255).astype(np.float32) / 255)
    lost = play(destroyed, live, seed=0, game_params={"rounds": 8, "floor": 0}).metrics
    assert lost["flipped"] == 0
    assert lost["ber_after"] > 0.3
