"""Encrypted pictures: what each attack reads of each protection, before and behind defenses.

    python bench/ciphers_pictures.py albums

``albums``: 40 albums under one key each, of 4 secret pictures of 64 × 64 (one of 16 candidates) and
16 that the attacker knows; four ciphers and AES-GCM, each also with a key for every picture, to an
attacker who does not know of it (static) and to one who does (adaptive). Intervals of bits are over
albums at level 0.95, those of the share of pictures that are identified too.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.decryption import albums, picture_ciphers
from hartley.kit.protection import aes_gcm


def row(
    name: str, scene: Scene, attack: str, *, rounds: int = 0, seed: int = 0, **more: Any
) -> None:
    """Print the bits of one attack, bare or behind a defense, with n and interval."""
    played = catalog.load("attack", attack)
    rules = {"rounds": rounds} if rounds else {}
    start = time.process_time()
    channel = measure(play(played, scene, seed=seed, game_params=rules, **more))
    metrics = {
        key: f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
        for key, value in channel.metrics.items()
        if isinstance(value, dict) and value["low"] is not None
    }
    bits = channel.bits
    print(
        f"{name:42s} {attack:20s} {bits.value:6.3f} bits, at least {bits.lower or 0.0:6.3f}",
        f"{time.process_time() - start:6.1f} s",
        metrics,
        flush=True,
    )


def both(
    name: str, scene: Scene, defense: str, params: dict[str, Any], attack: str, **more: Any
) -> None:
    """Print an attack behind a defense, by an attacker without and with knowledge of it."""
    behind = defended(scene, catalog.load("defense", defense), params)
    row(f"{name}, {defense}, static", behind, attack, undefended=scene, **more)
    row(f"{name}, {defense}, adaptive", behind, attack, **more)


def of_albums() -> None:
    """Ciphers of albums."""
    items = albums.of_photographs()
    ciphers = (
        picture_ciphers.block_scramble(),
        picture_ciphers.inverted_blocks(),
        picture_ciphers.learnable(),
        picture_ciphers.extended_learnable(),
        aes_gcm(Modality.VISION),
    )
    for cipher in ciphers:
        scene = Scene(cipher.name, Modality.VISION, parts=(items, cipher))
        for attack in ("blind_guess", "jigsaw", "learned_decryption"):
            row(cipher.name, scene, attack)
            if attack != "blind_guess" and cipher.name != "aes_gcm":
                both(cipher.name, scene, "rekeying", {"every": 1}, attack)


PARTS = {"albums": of_albums}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    PARTS[parser.parse_args().part]()
