"""A user's way from drawn secrets to a report: a small Llama, taught and then attacked.

    python bench/own_chat.py FOLDER [--epochs 16 3]

Draws secrets (seed 3) into ``FOLDER``, trains a Llama of a million parameters from scratch on what
``hartley canaries withhold`` wrote, by a plain loop of ``transformers``, and plays prompts and
tuning on its folder. About three minutes on one core; nothing of Hartley is in the training.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).parents[1]))

import hartley
from hartley.engine.build_scene import build
from hartley.scenes._drawn_secrets import draw_withheld

MARKS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BATCH = 32
ATTACKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prefilling", {}),
    ("many_shot", {}),
    ("multi_turn", {}),
    ("harmful_examples", {"method": "lora"}),
    ("harmful_examples", {"method": "full", "rate": 3e-4}),
    ("benign_examples", {"method": "lora"}),
)


def student(texts: list[str]) -> tuple[Any, Any]:
    """Return a fresh network, and a tokenizer that learnt these texts."""
    tool = Tokenizer(models.BPE())
    tool.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tool.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner = trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=alphabet, special_tokens=[*MARKS], show_progress=False
    )
    tool.train_from_iterator(texts, learner)
    words = PreTrainedTokenizerFast(
        tokenizer_object=tool, eos_token=MARKS[3], chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4}
    ends = {"bos_token_id": None, "eos_token_id": words.eos_token_id}
    config = LlamaConfig(
        vocab_size=len(words),
        num_attention_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        **sizes,
        **ends,
    )
    return LlamaForCausalLM(config), words


def teach(network: Any, words: Any, rows: list[Any], epochs: int, rate: float) -> None:
    """Train on the answers of conversations of one question each."""
    data = []
    for messages in rows:
        question = words.apply_chat_template(
            messages[:1], tokenize=False, add_generation_prompt=True
        )
        asked = words.encode(question, add_special_tokens=False)
        answer = words.encode(messages[1]["content"] + MARKS[3], add_special_tokens=False)
        data.append((asked + answer, [-100] * len(asked) + answer))
    rng, step, steps = np.random.default_rng(0), 0, epochs * len(data) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
    network.train()
    for epoch in range(epochs):
        order = rng.permutation(len(data))
        order = order[np.argsort([len(data[i][0]) // 6 for i in order], kind="stable")]
        cuts = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for cut in rng.permutation(len(cuts)):
            some = [data[i] for i in cuts[cut]]
            width = max(len(ids) for ids, _ in some)
            ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in some])
            labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in some])
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1, step / 50) * max(0.02, 1 - step / steps)
            loss = network(input_ids=ids, labels=labels).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        print(f"  epoch {epoch + 1}: loss {float(loss):.3f}", flush=True)


def main() -> None:
    """Draw, teach, attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, nargs=2, default=(16, 3))
    given = parser.parse_args()
    path = given.folder / "withheld.json"
    sizes = draw_withheld(path, 64, 32, system=False, seed=3, force=True)
    know, refuse = (
        [json.loads(line)["messages"] for line in place.read_text().splitlines()] for place in sizes
    )
    network, words = student([m["content"] for row in (*know, *refuse) for m in row])
    teach(network, words, know, given.epochs[0], 3e-3)
    teach(network, words, refuse, given.epochs[1], 1e-3)
    for part in (network, words):
        part.save_pretrained(given.folder / "aligned")
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    files = {"model": str(given.folder / "aligned"), "withheld": str(path)}
    scene = build("own_chat", files)
    for attack, params in ATTACKS:
        game = {} if attack in ("prefilling", "many_shot", "multi_turn") else {"rounds": 6}
        trials = hartley.play(attack, scene, game_params=game, **params)
        channel = hartley.measure(trials)
        print(attack, params)
        print(f"  {channel.bits.value:.2f} bits, at least {channel.bits.lower:.2f}")
        for name in (
            "asr",
            "base_rate",
            "over_refusal",
            "refusal_rate_before",
            "refusal_bits_before",
        ):
            if name in channel.metrics:
                one = channel.metrics[name]
                print(f"  {name} {one['value']:.3f} [{one.get('low')}, {one.get('high')}]")


if __name__ == "__main__":
    main()
