"""SACRO-ML's LiRA scores of given confidences; runs in its own environment (bench/parity.py).

Reads an npz: victim (n,) probabilities of the true label, shadow (K, n), include (K, n), mode.
"""

import json
import logging
import sys
import tempfile
import types

# SACRO-ML imports these packages for parts of it that this bench does not use.
for absent in ("acro", "xgboost"):
    sys.modules.setdefault(absent, types.ModuleType(absent))

import numpy as np  # noqa: E402
from sacroml.attacks.likelihood_attack import LIRAAttack  # noqa: E402
from sacroml.attacks.utils import logit  # noqa: E402

logging.disable(logging.CRITICAL)
given = np.load(sys.argv[1])
victim, shadow, include = given["victim"], given["shadow"], given["include"]
n = len(victim)
out = {i: [logit(p) for p in shadow[~include[:, i], i]] for i in range(n)}
within = {i: [logit(p) for p in shadow[include[:, i], i]] for i in range(n)}
predictions = np.stack([1 - victim, victim], 1)
with tempfile.TemporaryDirectory() as folder:
    for mode in ("offline", "online-carlini"):
        attack = LIRAAttack(output_dir=folder, write_report=False, mode=mode)
        scores, _ = attack._compute_scores(np.ones(n, dtype=int), predictions, out, within)
        # Its own metrics read the second column as the member's score, in every mode.
        print(json.dumps({"mode": mode, "scores": [score[1] for score in scores]}))
