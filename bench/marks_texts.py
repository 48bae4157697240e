"""Marks of texts: detection against its published rate, false alarms, removals, forgery and speed.

    python bench/marks_texts.py windows [--count 10000]
    python bench/marks_texts.py model_windows [--count 2048]
    python bench/marks_texts.py curves [--count 400] [--temperature 1.0 0.7 0.5]
    python bench/marks_texts.py second_language --corpus FOLDER [--language italian]
    python bench/marks_texts.py shared_coins
    python bench/marks_texts.py smollm2 [--count 256] [--tokens 200]
    python bench/marks_texts.py removals [--marks kgw …] [--rounds 48]
    python bench/marks_texts.py removals --removals paraphrase --by translator [--span 24]
    python bench/marks_texts.py removals --removals window_breaking [--window 3] [--floor 0.8]
    python bench/marks_texts.py forgery [--marks kgw …] [--rounds 24]
    python bench/marks_texts.py defenses [--marks kgw …] [--defense multi_key] [--rounds 48]
    python bench/marks_texts.py alike [--marks kgw …]
    python bench/marks_texts.py speed --markllm FOLDER

``windows`` reads disjoint windows of human text (six novels, dialogues, e-mails; packs austen,
dialogue, spam-assassin) with a fresh key each; ``model_windows`` those that the model wrote without
a mark. ``curves`` is TPR at FPR 1e-3 from 32 to 512 tokens, with the entropy of the model's law.
``second_language`` trains on a language of chatterbot-corpus 1.3.3 (``pip download --no-deps``,
unzipped). ``shared_coins`` is the law of SynthID-text's mean. ``smollm2`` marks texts of SmolLM2
(pack smollm2); what it wrote is stored, so that it can be stopped and gone on with. ``removals``,
``forgery`` and ``defenses`` play the attacks on the scene ``prose`` under its floors of meaning
(pack minilm), each text under a key of its own; half of the rounds of a removal are unmarked
unless ``--marked-alone``.
``alike`` is how often an attacker who knows of four keys takes texts of the right one.
``speed`` reads the same tokens with MarkLLM 0.1.5's KGW detector, whose source lies in FOLDER
(``pip download --no-deps markllm==0.1.5``, unzipped), and with ours.

A verdict line ends each part. Intervals are of 95 %: Clopper–Pearson of shares, t of means.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import spawn
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit.cache import cache_folder
from hartley.kit.language.marks import marked_writer
from hartley.kit.language.marks.text_mark import TextMark
from hartley.scenes.prose import MARKS

RATE = 1e-3
LENGTHS = (32, 64, 128, 200, 256, 384, 512)
WINDOW = 200


def share(hits: np.ndarray) -> str:
    """Return a rate with its interval and n."""
    k, n = int(np.sum(hits)), len(hits)
    low, high = clopper_pearson(k, n, 0.025)
    return f"{k / n:.4f} [{float(low):.4f}, {float(high):.4f}] ({k} of {n})"


def detected(mark: TextMark, texts: np.ndarray, keys: np.ndarray, length: int) -> np.ndarray:
    """Return whether each text is detected by its first tokens."""
    return np.array(
        [
            mark.evidence(row[:length], int(key)).log2_p <= math.log2(RATE)
            for row, key in zip(texts, keys, strict=True)
        ]
    )


def verdict(name: str, holds: bool, what: str) -> bool:
    print(f"{'PASS' if holds else 'FAIL'}  {name}: {what}", flush=True)
    return holds


# ── human windows ────────────────────────────────────────────────────────────────────────────────


def human_texts() -> dict[str, str]:
    from hartley.data import language
    from hartley.data.packs import locate

    novels = ("persuasion", "emma", "mansfield-park", "northanger-abbey", "pride-and-prejudice")
    mails = [
        path.read_text(encoding="latin-1").partition("\n\n")[2]
        for path in sorted(locate("spam-assassin").rglob("*"))
        if path.is_file() and path.stat().st_size < 100_000
    ]
    return {
        "novels": "\n".join(language.novel(one) for one in (*novels, "sense-and-sensibility")),
        "dialogue": "\n".join("\n".join(talk) for talk in language.dialogues()),
        "e-mails": "\n".join(dict.fromkeys(mails)),
    }


def windows(options: argparse.Namespace) -> bool:
    """False alarms on disjoint windows of human text, a fresh key each."""
    from hartley.data import language
    from hartley.kit.language import text

    words = text.byte_pair(language.novel())
    rows, names = [], []
    for name, whole in human_texts().items():
        ids = np.array(words.encode(whole[: 200 * 12 * options.count]), dtype=np.int64)
        cut = ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
        rows.append(cut)
        names += [name] * len(cut)
    whole_rows, labels = np.concatenate(rows), np.array(names)
    rng = np.random.default_rng(options.seed)
    # All of the novels and dialogues; e-mails, of which there are most, fill what is left.
    first = np.argsort(labels == "e-mails", kind="stable")
    rest = (labels != "e-mails").sum()
    some = np.concatenate([first[:rest], rng.permutation(first[rest:])])[: options.count]
    whole_rows, labels = whole_rows[some], labels[some]
    keys = rng.integers(2**62, size=len(whole_rows))
    good = len(whole_rows) >= options.count
    counts = ", ".join(
        f"{n} of {name}" for name, n in zip(*np.unique(labels, return_counts=True), strict=True)
    )
    print(f"{len(whole_rows)} disjoint windows of {WINDOW} tokens ({counts}), fresh keys")
    for name in options.marks:
        start = time.process_time()
        hits = detected(MARKS[name](), whole_rows, keys, WINDOW)
        seconds = time.process_time() - start
        by_source = "; ".join(f"{s} {int(hits[labels == s].sum())}" for s in np.unique(labels))
        low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
        good &= verdict(
            f"{name} false alarms at 1e-3",
            low <= RATE,
            f"{share(hits)}; {by_source}; {len(hits) * WINDOW / seconds:,.0f} tokens/s",
        )
    return good


# ── what a model wrote ───────────────────────────────────────────────────────────────────────────


def small_model(context: int) -> tuple[Any, Any, np.ndarray]:
    """Return a small transformer, its vocabulary and prompts (n, 16) that it did not read."""
    import torch

    from hartley.data import language
    from hartley.kit.cache import cached
    from hartley.kit.language import gpt, text

    words = text.byte_pair(language.novel())
    ids = np.array(words.encode(language.novel()), dtype=np.int64)
    cut = int(len(ids) * 0.8) // context * context
    rows = ids[:cut].reshape(-1, context)
    shape = gpt.Shape(vocabulary=words.size, width=128, layers=2, context=context)
    lesson = gpt.Lesson(epochs=2, batch=1, rate=3e-3)
    key = {**gpt.recipe(shape, lesson), "rows": rows, "seed": 0}
    state = cached("gpt", key, lambda: gpt.train(rows, shape, lesson, 0), code=gpt.train)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    prompts = np.lib.stride_tricks.sliding_window_view(ids[cut:], 16)[::24]
    return marked_writer.small_transformer(tensors, shape), words, prompts


def model_windows(options: argparse.Namespace) -> bool:
    """False alarms on what the model wrote without a mark."""
    begin, _, prompts = small_model(544)
    count = options.count if options.count != 10_000 else 2048
    order = np.random.default_rng(options.seed).integers(len(prompts), size=count)
    writing = marked_writer.write(begin, prompts[order], WINDOW, options.seed)
    keys = np.random.default_rng(options.seed + 1).integers(2**62, size=count)
    print(
        f"{count} windows of {WINDOW} tokens by the model, {writing.entropy.mean():.2f} bits/token"
    )
    good = True
    for name in options.marks:
        hits = detected(MARKS[name](), writing.tokens, keys, WINDOW)
        low = float(clopper_pearson(int(hits.sum()), count, 0.025)[0])
        good &= verdict(f"{name} false alarms at 1e-3, model", low <= RATE, share(hits))
    return good


def curves(options: argparse.Namespace) -> bool:
    """TPR at FPR 1e-3 by length and entropy."""
    begin, words, prompts = small_model(544)
    del words
    count = options.count if options.count != 10_000 else 400
    order = np.random.default_rng(options.seed).integers(len(prompts), size=count)
    good = True
    for name in options.marks:
        mark = MARKS[name]()
        for temperature in options.temperature:
            rng = np.random.default_rng(spawn(options.seed, name, str(temperature)))
            keys = rng.integers(2**62, size=count)
            messages = rng.integers(0, 2, (count, 16)) if mark.read else None
            writing = marked_writer.write(
                begin,
                prompts[order],
                max(LENGTHS),
                options.seed,
                mark,
                keys=keys,
                messages=messages,
                temperature=temperature,
            )
            line = by_length(name, writing.tokens, keys, LENGTHS)
            print(
                f"{name} T={temperature:g} entropy {writing.entropy.mean():.2f} bits/token; {line}",
                flush=True,
            )
            if name == "kgw":
                hits = detected(mark, writing.tokens, keys, WINDOW)
                low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
                good &= verdict(
                    f"kgw T={temperature:g}, TPR at {WINDOW} tokens ≥ .985",
                    low >= 0.985,
                    share(hits),
                )
    return good


def second_language(options: argparse.Namespace) -> bool:
    """KGW on a model of another language, trained on what chatterbot-corpus has of it."""
    import torch

    from hartley.data import language
    from hartley.kit.language import gpt, text

    folder = Path(options.corpus) / options.language
    talks = [talk for path in sorted(folder.glob("*.yml")) for talk in language.conversations(path)]
    whole = "\n".join("\n".join(talk) for talk in talks)
    words = text.byte_pair(whole, 1024)
    ids = np.array(words.encode(whole), dtype=np.int64)
    cut = int(len(ids) * 0.85) // 256 * 256
    rows = ids[:cut].reshape(-1, 256)
    shape = gpt.Shape(vocabulary=words.size, width=128, layers=2, context=256)
    state = gpt.train(rows, shape, gpt.Lesson(epochs=6, batch=1, rate=3e-3), 0)
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    begin = marked_writer.small_transformer(tensors, shape)
    prompts = np.lib.stride_tricks.sliding_window_view(ids[cut:], 16)[::8]
    count = options.count if options.count != 10_000 else 96
    rng = np.random.default_rng(options.seed)
    order, keys = rng.integers(len(prompts), size=count), rng.integers(2**62, size=count)
    print(f"{options.language}: {len(ids)} tokens of {words.size}, {len(talks)} conversations")
    good = True
    for temperature in options.temperature:
        writing = marked_writer.write(
            begin,
            prompts[order],
            WINDOW,
            options.seed,
            MARKS["kgw"](),
            keys=keys,
            temperature=temperature,
        )
        if temperature == options.temperature[0]:
            print(repr(words.decode(writing.tokens[0])[:120]))
        hits = detected(MARKS["kgw"](), writing.tokens, keys, WINDOW)
        print(f"T={temperature:g} entropy {writing.entropy.mean():.2f} bits/token: {share(hits)}")
        good &= temperature < 1 or bool(hits.mean() >= 0.985)
    human = ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
    hits = detected(MARKS["kgw"](), human, rng.integers(2**62, size=len(human)), WINDOW)
    low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
    print(f"false alarms on human windows: {share(hits)}")
    return verdict(f"kgw in {options.language}", good and low <= RATE, "TPR at T = 1, false alarms")


def shared_coins(options: argparse.Namespace) -> bool:
    """False alarms of SynthID-text's mean by the binomial law of all readings, and by ours.

    Layers share a table of 2¹⁶ coins. The law over tables is drawn exactly, by classes of coins
    that are read equally often.
    """
    from scipy import stats

    from hartley.infotheory.exact_tails import log2_weighted_tail
    from hartley.kit.language.marks import tournament

    rng, good, draws = np.random.default_rng(options.seed), True, 400_000
    for n in (200, 500, 1000):
        text = rng.integers(0, 2048, n + 4)
        read = tournament.coins(text, tournament.secrets(1, 30)[0], 4)
        weights = np.unique(read, return_counts=True)[1]
        total = int(weights.sum())
        sums = np.zeros(draws, dtype=np.int64)
        for weight, count in zip(*np.unique(weights, return_counts=True), strict=True):
            sums += weight * rng.binomial(count, 0.5, draws)
        plain = (stats.binom.sf(sums - 1, total, 0.5) <= RATE).mean()
        below, level = total // 2, total  # the least sum that alarms, by bisection
        while level - below > 1:
            middle = (below + level) // 2
            alarms = log2_weighted_tail(weights, middle, 0.5) <= math.log2(RATE)
            below, level = (below, middle) if alarms else (middle, level)
        ours = sums >= level
        low = float(clopper_pearson(int(ours.sum()), draws, 0.025)[0])
        good &= verdict(
            f"synthid, {n} tokens",
            low <= RATE,
            f"variance {np.square(weights).sum() / total:.2f} times the binomial; the binomial law "
            f"alarms at {plain:.5f}, ours at {share(ours)}",
        )
    return good


def stored(folder: Path, name: str, build: Callable[[], dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return arrays that were stored, or build and store them."""
    file = folder / f"{name}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arrays = build()
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.replace(file)
    with np.load(file) as read:
        return {key: read[key] for key in read.files}


def causal_network(network: Any) -> marked_writer.Begin:
    """Return a network of ``transformers`` as a model to write with; keys and values are stored."""

    def begin(rows: np.ndarray, length: int) -> tuple[Any, marked_writer.Advance]:
        import torch

        del length
        past: list[Any] = [None]

        def read(ids: np.ndarray) -> Any:
            with torch.inference_mode():
                answer = network(
                    input_ids=torch.from_numpy(np.ascontiguousarray(ids)),
                    past_key_values=past[0],
                    use_cache=True,
                    logits_to_keep=1,
                )
                past[0] = answer.past_key_values
                return answer.logits[:, -1].float().numpy()

        return read(rows), lambda tokens: read(np.asarray(tokens)[:, None])

    return begin


def smollm2(options: argparse.Namespace) -> bool:
    """Marks on SmolLM2 by length and entropy: texts are written 64 at a time, and stored."""
    from hartley.data import language
    from hartley.models import smollm

    words = smollm.words()
    ids = np.array(words.encode(language.novel()), dtype=np.int64)
    prompts = ids[: len(ids) // 64 * 64].reshape(-1, 64)[:, :32]
    count = options.count if options.count != 10_000 else 256
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(prompts))[:count]
    keys = rng.integers(2**62, size=count)
    folder = Path(options.store) / f"smollm2-{options.tokens}"
    network: list[Any] = []

    def written(at: int, name: str, temperature: float) -> dict[str, np.ndarray]:
        if not network:
            network.append(causal_network(smollm.network()))
        some = slice(at, at + marked_writer.BATCH)
        writing = marked_writer.write(
            network[0],
            prompts[order[some]],
            options.tokens,
            spawn(options.seed, str(at)),
            MARKS[name]() if name != "none" else None,
            keys=keys[some],
            banned=2,
            temperature=temperature,
        )
        return {"tokens": writing.tokens, "entropy": writing.entropy}

    good = True
    lengths = [n for n in LENGTHS if n <= options.tokens]
    for name in options.marks:
        for temperature in options.temperature:
            start = time.process_time()
            parts = [
                stored(
                    folder,
                    f"{name}-{temperature:g}-{options.seed}-{at}",
                    lambda at=at, name=name, t=temperature: written(at, name, t),
                )
                for at in range(0, count, marked_writer.BATCH)
            ]
            tokens = np.concatenate([part["tokens"] for part in parts])
            entropy = np.concatenate([part["entropy"] for part in parts])
            line = by_length(name, tokens, keys[: len(tokens)], lengths)
            print(
                f"SmolLM2 {name} T={temperature:g} entropy {entropy.mean():.2f} bits/token; "
                f"{line}; {time.process_time() - start:.0f} s",
                flush=True,
            )
            print(f"  by entropy: {by_entropy(name, tokens, keys[: len(tokens)], entropy)}")
            if name == "kgw":
                hits = detected(MARKS[name](), tokens, keys[: len(tokens)], options.tokens)
                low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
                good &= verdict(
                    f"kgw on SmolLM2, T={temperature:g}, TPR at {options.tokens} tokens ≥ .985",
                    low >= 0.985,
                    share(hits),
                )
    return good


def by_length(name: str, texts: np.ndarray, keys: np.ndarray, lengths: Sequence[int]) -> str:
    """Return the detection rate at each length, and the median evidence of the whole texts."""
    mark = MARKS["kgw" if name == "none" else name]()
    rates = [f"{n}: {share(detected(mark, texts, keys, n))}" for n in lengths]
    bits = [-mark.evidence(row, int(key)).log2_p for row, key in zip(texts, keys, strict=True)]
    return f"TPR at {'; '.join(rates)}; median evidence {np.median(bits):.1f} bits"


def by_entropy(name: str, texts: np.ndarray, keys: np.ndarray, entropy: np.ndarray) -> str:
    """Return the detection rate of the whole texts in each quarter of their entropy."""
    mark = MARKS["kgw" if name == "none" else name]()
    hits = detected(mark, texts, keys, texts.shape[1])
    quarters = np.array_split(np.argsort(entropy, kind="stable"), 4)
    return "; ".join(f"{entropy[q].mean():.2f} bits/token {share(hits[q])}" for q in quarters)


# ── attacks ──────────────────────────────────────────────────────────────────────────────────────

REMOVALS = (
    "word_substitution",
    "surprisal_rewriting",
    "text_dilution",
    "stolen_scrubbing",
    "paraphrase",
    "surrogate_rewording",
    "detector_walk",
    "window_breaking",
)

WINDOWS = {"kgw": 2, "self_hash": 4, "unigram": 1, "exponential": 3, "synthid": 5, "payload": 2}
"""Tokens that each mark's hash reads, the marked one with them: an attacker knows the scheme."""

ROW = ("evidence", "similarity", "fluency", "own_words")


def removals(options: argparse.Namespace) -> bool:
    """Each removal against each mark, under the floors of meaning and fluency.

    Each text is under a key of its own, and so are the further texts that an attacker holds.
    """
    good = True
    for name in options.marks:
        scene, dealt = marked_scene(name), {}
        left: list[tuple[float, str]] = []
        for removal in options.removals:
            line, evidence = played_line(removal, scene, options, dealt)
            print(f"{name} × {line}", flush=True)
            left.append((evidence, line))
        print(f"least evidence of {name}: {min(left)[1]}", flush=True)
        good &= min(left)[0] < math.inf
    return verdict("removals", good, "every mark and removal was played")


def forgery(options: argparse.Namespace) -> bool:
    """Stealing, then spoofing, against each mark; each victim has a key of its own."""
    good = True
    for name in options.marks:
        line, evidence = played_line("stolen_forgery", marked_scene(name), options, {})
        print(f"{name} × {line}", flush=True)
        good &= math.isfinite(evidence)
    return verdict("forgery", good, "every mark was forged, or withstood")


BEHIND: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("multi_key", {"keys": 4}, ("stolen_scrubbing", "surrogate_rewording")),
    ("multi_key", {"keys": 16}, ("stolen_scrubbing", "surrogate_rewording")),
    ("query_budget", {"queries": 8}, ("detector_walk",)),
    ("query_budget", {"queries": 0}, ("detector_walk",)),
    ("score_noise", {"scale": 5.0, "keep_label": False}, ("detector_walk",)),
    ("score_noise", {"scale": 50.0, "keep_label": False}, ("detector_walk",)),
)
"""Defenses, their settings, and the removals that learn from what the defenses hide."""


def defenses(options: argparse.Namespace) -> bool:
    """Removals behind defenses of what they learn from, known to the attackers or not."""
    from hartley.engine.defend import defended

    for name in options.marks:
        scene = marked_scene(name)
        for defense, setting, attacks in BEHIND:
            if options.defense and defense != options.defense:
                continue
            after, dealt = defended(scene, defense, setting), {}
            for attack in attacks:
                for kind, before in (("static", scene), ("adaptive", None)):
                    line, _ = played_line(attack, after, options, dealt, undefended=before)
                    print(f"{name} behind {defense} {setting}, {kind}: {line}", flush=True)
    return verdict("defenses", True, "every row was played")


def alike(options: argparse.Namespace) -> bool:
    """How many of the texts that an attacker takes for those of one key are under it."""
    from hartley.attacks.data_to_data.watermark._shared.stolen_rules import under_one_key
    from hartley.core import Applied, Data, Modality
    from hartley.kit.marker import Marker

    keys, others, rounds = 4, 64, min(options.rounds, 12)
    several = (Applied("multi_key", {"keys": keys}),)
    for name in options.marks:
        scene = marked_scene(name)
        marker, prompts = scene.find(Marker), scene.extra["carriers"].x
        assert marker is not None
        shares = []
        for k in range(rounds):
            rng = np.random.default_rng(spawn(options.seed, name, str(k)))
            drawn = rng.integers(2**62, size=keys)
            which = rng.integers(keys, size=others + 1)
            some = prompts[rng.integers(len(prompts), size=others + 1)].tolist()
            message = np.zeros(16 if MARKS[name]().read else 0, np.int64)
            texts = marker.embed_all(
                some, [message] * len(some), [int(drawn[w]) for w in which], rng
            )
            further = Data("others", Modality.LANGUAGE, np.array(texts[1:]))
            chosen = {*under_one_key(further, texts[0], several).x.tolist()}
            at = [j for j in range(1, len(texts)) if texts[j] in chosen]
            shares.append(np.mean(which[at] == which[0]) - np.mean(which[1:] == which[0]))
        print(f"{name}: share of the same key above that of all {others}: {mean(np.array(shares))}")
    return verdict("texts of one key", True, "every mark was tried")


def marked_scene(mark: str) -> Any:
    from hartley.scenes.prose import prose

    return prose(mark=mark, similarity="meaning", owners=0)


def played_line(
    attack_name: str,
    scene: Any,
    options: argparse.Namespace,
    dealt: dict[str, Any],
    undefended: Any = None,
) -> tuple[str, float]:
    """Play an attack; return its row in words, and the mean evidence that is left or made.

    Args:
        attack_name: of the catalogue.
        scene: that it plays on.
        options: of the command line.
        dealt: deals by their setting, which attacks share.
        undefended: the scene before its defenses, for an attacker who does not know them.
    """
    from hartley import catalog
    from hartley.channel.measure import measure
    from hartley.engine.run.play import deal, play

    attack = catalog.load("attack", attack_name)
    floor = {"floor": options.floor} if options.floor else {}
    params = {"rounds": options.rounds, **attack.game_params, **floor}
    setting = json.dumps(params)
    start = time.process_time()
    if setting not in dealt:
        whole = deal(attack, scene, seed=options.seed, params=params)
        dealt[setting] = marked_alone(whole) if options.marked_alone else whole
    dealing, start = time.process_time() - start, time.process_time()
    how = {
        "paraphrase": {"by": options.by, "span": options.span},
        "window_breaking": {"window": options.window or WINDOWS[scene.facts["mark"]]},
    }.get(attack_name, {})
    trials = play(
        attack,
        scene,
        seed=options.seed,
        params=how,
        dealt=dealt[setting],
        undefended=undefended,
    )
    seconds = (time.process_time() - start) / len(dealt[setting].rounds)
    rounds = {k: np.asarray(v, dtype=float) for k, v in trials.metrics_by_round.items()}
    words = [f"{attack_name} {how}" if how else attack_name]
    for key in ROW:
        for name in (f"{key}_before", f"{key}_after", key):
            if name in rounds:
                words.append(f"{name} {mean(rounds[name])}")
    for name in (
        *("detected_before", "detected_after", "false_alarm_before", "false_alarm_after"),
        *("attributed", "violated", "undecided_before", "undecided_after", "undecided"),
    ):
        if name in rounds:
            words.append(f"{name} {share(rounds[name])}")
    if "ber_after" in rounds:
        words.append(f"BER {mean(rounds['ber_after'])}")
    if not options.marked_alone:
        bits = measure(trials).bits
        words.append(f"{bits.value:.3f} bits, certified {bits.lower:.3f}")
    words.append(f"{seconds:.2f} s a text, {dealing:.0f} s of dealing")
    last = rounds.get("evidence_after", rounds.get("evidence"))
    return "; ".join(words), math.inf if last is None else float(last.mean())


def marked_alone(dealt: Any) -> Any:
    """Return a deal of the rounds whose text is marked; the others are judged as they are.

    What an attacker does to unmarked texts costs as much, and says nothing of what is left.
    """
    from hartley.core import Outcome

    marked = [k for k, one in enumerate(dealt.rounds) if len(one.truth) > 1 or one.truth[0]]

    def judge(rounds: Any, outcomes: Any) -> list[Any]:
        del rounds
        all_outcomes = [Outcome(asset=one.view.data) for one in dealt.rounds]
        for k, outcome in zip(marked, outcomes, strict=True):
            all_outcomes[k] = outcome
        received = dealt.judge(dealt.rounds, all_outcomes)
        return [received[k] for k in marked]

    return replace(dealt, rounds=tuple(dealt.rounds[k] for k in marked), judge=judge)


def mean(values: np.ndarray) -> str:
    """Return a mean over texts with its interval (Student's t, 2.5 % on either side) and n."""
    from scipy import stats

    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return f"{values.mean():.2f} [{values.mean() - half:.2f}, {values.mean() + half:.2f}] ({n})"


# ── speed ────────────────────────────────────────────────────────────────────────────────────────


def peer_detector(folder: Path, vocabulary: int) -> Callable[[np.ndarray], float]:
    """Return MarkLLM's own KGW scoring of token ids, its class from its source.

    Its package cannot be installed beside a present transformers (it pins Pillow 9.4 and openai
    0.28): the module of KGW is loaded alone, with stand-ins for what it imports and detection does
    not use.
    """
    import torch

    source = folder / "markllm" / "watermark" / "kgw" / "kgw.py"
    for name in ("markllm", "markllm.watermark", "markllm.watermark.kgw"):
        sys.modules.setdefault(name, types.ModuleType(name))
    base = types.ModuleType("markllm.watermark.base")
    base.BaseWatermark = object  # type: ignore[attr-defined]
    sys.modules["markllm.watermark.base"] = base
    needed = source.read_text(encoding="utf-8")
    lines = [
        line
        for line in needed.splitlines()
        if not line.startswith(("from ..", "from utils", "from visualize", "from exceptions"))
    ]
    module = types.ModuleType("markllm_kgw")
    module.__dict__.update(
        BaseWatermark=object, TransformersConfig=object, DataForVisualization=object
    )
    exec(compile("\n".join(lines), str(source), "exec"), module.__dict__)
    settings = json.loads((folder / "markllm" / "config" / "KGW.json").read_text(encoding="utf-8"))
    config = types.SimpleNamespace(**settings, vocab_size=vocabulary, device=torch.device("cpu"))
    utils = module.KGWUtils(config)
    return lambda ids: float(utils.score_sequence(torch.from_numpy(ids))[0])


def speed(options: argparse.Namespace) -> bool:
    """Tokens a second of both detectors, on the same tokens, side by side."""
    good = True
    for vocabulary in (2048, 49_152):
        rng = np.random.default_rng(options.seed)
        law = 1.0 / np.arange(1, vocabulary + 1)
        rows = rng.choice(vocabulary, (20, WINDOW), p=law / law.sum())
        theirs, ours = peer_detector(Path(options.markllm), vocabulary), MARKS["kgw"]()
        rates: dict[str, list[float]] = {"MarkLLM": [], "hartley": []}
        for row in rows:  # in turns, so that both meet the same load of the machine
            start = time.process_time()
            theirs(row)
            rates["MarkLLM"].append(WINDOW / (time.process_time() - start))
            start = time.process_time()
            for _ in range(20):
                ours.evidence(row, 7)
            rates["hartley"].append(20 * WINDOW / max(1e-9, time.process_time() - start))
        ratio = np.array(rates["hartley"]) / np.array(rates["MarkLLM"])
        low, high = np.quantile(ratio, [0.05, 0.95])
        line = ", ".join(f"{name} {np.median(rate):,.0f} tokens/s" for name, rate in rates.items())
        good &= verdict(
            f"KGW detection ≥ 5× MarkLLM, vocabulary {vocabulary}",
            bool(low >= 5),
            f"{line}; ratio {np.median(ratio):.0f}× [{low:.0f}, {high:.0f}] over {len(rows)} texts",
        )
    return good


PARTS = {
    part.__name__: part
    for part in (
        windows,
        model_windows,
        curves,
        second_language,
        shared_coins,
        smollm2,
        removals,
        forgery,
        defenses,
        alike,
        speed,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=WINDOW)
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--marks", nargs="+", default=[*MARKS], choices=[*MARKS, "none"])
    parser.add_argument("--defense", default="", help="the only one that is played")
    parser.add_argument("--span", type=int, default=6, help="words that are rewritten at once")
    parser.add_argument("--marked-alone", action="store_true", help="leave out unmarked texts")
    parser.add_argument("--floor", type=float, default=0.0, help="of similarity; 0: the scene's")
    parser.add_argument("--window", type=int, default=0, help="of window_breaking; 0: the mark's")
    parser.add_argument("--by", default="model", choices=("model", "translator"))
    parser.add_argument("--removals", nargs="+", default=[*REMOVALS])
    parser.add_argument("--temperature", nargs="+", type=float, default=[1.0, 0.7, 0.5])
    parser.add_argument("--corpus", default="chatterbot_corpus/data")
    parser.add_argument("--language", default="italian")
    parser.add_argument("--markllm", default="markllm")
    parser.add_argument("--store", default=str(cache_folder() / "bench-marks"))
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    return 0 if PARTS[options.part](options) else 1


if __name__ == "__main__":
    raise SystemExit(main())
