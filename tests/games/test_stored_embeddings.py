"""Stored embeddings, and the matchers that judge what is read from them."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Access, Data, Modality, Outcome
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion.embedding_inversion import (
    StoredEmbeddings,
    dead,
    embedding_inversion,
    live,
)
from hartley.games.inversion.matching import Spectra, Texts, token_f1

PLAYED = (Modality.LANGUAGE, Modality.AUDIO, Modality.PAIRED)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_token_f1_by_hand() -> None:
    a = np.array([[1, 2, 3, -1], [4, 4, 5, 6]])
    b = np.array([[2, 3, 9, 9], [4, 4, 4, -1]])
    assert np.allclose(token_f1(a, b), [[4 / 7, 0], [0, 4 / 7]])


def test_rare_words_identify_and_common_ones_do_not() -> None:
    secret = np.array([[1, 10, 20], [1, 10, 21], [1, 11, 22], [1, 12, 23]])
    match = Texts(secret)
    rows, truth = np.arange(4), np.array([2, 0, 3])
    said, usual = match(np.array([[1, 22, -1], [1, 10, 20], [90, 91, -1]]), rows, truth)
    assert said.tolist() == [2, 0, -1], "what shares no word with any is erased"
    assert usual["exact_match"] == pytest.approx(1 / 3)
    assert usual["token_f1"] == pytest.approx((0.8 + 1 + 0) / 3)
    # Order settles a tie of words.
    turned = Texts(np.array([[1, 2, 3], [3, 2, 1]]))
    assert turned(np.array([[3, 2, 1]]), np.arange(2), np.array([1]))[0].tolist() == [1]
    with pytest.raises(RunError, match="integer"):
        match(np.zeros((3, 3)), rows, truth)


def test_spectra_are_matched_by_mean_and_spread() -> None:
    clips = _rng().random((6, 1, 4, 30)) * _rng(1).random((6, 1, 4, 1))
    match = Spectra(clips, np.arange(6) % 2, lambda x: np.zeros(len(x)))
    shuffled = _rng(2).permuted(clips[[4, 1]], axis=3)
    said, usual = match(shuffled, np.arange(6), np.array([4, 1]))
    assert said.tolist() == [4, 1] and usual["distortion"] < 1e-12
    assert usual["attribute"] == 0.5
    with pytest.raises(RunError, match="bands"):
        match(clips[:, :, :3], np.arange(6), np.arange(6))


@pytest.mark.parametrize("modality", PLAYED)
def test_a_deal_hands_over_what_is_stored_and_nothing_of_the_secret(modality) -> None:
    scene = live(modality, _rng())
    store = scene.part(StoredEmbeddings)
    one, other = (embedding_inversion(scene, _rng(3)) for _ in range(2))
    for a, b in zip(one.rounds, other.rounds, strict=True):
        assert np.array_equal(a.truth, b.truth)
        assert np.array_equal(a.view.brief.question.x, b.view.brief.question.x)
        assert a.view.model.offers & Access.EMBEDDINGS
        assert len(a.view.brief.known) == store.known
    owned = {row.tobytes() for row in store.public.x}
    assert not any(row.tobytes() in owned for row in store.secret.x)
    cold = dead(modality, _rng()).part(StoredEmbeddings)
    model = scene.model
    warm = store.stored(model, store.secret.x[:8])
    assert not np.allclose(cold.stored(model, store.secret.x[:8]), warm)


def test_the_truth_identifies_everybody_and_another_text_nobody() -> None:
    scene = live(Modality.LANGUAGE, _rng())
    store = scene.part(StoredEmbeddings)
    deal = embedding_inversion(scene, _rng(), rounds=3)
    stored = store.stored(scene.model, store.secret.x)

    def told(rows: np.ndarray) -> list[Outcome]:
        return [Outcome(asset=Data("told", Modality.LANGUAGE, x)) for x in rows]

    true = [
        store.secret.x[[int(np.abs(stored - e).sum(1).argmin()) for e in one.view.brief.question.x]]
        for one in deal.rounds
    ]
    judged = deal.judge(deal.rounds, told(true))
    assert all((j.guess == r.truth).all() for j, r in zip(judged, deal.rounds, strict=True))
    assert all(j.metrics["exact_match"] == 1 for j in judged)
    assert np.mean([j.metrics["identified_without_target"] for j in judged]) < 0.2
    blind = [store.public.x[: len(one.truth)] for one in deal.rounds]
    assert np.mean([j.metrics["identified"] for j in deal.judge(deal.rounds, told(blind))]) < 0.2
    with pytest.raises(RunError, match="one per stored embedding"):
        deal.judge(deal.rounds, told([x[:3] for x in true]))


def test_a_scene_that_cannot_is_told_why() -> None:
    from dataclasses import replace

    scene = live(Modality.LANGUAGE, _rng())
    tool = replace(scene.part(StoredEmbeddings), number=5000)
    with pytest.raises(UsageError, match="candidates"):
        embedding_inversion(scene.with_part(tool), _rng())
