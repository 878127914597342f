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


# One log in many forms: what its files are, which of them is given, and what becomes of a plain row.
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
    (
        'a zip of a Mac',
        {'a.zip': zipped({'events.csv': OWN, '__MACOSX/._events.csv': b'\0\5\x16'})},
        'a.zip',
        same,
    ),
    ('two folders down in a zip', {'a.zip': zipped({'a/b/events.csv': OWN})}, 'a.zip', same),
    ('a gzip in a zip', {'a.zip': zipped({'a/clicks.csv.gz': gzip.compress(OWN)})}, 'a.zip', same),
    ('Parquet', {'events.parquet': plain_parquet()}, '', same),
    ('Parquet by another name', {'clicks.pq': plain_parquet()}, 'clicks.pq', same),
    (
        'Parquet with times',
        {'a.parquet': plain_parquet(timestamp=pa.array([r[0] for r in PLAIN], pa.timestamp('ms')))},
        '',
        same,
    ),
    (
        'Parquet in nanoseconds of a zone',
        {
            'a.parquet': plain_parquet(
                timestamp=pa.array([r[0] * 10**6 for r in PLAIN], pa.timestamp('ns', 'Asia/Tokyo'))
            )
        },
        '',
        same,
    ),
    (
        'Parquet with ids of uint64',
        {'a.parquet': plain_parquet(itemid=pa.array([2**64 - r[3] for r in PLAIN], pa.uint64()))},
        '',
        lambda t, v, e, i, o: (t, str(v), e, str(2**64 - i)),
    ),
    (
        'Parquet with ids of float64',
        {'a.parquet': plain_parquet(itemid=[float(r[3]) for r in PLAIN])},
        '',
        ids(item='{}.0'),
    ),
    (
        'Parquet with ids of text',
        {'a.parquet': plain_parquet(visitorid=[f'v-{r[1]}' for r in PLAIN])},
        '',
        ids('v-{}'),
    ),
    ('two parts', {'2019-Oct.csv': text(PLAIN[:20]), '2019-Nov.csv': text(PLAIN[20:])}, '', same),
    (
        'parts of Spark',
        {
            'part-00000.csv': text(PLAIN[:20]),
            'part-00001.csv': text(PLAIN[20:]),
            '_SUCCESS': '',
            '.part-00000.csv.crc': b'crc\0',
        },
        '',
        same,
    ),
    (
        'parts of Parquet',
        {f'p{k}.parquet': parquet(**dict(zip(COLUMNS, map(list, zip(*PLAIN[k::3]))))) for k in range(3)},
        '',
        same,
    ),
    (
        'merged properties',
        {
            'events.csv': OWN,
            'item_properties.csv': PROPERTIES,
            'category_tree.csv': 'categoryid,parentid\n0,\n1,0\n2,0\n',
        },
        '',
        same,
    ),
    ('nan for no order', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, i, o or 'NaN'))}, '', same),
    ('seconds', {'events.csv': plain(lambda t, *r: (t // 1000, *r))}, '', seconds),
    ('seconds as floats', {'events.csv': text(SECONDS)}, '', same),
    ('microseconds', {'events.csv': plain(lambda t, *r: (t * 1000, *r))}, '', same),
    ('nanoseconds', {'events.csv': plain(lambda t, *r: (t * 10**6, *r))}, '', same),
    ('milliseconds with a point', {'events.csv': plain(lambda t, *r: (f'{t}.0', *r))}, '', same),
    ('ISO times', {'events.csv': plain(lambda t, *r: (iso(t), *r))}, '', same),
    (
        'ISO times without a zone',
        {'events.csv': plain(lambda t, *r: (iso(t, '%Y-%m-%d %H:%M:%S', ''), *r))},
        '',
        same,
    ),
    (
        'ISO times two hours east',
        {'events.csv': plain(lambda t, *r: (iso(t + 2 * HOUR, end='+02:00'), *r))},
        '',
        same,
    ),
    (
        'times as BigQuery writes them',
        {'events.csv': plain(lambda t, *r: (iso(t, '%Y-%m-%d %H:%M:%S', ' UTC'), *r))},
        '',
        same,
    ),
    (
        'days alone',
        {'events.csv': plain(lambda t, *r: (day(t), *r))},
        '',
        lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i)),
    ),
    (
        'days alone in milliseconds',
        {'events.csv': plain(lambda t, *r: (t // DAY * DAY, *r))},
        '',
        lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i)),
    ),
    (
        'days as numbers',
        {'events.csv': plain(lambda t, *r: (day(t, '%Y%m%d'), *r))},
        '',
        lambda t, v, e, i, o: (t // DAY * DAY, str(v), e, str(i)),
    ),
    (
        'ids as floats',
        {'events.csv': plain(lambda t, v, e, i, o: (t, f'{v}.0', e, f'{i}.0', o))},
        '',
        ids('{}.0', '{}.0'),
    ),
    ('negative ids', {'events.csv': plain(lambda t, v, e, i, o: (t, -v, e, i, o))}, '', ids('-{}')),
    (
        'huge ids',
        {'events.csv': plain(lambda t, v, e, i, o: (t, 2**62 + v, e, 2**62 - i, o))},
        '',
        lambda t, v, e, i, o: (t, str(2**62 + v), e, str(2**62 - i)),
    ),
    (
        'ids over 64 bits',
        {'events.csv': plain(lambda t, v, e, i, o: (t, 10**30 + v, e, i, o))},
        '',
        lambda t, v, e, i, o: (t, str(10**30 + v), e, str(i)),
    ),
    (
        'ids as text',
        {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, f'sku-{i}', o))},
        '',
        ids(item='sku-{}'),
    ),
    (
        'UUIDs',
        {'events.csv': plain(lambda t, v, e, i, o: (t, uuid(v), e, i, o))},
        '',
        lambda t, v, e, i, o: (t, uuid(v), e, str(i)),
    ),
    (
        'ids with zeros before them',
        {'events.csv': plain(lambda t, v, e, i, o: (t, v, e, f'{i:010}', o))},
        '',
        ids(item='{:010}'),
    ),
    (
        'purchases by another name',
        {'events.csv': plain(lambda t, v, e, i, o: (t, v, e.replace('transaction', 'purchase'), i, o))},
        '',
        same,
    ),
    (
        'carts and purchases by other names',
        {
            'events.csv': plain(
                lambda t, v, e, i, o: (t, v, e.replace('transaction', 'purchase').replace('addto', ''), i, o)
            )
        },
        '',
        same,
    ),
    ('events in capitals', {'events.csv': plain(lambda t, v, e, i, o: (t, v, e.upper(), i, o))}, '', same),
    ('a header in capitals', {'events.csv': plain(header=[c.title() for c in COLUMNS])}, '', same),
    ('other columns in another order', {'events.csv': MORE}, '', same),
    (
        'purchases alone',
        {'events.csv': plain(lambda t, v, e, i, o: (t, v, 'transaction', i, 1))},
        '',
        lambda t, v, e, i, o: (t, str(v), 'transaction', str(i)),
    ),
    ('views alone', {'events.csv': plain(lambda t, v, e, i, o: (t, v, 'view', i, ''))}, '', views),
    ('no header', {'events.csv': plain(header=())}, '', same),
    ('semicolons', {'my.csv': plain(sep=';')}, 'my.csv', same),
    ('tabs', {'my.tsv': plain(sep='\t')}, 'my.tsv', same),
    (
        'RecBole',
        {
            'shop.inter': text(
                [(v, i, s) for s, v, e, i, o in SECONDS],
                ('user_id:token', 'item_id:token', 'timestamp:float'),
                '\t',
            )
        },
        '',
        views,
    ),
    (
        'session-rec',
        {
            'e_train_full.txt': text(
                [(v, i, s) for s, v, e, i, o in SECONDS[:SPLIT]], ('SessionId', 'ItemId', 'Time'), '\t'
            ),
            'e_test.txt': text(
                [(v, i, s) for s, v, e, i, o in SECONDS[SPLIT:]], ('SessionId', 'ItemId', 'Time'), '\t'
            ),
        },
        '',
        views,
    ),
    (
        'YooChoose',
        {'yoochoose-clicks.dat': plain(lambda t, v, e, i, o: (v, iso(t), i, 0), header=())},
        '',
        views,
    ),
    (
        'Diginetica',
        {
            'train-item-views.csv': plain(
                lambda t, v, e, i, o: (v, '', i, t % DAY, day(t)),
                header=('sessionId', 'userId', 'itemId', 'timeframe', 'eventdate'),
                sep=';',
            )
        },
        '',
        views,
    ),
    (
        'Diginetica by another name',
        {
            'events.csv': plain(
                lambda t, v, e, i, o: (v, '', i, t % DAY, day(t)),
                header=('sessionId', 'userId', 'itemId', 'timeframe', 'eventdate'),
                sep=';',
            )
        },
        '',
        views,
    ),
    (
        'MovieLens',
        {
            'ratings.csv': plain(
                lambda t, v, e, i, o: (v, i, 4.0, t // 1000),
                header=('userId', 'movieId', 'rating', 'timestamp'),
            )
        },
        '',
        lambda *r: views(*seconds(*r), ''),
    ),
    (
        'MovieLens by another name',
        {
            'events.csv': plain(
                lambda t, v, e, i, o: (v, i, 4.0, t // 1000),
                header=('userId', 'movieId', 'rating', 'timestamp'),
            )
        },
        '',
        lambda *r: views(*seconds(*r), ''),
    ),
    (
        'Amazon',
        {
            'Beauty.csv': plain(
                lambda t, v, e, i, o: (f'AE{v}', f'B0{i}', 5.0, t),
                header=('user_id', 'parent_asin', 'rating', 'timestamp'),
            )
        },
        '',
        lambda t, v, e, i, o: (t, f'AE{v}', 'view', f'B0{i}'),
    ),
    ('OTTO', {'otto-recsys-train.jsonl': OTTO}, '', same),
    (
        'JSON lines',
        {'log.jsonl': ''.join(json.dumps(dict(zip(COLUMNS, row))) + '\n' for row in PLAIN)},
        '',
        same,
    ),
    ('a JSON array', {'log.json': json.dumps([dict(zip(COLUMNS, row)) for row in PLAIN])}, '', same),
    (
        'names of a shop of its own',
        {'log.csv': plain(header=('When', 'Customer ID', 'Action', 'SKU', 'Order'))},
        '',
        same,
    ),
]


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


# A small made-up example of every layout with all its files: rows as they are to be read, what is said of the
# items, and what becomes of the files that are no log.
A, B, D = 1_433_268_643_000, 1_433_272_243_250, 1_433_358_643_000  # three times
CLICKS = [(A, '1', 'view', '7'), (B, '2', 'view', '8'), (D, '2', 'view', '7')]
GENRES = 'unknown|Action|Adventure|Animation|Childrens|Comedy|Crime'.split('|')


def otto(session, aid, ts, kind):
    return json.dumps(dict(session=session, events=[dict(aid=aid, ts=ts, type=kind)])) + '\n'


EXAMPLES = {
    'RetailRocket': (
        {
            'Events.CSV': text(
                [(A, 1, 'view', 7, ''), (B, 2, 'addtocart', 8, ''), (D, 2, 'transaction', 7, 5)],
                [c.upper() for c in COLUMNS],
            ),
            'item_properties_part1.csv': text(
                [(A, 7, 'categoryid', 3), (A, 8, 'categoryid', 4), (A, 7, '790', 'n1')],
                ('timestamp', 'itemid', 'property', 'value'),
            ),
            'category_tree.csv': 'categoryid,parentid\n3,1\n4,1\n1,\n',
        },
        [(A, '1', 'view', '7'), (B, '2', 'addtocart', '8'), (D, '2', 'transaction', '7')],
        None,
        {'7': '1 > 3', '8': '1 > 4'},
    ),
    'session-rec': (
        {
            'shop_train_full.txt': f'SessionId\tItemId\tTime\n1\t7\t{A / 1000}\n2\t8\t{B / 1000}\n',
            'shop_train_tr.txt': f'SessionId\tItemId\tTime\n1\t7\t{A / 1000}\n',
            'shop_train_valid.txt': f'SessionId\tItemId\tTime\n2\t8\t{B / 1000}\n',
            'shop_test.txt': f'SessionId\tItemId\tTime\n2\t7\t{D / 1000}\n',
        },
        CLICKS,
        None,
        None,
    ),
    'YooChoose': (
        {
            'yoochoose-clicks.dat': f'1,{iso(A)},7,0\n2,{iso(B)},8,S\n',
            'yoochoose-buys.dat': f'2,{iso(D)},7,1046,1\n',
        },
        [*CLICKS[:2], (D, '2', 'transaction', '7')],
        {'7': {'category': '0', 'price': '1046'}, '8': {'category': 'S'}},
        {'7': '0', '8': 'S'},
    ),
    'Diginetica': (
        {
            'train-item-views.csv': (
                f'sessionId;userId;itemId;timeframe;eventdate\n1;NA;7;{A % DAY};{day(A)}\n2;5;8;'
                f'{B % DAY};{day(B)}\n'
            ),
            'train-purchases.csv': (
                f'sessionId;userId;timeframe;eventdate;ordernumber;itemId\n2;5;{D % DAY};{day(D)};900;7\n'
            ),
            'products.csv': 'itemId;pricelog2;product.name.tokens\n7;10;4875,776,56689\n8;6;4600\n',
            'product-categories.csv': 'itemId;categoryId\n7;1096\n8;37\n',
            'train-queries.csv': (
                'queryId;sessionId;userId;timeframe;duration;eventdate;searchstring.tokens;categoryId'
                f';items;is.test\n1;1;NA;9;3;{day(A)};12;0;7,8;FALSE\n'
            ),
            'train-clicks.csv': 'queryId;timeframe;itemId\n1;19;7\n',
        },
        [*CLICKS[:2], (D, '2', 'transaction', '7')],
        {
            '7': {'title': '4875,776,56689', 'category': '1096', 'pricelog2': '10'},
            '8': {'title': '4600', 'category': '37'},
        },
        {'7': '1096', '8': '37'},
    ),
    'OTTO': (
        {
            'otto-recsys-train.jsonl': otto(1, 7, A, 'clicks') + otto(2, 8, B, 'carts'),
            'otto-recsys-test.jsonl': otto(3, 7, D, 'orders'),
        },
        [(A, '1', 'view', '7'), (B, '2', 'addtocart', '8'), (D, '3', 'transaction', '7')],
        None,
        None,
    ),
    'REES46': (
        {
            '2015-Jun.csv': 'event_time,event_type,product_id,category_id,category_code,brand,price,user_id'
            ',user_session\n'
            f'{day(A, "%Y-%m-%d %H:%M:%S UTC")},view,7,2053,home.lamp,acme,12.50,1,5f-1\n'
            f'{day(B, "%Y-%m-%d %H:%M:%S UTC")},remove_from_cart,8,2054,,zinc,3.00,2,5f-2\n',
            '2015-Jul.csv': 'event_time,event_type,product_id,category_id,category_code,brand,price,user_id'
            ',user_session\n'
            f'{day(B, "%Y-%m-%d %H:%M:%S UTC")},cart,8,2054,,zinc,3.00,2,5f-2\n'
            f'{day(D, "%Y-%m-%d %H:%M:%S UTC")},purchase,7,2053,home.lamp,acme,11.00,2,5f-3\n',
        },
        [(A, '1', 'view', '7'), (B // 1000 * 1000, '2', 'addtocart', '8'), (D, '2', 'transaction', '7')],
        {'7': {'category': 'home > lamp', 'price': '11.00'}, '8': {'category': '', 'price': '3.00'}},
        {'7': 'home > lamp'},
    ),
    'MovieLens': (
        {
            'ratings.csv': (
                f'userId,movieId,rating,timestamp\n1,7,4.0,{A // 1000}\n2,8,3.5,{B // 1000}\n2,7,0.5,'
                f'{D // 1000}\n'
            ),
            'movies.csv': (
                'movieId,title,genres\n7,"Lamp, The (1995)",Comedy|Drama\n8,Ünseen (1990),(no genres'
                ' listed)\n'
            ),
            'tags.csv': f'userId,movieId,tag,timestamp\n1,7,bright,{A // 1000}\n',
            'links.csv': 'movieId,imdbId,tmdbId\n7,0114709,862\n',
        },
        [(A, '1', 'view', '7'), (B // 1000 * 1000, '2', 'view', '8'), (D, '2', 'view', '7')],
        {
            '7': {'title': 'Lamp, The (1995)', 'category': 'Comedy', 'genres': 'Comedy|Drama'},
            '8': {'title': 'Ünseen (1990)'},
        },
        {'7': 'Comedy'},
    ),
    'MovieLens 100k': (
        {
            'u.data': f'1\t7\t4\t{A // 1000}\n2\t8\t3\t{B // 1000}\n2\t7\t1\t{D // 1000}\n',
            'u1.base': f'1\t7\t4\t{A // 1000}\n',
            'u1.test': f'2\t8\t3\t{B // 1000}\n',
            'u.item': (
                f'7|Lamp (1995)|01-Jan-1995||http://example.org/7|{"|".join("0100010" + "0" * 12)}\n'
                f'8|Été (1990)|01-Jan-1990||http://example.org/8|{"|".join("0000001" + "0" * 12)}\n'
            ).encode('latin-1'),
            'u.user': '1|24|M|technician|85711\n2|53|F|other|94043\n',
            'u.genre': 'unknown|0\nAction|1\n',
            'u.info': '943 users\n1682 items\n',
            'README': 'SUMMARY & USAGE LICENSE\n',
        },
        [(A, '1', 'view', '7'), (B // 1000 * 1000, '2', 'view', '8'), (D, '2', 'view', '7')],
        {
            '7': {'title': 'Lamp (1995)', 'category': 'Action'},
            '8': {'title': 'Été (1990)', 'category': 'Crime'},
        },
        {'7': 'Action', '8': 'Crime'},
    ),
    'MovieLens 1M': (
        {
            'ratings.dat': f'1::7::4::{A // 1000}\n2::8::3::{B // 1000}\n2::7::1::{D // 1000}\n',
            'movies.dat': "7::Lamp: A Story (1995)::Animation|Children's\n8::Unseen (1990)::Drama\n",
            'users.dat': '1::F::1::10::48067\n2::M::56::16::70072\n',
        },
        [(A, '1', 'view', '7'), (B // 1000 * 1000, '2', 'view', '8'), (D, '2', 'view', '7')],
        {'7': {'title': 'Lamp: A Story (1995)', 'category': 'Animation'}, '8': {'category': 'Drama'}},
        {'7': 'Animation', '8': 'Drama'},
    ),
    'Amazon reviews': (
        {
            'All_Beauty.jsonl': ''.join(
                json.dumps(
                    dict(
                        rating=r,
                        title='Fine',
                        text='It, "works"',
                        images=[],
                        asin=f'B00000000{i}',
                        parent_asin=f'B00000000{i}',
                        user_id=f'AE{v}',
                        timestamp=t,
                        verified_purchase=True,
                    )
                )
                + '\n'
                for t, v, i, r in ((A, 1, 7, 5.0), (B, 2, 8, 4.0), (D, 2, 7, 1.0))
            ),
            'meta_All_Beauty.jsonl': json.dumps(
                dict(
                    main_category='All Beauty',
                    title='Lamp',
                    average_rating=4.8,
                    price=12.5,
                    images=[{'large': 'https://example.org/7.jpg'}],
                    categories=['Home', 'Lamps'],
                    parent_asin='B000000007',
                )
            )
            + '\n'
            + json.dumps(
                dict(
                    main_category='All Beauty',
                    title='Soap',
                    average_rating=4.8,
                    price=None,
                    images=[],
                    categories=[],
                    parent_asin='B000000008',
                )
            )
            + '\n',
        },
        [
            (A, 'AE1', 'view', 'B000000007'),
            (B, 'AE2', 'view', 'B000000008'),
            (D, 'AE2', 'view', 'B000000007'),
        ],
        {
            'B000000007': {'title': 'Lamp', 'category': 'Home > Lamps', 'price': '12.5'},
            'B000000008': {'title': 'Soap', 'category': ''},
        },
        {'B000000007': 'Home > Lamps'},
    ),
    'Amazon reviews of 2014': (
        {
            'reviews_Beauty_5.json': ''.join(
                json.dumps(
                    dict(
                        reviewerID=f'A1{v:08}',
                        asin=f'B00000000{i}',
                        reviewerName='x',
                        helpful=[0, 1],
                        overall=r,
                        unixReviewTime=t // 1000,
                        reviewTime='06 2, 2015',
                    )
                )
                + '\n'
                for t, v, i, r in ((A, 1, 7, 5.0), (B, 2, 8, 4.0), (D, 2, 7, 1.0))
            ),
            'meta_Beauty.json': json.dumps(
                dict(
                    asin='B000000007',
                    title='Lamp',
                    categories=[['Home', 'Lamps']],
                    price=12.5,
                    imUrl='http://example.org/7.jpg',
                )
            )
            + '\n'
            + json.dumps(dict(asin='B000000008', title='Soap', categories=[['Bath']]))
            + '\n',
        },
        [
            (A, 'A100000001', 'view', 'B000000007'),
            (B // 1000 * 1000, 'A100000002', 'view', 'B000000008'),
            (D, 'A100000002', 'view', 'B000000007'),
        ],
        {
            'B000000007': {'title': 'Lamp', 'price': '12.5', 'image': 'http://example.org/7.jpg'},
            'B000000008': {'title': 'Soap'},
        },
        {'B000000007': 'Home > Lamps', 'B000000008': 'Bath'},
    ),
    'Amazon ratings of 2014': (
        {
            'ratings_Beauty.csv': text(
                [(f'A100000000{v}', f'B00000000{i}', '5.0', t // 1000) for t, v, _, i in CLICKS], header=()
            )
        },
        [
            (A, 'A1000000001', 'view', 'B000000007'),
            (B // 1000 * 1000, 'A1000000002', 'view', 'B000000008'),
            (D, 'A1000000002', 'view', 'B000000007'),
        ],
        None,
        None,
    ),
    'Amazon ratings of 2018': (
        {
            'Beauty.csv': text(
                [(f'B00000000{i}', f'A100000000{v}', '5.0', t // 1000) for t, v, _, i in CLICKS], header=()
            )
        },
        [
            (A, 'A1000000001', 'view', 'B000000007'),
            (B // 1000 * 1000, 'A1000000002', 'view', 'B000000008'),
            (D, 'A1000000002', 'view', 'B000000007'),
        ],
        None,
        None,
    ),
    'Taobao': (
        {
            'UserBehavior.csv': text(
                [
                    (1, 7, 205, 'pv', A // 1000),
                    (1, 8, 206, 'fav', A // 1000),
                    (2, 8, 206, 'cart', B // 1000),
                    (2, 7, 205, 'buy', D // 1000),
                ],
                header=(),
            )
        },
        [(A, '1', 'view', '7'), (B // 1000 * 1000, '2', 'addtocart', '8'), (D, '2', 'transaction', '7')],
        {'7': {'category': '205'}, '8': {'category': '206'}},
        {'7': '205', '8': '206'},
    ),
    'H&M': (
        {
            'transactions_train.csv': (
                f't_dat,customer_id,article_id,price,sales_channel_id\n{day(A)},{"a" * 64},0663713001'
                f',0.0508,2\n{day(D)},{"b" * 64},0541518023,0.0305,2\n'
            ),
            'articles.csv': (
                'article_id,product_code,prod_name,product_type_name,product_group_name'
                ',index_group_name\n0663713001,0663713,Strap top,Vest top,Garment Upper body'
                ',Ladieswear\n0541518023,0541518,Rae Push (Melbourne),Bra,Underwear,Ladieswear\n'
            ),
            'customers.csv': f'customer_id,FN,Active,club_member_status,age\n{"a" * 64},,,ACTIVE,49\n',
            'sample_submission.csv': f'customer_id,prediction\n{"a" * 64},0663713001 0541518023\n',
        },
        [
            (A // DAY * DAY, 'a' * 64, 'transaction', '0663713001'),
            (D // DAY * DAY, 'b' * 64, 'transaction', '0541518023'),
        ],
        {
            '0663713001': {'title': 'Strap top', 'price': '0.0508'},
            '0541518023': {'title': 'Rae Push (Melbourne)'},
        },
        {'0663713001': 'Ladieswear > Garment Upper body > Vest top'},
    ),
    'Coveo': (
        {
            'browsing_train.csv': text(
                [
                    ('ab1', 'event_product', 'detail', 'c7', A, 'e1'),
                    ('ab1', 'pageview', '', '', A + 1, 'e2'),
                    ('ab2', 'event_product', 'add', 'c8', B, 'e3'),
                    ('ab2', 'event_product', 'remove', 'c8', B + 9, 'e3'),
                    ('ab2', 'event_product', 'purchase', 'c7', D, 'e1'),
                ],
                (
                    'session_id_hash',
                    'event_type',
                    'product_action',
                    'product_sku_hash',
                    'server_timestamp_epoch_ms',
                    'hashed_url',
                ),
            ),
            'sku_to_content.csv': (
                'product_sku_hash,description_vector,category_hash,image_vector,price_bucket\nc7'
                ',"[0.1, 0.2]",d1/d2,,3\nc8,,d1/d3,,2\n'
            ),
            'search_train.csv': (
                'session_id_hash,query_vector,clicked_skus_hash,product_skus_hash'
                f',server_timestamp_epoch_ms\nab1,"[0.5, 0.1]",,"[\'c7\']",{A}\n'
            ),
        },
        [(A, 'ab1', 'view', 'c7'), (B, 'ab2', 'addtocart', 'c8'), (D, 'ab2', 'transaction', 'c7')],
        {'c7': {'category': 'd1 > d2', 'price_bucket': '3'}, 'c8': {'category': 'd1 > d3'}},
        {'c7': 'd1 > d2', 'c8': 'd1 > d3'},
    ),
    'RecBole': (
        {
            'shop.inter': (
                f'user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t7\t4\t{A / 1000}\n2'
                f'\t8\t3\t{B / 1000}\n2\t7\t1\t{D / 1000}\n'
            ),
            'shop.item': (
                'item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n7\tA Lamp'
                '\t1995\tComedy Drama\n8\tUnseen\t1990\tCrime\n'
            ),
            'shop.user': 'user_id:token\tage:token\tgender:token\n1\t24\tM\n',
            'shop.link': 'item_id:token\tentity_id:token\n7\tm.0\n',
            'shop.kg': 'head_id:token\trelation_id:token\ttail_id:token\nm.0\tr\tm.1\n',
        },
        CLICKS,
        {
            '7': {'title': 'A Lamp', 'release_year': '1995', 'category': 'Comedy', 'class': 'Comedy Drama'},
            '8': {'title': 'Unseen'},
        },
        {'7': 'Comedy', '8': 'Crime'},
    ),
    'RecBole with a split': (
        {
            'shop.part1.inter': f'session_id:token\titem_id:token\ttimestamp:float\n1\t7\t{A / 1000}\n',
            'shop.part2.inter': f'session_id:token\titem_id:token\ttimestamp:float\n2\t8\t{B / 1000}\n',
            'shop.part3.inter': f'session_id:token\titem_id:token\ttimestamp:float\n2\t7\t{D / 1000}\n',
        },
        CLICKS,
        None,
        None,
    ),
}
WITH_TEST = {'session-rec', 'OTTO', 'RecBole with a split'}


@pytest.mark.parametrize('name', EXAMPLES)
def test_layout(tmp_path, record, name):
    "All files of a layout as it is published: rows, ids, what is said of the items, the test"
    " file's beginning."
    files, rows, about, paths = EXAMPLES[name]
    path, cache = lay(tmp_path, files), tmp_path / 'cache'
    with watched(tmp_path, cache) as cost:
        found, report = as_written(path, cache)
        assert (found, report.layout) == (
            rows,
            name.split(' with')[0]
            .split(' of 20')[0]
            .replace(' ratings', ' reviews')
            .removesuffix(' 100k')
            .removesuffix(' 1M'),
        )
        assert report.test_start == (D if name in WITH_TEST else None)
        ids, items = read_ids(path, cache), read_items(path, cache)
        for item, facts in (about or {}).items():
            row = items.loc[ids.item_code(item)]
            assert {role: row[role] for role in facts} == facts
        assert (items is None) == (about is None)
        categories = read_categories(path, cache)
        assert (categories is None) == (paths is None)
        for item, said in (paths or {}).items():
            assert categories.path_text(categories.at([ids.item_code(item)], [D])[0]) == said
    record(
        'bad input',
        f'a layout: {name}',
        cases=1,
        loaded=1,
        slowest_seconds=round(cost.seconds, 3),
        peak_mb=round(cost.megabytes),
    )


def test_every_layout_has_an_example():
    "A new entry of layouts.toml comes with an example here."
    assert {layout.name for layout in read_layouts()[0]} <= {*EXAMPLES}


# A small log of a shop of its own, and ways to damage it.
def shop(n=20, header='user,sku,when,action', sep=',', end='\n', **cells):
    "A log of n rows; each column's cells are made by a function of the row's number."
    made = dict(
        user=lambda i: f'u{i % 4}',
        sku=lambda i: f's{i % 5}',
        when=lambda i: iso(T0 + i * HOUR),
        action=lambda i: 'purchase' if i % 5 == 4 else 'view',
    )
    made |= cells
    rows = [sep.join(str(made[c](i)) for c in header.split(',')) for i in range(n)]
    return end.join([header.replace(',', sep), *rows]) + end


def at(row, value, otherwise):
    "A cell that is another one in one row."
    return lambda i: value if i == row else otherwise(i)


def numbers(n=20, **cells):
    "The same with whole numbers for ids and seconds for times."
    return shop(
        n,
        **(
            dict(user=lambda i: i % 4 + 1, sku=lambda i: i % 5 + 10, when=lambda i: T0 // 1000 + i * 3600)
            | cells
        ),
    )


def times(form, **how):
    "The same with times of a form."
    return shop(when=lambda i: form(T0 + i * HOUR), **how)


def line(row, change, content=None):
    "Change one line; 0 is the header."
    lines = (content or shop()).split('\n')
    lines[row] = change(lines[row])
    return '\n'.join(lines)


def frame(n=20, **changed):
    "The small log as Parquet."
    columns = dict(
        user=[f'u{i % 4}' for i in range(n)],
        sku=[f's{i % 5}' for i in range(n)],
        when=[T0 + i * HOUR for i in range(n)],
        action=['view'] * n,
    )
    return parquet(**{c: v for c, v in (columns | changed).items() if v is not None})


def lines(*objects):
    return ''.join((o if isinstance(o, str) else json.dumps(o)) + '\n' for o in objects)


def event(i=0, **changed):
    return dict(user=f'u{i}', sku='s1', ts=T0 + i * HOUR, action='view') | changed


def objects(n=20):
    return [event(i) for i in range(n)]


HALF, REST = text(PLAIN[:30]), text(PLAIN[30:])
TYPED = '?columns=visitorid=user,itemid=sku,timestamp=when'
RATINGS = 'userId,movieId,rating,timestamp\n' + ''.join(
    f'{i % 3 + 1},{i % 4 + 7},{i % 5 + 1}.0,{T0 // 1000 + i}\n' for i in range(20)
)
REES = (
    'event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n'
    + ''.join(
        f'{day(T0 + i * HOUR, "%Y-%m-%d %H:%M:%S UTC")},view,{i % 4},2053,home.lamp,acme,12.50,{i % 3},5f-1\n'
        for i in range(20)
    )
)
DIGI = 'sessionId;userId;itemId;timeframe;eventdate\n' + ''.join(
    f'{i % 3};NA;{i % 4};{i * 1000};{day(T0)}\n' for i in range(20)
)
INTER = 'user_id:token\titem_id:token\ttimestamp:float\n' + ''.join(
    f'{i % 3}\t{i % 4}\t{T0 / 1000 + i:.3f}\n' for i in range(20)
)
CLICKED = ''.join(f'{i % 3},{iso(T0 + i * HOUR)},{i % 4},0\n' for i in range(20))
ITEMS = 'item_id:token\tmovie_title:token_seq\n0\tLamp\n1\tSoap\n'
HM = 't_dat,customer_id,article_id,price,sales_channel_id\n' + ''.join(
    f'{day(T0 + i * DAY)},c{i % 3},0{i % 4},0.05,2\n' for i in range(20)
)


def basket(i, **more):
    "A row as Google Analytics writes it: two items in a list."
    return (
        dict(
            user_pseudo_id=f'{i % 3}.5',
            event_timestamp=(T0 + i * HOUR) * 1000,
            event_name='view',
            items=[dict(item_id=f'i{i % 4}', price=3), dict(item_id=f'i{(i + 1) % 4}')],
        )
        | more
    )


BASKETS = lines(
    basket(0, items=[]),
    basket(1, items=[dict(item_id='only')]),
    basket(2, items=None),
    *map(basket, range(3, 13)),
)
OTTOS = lines(*(dict(session=i, events=[dict(aid=i % 4, ts=T0 + i, type='clicks')]) for i in range(20)))

# name; content of shop.csv, or the files of a folder, or either with what is typed behind the place and which
# file is given; and what is promised: the number of events, facts, or the whole sentence (* for any text)
CASES = [
    # separators and cells
    ('semicolons', shop(sep=';'), 20),
    ('tabs', shop(sep='\t'), 20),
    ('bars', shop(sep='|'), 20),
    (
        'double colons',
        shop(sep='::', header='user,sku,when', when=lambda i: T0 + i),
        dict(events=20, first='2015-06-02T18:10:43.430Z', last='2015-06-02T18:10:43.449Z'),
    ),
    ('spaces', shop(sep='  '), 20),
    (
        'a header with commas above semicolons',
        line(0, lambda s: s.replace(';', ','), shop(sep=';')),
        (
            "shop.csv, line 1: found 'user,sku,when,action', expected a header with 4 columns, as the"
            " rows below it have: write it so"
        ),
    ),
    (
        'a header with semicolons above commas',
        line(0, lambda s: s.replace(',', ';')),
        (
            "shop.csv, line 1: found 'user;sku;when;action', expected a header with 4 columns, as the"
            " rows below it have: write it so"
        ),
    ),
    (
        'half with commas, half with semicolons',
        shop() + shop(sep=';').split('\n', 1)[1],
        (
            "shop.csv, line 22: found '1 column', expected 4 columns, as the header has: complete"
            " this row, or leave it out"
        ),
    ),
    (
        'as Excel writes it in Germany',
        '\ufeff' + shop(header='user,sku,when,action,price', sep=';', end='\r\n', price=lambda i: f'{i},50'),
        20,
    ),
    ('sep=; in the first line', 'sep=;\n' + shop(sep=';'), 20),
    ('every cell in quotes', shop(sep='","').replace('\n', '"\n"').removesuffix('"').join(['"', '']), 20),
    (
        'quotes in quotes',
        shop(sku=lambda i: f'"3"" pipe {i % 5}"'),
        dict(events=20, items=['3" pipe 0', '3" pipe 1', '3" pipe 2', '3" pipe 3', '3" pipe 4']),
    ),
    (
        'separators in quotes',
        shop(sku=lambda i: f'"red, {i % 5}"'),
        dict(events=20, items=['red, 0', 'red, 1', 'red, 2', 'red, 3', 'red, 4']),
    ),
    (
        'a line break in quotes',
        shop(sku=at(3, '"red\nlamp"', lambda i: f's{i}')),
        (
            "shop.csv, line 5: found 'a quote that does not end', expected every row on one line:"
            ' close the quote there, or take the line break out of the cell'
        ),
    ),
    (
        'a quote that never ends',
        shop(sku=at(3, '"red', lambda i: f's{i}')),
        (
            "shop.csv, line 5: found 'a quote that does not end', expected every row on one line:"
            ' close the quote there, or take the line break out of the cell'
        ),
    ),
    (
        'a quote in the middle of an id',
        shop(sku=lambda i: f'3" pipe {i % 5}'),
        dict(events=20, items=['3" pipe 0', '3" pipe 1', '3" pipe 2', '3" pipe 3', '3" pipe 4']),
    ),
    ('line ends of an old Mac', shop(end='\r'), 20),
    ('a separator at the end of each row', shop().replace('\n', ',\n'), 20),
    (
        'a separator at the end of each row but the header',
        line(0, lambda s: s.rstrip(','), shop().replace('\n', ',\n')),
        20,
    ),
    (
        "the index of a data frame",
        ''.join(f'{i - 1 if i else ""},{s}\n' for i, s in enumerate(shop().splitlines())),
        20,
    ),
    ('spaces around cells', shop(sep=' , '), 20),
    ('empty lines between the rows', shop(end='\n\n'), 20),
    ('lines of spaces between the rows', shop(end='\n   \n'), 20),
    ('rows of commas alone at the end', shop() + ',,,\n' * 3, dict(events=20, rows=23, without_id=3)),
    (
        'Latin-1',
        shop(sku=lambda i: f'été {i % 5}').encode('latin-1'),
        dict(
            events=20,
            items=['été 0', 'été 1', 'été 2', 'été 3', 'été 4'],
            said=['shop.csv was read as latin-1, not UTF-8.'],
        ),
    ),
    (
        'text as Excel calls Unicode',
        shop(sep='\t', sku=lambda i: f'été {i % 5}').encode('utf-16'),
        dict(
            events=20,
            items=['été 0', 'été 1', 'été 2', 'été 3', 'été 4'],
            said=['shop.csv was read as utf-16, not UTF-8.'],
        ),
    ),
    (
        'UTF-8 that breaks off',
        shop().encode() + b'u1,\xc3',
        (
            "shop.csv, line 22: found '2 columns', expected 4 columns, as the header has: complete"
            " this row, or leave it out"
        ),
    ),
    (
        'a stray byte that is no UTF-8',
        shop(2000, sku=at(1999, 'X', lambda i: f's{i % 5}')).encode().replace(b'X', b'\xff'),
        dict(
            events=2000,
            items=['s0', 's1', 's2', 's3', 's4', 'ÿ'],
            kinds=[1600, 0, 400],
            first='2015-06-02T18:10:43.430Z',
            last='2015-08-25T01:10:43.430Z',
            said=['shop.csv was read as latin-1, not UTF-8.'],
        ),
    ),
    (
        'a zero byte',
        shop(sku=at(7, 's\0', lambda i: f's{i % 5}')),
        "shop.csv, line 9: found 'a zero byte', expected text",
    ),
    (
        'a comment above the header',
        '# exported by hand\n' + shop(),
        (
            "shop.csv, line 1: found '# exported by hand', expected a header with 4 columns, as the"
            " rows below it have: write it so"
        ),
    ),
    (
        'a title above the header',
        'Our shop,,,\n' + shop(),
        (
            'shop.csv: found the columns Our shop, column 2, column 3, column 4, expected visitorid,'
            ' itemid, timestamp among them: say which column is what with --columns "visitorid=...'
            ',itemid=...,timestamp=..."'
            '; event=... names the column that says what happened, without one every row is a view'
        ),
    ),
    ('two headers', shop() + shop(), "shop.csv, line 22: found 'the header again', expected one header"),
    (
        'two lines of header',
        'user,sku,when,action\ntext,text,time,text\n' + shop().split('\n', 1)[1],
        (
            "shop.csv, line 2, column when: found 'time', expected a time as in the first rows (iso),"
            " years 1990 to 2100"
        ),
    ),
    (
        'a row with a cell too few',
        line(5, lambda s: s.rsplit(',', 1)[0]),
        (
            "shop.csv, line 6: found '3 columns', expected 4 columns, as the header has: complete"
            " this row, or leave it out"
        ),
    ),
    (
        'a row with a cell too many',
        line(5, lambda s: s + ',1'),
        (
            "shop.csv, line 6: found '5 columns', expected 4 columns, as the header has: put cells"
            " that hold a comma in quotes"
        ),
    ),
    (
        'a row that is cut off',
        shop()[:-9],
        dict(
            events=19,
            rows=20,
            unknown_events={'(empty)': 1},
            kinds=[16, 0, 3],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-03T12:10:43.430Z',
        ),
    ),
    ('no line end after the last row', shop()[:-1], 20),
    (
        'a row of 5 MB',
        shop(sku=at(3, 's' * 5_000_000, lambda i: f's{i}')),
        "shop.csv, line 5: found 'a longer one', expected rows of at most 4,194,304 bytes",
    ),
    (
        '5 MB without a line end',
        's' * 5_000_000,
        "shop.csv, line 1: found 'a longer one', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10,001 columns',
        ','.join(f'c{i}' for i in range(10_001)) + '\n',
        "shop.csv: found '10,001', expected at most 10,000 columns",
    ),
    (
        'nothing',
        '',
        "shop.csv: found 'an empty file', expected a table as CSV, JSON lines or Parquet",
    ),
    (
        'a mark alone',
        '\ufeff',
        "shop.csv: found 'an empty file', expected a table as CSV, JSON lines or Parquet",
    ),
    ('a header alone', 'user,sku,when,action\n', "shop.csv: found 'no row', expected at least one event"),
    (
        'one row',
        shop(1),
        dict(
            events=1,
            visitors=['u0'],
            items=['s0'],
            kinds=[1, 0, 0],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:10:43.430Z',
        ),
    ),
    (
        'one word',
        'hello',
        (
            'shop.csv: found the columns hello, expected visitorid, itemid, timestamp among them: say'
            ' which column is what with --columns "visitorid=...,itemid=...,timestamp=..."'
        ),
    ),
    (
        'no header and words of its own',
        shop().split('\n', 1)[1],
        (
            'shop.csv: found the columns column 1, column 2, column 3, column 4, expected visitorid,'
            ' itemid, timestamp among them: say which column is what (or their numbers, from 1) with'
            ' --columns "visitorid=...,itemid=...,timestamp=..."'
            '; event=... names the column that says what happened, without one every row is a view'
        ),
    ),
    (
        'no header, columns by their numbers',
        (shop().split('\n', 1)[1], '?columns=visitorid=1,itemid=2,timestamp=3,event=4'),
        20,
    ),
    (
        'a number of a column that is not there',
        (shop().split('\n', 1)[1], '?columns=visitorid=1,itemid=2,timestamp=9'),
        (
            "--columns: found '9', expected as timestamp one of the columns column 1, column 2,"
            " column 3, column 4"
        ),
    ),
    (
        'a column named twice',
        shop(header='user,sku,when,action').replace('action', 'when'),
        "shop.csv, line 1: found 'when twice', expected each column once",
    ),
    (
        'two columns that are the same',
        shop().replace('action', 'sku', 1),
        "shop.csv, line 1: found 'sku twice', expected each column once",
    ),
    (
        'names with dots, spaces and capitals',
        shop().replace('user,sku,when,action', 'User ID,Product.Id,Event-Time,Event Type', 1),
        20,
    ),
    (
        'names in another language',
        shop().replace('user,sku,when,action', 'Kunde,Artikel,Zeit,Ereignis', 1),
        (
            'shop.csv: found the columns Kunde, Artikel, Zeit, Ereignis, expected visitorid, '
            'itemid, timestamp among them: say which column is what with --columns "visitorid'
            '=...,itemid=...,timestamp=..."; event=... names the column that says what happen'
            'ed, without one every row is a view'
        ),
    ),
    (
        'names that cannot be seen',
        shop().replace('user,sku', '\u202euser,\x1b[2Jsku', 1),
        (
            'shop.csv: found the columns \\u202euser, \\x1b[2Jsku, when, action, expected visitorid,'
            ' itemid among them: say which column is what with --columns "visitorid=...,itemid=..."'
        ),
    ),
    # times
    (
        'seconds',
        times(lambda t: t // 1000),
        dict(events=20, first='2015-06-02T18:10:43.000Z', last='2015-06-03T13:10:43.000Z'),
    ),
    ('milliseconds', times(str), 20),
    ('microseconds', times(lambda t: t * 1000), 20),
    ('nanoseconds', times(lambda t: t * 10**6), 20),
    ('seconds with a point', times(lambda t: t / 1000), 20),
    ('seconds with a decimal comma', times(lambda t: f'{t // 1000},{t % 1000:03}', sep=';'), 20),
    ('numbers with an exponent', times(lambda t: f'{t / 1000:.12e}'), 20),
    (
        'too few digits of an exponent',
        times(lambda t: f'{t:.2e}'),
        dict(events=20, first='2015-04-25T22:13:20.000Z', last='2015-04-25T22:13:20.000Z'),
    ),
    (
        'ISO with a zone',
        times(lambda t: iso(t, end='+0530')),
        dict(events=20, first='2015-06-02T12:40:43.430Z', last='2015-06-03T07:40:43.430Z'),
    ),
    ('ISO with and without a zone', shop(when=lambda i: iso(T0 + i * HOUR, end='Z' if i % 2 else '')), 20),
    (
        'ISO to the minute',
        times(lambda t: day(t, '%Y-%m-%d %H:%M')),
        dict(events=20, first='2015-06-02T18:10:00.000Z', last='2015-06-03T13:10:00.000Z'),
    ),
    ('ISO in microseconds', times(lambda t: iso(t, end='123Z')), 20),
    (
        'days alone',
        times(day),
        dict(
            events=20,
            first='2015-06-02T00:00:00.000Z',
            last='2015-06-03T00:00:00.000Z',
            said=['Times are days alone in shop.csv: within a day, the order is that of the file.'],
        ),
    ),
    (
        'days as numbers',
        times(lambda t: day(t, '%Y%m%d')),
        dict(events=20, first='2015-06-02T00:00:00.000Z', last='2015-06-03T00:00:00.000Z'),
    ),
    (
        'days first, some after the twelfth',
        shop(40, when=lambda i: day(T0 + i * DAY, '%d/%m/%Y')),
        dict(events=40, kinds=[32, 0, 8], first='2015-06-02T00:00:00.000Z', last='2015-07-11T00:00:00.000Z'),
    ),
    (
        'months first, some after the twelfth',
        shop(40, when=lambda i: day(T0 + i * DAY, '%m/%d/%Y')),
        dict(events=40, kinds=[32, 0, 8], first='2015-06-02T00:00:00.000Z', last='2015-07-11T00:00:00.000Z'),
    ),
    (
        'days or months first',
        shop(5, when=lambda i: f'0{i + 1}/0{i + 2}/2015'),
        (
            'shop.csv, column when: found \'01/02/2015\', expected one reading, this is a time in'
            ' day-first and in month-first: say --columns "timestamp=when:day-first" or'
            ' "timestamp=when:month-first"'
        ),
    ),
    (
        'days or months first, as typed',
        (shop(5, when=lambda i: f'0{i + 1}/0{i + 2}/2015'), '?columns=timestamp=when:day-first'),
        dict(events=5, kinds=[4, 0, 1], first='2015-02-01T00:00:00.000Z', last='2015-06-05T00:00:00.000Z'),
    ),
    (
        'days with dots',
        times(lambda t: day(t, '%d.%m.%Y %H:%M')),
        dict(events=20, first='2015-06-02T18:10:00.000Z', last='2015-06-03T13:10:00.000Z'),
    ),
    (
        'months by their names',
        times(lambda t: day(t, '%d-%b-%Y')),
        (
            "shop.csv, column when: found '02-Jun-2015', expected a time such as 2015-06-02T18:10:43Z"
            ", 2015-06-02 18:10, 02/06/2015 18:10, 20150602, or a number since 1970"
        ),
    ),
    (
        'a clock alone',
        times(lambda t: day(t, '%H:%M:%S')),
        (
            "shop.csv, column when: found '18:10:43', expected a time such as 2015-06-02T18:10:43Z,"
            " 2015-06-02 18:10, 02/06/2015 18:10, 20150602, or a number since 1970"
        ),
    ),
    (
        'one row in seconds among milliseconds',
        shop(when=at(7, T0 // 1000, lambda i: T0 + i * HOUR)),
        (
            "shop.csv, line 9, column when: found '1433268643', expected milliseconds since 1970,"
            " years 1990 to 2100; this looks like seconds: bring all rows to one unit first"
        ),
    ),
    (
        'one row in milliseconds among seconds',
        shop(when=at(7, T0, lambda i: T0 // 1000 + i)),
        (
            "shop.csv, line 9, column when: found '1433268643430', expected seconds since 1970, years"
            " 1990 to 2100; this looks like milliseconds: bring all rows to one unit first"
        ),
    ),
    (
        'half in seconds, half in milliseconds',
        shop(when=lambda i: T0 // 1000 if i % 2 else T0),
        (
            "shop.csv, column when: found '1433268643 and 1433268643430', expected one unit; the first"
            ' looks like seconds, the second like milliseconds: bring all rows to one unit first'
        ),
    ),
    (
        'ISO and seconds',
        shop(when=at(7, T0 // 1000, lambda i: iso(T0))),
        (
            "shop.csv, line 9, column when: found '1433268643', expected a time as in the first rows"
            " (iso), years 1990 to 2100; this looks like seconds: bring all rows to one unit first"
        ),
    ),
    (
        'one empty time',
        shop(when=at(7, '', lambda i: T0)),
        "shop.csv, line 9, column when: found '', expected milliseconds since 1970, years 1990 to 2100",
    ),
    (
        'one NaN for a time',
        shop(when=at(7, 'NaN', lambda i: T0)),
        "shop.csv, line 9, column when: found 'NaN', expected milliseconds since 1970, years 1990 to 2100",
    ),
    (
        'one word for a time',
        shop(when=at(7, 'never', lambda i: T0)),
        "shop.csv, line 9, column when: found 'never', expected milliseconds since 1970, years 1990 to 2100",
    ),
    (
        'no time at all',
        shop(when=lambda i: ''),
        "shop.csv, column when: found 'empty cells', expected a time in the first rows",
    ),
    (
        'the 31st of February',
        shop(when=at(7, '2015-02-31T00:00:00Z', lambda i: iso(T0))),
        (
            "shop.csv, line 9, column when: found '2015-02-31T00:00:00Z', expected a time as in the"
            " first rows (iso), years 1990 to 2100"
        ),
    ),
    (
        'one row of 1969',
        shop(when=at(7, '1969-07-20T20:17:40Z', lambda i: iso(T0))),
        (
            "shop.csv, line 9, column when: found '1969-07-20T20:17:40Z', expected a time as in the"
            " first rows (iso), years 1990 to 2100"
        ),
    ),
    (
        '1970 in seconds',
        shop(when=lambda i: 1000 + i),
        (
            'shop.csv, column when: found \'1000\', expected a time from 1990 to 2100, or say what it'
            ' is with --columns "timestamp=when:UNIT", UNIT being one of seconds, milliseconds,'
            ' microseconds, nanoseconds'
        ),
    ),
    (
        '1970 in seconds, as typed',
        (shop(when=lambda i: 1000 + i), '?columns=timestamp=when:seconds'),
        dict(events=20, first='1970-01-01T00:16:40.000Z', last='1970-01-01T00:16:59.000Z'),
    ),
    (
        'from 1970 to 2262, as typed',
        (
            shop(when=at(0, 0, at(19, 9_214_646_399_999, lambda i: T0))),
            '?columns=timestamp=when:milliseconds',
        ),
        dict(events=20, first='1970-01-01T00:00:00.000Z', last='2261-12-31T23:59:59.999Z'),
    ),
    (
        '2262, as typed',
        (shop(when=at(19, 9_214_646_400_000, lambda i: T0)), '?columns=timestamp=when:milliseconds'),
        (
            "shop.csv, line 21, column when: found '9214646400000', expected milliseconds since 1970,"
            " years 1970 to 2262"
        ),
    ),
    (
        'the year 2262 as ISO',
        shop(when=at(7, '2262-01-01T00:00:00Z', lambda i: iso(T0))),
        (
            "shop.csv, line 9, column when: found '2262-01-01T00:00:00Z', expected a time as in the"
            " first rows (iso), years 1990 to 2100"
        ),
    ),
    (
        'before 1970, as typed',
        (shop(when=at(7, -1, lambda i: i)), '?columns=timestamp=when:seconds'),
        "shop.csv, line 9, column when: found '-1', expected seconds since 1970, years 1970 to 2262",
    ),
    (
        'seconds called milliseconds',
        (times(lambda t: t // 1000), '?columns=timestamp=when:milliseconds'),
        dict(events=20, first='1970-01-17T14:07:48.643Z', last='1970-01-17T14:08:57.043Z'),
    ),
    (
        'milliseconds called seconds',
        (times(str), '?columns=timestamp=when:seconds'),
        (
            "shop.csv, line 2, column when: found '1433268643430', expected seconds since 1970, years"
            " 1970 to 2262; this looks like milliseconds: say --columns"
            " \"timestamp=when:milliseconds\", or bring all rows to one unit first"
        ),
    ),
    (
        'a unit nobody knows',
        (times(str), '?columns=timestamp=when:fortnights'),
        (
            "--columns: found 'fortnights', expected seconds or milliseconds or microseconds or"
            " nanoseconds or iso or date or yyyymmdd or day-first or month-first behind the colon of"
            " timestamp"
        ),
    ),
    (
        'a sum of a day and a clock',
        (
            shop(header='user,sku,day,clock', day=lambda i: day(T0), clock=lambda i: i),
            '?columns=timestamp=day+clock:seconds',
        ),
        dict(events=20, first='2015-06-02T00:00:00.000Z', last='2015-06-02T00:00:19.000Z'),
    ),
    (
        'a sum without a unit',
        (
            shop(header='user,sku,day,clock', day=lambda i: day(T0), clock=lambda i: i),
            '?columns=timestamp=day+clock',
        ),
        (
            'shop.csv, column clock: expected its unit: say --columns "timestamp=day+clock:UNIT" with'
            ' one of seconds, milliseconds, microseconds, nanoseconds'
        ),
    ),
    # ids
    (
        'negative ids',
        numbers(user=lambda i: -(i % 4) - 1),
        dict(
            events=20,
            visitors=['-1', '-2', '-3', '-4'],
            items=['10', '11', '12', '13', '14'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'zeros in front',
        numbers(sku=lambda i: f'{i % 5:05}'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['00000', '00001', '00002', '00003', '00004'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        '7 and 007',
        numbers(sku=lambda i: '007' if i % 2 else '7'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['007', '7'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        '12 and 12.0',
        numbers(sku=lambda i: '12.0' if i % 2 else '12'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['12', '12.0'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        '12.0 alone',
        numbers(sku=lambda i: f'{i % 5}.0'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['0.0', '1.0', '2.0', '3.0', '4.0'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'ids that a float would round to one',
        numbers(sku=lambda i: 2**53 + i % 2),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['9007199254740992', '9007199254740993'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'ids at the end of 64 bits',
        numbers(user=lambda i: 2**63 - 2 + i % 4),
        dict(
            events=20,
            visitors=[
                '9223372036854775806',
                '9223372036854775807',
                '9223372036854775808',
                '9223372036854775809',
            ],
            items=['10', '11', '12', '13', '14'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'UUIDs',
        shop(user=lambda i: uuid(i % 4)),
        dict(
            events=20,
            visitors=[
                '00000000-aaaa-bbbb-cccc-000000000000',
                '00000001-aaaa-bbbb-cccc-000000000001',
                '00000002-aaaa-bbbb-cccc-000000000002',
                '00000003-aaaa-bbbb-cccc-000000000003',
            ],
        ),
    ),
    ('emoji', shop(sku=lambda i: '🛒🧦👟🎁🕯'[i % 5]), dict(events=20, items=['🎁', '👟', '🕯', '🛒', '🧦'])),
    (
        'letters that are written in two ways',
        shop(sku=lambda i: 'é' if i % 2 else 'e\u0301'),
        dict(events=20, items=['é', 'é']),
    ),
    (
        'capitals and small letters',
        shop(sku=lambda i: 'Ab' if i % 2 else 'aB'),
        dict(events=20, items=['Ab', 'aB']),
    ),
    ('ids of 10,000 letters', shop(sku=lambda i: 's' * 10_000 + str(i % 5)), 20),
    (
        'a stray word among numbers',
        numbers(sku=at(7, 'abc', lambda i: i % 5)),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['0', '1', '2', '3', '4', 'abc'],
            said=[
                'Ids in the column sku are read as text, as they are written: most are whole numbers,'
                " 'abc' (shop.csv, line 9) is the first that is none."
            ],
        ),
    ),
    (
        'stock codes, most of them numbers',
        numbers(3000, sku=lambda i: '85123A' if i % 1500 == 1499 else 22730 + i % 5),
        dict(
            events=3000,
            items=['22730', '22731', '22732', '22733', '22734', '85123A'],
            said=[
                'Ids in the column sku are read as text, as they are written: most are whole numbers,'
                " '85123A' (shop.csv, line 1501) is the first that is none."
            ],
        ),
    ),
    (
        'a stray word among numbers, typed as numbers',
        (numbers(sku=at(7, 'abc', lambda i: i % 5)), '?columns=itemid=sku:numbers'),
        (
            'shop.csv, line 9, column sku: found \'abc\', expected an integer, as typed'
            ' (for ids of any kind: --columns "itemid=sku:text")'
        ),
    ),
    (
        'a stray word among numbers, typed as text',
        (numbers(sku=at(7, 'abc', lambda i: i % 5)), '?columns=itemid=sku:text'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['0', '1', '2', '3', '4', 'abc'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'numbers and words',
        numbers(sku=lambda i: f's{i % 5}' if i % 3 else i % 5),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'a plus sign',
        numbers(sku=at(7, '+5', lambda i: i % 5)),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['+5', '0', '1', '2', '3', '4'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'hexadecimal',
        numbers(sku=lambda i: f'0x{i % 5}F'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['0x0F', '0x1F', '0x2F', '0x3F', '0x4F'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'exponents',
        numbers(sku=lambda i: f'{i % 5}e3'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['0e3', '1e3', '2e3', '3e3', '4e3'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'an empty item',
        shop(sku=at(7, '', lambda i: f's{i % 5}')),
        dict(events=19, rows=20, without_id=1, kinds=[15, 0, 4]),
    ),
    (
        'NULL for a visitor',
        shop(user=lambda i: 'NULL' if i % 2 else 'u1'),
        dict(
            events=10,
            rows=20,
            without_id=10,
            visitors=['u1'],
            kinds=[8, 0, 2],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-03T12:10:43.430Z',
        ),
    ),
    (
        'nobody at all',
        shop(user=lambda i: ''),
        (
            "shop.csv: found 'no row with a visitor and an item', expected at least one row with"
            " both: say with --columns which columns they are"
        ),
    ),
    ('a formula', shop(sku=lambda i: '=1+1'), dict(events=20, items=['=1+1'])),
    ('what turns a line around', shop(sku=lambda i: '\u202egnp'), dict(events=20, items=['\u202egnp'])),
    (
        'a script',
        shop(user=lambda i: '<script>alert(1)</script>'),
        dict(events=20, visitors=['<script>alert(1)</script>']),
    ),
    (
        'a thousand separators in quotes',
        numbers(sku=lambda i: f'"1,00{i % 5}"'),
        dict(
            events=20,
            visitors=['1', '2', '3', '4'],
            items=['1,000', '1,001', '1,002', '1,003', '1,004'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    # events
    (
        'an event nobody knows',
        shop(action=at(7, 'hover', lambda i: 'view')),
        dict(events=19, rows=20, unknown_events={'hover': 1}, kinds=[19, 0, 0]),
    ),
    (
        'events nobody knows',
        shop(action=lambda i: 'hover' if i % 2 else 'view'),
        (
            'shop.csv: found \'hover\', expected events of the types view, addtocart, transaction: 10'
            ' of 20 rows have others, say what each is with --events "hover=..." (none leaves its'
            ' rows out)'
        ),
    ),
    (
        'clicks',
        shop(action=lambda i: 'click'),
        (
            'shop.csv: found \'click\', expected events of the types view, addtocart, transaction: 20'
            ' of 20 rows have others, say what each is with --events "click=view" (none leaves its'
            ' rows out)'
        ),
    ),
    ('clicks, as typed', (shop(action=lambda i: 'click'), '?events=click=view'), 20),
    (
        'an event to be left out',
        (shop(), '?events=purchase=none'),
        dict(
            events=16,
            rows=20,
            left_out=4,
            items=['s0', 's1', 's2', 's3'],
            kinds=[16, 0, 0],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-03T12:10:43.430Z',
        ),
    ),
    (
        'all events to be left out',
        (shop(), '?events=purchase=none,view=none'),
        (
            "shop.csv: found 'only rows that are to be left out', expected events of the types view,"
            " addtocart, transaction"
        ),
    ),
    (
        'an event that is not there',
        (shop(), '?events=click=view'),
        "shop.csv: found 'view, purchase', expected the event 'click' that --events names",
    ),
    (
        'a kind nobody knows',
        (shop(), '?events=view=like'),
        (
            "--events: found 'view=like', expected name=kind with one of view, addtocart, transaction"
            ", none as the kind"
        ),
    ),
    (
        'events by numbers',
        shop(action=lambda i: i % 3),
        (
            'shop.csv: found \'0, 1, 2\', expected events of the types view, addtocart, transaction:'
            ' 20 of 20 rows have others, say what each is with --events "0=...,1=...,2=..." (none'
            ' leaves its rows out)'
        ),
    ),
    (
        'events by numbers, as typed',
        (shop(action=lambda i: i % 3), '?events=0=view,1=addtocart,2=transaction'),
        dict(events=20, kinds=[7, 7, 6]),
    ),
    (
        'no event in any row',
        shop(action=lambda i: ''),
        (
            'shop.csv: found \'(empty)\', expected events of the types view, addtocart, transaction:'
            ' 20 of 20 rows have others, say what each is with --events "NAME=..." (none leaves its'
            ' rows out)'
        ),
    ),
    ('no column of events', shop(header='user,sku,when'), 20),
    (
        'all are purchases, as typed',
        (shop(header='user,sku,when'), '?columns=event=:transaction'),
        dict(events=20, kinds=[0, 0, 20]),
    ),
    (
        'all are likes, as typed',
        (shop(header='user,sku,when'), '?columns=event=:like'),
        "--columns: found 'like', expected view or addtocart or transaction behind the colon of event",
    ),
    (
        'a comma in the name of an event',
        (shop(action=lambda i: '"add, view"'), '?events=add%2C view=view'),
        20,
    ),
    # columns that were typed
    (
        'a column for two roles',
        (shop(), '?columns=visitorid=user,itemid=user'),
        '--columns: user stands for visitorid and for itemid, expected one of them',
    ),
    (
        'two columns for a role',
        (shop(), '?columns=visitorid=user,visitorid=sku'),
        "--columns: found 'user and sku', expected one column as visitorid",
    ),
    (
        'a role nobody knows',
        (shop(), '?columns=colour=sku'),
        (
            "--columns: found 'colour', expected one of the roles visitorid, itemid, timestamp, event"
            ", rating, transactionid, title, category, price, image"
        ),
    ),
    (
        'a column nobody has',
        (shop(), '?columns=itemid=product'),
        "--columns: found 'product', expected as itemid one of the columns user, sku, when, action",
    ),
    (
        'a role without a column',
        (shop(), '?columns=itemid='),
        "--columns: found 'itemid=', expected role=column",
    ),
    ('a column without a role', (shop(), '?columns=sku'), "--columns: found 'sku', expected role=column"),
    (
        'columns in names of its own',
        (
            shop().replace('user,sku,when,action', 'a,b,c,d', 1),
            '?columns=visitorid=a,itemid=b,timestamp=c,event=d',
        ),
        20,
    ),
    (
        'columns in names of its own, one forgotten',
        (shop().replace('user,sku,when,action', 'a,b,c,d', 1), '?columns=visitorid=a,itemid=b'),
        (
            'shop.csv: found the columns a, b, c, d, expected timestamp among them: say which'
            ' column is what with --columns "timestamp=..."; event=... names the column that '
            'says what happened, without one every row is a view'
        ),
    ),
    (
        'a colon in the name of a column',
        (shop().replace('when', 'at:seconds', 1), '?columns=timestamp=at:seconds'),
        20,
    ),
    (
        'a comma in the name of a column',
        (shop(sep=';').replace('sku', 'a,b', 1), '?columns=itemid=a%2Cb'),
        20,
    ),
    (
        'two visitors',
        shop(header='user,sku,when,customer_id', customer_id=lambda i: i),
        (
            'shop.csv: found the columns user and customer_id, expected one visitorid: say --columns'
            ' "visitorid=user" or --columns "visitorid=customer_id"'
        ),
    ),
    (
        'two visitors, one typed',
        (
            shop(header='user,sku,when,customer_id', customer_id=lambda i: i % 2),
            '?columns=visitorid=customer_id',
        ),
        dict(events=20, visitors=['0', '1']),
    ),
    (
        'a session and a user',
        shop(header='user_id,sku,when,session_id', user_id=lambda i: i % 2, session_id=lambda i: i),
        (
            'shop.csv: found the columns user_id and session_id, expected one visitorid: say'
            ' --columns "visitorid=user_id" or --columns "visitorid=session_id"'
        ),
    ),
    (
        'two times',
        shop(header='user,sku,timestamp,event_time', timestamp=lambda i: T0, event_time=lambda i: T0 + i),
        (
            'shop.csv: found the columns timestamp and event_time, expected one timestamp: say'
            ' --columns "timestamp=timestamp" or --columns "timestamp=event_time"'
        ),
    ),
    (
        'a layout against what is typed',
        (RATINGS, '?columns=visitorid=movieId,itemid=userId'),
        dict(
            events=20,
            layout='MovieLens',
            visitors=['10', '7', '8', '9'],
            items=['1', '2', '3'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'columns typed twice',
        (shop(), '?columns=itemid=sku&columns=itemid=sku'),
        "*shop.csv?columns=itemid=sku&columns=itemid=sku: found 'it twice', expected columns once",
    ),
    # ratings
    (
        'ratings',
        RATINGS,
        dict(
            events=20,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'ratings from 4 on',
        (RATINGS, '?rating=4'),
        dict(
            events=8,
            rows=20,
            low=12,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            kinds=[8, 0, 0],
            first='2015-06-02T18:10:46.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'ratings that nobody gave',
        (RATINGS, '?rating=6'),
        "shop.csv: found 'no rating from 6 on', expected at least one: give a lower --min-rating",
    ),
    (
        'a rating that is no number',
        (RATINGS, '?rating=good'),
        "--min-rating: found 'good', expected a number",
    ),
    (
        'ratings where there are none',
        (shop(), '?rating=4'),
        (
            '--min-rating: found \'4\', expected a log with a column of ratings: name it with'
            ' --columns "rating=..."'
        ),
    ),
    (
        'ratings with a decimal comma',
        (shop(header='user,sku,when,stars', sep=';', stars=lambda i: f'{i % 5},5'), '?rating=3'),
        dict(
            events=8,
            rows=20,
            low=12,
            items=['s3', 's4'],
            kinds=[8, 0, 0],
            first='2015-06-02T21:10:43.430Z',
            last='2015-06-03T13:10:43.430Z',
        ),
    ),
    (
        'ratings that are empty',
        (shop(header='user,sku,when,stars', stars=lambda i: i % 5 or ''), '?rating=3'),
        dict(
            events=8,
            rows=20,
            low=12,
            items=['s3', 's4'],
            kinds=[8, 0, 0],
            first='2015-06-02T21:10:43.430Z',
            last='2015-06-03T13:10:43.430Z',
        ),
    ),
    (
        'words for ratings',
        (shop(header='user,sku,when,stars', stars=lambda i: 'good'), '?rating=3'),
        "shop.csv: found 'no rating from 3 on', expected at least one: give a lower --min-rating",
    ),
    # files
    (
        'a gzip that ends early',
        ({'a.csv.gz': gzip.compress(shop(2000).encode())[:-200]}, '', 'a.csv.gz'),
        (
            'a.csv.gz is damaged (Compressed file ended before the end-of-stream marker was reached),'
            ' expected a complete file'
        ),
    ),
    (
        'a gzip that ends early in a folder',
        {'a.csv.gz': gzip.compress(shop(2000).encode())[:-200]},
        (
            'shop: a.csv.gz is damaged (Compressed file ended before the end-of-stream marker was'
            ' reached), expected a complete file'
        ),
    ),
    (
        'a gzip of 20 bytes',
        ({'a.csv.gz': gzip.compress(shop().encode())[:20]}, '', 'a.csv.gz'),
        (
            'a.csv.gz is damaged (Compressed file ended before the end-of-stream marker was reached),'
            ' expected a complete file'
        ),
    ),
    (
        'a zst that ends early',
        ({'a.csv.zst': zst(shop(2000).encode())[:-200]}, '', 'a.csv.zst'),
        'a.csv.zst is damaged (Truncated compressed stream), expected a complete file',
    ),
    (
        'a zst that ends early in a zip',
        ({'a.zip': zipped({'a.csv.zst': zst(shop(2000).encode())[:-200]})}, '', 'a.zip'),
        'a.zip: a.csv.zst is damaged (Truncated compressed stream), expected a complete file',
    ),
    (
        'a gzip in a gzip',
        ({'a.csv.gz': gzip.compress(gzip.compress(shop().encode()))}, '', 'a.csv.gz'),
        (
            'a.csv.gz looks like a gzip, expected a table as CSV, JSON lines or Parquet: unpack it'
            ' and give the folder'
        ),
    ),
    ('a gzip that is none', ({'a.csv.gz': shop()}, '', 'a.csv.gz'), 20),
    (
        '70 MB from a zst of a few kB',
        (
            {'a.csv.zst': zst(shop().encode() + b'u1,s1,2015-06-02T18:10:43.430Z,view\n' * 2_000_000)},
            '',
            'a.csv.zst',
        ),
        'a.csv.zst would be more than 67,108,864 bytes to read, expected at most 67,108,864',
    ),
    (
        'a zip in a zip',
        ({'a.zip': zipped({'b.zip': zipped({'a.csv': shop()})})}, '', 'a.zip'),
        (
            'a.zip holds no table, expected a log as CSV, JSON lines or Parquet; it holds b.zip:'
            ' unpack it and give that file itself'
        ),
    ),
    ('Parquet called CSV', ({'a.csv': frame()}, '', 'a.csv'), 20),
    ('CSV called Parquet', ({'a.parquet': shop()}, '', 'a.parquet'), 20),
    ('a gzip of Parquet', ({'a.parquet.gz': gzip.compress(frame())}, '', 'a.parquet.gz'), 20),
    (
        'Excel',
        ({'a.xlsx': zipped({'[Content_Types].xml': 'x', 'xl/workbook.xml': 'x'})}, '', 'a.xlsx'),
        "a.xlsx is in a spreadsheet's own form, which is not read, expected a table as text: save it as CSV",
    ),
    (
        'old Excel',
        ({'a.xls': b'\xd0\xcf\x11\xe0' + b'\0' * 600}, '', 'a.xls'),
        "a.xls is in a spreadsheet's own form, which is not read, expected a table as text: save it as CSV",
    ),
    (
        'Excel, broken',
        ({'a.xlsx': b'PK\3\4 and no more'}, '', 'a.xlsx'),
        "a.xlsx is in a spreadsheet's own form, which is not read, expected a table as text: save it as CSV",
    ),
    (
        'old Excel by another name',
        ({'a.csv': b'\xd0\xcf\x11\xe0' + b'\0' * 600}, '', 'a.csv'),
        (
            'a.csv looks like an old Excel file, expected a table as CSV, JSON lines or Parquet: save'
            ' it as one of these'
        ),
    ),
    (
        'a picture by its own name',
        ({'a.png': b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'}, '', 'a.png'),
        'a.png is no table: it looks like a picture, expected a table as CSV, JSON lines or Parquet',
    ),
    (
        'bytes of any kind',
        ({'a.bin': np.random.default_rng(1).integers(0, 256, 5000).astype(np.uint8).tobytes()}, '', 'a.bin'),
        'a.bin is no table: it is no text, expected a table as CSV, JSON lines or Parquet',
    ),
    (
        'a picture',
        ({'a.csv': b'\x89PNG\r\n\x1a\n' + bytes(range(256)) * 9}, '', 'a.csv'),
        'a.csv is no table: it looks like a picture, expected a table as CSV, JSON lines or Parquet',
    ),
    (
        'noise',
        ({'a.csv': np.random.default_rng(1).integers(1, 256, 5000).astype(np.uint8).tobytes()}, '', 'a.csv'),
        ('a.csv is no table: it is no text, expected a table as CSV, JSON lines or Parquet'),
    ),
    (
        'a web page',
        ({'a.csv': '<!DOCTYPE html>\n<html><body>Log in</body></html>'}, '', 'a.csv'),
        (
            'a.csv looks like a web page, expected a table as CSV, JSON lines or Parquet: download'
            ' the file itself'
        ),
    ),
    (
        'a pickle',
        ({'a.csv': b'\x80\x04\x95' + b'x' * 99}, '', 'a.csv'),
        'a.csv looks like a pickle, expected a table as CSV, JSON lines or Parquet: save it as one of these',
    ),
    # Parquet
    (
        'Parquet with lists for items',
        {'a.parquet': frame(sku=[['s1']] * 20)},
        (
            "a.parquet, column sku: found 'list<element: string>', expected a column of plain"
            " values: write what is in it as columns, with a row for each member"
        ),
    ),
    (
        'Parquet with records for events',
        {'a.parquet': frame(action=[{'kind': 'view'}] * 20)},
        (
            "a.parquet, column action: found 'struct<kind: string>', expected a column of plain"
            " values: write what is in it as columns, with a row for each member"
        ),
    ),
    ('Parquet with lists that nobody asks for', {'a.parquet': frame(tags=[['a', 'b']] * 20)}, 20),
    (
        'Parquet with two columns of one name',
        {
            'a.parquet': (
                lambda b: (
                    pq.write_table(
                        pa.Table.from_arrays(
                            [pa.array(['u']), pa.array(['s']), pa.array(['s']), pa.array([T0])],
                            names=['user', 'sku', 'sku', 'when'],
                        ),
                        b,
                    ),
                    b.getvalue(),
                )[1]
            )(io.BytesIO())
        },
        "a.parquet, line 1: found 'sku twice', expected each column once",
    ),
    (
        'Parquet without a row',
        {'a.parquet': frame(0)},
        "a.parquet: found 'no row', expected at least one event",
    ),
    (
        'Parquet with one row',
        {'a.parquet': frame(1)},
        dict(
            events=1,
            visitors=['u0'],
            items=['s0'],
            kinds=[1, 0, 0],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:10:43.430Z',
        ),
    ),
    (
        'Parquet with float32 for times',
        {'a.parquet': frame(when=pa.array([T0 / 1000] * 20, pa.float32()))},
        "a.parquet, column when: found 'float', expected times as text, or as numbers of 64 bits",
    ),
    (
        'Parquet with float64 for times',
        {'a.parquet': frame(when=[T0 / 1000 + i for i in range(20)])},
        dict(events=20, first='2015-06-02T18:10:43.430Z', last='2015-06-02T18:11:02.430Z'),
    ),
    (
        'Parquet with days',
        {'a.parquet': frame(when=pa.array([16_000 + i for i in range(20)], pa.date32()))},
        dict(
            events=20,
            first='2013-10-22T00:00:00.000Z',
            last='2013-11-10T00:00:00.000Z',
            said=['Times are days alone in a.parquet: within a day, the order is that of the file.'],
        ),
    ),
    (
        'Parquet with times of day',
        {'a.parquet': frame(when=pa.array([1000 + i for i in range(20)], pa.time32('ms')))},
        (
            "a.parquet, column when: found '00:00:01.000', expected a time such as"
            " 2015-06-02T18:10:43Z, 2015-06-02 18:10, 02/06/2015 18:10, 20150602, or a number since"
            " 1970"
        ),
    ),
    (
        'Parquet with a time missing',
        {'a.parquet': frame(when=[None, *range(T0, T0 + 19)])},
        "a.parquet, row 1, column when: found '', expected milliseconds since 1970, years 1990 to 2100",
    ),
    (
        'Parquet with times of 1969',
        {'a.parquet': frame(when=pa.array([-1] * 20, pa.timestamp('us')))},
        (
            "a.parquet, row 1, column when: found '1969-12-31 23:59:59.999999', expected a time as in"
            " the first rows (timestamp), years 1990 to 2100"
        ),
    ),
    (
        'Parquet with text for times',
        {'a.parquet': frame(when=[iso(T0 + i) for i in range(20)])},
        dict(events=20, first='2015-06-02T18:10:43.430Z', last='2015-06-02T18:10:43.449Z'),
    ),
    ('Parquet with ids of bytes', {'a.parquet': frame(user=[b'u%d' % (i % 4) for i in range(20)])}, 20),
    (
        'Parquet with ids of decimals',
        {'a.parquet': frame(user=pa.array([i % 4 for i in range(20)]).cast(pa.decimal128(19, 0)))},
        dict(events=20, visitors=['0', '1', '2', '3']),
    ),
    (
        'Parquet with ids that are true or false',
        {'a.parquet': frame(user=[i % 2 == 0 for i in range(20)])},
        dict(events=20, visitors=['false', 'true']),
    ),
    (
        'Parquet with ids of a dictionary',
        {'a.parquet': frame(user=pa.array([f'u{i % 4}' for i in range(20)]).dictionary_encode())},
        20,
    ),
    (
        'Parquet with ids missing',
        {'a.parquet': frame(user=[None if i % 4 == 0 else f'u{i % 4}' for i in range(20)])},
        dict(
            events=15,
            rows=20,
            without_id=5,
            visitors=['u1', 'u2', 'u3'],
            kinds=[15, 0, 0],
            first='2015-06-02T19:10:43.430Z',
            last='2015-06-03T13:10:43.430Z',
        ),
    ),
    (
        'Parquet with uint64 ids',
        {'a.parquet': frame(user=pa.array([2**64 - 1 - i % 4 for i in range(20)], pa.uint64()))},
        dict(
            events=20,
            visitors=[
                '18446744073709551612',
                '18446744073709551613',
                '18446744073709551614',
                '18446744073709551615',
            ],
        ),
    ),
    (
        'Parquet with nothing in the column of items',
        {'a.parquet': frame(sku=pa.nulls(20))},
        (
            "a.parquet: found 'no row with a visitor and an item', expected at least one row with"
            " both: say with --columns which columns they are"
        ),
    ),
    (
        'Parquet that ends early',
        {'a.parquet': frame()[:-30]},
        (
            'shop: a.parquet is damaged (Parquet magic bytes not found in footer. Either the file is'
            ' corrupted or this is not a parquet file.), expected a complete Parquet file'
        ),
    ),
    (
        'Parquet with a wrong middle',
        {'a.parquet': frame()[:60] + b'\xff' * 60 + frame()[120:]},
        (
            "shop: a.parquet is damaged (Couldn't deserialize thrift: don't know what type: \\x0f),"
            " expected a complete Parquet file"
        ),
    ),
    (
        'Parquet with a line break in a name',
        {'a.parquet': frame(sku=None, **{'s\nku': ['s1'] * 20})},
        dict(events=20, items=['s1']),
    ),
    # JSON
    ('JSON lines', ({'a.jsonl': lines(*objects())}, '', 'a.jsonl'), dict(events=20, items=['s1'])),
    (
        'JSON lines with empty lines',
        ({'a.jsonl': lines(*objects()).replace('\n', '\n\n')}, '', 'a.jsonl'),
        dict(events=20, items=['s1']),
    ),
    (
        'JSON lines that end early',
        ({'a.jsonl': lines(*objects())[:-20]}, '', 'a.jsonl'),
        'a.jsonl, line 20: found \'{"user": "u19", "sku": "s1", "ts": 14...\', expected a JSON object',
    ),
    (
        'JSON lines with a wrong one',
        ({'a.jsonl': lines(*objects(), '{"user": }', *objects())}, '', 'a.jsonl'),
        'a.jsonl, line 21: found \'{"user": }\', expected a JSON object',
    ),
    (
        'JSON lines with a number among them',
        ({'a.jsonl': lines(*objects(), '7')}, '', 'a.jsonl'),
        "a.jsonl, line 21: found '7', expected a JSON object",
    ),
    (
        'JSON with an object over several lines',
        ({'a.json': json.dumps(objects(), indent=1)}, '', 'a.json'),
        dict(events=20, items=['s1']),
    ),
    (
        'JSON of one object',
        ({'a.json': json.dumps(dict(events=objects()))}, '', 'a.json'),
        (
            'a.json: found the columns events.user, events.sku, events.ts, events.action, expected'
            ' visitorid, itemid, timestamp among them: say which column is what with --columns'
            ' "visitorid=...,itemid=...,timestamp=..."'
            '; event=... names the column that says what happened, without one every row is a view'
        ),
    ),
    (
        'JSON lists',
        ({'a.json': json.dumps([[1, 2], [3, 4]])}, '', 'a.json'),
        "a.json, object 1: found '1, 2], [3, 4]]', expected complete JSON objects",
    ),
    (
        'a JSON array that ends early',
        ({'a.json': json.dumps(objects())[:-30]}, '', 'a.json'),
        'a.json, object 20: found \'{"user": "u19", "sku": "s1", "ts": 143\', expected complete JSON objects',
    ),
    (
        'JSON with a key missing in some',
        (
            {
                'a.jsonl': lines(
                    *(
                        event(i) if i % 2 else {k: v for k, v in event(i).items() if k != 'action'}
                        for i in range(20)
                    )
                )
            },
            '',
            'a.jsonl',
        ),
        (
            'a.jsonl: found \'(empty)\', expected events of the types view, addtocart, transaction:'
            ' 10 of 20 rows have others, say what each is with --events "NAME=..." (none leaves its'
            ' rows out)'
        ),
    ),
    (
        'JSON with null for a time',
        ({'a.jsonl': lines(*objects(), event(ts=None))}, '', 'a.jsonl'),
        "a.jsonl, line 21, column ts: found '', expected milliseconds since 1970, years 1990 to 2100",
    ),
    (
        'JSON with ids over 64 bits',
        ({'a.jsonl': lines(*(event(i, user=2**70 + i) for i in range(20)))}, '', 'a.jsonl'),
        dict(events=20, items=['s1']),
    ),
    (
        'JSON with ids that a float would round',
        ({'a.jsonl': lines(*(event(i, sku=2**53 + i % 2) for i in range(20)))}, '', 'a.jsonl'),
        dict(events=20, items=['9007199254740992', '9007199254740993']),
    ),
    (
        'JSON with numbers and text for ids',
        (
            {'a.jsonl': lines(*(event(i, sku=i % 5 if i % 2 else f's{i % 5}') for i in range(20)))},
            '',
            'a.jsonl',
        ),
        dict(
            events=20,
            items=['0', '1', '2', '3', '4', 's0', 's1', 's2', 's3', 's4'],
            said=[
                'Ids in the column sku are read as text, as they are written: most are whole numbers,'
                " 's0' (a.jsonl, line 1) is the first that is none."
            ],
        ),
    ),
    (
        'JSON with lists of items, each an event',
        ({'a.jsonl': BASKETS}, '', 'a.jsonl'),
        dict(events=21, items=['i0', 'i1', 'i2', 'i3', 'only'], without_id=2, kinds=[21, 0, 0]),
    ),
    (
        'JSON with lists of items, typed',
        (
            {'a.jsonl': BASKETS.replace('item_id', 'what')},
            '?columns=itemid=items.what',
            'a.jsonl',
        ),
        dict(events=21, items=['i0', 'i1', 'i2', 'i3', 'only'], without_id=2),
    ),
    (
        'JSON with two lists',
        ({'a.jsonl': lines(*(basket(i, event_params=[dict(key='page', value=i)]) for i in range(10)))}, ''),
        dict(events=20, items=['i0', 'i1', 'i2', 'i3'], without_id=0),
    ),
    (
        'JSON with lists of items within an object',
        (
            {
                'a.jsonl': lines(
                    *(dict(user=i, ts=T0 + i, cart=dict(n=1, lines=[dict(sku=7)])) for i in range(9))
                )
            },
            '?columns=itemid=cart.lines.sku',
        ),
        dict(events=9, items=['7']),
    ),
    (
        'JSON with lists of items, typed as an id',
        ({'a.jsonl': BASKETS}, '?columns=itemid=items', 'a.jsonl'),
        (
            "--columns: found 'items', expected one value a row as itemid, and it holds lists or objects:"
            ' name what is in them, items.item_id, items.price'
        ),
    ),
    (
        'JSON with lists of texts, typed as an id',
        (
            {'a.jsonl': lines(*(event(i, tags=['a', 'b']) for i in range(9)))},
            '?columns=itemid=tags',
            'a.jsonl',
        ),
        "--columns: found 'tags', expected one value a row as itemid, and it holds lists or objects",
    ),
    (
        'a column of JSON, typed as an id',
        (shop(sep=';', sku=lambda i: '[{""id"": 5}]'.join('""')), '?columns=itemid=sku'),
        "--columns: found 'sku', expected one value a row as itemid, and it holds lists or objects",
    ),
    (
        'ids in braces',
        shop(sku=lambda i: f'{{{i % 5}F9A}}'),
        dict(events=20, items=[f'{{{i}F9A}}' for i in range(5)]),
    ),
    (
        'JSON with an object for the item',
        (
            {
                'a.jsonl': lines(
                    *(
                        dict(user_uuid=f'u{i}', ts=T0 + i, item=dict(title='Lamp', id=f's{i % 2}'))
                        for i in range(9)
                    )
                )
            },
            '',
        ),
        dict(events=9, items=['s0', 's1'], titles=['Lamp', 'Lamp']),
    ),
    (
        'JSON with an object for the item, typed as an id',
        (
            {'a.jsonl': lines(*(dict(user=i, ts=T0 + i, item=dict(name='a', nr=5)) for i in range(9)))},
            '?columns=itemid=item',
        ),
        (
            "--columns: found 'item', expected as itemid one of the columns user, ts, item.na"
            'me, item.nr; did you mean item.nr?'
        ),
    ),
    (
        'JSON with a list of which no field is usual',
        ({'a.jsonl': lines(*(dict(user=i, ts=T0 + i, rows=[dict(nr=5)], tags=['a']) for i in range(9)))}, ''),
        (
            'a.jsonl: found the columns user, ts, rows.nr, tags, expected itemid among them: '
            'say which column is what with --columns "itemid=..."; event=... names the column'
            ' that says what happened, without one every row is a view'
        ),
    ),
    (
        'JSON items with lists of pictures',
        (
            {
                'events.jsonl': lines(*(event(i) for i in range(9))),
                'items.jsonl': lines(
                    dict(
                        sku='s1',
                        title='Lamp',
                        images=[dict(thumb='t', large='https://a', hi_res=None), dict(large='b')],
                    )
                ),
            },
            '',
        ),
        dict(events=9, titles=['Lamp'], images=['https://a']),
    ),
    (
        'pictures as text, each another way',
        {
            'events.csv': shop(),
            'items.csv': text(
                [
                    ('s0', '[{"large": "https://l/0.jpg", "hi_res": "https://h/0.jpg"}]'),
                    ('s1', "[{'large': 'https://l/1.jpg', 'hi_res': None}]"),
                    ('s2', 'https://a/2.jpg|https://b/2.jpg'),
                    ('s3', 'https://a/3.jpg'),
                    ('s4', '[]'),
                ],
                ('sku', 'image'),
                ';',
            ),
        },
        dict(images=['https://h/0.jpg', 'https://l/1.jpg', 'https://a/2.jpg', 'https://a/3.jpg']),
    ),
    (
        'JSON with half a letter',
        (
            {
                'a.jsonl': lines(
                    *objects(), '{"user": "\\ud800", "sku": "s1", "ts": 1433268643430, "action": "view"}'
                )
            },
            '',
            'a.jsonl',
        ),
        dict(events=21, items=['s1'], kinds=[21, 0, 0]),
    ),
    (
        'JSON 100,000 levels deep',
        ({'a.jsonl': '{"a":' * 100_000}, '', 'a.jsonl'),
        'a.jsonl, line 1: found \'{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"...\', expected a JSON object',
    ),
    (
        'JSON with NaN',
        ({'a.jsonl': lines(*objects()).replace('"s1"', 'NaN')}, '', 'a.jsonl'),
        (
            "a.jsonl: found 'no row with a visitor and an item', expected at least one row with both:"
            " say with --columns which columns they are"
        ),
    ),
    # folders
    (
        'parts with the same header',
        {'a/p1.csv': HALF, 'a/p2.csv': REST},
        dict(
            events=60,
            layout='RetailRocket',
            kinds=[36, 12, 12],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-19T23:10:43.489Z',
        ),
    ),
    (
        'parts with columns in another order',
        {'p1.csv': HALF, 'p2.csv': text([r[::-1] for r in PLAIN[30:]], COLUMNS[::-1])},
        dict(
            events=60,
            layout='RetailRocket',
            kinds=[36, 12, 12],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-19T23:10:43.489Z',
        ),
    ),
    (
        'parts with other separators',
        {'p1.csv': HALF, 'p2.csv': text(PLAIN[30:], sep=';')},
        dict(
            events=60,
            layout='RetailRocket',
            kinds=[36, 12, 12],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-19T23:10:43.489Z',
        ),
    ),
    (
        'parts with other names of columns',
        {
            'p1.csv': shop(),
            'p2.csv': shop().replace('user,sku,when,action', 'customer,product,time,event', 1),
        },
        dict(events=20, rows=40, duplicates=20),
    ),
    (
        'parts with and without events',
        {'p1.csv': shop(), 'p2.csv': shop(header='user,sku,when')},
        dict(events=40, kinds=[36, 0, 4]),
    ),
    (
        'parts with other units of time',
        {'p1.csv': times(str), 'p2.csv': times(lambda t: t // 1000 + 9)},
        dict(events=40, kinds=[32, 0, 8], first='2015-06-02T18:10:43.430Z', last='2015-06-03T13:10:52.000Z'),
    ),
    (
        'parts with numbers and with words for ids',
        {'p1.csv': numbers(), 'p2.csv': shop()},
        dict(events=40, kinds=[32, 0, 8], first='2015-06-02T18:10:43.000Z', last='2015-06-03T13:10:43.430Z'),
    ),
    (
        'parts, one without a header',
        {'p1.csv': HALF, 'p2.csv': text(PLAIN[30:], header=())},
        dict(
            events=60,
            layout='RetailRocket',
            kinds=[36, 12, 12],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-19T23:10:43.489Z',
        ),
    ),
    (
        'parts of a shop of its own, one without a header',
        {'p1.csv': shop(), 'p2.csv': shop().split('\n', 1)[1]},
        (
            'p2.csv: found no header, expected that of p1.csv: write it there, or give a folder'
            ' without this file'
        ),
    ),
    (
        'parts, one with a header alone',
        {'p1.csv': HALF, 'p2.csv': text([])},
        dict(
            events=30,
            layout='RetailRocket',
            kinds=[18, 6, 6],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-11T05:10:43.459Z',
        ),
    ),
    (
        'parts, one empty',
        {'p1.csv': HALF, 'p2.csv': ''},
        "p2.csv: found 'an empty file', expected a table as CSV, JSON lines or Parquet",
    ),
    (
        'parts, one cut in the middle of a row',
        {'p1.csv': HALF, 'p2.csv': REST[:-20]},
        (
            "p2.csv, line 31: found '2 columns', expected 5 columns, as the header has: complete"
            " this row, or leave it out"
        ),
    ),
    (
        'parts, one a gzip that ends early',
        {'p1.csv.gz': gzip.compress(HALF.encode()), 'p2.csv.gz': gzip.compress(shop(3000).encode())[:-99]},
        (
            'shop: p2.csv.gz is damaged (Compressed file ended before the end-of-stream marker was'
            ' reached), expected a complete file'
        ),
    ),
    (
        'parts, one damaged Parquet',
        {'p1.parquet': frame(), 'p2.parquet': frame()[:-30]},
        (
            'shop: p2.parquet is damaged (Parquet magic bytes not found in footer. Either the file is'
            ' corrupted or this is not a parquet file.), expected a complete Parquet file'
        ),
    ),
    (
        'parts, one with a zero byte',
        {'p1.csv': HALF, 'p2.csv': 'a\0b\n'},
        "p2.csv, line 1: found 'a zero byte', expected text",
    ),
    ('CSV and Parquet', {'p1.csv': shop(), 'p2.parquet': frame()}, dict(events=40, kinds=[36, 0, 4])),
    (
        'one log as CSV and as Parquet',
        {'log.csv': shop(), 'log.parquet': frame()},
        dict(events=20, said=['Left out: log.parquet, which is log.csv in another form.']),
    ),
    (
        'one log plain and packed',
        {'log.csv': shop(), 'log.csv.gz': gzip.compress(shop().encode())},
        dict(events=20, said=['Left out: log.csv.gz, which is log.csv in another form.']),
    ),
    (
        'a copy in a folder old',
        {'log.csv': shop(), 'old/log.csv': shop()},
        dict(events=20, said=['Left out: old/log.csv, which lies below log.csv of the same name.']),
    ),
    (
        'a copy by another name',
        {'log.csv': shop(), 'log (1).csv': shop()},
        dict(events=20, rows=40, duplicates=20),
    ),
    (
        'hidden files',
        {'log.csv': shop(), '.log.csv.swp': b'x\0', '.git/log.csv': 'x', '__MACOSX/log.csv': 'x'},
        20,
    ),
    (
        'a README, a licence and a picture',
        {'log.csv': shop(), 'README.md': '# log\n', 'LICENSE': 'x', 'logo.png': b'\x89PNG'},
        20,
    ),
    (
        'notes in a text file',
        {'log.csv': shop(), 'notes.txt': 'remember: a, b and c\nand d\n'},
        dict(events=20, said=['Left out: notes.txt, which has no visitor, item and time.']),
    ),
    (
        'two layouts',
        {'ratings.csv': RATINGS, '2015-Jun.csv': REES},
        (
            '2015-Jun.csv is a log of REES46 and ratings.csv one of MovieLens, expected one log: give'
            ' the file, or a folder of its own'
        ),
    ),
    (
        'a layout and a log of its own',
        {'ratings.csv': RATINGS, 'log.csv': shop()},
        dict(
            events=20,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:02.000Z',
            said=['Left out: log.csv, which is no file of MovieLens.'],
        ),
    ),
    (
        '1,001 files',
        {f'{i}.csv': 'a\n' for i in range(1001)},
        'shop holds 1,001 files, expected at most 1,000: give the folder of the log alone',
    ),
    (
        'an empty folder below',
        {'a/b/c/d/e/log.csv': shop()},
        (
            'shop holds no table, expected a log as CSV, JSON lines or Parquet; what lies more than'
            ' three folders down, or is hidden, is not looked at'
        ),
    ),
    (
        'pictures alone',
        {'a.png': b'\x89PNG', 'b.png': b'\x89PNG'},
        'shop holds no table, expected a log as CSV, JSON lines or Parquet; it holds a.png, b.png',
    ),
    (
        'an item file alone',
        {'movies.csv': 'movieId,title,genres\n7,Lamp (1995),Drama\n'},
        (
            'movies.csv says what items are, expected a log with visitors, items and times: give its'
            ' file, or the folder that holds both'
        ),
    ),
    (
        'visitors alone',
        {'users.csv': 'user_id,age\n1,24\n'},
        (
            'users.csv: found the columns user_id, age, expected itemid, timestamp among them: say'
            ' which column is what with --columns "itemid=...,timestamp=..."'
        ),
    ),
    (
        'a file name with a line break',
        {'a\nb.csv': shop(sku=at(3, '', lambda i: 's'), when=at(5, 'x', lambda i: T0))},
        'shop holds no table, expected a log as CSV, JSON lines or Parquet; it holds a\\nb.csv',
    ),
    # item files
    (
        'items that do not fit the log',
        {'a.inter': INTER, 'a.item': ITEMS.replace('0\tL', '90\tL').replace('1\tS', '91\tS')},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
            said=['a.item knows none of the items of the log.'],
        ),
    ),
    (
        'an item twice',
        {'a.inter': INTER, 'a.item': ITEMS + '1\tTowel\n'},
        dict(
            events=20,
            titles=['Lamp', 'Towel'],
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
        ),
    ),
    (
        'an item file without items',
        {'a.inter': INTER, 'a.item': 'item_id:token\tmovie_title:token_seq\n'},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
        ),
    ),
    (
        'an empty item file',
        {'a.inter': INTER, 'a.item': ''},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
            said=["Left out: a.item: found 'an empty file', expected a table as CSV, JSON lines or Parquet."],
        ),
    ),
    (
        'an item file with a row too long',
        {'a.inter': INTER, 'a.item': ITEMS + '2\tx\ty\n'},
        "a.item, line 4: found '3 columns', expected 2 columns",
    ),
    (
        'an item file without ids',
        {'a.inter': INTER, 'a.item': 'movie_title:token_seq\nLamp\n'},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
            said=['Left out: a.item, which has no visitor, item and time.'],
        ),
    ),
    (
        'an item file that is a picture',
        {'a.inter': INTER, 'a.item': b'\x89PNG\0\1\2'},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
            said=[
                'Left out: shop: a.item is no table: it looks like a picture,'
                ' expected a table as CSV, JSON lines or Parquet.'
            ],
        ),
    ),
    (
        'items of text beside numbers',
        {'a.inter': INTER, 'a.item': ITEMS.replace('0\tL', 'zero\tL')},
        dict(
            events=20,
            titles=['Soap'],
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
        ),
    ),
    (
        'items as floats beside whole numbers',
        {'a.inter': INTER, 'a.item': ITEMS.replace('0\tL', '0.0\tL')},
        dict(
            events=20,
            titles=['Soap'],
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
        ),
    ),
    (
        'a category of 20,000 letters',
        {
            'ratings.csv': RATINGS,
            'movies.csv': f'movieId,title,genres\n7,Lamp (1995),{"x" * 20_000}\n8,Soap,Drama\n',
        },
        dict(
            events=20,
            titles=['Lamp (1995)', 'Soap'],
            categories=2,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'properties in seconds beside milliseconds',
        {'events.csv': OWN, 'item_properties.csv': PROPERTIES.replace(str(T0), str(T0 // 1000))},
        (
            "item_properties.csv, line 2, column timestamp: found '1433268643', expected milliseconds"
            " since 1970, these look like seconds"
        ),
    ),
    (
        'a category that is a word',
        {
            'events.csv': plain(lambda t, v, e, i, o: (t // 1000, v, e, i, o)),
            'item_properties.csv': PROPERTIES + f'{T0},508,categoryid,shoes\n',
        },
        "item_properties.csv, column value: found 'shoes', expected a category number",
    ),
    # layouts, damaged
    (
        'RecBole without times',
        {'a.inter': INTER.replace('timestamp:float', 'rating:float')},
        (
            'a.inter: found the columns user_id:token, item_id:token, rating:float, expected'
            ' timestamp among them: say which column is what with --columns "timestamp=..."'
        ),
    ),
    (
        'RecBole with a type nobody knows',
        {'a.inter': INTER.replace('timestamp:float', 'timestamp:double')},
        (
            'a.inter: found the columns user_id:token, item_id:token, timestamp:double, expected'
            ' timestamp among them: say which column is what with --columns "timestamp=..."'
        ),
    ),
    (
        'RecBole with spaces',
        {'a.inter': INTER.replace('\t', ' ')},
        dict(
            events=20,
            layout='RecBole',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:11:02.430Z',
        ),
    ),
    (
        'RecBole, a row short',
        {'a.inter': INTER + '1\t2\n'},
        (
            "a.inter, line 22: found '2 columns', expected 3 columns, as the header has: complete"
            " this row, or leave it out"
        ),
    ),
    (
        'session-rec, two slices',
        {
            f's_train_full.{k}.txt': 'SessionId\tItemId\tTime\n'
            + ''.join(f'{i}\t{i % 3}\t{T0 // 1000 + i}\n' for i in range(9))
            for k in (0, 1)
        }
        | {f's_test.{k}.txt': f'SessionId\tItemId\tTime\n1\t2\t{T0 // 1000 + 99}\n' for k in (0, 1)},
        'found the slices 0, 1 of one log, expected one: give a folder with the files of one of them',
    ),
    (
        'session-rec, a test that is not after',
        {
            's_train_full.txt': f'SessionId\tItemId\tTime\n1\t2\t{T0 // 1000}\n1\t3\t{T0 // 1000 + 50}\n',
            's_test.txt': f'SessionId\tItemId\tTime\n2\t2\t{T0 // 1000 + 9}\n',
        },
        dict(
            events=3,
            layout='session-rec',
            visitor='session',
            visitors=['1', '2'],
            items=['2', '3'],
            kinds=[3, 0, 0],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:33.000Z',
        ),
    ),
    (
        'session-rec, a test alone',
        {'s_test.txt': f'SessionId\tItemId\tTime\n2\t2\t{T0 // 1000 + 9}\n'},
        dict(
            events=1,
            layout='session-rec',
            visitor='session',
            visitors=['2'],
            items=['2'],
            kinds=[1, 0, 0],
            first='2015-06-02T18:10:52.000Z',
            last='2015-06-02T18:10:52.000Z',
        ),
    ),
    (
        'YooChoose with a time of seconds',
        {'yoochoose-clicks.dat': CLICKED + f'1,{T0 // 1000},2,0\n'},
        (
            "yoochoose-clicks.dat, line 21, column 2: found '1433268643', expected a time as in the"
            " first rows (iso), years 1990 to 2100; this looks like seconds: bring all rows to one unit first"
        ),
    ),
    (
        'YooChoose, a row without its category',
        {'yoochoose-clicks.dat': CLICKED + f'1,{iso(T0)},2\n'},
        (
            "yoochoose-clicks.dat, line 21: found '3 columns', expected 4 columns, as the other"
            " rows have: complete this row, or leave it out"
        ),
    ),
    (
        'YooChoose with a header',
        {'yoochoose-clicks.dat': 'session,timestamp,item,category\n' + CLICKED},
        dict(
            events=20, categories=1, visitor='session', visitors=['0', '1', '2'], items=['0', '1', '2', '3']
        ),
    ),
    (
        'Diginetica without a moment',
        {'train-item-views.csv': DIGI + f'1;NA;2;NA;{day(T0)}\n'},
        (
            "train-item-views.csv, line 22, column timeframe: found 'NA', expected milliseconds, a"
            " number of at least 0"
        ),
    ),
    (
        'Diginetica with commas',
        {'train-item-views.csv': DIGI.replace(';', ',')},
        dict(
            events=20,
            layout='Diginetica',
            visitor='session',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T00:00:00.000Z',
            last='2015-06-02T00:00:19.000Z',
        ),
    ),
    (
        'Diginetica, searches alone',
        {'train-queries.csv': 'queryId;sessionId;timeframe;eventdate;items\n1;1;9;2015-06-02;7,8\n'},
        (
            'train-queries.csv holds searches, whose results are no events, expected a log with'
            ' visitors, items and times: give its file, or the folder that holds both'
        ),
    ),
    (
        'OTTO, a session without events',
        {'a.jsonl': OTTOS + '{"session": 99, "events": []}\n'},
        dict(
            events=20,
            layout='OTTO',
            visitor='session',
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:10:43.449Z',
        ),
    ),
    (
        'OTTO, an event without a type',
        {'a.jsonl': OTTOS + f'{{"session": 99, "events": [{{"aid": 1, "ts": {T0}}}]}}\n'},
        dict(
            events=20,
            rows=21,
            unknown_events={'(empty)': 1},
            layout='OTTO',
            visitor='session',
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:10:43.449Z',
        ),
    ),
    (
        'OTTO, a kind nobody knows',
        {'a.jsonl': OTTOS.replace('clicks', 'likes')},
        (
            'a.jsonl: found \'likes\', expected events of the types view, addtocart, transaction: 20'
            ' of 20 rows have others, say what each is with --events "likes=..." (none leaves its'
            ' rows out)'
        ),
    ),
    (
        'OTTO in seconds',
        {'a.jsonl': OTTOS.replace(str(T0)[:10], str(T0)[:7])},
        dict(
            events=20,
            layout='OTTO',
            visitor='session',
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:07:10.000Z',
            last='2015-06-02T18:07:29.000Z',
        ),
    ),
    (
        'REES46 without visitors',
        {'a.csv': REES.replace('user_id', 'someone')},
        dict(
            events=20,
            categories=1,
            visitor='session',
            visitors=['5f-1'],
            items=['0', '1', '2', '3'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'REES46 with an event of its own',
        {'a.csv': REES.replace(',view,', ',wishlist,', 1)},
        dict(
            events=19,
            rows=20,
            unknown_events={'wishlist': 1},
            categories=1,
            layout='REES46',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            kinds=[19, 0, 0],
            first='2015-06-02T19:10:43.000Z',
            last='2015-06-03T13:10:43.000Z',
        ),
    ),
    (
        'REES46 with what is taken out of a cart',
        {'a.csv': REES.replace(',view,', ',remove_from_cart,', 2)},
        dict(
            events=18,
            left_out=2,
            said=[
                '2 rows of the type remove_from_cart were left out, as the layout of REES46 says:'
                ' it is no view, cart or purchase.'
            ],
        ),
    ),
    (
        'REES46 with what is taken out of a cart, as typed',
        ({'a.csv': REES.replace(',view,', ',remove_from_cart,', 2)}, '?events=remove_from_cart=none'),
        dict(events=18, left_out=2, said=['2 rows were left out, as asked.']),
    ),
    (
        'REES46 in two months, the later first by name',
        {'2019-Nov.csv': REES.replace('2015-06', '2015-07'), '2019-Oct.csv': REES},
        dict(events=40, unsorted=0),
    ),
    (
        'REES46 in two months, one row out of order in each',
        {
            f'2019-{month}.csv': line(5, lambda s: s.replace(s[8:10], '01', 1), content)
            for month, content in (('Nov', REES.replace('2015-06', '2015-07')), ('Oct', REES))
        },
        dict(events=40, unsorted=2),
    ),
    (
        'session-rec, whose test file is first by name',
        {
            'a_test.txt': f'SessionId\tItemId\tTime\n9\t1\t{(T0 + DAY) // 1000}\n',
            'a_train.txt': f'SessionId\tItemId\tTime\n1\t1\t{T0 // 1000}\n',
        },
        dict(events=2, unsorted=0, test_start=(T0 + DAY) // 1000 * 1000),
    ),
    (
        'REES46, a name with a comma',
        {'a.csv': REES.replace('acme', 'a,b', 1)},
        (
            "a.csv, line 2: found '10 columns', expected 9 columns, as the header has: put cells"
            " that hold a comma in quotes"
        ),
    ),
    (
        'MovieLens with a rating that is a word',
        ({'ratings.csv': RATINGS.replace(',1.0,', ',good,', 1)}, '?rating=3'),
        dict(
            events=12,
            rows=20,
            low=8,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            kinds=[12, 0, 0],
            first='2015-06-02T18:10:45.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'MovieLens in milliseconds',
        {'ratings.csv': RATINGS.replace(str(T0)[:7], str(T0)[:7] + '000')},
        dict(
            events=20,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            first='2015-06-02T18:00:00.643Z',
            last='2015-06-02T18:00:00.662Z',
        ),
    ),
    (
        'MovieLens, a movie without a title',
        {'ratings.csv': RATINGS, 'movies.csv': 'movieId,title,genres\n7,,Drama\n8,"Soap, The (1990)",\n'},
        dict(
            events=20,
            titles=['Soap, The (1990)'],
            categories=1,
            layout='MovieLens',
            visitors=['1', '2', '3'],
            items=['10', '7', '8', '9'],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:02.000Z',
        ),
    ),
    (
        'H&M with zeros in front',
        {'transactions_train.csv': HM},
        dict(
            events=20,
            layout='H&M',
            visitors=['c0', 'c1', 'c2'],
            items=['00', '01', '02', '03'],
            kinds=[0, 0, 20],
            first='2015-06-02T00:00:00.000Z',
            last='2015-06-21T00:00:00.000Z',
            said=[
                'Times are days alone in transactions_train.csv: within a day, the order is that of the file.'
            ],
        ),
    ),
    (
        'H&M, a day that is none',
        {'transactions_train.csv': HM.replace(day(T0), '2015-06-99', 1)},
        (
            "transactions_train.csv, line 2, column t_dat: found '2015-06-99', expected a time as in"
            " the first rows (date), years 1990 to 2100"
        ),
    ),
    (
        'Amazon, a row without a rating',
        {'a.csv': f'user_id,parent_asin,rating,timestamp\nAE1,B1,,{T0}\nAE2,B2,5.0,{T0 + 1}\n'},
        dict(
            events=2,
            layout='Amazon reviews',
            visitors=['AE1', 'AE2'],
            items=['B1', 'B2'],
            kinds=[2, 0, 0],
            first='2015-06-02T18:10:43.430Z',
            last='2015-06-02T18:10:43.431Z',
        ),
    ),
    (
        'Taobao, a favourite and a word nobody knows',
        {
            'a.csv': ''.join(
                f'{i % 3},{i % 4},20,{"fav" if i == 3 else "pv"},{T0 // 1000 + i}\n' for i in range(40)
            )
            + f'1,1,20,look,{T0 // 1000}\n'
        },
        dict(
            events=39,
            rows=41,
            left_out=1,
            unknown_events={'look': 1},
            categories=1,
            layout='Taobao',
            visitors=['0', '1', '2'],
            items=['0', '1', '2', '3'],
            kinds=[39, 0, 0],
            first='2015-06-02T18:10:43.000Z',
            last='2015-06-02T18:11:22.000Z',
        ),
    ),
]


def facts(path, cache):
    rows, report = as_written(path, cache)
    assert report.events == len(rows) and report.rows == len(
        rows
    ) + report.duplicates + report.without_id + report.low + report.left_out + sum(
        report.unknown_events.values()
    ), 'a row is lost'
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    known, categories = read_items(path, cache), read_categories(path, cache)
    return vars(report) | dict(
        written=rows,
        visitors=sorted({row[1] for row in rows}),
        items=sorted({row[3] for row in rows}),
        kinds=[sum(row[2] == kind for row in rows) for kind in ('view', 'addtocart', 'transaction')],
        first=iso(rows[0][0]),
        last=iso(rows[-1][0]),
        said=[
            n
            for n in report.notes
            if re.match('Left out|.*(was read as|are read as text|knows none|days alone|left out, as)', n)
        ],
        images=None if known is None or 'image' not in known else [t for t in known.image if t],
        titles=None if known is None or 'title' not in known else [t for t in known.title if t],
        categories=None if categories is None else len(set(categories.snapshots.categoryid)),
    )


def fits(said, promised):
    "Whether a sentence is the promised one, in which * stands for any text."
    return re.fullmatch('.*'.join(map(re.escape, promised.split('*'))), said) is not None


@pytest.mark.parametrize('content, promised', [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_odd_log(tmp_path, record, request, content, promised):
    content, typed, given = (*content, '', '')[:3] if isinstance(content, tuple) else (content, '', '')
    path, cache = lay(tmp_path, content), tmp_path / 'cache'
    path = f'{path / given if given else path}{typed}'
    cost = []
    for attempt in ('read', 'from the cache'):
        with watched(tmp_path, cache) as spent:
            if isinstance(promised, str):
                with pytest.raises(DataError) as error:
                    facts(path, cache)
                said = str(error.value)
                assert fits(said, promised), said
                assert said.isprintable() and len(said) < 500 and ('expected' in said or 'say' in said)
                assert error.value.__suppress_context__ or error.value.__context__ is None
            elif attempt == 'read':
                found = facts(path, cache)
                promised = {'events': promised} if isinstance(promised, int) else promised
                assert {name: found[name] for name in promised} == promised
                assert all(note.isprintable() for note in found['notes'])
            else:
                assert as_written(path, cache)[0] == found['written']
        cost.append(spent)
    record(
        'bad input',
        f'in another layout: {request.node.callspec.id}',
        cases=1,
        loaded=int(not isinstance(promised, str)),
        refused=int(isinstance(promised, str)),
        slowest_seconds=round(max(c.seconds for c in cost), 3),
        peak_mb=round(max(c.megabytes for c in cost)),
    )


STRANGE = [
    *(
        b'',
        b'"',
        b'\0',
        b'\xff',
        b'NaN',
        b'-1',
        b'1e400',
        b'9' * 30,
        b'\n',
        b'\r',
        b',',
        b';',
        b'\t',
        b'::',
        b'{',
        b'[',
    ),
    *(
        b'}',
        b']',
        b'null',
        b'2015-02-30',
        b'0.5',
        b' ',
        b'\xef\xbb\xbf',
        'é'.encode(),
        b'\\',
        b'\x1b[2J',
        b'x' * 300,
    ),
]


def mutated(content, rng):
    "Bytes with one thing changed at random."
    start = int(rng.integers(len(content) + 1))
    kind = rng.choice(['insert', 'delete', 'byte', 'cut', 'lines', 'cell', 'gzip'])
    if kind == 'insert':
        return content[:start] + STRANGE[rng.integers(len(STRANGE))] + content[start:]
    if kind in ('delete', 'byte'):
        new = bytes([rng.integers(256)]) if kind == 'byte' else b''
        return content[:start] + new + content[start + (1 if new else int(rng.integers(1, 40))) :]
    if kind == 'cut':
        return content[:start]
    if kind == 'gzip':
        return gzip.compress(content)[: int(rng.choice([-1, -9, 10**6]))]
    rows = content.split(b'\n')
    if kind == 'lines':
        return b'\n'.join(rows[i] for i in rng.integers(len(rows), size=len(rows)))
    sep = (b',', b'\t', b';', b'::', b'|')[rng.integers(5)]
    row = int(rng.integers(len(rows)))
    cells = rows[row].split(sep)
    cells[rng.integers(len(cells))] = STRANGE[rng.integers(len(STRANGE))]
    rows[row] = sep.join(cells)
    return b'\n'.join(rows)


@pytest.mark.parametrize('tries', [40, pytest.param(1500, marks=pytest.mark.torture)])
def test_layouts_changed_at_random(tmp_path, record, tries):
    "Files of a layout with one to three changes: read, or one sentence."
    rng, read, slowest = np.random.default_rng(7), 0, 0
    for attempt in range(tries):
        files = dict(EXAMPLES[[*EXAMPLES][rng.integers(len(EXAMPLES))]][0])
        for name in rng.choice([*files], int(rng.integers(1, 4))):
            content = files[name]
            files[name] = mutated(content if isinstance(content, bytes) else content.encode(), rng)
        place = tmp_path / str(attempt)
        path = lay(place, files)
        with watched(place, place / 'cache') as cost:
            try:
                facts(path, place / 'cache')
                read += 1
            except DataError as error:
                said = str(error)
                assert said.isprintable() and len(said) < 500 and ('expected' in said or 'say' in said), said
        slowest = max(slowest, cost.seconds)
    assert 0 < read < tries
    what = f'files of other layouts changed at random, {tries} times'
    record(
        'bad input', what, cases=tries, loaded=read, refused=tries - read, slowest_seconds=round(slowest, 3)
    )


# Real logs of others, where they lie beside the repository; nothing of them is written into it.
real = pytest.mark.skipif(
    not OTHERS.is_dir(), reason=f'the real logs are missing: there is no folder {OTHERS}'
)


@real
def test_real_movielens():
    log, report = read_log(OTHERS / 'ml-100k')
    items, ids = read_items(OTHERS / 'ml-100k'), read_ids(OTHERS / 'ml-100k')
    found = report.layout, len(log), log.visitorid.nunique(), log.itemid.nunique()
    assert found == ('RecBole', 100_000, 943, 1_682)
    about = items.loc[ids.item_code('1')]
    assert about.title and about.category and about.release_year.isdecimal() and len(items) == 1_682
    assert (items.title != '').all()


@real
def test_real_yoochoose():
    log, report = read_log(OTHERS / 'yoochoose-100k')
    times = log.timestamp.astype('int64')
    train, test = log[times < report.test_start], log[times >= report.test_start]
    assert (report.layout, report.visitor) == ('session-rec', 'session')
    assert (report.rows, report.duplicates) == (70_278 + 13_568, 1)  # one click is there twice
    assert (len(train), train.visitorid.nunique(), train.itemid.nunique()) == (70_277, 17_794, 2_933)
    assert (len(test), test.visitorid.nunique()) == (13_568, 3_416)
    assert set(test.itemid) <= set(train.itemid) and len(test) - test.visitorid.nunique() == 10_152
    assert log.attrs['test_start'] == report.test_start


@real
def test_real_otto():
    path = OTHERS / 'otto/train.jsonl'
    written = [e['type'] for s in path.read_text().splitlines() for e in json.loads(s)['events']]
    log, report = read_log(path)
    assert (report.layout, report.rows, log.visitorid.nunique()) == ('OTTO', len(written), 20)
    kinds = {'view': 'clicks', 'addtocart': 'carts', 'transaction': 'orders'}
    assert [sum(log.event == kind) for kind in kinds] == [written.count(name) for name in kinds.values()]


@real
def test_real_coveo():
    log, report = read_log(OTHERS / 'coveo')
    rows = len((OTHERS / 'coveo/sample_dataset.csv').read_text().splitlines()) - 1
    counted = report.events + report.duplicates + report.without_id + report.left_out
    counted += sum(report.unknown_events.values())
    assert (report.layout, report.rows, counted) == ('Coveo', rows, rows)
    assert report.visitor == 'session' and len(log)
