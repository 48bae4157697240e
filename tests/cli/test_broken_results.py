"""Broken, cut, swollen and foreign files: one line, exit 2, and nothing in them is believed."""

from __future__ import annotations

import gzip
import json
import zipfile

import numpy as np
import pytest
from tests.importers import written_files as write

from hartley.importers import source
from hartley.importers.measured import Options, imported


def refused(call, *words):
    done = call("measure", *map(str, words))
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("hartley: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def files(folder):
    """One sound file of each format."""
    keep, score = write.memberships()
    np.savez(folder / "attack_result_0.npz", scores=score, memberships=keep)
    np.savez(folder / "art.npz", members=score[keep], nonmembers=score[~keep])
    samples = write.inspect_samples([["C"], ["I"]] * 20)
    yield write.garak(folder / "garak.report.jsonl", [[1.0, 0.0]] * 9)
    yield write.inspect_log(folder / "log.eval", samples)
    yield write.lm_eval(folder / "samples_x.jsonl", [1.0, 0.0] * 9)
    yield write.promptfoo(folder / "out.json", [write.promptfoo_row(n, n < 3) for n in range(9)])
    yield write.pyrit(folder / "memory.json", [("a", [True]), ("b", [False])] * 9)
    yield write.sacroml(folder)
    jailbreaks = [{"goal": f"g{n}", "jailbroken": n % 2 == 0} for n in range(9)]
    (folder / "vicuna.json").write_text(json.dumps({"parameters": {}, "jailbreaks": jailbreaks}))
    yield folder / "vicuna.json"
    yield from (folder / "attack_result_0.npz", folder / "art.npz")


def test_cut_files_are_refused_wherever_they_are_cut(call, tmp_path):
    for path in files(tmp_path):
        whole = path.read_bytes()
        assert imported(path, Options()), path
        for share in (0.02, 0.3, 0.6, 0.97):
            path.write_bytes(whole[: int(len(whole) * share)])
            message = refused(call, path)
            assert path.name in message, message
        path.write_bytes(b"")
        assert "the file is empty" in refused(call, path)
        path.write_bytes(whole)


def test_noise_in_a_file_never_ends_in_a_traceback(call, tmp_path):
    rng = np.random.default_rng(0)
    for path in files(tmp_path):
        whole = bytearray(path.read_bytes())
        for _ in range(6):
            noisy = bytearray(whole)
            for place in rng.integers(0, len(noisy), 12):
                noisy[place] = rng.integers(256)
            path.write_bytes(noisy)
            done = call("measure", str(path))
            assert done.returncode in (0, 2, 3) and "Traceback" not in done.stderr, (path, done)
        path.write_bytes(whole)


DEEP = '{"a":' * 100_000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", DEEP, "nested too deeply"),
        ("x.json", '[{"conversation_id": 1,' + '"x":' + "[" * 100_000, "nested too deeply"),
        ("x.json", "{}", "must be a table (.csv"),
        ("x.json", "[]", "must be a table (.csv"),
        ("x.json", '{"n": ' + "9" * 5000 + "}", "is not JSON"),
        ("x.json", "\ufeff{", "is not JSON"),
        ("x.json", '{"results": {"results": [{"success": "yes", "vars": {}}]}}', "have `success`"),
        ("x.json", '{"eval": 1, "status": 2, "samples": {"a": 1}}', "it has no samples"),
        ("x.json", '{"eval": 1, "status": 2, "samples": [1]}', "a sample must be an object"),
        ("x.jsonl", '{"entry_type": "init"}\n{"entry_type": "attempt"', "line 2 is not JSON"),
        ("x.jsonl", '{"entry_type": "init"}\n[1]\n', "line 2: it must be an object"),
        ("x.jsonl", '{"entry_type": "init"}\n', "must have judged attempts"),
        ("x.eval", "PK\x03\x04 nothing more", "cannot be read as a zip archive"),
        (
            "g.hitlog.jsonl",
            '{"attempt_id": 1, "attempt_seq": 0, "detector": "d", "probe": "p", "score": 1.0}\n',
            "measure the report beside it",
        ),
        ("r.json", '{"results": {}, "n-samples": {}, "configs": {}}', "run it with --log_samples"),
        ("notes.txt", "hello", "got neither; known are: "),
        ("x.md", "# A page", "garak report"),
    ],
)
def test_malformed_files_are_one_line(call, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert words in refused(call, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detector_results": [1]}, "`detector_results` must be an object"),
        ({"detector_results": {"a.B": 1.0}}, "the scores of a.B must be a list"),
        ({"detector_results": {"a.B": [7.0]}}, "a score must be in 0..1, got 7.0"),
        ({"detector_results": {"a.B": ["x"]}}, "a score must be in 0..1, got 'x'"),
        ({"detector_results": {"a.B": [float("nan")]}}, "a score must be in 0..1, got nan"),
    ],
)
def test_attempts_of_garak_with_odd_scores(call, tmp_path, change, words):
    odd = write.garak_attempt(99, 2, [1.0]) | change
    path = write.garak(tmp_path / "g.report.jsonl", [[1.0]] * 3, extra=[odd])
    assert words in refused(call, path)


def test_attempts_that_are_missing_or_doubled_are_noticed(call, tmp_path):
    path = write.garak(tmp_path / "g.report.jsonl", [[1.0], [0.0], [1.0]] * 5)
    lines = path.read_text().splitlines(keepends=True)
    judged = next(i for i, line in enumerate(lines) if '"status": 2' in line)
    for changed in (lines[:judged] + lines[judged + 1 :], lines[: judged + 1] + lines[judged:]):
        path.write_text("".join(changed))
        assert "must have as many hits as it counts" in refused(call, path)


def test_sizes_that_a_file_states_are_not_believed(call, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LARGEST", 1 << 16)
    monkeypatch.setattr(source, "LARGEST_DOCUMENT", 1 << 16)
    monkeypatch.setattr(source, "LONGEST_LINE", 1 << 12)
    line = '{"entry_type": "init"}\n{"entry_type": "' + "x" * 9000 + '"}\n'
    (tmp_path / "line.jsonl").write_text(line)
    assert "a line must have at most" in refused(call, tmp_path / "line.jsonl")
    with gzip.open(tmp_path / "g.jsonl.gz", "wt") as file:
        file.write('{"entry_type": "init"}\n' * 9000)
    assert "a line must have at most" in refused(call, tmp_path / "g.jsonl.gz")
    bomb = json.dumps(write.inspect_samples([["C"]])) + " " * (1 << 17)
    with zipfile.ZipFile(tmp_path / "b.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", "{}")
        archive.writestr("summaries.json", bomb)
    assert "its member summaries.json must unpack to at most" in refused(call, tmp_path / "b.eval")
    write.zstandard(tmp_path / "z.eval", {"_journal/start.json": "{}", "summaries.json": bomb})
    assert "must unpack to at most" in refused(call, tmp_path / "z.eval")
    (tmp_path / "d.json").write_text(json.dumps([{"conversation_id": 1}] * 9000))
    assert "a JSON document must have at most" in refused(call, tmp_path / "d.json")
    rows = [write.promptfoo_row(n, n < 20, plugin=None) for n in range(40)]
    write.promptfoo(tmp_path / "o.json", rows)
    one_line = json.dumps(json.loads((tmp_path / "o.json").read_text()))
    assert 1 << 12 < len(one_line) < 1 << 16
    (tmp_path / "o.json").write_text(one_line)
    assert call("measure", "o.json").returncode == 0
    monkeypatch.setattr(source, "MOST_MEMBERS", 1)
    assert "must have at most 1 members" in refused(call, tmp_path / "b.eval")


def test_an_array_that_states_more_than_it_holds_is_refused(call, tmp_path):
    keep, score = write.memberships()
    np.savez(tmp_path / "a.npz", scores=score, memberships=keep)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["scores.npy"] = members["scores.npy"].replace(b"(400,)", b"(9999999999,)")
    header = members["scores.npy"]
    end = header.index(b"\n")
    members["scores.npy"] = header[: end - 9] + header[end - 2 :]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "its array scores cannot be read" in refused(call, tmp_path / "a.npz")
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "o.npz", scores=objects, memberships=keep)
    assert "Object arrays cannot be loaded" in refused(call, tmp_path / "o.npz")


@pytest.mark.parametrize(
    "name", ["../secret.npz", "a/b.npz", "/etc/passwd", "..\\x.npz", "gone.npz"]
)
def test_a_report_names_files_beside_it_only(call, tmp_path, name):
    path = write.sacroml(tmp_path)
    text = path.read_text().replace("report_arrays_00000000_instance_0.npz", json.dumps(name)[1:-1])
    path.write_text(text)
    expected = "no such file" if name == "gone.npz" else "arrays_file must be a file beside"
    assert expected in refused(call, path)


def test_an_array_with_a_broken_header_is_refused(call, tmp_path):
    keep, score = write.memberships()
    np.save(tmp_path / "keep.npy", keep)
    np.save(tmp_path / "scores.npy", score)
    for name in ("keep.npy", "scores.npy"):
        whole = (tmp_path / name).read_bytes()
        for odd in (b"\xfd", b"(", b"\0"):
            (tmp_path / name).write_bytes(whole.replace(b"}", odd, 1))
            message = refused(call, "scores.npy", "--truth", "keep.npy")
            assert f"{name}: cannot be read as an array" in message
        (tmp_path / name).write_bytes(whole)


def test_a_folder_that_is_not_an_experiment(call, tmp_path):
    (tmp_path / "runs").mkdir()
    message = refused(call, "runs")
    assert "got neither" in message or "a folder" in message, message


@pytest.mark.parametrize(
    ("scores", "keep", "words"),
    [
        (np.zeros((4, 9)), np.ones((5, 9), bool), "of the same models and records"),
        (np.zeros((4, 9)), np.full((4, 9), 2.5), "are scores and memberships exchanged?"),
        (np.zeros((4, 9)), np.full((4, 9), "a"), "must be true or false, 1 or 0"),
        (np.zeros((4, 9), complex), np.ones((4, 9), bool), "scores must be numbers"),
        (np.zeros((4, 9)), np.ones((4, 9, 2, 2), bool), "must be (records,) or (models, records)"),
        (np.zeros((0, 9)), np.ones((0, 9), bool), "of the same models and records"),
        (np.full((4, 9), np.nan), np.eye(4, 9, dtype=bool), "must have a value in every row"),
        (np.zeros((4, 9)), np.ones((4, 9), bool), "got one class only"),
        (np.float64(3), np.ones(3, bool), "of the same models and records"),
    ],
)
def test_arrays_that_do_not_fit(call, tmp_path, scores, keep, words):
    np.save(tmp_path / "s.npy", scores)
    np.save(tmp_path / "keep.npy", keep)
    assert words in refused(call, tmp_path / "s.npy", "--truth", tmp_path / "keep.npy")
