"""Play experiments in this process: build scenes once, share deals, apply defenses once."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from hartley import catalog
from hartley.core import Deal, Experiment, Knowledge, Scene, Trials
from hartley.core.code_digest import code_digest
from hartley.core.errors import (
    AccessDenied,
    HartleyError,
    MissingExtra,
    MissingPack,
    NotOffered,
    UsageError,
    WroteIntoView,
)
from hartley.engine import build_scene
from hartley.engine.chain import open_access
from hartley.engine.defend import defended
from hartley.engine.loop.play_loop import choose_settings, play_loop
from hartley.engine.loot import Means, entered, handed
from hartley.engine.plan.applicability import Obstacle, unplayable
from hartley.engine.result import document
from hartley.engine.result.document import figure
from hartley.engine.run import answer_cache
from hartley.engine.run.attack_process import AttackFailed, Isolation, isolation
from hartley.engine.run.devices import devices_used
from hartley.engine.run.interrupts import recorded
from hartley.engine.run.play import deal, play_rounds
from hartley.engine.run.tuning import Tuned, tuned, tuning_params, tuning_seed
from hartley.kit.cache import taken_rebuilt
from hartley.kit.once_per_deal import counted
from hartley.store.artifacts import Artifacts
from hartley.store.table import trials_to_bytes

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """How an experiment ended.

    Attributes:
        status: ``done``, ``failed`` or ``skipped``.
        note: ``reason`` and ``cause`` of what did not end well, ``trace`` of a crash, ``values`` of
            a utility, ``seconds``, processor seconds (``cpu``: all, and those of scenes, deals,
            plays and measures; of the deals those that do not grow with the rounds are counted
            apart), the ``devices`` that its process has used until then, and files of the cache
            that were damaged and ``rebuilt``.
        content: the trials, as Parquet, of a play that was done.
        mistake: what the user got wrong, if that is why it failed.
        row: of a play that was done: the measured half of its row, and the measurement's digest.
    """

    status: str
    note: Mapping[str, Any] = field(default_factory=dict)
    content: bytes = b""
    mistake: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Player:
    """Keeps the scenes, and the last deal with its tuning rounds, for the next experiment.

    Attributes:
        artifacts: where the loot of chains is kept, or None.
        isolate: True plays every attack in a process of its own, False none, None those of plugins.
        built: processor seconds that building scenes took since the last experiment began.
        dealing: those that dealing took: training victims and drawing secrets.
        dealing_once: of these, what does not grow with the rounds.
        playing, measuring: those that playing the rounds and measuring the trials took.
    """

    artifacts: Artifacts | None = None
    isolate: bool | None = None
    built: float = 0.0
    dealing: float = 0.0
    dealing_once: float = 0.0
    playing: float = 0.0
    measuring: float = 0.0
    _scenes: dict[Any, Scene] = field(default_factory=dict)
    _deal: tuple[Any, Deal] | None = None
    _tuning_deal: Deal | None = None
    _unaware_deal: tuple[Any, Deal] | None = None
    _unaware_choices: dict[Any, Tuned] = field(default_factory=dict)
    _loop_settings: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    _isolated: Isolation = field(default_factory=Isolation)

    def run(self, experiment: Experiment) -> Result:
        """Play an experiment to its end; a part's fault ends as a failed result, not as a number.

        An attack may raise SystemExit: its row fails, not the run. It may catch the interrupt of a
        Ctrl-C, which still ends the run, and raise one of its own, which does not. It may fork and
        return twice: the copy ends here.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        started, worked = time.perf_counter(), time.process_time()
        self.built = self.dealing = self.dealing_once = self.playing = self.measuring = 0.0
        process = os.getpid()
        with recorded() as interrupts:
            try:
                with isolation(self.isolate) as self._isolated:
                    if experiment.loop:
                        result = self._loop(experiment)
                    else:
                        utility = not experiment.stages
                        result = self._utility(experiment) if utility else self._play(experiment)
            except BaseException as error:
                result = _failed(error)
                if isinstance(error, WroteIntoView):
                    self._deal_anew()
        if os.getpid() != process:
            os._exit(0)
        if interrupts:
            raise KeyboardInterrupt
        seconds = round(time.perf_counter() - started, 4)
        circumstances = {
            "seconds": seconds,
            "cpu": {
                "all": round(time.process_time() - worked, 4),
                "scenes": round(self.built, 4),
                "deals": round(self.dealing, 4),
                "deals_once": round(self.dealing_once, 4),
                "plays": round(self.playing, 4),
                "measures": round(self.measuring, 4),
            },
            "devices": devices_used(),
        }
        if rebuilt := taken_rebuilt():
            circumstances["rebuilt"] = rebuilt
        return replace(result, note={**result.note, **circumstances})

    def _deal_anew(self) -> None:
        """Let go of scenes, victims and answers, which an attack may have written into as well."""
        self._scenes.clear()
        self._deal = self._tuning_deal = self._unaware_deal = None
        self._unaware_choices.clear()
        answer_cache.forget()

    def hold(self, name: str, scene: Scene, params: Mapping[str, Any]) -> None:
        """Take over a scene that was built already, with no defense added.

        Args:
            name: of its recipe; a scene of a user's own model has another name.
            scene: what was built.
            params: that it was built with.
        """
        self._scenes[_key(Experiment(name, params))] = scene

    def _play(self, experiment: Experiment) -> Result:
        stage = experiment.stages[-1]
        scene = self._scene(experiment)
        in_hand = open_access(experiment.stages)
        obstacle = unplayable(catalog.find("attack", stage.attack), scene, in_hand)
        if obstacle is not None:
            return _skipped(obstacle)
        attack = catalog.load("attack", stage.attack)
        self._isolated.of(attack)  # it starts while the victims are trained
        dealt = self._dealt(experiment, attack, scene)
        tuning = None
        if experiment.sweep and dealt.planted:
            tuning = self._tuned(experiment, attack, scene, dealt)
        elif (
            experiment.sweep
            and experiment.knowledge is Knowledge.ADAPTIVE
            and not experiment.baseline
            and not attack.adapts
        ):
            return _skipped(Obstacle("adapts", NOT_PLANTED))
        began = time.process_time()
        try:
            result = play_rounds(
                attack,
                scene,
                stage.params if tuning is None else tuning.params,
                stage.game_params,
                seed=experiment.root_seed,
                # A copy answers without limit: nobody meters what the attacker holds.
                budget=None if in_hand else experiment.budget,
                alpha=experiment.alpha,
                knowledge=experiment.knowledge,
                undefended=self._undefended(experiment),
                dealt=dealt,
                isolated=self._isolated,
            )
        except NotOffered as error:
            return _skipped(Obstacle("access", str(error)))
        except AccessDenied as error:
            if experiment.defenses:  # the defense took the access away: that is what it does
                names = " + ".join(defense.name for defense in experiment.defenses)
                return _skipped(Obstacle("access", f"denied behind {names}: {error}"))
            raise
        except ImportError as error:
            extra = catalog.missing(error)
            if extra is None:
                raise
            return _skipped(Obstacle("install", str(extra)))
        self.playing = time.process_time() - began
        trials = result.trials
        if tuning is not None:
            trials = replace(trials, tuning=tuning.record)
        began = time.process_time()
        row = measured_row(trials)
        self.measuring = time.process_time() - began
        return Result(DONE, {}, trials_to_bytes(trials), row=row)

    def _tuned(self, experiment: Experiment, attack: Any, scene: Scene, measured: Deal) -> Tuned:
        """Choose an attacker's settings, on rounds of their own.

        One who knows the defenses meets them there. One who does not tunes without them: to the
        same setting in the row before the defenses and behind each, so it is chosen once.
        """
        if not experiment.baseline and experiment.knowledge is Knowledge.ADAPTIVE:
            if self._tuning_deal is None:
                self._tuning_deal = self._tuning_rounds(experiment, attack, scene, measured)
            return self._choose(experiment, attack, scene, self._tuning_deal, measured)
        known = experiment.defenses if experiment.baseline else experiment.known_defenses
        alone = replace(
            experiment, defenses=known, knowledge=Knowledge.NONE, baseline=True, code=""
        )
        if alone.key not in self._unaware_choices:
            unaware = self._scene(alone)
            key = (_key(alone), alone.group, alone.root_seed)
            if self._unaware_deal is None or self._unaware_deal[0] != key:
                self._unaware_deal = None
                self._unaware_deal = (key, self._tuning_rounds(alone, attack, unaware, measured))
            self._unaware_choices[alone.key] = self._choose(
                alone, attack, unaware, self._unaware_deal[1], measured
            )
        return self._unaware_choices[alone.key]

    def _tuning_rounds(
        self, experiment: Experiment, attack: Any, scene: Scene, measured: Deal
    ) -> Deal:
        """Deal the rounds on which settings are chosen."""
        rules = tuning_params(attack, experiment.stages[-1].game_params, measured)
        return deal(attack, scene, seed=tuning_seed(experiment.root_seed), params=rules)

    def _choose(
        self, experiment: Experiment, attack: Any, scene: Scene, dealt: Deal, measured: Deal
    ) -> Tuned:
        stage, budget = experiment.stages[-1], experiment.budget
        if budget is not None:
            # What would overspend on the measured rounds must not win on fewer.
            budget = budget * len(dealt.rounds) // len(measured.rounds)
        return tuned(
            attack,
            scene,
            stage.params,
            experiment.sweep,
            tuning_params(attack, stage.game_params, measured),
            dealt=dealt,
            seed=tuning_seed(experiment.root_seed),
            budget=budget,
            alpha=experiment.alpha,
            isolated=self._isolated,
        )

    def _utility(self, experiment: Experiment) -> Result:
        scene = self._scene(experiment)
        if scene.utility is None:
            return Result(DONE, {"values": {}})
        return Result(DONE, {"values": {k: figure(v) for k, v in scene.utility(scene).items()}})

    def _loop(self, experiment: Experiment) -> Result:
        scene = self._scene(replace(experiment, stages=(), loop={}))
        began = time.process_time()
        chosen = self._settings(experiment) if "settings" in experiment.loop else []
        if chosen:
            stages = tuple(
                replace(stage, params={**stage.params, **row["setting"]})
                for stage, row in zip(experiment.stages, chosen, strict=True)
            )
            experiment = replace(experiment, stages=stages)
        played = play_loop(experiment, scene, isolated=self._isolated)
        self.playing = time.process_time() - began
        return Result(DONE, {"loop": document.finite({**played, "settings": chosen})})

    def _settings(self, experiment: Experiment) -> list[dict[str, Any]]:
        """What the legs of a loop are played with, chosen once for all clusters."""
        seed = tuning_seed(experiment.seed)
        tuning = replace(experiment, seed=seed, replicate=0)
        key = (_key(tuning), repr(experiment.stages), repr(experiment.loop))
        if key not in self._loop_settings:
            scene = self._scene(replace(tuning, stages=(), loop={}))
            self._loop_settings[key] = choose_settings(tuning, scene, isolated=self._isolated)
        return self._loop_settings[key]

    def _scene(self, experiment: Experiment) -> Scene:
        """The scene of an experiment behind its defenses, whatever its attacker knows."""
        key = _key(experiment)
        if len(experiment.stages) > 1 and key not in self._scenes:
            alone = self._scene(replace(experiment, stages=experiment.stages[-1:]))
            self._scenes[key] = entered(experiment.stages, alone, self._means(experiment))
        if key not in self._scenes:
            *before, last = experiment.defenses or (None,)
            if last is None:
                began = time.process_time()
                self._scenes[key] = build_scene.build(experiment.scene, experiment.scene_params)
                self.built += time.process_time() - began
            else:
                base = self._scene(replace(experiment, defenses=tuple(before)))
                seed = experiment.root_seed
                self._scenes[key] = defended(base, last.name, last.params, seed)
        return self._scenes[key]

    def _means(self, experiment: Experiment) -> Means:
        """What the attacks before the last one of a chain are played with."""
        return Means(experiment.root_seed, experiment.budget, self.artifacts, self._isolated)

    def _undefended(self, experiment: Experiment) -> Scene | None:
        """The scene that a static attacker knows: with what is deployed, without what was added."""
        if experiment.knowledge is not Knowledge.STATIC:
            return None
        defenses = experiment.known_defenses
        return self._scene(replace(experiment, defenses=defenses, knowledge=Knowledge.NONE))

    def _dealt(self, experiment: Experiment, attack: Any, scene: Scene) -> Deal:
        key = (_key(experiment), experiment.group, experiment.root_seed)
        if self._deal is None or self._deal[0] != key:
            self._deal = None  # let go of the last victims before the next are trained
            self._tuning_deal = None
            answer_cache.forget()
            rules = experiment.stages[-1].game_params
            seed = experiment.root_seed
            import_module(MEASURE)  # games import much of it too, and a process does so once
            began = time.process_time()
            with counted() as once:
                dealt = deal(attack, scene, seed=seed, params=rules)
            self.dealing += time.process_time() - began
            self.dealing_once += once.seconds
            if len(experiment.stages) > 1:
                dealt = handed(experiment.stages, scene, dealt, self._means(experiment))
            self._deal = (key, dealt)
        if experiment.batch and not self._deal[1].planted:
            raise UsageError(NOT_IN_BATCHES)
        return self._deal[1]


NOT_IN_BATCHES = (
    "looks must be about secrets that Hartley draws, which other victims can be trained on, got "
    "the owner's own split; play it at once, without [looks]"
)
"""Why a model as it is cannot be played in batches: the second would be the first again."""

NOT_PLANTED = (
    "not adaptive: its settings cannot be tuned here, because Hartley did not draw the secrets and "
    "can draw no others to tune on"
)
"""Why an attack that adapts by its settings alone is not played on a model as it is."""


def _failed(error: BaseException) -> Result:
    absent = isinstance(error, MissingExtra | MissingPack)
    mistake = _message(error) if isinstance(error, UsageError) and not absent else ""
    return Result(FAILED, {"reason": why(error), "trace": _trace(error)}, mistake=mistake)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # it is a part's own code that words it
        return "its message cannot be read"


def _trace(error: BaseException) -> str:
    if isinstance(error, AttackFailed):
        return error.trace
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # the same
        return ""


LONGEST_REASON = 2000
"""Characters of an error's message that a row keeps."""


def why(error: BaseException) -> str:
    """Word an exception in one line, with the place where a part's own code raised it."""
    if isinstance(error, AttackFailed):
        return error.reason[:LONGEST_REASON]
    text = " ".join(_message(error)[:LONGEST_REASON].split()) or "no message"
    if isinstance(error, HartleyError):
        return f"{type(error).__name__}: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"


def _skipped(obstacle: Obstacle) -> Result:
    return Result(SKIPPED, {"reason": obstacle.reason, "cause": obstacle.cause})


def _key(experiment: Experiment) -> tuple[Any, ...]:
    """Return what the scene of an experiment depends on."""
    last = experiment.stages[-1] if experiment.stages else None
    # What enters a scene is aimed at the targets of the last stage's game.
    prefix = (
        repr([*experiment.stages[:-1], last.game, sorted(last.game_params.items())])
        if last is not None and len(experiment.stages) > 1
        else ""
    )
    return (
        *(experiment.scene, repr(sorted(experiment.scene_params.items()))),
        repr([(d.name, sorted(d.params.items())) for d in experiment.defenses]),
        experiment.root_seed if experiment.defenses or prefix else 0,
        prefix,
    )


MEASURE = "hartley.channel.measure"
"""The module that measures: its digest is kept with every row."""


def measured_row(trials: Trials) -> dict[str, Any]:
    """Measure trials; return the measured half of a row, and the digest of the measurement."""
    from hartley.channel.measure import measure

    try:
        row = document.measured(trials, measure(trials))
    except Exception as error:
        reason = f"its trials could not be measured: {type(error).__name__}: {error}"
        row = {"status": FAILED, "reason": reason, "cause": None, "loot": None, "flags": []}
    return {"measurement": code_digest(MEASURE), "row": row}
