"""The encoder game: a copy in any space reads as the victim, and a stranger reads nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction._shared.account_spaces import answered
from hartley.channel.measure import measure
from hartley.core import Access, Modality, Model, Outcome, Output, Term, attack
from hartley.core.errors import RunError, UsageError
from hartley.defenses.noise.b4b import b4b
from hartley.defenses.signal.embedding_rotation import embedding_rotation
from hartley.engine.defend import defended
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.play import deal, play
from hartley.games.extraction.encoder_extraction import (
    EmbeddingEndpoint,
    encoder_extraction,
    live,
    secret_likenesses,
)

BOTH = (Modality.VISION, Modality.PAIRED)


def _thief(build: Any) -> Any:
    def made(view: Any, rng: Any) -> Outcome:
        """Return what the test says."""
        return Outcome(asset=build(view, rng))

    return attack(
        game=encoder_extraction, access=Access.EMBEDDINGS, term=Term.BANDWIDTH,
        modalities=BOTH, paper="hartley",
    )(made)  # fmt: skip


def _scene(modality: Modality = Modality.VISION) -> Any:
    return live(modality, np.random.default_rng(0))


def _remembered(x: Any, answers: Any, modality: Modality) -> Model:
    """A copy that answers as it was answered about the nearest record that was asked."""
    flat = x.reshape(len(x), -1)

    def query(new: Any) -> Any:
        apart = ((new.reshape(len(new), 1, -1) - flat[None]) ** 2).sum(2)
        return answers[apart.argmin(1)]

    width = answers.shape[1]
    return Model("memory", modality, query, Output.EMBEDDINGS, width, offers=Access.EMBEDDINGS)


def _memory(view: Any, rng: Any) -> Model:
    return _remembered(*answered(view, rng), view.brief.public.modality)


@pytest.mark.parametrize("modality", BOTH)
def test_a_copy_has_all_symbols_in_any_space_and_a_stranger_none(modality: Modality) -> None:
    scene = _scene(modality)
    copied = play(_thief(_memory), scene, game_params={"rounds": 6})
    assert np.array_equal(copied.guess, copied.truth)
    assert copied.metrics["same_space"] > 0.95 and copied.metrics["victim_carries"] == 1
    turned = play(_thief(_memory), defended(scene, embedding_rotation), game_params={"rounds": 6})
    assert np.array_equal(turned.guess, turned.truth), "its cosines are the victim's"
    assert abs(turned.metrics["same_space"]) < 0.5
    stranger = play(_thief(lambda view, rng: scene.model), scene, game_params={"rounds": 6})
    assert measure(stranger).bits.lower == pytest.approx(0, abs=1e-9)
    assert stranger.metrics["fidelity"] == stranger.metrics["baseline"] < 0.9


def test_likenesses_are_uniform_over_the_anchors_and_probes_are_nobodys() -> None:
    scene, taught = _scene(), []
    fit = scene.fit

    def watched(data: Any, include: Any, seed: int) -> Any:
        taught.append(data)
        return fit(data, include, seed)

    planted = secret_likenesses(replace(scene, fit=watched), np.random.default_rng(0), 200)
    assert planted.truth.shape == (200, 12) and planted.alphabet == 4
    counts = np.bincount(planted.truth.reshape(-1), minlength=4)
    assert np.all(abs(counts - 600) < 5 * np.sqrt(600 * 0.75))
    asked: list[Any] = []
    spy = replace(scene.model).with_(query=lambda x: (asked.append(x), np.zeros((len(x), 4)))[1])
    assert np.all(planted.read(spy, 0) == -1), "a copy without a direction is an erasure"
    seen = {row.tobytes() for row in [*taught[0].x, *scene.extra["public"].x]}
    assert len(asked[0]) >= 16 and not seen & {row.tobytes() for row in asked[0]}


def test_a_loot_or_a_model_of_another_kind_is_refused_in_one_line() -> None:
    scene = _scene()
    labels = scene.model.with_(output=Output.LOGITS)
    with pytest.raises(RunError, match="must answer with embeddings, got logits"):
        play(_thief(lambda view, rng: labels), scene, game_params={"rounds": 2})
    with pytest.raises(UsageError, match="must answer with embeddings, got logits"):
        deal(_thief(_memory), replace(scene, model=labels), seed=0)


def _views(scene: Any, **rules: Any) -> Any:
    dealt = deal(_thief(_memory), scene, seed=0, params={"rounds": 1, **rules})
    return seal(dealt.rounds[0].view, Access.EMBEDDINGS, Meter())


def test_noise_grows_with_coverage_and_the_owner_gets_none() -> None:
    scene = _scene()
    # Clusters of 12 records: the first 12 are one of 16 directions, all 192 are all of them.
    order = np.argsort(scene.extra["public"].y, kind="stable")
    x = scene.extra["public"].x[order]
    behind = defended(scene, b4b, {"covered": 0.9, "noise": 2.0, "spaces": False})
    view = _views(behind)
    clean = deal(_thief(_memory), scene, seed=0, params={"rounds": 1}).rounds[0].view.model.query(x)
    got = view.model.query(x)
    error = np.linalg.norm(got - clean, axis=1)
    assert error[:12].max() < 1e-3 < 0.5 < error[-12:].mean()
    assert np.all(np.diff([error[:60].mean(), error[60:120].mean(), error[120:].mean()]) > 0)
    again = view.model.query(x[:12])
    assert np.linalg.norm(again - clean[:12], axis=1).mean() > 0.5, "what is covered stays covered"
    assert np.allclose(behind.model.query(x), scene.model.query(x)), "the owner has no account"


def test_each_account_has_a_space_and_one_who_knows_it_joins_them() -> None:
    scene = _scene()
    behind = defended(scene, b4b, {"noise": 0.0})
    view = _views(behind, queries=160, accounts=4)
    plain = deal(_thief(_memory), scene, seed=0, params={"rounds": 1}).rounds[0].view.model
    x, got = answered(view, np.random.default_rng(0))
    want = plain.query(x)
    cosines = got @ got.T
    assert len(x) > 80 and np.allclose(cosines, want @ want.T, atol=1e-9), "one space for all"
    blind = replace(_views(behind, queries=160, accounts=4), defenses=())
    x, got = answered(blind, np.random.default_rng(0))
    want, own = plain.query(x), got @ got.T
    gap = abs(own - want @ want.T)
    assert np.allclose(gap[::4, ::4], 0, atol=1e-9), "answers of one account"
    assert gap[::4, 1::4].mean() > 0.2, "answers of different accounts"
    linked = _views(defended(scene, b4b, {"noise": 0.0, "shared": True}), queries=160, accounts=4)
    x, got = answered(linked, np.random.default_rng(0))
    want = plain.query(x)
    assert len(x) == 160 and np.allclose(got @ got.T, want @ want.T, atol=1e-9)


def test_an_account_without_a_space_of_its_own_spends_nothing_on_joining() -> None:
    view = _views(defended(_scene(), b4b, {"spaces": False}), queries=160, accounts=4)
    x, _ = answered(view, np.random.default_rng(0))
    assert len(x) == 160


def test_accounts_that_are_linked_have_their_coverage_counted_together() -> None:
    scene = _scene()
    clean = deal(_thief(_memory), scene, seed=0, params={"rounds": 1}).rounds[0].view.model
    errors = {}
    for shared in (False, True):
        params = {"covered": 0.9, "noise": 2.0, "spaces": False, "shared": shared}
        view = _views(defended(scene, b4b, params), queries=160, accounts=8)
        x = view.brief.public.x[np.random.default_rng(0).permutation(192)[:120]]
        got = np.concatenate([view.model.query(part) for part in np.split(x, 12)])
        errors[shared] = np.linalg.norm(got - clean.query(x), axis=1)
    # Eight accounts with 15 records each cover less than one account with 120.
    assert errors[True][-40:].mean() > 1.4 * errors[False][-40:].mean()


def test_pictures_and_captions_still_match_in_an_account_of_their_own() -> None:
    scene = _scene(Modality.PAIRED)
    view = _views(defended(scene, b4b, {"noise": 0.0}))
    plain = deal(_thief(_memory), scene, seed=0, params={"rounds": 1}).rounds[0].view.model
    x = scene.extra["public"].x[:40]
    part = scene.part(EmbeddingEndpoint)
    a, b = part.halves(view.model.query(x))
    c, d = part.halves(plain.query(x))
    assert np.allclose(a @ b.T, c @ d.T, atol=1e-9) and not np.allclose(a, c, atol=0.1)
