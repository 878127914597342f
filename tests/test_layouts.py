"""Logs in every layout and every dialect:
read with every row and every id as it is written, or refused in one sentence that says what to type."""

import gzip
import io
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_nb.data import DataError, read_categories, read_ids, read_items, read_log
from recsys_nb.layouts import read_layouts
from watch import watched

T0, HOUR, DAY = 1_433_268_643_430, 3_600_000, 86_400_000
OTHERS = Path(__file__).resolve().parents[2] / 'shared/data/other'


def iso(milliseconds, form='%Y-%m-%dT%H:%M:%S', end='Z'):
    "A time in UTC as text."
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f'{at:{form}}.{milliseconds % 1000:03}{end}' if end is not None else f'{at:{form}}'


def day(milliseconds, form='%Y-%m-%d'):
    return iso(milliseconds, form, None)


# The plain log: time, visitor, event, item and order of each row, made up, no two rows at one time.
PLAIN = [
    (
        T0 + i * 7 * HOUR + i % 1000,
        1081 + i * 5 % 12,
        ('view', 'view', 'addtocart', 'view', 'transaction')[i % 5],
        507 + i * 3 % 8,
        str(i) if i % 5 == 4 else '',
    )
    for i in range(60)
]
COLUMNS = ('timestamp', 'visitorid', 'event', 'itemid', 'transactionid')


def text(rows, header=COLUMNS, sep=',', end='\n'):
    "Rows as a text file."
    lines = [sep.join(header)] if header else []
    return end.join([*lines, *(sep.join(map(str, row)) for row in rows)]) + end


def plain(change=None, **how):
    "The plain log with its rows changed, as a text file."
    return text([change(*row) if change else row for row in PLAIN], **how)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as z:
        [z.writestr(name, content) for name, content in files.items()]
    return buffer.getvalue()


def zst(content):
    return pa.compress(content, codec='zstd', asbytes=True)


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def plain_parquet(**changed):
    "The plain log as Parquet, some of its columns changed."
    return parquet(**(dict(zip(COLUMNS, map(list, zip(*PLAIN)))) | changed))


def lay(folder, content, given='shop.csv'):
    "Write a file (text or bytes) or the files of a folder (name -> such); what is to be given."
    shop = folder / 'shop'
    for name, what in (content if isinstance(content, dict) else {given: content}).items():
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_bytes(what if isinstance(what, bytes) else what.encode())
    return shop if isinstance(content, dict) else shop / given


def as_written(path, cache=None):
    "Rows of a log as its owner writes them: time, visitor, event, item."
    log, report = read_log(path, cache)
    ids = read_ids(path, cache)
    times = log.timestamp.astype('int64').tolist()
    visitors = [ids.visitor(code) for code in log.visitorid]
    return [*zip(times, visitors, log.event.astype(str), ids.items_of(log.itemid))], report


# One log in many forms: what its files are, which of them is given, and what becomes of a plain row (None: nothing).
def same(t, v, e, i, o):
    return t, str(v), e, str(i)


def seconds(t, v, e, i, o):
    return t // 1000 * 1000, str(v), e, str(i)


def views(t, v, e, i, o):
    return t, str(v), 'view', str(i)


def ids(visitor='{}', item='{}'):
    return lambda t, v, e, i, o: (t, visitor.format(v), e, item.format(i))


def uuid(v):
    return f'{v:08x}-aaaa-bbbb-cccc-{v:012x}'


OWN = plain().encode()
SPLIT = [k for k, row in enumerate(PLAIN) if row[0] > PLAIN[44][0]][0]
MORE = text(
    [[i, 1.5, e, t, 'DE', v] for t, v, e, i, o in PLAIN],
    ('itemid', 'price', 'event', 'timestamp', 'country', 'visitorid'),
)
LIST = [
    (visitor, [row for row in PLAIN if row[1] == visitor]) for visitor in sorted({row[1] for row in PLAIN})
]
OTTO_NAMES = dict(view='clicks', addtocart='carts', transaction='orders')
OTTO = ''.join(
    json.dumps(dict(session=v, events=[dict(aid=i, ts=t, type=OTTO_NAMES[e]) for t, _, e, i, o in rows]))
    + '\n'
    for v, rows in LIST
)
SECONDS = [(f'{t / 1000:.3f}'.rstrip('0').rstrip('.'), v, e, i, o) for t, v, e, i, o in PLAIN]
PROPERTIES = text(
    [(T0, i, 'categoryid', i % 3) for i in range(507, 515)], ('timestamp', 'itemid', 'property', 'value')
)
FORMS = [
    ('plain', {'events.csv': OWN}, '', same),
    ('Windows line ends and a mark', {'events.csv': '\ufeff' + plain(end='\r\n')}, '', same),
    ('a folder with spaces and other letters', {'мои данные é/events.csv': OWN}, '', same),
    ('the file itself', {'events.csv': OWN}, 'events.csv', same),
    ('a gzip itself', {'events.csv.gz': gzip.compress(OWN)}, 'events.csv.gz', same),
    ('a gzip in a folder', {'events.csv.gz': gzip.compress(OWN)}, '', same),
    ('a zst itself', {'events.csv.zst': zst(OWN)}, 'events.csv.zst', same),
    ('a zst in a folder', {'clicks.csv.zst': zst(OWN)}, '', same),
    ('a zip of a Mac', {'a.zip': zipped({'events.csv': OWN, '__MACOSX/._events.csv': b'\0\5\x16'})}, 'a.zip', same),
    ('two folders down in a zip', {'a.zip': zipped({'a/b/events.csv': OWN})}, 'a.zip', same),
    ('a gzip in a zip', {'a.zip': zipped({'a/clicks.csv.gz': gzip.compress(OWN)})}, 'a.zip', same),
    ('Parquet', {'events.parquet': plain_parquet()}, '', same),
    ('Parquet by another name', {'clicks.pq': plain_parquet()}, 'clicks.pq', same),
    ('Parquet with times', {'a.parquet': plain_parquet(timestamp=pa.array([r[0] for r in PLAIN], pa.timestamp('ms')))}, '', same),
    (
        'Parquet in nanoseconds of a zone',
        {'a.parquet': plain_parquet(timestamp=pa.array([r[0] * 10**6 for r in PLAIN], pa.timestamp('ns', 'Asia/Tokyo')))},
        '',
        same,
    ),
    ('Parquet with ids of uint64', {'a.parquet': plain_parquet(itemid=pa.array([2**64 - r[3] for r in PLAIN], pa.uint64()))}, '', lambda t, v, e, i, o: (t, str(v), e, str(2**64 - i))),
    ('Parquet with ids of float64', {'a.parquet': plain_parquet(itemid=[float(r[3]) for r in PLAIN])}, '', ids(item='{}.0')),
    ('Parquet with ids of text', {'a.parquet': plain_parquet(visitorid=[f'v-{r[1]}' for r in PLAIN])}, '', ids('v-{}')),
    ('two parts', {'2019-Oct.csv': text(PLAIN[:20]), '2019-Nov.csv': text(PLAIN[20:])}, '', same),
    ('parts of Spark', {'part-00000.csv': text(PLAIN[:20]), 'part-00001.csv': text(PLAIN[20:]), '_SUCCESS': '', '.part-00000.csv.crc': b'crc\0'}, '', same),
    ('parts of Parquet', {f'p{k}.parquet': parquet(**dict(zip(COLUMNS, map(list, zip(*PLAIN[k::3]))))) for k in range(3)}, '', same),
    ('merged properties', {'events.csv': OWN, 'item_properties.csv': PROPERTIES, 'category_tree.csv': 'categoryid,parentid\n0,\n1,0\n2,0\n'}, '', same),
    ('nan for no order', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, i, o or 'NaN'))}, '', same),
    ('seconds', {'events.csv': plain(lambda t, *r: (t // 1000, *r))}, '', seconds),
    ('seconds as floats', {'events.csv': text(SECONDS)}, '', same),
    ('microseconds', {'events.csv': plain(lambda t, *r: (t * 1000, *r))}, '', same),
    ('nanoseconds', {'events.csv': plain(lambda t, *r: (t * 10**6, *r))}, '', same),
    ('milliseconds with a point', {'events.csv': plain(lambda t, *r: (f'{t}.0', *r))}, '', same),
    ('ISO times', {'events.csv': plain(lambda t, *r: (iso(t), *r))}, '', same),
    ('ISO times without a zone', {'events.csv': plain(lambda t, *r: (iso(t, '%Y-%m-%d %H:%M:%S', ''), *r))}, '', same),
    ('ISO times two hours east', {'events.csv': plain(lambda t, *r: (iso(t + 2 * HOUR, end='+02:00'), *r))}, '', same),
    ('times as BigQuery writes them', {'events.csv': plain(lambda t, *r: (iso(t, '%Y-%m-%d %H:%M:%S', ' UTC'), *r))}, '', same),
    ('days alone', {'events.csv': plain(lambda t, *r: (day(t), *r))}, '', lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i))),
    ('days alone in milliseconds', {'events.csv': plain(lambda t, *r: (t // DAY * DAY, *r))}, '', lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i))),
    ('days as numbers', {'events.csv': plain(lambda t, *r: (day(t, '%Y%m%d'), *r))}, '', lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i))),
    ('ids as floats', {'events.csv': plain(lambda t, v, e, i, o: (t, f'{v}.0', e, f'{i}.0', o))}, '', ids('{}.0', '{}.0')),
    ('negative ids', {'events.csv': plain(lambda t, v, e, i, o: (t, -v, e, i, o))}, '', ids('-{}')),
    ('huge ids', {'events.csv': plain(lambda t, v, e, i, o: (t, 2**62 + v, e, 2**62 - i, o))}, '', lambda t, v, e, i, o: (t, str(2**62 + v), e, str(2**62 - i))),
    ('ids over 64 bits', {'events.csv': plain(lambda t, v, e, i, o: (t, 10**30 + v, e, i, o))}, '', lambda t, v, e, i, o: (t, str(10**30 + v), e, str(i))),
    ('ids as text', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, f'sku-{i}', o))}, '', ids(item='sku-{}')),
    ('UUIDs', {'events.csv': plain(lambda t, v, e, i, o: (t, uuid(v), e, i, o))}, '', lambda t, v, e, i, o: (t, uuid(v), e, str(i))),
    ('ids with zeros before them', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, f'{i:010}', o))}, '', ids(item='{:010}')),
    ('purchases by another name', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e.replace('transaction', 'purchase'), i, o))}, '', same),
    ('carts and purchases by other names', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e.replace('transaction', 'purchase').replace('addto', ''), i, o))}, '', same),
    ('events in capitals', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e.upper(), i, o))}, '', same),
    ('a header in capitals', {'events.csv': plain(header=[c.title() for c in COLUMNS])}, '', same),
    ('other columns in another order', {'events.csv': MORE}, '', same),
    ('purchases alone', {'events.csv': plain(lambda t, v, e, i, o: (t, v, 'transaction', i, 1))}, '', lambda t, v, e, i, o: (t, str(v), 'transaction', str(i))),
    ('views alone', {'events.csv': plain(lambda t, v, e, i, o: (t, v, 'view', i, ''))}, '', views),
    ('no header', {'events.csv': plain(header=())}, '', same),
    ('semicolons', {'my.csv': plain(sep=';')}, 'my.csv', same),
    ('tabs', {'my.tsv': plain(sep='\t')}, 'my.tsv', same),
    ('RecBole', {'shop.inter': text([(v, i, s) for s, v, e, i, o in SECONDS], ('user_id:token', 'item_id:token', 'timestamp:float'), '\t')}, '', views),
    ('session-rec', {'e_train_full.txt': text([(v, i, s) for s, v, e, i, o in SECONDS[:SPLIT]], ('SessionId', 'ItemId', 'Time'), '\t'), 'e_test.txt': text([(v, i, s) for s, v, e, i, o in SECONDS[SPLIT:]], ('SessionId', 'ItemId', 'Time'), '\t')}, '', views),
    ('YooChoose', {'yoochoose-clicks.dat': plain(lambda t, v, e, i, o: (v, iso(t), i, 0), header=())}, '', views),
    ('Diginetica', {'train-item-views.csv': plain(lambda t, v, e, i, o: (v, '', i, t % DAY, day(t)), header=('sessionId', 'userId', 'itemId', 'timeframe', 'eventdate'), sep=';')}, '', views),
    ('Diginetica by another name', {'events.csv': plain(lambda t, v, e, i, o: (v, '', i, t % DAY, day(t)), header=('sessionId', 'userId', 'itemId', 'timeframe', 'eventdate'), sep=';')}, '', views),
    ('MovieLens', {'ratings.csv': plain(lambda t, v, e, i, o: (v, i, 4.0, t // 1000), header=('userId', 'movieId', 'rating', 'timestamp'))}, '', lambda *r: views(*seconds(*r), '')),
    ('MovieLens by another name', {'events.csv': plain(lambda t, v, e, i, o: (v, i, 4.0, t // 1000), header=('userId', 'movieId', 'rating', 'timestamp'))}, '', lambda *r: views(*seconds(*r), '')),
    ('Amazon', {'Beauty.csv': plain(lambda t, v, e, i, o: (f'AE{v}', f'B0{i}', 5.0, t), header=('user_id', 'parent_asin', 'rating', 'timestamp'))}, '', lambda t, v, e, i, o: (t, f'AE{v}', 'view', f'B0{i}')),
    ('OTTO', {'otto-recsys-train.jsonl': OTTO}, '', same),
    ('JSON lines', {'log.jsonl': ''.join(json.dumps(dict(zip(COLUMNS, row))) + '\n' for row in PLAIN)}, '', same),
    ('a JSON array', {'log.json': json.dumps([dict(zip(COLUMNS, row)) for row in PLAIN])}, '', same),
    ('names of a shop of its own', {'log.csv': plain(header=('When', 'Customer ID', 'Action', 'SKU', 'Order'))}, '', same),
]  # fmt: skip


@pytest.mark.parametrize('files, given, change', [f[1:] for f in FORMS], ids=[f[0] for f in FORMS])
def test_form(tmp_path, record, request, files, given, change):
    "However one log is written, it is the same log, its ids as they stand there."
    path, cache = lay(tmp_path, files) / given, tmp_path / 'cache'
    with watched(tmp_path, cache) as cost:
        for _ in ('read', 'from the cache'):
            rows, report = as_written(path, cache)
            assert sorted(rows) == sorted(change(*row) for row in PLAIN)
            assert [row[0] for row in rows] == sorted(row[0] for row in rows)
            assert (report.rows, report.events, report.duplicates) == (60, 60, 0)
    record(
        'bad input',
        f'a form of one log: {request.node.callspec.id}',
        cases=1,
        loaded=1,
        slowest_seconds=round(cost.seconds, 3),
        peak_mb=round(cost.megabytes),
    )
