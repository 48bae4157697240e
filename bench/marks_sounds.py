"""Marks of sounds: Perth on its own figures, and what each mark keeps after each removal.

    PYTHON bench/marks_sounds.py perth     # 200 clips of klettres, as they are: scores, detection
    PYTHON bench/marks_sounds.py perth --seconds 5 --changes nothing  # joined recordings
    PYTHON bench/marks_sounds.py alarms    # 10,000 unmarked clips, each under a fresh key
    PYTHON bench/marks_sounds.py voices --rounds 400  # what two recordings have in common
    PYTHON bench/marks_sounds.py removals  # bits destroyed and detection, by mark and removal
    PYTHON bench/marks_sounds.py defenses  # the same behind defenses of marks

Needs the packs klettres and perth; Codec 2 is played where pycodec2 is installed. Intervals of
shares are Clopper and Pearson's at 95 %, clips being the unit, and beside them of the mean over
voices; those of bits are the game's.
Prints ``ok`` or ``NOT MET`` beside what issue 15 states of Perth.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.stats import binom

from hartley import catalog
from hartley.channel.measure import measure
from hartley.data import audio
from hartley.data.packs import locate
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.infotheory.e_values import mean_interval
from hartley.kit.item_quality import ItemQuality
from hartley.kit.marker import Marker, presence
from hartley.kit.sound import fidelity, marks, transforms
from hartley.models.perth import perth
from hartley.scenes.recordings import recordings

torch.set_num_threads(1)

RATE = transforms.RATE
CHEAP = ("band_limiting", "lossy_coding", "equalising", "retiming", "masking_noise", "vocoding",
         "spectral_denoising")  # fmt: skip
DEAR = ("common_pattern", "detector_evasion", "pattern_copy")
CODEC2 = importlib.util.find_spec("pycodec2") is not None


def changes(rng: np.random.Generator) -> dict[str, Callable[[Any], Any]]:
    """What published recordings of the first bench go through."""
    both: dict[str, Callable[[Any], Any]] = {
        "nothing": lambda wave: wave,
        "MP3, coarsest": lambda wave: transforms.through_codec(wave, "mp3", 1.0),
        "Vorbis, coarsest": lambda wave: transforms.through_codec(wave, "vorbis", 1.0),
        "Opus, coarsest": lambda wave: transforms.through_codec(wave, "opus", 1.0),
        "noise 30 dB": lambda wave: transforms.noisy(wave, 30, rng.standard_normal(len(wave))),
        "speed 1.05": lambda wave: transforms.faster(wave, 1.05),
        "stretch 1.05": lambda wave: transforms.stretched(wave, 1.05),
        "linear prediction": lambda wave: transforms.spoken_anew(
            wave, rng.standard_normal(len(wave))
        ),
    }
    if CODEC2:
        both["Codec 2, 3200 bit/s"] = lambda wave: transforms.vocoded(wave, 3200)
    return both


def share(hits: list[bool]) -> str:
    k, n = sum(hits), len(hits)
    low, high = (float(np.asarray(x)) for x in clopper_pearson(k, n, 0.025))
    return f"{k / n:.3f} [{low:.3f}, {high:.3f}]"


def by_voice(hits: list[bool], voices: list[str]) -> str:
    """The mean share over voices, each counting once, and its interval (betting, level 0.95)."""
    names, at = np.unique(voices, return_inverse=True)
    shares = np.bincount(at, np.array(hits, float)) / np.bincount(at)
    low, high = mean_interval(shares, 0.05)
    return f"{shares.mean():.3f} [{low:.3f}, {high:.3f}] of {len(names)}"


def _clips(count: int, rng: np.random.Generator) -> tuple[list[Any], list[str]]:
    """Clips that are long and loud enough for each of the marks, and their voices.

    Clips are at the rate of the kit. A language counts as one voice, which it is for most of them.
    """
    files = sorted(locate("klettres").rglob("*.ogg"))
    clips: list[Any] = []
    voices: list[str] = []
    for index in rng.permutation(len(files)):
        wave = audio._read(files[index])
        # Some files are louder than a file of whole numbers holds.
        wave = wave / max(1.0, float(np.abs(wave).max()))
        if len(wave) >= marks.SHORTEST * RATE and np.abs(wave).max() > 0.01:
            clips.append(wave)
            voices.append(audio._language(files[index], locate("klettres")))
        if len(clips) == count:
            break
    return clips, voices


def _recordings(
    count: int, seconds: float, rng: np.random.Generator
) -> tuple[list[Any], list[str]]:
    """Clips as they are where ``seconds`` is 0, else recordings that were joined from them."""
    if not seconds:
        return _clips(count, rng)
    whole = audio.recordings(seconds)
    chosen = rng.permutation(len(whole.x))[:count]
    return [whole.x[k] for k in chosen], [str(whole.labels[k]) for k in chosen]


def ours() -> dict[str, Marker]:
    """Our marks, as marks of presence."""
    marker = {"spread": marks.spread_mark(), "echo": marks.echo_mark()}
    return {name: presence(one) for name, one in marker.items()}


def of_perth(count: int, seconds: float, chosen: list[str], seed: int) -> None:
    """Perth and our marks on single clips of one spoken letter or syllable, or on recordings."""
    rng = np.random.default_rng(seed)
    clips, voices = _recordings(count, seconds, rng)
    network, markers = perth(), ours()
    table = {name: change for name, change in changes(rng).items() if name in chosen or not chosen}
    scores: dict[str, list[float]] = {name: [] for name in ("unmarked", "not stored", *table)}
    hits: dict[tuple[str, str], list[bool]] = {}
    near: dict[str, list[float]] = {}
    nothing = np.zeros(0, dtype=np.int64)
    for wave in clips:
        key = int(rng.integers(2**62))
        scores["unmarked"].append(network.score(wave, RATE))
        embedded = network.embed(wave, RATE)
        scores["not stored"].append(network.score(embedded, RATE))
        published = {"perth": marks.stored(embedded)}
        for name, marker in markers.items():
            published[name] = marker.embed(wave, nothing, key, rng)
            alarm = marker.verify(wave, key, nothing).marked() is True
            hits.setdefault((name, "unmarked"), []).append(alarm)
        for name, item in published.items():
            near.setdefault(f"{name} mark", []).append(fidelity.spectral_snr(item, wave))
        for change, through in table.items():
            after = through(published["perth"])
            scores[change].append(network.score(after, RATE))
            near.setdefault(change, []).append(fidelity.spectral_snr(after, published["perth"]))
            for name, marker in markers.items():
                detection = marker.verify(through(published[name]), key, nothing)
                hits.setdefault((name, change), []).append(detection.marked() is True)
    mean = np.mean([len(wave) for wave in clips]) / RATE
    print(f"{len(clips)} clips, {mean:.2f} s on average, seed {seed}")
    _print_perth(scores, hits, near, voices)


def of_alarms(clips: int, pairs: int, seed: int) -> None:
    """What our detectors of presence say about unmarked clips, each under fresh keys."""
    rng = np.random.default_rng(seed)
    waves, _ = _clips(clips, rng)
    nothing = np.zeros(0, dtype=np.int64)
    for name, marker in ours().items():
        alarms = undecided = 0
        for wave in waves:
            for key in rng.integers(2**62, size=pairs // len(waves)).tolist():
                found = marker.verify(wave, key, nothing)
                alarms += found.marked() is True
                undecided += bool(found.undecided)
        n = len(waves) * (pairs // len(waves)) - undecided
        low, high = (float(np.asarray(x)) for x in clopper_pearson(alarms, n, 0.025))
        print(
            f"{name}: {alarms} alarms in {n} pairs of {len(waves)} unmarked clips and a fresh key, "
            f"{alarms / n:.5f} [{low:.5f}, {high:.5f}]; {undecided} undecided"
        )
        verdict("no more than one in 1,000 of unmarked clips, by the lower end", low <= 1e-3)


def _print_perth(
    scores: dict[str, list[float]],
    hits: dict[tuple[str, str], list[bool]],
    near: dict[str, list[float]],
    voices: list[str],
) -> None:
    ours = sorted({name for name, _ in hits}, reverse=True)
    print("log-spectral SNR of a marked clip, dB: " + ", ".join(
        f"{k} {np.mean(v):.1f}" for k, v in near.items() if k.endswith("mark")))  # fmt: skip
    print(f"{'':22}{'Perth ≥ ½':24}{'mean':>7}{'dB':>7}   spread, p ≤ 1e-3       echo, p ≤ 1e-3")
    for change, values in scores.items():
        high = [value >= 0.5 for value in values]
        others = "   ".join(share(hits[name, change]) for name in ours if (name, change) in hits)
        quality = f"{np.mean(near[change]):.1f}" if change in near else ""
        print(f"{change:22}{share(high):24}{np.mean(values):7.3f}{quality:>7}   {others}")
        both = {"Perth": high, **{name: hits.get((name, change), []) for name in ours}}
        each = [f"{name} {by_voice(marked, voices)}" for name, marked in both.items() if marked]
        print(f"{'':22}by voice: {'; '.join(each)}")
    rates = {name: float(np.mean([v >= 0.5 for v in values])) for name, values in scores.items()}
    # At one false alarm in a hundred among these clips, what is left of the clean score?
    level = float(np.quantile(scores["unmarked"], 0.99))
    kept = [value > level for value in scores["nothing"]]
    for name in ours:
        verdict(f"{name}: at least .95 unattacked", float(np.mean(hits[name, "nothing"])) >= 0.95)
    print(f"above the 99 % quantile of unmarked clips ({level:.3f}): {share(kept)}")
    verdict("clean mean at least .99", float(np.mean(scores["nothing"])) >= 0.99)
    verdict("unmarked above ½ in 1 of 20, 0 to 2 allowed", rates["unmarked"] <= 0.10)
    for change, most in (("speed 1.05", 0.10), ("Codec 2, 3200 bit/s", 0.05)):
        if change in rates:
            verdict(f"{change} leaves at most {most:.0%}", rates[change] <= most)
    if not CODEC2:
        print("Codec 2: pycodec2 is not installed")


def of_voices(pairs: int, seed: int) -> None:
    """How much the recogniser sees in common in two recordings that are not of each other."""
    rng = np.random.default_rng(seed)
    scene = recordings(mark="spread")
    quality, clips = scene.part(ItemQuality), scene.extra["carriers"]
    common: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(pairs):
        one, other = rng.choice(len(clips), 2, replace=False)
        alike = bool(clips.labels[one] == clips.labels[other])
        common[alike].append(quality.figures(clips.x[other], clips.x[one])["recognised"])
    least = quality.least["recognised"]
    for alike, values in common.items():
        if values:
            print(f"{'the same' if alike else 'another'} language, {len(values)} pairs: mean "
                  f"{np.mean(values):.2f}, 95 % quantile {np.quantile(values, 0.95):.2f}, "
                  f"at least {least}: {share([value >= least for value in values])}")  # fmt: skip


def verdict(claim: str, met: bool) -> None:
    print(f"{'ok     ' if met else 'NOT MET'} {claim}")


HEADER = (
    f"{'':44}{'bits, of 1':20}{'detected after':20}{'wrong':>6}{'dB':>6}{'SNR':>7}{'voice':>6}"
    f"{'below':>6}"
)


def of_removals(names: list[str], attacks: list[str], rounds: int, seed: int) -> None:
    """Each removal at its strongest above the floors, on each mark, and the forgery."""
    for name in names:
        scene = recordings(mark=name)
        print(f"{name}: {scene.utility(scene) if scene.utility else ''}\n{HEADER}", flush=True)
        broken: list[tuple[float, str]] = []
        rows = settings(name, attacks)
        removals = sum(attack != "pattern_copy" for attack, _ in rows)
        for attack, params in rows:
            label = " ".join([attack, *(str(v) for v in params.values())])
            line, (detected, n), near = played(scene, attack, params, rounds, seed)
            print(f"  {label:42}{line}", flush=True)
            # At 0.95 shared over the removals tried.
            surely = n > 0 and binom.cdf(detected, n, 0.5) <= 0.05 / removals
            if surely and attack != "pattern_copy":
                broken.append((near, label))
        if broken:
            print(f"  the nearest recording in which surely fewer than half are detected: "
                  f"{max(broken)[1]}, {max(broken)[0]:.1f} dB")  # fmt: skip


def of_defenses(names: list[str], chosen: list[str], rounds: int, seed: int) -> None:
    """Defenses of marks, against attackers who know them and who do not.

    Perth has neither a key nor a message, so that none of these defenses is for it.
    """
    rows: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
        ("multi_key", {"keys": 4}, "common_pattern", {}),
        ("per_item_keys", {"doubtful": 0}, "pattern_copy", {}),
        ("per_item_keys", {"doubtful": 3}, "pattern_copy", {}),
        ("per_item_keys", {"doubtful": 0}, "common_pattern", {}),
        ("voting", {"votes": 3}, "masking_noise", {"colour": "white"}),
        ("voting", {"votes": 3}, "common_pattern", {}),
    ]
    for name in names:
        scene = recordings(mark=name)
        print(f"{name}\n{HEADER}", flush=True)
        for defense, setting, attack, params in rows:
            if f"{defense} {attack}" not in chosen and defense not in chosen:
                continue
            after = defended(scene, defense, setting)
            kinds = ["static", *(["adaptive"] if defense == "multi_key" else [])]
            for kind in kinds:
                label = " ".join([defense, *map(str, setting.values()), attack, kind])
                before = scene if kind == "static" else None
                line, _, _ = played(after, attack, params, rounds, seed, before)
                print(f"  {label:42}{line}", flush=True)


def played(
    scene: Any,
    attack_name: str,
    params: dict[str, Any],
    rounds: int,
    seed: int,
    undefended: Any = None,
) -> tuple[str, tuple[int, int], float]:
    """Return a line about an attack, how many of those decided are detected, and the quality in dB.

    A mark of presence alone is played twice as often: a coin marks half of the items.
    """
    attack = catalog.load("attack", attack_name)
    removal = attack.game.name == "watermark"
    alone = removal and not scene.part(Marker).bits
    game = {**attack.game_params, "rounds": rounds * (1 + alone)}
    trials = play(attack, scene, seed=seed, params=params, game_params=game, undefended=undefended)
    row, metrics = measure(trials), trials.metrics
    # Lower ends are certified, upper ones calibrated.
    ends = f"[{row.bits.lower:.2f}, {row.high:.2f}]"
    # Of those decided; an unmarked round, or one that is undecided, has no such figure.
    decided = trials.metrics_by_round.get("detected_after" if removal else "attributed", ())
    hits = [float(value) for value in decided if np.isfinite(value)]
    detected, n = round(sum(hits)), len(hits)
    low, high = 0.0, 1.0
    if n:
        low, high = (float(np.asarray(x)) for x in clopper_pearson(detected, n, 0.025))
    line = (
        f"{row.bits.value:5.2f} {ends:14}"
        f"{detected / max(n, 1):.2f} [{low:.2f}, {high:.2f}] of {n:<4}"
        f"{metrics.get('ber_after', float('nan')):6.2f}{metrics['spectral_snr']:6.1f}"
        f"{metrics['snr']:7.1f}{metrics['recognised']:6.2f}{metrics['violated']:6.2f}"
    )
    return line, (detected, n), float(metrics["spectral_snr"])


def settings(mark: str, attacks: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Attacks with the parameters that they are played at."""
    more: dict[str, list[dict[str, Any]]] = {
        "lossy_coding": [{"codec": codec} for codec in ("mp3", "opus", "vorbis", "gsm")],
        "retiming": [{"most": 0.05}, {"most": 0.2}, {"most": 0.2, "keep_pitch": True}],
        "masking_noise": [{"colour": "white"}, {"colour": "own"}],
        "vocoding": [{}, *([{"vocoder": "codec2"}] if CODEC2 else [])],
        "detector_evasion": [{}, *([{"surrogate": "perth"}] if mark == "perth" else [])],
    }
    return [(attack, params) for attack in attacks for params in more.get(attack, [{}])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("perth", "alarms", "voices", "removals", "defenses"))
    parser.add_argument("--marks", default="spread,echo,perth")
    parser.add_argument("--attacks", default=",".join([*CHEAP, *DEAR]))
    parser.add_argument("--behind", default="multi_key,per_item_keys,voting",
                        help="defenses, or one and an attack with a space between")  # fmt: skip
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.0, help="0: clips as they are")
    parser.add_argument("--changes", default="", help="names, with slashes between; none: all")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    if args.what == "perth":
        chosen = [name for name in args.changes.split("/") if name]
        of_perth(args.clips, args.seconds, chosen, args.seed)
    elif args.what == "alarms":
        of_alarms(args.clips, args.pairs, args.seed)
    elif args.what == "voices":
        of_voices(args.rounds, args.seed)
    elif args.what == "defenses":
        marks_of_a_key = [name for name in args.marks.split(",") if name != "perth"]
        of_defenses(marks_of_a_key, args.behind.split(","), args.rounds, args.seed)
    else:
        of_removals(args.marks.split(","), args.attacks.split(","), args.rounds, args.seed)


if __name__ == "__main__":
    main()
