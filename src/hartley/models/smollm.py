"""SmolLM2-135M-Instruct from its pack: 4-bit GGUF, turned into safetensors once.

Only the ``gguf`` package reads the file: tensors are dequantised, renamed, and the rows of the
query and key matrices put back in the order that the Llama code of ``transformers`` expects.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.kit.cache import cache_folder
from hartley.kit.file_digests import changed_files, sha256_of_files
from hartley.kit.language import text

if TYPE_CHECKING:
    from torch import Tensor

NAME = "SmolLM2-135M-Instruct"
VERSION = 1
DIGESTS = "digests.json"
"""Beside the converted files: the SHA-256 of each."""

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def network(dtype: str = "") -> Any:
    """Return the network (``LlamaForCausalLM``), converted on first use.

    Args:
        dtype: ``float32`` or ``bfloat16``; empty chooses bfloat16 where the processor has it.

    Raises:
        MissingPack: the pack ``smollm2`` was not fetched.
        MissingExtra: transformers or gguf is not installed.
    """
    home = converted()
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**json.loads((home / "config.json").read_text(encoding="utf-8")))
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    state = load_file(home / "model.safetensors")
    kind = getattr(torch, dtype or native())
    state = {name: tensor.to(kind) for name, tensor in state.items()}
    model.load_state_dict(state, strict=False, assign=True)
    model.tie_weights()
    # The rotary frequencies are not parameters; they must leave the meta device too.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    model.train(False)
    return model


def words(written: Sequence[str] = ()) -> text.Vocabulary:
    """Return the model's vocabulary.

    Args:
        written: marks that come back from their tokens; the others are left out of texts.
    """
    file = (converted() / "tokenizer.json").read_text(encoding="utf-8")
    if not written:
        return text.vocabulary(file)
    content = json.loads(file)
    for token in content["added_tokens"]:
        token["special"] = token["special"] and token["content"] not in written
    return text.vocabulary(json.dumps(content))


def native() -> str:
    """``bfloat16`` where the processor multiplies it itself, else ``float32``."""
    import torch

    able = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bfloat16" if able or torch.cuda.is_available() else "float32"


def converted() -> Path:
    """Return the folder with safetensors, configuration and tokenizer; make it on first use."""
    source = next(locate("smollm2").glob("*.gguf"))
    home = cache_folder() / "smollm2" / f"v{VERSION}"
    if _is_intact(home):
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not _is_intact(home):
            partial = home.with_name(f"{home.name}.{os.getpid()}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _convert(source, partial)
                (partial / DIGESTS).write_text(json.dumps(sha256_of_files(partial)))
                shutil.rmtree(home, ignore_errors=True)
                partial.replace(home)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return home


def _is_intact(home: Path) -> bool:
    """Whether the converted files are there, and are those that were written."""
    try:
        files = json.loads((home / DIGESTS).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(files, dict) and not changed_files(home, files, beside=(DIGESTS,))


def _convert(source: Path, home: Path) -> None:
    try:
        import gguf
        import torch
        from safetensors.torch import save_file
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra(error.name or "transformers", "language") from error

    class Reader(gguf.GGUFReader):
        """Reads from a plain view of the file: slices of a memory map take three times as long."""

        @property
        def data(self) -> Any:
            return self._plain

        @data.setter
        def data(self, mapped: Any) -> None:
            self._plain = mapped.view(np.ndarray)

    reader = Reader(source)
    config = _config(reader)
    state: dict[str, Tensor] = {}
    for tensor in reader.tensors:
        plain = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weight = torch.from_numpy(np.array(plain, dtype=np.float32))
        name = tensor.name.removesuffix(".weight")
        if name.startswith("blk."):
            _, layer, part = name.split(".")
            if part in {"attn_q", "attn_k"}:
                key = "num_attention_heads" if part == "attn_q" else "num_key_value_heads"
                weight = _unpermuted(weight, config[key])
            name = f"model.layers.{layer}.{NAMES[part]}"
        else:
            name = NAMES[name]
        # Four-bit weights lose nothing that matters in bfloat16, and the file is half as large.
        state[f"{name}.weight"] = weight.to(torch.bfloat16).contiguous()
    AutoTokenizer.from_pretrained(
        source.parent, gguf_file=source.name, local_files_only=True
    ).save_pretrained(home)
    (home / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    save_file(state, home / "model.safetensors")


def _config(reader: Any) -> dict[str, Any]:
    def field(name: str) -> Any:
        return reader.fields[name].contents()

    return {
        "vocab_size": len(field("tokenizer.ggml.tokens")),
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": field("llama.attention.head_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "rms_norm_eps": field("llama.attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": field("llama.context_length"),
        "rope_parameters": {"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def _unpermuted(weight: Tensor, heads: int) -> Tensor:
    """Rows of a rotary projection from llama.cpp's order to that of ``transformers``."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
