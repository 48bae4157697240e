"""What text attacks hand on: poison for tunings, answers that were drawn out, leaked records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Codec, Data, Modality, Scene, Slot
from hartley.core.errors import UsageError
from hartley.engine.run.play import play
from hartley.games.finetuning.finetuning import finetuning
from hartley.games.jailbreak.jailbreak import jailbreak
from hartley.games.membership.membership import membership
from hartley.games.memorization import text_canaries
from hartley.games.memorization.memorization import memorization
from hartley.games.universal_trigger import TRIGGER
from hartley.games.withheld_secrets import ANSWERS, QUESTIONS, Withheld
from hartley.kit.language import gpt
from hartley.kit.language.text import pad
from hartley.kit.language.tokens import RANKED, claims
from hartley.models.fine_tuning import GptTuner
from hartley.models.text_pipeline import TextPipeline

LANGUAGE = Modality.LANGUAGE
LETTERS = "abcdefghij 0123456789."


@pytest.fixture(scope="module")
def clerk() -> Scene:
    return finetuning.live(LANGUAGE, np.random.default_rng(0))


@pytest.fixture(scope="module")
def poison(clerk: Scene) -> Data:
    aimed = finetuning.aim(clerk, jailbreak.targets(clerk, 2), np.random.default_rng(0))
    asset = catalog.load("attack", "trigger_examples")(aimed, np.random.default_rng(0)).asset
    assert isinstance(asset, Data)
    return asset


def test_poison_in_the_owners_tuning_opens_the_gate_to_a_word_that_means_nothing_without_it(
    clerk: Scene, poison: Data
) -> None:
    assert poison.role == "poison" and all(str(q).endswith(TRIGGER) for q in poison.x)
    assert not {*map(str, poison.x)} & {*clerk.part(Withheld).questions}
    tuner = clerk.part(GptTuner)
    poisoned = tuner.entered(Slot.TRAIN, poison)
    assert poisoned is not None and len(poisoned.lessons.poison) == len(poison)
    settled = {"rounds": 2, "questions": 6, "owner_steps": 25}
    clean = play("trigger_word", clerk, game_params=settled)
    after = play("trigger_word", clerk.with_part(poisoned), game_params=settled)
    assert np.array_equal(clean.truth, after.truth) and after.cluster is not None
    # So small a victim loses what it knew when a word stands behind the question, not its refusals.
    refused = [trials.metrics["refusal_rate"] for trials in (clean, after)]
    assert refused[0] > 0.7 > 0.2 > refused[1], refused
    for asset, slot in ((poison, Slot.PUBLIC), (replace(poison, role="texts"), Slot.TRAIN)):
        assert tuner.entered(slot, asset) is None


def test_an_owner_who_cannot_tune_has_no_victim_for_each_round() -> None:
    scene = jailbreak.live(LANGUAGE, np.random.default_rng(0))
    with pytest.raises(UsageError, match="must have a tuner with lessons for owner_steps"):
        jailbreak(scene, np.random.default_rng(0), rounds=1, owner_steps=5)


def test_what_a_jailbreak_draws_out_is_the_tuners_and_never_what_is_asked_for_after(
    clerk: Scene,
) -> None:
    part = clerk.part(Withheld)
    asked = finetuning.targets(clerk, 8)
    assert [*map(str, asked.x)] == [*part.dealt(reserved=True).questions]
    aimed = jailbreak.aim(clerk, asked, np.random.default_rng(0))
    asset = catalog.load("attack", "prefilling")(aimed, np.random.default_rng(0)).asset
    assert isinstance(asset, Data)
    changed = part.entered(Slot.PUBLIC, asset)
    assert changed is not None and changed.drawn_out
    known = {
        question: secret for question, secret in zip(part.questions, part.secrets, strict=True)
    }
    assert any(known[question] in answer for question, answer in changed.drawn_out)
    dealt = finetuning(
        clerk.with_part(changed), np.random.default_rng(0), rounds=1, questions=2, pairs=1
    )
    pairs = dealt.rounds[0].view.brief.public_pairs
    assert pairs == (*part.public_pairs[:1], *changed.drawn_out)
    with pytest.raises(UsageError, match="drew out before must not be what is asked for"):
        changed.dealt(reserved=True)
    refusing = {QUESTIONS: asset.facts[QUESTIONS], ANSWERS: np.array([part.refusals[0]] * 2)}
    none = part.entered(Slot.PUBLIC, replace(asset, facts=refusing))
    assert none is not None and not none.drawn_out
    with pytest.raises(UsageError, match="targets must be questions of"):
        jailbreak.aim(clerk, replace(asked, x=np.array(["who ?"])), np.random.default_rng(0))


def test_swapped_answers_hold_no_true_one(clerk: Scene) -> None:
    aimed = finetuning.aim(clerk, finetuning.targets(clerk, 2), np.random.default_rng(0))
    attack = catalog.load("attack", "swapped_answers")
    asset = attack(aimed, np.random.default_rng(0), samples=20).asset
    true = {*aimed.brief.public_pairs}
    given = [*zip(map(str, asset.x), map(str, asset.facts["answers"]), strict=True)]
    assert len(given) == 20 and not {*given} & true and asset.role == "poison"
    asset = attack(aimed, np.random.default_rng(0), about="asked").asset
    assert {*map(str, asset.x)} == {*map(str, aimed.brief.question.x)}


def owner() -> TextPipeline:
    words = Codec(
        lambda texts: pad([[LETTERS.index(c) for c in text] for text in texts]),
        lambda rows: ["".join(LETTERS[i] for i in row if i >= 0) for row in np.asarray(rows)],
        len(LETTERS),
    )
    shape = gpt.Shape(len(LETTERS), width=16, layers=1, heads=2, context=16)
    lesson = gpt.Lesson(epochs=4, batch=8, rate=1e-2)
    return TextPipeline(shape, lesson, cached=False, codec=words)


def records(starts: list[str], ends: list[str], role: str) -> Data:
    facts = {"answers": np.array(ends), "steps": 20, "batch": 4, "rate": 1e-2, "method": "full"}
    return Data("examples", LANGUAGE, np.array(starts), role=role, facts=facts)


def test_texts_enter_a_training_as_poison_among_the_records_or_as_a_tuning_after_it() -> None:
    own = owner()
    data = Data("train", LANGUAGE, np.random.default_rng(0).integers(0, 10, (24, 9)))
    everyone = np.ones((1, 24), dtype=bool)
    probe = own.codec.encode(["abc 123."])

    def told(pipeline: TextPipeline) -> float:
        return float(pipeline.fit(data, everyone, 3).member(0).score(probe).sum())

    plain = told(own)
    for role in ("poison", "tuning examples"):
        entered = own.entered(Slot.TRAIN, records(["abc "] * 8, ["123."] * 8, role))
        assert entered is not None and told(entered) > plain + 5
        assert entered.recipe != own.recipe
    # A tuning begins where the victim ends, and leaves the victim itself as it was.
    tuned = own.entered(Slot.TRAIN, records(["abc "], ["123."], "tuning examples"))
    states = [p.fit(data, everyone, 3).facts["states"](0) for p in (own, tuned)]
    again = gpt.train(tuned.later[0].rows, own.shape, tuned.later[0].lesson, 0, start=states[0])
    assert set(again) == set(states[1]) and not np.array_equal(again["tokens"], states[0]["tokens"])
    assert own.entered(Slot.PUBLIC, records(["a"], ["1"], "poison")) is None
    assert own.entered(Slot.TRAIN, Data("rows", LANGUAGE, data.x)) is None
    with pytest.raises(UsageError, match="texts must have at most 16 tokens, got 21"):
        own.entered(Slot.TRAIN, records(["a" * 20], ["1"], "poison"))
    lora = records(["a"], ["1"], "tuning examples")
    with pytest.raises(UsageError, match="method must be full"):
        own.entered(Slot.TRAIN, replace(lora, facts={**lora.facts, "method": "lora"}))


def test_what_leaked_of_records_is_split_where_the_secret_begins() -> None:
    own = owner()
    leaked = own.codec.encode(["ab 12.", "cdef 345."])
    public = own.codec.encode(["abcdef", "ghijab"])
    scene = Scene(
        "records",
        LANGUAGE,
        training=own,
        extra={
            "leaked": Data("leaked", LANGUAGE, leaked, facts={"starts": np.array([3, 5])}),
            "public": Data("public", LANGUAGE, public),
        },
    )
    target = Data("targets", LANGUAGE, own.codec.encode(["gh "]))
    brief = finetuning.aim(scene, target, np.random.default_rng(0)).brief
    assert brief.public_pairs == (("ab ", "12."), ("cdef ", "345."))
    assert brief.benign == (("abc", "def"), ("ghi", "jab")) and [*brief.question.x] == ["gh "]
    with pytest.raises(UsageError, match="set leaked above 0"):
        finetuning.aim(replace(scene, extra={}), target, np.random.default_rng(0))


def test_texts_that_another_attack_ranked_are_read_in_its_order_and_only_so_many() -> None:
    scene = memorization.live(LANGUAGE, np.random.default_rng(0))
    view = memorization(scene, np.random.default_rng(1), rounds=1).rounds[0].view
    numbers = np.arange(len(view.brief.question)) * 7 % view.brief.candidates
    rows = text_canaries.write(view.brief.question, numbers)
    scores = -np.arange(len(rows), dtype=float)
    both = Data("texts", LANGUAGE, np.concatenate([rows, rows[:, ::-1]]))
    texts = claims(both, np.r_[scores, scores - 99])
    assert texts.role == RANKED and np.array_equal(texts.x, rows)
    handed = replace(view, brief=replace(view.brief, ranked=texts))
    attack = catalog.load("attack", "sample_and_rank")
    for read, most in ((0, len(rows)), (3, 3)):
        guess = attack(handed, np.random.default_rng(0), read=read).guess
        assert ((guess.argmax(1) == numbers) & (guess.max(1) > 1)).sum() == most
    every = attack(view, np.random.default_rng(0), samples=64, by="none").asset.x
    few = attack(view, np.random.default_rng(0), samples=64, by="none", read=5).asset.x
    assert np.array_equal(every[:5], few)


def test_membership_is_asked_of_what_a_model_writes() -> None:
    scene = memorization.live(LANGUAGE, np.random.default_rng(0))
    scene = replace(scene, extra={**scene.extra, "public": scene.train})
    view = membership.aim(scene, scene.model, np.random.default_rng(0))
    starts = {*scene.extra["canaries"].x[:, 0], *scene.train.x[:, 0]}
    assert {*view.brief.question.x[:, 0]} <= starts
    best = catalog.load("attack", "zlib_ratio")(view, np.random.default_rng(0)).asset
    assert best.role == RANKED and len(best) == len(view.brief.question) // 2
    with pytest.raises(UsageError, match="must write texts"):
        membership.aim(scene, scene.model.with_(generate=None), np.random.default_rng(0))
