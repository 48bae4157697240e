"""Ways in which a run once passed without a verdict, or with the verdict of another run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tests.report.sample import document as sample_document

from hartley.engine.result.gate import INCONCLUSIVE, PASS, judge
from hartley.store.verify import digest_of

LOUD = ("assess", "--scene", "live:membership", "--only", "loss_threshold", "--workers", "0")

ATTACK = """
import os, sys
{at_import}
from hartley.core import ALL, Access, Outcome, Term, attack
from hartley.games.membership.membership import membership


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def leaver(view, rng):
    \"\"\"End the program.\"\"\"
    {as_it_plays}
"""

RECIPE = """
import os, sys
from hartley.core import recipe
from hartley.core.taxonomy import Modality


@recipe(modality=Modality.VISION)
def gone():
    \"\"\"A scene whose recipe ends the program.\"\"\"
    {as_it_builds}
"""


@pytest.fixture
def command(tmp_path):
    """The real command, with a plugin of one module."""

    def run(*words, source="", stdout=subprocess.PIPE, stderr=subprocess.PIPE, closed=()):
        env = {**os.environ}
        if source:
            package, info = tmp_path / "site/odd", tmp_path / "site/odd-1.0.dist-info"
            package.mkdir(parents=True, exist_ok=True)
            info.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
            (package / "part.py").write_text(source)
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text("[hartley.parts]\nodd = odd.part\n")
            path = [str(tmp_path / "site"), env.get("PYTHONPATH", "")]
            env["PYTHONPATH"] = os.pathsep.join(path)
        return subprocess.run(
            [sys.executable, "-m", "hartley.cli.main", *words],
            env=env,
            cwd=tmp_path,
            stdout=stdout,
            stderr=stderr,
            text=True,
            check=False,
            timeout=120,
            preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
        )

    return run


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_attack_that_ends_the_program_is_a_failed_row(command, workers):
    words = ("assess", "--scene", "live:membership", "--workers", workers)
    only = ("--only", "leaver", "--only", "leaver_below")
    source = ATTACK.format(at_import="", as_it_plays="sys.exit(0)")
    below = ATTACK.format(at_import="", as_it_plays="os._exit(0)").replace("leaver", "leaver_below")
    done = command(*words, *only, source=source + below)
    assert done.returncode == 3 and "verdict: inconclusive" in done.stdout, done.stderr
    for reason in ("SystemExit: 0", "leaver_below ended with exit code 0"):
        assert reason in done.stderr, done.stderr


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_a_part_that_ends_the_program_as_it_is_imported_does_not_pass(command, leave):
    source = ATTACK.format(at_import=leave, as_it_plays="return None")
    for words in (
        ("assess", "--scene", "live:membership", "--only", "leaver", "--workers", "0"),
        ("attack", "leaver", "--scene", "live:membership"),
    ):
        done = command(*words, source=source)
        assert done.returncode in (2, 3) and "leaver" in done.stdout + done.stderr, words


OVER = (
    'scene = "live:membership"\nonly = ["loss_threshold", "leaver"]\n[limits]\nmembership = 0.05\n'
)

GATE_IS_REPLACED = """
from hartley.engine.result import gate
gate.EXIT.update(over=0, inconclusive=0)
"""
CODE_IS_CONFIRMED = """
frame = sys._getframe()
while frame and "confirm" not in frame.f_locals:
    frame = frame.f_back
if frame:
    os.write(frame.f_locals["confirm"], frame.f_locals["token"] + bytes([0]))
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("at_import", "words"),
    [
        (GATE_IS_REPLACED, "loss_threshold is at least "),
        (CODE_IS_CONFIRMED, "must hold a finished run of the plan 'over', got none"),
    ],
)
def test_an_import_that_answers_for_the_gate_does_not_pass(command, tmp_path, at_import, words):
    (tmp_path / "over.toml").write_text(OVER)
    source = ATTACK.format(at_import=at_import, as_it_plays="raise ValueError('no')")
    done = command("assess", "over.toml", "--workers", "1", source=source)
    assert done.returncode == (1 if "loss" in words else 3), done
    last = done.stderr.splitlines()[-1]
    assert last.startswith("hartley: the stored run, judged again without code of plugins, ")
    assert words in last


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_a_recipe_that_ends_the_program_does_not_pass(command, leave):
    words = ("assess", "--scene", "gone", "--workers", "0")
    done = command(*words, source=RECIPE.format(as_it_builds=leave))
    assert done.returncode == 3 and "the scene 'gone' failed" in done.stderr


def test_a_reader_that_goes_away_does_not_turn_over_into_pass(command, call, tmp_path):
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.01\n")
    assert call(*LOUD, "--run", "loud").returncode == 0
    gate = ("gate", "loud", "--limits", "limits.toml")
    read, write = os.pipe()
    os.close(read)
    done = command(*gate, stdout=write)
    assert done.returncode == 1, done.stderr
    # Also with `2>&1`, where a message on standard error fails too.
    assert command(*gate, "--json", stdout=write, stderr=write).returncode == 1
    assert command("gate", "louder", *gate[2:], stdout=write, stderr=write).returncode == 2
    os.close(write)


def test_an_output_that_cannot_be_written_is_one_line_and_no_pass(command, call, tmp_path):
    for name, limit in {"limits": 0.01, "wide": 1.0}.items():
        text = f'[limits]\nmembership = {limit}\n[limits.least]\nattacks = ["loss_threshold"]\n'
        (tmp_path / f"{name}.toml").write_text(text)
    assert call(*LOUD, "--run", "loud").returncode == 0
    over, within = (("gate", "loud", "--limits", f"{name}.toml") for name in ("limits", "wide"))
    for gate in ((*over, "--json"), within):
        with Path("/dev/full").open("w") as full:
            done = command(*gate, stdout=full)
        assert done.returncode == 2, done.stderr
        assert done.stderr == "hartley: the output cannot be written: No space left on device\n"
    for gate, code in ((over, 1), ((*within, "--json"), 0)):
        closed = command(*gate, closed=(1,))
        assert closed.returncode == code and closed.stderr == ""
    for gate, code in (((*over, "--json"), 1), (within, 0)):
        assert command(*gate, closed=(0, 1, 2)).returncode == code


def test_a_shell_that_ignores_the_end_of_children_changes_no_code(command):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        done = command("assess", "--scene", "dead:membership", *LOUD[3:])
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


MEDDLERS = {
    "ends the process below Python": "import ctypes; ctypes.CDLL(None)._exit(0)",
    "lets over be 0": "from hartley.engine.result import gate; gate.EXIT.update(over=0)",
}


@pytest.mark.parametrize("at_import", MEDDLERS.values(), ids=list(MEDDLERS))
def test_the_gate_runs_no_code_of_plugins(command, call, tmp_path, at_import):
    # A setting without the name of its part was looked for in all parts that are installed.
    least = '[limits.least]\nattacks = ["loss_threshold"]\nreferences = 2\n'
    (tmp_path / "limits.toml").write_text(f"[limits]\nmembership = 0.01\n{least}")
    (tmp_path / "named.toml").write_text(
        "[limits]\nmembership = 0.01\n[limits.least.leaver]\nreferences = 2\n"
    )
    assert call(*LOUD, "--run", "loud").returncode == 0
    source = ATTACK.format(at_import=at_import, as_it_plays="return None")
    done = command("gate", "loud", "--limits", "limits.toml", source=source)
    assert done.returncode == 1 and "loud: over" in done.stdout, done.stderr
    named = command("gate", "loud", "--limits", "named.toml", source=source)
    assert named.returncode == 2 and "of plugin odd, whose code is not run here" in named.stderr


def test_latest_is_the_run_that_was_assessed_last(call, tmp_path):
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.01\n")
    silent = (*LOUD[:2], "dead:membership", *LOUD[3:])
    assert call(*LOUD, "--run", "loud").returncode == 0
    assert call(*silent, "--run", "silent").returncode == 0
    assert "silent" in call("report", "latest", "--format", "md").stdout
    # The run was complete, so that nothing is played and its date stays.
    again = call(*LOUD, "--run", "loud")
    assert again.returncode == 0 and "hartley gate loud --limits" in again.stderr
    gate = call("gate", "latest", "--limits", "limits.toml")
    assert gate.returncode == 1 and gate.stdout.startswith("loud: over")


def test_latest_is_refused_where_it_is_not_clear_which_it_is(call, tmp_path):
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.01\n")
    assert call(*LOUD, "--run", "one").returncode == 0
    pointer = tmp_path / "runs/latest"
    pointer.unlink()
    gate = ("gate", "latest", "--limits", "limits.toml")
    assert call(*gate).returncode == 1
    journal = tmp_path / "runs/one/journal.jsonl"
    (tmp_path / "runs/two").mkdir()
    (tmp_path / "runs/two/journal.jsonl").write_bytes(journal.read_bytes())
    doubt = call(*gate)
    assert doubt.returncode == 2 and "name the run" in doubt.stderr
    pointer.write_text(f"three\n{digest_of(b'three')}\n")
    gone = call(*gate)
    assert gone.returncode == 2 and "not there any more" in gone.stderr


def test_a_name_is_a_run_of_the_store_whatever_the_current_folder_holds(call, tmp_path):
    (tmp_path / "limits.toml").write_text("[limits]\nmembership = 0.01\n")
    silent = (*LOUD[:2], "dead:membership", *LOUD[3:])
    assert call(*LOUD, "--run", "audit").returncode == 0
    assert call(*silent, "--run", "audit", "--store", ".").returncode == 0
    gate = call("gate", "audit", "--limits", "limits.toml")
    assert gate.returncode == 1, gate.stdout


def test_a_document_of_the_last_time_does_not_count_while_the_run_is_played_again(
    call, tmp_path, monkeypatch
):
    from hartley.engine import assess

    (tmp_path / "limits.toml").write_text(
        '[limits]\nmembership = 1\n[limits.least]\nattacks = ["loss_threshold"]\n'
    )
    assert call(*LOUD, "--run", "one").returncode == 0
    gate = ("gate", "one", "--limits", "limits.toml")
    assert call(*gate).returncode == 0
    # Another attack is added, and the process is stopped before it was played.
    monkeypatch.setattr(
        assess.executor, "perform", lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    rows = tmp_path / "runs/one/rows"
    for row in rows.iterdir():
        row.unlink()
    assert call(*LOUD, "--run", "one").returncode == 130
    assert call(*gate).returncode == 2
    monkeypatch.undo()


def test_a_limit_that_is_set_twice_is_refused(call, tmp_path):
    (tmp_path / "limits.toml").write_text(
        dedent("""
        [limits]
        "membership.tpr_at_fpr_1e2" = 0.1
        [limits.membership]
        tpr_at_fpr_1e2 = 99
        """)
    )
    done = call("gate", "latest", "--limits", "limits.toml")
    assert done.returncode == 2 and "must be set once" in done.stderr


@pytest.mark.parametrize("table", ["[limits.membership]", "membership = {}"])
def test_a_limit_without_a_number_is_refused(call, tmp_path, table):
    (tmp_path / "limits.toml").write_text(f'[limits]\n"attack:rmia" = 1.0\n{table}\n')
    done = call("gate", "latest", "--limits", "limits.toml")
    assert done.returncode == 2
    assert "limits.membership must be a number or a table of metrics, got an empty" in done.stderr


def test_a_crash_behind_a_defense_is_inconclusive():
    document = sample_document()
    row = next(row for row in document["channels"] if row["status"] == "measured")
    document["channels"] = [row]
    assert judge(document, {}).status == PASS
    crashed = {**row, "id": "lira-behind", "baseline": False}
    crashed |= {"status": "failed", "reason": "RuntimeError: on purpose"}
    verdict = judge({**document, "channels": [row, crashed]}, {})
    assert verdict.status == INCONCLUSIVE and "lira-behind failed" in verdict.reasons[0]
    assert json.dumps(verdict.dump())
