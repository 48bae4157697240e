"""Two forms of pretrained_ratio: the difference of a text's log-likelihoods, and their quotient.

    python bench/ratio_forms.py [--seeds 6] [--only adapter smollm novels] [--store FILE]

Three models, members by seed:

* ``adapter``: bench/rivals.py's LoRA adapter of a small Llama that has read dialogues; 200 member
  sentences read twelve times, 200 others;
* ``smollm-1``, ``smollm-3``: SmolLM2-135M-Instruct (pack smollm2) with LoRA on about 80 dialogues,
  read once or three times, and about 80 others, by the auditor's coins;
* ``novels``: every weight of a small network that has read the rest of a novel, on 256 passages of
  it read once at a small step, and 256 others, by the auditor's coins.

For each model, means over seeds of AUC, TPR at 1 % FPR and bits of both forms, and the paired
difference quotient − difference with Student's t interval at 95 % over seeds.
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

import numpy as np
import rivals_models
from rivals import difference, figures, keep

from hartley import catalog
from hartley.channel.measure import measure
from hartley.engine.run.play import play
from hartley.games.membership.pretrained import Pretrained
from hartley.models import smollm
from hartley.targets.huggingface import from_network

FORMS = {"difference": False, "quotient": True}
FIGURES = ("auc", "tpr", "bits")


def adapter(seed: int):
    """The scene of rivals.py's adapter."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        words, _, _ = rivals_models.language(folder, seed)
        files = {
            words[k].removeprefix("--"): str(folder / words[k + 1])
            for k in range(1, len(words) - 2, 2)
        }
        yield catalog.load("scene", "own_texts")(**files)


def dialogues(epochs: int, seed: int):
    """The dialogue scene, beside the network before its adapter."""
    scene = catalog.load("scene", "dialogue")(records=160, epochs=epochs, seed=seed)
    before = from_network(smollm.network(smollm.native()), name="SmolLM2")
    yield replace(scene, parts=(*scene.parts, Pretrained(before)))


def novels(seed: int):
    """The scene of a novel, beside the network that has read the rest of it."""
    scene = catalog.load("scene", "novels")(pretrained=4, epochs=1, rate=5e-4, seed=seed)
    owner = scene.training
    unread = owner.with_(lesson=replace(owner.lesson, epochs=0))
    nobody = np.zeros((1, len(scene.train)), dtype=bool)
    before = unread.fit(scene.train, nobody, seed).member(0)
    yield replace(scene, parts=(*scene.parts, Pretrained(before)))


MODELS = {
    "adapter": adapter,
    "smollm-1": lambda seed: dialogues(1, seed),
    "smollm-3": lambda seed: dialogues(3, seed),
    "novels": novels,
}


def read(scene) -> dict[str, dict[str, float]]:
    """Figures of both forms on one scene."""
    attack = catalog.load("attack", "pretrained_ratio")
    forms = {}
    for form, quotient in FORMS.items():
        trials = play(attack, scene, params={"quotient": quotient})
        auc, tpr = figures(trials.guess, trials.truth == 1)
        forms[form] = {"auc": auc, "tpr": tpr, "bits": measure(trials).bits.value}
    return forms


def main() -> None:
    """Measure the models that were named."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--seeds", type=int, default=6)
    ask.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    ask.add_argument("--store", type=Path, help="JSON lines that keep what was measured")
    given = ask.parse_args()
    rows = {}
    if given.store is not None and given.store.is_file():
        lines = map(json.loads, given.store.read_text().splitlines())
        rows = {(line["model"], line["seed"]): line["forms"] for line in lines}
    for name in given.only:
        for seed in range(given.seeds):
            if (name, seed) not in rows:
                with_scene = MODELS[name](seed)
                rows[name, seed] = read(next(with_scene))
                with_scene.close()
                keep(given.store, {"model": name, "seed": seed, "forms": rows[name, seed]})
        print(f"{name}, {given.seeds} seeds")
        for figure in FIGURES:
            table = {
                form: [rows[name, seed][form][figure] for seed in range(given.seeds)]
                for form in FORMS
            }
            gap, low, high = difference(table["quotient"], table["difference"])
            print(
                f"  {figure:5} difference {np.mean(table['difference']):.3f}  quotient "
                f"{np.mean(table['quotient']):.3f}  {gap:+.3f} [{low:+.3f}, {high:+.3f}]",
                flush=True,
            )


if __name__ == "__main__":
    main()
