"""Hold a process to one thread, so that sums do not depend on the machine."""

from __future__ import annotations

import os
import sys

THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)


def one_thread() -> None:
    """Hold this process to one thread, like a worker: sums then do not depend on the machine."""
    for name in THREADS:
        os.environ[name] = "1"
    # Else pyarrow starts one as it is imported, for an allocator that it does not use.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
