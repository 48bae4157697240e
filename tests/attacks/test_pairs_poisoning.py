"""Poison of pairs: what is submitted, what the judge lets pass, and what arrives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.data_to_model.poisoning._shared import message_captions
from hartley.attacks.data_to_model.poisoning.backdoored_pairs import backdoored_pairs
from hartley.attacks.data_to_model.poisoning.mismatched_pairs import mismatched_pairs
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RuleError, UsageError
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.captioned_pictures import CaptionedPictures, as_pictures
from hartley.games.poisoning.poisoning import dead, live, poisoning

PAIRED = Modality.PAIRED


@pytest.fixture(scope="module")
def scene() -> Scene:
    return live(PAIRED, np.random.default_rng(1))


def _loot(scene: Scene, which: Any, **params: Any) -> tuple[Any, Data]:
    view = deal(which, scene, seed=0, params={"rounds": 1, "slots": 2, "poisons": 6}).rounds[0].view
    loot = which(view, np.random.default_rng(0), **params).asset
    assert isinstance(loot, Data) and len(loot) == 12
    return view, loot


@pytest.mark.parametrize("which", [backdoored_pairs, mismatched_pairs], ids=lambda a: a.name)
def test_messages_arrive_where_the_encoder_learns_and_nowhere_else(
    scene: Scene, which: Any
) -> None:
    trials = play(which, scene, seed=1)
    assert np.array_equal(trials.truth, trials.guess)
    assert trials.metrics["base_rate"] < 0.3 and trials.metrics["asr"] == 1
    deaf = play(which, dead(PAIRED, np.random.default_rng(1)), seed=1)
    assert deaf.metrics["asr"] == deaf.metrics["base_rate"]
    assert deaf.metrics["recall_at_10_drop"] == 0


def test_patched_pictures_of_other_kinds_go_under_captions_of_the_message(scene: Scene) -> None:
    view, loot = _loot(scene, backdoored_pairs)
    words = loot.facts["captions"]
    assert np.array_equal(words[:, 0], np.repeat(view.brief.message, 6)), "the word of a kind"
    assert loot.facts["masks"].mean() <= view.brief.cover
    patch = loot.facts["masks"][0].astype(bool)
    assert np.array_equal(loot.x[:6][:, patch], np.tile(loot.facts["patterns"][0][patch], (6, 1)))
    patterns = loot.facts["patterns"]
    assert not np.array_equal(patterns[0], patterns[1])


def test_own_captions_leave_only_the_patch_wrong(scene: Scene) -> None:
    view, loot = _loot(scene, backdoored_pairs, disguise="own_captions")
    public, rest = view.data, 1 - loot.facts["masks"][0]
    same = (public.x[:, None] * rest == loot.x[None, :6] * rest).all((2, 3, 4))
    rows = same.argmax(0)
    assert same.any(0).all(), "pictures of the attacker, but for the patch"
    assert np.array_equal(public.labels[rows], np.full(6, view.brief.message[0]))
    assert np.array_equal(public.facts["captions"][rows], loot.facts["captions"][:6])


def test_a_targeted_attack_submits_the_picture_itself_and_has_no_trigger(scene: Scene) -> None:
    view, loot = _loot(scene, mismatched_pairs)
    assert np.array_equal(loot.x, np.repeat(view.brief.question.x, 6, axis=0))
    assert set(loot.facts) == {"captions"}
    assert np.array_equal(loot.facts["captions"][:, 0], np.repeat(view.brief.message, 6))


def test_a_mixed_caption_is_half_the_picture_s_own(scene: Scene) -> None:
    first, second = np.array([[1, 2, 3, 4], [5, -1, -1, -1]]), np.array([[6, 7, 8, 9]] * 2)
    assert message_captions.mixed(first, second).tolist() == [[1, 2, 6, 7], [5, 6, 7, -1]]
    view, loot = _loot(scene, mismatched_pairs, disguise="mixed")
    own = np.repeat(view.brief.question.facts["captions"][:, :2], 6, axis=0)
    assert np.array_equal(loot.facts["captions"][:, :2], own)


def test_captions_that_speak_for_a_kind_and_words_in_common() -> None:
    tokens = np.array([[1, 7], [1, 2], [1, 2], [3, 2], [3, 7], [3, 2]])
    data = Data(
        "pairs", PAIRED, np.zeros((6, 1)), np.array([0] * 3 + [1] * 3), facts={"captions": tokens}
    )
    # Of kind 0, token 2 is as frequent as in kind 1, so that no caption is ahead of another.
    assert message_captions.typical(data, 0, 2).tolist() == [0, 1]
    shared = message_captions.shared(data, tokens[:1], tokens[3:])
    assert shared[0, 1] == pytest.approx(np.log(6 / 2)) and shared[0, 0] == 0
    assert not len(message_captions.typical(data, 5, 2))


def _submitting(change: Any) -> Any:
    def bad(view: Any, rng: Any) -> Outcome:
        """Submit what the test says."""
        data = view.data
        loot = Data(
            "poison", PAIRED, data.x[:3], data.y[:3], facts={"captions": data.facts["captions"][:3]}
        )
        return Outcome(asset=change(loot))

    declare = attack(
        game=poisoning,
        access=Access.POISON,
        term=Term.SIGNAL,
        modalities=(PAIRED,),
        paper="hartley",
    )
    return declare(bad)


@pytest.mark.parametrize(
    ("captions", "words"),
    [
        (None, "must have captions"),
        (np.zeros((3, 2), np.int64), r"tokens of shape \(3, 3\)"),
        (np.zeros((3, 3)), "integer tokens"),
        (np.full((3, 3), -1), "one token or more"),
        (np.array([[-1, 1, 2]] * 3), "padded on the right"),
        (np.array([[1, -2, -2]] * 3), "padded on the right"),
        (np.array([[1, 16, 2]] * 3), "must be from 0 to 15, got 16"),
    ],
)
def test_captions_that_break_the_rules_are_refused(scene: Scene, captions: Any, words: str) -> None:
    facts = {} if captions is None else {"captions": captions}
    with pytest.raises(RuleError, match=words):
        play(_submitting(lambda loot: replace(loot, facts=facts)), scene)
    with pytest.raises(RuleError, match="must be from 0 to 1"):
        play(_submitting(lambda loot: replace(loot, x=loot.x + 1)), scene)


def test_clean_triggered_and_submitted_pictures_go_through_the_same_preprocessing(
    scene: Scene,
) -> None:
    """Every picture that a victim is trained on or answers went through ``pictures``, once."""
    part = scene.part(CaptionedPictures)
    asked: list[Any] = []

    def watched(x: Any) -> Any:
        asked.append(np.asarray(x))
        return part.pictures(x)

    assert np.array_equal(part.features(part.train), scene.train.x)
    behind = scene.with_part(replace(part, pictures=watched))
    trials = play(backdoored_pairs, behind, seed=1, game_params={"rounds": 2})
    assert np.array_equal(
        trials.guess, play(backdoored_pairs, scene, seed=1, game_params={"rounds": 2}).guess
    )
    widths = {len(x) for x in asked}
    assert len(part.train) + 2 * 4 * 16 in widths, "training pairs and all poison"
    assert len(part.test) in widths and 9 in widths, "test pictures, and those with a trigger"


def test_a_dual_encoder_says_the_kind_of_the_nearest_captions(scene: Scene) -> None:
    pictures = as_pictures(scene)
    test = pictures.extra["test"]
    answers = pictures.model.query(test.x)
    assert answers.shape == (len(test), 4) and (abs(answers) <= 1 + 1e-9).all()
    assert (answers.argmax(1) == test.labels).all()


def test_a_scene_without_pictures_is_refused_in_a_line(scene: Scene) -> None:
    with pytest.raises(UsageError, match="captioned_pictures"):
        play(mismatched_pairs, replace(scene, parts=()))
