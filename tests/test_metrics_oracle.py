"""Our metrics against ir-measures, an independent implementation,
and our intervals and tests against plain loops."""

import numpy as np
import pandas as pd
import pytest
import ir_measures
from ir_measures import P, R, RR, Success, nDCG

from recsys_nb.data import EVENTS
from recsys_nb.metrics import (
    KS,
    METRICS,
    difference_tests,
    draw_counts,
    hit_matrix,
    holm,
    intervals,
    metrics_at,
    paired_test,
    visitor_sums,
)
from recsys_nb.evaluation import SLICES, evaluate, metric_table
from recsys_nb.recommender import Recommender
from recsys_nb.data import DAY
from recsys_nb.protocol import Queries, histories_from_lists, item_codes, make_protocols, n_items


def random_queries(rng, n, most, n_items, outside=0.0):
    targets = [rng.choice(n_items, rng.integers(1, most + 1), replace=False) for _ in range(n)]
    targets = [np.where(rng.random(len(t)) < outside, -1, t) for t in targets]
    sizes = [len(t) for t in targets]
    return Queries(
        histories_from_lists([[]] * n),
        np.concatenate(targets).astype(np.int32),
        np.r_[0, np.cumsum(sizes)],
        np.arange(n),
        np.zeros(n, np.int64),
        np.ones(n, bool),
    ), targets


def oracle(lists, scores, targets, measures):
    "Each query's value by ir-measures; a target outside the vocabulary is a document that no list can hold."
    qrels = [
        ir_measures.Qrel(str(q), str(i) if i >= 0 else f'outside {j}', 1)
        for q, t in enumerate(targets)
        for j, i in enumerate(t)
    ]
    run = [
        ir_measures.ScoredDoc(str(q), str(i), float(s))
        for q, (row, score) in enumerate(zip(lists, scores))
        for i, s in zip(row, score)
        if i >= 0
    ]
    found = {m: np.zeros(len(targets)) for m in measures}
    for r in ir_measures.iter_calc(measures, qrels, run):
        found[r.measure][int(r.query_id)] = r.value
    return found


@pytest.mark.parametrize('outside', [0.0, 0.3])
@pytest.mark.parametrize('most', [1, 6])
def test_agrees_with_ir_measures(most, outside):
    "Every metric at every k, query by query; some lists are short, some targets outside the vocabulary."
    rng, n, n_items = np.random.default_rng(most), 200, 60
    queries, targets = random_queries(rng, n, most, n_items, outside)
    items = np.stack([rng.permutation(n_items)[:21] for _ in range(n)]).astype(np.int32)
    items[np.arange(21) >= rng.integers(0, 60, n)[:, None]] = -1  # a third of the lists ends early
    scores = np.where(items >= 0, -np.sort(-rng.random((n, 21)), axis=1), -np.inf).astype(np.float32)
    hits = hit_matrix(items, scores, queries)
    for k in KS:
        measures = [Success @ k, P @ k, R @ k, nDCG @ k, RR @ k]
        theirs, ours = (
            oracle(items[:, :20], scores, targets, measures),
            metrics_at(hits, np.diff(queries.target_start), k),
        )
        for name, column, measure in zip(METRICS, ours.T, measures):
            np.testing.assert_allclose(column, theirs[measure], atol=1e-6, err_msg=f'{name}@{k}')


@pytest.fixture(scope='module')
def evaluation():
    "A model that lists items at random, popular ones more often, on a made-up log: every slice has queries."
    rng, n, each = (
        np.random.default_rng(0),
        800,
        8,
    )  # sessions of eight events, half of them by visitors who come only once
    who = np.where(rng.random(n) < 0.5, rng.integers(0, 200, n), 1000 + np.arange(n))
    log = pd.DataFrame(
        dict(
            timestamp=pd.to_datetime(
                (
                    1_430_000_000_000 + rng.integers(0, 30 * DAY, n)[:, None] + np.arange(each) * 60_000
                ).ravel(),
                unit='ms',
                utc=True,
            ).as_unit('ms'),
            visitorid=who.repeat(each),
            event=pd.Categorical.from_codes(rng.choice(3, n * each, p=[0.8, 0.1, 0.1]), EVENTS),
            itemid=rng.zipf(1.2, n * each) % 500,
        )
    )
    protocols = make_protocols(
        log.sort_values(['timestamp', 'visitorid'], ignore_index=True), min_item_events=3
    )
    fitted = protocols.split.fit

    class Random(Recommender):
        def recommend(self, histories, k):
            noise = np.random.default_rng(1).gumbel(size=(len(histories), n_items(fitted)))
            score = (noise + np.log(np.bincount(item_codes(fitted), minlength=n_items(fitted)) + 0.1)).astype(
                np.float32
            )
            items = np.argsort(-score, axis=1, kind='stable')[:, :k].astype(np.int32)
            return items, np.take_along_axis(score, items, 1)

    return evaluate(Random(), protocols.test, fitted, protocols.groups)


def test_whole_table_agrees_with_ir_measures(evaluation):
    "All slices of a log that went through the protocol."
    q, table = evaluation.queries, metric_table(evaluation, resamples=10).set_index(['slice', 'metric', 'k'])
    scores = np.tile(-np.arange(20.0), (len(q), 1))
    measures = {(m, k): f @ k for k in KS for m, f in zip(METRICS, (Success, P, R, nDCG, RR))}
    theirs = oracle(evaluation.lists, scores, q.targets[:, None], list(measures.values()))
    assert set(evaluation.slices) == set(SLICES) and sum(
        mask.any() for mask in evaluation.slices.values()
    ) == len(SLICES)
    for name, mask in evaluation.slices.items():
        for (m, k), measure in measures.items():
            assert table.value[name, m, k] == pytest.approx(theirs[measure][mask].mean(), abs=1e-6), (
                name,
                m,
                k,
            )
            assert table.n[name, m, k] == mask.sum()


def test_coverage_novelty_and_popularity_bias(evaluation):
    "The same three numbers in plain Python."
    table, counts = (
        metric_table(evaluation, resamples=10).set_index(['slice', 'metric', 'k']).value,
        evaluation.popularity,
    )
    for k in KS:
        shown = [i for row in evaluation.lists[:, :k].tolist() for i in row if i >= 0]
        assert table['all', 'Coverage', k] == pytest.approx(len(set(shown)) / len(counts))
        assert table['all', 'ARP', k] == pytest.approx(np.mean([counts[i] for i in shown]))
        assert table['all', 'Novelty', k] == pytest.approx(
            np.mean([-np.log2((counts[i] + 1) / (counts.sum() + len(counts))) for i in shown])
        )


def test_slices_against_plain_python(evaluation):
    "Position in the session, popularity groups, repeats and kinds of events, one query at a time."
    q, counts = evaluation.queries, evaluation.popularity
    order = sorted(range(len(counts)), key=lambda i: (-counts[i], i))
    group, so_far = {}, 0
    for i in order:
        group[i] = 'head' if so_far < counts.sum() * 0.5 else 'mid' if so_far < counts.sum() * 0.8 else 'tail'
        so_far += counts[i]
    for i in range(0, len(q), 7):
        h, target = q.histories, q.targets[i]
        items, times = (
            h.items[h.start[i] : h.end[i]].tolist(),
            [*h.times[h.start[i] : h.end[i]].tolist(), q.times[i]],
        )
        position = 1
        while position < len(times) and times[-position] - times[-position - 1] <= 30 * 60_000:
            position += 1
        expected = {
            'all',
            'returning' if q.returning[i] else 'new',
            'repeat' if target in items else 'explore',
            'short' if len(items) < 5 else 'long',
            group[target],
            f'target {EVENTS[q.events[i]]}',
            'position ' + ('1-2' if position < 3 else '3-5' if position < 6 else '6+'),
        }
        assert {s for s, mask in evaluation.slices.items() if mask[i]} == expected | (
            {'cold'} if counts[target] < 10 else set()
        )


def test_intervals_and_tests_against_loops():
    "Visitors drawn one at a time, sums in double precision."
    rng = np.random.default_rng(0)
    visitors, a, b = np.sort(rng.integers(0, 40, 150)), rng.random(150), rng.random(150)
    known, times = np.unique(visitors), draw_counts(len(np.unique(visitors)), 200, 3)
    means, differences = [], []
    for weights in times:
        rows = np.concatenate(
            [np.flatnonzero(visitors == v) for v, w in zip(known, weights) for _ in range(w)]
        )
        means.append(a[rows].mean())
        differences.append((a - b)[rows].mean())
    assert intervals(a[:, None], np.ones((150, 1)), visitors, 200, 3)[0] == pytest.approx(
        [a.mean(), *np.percentile(means, [2.5, 97.5])], rel=1e-5
    )
    test, d = paired_test(a, b, visitors, 200, 3), np.array(differences)
    assert [test['low'], test['high']] == pytest.approx(
        np.percentile(d, [2.5, 97.5]).tolist(), rel=1e-4, abs=1e-6
    )
    assert test['p'] == pytest.approx(min(1, 2 * (1 + min((d <= 0).sum(), (d >= 0).sum())) / 201))
    both = np.c_[a - b, b - a, np.ones(150)]
    sums = visitor_sums(both, visitors)[:, 0]
    tests = difference_tests(sums[:, :2], sums[:, 2:], 200, 3)
    assert tests['p'][0] == tests['p'][1] == test['p'] and tests['difference'][0] == -tests['difference'][1]


def test_tests_of_equal_models_are_calibrated():
    """Of many pairs of equally good models about one in twenty looks different before the correction,
    hardly any family after it."""
    rng, pairs = np.random.default_rng(0), []
    visitors = np.repeat(np.arange(150), 2)
    for _ in range(200):
        differences = (rng.random((300, 5)) < 0.3).astype(float) - (rng.random((300, 5)) < 0.3)
        sums = visitor_sums(np.c_[differences, np.ones(300)], visitors)[:, 0]
        pairs.append(difference_tests(sums[:, :-1], sums[:, -1:], 400)['p'])
    raw, families = np.mean(np.array(pairs) < 0.05), np.mean([(holm(p) < 0.05).any() for p in pairs])
    assert 0.02 < raw < 0.08 and families < 0.09


def test_ties_never_help():
    "Whatever order a model returns tied items in, the rank is the worst one."
    rng, n_items = np.random.default_rng(0), 40
    queries, targets = random_queries(rng, 300, 1, n_items)
    score = rng.integers(0, 8, (300, n_items)).astype(np.float32)  # many ties
    order = np.argsort(-score + rng.random(score.shape) * 0.5, axis=1)[:, :21]  # ties in random order
    hits = hit_matrix(order.astype(np.int32), np.take_along_axis(score, order, 1), queries)
    own = np.take_along_axis(score, np.array([t[0] for t in targets])[:, None], 1)
    worst = (score >= own).sum(1)
    rank = np.where(hits.any(1), hits.argmax(1) + 1, 0)
    np.testing.assert_array_equal(rank, np.where(worst <= 20, worst, 0))
