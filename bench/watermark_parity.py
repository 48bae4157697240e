"""Hartley's DWT-DCT mark beside invisible-watermark's dwtDct, same photographs and messages.

The peer lives in an environment of its own::

    python -m venv peer
    peer/bin/pip install --no-deps invisible-watermark==0.2.0 opencv-python-headless PyWavelets \
        numpy pillow
    python bench/watermark_parity.py peer/bin/python
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

M, COUNT = 32, 40

PEER = """
import importlib.util, pathlib, sys
import numpy as np
found = importlib.util.find_spec("imwatermark")  # its __init__ imports torch: load the file alone
path = pathlib.Path(found.submodule_search_locations[0]) / "maxDct.py"
spec = importlib.util.spec_from_file_location("maxDct", path)
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
work, what = pathlib.Path(sys.argv[1]), sys.argv[2]
bits, x = np.load(work / "bits.npy"), np.load(work / "x.npy")
out = []
for message, one in zip(bits, x):
    tool = module.EmbedMaxDct(message.tolist(), wmLen=len(message), scales=[0, 36, 36])
    bgr = np.ascontiguousarray(one.transpose(1, 2, 0)[:, :, ::-1])
    if what == "embed":
        out.append(np.clip(np.round(tool.encode(bgr)), 0, 255)[:, :, ::-1].transpose(2, 0, 1))
    else:
        out.append(np.asarray(tool.decode(bgr)).astype(int))
np.save(work / "out.npy", np.stack(out).astype(np.uint8))
"""


def main(peer: str) -> None:
    from hartley.data.photos import carriers
    from hartley.kit.vision import image, marks

    photos = carriers(COUNT).x
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (COUNT, M))
    changes = {
        "none": lambda x: x,
        "jpeg90": lambda x: image.jpeg(x, 90),
        "jpeg50": lambda x: image.jpeg(x, 50),
        "noise5": lambda x: image.eight_bits(x + rng.normal(0, 5 / 255, x.shape)),
        "resize.5": lambda x: image.shrink(x, 0.5),
    }

    def ask(what: str, pictures: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            np.save(work / "bits.npy", bits)
            np.save(work / "x.npy", np.round(pictures * 255).astype(np.uint8))
            subprocess.run([peer, "-c", PEER, folder, what], check=True)
            return np.load(work / "out.npy")

    ours = marks.dwt_dct()
    marked = {
        "invisible-watermark": ask("embed", photos).astype(np.float32) / 255,
        "hartley": np.stack(
            [ours.embed(p, b, k, rng) for k, (p, b) in enumerate(zip(photos, bits, strict=True))]
        ),
    }
    for name, pictures in marked.items():
        row = [
            f"PSNR {np.mean([image.psnr(a, b) for a, b in zip(pictures, photos, strict=True)]):.1f}"
        ]
        for word, change in changes.items():
            seen = np.stack([change(one) for one in pictures])
            read = (
                np.stack([ours.decode(one, k, M) for k, one in enumerate(seen)])
                if name == "hartley"
                else ask("decode", seen)
            )
            row.append(f"{word} {np.mean(read == bits):.3f}")
        print(f"{name:20s}", "  ".join(row))


if __name__ == "__main__":
    main(sys.argv[1])
