"""SACRO-ML's membership attacks on a given forest; runs in its own environment (bench/rivals.py).

    PYTHON bench/peers/sacro_forest.py FOLDER

``FOLDER`` holds ``forest.joblib`` (a fitted RandomForestClassifier, saved by the same version of
scikit-learn) and ``encoded.npz`` with x_train, y_train, x_test, y_test. LiRA trains its default of
100 shadow models once; its further modes read the same ones, as SACRO-ML itself arranges. Prints a
JSON object for each attack: scores of the training and test records in this order, or, of the worst
case attack, which trains and tests on parts of them, AUC and TPR as means over its ten repetitions.
"""

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from importlib.metadata import version

import joblib
import numpy as np
from sacroml.attacks.likelihood_attack import LIRAAttack
from sacroml.attacks.qmia_attack import QMIAAttack
from sacroml.attacks.target import Target
from sacroml.attacks.worst_case_attack import WorstCaseAttack

logging.disable(logging.CRITICAL)
folder = sys.argv[1]
given = dict(np.load(f"{folder}/encoded.npz"))
forest = joblib.load(f"{folder}/forest.joblib")


def instances(attack):
    target = Target(
        model=forest,
        dataset_name="table",
        X_train=given["x_train"],
        y_train=given["y_train"],
        X_test=given["x_test"],
        y_test=given["y_test"],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        out = attack.attack(target)
    return list(out["attack_experiment_logger"]["attack_instance_logger"].values())


def report(name, started, **result):
    seconds = time.perf_counter() - started
    print(json.dumps({"attack": name, "seconds": seconds, **result}))


with tempfile.TemporaryDirectory() as out:
    for name, options in (
        ("LiRA offline (default)", {}),
        ("LiRA offline-carlini", {"mode": "offline-carlini"}),
        ("LiRA online-carlini", {"mode": "online-carlini"}),
        ("LiRA online-carlini, fix_variance", {"mode": "online-carlini", "fix_variance": True}),
    ):
        started = time.perf_counter()
        one = instances(LIRAAttack(output_dir=out, report_individual=True, **options))[0]
        report(name, started, scores=np.asarray(one["individual"]["member_prob"]).tolist())
    started = time.perf_counter()
    one = instances(QMIAAttack(output_dir=out, report_individual=True))[0]
    report("QMIA", started, scores=one["individual"]["margin"])
    started = time.perf_counter()
    parts = instances(WorstCaseAttack(output_dir=out))
    auc = float(np.mean([part["AUC"] for part in parts]))
    tpr = float(np.mean([np.interp(0.01, part["fpr"], part["tpr"]) for part in parts]))
    report("worst case", started, auc=auc, tpr=tpr)
print(json.dumps({"version": version("sacroml")}))
