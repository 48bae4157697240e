"""Is the p-value of a set right where the model saw nothing, and small where it did?

    python bench/dataset_test.py [--documents 300] [--splits 300]

A small Llama is trained on sentences (``bench/endpoint_faults.py``) and fine-tuned on some. Then
the same documents are split anew many times:

* dead: members and non-members are drawn out of documents that the model never saw, so that every
  p-value below 0.05 is a false alarm, and every certified bit too;
* live: the members are those of the fine-tuning; the draw is which of both are asked about.

Printed for ``dataset_test`` with and without the model before fine-tuning, and for the loss alone
and Min-K %++ alone, averaged over the same sets: shares of p < 0.05 and p < 0.001 with exact 95 %
limits, Kolmogorov's p of the dead p-values against the uniform law, the mean AUC over sets, and how
often bits above 0 were certified.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import endpoint_faults
import numpy as np
from scipy.stats import binomtest, kstest

import hartley
from hartley import catalog
from hartley.core import Data, Modality, Model
from hartley.games.membership.pretrained import Pretrained

GROUP = {"group": 32}


def recalled(model, x):
    """A model that answers about rows (n, t) from a table of what it once answered."""
    table = dict(zip((row.tobytes() for row in x), model.moments(x), strict=True))

    def moments(rows):
        return np.stack([table[row.tobytes()] for row in np.ascontiguousarray(rows)])

    return Model(
        "recalled",
        Modality.LANGUAGE,
        calls={"moments": moments, "score": lambda rows: moments(rows)[..., 0]},
        classes=model.classes,
        offers=model.offers,
    )


def drawn(scene, documents, members, rng, count):
    """The scene with ``count`` members and non-members out of rows of documents."""
    rows = [rng.permutation(np.flatnonzero(members == side))[:count] for side in (True, False)]
    parts = {}
    for name, chosen in zip(("train", "holdout"), rows, strict=True):
        zlib = documents.facts["zlib"][chosen]
        parts[name] = Data(name, Modality.LANGUAGE, documents.x[chosen], facts={"zlib": zlib})
    return replace(scene, name=f"split {rng.integers(2**31)}", extra={}, **parts)


def share(hits, count):
    """A share with exact limits, in words."""
    limits = binomtest(int(hits), count).proportion_ci(0.95)
    return f"{hits / count:.3f} [{limits.low:.3f}, {limits.high:.3f}]"


def study(name, scene, documents, members, words):
    """Play on many splits and print what was read."""
    for attack, before in (
        ("dataset_test", True),
        ("dataset_test", False),
        ("loss_threshold", False),
        ("min_k_plus_plus", False),
    ):
        rng = np.random.default_rng(1)
        p, certified, aucs = [], 0, []
        for seed in range(words.splits):
            chosen = rng.permutation(members) if name == "dead" else members
            split = drawn(scene, documents, chosen, rng, words.documents * 2 // 3)
            split = split if before else replace(split, parts=())
            trials = hartley.play(attack, split, game_params=GROUP, seed=seed)
            channel = hartley.measure(trials)
            p.append(channel.metrics["set_p_value"])
            aucs.append(channel.metrics["auc"]["value"])
            certified += bool(channel.bits.lower)
        p = np.array(p)
        beside = " with the model before" if before else ""
        print(f"{name}: {attack}{beside}, {channel.n} sets of {trials.spec.unit}")
        print(f"  p < 0.05 {share((p < 0.05).sum(), len(p))}, p < 0.001 "
              f"{share((p < 0.001).sum(), len(p))}; mean AUC over sets {np.mean(aucs):.3f}; "
              f"certified above 0 {share(certified, len(p))}; against uniform p "
              f"{kstest(p, 'uniform').pvalue:.3f}", flush=True)  # fmt: skip


def main() -> None:
    """Train, split and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--splits", type=int, default=300)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        endpoint_faults.files(folder, words.documents)
        paths = {"members": folder / "members.jsonl", "nonmembers": folder / "others.jsonl"}
        lines = [json.loads(line)["text"] for p in paths.values() for line in p.open()]
        scenes = {
            name: catalog.load("scene", "own_texts")(
                model=str(folder / name),
                reference=str(folder / "base"),
                **{k: str(v) for k, v in paths.items()},
            )
            for name in ("base", "tuned")
        }
        both = [scenes["base"].train, scenes["base"].holdout]
        x = np.concatenate([part.x for part in both])
        assert len(lines) == len(x)
        documents = replace(
            both[0], x=x, facts={"zlib": np.concatenate([p.facts["zlib"] for p in both])}
        )
        before = recalled(scenes["base"].model, x)
        member = np.arange(len(x)) < len(both[0])
        for name, model in (("dead", "base"), ("live", "tuned")):
            answers = recalled(scenes[model].model, x)
            # What a model that never saw them is compared with must not be itself.
            earlier = recalled(scenes["tuned"].model, x) if name == "dead" else before
            scene = replace(scenes[model], model=answers, parts=(Pretrained(earlier),))
            study(name, scene, documents, member, words)


if __name__ == "__main__":
    main()
