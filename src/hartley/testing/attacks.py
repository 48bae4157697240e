"""The rules that every attack must keep. ``check_attack(my_attack)`` is a plugin's whole test."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Attack, Channel, Data, Deal, Modality, Model, Role, Scene, Trials, spawn
from hartley.core.capabilities import CAPABILITIES, Gives
from hartley.core.errors import AccessDenied, BudgetSpent, HartleyError
from hartley.engine.run.play import deal, play
from hartley.testing.checks import DEAD, SEEDS, Check, expect, run_all
from hartley.testing.parameters import accepts, refuses_values_outside_its_ranges

HEAVY = ("torch", "scipy", "sklearn", "transformers", "matplotlib", "pandas")


def check_attack(attack: Attack) -> None:
    """Check that an attack keeps every rule.

    Raises:
        CheckFailed: a rule is broken; the message has one line for each.
    """
    run_all(ATTACK_CHECKS, attack)


def attack_scene(
    attack: Attack, kind: str, modality: Modality | None = None, seed: int = 0
) -> Scene:
    """Return the live or dead scene of the attack's game, made with a fixed seed."""
    build = attack.game.live if kind == "live" else attack.game.dead
    chosen = modality or _modality(attack)
    # The name of a seed outlives the word: another one would be another scene.
    return build(chosen, np.random.default_rng(spawn(seed, "wire", attack.game.cls, kind)))


@lru_cache(maxsize=512)
def _played(attack: Attack, kind: str, modality: Modality, seed: int) -> Trials:
    np.random.seed(1)  # noqa: NPY002 - a known state of the global generator, see ``repeats``
    return play(attack, attack_scene(attack, kind, modality, seed), seed=seed)


@lru_cache(maxsize=512)
def _measured(attack: Attack, kind: str, modality: Modality, seed: int) -> Channel:
    channel: Channel = measure(_played(attack, kind, modality, seed))
    return channel


def _modality(attack: Attack) -> Modality:
    return next(m for m in attack.modalities if m in attack.game.modalities)


def says_what_it_is(attack: Attack) -> None:
    """A summary, a module docstring, a paper, and a line of help for every parameter."""
    module = inspect.getmodule(attack.run)
    expect(bool(attack.summary), "the function has no docstring")
    expect(bool(module and module.__doc__), "the module has no docstring")
    for one in attack.parameters:
        expect(bool(one.help), f"parameter {one.name!r} has no line under Args:")
    accepts(attack.game, "game_params", dict(attack.game_params))


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


def repeats(attack: Attack) -> None:
    """The same seed gives the same answers, though the global generators moved in between."""
    first = _played(attack, "live", _modality(attack), 0)
    np.random.seed(2)  # noqa: NPY002 - changes the results of code that uses the global generator
    again = play(attack, attack_scene(attack, "live"), seed=0)
    expect(np.array_equal(first.guess, again.guess), "two plays with one seed differ")


def answers_every_question(attack: Attack) -> None:
    """On both scenes and in every modality: finite answers of the right shape, loot of its kind."""
    for modality in attack.modalities:
        for kind in ("live", "dead"):
            try:
                _played(attack, kind, modality, 0)
            except HartleyError as error:
                raise_from(f"on the {kind} scene ({modality}): {error}", error)


def keeps_to_its_access(attack: Attack) -> None:
    """It never uses what it did not declare."""
    try:
        _played(attack, "live", _modality(attack), 0)
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
    scene = attack_scene(attack, "live")
    table = deal(attack, scene, seed=0)
    before = [_bytes(one.view) for one in table.rounds]
    try:
        play(attack, scene, seed=0, dealt=table)
    except ValueError as error:
        if "read-only" in str(error):
            raise_from("it writes into the view", error)
        raise
    expect([_bytes(one.view) for one in table.rounds] == before, "it changed the view")


def reads_the_live_scene(attack: Attack) -> None:
    """The certified bits are above zero where everything leaks, in every modality it claims."""
    for modality in attack.modalities:
        channel = _measured(attack, "live", modality, 0)
        low = channel.bits.lower
        expect(
            low is not None and low > DEAD and channel.bits.value > DEAD,
            f"reads {channel.bits.value:.4f} bit (certified {low}) on the live scene ({modality})",
        )


def reads_nothing_from_the_dead_scene(attack: Attack) -> None:
    """Where nothing leaks it reads nothing, at three fixed seeds, in every modality it claims."""
    for modality in attack.modalities:
        channels = [_measured(attack, "dead", modality, seed) for seed in SEEDS]
        lows = [channel.bits.lower or 0.0 for channel in channels]
        points = [channel.bits.value for channel in channels]
        expect(
            max(lows) <= DEAD and float(np.median(points)) <= DEAD,
            f"reads {points} bit (certified {lows}) from the dead scene ({modality})",
        )


def keeps_its_budget(attack: Attack) -> None:
    """It works with exactly the queries it used, and stops with an error with one less."""
    used = _played(attack, "live", _modality(attack), 0).spec.uses
    if not used:
        return
    scene = attack_scene(attack, "live")
    play(attack, scene, seed=0, budget=used)
    try:
        play(attack, scene, seed=0, budget=used - 1)
    except BudgetSpent:
        return
    expect(False, f"it asked {used} queries, yet a budget of {used - 1} did not stop it")


def is_light(attack: Attack) -> None:
    """Importing its module loads no heavy library."""
    code = (
        f"import sys; import {attack.run.__module__}; "
        f"print(*[m for m in {HEAVY!r} if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env
    )
    expect(done.returncode == 0, f"its module cannot be imported alone: {done.stderr[-300:]}")
    expect(not done.stdout.strip(), f"its module imports {done.stdout.strip()}")


def writes_nothing(attack: Attack) -> None:
    """It leaves no file in the working directory."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            play(attack, attack_scene(attack, "live"), seed=0)
            left = sorted(p.name for p in Path(folder).iterdir())
        finally:
            os.chdir(here)
    expect(not left, f"it left {', '.join(left)}")


def narrows_under_noise(attack: Attack) -> None:
    """For a tap: the noisier its source, the fewer bits, beyond the interval's width."""
    if attack.game.role is not Role.TAP:
        return  # noise on a jam is the attack itself; an injector has no source to blur
    clear = _measured(attack, "live", _modality(attack), 0)
    scene = attack_scene(attack, "live")
    table = deal(attack, scene, seed=0)
    last = clear.high if clear.high is not None else clear.bits.value
    for level in (0.5, 1.0):
        blurred = play(attack, scene, seed=0, dealt=_blur(table, level))
        now = measure(blurred)
        low = now.bits.lower or 0.0
        expect(
            low <= last + DEAD,
            f"at noise {level} it reads certainly {low:.3f} bit, above {last:.3f} with less noise",
        )
        last = now.high if now.high is not None else now.bits.value


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
        scene = attack_scene(attack, "live", modality)
        table = deal(attack, scene, seed=0)
        calls: list[int] = []
        _Watched.read = False
        one = table.rounds[0]
        view = replace(one.view, defenses=_Watched(one.view.defenses))
        if isinstance(view.source, Model) and view.source.fit is not None:
            fit = view.source.fit

            def counted(*words: Any, fit: Any = fit, calls: list[int] = calls) -> Any:
                calls.append(1)
                return fit(*words)

            view = replace(view, source=view.source.with_(fit=counted))
        # One round is enough to see what it reads; what it answers is not judged here.
        alone = replace(table, rounds=(replace(one, view=view),), judge=None)
        with suppress(HartleyError):
            play(attack, scene, seed=0, dealt=alone)
        read, trained = read or _Watched.read, trained or bool(calls)
    adapts = True if read else "trains" if trained else False
    expect(adapts == attack.adapts, f"adapts must be {adapts!r}, got {attack.adapts!r}")


def _blur(table: Deal, level: float) -> Deal:
    """Every answer of a model, or entry of the data, is replaced with probability ``level``."""
    return replace(
        table,
        rounds=tuple(
            replace(one, view=replace(one.view, source=_blurred(one.view.source, level)))
            for one in table.rounds
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


def _bytes(view: Any) -> bytes:
    parts = []
    for data in (view.source, view.public, view.question):
        if isinstance(data, Data):
            parts += [np.ascontiguousarray(a).tobytes() for a in (data.x, data.y) if a is not None]
    return b"".join(parts)


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
    )
)
