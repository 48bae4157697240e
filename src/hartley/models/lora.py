"""Fine-tuning by low-rank adapters (arXiv:2106.09685), through ``peft``; only adapters are kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class Tuning:
    """How adapters are trained: AdamW at a constant rate after a short warm-up.

    Attributes:
        rank: of the adapters.
        targets: names of the layers that get one, separated by commas.
        epochs: passes over the records.
        batch: records a step.
        rate: learning rate.
        dtype: of the frozen network.
    """

    rank: int = 16
    targets: str = "q_proj,v_proj,up_proj,down_proj"
    epochs: int = 8
    batch: int = 8
    rate: float = 3e-3
    dtype: str = "float32"

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that a result depends on, for a digest."""
        return {"lora": 1, **asdict(self)}


def adapted(network: Any, tuning: Tuning, seed: int) -> Any:
    """Return the network with fresh adapters in it, which change nothing yet.

    Raises:
        MissingExtra: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtra("peft", "language") from error
    import torch

    config = LoraConfig(
        r=tuning.rank,
        lora_alpha=2 * tuning.rank,
        target_modules=tuning.targets.split(","),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft still asks transformers for an attribute by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        torch.manual_seed(seed)
        return get_peft_model(network, config)


def train(
    network: Any,
    rows: NDArray[Any],
    tuning: Tuning,
    seed: int,
    dropped: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train the adapters of ``adapted`` on token rows; return them by name, float32.

    Args:
        network: what ``adapted`` returned.
        rows: (n, t) token ids, padded with −1.
        tuning: the recipe.
        seed: of the order of the rows.
        dropped: (n, t) tokens that are read but not learnt: they are left out of the loss.
    """
    import torch
    from peft import get_peft_model_state_dict

    weights = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=tuning.rate, weight_decay=0.0)
    rng = np.random.default_rng(seed)
    lengths, step = text.lengths(rows), 0
    network.train()
    for _ in range(tuning.epochs):
        order = rng.permutation(len(rows))
        order = order[np.argsort(lengths[order], kind="stable")]
        cuts = [order[i : i + tuning.batch] for i in range(0, len(order), tuning.batch)]
        for i in rng.permutation(len(cuts)):
            batch = torch.from_numpy(rows[cuts[i]][:, : lengths[cuts[i]].max()])
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = tuning.rate * min(1.0, step / 10)
            states = (
                network.get_base_model()
                .get_decoder()(input_ids=batch.clamp(min=0)[:, :-1], use_cache=False)
                .last_hidden_state
            )
            real = batch[:, 1:] >= 0
            if dropped is not None:
                real &= ~torch.from_numpy(dropped[cuts[i]][:, 1 : batch.shape[1]])
            if not real.any():
                continue
            # Only real tokens go through the head: a third of the time for a large vocabulary.
            logits = network.get_base_model().get_output_embeddings()(states[real]).float()
            loss = torch.nn.functional.cross_entropy(logits, batch[:, 1:][real])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
    network.eval()
    weights_by_name = get_peft_model_state_dict(network, adapter_name=ADAPTER)
    return {name: value.detach().float().numpy().copy() for name, value in weights_by_name.items()}


def load(network: Any, adapters: Mapping[str, NDArray[Any]]) -> None:
    """Put trained adapters into what ``adapted`` returned, in place."""
    import torch
    from peft import set_peft_model_state_dict

    state = {name: torch.from_numpy(np.array(array)) for name, array in adapters.items()}
    set_peft_model_state_dict(network, state, adapter_name=ADAPTER)
