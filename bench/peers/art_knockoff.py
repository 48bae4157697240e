"""ART's KnockoffNets on a given network; runs in ART's own environment.

    PYTHON bench/peers/art_knockoff.py FOLDER

``FOLDER`` is one of bench/copies.py and holds ``given.npz``: weights of a dense net (w0, b0, w1,
b1), the attacker's records (pool, pool_y) and records to compare labels on (test). The thief has
the victim's own architecture. For every number of queries, each way to ask and each way to train,
prints a JSON object: ask, queries, epochs, lr, fidelity. Ways to ask: labels by the random and by
the adaptive strategy, and ``use_probability`` on a victim that answers with probabilities and on
one that answers with logits.
"""

import json
import os
import sys
from importlib.metadata import version

import numpy as np
import torch
from art.attacks.extraction import KnockoffNets
from art.estimators.classification import PyTorchClassifier
from torch import nn

os.chdir(sys.argv[1])
torch.set_num_threads(1)
given = np.load("given.npz")
pool, test = given["pool"], given["test"]
shape, classes = pool.shape[1:], len(given["b1"])
BUDGETS = [int(n) for n in given["budgets"]]


def net():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(given["w0"].shape[1], given["w0"].shape[0]),
        nn.ReLU(),
        nn.Linear(given["w1"].shape[1], classes),
    )


def classifier(module, lr=1e-3):
    return PyTorchClassifier(
        module,
        nn.CrossEntropyLoss(),
        shape,
        classes,
        optimizer=torch.optim.Adam(module.parameters(), lr=lr),
        device_type="cpu",
    )


victim = net()
with torch.no_grad():
    for layer, k in ((victim[1], 0), (victim[3], 1)):
        layer.weight.copy_(torch.from_numpy(given[f"w{k}"]))
        layer.bias.copy_(torch.from_numpy(given[f"b{k}"]))
logits = classifier(victim)
scores = classifier(nn.Sequential(victim, nn.Softmax(1)))
labels = logits.predict(test).argmax(1)


def stolen(source, ask, queries, epochs, lr, **how):
    """Print the fidelity of one copy."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - ART draws from it
    attack = KnockoffNets(
        source,
        batch_size_fit=64,
        batch_size_query=64,
        nb_epochs=epochs,
        nb_stolen=queries,
        verbose=False,
        **how,
    )
    copy = attack.extract(pool, given["pool_y"], thieved_classifier=classifier(net(), lr))
    fidelity = float((copy.predict(test).argmax(1) == labels).mean())
    row = {"ask": ask, "queries": queries, "epochs": epochs, "lr": lr, "fidelity": fidelity}
    print(json.dumps(row), flush=True)


WAYS = ((20, 1e-2), (100, 1e-2), (300, 1e-3))
"""Epochs and learning rates of the thief's training."""

for queries in BUDGETS:
    for epochs, lr in WAYS:
        train = {"epochs": epochs, "lr": lr}
        stolen(logits, "labels, random", queries, **train)
        stolen(scores, "probabilities, random", queries, **train, use_probability=True)
        if epochs < 300:
            stolen(logits, "logits, random", queries, **train, use_probability=True)
        if epochs == 100:  # the bandit itself trains on each record
            stolen(logits, "labels, adaptive", queries, **train, sampling_strategy="adaptive")
print(json.dumps({"version": version("adversarial-robustness-toolbox")}))
