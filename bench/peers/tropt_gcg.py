"""GCG of TROPT on many prompts, in an environment with ``tropt`` (0.1.1).

    python tropt_gcg.py JOB.json

The job: ``folder`` (a network and its tokenizer), ``runs`` of (prompt, target, seed), ``suffix`` to
start from, ``width``, ``steps``. Prints for each run the best suffix as text, its loss, and the
FLOPs that TROPT counts. Its published recipe but for width and steps, prefix cache on.
"""

import dataclasses
import importlib.machinery
import json
import logging
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import torch

torch.set_num_threads(1)


class _Absent(types.ModuleType):
    """Stands for a library that parts of TROPT import which this bench does not use."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock


_field = dataclasses._get_field


def _with_factory(cls, name, *rest):
    """Python 3.11 takes a slice for a default that could change; TROPT is written for 3.12."""
    default = getattr(cls, name, None)
    if isinstance(default, slice):
        setattr(cls, name, dataclasses.field(default_factory=lambda: default))
    return _field(cls, name, *rest)


dataclasses._get_field = _with_factory
for absent in ("sentence_transformers", "datasets"):
    try:
        __import__(absent)
    except ImportError:
        sys.modules[absent] = _Absent(absent)
        sys.modules[absent].__spec__ = importlib.machinery.ModuleSpec(absent, None)

from tropt.common import Targets  # noqa: E402
from tropt.loss import PrefillCELoss  # noqa: E402
from tropt.model.huggingface.lm import LMHFModel  # noqa: E402
from tropt.optimizer.gcg_optimizer import GCGOptimizer  # noqa: E402
from tropt.optimizer.utils.token_constraints import TokenConstraints  # noqa: E402


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    logging.disable(logging.WARNING)
    model = LMHFModel(job["folder"], device="cpu", dtype="float32", use_prefix_cache=True)
    model.set_flop_counting("manual")
    for prompt, target, seed in job["runs"]:
        optimiser = GCGOptimizer(
            model=model,
            loss=PrefillCELoss(),
            seed=seed,
            num_steps=job["steps"],
            n_candidates=job["width"],
            sample_topk=256,
            token_constraints=TokenConstraints(
                disallow_non_ascii=True, disallow_special_tokens=True
            ),
        )
        torch.manual_seed(seed)
        result = optimiser.optimize_trigger(
            templates=[prompt + "{{OPTIMIZED_TRIGGER}}"],
            targets=Targets(target_response_strs=[target]),
            initial_trigger=job["suffix"],
        )
        flops = model.get_usage_stats()["total_flops"]
        answer = {"text": result.best_trigger_str, "loss": result.best_loss, "flops": flops}
        print(json.dumps(answer), flush=True)


main()
