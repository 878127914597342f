"""The real slices of RetailRocket's log, where they lie beside the repository;
nothing of them is written into it."""

from pathlib import Path
import numpy as np, pandas as pd, pytest
from recsys_nb.data import read_categories, read_log
from recsys_nb.protocol import is_repeat, make_protocols, n_items
from recsys_nb.shop import REAL, shop_figures

SLICES = Path(__file__).resolve().parents[2] / 'shared/data/retailrocket'
pytestmark = pytest.mark.skipif(
    not SLICES.is_dir(), reason='the real slices are missing: there is no folder ../shared/data/retailrocket'
)


def events(log):
    return log.event.value_counts().to_dict()


def test_visitors():
    log, report = read_log(SLICES / 'visitors')
    assert (report.rows, report.duplicates, report.events, len(log)) == (9_385, 3, 9_382, 9_382)
    assert report.unknown_events == {} and log.visitorid.nunique() == 5_000
    assert read_categories(SLICES / 'visitors') is None


def test_buyers():
    log, report = read_log(SLICES / 'buyers')
    assert events(log) == dict(view=75_374, addtocart=12_456, transaction=9_551)
    assert (report.events, report.empty_transactions) == (97_381, 9_551)
    assert (log.visitorid.nunique(), log.itemid.nunique(), log.visitorid.value_counts().max()) == (
        2_174,
        29_905,
        4_961,
    )


def test_lastweek():
    log, report = read_log(SLICES / 'lastweek')
    assert (report.rows, report.duplicates) == (
        38_741,
        164,
    )  # 36,003 views and 2,128 carts before 74 and 90 repeated rows are dropped
    assert (
        events(log) == dict(view=36_003 - 74, addtocart=2_128 - 90, transaction=610)
        and log.visitorid.nunique() == 10_937
    )
    categories = read_categories(SLICES / 'lastweek')
    assert (
        len(categories.parent) == 1_669
        and sum(p < 0 for p in categories.parent.values()) == 25
        and categories.notes == []
    )
    found = categories.at(log.itemid, log.timestamp)
    assert (found >= 0).all() and len(np.unique(found)) == 724
    paths = {c: categories.path(c) for c in np.unique(found)}
    roots = {c for c, p in categories.parent.items() if p < 0}
    assert all(p[0] in roots and p[-1] == c for c, p in paths.items()) and max(map(len, paths.values())) > 2
    assert np.array_equal(categories.root(found), [paths[c][0] for c in found])


def test_sessions(tmp_path):
    log, report = read_log(SLICES / 'sessions/archive.zip', cache=tmp_path)
    assert (report.events, log.itemid.nunique()) == (710_586, 36_968)
    p = make_protocols(log, context='window', min_history=2, min_item_events=1)
    assert (len(p.test), n_items(p.split.log), len(p.purchases)) == (15_132, 36_968, 0)
    assert round(100 * is_repeat(p.test).mean(), 1) == 38.2
    assert p.test.histories.length.min() == 2
    again, _ = read_log(SLICES / 'sessions/archive.zip', cache=tmp_path)
    assert again.equals(log)


def test_as_published_baselines_against_a_plain_implementation():
    """Popularity and Item-Item CF as the original describes them,
    written again with pandas and scikit-learn, on real events."""
    from sklearn.metrics.pairwise import cosine_similarity
    from recsys_nb.baselines import ItemItemCF, Popularity
    from recsys_nb.evaluation import evaluate_published
    from recsys_nb.metrics import metrics_at
    from recsys_nb.protocol import published_baselines, time_split

    log = read_log(SLICES / 'buyers')[0]
    start = log.timestamp.max() - pd.Timedelta(days=7)
    before, window = log[log.timestamp < start], log[log.timestamp >= start]
    truth = window[window.event == 'transaction'].groupby('visitorid').itemid.agg(set)

    def averages(lists):
        hits = np.array([len(truth[v] & set(lists.get(v, []))) for v in truth.index])
        return (hits > 0).mean(), (hits / 10).mean(), (hits / truth.map(len)).mean()

    bought = before[before.event == 'transaction'].itemid
    top = bought.value_counts(sort=False).sort_values(ascending=False, kind='stable')
    # who ties at the tenth place is a matter of taste: ours prefers the item with more events
    events = before.itemid.value_counts()
    top10 = sorted(top.index, key=lambda i: (-top[i], -events[i], i))[:10]
    theirs_popularity = averages({v: top10 for v in truth.index})

    items, visitors = before.itemid.value_counts(), before.visitorid.value_counts()
    kept = before[before.itemid.map(items).ge(5) & before.visitorid.map(visitors).ge(5)]
    counts = kept.groupby(['visitorid', 'itemid']).size().unstack(fill_value=0)
    similarity = cosine_similarity(counts.to_numpy(float).T)
    lists = {}
    for v in truth.index.intersection(counts.index):
        seen = counts.loc[v].to_numpy() > 0
        score = np.where(seen, -1, similarity[seen].sum(0))
        order = np.argsort(-score, kind='stable')[:10]
        lists[v] = set(counts.columns[order[score[order] > 0]])
    theirs_cf = averages(lists)

    split = time_split(log)
    for theirs, model, filtered in (
        (theirs_popularity, Popularity('transaction'), False),
        (theirs_cf, ItemItemCF(0, repeats=False, fill=False), True),
    ):
        fitted, queries = published_baselines(split, filtered)
        e = evaluate_published(model.fit(fitted), queries, fitted)
        hit_rate, precision, recall, *_ = metrics_at(e.hits, np.diff(queries.target_start), 10).mean(0)
        np.testing.assert_allclose((hit_rate, precision, recall), theirs, atol=1e-12)


def test_no_training_on_sessions(tmp_path):
    "Counting alone, at its defaults, reaches what the study promises of it; neighbours alone do not."
    from recsys_nb.metrics import METRICS, hit_matrix, metrics_at
    from recsys_nb.neighbours import STAN, HistoryWalk

    p = make_protocols(
        read_log(SLICES / 'sessions/archive.zip', cache=tmp_path)[0],
        context='window',
        min_history=2,
        min_item_events=1,
    )
    found = {}
    for model in (HistoryWalk(), STAN()):
        hits = hit_matrix(*model.fit(p.split.fit).recommend(p.test.histories, 21), p.test)
        m = metrics_at(hits, np.diff(p.test.target_start), 20).mean(0)
        found[type(model).__name__] = m[METRICS.index('HitRate')], m[METRICS.index('MRR')]
    assert found['HistoryWalk'][0] > 0.575 and found['HistoryWalk'][1] > 0.295, found
    assert found['STAN'][0] < found['HistoryWalk'][0], found


@pytest.mark.parametrize('place', ['visitors', 'lastweek', 'sessions/archive.zip'])
def test_real_figures_are_those_of_their_slices(place):
    "What 01_shop writes beside a simulated shop is what it measures on the slice, to the last digit written."
    log, _ = read_log(SLICES / place)
    measured = shop_figures(log, read_categories(SLICES / place))
    figures = {name: value for name, (value, origin) in REAL.items() if origin == place.split('/')[0]}
    assert len(figures) >= 2
    digits = {name: len(str(value).partition('.')[2]) for name, value in figures.items()}
    assert {name: round(float(measured[name]), digits[name]) for name in figures} == figures
