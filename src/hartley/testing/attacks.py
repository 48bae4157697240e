"""The rules that every attack must keep. ``check_attack(my_attack)`` is a plugin's whole test."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import (
    AnswerForm,
    Attack,
    Channel,
    Data,
    Deal,
    Modality,
    Model,
    Role,
    Trials,
    spawn,
)
from hartley.core.brief import adaptive_only
from hartley.core.capabilities import CAPABILITIES, Gives
from hartley.core.errors import AccessDenied, BudgetSpent, HartleyError, WroteIntoView
from hartley.engine.run.attack_process import importable, of_plugin
from hartley.engine.run.play import deal, play
from hartley.testing.checks import DEAD, SEEDS, Check, expect, run_all
from hartley.testing.parameters import accepts, refuses_values_outside_its_ranges
from hartley.testing.shared_plays import (
    FEW,
    FIRST,
    ONE,
    build_scene,
    few_rounds,
    fingerprint,
    game_scene,
    looks,
    measured,
    played,
    shared_deal,
    third,
)

HEAVY = ("torch", "scipy", "sklearn", "transformers", "matplotlib", "pandas")


def check_attack(attack: Attack) -> None:
    """Check that an attack keeps every rule.

    Raises:
        CheckFailed: a rule is broken; the message has one line for each.
    """
    run_all(ATTACK_CHECKS, attack)


def _modality(attack: Attack) -> Modality:
    return next(m for m in attack.modalities if m in attack.game.modalities)


def says_what_it_is(attack: Attack) -> None:
    """A summary, a module docstring, a paper, and a line of help for every parameter."""
    module = inspect.getmodule(attack.run)
    expect(bool(attack.summary), "the function has no docstring")
    expect(bool(module and module.__doc__), "the module has no docstring")
    for parameter in attack.parameters:
        expect(bool(parameter.help), f"parameter {parameter.name!r} has no line under Args:")
    accepts(attack.game, "game_params", dict(attack.game_params))
    accepts(attack, "light", dict(attack.light))


def is_in_its_folder(attack: Attack) -> None:
    """File name = function name; in Hartley itself, folder = axis and class as well."""
    file = Path(inspect.getfile(attack.run))
    expect(file.stem == attack.name, f"the file must be named {attack.name}.py, got {file.name}")
    module = attack.run.__module__
    if module.startswith("hartley.attacks."):
        place = f"hartley.attacks.{attack.game.axis_in()}.{attack.game.cls}.{attack.name}"
        expect(module == place, f"the module must be {place}, got {module}")


def fits_its_game(attack: Attack) -> None:
    """It plays at least one modality that its game is defined for, and claims no other."""
    extra = [m for m in attack.modalities if m not in attack.game.modalities]
    expect(bool(attack.modalities), "fits no modality")
    expect(not extra, f"claims {', '.join(extra)}, which {attack.game.name} is not defined for")


@dataclass(frozen=True)
class _Replay:
    """Two plays of few rounds on one deal that no other part is given.

    Attributes:
        first: the trials.
        again: the trials of the second play, in an empty folder, with the queries of the first as
            its budget, after the global generator has moved; None where that budget ran out.
        unchanged: whether the views hold the same records afterwards.
        files: names of the files that it left in the folder.
    """

    first: Trials
    again: Trials | None
    unchanged: bool
    files: tuple[str, ...]


@lru_cache(maxsize=8)
def _replay(attack: Attack) -> _Replay:
    scene = build_scene(attack.game, "live", _modality(attack))
    table = deal(attack, scene, seed=0, params=few_rounds(attack.game))
    before = fingerprint(table.rounds)
    np.random.seed(1)  # noqa: NPY002 - changes the results of code that uses the global generator
    first = play(attack, scene, seed=0, dealt=table, params=attack.light)
    np.random.seed(2)  # noqa: NPY002
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            again = play(
                attack,
                scene,
                seed=0,
                dealt=table,
                params=attack.light,
                budget=first.spec.uses or None,
            )
        except BudgetSpent:
            again = None
        finally:
            os.chdir(here)
        files = tuple(sorted(path.name for path in Path(folder).iterdir()))
    return _Replay(first, again, fingerprint(table.rounds) == before, files)


def repeats(attack: Attack) -> None:
    """The same seed gives the same answers, though the global generators moved in between."""
    replay = _replay(attack)
    same = replay.again is not None and np.array_equal(replay.first.guess, replay.again.guess)
    expect(same, "two plays with one seed differ")


def answers_every_question(attack: Attack) -> None:
    """On both scenes and in every modality: finite answers of the right shape, loot of its kind."""
    for modality in attack.modalities:
        # Those of the whole dead scene: it is played for what may be read of it.
        for kind, rounds in (("live", FIRST), ("dead", 0)):
            try:
                played(attack, kind, modality, light=True, rounds=rounds)
            except HartleyError as error:
                raise_from(f"on the {kind} scene ({modality}): {error}", error)


def keeps_to_its_access(attack: Attack) -> None:
    """It never uses what it did not declare, at its defaults."""
    try:
        played(attack, "live", _modality(attack), rounds=FIRST)
    except AccessDenied as error:
        raise_from(f"access denied: {error}", error)
    except TypeError as error:
        if "'NoneType' object is not callable" in str(error):
            raise_from("it calls a capability that it did not declare", error)
        raise
    except HartleyError:
        return  # another check reports it


def leaves_the_view_alone(attack: Attack) -> None:
    """Nothing in the view has changed after the attack has run."""
    try:
        replay = _replay(attack)
    except WroteIntoView as error:
        raise_from(f"it writes into the view: {error}", error)
    except ValueError as error:
        if "read-only" in str(error):
            raise_from("it writes into the view", error)
        raise
    expect(replay.unchanged, "it changed the view")


def reads_the_live_scene(attack: Attack) -> None:
    """The certified bits are above zero where everything leaks, in every modality it claims.

    At its light setting, which dead scenes are played at: where that reads nothing, a dead scene
    shows nothing. At its defaults in the first modality alone. In a first few rounds where they
    show it, else in the whole play. Scores of an inverted sign would read as many bits, and fail a
    game that compares them with a threshold: they are refused. A control of chains must read
    nothing there either.
    """
    if attack.control:
        for modality in attack.modalities:
            bits = measured(attack, "live", modality, light=True).bits.lower or 0.0
            expect(bits <= DEAD, f"a control reads {bits:.4f} bit on the live scene ({modality})")
        return
    plays = [(modality, True) for modality in attack.modalities]
    if attack.light:
        plays.append((_modality(attack), False))
    for modality, light in plays:
        reason = ""
        for rounds in looks(attack):
            if not (reason := _not_read(attack, modality, light, rounds)):
                break
        expect(not reason, reason)


def _not_read(attack: Attack, modality: Modality, light: bool, rounds: int) -> str:
    """Return what shows that a play of some rounds, 0 for all, does not read a live scene."""
    channel = measured(attack, "live", modality, light=light, rounds=rounds)
    low, at = channel.bits.lower, f" at {dict(attack.light)}" if light and attack.light else ""
    if low is None or low <= DEAD or channel.bits.value <= DEAD:
        return (
            f"reads {channel.bits.value:.4f} bit (certified {low}) on the live scene "
            f"({modality}){at}"
        )
    if attack.game.form is AnswerForm.SCORE and attack.game.role is Role.TAP:
        auc = _auc(played(attack, "live", modality, light=light, rounds=rounds))
        if auc < 0.5:
            return (
                f"the AUC on the live scene is {auc:.2f} ({modality}){at}: the sign of the score "
                "is inverted; larger scores must mean truth 1"
            )
    return ""


def _auc(trials: Trials) -> float:
    """Return the share of pairs in which the use of truth 1 scores higher; ties count half."""
    ones, zeros = trials.guess[trials.truth == 1], np.sort(trials.guess[trials.truth == 0])
    below, up_to = (np.searchsorted(zeros, ones, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(zeros))


def reads_nothing_from_the_dead_scene(attack: Attack) -> None:
    """Where nothing leaks it reads nothing, in every modality it claims.

    A point estimate may be high by chance: it counts where it is above all that the same estimator
    reads of redrawn secrets, and then the median of three fixed seeds counts. Where the first seeds
    read nothing, the others are not played: the whole deal of one, in the first modality a third of
    another's as well, since who knows what they should not knows it in all of them.
    """
    for modality in attack.modalities:
        lows, points = _dead(attack, modality, SEEDS[:1])
        if modality is attack.modalities[0]:
            more = _dead(attack, modality, SEEDS[1:2], rounds=third(attack))
            lows, points = lows + more[0], points + more[1]
        for enough in (2, 3):
            if max(points) > DEAD:
                lows, points = _dead(attack, modality, SEEDS[:enough])
        expect(
            max(lows) <= DEAD and float(np.median(points)) <= DEAD,
            f"reads {points} bit (certified {lows}) from the dead scene ({modality})",
        )


def _dead(
    attack: Attack, modality: Modality, seeds: Sequence[int], rounds: int = 0
) -> tuple[list[float], list[float]]:
    """Certified bits and point estimates on the dead scene, by seed; 0 for those of the null."""
    lows, points = [], []
    for seed in seeds:
        channel = measured(attack, "dead", modality, seed, light=True, rounds=rounds)
        value = channel.bits.value
        if value > DEAD:
            trials = played(attack, "dead", modality, seed, light=True, rounds=rounds)
            value = value if value > (measure(trials).null.upper or 0.0) else 0.0
        lows.append(channel.bits.lower or 0.0)
        points.append(value if value > DEAD else 0.0)
    return lows, points


def keeps_its_budget(attack: Attack) -> None:
    """It works with exactly the queries it used, and stops with an error with one less."""
    replay = _replay(attack)
    used = replay.first.spec.uses
    expect(replay.again is not None, f"it asked {used} queries, and more when it was played again")
    if not used:
        return
    scene = game_scene(attack.game, "live", _modality(attack))
    table = shared_deal(attack, "live", _modality(attack), rounds=FEW)
    try:
        play(attack, scene, seed=0, dealt=table, params=attack.light, budget=used - 1)
    except BudgetSpent:
        return
    expect(False, f"it asked {used} queries, yet a budget of {used - 1} did not stop it")


_ALONE = """
import importlib, os, sys
import numpy, hartley.core
for game in sys.argv[2].split():
    importlib.import_module(game)
for module in sys.argv[3:]:
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    try:
        __import__(module)
        print(module, *[name for name in sys.argv[1].split() if name in sys.modules], flush=True)
    except BaseException as error:
        print(module, f"!{type(error).__name__}:", error, flush=True)
    os._exit(0)
"""
"""Import each module in a process of its own, forked from one in which none is imported.

Games are: an attack imports its own in any case, no game imports an attack, and without them the
same rooms would be imported once for every attack.
"""


@lru_cache(maxsize=8)
def _imports(modules: tuple[str, ...], games: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the heavy libraries that each module imports, or ``!`` and its error."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _ALONE, " ".join(HEAVY), " ".join(games), *modules]
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    lines = [line.split() for line in process.stdout.splitlines()]
    return {module: words for module, *words in lines}


def is_light(attack: Attack) -> None:
    """Importing its module loads no heavy library."""
    module = attack.run.__module__
    house = tuple(e.module for e in catalog.entries("attack") if e.origin == "hartley")
    games = tuple(e.module for e in catalog.entries("game") if e.origin == "hartley")
    words = _imports(*((house, games) if module in house else ((module,), ())))[module]
    broken = " ".join(words).startswith("!")
    expect(not broken, f"its module cannot be imported alone: {' '.join(words)[1:]}")
    expect(not words, f"its module imports {' '.join(words)}")


def writes_nothing(attack: Attack) -> None:
    """It leaves no file in the working directory."""
    files = _replay(attack).files
    expect(not files, f"it left {', '.join(files)}")


def narrows_under_noise(attack: Attack) -> None:
    """For a tap: the noisier its source, the fewer bits, beyond the interval's width.

    Half of the noise is tried only where it can show anything: nobody reads more than the ceiling,
    and nothing is more than nothing. Where the first few rounds read nearly all that there is, so
    that noise could add nothing, they are enough for that.
    """
    if attack.game.role is not Role.TAP or attack.control:
        return  # noise on a jam is the attack itself; an injector has no source to blur
    modality, rounds = _modality(attack), FIRST
    undefended = measured(attack, "live", modality, light=True, rounds=rounds)
    if undefended.bits.value + DEAD < undefended.ceiling.value:
        rounds = 0
        undefended = measured(attack, "live", modality, light=True)
    scene = game_scene(attack.game, "live", modality)
    table = shared_deal(attack, "live", modality, rounds=rounds)

    def behind(level: float) -> Channel:
        dealt = _blur(table, level)
        return measure(play(attack, scene, seed=0, dealt=dealt, params=attack.light), redraws=1)

    noise = behind(1.0)
    _expect_less(undefended, noise, 1.0)
    if _most(undefended) + DEAD < undefended.ceiling.value or (noise.bits.lower or 0.0) > DEAD:
        half = behind(0.5)
        _expect_less(undefended, half, 0.5)
        _expect_less(half, noise, 1.0)


def _most(channel: Channel) -> float:
    return channel.high if channel.high is not None else channel.bits.value


def _expect_less(before: Channel, after: Channel, level: float) -> None:
    low, most = after.bits.lower or 0.0, _most(before)
    expect(
        low <= most + DEAD,
        f"at noise {level} it reads certainly {low:.3f} bit, above {most:.3f} with less noise",
    )


def _watched_brief(brief: Any) -> Any:
    """The brief, of a class that records whether what only adaptive attackers get is read."""
    names = {field.name for field in adaptive_only(brief)}
    if not names:
        return brief

    class Watched(type(brief)):  # type: ignore[misc]
        """The same fields."""

        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            _Watched.read |= name in names
            return object.__getattribute__(self, name)

    return Watched(**{f.name: getattr(brief, f.name) for f in dataclasses.fields(brief)})


class _Watched(tuple[Any, ...]):
    """Defenses in a view that record whether they are read."""

    read = False

    def __iter__(self) -> Any:
        type(self).read = True
        return super().__iter__()

    def __getitem__(self, index: Any) -> Any:
        type(self).read = True
        return super().__getitem__(index)

    def __len__(self) -> int:
        type(self).read = True
        return super().__len__()


def adapts_as_it_declares(attack: Attack) -> None:
    """It reads the defenses, or trains reference models, in some modality just as it declares."""
    read = trained = False
    for modality in attack.modalities:
        scene = game_scene(attack.game, "live", modality)
        table = shared_deal(attack, "live", modality, rounds=ONE)
        calls: list[int] = []
        _Watched.read = False
        round_ = table.rounds[0]
        view = replace(
            round_.view,
            brief=_watched_brief(round_.view.brief),
            defenses=_Watched(round_.view.defenses),
        )
        if isinstance(view.source, Model) and view.source.fit is not None:
            fit = view.source.fit

            def counted(*words: Any, fit: Any = fit, calls: list[int] = calls) -> Any:
                calls.append(1)
                return fit(*words)

            view = replace(view, source=view.source.with_(fit=counted))
        # One round is enough to see what it reads; what it answers is not judged here.
        alone = replace(table, rounds=(replace(round_, view=view),), judge=None)
        with suppress(HartleyError):
            play(attack, scene, seed=0, dealt=alone, params=attack.light)
        read, trained = read or _Watched.read, trained or bool(calls)
    adapts = True if read else "trains" if trained else False
    expect(adapts == attack.adapts, f"adapts must be {adapts!r}, got {attack.adapts!r}")


def plays_what_it_sweeps(attack: Attack) -> None:
    """Every setting that it sweeps plays on the live scene, in some modality that it claims.

    The others are at the light setting: what they read at their defaults another check shows.
    """
    if not attack.sweep:
        return
    for values in product(*attack.sweep.values()):
        setting = dict(zip(attack.sweep, values, strict=True))
        reasons = []
        for modality in attack.modalities:
            table = shared_deal(attack, "live", modality, rounds=ONE)
            scene = game_scene(attack.game, "live", modality)
            try:
                play(attack, scene, seed=0, dealt=table, params={**attack.light, **setting})
            except HartleyError as error:
                reasons.append(f"{modality}: {error}")
            else:
                break
        else:
            expect(False, f"it cannot be played with {setting} ({'; '.join(reasons)})")


def answers_alike_in_a_process_of_its_own(attack: Attack) -> None:
    """In a process that gets its view and nothing else it answers and asks just as it does here.

    An attack that reads the truth out of the frames of its caller, or takes the model out of a
    callable that counts, can do so in one process alone. One that cannot be imported is not
    compared, because nothing but its own caller can play it.
    """
    if not of_plugin(attack) or not importable(attack):
        return
    here = _replay(attack).first
    scene = build_scene(attack.game, "live", _modality(attack))
    table = deal(attack, scene, seed=0, params=few_rounds(attack.game))
    try:
        there = play(attack, scene, seed=0, dealt=table, params=attack.light, isolate=True)
    except Exception as error:
        raise_from(f"in a process of its own it fails: {error}", error)
    for column in ("guess", "logq", "reference"):
        values = [getattr(trials, column) for trials in (here, there)]
        expect(
            (values[0] is None) == (values[1] is None) and np.array_equal(*values),
            "it answers otherwise in a process of its own, which gets its view and nothing else: "
            "it must not read what its caller or another object holds",
        )
    expect(
        here.spec.uses == there.spec.uses,
        f"it asked {here.spec.uses} queries, and {there.spec.uses} in a process of its own: it "
        "must not ask the model past the callables of its view",
    )


def _blur(table: Deal, level: float) -> Deal:
    """Every answer of a model, or entry of the data, is replaced with probability ``level``."""
    return replace(
        table,
        rounds=tuple(
            replace(round_, view=replace(round_.view, source=_blurred(round_.view.source, level)))
            for round_ in table.rounds
        ),
    )


def _blurred(source: Any, level: float) -> Any:
    if isinstance(source, Data):
        rng = np.random.default_rng(spawn(0, "blur", source.name))
        flat = np.array(source.x).reshape(-1)
        hit = rng.random(len(flat)) < level
        flat[hit] = rng.permutation(flat)[hit]
        return replace(source, x=flat.reshape(source.x.shape))
    if not isinstance(source, Model):
        return source

    def mixed(function: Any) -> Any:
        def call(x: Any, *rest: Any) -> Any:
            answers = np.array(function(x, *rest))
            rng = np.random.default_rng(spawn(0, "blur", len(x)))
            hit = rng.random(len(answers)) < level
            answers[hit] = rng.permutation(answers)[hit]
            return answers

        return call

    def stirred(weights: Any) -> Any:
        def call() -> Any:
            rng = np.random.default_rng(spawn(0, "blur", "weights"))
            return {
                k: v + level * v.std() * rng.standard_normal(v.shape) for k, v in weights().items()
            }

        return call

    blurred = {n: mixed(c) for n, c in source.calls.items() if CAPABILITIES[n].by_record}
    weights = {
        n: stirred(c) for n, c in source.calls.items() if CAPABILITIES[n].gives is Gives.PARAMETERS
    }
    return source.with_(**blurred, **weights)


def raise_from(message: str, error: Exception) -> None:
    """Raise ``CheckFailed(message)`` with its cause."""
    from hartley.testing.checks import CheckFailed

    raise CheckFailed(message) from error


ATTACK_CHECKS: tuple[Check, ...] = tuple(
    Check(function.__name__, function)
    for function in (
        says_what_it_is,
        refuses_values_outside_its_ranges,
        is_in_its_folder,
        fits_its_game,
        repeats,
        answers_every_question,
        keeps_to_its_access,
        leaves_the_view_alone,
        reads_the_live_scene,
        reads_nothing_from_the_dead_scene,
        keeps_its_budget,
        is_light,
        writes_nothing,
        narrows_under_noise,
        adapts_as_it_declares,
        plays_what_it_sweeps,
        answers_alike_in_a_process_of_its_own,
    )
)
