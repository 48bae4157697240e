"""Fine-tuning of small transformers: each way against what it must equal, and mistakes."""

from functools import partial

import numpy as np
import pytest
import torch

from hartley.core import Codec, Modality, Model
from hartley.core.errors import UsageError
from hartley.kit.language import gpt, soft_prompt
from hartley.kit.language.text import pad
from hartley.models import fine_tuning
from hartley.models.fine_tuning import GptTuner, Tuner, TuningSettings

SHAPE = gpt.Shape(vocabulary=128, width=32, layers=2, heads=2, context=40)
CODEC = Codec(
    encode=lambda texts: pad([[ord(c) for c in text] for text in texts]),
    decode=lambda rows: ["".join(chr(i) for i in row if i >= 0) for row in np.asarray(rows)],
    size=128,
    identity="ascii",
)
EXAMPLES = [("red?", "no"), ("the blue one?", "yes, it is"), ("x", "y")]


@pytest.fixture
def tuner():
    state = gpt.initial(SHAPE, torch.Generator().manual_seed(0))
    return GptTuner(
        shape=SHAPE,
        state={name: tensor.numpy() for name, tensor in state.items()},
        codec=CODEC,
        opening=lambda question: f"U:{question}\nA:",
        closing="\n",
        wrap=lambda weights: Model(
            "tiny", Modality.LANGUAGE, classes=128, facts={"weights": weights}
        ),
    )


def test_only_answers_are_learnt(tuner):
    rows = tuner.rows(EXAMPLES)
    read = fine_tuning.read_answers(
        {name: torch.from_numpy(array) for name, array in tuner.state.items()}, SHAPE, rows
    )
    dropped = np.arange(rows.tokens.shape[1]) < rows.first[:, None]
    by_gpt = gpt.nll(
        {name: torch.from_numpy(array) for name, array in tuner.state.items()},
        SHAPE,
        torch.from_numpy(rows.tokens),
        torch.from_numpy(dropped),
    )
    assert torch.allclose(read.losses, by_gpt, atol=1e-5)
    answers = ["", "", ""]
    for row, place in zip(read.rows.tolist(), read.places.tolist(), strict=True):
        answers[row] += chr(rows.tokens[row, rows.first[row] + place])
    assert answers == ["no\n", "yes, it is\n", "y\n"]


@pytest.mark.parametrize("method", fine_tuning.METHODS)
def test_each_method_learns_the_examples_and_repeats(tuner, method):
    settings = TuningSettings(method=method, rate=2e-2, steps=60, batch=3, rank=8)
    tuned = tuner.tuned(EXAMPLES, settings, 1)
    again = tuner.tuned(EXAMPLES, settings, 1)
    assert all(np.array_equal(tuned[name], again[name]) for name in tuned)

    def loss(state):
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        answers = fine_tuning.read_answers(tensors, SHAPE, tuner.rows(EXAMPLES))
        return float(answers.losses.mean().detach())

    # A network that was never trained has little that adapters and prompts could steer.
    assert loss(tuned) < (0.3 if method == "full" else 0.95) * loss(tuner.state)
    changed = {n for n, a in tuned.items() if n not in tuner.state or (a != tuner.state[n]).any()}
    if method == "soft_prompt":
        assert changed == {"soft_prompt"}
    if method == "lora":
        assert changed == {n for n in tuner.state if n.split(".")[-1] in fine_tuning.ADAPTED}
        difference = tuned["0.up"] - tuner.state["0.up"]
        assert np.linalg.matrix_rank(difference, tol=1e-4) == 8


def test_an_adapter_is_what_peft_makes_of_it(tuner):
    peft = pytest.importorskip("peft")
    layer = torch.nn.Sequential(torch.nn.Linear(32, 96, bias=False))
    wrapped = peft.get_peft_model(layer, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["0"]))
    rng = np.random.default_rng(0)
    down, up = (rng.standard_normal(s).astype(np.float32) for s in ((4, 32), (96, 4)))
    with torch.no_grad():
        adapter = wrapped.base_model.model[0]
        adapter.lora_A["default"].weight.copy_(torch.from_numpy(down))
        adapter.lora_B["default"].weight.copy_(torch.from_numpy(up))
        adapter.base_layer.weight.copy_(torch.from_numpy(tuner.state["0.qkv"]))
    by_peft = wrapped.merge_and_unload()[0].weight.detach().numpy()
    edited = tuner.edited({"0.qkv.lora_a": down, "0.qkv.lora_b": up}).facts["weights"]
    np.testing.assert_allclose(edited["0.qkv"], by_peft, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_a_soft_prompt_of_real_words_is_these_words(tuner, masked):
    state = {name: torch.from_numpy(array) for name, array in tuner.state.items()}
    words, text = torch.tensor([[7, 9, 11]]), torch.tensor([[65, 66, 67, 68]])
    prompt = state["tokens"][words[0]] + state["positions"][:3]
    whole = gpt.hidden(state, SHAPE, torch.cat([words, text], 1), torch.arange(7)[None], None)
    sees = torch.ones(1, 4, 4, dtype=torch.bool).tril() if masked else None
    read = partial(soft_prompt.hidden, {**state, "soft_prompt": prompt}, SHAPE)
    behind = read(text, torch.arange(4)[None], sees)
    assert torch.allclose(behind, whole[:, 3:], atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"nothing": np.zeros(3)}, "weights must be tokens"),
        ({"0.qkv": np.zeros((3, 3))}, "weights must be tokens"),
        ({"0.qkv.lora_a": np.zeros((4, 31)), "0.qkv.lora_b": np.zeros((96, 4))},
         "the adapter of 0.qkv must be"),
        ({"0.qkv.lora_a": np.zeros((4, 32)), "0.qkv.lora_b": np.zeros((96, 5))},
         "the adapter of 0.qkv must be"),
        ({"9.qkv.lora_a": np.zeros((4, 32)), "9.qkv.lora_b": np.zeros((96, 4))},
         "adapters must be of"),
        ({"0.qkv.lora_a": np.zeros((4, 32))}, "adapters must have two halves"),
        ({"0.qkv.lora_b": np.zeros((96, 4))}, "adapters must have two halves"),
        ({"soft_prompt": np.zeros((4, 31))}, "soft_prompt must be"),
        ({"norm": np.full(32, np.nan)}, "norm must be finite"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_in_words(tuner, weights, message):
    with pytest.raises(UsageError, match=message):
        tuner.edited(weights)


def test_examples_and_settings_out_of_range_are_refused(tuner):
    with pytest.raises(UsageError, match="at most 40 tokens, got 53"):
        tuner.tune([("q" * 46, "a")], TuningSettings(), 0)
    with pytest.raises(UsageError, match="rank must be at most"):
        tuner.tune(EXAMPLES, TuningSettings("soft_prompt", rank=30), 0)
    for wrong in ({"rate": 0.0}, {"rate": np.nan}, {"steps": -1}, {"batch": 0}, {"method": "x"}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be"):
            TuningSettings(**wrong)
    assert isinstance(tuner, Tuner)


@pytest.mark.parametrize("method", fine_tuning.METHODS)
def test_a_run_passes_through_shorter_ones(tuner, method):
    settings = TuningSettings(method=method, rate=1e-2, batch=2, rank=4)
    passed = dict(
        zip((0, 1, 7, 19), tuner.passed(EXAMPLES, settings, 3, (0, 1, 7, 19)), strict=True)
    )
    for steps, weights in passed.items():
        alone = tuner.tuned(EXAMPLES, TuningSettings(method, 1e-2, steps, 2, 4), 3)
        assert weights.keys() == alone.keys()
        assert all(np.array_equal(weights[name], alone[name]) for name in alone)
    assert all(np.array_equal(passed[0][name], tuner.state[name]) for name in tuner.state)
    with pytest.raises(UsageError, match="must ascend, got 3, 2"):
        next(tuner.passed(EXAMPLES, settings, 3, (3, 2)))
