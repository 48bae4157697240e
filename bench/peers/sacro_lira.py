"""SACRO-ML's LiRA on breast cancer; runs in SACRO-ML's own environment (see bench/lira.py)."""

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
import types

# SACRO-ML imports these packages for parts of it that this bench does not use.
for absent in ("acro", "xgboost"):
    sys.modules.setdefault(absent, types.ModuleType(absent))

from sacroml.attacks.likelihood_attack import LIRAAttack  # noqa: E402
from sacroml.attacks.target import Target  # noqa: E402
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

logging.disable(logging.CRITICAL)
kind, models, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x, y = load_breast_cancer(return_X_y=True)
x = StandardScaler().fit_transform(x)
parts = train_test_split(x, y, test_size=0.5, stratify=y, random_state=seed)
x_train, x_test, y_train, y_test = parts
if kind == "mlp":
    target = MLPClassifier((64,), max_iter=60, batch_size=32, random_state=seed)
else:
    target = RandomForestClassifier(random_state=seed)
target.fit(x_train, y_train)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    attack = LIRAAttack(
        n_shadow_models=models, output_dir=folder, write_report=False, report_individual=True
    )
    about = Target(
        model=target,
        dataset_name="breast cancer",
        X_train=x_train,
        y_train=y_train,
        X_test=x_test,
        y_test=y_test,
    )
    started, clock = time.perf_counter(), time.process_time()
    out = attack.attack(about)
    seconds, spent = time.perf_counter() - started, time.process_time() - clock
metrics = out["attack_experiment_logger"]["attack_instance_logger"]["instance_0"]
print(json.dumps({"seconds": seconds, "cpu": spent, "auc": metrics["AUC"]}))
