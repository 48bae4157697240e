"""A worker process: reads jobs, plays them, answers.

Run as ``python -m hartley.engine.run.worker``.

It talks over its standard input and output in frames (two lengths, a JSON note, raw bytes), so no
object crosses a process border. What a part prints goes to standard error. When the parent is gone
the worker goes too, with whatever processes its parts started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

_HEAD = struct.Struct(">IQ")


def send(stream: IO[bytes], note: Mapping[str, Any], content: bytes = b"") -> None:
    """Write one frame."""
    text = json.dumps(note, default=str).encode()
    stream.write(_HEAD.pack(len(text), len(content)) + text + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    Raises:
        EOFError: the other side is gone.
    """
    text_length, content_length = _HEAD.unpack(_exactly(stream, _HEAD.size))
    note: dict[str, Any] = json.loads(_exactly(stream, text_length))
    return note, _exactly(stream, content_length)


def main() -> None:
    """Play jobs until the input ends."""
    inbox = os.fdopen(os.dup(0), "rb")
    outbox = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError):
        note, _ = receive(inbox)
        sys.path[:] = note["path"]
        _serve(inbox, outbox, note["artifacts"])


def _serve(inbox: IO[bytes], outbox: IO[bytes], artifacts: str | None) -> None:
    from hartley.core import Experiment
    from hartley.engine.run.player import Player
    from hartley.store.artifacts import Artifacts

    player = Player(Artifacts(Path(artifacts)) if artifacts else None)
    while True:
        note, _ = receive(inbox)
        result = player.run(Experiment.load(note))
        head = {name: getattr(result, name) for name in ("status", "note", "mistake", "row")}
        send(outbox, head, result.content)


def _follow(parent: int) -> None:
    """End this process and its children when the parent was killed."""
    wait = threading.Event()
    while not wait.wait(0.5):
        if os.getppid() != parent:
            os.killpg(os.getpgid(0), signal.SIGKILL)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) != length:
        raise EOFError("the other side is gone")
    return content


if __name__ == "__main__":
    main()
