"""Poisoning: published claims at the size of two cores: claim, ours with interval, verdict.

    python bench/poisoning.py rates        # attack success and accuracy on Fashion-MNIST
    python bench/poisoning.py defenses     # R7: what each defense leaves, static and adaptive
    python bench/poisoning.py detection    # R8: activation clustering and spectral signatures
    python bench/poisoning.py alarms       # which clean records the loss filter drops
    PYTHON bench/poisoning.py beside_art   # R8 on the same nets and records as ART itself
    python bench/poisoning.py bits         # certified bits a trigger on digits, 32 victims
    python bench/poisoning.py curve        # number and rate of poison, to where it breaks
    python bench/poisoning.py certificate  # DPA on digits: no attack beats it
    python bench/poisoning.py speed        # poisoned victims as a fleet and by a plain loop
    python bench/poisoning.py texts        # triggers of texts, and the defenses of texts
    python bench/poisoning.py onion        # ONION by a trigram model and by SmolLM2-135M

PYTHON is one that has ART 1.20.1 beside Hartley.

rates        BadNets and Blended with 10 % poison: success ≥ 99 %, accuracy drop ≤ 1 point; with 1 %
             success ≥ 95 % (published on CIFAR-10: 95.0 and 99.9).
defenses     R7: behind a defense success falls to ≤ 5 % and robust accuracy (the true label kept on
             triggered pictures) is within 5 points of the clean accuracy. The adaptive attacker
             plays the best of their declared settings, chosen on victims of their own.
detection    R8: a corner patch on a tenth of the digits (ART 1.20.1, one run: activation clustering
             finds 0.900 of the poison and 0.315 of the rest, spectral signatures 0.292 and 0.137).
beside_art   ART flags records of the very nets that ours flags records of, with the settings of
             its examples: two clusters of 10 principal components of which the smaller one is
             flagged; 1.5 times the expected share of poison of each class.
bits         The certified lower end (95 %) of the bits that a trigger carries, over 32 victims with
             one trigger and a tenth of poison each: uses are independent.
curve        A fixed number of poison records counts, and not their rate (arXiv:2510.07192 for
             language models).
certificate  A certified record never changes its label (arXiv:2006.14768).
texts        Words and syntax succeed in nearly 100 % (arXiv:2006.01043, 2105.12400), a sentence in
             95 % with 1 % of poison (arXiv:1905.12457); ONION takes words out and leaves sentences
             and syntax (arXiv:2011.10369, 2105.12400). Curves of texts: curve --texts.
onion        A trigram model of a dictionary in place of a neural one finds as many trigger words.

One trigger and one message a victim (four of each with --digits); victims and poison are drawn
anew in every round. Intervals are
Student's over victims at 95 % on each side; where all victims agree they are the wide ones of
equal rounds. *Mean only* says that the claim holds at the mean and not over the whole interval.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Channel, Data, Knowledge, Model, Scene
from hartley.defenses.signal.deep_partition_aggregation import certified
from hartley.defenses.signal.loss_filter import LEAST
from hartley.engine.defend import defended
from hartley.engine.plan.plan import sweep as combinations
from hartley.engine.run.play import deal, play
from hartley.engine.run.tuning import tuned, tuning_params, tuning_seed
from hartley.games.poisoning import poisoning as game
from hartley.kit.answer_units import log_probabilities, zero_floor
from hartley.models.pipeline import OPEN
from hartley.scenes.digits import digits
from hartley.scenes.fashion import fashion
from hartley.scenes.glosses import glosses

ALPHA = 0.05
ATTACKS = ("badnets", "blended")
TEXT_ATTACKS = ("word_trigger", "sentence_trigger", "style_trigger", "syntax_trigger")
TEXT_DEFENSES = (
    "none", "onion", "z_defense", "z_defense, class", "loss_filter", "loss_filter 0.15", "deep_knn",
    "spectral_signatures", "activation_clustering", "strip", "fine_pruning", "anti_backdoor",
)  # fmt: skip

DEFENSES: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "none": (),
    "spectral_signatures": (("spectral_signatures", {}),),
    "spectral, calibrated": (("spectral_signatures", {"false_alarms": 0.05}),),
    "activation_clustering": (("activation_clustering", {}),),
    "loss_filter": (("loss_filter", {}),),
    "loss_filter 0.15": (("loss_filter", {"false_alarms": 0.15}),),
    "loss_filter, 4000": (("loss_filter", {"false_alarms": 0.15, "clean": 4000}),),
    "fine_pruning + filter": (
        ("fine_pruning", {}),
        ("loss_filter", {"false_alarms": 0.15, "clean": 4000}),
    ),
    "relabelling": (("suspect_relabelling", {}),),
    "relabelling 0.1": (("suspect_relabelling", {"false_alarms": 0.1}),),
    "deep_knn": (("deep_knn", {}),),
    "strip": (("strip", {}),),
    "fine_pruning": (("fine_pruning", {}),),
    "neural_cleanse": (("neural_cleanse", {}),),
    "anti_backdoor": (("anti_backdoor_learning", {}),),
    "onion": (("onion", {}),),
    "z_defense": (("z_defense", {}),),
    "z_defense, class": (("z_defense", {"expected": "class"}),),
    "partitions": (("deep_partition_aggregation", {}),),
}


def rules(scene: Scene, rate: float, rounds: int) -> dict[str, Any]:
    """Return the parameters of the game for one trigger and a share of the training records."""
    assert scene.train is not None
    poisons = max(1, round(len(scene.train) * rate / (1 - rate)))
    return {"rounds": rounds, "slots": 1, "poisons": poisons}


def behind(scene: Scene, defenses: tuple[tuple[str, Mapping[str, Any]], ...]) -> Scene:
    """Return the scene behind some defenses, first one first."""
    for name, params in defenses:
        scene = defended(scene, name, params, 0)
    return scene


def channel(
    scene: Scene,
    name: str,
    game_params: Mapping[str, Any],
    *,
    bare: Scene | None = None,
    adaptive: bool = False,
    tuning: int = 0,
) -> tuple[Channel, dict[str, Any]]:
    """Play an attack; return its channel, and the setting that was chosen.

    An adaptive attacker chooses by bits, or by success on ``tuning`` victims if that is above 0.
    """
    attack = catalog.load("attack", name)
    dealt = deal(attack, scene, seed=0, params=game_params)
    params = {p.name: p.default for p in attack.parameters}
    chosen: dict[str, Any] = {}
    seed = tuning_seed(0)
    settings = tuple(combinations({name: list(v) for name, v in attack.sweep.items()}))
    if adaptive and tuning:
        few = {**game_params, "rounds": tuning}
        rounds = deal(attack, scene, seed=seed, params=few)
        success = {}
        for n, setting in enumerate(({}, *settings)):
            trials = play(
                attack, scene, seed=seed, params={**params, **setting}, game_params=few,
                dealt=rounds, knowledge=Knowledge.ADAPTIVE,
            )  # fmt: skip
            success[n] = measure(trials).metrics["asr"]["value"]
        best = max(success, key=lambda n: success[n])
        chosen = ({}, *settings)[best]
        params |= chosen
        tried = zip(({}, *settings), success.values(), strict=True)
        rates = ", ".join(f"{setting or 'usual'} {100 * rate:.1f}" for setting, rate in tried)
        print(f"    success in tuning on {tuning} victims: {rates}", flush=True)
    elif adaptive:
        few = tuning_params(attack, game_params, dealt)
        choice = tuned(
            attack, scene, params, settings, few,
            dealt=deal(attack, scene, seed=seed, params=few), seed=seed, budget=None, alpha=ALPHA,
        )  # fmt: skip
        params, chosen = choice.params, choice.record["setting"]
    kind = Knowledge.ADAPTIVE if adaptive else Knowledge.STATIC
    trials = play(
        attack, scene, seed=0, params=params, game_params=game_params, dealt=dealt,
        knowledge=kind, undefended=None if adaptive else bare or scene,
    )  # fmt: skip
    return measure(trials), chosen


def heard(*arguments: Any, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play an attack; return the metrics of its channel, and the setting that was chosen."""
    played, chosen = channel(*arguments, **more)
    return dict(played.metrics), chosen


def shown(figure: Mapping[str, Any] | None, scale: float = 100.0) -> str:
    """A figure in percent, with its interval."""
    if figure is None:
        return "–"
    low, high = figure.get("low"), figure.get("high")
    ends = "" if low is None else f" [{low * scale:.1f}, {high * scale:.1f}]"
    return f"{figure['value'] * scale:.1f}{ends}"


def verdict(figure: Mapping[str, Any], *, least: float | None = None, most: float = 1.0) -> str:
    """Whether a claim holds over the whole interval, at the mean only, or not."""
    low, high, value = figure.get("low"), figure.get("high"), figure["value"]
    if least is not None:
        if value < least:
            return "does not hold"
        return "holds" if low is not None and low >= least else "mean only"
    if value > most:
        return "does not hold"
    return "holds" if high is not None and high <= most else "mean only"


def rates(arguments: argparse.Namespace) -> None:
    scene = fashion(records=arguments.records)
    print(f"Fashion-MNIST, {len(scene.train)} training records, {arguments.rounds} victims each")
    for name in arguments.attacks or ATTACKS:
        # R7 asks 90 % of the attacks that it names at a tenth of poison, and at most 2 points.
        claims = ((0.1, 0.99), (0.01, 0.95)) if name in ATTACKS else ((0.1, 0.90),)
        for rate, least in claims:
            started = time.perf_counter()
            metrics, _ = heard(scene, name, rules(scene, rate, arguments.rounds))
            most = 1 if name in ATTACKS else 2
            asr, drop = metrics["asr"], metrics["clean_accuracy_drop"]
            print(
                f"{name:8s} {rate:4.0%}: claim success ≥ {least:.0%}: ours {shown(asr)} "
                f"(clean model {shown(metrics['base_rate'])}, untriggered "
                f"{shown(metrics['untriggered_rate'])}): {verdict(asr, least=least)}; claim drop "
                f"≤ {most} points: ours {shown(drop)}: {verdict(drop, most=most / 100)}; robust "
                f"accuracy {shown(metrics['robust_accuracy'])}, "
                f"{time.perf_counter() - started:.0f} s",
                flush=True,
            )


def defenses(arguments: argparse.Namespace) -> None:
    scene = digits() if arguments.digits else fashion(records=arguments.records)
    size = rules(scene, arguments.rate, arguments.rounds)
    if arguments.digits:  # four messages a victim, so that settings can be told apart in tuning
        size |= {"slots": 4, "poisons": size["poisons"] // 4}
    print(
        f"{scene.name}, {len(scene.train)} training records, {size['poisons']} poison records for "
        f"each of {size['slots']} triggers, {arguments.rounds} victims each"
    )
    for name in arguments.attacks or ATTACKS:
        for label in arguments.only or DEFENSES:
            after = behind(scene, DEFENSES[label])
            for adaptive in (False, True):
                if adaptive and (label == "none" or arguments.static):
                    continue
                started = time.perf_counter()
                m, chosen = heard(
                    after, name, size, bare=scene, adaptive=adaptive, tuning=arguments.tuning
                )
                clean, robust = m["clean_accuracy"]["value"], m["robust_accuracy"]
                gap = {"value": clean - robust["value"], "high": clean - (robust.get("low") or 0.0)}
                closed = verdict(m["asr"], most=0.05)
                near = verdict(gap, most=0.05)
                found = " ".join(
                    f"{n} {shown(m[n])}"
                    for n in ("dropped_poison", "dropped_clean", "refused_triggered",
                              "refused_clean")
                    if n in m
                )  # fmt: skip
                print(
                    f"{name:8s} {label:22s} {'adaptive' if adaptive else 'static':8s} success "
                    f"{shown(m['asr'])}: {closed}; robust {shown(robust)} of clean "
                    f"{shown(m['clean_accuracy'])} (clean model on triggered "
                    f"{shown(m['base_robust_accuracy'])}): {near} {found} "
                    f"{chosen or ''} {time.perf_counter() - started:.0f} s",
                    flush=True,
                )


def detection(arguments: argparse.Namespace) -> None:
    scene = digits(records=900)
    # ART flags the smaller cluster of every class, whatever its size; its spectral signatures
    # flag about a seventh of the records.
    published = (
        ("activation_clustering", {"smaller": 0.5, "distinct": 0.0}, 0.900, 0.315),
        ("activation_clustering", {}, 0.900, 0.315),
        ("spectral_signatures", {"remove": 0.15}, 0.292, 0.137),
    )
    for rate in (0.1, 0.05):
        size = rules(scene, rate, arguments.rounds)
        for name, params, poison, honest in published:
            m, _ = heard(defended(scene, name, params, 0), "badnets", size, bare=scene)
            found, alarms = m["dropped_poison"], m["dropped_clean"]
            same = inside(found, poison) and inside(alarms, honest)
            print(
                f"{rate:3.0%} poison, {name} {params or 'as it is'}: finds {shown(found)} of the "
                f"poison (ART {poison:.1%} at 10 %), {shown(alarms)} of the rest (ART "
                f"{honest:.1%}): {'holds' if same else 'does not hold'}",
                flush=True,
            )


def alarms(arguments: argparse.Namespace) -> None:
    """The loss filter's threshold: which clean records, and which poison, it drops, by split.

    As it is, a record's mean loss in all models is compared with losses of single models; beside
    it each record is judged by one model alone.
    """
    from hartley.scenes.synsets import synsets

    recipes = {"digits": lambda seed: digits(records=900, seed=seed), "synsets": synsets}
    for label, recipe in recipes.items():
        shares: dict[tuple[str, float, str], list[float]] = {}
        for seed in range(arguments.rounds):
            scene = recipe(seed=seed)
            sets = {"clean": scene.train}
            for name in ("badnets", "blended", "label_flip") if label == "digits" else ():
                part = catalog.load("attack", name)
                table = deal(part, scene, seed=seed, params={"rounds": 1, "poisons": 12})
                sets[name] = part(table.rounds[0].view, np.random.default_rng(seed)).asset
            for key, share in dropped(scene, sets, seed).items():
                shares.setdefault(key, []).append(share)
        for (name, declared, rule), values in shares.items():
            print(f"{label}, {declared:.0%} declared, {rule}: drops {t_interval(values)} % of "
                  f"{name} (n {len(values)} splits)", flush=True)  # fmt: skip


def dropped(
    scene: Scene, sets: Mapping[str, Data], seed: int, folds: int = 4
) -> dict[tuple[str, float, str], float]:
    """Return which share of each set is dropped: by the mean of the models, and by one of them."""
    trusted, output = scene.holdout, scene.model.output
    fold = np.arange(len(trusted)) % folds
    models = scene.fit(trusted, fold != np.arange(folds)[:, None], seed)

    def losses(k: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        answers = models.member(k).query(x)
        logs = log_probabilities(answers, output, floor=zero_floor(answers, LEAST))
        return np.asarray(-logs[np.arange(len(y)), y])

    usual = [losses(k, trusted.x[fold == k], trusted.labels[fold == k]) for k in range(folds)]
    out = {}
    for name, data in sets.items():
        each = np.stack([losses(k, data.x, data.labels) for k in range(folds)])
        at = np.arange(len(data))
        for declared in (0.05, 0.15):
            limit = np.quantile(np.concatenate(usual), 1 - declared, method="higher")
            out[name, declared, "mean of models"] = float((each.mean(0) > limit).mean())
            out[name, declared, "one model"] = float((each[at % folds, at] > limit).mean())
    return out


def inside(figure: Mapping[str, Any], value: float) -> bool:
    low, high = figure.get("low"), figure.get("high")
    return low is not None and high is not None and low <= value <= high


def beside_art(arguments: argparse.Namespace) -> None:
    """Flag records by ours and by ART, of the same nets, and count both."""
    settings = {
        "activation_clustering": ({}, {"smaller": 0.5, "distinct": 0.0}),
        "spectral_signatures": ({"remove": 0.15},),
    }
    scenes = {"digits": digits(records=900), "fashion": fashion(records=arguments.records)}
    attack = catalog.load("attack", "badnets")
    for scene in scenes.values():
        for rate in (0.1, 0.05, 0.02):
            size = rules(scene, rate, arguments.rounds)
            table = deal(attack, scene, seed=0, params=size)
            loots = [
                attack(r.view, np.random.default_rng(i)).asset for i, r in enumerate(table.rounds)
            ]
            n = len(scene.train)
            opened = scene.training.with_(offers=OPEN)
            nets, _ = game.victims_of(replace(scene, fit=opened.fit, training=opened), loots, 0)
            for name, ways in settings.items():
                counts = {"ART": [flagged_by_art(name, scene, nets.member(r), loot, 1.5 * rate)
                                  for r, loot in enumerate(loots)]}  # fmt: skip
                for way in ways:
                    params = {"remove": 1.5 * rate} if "remove" in way else way
                    after = defended(scene, name, params, 0)
                    victims, poison_of = game.victims_of(after, loots, 0)
                    dropped = victims.facts[game.DROPPED]
                    counts[f"ours {params or 'as it is'}"] = [
                        np.concatenate([dropped[r, :n], dropped[r, n:][poison_of == r]])
                        for r in range(len(loots))
                    ]
                for tool, flags in counts.items():
                    found = t_interval([f[n:].mean() for f in flags])
                    alarms = t_interval([f[:n].mean() for f in flags])
                    agree = np.mean(
                        [(a == b).mean() for a, b in zip(flags, counts["ART"], strict=True)]
                    )
                    print(
                        f"{scene.name} {rate:3.0%} poison, {name}, {tool}: finds {found} of it, "
                        f"flags {alarms} of the rest; agrees with ART on {agree:.1%} of records",
                        flush=True,
                    )


def flagged_by_art(name: str, scene: Scene, model: Model, loot: Data, share: float) -> np.ndarray:
    """Return which of the training records, poison last, ART flags in the last hidden layer."""
    from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
    from art.estimators.classification import PyTorchClassifier

    weights = model.weights()
    net = scene.training.net
    module = net.module({name: weights[name] for name in net.shapes}).eval()
    x = np.concatenate([scene.train.x, loot.x]).astype(np.float32)
    y = np.concatenate([scene.train.labels, loot.labels])
    labels = np.eye(model.classes, dtype=np.float32)[y]
    # ART reads the last layer that it is given: the hidden one, as in its examples.
    wrapped = PyTorchClassifier(
        module[:-1], loss=None, input_shape=x.shape[1:], nb_classes=model.classes
    )
    if name == "activation_clustering":
        detector = ActivationDefence(wrapped, x, labels)
        _, clean = detector.detect_poison(nb_clusters=2, nb_dims=10, reduce="PCA")
    else:
        detector = SpectralSignatureDefense(
            wrapped, x, labels, expected_pp_poison=share / 1.5, batch_size=128, eps_multiplier=1.5
        )
        _, clean = detector.detect_poison()
    return np.asarray(clean) == 0


def t_interval(values: list[float]) -> str:
    """The mean in percent with Student's interval over victims."""
    from scipy.stats import t

    width = t.ppf(1 - ALPHA / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    mean = np.mean(values)
    return f"{100 * mean:.1f} [{100 * max(0, mean - width):.1f}, {100 * min(1, mean + width):.1f}]"


def bits(arguments: argparse.Namespace) -> None:
    scene = digits()
    size = rules(scene, arguments.rate, max(32, arguments.rounds))
    print(f"digits, {len(scene.train)} records, {size['poisons']} poison, {size['rounds']} victims")
    for name in arguments.attacks or (*ATTACKS, "label_flip"):
        for label in arguments.only or ("none", *BITS):
            after = behind(scene, DEFENSES[label])
            for adaptive in (False, True):
                if adaptive and (label == "none" or arguments.static):
                    continue
                started = time.perf_counter()
                played, chosen = channel(after, name, size, bare=scene, adaptive=adaptive)
                b = played.bits
                print(
                    f"{name:10s} {label:16s} {'adaptive' if adaptive else 'static':8s} "
                    f"{b.value:.2f} bits, certified {b.lower or 0.0:.2f} or more, "
                    f"{b.alpha} error, n {b.n}; success {shown(played.metrics['asr'])} "
                    f"{chosen or ''} {time.perf_counter() - started:.0f} s",
                    flush=True,
                )


BITS = ("loss_filter", "relabelling", "strip", "fine_pruning", "neural_cleanse")


def curve(arguments: argparse.Namespace) -> None:
    sizes, counts = (225, 450, 900), (1, 2, 4, 8, 16, 32)
    make, usual = digits, ATTACKS
    if arguments.fashion:
        sizes, counts, make = (2000, 8000), (1, 2, 4, 8, 16, 32, 64), fashion
    elif arguments.texts:
        sizes, make, usual = (1000, 2000, 4000), glosses, TEXT_ATTACKS[:2]
    for name in arguments.attacks or usual:
        for records in sizes:
            scene = make(records=records)
            for poisons in counts:
                size = {"rounds": arguments.rounds, "slots": 1, "poisons": poisons}
                m, _ = heard(scene, name, size)
                print(
                    f"{name:8s} {len(scene.train)} records, {poisons:3d} poison "
                    f"({m['poison_rate']['value']:.2%}): success {shown(m['asr'])}, drop "
                    f"{shown(m['clean_accuracy_drop'])}",
                    flush=True,
                )


def certificate(arguments: argparse.Namespace) -> None:
    """Compare the answers of poisoned and clean ensembles with the clean ones' certificates."""
    parts = arguments.parts
    scene = digits()
    after = defended(scene, "deep_partition_aggregation", {"parts": parts}, 0)
    test = scene.extra["test"]
    pairs = changed = beaten = 0
    for name in ("badnets", "blended", "label_flip", "mislabelled_copies"):
        for poisons in (1, 2, 4, 8):
            attack = catalog.load("attack", name)
            size = {"rounds": 4, "slots": 1, "poisons": poisons}
            table = deal(attack, after, seed=poisons, params=size)
            loots = [
                attack(r.view, np.random.default_rng(i)).asset for i, r in enumerate(table.rounds)
            ]
            victims, _ = game.victims_of(after, loots, 0)
            clean = victims.member(len(loots)).query(test.x)
            safe = certified(clean, parts) >= poisons
            for r, loot in enumerate(loots):
                x = game.triggers.stamped(loot, 0, test.x)
                for records in (test.x, x):
                    before = victims.member(len(loots)).query(records)
                    holds = certified(before, parts) >= len(loot)
                    moved = victims.member(r).query(records).argmax(1) != before.argmax(1)
                    pairs += int(holds.sum())
                    changed += int((moved & ~holds).sum())
                    beaten += int((moved & holds).sum())
            print(
                f"{name} {poisons} poison: {safe.mean():.1%} of {len(test)} test records certified,"
                f" accuracy {(clean.argmax(1) == test.labels).mean():.1%}",
                flush=True,
            )
    print(
        f"{beaten} of {pairs} certified answers changed, {changed} of the others did: "
        + ("holds" if not beaten and pairs >= 1000 else "does not hold")
    )


def speed(arguments: argparse.Namespace) -> None:
    """Train the same poisoned victims as a fleet and by a plain loop of PyTorch, in turns."""
    attack = catalog.load("attack", "badnets")
    for scene, rounds in ((digits(), 16), (fashion(records=2000), 4)):
        size = {**rules(scene, 0.1, rounds)}
        table = deal(attack, scene, seed=0, params=size)
        loots = [attack(r.view, np.random.default_rng(i)).asset for i, r in enumerate(table.rounds)]
        seconds: dict[str, list[float]] = {"auto": [], "plain": []}
        for _ in range(arguments.turns):
            for strategy, spent in seconds.items():
                owner = scene.training.with_(cached=False, strategy=strategy)
                began = time.process_time()
                game.victims_of(replace(scene, fit=owner.fit, training=owner), loots, 0)
                spent.append(time.process_time() - began)
        fleet, plain = min(seconds["auto"]), min(seconds["plain"])
        print(
            f"{scene.name}: {rounds} poisoned victims and the clean ones, least of "
            f"{arguments.turns} turns: fleet {fleet:.2f} CPU-s, plain loop {plain:.2f}: "
            f"{plain / fleet:.1f} times; claim ≥ 3: "
            + ("holds" if plain >= 3 * fleet else "does not hold"),
            flush=True,
        )


def texts(arguments: argparse.Namespace) -> None:
    scene = glosses()
    claims = {("word_trigger", 0.1): 0.99, ("sentence_trigger", 0.01): 0.95,
              ("sentence_trigger", 0.1): 0.99, ("syntax_trigger", 0.1): 0.99}  # fmt: skip
    print(f"definitions, {len(scene.train)} training texts, {arguments.rounds} victims each")
    for name in arguments.attacks or TEXT_ATTACKS:
        for rate in () if arguments.only else (0.1, 0.01):
            m, _ = heard(scene, name, rules(scene, rate, arguments.rounds))
            least = claims.get((name, rate))
            claim = ""
            if least is not None:
                claim = f": claim ≥ {least:.0%}: {verdict(m['asr'], least=least)}"
            print(
                f"{name:16s} {rate:4.0%}: success {shown(m['asr'])} (clean model "
                f"{shown(m['base_rate'])}), accuracy {shown(m['clean_accuracy'])}, drop "
                f"{shown(m['clean_accuracy_drop'])}{claim}",
                flush=True,
            )
        for label in arguments.only or TEXT_DEFENSES[1:]:
            after = behind(scene, DEFENSES[label])
            for adaptive in (False,) if arguments.static else (False, True):
                size = rules(scene, arguments.rate, arguments.rounds)
                if not arguments.static:  # four messages a victim tell settings apart in tuning
                    size |= {"slots": 4, "poisons": size["poisons"] // 4}
                m, chosen = heard(after, name, size, bare=scene, adaptive=adaptive)
                counted = " ".join(
                    f"{n} {shown(m[n])}" for n in m if n.startswith(("dropped", "refus", "remov"))
                )
                print(
                    f"{name:16s} {label:22s} {'adaptive' if adaptive else 'static':8s} success "
                    f"{shown(m['asr'])}, true label {shown(m['robust_accuracy'])}, accuracy "
                    f"{shown(m['clean_accuracy'])} {counted} {chosen or ''}",
                    flush=True,
                )


def onion(arguments: argparse.Namespace) -> None:
    """Take words out of the same texts by two language models, at one rate on clean words."""
    from hartley.defenses.noise.onion import suspicion
    from hartley.kit.language.word_model import PublicTexts
    from hartley.models import smollm

    scene, few = glosses(), 8 * arguments.rounds
    model, words = scene.part(PublicTexts).model, smollm.words()
    network = smollm.network("float32")
    attacks = {n: catalog.load("attack", n) for n in ("word_trigger", "sentence_trigger")}
    view = deal(attacks["word_trigger"], scene, seed=0, params={"rounds": 1, "slots": 1}).rounds[0]

    def neural(text: str) -> Any:
        import torch

        parts = text.split()
        rows = [text, *(" ".join([*parts[:k], *parts[k + 1 :]]) for k in range(len(parts)))]
        nats = []
        with torch.no_grad():
            for row in rows:
                ids = torch.tensor([[0, *words.encode(row)]])
                logs = torch.log_softmax(network(ids).logits[0, :-1].float(), 1)
                nats.append(-float(logs.gather(1, ids[0, 1:, None]).mean()))
        return nats[0] - np.array(nats[1:])

    holdout, test = scene.holdout.x[:few], scene.extra["test"].x[:few]
    for label, ask in (("trigram", lambda t: suspicion(model, t)), ("SmolLM2-135M", neural)):
        began = time.process_time()
        usual = np.concatenate([ask(str(text)) for text in holdout])
        limit = np.quantile(usual, 0.9)
        alarms = np.concatenate([ask(str(text)) for text in test])
        print(f"{label}: takes {(alarms > limit).mean():.1%} of the words of {few} clean texts",
              flush=True)  # fmt: skip
        for name, attack in attacks.items():
            loot = attack(view.view, np.random.default_rng(0)).asset
            new = {w for phrase in loot.facts["insertions"][0] for w in phrase.split()}
            gone = [
                value > limit
                for text in game.triggers.stamped(loot, 0, test)
                for word, value in zip(text.split(), ask(str(text)), strict=True)
                if word in new
            ]
            print(f"  {name}: {np.mean(gone):.1%} of {len(gone)} trigger words, "
                  f"{time.process_time() - began:.0f} CPU-s so far", flush=True)  # fmt: skip


PARTS = {
    f.__name__: f
    for f in (
        *(rates, defenses, detection, alarms, beside_art, bits, curve, certificate, speed),
        *(texts, onion),
    )
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=8000)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--tuning", type=int, default=0, help="victims that success is tuned on")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--parts", type=int, default=30)
    parser.add_argument("--digits", action="store_true", help="defenses on digits, in seconds")
    parser.add_argument("--fashion", action="store_true", help="curve on Fashion-MNIST")
    parser.add_argument("--texts", action="store_true", help="the curve on texts")
    parser.add_argument("--static", action="store_true", help="static attackers only")
    parser.add_argument("--only", nargs="*", choices=DEFENSES)
    parser.add_argument("--attacks", nargs="*")
    given = parser.parse_args()
    PARTS[given.part](given)
