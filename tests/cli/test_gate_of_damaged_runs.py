"""The gate judges what the journal of a run vouches for, and nothing else."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hartley.cli.main import run
from hartley.core.errors import DamagedRun, StoreError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.engine.run import executor
from hartley.kit import cache
from hartley.store import read_run, read_verified
from hartley.store.journal import journal_bytes, read_journal
from hartley.store.verify import digest_of

PLAYED = ("loss_threshold", "entropy_metrics", "rmia")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A store with a run of three attacks on a live scene, over a limit of 0.01."""
    only = ", ".join(f'"{name}"' for name in PLAYED)
    text = f'scene = "live:membership"\nonly = [{only}]\n[limits]\nmembership = 0.01\n'
    store = Path(tmp_path_factory.mktemp("store")) / "runs"
    assess(replace(parse(text, source="plan.toml"), workers=0), store=store, run="loud")
    return store, text


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """The command in this process and in an empty folder, without plugins."""
    monkeypatch.chdir(tmp_path)

    def called(*words):
        code = run(words)
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return called


@pytest.fixture
def folder(played, tmp_path):
    """A copy of that run."""
    shutil.copytree(played[0], tmp_path / "runs")
    return tmp_path / "runs/loud"


@pytest.fixture
def gate(call, played, folder, tmp_path):
    """The gate on that copy, with a limit that is passed; ``again`` is the command that made it."""
    for name, limit in {"limits": 0.01, "wide": 1.0}.items():
        least = f"[limits.least]\nattacks = {json.dumps(PLAYED)}\n"
        (tmp_path / f"{name}.toml").write_text(f"[limits]\nmembership = {limit}\n{least}")
    (tmp_path / "plan.toml").write_text(played[1])

    def judged(run="loud", *words, limits="wide.toml"):
        return call("gate", run, "--limits", limits, *words)

    judged.again = lambda: call("assess", "plan.toml", "--workers", "0", "--run", "loud")
    return judged


def edited(document, edit):
    """A copy of a document after an edit."""
    changed = copy.deepcopy(document)
    edit(changed, next(r for r in changed["channels"] if r["attack"] == PLAYED[0]))
    return changed


EDITS = {
    "a row is deleted": lambda d, r: d["channels"].remove(r),
    "low": lambda d, r: r["bits"].update(low=0.0),
    "low and lows": lambda d, r: r["bits"].update(low=0.0, lows=[[0.05, 0.0]]),
    "high": lambda d, r: r["bits"].update(high=1e-3),
    "a silent row": lambda d, r: r["bits"].update(low=0.0, point=0.0, high=0.0, lows=[[0.05, 0.0]]),
    "point": lambda d, r: r["bits"].update(point=0.5),
    "lows removed": lambda d, r: r["bits"].pop("lows"),
    "lows emptied": lambda d, r: r["bits"].update(lows=[]),
    "alpha": lambda d, r: r["bits"].update(alpha=0.49),
    "skipped": lambda d, r: r.update(status="skipped", reason="left out", cause="plan"),
    "skipped without bits": lambda d, r: (
        r.update(status="skipped", reason="left out", cause="plan"),
        r.pop("bits"),
    ),
    "not a baseline": lambda d, r: r.update(baseline=False),
    "flags removed": lambda d, r: r.update(flags=[]) if r["flags"] else r.update(flags=["odd"]),
    "ceiling": lambda d, r: r.update(ceiling=0.001),
    "class": lambda d, r: r.update({"class": "inversion"}),
    "axis": lambda d, r: r.update(axis="data_to_data"),
    "attack": lambda d, r: r.update(attack="lira"),
    "game": lambda d, r: r.update(game="other"),
    "id": lambda d, r: r.update(id="loss_threshold-000000"),
    "a field of a row": lambda d, r: r.update(n=10**9),
    "assumptions": lambda d, r: r.update(assumptions=[]),
    "a metric": lambda d, r: r["metrics"]["auc"].update(value=0.5, low=0.5, high=0.5),
    "a metric is gone": lambda d, r: r["metrics"].pop("auc"),
    "limits": lambda d, r: d["plan"]["limits"].update(membership=1.0),
    "the verdict": lambda d, r: d["verdict"].update(status="pass"),
    "the verdict and its checks": lambda d, r: d.update(
        verdict={"status": "pass", "reasons": [], "checks": []}
    ),
    "another run": lambda d, r: d.update(id="silent"),
    "scene": lambda d, r: d["scene"].update(name="digits"),
    "seed": lambda d, r: d.update(seed=1),
    "a row twice": lambda d, r: d["channels"].append(copy.deepcopy(r)),
    "a number is written otherwise": lambda d, r: r.update(seconds=r["seconds"] + 1e-9),
    "an unknown field": lambda d, r: r.update(higher=1.0),
    "nothing is left": lambda d, r: d.update(channels=[]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_document_is_not_the_one_that_was_written(folder, name):
    path = folder / "run.json"
    document = edited(json.loads(path.read_bytes()), EDITS[name])
    for indent in (1, None):
        path.write_text(json.dumps(document, indent=indent) + "\n")
        with pytest.raises(DamagedRun, match=r"run\.json is not the document that was written"):
            read_verified(folder)


def test_the_gate_does_not_judge_an_edited_document_and_a_rerun_writes_it_again(gate, folder, call):
    path = folder / "run.json"
    written = path.read_bytes()
    path.write_text(json.dumps(edited(json.loads(written), EDITS["a row is deleted"])))
    done = gate()
    assert done.returncode == 3 and done.stdout.startswith("loud: inconclusive")
    assert gate("loud", "--json", "--accept-unverified").returncode == 3
    shown = call("report", "loud", "--format", "junit")
    assert shown.returncode == 0 and "not verified: the run loud is damaged" in shown.stderr
    again = gate.again()
    assert again.returncode == 1
    assert "run.json is not the document that was written; it is written again" in again.stderr
    assert gate().returncode == 0
    assert json.loads(path.read_bytes())["channels"] == json.loads(written)["channels"]


def test_other_files_of_a_run_are_held_against_their_digests(folder, gate):
    row, trials = (next((folder / name).iterdir()) for name in ("rows", "trials"))
    for path in (row, trials, folder / "plan.toml", folder / "journal.jsonl"):
        content = path.read_bytes()
        for damaged in (content[:-1], content[:50] + b"?" + content[51:], content + b" ", b""):
            path.write_bytes(damaged)
            with pytest.raises(DamagedRun) as seen:
                read_verified(folder)
            if path.suffix != ".jsonl":
                words = str(seen.value)
                assert path.name in words and "`hartley assess` command" in words
        path.unlink()
        if path.suffix == ".jsonl":
            assert read_verified(folder).doubt
        else:
            with pytest.raises(DamagedRun):
                read_verified(folder)
        path.write_bytes(content)
    assert gate(limits="limits.toml").returncode == 1
    assert json.loads(gate("loud", "--json").stdout)["verified"] is True


def test_damage_is_healed_by_the_command_that_made_the_run(gate, folder):
    before = json.loads((folder / "run.json").read_bytes())
    for name, words in {
        "rows": "is damaged; its trials are measured again",
        "trials": "is damaged; its job is played again",
    }.items():
        path = next((folder / name).iterdir())
        path.write_bytes(path.read_bytes()[:-1])
        again = gate.again()
        assert again.stderr.count(f"{name}/{path.name} {words}") == 1 and again.returncode == 1
        assert gate().returncode == 0
    after = json.loads((folder / "run.json").read_bytes())
    assert [r.get("bits") for r in before["channels"]] == [r.get("bits") for r in after["channels"]]
    assert "is complete" in gate.again().stderr


def test_a_file_of_the_cache_that_was_made_again_is_said(call, monkeypatch):
    """As this process builds the scene, and as a worker plays."""
    attack = executor.Player.run

    def played(player, experiment):
        cache.rebuilt.append("decoder/b.safetensors")
        return attack(player, experiment)

    monkeypatch.setattr(executor.Player, "run", played)
    cache.rebuilt.append("fleet/a.safetensors")
    words = ("assess", "--scene", "live:membership", "--only", PLAYED[0], "--workers", "0")
    done = call(*words)
    for name in ("fleet/a", "decoder/b"):
        assert f"the cache's {name}.safetensors was damaged or of an earlier" in done.stderr
    assert not cache.rebuilt


def test_a_document_whose_digest_was_forged_contradicts_its_rows(folder):
    path = folder / "run.json"
    written = json.loads(path.read_bytes())
    for name in ("a field of a row", "a row is deleted", "high"):
        document = edited(written, EDITS[name])
        path.write_text(json.dumps(document))
        lines = read_journal(folder / "journal.jsonl").lines
        lines[-1] = {**lines[-1], "run_sha256": digest_of(path.read_bytes())}
        (folder / "journal.jsonl").write_bytes(journal_bytes(lines)[0])
        with pytest.raises(DamagedRun) as seen:
            read_verified(folder)
        words = ("contradict each other", "hold the rows of the work list", "damaged run document")
        assert any(word in str(seen.value) for word in words)


def test_a_bare_document_is_judged_and_does_not_pass(gate, folder, tmp_path):
    path = tmp_path / "copy.json"
    path.write_bytes((folder / "run.json").read_bytes())
    over, wide = gate("copy.json", limits="limits.toml"), gate("copy.json")
    assert over.returncode == 1 and wide.returncode == 3
    assert "unverified: copy.json is" in wide.stdout and "--accept-unverified" in wide.stdout
    accepted = gate("copy.json", "--accept-unverified")
    assert accepted.returncode == 0 and "loud: pass (unverified)" in accepted.stdout
    facts = gate("copy.json", "--json")
    assert json.loads(facts.stdout)["verified"] is False and facts.returncode == 3
    row = json.loads(path.read_bytes())["channels"][0]
    (tmp_path / "row.json").write_text(json.dumps(row))  # a part of a document
    assert gate("row.json", "--accept-unverified").returncode == 2
    # The document of a run is judged with its run, also by its path.
    assert gate(str(folder / "run.json")).returncode == 0
    (folder / "journal.jsonl").unlink()
    assert gate(str(folder)).returncode == 3


def test_a_run_of_an_earlier_version_is_shown_and_is_unverified(gate, folder, call):
    journal = folder / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        for key in [k for k in line if k in ("check", "before") or k.endswith("_sha256")]:
            del line[key]
    lines[0]["schema"] = "hartley.journal/1"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    for words in (("show", "loud"), ("report", "loud", "--format", "md")):
        assert call(*words).returncode == 0
    old = gate()
    assert old.returncode == 3
    assert "the `hartley assess` command that made it plays it again" in old.stdout
    # What is measured again has digests from now on; nothing vouches for what it was before.
    assert call("assess", "--remeasure", "loud").returncode == 1
    assert gate().returncode == 3 and gate("loud", "--accept-unverified").returncode == 0
    again = gate.again()
    assert "every job is played again" in again.stderr and again.returncode == 1
    assert gate().returncode == 0


def test_limits_that_an_old_run_holds_do_not_pass_when_it_is_measured_again(gate, folder, call):
    journal, plan = folder / "journal.jsonl", folder / "plan.toml"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        for key in [k for k in line if k in ("check", "before") or k.endswith("_sha256")]:
            del line[key]
    lines[0]["schema"] = "hartley.journal/1"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    wide = plan.read_text().replace('"membership" = 0.01', '"membership" = 1.0')
    plan.write_text(f"{wide}[limits.least]\nattacks = {json.dumps(PLAYED)}\n")
    again = call("assess", "--remeasure", "loud")
    assert again.returncode == 3 and "unverified: the run loud was made by" in again.stderr


def test_a_folder_that_holds_another_run_does_not_pass(gate, folder, tmp_path):
    store = folder.parent
    copied, linked, inner = store / "audit", store / "linked", folder / "rows/audit"
    shutil.copytree(folder, copied)
    linked.symlink_to("loud")
    shutil.copytree(copied, inner)
    for name in ("audit", "linked", "runs/audit", str(inner), str(copied / "run.json")):
        done = gate(name)
        assert done.returncode == 3 and "holds another run, loud" in done.stdout, name
        assert gate(name, limits="limits.toml").returncode == 1
    assert gate("audit", "--accept-unverified").returncode == 0
    for name in (folder, folder / "run.json", folder / ".", folder / "rows/..", inner / "../.."):
        assert gate(str(name)).returncode == 0, name


def test_the_command_writes_the_document_of_a_copied_folder_anew(gate, folder, call):
    shutil.copytree(folder, folder.parent / "audit")
    again = call("assess", "plan.toml", "--workers", "0", "--run", "audit")
    assert again.returncode == 1
    assert json.loads((folder.parent / "audit/run.json").read_bytes())["id"] == "audit"
    assert gate("audit").returncode == 0


IMPOSSIBLE = {
    "two rows of one id": (lambda d, r: d["channels"].append(r), "must belong to one row, got 2"),
    "low above point": (lambda d, r: r["bits"].update(low=2.0, lows=[[0.05, 2.0]]), "low must be"),
    "point above high": (lambda d, r: r["bits"].update(high=1e-6), "point must be at most high"),
    "low that is not lows": (lambda d, r: r["bits"].update(low=0.1), "lows must begin with low"),
    "alpha that is not lows": (lambda d, r: r["bits"].update(alpha=0.4), "must begin at alpha 0.4"),
    "lows that rise": (
        lambda d, r: r["bits"]["lows"].append([0.001, 9.0]),
        "lows must fall with alpha",
    ),
    "a number as text": (lambda d, r: r["bits"].update(high="0.1"), "of type number or null"),
    "true as a number": (lambda d, r: r["bits"].update(high=True), "of type number or null"),
    "a huge number": (lambda d, r: r["bits"].update(high=10**400), "at most 300 digits"),
    "alpha of one": (lambda d, r: r["bits"].update(alpha=1), "alpha must be below 1"),
    "skipped with bits": (
        lambda d, r: r.update(status="skipped", reason="no", cause="plan"),
        "bits must be absent",
    ),
    "an unknown status": (lambda d, r: r.update(status="fine"), "must be one of measured"),
    "an unknown cause": (lambda d, r: r.update(cause="luck"), "cause must be one of"),
    "bits are gone": (lambda d, r: r.pop("bits"), "must have 'bits'"),
    "an unknown field of bits": (lambda d, r: r["bits"].update(hihg=1), "must not have 'hihg'"),
    "half a baseline": (lambda d, r: r.update(baseline=False), "no defense was added"),
    "more clusters than uses": (lambda d, r: r.update(clusters=10**9), "clusters must be at most"),
    "a metric out of order": (lambda d, r: r["metrics"]["auc"].update(high=0.0), "metrics.auc"),
    "fewer than no uses": (lambda d, r: r.update(n=-1), "n must be at least 0"),
    "a field is gone": (lambda d, r: r.pop("access"), "must have 'access'"),
    "a verdict that its checks do not bear": (
        lambda d, r: d["verdict"].update(status="pass"),
        "verdict.status must be over",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_document_that_contradicts_itself_is_refused(folder, tmp_path, name):
    edit, words = IMPOSSIBLE[name]
    document = json.loads((folder / "run.json").read_bytes())
    (tmp_path / "copy.json").write_text(json.dumps(edited(document, edit)))
    with pytest.raises(StoreError, match=words):
        read_run(tmp_path / "copy.json")


def test_text_that_is_not_one_document_is_refused(folder, tmp_path):
    text = (folder / "run.json").read_text()
    for odd, words in {
        re.sub(r'"point": [0-9.e-]+', '"point": NaN', text): "NaN is not JSON",
        re.sub(r'"seed": 0', '"seed": 0, "seed": 1', text): "'seed' must be there once",
        "[" * 100_000: "is not a run document",
        text[: len(text) // 2]: "is not a run document",
    }.items():
        (tmp_path / "odd.json").write_text(odd)
        with pytest.raises(StoreError, match=words):
            read_run(tmp_path / "odd.json")


def test_latest_that_was_changed_is_refused(gate, folder):
    latest = folder.parent / "latest"
    shutil.copytree(folder, folder.parent / "loue")
    assert gate("latest").returncode == 0
    latest.write_bytes(latest.read_bytes().replace(b"loud", b"loue"))
    for content in (latest.read_bytes(), b"loue\n", b"loud\n", b""):
        latest.write_bytes(content)
        done = gate("latest")
        assert done.returncode == 2 and "is damaged; name the run" in done.stderr
