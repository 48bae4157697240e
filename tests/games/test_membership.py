"""The game of membership: coins, groups, wrong labels, users' own models, and what is wrong."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.channel.measure import measure
from hartley.core import (
    Data,
    Modality,
    Model,
    Outcome,
    Scene,
    Settings,
)
from hartley.core.errors import RunError, UsageError
from hartley.engine.plan.applicability import unplayable
from hartley.engine.result.document import flags
from hartley.engine.run.play import deal, play
from hartley.games.membership.blind_baseline import blind_auc
from hartley.games.membership.judging import exposed
from hartley.games.membership.membership import live, membership

SPEC = importlib.util.spec_from_file_location(
    "owned_by_a_stranger", Path(__file__).parents[1] / "strangers" / "strangers" / "owned.py"
)
_module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(_module)
owned = _module.owned


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def scene():
    return live(Modality.TABULAR, rng())


def test_rounds_are_the_scenes_or_the_users(scene):
    assert len(membership(scene, rng()).rounds) == 16
    fewer = replace(scene, settings=Settings({"membership": 3}))
    assert len(membership(fewer, rng()).rounds) == 3
    assert len(membership(fewer, rng(), rounds=5).rounds) == 5


def test_a_group_shares_a_coin_and_is_one_use(scene):
    dealt = membership(scene, rng(), group=8, rounds=6)
    one = dealt.rounds[0]
    groups = one.view.brief.groups
    assert (np.bincount(groups) == 8).all() and len(one.truth) == 16
    assert not (groups == np.sort(groups)).all()
    trials = play(loss_threshold, scene, dealt=dealt)
    assert trials.spec.unit == "group of 8 records" and len(trials) == 6 * 16
    # Every record of a group is in or out together: the model is sure of all of them or of none.
    sure = one.view.model.query(one.view.brief.question.x).max(1) > 0.9
    for group in range(16):
        assert sure[groups == group].all() == bool(one.truth[group])
    guess = loss_threshold(one.view, rng()).guess
    np.testing.assert_allclose(trials.guess[3], guess[groups == 3].mean())


def test_the_records_of_one_user_share_a_coin(scene):
    users = np.repeat([7, 3, 9, 1], 32)
    pool = replace(scene.extra["pool"], facts={"user": users})
    dealt = membership(replace(scene, extra={"pool": pool}), rng(), group=0, rounds=4)
    assert dealt.unit == "user" and len(dealt.rounds[0].truth) == 4
    assert len(set(zip(users.tolist(), dealt.rounds[0].view.brief.groups, strict=True))) == 4
    with pytest.raises(UsageError, match="for group = 0, got none"):
        membership(scene, rng(), group=0)


def test_a_group_is_believed_as_its_records_together_are(scene):
    trials = play(lira, scene, dealt=membership(scene, rng(), group=4, rounds=4))
    assert trials.logq is not None and len(trials.logq) == 4 * 32
    assert trials.logq.mean() > -0.05


def test_bounds_on_a_record_do_not_bound_a_group(scene):
    from hartley.core import Bound

    bound = Bound("dp", {"epsilon": 0.1, "delta": 0.0})
    private = replace(scene, bounds=(bound,))
    alone = play(loss_threshold, private, dealt=membership(private, rng(), rounds=2))
    grouped = play(loss_threshold, private, dealt=membership(private, rng(), rounds=2, group=8))
    assert alone.spec.bounds == (bound,) and grouped.spec.bounds == ()


def test_wrong_labels_are_trained_and_asked_about(scene):
    pool = scene.extra["pool"]
    asked = membership(scene, rng(), rounds=1, mislabelled=0.25).rounds[0].view.brief.question
    assert (asked.y != pool.y).sum() == 32
    assert asked.y.min() >= 0 and asked.y.max() < 4
    everyone = membership(scene, rng(), rounds=1, mislabelled=1.0).rounds[0].view.brief.question
    assert (everyone.y != pool.y).all()


def test_an_own_model_is_one_round_and_nobodys_coin():
    scene = owned()
    dealt = membership(scene, rng())
    (one,) = dealt.rounds
    assert not dealt.planted and one.truth.sum() == 120 == len(one.truth) // 2
    members = {row.tobytes() for row in scene.train.x}
    assert [row.tobytes() in members for row in one.view.brief.question.x] == (
        one.truth == 1
    ).tolist()
    from hartley.core import Bound

    proved = (Bound("dp", {"epsilon": 0.1, "delta": 0.0}), Bound("alphabet", {"bits": 2.0}))
    trials = play(loss_threshold, replace(scene, bounds=proved), dealt=dealt)
    assert trials.spec.planted is False
    assert trials.spec.bounds == proved[1:], "privacy is proved of a coin, and there was none"
    heard = measure(trials)
    assert heard.metrics["auc"]["low"] > 0.6 and not flags(heard)
    assert heard.metrics["auc_two_sided"]["value"] == heard.metrics["auc"]["value"]


def test_attacks_that_train_are_skipped_where_nothing_trains():
    from hartley import catalog

    obstacle = unplayable(catalog.find("attack", "lira"), owned())
    assert obstacle.cause == "training" and "--fit" in obstacle.reason
    assert unplayable(catalog.find("attack", "loss_threshold"), owned()) is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("few", "must have at least 20 members, got 12"),
        ("shape", r"must be of the members\' shape \(4,\), got \(7,\)"),
        ("labels", "must have labels from 0 to 2, those of 'mine', got 5"),
        ("modality", "must be of modality tabular, which 'mine' reads, got audio"),
        ("twins", "got 100% that are members too"),
        ("nan", "NaN"),
    ],
)
def test_a_bad_split_is_told_in_one_line(fault, words):
    with pytest.raises(UsageError, match=words) as told:
        deal(loss_threshold, owned(fault=fault), seed=0)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("modality", "x", "words"),
    [
        (
            Modality.LANGUAGE,
            np.array(["a text"] * 30),
            "the model of mine must have a codec",
        ),
        (
            Modality.LANGUAGE,
            np.array(["a text"] * 30, object),
            "the model of mine must have a codec",
        ),
        (
            Modality.LANGUAGE,
            np.ones((30, 4)),
            "must be integer tokens, from a tokenizer, got type float64",
        ),
        (
            Modality.LANGUAGE,
            np.ones(30, int),
            r"must be of shape \(texts, tokens\), padded with -1, got \(30,\)",
        ),
        (Modality.TABULAR, [[0.5, 0.2]] * 30, "must be a numpy array, got list"),
        (Modality.TABULAR, np.array([["a", "b"]] * 30), "must be numbers, got type <U1"),
        (Modality.TABULAR, np.ones(30), r"must be of shape \(records, ...\), got \(30,\)"),
    ],
)
def test_what_is_no_array_of_numbers_is_told_in_one_line(modality, x, words):
    model = Model("mine", modality, lambda x: np.full((len(x), 9), 1 / 9), classes=9)
    train, holdout = (Data(name, modality, x) for name in ("train", "holdout"))
    with pytest.raises(UsageError, match=f"the records 'train'.*{words}") as told:
        play(loss_threshold, Scene("mine", modality, model=model, train=train, holdout=holdout))
    assert "\n" not in str(told.value)


def test_labels_in_a_list_are_told():
    scene = owned()
    wrong = replace(scene, train=replace(scene.train, y=list(scene.train.y)))
    with pytest.raises(
        UsageError, match="y of the records 'train' must be a numpy array, got list"
    ):
        play(loss_threshold, wrong)


@pytest.mark.parametrize("lacks", ["model", "train", "holdout"])
def test_a_scene_of_ones_own_is_told_what_its_members_lack(lacks):
    from hartley import catalog

    scene = replace(owned(), **{lacks: None})
    assert scene.lacking(["members", "model", "members"])[0] == f"members ({lacks} missing)"
    obstacle = unplayable(catalog.find("attack", "loss_threshold"), scene)
    assert obstacle.reason.endswith(f"has no members ({lacks} missing)")


def test_a_text_of_another_vocabulary_and_a_small_pool_are_told():
    scene = live(Modality.LANGUAGE, rng())
    pool = scene.extra["pool"]
    far = replace(scene, extra={"pool": replace(pool, x=pool.x + 1000)})
    with pytest.raises(UsageError, match=r"must have tokens below 50, .* got 10\d\d"):
        membership(far, rng())
    small = replace(scene, extra={"pool": replace(pool, x=pool.x[:30])})
    with pytest.raises(UsageError, match="at least 40 records in 2 groups, got 30"):
        membership(small, rng())


def test_a_pipeline_that_cannot_read_the_pool_is_a_failed_row_with_a_reason(scene):
    def breaks(data, include, seed):
        raise ValueError("mat1 and mat2\nshapes cannot be multiplied")

    with pytest.raises(RunError, match=r"cannot train on the pool .*mat1 and mat2 shapes"):
        membership(replace(scene, fit=breaks), rng())


def test_a_shifted_holdout_is_a_flawed_split_and_no_leak(call, tmp_path):
    """By the command: the sound split has no flag, the shifted one has, in every format."""
    rows, shown = {}, {}
    for fault in ("", "shifted"):
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f'scene = "owned"\nonly = ["loss_threshold"]\n[scenes.owned]\nfault = "{fault}"\n'
        )
        done = call("assess", str(plan), "--workers", "0", "--store", f"runs{fault}")
        assert done.returncode == 0, done.stderr
        shown[fault] = done.stdout
        (path,) = (tmp_path / f"runs{fault}").rglob("run.json")
        channels = json.loads(path.read_text())["channels"]
        (rows[fault],) = (r for r in channels if r["status"] == "measured")
    assert rows[""]["flags"] == [] and "FLAWED" not in shown[""]
    assert "not randomised by Hartley" in shown[""] and rows[""]["planted"] is False
    (flag,) = rows["shifted"]["flags"]
    assert "FLAWED SPLIT" in flag and "not a leak" in flag
    assert "FLAWED SPLIT" in shown["shifted"]
    assert rows["shifted"]["metrics"]["blind_auc"]["low"] > 0.8
    for form in ("md", "html"):
        done = call("report", "latest", "--store", "runsshifted", "--format", form)
        assert done.returncode == 0, done.stderr
        page = done.stdout or next((tmp_path / "runsshifted").rglob("report.html")).read_text()
        assert "FLAWED SPLIT" in page


def test_a_bad_split_is_one_line_and_exit_2_by_the_real_command(hartley, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('scene = "owned"\nonly = ["loss_threshold"]\n[scenes.owned]\nfault = "twins"\n')
    done = hartley("assess", str(plan), "--store", "runs")
    assert done.returncode == 2 and "FAILED" not in done.stdout
    assert "verdict: inconclusive" in done.stdout
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("hartley: "))
    assert "that are members too" in line


@pytest.mark.parametrize("modality", list(Modality), ids=str)
def test_the_blind_baseline_hears_a_shift_and_nothing_else(modality):
    data = live(modality, rng(5)).extra["pool"]
    coins = rng(6).random((8, len(data))) < 0.5
    sound = blind_auc(data, coins, np.arange(len(data)))
    assert sound["low"] < 0.5 < sound["high"] and abs(sound["value"] - 0.5) < 0.1
    x = np.array(data.x)
    half = x[coins[0]]
    # Texts of the first half of the vocabulary; everything else moved by its own spread.
    x[coins[0]] = half % 25 if modality is Modality.LANGUAGE else half + x.std().astype(x.dtype)
    if modality is Modality.GRAPH:
        x = np.where(coins[0], np.arange(len(x)), 1000 + np.arange(len(x)))[:, None]
    shifted = blind_auc(replace(data, x=x), coins[:1], np.arange(len(data)))
    assert shifted["low"] > 0.55


def test_the_blind_baseline_keeps_to_its_level():
    """On sound splits of one round it is wrong about ½ no more often than it says."""
    wrong = 0
    for seed in range(200):
        x = rng(seed).normal(size=(80, 5))
        coins = rng(seed + 1000).random((1, 80)) < 0.5
        told = blind_auc(Data("d", Modality.TABULAR, x), coins, np.arange(80))
        wrong += not told["low"] <= 0.5 <= told["high"]
    assert wrong <= 8


def test_the_most_exposed_are_chosen_on_other_rounds(scene):
    rounds = membership(scene, rng(), rounds=16).rounds
    truth = np.stack([one.truth for one in rounds])
    noise = rng(1).normal(size=truth.shape)
    assert abs(np.mean(exposed(rounds, list(noise)))) < 0.45
    noise[:, 5] = np.where(truth[:, 5], 9, -9)
    assert exposed(rounds, list(noise)) == [1.0] * 16
    assert exposed(rounds[:3], list(noise[:3])) == [None] * 3


def test_a_backwards_score_leaks_as_well(scene):
    trials = play(loss_threshold, scene, dealt=membership(scene, rng(), rounds=32))
    heard = measure(replace(trials, guess=-trials.guess))
    assert heard.metrics["auc"]["value"] < 0.1 < 0.85 < heard.metrics["auc_two_sided"]["low"]
    assert heard.bits.value > 0.8


def test_an_answer_of_another_shape_is_the_attacks_fault(scene):
    dealt = membership(scene, rng(), rounds=2)
    with pytest.raises(
        RunError, match=r"must be of shape \(128,\), one per record, got shape \(3,\)"
    ):
        dealt.judge(dealt.rounds, [Outcome(guess=np.zeros(3))] * 2)
    with pytest.raises(RunError, match="one per record, got none"):
        dealt.judge(dealt.rounds, [Outcome()] * 2)


def test_records_that_stand_twice_are_counted(scene):
    pool = scene.extra["pool"]
    x = np.array(pool.x)
    x[1] = x[0]
    dealt = membership(replace(scene, extra={"pool": replace(pool, x=x)}), rng(), rounds=2)
    assert dealt.metrics["duplicates"] == pytest.approx(2 / 128)
    assert "duplicates" not in membership(scene, rng(), rounds=2).metrics


@pytest.mark.parametrize("size", [60, 200])
def test_few_sound_splits_of_any_records_count_as_flawed(size):
    """Folds share their training records: DeLong's interval alone flagged one in ten of these."""
    rng = np.random.default_rng(size)
    x = rng.standard_t(2, (size, 6)).astype(np.float32)
    records, coins = Data("pool", Modality.TABULAR, x, rng.integers(0, 2, size)), []
    for _ in range(120):
        coins.append(rng.permutation(size) < size // 2)
    aucs = [blind_auc(records, split[None], np.arange(size)) for split in coins]
    # Eight or more of 120 at a level of 1 % come once in 30,000 times.
    assert sum(not auc["low"] <= 0.5 <= auc["high"] for auc in aucs) < 8
    shifted = replace(records, x=x + 2.0 * coins[0][:, None].astype(np.float32))
    assert blind_auc(shifted, coins[0][None], np.arange(size))["low"] > 0.6


def test_a_record_keeps_its_row_in_the_users_data_and_no_attacker_sees_it():
    scene = owned()
    rows = np.sort(rng(1).permutation(500)[: len(scene.train)])
    moved = replace(scene, train=replace(scene.train, facts={**scene.train.facts, "row": rows}))
    dealt = membership(moved, rng())
    (round_,) = dealt.rounds
    question = round_.view.brief.question
    assert "row" not in question.facts
    (first, start), (second, other) = dealt.sources
    assert (first, second, start) == (scene.train.name, scene.holdout.name, 0)
    received = dealt.judge(dealt.rounds, [Outcome(guess=np.zeros(len(question)))])
    items = received[0].columns["item"]
    place = {int(row): at for at, row in enumerate(rows)}
    for k in range(0, len(question), 7):
        x = scene.train.x[place[items[k]]] if round_.truth[k] else scene.holdout.x[items[k] - other]
        assert np.array_equal(question.x[k], x)
    grouped = membership(live(Modality.TABULAR, rng()), rng(), rounds=2, group=4)
    assert grouped.sources == ()
