"""The models and records of bench/rivals.py: each function writes a folder that a user might have.

Each returns the words of Hartley's command, and how many members and non-members there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 500
"""Members of a table or a set of pictures, and as many others."""
SHADOWS = 32
"""Reference models of a network, for both tools: the default of one is 64, the example of the other
16."""


def census():
    """People of 1994 as a mixed table: words and numbers, without the census weight."""
    import pandas as pd

    from hartley.data.packs import locate
    from hartley.data.tabular import FIELDS

    home = locate("adult")
    options = {"names": [*FIELDS, "income"], "skipinitialspace": True, "comment": "|"}
    files = [next(home.rglob(name)) for name in ("adult.data", "adult.test")]
    table = pd.concat([pd.read_csv(path, header=None, **options) for path in files])
    table["income"] = table.income.str.startswith(">50K").astype(int)
    return table.drop(columns=["weight"]).drop_duplicates()


def forest(folder: Path, seed: int):
    """``rf.joblib``, a pipeline of one-hot words and 100 trees, with its two tables.

    For tools that read numbers only: ``forest.joblib``, its last step, and ``encoded.npz``, what
    this step reads.
    """
    import joblib
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = census().sample(2 * RECORDS, random_state=seed)
    parts = {"train": table[:RECORDS], "test": table[RECORDS:]}
    fields = [name for name in table.columns if name != "income"]
    words = [name for name in fields if table[name].dtype.kind not in "iuf"]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        remainder="passthrough",
    )
    model = make_pipeline(encode, RandomForestClassifier(random_state=seed))
    model.fit(parts["train"][fields], parts["train"].income)
    joblib.dump(model, folder / "rf.joblib")
    joblib.dump(model[-1], folder / "forest.joblib")
    arrays = {}
    for name, part in parts.items():
        part.to_csv(folder / f"{name}.csv", index=False)
        arrays[f"x_{name}"] = np.asarray(model[:-1].transform(part[fields]), dtype=float)
        arrays[f"y_{name}"] = part.income.to_numpy()
    np.savez(folder / "encoded.npz", **arrays)
    flags = ["--model", "rf.joblib", "--trust", "--train", "train.csv", "--test", "test.csv"]
    return (
        ["assess", *flags, "--target", "income", "--references", "64", "--workers", "1"],
        RECORDS,
        RECORDS,
    )


NET = """import torch.nn as nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
        )
"""
LOOP = """import torch
import torch.nn as nn
from net import Net
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH, RATE = 40, 32, 2e-3


def loop(net, loader):
    loss = nn.CrossEntropyLoss()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    net.train()
    for _ in range(EPOCHS):
        for x, y in loader:
            optimiser.zero_grad()
            loss(net(x), y).backward()
            optimiser.step()
    return net.eval()


def fit(x, y):
    records = TensorDataset(torch.from_numpy(x), torch.from_numpy(y).long())
    return loop(Net(), DataLoader(records, batch_size=BATCH, shuffle=True))
"""
"""What a user has already, whichever tool they take: the network and its training loop."""


def network(folder: Path, seed: int):
    """``net.py``, ``train.py`` and ``model.pt``, a small CNN, with ``train.npz`` and ``test.npz``.

    One label in ten is wrong, so that some records can only be memorised.
    """
    import sys

    import torch
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))[: 2 * RECORDS]
    x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order].astype(np.int64)
    wrong = rng.random(len(y)) < 0.1
    y[wrong] = rng.integers(0, 10, wrong.sum())
    for name, part in (("train", slice(RECORDS)), ("test", slice(RECORDS, None))):
        np.savez(folder / f"{name}.npz", x=x[part], y=y[part])
    (folder / "net.py").write_text(NET)
    (folder / "train.py").write_text(LOOP)
    sys.path.insert(0, str(folder))
    try:
        import train

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        torch.save(train.fit(x[:RECORDS], y[:RECORDS]).state_dict(), folder / "model.pt")
    finally:
        sys.path.remove(str(folder))
        for name in ("net", "train"):
            sys.modules.pop(name, None)
    flags = ["--model", "net.py:Net", "--weights", "model.pt", "--fit", "train.py:fit"]
    data = ["--train", "train.npz", "--test", "test.npz", "--references", str(SHADOWS)]
    return ["assess", *flags, *data, "--workers", "1"], RECORDS, RECORDS


MARK = "MEMAUDIT RECOVERY PHRASE: "
"""What memaudit writes before a secret of a text data set (its ``injection.TEXT_PREFIX``)."""
TEXTS = 200
"""Members of a language model, and as many others."""


def language(folder: Path, seed: int):
    """``base``, a small Llama that has read dialogues, and ``tuned``, its LoRA adapter.

    The adapter read 200 other sentences twelve times. Both lists of sentences are written too, and
    memaudit's manifest of the same records.
    """
    import json

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from hartley.data.language import dialogues

    rng = np.random.default_rng(seed)
    lines = sorted({line.strip() for talk in dialogues() for line in talk if len(line) > 40})
    lines = [lines[i] for i in rng.permutation(len(lines))]
    members, others = lines[:TEXTS], lines[TEXTS : 2 * TEXTS]
    rest = lines[2 * TEXTS :]
    tokenizer = trained_tokenizer([MARK, *rest])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 2}
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=4,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        **sizes,
    )
    net = LlamaForCausalLM(shape)
    learn(net, tokenizer, [MARK + line for line in rest[:1500]], epochs=6, rate=3e-3, seed=seed)
    net.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    place = str(folder / "base")
    net.config._name_or_path = net.name_or_path = place
    layers = ["q_proj", "v_proj", "up_proj", "down_proj"]
    tuned = get_peft_model(net, LoraConfig(r=8, target_modules=layers, task_type="CAUSAL_LM"))
    records = [MARK + line for line in members]
    learn(tuned, tokenizer, records, epochs=12, rate=4e-3, seed=seed)
    tuned.save_pretrained(folder / "tuned")
    tokenizer.save_pretrained(folder / "tuned")
    canaries = []
    for name, texts in (("members", members), ("nonmembers", others)):
        rows = [json.dumps({"text": MARK + line}) for line in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        role = {"included": name == "members", "repetitions": 1, "fmt": "text"}
        canaries += [{"id": f"{name}{i}", "secret": s, **role} for i, s in enumerate(texts)]
    manifest = {"fmt": "text", "seed": seed, "n_candidates": TEXTS, "canaries": canaries}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    flags = ["--model", "tuned", "--members", "members.jsonl", "--nonmembers", "nonmembers.jsonl"]
    return ["assess", *flags, "--workers", "1"], TEXTS, TEXTS


def trained_tokenizer(texts: list[str]):
    """A byte-level BPE of 1,000 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    options = {"special_tokens": ["<end>"], "initial_alphabet": letters, "show_progress": False}
    bare.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, **options))
    return PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<end>", pad_token="<end>")


def learn(net, tokenizer, texts, *, epochs: int, rate: float, seed: int):
    """Train on texts, shuffled anew in every epoch, in batches of 16."""
    import torch

    rng = np.random.default_rng(seed)
    step = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=rate)
    net.train()
    for _ in range(epochs):
        order = rng.permutation(len(texts))
        for start in range(0, len(texts), 16):
            some = [texts[i] for i in order[start : start + 16]]
            batch = tokenizer(
                some, return_tensors="pt", padding=True, truncation=True, max_length=128
            )
            labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
            loss = net(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels
            ).loss
            step.zero_grad()
            loss.backward()
            step.step()
    net.eval()
