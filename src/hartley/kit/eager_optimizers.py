"""The optimizers of ``torch.optim``, without the compiler that their first use loads.

``torch.optim`` marks its methods for ``torch.compile``, and so each process that makes an optimizer
imports the compiler: a second of processor time, for nothing where nobody compiles. These classes
call the methods behind the marks. The numbers are the same to the last bit; for small nets that
need no more than Adam, ``kit.fused_adam`` is faster.
"""

from __future__ import annotations

from functools import cache
from inspect import unwrap
from typing import Any

_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


@cache
def eager(name: str) -> Any:
    """Return the class of an optimizer that is not to be compiled, such as ``Adam`` or ``LBFGS``.

    Raises:
        AttributeError: ``torch.optim`` has no such class.
    """
    import torch

    base = getattr(torch.optim, name)
    methods = {marked: unwrap(getattr(base, marked)) for marked in _MARKED}
    move = unwrap(base.step)

    def step(self: Any, closure: Any = None) -> Any:
        with torch.no_grad():
            return move(self, closure)

    return type(name, (base,), {**methods, "step": step, "__doc__": base.__doc__})
