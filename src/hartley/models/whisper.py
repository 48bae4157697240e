"""Whisper tiny.en, a recogniser of English speech, from the pack ``whisper``.

The pack's file is CTranslate2's; fetching it turns it into safetensors (``data.packs.convert``).
Speech is read passage by passage, in the shortest window that holds it, since a window of 30
seconds costs as much for one word as for fifty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.audio import RATE
from hartley.kit.media import spoken_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACK = "whisper"
WINDOWS = (8, 16, 30)
"""Seconds that are read at once; a longer passage is cut."""

PER_SECOND = 50
"""Positions of the encoder a second."""

START, PLAIN, END, FIRST_MARK = 50257, 50362, 50256, 50257
"""Tokens: of a transcript, of one without times, of its end; from the last on they are marks."""

MOST = 96
"""Tokens of a passage, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Whisper:
    """The recogniser.

    Attributes:
        network: ``WhisperForConditionalGeneration``.
        encoders: by seconds of their window; they share the network's weights.
        features: by seconds of their window: samples → log-mel features.
        words: the tokenizer.
    """

    network: Any
    encoders: dict[int, Any]
    features: dict[int, Any]
    words: Any

    def read(self, wave: NDArray[Any]) -> str:
        """Return what is said in a recording (samples,) at 16 kHz, passages joined by spaces."""
        parts = [self.passage(part) for part in spoken_text.passages(wave)]
        return " ".join(part for part in parts if part)

    def passage(self, wave: NDArray[Any]) -> str:
        """Return what is said in one passage (samples,), greedily."""
        import torch

        whole, longest = "", WINDOWS[-1] * RATE
        for at in range(0, max(len(wave), 1), longest):
            some = np.asarray(wave[at : at + longest], np.float32)
            window = next(w for w in WINDOWS if len(some) <= w * RATE)
            spectrum = self.features[window](
                some, sampling_rate=RATE, return_tensors="pt"
            ).input_features
            with torch.inference_mode():
                states = self.encoders[window](spectrum)
                whole += " " + self._written(states)
        return " ".join(whole.split())

    def _written(self, states: Any) -> str:
        import torch

        row, past, out = torch.tensor([[START, PLAIN]]), None, []
        for _ in range(MOST):
            step = self.network(
                encoder_outputs=states, decoder_input_ids=row, past_key_values=past, use_cache=True
            )
            past, law = step.past_key_values, step.logits[0, -1].clone()
            law[FIRST_MARK:] = -torch.inf
            token = int(law.argmax())
            if token == END:
                break
            out.append(token)
            row = torch.tensor([[token]])
        return str(self.words.decode(out))


@cache
def whisper() -> Whisper:
    """Return the recogniser of the pack.

    Raises:
        MissingPack: the pack ``whisper`` was not fetched.
        MissingExtra: torch or transformers is not installed.
    """
    home = locate(PACK)
    try:
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import (
            WhisperConfig,
            WhisperFeatureExtractor,
            WhisperForConditionalGeneration,
        )
        from transformers.models.whisper.modeling_whisper import WhisperEncoder
    except ImportError as error:
        raise MissingExtra("transformers", "language") from error
    (path,) = sorted(home.rglob("model.safetensors"))
    weights = load_file(path)

    def config(seconds: int) -> Any:
        return WhisperConfig(
            vocab_size=51864,
            d_model=384,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=6,
            decoder_attention_heads=6,
            encoder_ffn_dim=1536,
            decoder_ffn_dim=1536,
            bos_token_id=END,
            eos_token_id=END,
            pad_token_id=END,
            decoder_start_token_id=START,
            max_source_positions=seconds * PER_SECOND,
        )

    state = named_as_transformers(weights)
    with torch.device("meta"):
        network = WhisperForConditionalGeneration(config(WINDOWS[-1]))
        encoders = {seconds: WhisperEncoder(config(seconds)) for seconds in WINDOWS}
    network.load_state_dict(state, assign=True)
    network.train(False)
    prefix = "model.encoder."
    for seconds, encoder in encoders.items():
        part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        places = "embed_positions.weight"
        part[places] = part[places][: seconds * PER_SECOND]
        encoder.load_state_dict(part, assign=True)
        encoder.train(False)
    features = {s: WhisperFeatureExtractor(feature_size=80, chunk_length=s) for s in WINDOWS}
    (tokenizer,) = sorted(home.rglob("tokenizer.json"))
    return Whisper(network, encoders, features, Tokenizer.from_file(str(tokenizer)))


def named_as_transformers(weights: dict[str, Any]) -> dict[str, Any]:
    """Return CTranslate2's weights under the names, and in the pieces, of ``transformers``."""
    out: dict[str, Any] = {}

    def both(to: str, source: str) -> None:
        out[f"{to}.weight"], out[f"{to}.bias"] = (
            weights[f"{source}/weight"],
            weights[f"{source}/bias"],
        )

    def norm(to: str, source: str) -> None:
        out[f"{to}.weight"], out[f"{to}.bias"] = (
            weights[f"{source}/gamma"],
            weights[f"{source}/beta"],
        )

    def projected(to: str, source: str, names: str) -> None:
        pieces = len(names)
        matrices = weights[f"{source}/weight"].chunk(pieces)
        biases = weights[f"{source}/bias"].chunk(pieces)
        for name, matrix, bias in zip(names, matrices, biases, strict=True):
            out[f"{to}.{name}_proj.weight"] = matrix
            if name != "k":
                out[f"{to}.{name}_proj.bias"] = bias

    for side in ("encoder", "decoder"):
        top = f"model.{side}"
        out[f"{top}.embed_positions.weight"] = weights[f"{side}/position_encodings/encodings"]
        norm(f"{top}.layer_norm", f"{side}/layer_norm")
        for k in range(4):
            source, to = f"{side}/layer_{k}", f"{top}.layers.{k}"
            projected(f"{to}.self_attn", f"{source}/self_attention/linear_0", "qkv")
            both(f"{to}.self_attn.out_proj", f"{source}/self_attention/linear_1")
            norm(f"{to}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            if side == "decoder":
                projected(f"{to}.encoder_attn", f"{source}/attention/linear_0", "q")
                projected(f"{to}.encoder_attn", f"{source}/attention/linear_1", "kv")
                both(f"{to}.encoder_attn.out_proj", f"{source}/attention/linear_2")
                norm(f"{to}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
            both(f"{to}.fc1", f"{source}/ffn/linear_0")
            both(f"{to}.fc2", f"{source}/ffn/linear_1")
            norm(f"{to}.final_layer_norm", f"{source}/ffn/layer_norm")
    for k in (1, 2):
        both(f"model.encoder.conv{k}", f"encoder/conv{k}")
    out["model.decoder.embed_tokens.weight"] = weights["decoder/embeddings/weight"]
    out["proj_out.weight"] = weights["decoder/projection/weight"]
    return out
