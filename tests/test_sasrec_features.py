"SASRec with features: its vectors, its training, and what it says of items that nobody has clicked."

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from recsys_nb.evaluation import evaluate
from recsys_nb.features import ItemFeatures, load_features
from recsys_nb.open_catalogue import OpenCatalogue, evaluate_open, make_open_catalogue, open_queries
from recsys_nb.protocol import Queries, histories_from_lists, make_protocols, milliseconds, n_items, part_of
from recsys_nb.recommender import check_recommender, log_of_walks, ring_log
from recsys_nb.sasrec import SASRec
from recsys_nb.sasrec_features import FeatureSASRec, FeatureSASRecModule
from recsys_nb.sources import load_log
from recsys_nb.what_features_add import open_differences

SMALL = dict(epochs=3, batch_rows=4, hidden_dim=16, negatives=20, warmup_steps=5)


def features_of(tokens, itemids, when=0):
    "One token an item: `kind=n`."
    n = len(tokens)
    kinds = max(tokens) + 1
    matrix = sp.csr_matrix((np.ones(n, np.float32), (np.arange(n), tokens)), shape=(n, kinds))
    nothing = np.full(n, -1)
    return ItemFeatures(
        np.asarray(itemids, np.int64),
        np.zeros((n, 0), np.float32),
        [],
        matrix,
        [f'kind={k}' for k in range(kinds)],
        nothing,
        np.full((n, 1), -1),
        np.full(n, when),
        np.full(n, when),
    )


def planted(shuffled=False, kinds=8, of_kind=12, walks=1500, seed=0):
    "What comes next is of the next kind; half as many items again are in the shop and in no walk."
    rng = np.random.default_rng(seed)
    n = kinds * of_kind
    all_items = n + kinds * of_kind // 2
    kind = np.arange(all_items) % kinds
    lists = []
    for _ in range(walks):
        first = rng.integers(kinds)
        lists.append([int((first + i) % kinds + kinds * rng.integers(of_kind)) for i in range(5)])
    log = log_of_walks(lists, n)
    ids = log.itemid.cat.categories.to_numpy(np.int64)
    more = ids.max() + 1 + np.arange(all_items - n)
    told = rng.permutation(kind) if shuffled else kind
    every = np.r_[ids, more]
    end = int(milliseconds(log.timestamp)[-1])
    code = np.r_[np.arange(n), np.full(len(more), -1)].astype(np.int32)
    features = features_of(told, every)
    catalogue = OpenCatalogue(every, np.zeros(all_items, np.int64), code, np.zeros(all_items, int), features)
    return log, catalogue, kind, end


def test_without_features_it_is_sasrec():
    log = ring_log(items=60, unseen=5)
    h = histories_from_lists([[1, 2, 3], [7], [0, 59]])
    ours = FeatureSASRec(**SMALL).fit(log).recommend(h, 10)
    theirs = SASRec(**SMALL).fit(log).recommend(h, 10)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_keeps_every_promise_of_a_recommender():
    check_recommender(lambda: FeatureSASRec(**SMALL))


def test_it_keeps_them_with_features():
    log = ring_log()
    features = features_of(np.arange(n_items(log)) % 4, log.itemid.cat.categories)

    def make():
        model = FeatureSASRec(**SMALL)
        model.features = features
        return model

    check_recommender(make)


def trained_weights(dense):
    "All weights after a few steps; dense: gradients of all rows, PyTorch's AdamW."
    log, catalogue, _, _ = planted(walks=100)
    torch.manual_seed(0)
    module = FeatureSASRecModule(96, hidden_dim=8, dropout=0.0, negatives=40, id_dropout=0.3, warmup_steps=1)
    matrix = sp.random(96, 9, 0.3, 'csr', np.float32, np.random.default_rng(0))
    matrix.data[:] = 1
    module.items.sparse = not dense
    module.set_tokens(matrix, np.ones(96, bool))
    assert module.items.sparse != dense
    optimizer = module.configure_optimizers()['optimizer']
    if dense:
        names = 'params', 'lr', 'weight_decay'
        groups = [{name: g[name] for name in names} for g in optimizer.param_groups]
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        module.row_optimizer = None
    module.train()
    for step in range(12):
        torch.manual_seed(step)
        item = torch.randint(96, (2, 64))
        batch = dict(
            item=item,
            target=item.roll(-1, 1),
            piece=torch.zeros_like(item),
            position=torch.arange(64).clamp(max=49).expand(2, -1),
        )
        optimizer.zero_grad()
        loss, _ = module.batch_loss(batch)
        loss.backward()
        optimizer.step()
    module.on_train_end() if not dense else None
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def test_touched_rows_are_trained_as_all_of_them():
    sparse, dense = trained_weights(False), trained_weights(True)
    for name, w in dense.items():
        np.testing.assert_allclose(sparse[name], w, atol=5e-3, err_msg=name)
    moved = np.abs(dense['items.weight']).mean()
    assert np.abs(sparse['items.weight'] - dense['items.weight']).mean() < 0.01 * moved


def test_item_vectors_are_those_of_a_dense_reference():
    log, catalogue, _, _ = planted(walks=200)
    model = FeatureSASRec(**SMALL).fit(log, features=catalogue.features)
    weight = model.module.items.weight.detach()
    n = n_items(log)
    start = model.module.token_start
    expected = weight[:n].clone()
    for i in range(n):
        own = model.module.token[start[i] : start[i + 1]]
        expected[i] += weight[n + own].sum(0) / len(own) ** 0.5
    np.testing.assert_allclose(model.module.item_vectors(), F.normalize(expected, dim=-1), atol=1e-5)


def test_features_from_after_the_log_are_refused():
    log, catalogue, _, end = planted(walks=50)
    late = features_of([0] * len(catalogue), catalogue.items, end + 1)
    with pytest.raises(ValueError, match='newer than the end'):
        FeatureSASRec(**SMALL).fit(log, features=late)


def cold_rank(model, catalogue, kind, kinds=8, of_kind=12):
    "Mean share of the cold items that stand above a cold item of the kind that comes next; chance: a half."
    n = kinds * of_kind
    # twice of the same kind: next is k + 1
    asked = histories_from_lists([[k, k + kinds] for k in range(kinds)])
    rows, scores = model.recommend_open(asked, np.full(kinds, 10**15), catalogue, len(catalogue))
    shares = []
    for k, row in enumerate(rows):
        cold = row[row >= n]
        place = np.flatnonzero(kind[cold] == (k + 1) % kinds)
        shares.append(place.mean() / (len(cold) - 1))
    return np.mean(shares)


def test_an_item_that_nobody_has_clicked_is_ranked_by_its_features():
    ranks = {}
    for shuffled in (False, True):
        log, catalogue, kind, _ = planted(shuffled)
        model = FeatureSASRec(**SMALL | dict(epochs=6)).fit(log, features=catalogue.features)
        ranks[shuffled] = cold_rank(model, catalogue, kind)
    assert ranks[False] < 0.15 and ranks[True] > 0.3, ranks


def test_saved_and_loaded_it_answers_alike(tmp_path):
    log, catalogue, kind, _ = planted(walks=200)
    model = FeatureSASRec(**SMALL).fit(log, features=catalogue.features)
    model.cold = -1.5
    model.save(tmp_path)
    again = FeatureSASRec.load(tmp_path)
    asked = histories_from_lists([[1, 2], [100, 3], [120]])
    times = np.full(3, 10**15)
    one, other = (m.recommend_open(asked, times, catalogue, 9) for m in (model, again))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_exist_yet_is_not_listed():
    "Lists of an open catalogue are those of all scores, without the items of later."
    log, catalogue, kind, _ = planted(walks=200)
    rng = np.random.default_rng(0)
    catalogue.since[96:] = rng.integers(0, 100, len(catalogue) - 96)
    model = FeatureSASRec(**SMALL).fit(log, features=catalogue.features)
    times = rng.integers(0, 100, 40)
    there = [np.flatnonzero(catalogue.since <= t) for t in times]  # what a history holds exists
    asked = histories_from_lists([rng.choice(of_query, 3).tolist() for of_query in there])
    rows, scores = model.recommend_open(asked, times, catalogue, 20)
    assert catalogue.exists(rows, times[:, None]).all()
    everything, theirs = model.recommend_open(asked, np.full(40, 1000), catalogue, len(catalogue))
    for i in range(40):
        there = catalogue.exists(everything[i], times[i])
        np.testing.assert_allclose(theirs[i][there][:20], scores[i], rtol=1e-4, atol=1e-4)
        assert len(set(rows[i])) == 20


def test_what_a_cold_item_is_worth_is_chosen():
    "Where the next item is always one that nobody has clicked, such items are worth more than where none is."
    log, catalogue, kind, _ = planted()
    model = FeatureSASRec(**SMALL).fit(log, features=catalogue.features)
    rng = np.random.default_rng(0)
    first = rng.integers(8, size=200)
    asked = histories_from_lists([[k, k + 8] for k in first])
    worth = []
    for offset in (0, 96):  # known items, cold ones
        target = ((first + 1) % 8 + 8 * rng.integers(6, size=200) + offset).astype(np.int32)
        times = np.full(200, 10**15)
        queries = Queries(asked, target, np.arange(201), np.arange(200), times, np.zeros(200, bool))
        worth.append(model.weigh_cold(queries, catalogue).cold)
    assert worth[0] < worth[1]
    rows, _ = model.recommend_open(asked, np.full(200, 10**15), catalogue, 10)
    assert (rows >= 96).mean() > 0.5


def test_on_the_simulated_shop_warm_items_lose_nothing_and_cold_ones_gain():
    "Both are trained alike; prices, brands and words of the shop were planted, and no click was."
    protocols = make_protocols(load_log('simulated:tiny')[0])
    split = protocols.split
    snapshots = load_features('simulated:tiny')
    catalogue, earlier = (make_open_catalogue(split, snapshots, window) for window in ('test', 'valid'))
    asked = part_of(open_queries(split, 'test', catalogue), 4000)
    validation = part_of(open_queries(split, 'valid', earlier), 4000)
    fitted = {}
    for name, features in (('SASRec', None), ('with features', snapshots)):
        first, last = FeatureSASRec(4), FeatureSASRec(4)
        first.features = last.features = features
        first.fit(split.train, protocols.valid)
        last.fit(split.fit)
        last.weights = first.weights
        if features is not None:
            last.cold = first.weigh_cold(validation, earlier).cold
        fitted[name] = last
    pair = [('with features', 'SASRec')]
    closed = {n: evaluate(m, protocols.test, split.fit, protocols.groups) for n, m in fitted.items()}
    warm = open_differences(closed, pair, ['all']).iloc[0]
    assert warm.low > -0.01
    opened = {n: evaluate_open(m, asked, catalogue) for n, m in fitted.items()}
    cold = open_differences(opened, pair, ['0 events']).iloc[0]
    assert cold.n >= 50
    assert cold.low > 0.05
