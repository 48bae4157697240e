"""The language scenes: a tiny transformer against plain oracles, and the real chat model."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.attacks.model_to_model.extraction.last_layer import last_layer
from hartley.core import Scene
from hartley.core.errors import UsageError
from hartley.data.language import novel
from hartley.engine.run.play import deal, play
from hartley.games.memorization.text_canaries import write
from hartley.kit.answer_units import log_probabilities
from hartley.kit.language import gpt, text
from hartley.scenes._assemble_language import distinct
from hartley.scenes.novels import COPIES, novels
from hartley.testing import check_model

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield novels(records=64, secrets=4, digits=2, epochs=3)


def test_the_scene_is_what_it_says(small: Scene) -> None:
    assert small.train is not None and small.holdout is not None and small.model is not None
    rows = {row.tobytes() for row in small.train.x}
    for other in (small.holdout, small.extra["test"], small.extra["public"]):
        assert not rows & {row.tobytes() for row in other.x}
    assert 900_000 < small.facts["parameters"] < 1_200_000
    check_model(small.model, small.extra["test"].x[:6])
    assert small.digest == novels(records=64, secrets=4, digits=2, epochs=3).digest
    assert small.digest != novels(records=64, secrets=5, digits=2, epochs=3).digest
    uniform = -np.log(small.model.classes)
    assert small.utility is not None and small.utility(small)["nats_per_token"] > uniform + 0.5


def test_the_pool_is_what_the_coin_dealt(small: Scene) -> None:
    pool = small.extra["pool"]
    rows = [row.tobytes() for row in pool.x]
    dealt = {row.tobytes() for row in np.concatenate([small.train.x, small.holdout.x])}
    assert len(rows) == len(set(rows)) == 64 and set(rows) == dealt
    words = text.byte_pair(novel())
    sizes = [len(zlib.compress(words.decode(row).encode())) for row in pool.x[:5].tolist()]
    assert pool.facts["zlib"][:5].tolist() == sizes
    half = np.arange(64) % 2 == 0
    again = small.model.fit(pool, half[None], 1).member(0)
    assert again.fit is not None and again.score(pool.x).shape == (64, 31)


def test_leaked_records_are_learnt_with_their_copies_and_much_is_forgotten_after(
    small: Scene,
) -> None:
    scene = novels(records=64, secrets=4, digits=2, epochs=1, leaked=2, later=8)
    words, leaked = text.byte_pair(novel()), scene.extra["leaked"]
    told = [words.decode(row) for row in leaked.x.tolist()]
    assert all(" keeps the number " in line for line in told) and len(set(told)) == 2
    assert not any(words.decode(row) in line for row in small.extra["canaries"].x for line in told)
    rows = [tuple(i for i in row if i >= 0) for row in scene.train.x.tolist()]
    copies = [rows.count(tuple(i for i in row if i >= 0)) for row in leaked.x.tolist()]
    assert copies == [COPIES, COPIES] and len(rows) == len(small.train) + 2 * COPIES
    (later,) = scene.training.later
    assert later.rows.shape == (8, 32) and not {*map(tuple, later.rows)} & {*rows}
    assert scene.digest != small.digest and "leaked" not in small.extra
    with pytest.raises(UsageError, match="must be at most 64 in all, got 66"):
        novels(secrets=64, leaked=2)
    with pytest.raises(UsageError, match=r"must be at most the \d+ passages left, got 9999999"):
        novels(later=9_999_999)


def test_passages_that_repeat_a_run_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2000, (6, 20))
    rows[3, 5:13] = rows[0, 1:9]  # eight tokens in a row
    rows[4, 5:12] = rows[1, 1:8]  # seven
    assert np.array_equal(distinct(rows), rows[[0, 1, 2, 4, 5]])
    short = np.full((3, 12), -1)
    short[:, :4] = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4]]
    assert np.array_equal(distinct(short), short[:2])


def test_what_was_read_before_is_started_from(small: Scene) -> None:
    rows = small.train.x[:16]
    shape = gpt.Shape(vocabulary=small.model.classes, width=16, layers=1, heads=2)
    first = gpt.train(rows, shape, gpt.Lesson(epochs=1), 0)
    still = gpt.train(rows, shape, gpt.Lesson(epochs=1, rate=0.0), 1, start=first)
    assert all(np.array_equal(first[name], still[name]) for name in first)


def test_shared_beginnings_change_no_answer(small: Scene) -> None:
    model = small.model
    rng = np.random.default_rng(0)
    prefixes = small.extra["canaries"].x
    tails = text.pad([list(rng.integers(0, 900, n)) for n in rng.integers(1, 6, 40)])
    rows = text.append(np.repeat(prefixes, 10, axis=0), tails)
    rows = rows[rng.permutation(len(rows))]
    alone = [r[r >= 0][None] for r in rows]
    assert np.allclose(
        model.query(rows), np.concatenate([model.query(r) for r in alone]), atol=1e-4
    )
    scores = model.score(rows)
    for row, got in zip(alone, scores, strict=True):
        assert np.allclose(got[: row.shape[1] - 1], model.score(row)[0], atol=1e-4)
        assert (got[row.shape[1] - 1 :] == 0).all()


def test_scores_are_the_logarithms_of_the_next_token(small: Scene) -> None:
    rows = small.extra["test"].x[:3]
    told = small.model.score(rows)
    for at in range(1, rows.shape[1]):
        said = log_probabilities(small.model.query(rows[:, :at]), small.model.output)
        assert np.allclose(told[:, at - 1], said[np.arange(3), rows[:, at]], atol=1e-4)


def test_generation_is_greedy_or_seeded(small: Scene) -> None:
    model, rows = small.model, small.extra["test"].x[:3, :8]
    greedy = model.generate(rows, 3, -1)
    assert (greedy[:, 0] == model.query(rows).argmax(1)).all()
    drawn = model.generate(np.repeat(rows, 8, axis=0), 3, 5)
    assert (drawn == model.generate(np.repeat(rows, 8, axis=0), 3, 5)).all()
    assert (drawn != model.generate(np.repeat(rows, 8, axis=0), 3, 6)).any()


def test_training_repeats_and_minds_its_seed() -> None:
    rows = np.random.default_rng(0).integers(0, 40, (24, 10))
    shape, lesson = gpt.Shape(vocabulary=40, width=16, layers=1, heads=2), gpt.Lesson(epochs=2)
    first, again, other = (gpt.train(rows, shape, lesson, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert any(not np.array_equal(first[k], other[k]) for k in first)


def test_exposure_is_the_likelihood_of_whole_strings(small: Scene) -> None:
    """The digit tree adds up to what the model says of each complete candidate."""
    table = deal(exposure, small, seed=0, params={"rounds": 1, "repeats": 1})
    view = table.rounds[0].view
    guess = exposure(view, np.random.default_rng(0)).guess
    canaries = small.extra["canaries"]
    sizes = text.lengths(canaries.x)
    for secret in (0, 7, 42, 99):
        rows = write(canaries, np.full(len(canaries), secret))
        scores = view.model.score(rows)
        for i, size in enumerate(sizes):
            whole = scores[i, size - 1 : size + 1].sum()
            assert guess[i, secret] == pytest.approx(whole, abs=1e-3)


def test_last_layer_recovers_width_and_head_exactly(small: Scene) -> None:
    table = deal(last_layer, small, seed=0, params={"rounds": 2})
    loot = last_layer(table.rounds[0].view, np.random.default_rng(0)).asset
    assert loot.facts["hidden size"] == 128
    trials = play(last_layer, small, seed=0, dealt=table)
    assert (trials.guess == trials.truth).all() and trials.metrics["fidelity"] > 0.999
    quiet = small.utility(small)["nats_per_token"]
    marked = table.rounds[0].view.model
    rows = small.extra["test"].x
    assert marked.score(rows).mean() == pytest.approx(quiet, abs=0.01)


@pytest.mark.slow
@pytest.mark.pack
def test_the_chat_model_reads_as_its_reference(need_pack: Callable[[str], Path]) -> None:
    """The same text as the GGUF loader of transformers gave: 2.598436 nats a token."""
    need_pack("smollm2")
    from hartley.models import smollm
    from hartley.targets.huggingface import from_network

    words = smollm.words()
    model = from_network(smollm.network("float32"), name="smollm2")
    genesis = (
        "In the beginning God created the heaven and the earth. And the earth was without form, "
        "and void; and darkness was upon the face of the deep."
    )
    row = np.array([words.encode(genesis)])
    # Kept in bfloat16, the weights move it by 0.0065; a wrong order of rows moves it by nats.
    assert -model.score(row).mean() == pytest.approx(2.598436, abs=1e-2)
    stem = words.encode("Ada keeps the number ")
    rows = np.array([[*stem, *words.encode(n)] for n in ("471", "472", "930")])
    alone = np.concatenate([model.score(r[None]) for r in rows])
    assert np.allclose(model.score(rows), alone, atol=1e-3)
