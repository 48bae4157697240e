"""Alignment: bits by closed forms, slopes by differences, false alarms by their exact law."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import betainc

from hartley.catalog import load
from hartley.channel.measure import measure
from hartley.channel.readouts.many_symbols import fano
from hartley.core import Codec, Data, Modality, Model, Outcome, Scene, attack
from hartley.core.errors import RuleError, UsageError
from hartley.core.taxonomy import Access, Term
from hartley.data import paired
from hartley.defenses.signal.adversarial_tuning import adversarial_tuning
from hartley.engine.defend import defended
from hartley.engine.plan.plan import Plan
from hartley.engine.plan.worklist import Skipped, expand
from hartley.engine.run.play import deal, play
from hartley.games.alignment import alignment as game
from hartley.games.alignment import pair_poisoning as poison_game
from hartley.games.alignment.caption_words import as_read, words_apart
from hartley.games.alignment.changed_pairs import PairBudget, changed_pairs
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders, pairs
from hartley.kit.infonce_towers import embed_pairs, pulled_back
from hartley.kit.language.text import pad as padded
from hartley.kit.pair_agreement import PairAgreement, conformal_threshold
from hartley.kit.perturbation import Perturbation


@pytest.fixture(scope="module")
def scene() -> Scene:
    return game.live(Modality.PAIRED, np.random.default_rng(3))


def half_mismatched(view: Any, rng: np.random.Generator) -> Outcome:
    """Name another thing in the captions of every other pair."""
    del rng
    question = view.brief.question
    tokens = np.array(question.facts[CAPTIONS])
    tokens[::2, 0] = (tokens[::2, 0] + 1) % 192
    return Outcome(asset=pairs("changed", question.x, tokens))


def _attack(run: Any) -> Any:
    declared = attack(
        game=game.alignment,
        access=Access.EMBEDDINGS,
        term=Term.NOISE,
        modalities=(Modality.PAIRED,),
        paper="hartley",
    )
    return declared(run)


def test_bits_are_those_of_the_symmetric_channel(scene: Scene) -> None:
    """Half of 192 pairs name another thing, the rest is found: accuracy ½ among 64."""
    channel = measure(play(_attack(half_mismatched), scene, seed=0), redraws=1)
    before, after = (channel.metrics[f"capacity_{word}"] for word in ("before", "after"))
    assert channel.metrics["accuracy_before"]["value"] == 1
    right = channel.metrics["accuracy_after"]["value"]
    assert 0.5 <= right <= 0.53, "by luck a wrong caption is the nearest of all"
    assert before["value"] == pytest.approx(6, abs=0.03)
    truth = float(fano(right, 64))
    assert after["low"] <= truth <= after["high"]
    assert after["value"] == pytest.approx(truth, abs=0.05)
    assert channel.bits.lower is not None and channel.high is not None
    assert 0 < channel.bits.lower <= 6 - truth <= channel.high


def test_a_filter_turns_wrong_answers_into_erasures(scene: Scene) -> None:
    """Half of the pairs reach the owner changed: with a filter half of 6 bits are left, not 2.

    Coins say which pairs do, and the filter refuses a few clean ones, so both are counted.
    """
    attacker = load("attack", "text_perturbation")
    behind = defended(scene, load("defense", "alignment_filter"), {"at": "inference"})
    bare, filtered = (
        measure(
            play(attacker, s, seed=0, dealt=deal(attacker, s, seed=0, params={"share": 0.5})),
            redraws=1,
        )
        for s in (scene, behind)
    )
    left = []
    for channel in (bare, filtered):
        right = channel.metrics["accuracy_after"]["value"]
        answered = 1 - channel.metrics["refused"]["value"]
        left.append(channel.metrics["capacity_after"])
        truth = answered * float(fano(min(right / answered, 1), 64))
        assert left[-1]["low"] <= truth <= left[-1]["high"]
        assert truth == pytest.approx(left[-1]["value"], abs=0.1)
    assert left[1]["value"] > left[0]["value"] + 0.5
    assert filtered.metrics["misled"]["value"] < 0.05 < bare.metrics["misled"]["low"]
    assert filtered.metrics["caught"]["value"] > 0.95
    assert filtered.metrics["mismatches_caught"]["low"] > 0.9


def test_changes_beyond_the_budget_do_not_count(scene: Scene) -> None:
    def much(view: Any, rng: np.random.Generator) -> Outcome:
        """Change all pixels by half of their range, and two words."""
        question = view.brief.question
        tokens = np.array(question.facts[CAPTIONS])
        tokens[:, :2] = 0
        x = np.clip(question.x + rng.choice([-0.5, 0.5], question.x.shape), 0, 1)
        return Outcome(asset=pairs("changed", x.astype(np.float32), tokens))

    trials = play(_attack(much), scene, seed=0)
    assert trials.metrics["outside_budget"] == 1
    assert trials.guess.tolist() == np.asarray(trials.reference).tolist()
    budget = PairBudget(Perturbation("linf", 0.1), 0.25, 1)
    clean = np.full((3, 1, 4, 4), 0.5)
    changed = clean.copy()
    changed[0] += 0.1
    changed[1, 0, 0] = 0  # a quarter of the pixels
    changed[2, 0, :2] = 0
    assert budget.allows(clean, changed).tolist() == [True, True, False]


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _pieces(texts: Any) -> Any:
    """Tokens of letters, 1–26 where a word begins and 27–52 after; words of ten letters or more
    are unknown (53)."""
    rows = []
    for line in texts:
        row: list[int] = []
        for word in line.split():
            known = len(word) < 10
            row += [LETTERS.index(c) + (27 if i else 1) for i, c in enumerate(word)] * known
            row += [53] * (not known)
        rows.append(row)
    return padded(rows)


def _spelt(tokens: Any) -> list[str]:
    """Special tokens (0 and 53) are in no text."""
    rows = [[t for t in row if 0 < t < 53] for row in np.asarray(tokens).tolist()]
    return ["".join(" " * (t < 27) + LETTERS[(t - 1) % 26] for t in row).strip() for row in rows]


@pytest.mark.parametrize(
    ("tokens", "reads", "received"),
    [
        ([1, 2, 3], 5, "a b c"),
        ([0] * 9 + [1, 2, 3], 5, "a b c"),  # masks would have wiped the caption out at no cost
        ([53, 53, 1, 2, 3], 5, "a b c"),
        ([1, 2, 4], 5, "a b d"),
        ([1, 2, 4, 0], 5, "a b d"),
        ([1, 4, 5], 5, None),
        # One more word of two letters is read with all others; one of three pushes c out.
        ([4, 31, 1, 2, 3, 0], 5, "de a b c"),
        ([4, 31, 32, 1, 2, 3], 5, None),
        # A word of seven letters is more than the three for which a caption may grow.
        ([1, 2, 3, 4, 31, 31, 31, 31, 31, 31], 12, None),
    ],
)
def test_words_are_counted_in_the_text_that_is_read(
    scene: Scene,
    tokens: list[int],
    reads: int,
    received: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = replace(
        scene.part(PairEncoders),
        codec=Codec(_pieces, _spelt, 54, "letters"),
        vocabulary=54,
        reads=reads,
    )
    clean = pairs("clean", np.full((1, 1, 4, 4), 0.5), np.array([[1, 2, 3]]))
    loot = pairs("changed", clean.x, np.array([tokens]))
    monkeypatch.setattr("hartley.games.alignment.changed_pairs.PIECES", 3)
    budget = PairBudget(Perturbation("linf", 0.1), 0.25, 1)
    got = changed_pairs(clean, Outcome(asset=loot), budget, part)
    assert got.outside == (received is None)
    assert _spelt(got.captions) == [received or "a b c"]
    assert (got.captions < 53).all() and (got.captions != 0).all()
    assert got.caption_changed.tolist() == [received not in (None, "a b c")]


def test_rounds_are_the_units_of_one_change_for_all(scene: Scene) -> None:
    by_word = {}
    for name in ("modality_gap_shift", "image_perturbation"):
        attacker = load("attack", name)
        dealt = deal(attacker, scene, seed=0, params={"rounds": 20, "share": 0.5})
        trials = play(attacker, scene, params={"steps": 2}, seed=0, dealt=dealt)
        by_word[name] = measure(trials, redraws=1)
        assert trials.metrics["rounds_cut"] == 12
        # Signal is of all changed pairs, and what is decoded is of pairs as they come in.
        assert trials.metrics["projection_changed"] < 0.7 < trials.metrics["projection_before"]
        assert "projection_after" not in trials.metrics
    assert by_word["modality_gap_shift"].clusters == 8
    assert by_word["image_perturbation"].clusters == by_word["image_perturbation"].n == 192


@pytest.mark.parametrize(
    ("at", "only", "reason"),
    [
        ("inference", "swapped_captions", "drops no training pair of pair_poisoning"),
        ("training", "typographic", "judges no answer of a search"),
    ],
)
def test_a_filter_that_does_nothing_in_a_game_has_no_row_there(
    scene: Scene, at: str, only: str, reason: str
) -> None:
    plan = Plan(
        scene="live:alignment",
        only=("typographic", "swapped_captions"),
        use=("alignment_filter",),
        adaptive=True,
        defenses={"alignment_filter": {"at": at}},
    )
    behind = {"typographic": set[str](), "swapped_captions": set[str]()}
    for line in expand(plan, scene):
        experiment = line.experiment if isinstance(line, Skipped) else line
        if experiment.stages and experiment.defenses:
            name = experiment.stages[0].attack
            behind[name].add(line.reason if isinstance(line, Skipped) else "played")
    (why,) = behind.pop(only)
    assert reason in why
    assert "played" in next(iter(behind.values()))


@pytest.mark.parametrize(
    ("x", "captions", "message"),
    [
        (lambda x: x[:, :, :4], lambda t: t, "shape"),
        (lambda x: x * np.nan, lambda t: t, "finite"),
        (lambda x: x, lambda t: t + 200, "tokens of captions"),
        (lambda x: x, lambda t: t[:2], "caption"),
    ],
)
def test_loot_of_another_form_is_refused(scene: Scene, x: Any, captions: Any, message: str) -> None:
    def odd(view: Any, rng: np.random.Generator) -> Outcome:
        """Hand in what is no pairs."""
        del rng
        question = view.brief.question
        facts = {CAPTIONS: captions(question.facts[CAPTIONS])}
        return Outcome(asset=Data("odd", Modality.PAIRED, x(question.x), facts=facts))

    with pytest.raises(RuleError, match=message):
        play(_attack(odd), scene, seed=0)


@pytest.mark.parametrize(
    ("left", "right", "apart"),
    [
        ("a red cat", "a red cat", 0),
        ("a red cat", "a blue cat", 1),
        ("a red cat", "red cat", 1),
        ("cat", "a red cat", 2),
        ("", "a b c", 3),
        ("a b c d", "d a b c", 2),
    ],
)
def test_words_apart(left: str, right: str, apart: int) -> None:
    assert words_apart(left.split(), right.split()) == apart
    assert words_apart(right.split(), left.split()) == apart


def test_slopes_are_those_of_differences(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    image, text, x = (rng.standard_normal(s) for s in ((5, 3), (4, 3), (6, 9)))
    towards, step = rng.standard_normal((6, 6)), 1e-3
    slope = pulled_back(image, text, x, towards)
    way = rng.standard_normal(x.shape)
    ends = [
        (embed_pairs(image, text, x + sign * step * way).astype(float) * towards).sum(1)
        for sign in (1, -1)
    ]
    assert (slope * way).sum(1) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3)

    part = scene.part(PairEncoders)
    model = part.picture_model(scene.model)  # type: ignore[arg-type]
    pictures, step = part.test.x[:4].astype(float), 2e-4
    aim = rng.standard_normal((4, 64))
    way = rng.standard_normal(pictures.shape)
    slope = model.calls["grad"](pictures, aim)
    ends = [(model.query(pictures + s * step * way) * aim).sum(1) for s in (1, -1)]
    moved = (ends[0] - ends[1]) / (2 * step)
    assert -(slope * way).reshape(4, -1).sum(1) == pytest.approx(moved, rel=0.05, abs=0.3)


def test_agreement_by_hand_and_its_slope_by_differences() -> None:
    rng = np.random.default_rng(1)
    rows = [rng.standard_normal((n, 4)) for n in (9, 9, 5, 5)]
    usual_p, usual_c, p, c = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in rows)
    judge = PairAgreement(usual_p, usual_c, 3.0, 0.1)

    def near_by_hand(a, b):
        alone = [np.exp(0.85 * 3 * usual_p @ a), np.exp(0.85 * 3 * usual_c @ b)]
        return np.log(np.mean(alone[0] * alone[1]) / (alone[0].mean() * alone[1].mean()))

    by_hand = [
        a @ b
        - np.log(np.mean([np.exp(3 * a @ o) for o in usual_c])) / 3
        - np.log(np.mean([np.exp(3 * b @ o) for o in usual_p])) / 3
        + 0.5 * near_by_hand(a, b)
        for a, b in zip(p, c, strict=True)
    ]
    assert judge.scores(p, c) == pytest.approx(by_hand)
    assert judge.refuses(p, c).tolist() == [score < 0.1 for score in by_hand]
    way = rng.standard_normal(p.shape)
    ends = [judge.scores(p + s * 1e-5 * way, c) for s in (1, -1)]
    slope = (judge.slope(p, c) * way).sum(1)
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-4)


def test_the_declared_rate_holds_with_the_declared_confidence() -> None:
    """Of uniform scores the threshold is the rate itself, and its law is known."""
    rng = np.random.default_rng(2)
    rates = [conformal_threshold(rng.random(250), 0.1) for _ in range(2000)]
    k = next(k for k in range(250, 0, -1) if betainc(k, 251 - k, 0.1) >= 0.95)
    holds = betainc(k, 251 - k, 0.1)
    assert abs(np.mean(np.array(rates) <= 0.1) - holds) < 5 * np.sqrt(holds * (1 - holds) / 2000)
    assert np.mean(rates) == pytest.approx(k / 251, abs=0.002)
    # Wilks: 59 draws are the least for 95 % with 95 % confidence.
    assert conformal_threshold(np.arange(59), 0.05) == 0
    with pytest.raises(UsageError, match="59 clean pairs or more, got 58"):
        conformal_threshold(np.arange(58), 0.05)


def test_what_does_not_fit_is_named(scene: Scene, tmp_path: Any) -> None:
    part = scene.part(PairEncoders)
    dealt = game.alignment.play
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="a caption for each picture, got 192 pictures and 5"):
        pairs("test", part.test.x, part.test.facts[CAPTIONS][:5])
    bare = scene.with_part(replace(part, test=replace(part.test, facts={})))
    with pytest.raises(UsageError, match="a caption for each of its 192 pictures"):
        dealt(bare, rng)
    few = replace(part.test, x=part.test.x[:9], facts={CAPTIONS: part.test.facts[CAPTIONS][:9]})
    with pytest.raises(UsageError, match="64 held-out pairs or more, got 9"):
        dealt(scene.with_part(replace(part, test=few)), rng)
    other = Model("classifier", Modality.PAIRED, lambda x: np.ones((len(x), 3)), classes=3)
    with pytest.raises(UsageError, match="'classifier' must answer with the embeddings"):
        dealt(replace(scene, model=other), rng)
    assert scene.model is not None
    with pytest.raises(UsageError, match="must read the 456 features of a pair, got a model of 9"):
        dealt(replace(scene, model=scene.model.with_(reads=9)), rng)


def test_own_pictures_that_cannot_be_used_are_named(tmp_path: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (6, 3), (255, 0, 0)).save(tmp_path / "red.png")
    listed = tmp_path / "pairs.csv"

    def message(text: str) -> str:
        listed.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            paired.own(listed, 6)
        return str(caught.value)

    assert "columns picture and caption, got file, label" in message("file,label\nred.png,red\n")
    assert "in line 2 that is not there: blue.png" in message("picture,caption\nblue.png,blue\n")
    assert "a picture and a caption in line 3" in message(
        "picture,caption\nred.png,red\nred.png,\n"
    )
    assert "each picture once, got red.png twice" in message(
        "picture,caption\nred.png,red\nred.png,rose\n"
    )
    listed.write_text("picture,caption\nred.png,red\n", encoding="utf-8")
    read = paired.own(listed, 6)
    assert read.captions == ("red",) and read.pictures.shape == (1, 6, 6, 3)
    # On a white square: the upper and lower quarter are paper.
    assert read.pictures[0, 0].min() > 200 and read.pictures[0, 3, :, 1].max() < 50
    file = tmp_path / "broken.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    with pytest.raises(UsageError, match=r"broken\.png must be a whole picture, got a file of"):
        paired.read_picture(file, 8)


def test_swapped_captions_teach_a_wrong_word_and_the_filter_leaves_them_out() -> None:
    """A lexicon of latest meanings forgets every word that poison has, and no other.

    Half of the words are lost. A picture in the poison has two words then, its own (kept in half of
    the cases) and a wrong one, which wins half of the time where it is among the candidates.
    """
    scene = poison_game.live(Modality.PAIRED, np.random.default_rng(5))
    attacker = load("attack", "swapped_captions")
    # 36 of 72 words are in half as many pairs as a tenth of the owner's.
    half = deal(attacker, scene, seed=0, params={"share": 0.05, "rounds": 4})
    channel = measure(play(attacker, scene, seed=0, dealt=half), redraws=1)
    assert channel.metrics["accuracy_before"]["value"] == 1
    assert channel.metrics["accuracy_after"]["value"] == pytest.approx(
        (36 - 18 * 0.5 * 63 / 71) / 72, abs=0.06
    )
    assert channel.metrics["poison_rate"]["value"] == pytest.approx(36 / 756)
    behind = defended(scene, load("defense", "alignment_filter"), {"at": "training"})
    after = measure(
        play(
            attacker,
            behind,
            seed=0,
            dealt=deal(attacker, behind, seed=0, params={"share": 0.05, "rounds": 4}),
        ),
        redraws=1,
    )
    assert after.metrics["dropped_poison"]["value"] == 1
    assert after.metrics["dropped_clean"]["value"] < 0.12
    assert after.metrics["accuracy_after"]["value"] == 1


def test_an_attacker_who_knows_the_filter_keeps_their_pictures_accepted(scene: Scene) -> None:
    """Aimed at the rival the filter catches the picture with its own caption; it need not."""
    attacker = load("attack", "image_perturbation")
    behind = defended(scene, load("defense", "alignment_filter"), {"at": "inference"})
    dealt = deal(attacker, behind, seed=0, params={"rounds": 2})
    caught = {}
    for towards in ("rival", "accepted"):
        trials = play(
            attacker,
            behind,
            seed=0,
            params={"towards": towards, "steps": 20},
            dealt=dealt,
            knowledge="adaptive",
        )
        caught[towards] = trials.metrics["caught"]
        assert trials.metrics["outside_budget"] == 0
        before, changed = (trials.metrics[f"projection_{w}"] for w in ("before", "changed"))
        assert changed < before - 0.05, towards
    assert caught["rival"] > 0.9 > 0.1 > caught["accepted"]


def test_accepted_pictures_are_so_too_where_pictures_are_looked_for(scene: Scene) -> None:
    attacker = load("attack", "image_perturbation")
    behind = defended(scene, load("defense", "alignment_filter"), {"at": "inference"})
    rules = {"rounds": 2, "direction": "caption_to_picture"}
    dealt = deal(attacker, behind, seed=0, params=rules)
    caught = {}
    for towards in ("away", "accepted"):
        params = {"towards": towards, "steps": 20}
        trials = play(attacker, behind, seed=0, params=params, dealt=dealt, knowledge="adaptive")
        caught[towards] = trials.metrics["caught"]
    assert caught["away"] > 0.9 > 0.1 > caught["accepted"]


def test_one_change_is_one_whichever_sign_it_has(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.3, 0.7, (24, 3, 8, 8))
    signs = np.resize([1, -1], 24)[:, None, None, None]
    assert game.one_change(clean, clean + 0.05 * signs * rng.standard_normal((1, 3, 8, 8)))
    assert not game.one_change(clean, clean + 0.05 * rng.standard_normal(clean.shape))


def test_one_edit_of_most_captions_is_one_change(scene: Scene) -> None:
    clean = np.concatenate([np.arange(72).reshape(24, 3), np.full((24, 1), -1)], 1)
    suffix, unlike = clean.copy(), clean.copy()
    suffix[:, 3] = 99
    unlike[:, 3] = 100 + np.arange(24)
    assert game.one_edit(clean, suffix)
    # In front it is the same edit, and in place of unlike words too.
    assert game.one_edit(clean, np.roll(suffix, 1, axis=1))
    assert game.one_edit(clean, np.where(clean % 3 == 1, 99, clean))
    assert not game.one_edit(clean, unlike)
    assert not game.one_edit(clean, clean)


def with_one_suffix(view: Any, rng: np.random.Generator) -> Outcome:
    """Put one and the same word behind every caption."""
    del rng
    question = view.brief.question
    tokens = np.asarray(question.facts[CAPTIONS])
    loot = np.concatenate([tokens, np.full((len(tokens), 1), 3)], 1)
    return Outcome(asset=pairs("changed", question.x, loot))


def test_rounds_are_the_units_of_one_suffix_for_all_captions(scene: Scene) -> None:
    assert measure(play(_attack(with_one_suffix), scene, seed=0), redraws=1).clusters == 8


def test_clean_captions_are_read_as_changed_ones_are(scene: Scene) -> None:
    """A clean caption with a token of no text is the same as one that was written again."""
    part = replace(
        scene.part(PairEncoders),
        codec=Codec(_pieces, _spelt, 54, "letters"),
        vocabulary=54,
        reads=4,
        test=pairs("test", np.zeros((2, 1, 4, 4)), np.array([[1, 2, 0, 3], [53, 4, -1, -1]])),
    )
    read = as_read(part).test.facts[CAPTIONS]
    assert read.tolist() == [[1, 2, 3], [4, -1, -1]]
    assert as_read(as_read(part)).test.facts[CAPTIONS].tolist() == read.tolist()
    clean, loot = replace(part.test, facts={CAPTIONS: read}), pairs("same", part.test.x, read)
    got = changed_pairs(clean, Outcome(asset=loot), PairBudget(part.budget, 0.1, 1), part)
    assert not got.caption_changed.any() and not got.outside


def test_a_tower_is_tuned_on_captions_unless_said_otherwise() -> None:
    by_default = inspect.signature(adversarial_tuning.apply).parameters["preserves"].default
    assert by_default == "captions"
