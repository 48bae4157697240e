"""The devices that a process has computed on."""

from __future__ import annotations

import sys


def devices_used() -> list[str]:
    """Return ``cpu`` and each CUDA device on which torch has held memory in this process.

    Torch is not imported for it: where nobody has loaded it, nobody has used a device by it.
    """
    devices, torch = ["cpu"], sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return devices
    for index in range(torch.cuda.device_count()):
        if torch.cuda.max_memory_allocated(index) > 0:
            devices.append(f"cuda:{index} ({torch.cuda.get_device_name(index)})")
    return devices
