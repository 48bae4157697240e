"""A user's own network in a Python file, with its weights, its records and its training loop."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import hartley
from hartley import catalog
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.channel.measure import measure
from hartley.core.errors import RunError, UsageError
from hartley.defenses.noise.dp_sgd import noise_for
from hartley.engine.defend import defended, fitting
from hartley.engine.plan.applicability import unplayable
from hartley.engine.plan.own_scene import own_scene
from hartley.engine.run.play import play
from hartley.program.wording import in_python
from hartley.scenes import own_network as own_network_module
from hartley.targets.user_training import seeded

HALF = 60
NET = """
import torch.nn as nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(16, 3))

class Wide(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 3)

class Other(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(16, 4))

class Pair(Net):
    def forward(self, x):
        return super().forward(x), x

class Soft(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)

class Broken(Net):
    def forward(self, x):
        return x.reshape(7, 7)

def build():
    return Net()

def four():
    return 4

def labels(x):
    return x.reshape(len(x), -1)[:, 0] > 2
"""
DATA = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

rng = np.random.default_rng(0)
x = rng.normal(size=(120, 1, 4, 4)).astype(np.float32)
y = rng.integers(0, 3, 120)
x[np.arange(120), 0, 0, y] += 1
train, test = (x[:60], y[:60]), (x[60:], y[60:])
as_set, test_set = (TensorDataset(torch.tensor(a), torch.tensor(b)) for a, b in (train, test))
loader, test_loader = (DataLoader(s, batch_size=7, shuffle=True) for s in (as_set, test_set))

def function():
    return {"x": train[0], "y": torch.tensor(train[1])}

class Noisy(Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, k):
        return train[0][k] + np.random.normal(), train[1][k]

class Endless(IterableDataset):
    def __iter__(self):
        yield train[0][0], train[1][0]

noisy, endless, number = Noisy(), Endless(), 3
uneven = x[:60], y[:59]
hole = np.where(x[:60] > 2, np.nan, x[:60]), y[:60]
words = x[:60], np.array(["cat"] * 60)
onehot = x[:60], np.eye(3)[y[:60]]
outside = x[:60], y[:60] + 1
three = x[:60, 0], y[:60]
smaller = x[:60, :, :3], y[:60]
empty = x[:0], y[:0]
moved = x[:60], (y[:60] + 1) % 3

def fails():
    return 1 / 0

def needs(path):
    return path
"""
TRAIN = """
import torch
import torch.nn.functional as F
from net import Net

def fit(x, y, device="cpu"):
    with open("calls", "a") as file:
        file.write(f"{float(x.sum()):.6f}\\n")
    print("epoch")
    net, x, y = Net(), torch.from_numpy(x).to(device), torch.from_numpy(y)
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net

def nothing(x, y):
    Net()

def fails(x, y):
    raise ValueError("no such\\noptimiser")

def four(x, y):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))

def alone(dataset):
    return dataset
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained network, the names of data.py, and files of weights, right ones and wrong ones."""
    folder, names = tmp_path_factory.mktemp("weights"), {}
    exec(DATA, names)
    x, y = (torch.tensor(part) for part in names["train"])
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    state = net.state_dict()
    save_file(state, folder / "w.safetensors")
    parallel = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 3, "state_dict": parallel}, folder / "w.pt")
    torch.save(net, folder / "whole.pt")
    torch.save(torch.zeros(3), folder / "tensor.pt")
    other = {**state, "1.bias": torch.zeros(4), "head": torch.zeros(1)}
    save_file(other, folder / "other.safetensors")
    return net, names, folder


@pytest.fixture
def files(trained, tmp_path, monkeypatch):
    """These files in the current folder, with the code; what is imported is forgotten after."""
    net, names, folder = trained
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path / "cache"))
    for path in folder.iterdir():
        shutil.copy(path, path.name)
    for name, text in {"net": NET, "data": DATA, "train": TRAIN}.items():
        sys.modules.pop(name, None)
        Path(f"{name}.py").write_text(text)
    yield net, names
    for name in ("net", "data", "train"):
        sys.modules.pop(name, None)


def own(**settings):
    given = {
        "model": "net.py:Net",
        "weights": "w.safetensors",
        "train": "data.py:train",
        "test": "data.py:test",
    }
    return catalog.load("scene", "own_network")(
        **{k: v for k, v in (given | settings).items() if v}
    )


def test_an_opened_network_gives_its_gradients_and_a_function_has_none(files):
    net, names = files
    x, y = names["test"]
    model = own(opened=True).model
    rows = torch.tensor(x, requires_grad=True)
    torch.nn.functional.cross_entropy(net(rows), torch.tensor(y), reduction="sum").backward()
    np.testing.assert_allclose(model.calls["grad"](x, y), rows.grad.numpy(), atol=1e-6)
    slope = model.calls["slope"](x, y, "ce")[:, 2:]
    np.testing.assert_allclose(slope, rows.grad.numpy().reshape(len(x), -1), atol=1e-6)
    assert "grad" not in own().model.calls
    with pytest.raises(UsageError, match=r"labels must be a torch module .* for --opened"):
        own(opened=True, model="net.py:labels", weights="", gives="labels")


def test_what_gives_the_gradients_is_named_where_they_are_kept_back(files):
    fgsm = catalog.find("attack", "fgsm")
    reason = unplayable(fgsm, own()).reason
    assert reason == "needs gradients, which net keeps back: add --opened"
    assert in_python(reason).endswith("add opened=True")
    assert unplayable(fgsm, own(opened=True)) is None
    of_labels = own(model="net.py:labels", weights="", gives="labels")
    assert "--opened" not in unplayable(fgsm, of_labels).reason


def test_the_network_answers_as_it_does_in_the_users_own_code(files):
    net, names = files
    x, y = names["train"]
    expected = net(torch.tensor(x)).detach().numpy()
    doors = {
        "data.py:train": "data.py:test",
        "data.py:as_set": "data.py:test_set",
        "data.py:loader": "data.py:test_loader",
        "data.py:function": "data.py:test",
    }
    scenes = [own(train=train, test=test) for train, test in doors.items()]
    scenes.append(own(weights="w.pt", model="net.py:build"))
    for scene in scenes:
        assert np.allclose(scene.model.query(scene.train.x), expected, atol=1e-6)
        assert np.array_equal(scene.train.x, x) and np.array_equal(scene.train.y, y)
        assert scene.modality is hartley.Modality.VISION and scene.model.classes == 3
        assert scene.facts["train accuracy"] == (expected.argmax(1) == y).mean()
    assert scenes[0].facts["train file"].startswith("data.py:train, ")
    assert scenes[0].facts["device"] == "cpu" and scenes[0].model.fit is None


def test_bytes_of_pictures_reach_the_network_as_floats(files):
    """Three doors to the same pictures: grey ones in arrays and in folders, and coloured ones."""
    Path("net.py").write_text(
        "import numpy as np\n\ndef scores(x):\n"
        "    return np.eye(3)[np.rint(x[:, 0, 0, 0] * 2.55).astype(int)]\n"
    )
    rng = np.random.default_rng(1)
    pixels, y = rng.integers(0, 256, (120, 4, 5), dtype=np.uint8), np.arange(120) % 3
    pixels[:, 0, 0] = y * 100
    for name, rows in (("a", range(60)), ("b", range(60, 120))):
        np.savez(f"{name}.npz", X=pixels[rows], y=y[rows])
        coloured = np.repeat(pixels[rows][..., None], 3, 3)
        np.savez(f"rgb_{name}.npz", x=coloured, y=y[rows])
        for k in rows:
            place = Path(name) / f"class{y[k]}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[k]).save(place / f"{k:03}.png")
    expected = pixels[:60, None].astype(np.float32) / 255
    for train, test, channels in (
        ("a.npz", "b.npz", 1),
        ("rgb_a.npz", "rgb_b.npz", 3),
        ("a", "b", 1),
    ):
        scene = own(model="net.py:scores", weights="", train=train, test=test)
        order = np.lexsort((np.arange(60), y[:60])) if train == "a" else np.arange(60)
        assert scene.train.x.dtype == np.float32
        assert np.array_equal(scene.train.x, np.repeat(expected, channels, 1)[order])
        assert np.array_equal(scene.train.y, y[:60][order])
        assert "divided by 255" in scene.facts["pixels"] and scene.facts["train accuracy"] == 1
        assert scene.model.output is hartley.Output.PROBABILITIES
    assert scene.facts["classes"] == "class0, class1, class2" and scene.facts["colours"] == "grey"
    Image.fromarray(pixels[0][:3]).save("a/class0/odd.png")
    with pytest.raises(UsageError, match=r"pictures of one size, got 5×4 and 5×3 \(odd.png\)"):
        own(model="net.py:scores", weights="", train="a", test="b")


def test_a_network_that_memorises_is_read_by_the_strong_attack_with_its_own_training(files):
    scene = own(fit="train.py:fit")
    channel = hartley.measure(hartley.play("rmia", scene, references=8))
    assert len(Path("calls").read_text().splitlines()) == 8
    assert channel.metrics["auc"]["value"] > 0.7
    # A second attack asks the same models; its records are others, and nothing is trained again.
    hartley.play("lira", scene, references=8)
    assert len(Path("calls").read_text().splitlines()) == 8
    # Behind a filter of answers an attacker who does not know it and one who does ask them too.
    behind = defended(scene, "rounding")
    hartley.play("lira", behind, references=8, undefended=scene)
    hartley.play("lira", behind, references=8)
    assert len(Path("calls").read_text().splitlines()) == 8


def training(text="train.py:fit"):
    scene = own(fit=text)
    return scene.model.fit.__self__, scene


def test_a_killed_run_trains_no_model_twice(files, capsys):
    trainer, scene = training()
    include = np.random.default_rng(0).random((6, HALF)) < 0.5
    whole = trainer.fit(scene.train, include, 3)
    states = torch.get_rng_state(), random.getstate()
    for k in range(2):
        whole.member(k)
    # The generators of this process go on as if nothing had been trained.
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    before = [whole.member(k).query(scene.holdout.x) for k in range(2)]
    output, notes = capsys.readouterr()
    assert output == "" and notes == "epoch\n" * 2
    # A new process: nothing is in memory.
    again = training()[0].fit(scene.train, include, 3)
    after = [again.member(k).query(scene.holdout.x) for k in range(2)]
    assert np.array_equal(before, after)
    assert len(Path("calls").read_text().splitlines()) == 2
    answers = again.query(scene.train.x)
    calls = Path("calls").read_text().splitlines()
    assert len(calls) == 6 and len(set(calls)) == 6 and answers.shape == (6, HALF, 3)
    # An edited training is another one.
    Path("train.py").write_text(TRAIN + "\nSTEPS = 1\n")
    sys.modules.pop("train")
    training()[0].fit(scene.train, include, 3).member(0)
    assert len(Path("calls").read_text().splitlines()) == 7


WORKER = """
import sys
import numpy as np
from hartley.core import Data, Modality, Output
from hartley.targets.network_file import Network
from hartley.targets.user_training import UserTraining

network = Network("mean.py:scores", None, None, "cpu", Output.PROBABILITIES, 2, Modality.TABULAR)
rng = np.random.default_rng(0)
data = Data("d", Modality.TABULAR, rng.normal(size=(40, 2)), rng.integers(0, 2, 40))
include = rng.random((12, 40)) < 0.5
print("ready", flush=True)
sys.stdin.readline()
fitted = UserTraining.load("mean.py:fit", network).fit(data, include, 1)
print(fitted.query(data.x).sum().round(6))
"""
MEAN = """
import time
import numpy as np

def scores(x):
    return x

def fit(x, y, seed):
    with open("calls", "a") as file:
        file.write(f"{seed}\\n")
    time.sleep(0.02)
    middle = x[y == 1].mean(0) - x[y == 0].mean(0)
    def scores(z):
        p = 1 / (1 + np.exp(-z @ middle))
        return np.stack([1 - p, p], 1)
    return scores
"""


def test_two_workers_train_no_model_twice(tmp_path):
    (tmp_path / "mean.py").write_text(MEAN)
    (tmp_path / "worker.py").write_text(WORKER)
    environment = {**os.environ, "HARTLEY_CACHE": str(tmp_path / "cache")}
    workers = [
        subprocess.Popen(
            [sys.executable, "worker.py"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    answers = [worker.communicate("go\n")[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0] and answers[0] == answers[1]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 12 and len(set(calls)) == 12


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": ""}, "--model must be given, got none: hartley assess --model net.py:Net"),
        ({"model": "w.pt"}, "FILE.py:NAME of the code that builds the network, got w.pt"),
        ({"model": "rf.skops"}, "the records of an estimator in a file must be tables, got --tr"),
        ({"model": "nets.py:Net"}, "must be in a file that is there, got nets.py"),
        ({"model": "net.py:Nett"}, "has no 'Nett'; did you mean Net"),
        ({"model": "net.py:Wide"}, "without arguments, got one that needs width; write a function"),
        ({"model": "net.py:four"}, "must return a torch module, got int"),
        ({"weights": ""}, "--weights must be the file with the trained weights of net.py:Net"),
        ({"weights": "absent.pt"}, "--weights must be a file that is there, got absent.pt"),
        ({"weights": "net.py"}, "--weights must be one of .safetensors"),
        ({"weights": "whole.pt"}, r"save them with torch.save\(net.state_dict\(\)"),
        ({"weights": "tensor.pt"}, "must hold the weights by name"),
        (
            {"weights": "other.safetensors"},
            r"it has, unlike the network, head; it has in .* 1.bias",
        ),
        ({"model": "net.py:Other"}, r"1.weight \(3, 16\) for \(4, 16\)"),
        ({"model": "net.py:labels"}, "--weights must go with a network"),
        ({"model": "net.py:labels", "weights": ""}, "labels need --gives labels"),
        ({"model": "net.py:Pair"}, "must return one array .* got a tuple"),
        ({"model": "net.py:Soft"}, "got rows that sum to 1: add --gives probabilities"),
        ({"gives": "probabilities"}, "rows that do not sum to 1: add --gives logits"),
        ({"gives": "labels"}, "one label for each of 2 records"),
        ({"model": "net.py:Broken"}, r"RuntimeError: .* \(net.py, line \d+\)"),
        ({"device": "cuda:7"}, r"--device must be a device that torch finds here \(cpu"),
        ({"device": "gpu"}, "--device must be a device that torch finds here"),
        ({"train": "absent.npz"}, "--train must be a file that is there, got absent.npz"),
        ({"train": "table.csv"}, r"np.savez\('train.npz', x=x, y=y\)"),
        ({"train": "cut.npz"}, "must hold arrays of numbers"),
        ({"train": "named.npz"}, "got none named x; it has images, y"),
        ({"train": "bare"}, "must have a sub-folder of pictures or sounds for each class"),
        ({"train": "hollow"}, r"must hold pictures \(.png"),
        ({"train": "torn"}, "must be a whole picture, got a file of another kind"),
        ({"train": "data.py:test"}, "that the model never saw, got data.py:test twice"),
        ({"train": "data.py:number"}, "a torch Dataset or DataLoader, or a function"),
        ({"train": "data.py:needs"}, "without arguments, got one that needs path"),
        ({"train": "data.py:fails"}, r"ZeroDivisionError: division by zero \(data.py, line \d+\)"),
        ({"train": "data.py:noisy"}, "the same record each time"),
        ({"train": "data.py:endless"}, "a Dataset with a length|without __len__"),
        ({"train": "data.py:uneven"}, "got 60 records and 59 labels"),
        ({"train": "data.py:hole"}, "finite numbers, got NaN or infinity in"),
        ({"train": "data.py:words"}, "the place of the class among the model's answers, got cat"),
        ({"train": "data.py:onehot"}, r"y.argmax\(1\)"),
        ({"train": "data.py:outside"}, "from 0 to 2, one for each of the 3 answers .* got 3"),
        ({"train": "data.py:three"}, "--modality vision for grey pictures"),
        ({"train": "data.py:smaller"}, "records of the shape of"),
        ({"train": "data.py:empty"}, "must hold records, got none"),
        ({"train": "data.py:moved"}, "must recognise the records of --train"),
        ({"fit": "train.py:fitt"}, "has no 'fitt'; did you mean fit"),
        ({"fit": "train.py:alone"}, r"must be called as fit\(x, y\)"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(files, settings, words, monkeypatch):
    Path("table.csv").write_text("a,b\n1,2\n")
    Path("cut.npz").write_bytes(b"PK\x03\x04")
    np.savez("named.npz", images=np.zeros((3, 4)), y=np.zeros(3))
    for place in ("bare", "hollow/cat", "torn/cat"):
        Path(place).mkdir(parents=True)
    Path("torn/cat/a.png").write_text("<svg>")
    if "absent" in words:  # a network may take a minute to load, and a wrong name is known before
        loaded = lambda *_: pytest.fail("was loaded")  # noqa: E731
        monkeypatch.setattr(own_network_module, "load_network", loaded)
    with pytest.raises(UsageError, match=words) as error:
        own(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "got NoneType; end it with return model"),
        ("fails", r"ValueError: no such optimiser \(train.py, line \d+\)"),
        ("four", "with 3 classes, got 4"),
    ],
)
def test_a_training_that_fails_is_one_line(files, name, words):
    trainer, scene = training(f"train.py:{name}")
    with pytest.raises(UsageError, match=words) as error:
        trainer.fit(scene.train, np.ones((1, HALF), bool), 0).member(0)
    assert "\n" not in str(error.value)


NORMED = """
import torch.nn as nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3))
"""
QUICK = {"accountant": "rdp", "epochs": 20.0, "lr": 0.1}


def test_dp_sgd_trains_the_users_own_network(files):
    """The network is theirs, the records and their split too; the noise is the house's."""
    bare = own(fit="train.py:fit")
    shielded = defended(bare, "dp_sgd", {"epsilon": 50.0, **QUICK})
    privacy = shielded.training.private
    assert privacy.noise == noise_for(50.0, 1e-5, rate=0.25, steps=80, accountant="rdp")
    assert (privacy.rate, privacy.steps, privacy.expected) == (0.25, 80, 0.25 * HALF)
    module = shielded.training._trained(bare.train.x, bare.train.y, privacy, 3)
    assert type(module).__name__ == "Net" and type(module).__module__ == "net"
    # One deployed model still, with the user's split: the game must not train victims.
    assert shielded.fit is None and shielded.train is bare.train
    before, after = (scene.utility(scene)["accuracy"] for scene in (bare, shielded))
    assert 0.4 < after < before + 0.1 and after.n == HALF
    informed = shielded.model.fit(bare.train, np.ones((1, HALF), bool), 5)
    unaware = bare.model.fit(bare.train, np.ones((1, HALF), bool), 5)
    assert np.abs(informed.query(bare.train.x) - unaware.query(bare.train.x)).max() > 0.1
    again = defended(bare, "dp_sgd", {"epsilon": 50.0, **QUICK})
    assert np.array_equal(again.model.query(bare.train.x), shielded.model.query(bare.train.x))
    assert again.model.identity == shielded.model.identity != bare.model.identity


def test_dp_sgd_steps_by_the_users_own_optimizer(files):
    """It gets the noisy mean gradients alone, so that what is proved stays."""
    private = {"epsilon": 50.0, **QUICK}
    by_adam = defended(own(fit="train.py:fit"), "dp_sgd", private)
    text = Path("train.py").read_text()
    Path("train.py").write_text(
        "optimizer = 7\n" + text  # of another kind: not meant
    )
    sys.modules.pop("train", None)
    assert own(fit="train.py:fit").training.optimizer == (None, "")
    Path("train.py").write_text(
        text + "\ndef optimizer(parameters):\n"
        "    import torch\n    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)\n"
    )
    sys.modules.pop("train", None)
    bare = own(fit="train.py:fit")
    by_theirs = defended(bare, "dp_sgd", private)
    assert by_theirs.training.private == by_adam.training.private
    assert by_theirs.facts["noise multiplier"] == by_adam.facts["noise multiplier"]
    words = bare.training.replaced(["private_training"], {**private, "rate": 0.25, "clip": 1.0})
    assert (
        "by DP-SGD with optimizer(parameters) of train.py (epochs 20, rate 0.25, clip 1)" in words
    )
    answers = [scene.model.query(bare.train.x) for scene in (by_adam, by_theirs)]
    assert np.abs(answers[0] - answers[1]).max() > 0.05
    assert by_theirs.utility(by_theirs)["accuracy"] > 0.4
    # Without noise and a bound, on all records at once, the steps are those of their loop.
    x, y, privacy = bare.train.x, bare.train.y, by_theirs.training.private
    plain = replace(privacy, noise=0.0, clip=1e9, rate=1.0, steps=3, expected=float(len(x)))
    module = by_theirs.training._trained(x, y, plain, 3)
    with seeded(3):
        expected = bare.training.network.build()
    optimiser = torch.optim.SGD(expected.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(expected(torch.tensor(x)), torch.tensor(y)).backward()
        optimiser.step()
    for one, other in zip(module.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    Path("train.py").write_text(text + "\ndef optimizer(parameters):\n    return 7\n")
    sys.modules.pop("train", None)
    with pytest.raises(UsageError, match="must return an optimizer of torch, got int"):
        own(fit="train.py:fit").training._trained(x, y, privacy, 3)
    sys.modules.pop("train", None)


def test_a_tiny_epsilon_leaves_nothing_of_the_membership(files):
    bare = own()
    before = measure(play(loss_threshold, bare))
    shielded = defended(bare, "dp_sgd", {"epsilon": 0.5, "delta": 1e-3, **QUICK})
    after = measure(play(loss_threshold, shielded, undefended=bare))
    assert shielded.model.fit is None  # the user gave no training, so attackers have none
    assert after.bits.lower == 0.0 and after.bits.value < before.bits.value
    # The owner split the records: what is proved of a coin for each does not bound these bits.
    assert after.ceiling.value == 1.0


def test_what_changes_the_loop_is_refused_in_a_line_that_names_the_cure(files):
    scene = own(fit="train.py:fit")
    inside = [e for e in catalog.entries("defense") if "training" in e.requires]
    assert len(inside) >= 6
    for entry in inside:
        with pytest.raises(RunError, match=r"write it into your loop, .* hartley compare"):
            defended(scene, entry.name)
    assert "dp_sgd" in fitting(scene) and not {e.name for e in inside} & set(fitting(scene))
    Path("net.py").write_text(NORMED)
    sys.modules.pop("net", None)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3), torch.nn.BatchNorm1d(3))
    x, y = (torch.tensor(part) for part in files[1]["train"])
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    save_file(net.state_dict(), "normed.safetensors")
    with pytest.raises(RunError, match=r"2 \(BatchNorm1d\) mixes .* torch.nn.GroupNorm"):
        defended(own(weights="normed.safetensors"), "dp_sgd")


def test_flags_say_which_recipe_is_meant():
    files = {"train": "a", "test": "b"}
    for values, recipe in (
        ({"model": "m.skops"}, "own_table"),
        ({"model": "net.py:Net"}, "own_network"),
        ({"model": "w.safetensors"}, "own_network"),
        ({"model": "m.joblib", "target": "y"}, "own_table"),
    ):
        assert own_scene({**values, **files})[0] == recipe
    texts = {"endpoint": "e", "model": "llama3:latest", "members": "m", "nonmembers": "n"}
    assert own_scene(texts)[0] == "own_texts"
    with pytest.raises(UsageError, match="--target is for own_table and does not go with"):
        own_scene({"model": "net.py:Net", "target": "y", **files})
