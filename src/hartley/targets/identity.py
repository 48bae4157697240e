"""Identities of models: digests of their weights, declared and never probed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.kit.cache import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray


def of_weights(kind: str, weights: Mapping[str, NDArray[Any]]) -> str:
    """Return the identity of a model from its parameters by name.

    Args:
        kind: what else is part of the identity: the code and the form of the network.
        weights: arrays by name.
    """
    return f"weights:{digest([kind, dict(weights)])[:32]}"


def of_object(fitted: Any) -> str:
    """Return the identity of a fitted estimator from all its attributes.

    Returns:
        Empty if an attribute has no stable bytes; the model then has no declared identity.
    """
    kind = f"{type(fitted).__module__}.{type(fitted).__qualname__}"
    try:
        import joblib

        return f"object:{kind}:{joblib.hash(fitted)}"
    except Exception:  # it may refuse to be pickled in any way, and joblib may be absent
        return ""


def of_folder(folder: Path) -> str:
    """Return the identity of a model from the files of its folder: names and contents."""
    import hashlib

    state = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0"
        state.update(name.encode("utf-8", "surrogatepass"))  # a file's name may not be UTF-8
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                state.update(block)
    return f"files:{state.hexdigest()[:32]}"
