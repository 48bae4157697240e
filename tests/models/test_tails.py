"""Log-probabilities of the ends of nearly equal rows, and their slopes in tokens, against autograd
on the network's own forward pass."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Access
from hartley.core.errors import RunError
from hartley.kit.language import gpt, soft_prompt
from hartley.kit.language.gpt_tails import GptTails
from hartley.models import tails
from hartley.models.text_pipeline import TextPipeline
from hartley.targets.huggingface import from_network

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPE = gpt.Shape(vocabulary=90, width=32, layers=2, heads=4, context=32)
SIZES = {"vocab_size": 90, "max_position_embeddings": 32}
NETWORKS = {
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, **SIZES,
        )
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=90, n_positions=32, n_embd=32, n_layer=2, n_head=4)
    ),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(
        transformers.Gemma2Config(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, sliding_window=6, final_logit_softcapping=2.0,
            **SIZES,
        )
    ),
}  # fmt: skip
OFFERS = Access.LABELS | Access.SCORES | Access.GRADIENTS


def network_of(name):
    """A model, and ids (1, t) → logits (1, t, vocabulary) of its whole forward pass."""
    torch.manual_seed(0)
    if name == "gpt":
        state = gpt.initial(SHAPE, torch.Generator().manual_seed(0))
        state = {key: 3 * value for key, value in state.items()}
        owner = TextPipeline(SHAPE, offers=OFFERS)
        arrays = {key: value.numpy() for key, value in state.items()}
        model = owner._model(arrays, arrays["tokens"])

        def whole(ids, tokens):
            swap = lambda n, x, out: tokens + state["positions"][: ids.shape[1]]  # noqa: E731
            places = torch.arange(ids.shape[1])[None]
            tap = lambda n, x, out: swap(n, x, out) if n == "tokens" else out  # noqa: E731
            return gpt.hidden(state, SHAPE, ids, places, None, tap=tap) @ state["tokens"].T

        return model, whole, lambda ids: state["tokens"][ids]
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    model = from_network(network, name=name, offers=OFFERS)
    return (
        model,
        lambda ids, tokens: network(inputs_embeds=tokens).logits,
        network.get_input_embeddings(),
    )


@pytest.fixture(scope="module")
def rows():
    """Rows of one text with one token changed in each, three of which are shorter."""
    rng = np.random.default_rng(0)
    out = np.repeat(rng.integers(0, 90, (1, 20)), 40, 0)
    out[np.arange(40), 4 + np.arange(40) % 8] = rng.integers(0, 90, 40)
    out[:3, 17:] = -1
    return out


def truth(whole, embed, row, first):
    """−log p of the tokens from first on, and its gradient in one-hot tokens (t − 1, 90)."""
    ids = torch.from_numpy(row[row >= 0])[None]
    onehot = torch.nn.functional.one_hot(ids[:, :-1], 90).float().requires_grad_()
    logits = whole(ids[:, :-1], onehot @ embed(torch.arange(90)))[0, first - 1 :]
    loss = torch.nn.functional.cross_entropy(logits, ids[0, first:], reduction="sum")
    return loss.item(), torch.autograd.grad(loss, onehot)[0][0].numpy()


@pytest.mark.parametrize("name", ["gpt", *NETWORKS])
def test_tails_and_slopes_are_those_of_the_whole_forward_pass(name, rows):
    model, whole, embed = network_of(name)
    losses, slopes = zip(*(truth(whole, embed, row, 14) for row in rows), strict=True)
    scores = model.calls["tail_score"](rows, 14)
    np.testing.assert_allclose(-scores, losses, rtol=2e-5)
    assert np.ptp(scores[3:]) > 0.1
    # In half precision the order of the rows is nearly the same, and never the same numbers.
    rough = model.calls["tail_score"](rows, 14, True)
    assert np.corrcoef(rough[3:], scores[3:])[0, 1] > 0.95
    places = np.arange(4, 12)
    if name == "gemma2":  # its window is shorter than what precedes the places
        with pytest.raises(RunError, match="must go on from keys and values"):
            model.calls["token_slope"](rows[:2], 14, places)
        return
    answer = model.calls["token_slope"](rows[:5], 14, places)
    assert answer.shape == (5, 8, 90)
    rough = model.calls["token_slope"](rows[:5], 14, places, True)
    for one, other, slope in zip(answer, rough, slopes, strict=False):
        np.testing.assert_allclose(one, slope[places], atol=2e-4 * np.abs(slope).max())
        assert np.corrcoef(other.ravel(), one.ravel())[0, 1] > 0.9


def test_a_soft_prompt_is_read_before_each_row(rows):
    shape = SHAPE
    state = {n: 3 * a for n, a in gpt.initial(shape, torch.Generator().manual_seed(1)).items()}
    prompt = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    with_prompt = {**state, soft_prompt.SOFT_PROMPT: prompt}
    soft = tails.Tails("soft", 27, 90, GptTails(state, shape, state["tokens"], prompt))

    def logits(ids, onehot=None):
        """By the whole forward pass, where the tokens are embedded by a product with one-hots."""
        b, t = ids.shape

        def tap(name, given, output):
            if name == "tokens" and onehot is not None:
                places = state["positions"][5 : 5 + t]
                output = torch.cat([output[:, :5], (onehot @ state["tokens"] + places)], 1)
            return output

        states = soft_prompt.hidden(
            with_prompt, shape, ids, torch.arange(t).expand(b, t), None, tap=tap
        )
        return states @ state["tokens"].T

    for some, places in ((rows, [4, 9]), (rows[::-1][:3], [0, 2]), (rows[4:5], [0, 3])):
        scores = soft.tail_score(some, 14)
        slopes = soft.token_slope(some[:2], 14, np.array(places))
        for i, row in enumerate(some):
            ids = torch.from_numpy(row[row >= 0])[None]
            onehot = torch.nn.functional.one_hot(ids[:, :-1], 90).float().requires_grad_()
            law = logits(ids[:, :-1], onehot)[0, 13:]
            loss = torch.nn.functional.cross_entropy(law, ids[0, 14:], reduction="sum")
            assert -scores[i] == pytest.approx(loss.item(), rel=2e-5)
            if i < 2:
                slope = torch.autograd.grad(loss, onehot)[0][0].numpy()
                close = 2e-4 * np.abs(slope).max()
                np.testing.assert_allclose(slopes[i], slope[places], atol=close)
    rough, exact = (soft.tail_score(rows, 14, half)[3:] for half in (True, False))
    assert np.corrcoef(rough, exact)[0, 1] > 0.95


def test_each_row_has_its_first_and_its_places(rows):
    model, whole, embed = network_of("llama")
    first = 10 + np.arange(len(rows)) % 5
    losses = [truth(whole, embed, *pair)[0] for pair in zip(rows, first, strict=True)]
    np.testing.assert_allclose(-model.calls["tail_score"](rows, first), losses, rtol=2e-5)
    places = np.array([[0, 3], [5, 9]])
    answer = model.calls["token_slope"](rows[:2], first[:2], places)
    for i in range(2):
        slope = truth(whole, embed, rows[i], first[i])[1]
        np.testing.assert_allclose(answer[i], slope[places[i]], atol=2e-4 * np.abs(slope).max())


def test_weights_that_change_are_packed_anew(rows):
    network = NETWORKS["llama"]().eval()
    model = from_network(network, name="llama")
    before = model.calls["tail_score"](rows, 14)
    with torch.no_grad():
        network.get_output_embeddings().weight.mul_(2)
        network.get_decoder().layers[0].mlp.up_proj.weight.mul_(2)
    after = model.calls["tail_score"](rows, 14)
    fresh = from_network(network, name="llama").calls["tail_score"](rows, 14)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, fresh)


@pytest.mark.parametrize("first", [0, 20, 18])
def test_a_row_without_a_tail_is_refused(rows, first):
    model, _, _ = network_of("gpt")
    with pytest.raises(RunError, match="first must be the place of a token after another"):
        model.calls["tail_score"](rows, first)


def test_a_text_that_does_not_fit_is_refused():
    model, _, _ = network_of("gpt")
    with pytest.raises(RunError, match="at most 32 tokens, got 33"):
        model.calls["tail_score"](np.zeros((2, 33), int), 5)


def test_batches_share_about_as_much_and_cover_each_row_once():
    rng = np.random.default_rng(0)
    shared, sizes = rng.integers(0, 30, 500), np.full(500, 60)
    batches = list(tails._buckets(shared, sizes))
    assert sorted(np.concatenate(batches)) == list(range(500))
    for some in batches:
        assert (59 - shared[some].min()) * len(some) <= tails.TOKENS
    wasted = sum(int((shared[some] - shared[some].min()).sum()) for some in batches)
    assert wasted < 0.05 * int((sizes - shared).sum())
