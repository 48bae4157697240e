"""A worker process: reads jobs, plays them, answers.

Run as ``python -m hartley.engine.run.worker JOBS RESULTS``, with two descriptors, or forked of a
process that has the scene (``engine.run.fork_server``).

It talks in frames over pipes of its own, which parts do not know: what they print, and whatever
they write to standard output, goes into the log. When the parent is gone the worker goes too, with
whatever processes its parts started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from hartley.engine.run import processes
from hartley.engine.run.frames import pack, receive

if TYPE_CHECKING:
    from hartley.core import Scene
    from hartley.engine.run.player import Player, Result

    BuiltScene = tuple[str, Scene, Mapping[str, Any]]

CANNOT_ANSWER = 74
"""The exit code of a worker whose pipe a part has closed."""
_writing = threading.Lock()
_OUT_OF_REACH = 400
"""Parts that write to descriptors by number, or close them, begin with the small ones."""


def main() -> None:
    """Play jobs until the input ends."""
    jobs, results = (int(word) for word in sys.argv[1:3])
    work(jobs, results, os.getppid(), None)


def work(jobs: int, results: int, parent: int, built_scene: BuiltScene | None) -> NoReturn:
    """Play jobs until the input ends, and end this process.

    Args:
        jobs, results: descriptors.
        parent: the id of the process that gives the jobs, with which this one ends.
        built_scene: a scene that is built already.
    """
    jobs, results = _moved(jobs), _moved(results)
    processes.adopt_orphans()
    processes.offer_to_be_killed()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        _serve(os.fdopen(jobs, "rb"), results, built_scene)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # what parts leave to be done at the end could take for ever
    except OSError:
        os._exit(CANNOT_ANSWER)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _serve(inbox: IO[bytes], results: int, built_scene: BuiltScene | None) -> None:
    from hartley.engine.run.player import Player
    from hartley.kit.training_news import listening
    from hartley.store.artifacts import Artifacts

    token, note = receive(inbox)
    sys.path[:] = note["path"]
    artifacts = note["artifacts"]
    player = Player(Artifacts(Path(artifacts)) if artifacts else None, note["isolate"])
    if built_scene is not None:
        player.hold(*built_scene)
    _write(results, pack(token, {"ready": True}))
    with listening(lambda news: _write(results, pack(token, {"training": dict(news)}))):
        _play(inbox, token, player, results)


def _play(inbox: IO[bytes], token: bytes, player: Player, results: int) -> None:
    """Play one experiment after another."""
    from hartley.core import Experiment
    from hartley.engine.run.player import FAILED, Result, why

    while True:
        note = receive(inbox)[1]
        experiment = Experiment.load(note["experiment"])
        result = player.run(experiment)
        try:
            frame = _packed(token, experiment.key, result)
        except Exception as error:
            reason = f"its result cannot be written down: {why(error)}"
            frame = _packed(
                token, experiment.key, Result(FAILED, {"reason": reason, "seconds": 0.0})
            )
        _write(results, frame)


def _packed(token: bytes, key: str, result: Result) -> bytes:
    head = {name: getattr(result, name) for name in ("status", "note", "mistake", "row")}
    return pack(token, {"key": key, "result": head}, result.content)


def _write(descriptor: int, content: bytes) -> None:
    """Write a whole frame, also where a part trains models in several threads."""
    view = memoryview(content)
    with _writing:
        while view:
            view = view[os.write(descriptor, view) :]


def _moved(descriptor: int) -> int:
    """Move a descriptor to a large number, where the system has one; children do not inherit it."""
    os.set_inheritable(descriptor, False)
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_REACH)
        os.close(descriptor)
        return moved
    return descriptor


def _follow(parent: int) -> None:
    """End this process and its children when the parent was killed."""
    wait = threading.Event()
    while not wait.wait(0.5):
        if os.getppid() != parent:
            processes.end(os.getpid(), os.environ.get(processes.MARK, ""))


if __name__ == "__main__":
    main()
