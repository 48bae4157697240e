"""PyGIP's model extraction attacks on a given graph; runs in PyGIP's own environment.

    PYTHON bench/peers/pygip_mea.py FOLDER

``FOLDER`` is one of bench/gnn_extraction.py: ``graph.npz`` with features, links (both directions
and self-loops), labels, the masks of training and test nodes, budgets and repeats. PyGIP trains its
target once; its scores of all nodes go into ``target.npy``, so that another attack meets the same
victim. Prints one JSON object: the target's accuracy, and fidelity on the test nodes by attack,
budget and repeat.

PyGIP 1.1 imports data sets that older releases of DGL lack, and its extraction attacks use none of
them: names that are missing are set before the import. They also hand times to a record of times
that does not take them (PyGIP 1.1.0), so that none of them ends: that record is replaced.
"""

import json
import random
import sys
from importlib.metadata import version
from pathlib import Path

import dgl
import dgl.data
import numpy as np
import torch

for missing in (
    *("AmazonRatingsDataset", "MinesweeperDataset", "QuestionsDataset", "RomanEmpireDataset"),
    *("TolokersDataset", "CoraFullDataset", "WikiCSDataset"),
):
    if not hasattr(dgl.data, missing):
        setattr(dgl.data, missing, None)

from pygip.datasets import Dataset  # noqa: E402 - after the names above
from pygip.models.attack.mea import MEA  # noqa: E402


class Times:
    """A record of times that takes whatever it is given."""

    def update(self, **_: float) -> None: ...

    def end(self) -> None: ...

    def compute(self) -> dict[str, float]:
        return {}


MEA.AttackCompMetric = Times
torch.set_num_threads(1)
folder = Path(sys.argv[1])
given = dict(np.load(folder / "graph.npz"))


class Given(Dataset):
    """The graph of the folder, as PyGIP wants a data set."""

    def load_dgl_data(self) -> None:
        graph = dgl.graph((torch.from_numpy(given["a"]), torch.from_numpy(given["b"])))
        graph.ndata["feat"] = torch.from_numpy(given["features"])
        graph.ndata["label"] = torch.from_numpy(given["labels"])
        for part in ("train", "test"):
            graph.ndata[f"{part}_mask"] = torch.from_numpy(given[part])
        self.graph_dataset = self.graph_data = graph


data = Given()
torch.manual_seed(0)
first = MEA.ModelExtractionAttack0(data, 0.1, 0.1)
torch.save(first.net1.state_dict(), folder / "target.pt")
with torch.no_grad():
    scores = torch.softmax(first.net1(first.graph, first.features), dim=1).numpy()
np.save(folder / "target.npy", scores)
right = (scores.argmax(1) == given["labels"])[given["test"]]
fidelity: dict[str, dict[str, list[float]]] = {}
for k in (0, 1, 2, 3, 4, 5):
    kind = getattr(MEA, f"ModelExtractionAttack{k}")
    for budget in given["budgets"].tolist():
        values = []
        for repeat in range(int(given["repeats"])):
            random.seed(repeat)
            torch.manual_seed(repeat)
            share = (budget + 0.5) / data.num_nodes
            attack = kind(data, share, share, model_path=str(folder / "target.pt"))
            values.append(float(attack.attack()[0]["Fidelity"]))
        fidelity.setdefault(f"attack {k}", {})[str(budget)] = values
out = {"version": version("PyGIP"), "dgl": dgl.__version__, "accuracy": float(right.mean())}
print("JSON " + json.dumps({**out, "fidelity": fidelity}))
