"""Forgery: what an owner's reader attributes to items that they never marked."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark.residual_copy import residual_copy
from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Term, attack
from hartley.core.errors import UsageError
from hartley.defenses.signal.per_item_keys import per_item_keys
from hartley.engine.defend import defended
from hartley.engine.result.document import flags
from hartley.engine.run.play import deal, play
from hartley.games.watermark import marked_items
from hartley.games.watermark.forgery import forgery
from hartley.kit.marker import Marker
from hartley.kit.vision import marks

FEW = {"rounds": 12}


def act(make, name="act"):
    """An attack that hands in ``make(view)``."""

    def run(view, rng):
        """Forge."""
        return Outcome(asset=Data("made", view.data.modality, make(view)))

    run.__name__ = name
    return attack(
        game=forgery, access=Access.NOTHING, term=Term.SIGNAL,
        modalities=forgery.modalities, paper="hartley",
    )(run)  # fmt: skip


@pytest.fixture(scope="module")
def live():
    return forgery.live(Modality.VISION, np.random.default_rng(0))


@pytest.mark.parametrize("modality", forgery.modalities)
def test_an_untouched_item_attributes_nothing(modality):
    scene = forgery.live(modality, np.random.default_rng(0))
    trials = play(act(lambda v: v.data.x), scene, seed=0, game_params=FEW)
    assert trials.metrics["mark_reads"] == 1
    assert trials.metrics["attributed"] == 0
    assert measure(trials, redraws=1).bits.lower == 0
    # 384 fair coins: five standard deviations.
    assert abs(np.mean(trials.guess == trials.truth) - 0.5) < 5 * 0.5 / np.sqrt(len(trials))


@pytest.mark.parametrize("modality", forgery.modalities)
def test_an_item_of_the_victim_is_no_forgery_whatever_the_floor(modality):
    scene = forgery.live(modality, np.random.default_rng(0))
    replay = act(lambda v: v.brief.others.x[:1])
    held = play(replay, scene, seed=0, game_params=FEW)
    assert held.metrics["violated"] == held.metrics["replayed"] == 1
    assert held.metrics["attributed"] == 0
    low = play(replay, scene, seed=0, game_params={**FEW, "floor": 1e-9})
    assert low.metrics["replayed"] == 1
    assert low.metrics["attributed"] == 0
    with pytest.raises(UsageError, match="floor must be above 0"):
        play(replay, scene, seed=0, game_params={**FEW, "floor": 0.0})


@pytest.mark.parametrize("modality", forgery.modalities)
def test_what_names_the_victim_above_the_floor_attributes_all(modality):
    """Without the floors of forgery, a victim's item with one change names the victim."""
    scene = forgery.live(modality, np.random.default_rng(0))
    quality = replace(marked_items.quality_of(scene), forged={}, beside=None)

    def changed(view):
        item = view.brief.others.x[0]
        if modality is Modality.LANGUAGE:
            return np.array([f"{item} again"])
        out = np.array(item)
        if modality is Modality.GRAPH:
            out[0, 1] = out[1, 0] = 1 - out[0, 1]
        elif modality is Modality.AUDIO:
            out[0] += 2 / 32767
        else:
            out[..., 0] = np.roll(out[..., 0], 1)
        return out[None]

    trials = play(act(changed), scene.with_part(quality), seed=0, game_params=FEW)
    assert trials.metrics["replayed"] == 0
    assert np.mean(trials.guess == trials.truth) > 0.95


def test_rows_of_the_victim_beside_all_own_rows_are_no_forged_table():
    scene = forgery.live(Modality.TABULAR, np.random.default_rng(0))
    pile = act(lambda v: np.concatenate([v.data.x[0], *v.brief.others.x])[None])
    trials = play(pile, scene, seed=0, game_params=FEW)
    assert trials.metrics["rows_kept"] == 1
    assert trials.metrics["rows_own"] < 0.9
    assert trials.metrics["violated"] == 1
    assert trials.metrics["attributed"] == 0


def test_own_words_beside_a_quotation_of_the_victim_are_no_forged_text():
    scene = forgery.live(Modality.LANGUAGE, np.random.default_rng(0))

    def quoting(view):
        theirs = view.brief.others.x[0].split()
        return np.array([f"{view.data.x[0]} {' '.join(theirs[: len(theirs) // 3])}"])

    trials = play(act(quoting), scene, seed=0, game_params=FEW)
    assert trials.metrics["word_f1"] > 0.8
    assert trials.metrics["own_words"] == pytest.approx(0.67, abs=0.02)
    assert trials.metrics["violated"] == 1


def test_presence_names_one_of_two_owners_and_an_untouched_item_nobody(live):
    presence = {"rounds": 30, "bits": 0}
    forged = play(residual_copy, live, seed=0, game_params=presence)
    assert np.array_equal(forged.guess, forged.truth)
    assert {*forged.truth.tolist()} == {0, 1}
    untouched = play(act(lambda v: v.data.x), live, seed=0, game_params=presence)
    assert (untouched.guess == -1).all()
    assert measure(untouched, redraws=1).bits.value == 0


def test_the_copied_residual_reads_as_the_victim_within_the_floor(live):
    trials = play(residual_copy, live, seed=0, game_params=FEW)
    assert trials.metrics["psnr"] >= 34
    assert trials.metrics["violated"] == 0
    assert np.mean(trials.guess == trials.truth) > 0.99


def test_marks_that_follow_the_picture_cannot_be_copied_by_averaging(live):
    """Dither modulation moves each picture to its own lattice point: there is no common pattern."""
    follows = live.with_part(marks.spread_spectrum())
    trials = play(residual_copy, follows, seed=0, game_params=FEW)
    assert trials.metrics["mark_reads"] > 0.95
    assert abs(np.mean(trials.guess == trials.truth) - 0.5) < 0.13


def test_keys_by_content_are_read_in_marked_pictures_and_not_in_forged_ones(live):
    behind = defended(live, per_item_keys)
    for attacker in (None, live):
        trials = play(residual_copy, behind, seed=0, game_params=FEW, undefended=attacker)
        assert trials.metrics["mark_reads"] > 0.98
        assert abs(np.mean(trials.guess == trials.truth) - 0.5) < 0.13


def test_the_forger_sees_neither_identity_nor_key_nor_a_marked_item_of_their_own(live):
    table = deal(residual_copy, live, seed=0, params=FEW)
    for one in table.rounds:
        known = {field.name for field in fields(one.view.brief)}
        assert known == {
            "public", "bits", "floor", "quality", "others", "detector", "model", "pages"
        }  # fmt: skip
        assert one.view.brief.detector.query(one.view.data.x).argmax(1).tolist() == [0]
        assert one.view.brief.detector.query(one.view.brief.others.x).argmax(1).all()
        assert len(one.view.brief.public) == 4


def test_what_is_attributed_is_a_share_of_the_items_that_are_decided(live):
    """Eight bits are too few to say at one false alarm in 1,000 whether an item is marked."""
    few = play(residual_copy, live, seed=0, game_params={"rounds": 4, "bits": 8}).metrics
    assert few["undecided"] == 1
    assert "attributed" not in few and "evidence" not in few
    enough = play(residual_copy, live, seed=0, game_params={"rounds": 4, "bits": 16}).metrics
    assert enough["undecided"] == 0
    assert enough["attributed"] == 1
    assert enough["evidence"] == 16


def test_a_mark_that_its_owner_does_not_read_is_said():
    dead = forgery.dead(Modality.VISION, np.random.default_rng(0))
    channel = measure(play(residual_copy, dead, seed=0, game_params=FEW), redraws=1)
    assert any("SILENT CHANNEL" in flag for flag in flags(channel))


def test_too_few_items_are_refused(live):
    x = live.extra["carriers"].x[:2]
    scene = forgery.live(Modality.VISION, np.random.default_rng(0))
    few = type(scene)(
        "few", Modality.VISION, extra={"carriers": Data("two", Modality.VISION, x)},
        parts=(scene.find(Marker),),
    )  # fmt: skip
    with pytest.raises(UsageError, match="at least three, one of the attacker and two of"):
        play(residual_copy, few, seed=0)
    # Where the scene brings the attacker's own items, two are enough.
    unmarked = Data("own", Modality.VISION, live.extra["carriers"].x[2:4])
    enough = replace(few, extra={**few.extra, "unmarked": unmarked})
    assert len(deal(residual_copy, enough, seed=0, params=FEW).rounds) == 12
    one = replace(enough, extra={**enough.extra, "carriers": Data("one", Modality.VISION, x[:1])})
    with pytest.raises(UsageError, match="at least two, both of the victim, got 1"):
        play(residual_copy, one, seed=0)
