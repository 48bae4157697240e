"""MeCo: train on records with the worst of some noise, and add fresh noise to every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense, spawn
from hartley.defenses._shared import wrap_answers
from hartley.defenses._shared.keyed_noise import uniform
from hartley.kit import accounts
from hartley.kit.fleet import Objective
from hartley.models.training_defense import trained_for

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="training",
    protects=("extraction",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={"graph": "a node's record is the graph, and noise leaves no graph"},
    paper="arXiv:2603.24857",
    requires=("training", "fit", "model", "train"),
    strongest={"noise": 8.0},
)
def meco(
    scene: Scene,
    rng: Rng,
    *,
    noise: Annotated[float, Range(0)] = 0.5,
    draws: Annotated[int, Range(1, 64)] = 2,
) -> Scene:
    """Perturb every query at random, and train so that right records survive it.

    A thief who follows differences between answers to near records follows the noise; an owner who
    was trained on perturbed records loses little (MeCo, NeurIPS 2023). The paper learns which
    perturbation to add by a network; here it is normal noise, and each step is taken on the worst
    of some draws for each record (distributionally robust training). The same record gets another
    answer when it is asked again, so that asking often averages the noise away, at that price.

    Args:
        noise: standard deviation of the noise, as a share of that of the training records.
        draws: of noise for each record in training; the one with the largest loss is learnt.

    Raises:
        RunError: the owner's training takes no objective, or has another one.
    """
    assert scene.train is not None
    sigma = noise * float(np.asarray(scene.train.x, dtype=np.float64).std())
    trained = trained_for(scene, rng, "meco", WorstNoise(sigma, draws))
    seed = int(rng.integers(2**62))

    def change(model: Model, who: str) -> Model:
        return _perturbed(model, sigma, spawn(seed, who))

    return wrap_answers.models(trained, change)


def _perturbed(model: Model, sigma: float, seed: int) -> Model:
    """Return the model with noise on every query.

    Noise depends on the record, on the account and on how often the account asked about the record
    before, so that a run repeats. The owner has one noise for each record.
    """
    times: Counter[bytes] | None = None
    current = seed

    def query(x: NDArray[Any]) -> NDArray[Any]:
        from scipy.special import ndtri

        records = np.asarray(x)
        turn = np.zeros(len(records), np.int64)
        if times is not None:
            # Counted here and not where the account asks: a budget in between may cut the batch.
            for row, record in enumerate(records):
                times[record.tobytes()] += 1
                turn[row] = times[record.tobytes()]
        draw = np.empty(records.shape)
        for one in np.unique(turn):
            rows = turn == one
            draw[rows] = ndtri(
                uniform(records[rows], records[rows].shape, spawn(current, int(one)))
            )
        return model.query((records + sigma * draw).astype(records.dtype))

    def opened() -> accounts.Stream:
        of_account: Counter[bytes] = Counter()
        account = spawn(seed, "account", accounts.account_number())

        def stream(name: str, answer: Callable[..., Any], x: Any, arguments: Any) -> Any:
            nonlocal times, current
            del name
            times, current = of_account, account
            try:
                return answer(x, *arguments)
            finally:
                times, current = None, seed

        return stream

    return accounts.watched(model.with_(query=query, deterministic=False), opened)


@dataclass(frozen=True, slots=True)
class WorstNoise(Objective):
    """Cross-entropy of records with that of some draws of noise which raises it the most.

    Attributes:
        sigma: of the noise, in the units of the records.
        draws: for each record.
    """

    shaped: ClassVar[bool] = True

    sigma: float
    draws: int

    def inputs(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        logits: Callable[[torch.Tensor], torch.Tensor],
        noise: Callable[[int], torch.Tensor],
    ) -> torch.Tensor:
        """Return records with noise."""
        import torch

        flat = inputs.flatten(2)
        worst = (flat + self.sigma * noise(flat.shape[2])).reshape(inputs.shape)
        if self.draws == 1:
            return worst
        with torch.no_grad():
            highest = self._losses(worst, targets, logits)
            for _ in range(self.draws - 1):
                other = (flat + self.sigma * noise(flat.shape[2])).reshape(inputs.shape)
                losses = self._losses(other, targets, logits)
                rises = (losses > highest).reshape(*losses.shape, *(1,) * (inputs.ndim - 2))
                worst = torch.where(rises, other, worst)
                highest = torch.maximum(highest, losses)
        return worst

    @staticmethod
    def _losses(
        records: torch.Tensor,
        targets: torch.Tensor,
        logits: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """Return the cross-entropy (K, b) of records."""
        import torch

        return -(targets * torch.log_softmax(logits(records), 2)).sum(2)
