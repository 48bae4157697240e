"""DP-SGD: the guarantee is Opacus', the leak stays under it, and the utility is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.channel.measure import measure
from hartley.core import Bound, Modality
from hartley.core.errors import RunError
from hartley.defenses.bandwidth.rounding import rounding
from hartley.defenses.noise.dp_sgd import dp_sgd, noise_for
from hartley.defenses.noise.memguard import memguard
from hartley.defenses.signal.deduplication import deduplication
from hartley.engine.defend import defended
from hartley.engine.plan.plan import Plan
from hartley.engine.plan.worklist import applied
from hartley.engine.run.play import play
from hartley.games.membership import membership as game
from hartley.games.memorization import memorization as secrets
from hartley.scenes.digits import digits


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield digits()


@pytest.mark.parametrize("accountant", [pytest.param("prv", marks=pytest.mark.slow), "rdp"])
def test_the_noise_is_what_opacus_asks_for(accountant):
    import warnings

    from opacus.accountants import PRVAccountant, RDPAccountant

    noise = noise_for(2.0, 1e-5, rate=0.25, steps=160, accountant=accountant)
    judge = (PRVAccountant if accountant == "prv" else RDPAccountant)()
    judge.history = [(noise, 0.25, 160)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spent = judge.get_epsilon(1e-5)
    assert 1.9 < spent <= 2.0
    assert noise_for(8.0, 1e-5, rate=0.25, steps=160) < noise < 20


def test_a_loose_guarantee_is_accounted_in_seconds_and_without_warnings():
    """The grid of the PRV accountant overflows for minutes there."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loose, looser = (noise_for(e, 1e-5, rate=0.25, steps=40) for e in (100.0, 1000.0))
    assert loose == noise_for(100.0, 1e-5, rate=0.25, steps=40, accountant="rdp")
    assert 0.0 < looser < loose < 1.0


@pytest.mark.slow
def test_the_leak_stays_under_the_guarantee(scene):
    # Both sides with few references: what DP-SGD halves, 8 of them still read without it.
    four = {"rounds": 4}
    before = measure(play(lira, scene, game_params=four, params={"references": 8}), redraws=1)
    shielded = defended(scene, dp_sgd, {"epsilon": 1.0})
    assert 0.3 < shielded.utility(shielded)["accuracy"] < scene.utility(scene)["accuracy"]
    for attack, params in ((lira, {"references": 8}), (loss_threshold, {})):
        after = measure(play(attack, shielded, game_params=four, params=params), redraws=1)
        assert after.ceiling.value == pytest.approx(0.01237, abs=1e-5)
        assert after.bits.lower <= after.ceiling.value
        assert after.bits.value < before.bits.value / 2
    weaker = defended(scene, dp_sgd, {"epsilon": 8.0, "accountant": "rdp"})
    assert weaker.utility(weaker)["accuracy"] > shielded.utility(shielded)["accuracy"]


def test_rate_steps_and_divisor_do_not_follow_the_records(scene):
    shielded = defended(scene, dp_sgd, {"epsilon": 2.0})
    privacy = shielded.training.private
    assert (privacy.rate, privacy.steps, privacy.expected) == (0.25, 160, 0.25 * 450)
    assert shielded.fit == shielded.model.fit == shielded.training.fit
    assert shielded.defenses[-1].name == "dp_sgd" and shielded.bounds[-1].games == ("membership",)


def test_it_narrows_the_live_wire():
    live = game.live(Modality.TABULAR, np.random.default_rng(0))
    shielded = defended(live, dp_sgd, dp_sgd.strongest)
    before = measure(play(loss_threshold, live))
    after = measure(play(loss_threshold, shielded, undefended=live))
    assert after.bits.value < 0.1 < before.bits.lower


@pytest.mark.parametrize(
    ("params", "epochs", "lr"), [({}, 40.0, 0.02), ({"epochs": 3.0, "lr": 0.5}, 3.0, 0.5)]
)
def test_what_it_trained_with_is_recorded(params, epochs, lr):
    live = game.live(Modality.TABULAR, np.random.default_rng(0))
    params = {**params, "accountant": "rdp"}
    shielded = defended(live, dp_sgd, params)
    (record,) = shielded.defenses
    assert (record.params["epochs"], record.params["lr"]) == (epochs, lr)
    assert applied("dp_sgd", Plan(defenses={"dp_sgd": params}), live) == record
    privacy = shielded.training.private
    assert privacy.steps == round(epochs / record.params["rate"]) and privacy.lr == lr


def test_an_owner_who_takes_no_step_takes_none_in_private():
    """So the dead wires stay nets that no record has moved, whatever number of steps is asked."""
    for wire in (game.dead, secrets.dead):
        bare = wire(Modality.AUDIO, np.random.default_rng(0))
        owner = dp_sgd(bare, np.random.default_rng(0), epochs=20.0).training
        assert owner.private.steps == 0 and owner.private.noise == 0
        pool, coins = bare.train, np.eye(2, len(bare.train), dtype=bool)
        changed = replace(pool, x=pool.x[::-1], y=pool.y[::-1])
        one, other = (owner.fit(data, coins, 3).query(pool.x) for data in (pool, changed))
        np.testing.assert_array_equal(one, other)


def test_it_drowns_secrets_that_the_same_net_learns_by_heart():
    live = secrets.live(Modality.TABULAR, np.random.default_rng(0))
    shielded = dp_sgd(live, np.random.default_rng(0), **dp_sgd.strongest)
    own = replace(live, fit=live.training.fit)
    before = measure(play(exposure, own, seed=0))
    after = measure(play(exposure, shielded, seed=0))
    assert after.bits.value < 0.5 < 1.0 < before.bits.lower
    # No ceiling is claimed for a secret that stands in many records.
    assert after.ceiling.method.startswith("entropy") and shielded.bounds


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_the_certified_epsilon_is_at_most_the_accountants(tiny, epsilon):
    """Records with diced labels are as easy to hear as can be; the attack certifies a lot bare."""
    bare = tiny.noisy(tiny.scene(epochs=100))

    def certified(scene):
        heard = measure(play(loss_threshold, scene, seed=0, game_params={"rounds": 8}))
        return float(heard.metrics["epsilon_lower"])

    shielded = dp_sgd(bare, np.random.default_rng(0), epsilon=epsilon, epochs=20, accountant="rdp")
    assert certified(shielded) <= epsilon
    assert certified(bare) > epsilon / 2 + 0.5


def test_labelled_texts_are_no_numbers_for_a_dense_net():
    scene = secrets.live(Modality.LANGUAGE, np.random.default_rng(0))
    labelled = replace(scene.train, y=np.zeros(len(scene.train), dtype=np.int64))
    bare = replace(scene, train=labelled, training=None)
    with pytest.raises(RunError, match="must give the gradient of every record"):
        dp_sgd(bare, np.random.default_rng(0))


def test_a_proof_of_a_training_ends_where_another_takes_its_place_or_looks_at_the_records():
    rng = np.random.default_rng(0)
    quick = {"epochs": 1.0, "accountant": "rdp"}
    private = defended(secrets.live(Modality.TABULAR, rng), dp_sgd, {"epsilon": 0.5, **quick})
    assert [one.params["epsilon"] for one in private.bounds] == [0.5]
    weaker = defended(private, dp_sgd, {"epsilon": 8.0, **quick})
    assert [one.params["epsilon"] for one in weaker.bounds] == [8.0]
    # Which copy stays follows from all records; MemGuard's judges are trained on the members.
    assert not defended(private, deduplication).bounds
    assert not defended(private, memguard).bounds
    # Rounding reads answers only, and a release's own proof is not of the training.
    assert [one.kind for one in defended(private, rounding).bounds][:1] == ["dp"]
    update = Bound("zcdp", {"rho": 1.0}, games=("gradient_inversion",))
    released = replace(private, bounds=(update,))
    assert defended(released, deduplication).bounds == released.bounds
