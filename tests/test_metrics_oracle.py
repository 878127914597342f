"Our metrics against ir-measures, an independent implementation, on the same lists."
import numpy as np
import pytest
import ir_measures
from ir_measures import P, R, RR, Success, nDCG

from recsys_nb.metrics import KS, METRICS, hit_matrix, metrics_at
from recsys_nb.protocol import Queries, histories_from_lists


def random_queries(rng, n, most, n_items):
    targets = [rng.choice(n_items, rng.integers(1, most + 1), replace=False) for _ in range(n)]
    sizes = [len(t) for t in targets]
    return Queries(histories_from_lists([[]] * n), np.concatenate(targets).astype(np.int32), np.r_[0, np.cumsum(sizes)], np.arange(n),
                   np.zeros(n, np.int64), np.ones(n, bool)), targets


@pytest.mark.parametrize('most', [1, 6])
def test_agrees_with_ir_measures(most):
    rng, n, n_items = np.random.default_rng(most), 200, 60
    queries, targets = random_queries(rng, n, most, n_items)
    items = np.stack([rng.permutation(n_items)[:21] for _ in range(n)]).astype(np.int32)
    scores = -np.sort(-rng.random((n, 21)), axis=1).astype(np.float32)
    hits = hit_matrix(items, scores, queries)
    qrels = [ir_measures.Qrel(str(q), str(i), 1) for q in range(n) for i in targets[q]]
    run = [ir_measures.ScoredDoc(str(q), str(i), float(s)) for q in range(n) for i, s in zip(items[q, :20], scores[q, :20])]
    for k in KS:
        theirs = ir_measures.calc_aggregate([Success@k, P@k, R@k, nDCG@k, RR@k], qrels, run)
        ours = metrics_at(hits, np.diff(queries.target_start), k).mean(0)
        for name, value, measure in zip(METRICS, ours, [Success@k, P@k, R@k, nDCG@k, RR@k]):
            assert value == pytest.approx(theirs[measure], abs=1e-6), f'{name}@{k}'


def test_ties_never_help():
    "Whatever order a model returns tied items in, the rank is the worst one."
    rng, n_items = np.random.default_rng(0), 40
    queries, targets = random_queries(rng, 300, 1, n_items)
    score = rng.integers(0, 8, (300, n_items)).astype(np.float32)  # many ties
    order = np.argsort(-score + rng.random(score.shape) * .5, axis=1)[:, :21]  # ties in random order
    hits = hit_matrix(order.astype(np.int32), np.take_along_axis(score, order, 1), queries)
    own = np.take_along_axis(score, np.array([t[0] for t in targets])[:, None], 1)
    worst = (score >= own).sum(1)
    rank = np.where(hits.any(1), hits.argmax(1) + 1, 0)
    np.testing.assert_array_equal(rank, np.where(worst <= 20, worst, 0))
