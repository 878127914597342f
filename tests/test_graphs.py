"The graph networks against references that share nothing with them but the weights."

import numpy as np
import pytest
import torch

from recsys_nb.graphs import (
    GlobalSRGNN,
    GlobalSRGNNModule,
    LightGCN,
    LightGCNModule,
    SRGNN,
    SRGNNModule,
    edge_shares,
    prefix_graphs,
)
from recsys_nb.protocol import histories_from_lists
from recsys_nb.recommender import check_recommender, odd_histories, ring_log
from recsys_nb.training import pack_rows, packed_batch

SMALL = dict(epochs=1, hidden_dim=8, batch_rows=4, negatives=16)
KINDS = {'LightGCN': LightGCN, 'SR-GNN': SRGNN, 'SR-GNN (global)': GlobalSRGNN}
MODULES = {'LightGCN': LightGCNModule, 'SR-GNN': SRGNNModule, 'SR-GNN (global)': GlobalSRGNNModule}
N = 12


def random_sessions(seed=0, sessions=12, items=N):
    "Sessions with many repeats, one of them of a single item."
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, items, rng.integers(2, 15)).tolist() for _ in range(sessions)]
    return [[3], [4, 4, 4], [1, 2, 1, 2, 1], *lists]


def packed(lists, width=16):
    "A batch, and where each session begins in it."
    h = histories_from_lists(lists)
    row, column = pack_rows(h.length, width)
    return packed_batch(h, h.start, h.length, row, column, int(row[-1]) + 1, width), row, column


def with_graph(kind, lists, **changes):
    "A network as it is before training, with the graph of these sessions."
    torch.manual_seed(0)
    module = MODULES[kind](N, hidden_dim=8, negatives=0, **changes).eval()
    h = histories_from_lists(lists)
    if kind == 'LightGCN':
        module.set_graph(h)
    if kind == 'SR-GNN (global)':
        module.take_sessions(h)
    return module


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def paper(w, x, session, width):
    "SR-GNN (Wu et al., 2019), equations 1 to 8, for one session: weights, item vectors [n, d] -> [d]."
    nodes = sorted(set(session))
    a_out = np.zeros((len(nodes), len(nodes)))
    for u, v in zip(session, session[1:]):
        a_out[nodes.index(u), nodes.index(v)] += 1
    a_in = a_out.T.copy()
    for a in (a_in, a_out):
        a /= np.maximum(a.sum(1, keepdims=True), 1)
    v = x[nodes]
    heard = [a_in @ v @ w['step.into.weight'].T, a_out @ v @ w['step.out_of.weight'].T]
    a = np.concatenate(heard, 1) + w['step.bias']
    gates = a @ w['step.cell.weight_ih'].T + w['step.cell.bias_ih']
    own = v @ w['step.cell.weight_hh'].T + w['step.cell.bias_hh']
    r = sigmoid(gates[:, :width] + own[:, :width])
    z = sigmoid(gates[:, width : 2 * width] + own[:, width : 2 * width])
    candidate = np.tanh(gates[:, 2 * width :] + r * own[:, 2 * width :])
    state = (1 - z) * candidate + z * v
    states = state[[nodes.index(i) for i in session]]
    q1 = states[-1] @ w['readout.of_last.weight'].T + w['readout.of_last.bias']
    q2 = states @ w['readout.of_node.weight'].T + w['readout.of_node.bias']
    alpha = sigmoid(q1 + q2) @ w['readout.weight.weight'].T
    both = np.concatenate([(alpha * states).sum(0), states[-1]])
    return both @ w['readout.join.weight'].T + w['readout.join.bias']


@pytest.mark.parametrize('temperature', [0.0, 0.05])
def test_every_prefix_is_the_papers_graph(temperature):
    lists = random_sessions()
    module = with_graph('SR-GNN', lists, temperature=temperature)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.5)
    w = {name: p.detach().double().numpy() for name, p in module.named_parameters()}
    x = w['items.weight']
    if temperature:
        x = x / np.linalg.norm(x, axis=1, keepdims=True) * 8**0.5
    batch, row, column = packed(lists)
    with torch.no_grad():
        ours = module(batch).numpy()
    for r, c, session in zip(row, column, lists):
        for i in range(len(session)):
            y = paper(w, x, session[: i + 1], 8)
            if temperature:
                y = y / np.linalg.norm(y) / temperature
            np.testing.assert_allclose(ours[r, c + i], y, rtol=2e-3, atol=2e-4)


def test_edges_against_a_loop():
    lists = random_sessions(1)
    batch, row, column = packed(lists)
    into, last, earlier = (edge_shares(e).numpy() for e in prefix_graphs(batch))
    for r, c, session in zip(row, column, lists):
        for i, item in enumerate(session):
            here = [j for j in range(i + 1) if session[j] == item]
            places = {
                'into': [j - 1 for j in here if j],
                'last': [j + 1 for j in here if j < i],
                'earlier': [j + 1 for j in here if j + 1 < len(session)],
            }
            for name, edges in (('into', into), ('last', last), ('earlier', earlier)):
                expected = np.zeros(edges.shape[2])
                for j in places[name]:
                    expected[c + j] += 1 / len(places[name])
                np.testing.assert_allclose(edges[r, c + i], expected, atol=1e-6)


@pytest.mark.parametrize('kind', list(KINDS))
def test_packed_is_one_session_at_a_time(kind):
    lists = random_sessions(2)
    module = with_graph(kind, lists)
    batch, row, column = packed(lists)
    with torch.no_grad():
        together = module(batch)
        for r, c, session in zip(row, column, lists):
            alone = module(packed([session])[0])[0, : len(session)]
            torch.testing.assert_close(together[r, c : c + len(session)], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', list(KINDS))
def test_looks_back_only(kind):
    module = with_graph(kind, random_sessions(3))
    with torch.no_grad():
        a, b = (module(packed([s])[0])[0, :5] for s in ([5, 6, 7, 8, 9], [5, 6, 0, 8, 9]))
    assert ((a - b).abs().sum(-1) > 1e-6).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize('layers', [1, 2, 3, 4, 5])
def test_propagation_against_a_dense_reference(layers):
    lists = random_sessions(4)
    module = with_graph('LightGCN', lists, layers=layers, decay=1.0, temperature=0.0, max_len=50)
    v = len(lists)
    a = np.zeros((v + N, v + N))
    for u, items in enumerate(lists):
        a[u, v + np.array(items)] = a[v + np.array(items), u] = 1
    degree = np.maximum(a.sum(1), 1) ** -0.5
    a = degree[:, None] * a * degree
    x = np.concatenate([np.zeros((v, 8)), module.items.weight.detach().double().numpy()])
    mean = sum(np.linalg.matrix_power(a, k) @ x for k in range(layers + 1)) / (layers + 1)
    np.testing.assert_allclose(module.item_vectors().numpy(), mean[v:], atol=1e-6)
    visitors = module.encode_histories(histories_from_lists(lists)).numpy()
    np.testing.assert_allclose(visitors, mean[:v], atol=1e-6)


def test_gradient_of_the_propagation():
    lists = random_sessions(5)
    module = with_graph('LightGCN', lists, layers=4, decay=1.0)
    a, back, fade = module.matrices()
    s = back.to_dense() @ a.to_dense()
    x = module.items.weight.detach().clone().requires_grad_()
    w = torch.randn(N, 8)
    (((x + s @ x + s @ s @ x) / 5) * w).sum().backward()
    (module.propagated()[1] * w).sum().backward()
    torch.testing.assert_close(module.items.weight.grad, x.grad, rtol=1e-4, atol=1e-5)


def test_decay_weighs_the_newest_most():
    module = with_graph('LightGCN', [[0, 1], [2, 3]], layers=1, decay=0.5, temperature=0.0)
    said = module.propagated()[0].detach()
    y = module.encode_histories(histories_from_lists([[0, 1, 0, 2]]))[0]  # newest 0 is one place back
    expected = (said[2] + said[0] * 0.5 + said[1] * 0.25) / 1.75**0.5
    torch.testing.assert_close(y, expected)


def test_global_graph_against_a_loop():
    lists = random_sessions(6)
    module = with_graph('SR-GNN (global)', lists, neighbours=4, near=0.6, steps=3)
    total = np.zeros((N, N))
    for items in lists:
        for i in range(len(items)):
            for j in range(i + 1, min(i + 4, len(items))):
                if items[i] != items[j]:
                    total[items[i], items[j]] += 0.6 ** (j - i)
                    total[items[j], items[i]] += 0.6 ** (j - i)
    for item in range(N):
        kept = np.sort(total[item])[::-1][:4]
        weight = module.edge_weight[item].numpy()
        neighbour = module.neighbour[item].numpy()[weight > 0]
        if not kept.any():
            assert not len(neighbour)
            continue
        np.testing.assert_allclose(np.sort(weight)[::-1], kept / kept.sum(), rtol=1e-4)
        np.testing.assert_allclose(total[item, neighbour] / kept.sum(), weight[weight > 0], rtol=1e-4)


@pytest.mark.parametrize('kind', list(KINDS))
def test_keeps_every_promise(kind):
    check_recommender(lambda: KINDS[kind](**SMALL))


@pytest.mark.parametrize('kind', list(KINDS))
def test_same_seed_same_numbers(kind):
    log = ring_log()
    h = odd_histories(log)
    first, again, other = (KINDS[kind](**SMALL, seed=s).fit(log).recommend(h, 5)[1] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_layers_follow_the_weights():
    module = with_graph('LightGCN', random_sessions(7))
    before = module.item_vectors()
    with torch.no_grad():
        module.items.weight.normal_()
    assert (module.item_vectors() - before).abs().max() > 1e-3
    state = {name: value.clone() for name, value in module.state_dict().items()}
    after = module.item_vectors()
    with torch.no_grad():
        module.items.weight.zero_().add_(1)
    module.item_vectors()
    module.load_state_dict(state)
    torch.testing.assert_close(module.item_vectors(), after)


def test_bad_layers_are_refused():
    with pytest.raises(ValueError, match='layers is 0'):
        LightGCNModule(4, 8, layers=0)
    with pytest.raises(ValueError, match='decay 2'):
        LightGCNModule(4, 8, decay=2)
