"""Resemblyzer from its pack: a speaker encoder (three LSTM layers, 1.4 million parameters), 256-d.

Trained by others with the loss of arXiv:1710.10467. Its weights are read from safetensors into
plain torch layers; none of the package's code is run.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, Model
from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.audio import energies
from hartley.models.encoders import encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, BANDS, LAYERS = 256, 40, 3
BATCH = 128


@cache
def speaker() -> Model:
    """Return the encoder: records float32 (n, 1, 40, frames) of ``data.audio.speech`` → (n, 256).

    Embeddings have length 1 and no negative entry.

    Raises:
        MissingPack: the pack ``resemblyzer`` was not fetched.
        MissingExtra: torch is not installed.
    """
    lstm, linear = _network()

    def encode(x: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        parts = []
        with torch.no_grad():
            for at in range(0, len(x), BATCH):
                mels = energies(np.asarray(x[at : at + BATCH, 0])).transpose(0, 2, 1)
                _, (last, _) = lstm(torch.from_numpy(np.ascontiguousarray(mels)))
                activations = torch.relu(linear(last[-1]))
                parts.append(torch.nn.functional.normalize(activations, dim=1).numpy())
        return np.concatenate(parts)

    return encoder("Resemblyzer", Modality.AUDIO, encode, WIDTH)


def _network() -> Any:
    home = locate("resemblyzer")
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    state = load_file(home / "pretrained.safetensors")
    lstm = torch.nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
    linear = torch.nn.Linear(WIDTH, WIDTH)
    for name, module in (("lstm", lstm), ("linear", linear)):
        module_state = {
            k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{name}.")
        }
        module.load_state_dict(module_state)
    return lstm.eval(), linear.eval()
