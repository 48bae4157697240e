"""How long the pages of ``hartley serve`` take: the first page of a store of 1,000 runs, and a run.

Run with ``python bench/serve_speed.py RUN``, where RUN is the folder of a finished run. It is
copied 1,000 times into a folder of its own. Each page is asked for over a connection, as a browser
does; the times are wall times.
"""

from __future__ import annotations

import http.client
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS, AGAIN = 1000, 20


def main(source: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "runs"
        for i in range(RUNS):  # copies: no index knows their files
            folder = store / f"run-{i:04}"
            folder.mkdir(parents=True)
            for name in ("journal.jsonl", "run.json", "plan.toml"):
                shutil.copy(source / name, folder)
        shutil.copytree(source, store / source.name, dirs_exist_ok=True)
        command = [sys.executable, "-m", "hartley", "serve", "--store", str(store)]
        command += ["--port", "0", "--no-token"]
        begun = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline().rsplit(":", 1)[1].strip("/\n"))
            print(f"listens after {time.monotonic() - begun:.2f} s")
            try:
                print(f"list of {RUNS + 1} runs, no index yet: {1000 * ask(port, '/'):.0f} ms")
                again = sorted(ask(port, "/") for _ in range(AGAIN))
                middle, worst = 1000 * statistics.median(again), 1000 * again[-1]
                print(f"while all runs are checked: median {middle:.0f}, worst {worst:.0f} ms")
                while not (store / ".index.json").exists():
                    time.sleep(0.2)
                print(f"all runs are checked {time.monotonic() - begun:.1f} s after the start")
                run = f"/runs/{source.name}"
                paths = ("/", "/?q=run-05", "/?page=11", run, f"{run}?sort=bits", "/words")
                for path in paths:
                    first = ask(port, path)
                    times = sorted(ask(port, path) for _ in range(AGAIN))
                    print(
                        f"{path}: first {1000 * first:.0f} ms, then median "
                        f"{1000 * statistics.median(times):.0f}, worst {1000 * times[-1]:.0f} ms "
                        f"(n {AGAIN})"
                    )
            finally:
                server.terminate()


def ask(port: int, path: str) -> float:
    """Return the seconds until a page is read whole."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status)
    return time.monotonic() - begun


if __name__ == "__main__":
    main(Path(sys.argv[1]))
