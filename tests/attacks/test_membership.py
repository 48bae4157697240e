"""Membership on real pictures: who beats whom, and that nothing is read where nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hartley.attacks.model_to_data.membership._shared.normal_laws import (
    laws,
    log_density,
    normal,
)
from hartley.attacks.model_to_data.membership.calibrated_loss import calibrated_loss
from hartley.attacks.model_to_data.membership.entropy_metrics import entropy_metrics
from hartley.attacks.model_to_data.membership.label_only_membership import label_only_membership
from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.quantile_regression import quantile_regression
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.attacks.model_to_data.membership.shadow_classifier import shadow_classifier
from hartley.channel.measure import measure
from hartley.core import Access, Data, Deal, Ensemble, Modality, Model, Output, View
from hartley.core.errors import UsageError
from hartley.engine.run.play import deal, play
from hartley.games.membership import membership as game
from hartley.games.membership.membership import MembershipBrief
from hartley.scenes.digits import digits


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scene(_own_cache):
    return digits(records=600)


@pytest.fixture(scope="module")
def dealt(scene):
    return deal(lira, scene, seed=0, params={"rounds": 12})


@pytest.fixture(scope="module")
def strangers(scene):
    """Models of records that are not in question."""
    public = scene.extra["public"]
    include = np.random.default_rng(5).random((12, len(public))) < 0.5
    return scene.fit(public, include, 11)


def value(channel, name):
    one = channel.metrics[name]
    return one["value"] if isinstance(one, dict) else one


def test_lira_beats_the_loss_threshold_where_false_alarms_are_few(scene, dealt):
    heard = {
        attack.name: measure(play(attack, scene, dealt=dealt, params=params))
        for attack, params in ((loss_threshold, {}), (lira, {"references": 32}))
    }
    ours, plain = heard["lira"], heard["loss_threshold"]
    assert value(ours, "tpr_at_fpr_1e2") > 2 * value(plain, "tpr_at_fpr_1e2")
    assert value(ours, "auc") > value(plain, "auc") + 0.05
    assert ours.bits.lower > 0 and ours.bits.value > plain.bits.value
    assert ours.null.value < 0.01


def test_rmia_holds_with_few_references(scene, dealt):
    offline = {"references": 4, "online": False}
    few = value(measure(play(rmia, scene, dealt=dealt, params=offline)), "auc")
    assert few > value(measure(play(lira, scene, dealt=dealt, params=offline)), "auc")
    many = value(measure(play(rmia, scene, dealt=dealt, params={"references": 32})), "auc")
    assert many > 0.62


@pytest.mark.parametrize(
    "params",
    [
        {"online": False},
        {"variance": "one"},
        {"variance": "each"},
        {"online": False, "variance": "each"},
    ],
    ids=str,
)
def test_every_form_of_lira_reads_the_scene(scene, dealt, params):
    trials = play(lira, scene, dealt=dealt, params={"references": 32, **params})
    assert value(measure(trials), "auc") > 0.6


def confidences(rng, spread, references, records=1500):
    """Of a victim and of references: normal, with a scale of each record of known spread.

    Returns victim (n, 1), its members (n,), shadow (K, n, 1), include (K, n), scale (n,).
    """
    scale = np.exp(spread * rng.standard_normal(records))
    mean = 3 * rng.standard_normal(records)
    include = rng.permuted(np.tile([[True], [False]], (references // 2, records)), axis=0)
    member = rng.random(records) < 0.5

    def drawn(trained):
        size = np.sqrt(scale) * np.where(trained, 1.0, 1.3)
        return mean + trained + size * rng.standard_normal(trained.shape)

    return drawn(member)[:, None], member, drawn(include)[..., None], include, scale


def tell(victim, shadow, include, variance):
    """LiRA's log-likelihood ratio of each record."""
    out, known = laws(shadow, (~include, include), variance)
    return log_density(victim, *known) - log_density(victim, *out)


@pytest.mark.parametrize("references", [4, 16, 64])
def test_a_scale_of_each_record_reads_more_where_records_differ(references):
    """Where they do not, it reads as much as one variance for all, which is then the truth."""
    areas = {}
    for spread in (0.0, 0.7):
        rng = np.random.default_rng(references)
        rows = []
        for _ in range(6):
            victim, member, shadow, include, scale = confidences(rng, spread, references)
            forms = [tell(victim, shadow, include, v) for v in ("shrunk", "one", "each")]
            # The variances that the confidences were drawn with; the means must be estimated too.
            mean = [normal(shadow, group, True)[0] for group in (~include, include)]
            truth = scale[:, None, None]
            known = log_density(victim, mean[1], truth)
            forms.append(known - log_density(victim, mean[0], 1.69 * truth))
            rows.append([roc_auc_score(member, form) for form in forms])
        areas[spread] = np.mean(rows, 0)
    shrunk, one, each, _ = areas[0.0]
    assert abs(shrunk - one) < 0.002 and shrunk > each + 0.002
    shrunk, one, each, oracle = areas[0.7]
    assert shrunk > each + 0.001 and one + 0.001 < shrunk < oracle


def test_the_scale_of_a_record_is_drawn_towards_that_of_all():
    """By the formula of moderated variances, in loops; of two variants as of one."""
    rng = np.random.default_rng(3)
    _, _, shadow, include, _ = confidences(rng, 1.0, 8, 40)
    (_, out), (_, known) = laws(shadow, (~include, include), "shrunk")
    pooled = [float(normal(shadow, group, True)[1][0, 0, 0]) for group in (~include, include)]
    for i in range(40):
        squares = sum(
            np.var(shadow[group[:, i], i, 0]) * 4 / of
            for group, of in zip((~include, include), pooled, strict=True)
        )
        assert out[i, 0, 0] == pytest.approx(pooled[0] * (16 + squares) / (16 + 6))
        assert known[i, 0, 0] / out[i, 0, 0] == pytest.approx(pooled[1] / pooled[0])
    # Another unit of a variant changes no scale.
    two = np.concatenate([shadow, rng.standard_normal(shadow.shape)], -1)
    plain, stretched = (laws(x, (~include,), "shrunk")[0][1] for x in (two, two * [1.0, 50.0]))
    assert np.allclose(stretched[:, 0, 0], plain[:, 0, 0], rtol=1e-4)
    assert np.allclose(stretched[:, 1, 1], 2500 * plain[:, 1, 1], rtol=1e-4)


CASES = [
    *((lira, {}), (lira, {"augment": 3}), (rmia, {}), (loss_threshold, {}), (calibrated_loss, {})),
    *((shadow_classifier, {}), (shadow_classifier, {"per_class": False})),
    *((entropy_metrics, {"metric": name}) for name in ("modified", "entropy", "correctness")),
    *((label_only_membership, {"method": name}) for name in ("boundary", "noise", "shift")),
    (quantile_regression, {}),
]
NAMES = ["-".join([attack.name, *map(str, params.values())]) for attack, params in CASES]


def lean(attack, params):
    return {**params, "references": 32} if attack.access & Access.TRAIN else params


@pytest.mark.parametrize(("attack", "params"), CASES, ids=NAMES)
def test_every_attack_reads_the_scene(scene, dealt, attack, params):
    heard = measure(play(attack, scene, dealt=dealt, params=lean(attack, params)))
    assert heard.metrics["auc"]["low"] > 0.5
    assert heard.null.value < 0.01


@pytest.mark.parametrize(("attack", "params"), CASES, ids=NAMES)
def test_a_model_that_never_saw_the_members_reads_nothing(scene, dealt, strangers, attack, params):
    """The same coins over victims of other records: what is left is chance."""
    rounds = tuple(
        replace(one, view=replace(one.view, source=strangers.member(k)))
        for k, one in enumerate(dealt.rounds)
    )
    heard = measure(play(attack, scene, dealt=Deal(rounds), params=lean(attack, params)))
    assert heard.bits.lower == 0
    assert heard.bits.value < 0.02
    assert abs(value(heard, "auc") - 0.5) < 0.03


@pytest.mark.parametrize("modality", list(Modality), ids=str)
@pytest.mark.parametrize("attack", [lira, rmia], ids=lambda a: a.name)
@pytest.mark.parametrize("online", [True, False])
def test_wires(modality, attack, online):
    params = {"online": online, "references": 16}
    live = play(attack, game.live(modality, np.random.default_rng(0)), params=params)
    heard = measure(live)
    assert heard.bits.value > 0.7 and heard.bits.lower > 0.3
    dead = play(attack, game.dead(modality, np.random.default_rng(0)), params=params)
    heard = measure(dead)
    assert heard.bits.lower == 0 and heard.bits.value < 0.02


def test_loot_is_mostly_members(scene, dealt):
    one = dealt.rounds[0]
    got = lira(one.view, np.random.default_rng(0), references=32)
    members = {row.tobytes() for row in one.view.brief.question.x[one.truth == 1]}
    share = np.mean([row.tobytes() in members for row in got.asset.x])
    assert len(got.asset) > 20 and share > 0.55


def test_rmia_takes_a_population_of_its_own(scene, dealt):
    briefs = [replace(one.view.brief, public=scene.extra["public"]) for one in dealt.rounds]
    rounds = tuple(
        replace(one, view=replace(one.view, brief=brief))
        for one, brief in zip(dealt.rounds, briefs, strict=True)
    )
    trials = play(rmia, scene, dealt=Deal(rounds), params={"references": 32})
    assert value(measure(trials), "auc") > 0.62


def view_of(answers, y, output):
    data = Data("asked", Modality.TABULAR, np.arange(len(answers), dtype=np.float32)[:, None], y)
    model = Model(
        "m", Modality.TABULAR, lambda x: answers[x[:, 0].astype(int)], output, answers.shape[1]
    )
    return View(model, MembershipBrief(data, data, np.arange(len(data))))


@pytest.mark.parametrize("output", [Output.PROBABILITIES, Output.LOGITS])
def test_losses_and_entropies_are_the_formulas(output):
    """Against a plain computation, record by record, in either unit."""
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(60, 5)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = rng.integers(0, 5, 60)
    view = view_of(p if output is Output.PROBABILITIES else logits + 7, y, output)
    loss = [-np.log(p[i, y[i]]) for i in range(60)]
    ours = loss_threshold(view, rng).guess
    np.testing.assert_allclose(ours, np.negative(loss), rtol=1e-6)
    entropy = [-sum(q * np.log(q) for q in row) for row in p]
    twisted = [
        -(1 - p[i, y[i]]) * np.log(p[i, y[i]])
        - sum(p[i, c] * np.log(1 - p[i, c]) for c in range(5) if c != y[i])
        for i in range(60)
    ]
    for name, plain in (("entropy", entropy), ("modified", twisted)):
        ours = entropy_metrics(view, rng, metric=name, per_class=False).guess
        np.testing.assert_allclose(ours, np.negative(plain), rtol=1e-6, err_msg=name)
    by_class = entropy_metrics(view, rng, metric="modified").guess
    for label in range(5):
        assert np.median(by_class[y == label]) == pytest.approx(0, abs=1e-12)


def test_lira_says_what_it_believes(scene, dealt):
    trials = play(lira, scene, dealt=dealt, params={"references": 32})
    told = measure(trials).metrics["bits_posterior"]
    assert 0 < told["low"] <= told["value"] < 0.3
    offline = play(lira, scene, dealt=dealt, params={"references": 32, "online": False})
    assert offline.logq is None


def test_all_of_them_train_one_fleet(scene, dealt):
    """However many attacks read references on a deal, they are trained once."""
    calls = []

    def fit(data, include, seed):
        calls.append(len(include))
        return scene.fit(data, include, seed)

    rounds = tuple(
        replace(one, view=replace(one.view, source=replace(one.view.model, fit=fit), salt=77))
        for one in dealt.rounds[:2]
    )
    for attack in (calibrated_loss, lira, rmia, shadow_classifier):
        for one in rounds:
            attack(one.view, np.random.default_rng(0), references=6)
    assert calls == [6]


@pytest.mark.parametrize(
    ("attack", "params", "words"),
    [
        (lira, {"augment": 3, "references": 2}, "augment must be 1 for records that are not"),
        (label_only_membership, {"method": "shift"}, "must be pictures"),
        (label_only_membership, {"method": "guess"}, "must be boundary, noise or shift, got"),
        (entropy_metrics, {"metric": "gini"}, "metric must be modified, entropy"),
        (quantile_regression, {"level": 0.2}, "level must be above 0.5 and below 1, got 0.2"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_cannot_be_asked_is_told(attack, params, words):
    wire = game.live(Modality.TABULAR, np.random.default_rng(0))
    with pytest.raises(UsageError, match=words):
        play(attack, wire, params=params)


def test_quantile_regression_wants_strangers(scene, dealt):
    one = dealt.rounds[0]
    alone = replace(one.view, brief=replace(one.view.brief, nonmembers=None))
    with pytest.raises(UsageError, match="20 known non-members"):
        quantile_regression(alone, np.random.default_rng(0))


@pytest.mark.parametrize("output", [Output.PROBABILITIES, Output.LOGITS])
def test_rmia_is_the_share_of_ratios_that_a_record_beats_at_its_temperature(output):
    """Against the definition, record by record: Pr is a softmax of logits over the temperature."""
    rng = np.random.default_rng(5)
    heat, records = 2.0, 30
    logits = rng.normal(size=(9, records, 4)) * 2  # the victim, and eight references
    y = rng.integers(0, 4, records)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    answers = p if output is Output.PROBABILITIES else logits + 3
    victim = view_of(answers[0], y, output)

    def fit(data, include, seed):
        members = [view_of(one, y, output).source for one in answers[1:]]
        return Ensemble(
            8, lambda x: answers[1:][:, x[:, 0].astype(int)], members.__getitem__, output=output
        )

    model = victim.source.with_(fit=fit, offers=Access.SCORES | Access.TRAIN)
    view = replace(victim, source=model)
    hot = np.exp(logits / heat) / np.exp(logits / heat).sum(-1, keepdims=True)
    true = hot[:, np.arange(records), y]
    ratio = true[0] / true[1:].mean(0)
    expected = [np.mean([ratio[i] / other >= 1 for other in ratio]) for i in range(records)]
    np.testing.assert_allclose(
        rmia(view, rng, references=8, temperature=heat).guess, expected, atol=1e-12
    )
    cold = rmia(view, rng, references=8, temperature=1.0).guess
    assert not np.allclose(cold, expected)
