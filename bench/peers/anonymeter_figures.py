"""Figures and CPU times of anonymeter 1.1.0 on tables of ``bench/tables.py``; runs in its own env.

Its draws of targets are repeated here from the same seed and written down, so that both sides
attack the same people. Neighbours are looked for twice: as it ships, where numba's unstable sort
settles which of equally near rows comes first, and with a stable sort, which takes the first.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
from anonymeter.neighbors import mixed_types_kneighbors as neighbours
from numba import jit

ATTACKS = 500
SEED = 7
SECRET = {"tumours": "diagnosis", "census": "occupation", "census_large": "occupation"}


@jit(nopython=True, nogil=True)
def stable(queries, candidates, cat_cols_index, n_neighbors):
    """The search of anonymeter with a stable sort."""
    idx = np.zeros((queries.shape[0], n_neighbors), dtype=np.int64)
    dists = np.zeros((queries.shape[0], n_neighbors), dtype=np.float64)
    for ix in range(queries.shape[0]):
        dist = np.zeros(candidates.shape[0], dtype=np.float64)
        for iy in range(candidates.shape[0]):
            dist[iy] = neighbours.gower_distance(queries[ix], candidates[iy], cat_cols_index)
        order = dist.argsort(kind="mergesort")[:n_neighbors]
        idx[ix] = order
        dists[ix] = dist[order]
    return idx, dists


def timed(make):
    began = time.process_time()
    evaluator = make()
    return evaluator, time.process_time() - began


def figures(evaluator):
    results = evaluator.results()
    risk = results.risk()
    return {
        "success": int(results.n_success),
        "control": float(results.n_control),
        "risk": [float(risk.value), *map(float, risk.ci)],
    }


def seeded():
    """Seed the global generator, which pandas draws targets from."""
    np.random.seed(SEED)  # noqa: NPY002 - what anonymeter draws from


def places(frames, attacks, baseline):
    """Return the places of the targets that pandas draws, in its order.

    The baseline of inference draws as many people and released rows first.
    """
    seeded()
    if baseline:
        frames["ori"].sample(attacks, replace=False)
        frames["syn"].sample(attacks)
    return {
        kind: frames[kind].sample(attacks, replace=False).index.tolist()
        for kind in ("ori", "control")
    }


def singled_out(frames, mode, count):
    return SinglingOutEvaluator(**frames, n_attacks=count, n_cols=4, seed=SEED).evaluate(mode=mode)


def linked(frames, aux, attacks, k):
    seeded()
    return LinkabilityEvaluator(**frames, aux_cols=aux, n_attacks=attacks, n_neighbors=k).evaluate(
        n_jobs=1
    )


def inferred(frames, known, secret, attacks):
    seeded()
    return InferenceEvaluator(**frames, aux_cols=known, secret=secret, n_attacks=attacks).evaluate(
        n_jobs=1
    )


def tasks_of(table, secret, folder):
    frames = {k: pd.read_csv(folder / f"{table}.{k}.csv") for k in ("ori", "syn", "control")}
    attacks = min(ATTACKS, len(frames["ori"]))
    names = list(frames["ori"].columns)
    aux = (names[::2], names[1::2])
    known = [name for name in names if name != secret]
    for mode, count in (("univariate", 100_000), ("multivariate", attacks)):
        evaluator, cpu = timed(partial(singled_out, frames, mode, count))
        yield {
            **{"table": table, "kind": f"singling_{mode}", "ties": "none", "seed": SEED},
            **{"attacks": count, "figures": figures(evaluator), "cpu": cpu},
        }
    shipped = neighbours._nearest_neighbors
    for ties, search in (("numba", shipped), ("ordered", stable)):
        neighbours._nearest_neighbors = search
        linked(frames, aux, 10, 1)  # compiled
        for k in (1, 5):
            evaluator, cpu = timed(partial(linked, frames, aux, attacks, k))
            yield {
                **{"table": table, "kind": "linkability", "ties": ties, "aux": aux, "k": k},
                **{"attacks": attacks, "targets": places(frames, attacks, False)},
                **{"figures": figures(evaluator), "cpu": cpu},
            }
        evaluator, cpu = timed(partial(inferred, frames, known, secret, attacks))
        yield {
            **{"table": table, "kind": "inference", "ties": ties, "aux": known, "secret": secret},
            **{"attacks": attacks, "targets": places(frames, attacks, True)},
            **{"figures": figures(evaluator), "cpu": cpu},
        }
    neighbours._nearest_neighbors = shipped


def main(folder: Path, tables: list[str]) -> None:
    """Write the figures of some tables, all by default, beside those that are there."""
    place = folder / "anonymeter.json"
    before = json.loads(place.read_text()) if place.exists() else []
    chosen = tables or list(SECRET)
    out = [task for task in before if task["table"] not in chosen]
    for table in chosen:
        out += tasks_of(table, SECRET[table], folder)
    place.write_text(json.dumps(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
