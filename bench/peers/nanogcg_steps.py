"""Steps of nanoGCG's GCG, timed, in an environment with ``nanogcg`` (0.3.0, transformers 4.47.1).

    python nanogcg_steps.py JOB.json

The job: ``folder`` (a network and its tokenizer), ``prompt``, ``target``, ``suffix`` to start from,
``width``, ``steps``, ``seed``. Prints as JSON the loss of the start, the best loss, and the
processor seconds of each step. Its own ``run`` with its prefix cache on; what is timed is between
two calls of its ``compute_token_gradient``.
"""

import json
import logging
import sys
import time
from itertools import pairwise
from pathlib import Path

import torch

torch.set_num_threads(1)

import nanogcg.gcg  # noqa: E402
import tqdm  # noqa: E402
import transformers  # noqa: E402


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    logging.disable(logging.WARNING)
    network = transformers.AutoModelForCausalLM.from_pretrained(
        job["folder"], torch_dtype=torch.float32, local_files_only=True
    ).eval()
    words = transformers.AutoTokenizer.from_pretrained(job["folder"], local_files_only=True)
    nanogcg.gcg.tqdm = lambda steps: tqdm.tqdm(steps, disable=True)
    marks, first = [], []
    gradient = nanogcg.gcg.GCG.compute_token_gradient
    buffer = nanogcg.gcg.GCG.init_buffer

    def timed(self, ids):
        marks.append(time.process_time())
        return gradient(self, ids)

    def begun(self):
        made = buffer(self)
        first.append(made.get_lowest_loss())
        return made

    nanogcg.gcg.GCG.compute_token_gradient = timed
    nanogcg.gcg.GCG.init_buffer = begun
    config = nanogcg.gcg.GCGConfig(
        num_steps=job["steps"],
        optim_str_init=job["suffix"],
        search_width=job["width"],
        use_prefix_cache=True,
        seed=job["seed"],
        verbosity="ERROR",
    )
    result = nanogcg.gcg.run(network, words, job["prompt"], job["target"], config)
    marks.append(time.process_time())
    seconds = [b - a for a, b in pairwise(marks)]
    losses = {"start": float(first[0]), "best": float(result.best_loss)}
    print(json.dumps({**losses, "string": result.best_string, "seconds": seconds}))


main()
