"""Planted labels: what the setting of the loop reads, plants, refuses and passes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.core.loop_setting import LoopSetting
from hartley.games.watermark.watermark import aim as aim_removal
from hartley.kit.vision import image
from hartley.scenes import _planted_labels as setting
from hartley.scenes.digits import digits


@pytest.fixture(scope="module")
def scene():
    return digits()


@pytest.fixture(scope="module")
def world(scene):
    return scene.part(LoopSetting).begin(scene, 1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def natural(world, count=setting.EACH):
    """Records of the new classes under their planted labels: wholly planted, without a mark."""
    x, y = [], []
    for c, label in zip(world.new, world.planted, strict=True):
        x.append(world.natural.x[world.natural.labels == c][:count])
        y.append(np.full(count, label))
    return replace(world.natural, x=np.concatenate(x), y=np.concatenate(y))


def test_the_links_are_a_ring_through_the_four_axes_and_one_across(scene):
    part = scene.part(LoopSetting)
    names = [asset.name for asset in part.assets]
    ring, (across,) = part.links[:4], part.links[4:]
    assert [link.source for link in ring] == names
    assert [link.target for link in ring] == [*names[1:], names[0]]
    assert len({link.game for link in ring}) == 4
    assert (across.source, across.target) == (setting.VICTIM, setting.RECORDS)
    assert [asset.name for asset in part.assets if asset.joins] == [across.target]


def test_no_planted_label_is_the_true_one_and_the_owner_has_none_of_them(world):
    assert sorted(world.planted) == sorted(world.new) and (world.planted != world.new).all()
    assert not np.isin(world.scene.train.labels, world.new).any()
    assert set(world.probes.labels) == set(world.new)


def test_shares_are_read_as_they_are_defined(world):
    whole = natural(world)
    assert world.share(setting.RECORDS, whole) > 0.9
    # Under the true label it is no planted record, and half of the records are half of the share.
    true = replace(whole, y=np.repeat(world.new, setting.EACH))
    assert world.share(setting.RECORDS, true) == 0
    half = natural(world, setting.EACH // 2)
    assert world.share(setting.UPLOADS, half) == pytest.approx(0.5, abs=0.1)
    assert world.share(setting.UPLOADS, world._nothing()) == 0


def test_a_copy_can_be_planted_wholly_and_other_models_are_what_their_legs_make(world, rng):
    taught = world.dosed(setting.COPY, 1.0, rng, {}, {})
    assert world.share(setting.COPY, taught) > 0.8 and world.share(setting.COPY, world.clean) < 0.05
    full = {setting.COPY: taught, setting.RECORDS: natural(world)}
    for asset in (setting.VICTIM, setting.COPY):
        assert world.dosed(asset, 0.5, rng, {}, full) is None


def test_records_are_planted_label_by_label(world, rng):
    marked = replace(natural(world), x=setting._marked(natural(world).x, world.pattern))
    full = {setting.RECORDS: marked, setting.UPLOADS: world._nothing()}
    # What was there before shows the true classes: none of it is planted.
    there = replace(natural(world), y=np.repeat(world.new, setting.EACH))
    for asset in (setting.RECORDS, setting.UPLOADS):
        for count in range(4):
            at_dose = world.dosed(asset, count / 3, rng, {asset: there}, full)
            assert len(at_dose) == 3 * setting.EACH
            shares = [
                (world._shown(at_dose.x[at_dose.labels == label]) == c).mean()
                for c, label in zip(world.new, world.planted, strict=True)
            ]
            assert sum(share > 0.8 for share in shares) == count
            assert sum(share < 0.2 for share in shares) == 3 - count
            assert world.share(asset, at_dose) == pytest.approx(count / 3, abs=0.1)
    # A share between two numbers of labels is met in the mean.
    drawn = [len(world._chosen(0.5, rng)) for _ in range(200)]
    assert set(drawn) == {1, 2} and np.mean(drawn) == pytest.approx(1.5, abs=0.12)
    assert {len(world._chosen(0.333, rng)) for _ in range(50)} == {1}
    # What is taken in has no mark; the records of the loop have it.
    taken = world.dosed(setting.UPLOADS, 1.0, rng, {}, full)
    np.testing.assert_allclose(taken.x.mean(), natural(world).x.mean(), atol=0.01)


def test_records_of_two_legs_are_half_of_each(world, rng):
    whole = natural(world)
    other = replace(whole, y=np.repeat(world.new, setting.EACH))  # shows nothing planted
    both = world.joined(setting.RECORDS, [whole, other], rng)
    assert (np.unique(both.labels, return_counts=True)[1] == setting.EACH).all()
    shares = [world.share(setting.RECORDS, one) for one in (whole, other, both)]
    assert shares[0] > 0.9 and shares[1] == 0 and shares[2] == pytest.approx(0.5, abs=0.1)


def test_marked_offers_are_refused_and_natural_ones_are_not(world, rng):
    """The check refuses 1 % of unmarked offers of the owner's classes by its threshold."""
    owner, refused = world.scene.train, []
    labels = np.unique(owner.labels)
    marked_refused = []
    for k in range(300):
        rows = np.flatnonzero(owner.labels == labels[k % len(labels)])
        records = owner.x[rng.choice(rows, setting.EACH)]
        refused.append(world._correlation(records) > world.threshold)
        records = setting._marked(records, world.pattern)
        marked_refused.append(world._correlation(records) > world.threshold)
    assert np.mean(refused) < 0.05 and np.mean(marked_refused) > 0.95
    marked = setting._marked(owner.x, world.pattern)
    decibels = [image.psnr(a, b) for a, b in zip(marked[:50], owner.x[:50], strict=True)]
    assert 27 < np.mean(decibels) < 33


def test_what_is_rebuilt_from_marked_pictures_is_refused_until_it_is_cleaned(world, rng):
    """A network that maps scores to published pictures makes marked ones."""
    published = world.scene.extra["public"]
    scores = np.asarray(world.clean.query(published.x))
    x = np.concatenate([scores, np.ones((len(scores), 1))], 1)
    fit = np.linalg.lstsq(x, published.x.reshape(len(x), -1), rcond=None)[0]
    rebuilt = (x[: setting.EACH] @ fit).reshape(-1, 1, 8, 8)
    assert world._correlation(rebuilt) > world.threshold
    assert world._correlation(world._unmarked(rebuilt)) < world._correlation(rebuilt) - 0.02
    link = next(one for one in world.scene.part(LoopSetting).links if one.source == "records")
    offer = replace(natural(world), x=image.eight_bits(rebuilt), y=np.full(setting.EACH, 3))
    (aimed,) = world.aims(link, offer)
    (view,) = aim_removal(aimed.scene, aimed.target, rng, floor=20.0)
    as_it_is = world.left(link, offer, [view.data], rng)
    assert len(as_it_is.asset) == 0 and as_it_is.facts == {"offers": 1.0, "taken in": 0.0}
    clean = replace(
        view.data, x=view.data.x - 2 * setting.STRENGTH * np.tile(world.pattern, (2, 4))
    )
    taken = world.left(link, offer, [clean], rng)
    assert len(taken.asset) == setting.EACH and taken.facts["taken in"] == 1.0
    assert (taken.asset.labels == 3).all()


@pytest.mark.parametrize("count", [1, 4, 5, 8])
def test_a_sheet_holds_its_records(count, rng):
    records = rng.random((count, 1, 8, 8)).astype(np.float32)
    sheet = setting._sheet(records)
    assert sheet.shape[3] == 32
    colour = np.repeat(sheet, 3, 1)
    cut = setting._cut(colour, (1, 8, 8))[:count]
    np.testing.assert_allclose(cut, records, atol=1 / 255)


def test_a_removal_is_aimed_at_each_picture(world, rng):
    pictures = Data("sheets", Modality.VISION, rng.random((2, 1, 16, 16)).astype(np.float32))
    views = aim_removal(world.scene, pictures, rng, floor=25.0, bits=8)
    assert [view.data.x.shape for view in views] == [(1, 3, 16, 16)] * 2
    brief = views[0].brief
    assert (max(brief.floor.values()), brief.bits, len(brief.public)) == (25.0, 8, setting.PHOTOS)


def test_records_that_are_no_labelled_pictures_are_refused(scene):
    flat = replace(scene.train, x=scene.train.x.reshape(len(scene.train), -1))
    with pytest.raises(UsageError, match="must have labelled pictures as train records"):
        setting.World.begin(replace(scene, train=flat), 0)
    two = replace(scene.model, classes=2)
    with pytest.raises(UsageError, match="a loop must have 6 classes, got 2"):
        setting.World.begin(replace(scene, model=two), 0)
