"""Texts clipped one by one: against a loop over single texts, against Opacus, and the recipe."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from hartley.kit.fleet import Privacy
from hartley.kit.fleet.dp_training import drawn
from hartley.kit.language import ghost_clipping, gpt

torch = pytest.importorskip("torch")

SHAPE = gpt.Shape(vocabulary=60, width=24, layers=2, heads=2, context=24)
PRIVACY = Privacy(noise=0.0, clip=0.5, rate=1.0, steps=3, expected=20.0, lr=0.01)


def rows(n: int, seed: int = 0):
    """Token rows with tokens that come twice in one, a third of them shorter."""
    x = np.random.default_rng(seed).integers(0, 60, (n, 12))
    x[:, 5] = x[:, 2]
    x[::3, 8:] = -1
    return x


def state(seed: int = 0):
    made = gpt.initial(SHAPE, torch.Generator().manual_seed(seed))
    # Norms that are not all 1 and a few times the usual weights: nothing may cancel by luck.
    wild = torch.Generator().manual_seed(seed + 1)
    return {k: v + 0.1 * torch.randn(v.shape, generator=wild) for k, v in made.items()}


def zeros(like):
    return {name: torch.zeros_like(v) for name, v in like.items()}


def alone(parameters, row, dropped=None):
    """The gradient of one text's own loss, by plain autograd."""
    own = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    loss = gpt.nll(own, SHAPE, row[None], None if dropped is None else dropped[None]).mean()
    return dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))


def norm(gradient):
    return torch.sqrt(sum(g.square().sum() for g in gradient.values()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("clip", [0.3, 4.8, float("inf")])
def test_clipped_sums_are_those_of_a_loop_over_single_texts(clip, masked):
    parameters, x = state(), torch.from_numpy(rows(9))
    dropped = torch.from_numpy(np.random.default_rng(1).random((9, 12)) < 0.3) if masked else None
    each = [alone(parameters, x[i], None if dropped is None else dropped[i]) for i in range(9)]
    sums = zeros(parameters)
    norms = ghost_clipping.add_clipped(parameters, sums, SHAPE, x, dropped, clip=clip)
    true = torch.stack([norm(g) for g in each])
    torch.testing.assert_close(norms, true, atol=1e-5, rtol=1e-5)
    if clip == 4.8:
        assert (true < clip).any() and (true > clip).any()
    for name in parameters:
        wanted = sum(g[name] * min(1.0, clip / float(n)) for g, n in zip(each, true, strict=True))
        torch.testing.assert_close(sums[name], wanted, atol=1e-5, rtol=1e-4)


def test_no_text_moves_the_sum_by_more_than_the_bound():
    parameters, x = state(), torch.from_numpy(rows(9))
    whole = zeros(parameters)
    ghost_clipping.add_clipped(parameters, whole, SHAPE, x, clip=0.3)
    for i in range(9):
        without = zeros(parameters)
        others = torch.cat([x[:i], x[i + 1 :]])
        ghost_clipping.add_clipped(parameters, without, SHAPE, others, clip=0.3)
        moved = norm({k: whole[k] - without[k] for k in whole})
        assert 0.299 < float(moved) < 0.3 + 1e-5


def test_a_text_of_which_nothing_is_learnt_moves_nothing():
    parameters, x = state(), torch.from_numpy(rows(2))
    sums = zeros(parameters)
    lost = torch.tensor([[True] * 12, [True] * 12])
    norms = ghost_clipping.add_clipped(parameters, sums, SHAPE, x, lost, clip=1.0)
    assert norms.tolist() == [0, 0] and all(not v.any() for v in sums.values())


def opacus_gradients(parameters, x):
    """Every text's own gradient by Opacus, on a net of its own layers with the tied head."""
    from opacus import GradSampleModule
    from torch import nn
    from torch.nn import functional

    def linear(weight):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = nn.Parameter(weight.clone())
        return layer

    def rms(weight):
        layer = nn.RMSNorm(SHAPE.width)
        layer.weight = nn.Parameter(weight.clone())
        return layer

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding.from_pretrained(parameters["tokens"].clone(), freeze=False)
            self.places = nn.Embedding.from_pretrained(
                parameters["positions"].clone(), freeze=False
            )
            self.head = linear(parameters["tokens"])
            self.head.weight = self.tokens.weight
            inner = {k: v for k, v in parameters.items() if k not in {"tokens", "positions"}}
            self.parts = nn.ModuleDict(
                {k.replace(".", "_"): (rms if v.ndim == 1 else linear)(v) for k, v in inner.items()}
            )

        def forward(self, ids):
            b, t = ids.shape
            x = self.tokens(ids) + self.places(torch.arange(t).expand(b, t))
            for layer in range(SHAPE.layers):
                at = f"{layer}_"
                flat = self.parts[f"{at}qkv"](self.parts[f"{at}norm1"](x))
                q, k, v = flat.view(b, t, 3, SHAPE.heads, -1).permute(2, 0, 3, 1, 4)
                seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.parts[f"{at}out"](seen.transpose(1, 2).reshape(b, t, -1))
                up = self.parts[f"{at}up"](self.parts[f"{at}norm2"](x))
                x = x + self.parts[f"{at}down"](functional.gelu(up))
            return self.head(self.parts["norm"](x))

    module = GradSampleModule(Net(), loss_reduction="sum")
    with warnings.catch_warnings():
        # As in test_private: Opacus' hook stands on layers whose input has no gradient.
        warnings.simplefilter("ignore")
        said = module(x[:, :-1]).flatten(0, 1)
        (functional.cross_entropy(said, x[:, 1:].flatten(), reduction="sum") / 11).backward()
    found = {n: p.grad_sample for n, p in module._module.named_parameters()}
    names = {"tokens": "tokens.weight", "positions": "places.weight"}
    return {k: found[names.get(k, f"parts.{k.replace('.', '_')}.weight")] for k in parameters}


@pytest.mark.parametrize("clip", [0.7, 3.0])
def test_opacus_clips_the_same(clip):
    pytest.importorskip("opacus")
    parameters = state()
    x = torch.from_numpy(np.random.default_rng(4).integers(0, 60, (8, 12)))
    theirs = opacus_gradients(parameters, x)
    norms = sum(g.flatten(1).square().sum(1) for g in theirs.values()).sqrt()
    sums = zeros(parameters)
    ours = ghost_clipping.add_clipped(parameters, sums, SHAPE, x, clip=clip)
    torch.testing.assert_close(ours, norms, atol=1e-5, rtol=1e-5)
    factor = (clip / (norms + 1e-6)).clamp(max=1)
    for name, each in theirs.items():
        wanted = torch.einsum("n,n...->...", factor, each)
        torch.testing.assert_close(sums[name], wanted, atol=1e-5, rtol=1e-4)


def test_a_whole_training_is_clipped_sums_over_the_expected_number_and_adam():
    x = rows(20)
    made = ghost_clipping.train_private(x, SHAPE, PRIVACY, 5)
    parameters = gpt.initial(SHAPE, torch.Generator().manual_seed(5))
    first = {k: v.numpy().copy() for k, v in parameters.items()}
    own = {k: torch.nn.Parameter(v) for k, v in parameters.items()}
    adam = torch.optim.Adam(own.values(), lr=PRIVACY.lr)
    for _ in range(PRIVACY.steps):
        now = {k: v.detach() for k, v in own.items()}
        each = [alone(now, row) for row in torch.from_numpy(x)]
        for name, parameter in own.items():
            shares = [g[name] * min(1.0, PRIVACY.clip / float(norm(g))) for g in each]
            parameter.grad = sum(shares) / PRIVACY.expected
        adam.step()
    for name, parameter in own.items():
        # Adam divides by a gradient's own size: of one near 0 the last digits count.
        gap = np.abs(made[name] - parameter.detach().numpy())
        assert gap.max() < 1e-3 and gap.mean() < 1e-5, name
        assert np.abs(made[name] - first[name]).max() > 0.01 or name == "positions"


def test_the_divisor_is_the_number_it_is_given(monkeypatch):
    """Half the records and the same expected number: half the gradient, not the same one."""
    told = []

    class Listener(torch.optim.SGD):
        def step(self):
            told.append(self.param_groups[0]["params"][0].grad.clone())

    monkeypatch.setattr(
        ghost_clipping, "FusedAdamW", lambda parameters, lr, decay: Listener(parameters, lr=0.0)
    )
    once = replace(PRIVACY, steps=1)
    ghost_clipping.train_private(np.concatenate([rows(10)] * 2), SHAPE, once, 5)
    ghost_clipping.train_private(rows(10), SHAPE, once, 5)
    torch.testing.assert_close(told[0], 2 * told[1], atol=1e-6, rtol=1e-4)


def test_noise_is_the_multiplier_times_the_bound_over_the_expected_number(monkeypatch):
    told = []

    class Listener(torch.optim.SGD):
        def step(self):
            told.append(self.param_groups[0]["params"][0].grad.clone())

    monkeypatch.setattr(
        ghost_clipping, "FusedAdamW", lambda parameters, lr, decay: Listener(parameters, lr=0.0)
    )
    bare = replace(PRIVACY, steps=12)
    ghost_clipping.train_private(rows(10), SHAPE, bare, 5)
    ghost_clipping.train_private(rows(10), SHAPE, replace(bare, noise=1.7), 5)
    noise = torch.stack(told[12:]) - torch.stack(told[:12])
    scale = 1.7 * PRIVACY.clip / PRIVACY.expected
    assert float(noise.std()) == pytest.approx(scale, rel=0.01)
    assert abs(float(noise.mean())) < 4 * scale / noise.numel() ** 0.5
    # Every step has noise of its own.
    together = torch.corrcoef(noise)
    assert float((together - torch.eye(12)).abs().max()) < 5 / noise.shape[1] ** 0.5


def test_batches_are_poisson():
    """A coin for each record and step: means, variances and pairs as of independent coins."""
    rng, own = np.random.default_rng(0), np.arange(30)
    seen = np.zeros((4000, 30))
    for step in seen:
        step[drawn(own, rng, 0.2)] = 1
    sizes = seen.sum(1)
    assert sizes.mean() == pytest.approx(6, abs=0.2) and sizes.var() == pytest.approx(4.8, rel=0.1)
    pairs = np.corrcoef(seen.T) - np.eye(30)
    assert np.abs(pairs).max() < 5 / 4000**0.5
    assert len(drawn(own, rng, 1.0)) == 30


def test_one_seed_one_network_and_no_records_no_change_but_noise():
    brief = replace(PRIVACY, noise=1.0, rate=0.5)
    first, again = (ghost_clipping.train_private(rows(10), SHAPE, brief, 3) for _ in range(2))
    other = ghost_clipping.train_private(rows(10), SHAPE, brief, 4)
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert not np.array_equal(first["norm"], other["norm"])
    start = {k: v.numpy() for k, v in state().items()}
    still = ghost_clipping.train_private(rows(0), SHAPE, replace(brief, noise=0.0), 3, start=start)
    assert all(np.array_equal(still[k], start[k]) for k in start)
    moved = ghost_clipping.train_private(rows(0), SHAPE, brief, 3, start=start)
    assert not np.array_equal(moved["norm"], start["norm"])


def test_texts_of_one_token_or_none_teach_nothing_and_stop_nothing():
    x = np.full((3, 4), -1)
    x[1:, 0] = 7
    start = {k: v.numpy() for k, v in state().items()}
    still = ghost_clipping.train_private(x, SHAPE, PRIVACY, 0, start=start)
    assert all(np.array_equal(still[k], start[k]) for k in start)
    plain = gpt.train(x, SHAPE, gpt.Lesson(epochs=1, decay=0.0), 0, start=start)
    assert all(np.array_equal(plain[k], start[k]) for k in start)
