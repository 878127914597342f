"The open catalogue against a slow loop, its leaks made on purpose, and features that are planted."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from recsys_nb.baselines import History, Popularity
from recsys_nb.content import (
    Content,
    OpenBlend,
    OwnItems,
    content_parts,
    earlier_histories,
)
from recsys_nb.data import Categories
from recsys_nb.features import ItemFeatures, ItemSnapshots
from recsys_nb.neighbours import HistoryWalk
from recsys_nb.open_catalogue import (
    COLD_AND_NEW,
    EVENTS_BEFORE,
    NEVER,
    assert_no_open_leak,
    evaluate_open,
    known_since,
    make_open_catalogue,
    open_lists,
    open_queries,
    open_slices,
    unreachable,
)
from recsys_nb.protocol import (
    encode,
    histories_from_log,
    log_of_rows,
    milliseconds,
    time_split,
)
from recsys_nb.what_features_add import (
    asked_table,
    chosen_blend,
    open_differences,
    open_finding,
    open_numbers,
    reduced_models,
    shuffled_parts,
)

DAY = 24 * 3600 * 1000
BEGIN = 1_430_000_000_000


def random_log(seed, visitors=30, items=25, events=400, days=12, coarse=False):
    "Events of few visitors on few items, items born over time; with coarse times many share a moment."
    rng = np.random.default_rng(seed)
    when = np.sort(rng.uniform(0, days, events))
    if coarse:
        when = np.floor(when * 4) / 4
    born = rng.uniform(-6, days - 1, items)
    rows = []
    for t in when:
        there = np.flatnonzero(born <= t)
        rows.append((t, int(rng.integers(visitors)), 'view', int(rng.choice(there)) * 10))
    return log_of_rows(rows)


def snapshots_of(rows):
    "Categories from (day, itemid, category)."
    day, item, category = (np.array(column) for column in zip(*rows))
    times = pd.to_datetime((BEGIN + day * DAY).astype(np.int64), unit='ms', utc=True).as_unit('ms')
    columns = dict(timestamp=times, itemid=item.astype(np.int64), categoryid=category.astype(np.int64))
    frame = pd.DataFrame(columns)
    frame = frame.sort_values(['timestamp', 'itemid'], kind='stable', ignore_index=True)
    return ItemSnapshots(None, Categories(frame, {c: -1 for c in np.unique(category).tolist()}))


def slow_catalogue(log, low, high, snapshots):
    "Item -> first moment at which it may be ranked, events before the window; one row after another."
    since, counts = {}, {}
    for t, item in zip(milliseconds(log.timestamp).tolist(), log.itemid.tolist()):
        if t < high:
            since[item] = min(since.get(item, t + 1), t + 1)
            counts[item] = counts.get(item, 0) + (t < low)
    last = max(t for t in milliseconds(log.timestamp).tolist() if t < high)
    for t, item in snapshots:
        if t <= last:
            since[item] = min(since.get(item, t + 1), t + 1)
            counts.setdefault(item, 0)
    return since, counts


def slow_queries(log, low, high):
    "(visitor, time, history, target) of each event in the window with an earlier event of its visitor."
    events = list(zip(milliseconds(log.timestamp).tolist(), log.visitorid.tolist(), log.itemid.tolist()))
    asked = []
    for t, visitor, item in events:
        history = [(u, i) for u, v, i in events if v == visitor and u < t]
        if low <= t < high and history:
            asked.append((visitor, t, [i for _, i in history], item))
    return sorted(asked, key=lambda q: (q[0], q[1], q[3]))


def asked_alike(queries, catalogue):
    "The same of `Queries`."
    h = queries.histories
    lists = [catalogue.items[h.items[s:e]].tolist() for s, e in zip(h.start, h.end)]
    target = catalogue.items[queries.targets].tolist()
    found = zip(queries.visitors.tolist(), queries.times.tolist(), lists, target)
    return sorted(found, key=lambda q: (q[0], q[1], q[3]))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('window', ['test', 'valid'])
@pytest.mark.parametrize('coarse', [False, True])
def test_catalogue_and_queries_are_those_of_a_slow_loop(seed, window, coarse):
    "Items, moments, counts and queries."
    log = random_log(seed, coarse=coarse)
    split = time_split(log, 2, 3)
    low, high = split.window(window)
    rng = np.random.default_rng(seed + 100)
    rows = [*zip(rng.uniform(0, 13, 40), rng.integers(0, 35, 40) * 10, rng.integers(0, 4, 40))]
    for snapshots in (None, rows):
        told = [(int(BEGIN + d * DAY), i) for d, i, _ in snapshots or []]
        catalogue = make_open_catalogue(split, snapshots and snapshots_of(snapshots), window)
        since, counts = slow_catalogue(log, low, high, told)
        assert dict(zip(catalogue.items.tolist(), catalogue.since.tolist())) == since
        assert dict(zip(catalogue.items.tolist(), catalogue.counts.tolist())) == counts
        inside = catalogue.code >= 0
        assert (split.vocabulary[catalogue.code[inside]] == catalogue.items[inside]).all()
        assert not np.isin(catalogue.items[~inside], split.vocabulary).any()
        queries = open_queries(split, window, catalogue)
        assert asked_alike(queries, catalogue) == slow_queries(log, low, high)
        targets = catalogue.items[queries.targets].tolist()
        never = [since[i] > t for i, t in zip(targets, queries.times.tolist())]
        assert unreachable(queries, catalogue).tolist() == never
        assert_no_open_leak(queries, catalogue, log)


def test_groups_are_by_events_before_the_window():
    "0, 1 to 4 and 5 or more, counted by hand."
    log = random_log(1, events=300)
    split = time_split(log, 2, 3)
    catalogue = make_open_catalogue(split)
    queries = open_queries(split, 'test', catalogue)
    before = log[milliseconds(log.timestamp) < split.test_start].itemid.value_counts()
    counts = before.reindex(catalogue.items[queries.targets], fill_value=0).to_numpy()
    slices = open_slices(queries, catalogue)
    assert (slices['0 events'] == (counts == 0)).all() and slices['0 events'].any()
    assert (slices['1-4 events'] == ((counts > 0) & (counts < 5))).all()
    assert (slices['5+ events'] == (counts >= 5)).all()
    assert np.sum([slices[name] for name in EVENTS_BEFORE], axis=0).tolist() == [1] * len(queries)
    seen = [t in h for _, _, h, t in asked_unsorted(queries, catalogue)]
    assert (slices[COLD_AND_NEW] == ((counts == 0) & ~np.array(seen))).all()


def asked_unsorted(queries, catalogue):
    "Queries one by one, in their order."
    h = queries.histories
    for i, (s, e) in enumerate(zip(h.start, h.end)):
        yield i, queries.times[i], catalogue.items[h.items[s:e]].tolist(), catalogue.items[queries.targets[i]]


def test_a_snapshot_at_the_moment_of_the_question_announces_nothing():
    """A published slice has one snapshot an item, at the time of its first event. Who lets it count at that
    moment puts the right answer into the catalogue as its newest item."""
    log = random_log(2)
    split = time_split(log, 2, 3)
    first = log.groupby('itemid').timestamp.min()
    day = (milliseconds(first) - BEGIN) / DAY
    snapshots = snapshots_of([(d, i, 1) for d, i in zip(day, first.index)])
    assert (snapshots.first == milliseconds(first)).all()
    catalogue = make_open_catalogue(split, snapshots)
    queries = open_queries(split, 'test', catalogue)
    new = unreachable(queries, catalogue)
    plain = make_open_catalogue(split)
    assert new.any() and (new == unreachable(queries, plain)).all()
    assert (catalogue.since == plain.since).all()
    assert 'nothing announces them' in ' '.join(catalogue.notes)
    assert evaluate_open(Content(fresh=100.0), queries, catalogue).hits[new].sum() == 0
    leaky = replace(catalogue, since=milliseconds(first))
    with pytest.raises(AssertionError, match='before anything happened'):
        assert_no_open_leak(queries, leaky, log)


def test_leaks_made_on_purpose_are_caught():
    "The future in a history, in counts, in features, in a list."
    log = random_log(3)
    split = time_split(log, 2, 3)
    snapshots = snapshots_of([(0.0, 10, 1), (3.0, 20, 2), (11.5, 20, 3), (11.5, 30, 1)])
    catalogue = make_open_catalogue(split, snapshots)
    queries = open_queries(split, 'test', catalogue)
    assert_no_open_leak(queries, catalogue, log)

    def caught(words, queries=queries, catalogue=catalogue, rows=None):
        with pytest.raises(AssertionError, match=words):
            assert_no_open_leak(queries, catalogue, log, rows)

    h = queries.histories
    caught('at or after their target', replace(queries, times=h.times[h.end - 1]))
    caught('not of the time before the window', catalogue=replace(catalogue, start=catalogue.start + DAY))
    later = snapshots.as_of(int(BEGIN + 12 * DAY)).aligned(catalogue.items)
    assert (later.newest > catalogue.start).any()
    caught('features from after', catalogue=replace(catalogue, features=later))
    new = int(np.argmax(catalogue.since))
    caught('do not exist', rows=np.full((len(queries), 1), new))

    class Clairvoyant:
        "Lists the newest item to everybody."

        def recommend_open(self, histories, times, catalogue, k):
            rows = np.full((len(times), k), -1, np.int32)
            rows[:, 0] = new
            return rows, np.where(rows < 0, -np.inf, 1).astype(np.float32)

    with pytest.raises(AssertionError, match='do not exist'):
        evaluate_open(Clairvoyant(), queries, catalogue)


def test_features_that_come_after_an_item_can_be_asked_for_are_left_out():
    "An item touched in the window, and described a day later."
    touched = [(0, 10), (1, 10), (10.2, 20), (11.8, 20), (12, 10)]
    rows = [(t, 1, 'view', item) for t, item in touched]
    split = time_split(log_of_rows(rows), 2, 3, min_item_events=1)
    catalogue = make_open_catalogue(split, snapshots_of([(0.0, 10, 1), (11.0, 20, 2), (10.5, 30, 2)]))
    known = dict(zip(catalogue.items.tolist(), known_since(catalogue.features).tolist()))
    assert known == {10: BEGIN, 20: NEVER, 30: BEGIN + int(10.5 * DAY)}
    assert catalogue.features.category.tolist() == [1, -1, 2]
    assert 'left out' in ' '.join(catalogue.notes)


def fitted(split):
    "Models of several kinds."
    return {
        'Popularity': Popularity().fit(split.fit),
        'History': History().fit(split.fit),
        'History + Walk': HistoryWalk().fit(split.fit),
    }


def test_an_item_that_a_model_does_not_know_is_a_miss_and_lists_hold_what_exists():
    "Closed models list their vocabulary; nothing lists what does not exist."
    log = random_log(5, events=500)
    split = time_split(log, 2, 3)
    catalogue = make_open_catalogue(split)
    queries = open_queries(split, 'test', catalogue)
    unknown = catalogue.code[queries.targets] < 0
    assert unknown.any() and not unknown.all()
    own = OwnItems().fit(earlier_histories(split, catalogue))
    models = fitted(split)
    for model in models.values():
        e = evaluate_open(model, queries, catalogue)
        assert not e.hits[unknown].any() and e.hits[~unknown].any()
        assert (catalogue.code[e.lists[e.lists >= 0]] >= 0).all()
    models |= {'own': own, 'blend': OpenBlend(own, models['History + Walk'])}
    for model in models.values():
        rows, _ = open_lists(model, queries, catalogue, 30)
        for listed, time in zip(rows, queries.times):
            assert (catalogue.since[listed[listed >= 0]] <= time).all()
    seen = open_slices(queries, catalogue)['repeat'] & unknown
    assert seen.any() and evaluate_open(models['blend'], queries, catalogue).hits[seen].any()


def test_a_closed_model_answers_as_it_always_did():
    "In codes of its vocabulary, the list of the open catalogue is its own."
    log = random_log(6, events=500)
    split = time_split(log, 2, 3)
    catalogue = make_open_catalogue(split)
    queries = open_queries(split, 'test', catalogue)
    model = HistoryWalk().fit(split.fit)
    rows, scores = open_lists(model, queries, catalogue, 5)
    for i, time, history, _ in asked_unsorted(queries, catalogue):
        known = log[(log.visitorid == queries.visitors[i]) & (milliseconds(log.timestamp) < time)]
        h, _ = histories_from_log(encode(known, split.vocabulary))
        if len(h):
            items, own = model.recommend(h, 5)
            assert (split.vocabulary[items[0]] == catalogue.items[rows[i]]).all()
            np.testing.assert_allclose(own[0], scores[i])


def test_no_features_and_empty_windows():
    "Nothing to ask, or nothing known: empty answers and one honest sentence."
    early = [(d, v, 'view', 10 * (v % 3)) for d in range(10) for v in (1, 2)]
    log = log_of_rows([*early, (12, 9, 'view', 50)])
    split = time_split(log, 1, 2, min_item_events=1)
    catalogue = make_open_catalogue(split)
    queries = open_queries(split, 'test', catalogue)
    assert len(queries) == 0 and catalogue.features is None
    model = fitted(split)['History + Walk']
    own = OwnItems().fit(earlier_histories(split, catalogue))
    evaluations = {
        name: evaluate_open(m, queries, catalogue)
        for name, m in {'a': model, 'own': own, 'b': OpenBlend(own, model), 'c': Content()}.items()
    }
    numbers = open_numbers(evaluations)
    assert numbers[numbers.metric == 'HitRate'].value.isna().all()
    told = open_differences(evaluations, [('c', 'a')], ['all'])
    asked = asked_table(queries, catalogue)
    assert open_finding(numbers, told, asked, ['c'], ('a', 'b')).startswith('Nobody can be asked')


# ---- planted features


def planted(seed, cold=60, warm=60, visitors=900, brands=6, shuffle=False):
    """A shop whose visitors look at items of one brand only; new items are sold from the window's begin on.
    Returns split, catalogue, queries. With `shuffle`, the written features are those of other items."""
    rng = np.random.default_rng(seed)
    n = warm + cold
    brand = np.arange(n) % brands
    rows = []
    for v in range(visitors):
        own = np.flatnonzero(brand == v % brands)
        old, new = own[own < warm], own[own >= warm]
        start = rng.uniform(0, 10)
        late = v % 3 == 0  # comes back in the window
        first = rng.choice(old, 3, replace=False)
        rows += [(start + 1e-3 * i, v, 'view', int(x)) for i, x in enumerate(first)]
        if late:
            rows += [
                (rng.uniform(12.2, 13.9), v, 'view', int(rng.choice(new if rng.random() < 0.7 else old)))
            ]
    rows.append((14, visitors, 'view', 0))
    rows.sort()
    split = time_split(log_of_rows(rows), 2, 2)
    tokens = brand[rng.permutation(n)] if shuffle else brand
    price = np.exp(rng.normal(tokens, 0.1))[:, None].astype(np.float32)
    since = np.where(np.arange(n) < warm, BEGIN, split.test_start)

    class Known:
        "Snapshots of hand-made features."

        def as_of(self, time, until=None, min_items=1):
            m = sp.csr_matrix((np.ones(n, np.float32), (np.arange(n), tokens)), shape=(n, brands))
            return ItemFeatures(
                np.arange(n),
                price,
                ['price'],
                m,
                [f'brand={b}' for b in range(brands)],
                np.full(n, -1),
                np.full((n, 0), -1),
                since,
                since,
            )

    catalogue = make_open_catalogue(split, Known())
    queries = open_queries(split, 'test', catalogue)
    assert_no_open_leak(queries, catalogue, split.raw)
    return split, catalogue, queries


def cold_rate(content, queries, catalogue):
    "HitRate@10 of targets without an event before the window that the visitor had not seen."
    e = evaluate_open(content, queries, catalogue)
    mask = e.slices[COLD_AND_NEW]
    assert mask.sum() > 80
    return e.hits[mask, :10].any(1).mean()


# Ten of the cold items of a brand: ten of ten. Chance lists ten of the sixty cold ones.
CHANCE = 10 / 60
MARGIN = 0.4  # beyond chance, that planted features must bring


@pytest.mark.parametrize('seed', range(3))
def test_content_finds_cold_targets_by_planted_features(seed):
    "By a margin that shuffled features do not reach."
    _, catalogue, queries = planted(seed)
    content = Content(popular=0.0, fresh=2.0)
    found = cold_rate(content, queries, catalogue)
    assert found > CHANCE + MARGIN
    others = shuffled_parts(content_parts(catalogue), seed)
    lost = cold_rate(replace(content, parts=others), queries, catalogue)
    assert lost < CHANCE + MARGIN / 2
    _, other, asked = planted(seed, shuffle=True)
    assert cold_rate(Content(popular=0.0, fresh=2.0), asked, other) < CHANCE + MARGIN / 2


@pytest.mark.parametrize('part', ['tokens', 'numbers'])
def test_each_part_finds_them_alone(part):
    "Brand alone and price alone, both planted."
    _, catalogue, queries = planted(0)
    weights = dict(category=0.0, tokens=0.0, numbers=0.0) | {part: 1.0}
    alone = Content(**weights, popular=0.0, fresh=2.0)
    assert cold_rate(alone, queries, catalogue) > CHANCE + MARGIN


def test_a_blend_gains_on_cold_items_and_every_part_is_told():
    "Beyond own items, which find nothing new."
    split, catalogue, queries = planted(1)
    warm = HistoryWalk().fit(split.fit)
    own = OwnItems().fit(earlier_histories(split, catalogue))
    content = Content(popular=0.0, fresh=2.0, parts=content_parts(catalogue))
    blend = OpenBlend(own, warm, content, share=0.6)
    assert cold_rate(replace(blend, content=None), queries, catalogue) == 0
    reduced = reduced_models(blend)
    shuffled = cold_rate(reduced['features shuffled'], queries, catalogue)
    # ten places are shared with own items and the model of clicks, so less is found than by content alone
    assert cold_rate(blend, queries, catalogue) > shuffled + 0.15
    assert set(reduced) == {
        'without tokens',
        'without numbers',
        'without features',
        'features shuffled',
        'without own items',
        'without the model of clicks',
    }
    for model in reduced.values():
        evaluate_open(model, queries, catalogue)


def test_weights_are_chosen_where_they_are_judged():
    "The chosen blend is at least as good as the first one on the queries that it is judged by."
    split, catalogue, queries = planted(2)
    own = OwnItems().fit(earlier_histories(split, catalogue))
    warm = HistoryWalk().fit(split.fit)
    blend, trials = chosen_blend(warm, own, queries, catalogue)
    assert set(trials.weight) >= {'popular', 'fresh', 'share', 'cold_share'}
    first = trials[trials.weight == 'as it begins']
    assert (trials.groupby('of').judged.max() >= first.set_index('of').judged).all()
    assert blend.content.parts.catalogue is catalogue
