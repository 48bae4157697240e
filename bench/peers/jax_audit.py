"""jax-privacy's audits on stored scores; runs in jax-privacy's own environment (bench/audit.py).

    PYTHON bench/peers/jax_audit.py SCORES.npz

``SCORES.npz`` holds pairs ``in0, out0, in1, out1 …``; prints one JSON object a pair, then one for
its Gaussian audit on identical laws.
"""

import json
import sys
import time

import numpy as np
from jax_privacy import auditing

ALPHA, DELTA, DRAWS = 0.05, 1e-5, 100


def best(job, runs):
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        value = job()
        took.append(time.perf_counter() - started)
    return min(took), value


scores = np.load(sys.argv[1])
for k in range(len(scores.files) // 2):
    inside, outside = scores[f"in{k}"], scores[f"out{k}"]

    def audit(inside=inside, outside=outside):
        auditor = auditing.CanaryScoreAuditor(inside, outside)
        return auditor.epsilon_clopper_pearson(ALPHA, DELTA)

    seconds, epsilon = best(audit, 3)
    print(json.dumps({"n": 2 * len(inside), "seconds": seconds, "epsilon": float(epsilon)}))

rng = np.random.default_rng(0)
found = [
    float(
        auditing.CanaryScoreAuditor(rng.normal(size=500), rng.normal(size=500)).epsilon_from_gdp(
            ALPHA, DELTA
        )
    )
    for _ in range(DRAWS)
]
wrong = float(np.mean(np.array(found) > 0))
print(json.dumps({"null": wrong, "median": float(np.median(found)), "draws": DRAWS}))
