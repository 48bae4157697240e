"""memaudit on a given LoRA adapter; runs in memaudit's own environment (bench/rivals.py).

    PYTHON bench/peers/memaudit_texts.py FOLDER

``FOLDER`` holds ``tuned`` (an adapter that names its base) and ``manifest.json``, whose canaries
are the records in question: first the members, then the others. Runs ``memaudit audit`` as its
documentation shows, without its second verdict (completions of a prefix), another question. Prints
a JSON object for each score of its report: the headline that it judges by, and what it lists beside
it for each record.
"""

import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path

from memaudit.cli import main

folder = sys.argv[1]
flags = ["--ref", "auto", "--skip-generation", "--output", f"{folder}/memaudit.json"]
words = ["--model", f"{folder}/tuned", "--canary-set", f"{folder}/manifest.json", *flags]
with contextlib.redirect_stdout(io.StringIO()):
    code = main(["audit", *words])
if code:
    sys.exit(code)
rows = json.loads(Path(folder, "memaudit.json").read_text(encoding="utf-8"))["per_canary"]
LARGER = ("headline_score", "membership_loss", "min_k", "min_k_plus_plus", "loss_diff")
for name in (*LARGER, "base_calibrated_min_k", "loss_ratio"):
    sign = -1.0 if name == "loss_ratio" else 1.0  # of the loss: small for a member
    print(json.dumps({"attack": name, "scores": [sign * row["scores"][name] for row in rows]}))
print(json.dumps({"version": version("memaudit")}))
