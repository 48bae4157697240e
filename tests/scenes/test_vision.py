"""The vision scenes: what they hold, that they learn, and that their digests tell them apart."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Access, Output
from hartley.core.errors import MissingPack, UsageError
from hartley.data import packs
from hartley.data import vision as data
from hartley.engine.plan.applicability import unplayable
from hartley.scenes.digits import digits
from hartley.scenes.fashion import fashion
from hartley.testing import check_model


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield digits()


def test_digits_is_whole_and_has_learnt(scene):
    for name in ("model", "train", "holdout", "fit", "pool", "test", "public", "carriers"):
        assert scene.has(name), name
    assert scene.facts["test accuracy"] > 0.9
    assert scene.facts["train accuracy"] >= scene.facts["test accuracy"]
    assert scene.utility(scene)["accuracy"] == scene.facts["test accuracy"]
    assert 40 < scene.utility(scene)["mark_psnr"] < 55
    check_model(scene.model, scene.extra["test"].x[:20])
    assert scene.model.weights is None and not scene.model.offers & Access.WEIGHTS


def test_no_record_stands_in_two_parts(scene):
    others = (scene.extra[name] for name in ("public", "test", "canaries"))
    parts = [scene.train, scene.holdout, *others]
    assert sum(len(p) for p in parts) == 1797 - 12  # spare records that are not canaries
    dealt = {record.tobytes() for part in parts for record in part.x}
    everything = {record.tobytes() for record in data.digits().x}
    assert len(everything) == 1797 and len(dealt) == 1785 and dealt < everything
    pool = scene.extra["pool"]
    assert np.array_equal(pool.x, np.concatenate([scene.train.x, scene.holdout.x]))


def test_utility_follows_the_model_that_stands_there(scene):
    def shifted(x):
        return np.roll(scene.model.query(x), 1, axis=1)

    broken = replace(scene, model=replace(scene.model, query=shifted))
    assert scene.utility(broken)["accuracy"] < 0.1
    labels = replace(
        scene.model, query=lambda x: scene.model.query(x).argmax(1), output=Output.LABELS
    )
    assert scene.utility(replace(scene, model=labels)) == scene.utility(scene)


def test_the_digest_follows_the_recipe(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    small = {"records": 60, "epochs": 1}
    one = digits(**small)
    assert one.digest == digits(**small, workers=3).digest
    changes = ({"epochs": 2}, {"seed": 1}, {"hidden": 9}, {"opened": True})
    others = [digits(**{**small, **change}).digest for change in changes]
    assert len({one.digest, scene.digest, *others}) == 6


def test_an_opened_scene_shows_gradients_and_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    model = digits(records=60, epochs=1, opened=True).model
    assert model.grad is not None and set(model.weights()) == {
        "1.weight", "1.bias", "3.weight", "3.bias"
    }  # fmt: skip
    closed = digits(records=60, epochs=1)
    reason = unplayable(catalog.find("attack", "fgsm"), closed).reason
    assert reason == "needs gradients, which digits keeps back: add --set opened=true"


def idx(kind, sizes, body):
    return np.array([kind, *sizes], ">u4").tobytes() + body


def test_fashion_without_its_pack_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    with pytest.raises(MissingPack, match="hartley pack get fashion-mnist"):
        fashion()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (idx(0x803, (2, 3, 3), bytes(17)), "got 17"),
        (idx(0x801, (2,), bytes(2)), "must be an idx file"),
        (b"\0\0", "must be an idx file"),
    ],
)
def test_a_broken_file_is_named(tmp_path, raw, message):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(raw))
    with pytest.raises(UsageError, match=message):
        data._idx(path, data.IMAGES)
    path.write_bytes(gzip.compress(raw)[:-9])
    with pytest.raises(UsageError, match="gzip"):
        data._idx(path, data.IMAGES)


@pytest.mark.pack
def test_fashion_learns_from_its_pack(tmp_path, monkeypatch):
    packs.locate("fashion-mnist")  # an absent core pack fails here, by design
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    train, test = data.fashion()
    assert train.x.shape == (60000, 1, 28, 28) and test.x.shape == (10000, 1, 28, 28)
    assert np.bincount(train.y).tolist() == [6000] * 10
    assert train.x.min() == 0 and train.x.max() == 1
    scene = fashion(records=3000, epochs=6)
    assert scene.facts["test accuracy"] > 0.75


@pytest.mark.slow
@pytest.mark.pack
def test_fashion_passes_85_percent(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    scene = fashion()
    assert scene.facts["test accuracy"] >= 0.85
    assert scene.facts["train accuracy"] - scene.facts["test accuracy"] > 0.05
