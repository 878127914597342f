"""A frame of one's own:
USAGE.md's script as printed, ways to write the same events, fits that refuse what is no log."""

import re
import runpy
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys_nb.als import ALS
from recsys_nb.baselines import ItemItemCF, Popularity
from recsys_nb.recommender import ring_log, wrong_logs
from recsys_nb.data import EVENTS, DataError, read_log
from recsys_nb.evaluation import evaluate_shared
from recsys_nb.protocol import (
    OwnIds,
    check_log,
    encode,
    histories_from_log,
    item_codes,
    log_from_frame,
    make_protocols,
    milliseconds,
)

ROOT = Path(__file__).parent.parent


def test_the_script_of_the_usage_page(tmp_path, monkeypatch, capsys):
    "As printed there, in an empty folder."
    scripts = re.findall(r'```python\n(.*?)```', (ROOT / 'USAGE.md').read_text(encoding='utf-8'), re.S)
    script = next(s for s in scripts if 'log_from_frame' in s)
    assert len([line for line in script.splitlines() if line.strip()]) <= 20
    (tmp_path / 'shop.py').write_text(script, encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    runpy.run_path('shop.py', run_name='__main__')
    assert capsys.readouterr().out == "[['tea' 'pot' 'cup']\n ['tea' 'pot' 'cup']]\n[['cup' 'tea' 'pot']]\n"


@pytest.fixture(scope='module')
def shop():
    "Events in the order of their times, as a shop would write them down."
    rng, n = np.random.default_rng(0), 3000
    times = np.sort(1_430_600_000_000 + rng.choice(30 * 86_400_000, n, replace=False))
    event = rng.choice(EVENTS, n, p=[0.8, 0.15, 0.05])
    return pd.DataFrame(
        dict(timestamp=times, visitorid=rng.integers(0, 150, n), event=event, itemid=rng.integers(0, 40, n))
    )


def UTC(milliseconds):
    return pd.to_datetime(milliseconds, unit='ms', utc=True)


OWN = dict(timestamp='t', visitorid='user', itemid='sku', event='what')
WRITTEN = {  # another way to write the same events, and how it is said
    'alphabetical categories': (lambda d: d.assign(event=d.event.astype('category')), {}),
    'unsorted': (lambda d: d.sample(frac=1, random_state=1), {}),
    'datetimes': (lambda d: d.assign(timestamp=UTC(d.timestamp)), {}),
    'naive datetimes': (lambda d: d.assign(timestamp=UTC(d.timestamp).dt.tz_localize(None)), {}),
    'another zone': (lambda d: d.assign(timestamp=UTC(d.timestamp).dt.tz_convert('America/New_York')), {}),
    'ISO text': (lambda d: d.assign(timestamp=UTC(d.timestamp).astype(str)), {}),
    'microseconds': (lambda d: d.assign(timestamp=d.timestamp * 1000), {}),
    'nanoseconds': (lambda d: d.assign(timestamp=d.timestamp * 10**6), dict(unit='ns')),
    'float seconds': (lambda d: d.assign(timestamp=d.timestamp / 1000), {}),
    'nullable': (lambda d: d.convert_dtypes(), {}),
    'Arrow': (lambda d: d.convert_dtypes(dtype_backend='pyarrow'), {}),
    'own names': (
        lambda d: d.rename(columns=OWN).replace(dict(what=dict(transaction='paid'))),
        OWN | dict(events=dict(paid='transaction')),
    ),
    'text ids': (
        lambda d: d.assign(visitorid=d.visitorid.map('v{:04}'.format), itemid=d.itemid.map('i{:04}'.format)),
        {},
    ),
    'ids in categories': (
        lambda d: d.assign(itemid=d.itemid.astype('category').cat.add_categories([999])),
        {},
    ),
    'an index of its own': (lambda d: d.set_index(np.full(len(d), 7)), {}),
    'every row twice': (lambda d: pd.concat([d, d]), {}),
}


@pytest.mark.parametrize('written', WRITTEN)
def test_however_it_is_written_the_log_is_the_same(shop, written):
    change, said = WRITTEN[written]
    right, _ = log_from_frame(shop)
    log, ids = log_from_frame(change(shop.copy()), **said)
    check_log(log)
    pd.testing.assert_frame_equal(log, right)
    assert ids.report.rows - ids.report.duplicates == ids.report.events == len(shop)


def test_the_log_is_that_of_the_reader(shop, tmp_path):
    shop.assign(transactionid='').to_csv(tmp_path / 'events.csv', index=False)
    read, _ = read_log(tmp_path)
    read = encode(read, np.unique(read.itemid))
    own, ids = log_from_frame(shop)
    assert (item_codes(own) == item_codes(read)).all()
    assert (milliseconds(own.timestamp) == milliseconds(read.timestamp)).all()
    assert (ids.visitors[own.visitorid] == read.visitorid).all() and (own.event == read.event).all()
    h, theirs = histories_from_log(own)[0], histories_from_log(read)[0]
    for make in (lambda: ALS(factors=8, iterations=5), ItemItemCF, lambda: Popularity(days=7)):
        assert (make().fit(own).recommend(h, 10)[0] == make().fit(read).recommend(theirs, 10)[0]).all()


def test_a_study_of_ones_own_log(shop):
    "Protocols and metrics take the log as they take that of a folder."
    log, ids = log_from_frame(shop)
    protocols = make_protocols(log)
    found = evaluate_shared(Popularity().fit(protocols.split.fit), protocols)
    assert len(found['next-item'].queries) > 100 and len(found['purchases'].queries) > 5


REPORTED = dict(
    ALS=lambda: ALS(factors=8, iterations=4), ItemItemCF=ItemItemCF, Popularity=lambda: Popularity(days=7)
)


@pytest.mark.parametrize('name', REPORTED)
@pytest.mark.parametrize('wrong', wrong_logs(ring_log()))
def test_fit_refuses_what_is_no_log(name, wrong):
    "Every class is asked this by check_recommender; these are the models of the report."
    with pytest.raises(DataError) as e:
        REPORTED[name]().fit(wrong_logs(ring_log())[wrong])
    assert len(str(e.value).splitlines()) == 1 and 'log_from_frame' in str(e.value)


def test_histories_and_windows_refuse_likewise():
    for frame in wrong_logs(ring_log()).values():
        with pytest.raises(DataError):
            histories_from_log(frame)
    alphabetical = wrong_logs(ring_log())['alphabetical events']
    with pytest.raises(DataError):
        make_protocols(alphabetical)


def test_ids_that_are_kept_are_the_same(tmp_path):
    "Text, numbers, negative and huge ones, and ids of other kinds."
    kinds = (['a', 'ß'], [-5, 2**62], [1.5, 2.5], [uuid.UUID(int=1), uuid.UUID(int=2)], [b'a', b'b'])
    for n, own in enumerate(kinds):
        ids = OwnIds(pd.Index(own), pd.Index(own))
        ids.save(tmp_path / str(n))
        assert OwnIds.load(tmp_path / str(n)).items.tolist() == own
