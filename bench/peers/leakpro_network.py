"""LeakPro on a given network; runs in LeakPro's own environment (bench/rivals.py).

    PYTHON bench/peers/leakpro_network.py FOLDER

``FOLDER`` holds ``net.py``, ``train.py``, ``model.pt``, ``train.npz`` and ``test.npz``. The handler
below is what LeakPro asks of a user; its training is the user's own loop, as Hartley calls it too.
LeakPro imports torchvision and others for parts of it that this bench does not use (augmentation,
gradient and model inversion); where one is not installed, an empty module takes its place. Prints a
JSON object for each attack: scores of the training and test records in this order.
"""

import contextlib
import io
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

os.chdir(sys.argv[1])
sys.path.insert(0, str(Path.cwd()))
UNUSED = ("torchvision", "umap", "ts2vec", "kornia", "blobfile", "lpips", "robustness", "mpi4py")
for absent in UNUSED:
    if find_spec(absent) is None:
        for name in (absent, f"{absent}.transforms", f"{absent}.models", f"{absent}.utils"):
            module = types.ModuleType(name)
            module.__spec__, module.__path__ = ModuleSpec(name, None), []
            module.__getattr__ = lambda _: MagicMock()
            sys.modules[name] = module

import joblib  # noqa: E402
import net  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import train  # noqa: E402
import yaml  # noqa: E402
from leakpro import LeakPro  # noqa: E402
from leakpro.input_handler.abstract_input_handler import AbstractInputHandler  # noqa: E402
from leakpro.schemas import EvalOutput, TrainingOutput  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

SHADOWS = 32
torch.set_num_threads(1)


class Handler(AbstractInputHandler):
    """The user's records and training, as LeakPro asks for them."""

    class UserDataset(AbstractInputHandler.UserDataset):
        """Pictures and labels."""

        def __init__(self, data, targets, **_):
            self.data, self.targets = data, targets

    def train(self, dataloader, model, criterion, optimizer, epochs=None):
        """Train by the user's own loop."""
        del optimizer, epochs
        loader = DataLoader(dataloader.dataset, batch_size=train.BATCH, shuffle=True)
        model = train.loop(model, loader)
        return TrainingOutput(model=model, metrics=self.eval(loader, model, criterion))

    def eval(self, loader, model, criterion, device="cpu"):
        """Return accuracy and loss."""
        del device
        right, loss, n = 0, 0.0, 0
        with torch.no_grad():
            for x, y in loader:
                answer = model.eval()(x)
                right += int((answer.argmax(1) == y).sum())
                loss += float(criterion(answer, y)) * len(y)
                n += len(y)
        return EvalOutput(accuracy=right / n, loss=loss / n)


parts = [np.load(f"{name}.npz") for name in ("train", "test")]
members, others = (len(part["y"]) for part in parts)
x, y = (torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in "xy")
records = Handler.UserDataset(x, y.long())
Path("target").mkdir()
joblib.dump(records, "target/population.pkl")
model = net.Net()
model.load_state_dict(torch.load("model.pt"))
torch.save(model.state_dict(), "target/target_model.pkl")
loss = torch.nn.CrossEntropyLoss()
loader = DataLoader(records, batch_size=train.BATCH, shuffle=False)
figures = Handler.eval(None, loader, model, loss)
about = LeakPro.make_mia_metadata(
    TrainingOutput(model=model, metrics=figures),
    torch.optim.Adam(model.parameters(), lr=train.RATE),
    loss,
    loader,
    figures,
    train.EPOCHS,
    list(range(members)),
    list(range(members, members + others)),
    "digits",
)
joblib.dump(about, "target/model_metadata.pkl")
shadows = {"num_shadow_models": SHADOWS, "training_data_fraction": 0.5}
attacks = {
    "RMIA online": {"attack": "rmia", "online": True, **shadows},
    "LiRA online, fixed": {
        "attack": "lira", "online": True, "var_calculation": "fixed", **shadows
    },
    "LiRA online, carlini": {
        "attack": "lira", "online": True, "var_calculation": "carlini", **shadows
    },
    "BASE online": {"attack": "base", "online": True, **shadows},
}  # fmt: skip
config = {
    "audit": {
        "random_seed": 1234,
        "attack_type": "mia",
        "data_modality": "tabular",  # "image" adds augmentation alone, which needs torchvision
        "output_dir": "./leakpro_output",
        "attack_list": list(attacks.values()),
    },
    "target": {
        "module_path": "./net.py",
        "model_class": "Net",
        "target_folder": "./target",
        "data_path": "./target/population.pkl",
    },
}
Path("audit.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
with contextlib.redirect_stdout(io.StringIO()):
    results = LeakPro(Handler, "audit.yaml").run_audit()
for name, result in zip(attacks, results, strict=True):
    truth = np.ravel(result.true)
    assert truth[:members].all() and not truth[members:].any(), "the order of records"
    print(json.dumps({"attack": name, "scores": np.ravel(result.signal_values).tolist()}))
print(json.dumps({"version": "0.1.0"}))
