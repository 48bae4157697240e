"""Decryption: what attacks read of ciphers, of encrypted columns and of streamed answers.

Each part prints a table, and at its end verdicts on what the issue asked for:

    python bench/ciphers.py substitution   # solves and bits by length, unicity distance, seconds
    python bench/ciphers.py short          # substitutions of 4 to 28 letters, by all likely keys
    python bench/ciphers.py vigenere       # periods and lengths
    python bench/ciphers.py controls       # AES-GCM and the one-time pad over 1,000 uses
    python bench/ciphers.py columns        # deterministic and order-preserving census columns
    python bench/ciphers.py streams        # topics of answers that are streamed over TLS
    python bench/ciphers.py speck          # pairs of blocks by rounds of Speck32/64
    python bench/ciphers.py speck6         # 6 rounds, the net trained on four million pairs
    python bench/ciphers.py speck7         # and 7

Bits are of a payload that the auditor drew (seed 0); lower ends are certified at 95 %, upper ends
calibrated. Shares have Clopper–Pearson intervals of 95 %, items being the unit. Needs the packs
austen, dialogue, adult and klettres.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.infotheory.binary_channel import clopper_pearson

ALPHA = 0.05


def share(right: Any) -> str:
    """Return a share with its Clopper–Pearson interval."""
    n, k = len(right), int(np.sum(right))
    low, high = clopper_pearson(k, n, ALPHA / 2)
    return f"{k / n:.3f} [{float(low):.3f}, {float(high):.3f}]"


def bits(channel: Any) -> str:
    """Return the bits of a channel with their limits."""
    high = "–" if channel.high is None else f"{channel.high:.3f}"
    return f"{channel.bits.value:.3f} [{channel.bits.lower or 0:.3f}, {high}]"


def verdict(words: str, holds: bool) -> bool:
    """Print whether something that was asked for holds."""
    print(f"{'HOLDS ' if holds else 'MISSED'} {words}", flush=True)
    return holds


def each(attack: Any, scene: Scene, rounds: int, params: Any = None, **size: int) -> dict[str, Any]:
    """Play an attack; return its channel, and what the judge read of each item."""
    table = deal(attack, scene, seed=0, params={"rounds": rounds, **size})
    figures: list[dict[str, float]] = []

    def judge(rounds_: Any, outcomes: Any) -> Any:
        assert table.judge is not None
        received = table.judge(rounds_, outcomes)
        figures.extend(dict(one.metrics) for one in received)
        return received

    from dataclasses import replace

    began = time.process_time()
    trials = play(
        attack, scene, seed=0, dealt=replace(table, judge=judge), params=params, undefended=None
    )
    took = time.process_time() - began
    return {"channel": measure(trials, redraws=1), "figures": figures, "seconds": took / rounds}


def substitution(texts: int) -> bool:
    """Whole-text solves, letters and bits by the length of the text."""
    from hartley.attacks.data_to_data.decryption.blind_guess import blind_guess
    from hartley.attacks.data_to_data.decryption.ngram_climbing import ngram_climbing
    from hartley.games.decryption import ciphers
    from hartley.scenes.encrypted_messages import encrypted_messages

    scene = encrypted_messages()
    lengths = (8, 12, 16, 19, 28, 36, 44, 52, 60, 80, 100, 150, 200)
    print(f"{texts} texts a length; unicity {ciphers.unicity(ciphers.substitution()):.1f} letters")
    print("letters  solved                letters right  constant  bits a letter         s/text")
    solved: dict[int, Any] = {}
    lows: dict[int, float] = {}
    for length in lengths:
        row = each(ngram_climbing, scene, texts, length=length)
        prior = each(blind_guess, scene, texts, length=length)
        seconds = _median_seconds(ngram_climbing, scene, length) if length == lengths[-1] else None
        solved[length] = [one["solved"] for one in row["figures"]]
        lows[length] = row["channel"].bits.lower or 0.0
        right, constant = (
            np.mean([one["text_accuracy"] for one in r["figures"]]) for r in (row, prior)
        )
        print(
            f"{length:7d}  {share(solved[length])}  {right:.3f}          {constant:.3f}     "
            f"{bits(row['channel'])}  {row['seconds']:.2f}"
            + (f", median {seconds:.2f}" if seconds is not None else ""),
            flush=True,
        )
        if seconds is not None:
            median = seconds
    half, low, high = _half(solved)
    print(f"half of the texts are solved at {half:.1f} letters [{low:.1f}, {high:.1f}]")
    short = [x for n in lengths if n < 20 for x in solved[n]]
    return all(
        [
            verdict(f"at most 1 % solved below 20 letters: {share(short)}", np.mean(short) <= 0.01),
            verdict(
                "bits above the blind prior at every length from 28 letters (certified)",
                all(lows[n] > 0 for n in lengths if n >= 28),
            ),
            verdict(
                f"at least 95 % of 200 letters solved: {share(solved[200])}",
                np.mean(solved[200]) >= 0.95,
            ),
            verdict(f"a median of at most 1 s on one core: {median:.2f} s", median <= 1.0),
        ]
    )


ASKED = 104
"""Secret letters in a short text: four for each sign, so that the key is what varies, not them."""


def short(texts: int) -> bool:
    """Bits and solves of texts too short for one likeliest key, by the posterior of keys."""
    from hartley.attacks.data_to_data.decryption.blind_guess import blind_guess
    from hartley.attacks.data_to_data.decryption.key_sampling import key_sampling
    from hartley.scenes.encrypted_messages import encrypted_messages

    scene = encrypted_messages()
    print(f"{ASKED} planted letters a text")
    print("letters  texts  keys drawn  solved                letters right  bits a letter  blind")
    lows, solves = [], []
    for length, count, particles in (
        *((length, texts, 10_000) for length in (4, 6, 8, 10, 12, 14, 16, 18, 19)),
        (28, texts // 4, 100_000),
    ):
        size = {"length": length, "payload": ASKED}
        row = each(key_sampling, scene, count, {"particles": particles}, **size)
        blind = each(blind_guess, scene, count, **size)
        solved = [one["solved"] for one in row["figures"]]
        solves += solved if length < 20 else []
        lows.append(row["channel"].bits.lower or 0.0)
        print(
            f"{length:7d}  {count:5d}  {particles:10d}  {share(solved)}  "
            f"{np.mean([one['text_accuracy'] for one in row['figures']]):.3f}          "
            f"{bits(row['channel'])}  {bits(blind['channel'])}  {row['seconds']:.2f}",
            flush=True,
        )
    return all(
        [
            verdict("bits above the blind prior at every length (certified)", min(lows) > 0),
            verdict(
                f"at most 1 % solved below 20 letters: {share(solves)}", np.mean(solves) <= 0.01
            ),
        ]
    )


def _median_seconds(attack: Any, scene: Scene, length: int) -> float:
    """Return the median of processor seconds of one text, of 21."""
    table = deal(attack, scene, seed=1, params={"rounds": 21, "length": length})
    times = []
    for k, round_ in enumerate(table.rounds):
        began = time.process_time()
        attack(round_.view, np.random.default_rng(k))
        times.append(time.process_time() - began)
    return float(np.median(times))


def _half(solved: dict[int, Any]) -> tuple[float, float, float]:
    """Return the length at which half are solved, by a logistic curve of log length, and limits.

    Limits are of 400 bootstrap samples of the texts of each length.
    """
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    lengths = np.array(sorted(solved))

    def fitted(shares: Any, n: Any) -> float:
        x = np.log(lengths)

        def loss(p: Any) -> float:
            z = p[1] * (x - p[0])
            return float((n * (np.logaddexp(0, z) - shares * z)).sum())

        return float(np.exp(minimize(loss, [np.log(50.0), 4.0], method="Nelder-Mead").x[0]))

    counts = np.array([len(solved[k]) for k in lengths], dtype=float)
    point = np.array([np.mean(solved[k]) for k in lengths])
    draws = [fitted(rng.binomial(counts.astype(int), point) / counts, counts) for _ in range(400)]
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2])
    return fitted(point, counts), float(low), float(high)


def vigenere(texts: int) -> bool:
    """Solves and bits by the period and the length of the text; the period is not known."""
    from hartley.attacks.data_to_data.decryption.periodic_climbing import periodic_climbing
    from hartley.games.decryption import ciphers
    from hartley.scenes.encrypted_messages import encrypted_messages

    print("period  unicity  letters  solved                bits a letter         s/text")
    rows = {}
    for period in (3, 6, 12, 24):
        scene = encrypted_messages(cipher="vigenere", period=period)
        unicity = ciphers.unicity(ciphers.vigenere(period))
        for length in (2 * int(unicity), 4 * int(unicity), 10 * period):
            row = each(periodic_climbing, scene, texts, length=length)
            right = [one["solved"] for one in row["figures"]]
            rows[period, length] = np.mean(right)
            print(
                f"{period:6d}  {unicity:7.1f}  {length:7d}  {share(right)}  "
                f"{bits(row['channel'])}  {row['seconds']:.2f}",
                flush=True,
            )
    long = min(value for (period, length), value in rows.items() if length >= 10 * period)
    return verdict(
        f"ten letters for each of the key: at least 95 % solved, {long:.3f}", long >= 0.95
    )


def controls(uses: int) -> bool:
    """AES-GCM and the one-time pad in every modality, by every attack that plays it.

    Attacks play AES-GCM as they are shipped, and the pad at the light settings of their checks.
    """
    from hartley import catalog
    from hartley.core import Modality
    from hartley.games.decryption.decryption import decryption
    from hartley.kit import protection
    from hartley.scenes.encrypted_columns import encrypted_columns
    from hartley.scenes.encrypted_messages import encrypted_messages
    from hartley.scenes.encrypted_pictures import encrypted_pictures
    from hartley.scenes.scrambled_voices import scrambled_voices

    attacks = [catalog.load("attack", e.name) for e in catalog.entries("attack")]
    scenes = {
        Modality.LANGUAGE: (encrypted_messages(), 40, 200),
        Modality.TABULAR: (encrypted_columns(), 16, 400),
        Modality.VISION: (encrypted_pictures(), 16, 16),
        Modality.AUDIO: (scrambled_voices(), 16, 16),
    }
    print("modality  control       attack                 bits a symbol         uses  items")
    fine = []
    for modality, (scene, payload, length) in scenes.items():
        for make, shipped in ((protection.aes_gcm, True), (protection.one_time_pad, False)):
            closed = scene.with_part(make(modality))
            for attack in attacks:
                if attack.game is not decryption or modality not in attack.modalities:
                    continue
                rounds = -(-uses // payload)
                settings = None if shipped else attack.light
                row = each(attack, closed, rounds, settings, payload=payload, length=length)
                channel = row["channel"]
                fine.append((channel.bits.lower or 0.0) == 0.0 and channel.bits.value < 0.02)
                print(
                    f"{modality:9s} {make.__name__:13s} {attack.name:22s} {bits(channel)}  "
                    f"{rounds * payload:5d}  {rounds}",
                    flush=True,
                )
    return verdict(f"every control reads 0 over {uses:,} uses", all(fine))


def columns(rounds: int) -> bool:
    """Frequency, order and both, of census columns, before and behind defenses."""
    from hartley.attacks.data_to_data.decryption.blind_guess import blind_guess
    from hartley.attacks.data_to_data.decryption.cumulative_matching import cumulative_matching
    from hartley.attacks.data_to_data.decryption.frequency import frequency
    from hartley.attacks.data_to_data.decryption.sorting import sorting
    from hartley.data.tabular import NUMBERS
    from hartley.defenses.bandwidth.rekeying import rekeying
    from hartley.defenses.noise.frequency_smoothing import frequency_smoothing
    from hartley.scenes.encrypted_columns import encrypted_columns

    print("field      encryption        attack               records right  bits a record")
    fine = []

    def line(
        field: str, name: str, attack: Any, scene: Scene, across: bool = False
    ) -> tuple[float, float]:
        row = each(attack, scene, rounds, {"across": True} if across else None)
        right = float(np.mean([one["record_accuracy"] for one in row["figures"]]))
        low = row["channel"].bits.lower or 0.0
        print(
            f"{field:10s} {name:17s} {attack.name:20s} {right:.3f}          {bits(row['channel'])}"
        )
        sys.stdout.flush()
        return right, low

    for field in ("education", "marital", "occupation", "age", "hours"):
        scene = encrypted_columns(field=field)
        prior, nothing = line(field, "deterministic", blind_guess, scene)
        right, low = line(field, "deterministic", frequency, scene)
        fine += [nothing == 0.0, right > prior]
        # Frequencies of many rare values are alike in a column of 800 records.
        if field not in NUMBERS:
            fine.append(low > 0.0)
        for name, defense, params in (
            ("smoothed", frequency_smoothing, {"copies": 64}),
            ("a key a record", rekeying, {"every": 1}),
        ):
            line(field, name, frequency, defended(scene, defense, params))
        ordered = encrypted_columns(field=field, encryption="order_preserving")
        readers = (frequency, sorting, cumulative_matching)
        fine.append(max(line(field, "order_preserving", a, ordered)[1] for a in readers) > 0.0)
        line(field, "a key a record", sorting, defended(ordered, rekeying, {"every": 1}), True)
    return verdict(
        "frequencies read columns of words, and order every column (certified)", all(fine)
    )


def streams(rounds: int) -> bool:
    """Bits of the topic of a streamed conversation, before and behind defenses."""
    from hartley.attacks.data_to_data.decryption.traffic_runs import traffic_runs
    from hartley.scenes.encrypted_messages import encrypted_messages

    chosen: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
        "none": (),
        "padding 64": (("record_padding", {"pad": 64}),),
        "batches of 5": (("token_batching", {"batch": 5}),),
        "ticks of 0.1 s": (("coarse_timing", {"grid": 0.1}),),
        "padding 64, ticks of 60 s": (
            ("record_padding", {"pad": 64}),
            ("coarse_timing", {"grid": 60.0}),
        ),
        "whole answers, padding 512": (
            ("token_batching", {"batch": 1000}),
            ("record_padding", {"pad": 512}),
        ),
    }
    print("answers  defense                      knows     bits a conversation    right")
    values = {}
    for others in (False, True):
        scene = encrypted_messages(others=others)
        for name, defenses in chosen.items():
            closed = scene
            for defense, params in defenses:
                closed = defended(closed, defense, params)
            for knows, before in (("static", scene), ("adaptive", None)):
                if not defenses and knows == "static":
                    continue
                trials = play(
                    traffic_runs, closed, seed=0, undefended=before, game_params={"rounds": rounds}
                )
                channel = measure(trials, redraws=1)
                values[others, name, knows] = channel
                print(
                    f"{'others' if others else 'same':8s} {name:28s} {knows:9s} "
                    f"{bits(channel)}  {share(trials.guess == trials.truth)}",
                    flush=True,
                )
    plain = values[False, "none", "adaptive"].bits.lower or 0.0
    padded = values[False, "padding 64", "adaptive"].high or np.inf
    return verdict("padding takes bits from an observer who knows of it", padded < plain)


PUBLISHED = {5: 0.929, 6: 0.788, 7: 0.616}
"""Accuracy of Gohr's nets (doi:10.1007/978-3-030-26951-7_6) by rounds of Speck32/64."""


def speck(keys: int) -> bool:
    """Accuracy and bits of a pair of blocks by rounds of the cipher, by net and by counts."""
    from hartley.attacks.data_to_data.decryption.difference_distribution import (
        difference_distribution,
    )
    from hartley.attacks.data_to_data.decryption.neural_distinguisher import neural_distinguisher
    from hartley.scenes.encrypted_blocks import encrypted_blocks

    print(f"{keys} keys, 50 pairs each")
    print("rounds  attack                   accuracy              published  bits a pair      s")
    rows: dict[tuple[int, str], Any] = {}
    for rounds in (*PUBLISHED, 22):
        scene = encrypted_blocks(rounds_of_cipher=rounds)
        for attack in (difference_distribution, neural_distinguisher):
            began = time.process_time()
            trials = play(attack, scene, seed=0, game_params={"rounds": keys})
            took = time.process_time() - began
            channel = measure(trials, redraws=1)
            right = (trials.guess > 0) == (trials.truth == 1)
            rows[rounds, attack.name] = channel, right
            beside = PUBLISHED.get(rounds) if attack is neural_distinguisher else None
            print(
                f"{rounds:6d}  {attack.name:23s}  {share(right)}  "
                f"{'–' if beside is None else f'{beside:.3f}':9s}  {bits(channel)}  {took:.0f}",
                flush=True,
            )
    net = "neural_distinguisher"
    lows = {rounds: rows[rounds, net][0].bits.lower or 0.0 for rounds in PUBLISHED}
    full = [rows[22, name] for name in (net, "difference_distribution")]
    return all(
        [
            verdict(
                "bits of a pair at 5, 6 and 7 rounds (certified)",
                all(low > 0 for low in lows.values()),
            ),
            *(
                verdict(
                    f"{rounds} rounds within 0.03 of the published {there:.3f}: "
                    f"{share(rows[rounds, net][1])}",
                    abs(np.mean(rows[rounds, net][1]) - there) <= 0.03,
                )
                for rounds, there in PUBLISHED.items()
            ),
            verdict(
                "all 22 rounds: 0 bits certified, at most 0.01 at the upper end",
                all(not c.bits.lower and c.high is not None and c.high <= 0.01 for c, _ in full),
            ),
        ]
    )


LONG = 4_000_000
"""Pairs of the longer training; Gohr's nets saw ten million, each 200 times."""

DIFFERENCES = {6: 0.758, 7: 0.591}
"""Accuracy of the exact distribution of differences, by the same paper."""


def longer(rounds: int, keys: int) -> bool:
    """Accuracy at some rounds of a net that is trained on four million pairs."""
    from hartley.attacks.data_to_data.decryption.neural_distinguisher import neural_distinguisher
    from hartley.scenes.encrypted_blocks import encrypted_blocks

    began = time.process_time()
    scene, params = encrypted_blocks(rounds_of_cipher=rounds), {"samples": LONG}
    trials = play(neural_distinguisher, scene, seed=0, params=params, game_params={"rounds": keys})
    right = (trials.guess > 0) == (trials.truth == 1)
    print(
        f"{rounds} rounds, {LONG:,} pairs, {len(right):,} tested: {share(right)}, "
        f"{bits(measure(trials, redraws=1))} bits a pair, {time.process_time() - began:.0f} s; "
        f"published {PUBLISHED[rounds]:.3f}, all differences {DIFFERENCES[rounds]:.3f}"
    )
    return verdict("within 0.03 of the published", abs(np.mean(right) - PUBLISHED[rounds]) <= 0.03)


PARTS = {
    "substitution": (substitution, 200),
    "short": (short, 400),
    "vigenere": (vigenere, 75),
    "controls": (controls, 1000),
    "columns": (columns, 24),
    "streams": (streams, 200),
    "speck": (speck, 200),
    "speck6": (lambda keys: longer(6, keys), 800),
    "speck7": (lambda keys: longer(7, keys), 800),
}


def main() -> int:
    """Run one part, or all; return 1 where a verdict is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--n", type=int, default=0, help="items (uses of controls)")
    given = parser.parse_args()
    chosen = [given.part] if given.part != "all" else [*PARTS]
    return 0 if all([PARTS[name][0](given.n or PARTS[name][1]) for name in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
