"""Class and gradient inversion: what is dealt, what judges read, what defenses change."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Data, Modality, Outcome, Settings
from hartley.core.brief import as_static_brief
from hartley.core.errors import RunError, UsageError
from hartley.defenses.signal.selena import Distilled
from hartley.engine.defend import as_static, defended
from hartley.engine.plan.applicability import unplayable
from hartley.engine.run.play import play
from hartley.games.inversion.class_inversion import class_inversion, evaluator, unlike
from hartley.games.inversion.gradient_inversion import (
    FederatedStep,
    federated,
    gradient_inversion,
)
from hartley.games.inversion.update_protection import Protection
from hartley.kit.fleet import Privacy, Training
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))


def _scene(rounds: int = 6, **changes):
    scene = gradient_inversion.live(Modality.VISION, np.random.default_rng(0))
    net = dense((1, 4, 4), 6, (48,))
    step = FederatedStep(**{"batches": (4,), "candidates": 16, "net": net, **changes})
    return replace(scene.with_part(step), settings=Settings({"gradient_inversion": rounds}))


def _play(name: str, scene, **more):
    return play(catalog.load("attack", name), scene, seed=0, **more)


def test_aimed_in_a_chain_a_server_reads_records_of_the_owner_with_their_labels() -> None:
    scene, rng = _scene(), np.random.default_rng(1)
    views = gradient_inversion.aim(scene, None, rng, rounds=5)
    assert [view.brief.batch for view in views] == [1] * 5
    attack = catalog.load("attack", "analytic_gradient")
    for view in views:
        rebuilt = attack(view, rng).asset
        gaps = np.abs(scene.train.x - rebuilt.x).max((1, 2, 3))
        assert gaps.min() < 1e-4 and rebuilt.y == scene.train.y[gaps.argmin()]
    assert len(gradient_inversion.aim(scene, None, rng, rounds=9999)) == len(scene.train)
    with pytest.raises(UsageError, match="federated step and labelled training records"):
        gradient_inversion.aim(replace(scene, parts=()), None, rng)


def test_aimed_in_a_chain_class_inversion_asks_about_every_output() -> None:
    scene = class_inversion.live(Modality.VISION, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    views = class_inversion.aim(scene, scene.model, rng)
    assert [int(view.brief.question.x[0, 0]) for view in views] == list(range(scene.model.classes))
    assert len({view.salt for view in views}) == 1 and views[0].brief.public.y is None
    with pytest.raises(UsageError, match="training records and a classifier"):
        class_inversion.aim(replace(scene, train=None), scene.model, rng)


def test_a_batch_of_two_comes_back_exactly_and_is_identified() -> None:
    wide = dense((1, 4, 4), 6, (128,))
    trials = _play("analytic_gradient", _scene(batches=(2,), net=wide))
    assert np.median(trials.metrics_by_round["psnr"]) > 80
    assert (trials.guess == trials.truth).mean() > 0.9
    assert trials.metrics["identified_without_target"] < 0.3
    assert measure(trials).bits.lower > 0.5


def test_metrics_are_told_by_the_size_of_the_batch() -> None:
    trials = _play("analytic_gradient", _scene(batches=(1, 2)))
    assert trials.metrics["psnr_batch_1"] > 90
    assert {"identified_batch_1", "identified_batch_2", "psnr_batch_2"} <= set(trials.metrics)


def test_the_null_is_never_the_attack_itself() -> None:
    """One batch size a round: the next round of that size would be the round itself."""
    scene = _scene(batches=(1, 2, 3, 4))
    null = "identified_without_target"
    several = _play("analytic_gradient", scene, game_params={"rounds": 4})
    assert several.metrics[null] < 0.5 < several.metrics["identified"]
    assert null not in _play("analytic_gradient", scene, game_params={"rounds": 1}).metrics


def test_gradients_of_other_records_tell_nothing() -> None:
    trials = _play("analytic_gradient", _scene(blind=True, rounds=12))
    assert measure(trials).bits.lower == 0
    assert trials.metrics["identified"] < 0.3


def test_nobody_is_told_labels_or_candidates() -> None:
    deal = gradient_inversion(_scene(), np.random.default_rng(0), rounds=2)
    view = deal.rounds[0].view
    assert view.brief.public.y is None
    known = {field.name for field in fields(view.brief)}
    assert known == {"gradient", "net", "batch", "classes", "public", "step"}
    assert view.brief.step is None
    assert not any(a.flags.writeable for a in view.brief.gradient.values())


def test_too_small_a_holdout_is_said_clearly() -> None:
    scene = _scene(batches=(64,))
    with pytest.raises(UsageError, match=r"at least 128 labelled holdout records .* got 96"):
        gradient_inversion(scene, np.random.default_rng(0))


def test_a_judge_takes_records_of_the_right_shape_only() -> None:
    deal = gradient_inversion(_scene(), np.random.default_rng(0), rounds=2)
    assert deal.judge is not None
    for x in (np.zeros((4, 1, 3, 3)), np.full((4, 1, 4, 4), np.nan)):
        wrong = Outcome(asset=Data("loot", Modality.VISION, x))
        with pytest.raises(RunError, match="rebuilt records"):
            deal.judge(deal.rounds, [wrong, wrong])


def test_trained_nets_can_be_dealt_and_differ_from_first_weights() -> None:
    deals = [
        gradient_inversion(_scene(epochs=e, net=None), np.random.default_rng(0), rounds=2)
        for e in (0, 80)
    ]
    first, later = (d.rounds[0].view.model for d in deals)
    held = _scene().holdout
    rates = [(m.query(held.x).argmax(1) == held.y).mean() for m in (first, later)]
    assert rates[1] > 0.9 > rates[0]


@pytest.mark.parametrize("name", ["gradient_noise", "gradient_compression"])
def test_a_protection_changes_what_is_released(name: str) -> None:
    scene = _scene(batches=(1,))
    part = catalog.load("defense", name)
    rng = np.random.default_rng
    clear, shown = (
        gradient_inversion(s, rng(3), rounds=1).rounds[0].view.brief.gradient
        for s in (scene, part(scene, rng(0), **part.strongest))
    )
    assert all(not np.array_equal(clear[n], shown[n]) for n in clear)
    plain = _play("analytic_gradient", scene)
    hidden = _play("analytic_gradient", part(scene, rng(0), **part.strongest), undefended=scene)
    assert hidden.metrics["psnr"] < plain.metrics["psnr"] - 20


def test_protections_stack_to_the_stricter_and_prove_what_holds() -> None:
    rng = np.random.default_rng(0)
    noise = catalog.load("defense", "gradient_noise")
    thin = catalog.load("defense", "gradient_compression")
    scene = defended(
        defended(defended(_scene(), noise, {"noise": 3.0}), thin, {"keep": 0.2}),
        noise,
        {"noise": 4.0},
    )
    assert scene.part(FederatedStep).protection == Protection(1.0, 5.0, 0.2)
    assert [d.name for d in scene.defenses].count("gradient_noise") == 2
    deal = gradient_inversion(scene, rng, rounds=1)
    assert [(b.kind, b.params["rho"]) for b in deal.bounds] == [("zcdp", pytest.approx(2 / 25))]


def test_who_knows_of_the_compression_reads_more() -> None:
    thin = catalog.load("defense", "gradient_compression")
    bare = _scene(batches=(1,), rounds=4)
    scene = defended(bare, thin, {"keep": 0.3})
    static, adaptive = (
        _play("dlg", scene, undefended=before, params={"restarts": 1}).metrics["psnr"]
        for before in (bare, None)
    )
    assert adaptive > static + 3


def test_outputs_are_permuted_anew_for_every_victim() -> None:
    scene = class_inversion.live(Modality.VISION, np.random.default_rng(0))
    deal = class_inversion(scene, np.random.default_rng(0), rounds=12)
    held = scene.holdout
    for one in deal.rounds:
        said = one.view.model.query(held.x).argmax(1)
        slot, identity = int(one.view.brief.question.x[0, 0]), int(one.truth[0])
        assert (said[held.y == identity] == slot).mean() > 0.9
        assert one.view.brief.public.y is None
    slots = {int(one.view.brief.question.x[0, 0]) for one in deal.rounds}
    assert len(slots) > 1 < len({int(one.truth[0]) for one in deal.rounds})
    assert not deal.cluster  # a victim a use


def test_the_judge_of_classes_reads_identity_and_evaluator() -> None:
    scene = class_inversion.live(Modality.VISION, np.random.default_rng(0))
    deal = class_inversion(scene, np.random.default_rng(0), rounds=3)
    held = scene.holdout
    assert deal.judge is not None
    outcomes = [
        Outcome(asset=Data("loot", Modality.VISION, held.x[held.y == one.truth[0]][:1]))
        for one in deal.rounds
    ]
    for one, got in zip(deal.rounds, deal.judge(deal.rounds, outcomes), strict=True):
        assert got.guess.tolist() == one.truth.tolist()
        assert got.metrics["evaluator_top1"] == 1.0
        assert got.metrics["victim_accuracy"] > 0.9
    two = Outcome(asset=Data("loot", Modality.VISION, held.x[:2]))
    with pytest.raises(RunError, match="one rebuilt record"):
        deal.judge(deal.rounds, [two] * 3)


def test_the_evaluator_is_of_another_architecture() -> None:
    scene = _scene()
    other = evaluator(scene, scene.holdout, 6)
    assert other.net.hidden != (48,)
    assert (other.query(scene.holdout.x)[0].argmax(1) == scene.holdout.y).mean() > 0.9


def test_contrast_identifies_nobody() -> None:
    rng = np.random.default_rng(0)
    record = rng.random((1, 4, 4))
    near = unlike(record, np.stack([0.1 * record + 0.4, 1 - record]))
    assert near == pytest.approx([0.0, 2.0], abs=1e-9)


def test_clients_take_the_owners_step_and_only_who_knows_is_told_it() -> None:
    scene = _defended("mid")
    deal, plain = (
        gradient_inversion(s, np.random.default_rng(0), rounds=1).rounds[0]
        for s in (scene, replace(scene, training=_pipeline()))
    )
    sent, bare = deal.view.brief.gradient, plain.view.brief.gradient
    assert set(sent) - set(bare) == {"spread.weight", "spread.bias"}
    assert not np.allclose(sent["1.weight"], bare["1.weight"])
    assert [one.name for one in deal.view.defenses] == ["mid"]
    assert plain.view.brief.step is None
    assert as_static_brief(deal.view.brief).step is None
    known = deal.view.brief.step
    assert known.step.recipe["objective"]["name"] == "Bottleneck"
    assert set(known.extra) == {"spread.weight", "spread.bias"}
    assert set(deal.view.model.weights()) == set(known.step.net.shapes)


def test_a_static_attacker_takes_the_step_by_what_is_deployed() -> None:
    deployed, bare = _defended("label_smoothing", amount=1.0), _trained()
    behind = defended(deployed, "gradient_compression", {"keep": 0.9})
    deal = gradient_inversion(behind, np.random.default_rng(0), rounds=1)
    smoothed, plain = (
        as_static(deal, before).rounds[0].view.brief.step for before in (deployed, bare)
    )
    assert smoothed.step.recipe == deal.rounds[0].view.brief.step.step.recipe != {}
    assert plain is None
    # Of a training that was added they know nothing: they take the client's step for the plain one.
    added = gradient_inversion(deployed, np.random.default_rng(0), rounds=1)
    assert as_static(added, bare).rounds[0].view.brief.step is None
    # The weights of a deployed objective are not sent once another training has replaced it.
    squeezed = _defended("mid")
    assert as_static(added, squeezed).rounds[0].view.brief.step is None


@pytest.mark.parametrize(
    ("name", "params"), [("mid", {"beta": 10.0}), ("label_smoothing", {"amount": 1.0})]
)
def test_who_takes_the_clients_own_step_rebuilds_what_a_plain_one_misses(name, params) -> None:
    bare, scene = _trained(), _defended(name, **params)
    static, adaptive = (
        _play("dlg", scene, undefended=before, params={"restarts": 1}).metrics["psnr"]
        for before in (bare, None)
    )
    assert adaptive > static + 20
    # A dense layer's gradient holds what it read, whatever is minimised behind it.
    assert _play("analytic_gradient", scene, undefended=bare).metrics["psnr"] > 80


def test_nets_are_trained_by_the_owners_objective_before_the_step() -> None:
    scene = _defended("mid", epochs=6)
    deal = gradient_inversion(scene, np.random.default_rng(0), rounds=2)
    known = deal.rounds[0].view.brief.step
    assert known.step.epoch == 6
    assert np.abs(known.extra["spread.bias"]).max() > 0


def test_private_steps_prove_what_one_record_can_tell() -> None:
    scene = _defended("label_smoothing")
    private = Privacy(noise=4.0, clip=0.5, rate=0.25, steps=8, expected=24.0)
    pipeline = replace(scene.training, objective=None, private=private)
    scene = replace(scene, training=pipeline)
    deal = gradient_inversion(scene, np.random.default_rng(0), rounds=1)
    assert [(b.kind, b.params["rho"], b.games) for b in deal.bounds] == [
        ("zcdp", pytest.approx(2 / 16), ("gradient_inversion",))
    ]
    assert _play("analytic_gradient", scene).metrics["psnr"] < 15
    trained = replace(scene.part(FederatedStep), epochs=3)
    scene = scene.with_part(trained)
    deal = gradient_inversion(scene, np.random.default_rng(0), rounds=1)
    assert deal.rounds[0].view.brief.step.step.private == private


def test_a_step_that_needs_everybodys_records_is_not_measured() -> None:
    entry = catalog.find("attack", "analytic_gradient")
    scene = _defended("label_smoothing")
    assert unplayable(entry, scene) is None
    scene = replace(scene, training=_pipeline(objective=Distilled(4, 2)))
    obstacle = unplayable(entry, scene)
    assert obstacle is not None
    assert "a client of federated learning does not have" in obstacle.reason
    assert federated(scene) is None


def _pipeline(**more) -> Pipeline:
    return Pipeline(dense((1, 4, 4), 6, (48,)), Training(epochs=1, batch=16), cached=False, **more)


def _trained(epochs: int = 0):
    """The scene with an owner's training."""
    scene = _scene(batches=(1,), net=None, epochs=epochs)
    return replace(scene, training=_pipeline())


def _defended(name: str, *, epochs: int = 0, **params):
    """The same, of which a defence changes the objective."""
    return defended(_trained(epochs), name, params)
