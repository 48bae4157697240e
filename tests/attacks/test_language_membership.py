"""Membership of texts: each score against its formula, and a small network trained here."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.dataset_inference import _welch, dataset_inference
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.min_k import min_k
from hartley.attacks.model_to_data.membership.min_k_plus_plus import min_k_plus_plus
from hartley.attacks.model_to_data.membership.neighbour import _altered, _followers, neighbour
from hartley.attacks.model_to_data.membership.recall_prefix import recall_prefix
from hartley.attacks.model_to_data.membership.reference_ratio import reference_ratio
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.attacks.model_to_data.membership.zlib_ratio import zlib_ratio
from hartley.attacks.model_to_data.reference_models import references
from hartley.channel.measure import measure
from hartley.core import (
    Access,
    Data,
    Ensemble,
    Modality,
    Scene,
    Settings,
    View,
)
from hartley.core.errors import NotOffered, UsageError
from hartley.engine.run.answer_cache import forget
from hartley.engine.run.play import deal, play
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.language import gpt, text, tokens
from hartley.models.causal import causal

torch = pytest.importorskip("torch")

SHAPE = gpt.Shape(vocabulary=60, width=24, layers=1, heads=2, context=24)
LESSON = gpt.Lesson(epochs=40, batch=8, rate=1e-2)
PLAIN = (loss_threshold, zlib_ratio, min_k, min_k_plus_plus)
"""Attacks that need nothing but one reading of the texts."""


def network(state):
    parameters = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    return causal(
        "small",
        partial(gpt.hidden, parameters, SHAPE),
        lambda states: states @ parameters["tokens"].T,
        vocabulary=SHAPE.vocabulary,
        context=SHAPE.context,
        offers=Access.LABELS | Access.SCORES | Access.TRAIN,
    )


def fit(data, include, seed, lesson=LESSON):
    states = [gpt.train(data.x[np.flatnonzero(kept)], SHAPE, lesson, seed) for kept in include]
    members = [replace(network(state), fit=fit) for state in states]
    return Ensemble(len(members), lambda x: np.stack([m.query(x) for m in members]),
                    members.__getitem__, {"states": states})  # fmt: skip


def texts(rng, n):
    """Rows of a random walk over tokens, some of them shorter."""
    x = (rng.integers(0, 60, (n, 1)) + rng.integers(1, 6, (n, 12)).cumsum(1)) % 60
    x[::3, 8:] = -1
    return x


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(3)
    pool, public = (Data(n, Modality.LANGUAGE, texts(rng, s)) for n, s in (("pool", 64), ("p", 32)))
    ensemble = fit(pool, rng.random((1, 64)) < 0.5, 0)
    return Scene(
        "small", Modality.LANGUAGE, model=ensemble.member(0), train=pool, holdout=pool, fit=fit,
        extra={"pool": pool, "public": public},
        settings=Settings({"membership": 2}, references=2),
        facts={"state": ensemble.facts["states"][0]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def dealt(scene):
    return deal(min_k, scene, seed=1)


def laws(state, rows):
    """All log-probabilities (n, t−1, vocabulary), in float64, from one plain pass."""
    plain = {k: torch.from_numpy(v) for k, v in state.items()}
    ids = torch.from_numpy(rows.clip(0))
    places = torch.arange(rows.shape[1]).expand(len(rows), -1)
    # In float32, as the model itself: RMS norms add that type's own smallest step.
    states = gpt.hidden(plain, SHAPE, ids, places, None).double()
    return (states @ plain["tokens"].T.double()).log_softmax(-1)[:, :-1].numpy()


def by_the_paper(state, rows, share, plus):
    """Min-K % and Min-K %++ from stored log-probabilities, text by text, as their papers say."""
    found = []
    for row, law in zip(rows, laws(state, rows), strict=True):
        values = []
        for at in range(1, int((row >= 0).sum())):
            here = law[at - 1]
            value = here[row[at]]
            if plus:
                mean = (np.exp(here) * here).sum()
                variance = (np.exp(here) * here**2).sum() - mean**2
                value = (value - mean) / np.sqrt(variance)
            values.append(value)
        count = max(1, int(share * len(values)))
        found.append(np.mean(sorted(values)[:count]))
    return np.array(found)


def auc(score, truth):
    high, low = score[truth == 1], score[truth == 0]
    return ((high[:, None] > low).mean() + (high[:, None] == low).mean() / 2).item()


def test_moments_are_those_of_the_whole_law(scene):
    rows = scene.extra["pool"].x
    told = scene.model.moments(rows)
    law = laws(scene.facts["state"], rows)
    said = np.take_along_axis(law, rows[:, 1:, None].clip(0), 2)[..., 0]
    mean = (np.exp(law) * law).sum(2)
    spread = np.sqrt((np.exp(law) * (law - mean[..., None]) ** 2).sum(2))
    plain = np.stack([said, mean, spread], -1) * (rows[:, 1:, None] >= 0)
    np.testing.assert_allclose(told, plain, atol=1e-5)
    np.testing.assert_allclose(scene.model.score(rows), told[..., 0], atol=1e-6)
    assert (told[::3, 7:] == 0).all() and (told[::3, :7, 2] > 0).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
@pytest.mark.parametrize(("attack", "plus"), [(min_k, False), (min_k_plus_plus, True)])
def test_min_k_is_its_formula(scene, attack, plus, share):
    pool = scene.extra["pool"]
    truth = np.random.default_rng(0).random(len(pool)) < 0.5
    view = View(scene.model, MembershipBrief(pool, pool, np.arange(len(pool))))
    guess = attack(view, np.random.default_rng(0), share=share).guess
    plain = by_the_paper(scene.facts["state"], pool.x, share, plus)
    np.testing.assert_allclose(guess, plain, atol=1e-5)
    assert auc(guess, truth) == pytest.approx(auc(plain, truth), abs=1e-6)


def test_one_question_serves_all_scores(scene, dealt):
    """The network reads the texts once, whoever asks; the meter counts every asking."""
    forget()
    read = []

    def counted(model):
        def moments(rows):
            read.append(len(rows))
            return model.moments(rows)

        def never(rows):
            raise AssertionError("the network was made to read the texts in another way")

        return replace(model, moments=moments, score=never, query=never)

    table = replace(
        dealt,
        rounds=tuple(
            replace(one, view=replace(one.view, source=counted(one.view.model)))
            for one in dealt.rounds
        ),
    )
    for attack in PLAIN:
        trials = play(attack, scene, seed=1, dealt=table)
        assert trials.spec.uses == 128
    assert read == [64, 64]


@pytest.mark.parametrize(
    "attack", [*PLAIN, neighbour, recall_prefix, reference_ratio, rmia], ids=lambda a: a.name
)
def test_what_was_learned_by_heart_is_known_again(scene, dealt, attack):
    trials = play(attack, scene, seed=1, dealt=dealt)
    least = {"recall_prefix": 0.7, "zlib_ratio": 0.8}.get(attack.name, 0.9)
    assert measure(trials).metrics["auc"]["value"] > least


def test_groups_are_known_where_texts_are_doubtful(scene):
    """Thirty-two texts together say what one alone leaves open."""
    brief = partial(fit, lesson=gpt.Lesson(epochs=8, batch=8, rate=4e-3))
    pool = Data("pool", Modality.LANGUAGE, texts(np.random.default_rng(5), 128))
    doubtful = replace(
        scene,
        model=replace(scene.model, fit=brief),
        fit=brief,
        extra={**scene.extra, "pool": pool},
        settings=Settings({"membership": 6}, references=2),
    )
    alone = play(min_k, doubtful, seed=2)
    group = play(dataset_inference, doubtful, seed=2)
    assert group.truth.shape == (24,) and alone.truth.shape == (768,)
    assert auc(group.guess, group.truth) > max(0.95, auc(alone.guess, alone.truth) + 0.05)


def test_zlib_reads_what_the_scene_measured():
    same, other = np.full((1, 40), 7), np.random.default_rng(0).integers(0, 2000, (1, 40))
    rows = np.concatenate([same, other])
    data = Data("d", Modality.LANGUAGE, rows)
    said = tokens.compressed(data)
    assert said[0] < said[1] / 3
    assert said[1] == len(zlib.compress(other[0].astype(">u2").tobytes()))
    measured = replace(data, facts={"zlib": np.array([11, 12])})
    assert tokens.compressed(measured).tolist() == [11, 12]


def test_neighbours_differ_where_they_should():
    rng = np.random.default_rng(0)
    rows = texts(rng, 60)
    followers = _followers([rows])
    copy = _altered(rows, followers, 0.25, rng)
    assert (copy[:, 0] == rows[:, 0]).all() and ((copy < 0) == (rows < 0)).all()
    changed = (copy != rows).sum(1)
    assert (changed == np.round(0.25 * ((rows >= 0).sum(1) - 1))).all()
    seen = {(a, b) for row in rows for a, b in pairwise(row) if b >= 0}
    firsts = [(row[i - 1], row[i]) for row, old in zip(copy, rows, strict=True)
              for i in np.flatnonzero(row != old)[:1]]  # fmt: skip
    assert np.mean([pair in seen for pair in firsts]) > 0.8


def test_recall_is_the_ratio_of_two_readings(scene):
    pool, public = scene.extra["pool"], scene.extra["public"]
    view = View(
        replace(scene.model, facts={"context": 15}),
        MembershipBrief(pool, public, np.arange(len(pool))),
    )
    guess = recall_prefix(view, np.random.default_rng(4), prefixes=1).guess
    chosen = public.x[np.random.default_rng(4).permutation(len(public))[0]]
    prefix = chosen[chosen >= 0][-3:]  # twelve of fifteen tokens are taken by the text
    for row, got in zip(pool.x[:6], guess, strict=False):
        real = row[row >= 0]
        after = scene.model.score(np.concatenate([prefix, real])[None])[0, len(prefix) :]
        assert got == pytest.approx(after.mean() / scene.model.score(real[None]).mean(), abs=1e-4)
    with pytest.raises(NotOffered, match="room for a prefix"):
        recall_prefix(
            replace(view, source=replace(scene.model, facts={"context": 12})),
            np.random.default_rng(0),
        )
    with pytest.raises(UsageError, match="the known non-members"):
        few = replace(view.brief, public=replace(public, x=public.x[:3]))
        recall_prefix(replace(view, brief=few), np.random.default_rng(0))


def test_welch_is_welch():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    ours, theirs, groups = (
        rng.standard_normal(60) + 1,
        rng.standard_normal(40),
        np.repeat([0, 1], 30),
    )
    found = _welch(ours, theirs, groups)
    plain = [ttest_ind(ours[groups == g], theirs, equal_var=False).statistic for g in (0, 1)]
    np.testing.assert_allclose(found, plain, rtol=1e-9)


def test_a_dear_scene_says_how_many_references_are_enough(scene, dealt):
    view = dealt.rounds[0].view
    fleet = references(view, 64)
    assert fleet.include.shape == (2, 64) and fleet.moments(view.brief.question).shape == (
        2,
        64,
        11,
        3,
    )
    np.testing.assert_allclose(
        fleet.moments(view.brief.question)[1],
        fleet.ensemble.member(1).moments(view.brief.question.x),
    )


def test_a_model_without_moments_is_refused(scene):
    mute = scene.model.with_(moments=None)
    with pytest.raises(NotOffered, match="does not offer moments"):
        _ = tokens.statistics(mute, scene.extra["pool"].x).calibrated
    with pytest.raises(NotOffered, match="does not offer moments"):
        tokens.statistics(mute.with_(score=None), scene.extra["pool"].x, moments=True)
    rows = scene.extra["pool"].x
    np.testing.assert_allclose(
        tokens.likelihoods(mute, rows), tokens.likelihoods(scene.model, rows), atol=1e-6
    )
    low = tokens.lowest(np.array([[3.0, 1, 2, 9]]), np.array([[True, True, True, False]]), 0.67)
    assert low == pytest.approx([1.5])
    assert text.lengths(rows)[0] == 8
