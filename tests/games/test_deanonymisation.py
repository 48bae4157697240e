"""Graphs without names: what the views hold, and what seeds give away."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption.degree_linkage import degree_linkage
from hartley.attacks.data_to_data.decryption.seed_propagation import seed_propagation
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.k_degree import k_degree
from hartley.defenses.noise.noisy_links import noisy_links
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.decryption.deanonymisation import ReleasedGraph, random_links
from hartley.kit.graph.degree_anonymity import anonymous_degrees, anonymous_links
from hartley.scenes.released_senses import core

networkx = pytest.importorskip("networkx")


def scene(**rules):
    links = random_links(150, 900, np.random.default_rng(1))
    return Scene("graph", Modality.GRAPH, parts=(ReleasedGraph(links, 150, **rules),))


def accuracy(where, attack=seed_propagation, rounds=6, **more):
    trials = play(attack, where, seed=0, game_params={"rounds": rounds}, **more)
    return measure(trials, redraws=1).metrics["accuracy"]["value"]


def graph(edges, nodes):
    out = networkx.Graph()
    out.add_nodes_from(range(nodes))
    out.add_edges_from(np.asarray(edges).T.tolist())
    return out


def test_the_published_graph_is_the_owners_under_other_names():
    one = deal(seed_propagation, scene(overlap=1.0), seed=0).rounds[0]
    published, named = graph(one.view.data.edges, 150), graph(one.view.brief.named.edges, 150)
    hidden = one.view.brief.question.x[:, 0]
    names = {**dict(zip(hidden.tolist(), one.truth.tolist(), strict=True))}
    names |= dict(one.view.brief.seeds.x.tolist())
    assert len(names) == 70
    both = [(a, b) for a, b in published.edges if a in names and b in names]
    assert both
    assert all(named.has_edge(names[a], names[b]) for a, b in both)
    assert sorted(d for _, d in published.degree) == sorted(d for _, d in named.degree)
    assert not set(one.truth.tolist()) & set(one.view.brief.seeds.x[:, 1].tolist())
    # Names of seeds are in no question: the prior is over the others.
    assert one.alphabet == 150 - len(one.view.brief.seeds.x)
    assert one.truth.max() < one.alphabet <= one.view.brief.seeds.x[:, 1].min()
    rows = one.view.data.edges
    assert (rows[0] < rows[1]).all()


def test_copies_share_links_by_their_overlap():
    one = deal(seed_propagation, scene(overlap=0.8), seed=0).rounds[0]
    for edges in (one.view.data.edges, one.view.brief.named.edges):
        assert edges.shape[1] == pytest.approx(720, abs=4 * np.sqrt(900 * 0.16))


def test_seeds_name_the_other_nodes_and_unrelated_graphs_name_none():
    assert accuracy(scene(overlap=1.0)) > 0.95
    assert accuracy(scene(overlap=0.9)) > 0.6
    assert accuracy(scene(overlap=1.0, seeds=0)) < 0.05
    assert accuracy(scene(overlap=1.0, related=False)) < 0.05


def test_noise_on_every_pair_hides_names_from_both_attackers():
    where = scene(overlap=1.0)
    behind = defended(where, noisy_links, {"epsilon": 1.0})
    assert accuracy(behind, undefended=where) < 0.1
    assert accuracy(behind) < 0.1
    mild = defended(where, noisy_links, {"epsilon": 12.0})
    assert accuracy(mild) > 0.9


def test_a_core_is_that_of_networkx():
    edges = random_links(200, 400, np.random.default_rng(0))
    truth = networkx.k_core(graph(edges, 200), 3)
    assert {frozenset(p) for p in core(edges, 200, 3).T.tolist()} == {
        frozenset(p) for p in truth.edges
    }
    assert core(edges, 200, 50).shape[1] == 0


def test_more_seeds_and_questions_than_nodes_are_one_clear_line():
    with pytest.raises(UsageError, match="at most the 150 nodes of the graph, got 120 and 40"):
        deal(seed_propagation, scene(seeds=120), seed=0)


def cheapest(degrees, k):
    """The least sum of increases over all cuts of the falling degrees, by trying each."""
    if len(degrees) < k:
        return 0 if not degrees else np.inf
    ends = range(k, len(degrees) + 1)
    return min(
        sum(degrees[0] - one for one in degrees[:end]) + cheapest(degrees[end:], k) for end in ends
    )


@pytest.mark.parametrize("k", [2, 3, 5])
def test_degrees_are_raised_by_the_least_sum(k):
    rng = np.random.default_rng(k)
    for _ in range(20):
        degrees = rng.integers(0, 9, 11)
        raised = anonymous_degrees(degrees, k)
        assert (raised >= degrees).all() and np.unique(raised, return_counts=True)[1].min() >= k
        assert (raised - degrees).sum() == cheapest(sorted(degrees.tolist(), reverse=True), k)


@pytest.mark.parametrize("k", [2, 10, 75, 150])
def test_every_number_of_links_is_that_of_k_nodes_and_no_link_is_lost(k):
    links = random_links(150, 400, np.random.default_rng(3))
    after = graph(anonymous_links(links, 150, k, np.random.default_rng(0)), 150)
    degrees = [degree for _, degree in after.degree]
    assert np.unique(degrees, return_counts=True)[1].min() >= k
    assert not list(networkx.selfloop_edges(after))
    assert set(graph(links, 150).edges) <= set(after.edges)


def test_who_knows_degrees_alone_names_one_node_of_each_degree():
    """Among n nodes with c different degrees a random assignment within these is right c times."""
    where = scene(overlap=1.0, seeds=0)
    links = np.asarray(where.part(ReleasedGraph).edges)
    different = len(set(np.bincount(links.ravel(), minlength=150).tolist()))
    right = accuracy(where, degree_linkage, 40, params={"compares": "degree"})
    assert right == pytest.approx(different / 150, abs=0.025)
    assert accuracy(where, degree_linkage) > 0.95  # degrees of neighbours tell nodes apart
    assert accuracy(scene(overlap=1.0, seeds=0, related=False), degree_linkage) < 0.03


def test_equal_degrees_hide_nodes_from_degrees_and_not_from_seeds():
    where = scene(overlap=1.0)
    behind = defended(where, k_degree, {"k": 75})
    assert accuracy(behind, degree_linkage) < 0.2
    mild = defended(where, k_degree, {"k": 40})
    static = accuracy(mild, degree_linkage, undefended=where, knowledge="static")
    assert accuracy(mild, degree_linkage) > static + 0.1
    assert accuracy(behind) > 0.9
    with pytest.raises(UsageError, match="k must be at most the 150 nodes of the graph, got 151"):
        defended(where, k_degree, {"k": 151})
