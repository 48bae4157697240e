"""Moments of a causal model's law: of a transformers network, plain and with adapters in it."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Output
from hartley.kit.language import text
from hartley.models import lora
from hartley.targets.huggingface import from_network

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def network():
    config = transformers.LlamaConfig(
        vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    made = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(3)  # so that the law is far from even
    return made


@pytest.fixture(scope="module")
def rows():
    """Some alone, some that share their beginnings, of several lengths."""
    rng = np.random.default_rng(0)
    alone = rng.integers(0, 90, (6, 12))
    alone[::2, 9:] = -1
    shared = text.append(np.repeat(rng.integers(0, 90, (1, 8)), 5, 0), rng.integers(0, 90, (5, 4)))
    return np.concatenate([alone, shared])


def plain(network, rows):
    """(n, t−1, 3) from all logits at once, in float64."""
    with torch.inference_mode():
        logits = network(input_ids=torch.from_numpy(rows.clip(0))).logits.double()
    law = logits.log_softmax(-1)[:, :-1].numpy()
    said = np.take_along_axis(law, rows[:, 1:, None].clip(0), 2)[..., 0]
    mean = (np.exp(law) * law).sum(2)
    spread = np.sqrt((np.exp(law) * law**2).sum(2) - mean**2)
    return np.stack([said, mean, spread], -1) * (rows[:, 1:, None] >= 0)


@pytest.mark.parametrize("output", [Output.LOGITS, Output.PROBABILITIES])
def test_moments_of_a_transformers_network(network, rows, output):
    model = from_network(network, name="llama", output=output)
    truth = plain(network, rows)
    assert truth[..., 2].max() > 1
    np.testing.assert_allclose(model.moments(rows), truth, atol=1e-5)
    np.testing.assert_allclose(model.score(rows), truth[..., 0], atol=1e-5)


def test_moments_of_a_network_with_adapters(network, rows):
    pytest.importorskip("peft")
    import copy

    before = from_network(network, name="llama").moments(rows)
    tuning = lora.Tuning(rank=2, epochs=4, rate=1e-2)
    tuned = lora.adapted(copy.deepcopy(network), tuning, 0)
    lora.load(tuned, lora.train(tuned, rows, tuning, 0))
    base = tuned.get_base_model()
    after = from_network(base, name="llama").moments(rows)
    np.testing.assert_allclose(after, plain(base, rows), atol=1e-5)
    assert after[..., 0].sum() > before[..., 0].sum() + 1  # it has learnt these rows
