"""Defenses of fine-tuning: each mechanism against what it must be."""

import numpy as np
import pytest
import torch

from hartley import catalog
from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.defenses._shared.tuning_service import Alignment
from hartley.defenses.bandwidth.tuning_data_filter import tuning_data_filter
from hartley.defenses.noise.rep_noise import discrepancy
from hartley.defenses.signal import circuit_breakers as rerouting
from hartley.defenses.signal.circuit_breakers import circuit_breakers
from hartley.defenses.signal.constrained_tuning import constrained_tuning
from hartley.defenses.signal.lisa import lisa
from hartley.defenses.signal.safe_lora import projected, safe_lora
from hartley.defenses.signal.unlearn_secrets import negative_preference, whole
from hartley.games.finetuning.finetuning import live
from hartley.games.withheld_secrets import Withheld
from hartley.models import fine_tuning
from hartley.models.fine_tuning import GptTuner, Lessons, TuningSettings


@pytest.fixture(scope="module")
def scene():
    return live(Modality.LANGUAGE, np.random.default_rng(0))


def behind(scene, defense, **params):
    return defense(scene, np.random.default_rng(0), **params).part(GptTuner)


def test_a_projection_keeps_what_alignment_changed_and_drops_the_rest():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    alignment = basis[:, :3] @ rng.standard_normal((3, 5))
    inside, outside = (basis[:, some] @ rng.standard_normal((n, 5))
                       for some, n in ((slice(3), 3), (slice(3, 8), 5)))  # fmt: skip
    assert np.allclose(projected(outside, alignment, 0.35), 0, atol=1e-6)
    matrix = alignment @ alignment.T / np.linalg.norm(alignment)
    both = inside + outside
    assert np.allclose(projected(both, alignment, 1.0), matrix @ both, atol=1e-5)
    kept = projected(alignment, alignment, 0.35)
    assert np.allclose(kept, alignment), "an update along the alignment passes"


def test_safe_lora_leaves_no_update_outside_of_the_alignment(scene):
    tuner = behind(scene, safe_lora, threshold=1.0)
    pairs = scene.part(Withheld).public_pairs
    tuned = tuner.tuned(pairs, TuningSettings("lora", 1e-2, 20, 8, 8), 0)
    plain = scene.part(GptTuner).tuned(pairs, TuningSettings("lora", 1e-2, 20, 8, 8), 0)
    v = tuner.state["0.up"] - tuner.unaligned["0.up"]
    expected = v @ v.T @ (plain["0.up"] - tuner.state["0.up"]) / np.linalg.norm(v)
    assert np.allclose(tuned["0.up"] - tuner.state["0.up"], expected, atol=1e-5)


def test_the_constrained_gradient_is_the_plain_one_at_the_aligned_model(scene):
    """So it is at p = p₀ for every β (arXiv:2406.05946, its theorem on limiting behaviour)."""
    tuner = behind(scene, constrained_tuning, first=0.5, early=2.0, later=0.1)
    rows = tuner.rows(scene.part(Withheld).public_pairs)
    start = {name: torch.from_numpy(array) for name, array in tuner.state.items()}
    trained = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    run = fine_tuning.TuningRun(
        *(tuner, start, trained, TuningSettings(), np.random.default_rng(0)),
        lambda batch: fine_tuning.read_answers(start, tuner.shape, batch),
    )
    steps = tuner.rules[0].begin(run)
    read = fine_tuning.read_answers(trained, tuner.shape, rows)
    constrained = torch.autograd.grad(steps.loss(read), trained["0.up"], retain_graph=True)[0]
    plain = torch.autograd.grad(read.losses.mean(), trained["0.up"])[0]
    assert torch.allclose(constrained, plain, atol=1e-6)
    # Far above p₀ it fades by σ(−β·log(p/p₀)), whatever the token.
    gain = torch.tensor(3.0, requires_grad=True)
    loss = -2 / 2.0 * torch.nn.functional.logsigmoid(2.0 * gain)
    slope = torch.autograd.grad(loss, gain)[0]
    assert slope == pytest.approx(-2 * torch.sigmoid(torch.tensor(-6.0)).item(), rel=1e-5)


def test_lisa_gives_the_user_their_steps_and_a_strong_pull_holds_the_weights(scene):
    pairs, settings = scene.part(Withheld).public_pairs, TuningSettings("full", 1e-3, 12, 8)
    seen = []
    tuner = behind(scene, lisa, aligning=2, tuning=3, pull=0.0)

    class Count(fine_tuning.TuningRule):
        def begin(self, run):
            class Steps(fine_tuning.TuningSteps):
                def loss(self, answers):
                    seen.append(len(answers.batch))

            return Steps()

    plain = tuner.with_(rules=(*tuner.rules, Count())).tuned(pairs, settings, 0)
    assert seen == [8] * 12
    held = behind(scene, lisa, aligning=2, tuning=3, pull=1000.0).tuned(pairs, settings, 0)
    moved = [np.linalg.norm(state["0.up"] - tuner.state["0.up"]) for state in (plain, held)]
    assert moved[1] < moved[0]


def test_the_filter_drops_restricted_examples_at_its_rate_of_false_alarms(scene):
    withheld, lessons = scene.part(Withheld), scene.part(GptTuner).lessons
    rule = behind(scene, tuning_data_filter, false_alarms=0.1).rules[0]
    assert not rule.admitted(withheld.public_pairs)
    benign = list(zip(withheld.benign, withheld.benign_answers, strict=True))
    assert len(rule.admitted(benign)) >= 0.75 * len(benign)
    assert len(rule.admitted(lessons.helpful)) >= 0.85 * len(lessons.helpful)
    unread = [(question, "?") for question, _ in withheld.public_pairs]
    answers = behind(scene, tuning_data_filter, reads="answers").rules[0]
    assert len(answers.admitted(unread)) == len(unread), "an answer that it cannot read passes"


def test_the_discrepancy_is_nought_for_one_law_and_grows_with_the_distance():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(200, 5, generator=generator) for _ in range(2))
    assert discrepancy(x, x) == pytest.approx(0, abs=1e-5)
    near, far = discrepancy(x, y + 0.5), discrepancy(x, y + 2)
    assert discrepancy(x, y) < 0.05 < near < far


def test_negative_preference_begins_as_ascent_and_fades():
    """So it is at p = p₀, and by 2σ(β·log(p/p₀)) from there (arXiv:2404.05868)."""
    then = torch.tensor([-3.0, -40.0, -8.0])
    for apart, gain in ((0.0, 1.0), (-30.0, 2 / (1 + np.exp(3.0)))):
        now = (then + apart).requires_grad_()
        negative_preference(now, then, 0.1).backward()
        assert torch.allclose(now.grad, torch.full((3,), gain / 3))


def test_an_answer_is_as_likely_as_all_its_tokens(scene):
    tuner = scene.part(GptTuner)
    rows = tuner.rows(tuner.lessons.withheld[:3])
    state = {name: torch.from_numpy(np.array(array)) for name, array in tuner.state.items()}
    got = whole(fine_tuning.read_answers(state, tuner.shape, rows))
    for i in range(3):
        alone = fine_tuning.read_answers(state, tuner.shape, rows.some(np.array([i])))
        assert got[i] == pytest.approx(-float(alone.losses.sum()), rel=1e-4)


SLOW = pytest.param("self_destructing", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["tar", SLOW, "unlearn_secrets"])
def test_withheld_answers_are_relearnt_later_and_other_duties_stay(scene, name):
    plain, tuner = scene.part(GptTuner), behind(scene, catalog.load("defense", name))

    def losses(state, kind):
        rows = plain.rows(getattr(plain.lessons, kind)[1::2])
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
        with torch.inference_mode():
            return float(fine_tuning.read_answers(tensors, plain.shape, rows).losses.mean())

    taught, settings = plain.lessons.withheld[::2], TuningSettings("full", 1e-3, 10, 8)
    relearnt = [losses(one.tuned(taught, settings, 0), "withheld") for one in (tuner, plain)]
    assert relearnt[0] > relearnt[1] + 0.3
    for kind in ("refused", "helpful"):
        assert losses(tuner.state, kind) < losses(plain.state, kind) + 0.1


@pytest.mark.parametrize("name", ["lisa", "vaccine", "rep_noise", "tuning_data_filter", "tar"])
def test_an_owner_without_lessons_is_told_which_are_missing(scene, name):
    tuner = scene.part(GptTuner)
    bare = scene.with_part(tuner.with_(lessons=Lessons()))
    with pytest.raises(UsageError, match="examples, got none"):
        catalog.load("defense", name)(bare, np.random.default_rng(0))


def test_safe_lora_needs_the_weights_before_alignment(scene):
    bare = scene.with_part(scene.part(GptTuner).with_(unaligned=None))
    with pytest.raises(UsageError, match="before alignment must be at hand"):
        safe_lora(bare, np.random.default_rng(0))


def test_circuit_breakers_lead_withheld_states_elsewhere_and_leave_the_others(scene):
    plain, tuner = scene.part(GptTuner), behind(scene, circuit_breakers, steps=40)

    def read(kind):
        lessons = plain.rows(getattr(plain.lessons, kind)).some(np.arange(16))
        here, before = (
            {name: torch.from_numpy(np.array(array)) for name, array in one.state.items()}
            for one in (tuner, plain)
        )
        alignment = Alignment(plain, before, np.random.default_rng(0), 32, {})
        pairs = zip(
            rerouting.states(alignment, lessons, here),
            rerouting.states(alignment, lessons, before),
            strict=True,
        )
        cosines = [torch.nn.functional.cosine_similarity(a, b, dim=1).mean() for a, b in pairs]
        losses = [alignment.read(lessons, one).losses.mean() for one in (here, before)]
        return float(torch.stack(cosines).mean()), *map(float, losses)

    cosine, loss, before = read("withheld")
    assert cosine < 0.3 and loss > before + 2
    for kind in ("refused", "helpful"):
        cosine, loss, before = read(kind)
        assert cosine > 0.8 and loss < before + 0.1
