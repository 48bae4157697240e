"""Each tool's results are recognised by their content and give the figures that they hold."""

from __future__ import annotations

import json
import zipfile
from importlib import import_module

import numpy as np
import pytest
from tests.importers import written_files as write

from hartley.importers.measured import Options, imported
from hartley.importers.outcomes import Rates
from hartley.importers.read_results import format_of, names, read_results


def rates(path, **options):
    results = imported(path, Options(**options))
    assert isinstance(results, Rates)
    return {group.name: group for group in results.groups}, results


def clusters(group):
    return int(group.cluster.max()) + 1


def test_garak_counts_outputs_of_one_prompt_as_one_cluster(tmp_path):
    path = write.garak(tmp_path / "any.name", [[0.0, 1.0, 0.6], [0.2, None, 0.0], [1.0, 1.0, 1.0]])
    groups, results = rates(path)
    group = groups["test.Test / always.Sometimes"]
    assert group.values.tolist() == [0, 1, 1, 0, 0, 1, 1, 1]
    assert clusters(group) == 3
    assert results.notes == ("1 left out: outputs that the detector did not score",)
    assert "at least 0.5" in results.quantity
    # The same prompt in another attempt belongs to its cluster.
    again = write.garak_attempt(9, 2, [0.0], prompt="Say hello 0")
    groups, _ = rates(write.garak(path, [[1.0], [0.0]], extra=[again]))
    assert clusters(groups["test.Test / always.Sometimes"]) == 2


def test_garak_finds_the_threshold_that_its_report_leaves_out(tmp_path):
    scores = [[0.2, 0.55], [0.7, 0.1], [0.65, 0.9]]
    groups, results = rates(write.garak(tmp_path / "g.jsonl", scores, fails=3))
    assert groups["test.Test / always.Sometimes"].values.sum() == 3
    assert "at least 0.65" in results.quantity


def test_inspect_reads_summaries_epochs_and_partial_credit(tmp_path):
    samples = write.inspect_samples([["C", "I"], ["P", "N"], [True, 0.25]])
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        groups, results = rates(write.inspect_log(tmp_path / "r.eval", samples, method=method))
        assert groups["match"].values.tolist() == [1, 0, 0.5, 0, 1, 0.25]
        assert clusters(groups["match"]) == 3 and results.notes == ()


def test_inspect_reads_members_that_zstd_compressed(tmp_path):
    samples = write.inspect_samples([["C", "I"]] * 50)
    members = {
        "_journal/start.json": "{}",
        "summaries.json": json.dumps(samples),
        "header.json": json.dumps({"status": "success"}),
    }
    path = write.zstandard(tmp_path / "r.eval", members)
    groups, results = rates(path)
    assert groups["match"].values.mean() == 0.5 and results.notes == ()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfe"))
    with pytest.raises(Exception, match=r"its member \S+ cannot be read"):
        rates(path)


def test_inspect_reads_the_journal_of_a_run_that_was_stopped(tmp_path):
    samples = write.inspect_samples([["C"], ["C"], ["I"], ["I"]])
    groups, results = rates(write.inspect_log(tmp_path / "r.eval", samples, stopped=True))
    assert groups["match"].values.tolist() == [1, 1, 0, 0]
    assert results.notes == ("the log's status is 'started', not success",)


def test_inspect_leaves_out_what_was_not_scored(tmp_path):
    samples = write.inspect_samples([["C"], [float("nan")], ["unsure"], [{"a": 1, "b": 7}]])
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {}, "samples": samples}))
    groups, results = rates(path)
    assert {name: group.values.tolist() for name, group in groups.items()} == {
        "match": [1.0],
        "match / a": [1.0],
    }
    assert len(results.notes) == 3
    assert results.notes[0].startswith("match / b gives no rate") and "(7)" in results.notes[0]


def test_a_grade_of_0_to_10_is_no_rate_of_its_zeros_and_ones(tmp_path):
    samples = write.inspect_samples([[0, 1], [10, 4], [1, 1]], scorer="grade")
    for sample in samples:
        sample["scores"]["match"] = {"value": "C"}
    groups, results = rates(write.inspect_log(tmp_path / "r.eval", samples))
    assert list(groups) == ["match"]
    assert results.notes == ("grade gives no rate: some of its values are outside 0..1 (4 to 10)",)
    grades = write.lm_eval(tmp_path / "s.jsonl", [0.0, 1.0, 3.5], metric="grade")
    with pytest.raises(Exception, match=r"grade gives no rate: .*\(3\.5\)"):
        rates(grades)


def test_lm_eval_joins_lines_of_one_document(tmp_path):
    path = write.lm_eval(tmp_path / "samples_x.jsonl", [1.0, 0.0, 1.0, True], repeated=2)
    groups, _ = rates(path)
    assert groups["acc"].values.tolist() == [1, 0, 1, 1] and clusters(groups["acc"]) == 2
    perplexity = write.lm_eval(tmp_path / "s.jsonl", [[12.5, 3], [8.0, 2]], metric="perplexity")
    with pytest.raises(Exception, match=r"must have a metric in 0\.\.1: 2 left out"):
        rates(perplexity)


def test_promptfoo_counts_failed_tests_of_a_red_team_as_attacks_that_succeeded(tmp_path):
    rows = [
        write.promptfoo_row(0, True),
        write.promptfoo_row(1, False, original="prompt 0"),
        write.promptfoo_row(2, False),
        write.promptfoo_row(3, False, reason=2),
    ]
    groups, results = rates(write.promptfoo(tmp_path / "out.json", rows))
    group = groups["openai:chat:test / contracts"]
    assert group.values.tolist() == [0, 1, 1] and clusters(group) == 2
    assert results.quantity.startswith("attack success rate")
    assert "1 left out: rows that ended in an error" in results.notes[0]
    plain = [write.promptfoo_row(n, n < 3, plugin=None) for n in range(4)]
    # Before there was a failureReason, a test that failed had an `error` too: its reason.
    plain[3] = plain[3] | {"failureReason": None, "error": "expected a poem"}
    groups, results = rates(write.jsonl(tmp_path / "out.jsonl", plain))
    assert groups["openai:chat:test"].values.tolist() == [1, 1, 1, 0]
    groups, results = rates(write.promptfoo(tmp_path / "out.json", plain))
    assert groups["openai:chat:test"].values.tolist() == [1, 1, 1, 0]
    assert results.quantity == "share of tests that passed"


@pytest.mark.parametrize("objective", [True, False])
def test_pyrit_has_a_rate_for_each_scorer(tmp_path, objective):
    conversations = [("a", [True]), ("a", [False]), ("b", [True, "0.25"]), ("c", ["maybe"])]
    path = write.pyrit(tmp_path / "memory.json", conversations, objective=objective)
    groups, results = rates(path)
    group = groups["SubStringScorer / tone"]
    assert group.values.tolist() == [1, 0, 1, 0.25] and clusters(group) == 2
    assert "1 left out" in results.notes[0]


def test_jailbreakbench_has_a_rate_for_each_judge(tmp_path):
    entries = [
        {"index": n, "goal": f"g{n // 2}", "prompt": "Hi", "jailbroken": n % 2 == 0}
        | {"jailbroken_llama_guard1": None if n == 3 else False}
        for n in range(4)
    ]
    path = tmp_path / "vicuna.json"
    path.write_text(json.dumps({"parameters": {"model": "vicuna"}, "jailbreaks": entries}))
    groups, results = rates(path)
    assert groups["jailbroken"].values.tolist() == [1, 0, 1, 0]
    assert clusters(groups["jailbroken"]) == 2
    assert len(groups["jailbroken_llama_guard1"].values) == 3
    assert results.notes == ("1 left out: behaviors without jailbroken_llama_guard1",)


def trials(path, **options):
    return imported(path, Options(**options)).trials


@pytest.mark.parametrize("inline", [True, False])
def test_sacroml_gives_membership_and_score_of_each_record(tmp_path, inline):
    path = write.sacroml(tmp_path, inline=inline)
    keep, score = write.memberships()
    table = trials(path)
    assert (table.truth == keep).all() and (table.guess == score).all()
    assert table.cluster is None and "one audited model" in table.notes[0]
    if not inline:
        table = trials(tmp_path / "report_arrays_00000000_instance_0.npz")
        assert (table.truth == keep).all()


def test_sacroml_asks_which_of_several_attacks(tmp_path):
    path = write.sacroml(tmp_path, attacks=("LIRA Attack", "QMIA Attack"))
    with pytest.raises(Exception, match=r"must have one attack, got 2.*--only 'LIRA Attack_0 / i"):
        trials(path)
    keep, _ = write.memberships(seed=1)
    for only in ("QMIA Attack_1", "QMIA", "qmia attack"):
        assert (trials(path, only=only).truth == keep).all()
    for only in ("Attack", "worst"):
        with pytest.raises(Exception, match="--only must name one attack, got"):
            trials(path, only=only)


def test_lira_scores_have_a_cluster_for_each_model(tmp_path):
    keep, score = write.memberships(n=50, models=6)
    np.save(tmp_path / "keep.npy", np.concatenate([keep, keep[:, :9]], 1))
    np.save(tmp_path / "scores.npy", np.stack([score - 1, score + 1], -1))
    from hartley.importers.named_columns import Names

    by = Names(truth=str(tmp_path / "keep.npy"))
    table = trials(tmp_path / "scores.npy", names=by)
    assert np.allclose(table.guess, score.ravel()) and (table.truth == keep.ravel()).all()
    assert (table.cluster == np.repeat(np.arange(6), 50)).all()
    # Privacy Meter keeps signals the other way round, and memberships as LiRA does.
    np.save(tmp_path / "keep.npy", keep)
    np.save(tmp_path / "signals.npy", score.T)
    table = trials(tmp_path / "signals.npy", names=by)
    assert (table.guess == score.ravel()).all() and len(set(table.cluster)) == 6


def lira_experiment(folder, models=12, n=120, hardness=2.0):
    """Logits of records that differ more from one another than by membership, as real ones do."""
    rng = np.random.default_rng(0)
    record = rng.normal(0, hardness, n)
    keep = rng.random((models, n)).argsort(0) < models // 2  # as train.py draws them
    keep[: models // 2, 0] = False  # which no reference knows
    for k in range(models):
        path = folder / f"experiment-{k}_{models}"
        (path / "scores").mkdir(parents=True)
        logits = record + 1.5 * keep[k] + rng.normal(0, 1, n)
        np.save(path / "scores" / "0000000050.npy", rng.normal(0, 1, (n, 2)))
        np.save(path / "scores" / "0000000100.npy", np.stack([logits, logits + 0.1], 1))
        np.save(path / "keep.npy", np.append(keep[k], [True, False]))
    return keep


def test_a_folder_of_lira_is_attacked_as_lira_does(tmp_path):
    lira_experiment(tmp_path / "exp")
    table = trials(tmp_path / "exp")
    assert len(set(table.cluster)) == 6
    assert table.notes[0] == "the first 6 models are LiRA's references, the other 6 are measured"

    def auc(scores):
        difference = scores[table.truth == 1][:, None] - scores[table.truth == 0]
        return (difference > 0).mean()

    logits = [
        np.load(path / "scores" / "0000000100.npy").mean(1)
        for path in sorted((tmp_path / "exp").iterdir())
    ]
    keep = np.stack([np.load(p / "keep.npy")[:-2] for p in sorted((tmp_path / "exp").iterdir())])
    known = (keep[:6].sum(0) >= 2) & (keep[:6].sum(0) <= 4)
    assert not known[0]
    assert table.notes[1] == f"{(~known).sum()} records left out: too few references know them"
    assert (table.truth == keep[6:, known].ravel()).all()
    assert auc(np.stack(logits)[6:, known].ravel()) < 0.75
    assert auc(table.guess) > 0.78
    for folder in list((tmp_path / "exp").iterdir())[3:]:
        for path in folder.glob("scores/*"):
            path.unlink()
    with pytest.raises(Exception, match="must have 4 models with scores or more: got 3"):
        trials(tmp_path / "exp")


def test_privacy_meter_and_art(tmp_path):
    keep, score = write.memberships()
    np.savez(tmp_path / "attack_result_0", fpr=score[:5], scores=score, memberships=keep)
    table = trials(tmp_path / "attack_result_0.npz")
    assert (table.truth == keep).all() and (table.guess == score).all()
    np.savez(tmp_path / "a", inferred_train=score[keep][:, None], inferred_test=score[~keep])
    table = trials(tmp_path / "a.npz")
    assert table.truth.sum() == keep.sum() and (table.guess[: keep.sum()] == score[keep]).all()
    np.savez(tmp_path / "b", members=score[keep] > 0, nonmembers=score[~keep] > 0)
    assert trials(tmp_path / "b.npz").spec.form == "symbol"


def test_every_format_says_what_it_reads_and_where_that_was_read():
    assert len(names()) == 11
    for name in names():
        assert format_of(name).READS
        page = import_module(f"hartley.importers.formats.{name}").__doc__
        assert "Read in the " in page or "no format of its own" in page


def test_a_plain_table_is_left_to_the_reader_of_tables(tmp_path):
    path = write.jsonl(tmp_path / "t.jsonl", [{"truth": 1, "guess": 1}, {"truth": 0, "guess": 0}])
    assert read_results(path) == ("table", None)
