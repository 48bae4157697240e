"""What is logged to MLflow is what its own client reads back, and a run is logged once."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from hartley.core.errors import UsageError
from hartley.report.tracking import digest_of, host_of, log_run, metrics_of

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow and of its libraries


@pytest.fixture(scope="module")
def client_of(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"
    return uri, mlflow.MlflowClient(tracking_uri=uri)


def test_its_own_client_reads_what_the_run_says(client_of, document):
    uri, client = client_of
    logged = log_run(document, uri, "readings")
    assert logged.new
    run = client.get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == document["id"]
    assert run.data.tags["hartley.document"] == digest_of(document)
    assert run.data.tags["hartley.verdict"] in {"pass", "over", "inconclusive", "none"}
    assert run.data.params["scene"] == document["scene"]["name"]
    measured = [row for row in document["channels"] if row["status"] == "measured"]
    for quantity, key in {"bits": "point", "bits_low": "low", "bits_high": "high"}.items():
        read = sorted(v for k, v in run.data.metrics.items() if k.endswith(f"/{quantity}"))
        stored = (row["bits"][key] for row in measured)
        assert read == pytest.approx(sorted(value for value in stored if value is not None))
    read = sorted(v for k, v in run.data.metrics.items() if k.endswith("/n"))
    assert read == sorted(row["n"] for row in measured)
    assert {a.path for a in client.list_artifacts(logged.run_id)} == {"report.html", "run.json"}
    place = Path(run.info.artifact_uri.removeprefix("file://"))
    assert "<html" in (place / "report.html").read_text()[:200]

    again = log_run(document, uri, "readings")
    assert (again.run_id, again.new) == (logged.run_id, False)
    assert len(client.search_runs([run.info.experiment_id])) == 1
    changed = copy.deepcopy(document)
    changed["notes"] = ["judged again"]
    later = log_run(changed, uri, "readings")
    assert (later.new, later.earlier) == (True, 1)
    earlier = client.get_run(logged.run_id).data.tags
    assert earlier["hartley.superseded_by"] == later.run_id


def test_what_was_broken_off_is_logged_anew(client_of, document, tmp_path):
    uri, client = client_of
    place = client.create_experiment("broken", artifact_location=tmp_path.as_uri())
    half = client.create_run(place, tags={"hartley.run": document["id"]}).info.run_id
    logged = log_run(document, uri, "broken")
    assert logged.new
    assert [run.info.run_id for run in client.search_runs([place])] == [logged.run_id]
    assert client.get_run(half).info.lifecycle_stage == "deleted"


def test_rows_of_one_attack_keep_their_own_figures(document):
    twice = copy.deepcopy(document)
    row = next(row for row in twice["channels"] if row["status"] == "measured")
    twice["channels"].append({**row, "id": f"{row['attack']}-ffffff"})
    more = len(metrics_of(twice)) - len(metrics_of(document))
    assert more in {4, 5}  # a row may have no ceiling


def test_another_machine_must_be_allowed(document, monkeypatch):
    for uri, host in {
        "https://user:pass@tracking.example.org/x": "tracking.example.org",
        "postgresql://db.example.org/mlflow": "db.example.org",
        "databricks": "databricks",
        "http://127.0.0.1:5000": "",
        "http://localhost:5000": "",
        "sqlite:///mlflow.db": "",
        "./mlruns": "",
    }.items():
        assert host_of(uri) == host
    with pytest.raises(UsageError, match=r"--allow-host tracking\.example\.org") as refused:
        log_run(document, "https://user:pass@tracking.example.org/x")
    assert "pass" not in str(refused.value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UsageError, match=r"http://127.0.0.1:9 cannot be used: .*[Rr]efused"):
        log_run(document, "http://127.0.0.1:9")
