"""A pack of evidence: each sentence has its source, both formats validate, none overclaims."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.sample import document
from tests.report.test_rings import loop

from hartley import catalog
from hartley.cli.main import run
from hartley.core.errors import UsageError
from hartley.reference import entries
from hartley.reference.clauses import KINDS, clause_sets, clauses
from hartley.report.evidence.collect import collect, matching
from hartley.report.evidence.lint import faults
from hartley.report.evidence.pack import DRAWN
from hartley.report.evidence.statements import Source, Statement, row_id, token
from hartley.store import read_verified
from hartley.store.signing import make_key

SETS = tuple(clause_sets())


def source_of(run_document):
    return Source(run_document, run_document["verdict"], "ab" * 32, "cd" * 32)


def drawn(evidence):
    return {name: render(evidence).encode() for name, render in DRAWN.items()}


def whole():
    """A document with everything that a run may hold: chains and loops too."""
    run_document = document()
    first, second = [row for row in run_document["channels"] if row["status"] == "measured"][:2]
    edge = {
        **{"from": "knockoff", "to": "lira_online", "path": ["knockoff", "rmia", "lira_online"]},
        **{"row": first["id"], "alone": second["id"], "control": ["rmia"], "n": 16},
        **{"gain": 0.25, "low": 0.125, "high": 0.375, "family": "above", "queried": True},
        "bound": {"certified": 1.5, "theory": 1.25, "rule": "entropy", "violation": True},
        "product": {"value": 0.5, "low": 0.375, "high": None, "n": 16, "alpha": 0.05},
    }
    unmeasured = {**edge, "gain": None, "low": None, "high": None, "row": "gone"}
    run_document["edges"] = [*run_document["edges"], edge, unmeasured]
    without = {**loop(), "radius": None, "cut": None, "change": None, "gains": [], "why": "none"}
    run_document["loops"] = [loop(), loop((0.5, 0.4, 0.3), added="deduplication"), without]
    return run_document


@pytest.fixture(scope="module")
def sample():
    return collect(source_of(whole()), SETS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two runs: the live scene of membership judged by a limit that it breaks, and a dead one."""
    store = tmp_path_factory.mktemp("runs")
    limits = store.parent / "limits.toml"
    limits.write_text("[limits]\nmembership = 0.05\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("live", "dead"):
            words = ["assess", "--scene", f"{name}:membership", "--only", "loss_threshold"]
            assert run([*words, "--workers", "0", "--store", str(store), "--run", name]) == 0
        gate = ["gate", "live", "--store", str(store), "--limits", str(limits), "--save"]
        assert run(gate) == 1
    return store


# The tables.


@pytest.mark.parametrize("name", SETS)
def test_every_measure_of_a_clause_is_one_of_hartley(name):
    parts = {
        kind: {e.name for e in catalog.entries(kind)} for kind in ("game", "attack", "defense")
    }
    classes = {entry.cls for entry in catalog.entries("game")}
    known = {**parts, "class": classes, "defended": classes, "deployed": classes,
             "fact": {"/suspects"}}  # fmt: skip
    listed = clauses(name)
    assert set(known) == set(KINDS) and listed
    for clause in listed:
        for measure in clause.measures:
            kind, _, names = measure.partition(":")
            assert measure == "any" or set(names.split("|")) <= known[kind], (clause.id, measure)
        assert clause.checked and clause.words.endswith(".") and clause.never.endswith(".")
    assert len({token(clause.id) for clause in listed}) == len(listed)


def test_the_ids_of_nist_are_those_of_the_table_of_frameworks():
    listed = {entry.id for entry in entries().values() if entry.scheme == "nistaml"}
    ids = {clause.id for clause in clauses("nist")}
    assert {one for one in ids if one.startswith("NISTAML")} == listed


def test_no_attack_on_pictures_answers_a_clause_about_instructions():
    rows = [
        {"game": "evasion", "class": "jailbreak", "attack": "square", "baseline": True,
         "experiment": {"stages": [{"attack": "square"}]}}
    ]  # fmt: skip
    about_texts = {"2.1.3", "2.1.6", "2.1.8", "NISTAML.015", "NISTAML.018", "NISTAML.04", "10.4.2"}
    answered = {
        clause.id
        for name in SETS
        for clause in clauses(name)
        if any(matching(measure, rows, []) for measure in clause.measures)
    }
    assert not answered & about_texts
    assert {"2.2.3", "NISTAML.022", "NISTAML.025"} <= answered


def test_the_metrics_of_the_tables_are_those_of_games():
    metrics = {name for entry in catalog.entries("game") for name in entry.metrics}
    metrics |= {"epsilon_lower", "auc", "tpr_at_fpr_1e2"}
    for name in SETS:
        for clause in clauses(name):
            assert set(clause.metrics) <= metrics, (clause.id, set(clause.metrics) - metrics)


def test_the_page_lists_every_document_with_its_edition_and_entries():
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
    lines = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \| (\d+) \|$", page, re.MULTILINE)
    listed = {name: (edition, int(entries)) for name, edition, entries in lines}
    assert {name: entries for name, (_, entries) in listed.items()} == {
        name: len(clauses(name)) for name in SETS
    }
    assert all(listed[name][0] in clause_sets()[name].edition for name in SETS)


def test_an_unknown_document_offers_the_nearest():
    with pytest.raises(UsageError, match="did you mean aisvs"):
        clauses("aisv")


# The sentences.


def test_a_pack_of_everything_a_run_may_hold_has_no_fault(sample):
    assert not faults(sample, drawn(sample))
    words = " ".join(one.text for one in sample.all())
    assert "flagged" in words and "failed" in words and "Over the limit" in words
    assert "<b>twice</b>" in words and b"<b>twice" not in drawn(sample)["evidence.html"]


def test_a_clause_says_not_measured_where_and_only_where_no_row_answers_it(sample):
    channels = document()["channels"]
    sound = [r for r in channels if r["status"] == "measured" and not r.get("flags")]
    for part in sample.parts:
        for answer in part.answers:
            rows = [r for m in answer.clause.measures for r in matching(m, sound, [])]
            assert bool(rows) == (answer.state in ("measured", "partly measured")), answer.clause
            says = any(one.text.startswith("Not measured:") for one in answer.statements)
            assert says == (answer.state in ("not measured", "partly measured")), answer.clause
    states = {a.clause.id: a.state for p in sample.parts for a in p.answers}
    assert states["55(i)"] == "partly measured" and states["55(iii)"] == "not measured"
    assert states["11.2.5"] == "measured"


def test_another_figure_of_a_row_changes_the_sentences_of_that_row_alone(sample):
    changed = whole()
    row = next(r for r in changed["channels"] if r["attack"] == "lira_online")
    row["bits"] = {**row["bits"], "point": 0.25, "low": 0.123}
    other = collect(source_of(changed), SETS)
    before = {one.text: one.rests for one in sample.all()}
    after = {one.text: one.rests for one in other.all()}
    differ = {text: rests for text, rests in {**before, **after}.items()
              if (text in before) != (text in after)}  # fmt: skip
    assert any("0.123" in text for text in differ)
    assert all(row_id(row) in rests for rests in differ.values()), differ


def test_a_measured_sentence_has_the_figures_of_its_row(sample):
    for row, one in sample.rows:
        value = row["bits"]
        assert one.rests == (row_id(row),)
        assert f"[{value['low']:.3f}, {value['high']:.3f}]" in one.text.replace("\u202f", "")
        assert "certified" in one.text and "calibrated" in one.text and " n " in one.text


def test_each_chain_and_loop_has_sentences_with_its_ids_and_figures(sample):
    run_document = sample.source.document
    rests = {one.text: one.rests for one in sample.joined}
    (chain,) = [text for text in rests if "gains 0.250 bit [0.125, 0.375]" in text]
    edge = run_document["edges"][1]
    assert rests[chain][0] == "run:/edges/1" and len(rests[chain]) == 3
    assert "n 16 victims over lira_online after rmia" in chain and "it gains something" in chain
    # A clause that the chain's row answers has the chain too.
    answers = [a for part in sample.parts for a in part.answers if edge["row"] in a.rows]
    assert answers and all(chain in {one.text for one in a.statements} for a in answers)
    for k, one in enumerate(run_document["loops"]):
        of = [text for text, ids in rests.items() if ids[0].startswith(f"run:/loops/{k}")]
        assert len(of) >= 1 + len(one["gains"])
        if one["radius"] is not None:
            assert any(f"the chance that it is above 1 is {one['radius']['grows']:.3f}" in text
                       for text in of)  # fmt: skip
            slopes = [f"leaves {leg['value']:.3f}" for leg in one["gains"]]
            assert all(any(slope in text for text in of) for slope in slopes)
    assert any("behind deduplication gives back" in text for text in rests)
    assert {one.rests[0].partition("/")[0] for one in sample.joined} == {"run:"}
    files = drawn(sample)
    assert all(b"Chains and loops" in files[f"evidence.{e}"] for e in ("md", "html"))


def test_a_run_of_a_loop_alone_is_not_a_run_of_nothing():
    alone = whole() | {"channels": [], "edges": [], "defenses": []}
    alone["verdict"] = {"status": "none", "reasons": []}
    evidence = collect(source_of(alone), ("aisvs",))
    words = " ".join(one.text for one in evidence.all())
    assert "what is known is about the loop" in words and "nothing is known" not in words
    assert not faults(evidence, drawn(evidence))


def test_a_waiver_shows_with_owner_reason_and_end_and_is_not_a_pass():
    waived = document()
    verdict, row = (
        waived["verdict"],
        next(r for r in waived["channels"] if r["attack"] == "loss_threshold"),
    )
    waiver = {"row": row["id"], "limit": "membership", "up_to": 0.3, "owner": "A. Auditor",
              "reason": "Retrained in May. Agreed.", "granted": "2026-11-01",
              "expires": "2027-05-31", "state": "used"}  # fmt: skip
    verdict["waivers"] = [waiver]
    check = next(c for c in verdict["checks"] if c.get("row") == row["id"])
    check |= {"status": "pass", "waiver": waiver}
    evidence = collect(source_of(waived), ["aisvs"])
    assert not faults(evidence, drawn(evidence))
    (one,) = [s for s in evidence.run if s.text.startswith("The waiver of")]
    assert one.rests == ("verdict:/waivers/0", row_id(row))
    assert all(words in one.text for words in ("A. Auditor", "Retrained in May", "2027-05-31"))
    (answer,) = [a for a in evidence.parts[0].answers if a.clause.id == "11.2.5"]
    words = [s.text for s in answer.statements if "waiver" in s.text]
    assert words == ["1 check of these rows is within a limit that a waiver raised."]


def test_no_worse_than_the_last_release_is_not_within_a_limit():
    compared = document()
    rows = [r for r in compared["channels"] if r["status"] == "measured" and not r["flags"]]
    names = {"pass": rows[0], "over": next(r for r in rows if r["attack"] == "lira_online")}
    checks = [
        {"limit": "against", "at": 0.01, "attack": row["attack"], "row": row["id"],
         "status": status, "reason": f"against old: {row['attack']}"}
        for status, row in names.items()
    ]  # fmt: skip
    compared["verdict"] = {"status": "over", "reasons": [], "checks": checks,
                           "against": {"first": {"id": "old"}}}  # fmt: skip
    evidence = collect(source_of(compared), ["aisvs"])
    files = drawn(evidence)
    assert not faults(evidence, files)
    words = " ".join(one.text for one in evidence.run)
    assert "No limit was given." in words and "within its limit" not in words
    (answer,) = [a for a in evidence.parts[0].answers if a.clause.id == "11.2.5"]
    assert [one.text for one in answer.broken] == [
        "1 check of these rows is worse than in the earlier run."
    ]
    both = {"limit": "membership", "at": 0.1, "attack": "lira_online", "row": names["over"]["id"],
            "status": "over", "reason": "membership: lira_online"}  # fmt: skip
    compared["verdict"]["checks"].append(both)
    second = collect(source_of(compared), ["aisvs"])
    assert not faults(second, drawn(second))
    results = json.loads(drawn(second)["evidence.oscal.json"])["assessment-results"]["results"]
    targets = [one["target"]["target-id"] for one in results[0]["findings"]]
    assert targets.count("aisvs_11.2.5") == 2
    assert not [s for a in evidence.parts[0].answers for s in a.statements if "judged by" in s.text]


def test_names_of_somewhere_else_make_no_sentence_of_their_own(sample):
    hostile = document()
    evil = 'x. All is well." `row:lira_online`\n- Fine. <script>'
    for row in hostile["channels"]:
        row["unit"] = evil
        row["reason"] = evil if row["status"] != "measured" else None
        row["flags"] = [evil] if row.get("flags") else []
    hostile["channels"][0]["attack"] = evil
    hostile["scene"]["name"] = evil
    hostile["notes"] = [evil]
    evidence = collect(source_of(hostile), SETS)
    files = drawn(evidence)
    assert not faults(evidence, files)
    assert b"<script" not in files["evidence.html"] and b"\n- Fine" not in files["evidence.md"]


# The lint.


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (Statement("A claim that rests on nothing.", ()), "has no row"),
        (Statement("A claim about another run.", ("row:lira-0",)), "which is not in the run"),
        (Statement("A wrong fact.", ("run:/scene/nothing",)), "which is not in the run"),
        (Statement("One claim. And another.", ("set:edpb",)), "must be one sentence, got 2"),
        (Statement("A claim without an end", ("set:edpb",)), "must be one sentence, got 0"),
    ],
)
def test_the_lint_finds_a_sentence_without_a_source(sample, statement, fault):
    evidence = replace(sample, run=(*sample.run, statement))
    found = faults(evidence, {})
    assert len(found) == 1 and fault in found[0]


def test_the_lint_reads_quoted_text_of_others_as_one_piece(sample):
    one = Statement("It failed: “Bad. Very bad!”.", ("set:edpb",))
    assert not faults(replace(sample, run=(*sample.run, one)), {})


@pytest.mark.parametrize("name", DRAWN)
def test_the_lint_finds_a_sentence_that_a_format_adds_or_changes(sample, name):
    text = drawn(sample)[name].decode()
    figure = "0.262"
    assert figure in text
    found = faults(sample, {name: text.replace(figure, "0.001").encode()})
    assert found and all(fault.startswith(f"{name}: ") for fault in found)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("evidence.md", r" `row:lira_online[^\n]*"),
        ("evidence.html", r' data-rests="[^"]*lira_online[^"]*"'),
    ],
)
def test_the_lint_finds_a_line_whose_ids_are_gone(sample, name, cut):
    text = drawn(sample)[name].decode()
    bare = re.sub(cut, "", text)
    assert bare != text
    assert any("has no row" in fault for fault in faults(sample, {name: bare.encode()}))


def test_the_lint_finds_a_json_sentence_whose_ids_are_gone(sample):
    bare = json.loads(drawn(sample)["evidence.oscal.json"])
    bare["assessment-results"]["results"][0]["observations"][3].pop("props")
    bare["assessment-results"]["results"][0].pop("props")
    found = faults(sample, {"evidence.oscal.json": json.dumps(bare).encode()})
    assert any("has no row" in fault for fault in found)
    bare = json.loads(drawn(sample)["evidence.cdx.json"])
    bare["declarations"]["claims"].pop(5)
    found = faults(sample, {"evidence.cdx.json": json.dumps(bare).encode()})
    assert len(found) == 1 and "is missing" in found[0]


# The formats.


def test_oscal_validates_and_a_broken_limit_is_the_only_finding(sample, tmp_path):
    from trestle.oscal.assessment_results import AssessmentResults

    path = tmp_path / "results.json"
    path.write_bytes(drawn(sample)["evidence.oscal.json"])
    results = AssessmentResults.oscal_read(path).results
    assert len(results) == len(SETS)
    targets = {f.target.target_id for r in results for f in r.findings or ()}
    over = {
        f"{p.set.name}_{token(a.clause.id)}" for p in sample.parts for a in p.answers if a.broken
    }
    assert targets == over and "aisvs_11.2.5" in targets
    assert b'"satisfied"' not in path.read_bytes()
    ids = re.findall(rb'"uuid": "([^"]+)"', path.read_bytes())
    assert len(ids) == len(set(ids))
    named = set(re.findall(rb'"observation-uuid": "([^"]+)"', path.read_bytes()))
    assert named and named <= set(ids)


def test_oscal_validates_where_nothing_was_measured(tmp_path):
    from trestle.oscal.assessment_results import AssessmentResults

    empty = document() | {"channels": [], "defenses": [], "edges": []}
    empty["verdict"] = {"status": "pass", "reasons": []}
    evidence = collect(source_of(empty), SETS)
    files = drawn(evidence)
    assert not faults(evidence, files)
    assert {a.state for p in evidence.parts for a in p.answers} == {"not measured"}
    path = tmp_path / "results.json"
    path.write_bytes(files["evidence.oscal.json"])
    assert len(AssessmentResults.oscal_read(path).results) == len(SETS)


def test_cyclonedx_validates_and_every_reference_leads_somewhere(sample):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = drawn(sample)["evidence.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    refs = re.findall(r'"bom-ref": ("[^\n]*")', text)
    assert len(refs) == len(set(refs))
    known = {json.loads(ref) for ref in refs}
    declared = bom["declarations"]
    for claim in declared["claims"]:
        assert {claim["target"], *claim["evidence"]} <= known
    for attestation in declared["attestations"]:
        for line in attestation["map"]:
            assert {line["requirement"], *line["claims"]} <= known
    card = bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    assert len(card["performanceMetrics"]) == len(sample.rows)


def test_identifiers_change_with_what_was_judged_since(sample):
    judged = replace(sample.source, chain="ef" * 32)
    for name in ("evidence.oscal.json", "evidence.cdx.json"):
        before, after = (drawn(one)[name] for one in (sample, replace(sample, source=judged)))
        ids = re.compile(rb'(?:"uuid": "|urn:uuid:)([0-9a-f-]{36})')
        assert ids.findall(before) and not set(ids.findall(before)) & set(ids.findall(after))


# The command.


def evidence_of(store, name, *words):
    return run(["evidence", name, "--store", str(store), *words])


def test_a_real_run_gives_the_same_pack_twice(store, tmp_path, capsys):
    out = tmp_path / "pack"
    words = [word for name in SETS for word in ("--for", name)]
    assert evidence_of(store, "live", *words, "--out", str(out)) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert evidence_of(store, "live", *words, "--out", str(out)) == 0
    assert first == {path.name: path.read_bytes() for path in out.iterdir()}
    assert first["run.json"] == (store / "live" / "run.json").read_bytes()
    page = first["evidence.html"].decode()
    assert "Over the limit" in page and "limits.toml" in page  # the saved verdict
    assert "http" not in re.sub(r"https?://\S+ is not loaded", "", page)
    assert not [p for p in tmp_path.iterdir() if p.name.endswith((".partial", ".old"))]
    findings = json.loads(first["evidence.oscal.json"])["assessment-results"]["results"]
    assert any("findings" in result for result in findings)
    assert str(out) in capsys.readouterr().out


def test_the_pack_is_in_the_folder_of_the_run_unless_said_otherwise(store):
    assert evidence_of(store, "dead", "--for", "nist") == 0
    page = (store / "dead" / "evidence" / "evidence.md").read_text()
    assert "NISTAML.033: measured" in page and "No limits were set" in page
    assert not read_verified(store / "dead").doubt  # the pack is not a damage


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["live", "--for", "aisv"], "did you mean aisvs"),
        (["live", "--for", "soc2"], "there are edpb"),
        (["live"], "for"),
        (["lve", "--for", "edpb"], "did you mean live"),
    ],
)
def test_what_is_not_there_is_a_usage_error(store, words, message, capsys):
    assert evidence_of(store, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_folder_that_is_not_a_pack_is_left_alone(store, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert evidence_of(store, "live", "--for", "edpb", "--out", str(tmp_path)) == 2
    assert "which is neither" in capsys.readouterr().err
    assert evidence_of(store, "live", "--for", "edpb", "--out", str(tmp_path / "notes.txt")) == 2
    assert evidence_of(store, str(tmp_path), "--for", "edpb") == 2  # a folder without a run
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_one_line(store, capsys):
    assert evidence_of(store, "live", "--for", "edpb", "--out", "/proc/none/pack") == 2
    error = capsys.readouterr().err
    assert "choose another --out" in error and error.count("\n") == 1


def test_a_pack_of_another_run_or_with_other_files_is_left_alone(store, tmp_path, capsys):
    out = tmp_path / "pack"
    assert evidence_of(store, "live", "--for", "edpb", "--out", str(out)) == 0
    before = (out / "manifest.json").read_bytes()
    assert evidence_of(store, "dead", "--for", "edpb", "--out", str(out)) == 2
    assert "is a pack of the run live" in capsys.readouterr().err
    (out / "notes.txt").write_text("mine")
    assert evidence_of(store, "live", "--for", "nist", "--out", str(out)) == 2
    assert "notes.txt" in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before


def test_a_damaged_or_unverified_run_gives_no_evidence(store, tmp_path, capsys):
    shutil.copytree(store / "live", tmp_path / "live")
    edited = (tmp_path / "live" / "run.json").read_text().replace('"seed": 0', '"seed": 1', 1)
    (tmp_path / "live" / "run.json").write_text(edited)
    assert evidence_of(tmp_path, "live", "--for", "edpb") == 3
    assert "a damaged run gives no evidence" in capsys.readouterr().err
    alone = tmp_path / "copy.json"
    shutil.copy(store / "live" / "run.json", alone)
    assert evidence_of(tmp_path, str(alone), "--for", "edpb") == 3
    error = capsys.readouterr().err
    assert "an unverified run gives no evidence" in error and error.count("\n") == 1
    shutil.copytree(store / "live", tmp_path / "verdict" / "live")
    (tmp_path / "verdict" / "live" / "verdict.json").unlink()
    assert evidence_of(tmp_path / "verdict", "live", "--for", "edpb") == 3
    assert not list(tmp_path.rglob("evidence*"))


def test_nothing_is_written_where_a_sentence_has_no_source(store, monkeypatch, tmp_path, capsys):
    bad = {**DRAWN, "evidence.md": lambda evidence: "- A claim of nobody's.\n"}
    monkeypatch.setattr("hartley.report.evidence.pack.DRAWN", bad)
    assert evidence_of(store, "live", "--for", "edpb", "--out", str(tmp_path / "pack")) == 3
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def verified(pack, fingerprint):
    """Run the verifier that is in a pack."""
    words = [sys.executable, "-I", str(pack / "verify_pack.py"), str(pack)]
    words += ["--fingerprint", fingerprint]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_signed_pack_verifies_offline_and_a_changed_sentence_does_not(store, tmp_path, capsys):
    out, key = tmp_path / "new" / "pack", tmp_path / "key.pem"
    shutil.copytree(store / "live", tmp_path / "runs" / "live")
    fingerprint = make_key(key).fingerprint
    assert run(["sign", "live", "--store", str(tmp_path / "runs"), "--key", str(key)]) == 0
    words = ["--for", "edpb", "--for", "nist", "--out", str(out), "--key", str(key)]
    assert evidence_of(tmp_path / "runs", "live", *words) == 0
    assert fingerprint in capsys.readouterr().out
    assert verified(out, fingerprint)[0] == 0
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["facts"]["for"]["edpb"] == clause_sets()["edpb"].edition
    names = {"run.json", "journal.jsonl", "verdict.json", "signature.json", *DRAWN}
    assert names <= set(manifest["files"])
    page = (out / "evidence.md").read_text()
    assert f"signed by the key with the fingerprint {fingerprint}" in page
    (out / "evidence.md").write_text(page.replace("partly measured", "measured", 1))
    assert verified(out, fingerprint) == (1, f"REFUSED {out}: evidence.md was changed\n")
    assert evidence_of(tmp_path / "runs", "live", *words) == 0  # written anew over the edit
    assert verified(out, fingerprint)[0] == 0
    assert evidence_of(tmp_path / "runs", "live", *words[:-2]) == 2
    assert "is a signed pack" in capsys.readouterr().err
    assert verified(out, fingerprint)[0] == 0
    signature = tmp_path / "runs" / "live" / "signature.json"
    signature.write_text(signature.read_text().replace('"signature": "', '"signature": "00', 1))
    assert evidence_of(tmp_path / "runs", "live", *words) == 3
    assert "whose signature is wrong" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "not a key"])
def test_a_key_that_cannot_be_used_writes_nothing(store, tmp_path, content, capsys):
    key = tmp_path / "key.pem"
    if content is not None:
        key.write_text(content)
        key.chmod(0o600)
    words = ["--for", "edpb", "--out", str(tmp_path / "pack"), "--key", str(key)]
    assert evidence_of(store, "live", *words) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "pack").exists()
