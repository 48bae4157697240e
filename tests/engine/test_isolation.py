"""Attacks in a process of their own: the same results, and no way to the truth or to the engine."""

from __future__ import annotations

import itertools
import os
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Experiment, Stage
from hartley.engine.chain import stages_of
from hartley.engine.run import executor, processes
from hartley.engine.run.attack_process import AttackProcess, Isolation
from hartley.engine.run.play import checked_play, play_rounds
from hartley.engine.run.player import Player
from hartley.store import trials_from_bytes
from hartley.testing.shared_plays import game_scene, shared_deal

PLUGIN = '''
"""Attacks that nobody should trust."""

import ctypes
import gc
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np

from hartley.core import Access, Modality, Outcome, Round, Term, attack
from hartley.games.membership.membership import membership
from hartley.games.watermark.watermark import watermark


class Bomb:
    def __reduce__(self):
        return (Path("exploded").touch, ())


def _pipe():
    return int(sys.argv[2])


def _pickle(view):
    content = pickle.dumps(Bomb())
    os.write(_pipe(), len(content).to_bytes(4, "big") + bytes(8) + content)


def _deep(view):
    text = b"[" * 100_000
    os.write(_pipe(), len(text).to_bytes(4, "big") + bytes(8) + text)


def _huge(view):
    os.write(_pipe(), (2**31).to_bytes(4, "big") + (2**63).to_bytes(8, "big"))


def _handles(view):
    call = view.model.query
    type(call)(call._host, 10**6, 0)(view.brief.question.x)


def _frames(view):
    for frame in sys._current_frames().values():
        while frame:
            table = frame.f_locals.get("table")
            if table is not None:
                return table.rounds[0].truth
            frame = frame.f_back
    rounds = [thing for thing in gc.get_objects() if isinstance(thing, Round)]
    return rounds[0].truth if rounds else None


WAYS = {
    "exits": lambda view: sys.exit(0),
    "dies": lambda view: os._exit(0),
    "segfaults": lambda view: ctypes.string_at(0),
    "starves": lambda view: os.kill(os.getpid(), 9),
    "closes": lambda view: os.close(_pipe()),
    "garbage": lambda view: os.write(_pipe(), b"x" * 4096),
    "pickles": _pickle,
    "nests": _deep,
    "claims": _huge,
    "guesses": _handles,
    "crashes": lambda view: 1 / 0,
    "hangs": lambda view: time.sleep(3600),
    "prints": lambda view: os.write(1, b"from below Python"),
}


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def rogue(view, rng, *, way: str = "exits"):
    """Misbehave.

    Args:
        way: how.
    """
    WAYS[way](view)
    question = view.brief.question
    return Outcome(guess=np.zeros(len(question)), asset=question)


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def peeker(view, rng):
    """Look for the truth in the frames of the caller and among all objects."""
    truth = _frames(view)
    question = view.brief.question
    guess = np.zeros(len(question)) if truth is None else np.array(truth, float)
    return Outcome(guess=guess, asset=question)


@attack(
    game=watermark, access=Access.NOTHING, term=Term.NOISE,
    modalities=(Modality.VISION,), paper="hartley",
)
def lender(view, rng):
    """Lend the generator to a callable of the other side, and draw from it before and after."""
    before = rng.random()
    drawn = view.brief.scheme((rng, [rng]), np.zeros(1, int), 0, rng=rng)
    return Outcome(guess=np.array([before, *drawn, rng.random()]))
'''

REASONS = {
    "exits": "SystemExit: 0",
    "dies": "the process of the attack rogue ended with exit code 0",
    "segfaults": "the process of the attack rogue was killed by SIGSEGV",
    "starves": "the process of the attack rogue was killed by SIGKILL",
    "closes": "the process of the attack rogue ",
    "garbage": "sent what cannot be read",
    "pickles": "sent what cannot be read",
    "nests": "sent what cannot be read",
    "claims": "sent what cannot be read",
    "guesses": "sent what cannot be read",
    "crashes": "ZeroDivisionError: division by zero (part.py:",
}


@pytest.fixture
def rogues(tmp_path, monkeypatch):
    """A plugin whose attacks misbehave."""
    monkeypatch.setattr("hartley.channel.measure.REDRAWS", 1)
    monkeypatch.setattr("hartley.channel.measure.NULL_CERTIFICATES", 0)
    package, info = tmp_path / "site/rogues", tmp_path / "site/rogues-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rogues\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hartley.parts]\nrogues = rogues.part\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    catalog.refresh()
    yield tmp_path
    monkeypatch.undo()
    catalog.refresh()
    for name in [name for name in sys.modules if name.partition(".")[0] == "rogues"]:
        del sys.modules[name]


def _perform(jobs, workers=0, **more):
    results = {}
    executor.perform(
        jobs,
        workers=workers,
        started=lambda job: None,
        finished=lambda job, result: results.__setitem__(id(job), result),
        **more,
    )
    return [results[id(job)] for job in jobs]


def _job(attack, scene="live:membership", **params):
    return Experiment(scene, stages=(Stage(attack, params, "membership", {"rounds": 2}),))


SHIPPED = (
    "loss_threshold",  # scores
    "rmia",  # reference models
    "analytic_gradient",  # a gradient in the brief, and weights
    "weight_reconstruction",  # weights
    "prefix_completion",  # generated text
    "last_layer",  # loot that is a model of the attack's own
    "blended",  # poison
    "frequency",  # data alone
    "overwriting",  # a generator that it hands to the owner's scheme
)


def test_results_do_not_depend_on_the_process_that_an_attack_plays_in():
    held = Isolation(wanted=True, together=True)
    try:
        for name in SHIPPED:
            attack = catalog.load("attack", name)
            modality = next(m for m in attack.modalities if m in attack.game.modalities)
            scene = game_scene(attack.game, "live", modality)
            table = shared_deal(attack, "live", modality, rounds=2)
            parts = checked_play(attack, scene, attack.light, {})
            here, there = (
                play_rounds(*parts, seed=0, dealt=table, isolated=isolated).trials
                for isolated in (None, held)
            )
            for column in ("guess", "truth", "cluster", "reference", "logq"):
                one, two = (getattr(trials, column) for trials in (here, there))
                assert (one is None) == (two is None), (name, column)
                assert one is None or one.tobytes() == two.tobytes(), (name, column)
            assert here.spec.uses == there.spec.uses, name
            assert (here.metrics, here.loot) == (there.metrics, there.loot), name
            assert here.run_id == there.run_id, name
    finally:
        held.close()


def test_a_stolen_model_that_is_attacked_next_lives_in_the_process_of_its_thief():
    params = {"knockoff": {"steps": 20}}
    games = {"membership": {"rounds": 2}}
    columns = []
    for isolate in (None, True):
        player = Player(None, isolate)
        for last in ("loss_threshold", "entropy_metrics"):  # the second finds it where it is
            stages = stages_of(["knockoff", last], params=params, game_params=games)
            result = player.run(Experiment("live:membership", stages=stages))
            assert result.status == "done", result.note
            columns.append(trials_from_bytes(result.content).guess.tobytes())
    assert columns[:2] == columns[2:]


def test_a_generator_that_is_lent_to_the_other_side_goes_on_where_that_side_left_it(rogues):
    def scheme(item, message, key, rng):
        assert item[0] is rng and item[1][0] is rng, "it is one generator, however often it is sent"
        return [rng.random(), *rng.integers(5, size=3, dtype=np.uint32)]  # half a draw is left

    attack = catalog.load("attack", "lender")
    view = shared_deal(attack, "live", attack.modalities[0], rounds=2).rounds[0].view
    view = replace(view, brief=replace(view.brief, scheme=scheme))
    process = AttackProcess()
    try:
        process.begin(attack)
        here, there = np.random.default_rng(3), np.random.default_rng(3)
        outcome = process.play(view, there, {})
        assert outcome.guess.tobytes() == attack(view, here).guess.tobytes()
    finally:
        process.close()


def test_a_process_that_misbehaves_fails_its_row_and_no_other(rogues, capfd):
    jobs = [_job("rogue", way=way) for way in (*REASONS, "prints")]
    *results, printed, after = _perform([*jobs, _job("loss_threshold")])
    for (way, reason), result in zip(REASONS.items(), results, strict=True):
        assert result.status == "failed", way
        assert reason in result.note["reason"], (way, result.note["reason"])
    assert "rogue" in results[-2].note["trace"]
    assert printed.status == after.status == "done"
    assert "from below Python" not in capfd.readouterr().out
    assert not (rogues / "exploded").exists()


@pytest.mark.parametrize("isolated", [True, False])
def test_a_process_that_the_system_kills_for_memory_is_reported_as_such(
    rogues, monkeypatch, isolated
):
    counter = itertools.count(1000)  # of a machine that was short before
    monkeypatch.setattr(processes, "killed_for_memory", lambda: next(counter))
    (result,) = _perform([_job("rogue", way="starves")], workers=1 - isolated, isolate=isolated)
    name = "the process of the attack rogue" if isolated else "its worker process"
    reason = f"{name} was killed by SIGKILL because the machine had no memory left"
    assert reason in result.note["reason"]


def test_a_plugin_cannot_see_the_truth_unless_it_is_trusted(rogues):
    right = {}
    for isolate in (None, False):
        (result,) = _perform([_job("peeker", "dead:membership")], isolate=isolate)
        trials = trials_from_bytes(result.content)
        right[isolate] = float((trials.guess == trials.truth).mean())
    assert right[None] < 0.7, "a plugin plays in a process of its own"
    assert right[False] == 1.0 or right[False] > 0.7, "in the same process nothing keeps it out"


def test_the_budget_is_counted_outside_the_process_of_the_attack(rogues):
    job = replace(_job("loss_threshold"), budget=10)
    (result,) = _perform([job], isolate=True)
    assert result.note["reason"].startswith("BudgetSpent: 128 queries, but the budget is 10")


def test_workers_hold_plugins_apart_as_well(rogues):
    dies, after = _perform([_job("rogue", way="dies"), _job("loss_threshold")], workers=1)
    assert REASONS["dies"] in dies.note["reason"]
    assert after.status == "done"


def _children() -> list[int]:
    table = processes.process_table()
    return [pid for pid in table if processes.descends(pid, os.getpid(), table)]


def test_a_process_that_hangs_ends_with_the_time_of_its_job(rogues):
    job = _job("rogue", way="hangs")
    before = {*_children()}  # an earlier test's library may keep a helper process
    (result,) = _perform([job], workers=1, limits=executor.Limits(seconds=2.0))
    assert "longer than the time limit of 2 s" in result.note["reason"]
    deadline = time.monotonic() + 10  # the system may take a moment to end it
    while time.monotonic() < deadline and {*_children()} - before:
        time.sleep(0.05)
    assert not {*_children()} - before
