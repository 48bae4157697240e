"""What one tenant reads of the others, by how many tenants share a store.

    hartley pack get austen spam-assassin minilm
    python bench/tenants.py                     # 2, 5 and 10 tenants of 1,000 chunks each
    python bench/tenants.py --tenants 2 10

The tenants are those of the scene ``tenants``, novels and mails by turns; a larger store holds the
smaller one's and more. Each row has the same subjects and code words (48 facts, two in each of 24
sessions, K = 16); the attacker is one more tenant with nothing in it. Intervals at 95 % are by
session.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import zip_longest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.core.seeds import spawn
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.sqlite_store import SqliteStore
from hartley.kit.stores.staged_store import StagedStore
from hartley.kit.stores.tenant_store import Rules, TenantStore
from hartley.models.text_encoder import text_encoder

SIZES = (2, 5, 10)
CHUNKS = 1000
ATTACKS = ("near_neighbours", "count_oracle", "duplicate_oracle", "shared_scores")
GATES = (None, "result_filter", "tenant_gate", "tenant_index")


def by_turns(names):
    """Novels and mails by turns, so that a small store has both."""
    lots = [name for name in names if name.startswith("mails")]
    novels = [name for name in names if name not in lots]
    return [one for pair in zip_longest(novels, lots) for one in pair if one]


def scene_of(texts, vectors):
    """A service without a gate for these tenants."""
    every = [Chunk(f"{name}-{i}", t, name) for name in texts for i, t in enumerate(texts[name])]
    encodes = text_encoder("minilm")
    stored = StagedStore(SqliteStore, encodes, every, vectors)
    part = TenantStore(stored, tuple(texts), rules=Rules(gate="none"))
    return Scene(name="tenants", modality=Modality.LANGUAGE, parts=(part,), model=part.deployed())


def main():
    """Print bits a fact by number of tenants, gate and attack."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tenants", nargs="*", type=int, default=list(SIZES))
    args = parser.parse_args()
    stored = build("tenants", {"chunks": CHUNKS}).part(TenantStore).stored
    rows = {}
    for i, chunk in enumerate(stored.chunks):
        rows.setdefault(chunk.tenant, []).append(i)
    order = by_turns(rows)
    texts = {name: [stored.chunks[i].text for i in rows[name]] for name in order}
    vectors = {name: stored.base_vectors[rows[name]] for name in order}
    if not all(1 <= n <= len(order) for n in args.tenants):
        parser.error(f"tenants must be 1 to {len(order)}, which the scene has")
    print("tenants | gate | attack | bits a fact [95 %] | n | seconds", flush=True)
    for n in args.tenants:
        names = [*texts][:n]
        bare = scene_of(
            {name: texts[name] for name in names}, np.concatenate([vectors[name] for name in names])
        )
        for gate in GATES:
            scene = bare if gate is None else defended(bare, gate, {}, seed=spawn(0, gate))
            for name in ATTACKS:
                start = time.process_time()
                trials = play(catalog.load("attack", name), scene, seed=0)
                channel = measure(trials)
                bits = channel.bits
                print(
                    f"{n} | {gate or 'none'} | {name} | {bits.value:.2f} "
                    f"[{bits.lower or 0:.2f}, {channel.high or 0:.2f}] | {channel.n} | "
                    f"{time.process_time() - start:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
