"""Figures and CPU times of anonymeter 1.1.0 on tables of ``bench/tables.py``; runs in its own env.

Its draws of targets are repeated here from the same seed and written down, so that both sides
attack the same people. Neighbours are looked for twice: as it ships, where numba's unstable sort
settles which of equally near rows comes first, and with a stable sort, which takes the first.
"""

from __future__ import annotations

import json
import sys
import time
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


def drawn(frames, attacks):
    """The places of the targets that pandas draws from the seeded global generator, in its order."""
    np.random.seed(SEED)
    return {
        kind: frames[kind].reset_index(drop=True).sample(attacks, replace=False).index.tolist()
        for kind in ("ori", "control")
    }


def main(folder: Path) -> None:
    out = []
    shipped = neighbours._nearest_neighbors
    for table, secret in SECRET.items():
        frames = {k: pd.read_csv(folder / f"{table}.{k}.csv") for k in ("ori", "syn", "control")}
        attacks = min(ATTACKS, len(frames["ori"]))
        names = list(frames["ori"].columns)
        aux = (names[::2], names[1::2])
        for mode in ("univariate", "multivariate"):
            count = 100_000 if mode == "univariate" else attacks
            evaluator, cpu = timed(
                lambda mode=mode, count=count: SinglingOutEvaluator(
                    ori=frames["ori"],
                    syn=frames["syn"],
                    control=frames["control"],
                    n_attacks=count,
                    n_cols=4,
                    seed=SEED,
                ).evaluate(mode=mode)
            )
            out.append(
                {
                    "table": table,
                    "kind": f"singling_{mode}",
                    "ties": "none",
                    "seed": SEED,
                    "attacks": count,
                    "figures": figures(evaluator),
                    "cpu": cpu,
                }
            )
        for ties, search in (("numba", shipped), ("ordered", stable)):
            neighbours._nearest_neighbors = search
            for k in (1, 5):

                def link(k=k):
                    np.random.seed(SEED)
                    return LinkabilityEvaluator(
                        ori=frames["ori"],
                        syn=frames["syn"],
                        control=frames["control"],
                        aux_cols=aux,
                        n_attacks=attacks,
                        n_neighbors=k,
                    ).evaluate(n_jobs=1)

                link()  # compiled
                evaluator, cpu = timed(link)
                out.append(
                    {
                        "table": table,
                        "kind": "linkability",
                        "ties": ties,
                        "aux": aux,
                        "k": k,
                        "attacks": attacks,
                        "targets": drawn(frames, attacks),
                        "figures": figures(evaluator),
                        "cpu": cpu,
                    }
                )

            known = [name for name in names if name != secret]

            def infer():
                np.random.seed(SEED)
                return InferenceEvaluator(
                    ori=frames["ori"],
                    syn=frames["syn"],
                    control=frames["control"],
                    aux_cols=known,
                    secret=secret,
                    n_attacks=attacks,
                ).evaluate(n_jobs=1)

            np.random.seed(SEED)
            # Its baseline draws the same people and as many released rows first.
            frames["ori"].sample(attacks, replace=False)
            frames["syn"].sample(attacks)
            targets = {
                kind: frames[kind].sample(attacks, replace=False).index.tolist()
                for kind in ("ori", "control")
            }
            evaluator, cpu = timed(infer)
            out.append(
                {
                    "table": table,
                    "kind": "inference",
                    "ties": ties,
                    "aux": known,
                    "secret": secret,
                    "attacks": attacks,
                    "targets": targets,
                    "figures": figures(evaluator),
                    "cpu": cpu,
                }
            )
        neighbours._nearest_neighbors = shipped
    (folder / "anonymeter.json").write_text(json.dumps(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
