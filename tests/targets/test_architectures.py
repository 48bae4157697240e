"""Language models of many architectures score as their own forward pass, or refuse in one line."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Modality, Output
from hartley.core.errors import UsageError
from hartley.targets.huggingface import from_network

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

V = 61
CLOSE = {"atol": 1e-5, "rtol": 2e-6}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "vocab_size": V,
}
KEYS = {**SMALL, "num_key_value_heads": 2}
WIDE = {**KEYS, "head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": V}
CONFIGS = {
    "Llama": KEYS,
    "Mistral": {**KEYS, "sliding_window": 4},
    "Mixtral": {**KEYS, "sliding_window": 4, "num_local_experts": 2},
    "Gemma": WIDE,
    "Gemma2": {**WIDE, "final_logit_softcapping": 2.0, "sliding_window": 4},
    "Gemma3Text": {**WIDE, "sliding_window": 4},
    "Granite": {**SMALL, "logits_scaling": 8.0, "embedding_multiplier": 3.0},
    "Cohere": {**SMALL, "logit_scale": 0.0625},
    "Cohere2": {**SMALL, "logit_scale": 0.25, "sliding_window": 4},
    "MiniCPM3": SMALL,
    "Nemotron": KEYS,
    "Olmo": SMALL,
    "Olmo2": SMALL,
    "Phi": SMALL,
    "Phi3": {**KEYS, "pad_token_id": 0, "sliding_window": 4},
    "Qwen2": {**KEYS, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0},
    "Qwen3": {**WIDE},
    "StableLm": KEYS,
    "Starcoder2": {**KEYS, "sliding_window": 4},
    "Persimmon": SMALL,
    "Falcon": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": V,
        "alibi": True,
    },
    "GPT2": GPT,
    "GPTNeo": {
        "hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 64, "attention_types": [[["global", "local"], 1]],
        "window_size": 4, "vocab_size": V,
    },
    "GPTNeoX": SMALL,
    "GPTJ": {**GPT, "rotary_dim": 4},
    "CodeGen": {**GPT, "rotary_dim": 4},
    "OpenAIGPT": GPT,
    "OPT": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "XGLM": {
        "d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4, "vocab_size": V,
        "max_position_embeddings": 64,
    },
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": V},
    "Mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64, "vocab_size": V},
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "vocab_size": V},
    "BioGpt": SMALL,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    transformers.logging.set_verbosity_error()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network_of(name):
    config = getattr(transformers, f"{name}Config")
    torch.manual_seed(0)
    net = transformers.AutoModelForCausalLM.from_config(config(**CONFIGS[name])).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    return net


@pytest.fixture(scope="module")
def rows():
    """Rows alone, rows that share beginnings, short and empty ones."""
    rng = np.random.default_rng(0)
    rows = rng.integers(3, V, (14, 20))
    rows[6:, :12] = rows[6, :12]
    rows[1, 5:], rows[2, 1:], rows[3] = -1, -1, -1
    return rows


def own(net, rows):
    """(n, t−1) log-probabilities of the network's own forward pass, row by row."""
    out = np.zeros((len(rows), rows.shape[1] - 1))
    with torch.no_grad():
        for i, row in enumerate(rows):
            ids = torch.tensor(row[row >= 0])[None]
            if ids.shape[1] > 1:
                logits = net(input_ids=ids, use_cache=False).logits[:, -ids.shape[1] :]
                law = logits.float().log_softmax(-1)[0]
                out[i, : ids.shape[1] - 1] = law[:-1].gather(1, ids[0, 1:, None])[:, 0]
    return out


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_scores_as_its_own_forward_pass(name, rows):
    net = network_of(name)
    model = from_network(net, name=name)
    truth = own(net, rows)
    assert model.classes == V
    assert np.ptp(truth) > 1
    np.testing.assert_allclose(model.score(rows), truth, **CLOSE)
    np.testing.assert_allclose(model.score(rows[:7]), truth[:7], **CLOSE)
    np.testing.assert_allclose(model.moments(rows)[..., 0], truth, **CLOSE)
    with torch.no_grad():
        last = net(input_ids=torch.tensor(rows[:1]), use_cache=False).logits[0, -1].float()
    np.testing.assert_allclose(model.query(rows[:1])[0], last, atol=1e-4)
    assert model.generate(rows[6:8, :5], 3, 0).shape == (2, 3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "LORA"])
def test_a_network_with_a_soft_prompt_scores_as_its_own_forward_pass(kind, rows):
    peft = pytest.importorskip("peft")
    common = {"task_type": "CAUSAL_LM"}
    configs = {
        "PROMPT_TUNING": lambda: peft.PromptTuningConfig(**common, num_virtual_tokens=4),
        "PREFIX_TUNING": lambda: peft.PrefixTuningConfig(**common, num_virtual_tokens=4),
        "LORA": lambda: peft.LoraConfig(
            **common, r=2, init_lora_weights=False, target_modules=["q_proj"]
        ),
    }
    net = peft.get_peft_model(network_of("Llama"), configs[kind]()).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "prompt" in name:
                weight.add_(torch.randn_like(weight))
    model = from_network(net, name=kind)
    plain = rows[[0, 4, 5, 6, 7]]
    np.testing.assert_allclose(model.score(plain), own(net, plain), atol=1e-5)
    assert model.facts["context"] == (64 if kind == "LORA" else 60)


def test_many_short_texts_are_not_one_tree_that_is_too_long():
    net = network_of("GPTNeo")
    rng = np.random.default_rng(1)
    rows = rng.integers(3, V, (120, 20))
    rows[:, :10] = rows[0, :10]  # as a tree 1,210 tokens, of a context of 64
    np.testing.assert_allclose(from_network(net, name="m").score(rows), own(net, rows), atol=1e-5)


def test_a_window_that_only_long_rows_reach_is_seen():
    torch.manual_seed(0)
    config = transformers.MistralConfig(**{**KEYS, "sliding_window": 24})
    net = transformers.MistralForCausalLM(config).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    rng = np.random.default_rng(2)
    rows = rng.integers(3, V, (8, 40))
    rows[:, :22] = rows[0, :22]
    model = from_network(net, name="m")
    for part in (rows[:, :14], rows):
        np.testing.assert_allclose(model.score(part), own(net, part), atol=1e-5)


def test_small_numbers_and_empty_rows_are_read(rows):
    net = network_of("Llama")
    model = from_network(net, name="m", output=Output.PROBABILITIES)
    whole = rows[[0, 4, 5]]
    np.testing.assert_array_equal(model.score(whole.astype(np.uint16)), model.score(whole))
    nothing = np.full((3, 5), -1)
    assert (model.score(nothing) == 0).all() and model.modality is Modality.LANGUAGE
    np.testing.assert_allclose(model.query(nothing), 1 / V)
    assert model.score(np.zeros((2, 1), int)).shape == (2, 0)


def test_what_is_not_read_from_left_to_right_is_refused(rows):
    model = from_network(network_of("Llama"), name="m")
    left = np.concatenate([np.full((2, 3), -1), rows[:2, :5].clip(0)], axis=1)
    for ask in (model.score, model.query, model.moments):
        with pytest.raises(UsageError, match="must be padded on the right"):
            ask(left)
    torch.manual_seed(0)
    bert = transformers.BertLMHeadModel(transformers.BertConfig(**SMALL, is_decoder=False)).eval()
    with pytest.raises(UsageError, match="causal language model") as caught:
        from_network(bert, name="bert")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="reads token ids alone") as caught:
        from_network(torch.nn.Linear(2, 2), name="linear")
    assert "\n" not in str(caught.value)
