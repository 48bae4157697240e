"""Texts that come by picture and by speech: what a medium lets through, and what it opens.

    PYTHON bench/media.py curve    # letters and questions that are read, over wear
    PYTHON bench/media.py edges    # a jailbreak typed, by picture and by speech; behind a filter
    PYTHON bench/media.py filters  # the same by picture, behind many draws of the filter

``--seed`` draws the questions, ``--victim`` is the seed of the archive. Needs the packs pp-ocr and
whisper, and for speech the package espeakng-loader; ``--media picture`` does without. Gains are
those of a chain: the same questions, the way to write chosen on questions with public answers.
``edges`` draws the filter as a plan of the same seed does.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.stats import t

import hartley
from hartley import catalog
from hartley.channel.log_gain import LogGain, log_gain
from hartley.core import Knowledge, Scene, Slot, Trials
from hartley.engine.defend import defended
from hartley.games.jailbreak.jailbreak import targets_of
from hartley.games.jailbreak.reading import aim
from hartley.infotheory.channel_matrix import mutual_information
from hartley.models import media
from hartley.models.media import WAY, Media
from hartley.scenes.archive_media import archive_media

torch.set_num_threads(1)

SHORTENED = [0, 0]
"""Conversations that were read too long and lost turns or an end, of all that a file was in."""

_within = media._within


def _counted(turns: Any, *rest: Any) -> Any:
    fitted = _within(turns, *rest)
    SHORTENED[0] += fitted != [*turns]
    SHORTENED[1] += 1
    return fitted


media._within = _counted


def handed(scene: Scene, medium: str, seed: int, probes: int) -> Scene:
    """The scene whose attacker hands texts in by the way that is read best."""
    attack = catalog.load("attack", "rendered_text")
    rng = np.random.default_rng(seed)
    view = aim(scene, targets_of(scene, 1), rng)
    loot = attack(view, rng, medium=medium, probes=probes).asset
    print(f"{medium}: {loot.facts[WAY]}", flush=True)
    return scene.with_part(scene.part(Media).entered(Slot.PROMPT, loot))


def bits(trials: Trials) -> str:
    """Bits a row with their certified end, and how often the secret came out."""
    read = hartley.measure(trials).bits
    rate = float(np.mean(trials.guess == trials.truth))
    return f"{rate:.3f} of {len(trials.truth)}; {read.value:.2f} (at least {read.lower:.2f}) bits"


def curve(arguments: argparse.Namespace) -> None:
    """Print what each medium lets through over wear."""
    for wear in arguments.wear:
        scene = archive_media(seed=arguments.victim, wear=wear)
        for medium in arguments.media:
            for probes in (0, arguments.probes):
                rules = {"rounds": arguments.rounds, "texts": arguments.questions}
                params = {"medium": medium, "probes": probes}
                trials = hartley.play(
                    "rendered_text", scene, seed=arguments.seed, params=params, game_params=rules
                )
                print(f"wear {wear:g}, {medium}, {probes} probes: {bits(trials)}", flush=True)
                figures = hartley.measure(trials).metrics
                for name in ("character_error_rate", "read_exactly", "bits_a_character"):
                    print(f"   {name} {_limits(figures[name])}", flush=True)


def _limits(figure: Any) -> str:
    ends = ", ".join(f"{figure[e]:.3f}" if figure[e] is not None else "–" for e in ("low", "high"))
    return f"{figure['value']:.3f} [{ends}] of {figure['n']}"


def edges(arguments: argparse.Namespace) -> None:
    """Print a jailbreak typed and handed in, without a filter and behind one."""
    rules: dict[str, Any] = {"rounds": arguments.rounds, "questions": arguments.questions}
    rules["ordinary"] = arguments.ordinary
    bare = archive_media(seed=arguments.victim, wear=arguments.wear[0])
    for name in ("", arguments.filter):
        scene = defended(bare, name, seed=arguments.seed) if name else bare
        around: dict[str, Any] = {"seed": arguments.seed, "game_params": rules}
        if name:
            around |= {"knowledge": Knowledge.STATIC, "undefended": scene}
        typed = hartley.play(arguments.attack, scene, **around)
        print(f"{name or 'no filter'}, typed: {bits(typed)}", flush=True)
        for medium in arguments.media:
            where = handed(scene, medium, arguments.seed, arguments.probes)
            shown = hartley.play(arguments.attack, where, **around)
            print(f"{name or 'no filter'}, {medium}: {bits(shown)}", flush=True)
            compared(typed, shown)
            if not name:
                composed(scene, typed, shown, medium, arguments)


def filters(arguments: argparse.Namespace) -> None:
    """Print how much a picture opens behind each of many draws of a filter, on the same questions.

    The share of questions that come through typed varies with the filter; by picture nothing is
    typed, so that one arm serves all draws, and is played behind the first to see that it does.
    """
    rules: dict[str, Any] = {"rounds": arguments.rounds, "questions": arguments.questions}
    around: dict[str, Any] = {
        "seed": arguments.seed,
        "game_params": {**rules, "ordinary": arguments.ordinary},
    }
    bare = archive_media(seed=arguments.victim, wear=arguments.wear[0])
    shown = hartley.play(
        arguments.attack, handed(bare, "picture", arguments.seed, arguments.probes), **around
    )
    print(f"by picture: {bits(shown)}; {SHORTENED[0]} of {SHORTENED[1]} conversations shortened")
    shares, gains = [], []
    for draw in range(arguments.draws):
        scene = defended(bare, arguments.filter, seed=draw)
        known = {"knowledge": Knowledge.STATIC, "undefended": scene}
        if draw == 0:
            again = hartley.play(
                arguments.attack,
                handed(scene, "picture", arguments.seed, arguments.probes),
                **around,
                **known,
            )
            print(f"by picture behind draw 0, alike: {np.array_equal(again.guess, shown.guess)}")
        typed = hartley.play(arguments.attack, scene, **around, **known)
        refusals = typed.metrics["over_refusal"]["value"]
        print(f"draw {draw}, typed: {bits(typed)}; refuses {refusals:.3f} of ordinary questions")
        gains.append(compared(typed, shown))
        shares.append(float(np.mean(typed.guess == typed.truth)))
    over = np.array(shares)
    by_picture = float(np.mean(shown.guess == shown.truth))
    half = t.ppf(0.975, len(over) - 1) * over.std(ddof=1) / np.sqrt(len(over))
    above = sum(gain.p_above < 0.05 for gain in gains)
    below = sum(gain.p_below < 0.05 for gain in gains)
    print(
        f"{len(over)} draws: typed {over.mean():.3f} [{over.mean() - half:.3f}, "
        f"{over.mean() + half:.3f}] (95 %, over draws), from {over.min():.3f} to {over.max():.3f}; "
        f"by picture {by_picture:.3f}; more by picture behind {int((over < by_picture).sum())}, "
        f"above at 5 % behind {above}, below behind {below}"
    )


def compared(typed: Trials, shown: Trials) -> LogGain:
    """Print the gain of handing in over typing, on the same questions."""
    read = [hartley.measure(trials).bits for trials in (typed, shown)]
    gain = log_gain(typed, shown, (read[0].value, read[1].value), certified=read[0].lower,
                    paired=True)  # fmt: skip
    print(
        f"   gain ({gain.scale}): {gain.value} [{gain.low}, {gain.high}], p above "
        f"{gain.p_above:.4g}, p below {gain.p_below:.4g}",
        flush=True,
    )
    return gain


def composed(scene: Scene, typed: Trials, shown: Trials, medium: str, arguments: Any) -> None:
    """Print what the product of reading and of the typed jailbreak would give, and the ceiling.

    The medium is an erasure of a question with its measured chance: once where it is not the
    nearest one that is read, and once where a letter of it is wrong.
    """
    rules = {"rounds": arguments.rounds, "texts": arguments.questions}
    trials = hartley.play("rendered_text", scene, seed=arguments.seed, game_params=rules,
                          params={"medium": medium, "probes": arguments.probes})  # fmt: skip
    share = float(np.mean(typed.guess == typed.truth))
    secrets = typed.spec.alphabet or int(typed.truth.max()) + 1
    for word, passed in (
        ("nearest", float(np.mean(trials.guess == trials.truth))),
        ("exactly", float(np.mean(trials.metrics["read_exactly"]))),
    ):
        channel = np.zeros((secrets, secrets + 1))
        np.fill_diagonal(channel, passed * share)
        channel[:, -1] = 1 - passed * share
        print(f"   product, read {word} ({passed:.3f}): {mutual_information(channel):.2f} bits")
    certified = hartley.measure(shown).bits.lower
    print(f"   ceiling log2 {secrets} = {np.log2(secrets):.2f}, certified {certified:.2f}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["curve", "edges", "filters"])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--victim", type=int, default=0)
    parser.add_argument("--media", nargs="+", default=["picture", "speech"])
    parser.add_argument("--attack", default="multi_turn")
    parser.add_argument("--filter", default="perplexity_filter")
    parser.add_argument("--wear", type=float, nargs="+", default=[1.0])
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--probes", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--questions", type=int, default=6)
    parser.add_argument("--ordinary", type=int, default=20)
    arguments = parser.parse_args()
    {"curve": curve, "edges": edges, "filters": filters}[arguments.what](arguments)


if __name__ == "__main__":
    main()
