"""Pictures that are published with noise against learning: the secrets, the noise, the learners."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption.plain_learning import plain_learning
from hartley.attacks.data_to_data.decryption.squeezed_learning import squeezed_learning
from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.defenses.noise.unlearnable_noise import unlearnable_noise
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.decryption.learnability import LabelledPictures, learnability
from hartley.kit.vision.unlearnable import error_minimising, separable


@pytest.fixture(scope="module")
def scene():
    return learnability.live(Modality.VISION, np.random.default_rng(0))


def accuracy(attack, where, **more):
    params = {"epochs": 10, **more}
    trials = play(attack, where, seed=0, params=params, game_params={"rounds": 2})
    return measure(trials, redraws=1).metrics["accuracy"]["value"]


def test_class_names_are_drawn_anew_and_questions_are_not_published(scene):
    rounds = deal(plain_learning, scene, seed=0).rounds
    digits = scene.part(LabelledPictures)
    published = {p.tobytes() for p in digits.records.x}
    assert not any(p.tobytes() in published for p in rounds[0].view.brief.question.x)
    truth = np.concatenate([one.truth for one in rounds])
    counts = np.bincount(truth, minlength=10)
    assert ((counts - 40) ** 2 / 40).sum() < 9 + 5 * np.sqrt(18)
    # The same picture has another name in another publication.
    names = [
        dict(zip([p.tobytes() for p in one.view.data.x], one.view.data.y, strict=True))
        for one in rounds[:2]
    ]
    both = set(names[0]) & set(names[1])
    assert len(both) > 500
    assert np.mean([names[0][p] == names[1][p] for p in both]) < 0.5
    with pytest.raises(UsageError, match="records must be at most 1200, got 5000"):
        deal(plain_learning, scene, seed=0, params={"records": 5000})


def test_noise_keeps_to_its_bound_and_is_one_pattern_a_class():
    rng = np.random.default_rng(0)
    x, y = rng.random((300, 1, 12, 12)).astype(np.float32), rng.integers(0, 3, 300)
    for make in (separable, error_minimising):
        noise = make(x, y, 0.1, rng)
        assert noise.shape == (3, 1, 12, 12)
        assert np.abs(noise).max() <= 0.1 + 1e-6
        assert np.abs(noise[0] - noise[1]).max() > 0.05
    squares = separable(x, y, 0.1, rng)[0, 0].reshape(4, 3, 4, 3)
    assert (squares == squares[:, :1, :, :1]).all()


def test_noise_that_minimises_the_error_is_learned_in_place_of_the_pictures():
    """Of pictures that say nothing a net learns the noise alone: that is how it protects."""
    rng = np.random.default_rng(1)
    x, y = rng.random((400, 1, 8, 8)).astype(np.float32), rng.integers(0, 4, 400)
    noise = error_minimising(x, y, 0.3, rng)
    means = np.stack([(x + noise[y])[y == k].mean(0) for k in range(4)])
    fresh = rng.random((400, 1, 8, 8)) + noise[y]
    distance = ((fresh[:, None] - means[None]) ** 2).sum((2, 3, 4))
    assert (distance.argmin(1) == y).mean() > 0.9


def test_learning_reads_classes_and_strong_noise_hides_them(scene):
    assert accuracy(plain_learning, scene) > 0.85
    behind = defended(scene, unlearnable_noise, {"epsilon": 1.0})
    assert accuracy(plain_learning, behind) < 0.4


def test_each_way_to_squeeze_leaves_enough_to_learn_from(scene):
    for squeeze in ("jpeg", "grey", "levels"):
        assert accuracy(squeezed_learning, scene, squeeze=squeeze) > 0.8
