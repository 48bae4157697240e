"""Log a run to an MLflow tracking store: parameters, bits with their intervals, verdict, the page.

One run of Hartley is one run of MLflow. It carries the digest of the run document, so that the same
document is logged once; a document that has changed is logged anew, and the earlier one is tagged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hartley.core.errors import MissingExtra, UsageError
from hartley.reference.schema import verdict_of
from hartley.report.render import render

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
LOCAL = frozenset({"sqlite", "file", ""})
"""Schemes of stores that are files."""
LONGEST = 500
"""Characters of a parameter or a tag: the least that a store of MLflow takes."""
BATCH = {"metrics": 1000, "params": 100, "tags": 100}
"""Values that the protocol of MLflow takes at a time."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a run is in the tracking store.

    Attributes:
        run_id: MLflow's id.
        experiment: MLflow's name of the experiment.
        new: whether it was logged now; else it was there.
        earlier: how many runs with an earlier document of the same run were tagged.
    """

    run_id: str
    experiment: str
    new: bool
    earlier: int


def host_of(uri: str) -> str:
    """Return the host beyond this machine that a tracking URI names, or an empty string."""
    parts = urlsplit(uri)
    if uri == "databricks":
        return uri
    if parts.scheme in LOCAL or len(parts.scheme) == 1:  # a drive
        return ""
    host = parts.hostname or parts.scheme
    return "" if host in HERE else host


def log_run(
    document: Mapping[str, Any], uri: str, experiment: str = "hartley", *, allow_host: str = ""
) -> Logged:
    """Log a run document, unless the store has it.

    Args:
        document: of a run.
        uri: of the tracking store, such as ``sqlite:///mlflow.db`` or ``http://127.0.0.1:5000``.
        experiment: MLflow's experiment, which is made where there is none.
        allow_host: a host besides this machine that the run may be sent to.

    Raises:
        MissingExtra: MLflow is not installed.
        UsageError: the host is not allowed, or the store cannot be used.
    """
    host = host_of(uri)
    if host and host != allow_host:
        raise UsageError(
            f"the run would be sent to {host}, with its report; if that is wanted: "
            f"--allow-host {host}"
        )
    client = _client(uri)
    try:
        return _log(client, document, uri, experiment)
    except UsageError:
        raise
    except Exception as error:  # of MLflow, of its database, of the connection
        raise _refusal(uri, error) from error


def params_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what was ordered: the parameters of MLflow's run."""
    plan = document.get("plan") or {}
    listed = {
        "scene": document["scene"]["name"],
        "modality": document["scene"].get("modality"),
        "seed": document["seed"],
        "replicates": plan.get("replicates"),
        "only": ", ".join(plan.get("only") or ()),
        "skip": ", ".join(plan.get("skip") or ()),
        "deployed": ", ".join("+".join(names) for names in plan.get("deployed") or ()),
    }
    for row, name in _named(document):
        if row["status"] == "measured":
            for key, value in (row.get("params") or {}).items():
                listed[f"{name}/{key}"] = value
    return {key: str(value)[:LONGEST] for key, value in listed.items() if value not in (None, "")}


def metrics_of(document: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of each measured row, by the name of the row and of the figure."""
    figures: dict[str, float] = {}
    for row, name in _named(document):
        if row["status"] != "measured":
            continue
        bits = row["bits"]
        named = {
            "bits": bits["point"],
            "bits_low": bits["low"],
            "bits_high": bits["high"],
            "n": row["n"],
            "ceiling": row.get("ceiling"),
        }
        figures |= {
            f"{name}/{key}": float(value)
            for key, value in named.items()
            if value is not None and math.isfinite(value)
        }
    return figures


def tags_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what distinguishes the run: digests, versions, the verdict, what is missing."""
    verdict = document["verdict"]
    rows = document["channels"]
    tags = {
        "hartley.run": document["id"],
        "hartley.document": digest_of(document),
        "hartley.scene": document["scene"]["digest"],
        "hartley.version": document["version"],
        "hartley.verdict": verdict_of(verdict),
        "hartley.reasons": "; ".join(verdict.get("reasons") or ()),
        "hartley.failed": str(sum(row["status"] == "failed" for row in rows)),
        "hartley.flagged": str(sum(bool(row.get("flags")) for row in rows)),
    }
    return {key: str(value)[:LONGEST] for key, value in tags.items() if value not in (None, "")}


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a run document, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _named(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each row with a name that no other row has, in the letters of MLflow's keys."""
    rows: Sequence[Mapping[str, Any]] = document["channels"]
    plain = [_name(row) for row in rows]
    times = Counter(plain)
    for row, name in zip(rows, plain, strict=True):
        yield row, name if times[name] == 1 else f"{name} {row['id'].rpartition('-')[2]}"


def _name(row: Mapping[str, Any]) -> str:
    words = str(row["attack"])
    if not row.get("baseline", True):
        words += f" behind {'+'.join(row.get('added') or ())} {row.get('knowledge', '')}"
    return re.sub(r"[^\w\-. ]", "_", words.strip())[:150]


def _client(uri: str) -> Any:
    """Return MLflow's client, which says nothing and sends nothing but to the store."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtra("mlflow", "mlflow") from error
    if urlsplit(uri).scheme == "sqlite":
        try:
            import alembic  # noqa: F401
            import sqlalchemy  # noqa: F401
        except ImportError as error:
            raise MissingExtra("sqlalchemy", "mlflow") from error
    try:
        return MlflowClient(tracking_uri=uri)
    except Exception as error:
        raise _refusal(uri, error) from error


def _refusal(uri: str, error: Exception) -> UsageError:
    without_password = re.sub(r"//[^/@]*@", "//…@", uri)
    reason = " ".join(str(error).split())
    if (broken := _of_the_system(error)) is not None:
        reason = broken.strerror or reason
    return UsageError(f"the tracking store {without_password} cannot be used: {reason[:300]}")


def _of_the_system(error: BaseException | None) -> OSError | None:
    """Return the error of the system at the bottom of others, such as a refused connection."""
    lowest = None
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            lowest = error
        error = error.__cause__ or error.__context__
    return lowest


def _log(client: Any, document: Mapping[str, Any], uri: str, experiment: str) -> Logged:
    from mlflow.entities import Metric, Param, RunTag

    place = _experiment(client, uri, experiment)
    tags = tags_of(document)
    before = list(client.search_runs([place], f"tags.`hartley.run` = '{_quoted(document['id'])}'"))
    for run in before:
        same = run.data.tags.get("hartley.document") == tags["hartley.document"]
        if same and run.info.status == "FINISHED":
            return Logged(run.info.run_id, experiment, new=False, earlier=0)
        if run.info.status == "RUNNING":  # it was broken off: half of its figures are there
            client.set_terminated(run.info.run_id, "KILLED")
            client.delete_run(run.info.run_id)
    finished = [run for run in before if run.info.status == "FINISHED"]
    run_id = client.create_run(place, run_name=document["id"], tags=tags).info.run_id
    now = client.get_run(run_id).info.start_time
    values: dict[str, list[Any]] = {
        "params": [Param(key, value) for key, value in params_of(document).items()],
        "metrics": [Metric(key, value, now, 0) for key, value in metrics_of(document).items()],
    }
    for kind, listed in values.items():
        for start in range(0, len(listed), BATCH[kind]):
            client.log_batch(run_id, **{kind: listed[start : start + BATCH[kind]]})
    with tempfile.TemporaryDirectory() as folder:
        for name, format in {"report.html": "html", "run.json": "json"}.items():
            Path(folder, name).write_text(render(document, format), encoding="utf-8")
        client.log_artifacts(run_id, folder)
    for run in finished:
        client.log_batch(run.info.run_id, tags=[RunTag("hartley.superseded_by", run_id)])
    client.set_terminated(run_id, "FINISHED")
    return Logged(run_id, experiment, new=True, earlier=len(finished))


def _experiment(client: Any, uri: str, name: str) -> str:
    """Return the id of an experiment; of a database that is a file, artifacts are beside it."""
    there = client.get_experiment_by_name(name)
    if there is not None:
        if there.lifecycle_stage != "active":
            raise UsageError(f"the experiment {name!r} was deleted in {uri}; give another name")
        return str(there.experiment_id)
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    if path == uri or path in ("", ":memory:"):
        return str(client.create_experiment(name))
    folder = Path(path).resolve().parent / "mlartifacts" / re.sub(r"[^\w.-]", "_", name)
    return str(client.create_experiment(name, artifact_location=folder.as_uri()))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
