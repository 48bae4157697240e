"""Fine-tuning of networks of transformers: against plain loops of torch, and mistakes."""

import itertools

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from hartley.core import Access, Codec
from hartley.core.errors import RunError, UsageError
from hartley.defenses.signal.constrained_tuning import ConstrainedTuning
from hartley.kit.language.chat_template import ChatTemplate
from hartley.kit.language.text import pad
from hartley.models import network_chat
from hartley.models.fine_tuning import RuledTuner, Tuner, TuningRule, TuningSettings
from hartley.models.network_tuner import NetworkTuner, SharedNetwork, read_answers

CODEC = Codec(
    encode=lambda texts: pad([[ord(c) for c in text] for text in texts]),
    decode=lambda rows: ["".join(chr(i) for i in row if i >= 0) for row in np.asarray(rows)],
    size=128,
    identity="ascii",
)
TEMPLATE = ChatTemplate("U:", "\n", "A:", "\n", "S:", "\n")
EXAMPLES = [("red?", "no"), ("the blue one?", "yes, it is"), ("x", "y")]


def llama():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 48, "eos_token_id": 3}
    return LlamaForCausalLM(LlamaConfig(vocab_size=128, **sizes, **heads)).eval()


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=128, n_embd=32, n_layer=2, n_head=2, n_positions=48)
    config.eos_token_id = 3
    return GPT2LMHeadModel(config).eval()


def service(network, **fields):
    return NetworkTuner("tiny", SharedNetwork(network), CODEC, TEMPLATE, **fields)


def logits(model, text):
    return model.calls["query"](CODEC.encode([text]))[0]


@pytest.mark.parametrize("build", [llama, gpt2])
def test_answers_are_the_greedy_ones_of_the_network_read_anew_for_each_token(build):
    network, model = build(), service(build()).model
    questions = ["a", "what is there?", "a", "who?"]
    turns = [[{"role": "user", "content": q}] for q in questions]
    turns.append([{"role": "user", "content": "who?"}, {"role": "assistant", "content": "It "}])
    answers = model.calls["chat"](turns, 6, -1)
    for messages, answer in zip(turns, answers, strict=True):
        row = [ord(c) for c in TEMPLATE.render(messages)]
        start = len(row)
        for _ in range(6):
            with torch.no_grad():
                row.append(int(network(torch.tensor([row])).logits[0, -1].argmax()))
            if row[-1] in (10, 3):
                row.pop()
                break
        assert answer == "".join(map(chr, row[start:]))
    with pytest.raises(RunError, match="must have fewer than 48 tokens, got 57"):
        model.calls["chat"]([[{"role": "user", "content": "x" * 52}]], 6, -1)


@pytest.mark.parametrize("build", [llama, gpt2])
def test_what_prompts_have_in_common_is_read_once_and_answers_are_the_same(build, monkeypatch):
    network = build()
    model, read = service(network).model, []
    texts = [f"U:{'many examples of it '[:k]}{end}\nA:" for k in (16, 19)
             for end in ("", "who?", "whom?", "a longer question")] + ["U:a\nA:"]  # fmt: skip
    alone = [model.calls["generate"](CODEC.encode([text]), 6, -1)[0] for text in texts]
    words = network.get_input_embeddings()
    watching = words.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].numel()))
    apart = model.calls["generate"](CODEC.encode(texts), 6, -1)
    tokens, read[:] = sum(read), []
    monkeypatch.setattr(network_chat, "ALIKE", 12)
    together = model.calls["generate"](CODEC.encode(texts), 6, -1)
    watching.remove()
    assert np.array_equal(together, alone) and np.array_equal(apart, alone)
    assert sum(read) <= tokens - 7 * 12  # nine rows in two groups of those that begin alike
    drawn = model.calls["generate"](CODEC.encode(texts[:1] * 8), 6, 3)
    monkeypatch.setattr(network_chat, "ALIKE", 48)
    assert np.array_equal(drawn, model.calls["generate"](CODEC.encode(texts[:1] * 8), 6, 3))


def test_sampled_answers_follow_the_law_of_the_network_whatever_is_asked_beside_them():
    model = service(llama()).model
    rows = CODEC.encode(["U:abc\nA:"] * 4000)
    drawn = model.calls["generate"](rows, 1, 7)[:, 0]
    law = torch.tensor(logits(model, "U:abc\nA:")).double().softmax(0).numpy()
    share = np.bincount(drawn, minlength=128) / 4000
    assert np.abs(share - law).max() < 4.5 * np.sqrt(law * (1 - law) / 4000).max()
    alone = model.calls["generate"](CODEC.encode(["U:abc\nA:"]), 5, 7)
    beside = model.calls["generate"](CODEC.encode(["U:abc\nA:", "U:a longer row\nA:"]), 5, 7)
    assert np.array_equal(alone[0], beside[0])


def test_all_weights_are_tuned_as_by_a_plain_loop_and_the_deployed_model_stays():
    network, plain = llama(), llama()
    tuner = service(network)
    assert isinstance(tuner, Tuner) and isinstance(tuner, RuledTuner)
    before = logits(tuner.model, "U:red?\nA:")
    tuned = tuner.tune(EXAMPLES, TuningSettings("full", 1e-3, 12, 3), 0)
    rows = [([ord(c) for c in f"U:{q}\nA:"], [ord(c) for c in f"{a}\n"]) for q, a in EXAMPLES]
    width = max(len(q) + len(a) for q, a in rows)
    ids = torch.tensor([q + a + [0] * (width - len(q) - len(a)) for q, a in rows])
    labels = torch.tensor(
        [[-100] * len(q) + a + [-100] * (width - len(q) - len(a)) for q, a in rows]
    )
    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0)
    for _ in range(12):
        optimiser.zero_grad()
        plain(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
    with torch.no_grad():
        expected = plain(torch.tensor([rows[0][0]])).logits[0, -1].numpy()
    assert np.allclose(logits(tuned, "U:red?\nA:"), expected, atol=1e-3)
    assert not np.allclose(expected, before, atol=0.05)
    assert np.array_equal(logits(tuner.model, "U:red?\nA:"), before)


@pytest.mark.parametrize("build", [llama, gpt2])
def test_adapters_share_a_network_and_are_what_is_added_to_its_matrices(build):
    tuner = service(build(), identity="base", offers=Access.LABELS | Access.WEIGHTS)
    before = logits(tuner.model, "U:red?\nA:")
    settings = [TuningSettings("lora", 3e-3, 20, 3, rank) for rank in (2, 2, 4)]
    models = [tuner.tune(EXAMPLES, how, seed) for seed, how in enumerate(settings)]
    answers = [logits(model, "U:red?\nA:") for model in models]
    assert all(not np.allclose(a, b, atol=1e-3) for a, b in itertools.pairwise(answers))
    # Asked in turns: each is itself, and the deployed model is what it was.
    for model, answer in list(zip(models, answers, strict=True))[::-1]:
        assert np.array_equal(logits(model, "U:red?\nA:"), answer)
        assert np.array_equal(logits(tuner.model, "U:red?\nA:"), before)
    assert len({model.identity for model in (tuner.model, *models)}) == 4
    again = tuner.tune(EXAMPLES, settings[1], 1)
    assert again.identity == models[1].identity
    # What was learnt, put into the matrices of the network, is the same model.
    models[0].calls["query"](CODEC.encode(["U:x\nA:"]))
    halves = {
        name.removeprefix("base_model.model.")
        .replace(".lora_A.rank2.weight", ".lora_a")
        .replace(".lora_B.rank2.weight", ".lora_b"): array
        for name, array in tuner.shared.adapters(2).items()
    }
    assert np.allclose(logits(tuner.edited(halves), "U:red?\nA:"), answers[0], atol=1e-4)
    rows = tuner.rows(EXAMPLES)
    learnt = np.arange(1, rows.tokens.shape[1]) >= rows.first[:, None]
    sums = [m.calls["score"](rows.tokens)[learnt].sum() for m in (tuner.model, models[0])]
    assert sums[1] > sums[0] + 1


def test_an_attackers_adapters_and_weights_are_put_in_and_mistakes_name_what_would_fit():
    tuner = service(llama(), offers=Access.LABELS | Access.WEIGHTS)
    state = tuner.model.calls["weights"]()
    name, layer = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj.weight"
    rng = np.random.default_rng(0)
    down, up = rng.standard_normal((2, 32)), rng.standard_normal((32, 2))
    halves = {f"{name}.lora_a": down, f"{name}.lora_b": up}
    by_adapter = tuner.edited(halves)
    by_weight = tuner.edited({layer: state[layer] + 2 * up @ down})
    assert np.allclose(logits(by_adapter, "U:a"), logits(by_weight, "U:a"), atol=1e-3)
    assert not np.allclose(logits(by_adapter, "U:a"), logits(tuner.model, "U:a"), atol=1e-2)
    tuner.tune(EXAMPLES, TuningSettings("lora", 1e-3, 1), 0)
    assert tuner.model.calls["weights"]().keys() == state.keys()  # adapters are not among them
    assert np.allclose(logits(tuner.edited(halves), "U:a"), logits(by_adapter, "U:a"))
    for weights, words in (
        ({f"{name}.lora_a": down}, "two halves, got model.layers.0.self_attn.q_proj.lora_a alone"),
        ({**halves, f"{name}.lora_a": down[:, :16]}, r"must be \(rank, 32\) and \(32, rank\)"),
        (
            {"head.lora_a": down, "head.lora_b": up},
            "adapters must be of model.layers.0.self_attn.q_proj",
        ),
        ({layer: state[layer][:5]}, r"got model.*q_proj.weight of shape \(5, 32\)"),
        ({layer: state[layer] * np.nan}, "must be finite"),
    ):
        with pytest.raises(UsageError, match=words):
            tuner.edited(weights)


class Rule(TuningRule):
    """Admits one example, and remembers what the aligned model said."""

    def admitted(self, examples):
        return examples[:1]

    def begin(self, run):
        self.run = run
        return super().begin(run)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_rules_of_the_service_hold_and_see_the_aligned_model(method):
    rule, tuner = Rule(), service(llama())
    rows = tuner.rows(EXAMPLES)
    expected = read_answers(tuner.shared.network, rows).losses.detach()
    tuner = tuner.with_(rules=(rule,))
    settings = TuningSettings(method, 3e-3, 6, 2)
    tuned = tuner.tune(EXAMPLES, settings, 0)
    one = service(llama()).tune(EXAMPLES[:1], settings, 0)
    assert np.allclose(logits(tuned, "U:red?\nA:"), logits(one, "U:red?\nA:"), atol=1e-5)
    assert torch.allclose(rule.run.aligned(rows).losses, expected, atol=1e-5)
    none = tuner.with_(rules=(type("None", (TuningRule,), {"admitted": lambda *_: []})(),))
    assert np.array_equal(
        logits(none.tune(EXAMPLES, settings, 0), "U:a"), logits(tuner.model, "U:a")
    )
    deployed = tuner.wrapped(lambda model: model.with_(name="behind")).tune(EXAMPLES, settings, 0)
    assert deployed.name == "behind"


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_rule_asks_the_aligned_model_within_a_step(method):
    """With β near 0 the constrained loss has the slope of the plain one."""
    settings, tuner = TuningSettings(method, 3e-3, 6, 3), service(llama())
    rule, heard = ConstrainedTuning(1e-4, 1e-4, 1e-4, 5), []

    class Heard(TuningRule):
        def begin(self, run):
            steps = rule.begin(run)
            heard.append(lambda batch: run.aligned(batch).losses.sort().values)
            return steps

    plain = tuner.tune(EXAMPLES, settings, 0)
    constrained = tuner.with_(rules=(Heard(),)).tune(EXAMPLES, settings, 0)
    expected = logits(plain, "U:red?\nA:")
    assert np.allclose(logits(constrained, "U:red?\nA:"), expected, atol=1e-3)
    tuner.shared.bare()
    rows = tuner.rows(EXAMPLES)
    aligned = read_answers(tuner.shared.network, rows).losses.detach().sort().values
    assert torch.allclose(heard[0](rows), aligned, atol=1e-5)


def test_half_precision_is_tuned_in_single_and_deployed_as_it_was():
    tuner = service(llama().to(torch.bfloat16))
    before = logits(tuner.model, "U:red?\nA:")
    for method in ("full", "lora"):
        tuned = tuner.tune(EXAMPLES, TuningSettings(method, 3e-3, 20, 3), 0)
        assert np.abs(logits(tuned, "U:red?\nA:") - before).max() > 0.05


def test_what_cannot_be_tuned_is_said_in_one_line():
    tuner = service(llama())
    with pytest.raises(UsageError, match="method must be full or lora for tiny, got 'soft_prompt'"):
        tuner.tune(EXAMPLES, TuningSettings("soft_prompt"), 0)
    with pytest.raises(UsageError, match="examples must have at most 48 tokens, got 67"):
        tuner.tune([("x" * 60, "y")], TuningSettings("lora"), 0)
