# ruff: noqa: E501 (rows of tables are one line each)
"""Ways through the process: pipes, descriptors, signals, limits of the system, the environment."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from ways_attempt import LIVE, Attempt, way

GATE = ("gate", "base", "--limits", "limits.toml")
LEAK = f'scene = "{LIVE}"\nonly = ["loss_threshold"]\n[limits]\nmembership = 0.05\n'
PLAY = ("assess", "plan.toml", "--workers", "1", "--run", "mine")
STOPPED = (1, 2, 3, 129, 130, 143)

SHELL = {
    "a reader that goes away": ("the pipe is closed at once", "set -o pipefail; $HARTLEY gate base --limits limits.toml | true"),
    "head of the output": ("the reader takes one line", "set -o pipefail; $HARTLEY gate base --limits limits.toml --json | head -c 1"),
    "standard output closed": (">&-", "$HARTLEY gate base --limits limits.toml >&-"),
    "standard error closed": ("2>&-", "$HARTLEY gate base --limits limits.toml 2>&-"),
    "everything closed": ("<&- >&- 2>&-", "$HARTLEY gate base --limits limits.toml <&- >&- 2>&-"),
    "standard input closed": ("<&-", "$HARTLEY gate base --limits limits.toml <&-"),
    "a full disk behind the output": ("> /dev/full", "$HARTLEY gate base --limits limits.toml > /dev/full"),
    "a full disk behind JSON": ("--json > /dev/full", "$HARTLEY gate base --limits limits.toml --json > /dev/full"),
    "broken pipes ignored": ("SIGPIPE is ignored", "trap '' PIPE; set -o pipefail; $HARTLEY gate base --limits limits.toml | true"),
    "children ignored": ("SIGCHLD is ignored by the shell", "trap '' CHLD; $HARTLEY gate base --limits limits.toml"),
    "assess, children ignored": ("SIGCHLD is ignored while it plays", "trap '' CHLD; $HARTLEY assess plan.toml --workers 1 --run mine"),
    "assess, output closed": (">&- while it plays", "$HARTLEY assess plan.toml --workers 1 --run mine >&-"),
    "assess, everything closed": ("<&- >&- 2>&- while it plays", "$HARTLEY assess plan.toml --workers 1 --run mine <&- >&- 2>&-"),
    "assess, a full disk behind the output": ("> /dev/full while it plays", "$HARTLEY assess plan.toml --workers 1 --run mine --json > /dev/full"),
    "assess, a reader that goes away": ("| true while it plays", "set -o pipefail; $HARTLEY assess plan.toml --workers 1 --run mine 2>&1 | true"),
    "a file of half a kilobyte": ("ulimit -f 0: nothing can be written", "ulimit -f 0; $HARTLEY assess plan.toml --workers 1 --run mine"),
    "few descriptors": ("ulimit -n 20", "ulimit -n 20; $HARTLEY assess plan.toml --workers 1 --run mine"),
    "little memory": ("ulimit -v 400000", "ulimit -v 400000; $HARTLEY assess plan.toml --workers 1 --run mine"),
    "a small stack": ("ulimit -s 256", "ulimit -s 256; $HARTLEY gate base --limits limits.toml"),
    "in the background": ("&, wait", "$HARTLEY gate base --limits limits.toml & wait $!"),
    "in a folder that was removed": ("the current folder is gone", "mkdir gone; cd gone; rmdir ../gone; $HARTLEY gate base --limits limits.toml --store ../runs"),
}  # fmt: skip


def _line(shell: str) -> Callable[[Attempt], int]:
    def run(a: Attempt) -> int:
        a.write("plan.toml", LEAK)
        code = a.process(shell=shell)
        # What the shell or the system ends is not Hartley's code; it must not be 0 either.
        return code if code in STOPPED or code == 0 else 3

    return run


for _name, (_tries, _shell) in SHELL.items():
    way("process", _tries, *STOPPED, name=f"shell: {_name}")(_line(_shell))

ENVIRONMENT: dict[str, dict[str, str]] = {
    "PYTHONOPTIMIZE=2": {"PYTHONOPTIMIZE": "2"},
    "PYTHONWARNINGS=error": {"PYTHONWARNINGS": "error"},
    "PYTHONDEVMODE": {"PYTHONDEVMODE": "1"},
    "PYTHONHASHSEED": {"PYTHONHASHSEED": "0"},
    "ASCII everywhere": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"},
    "UTF-16 on the terminal": {"PYTHONIOENCODING": "utf-16"},
    "a terminal of one column": {"COLUMNS": "1", "LINES": "1"},
    "a terminal of no columns": {"COLUMNS": "0"},
    "columns that are not a number": {"COLUMNS": "x", "TERM": "nonsense"},
    "colours forced": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm"},
    "NO_COLOR and dumb": {"NO_COLOR": "1", "TERM": "dumb"},
    "no home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": ""},
    "an odd temporary folder": {"TMPDIR": "/nonexistent"},
    "an odd time zone": {"TZ": "Nowhere/Odd"},
    "a language of right to left": {"LANG": "ar_EG.UTF-8", "LC_ALL": "ar_EG.UTF-8"},
    "limits in the environment": {"HARTLEY_LIMITS": "wide.toml", "HARTLEY_MEMBERSHIP": "9"},
    "a verdict in the environment": {"HARTLEY_ACCEPT_UNVERIFIED": "1", "HARTLEY_EXIT": "0"},
    "a store in the environment": {"HARTLEY_STORE": "other", "HARTLEY_RUN": "silent"},
    "short digits": {"PYTHONINTMAXSTRDIGITS": "640"},
    "unbuffered": {"PYTHONUNBUFFERED": "1"},
    "no bytecode": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/nonexistent"},
    "malloc that checks": {"PYTHONMALLOC": "debug"},
    "faults traced": {"PYTHONFAULTHANDLER": "1", "PYTHONTRACEMALLOC": "5"},
    "profile of imports": {"PYTHONPROFILEIMPORTTIME": "1"},
    "a breakpoint": {"PYTHONBREAKPOINT": "os._exit", "PYTHONINSPECT": ""},
}


def _in(variables: dict[str, str]) -> Callable[[Attempt], int]:
    return lambda a: a.process(*GATE, env=variables)


for _name, _variables in ENVIRONMENT.items():
    way("process", f"variables: {', '.join(_variables)}", name=f"environment: {_name}")(
        _in(_variables)
    )


@way("process", "python -O and -OO, which drop assertions")
def without_assertions(a: Attempt) -> list[int]:
    return [a.process(*GATE, python=("-O",)), a.process(*GATE, python=("-OO",))]


@way("process", "python -W error, -I and -X dev")
def other_flags_of_python(a: Attempt) -> list[int]:
    flags = (("-W", "error"), ("-X", "dev"), ("-B", "-q", "-u"))
    return [a.process(*GATE, python=python) for python in flags]


@way("process", "the current folder holds json.py, numpy.py, hartley/ and sitecustomize.py")
def modules_in_the_current_folder(a: Attempt) -> int:
    for name in ("json.py", "numpy.py", "hartley/__init__.py", "sitecustomize.py", "random.py"):
        a.write(name, "import os\nos._exit(0)\n")
    return a.process(*GATE)


@way("process", "the same while a worker plays", *STOPPED)
def modules_in_the_current_folder_of_a_worker(a: Attempt) -> int:
    for name in ("json.py", "numpy.py", "hartley/__init__.py", "sitecustomize.py"):
        a.write(name, "import os\nos._exit(0)\n")
    a.write("plan.toml", LEAK)
    return a.process(*PLAY)


def _stopped(number: int, delay: float) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.write("plan.toml", LEAK)
        code = a.process(shell=f"$HARTLEY assess plan.toml --workers 1 --run mine & p=$!; "
                         f"sleep {delay}; kill -{number} $p; wait $p")  # fmt: skip
        code = 3 if code == 128 + signal.SIGKILL else code
        return [code, a.gate("mine"), a.gate("latest")]

    return run


for _number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
    for _delay in (1.0, 4.0):
        way(
            "process",
            f"{_number.name} {_delay:g} s after the start, then the gate asks for the run",
            *STOPPED,
            name=f"{_number.name} after {_delay:g} s",
        )(_stopped(_number, _delay))


@way("process", "the worker is killed again and again while it plays", *STOPPED)
def workers_are_killed(a: Attempt) -> int:
    a.write("plan.toml", LEAK)
    kill = "for k in 1 2 3 4 5 6; do sleep 1; pkill -9 -P $(pgrep -P $p | head -1) ; done"
    return a.process(
        shell=f"$HARTLEY assess plan.toml --workers 1 --run mine & p=$!; {kill}; wait $p"
    )


@way("process", "two commands play one run at a time", *STOPPED)
def two_at_a_time(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    line = "$HARTLEY assess plan.toml --workers 1 --run mine"
    code = a.process(shell=f"{line} & p=$!; {line}; c=$?; wait $p; d=$?; exit $(( c < d ? c : d ))")
    return [code, a.gate("mine")]


@way("process", "the gate asks while the run is played")
def gate_while_it_is_played(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    codes: list[int] = []

    def ask() -> None:
        for _ in range(3):
            time.sleep(1.5)
            codes.append(a.process("gate", "mine", "--limits", "limits.toml"))

    asking = threading.Thread(target=ask)
    asking.start()
    codes.append(a.process(*PLAY))
    asking.join()
    return codes


@way("process", "the store cannot be written: it is a file, or lies on a read-only mount")
def a_store_that_cannot_be_written(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    a.write("file", "x")
    stores = ("file", "/proc", "/dev/null/x")
    return [a.call(*PLAY, "--store", store) for store in stores]


@way("process", "the disk is full: a folder of 64 KiB in memory", *STOPPED)
def a_full_disk(a: Attempt) -> int:
    a.write("plan.toml", LEAK)
    (a.home / "small").mkdir()
    mount = "mount -t tmpfs -o size=64k tmpfs small || exit 3"
    return a.process(shell=f"unshare -m bash -c '{mount}; $HARTLEY {' '.join(PLAY)} --store small'"
                     .replace("'from", '"from').replace("main()'", 'main()"'))  # fmt: skip


@way("process", "files may have 20,000 bytes: the document cannot be written whole", *STOPPED)
def a_limit_on_files(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    return [a.process(*PLAY, preexec_fn=limited), a.gate("mine")]


@way("process", "two seconds of processor time", *STOPPED)
def a_limit_on_time(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))

    code = a.process(*PLAY, preexec_fn=limited)
    return [3 if code in (-signal.SIGXCPU, -signal.SIGKILL) else code, a.gate("mine")]


@way("process", "every signal is blocked when it starts", *STOPPED)
def signals_are_blocked(a: Attempt) -> int:
    def blocked() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))

    a.write("plan.toml", LEAK)
    return a.process(*PLAY, preexec_fn=blocked)


@way("process", "the clock was set back by years between two runs")
def a_clock_that_was_set_back(a: Attempt) -> int:
    path = a.base / "journal.jsonl"
    stamp = time.mktime((1999, 1, 1, 0, 0, 0, 0, 0, 0))
    for file in (path, a.home / "runs/latest", a.base):
        os.utime(file, (stamp, stamp))
    return a.gate("latest")


@way("process", "the interpreter gets its command from standard input")
def from_standard_input(a: Attempt) -> int:
    return a.process(*GATE, stdin=subprocess.DEVNULL)


@way(
    "process",
    "PYTHONPATH holds another hartley, which exits with 0",
    not_held="whoever sets PYTHONPATH runs another program",
)
def another_hartley(a: Attempt) -> int:
    a.write("fake/hartley/__init__.py", "import os\nos._exit(0)\n")
    return a.process(*GATE, env={"PYTHONPATH": str(a.home / "fake")})


@way(
    "process",
    "PYTHONPATH holds a sitecustomize.py, which exits with 0",
    not_held="whoever sets PYTHONPATH runs another program",
)
def a_sitecustomize(a: Attempt) -> int:
    a.write("fake/sitecustomize.py", "import os\nos._exit(0)\n")
    before = os.environ.get("PYTHONPATH", "")
    return a.process(*GATE, env={"PYTHONPATH": f"{a.home / 'fake'}:{before}"})


@way(
    "process",
    "the shell drops the code: `hartley gate … | cat` without pipefail",
    not_held="the shell answers for a pipeline; docs/gate.md needs no pipe",
)
def a_pipeline(a: Attempt) -> int:
    return a.process(shell="$HARTLEY gate base --limits limits.toml | cat")
