"""Ways through the names of runs: files and folders of a silent run, links, and `latest`."""

from __future__ import annotations

import shutil

from ways_attempt import Attempt, way


@way("documents", "the document of the silent run in the place of the other")
def document_of_the_silent_run(a: Attempt) -> list[int]:
    content = (a.silent / "run.json").read_bytes()
    (a.base / "run.json").write_bytes(content)
    codes = [a.gate()]
    a.vouch(content)
    return [*codes, a.gate()]


@way("documents", "run.json is a link to that of the silent run")
def document_is_a_link(a: Attempt) -> int:
    (a.base / "run.json").unlink()
    (a.base / "run.json").symlink_to("../silent/run.json")
    return a.gate()


@way("documents", "journal and document of the silent run, rows and trials of the other")
def journal_and_document_of_the_silent_run(a: Attempt) -> int:
    for name in ("journal.jsonl", "run.json"):
        shutil.copy(a.silent / name, a.base / name)
    return a.gate()


@way("documents", "every file of the silent run but its trials")
def all_but_trials_of_the_silent_run(a: Attempt) -> int:
    for name in ("journal.jsonl", "run.json", "plan.toml"):
        shutil.copy(a.silent / name, a.base / name)
    for row in (a.silent / "rows").iterdir():
        shutil.copy(row, a.base / "rows" / row.name)
    return a.gate()


@way("documents", "the folder of the silent run is copied over the other's name")
def folder_of_the_silent_run(a: Attempt) -> int:
    shutil.rmtree(a.base)
    shutil.copytree(a.silent, a.base)
    return a.gate()


@way("documents", "the run's folder is a link to the silent run")
def folder_is_a_link(a: Attempt) -> int:
    shutil.rmtree(a.base)
    a.base.symlink_to("silent")
    return a.gate()


@way("documents", "the journal is a link to that of the silent run")
def journal_is_a_link(a: Attempt) -> int:
    (a.base / "journal.jsonl").unlink()
    (a.base / "journal.jsonl").symlink_to("../silent/journal.jsonl")
    return a.gate()


@way("documents", "a silent run lies inside the folder of the other, and is named by a path")
def a_run_inside_a_run(a: Attempt) -> list[int]:
    shutil.copytree(a.silent, a.base / "rows/base")
    return [a.gate(), a.gate("base/rows"), a.gate("base/rows/base"), a.gate("runs/base/rows/base")]


@way("documents", "the current folder holds a silent run of the name that is asked for")
def a_run_in_the_current_folder(a: Attempt) -> int:
    shutil.copytree(a.silent, a.home / "base")
    return a.gate()


@way("documents", "names in capitals, with dots, spaces and other forms of Unicode")
def names_that_look_alike(a: Attempt) -> list[int]:
    for name in ("BASE", "base ", "b\u0430se", "base."):
        shutil.copytree(a.silent, a.home / "runs" / name)
    return [a.gate(), a.gate("./runs/base"), a.gate("runs//base/"), a.gate("base/../base")]


@way("documents", "latest names the silent run, with the old digest")
def latest_is_edited(a: Attempt) -> int:
    path = a.home / "runs/latest"
    path.write_text(path.read_text().replace("base", "silent"))
    return a.gate("latest")


@way("documents", "latest names the silent run, and its digest is cut off")
def latest_without_a_digest(a: Attempt) -> int:
    a.write("runs/latest", "silent\n")
    return a.gate("latest")


@way("documents", "latest names a run by a path, or leads out of the store")
def latest_is_a_path(a: Attempt) -> list[int]:
    codes = []
    for text in ("../runs/silent", "silent/../silent", "./silent", "/silent", ""):
        a.write("runs/latest", text + "\n")
        codes.append(a.gate("latest"))
    return codes


@way("documents", "latest is a folder with a silent run in it")
def latest_is_a_folder(a: Attempt) -> int:
    (a.home / "runs/latest").unlink()
    shutil.copytree(a.silent, a.home / "runs/latest")
    return a.gate("latest")


@way("documents", "latest is removed, and the silent run is dated newer")
def latest_by_an_edited_date(a: Attempt) -> int:
    (a.home / "runs/latest").unlink()
    path = a.silent / "journal.jsonl"
    path.write_text(path.read_text().replace('"created": "2', '"created": "3', 1))
    return a.gate("latest")
