"""Play jobs in this process: build each scene once, share each deal, apply each defence once."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hartley import catalog
from hartley.core import Deal, Scene
from hartley.core.errors import (
    AccessDenied,
    HartleyError,
    MissingExtra,
    MissingPack,
    UsageError,
)
from hartley.engine import build_scene
from hartley.engine.defend import STATIC, defended
from hartley.engine.plan.applicability import Obstacle, unplayable
from hartley.engine.plan.jobs import UTILITY, Job
from hartley.engine.result.document import figure
from hartley.engine.run import answer_cache
from hartley.engine.run.play import deal, play
from hartley.store.table import trials_to_bytes

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended.

    Attributes:
        status: ``done``, ``failed`` or ``skipped``.
        note: ``reason`` and ``cause`` of what did not end well, ``trace`` of a crash, ``values`` of
            a utility, ``seconds``.
        content: the trials, as Parquet, of a play that was done.
        mistake: what the user got wrong, if that is why it failed.
        blame: the kind of the part that would not take it: ``game``, ``attack`` or ``defense``.
    """

    status: str
    note: Mapping[str, Any] = field(default_factory=dict)
    content: bytes = b""
    mistake: str = ""
    blame: str = ""


@dataclass(slots=True)
class Player:
    """Keeps the scene, and the last deal, for the next job."""

    _scenes: dict[Any, Scene] = field(default_factory=dict)
    _deal: tuple[Any, Deal] | None = None

    def run(self, job: Job) -> Result:
        """Play a job to its end; a fault of a part ends as a failed result, never as a number."""
        started = time.perf_counter()
        try:
            result = self._utility(job) if job.task == UTILITY else self._play(job)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an attack may raise SystemExit; its row fails, not the run
            note = {"reason": why(error), "trace": traceback.format_exc()}
            mistake = str(error) if isinstance(error, UsageError) else ""
            result = Result(FAILED, note, mistake=mistake, blame=getattr(error, "blame", ""))
        seconds = round(time.perf_counter() - started, 4)
        return replace(result, note={**result.note, "seconds": seconds})

    def hold(self, scene: Scene, params: Mapping[str, Any]) -> None:
        """Take over a scene that was built already, with no defence added."""
        job = Job(UTILITY, scene.name, params)
        self._scenes[_key(job)] = scene

    def _play(self, job: Job) -> Result:
        scene = self._scene(job)
        obstacle = unplayable(catalog.find("attack", job.attack), scene)
        if obstacle is not None:
            return _skipped(obstacle)
        attack = catalog.load("attack", job.attack)
        with _blamed("game"):
            dealt = self._dealt(job, attack, scene)
        try:
            with _blamed("attack"):
                trials = play(
                    attack,
                    scene,
                    seed=job.seed,
                    params=job.params,
                    game_params=job.game_params,
                    budget=job.budget,
                    alpha=job.alpha,
                    knowledge=job.knowledge or None,
                    undefended=self._undefended(job) if job.knowledge == STATIC else None,
                    dealt=dealt,
                )
        except AccessDenied as error:
            if job.defense:  # the defence took the access away: that is what it does
                return _skipped(Obstacle("access", f"denied behind {job.defense}: {error}"))
            raise
        except ImportError as error:
            extra = catalog.missing(error)
            if extra is None:
                raise
            return _skipped(Obstacle("install", str(extra)))
        return Result(DONE, {}, trials_to_bytes(trials))

    def _utility(self, job: Job) -> Result:
        scene = self._scene(job)
        if scene.utility is None:
            return Result(DONE, {"values": {}})
        return Result(DONE, {"values": {k: figure(v) for k, v in scene.utility(scene).items()}})

    def _scene(self, job: Job) -> Scene:
        """The scene of a job behind its defense, whatever its attacker knows."""
        key = _key(job)
        if key not in self._scenes:
            if not job.defense:
                self._scenes[key] = build_scene.build(job.scene, job.scene_params)
            else:
                base = self._undefended(job)
                with _blamed("defense"):
                    self._scenes[key] = defended(base, job.defense, job.defense_params, job.seed)
        return self._scenes[key]

    def _undefended(self, job: Job) -> Scene:
        return self._scene(replace(job, defense="", defense_params={}))

    def _dealt(self, job: Job, attack: Any, scene: Scene) -> Deal:
        key = (*job.group, job.scene, job.seed)
        if self._deal is None or self._deal[0] != key:
            self._deal = None  # let go of the last victims before the next are trained
            answer_cache.forget()
            self._deal = (key, deal(attack, scene, seed=job.seed, params=job.game_params))
        return self._deal[1]


@contextlib.contextmanager
def _blamed(kind: str) -> Iterator[None]:
    """Write on a user's mistake which part would not take it; what is not installed is no one's."""
    try:
        yield
    except UsageError as error:
        error.blame = "" if isinstance(error, MissingExtra | MissingPack) else kind
        raise


def why(error: BaseException) -> str:
    """Word an exception in one line, with the place where a part's own code raised it."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, HartleyError):
        return f"{type(error).__name__}: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"


def _skipped(obstacle: Obstacle) -> Result:
    return Result(SKIPPED, {"reason": obstacle.reason, "cause": obstacle.cause})


def _key(job: Job) -> tuple[Any, ...]:
    """What the scene of a job depends on."""
    return (
        *(job.scene, repr(sorted(job.scene_params.items()))),
        *(job.defense, repr(sorted(job.defense_params.items()))),
        job.seed if job.defense else 0,
    )
