"""The extraction game: an independent model reads nothing, the victim itself reads everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction.gnn_extraction import gnn_extraction
from hartley.attacks.model_to_model.extraction.inductive_extraction import inductive_extraction
from hartley.attacks.model_to_model.extraction.jacobian_sampling import jacobian_sampling
from hartley.attacks.model_to_model.extraction.text_imitation import text_imitation
from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Model, Outcome, Output, Scene, Term, attack
from hartley.core.errors import BudgetSpent, RuleError, RunError, UsageError
from hartley.defenses.bandwidth.query_budget import query_budget
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games import nearest_learner
from hartley.games.extraction import head_extraction, head_fingerprint
from hartley.games.extraction.boundary import beside_the_boundary
from hartley.games.extraction.extraction import extraction, live, secret_labelling
from hartley.games.extraction.fingerprint import labels_of
from hartley.kit import kmeans


def _attack(build: Any, game: Any = extraction) -> Any:
    """An attack of an extraction game from a function view → copy."""

    def made(view: Any, rng: Any) -> Outcome:
        """Return what the test says."""
        return Outcome(asset=build(view))

    return attack(
        game=game,
        access=Access.SCORES,
        term=Term.BANDWIDTH,
        modalities=game.modalities,
        paper="hartley",
    )(made)


def _scene(kind: Any = live, modality: Modality = Modality.VISION) -> Scene:
    return kind(modality, np.random.default_rng(0))


def _itself(view: Any) -> Model:
    """A copy that stands on its own, of a victim that answers by its nearest record."""
    answers = view.model.query(view.brief.public.x)
    lesson = replace(view.brief.public, y=answers.argmax(1))
    fit = nearest_learner.trainer(lesson.modality, 4)
    return fit(lesson, np.ones((1, len(lesson)), dtype=bool), 0).member(0)


def test_a_true_copy_carries_all_and_a_stranger_nothing() -> None:
    scene = _scene()
    assert scene.model is not None
    stolen = play(_attack(_itself), scene)
    assert np.array_equal(stolen.truth, stolen.guess)
    assert stolen.metrics["fidelity"] == 1.0
    assert stolen.metrics["victim_carries"] == 1.0
    stranger = play(_attack(lambda view: scene.model), scene)
    assert measure(stranger).bits.lower == pytest.approx(0, abs=1e-9)
    assert stranger.metrics["fidelity"] == stranger.metrics["baseline"] < 0.5


def test_a_copy_that_forwards_to_the_victim_is_refused() -> None:
    with pytest.raises(RuleError, match="must be independent of the victim"):
        play(_attack(lambda view: view.model), _scene())


def test_judged_records_were_never_seen_by_victim_or_attacker() -> None:
    scene = _scene()
    taught: list[Data] = []
    fit = scene.fit
    assert fit is not None

    def watched(data: Data, include: Any, seed: int) -> Any:
        taught.append(data)
        assert np.all(include.sum(0) == 1), "each record teaches one victim"
        return fit(data, include, seed)

    asked: list[Any] = []

    def spy(view: Any) -> Model:
        return replace(view.model, query=lambda x: (asked.append(x), np.eye(4)[[0] * len(x)])[1])

    planted = secret_labelling(replace(scene, fit=watched), np.random.default_rng(0), 3)
    planted.read(spy(deal(_attack(spy), scene, seed=0).rounds[0].view), 0)
    seen = {row.tobytes() for row in taught[0].x} | {r.tobytes() for r in scene.extra["public"].x}
    (probes,) = asked
    assert len(probes) >= 16
    assert not seen & {row.tobytes() for row in probes}


def test_labels_are_uniform_and_differ_between_rounds() -> None:
    planted = secret_labelling(_scene(), np.random.default_rng(0), 100)
    counts = np.bincount(planted.truth.reshape(-1), minlength=4)
    assert planted.truth.shape == (100, 16)
    assert np.all(abs(counts - 400) < 5 * np.sqrt(400 * 0.75))
    assert not np.array_equal(planted.truth[0], planted.truth[1])


def test_the_rules_limit_the_queries_of_each_victim_and_a_new_attack_starts_afresh() -> None:
    scene = _scene()

    def asks(n: int) -> Any:
        def build(view: Any) -> Model:
            view.model.query(view.brief.public.x[:n])
            view.model.query(view.brief.public.x[:n])
            return scene.model

        return _attack(build)

    table = deal(asks(5), scene, seed=0, params={"queries": 10})
    for _ in range(2):  # the same deal serves several attacks, each with its own budget
        trials = play(asks(5), scene, dealt=table)
        assert trials.metrics["queries"] == 10
        assert trials.metrics["symbols_per_query"] == pytest.approx(16 / 10)
        with pytest.raises(BudgetSpent, match="at most 10 records per victim"):
            play(asks(6), scene, dealt=table)


def test_who_asked_nothing_has_no_symbols_a_query() -> None:
    scene = _scene()
    metrics = play(_attack(lambda view: scene.model), scene, game_params={"rounds": 2}).metrics
    assert metrics["queries"] == 0 and "symbols_per_query" not in metrics


@pytest.mark.parametrize(
    ("one", "modality"),
    [
        (text_imitation, Modality.LANGUAGE),
        (gnn_extraction, Modality.GRAPH),
        (inductive_extraction, Modality.GRAPH),
    ],
)
def test_who_sees_a_budget_an_account_uses_all_accounts(one: Any, modality: Modality) -> None:
    rules: Any = {"rounds": 1, "accounts": 4, "queries": 60}
    for shared, asked in ((False, 20), (True, 5)):
        scene = defended(_scene(modality=modality), query_budget, {"queries": 5, "shared": shared})
        trials = play(one, scene, seed=0, params={**one.light, "steps": 5}, game_params=rules)
        assert trials.metrics["queries"] == asked


def test_a_small_number_of_queries_still_moves_records_along_gradients() -> None:
    scene = _scene()
    held = {row.tobytes() for row in scene.extra["public"].x}
    view = (
        deal(jacobian_sampling, scene, seed=0, params={"rounds": 1, "queries": 60}).rounds[0].view
    )
    rows: list[Any] = []
    model = view.model

    def query(x: Any) -> Any:
        rows.extend(x)
        return model.query(x)

    watched = replace(view, source=replace(model, query=query))
    jacobian_sampling.run(watched, np.random.default_rng(0), steps=5)
    assert len(rows) == 60 and sum(row.tobytes() in held for row in rows) == 20


def test_without_a_pool_it_says_what_is_missing() -> None:
    bare = replace(_scene(), extra={"public": _scene().extra["public"]})
    with pytest.raises(UsageError, match="has no pool"):
        play(_attack(lambda view: view.model), bare)


def _span(view: Any) -> Model:
    """The column space of the logits: the head in a basis of its own."""
    answers = view.model.query(view.brief.public.x)
    _, sizes, ways = np.linalg.svd(answers, full_matrices=False)
    width = int((sizes > 1e-9 * sizes[0]).sum())
    return replace(view.model, weights=lambda: {"head": ways[:width].T})


def test_a_head_is_read_in_any_basis() -> None:
    heads = head_extraction.head_extraction
    trials = play(_attack(_span, heads), _scene(heads.live, Modality.LANGUAGE))
    assert np.array_equal(trials.truth, trials.guess)
    assert trials.metrics["fidelity"] == pytest.approx(1, abs=1e-6)
    assert trials.metrics["baseline"] < 0.99
    nothing = play(_attack(_span, heads), _scene(heads.dead, Modality.LANGUAGE))
    assert measure(nothing).bits.lower == pytest.approx(0, abs=1e-9)


def test_a_loot_without_a_head_is_read_as_erasures() -> None:
    heads = head_extraction.head_extraction
    scene = _scene(heads.live, Modality.LANGUAGE)
    trials = play(_attack(lambda view: scene.model, heads), scene)
    assert np.all(trials.guess == -1)


def test_heads_survive_any_change_of_basis_but_not_a_stranger() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((60, 5))
    rows, ways = np.arange(10), rng.standard_normal((10, 5))
    symbols = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    unit = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    head = head_fingerprint.plant(base, rows, unit, symbols, alphabet=4, step=0.5)
    turned = head @ rng.standard_normal((5, 5))
    told = {"alphabet": 4, "step": 0.5}
    assert np.array_equal(head_fingerprint.read(turned, base, rows, unit, **told), symbols)
    assert set(head_fingerprint.read(base, base, rows, unit, **told).tolist()) <= {1, 2}
    assert np.all(head_fingerprint.read(turned[:30], base, rows, unit, **told) == -1)


def test_regions_are_full_and_follow_the_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = 10 * rng.standard_normal((6, 3))
    kind = np.tile(np.arange(6), 20)
    place = kmeans.split(centres[kind] + 0.1 * rng.standard_normal((120, 3)), 6, rng)
    assert np.array_equal(np.bincount(place), [20] * 6)
    assert len({(a, b) for a, b in zip(kind, place, strict=True)}) == 6
    with pytest.raises(ValueError, match="regions must be at most"):
        kmeans.split(centres, 7, rng)


@pytest.mark.parametrize(
    ("count", "shared", "answered"), [(1, False, 3), (4, False, 12), (4, True, 3)]
)
def test_a_budget_an_account_is_no_budget_of_a_group_unless_they_share_it(
    count: int, shared: bool, answered: int
) -> None:
    scene = query_budget(_scene(), np.random.default_rng(0), queries=3, shared=shared)

    def build(view: Any) -> Model:
        answers = np.concatenate(
            [view.model.query(x) for x in np.split(view.brief.public.x[:20], 4)]
        )
        assert view.brief.accounts == count
        assert (np.ptp(answers, axis=1) > 0).sum() == answered  # a refusal is the uniform row
        return scene.model

    rules = {"rounds": 2, "accounts": count, "queries": 20}
    assert play(_attack(build), scene, game_params=rules).metrics["queries"] == 20


def test_records_beside_the_boundary_lie_where_the_label_changes() -> None:
    data = Data("line", Modality.TABULAR, np.random.default_rng(0).random((50, 3)).astype("f4"))

    def label(x: Any) -> Any:
        return (x[:, 0] > 0.3).astype(int) + (x[:, 0] > 0.7)

    beside = beside_the_boundary(label, data, np.random.default_rng(1), pairs=100, halvings=10)
    assert beside is not None
    x, labels = beside
    assert np.array_equal(label(x), labels) and len(x) == len(labels) > 60
    assert np.minimum(abs(x[:, 0] - 0.3), abs(x[:, 0] - 0.7)).max() < 1e-3
    one_side = np.zeros(50, int)
    assert beside_the_boundary(lambda x: one_side[: len(x)], data, np.random.default_rng(1)) is None


def test_a_victim_that_changes_its_answers_is_measured() -> None:
    scene, rng = _scene(), np.random.default_rng(0)
    fit = scene.fit
    assert fit is not None

    def fickle(data: Data, include: Any, seed: int) -> Any:
        trained = fit(data, include, seed)

        def member(k: int) -> Model:
            model = trained.member(k)
            return model.with_(query=lambda x: np.roll(model.query(x), rng.random() < 0.5, axis=1))

        return replace(trained, member=member)

    steady = play(_attack(lambda view: scene.model), scene, game_params={"rounds": 8})
    moving = replace(scene, fit=fickle)
    changed = play(_attack(lambda view: scene.model), moving, game_params={"rounds": 8})
    assert steady.metrics["victim_repeats"] == 1.0
    assert 0 < changed.metrics["victim_repeats"] < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: _with(s, pool=_first(s.extra["pool"], 8)),
            "the pool must have 32 records or more",
        ),
        (lambda s: _with(s, public=_first(s.extra["public"], 0)), "must have records to query"),
        (lambda s: _with(s, public=_flat(s.extra["public"])), "the shape of the pool's"),
        (lambda s: replace(s, model=s.model.with_(classes=1)), "two classes or more"),
    ],
)
def test_records_that_do_not_fit_are_named_in_one_line(change: Any, message: str) -> None:
    scene = live(Modality.VISION, np.random.default_rng(0))
    with pytest.raises(UsageError, match=message):
        extraction(change(scene), np.random.default_rng(0), rounds=2)


def _with(scene: Scene, **parts: Data) -> Scene:
    return replace(scene, extra={**scene.extra, **parts})


def _first(data: Data, n: int) -> Data:
    return replace(data, x=data.x[:n], y=data.labels[:n])


def _flat(data: Data) -> Data:
    return replace(data, x=data.x.reshape(len(data), -1)[:, :3])


@pytest.mark.parametrize(
    ("output", "answers"),
    [
        (Output.LABELS, np.array([0, 7])),
        (Output.LABELS, np.array([0.5, 1.0])),
        (Output.EMBEDDINGS, np.zeros((2, 4))),
    ],
)
def test_a_copy_that_answers_in_no_labels_of_the_victim_is_refused(
    output: Output, answers: Any
) -> None:
    copy = Model("copy", Modality.VISION, lambda x: answers, output, 4)
    with pytest.raises(RunError, match="copy"):
        labels_of(copy, np.zeros((2, 3)))


def test_a_copy_that_gives_no_label_casts_no_vote() -> None:
    scene = live(Modality.VISION, np.random.default_rng(0))
    planted = secret_labelling(scene, np.random.default_rng(0), 1)
    silent = Model(
        "silent", Modality.VISION, lambda x: np.full(len(x), -1), Output.LABELS, planted.alphabet
    )
    assert (planted.read(silent, 0) == -1).all()
