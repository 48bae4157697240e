"""A run document with everything a report must cope with. Its numbers are made up."""

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
OVER = "membership: lira_online is at least 0.214 bit, over the limit 0.1"
WITHIN = "membership: loss_threshold is at most 0.058 bit, within the limit 0.1"
STRADDLES = "membership: rmia is flagged: its null arm reads 0.041 bit"
CRASHED = "extraction: last_layer failed: answered with NaN <b>twice</b>"


def document() -> dict[str, Any]:
    """Return a fresh document: measured, skipped, failed rows, a jam, defences, a failed gate."""
    return {
        "schema": "hartley.run/1",
        "id": "2026-11-22T005500-digits-7f3a",
        "created": "2026-11-22T00:55:00+00:00",
        "version": "0.1.0",
        "seed": 7,
        "scene": {"name": "digits", "digest": "5b1f" * 16, "modality": "vision"},
        "plan": {"scene": "digits", "only": None, "seed": 7, "limits": {"membership": 0.1}},
        "host": {
            "python": "3.11.7",
            "system": "Linux x86_64",
            "processors": 2,
            "threads": 1,
            "device": "cpu",
            "versions": {"numpy": "2.4.6", "scipy": "1.17.1"},
        },
        "notes": ["the pack fashion-mnist is not here; digits were used"],
        "channels": [
            _jam("jpeg", 0.871, 0.842, 0.893, params={"quality": 35}),
            _jam("regeneration", 0.412, 0.371, 0.455, params={"strength": 0.4}),
            _symbol("substitution_break", 3.917, 3.604, 4.052, ceiling=4.7004, n=780),
            _symbol("aes_gcm_control", 0.0, 0.0, 0.004, ceiling=4.7004, n=780),
            _poison("badnets", 3.104, 2.846, 3.251, n=320),
            _poison("label_flip", 0.088, 0.0, 0.161, n=320),
            _score("loss_threshold", 0.041, 0.019, 0.058, d=0.48),
            _score("lira_online", 0.262, 0.214, 0.301, d=1.31, access=["scores", "train"]),
            _score(
                "rmia",
                0.231,
                0.187,
                0.272,
                d=1.2,
                access=["scores", "train"],
                flags=["its null arm reads 0.041 bit"],
            ),
            _extract("knockoff", 2.912, 2.815, 2.99, n=1797),
            _skipped("canary_exposure", "memorization", "model_to_data", "the scene has no corpus"),
            _failed("last_layer", "extraction", "model_to_model", "answered with NaN <b>twice</b>"),
        ],
        "edges": [
            {
                "from": "knockoff",
                "to": "lira_online",
                "gain": 0.93,
                "low": 0.81,
                "high": 1.07,
                "fresh": True,
            }
        ],
        "loops": [],
        "weakest_cut": None,
        "defenses": [_rounding(), _dp_sgd()],
        "choice": None,
        "verdict": {
            "status": "over",
            "reasons": [OVER, STRADDLES, CRASHED],
            "checks": [
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "lira_online",
                    "status": "over",
                    "reason": OVER,
                },
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "rmia",
                    "status": "inconclusive",
                    "reason": STRADDLES,
                },
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "loss_threshold",
                    "status": "pass",
                    "reason": WITHIN,
                },
                {
                    "limit": "extraction",
                    "at": 3.0,
                    "attack": "knockoff",
                    "status": "pass",
                    "reason": "extraction: knockoff is at most 2.99 bit, within the limit 3",
                },
                {
                    "limit": "extraction",
                    "at": 3.0,
                    "attack": "last_layer",
                    "status": "inconclusive",
                    "reason": CRASHED,
                },
            ],
        },
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
        "moves": "noise",
        "modality": "vision",
        "access": ["scores"],
        "params": {},
        "paper": PAPERS.get(attack, "hartley"),
        "tags": [],
        "stage_of": None,
        "status": "measured",
        "reason": None,
        "cause": None,
        "summary": "what it does, in a line",
        "origin": "hartley",
        "flags": [],
        "fresh": True,
        "alphabet": 2,
        "knows": "none",
        "assumptions": [],
        "loot": "",
        "cost": {},
        "usual": {},
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


def _jam(
    name: str, point: float, low: float, high: float, params: dict[str, Any]
) -> dict[str, Any]:
    return _channel(
        name,
        "watermark",
        "data_to_data",
        flow="prediction",
        role="jam",
        wire="symbol",
        unit="bit of the mark",
        clusters=40,
        params=params,
        estimator="E2 difference of per-bit channels",
        usual={
            "bit_accuracy": {"value": 0.552, "low": 0.531, "high": 0.573, "n": 2560},
            "psnr_db": {"value": 34.1, "low": 33.2, "high": 35.0, "n": 40},
        },
        tags=[
            {"scheme": "atlas", "edition": "5.6.0", "id": "AML.T0015", "origin": "asserted"},
        ],
        **_measured(name, point, low, high, 1.0, 2560),
    )


def _symbol(
    name: str, point: float, low: float, high: float, *, ceiling: float, n: int
) -> dict[str, Any]:
    return _channel(
        name,
        "decryption",
        "data_to_data",
        role="tap",
        wire="symbol",
        unit="symbol",
        clusters=12,
        estimator="E2 Fano",
        usual={"symbol_error_rate": 0.13},
        **_measured(name, point, low, high, ceiling, n),
    )


def _poison(name: str, point: float, low: float, high: float, *, n: int) -> dict[str, Any]:
    return _channel(
        name,
        "poisoning",
        "data_to_model",
        flow="learning",
        moves="signal",
        access=["poison"],
        role="inject",
        wire="symbol",
        unit="trigger",
        clusters=16,
        estimator="E2 Fano",
        cost={"poisons": 30.0},
        params={"rate": 0.02, "size": 3},
        usual={
            "attack_success_rate": {"value": 0.94, "low": 0.91, "high": 0.96, "n": n},
            "base_rate": {"value": 0.101, "low": 0.07, "high": 0.14, "n": n},
            "clean_accuracy": 0.961,
        },
        **_measured(name, point, low, high, 3.3219, n),
    )


def _score(
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
        wire="score",
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
        usual={
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


def _extract(name: str, point: float, low: float, high: float, *, n: int) -> dict[str, Any]:
    return _channel(
        name,
        "extraction",
        "model_to_model",
        role="tap",
        wire="symbol",
        unit="query",
        clusters=1,
        estimator="E2 Fano",
        capacity=3.01,
        usual={"fidelity": {"value": 0.951, "low": 0.94, "high": 0.961, "n": n}},
        **_measured(name, point, low, high, 3.3219, n),
    )


def _skipped(name: str, game: str, axis: str, reason: str) -> dict[str, Any]:
    return _channel(name, game, axis, status="skipped", reason=reason, cause="scene")


def _failed(name: str, game: str, axis: str, reason: str) -> dict[str, Any]:
    return _channel(name, game, axis, status="failed", reason=reason)


def _b(point: float, low: float, high: float, n: int = 8000) -> dict[str, Any]:
    return {"point": point, "low": low, "high": high, "n": n}


def _rounding() -> dict[str, Any]:
    return {
        "name": "output_rounding",
        "moves": "bandwidth",
        "acts": "output",
        "params": {"decimals": 1},
        "protects": ["membership", "extraction"],
        "utility": {
            "test_accuracy": {
                "before": {"value": 0.972, "low": 0.951, "high": 0.986, "n": 360},
                "after": {"value": 0.968, "low": 0.945, "high": 0.983, "n": 360},
            }
        },
        "residual": {
            "lira_online": {
                "undefended": _b(0.262, 0.214, 0.301),
                "static": _b(0.121, 0.092, 0.15),
                "adaptive": _b(0.173, 0.14, 0.205),
                "reason": "",
            },
            "knockoff": {
                "undefended": _b(2.912, 2.815, 2.99, 1797),
                "static": _b(2.706, 2.59, 2.8, 1797),
                "adaptive": None,
                "reason": "no adaptive form of this attack is known to Hartley",
            },
        },
        "coverage": {
            "lira_online": {"point": 0.34, "low": 0.04},
            "knockoff": {"point": 0.07, "low": 0.0},
        },
        "relative_to_suite": True,
    }


def _dp_sgd() -> dict[str, Any]:
    return {
        "name": "dp_sgd",
        "moves": "noise",
        "acts": "training",
        "params": {"epsilon": 1.0},
        "protects": ["membership"],
        "utility": {
            "test_accuracy": {
                "before": {"value": 0.972, "low": 0.951, "high": 0.986, "n": 360},
                "after": {"value": 0.871, "low": 0.832, "high": 0.903, "n": 360},
            },
            "nats_per_token": {
                "before": {"value": -3.1, "low": None, "high": None, "n": None},
                "after": None,
            },
        },
        "residual": {
            "lira_online": {
                "undefended": _b(0.262, 0.214, 0.301),
                "static": _b(0.003, 0.0, 0.011),
                "adaptive": _b(0.004, 0.0, 0.012),
                "reason": "",
            }
        },
        "coverage": {"lira_online": {"point": 0.985, "low": 0.944}},
        "relative_to_suite": True,
    }
