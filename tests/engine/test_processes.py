"""A worker that is ended leaves nothing behind, not even processes that nobody waits for."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAVES = """
import os, subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
between = subprocess.Popen([sys.executable, "-c", f"import subprocess; "
                            f"print(subprocess.Popen({sleeper!r}).pid, flush=True)"])
unheard = subprocess.Popen(["true"])  # it has ended, and nobody takes its end
between.wait()
print("ready", flush=True)
time.sleep(60)
"""

ENDS = """
import os, subprocess, sys
from hartley.engine.run import processes
processes.adopt_orphans()
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE,
                          start_new_session=True, text=True)
while worker.stdout.readline().strip() != "ready":
    pass
processes.end(worker.pid)
worker.wait()
table = processes.process_table()
print([(p, row.state) for p, row in table.items() if row.parent == os.getpid()])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans on Linux alone")
def test_what_a_killed_worker_leaves_is_buried_at_once():
    words = [sys.executable, "-c", ENDS, LEAVES]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
