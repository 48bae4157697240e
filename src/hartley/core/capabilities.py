"""What a model can do: one table, and everything that iterates over it.

A capability is a callable of a model by name (``Model.calls``). Its row says which access opens it,
what one call is counted as, how an answer is checked, and what is answered where nothing is given
away. The meter, the matcher, the seal, the answer cache, the defenses' wrappers and the conformance
checks read this table and nothing else: a new capability is one row here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hartley.core.errors import AccessDenied, BadModel, NotOffered, RunError, did_you_mean
from hartley.core.taxonomy import Access, Form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.assets import Model

Capability = str
"""The name of a row of ``CAPABILITIES``, for example ``query``."""


class Counted(StrEnum):
    """What one call of a capability is counted as."""

    QUERIES = "queries"
    """One query for each of the records in its first argument; a query budget limits their sum."""
    MODELS = "models"
    """One for each model that it trains: the rows of its second argument, or one."""
    NOTHING = "nothing"
    """Nothing: an attacker who holds the weights asks nobody."""


class Gives(StrEnum):
    """What an answer is, for a defense that treats answers by their kind."""

    ANSWERS = "answers"
    """(n, classes) in the units of ``Model.output``."""
    LOG_PROBABILITIES = "log-probabilities"
    """(n, t−1) of the tokens of texts."""
    TAILS = "tails"
    """(n,) log-probabilities of the ends of texts."""
    MOMENTS = "moments"
    """(n, t−1, 3): log-probability, then the mean and deviation of the law at that place."""
    LIKELIEST = "likeliest tokens"
    """(n, k, 2): token ids and log-probabilities, the likeliest first."""
    TOKENS = "tokens"
    """(n, new) token ids."""
    TEXTS = "texts"
    """(n,) strings."""
    EMBEDDINGS = "embeddings"
    """(n, d) real numbers."""
    GRADIENTS = "gradients"
    """As the records."""
    SLOPES = "slopes"
    """(n, 2 + numbers in a record): a loss, the label, and the gradient of the loss."""
    TOKEN_SLOPES = "token slopes"
    """(n, places, vocabulary): gradients in one-hot tokens."""
    RESULTS = "results"
    """(n,) anything: what tools return."""
    PARAMETERS = "parameters"
    """Arrays by name."""
    MODELS = "models"
    """Trained models."""


Check = Callable[["Model", Any, tuple[Any, ...]], Any]
"""(model, answer, the arguments) → the answer, or BadModel."""

Empty = Callable[["Model", tuple[Any, ...]], Any]
"""(model, the arguments) → what is answered where nothing is given away."""


@dataclass(frozen=True, slots=True)
class CapabilityRow:
    """One thing that a model can do.

    Attributes:
        signature: arguments and answer, with shapes.
        access: any of these flags, where an attack declares it, opens the capability.
        counted: what a call is counted as. What is counted as queries is answered record by
            record: its first argument and its answer have one row a record.
        gives: what an answer is.
        reads: what its records are, where they are language: texts that are given to one that reads
            tokens are encoded by the codec of the model, and to one that reads messages they are
            what the user says.
        check: holds an answer against what the model declares; raises BadModel.
        empty: the answer that gives nothing away, alike for every record; None where there is no
            such answer.
        repeats: whether the same is asked again, so that answers are worth remembering. A search
            by gradients never asks twice at one point.
    """

    signature: str
    access: Access
    counted: Counted
    gives: Gives
    reads: Form | None
    check: Check
    empty: Empty | None = None
    repeats: bool = True

    @property
    def by_record(self) -> bool:
        """Whether the first argument and the answer have one row a record."""
        return self.counted is Counted.QUERIES

    def uses(self, arguments: tuple[Any, ...]) -> int:
        """Return what a call with these arguments counts as, in units of ``counted``."""
        if self.counted is Counted.NOTHING:
            return 0
        if self.counted is Counted.MODELS:
            return len(arguments[1]) if len(arguments) > 1 and hasattr(arguments[1], "ndim") else 1
        return len(arguments[0])


class Calls(dict[Capability, Callable[..., Any]]):
    """Callables by capability. One that is absent is None for ``get``, and denied by ``[…]``.

    ``calls["grad"]`` raises ``NotOffered`` where the model does not have it, ``AccessDenied`` where
    an attack did not declare access to it, and ``RunError`` for a name that is not a capability.
    """

    def __init__(
        self, calls: Mapping[Capability, Callable[..., Any] | None], undeclared: Iterable[str] = ()
    ) -> None:
        """Take over the callables that are not None.

        Args:
            calls: by name.
            undeclared: those that the model has and the attack did not declare access to.

        Raises:
            TypeError: a name that is not a capability, or a value that cannot be called.
        """
        for name, call in calls.items():
            if name not in CAPABILITIES:
                known = ", ".join(CAPABILITIES)
                raise TypeError(f"a capability must be one of {known}, got {name!r}")
            if call is not None and not callable(call):
                raise TypeError(f"{name} must be callable, got a {type(call).__name__}")
        super().__init__({name: call for name, call in calls.items() if call is not None})
        self.undeclared = frozenset(undeclared)

    def __missing__(self, name: Capability) -> Callable[..., Any]:
        if name not in CAPABILITIES:
            hint = did_you_mean(name, CAPABILITIES) or f"; they are {', '.join(CAPABILITIES)}"
            raise RunError(f"there is no capability {name!r}{hint}")
        needed = " or ".join(CAPABILITIES[name].access.words)
        if name in self.undeclared:
            raise AccessDenied(f"{name} used without declaring {needed}")
        raise NotOffered(f"the model does not offer {name}, which this attack needs")


def opened_by() -> Access:
    """Every flag that opens a capability of some model."""
    flags = Access.NOTHING
    for row in CAPABILITIES.values():
        flags |= row.access
    return flags


def _real(what: str, array: Any) -> None:
    if array.dtype.kind not in "biuf":
        raise BadModel(f"{what} must answer with real numbers, got type {array.dtype}")


def _finite(what: str, answer: Any) -> Any:
    import numpy as np

    array = np.asarray(answer).view()
    _real(what, array)
    # The sum is NaN or infinite exactly when some entry is: one pass, no temporary of flags.
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
        raise BadModel(f"{what} answered with NaN or infinity")
    return array


def _shaped(what: str, model: Model, answer: Any, shape: tuple[int, ...]) -> Any:
    array = _finite(what, answer)
    if array.shape != shape:
        raise BadModel(f"{what} of {model.name!r} must have shape {shape}, got {array.shape}")
    return array


def _check_query(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return check_answers(model, answer, len(arguments[0]))


def check_answers(model: Model, answers: Any, n: int) -> Any:
    """Hold a batch of answers against what the model declares; return it as a fresh array view.

    Raises:
        BadModel: NaN, a wrong shape, or other units than declared.
    """
    import numpy as np

    answers = np.asarray(answers).view()
    kind = model.output.value
    shape = (n,) if kind == "labels" else (n, model.classes) if model.classes else None
    if shape is not None and answers.shape != shape:
        raise BadModel(
            f"{kind} of {model.name!r} for {n} records must have shape {shape}, got {answers.shape}"
        )
    _real(f"{model.name!r}", answers)
    if kind == "labels":
        return answers
    if not np.isfinite(answers.sum(dtype=np.float64)):
        raise BadModel(f"{model.name!r} answered with NaN or infinity")
    if (
        kind == "probabilities"
        and n
        and (float(answers.min()) < -1e-4 or float(np.abs(answers.sum(1) - 1).max()) > 1e-2)
    ):
        raise BadModel(
            f"{model.name!r} declares probabilities, but rows do not sum to 1 or are negative "
            "(are they logits? declare output=Output.LOGITS)"
        )
    return answers


def _check_score(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    n, t = arguments[0].shape
    return _shaped("score", model, answer, (n, t - 1))


def _check_moments(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    n, t = arguments[0].shape
    return _shaped("moments", model, answer, (n, t - 1, 3))


def _check_top_logprobs(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    n, k = len(arguments[0]), min(int(arguments[1]), max(model.classes, 1))
    return _shaped("top_logprobs", model, answer, (n, k, 2))


def _check_generate(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return _shaped("generate", model, answer, (len(arguments[0]), int(arguments[1])))


def _check_grad(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return _shaped("grad", model, answer, arguments[0].shape)


def _check_slope(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return _shaped("slope", model, answer, _slopes(arguments[0]))


def _slopes(x: NDArray[Any]) -> tuple[int, int]:
    # Of no record too: it has a size all the same.
    return len(x), 2 + prod(x.shape[1:])


def _check_tail_score(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return _shaped("tail_score", model, answer, (len(arguments[0]),))


def _check_token_slope(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    return _shaped("token_slope", model, answer, _token_slopes(model, arguments))


def _token_slopes(model: Model, arguments: tuple[Any, ...]) -> tuple[int, int, int]:
    import numpy as np

    return len(arguments[0]), np.shape(arguments[2])[-1], model.classes


def _check_embed(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    array = _finite("embed", answer)
    if array.ndim != 2 or len(array) != len(arguments[0]):
        n = len(arguments[0])
        raise BadModel(f"embed of {model.name!r} must have shape ({n}, d), got {array.shape}")
    return array


def _check_chat(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    texts = list(answer)
    if len(texts) != len(arguments[0]) or not all(isinstance(text, str) for text in texts):
        raise BadModel(f"chat of {model.name!r} must answer {len(arguments[0])} texts")
    return texts


def _check_tools(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    results = list(answer)
    if len(results) != len(arguments[0]):
        raise BadModel(
            f"tools of {model.name!r} must return {len(arguments[0])} results, got {len(results)}"
        )
    return results


def _check_weights(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    del arguments
    if not isinstance(answer, Mapping):
        kind = type(answer).__name__
        raise BadModel(f"weights of {model.name!r} must be arrays by name, got a {kind}")
    return answer


def _check_fit(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    if (size := getattr(answer, "size", None)) != len(arguments[1]):
        raise BadModel(
            f"fit of {model.name!r} must train {len(arguments[1])} models, got {size or answer!r}"
        )
    return answer


def _check_train(model: Model, answer: Any, arguments: tuple[Any, ...]) -> Any:
    del arguments
    if not isinstance(getattr(answer, "calls", None), Mapping):
        kind = type(answer).__name__
        raise BadModel(f"train of {model.name!r} must return a model, got a {kind}")
    return answer


def _full(shape: tuple[int, ...], value: Any, dtype: Any = None) -> Any:
    import numpy as np

    return np.full(shape, value, dtype=dtype)


def _no_answers(model: Model, arguments: tuple[Any, ...]) -> Any:
    """Label 0, the uniform row of probabilities, zeros for logits and embeddings."""
    n, classes = len(arguments[0]), max(model.classes, 1)
    if model.output.value == "labels":
        return _full((n,), 0)
    return _full((n, classes), 1 / classes if model.output.value == "probabilities" else 0.0)


def _blind(model: Model) -> float:
    """The log-probability that a blind guess gives a token."""
    from math import log

    return -log(max(model.classes, 1))


def _no_score(model: Model, arguments: tuple[Any, ...]) -> Any:
    n, t = arguments[0].shape
    return _full((n, t - 1), _blind(model))


def _no_tail_score(model: Model, arguments: tuple[Any, ...]) -> Any:
    import numpy as np

    # The log-probability of as many blind guesses as there are tokens from ``first`` on.
    return _blind(model) * ((np.asarray(arguments[0]) >= 0).sum(1) - np.asarray(arguments[1]))


def _no_token_slope(model: Model, arguments: tuple[Any, ...]) -> Any:
    return _full(_token_slopes(model, arguments), 0.0, "float32")


def _no_moments(model: Model, arguments: tuple[Any, ...]) -> Any:
    n, t = arguments[0].shape
    return _full((n, t - 1, 3), (_blind(model), _blind(model), 0.0))


def _no_top_logprobs(model: Model, arguments: tuple[Any, ...]) -> Any:
    """The first tokens of the vocabulary, each as likely as by a blind guess."""
    out = _full((len(arguments[0]), min(int(arguments[1]), max(model.classes, 1)), 2), 0.0)
    out[..., 0] = range(out.shape[1])
    out[..., 1] = _blind(model)
    return out


def _no_tokens(model: Model, arguments: tuple[Any, ...]) -> Any:
    del model
    return _full((len(arguments[0]), int(arguments[1])), 0)


def _no_gradient(model: Model, arguments: tuple[Any, ...]) -> Any:
    del model
    return _full(arguments[0].shape, 0.0, arguments[0].dtype)


def _no_slope(model: Model, arguments: tuple[Any, ...]) -> Any:
    del model
    return _full(_slopes(arguments[0]), 0.0, arguments[0].dtype)


def _no_embeddings(model: Model, arguments: tuple[Any, ...]) -> Any:
    return _full((len(arguments[0]), max(model.width or model.classes, 1)), 0.0)


def _no_texts(model: Model, arguments: tuple[Any, ...]) -> Any:
    del model
    return [""] * len(arguments[0])


def _no_results(model: Model, arguments: tuple[Any, ...]) -> Any:
    del model
    return [None] * len(arguments[0])


_TABLE: dict[Capability, CapabilityRow] = {
    "query": CapabilityRow(
        "records (n, …) → (n, classes) in output units; of tokens (n, t), for the next token",
        Access.LABELS | Access.SCORES | Access.EMBEDDINGS,
        *(Counted.QUERIES, Gives.ANSWERS, Form.TOKENS, _check_query, _no_answers),
    ),
    "score": CapabilityRow(
        "tokens (n, t) → (n, t−1) natural log-probabilities of tokens 1…t−1, 0 at padding",
        Access.SCORES,
        *(Counted.QUERIES, Gives.LOG_PROBABILITIES, Form.TOKENS, _check_score, _no_score),
    ),
    "moments": CapabilityRow(
        "tokens (n, t) → (n, t−1, 3): as score, then mean and deviation of the law at that place",
        Access.SCORES,
        *(Counted.QUERIES, Gives.MOMENTS, Form.TOKENS, _check_moments, _no_moments),
    ),
    "tail_score": CapabilityRow(
        "(tokens (n, t), first, rough) → (n,) log-probability of the tokens from place first on; "
        "first is one number or (n,), and rough allows half precision",
        Access.SCORES,
        *(Counted.QUERIES, Gives.TAILS, Form.TOKENS, _check_tail_score, _no_tail_score),
    ),
    "top_logprobs": CapabilityRow(
        "(tokens (n, t), k, biased (n, m) token ids, bias) → (n, k, 2): ids and natural "
        "log-probabilities of the k likeliest next tokens, with bias added to the logits of the "
        "biased ones; −1 biases none",
        Access.SCORES,
        *(Counted.QUERIES, Gives.LIKELIEST, Form.TOKENS),
        *(_check_top_logprobs, _no_top_logprobs),
    ),
    "generate": CapabilityRow(
        "(tokens (n, t), new, seed) → (n, new) sampled continuation, −1 padded; seed −1 is greedy",
        Access.LABELS | Access.SCORES,
        *(Counted.QUERIES, Gives.TOKENS, Form.TOKENS, _check_generate, _no_tokens),
    ),
    "chat": CapabilityRow(
        "(n conversations, new, seed) → n replies of at most new tokens; seed −1 is greedy",
        Access.LABELS | Access.SCORES,
        *(Counted.QUERIES, Gives.TEXTS, Form.MESSAGES, _check_chat, _no_texts),
    ),
    "embed": CapabilityRow(
        "records (n, …) → (n, width) embeddings",
        Access.EMBEDDINGS,
        *(Counted.QUERIES, Gives.EMBEDDINGS, Form.TEXT, _check_embed, _no_embeddings),
    ),
    "tools": CapabilityRow(
        "n calls, each (name, arguments by name) → n results",
        Access.TOOLS,
        *(Counted.QUERIES, Gives.RESULTS, None, _check_tools, _no_results),
    ),
    "grad": CapabilityRow(
        "(x, y) → gradient of the loss with respect to x, of its shape",
        Access.GRADIENTS,
        *(Counted.QUERIES, Gives.GRADIENTS, None, _check_grad, _no_gradient),
    ),
    "slope": CapabilityRow(
        "(x, y, loss) → (n, 2 + d): the loss, the label given, and the loss's gradient, flat; loss "
        "is ce, margin or dlr, and y (n, 2) adds targets",
        Access.GRADIENTS,
        *(Counted.QUERIES, Gives.SLOPES, None, _check_slope, _no_slope, False),
    ),
    "token_slope": CapabilityRow(
        "(tokens (n, t), first, places (p,) or (n, p), rough) → (n, p, vocabulary): gradient of "
        "−log p of the tokens from place first on in the one-hot tokens at places",
        Access.GRADIENTS,
        *(Counted.QUERIES, Gives.TOKEN_SLOPES, Form.TOKENS),
        *(_check_token_slope, _no_token_slope, False),
    ),
    "weights": CapabilityRow(
        "() → parameters by name, read-only arrays",
        Access.WEIGHTS,
        *(Counted.NOTHING, Gives.PARAMETERS, None, _check_weights),
    ),
    "fit": CapabilityRow(
        "(records, include (K, n), seed) → K models trained by the recipe that the attacker knows",
        Access.TRAIN,
        *(Counted.MODELS, Gives.MODELS, None, _check_fit),
    ),
    "train": CapabilityRow(
        "(records, seed) → the deployed model, trained further on records of the attacker's own",
        Access.TUNE,
        *(Counted.MODELS, Gives.MODELS, None, _check_train),
    ),
}

CAPABILITIES: Mapping[Capability, CapabilityRow] = MappingProxyType(_TABLE)
"""Everything that a model of some kind can do, by name."""
