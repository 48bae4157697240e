"""The first page of help: all verbs, whole words, and no library in the process that prints it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hartley import __version__
from hartley.cli.front_page import front_page
from hartley.cli.main import VERBS


def test_it_names_every_verb_once_and_keeps_to_the_terminal(call):
    for room in (60, 80, 100):
        lines = list(front_page(room))
        assert max(map(len, lines)) <= room
        named = [line.split()[0] for line in lines if line[:2] == "  " and line[2:3].isalpha()]
        assert named == list(VERBS)
    text = " ".join(" ".join(front_page(80)).split())
    for what in VERBS.values():
        assert what in text
    out = call("--help").stdout
    assert out == call().stdout == call("-h").stdout
    assert "Exit codes: 0 pass" in out and out.endswith("\n")
    assert call("--version").stdout == f"{__version__}\n"


def test_neither_it_nor_the_package_imports_a_library():
    code = (
        "import sys; import hartley; sys.argv = ['hartley', '--help']\n"
        "from hartley.cli.start import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "others = {n.partition('.')[0] for n in sys.modules} - sys.stdlib_module_names\n"
        "print(sorted(n for n in others if not n.startswith('_')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert done.stderr.strip() == "['hartley']"
    assert "assess" in done.stdout
