"""ART's membership attacks on a given dense net; runs in ART's own environment (bench/parity.py).

Reads an npz: x (n, d), y (n,), member (n,) booleans, and the net's weights as w0, b0, w1, b1.
"""

import json
import sys

import numpy as np
import torch
from art.attacks.inference.membership_inference import (
    MembershipInferenceBlackBox,
    MembershipInferenceBlackBoxRuleBased,
)
from art.estimators.classification import PyTorchClassifier

torch.set_num_threads(1)
given = np.load(sys.argv[1])
x, y, member = given["x"].astype(np.float32), given["y"], given["member"]
w0, w1 = torch.tensor(given["w0"]), torch.tensor(given["w1"])
net = torch.nn.Sequential(
    torch.nn.Linear(w0.shape[1], w0.shape[0]),
    torch.nn.ReLU(),
    torch.nn.Linear(w1.shape[1], w1.shape[0]),
)
names = dict(
    zip(("0.weight", "0.bias", "2.weight", "2.bias"), ("w0", "b0", "w1", "b1"), strict=True)
)
net.load_state_dict({name: torch.tensor(given[key]) for name, key in names.items()})
victim = PyTorchClassifier(
    net, torch.nn.CrossEntropyLoss(), (w0.shape[1],), w1.shape[0], device_type="cpu"
)
attack = MembershipInferenceBlackBox(victim, input_type="loss", attack_model_type="lr")
# A threshold of one number needs no split: its ranking is the loss's, whatever it is fitted on.
attack.fit(x[member], y[member], x[~member], y[~member])
scores = attack.infer(x, y, probabilities=True).ravel()
print(json.dumps({"mode": "loss, logistic regression", "scores": scores.tolist()}))
rule = MembershipInferenceBlackBoxRuleBased(victim).infer(x, y)
print(json.dumps({"mode": "label gap", "scores": np.asarray(rule, dtype=float).tolist()}))
