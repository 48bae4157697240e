"""Does a bad line, or an endpoint that does not repeat itself, change what a run says?

    python bench/endpoint_faults.py [--members 100] [--faults 0.2] [--attacks min_k …] [--here]

A small Llama is trained here on some sentences and served by the OpenAI-shaped server of the tests
on 127.0.0.1. ``hartley assess --endpoint`` then audits it, in a process of its own with two
workers (with ``--here`` in this one): twice on a clean line, and once where a fifth of all tries
meets a fault (429 with and without Retry-After, 503, connections reset before and after the model
worked, time-outs, answers cut in half with and without a stated length); which try meets which
fault follows from the request and how often it came. Printed: whether every number of both runs is
the same, bit for bit, but for seconds and lost requests; tokens and money of the rows beside the
server's own account; and what a run says of a server whose log-probabilities jitter, or which does
not heed the seed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from tests.targets.openai_server import FAULTS, Backend, serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hartley.cli.main import run
from hartley.targets.huggingface import huggingface
from hartley.targets.tokenizer_folder import tokenizer

WHO = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida", "Jo")
DOES = ("paints", "sells", "mends", "keeps", "counts", "hides")
WHAT = ("boats", "clocks", "maps", "lamps", "stones", "birds", "coins", "keys")
SENTENCES = [f"{a} {b} {c}, said {d}." for a in WHO for b in DOES for c in WHAT for d in WHO]
PRICES = (2.0, 10.0)
"""Money for a million tokens read, and written."""
PATIENCE = {"clean": 120, "clean again": 120, "faults": 8, "jitter": 120}
"""Seconds until a request has timed out: where none should, a busy machine is waited for."""
TIME = (
    "seconds",
    "shared_seconds",
    "model_s",
    "cost_s",
    "lost_requests",
    "cpu",
    "created",
    "id",
    "rate_bits_per_s",
    "run_id",
)
"""What may differ between two runs that say the same; the port of the server is in a run's id."""


def learn(network, words, texts, epochs):
    """Train a network on texts."""
    rows = [words.encode(text) for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    learnt = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(rows)).split(32):
            optimiser.zero_grad()
            network(input_ids=ids[part], labels=learnt[part]).loss.backward()
            optimiser.step()


def files(folder, count):
    """Write a model that has read ``count`` sentences, its base, and both files of texts."""
    order = np.random.default_rng(0).permutation(len(SENTENCES))
    members, others = (
        [SENTENCES[i] for i in order[part * count : (part + 1) * count]] for part in (0, 1)
    )
    tool = Tokenizer(models.BPE())
    tool.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tool.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    tool.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=360, initial_alphabet=letters, show_progress=False),
    )
    words = PreTrainedTokenizerFast(tokenizer_object=tool)
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=360,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=48,
        )
    )
    learn(network, words, [SENTENCES[i] for i in order[2 * count : 4 * count]], 4)
    for name, texts, epochs in (("base", [], 0), ("tuned", members, 12)):
        if texts:
            learn(network, words, texts, epochs)
        network.save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    for name, texts in (("members", members), ("others", others)):
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text("".join(lines))


def audit(folder, url, line, name, more, attacks, *, here):
    """Run ``hartley assess`` on an endpoint; its document, with every row."""
    flags = [
        *("assess", "--endpoint", url, "--model", "tuned", "--tokenizer", folder / "tuned"),
        *("--members", folder / "members.jsonl", "--nonmembers", folder / "others.jsonl"),
        *(
            "--timeout",
            PATIENCE[line],
            "--workers",
            0 if here else 2,
            "--json",
            "--store",
            folder / name,
        ),
        *("--price-in", PRICES[0], "--price-out", PRICES[1]),
        *(word for attack in attacks for word in ("--only", attack)),
        *more,
    ]
    words = list(map(str, flags))
    if here:
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            code = run(words)
        return document_of(name, code, out.getvalue(), "")
    command = [sys.executable, "-m", "hartley.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return document_of(name, done.returncode, done.stdout, done.stderr)


def document_of(name, code, out, errors):
    """The document that a command printed."""
    if code not in (0, 3):
        raise SystemExit(f"{name}: exit {code}: {errors[-2000:]}")
    return json.loads(out)


def without_time(value):
    """A document without what may differ."""
    if isinstance(value, dict):
        return {k: without_time(v) for k, v in value.items() if k not in TIME}
    return [without_time(v) for v in value] if isinstance(value, list) else value


def account(document):
    """Tokens read and written, money, and lost requests of a document."""
    total = dict.fromkeys(("tokens_in", "tokens_out", "money", "lost_requests"), 0.0)
    for row in document["channels"]:
        for unit in total:
            total[unit] += row.get("cost", {}).get(unit, 0.0)
    facts = document["scene"]["facts"]
    before = "for questions before the attacks"
    tokens = facts["tokens of questions before the attacks"]
    return total, tokens, facts.get(f"money {before}", 0.0)


def differences(old, new, path=""):
    """Where two values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differences(a, b, f"{path}[{number}]")
    elif old != new:
        yield f"{path}: {old!r} → {new!r}"


def report(name, backend, document):
    """Print what a run cost beside the server's own account."""
    rows = [row for row in document["channels"] if row["status"] == "measured"]
    total, tokens, money = account(document)
    read, written = backend.tokens
    owed = (read * PRICES[0] + written * PRICES[1]) / 1e6
    spent = total["money"] + money
    faults = sum(n for kind, n in backend.met.items() if kind)
    print(f"{name}: {len(rows)} rows measured, {sum(backend.received.values())} requests came")
    print(f"  faults: {faults} " + str({kind: backend.met[kind] for kind in FAULTS}))
    print(f"  tokens of rows {total['tokens_in']:.0f} + {total['tokens_out']:.0f}, before the "
          f"attacks {tokens}; delivered by the server {read} + {written}, so unaccounted: "
          f"{read + written - total['tokens_in'] - total['tokens_out'] - tokens:.0f}")  # fmt: skip
    print(f"  money {spent:.9f}, of the server's account {owed:.9f}")
    print(f"  worked for by the server: {sum(backend.worked)} tokens; lost requests that the rows "
          f"name: {total['lost_requests']:.0f}")  # fmt: skip
    for fact, value in document["scene"]["facts"].items():
        if "asked twice" in fact:
            print(f"  {fact}: {value}")


def main() -> None:
    """Audit on a clean line and on bad ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--faults", type=float, default=0.2)
    parser.add_argument("--attacks", nargs="*", default=[])
    parser.add_argument("--here", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files(folder, words.members)
        codec, model = tokenizer(folder / "tuned"), huggingface(folder / "tuned")
        for door, more in {
            "log-probabilities": ["--reference", folder / "base"],
            "sampled text by chat": ["--no-scores", "--sampling", "chat"],
        }.items():
            documents = {}
            for line, settings in {
                "clean": {},
                "clean again": {},
                "faults": {"faults": words.faults, "timeouts": 5},
                "jitter": {"jitter": 0.02, "seeded": False},
            }.items():
                backend = Backend(codec, {"tuned": model}, **settings)
                with serving(backend) as url:
                    name = f"{door}, {line}"
                    documents[line] = audit(
                        folder,
                        url,
                        line,
                        name.replace(" ", "-"),
                        more,
                        words.attacks,
                        here=words.here,
                    )
                report(name, backend, documents[line])
                if line != "clean":
                    old, new = (
                        without_time({"rows": d["channels"], "verdict": d["verdict"]})
                        for d in (documents["clean"], documents[line])
                    )
                    apart = list(differences(old, new))
                    print(f"  numbers that differ from the clean run: {len(apart)}")
                    for where in apart[:5]:
                        print("   ", where[:160])
                sys.stdout.flush()


if __name__ == "__main__":
    main()
