"""Rows of a made-up run: one function a kind of channel that a report must cope with."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

NORMAL = NormalDist()

PAPERS = {
    "lira_online": "arXiv:2112.03570",
    "rmia": "arXiv:2312.03262",
    "loss_threshold": "arXiv:1709.01604",
    "badnets": "arXiv:1708.06733",
    "knockoff": "arXiv:1812.02766",
}


def curve(d: float) -> dict[str, list[float]]:
    """Return the ROC of two unit normals d apart, on log-spaced false-positive rates."""
    fpr = [10 ** (-3 + 3 * i / 40) for i in range(41)]
    tpr = [1.0 if f >= 1 else NORMAL.cdf(d + NORMAL.inv_cdf(f)) for f in fpr]
    return {"fpr": fpr, "tpr": tpr}


def _channel(attack: str, game: str, axis: str, **more: Any) -> dict[str, Any]:
    return {
        "attack": attack,
        "game": game,
        "axis": axis,
        "flow": "inferring",
        "term": "noise",
        "modality": "vision",
        "access": ["scores"],
        "params": {},
        "paper": PAPERS.get(attack, "hartley"),
        "tags": [],
        "status": "measured",
        "reason": None,
        "cause": None,
        "summary": "what it does, in a line",
        "origin": "hartley",
        "flags": [],
        "queried": True,
        "alphabet": 2,
        "knowledge": "none",
        "assumptions": [],
        "loot": "",
        "cost": {},
        "metrics": {},
        "curve": {},
        "capacity": None,
        "signal": None,
        "noise": None,
        "snr_db": None,
        "leakage": None,
        "authorised_bits": None,
        "budget_bits": None,
        **more,
    }


def _bits(point: float, low: float, high: float, null: float = 0.0003) -> dict[str, Any]:
    return {
        "point": point,
        "low": low,
        "high": high,
        "raw": point + 0.004,
        "null": null,
        "null_low": None,
        "null_high": null + 0.006,
        "kind": "certified",
        "alpha": 0.05,
    }


def _measured(
    name: str, point: float, low: float, high: float, ceiling: float, n: int
) -> dict[str, Any]:
    return {
        "bits": _bits(point, low, high),
        "ceiling": ceiling,
        "n": n,
        "uses": n * 2,
        "seconds": 3.2,
        "rate_bits_per_s": point * n / 3.2,
        "snr_db": 10 * math.log10(max(4**point - 1, 1e-6)),
        "loot": f"data '{name}': {n} × records",
    }


def jam(name: str, point: float, low: float, high: float, params: dict[str, Any]) -> dict[str, Any]:
    return _channel(
        name,
        "watermark",
        "data_to_data",
        flow="prediction",
        role="jam",
        form="symbol",
        unit="bit of the mark",
        clusters=40,
        params=params,
        estimator="E2 difference of per-bit channels",
        metrics={
            "bit_accuracy": {"value": 0.552, "low": 0.531, "high": 0.573, "n": 2560},
            "psnr_db": {"value": 34.1, "low": 33.2, "high": 35.0, "n": 40},
        },
        tags=[
            {"scheme": "atlas", "edition": "5.6.0", "id": "AML.T0015", "origin": "asserted"},
        ],
        **_measured(name, point, low, high, 1.0, 2560),
    )


def symbol(
    name: str, point: float, low: float, high: float, *, ceiling: float, n: int
) -> dict[str, Any]:
    return _channel(
        name,
        "decryption",
        "data_to_data",
        role="tap",
        form="symbol",
        unit="symbol",
        clusters=12,
        estimator="E2 Fano",
        metrics={"symbol_error_rate": 0.13},
        **_measured(name, point, low, high, ceiling, n),
    )


def poison(name: str, point: float, low: float, high: float, *, n: int) -> dict[str, Any]:
    return _channel(
        name,
        "poisoning",
        "data_to_model",
        flow="learning",
        term="signal",
        access=["poison"],
        role="inject",
        form="symbol",
        unit="trigger",
        clusters=16,
        estimator="E2 Fano",
        cost={"poisons": 30.0},
        params={"rate": 0.02, "size": 3},
        metrics={
            "attack_success_rate": {"value": 0.94, "low": 0.91, "high": 0.96, "n": n},
            "base_rate": {"value": 0.101, "low": 0.07, "high": 0.14, "n": n},
            "clean_accuracy": 0.961,
        },
        **_measured(name, point, low, high, 3.3219, n),
    )


def score(
    name: str,
    point: float,
    low: float,
    high: float,
    *,
    d: float,
    access: list[str] | None = None,
    flags: list[str] | None = None,
) -> dict[str, Any]:
    return _channel(
        name,
        "membership",
        "model_to_data",
        role="tap",
        form="score",
        unit="record",
        clusters=16,
        access=access or ["scores"],
        flags=flags or [],
        params={"floor": 1e-6} if name == "loss_threshold" else {"shadows": 64},
        estimator="E1 Fisher product over 8 levels",
        assumptions=["rows of one victim are one cluster"],
        signal=d * d / 4,
        noise=1.0,
        leakage=point * 1.8,
        authorised_bits=23.3,
        budget_bits=point * 1000,
        metrics={
            "auc": {"value": NORMAL.cdf(d / math.sqrt(2)), "low": 0.6, "high": 0.85, "n": 8000},
            "tpr_at_fpr_1e2": {"value": 0.08, "low": 0.06, "high": 0.1, "n": 8000},
            "epsilon_lower": 0.71,
        },
        curve=curve(d),
        tags=[
            {"scheme": "atlas", "edition": "5.6.0", "id": "AML.T0024.000", "origin": "official"},
            {
                "scheme": "owasp-llm",
                "edition": "2025",
                "id": "LLM02:2025",
                "origin": "asserted",
            },
        ],
        **_measured(name, point, low, high, 1.0, 8000),
    )


def extract(name: str, point: float, low: float, high: float, *, n: int) -> dict[str, Any]:
    return _channel(
        name,
        "extraction",
        "model_to_model",
        role="tap",
        form="symbol",
        unit="query",
        clusters=1,
        estimator="E2 Fano",
        capacity=3.01,
        metrics={"fidelity": {"value": 0.951, "low": 0.94, "high": 0.961, "n": n}},
        **_measured(name, point, low, high, 3.3219, n),
    )


def skipped(name: str, game: str, axis: str, reason: str) -> dict[str, Any]:
    return _channel(name, game, axis, status="skipped", reason=reason, cause="scene")


def failed(name: str, game: str, axis: str, reason: str) -> dict[str, Any]:
    return _channel(name, game, axis, status="failed", reason=reason)
