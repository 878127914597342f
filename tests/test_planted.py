"What is planted in the shop's items and visitors is in its events, and would be missed if it were not."

import numpy as np
import pandas as pd
import pytest

import recsys_nb.shop as shop
from recsys_nb.data import read_log
from recsys_nb.oracle import oracle_hit_rate, planted_catalogue, planted_tastes, taste_chances, taste_factors
from recsys_nb.protocol import Histories
from recsys_nb.shop import *
from recsys_nb.sources import load_log

SIZE = (8000, 300, 28, 3)  # visitors, items, days, seed


def as_log(columns):
    "The columns of `simulate_events` as `read_log` would give them, as far as they are needed."
    return pd.DataFrame({name: columns[name] for name in ('timestamp', 'visitorid', 'itemid')})


def suited(tastes=None):
    "How many of the items that visitors meet suit them, or suit other tastes."
    c, traits, columns = simulate_events(*SIZE)
    return taste_shares(as_log(columns), c, traits, visitor_tastes(*SIZE) if tastes is None else tastes)


def test_tastes_are_in_the_events():
    "Visitors meet items of their own band and style far more often than other visitors' tastes would say."
    own = suited()
    others = suited(np.random.default_rng(0).permutation(visitor_tastes(*SIZE)))
    chance = [1 / PRICE_BANDS, 1 / STYLES]
    assert (own - others > 0.12).all(axis=None)
    assert np.allclose(others.loc['items met'], chance, atol=0.03)


def test_without_tastes_nothing_is_found(monkeypatch):
    "The measure of the test before is not one that always says yes."
    monkeypatch.setattr(shop, 'TASTE', {'band': 1.0, 'style': 1.0})
    own = suited()
    assert np.allclose(own.loc['items met'], [1 / PRICE_BANDS, 1 / STYLES], atol=0.03)


def test_a_new_item_sells_by_taste_before_anybody_clicked_it():
    "The very first visitor of an item that came later has the taste that suits it."
    c, traits, columns = simulate_events(*SIZE)
    first = taste_shares(as_log(columns), c, traits, visitor_tastes(*SIZE), new_until=1).loc['new items met']
    assert first['own price band'] > 1 / PRICE_BANDS + 0.08
    assert first['own style'] > 1 / STYLES + 0.08


def test_words_are_shared_where_it_is_said():
    "Two items of a category share words, two of a style too, others hardly."
    c = make_catalogue(2000, 60, 0)
    traits = make_traits(c, 0)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2000, (2, 60_000))
    a, b = a[a != b], b[a != b]
    shared = (traits.words[a][:, :, None] == traits.words[b][:, None]).any((1, 2))
    category = c.categoryid[c.stage]
    same_category = category[a] == category[b]
    same_style = traits.style[a] == traits.style[b]
    assert shared[same_category].mean() > 0.9
    assert 0.15 < shared[same_style & ~same_category].mean() < 0.6
    assert shared[~same_style & ~same_category].mean() < 0.02


def test_a_price_tells_the_band():
    "Within a category, what is dearer is of a higher band; across the shop it says much less."
    c = make_catalogue(2000, 60, 0)
    traits = make_traits(c, 0)
    d = pd.DataFrame({'category': c.categoryid[c.stage], 'band': traits.band, 'price': np.log(traits.price)})
    within = d.price - d.groupby('category').price.transform('mean')
    assert within.corr(d.band) > 0.85
    assert d.price.corr(d.band) < 0.75


def test_rows_of_properties(tmp_path):
    "Each item has price, brand and words at its first snapshot, before it is on sale or at the first of all."
    simulate_shop(500, 200, 28, 0, tmp_path)
    parts = [pd.read_csv(tmp_path / f'item_properties_part{i}.csv', dtype=str) for i in (1, 2)]
    rows = pd.concat(parts)
    c = make_catalogue(200, 28, 0)
    traits = make_traits(c, 0)
    for name in ('price', 'brand', 'words'):
        own = rows[rows.property == name]
        own = own.sort_values('timestamp', key=lambda t: t.astype(int)).drop_duplicates('itemid')
        assert len(own) == 200
        own = own.set_index(own.itemid.astype(int)).loc[c.itemid]
        born = FIRST_DAY + c.birth * 86_400_000
        first = snapshot_times(28)[0]
        assert (own.timestamp.astype(int).to_numpy() <= np.maximum(born + 86_400_000, first)).all()
        if name == 'price':
            assert own.value.tolist() == [f'n{price}.000' for price in traits.price]
        if name == 'words':
            assert own.value.tolist() == [' '.join(map(str, words)) for words in traits.words]


def test_same_seed_same_shop(tmp_path):
    "Byte for byte, and another seed gives other prices."
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        simulate_shop(300, 100, 20, seed, tmp_path / name)
    for file in (tmp_path / 'a').iterdir():
        assert file.read_bytes() == (tmp_path / 'b' / file.name).read_bytes()
    assert (
        make_traits(make_catalogue(100, 20, 1), 1).price.sum()
        != make_traits(make_catalogue(100, 20, 0), 0).price.sum()
    )
    read_log(tmp_path / 'a')


def slow_chances(items, c, liked):
    "How likely each taste is: one item after another, by the rule of chance."
    chance = np.ones(len(liked))
    for item in set(items):
        stage = np.flatnonzero(c.stage == c.stage[item])
        for taste, row in enumerate(liked):
            chance[taste] *= c.weight[item] * row[item] / (c.weight[stage] * row[stage]).sum()
    return chance / chance.sum()


def test_guessed_tastes_beside_a_slow_loop():
    c = make_catalogue(300, 28, 0)
    liked = liking(make_traits(c, 0))
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 300, n) for n in (0, 1, 3, 9, 3)]
    rows[4] = np.r_[rows[2], rows[2][:1]]  # a repeat says nothing new
    ends = np.cumsum([len(row) for row in rows])
    items = np.concatenate(rows)
    h = Histories(items, items, items, np.r_[0, ends[:-1]], ends)
    found = taste_chances(h, taste_factors(c, liked))
    for row, own in zip(rows, found):
        assert np.allclose(own, slow_chances(row, c, liked))
    assert np.allclose(found[4], found[2])


@pytest.mark.parametrize('data', ['simulated:tiny', 'simulated:default'])
def test_knowing_tastes_helps_and_guessing_them_less(data):
    "The oracle that knows tastes is ahead of the one that guesses, and that one of the one without."
    known, guessed, none = (oracle_hit_rate(data, taste=taste) for taste in ('known', 'guessed', 'none'))
    assert known > guessed + 0.005
    assert guessed > none


def test_wrong_tastes_harm():
    "The oracle believes the tastes that it is given: shuffled ones cost more than none."
    from recsys_nb.oracle import Oracle
    from recsys_nb.protocol import next_item_queries, time_split

    split = time_split(load_log('simulated:tiny')[0])
    queries = next_item_queries(split)
    own = planted_tastes('simulated:tiny')[1]
    oracle = Oracle('simulated:tiny').fit(split.log)
    wrong = np.random.default_rng(0).permutation(own)
    rates = []
    for tastes in (own, wrong):
        lists = oracle.recommend(queries.histories, 10, tastes[queries.visitors])[0]
        rates.append((lists == queries.targets[:, None]).any(1).mean())
    assert rates[0] > rates[1] + 0.01
    assert rates[1] < oracle_hit_rate('simulated:tiny', taste='none')
    assert planted_catalogue('simulated:tiny').weight.size == 300
