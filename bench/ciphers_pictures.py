"""Encrypted pictures: what each attack reads of each protection, before and behind defenses.

    python bench/ciphers_pictures.py albums
    python bench/ciphers_pictures.py sounds
    python bench/ciphers_pictures.py graphs
    python bench/ciphers_pictures.py degrees
    python bench/ciphers_pictures.py learning
    python bench/ciphers_pictures.py mixtures
    python bench/ciphers_pictures.py public_mixtures

``albums``: 40 albums under one key each, of 4 secret pictures of 64 × 64 (one of 16 candidates) and
16 that the attacker knows; four ciphers and AES-GCM, each also with a key for every picture, to an
attacker who does not know of it (static) and to one who does (adaptive). Intervals of bits are over
albums at level 0.95, those of the share of pictures that are identified too.

``sounds``: the same with a second of speech from the pack ``klettres``, 20 albums.

``graphs``: 20 releases of a part of WordNet, 40 nodes asked about in each, by overlap of the two
copies and number of seeds, and behind noise on links.

``degrees``: the same releases behind k-degree anonymity, to attackers who compare degrees, or those
of neighbours too, and to one with seeds.

``learning``: 4 publications of 1,000 pictures of clothes, 50 others asked about each; two laws of
noise at two bounds, learned from as they are and after each way to squeeze them.

``mixtures``: releases of 20 private pictures of 32 × 32, each in 10, 20 or 30 encodings (10, 10 and
20 releases), and 25 releases of 6 encodings each under a one-time pad: 500 private pictures.

``public_mixtures``: the same with two public pictures in each encoding besides the two private
ones, 30 and 50 encodings of each private picture (12 releases each), by similarities of gradients
and, for 50, also by a trained net; and a one-time pad (64 releases of seed 1).

Without ``--rounds`` and ``--seed`` the values are those of docs/ciphers_pictures.md.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.decryption import albums, picture_ciphers
from hartley.games.decryption.deanonymisation import ReleasedGraph
from hartley.kit.protection import aes_gcm, one_time_pad

ASKED: dict[str, int] = {}
"""Rounds and seed of the command line, in place of those of the page."""


def row(
    name: str, scene: Scene, attack: str, *, rounds: int = 0, seed: int = 0, **more: Any
) -> None:
    """Print the bits of one attack, bare or behind a defense, with n and interval."""
    played = catalog.load("attack", attack)
    rounds, seed = ASKED.get("rounds", rounds), ASKED.get("seed", seed)
    rules = {"rounds": rounds} if rounds else {}
    start = time.process_time()
    channel = measure(play(played, scene, seed=seed, game_params=rules, **more))
    metrics = {
        key: f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
        for key, value in channel.metrics.items()
        if isinstance(value, dict) and value["low"] is not None
    }
    bits = channel.bits
    high = channel.ceiling.value if channel.high is None else channel.high
    print(
        f"{name:42s} {attack:20s} {bits.value:6.3f} bits [{bits.lower or 0.0:.3f}, {high:.3f}]",
        f"{time.process_time() - start:6.1f} s",
        metrics,
        flush=True,
    )


def both(
    name: str, scene: Scene, defense: str, settings: dict[str, Any], attack: str, **more: Any
) -> None:
    """Print an attack behind a defense, by an attacker without and with knowledge of it."""
    behind = defended(scene, catalog.load("defense", defense), settings)
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


def of_sounds() -> None:
    """Scrambled speech."""
    scene = load("scrambled_voices")
    row("band scramble", scene, "blind_guess", rounds=20)
    row("band scramble", scene, "band_assignment", rounds=20)
    both("band scramble", scene, "rekeying", {"every": 1}, "band_assignment", rounds=20)
    behind = defended(scene, catalog.load("defense", "aes_gcm"), {})
    row("aes_gcm", behind, "band_assignment", rounds=20)


def of_graphs() -> None:
    """Graphs without names."""
    for overlap, seeds in ((1.0, 40), (0.9, 40), (0.8, 40), (0.9, 10), (0.9, 80)):
        scene = load("released_senses", overlap=overlap, seeds=seeds)
        row(f"overlap {overlap}, {seeds} seeds", scene, "seed_propagation")
    scene = load("released_senses")
    for epsilon in (8.0, 6.0, 4.0):
        both(f"epsilon {epsilon:g}", scene, "noisy_links", {"epsilon": epsilon}, "seed_propagation")
    graph = replace(scene.part(ReleasedGraph), related=False)
    row("independent graphs", scene.with_part(graph), "seed_propagation")


def of_degrees() -> None:
    """Print what attackers by degrees and by seeds read, behind k-degree anonymity."""
    for overlap in (1.0, 0.9):
        scene = load("released_senses", overlap=overlap)
        attackers: tuple[tuple[str, dict[str, Any]], ...] = (
            ("degree_linkage", {"compares": "degree"}),
            ("degree_linkage", {"compares": "neighbours"}),
            ("seed_propagation", {}),
        )
        for attack, params in attackers:
            words = " ".join(map(str, params.values()))
            row(f"overlap {overlap} {words}", scene, attack, params=params)
            for k in (5, 10, 20, 60):
                name = f"overlap {overlap}, k = {k} {words}"
                both(name, scene, "k_degree", {"k": k}, attack, params=params)


def of_learning() -> None:
    """Pictures with noise against learning."""
    scene = load("unlearnable_clothes")
    row("no protection", scene, "plain_learning", rounds=4)
    row("no protection, jpeg", scene, "squeezed_learning", rounds=4)
    for law in ("separable", "error_minimising"):
        for bound in (32, 64):
            params = {"epsilon": bound / 255, "law": law}
            behind = defended(scene, catalog.load("defense", "unlearnable_noise"), params)
            row(f"{law} {bound}/255", behind, "plain_learning", rounds=4)
            for squeeze in ("jpeg", "levels"):
                settings = {"squeeze": squeeze}
                name = f"{law} {bound}/255, {squeeze}"
                row(name, behind, "squeezed_learning", rounds=4, params=settings)


def of_mixtures() -> None:
    """Mixtures of two private pictures with random signs."""
    for times, rounds in ((10, 10), (20, 10), (30, 20)):
        scene = load("mixed_photographs", times=times)
        row(f"{times} encodings of each", scene, "mixture_clustering", rounds=rounds)
    scene = load("mixed_photographs", times=6).with_part(one_time_pad(Modality.VISION))
    row("one-time pad", scene, "mixture_clustering", rounds=25, params={"checks": 1})


def of_public_mixtures() -> None:
    """Mixtures of two private and two public pictures with random signs."""
    for times, similarity in ((50, "gradients"), (50, "trained"), (30, "gradients")):
        scene = load("mixed_photographs", times=times, mixed=2)
        name = f"{times} encodings of each, 2 public, {similarity}"
        params = {"similarity": similarity}
        row(name, scene, "mixture_clustering", rounds=12, params=params)
    scene = load("mixed_photographs", times=6, mixed=2).with_part(one_time_pad(Modality.VISION))
    row("one-time pad", scene, "mixture_clustering", rounds=64, seed=1, params={"checks": 1})


def load(name: str, **rules: Any) -> Scene:
    """Return a scene of the catalogue."""
    scene: Scene = catalog.load("scene", name)(**rules)
    return scene


PARTS = {
    "albums": of_albums,
    "sounds": of_sounds,
    "graphs": of_graphs,
    "learning": of_learning,
    "mixtures": of_mixtures,
    "public_mixtures": of_public_mixtures,
    "degrees": of_degrees,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rounds", type=int, help="of every row")
    parser.add_argument("--seed", type=int, help="of every row")
    options = parser.parse_args()
    ASKED.update({k: v for k in ("rounds", "seed") if (v := getattr(options, k)) is not None})
    PARTS[options.part]()
