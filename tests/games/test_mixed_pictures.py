"""Mixtures of private pictures with random signs, and who solves for the pictures."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hartley.attacks.data_to_data.decryption._shared import encoding_similarity
from hartley.attacks.data_to_data.decryption._shared import mixture_solver as solver
from hartley.attacks.data_to_data.decryption._shared.noisy_mixtures import NoisySolver
from hartley.attacks.data_to_data.decryption.mixture_clustering import (
    mixture_clustering,
    usual_way_up,
)
from hartley.channel.measure import measure
from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.engine.run.play import deal, play
from hartley.games.decryption.mixed_pictures import (
    GREY,
    MOST,
    MixedPictures,
    encoded,
    matched,
    mixed_pictures,
    mixtures,
    paired,
    weights,
)


@pytest.fixture(scope="module")
def scene():
    return mixed_pictures.live(Modality.VISION, np.random.default_rng(0))


def test_an_encoding_is_two_pictures_with_bounded_weights_and_fair_signs():
    rng = np.random.default_rng(0)
    # Pictures of one value each, by which the weights can be read.
    values = np.array([0.0, 20.0, 90.0, 255.0])
    private = np.broadcast_to(values[:, None, None, None], (4, 3, 8, 8))
    encodings = mixtures(private, 10, rng)
    assert encodings.shape == (20, 3, 8, 8)
    levels = np.abs(encodings - GREY)
    # All pixels of an encoding have the same absolute value, and it is that of some pair.
    assert (np.ptp(levels.reshape(20, -1), axis=1) <= 1).all()
    first, second = np.triu_indices(4, 1)
    ends = [abs(w * values[first] + (1 - w) * values[second] - GREY) for w in (MOST, 1 - MOST)]
    grid = np.linspace(1 - MOST, MOST, 400)[:, None]
    ways = np.abs(grid * values[first] + (1 - grid) * values[second] - GREY).ravel()
    assert all(np.abs(ways - one).min() < 1 for one in levels[:, 0, 0, 0])
    assert levels.max() <= max(e.max() for e in ends) + 1
    up = (encodings > GREY).mean()
    assert abs(up - 0.5) < 4 * 0.5 / np.sqrt(encodings.size)


def test_secrets_are_uniform_and_candidates_in_no_view(scene):
    rounds = deal(mixture_clustering, scene, seed=0, params={"rounds": 50}).rounds
    truth = np.concatenate([one.truth for one in rounds])
    counts = np.bincount(truth, minlength=8)
    expected = len(truth) / 8
    assert ((counts - expected) ** 2 / expected).sum() < 7 + 5 * np.sqrt(14)
    assert rounds[0].view.data.x.shape == (72, 3, 16, 16)
    public = {one.tobytes() for one in rounds[0].view.brief.public.x}
    assert not public & {one.tobytes() for one in scene.parts[0].pool}


def test_pictures_are_solved_for_exactly_where_groups_are_known():
    """The least squares alone, without the search for groups: |A X| says what X is."""
    rng = np.random.default_rng(1)
    private = mixed_pictures.live(Modality.VISION, rng).parts[0].pool[:10]
    x = private.reshape(10, -1) / GREY - 1
    one = np.stack([rng.permutation(10)[:2] for _ in range(150)])
    weight = rng.uniform(0.35, 0.65, 150)
    mixed = weight[:, None] * x[one[:, 0]] + (1 - weight[:, None]) * x[one[:, 1]]
    signed = mixed * rng.choice([-1, 1], mixed.shape)
    solving = solver.Solver(signed.reshape(150, 3, 16, 16), 10, 30, 0.65, rng)
    solving.pairs, solving.trust = one, np.ones(150)
    for step in range(8):
        solving.solve(starts=6 if step < 2 else 1)
    back = solving.x * np.sign((solving.x * x).sum())
    assert np.median(np.abs(back - x).mean(1)) < 0.02
    assert np.median(np.abs(solving.weight - weight)) < 0.01


@pytest.mark.slow
def test_grouping_reads_waves_and_nothing_of_a_pad(scene):
    read = measure(play(mixture_clustering, scene, seed=0, params={"checks": 2}), redraws=1)
    assert read.bits.lower > 1
    assert read.metrics["solved"]["value"] > 0.6
    dead = mixed_pictures.dead(Modality.VISION, np.random.default_rng(0))
    game = {"rounds": 8}
    none = play(mixture_clustering, dead, seed=0, params={"checks": 1}, game_params=game)
    read = measure(none, redraws=1)
    # A leak that names a third of the pictures instead of an eighth is 0.21 of the 3 bits.
    assert read.bits.lower == 0 and read.high is not None and read.high < 0.12


def test_the_matcher_reads_any_order_and_negatives_and_nothing_of_noise():
    rng = np.random.default_rng(0)
    candidates = rng.integers(0, 256, (6, 5, 3, 8, 8))
    truth = rng.integers(0, 5, 6)
    chosen = candidates[np.arange(6), truth][rng.permutation(6)]
    assert matched(chosen, candidates).tolist() == truth.tolist()
    assert matched(255 - chosen, candidates).tolist() == truth.tolist()
    reads = [matched(rng.integers(0, 256, chosen.shape), candidates) for _ in range(100)]
    right = np.mean([(one == truth).mean() for one in reads])
    assert abs(right - 0.2) < 4 * 0.4 / np.sqrt(600)


def test_negatives_are_turned_by_the_usual_levels():
    rng = np.random.default_rng(0)
    public = (255 * rng.beta(2, 4, (30, 3, 8, 8))).astype(np.uint8)
    pictures = (255 * rng.beta(2, 4, (5, 3, 8, 8))).astype(np.uint8)
    assert (usual_way_up(pictures, public) == pictures).all()
    assert (usual_way_up(255 - pictures, public) == pictures).all()


def test_a_release_that_cannot_be_is_one_clear_line():
    pool = np.zeros((40, 3, 8, 8), dtype=np.uint8)
    public = Data("crops", Modality.VISION, pool)
    with pytest.raises(UsageError, match="times even, since an encoding has two, got 5 and 3"):
        MixedPictures(pool, public, pictures=5, candidates=2, times=3)
    with pytest.raises(UsageError, match="at most the 40 of the pool, got 20 · 16"):
        MixedPictures(pool, public)


def test_weights_of_four_pictures_sum_to_one_below_the_greatest():
    drawn = weights(4000, 4, np.random.default_rng(0))
    assert drawn.sum(1) == pytest.approx(np.ones(4000))
    assert drawn.max() <= MOST and drawn.max() > MOST - 0.02
    assert np.abs(drawn.mean(0) - 0.25).max() < 4 * drawn.std() / np.sqrt(4000)


def test_public_pictures_are_in_an_encoding_with_the_weight_that_is_left():
    """Private pictures of grey alone: what is left is two public values, with weights below one."""
    rng = np.random.default_rng(0)
    private, public = np.full((4, 3, 8, 8), GREY), np.full((5, 3, 8, 8), 255)
    levels = np.abs(mixtures(private, 100, rng, public, 2) - GREY)[:, 0, 0, 0] / GREY
    law = weights(20_000, 4, rng)[:, 2:].sum(1)
    assert abs(levels.mean() - law.mean()) < 4 * law.std() / np.sqrt(200)
    assert np.abs(mixtures(private, 100, rng) - GREY).max() <= 1


def test_pairs_and_weights_are_read_among_public_pictures_where_pictures_are_known(scene):
    """From the true pictures and wrong pairs; and pictures are solved for from the true pairs."""
    given, rng = scene.part(MixedPictures), np.random.default_rng(3)
    slots = paired(12, 40, rng)
    encodings = encoded(given.pool[:12], slots, rng, given.public.x, 2) / GREY - 1
    solving = NoisySolver(encodings, 12, 40, MOST, rng, mixed=2)
    solving.pairs, true = rng.integers(0, 12, slots.shape), given.pool[:12].reshape(12, -1) / GREY
    solving.x = true - 1
    solving.reassign()
    right = (np.sort(solving.pairs, 1) == np.sort(slots, 1)).all(1)
    assert right.mean() > 0.4  # by chance 1 of 66
    assert solving.trust[right].mean() > solving.trust.mean() - 0.01
    solving.pairs, solving.weights = slots, np.full(slots.shape, 0.25)
    solving.trust = np.ones(len(slots))
    for _ in range(6):
        solving.solve(starts=1)
    like = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(solving.x, true, strict=True)]
    assert np.median(like) > 0.7


def test_a_trained_similarity_says_which_encodings_share_a_picture(scene):
    """Beside chance on private pictures that it never saw."""
    given = scene.part(MixedPictures)
    rng = np.random.default_rng(0)
    similarity = encoding_similarity.trained(given.public.x, 2, 30)
    slots = paired(12, 12, rng)
    encodings = encoded(given.pool[:12], slots, rng, given.public.x, 2)
    alike = similarity(np.abs(encodings / GREY - 1))
    one, other = np.triu_indices(len(slots), 1)
    share = (slots[one][:, :, None] == slots[other][:, None]).any((1, 2))
    assert roc_auc_score(share, alike[one, other]) > 0.55
