"""Adapters of upper layers of a Llama network, beside the library's network and its gradients."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.kit.language import llama
from hartley.kit.language.adapter_training import Course, Rows, add_to, fresh, lower_states, trained
from hartley.kit.language.text import pad

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPE = llama.Shape(width=48, layers=3, heads=6, key_heads=2, base=10_000.0)


def network():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=90, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=32,
        rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        initializer_range=0.2,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def state_of(whole):
    return llama.from_transformers(whole.state_dict())


def drawn(course, seed=1):
    """Adapters of which both halves are drawn, so that they change something."""
    rng = np.random.default_rng(seed)
    start = fresh(state_of(network()), SHAPE, course, seed)
    return {n: rng.standard_normal(a.shape).astype(np.float32) * 0.1 for n, a in start.items()}


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    tokens = pad([rng.integers(0, 90, n).tolist() for n in (9, 12, 7, 12, 10)])
    return Rows(tokens, np.array([5, 6, 4, 8, 7]))


def test_layers_with_adapters_are_the_library_s_with_their_products_added():
    whole, course = network(), Course(first=1, rank=4)
    ids, state = torch.arange(40).view(2, 20), state_of(whole)
    plain = llama.between(state, SHAPE, state["tokens"][ids], range(3))
    theirs = whole.model(input_ids=ids).last_hidden_state
    assert (llama.last_norm(state, SHAPE, plain) - theirs).abs().max() < 1e-5
    adapters = drawn(course)
    both = {**state, **{n: torch.from_numpy(a) for n, a in adapters.items()}}
    changed = llama.last_norm(
        state, SHAPE, llama.between(both, SHAPE, state["tokens"][ids], range(3))
    )
    add_to(whole, adapters)
    merged = whole.model(input_ids=ids).last_hidden_state
    assert (changed - merged).abs().max() < 1e-4 < (merged - theirs).abs().max()


def test_rows_enter_where_adapters_begin_with_the_states_of_the_whole_network(rows):
    whole = network()
    states = lower_states(state_of(whole), SHAPE, rows.tokens, 2)
    for row, mine in zip(rows.tokens, states, strict=True):
        ids = torch.from_numpy(row[row >= 0][None, :-1])
        every = whole.model(input_ids=ids, output_hidden_states=True).hidden_states
        assert mine.shape == (ids.shape[1], 48)
        assert (mine - every[2][0]).abs().max() < 0.01 * every[2].abs().max()


def test_one_step_is_that_of_the_library_on_the_answers_alone(rows):
    """The first step of AdamW goes by the sign of the gradient: peft's, of the merged network."""
    course = Course(first=2, rank=4, epochs=1, batch=5, rate=2e-2)
    start, whole = drawn(course), network()
    after = trained(state_of(whole), SHAPE, rows, start, course, seed=0)
    halves = {n: torch.from_numpy(a.copy()).requires_grad_() for n, a in start.items()}
    layers = dict(whole.named_modules())
    weights = {}
    for name in llama.MATRICES:
        down, up = halves[f"2.{name}{llama.DOWN}"], halves[f"2.{name}{llama.UP}"]
        key = llama.theirs(f"2.{name}")
        weights[f"{key}.weight"] = layers[key].weight.detach() + llama.SCALE * up @ down
    tokens, first = torch.from_numpy(rows.tokens), torch.from_numpy(rows.first)
    logits = torch.func.functional_call(whole, weights, (tokens.clamp(min=0)[:, :-1],)).logits
    learnt = (tokens[:, 1:] >= 0) & (torch.arange(1, tokens.shape[1]) >= first[:, None])
    torch.nn.functional.cross_entropy(logits[learnt], tokens[:, 1:][learnt]).backward()
    for name, half in halves.items():
        slope = half.grad.numpy()
        clear = np.abs(slope) > 0.2 * np.abs(slope).max()  # lower states are rounded to bfloat16
        moved = after[name] - start[name]
        assert np.allclose(moved[clear], -np.sign(slope[clear]) * 1e-3, atol=1e-5), name


def test_answers_are_learnt_and_what_is_below_stays(rows):
    course = Course(first=1, rank=8, epochs=40, batch=5, rate=2e-2)
    whole = network()
    before = {n: t.clone() for n, t in whole.state_dict().items()}
    start = fresh(state_of(whole), SHAPE, course, 0)
    adapters = trained(state_of(whole), SHAPE, rows, start, course, seed=0)
    assert {name.split(".")[0] for name in adapters} == {"1", "2"}
    add_to(whole, adapters)
    with torch.no_grad():
        for row, first in zip(rows.tokens, rows.first, strict=True):
            ids = torch.from_numpy(row[row >= 0])
            said = whole(input_ids=ids[None, :-1]).logits[0, first - 1 :].argmax(1)
            assert torch.equal(said, ids[first:])
    after = whole.state_dict()
    same = {n for n in before if torch.equal(before[n], after[n])}
    assert all(("layers.1" in n or "layers.2" in n) for n in before.keys() - same)
