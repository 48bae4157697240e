"""ART's membership attacks on a given forest or network; runs in ART's own environment.

    PYTHON bench/peers/art_model.py FOLDER

``FOLDER`` is one of bench/rivals.py: ``forest.joblib`` (a fitted RandomForestClassifier, saved by
the same version of scikit-learn) and ``encoded.npz``, or ``net.py``, ``model.pt``, ``train.npz``
and ``test.npz``. ART fits its attack model on records whose membership is known. So that every
record is judged by one that did not read it, the attack is fitted twice, each time on half of the
members and half of the others, and infers the other halves. Prints a JSON object for each attack:
scores of the training and test records in this order.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from art.attacks.inference.membership_inference import (
    MembershipInferenceBlackBox,
    MembershipInferenceBlackBoxRuleBased,
)
from scipy.stats import rankdata

os.chdir(sys.argv[1])
if Path("forest.joblib").exists():
    import joblib
    from art.estimators.classification import SklearnClassifier

    given = dict(np.load("encoded.npz"))
    x, y = (
        np.concatenate([given[f"{name}_{part}"] for part in ("train", "test")]) for name in "xy"
    )
    members = len(given["y_train"])
    victim = SklearnClassifier(joblib.load("forest.joblib"))
else:
    sys.path.insert(0, str(Path.cwd()))
    import net
    import torch
    from art.estimators.classification import PyTorchClassifier

    torch.set_num_threads(1)
    parts = [np.load(f"{name}.npz") for name in ("train", "test")]
    x, y = (np.concatenate([part[name] for part in parts]) for name in "xy")
    members = len(parts[0]["y"])
    module = net.Net()
    module.load_state_dict(torch.load("model.pt"))
    victim = PyTorchClassifier(
        module.eval(), torch.nn.CrossEntropyLoss(), x.shape[1:], 10, device_type="cpu"
    )

member = np.arange(len(y)) < members
fold = np.random.default_rng(0).permutation(len(y)) % 2
for kind in ("prediction", "loss"):
    for model in ("rf", "lr"):
        scores = np.empty(len(y))
        for half in (0, 1):
            known, asked = fold != half, fold == half
            attack = MembershipInferenceBlackBox(victim, input_type=kind, attack_model_type=model)
            attack.fit(x[known & member], y[known & member], x[known & ~member], y[known & ~member])
            answers = attack.infer(x[asked], y[asked], probabilities=True).ravel()
            # Ranks, so that two fits of different scales are comparable.
            scores[asked] = rankdata(answers) / asked.sum()
        print(json.dumps({"attack": f"black box, {kind}, {model}", "scores": scores.tolist()}))
rule = MembershipInferenceBlackBoxRuleBased(victim).infer(x, y)
print(json.dumps({"attack": "rule", "scores": np.asarray(rule, dtype=float).ravel().tolist()}))
print(json.dumps({"version": version("adversarial-robustness-toolbox")}))
