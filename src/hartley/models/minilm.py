"""all-MiniLM-L6-v2 from its pack: a sentence encoder of 22.7 million parameters, 384-d."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, Model
from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.language import text
from hartley.models.encoders import encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 384
BEGIN, END = 101, 102
"""The tokens that the encoder puts round every sentence."""

LONGEST = 254
"""Tokens of a record that are read; what is beyond them is not."""

BATCH = 64


@cache
def minilm() -> Model:
    """Return the encoder: tokens int64 (n, t), −1 at the right → unit vectors (n, 384).

    Raises:
        MissingPack: the pack ``minilm`` was not fetched.
        MissingExtra: transformers is not installed.
    """
    network = _network()
    return encoder("MiniLM", Modality.LANGUAGE, lambda x: _encode(network, x), WIDTH)


@cache
def words() -> text.Vocabulary:
    """Return the encoder's vocabulary: 30,522 lower-case word pieces.

    Raises:
        MissingPack: the pack ``minilm`` was not fetched.
    """
    tool = json.loads((locate("minilm") / "tokenizer.json").read_text(encoding="utf-8"))
    # As shipped it fills every text up to 128 tokens, and cuts what is longer.
    return text.vocabulary(json.dumps({**tool, "padding": None, "truncation": None}))


def _network() -> Any:
    home = locate("minilm")
    try:
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel
    except ImportError as error:
        raise MissingExtra("transformers", "language") from error
    config = BertConfig(**json.loads((home / "config.json").read_text(encoding="utf-8")))
    network = BertModel(config, add_pooling_layer=False)
    state = load_file(home / "model.safetensors")
    state.pop("embeddings.position_ids", None)  # no weights: the numbers 0, 1, 2 …
    network.load_state_dict({k: v for k, v in state.items() if not k.startswith("pooler.")})
    network.train(False)
    return network


def _encode(network: Any, tokens: NDArray[Any]) -> NDArray[np.float32]:
    """Mean of the last hidden states, to length 1; rows of like length go together."""
    import torch

    sizes = np.minimum(text.lengths(tokens), LONGEST)
    out = np.empty((len(tokens), WIDTH), np.float32)
    order = np.argsort(sizes, kind="stable")
    for at in range(0, len(order), BATCH):
        rows = order[at : at + BATCH]
        width = int(sizes[rows].max())
        ids = np.zeros((len(rows), width + 2), np.int64)
        mask = np.arange(width + 2) < sizes[rows, None] + 2
        ids[:, 0] = BEGIN
        ids[:, 1:-1] = tokens[rows, :width]
        ids[np.arange(len(rows)), sizes[rows] + 1] = END
        ids[~mask] = 0
        attended = torch.from_numpy(mask)
        with torch.no_grad():
            states = network(
                input_ids=torch.from_numpy(ids), attention_mask=attended.long()
            ).last_hidden_state
            mean = (states * attended[..., None]).sum(1) / attended.sum(1, keepdim=True)
            out[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return out
