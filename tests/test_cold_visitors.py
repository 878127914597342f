"Cold visitors: streamed counts beside a slow loop, and what must not be known at a question."

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import recsys_nb.cold_visitors as cold
from recsys_nb.cold_visitors import *
from recsys_nb.data import DAY, Categories
from recsys_nb.protocol import log_of_rows, time_split

ITEMS = 30
K = 8


def made_stream(seed, events=600, days=12):
    "A stream with level times and a few favourites."
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, days * 24 * 6, events)) * (HOUR // 6)
    items = (ITEMS * rng.random(events) ** 2).astype(np.int32)
    return EventStream(times, items, rng.integers(0, 200, events))


def made_questions(stream, seed, n=150):
    "When questions are asked, many at an event's very time, and an own event before each; -1: none."
    rng = np.random.default_rng(seed + 100)
    own_at = rng.integers(0, len(stream) - 1, n)
    landed = stream.times[own_at]
    asked = landed + rng.integers(1, 3 * DAY, n)
    asked[::3] = stream.times[-1 - np.arange(len(asked[::3])) % 50]
    keep = (landed < asked) & (rng.random(n) < 0.7)
    return asked, np.where(keep, stream.items[own_at], -1).astype(np.int32), landed


def slow_counts(stream, moment, window, half_life, prior, own, landed):
    "One loop over all events."
    counts = np.zeros(ITEMS) if prior is None else prior.copy()
    for when, item in [*zip(stream.times, stream.items)]:
        if when < moment and (not window or when >= moment - window):
            counts[item] += 2.0 ** ((when - moment) / half_life) if half_life else 1
    if own >= 0 and (not window or landed >= moment - window):
        counts[own] -= 2.0 ** ((landed - moment) / half_life) if half_life else 1
    return counts


@pytest.mark.parametrize('small', [False, True])
@pytest.mark.parametrize('own', [False, True])
@pytest.mark.parametrize(
    'limits',
    [
        {},
        {'window': 5 * HOUR},
        {'window': 3 * DAY},
        {'half_life': HOUR},
        {'half_life': 2 * DAY},
        {'prior': True},
        {'window': DAY, 'prior': True},
    ],
    ids=str,
)
def test_streamed_lists_are_those_of_a_slow_loop(limits, own, small, monkeypatch):
    "Whatever the blocks are, and where questions fall together with events."
    if small:
        monkeypatch.setattr(cold, 'BLOCK_CHANGES', 7)
        monkeypatch.setattr(cold, 'BLOCK_QUERIES', 5)
        monkeypatch.setattr(cold, 'BLOCK_HALVINGS', 2)
    rng = np.random.default_rng(1)
    order = rng.permutation(ITEMS).astype(np.int32)
    limits = limits | ({'prior': rng.integers(0, 9, ITEMS) / 4} if limits.get('prior') else {})
    stream = made_stream(0)
    asked, mine, landed = made_questions(stream, 0)
    known = {'own': mine, 'landed': landed} if own else {}
    lists = streamed_lists(stream, asked, order, K, **limits, **known)
    place = np.argsort(order)
    for i, moment in enumerate(asked):
        counts = slow_counts(
            stream,
            moment,
            limits.get('window'),
            limits.get('half_life'),
            limits.get('prior'),
            mine[i] if own else -1,
            landed[i],
        )
        best = np.lexsort((place, -counts))[:K]
        if limits.get('half_life'):  # sums in another order differ in their last digits
            np.testing.assert_allclose(counts[lists[i]], counts[best], rtol=1e-9, atol=1e-12)
        else:
            assert lists[i].tolist() == best.tolist()


@pytest.mark.parametrize('seed', [0, 1])
def test_grouped_lists_are_those_of_a_slow_loop(seed):
    "An own event counts less only in the group in which it was counted."
    rng = np.random.default_rng(seed)
    order = rng.permutation(ITEMS).astype(np.int32)
    place = np.argsort(order)
    stream = made_stream(seed)
    groups = rng.integers(-1, 4, len(stream))
    asked, _, _ = made_questions(stream, seed)
    own_at = rng.integers(0, len(stream), len(asked))
    before = stream.times[own_at] < asked
    own = np.where(before, stream.items[own_at], -1).astype(np.int32)
    of = np.where(rng.random(len(asked)) < 0.5, groups[own_at], rng.integers(-1, 5, len(asked)))
    prior = rng.random(ITEMS) * 5
    more = {'own': own, 'own_groups': groups[own_at], 'landed': stream.times[own_at]}
    lists = grouped_lists(stream, groups, asked, of, order, K, prior, **more)
    for i, group in enumerate(of):
        if group < 0:
            assert lists[i].tolist() == order[:K].tolist()
            continue
        mine = own[i] if groups[own_at[i]] == group else -1
        counts = slow_counts(stream[groups == group], asked[i], None, None, prior, mine, 0)
        assert lists[i].tolist() == np.lexsort((place, -counts))[:K].tolist()


def test_a_half_life_survives_a_long_pause():
    "A year at a half-life of an hour: what was is nothing, and what is new counts."
    times = np.array([0, 1, 2, 365 * DAY, 365 * DAY + 1])
    stream = EventStream(times, np.array([0, 0, 0, 1, 2], np.int32), np.arange(5))
    asked = np.array([3, 200 * DAY, 365 * DAY + 1, 365 * DAY + 2, 800 * DAY])
    order = np.array([3, 2, 1, 0], np.int32)
    lists = streamed_lists(stream, asked, order, 4, half_life=HOUR)
    assert lists.tolist() == [[0, 3, 2, 1], [3, 2, 1, 0], [1, 3, 2, 0], [2, 1, 3, 0], [3, 2, 1, 0]]


def random_split(seed=0, events=800):
    "A log in which some are new in each window, and its split."
    rng = np.random.default_rng(seed)
    when = np.sort(rng.random(events)) * 12
    who = (when * 8).astype(int) + rng.integers(0, 40, events)
    kinds = rng.choice(['view', 'view', 'view', 'addtocart'], events)
    items = 10 * (1 + (ITEMS * rng.random(events) ** 2).astype(int))
    rows = list(zip(when.tolist(), who.tolist(), kinds.tolist(), items.tolist()))
    return time_split(log_of_rows(rows), 3, 3, min_item_events=5)


def slow_firsts(split, window):
    "First and second event of each new visitor, by a loop: visitor -> rows of the log."
    low, high = split.window(window)
    found = {}
    times = split.raw.timestamp.astype('int64').to_numpy()
    for at, visitor in enumerate(split.raw.visitorid):
        found.setdefault(visitor, []).append(at)
    new = {v: rows for v, rows in found.items() if low <= times[rows[0]] < high}
    return {v: [a for a in rows[:2] if times[a] < high] for v, rows in new.items()}


@pytest.mark.parametrize('window', ['test', 'valid'])
def test_who_is_asked(window):
    "Exactly the first and second events of new visitors on items of the vocabulary, with what was known."
    split = random_split()
    rows = slow_firsts(split, window)
    items = split.raw.itemid.to_numpy()
    known = set(split.vocabulary.tolist())
    first = first_events(split, window)
    second = second_events(split, window)
    wanted = {v: items[r[0]] for v, r in rows.items() if items[r[0]] in known}
    assert len(wanted) > 10
    assert dict(zip(first.queries.visitors, split.vocabulary[first.queries.targets])) == wanted
    assert first.queries.outside == pytest.approx(1 - len(wanted) / len(rows))
    wanted = {v: tuple(items[r]) for v, r in rows.items() if len(r) == 2 and items[r[1]] in known}
    assert len(wanted) > 10
    then = split.vocabulary[second.queries.targets]
    assert dict(zip(second.queries.visitors, zip(second.landing, then))) == wanted
    assert (np.diff(first.queries.times) >= 0).all() and (np.diff(second.queries.times) >= 0).all()
    assert ((second.own >= 0) <= np.isin(second.landing, split.vocabulary)).all()
    history = second.queries.histories
    assert (history.length == np.isin(second.landing, split.vocabulary)).all()
    at = history.start[history.length > 0]
    assert (split.vocabulary[history.items[at]] == second.landing[history.length > 0]).all()


def changing_categories():
    "Each item changes its category once, in the middle of the log."
    start = 1_430_000_000_000
    itemids = 10 * (1 + np.arange(ITEMS))
    times = np.repeat([start - DAY, start + 10 * DAY], ITEMS)
    rows = pd.DataFrame(
        {
            'timestamp': pd.to_datetime(times, unit='ms', utc=True),
            'itemid': np.tile(itemids, 2),
            'categoryid': np.r_[np.arange(ITEMS) % 3, np.arange(ITEMS) % 4] + 10,
        }
    )
    rows['timestamp'] = rows.timestamp.dt.as_unit('ms')
    return Categories(rows, {10: 1, 11: 1, 12: 2, 13: 2, 1: -1, 2: -1})


ANSWERS = [
    (SO_FAR, {}),
    (LAST_HOURS, {'window': 9}),
    (LAST_HOURS, {'half_life': 12}),
    (OF_DAY, {'block': 3, 'strength': 2}),
    (OF_CATEGORY, {'level': 'own', 'strength': 2}),
    (OF_CATEGORY, {'level': 'root', 'strength': 2}),
]


# who has not landed yet has no landing category
@pytest.mark.parametrize(
    'family,choice,ask',
    [(*a, second_events) for a in ANSWERS] + [(*a, first_events) for a in ANSWERS if a[0] != OF_CATEGORY],
    # an address differs from process to process
    ids=lambda value: getattr(value, '__name__', str(value)),
)
def test_no_answer_knows_the_future(family, choice, ask):
    "Nor the visitor who is asked; and a stream that gives something away is caught."
    categories = changing_categories()
    split = random_split()
    stream = event_stream(split.log, categories)
    question = ask(split)
    shop = cold_shop(split.fit, stream, categories)

    def honest(events, part):
        return cold_lists(replace(shop, stream=events), part, family, choice, K)

    def early(events, part):
        return honest(replace(events, times=events.times - 2 * HOUR), part)

    def own_too(events, part):
        return honest(events, replace(part, own=np.full(len(part), -1, np.int32)))

    assert_streamed(honest, stream, question, len(question))
    with pytest.raises(AssertionError, match='another one'):
        assert_streamed(early, stream, question, len(question))
    if ask is second_events:
        with pytest.raises(AssertionError, match='another one'):
            assert_streamed(own_too, stream, question, len(question))


def test_categories_are_those_of_the_time():
    "What an item becomes later says nothing of the events before."
    categories = changing_categories()
    split = random_split()
    stream = event_stream(split.log, categories)
    early = stream.times < 1_430_000_000_000 + 10 * DAY
    assert (stream.own_category[early] == 10 + stream_codes(split, stream)[early] % 3).all()
    assert (stream.own_category[~early] == 10 + stream_codes(split, stream)[~early] % 4).all()
    shop = cold_shop(split.fit, stream, categories)
    question = second_events(split)
    before = replace(categories, snapshots=categories.snapshots[:ITEMS])  # the change is not known yet
    choice = {'level': 'own', 'strength': 2}
    lists = cold_lists(shop, question, OF_CATEGORY, choice, K)
    old = event_stream(split.log, before)
    other = cold_lists(cold_shop(split.fit, old, before), question, OF_CATEGORY, choice, K)
    unchanged = question.queries.times < 1_430_000_000_000 + 10 * DAY
    assert unchanged.any() and (lists[unchanged] == other[unchanged]).all()
    assert (lists[~unchanged] != other[~unchanged]).any()


def stream_codes(split, stream):
    "Number of each event's item, as `random_split` made it."
    return split.vocabulary[stream.items] // 10 - 1


def test_nobody_is_new():
    "Who came early and only comes back leaves nothing to ask, and every step has an answer."
    rows = [(day, day % 2, 'view', 10 + 10 * (day % 3 == 0)) for day in range(12)]
    split = time_split(log_of_rows(rows), 3, 3, min_item_events=1)
    shop = cold_shop(split.fit, event_stream(split.log))
    for question in (first_events(split), second_events(split)):
        assert not len(question)
        families = (SO_FAR, LAST_HOURS, OF_DAY)
        for family in families:
            choices = cold_choices(family, [1, 24], [1, 10])
            chosen, values = choose_cold(shop, question, family, choices)
            assert chosen == choices[0] and np.isnan(values).all() and len(values) == len(choices)
            lists = cold_lists(shop, question, family, chosen)
            assert lists.shape == (0, 21)
            assert_streamed(lambda s, q: cold_lists(shop, q, family, chosen), shop.stream, question)
        values = cold_values(lists, question.queries)
        table = cold_table({FALLBACK: values, 'other': values}, question.queries)
        assert table.value.isna().all() and not table.n.any()
        assert cold_finding(table, table, table, 0, False).startswith('Nobody is new in the test window')
    limits = cold_limits({'first': question, 'second': question}, 0, 2, False, True)
    assert limits.startswith('0 of the 2 visitors of the test window are new')
    assert 'no categories' in limits and 'made up' in limits
