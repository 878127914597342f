"""Damaged and odd logs: each gives the promised `DataError` or the promised count, and never another exception."""
import io, re, zipfile
from fnmatch import fnmatchcase
import numpy as np, pytest
from recsys_nb.data import DataError, EVENTS, read_categories, read_log
from recsys_nb.protocol import is_repeat, make_protocols, published_baselines, published_sasrec, query_slices

T0, HOUR, DAY = 1_430_000_000_000, 3_600_000, 86_400_000
HEADER = 'timestamp,visitorid,event,itemid,transactionid'
ROWS = [f'{T0 + day * DAY + v * HOUR},{v},{"transaction" if (day + v) % 5 == 0 else "view"},{10 + day % 4},{4000 + day if (day + v) % 5 == 0 else ""}'
        for day in range(40) for v in (1, 2, 3)]
PROPERTIES = ['timestamp,itemid,property,value'] + [f'{T0},{i},{p},{x}' for i in range(10, 14) for p, x in (('categoryid', i - 5), ('790', 'n552.000'))]
TREE = 'categoryid,parentid\n5,3\n6,3\n7,3\n8,\n3,\n'
GOOD = {'events.csv': '\n'.join([HEADER, *ROWS]) + '\n', 'item_properties_part1.csv': '\n'.join(PROPERTIES) + '\n', 'category_tree.csv': TREE}
GOOD = {k: v.encode() for k, v in GOOD.items()}
E, P, C = GOOD # the three files
LAST = T0 + 39 * DAY + 3 * HOUR


# Ways to damage: each gives a function from files (name -> bytes) to files, or to the bytes of a zip.
def change(f, name=E): return lambda files: files | {name: f(files[name])}
def text(f, name=E): return change(lambda b: f(b.decode()).encode(), name)
def sub(old, new, name=E): return change(lambda b: b.replace(old.encode(), new.encode()), name)
def add(*rows, name=E): return change(lambda b: b + ('\n'.join(rows) + '\n').encode(), name)
def without(name): return lambda files: {k: v for k, v in files.items() if k != name}
def only(*rows, header=HEADER): return lambda files: files | {E: '\n'.join([header, *rows, '']).encode()}

def cell(column, value, line=3, name=E):
    "Replace one cell; line 1 is the header."
    def f(b):
        lines = b.split(b'\n'); cells = lines[line - 1].split(b',')
        cells[lines[0].decode().split(',').index(column)] = value if isinstance(value, bytes) else value.encode()
        lines[line - 1] = b','.join(cells)
        return b'\n'.join(lines)
    return change(f, name)

def columns(f): return text(lambda t: '\n'.join(','.join(f(l.split(','))) for l in t.splitlines()) + '\n')
def each_cell(column, f): # of every data row of events.csv
    i = HEADER.split(',').index(column)
    return text(lambda t: '\n'.join([HEADER] + [','.join(f(c) if j == i else c for j, c in enumerate(r)) for r in (l.split(',') for l in t.splitlines()[1:])]) + '\n')

def zipped(files, prefix='', method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', method) as z: [z.writestr(prefix + n, b) for n, b in files.items()]
    return buffer.getvalue()

def flip(name, method=zipfile.ZIP_STORED):
    "Change one byte in the middle of a member."
    def f(files):
        b = bytearray(zipped(files, method=method)); at = b.index(name.encode()) + 200
        b[at] ^= 1
        return bytes(b)
    return f

def encrypted(files):
    "Set the flag that says the members have a password."
    b = bytearray(zipped(files))
    for magic, at in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        for m in re.finditer(re.escape(magic), bytes(b)): b[m.start() + at] |= 1
    return bytes(b)


# name, damage, and what is promised: the whole message of the `DataError` (* for any text), or a part of the facts of `study` below.
CASES = [
    ('untouched', lambda files: files, dict(rows=120, events=120, duplicates=0, unsorted=0, unknown_events={}, empty_transactions=0, notes=[], roots={3, 8}, test=22, purchases=3)),
    # the header
    ('missing column', columns(lambda r: r[:3] + r[4:]), "events.csv, line 1: found 'timestamp,visitorid,event,transactionid', expected the column itemid"),
    ('column named twice', columns(lambda r: r + [r[3]]), "events.csv, line 1: found 'itemid twice', expected each column once"),
    ('capital letters', sub('timestamp', 'Timestamp'), "events.csv, line 1: found 'Timestamp,visitorid,event,itemid,tran...', expected the column timestamp"),
    ('semicolons', sub(',', ';'), "events.csv, line 1: found 'columns separated by semicolons', expected columns separated by commas"),
    ('tabs', sub(',', '\t'), "events.csv, line 1: found 'columns separated by tabs', expected columns separated by commas"),
    ('bars', sub(',', '|'), "events.csv, line 1: found 'columns separated by bars', expected columns separated by commas"),
    ('empty file', change(lambda b: b''), "events.csv, line 1: found 'an empty file', expected a header with timestamp, visitorid, event, itemid"),
    ('header only', change(lambda b: b.splitlines()[0]), "events.csv: found 'a header only', expected at least one event"),
    ('header missing', change(lambda b: b.split(b'\n', 1)[1]), "events.csv, line 1: found '1430003600000,1,view,10,', expected the column timestamp"),
    ('UTF-16', change(lambda b: b.decode().encode('utf-16')), "events.csv, line 1: found 'text in UTF-16', expected text in UTF-8"),
    # cells
    ('text in a number', cell('visitorid', 'abc'), "events.csv, line 3, column visitorid: found 'abc', expected an integer"),
    ('float id', cell('itemid', '12.5'), "events.csv, line 3, column itemid: found '12.5', expected an integer"),
    ('wrong type: a date', each_cell('timestamp', lambda c: '2015-05-03 03:00:04'), "events.csv, line 2, column timestamp: found '2015-05-03 03:00:04', expected an integer"),
    ('empty id', cell('visitorid', ''), "events.csv, line 3, column visitorid: found '', expected an integer"),
    ('negative id', cell('itemid', '-7', 9), "events.csv, line 9, column itemid: found '-7', expected a number that is not negative"),
    ('number over 64 bits', cell('itemid', '9' * 20), "events.csv, line 3, column itemid: found '99999999999999999999', expected an integer of at most 64 bits"),
    ('huge id that fits', cell('visitorid', str(2**63 - 1)), dict(events=120, visitors=4)),
    ('negative timestamp', cell('timestamp', '-1'), "events.csv, line 3, column timestamp: found '-1', expected milliseconds since 1970, between the years 2000 and 2100"),
    ('absurd timestamp', cell('timestamp', '99999999999999999'), "events.csv, line 3, column timestamp: found '99999999999999999', expected milliseconds since 1970, between the years 2000 and 2100"),
    ('seconds', each_cell('timestamp', lambda c: c[:-3]), "events.csv, line 2, column timestamp: found '1430003600', expected milliseconds since 1970, these look like seconds"),
    ('one row in seconds', cell('timestamp', '1430003600', 50), "events.csv, line 50, column timestamp: found '1430003600', expected milliseconds since 1970, these look like seconds"),
    ('microseconds', each_cell('timestamp', lambda c: c + '000'), "events.csv, line 2, column timestamp: found '1430003600000000', expected milliseconds since 1970, these look like microseconds"),
    ('too few columns', sub(ROWS[1], ROWS[1][:-1]), "events.csv, line 3: found '4 columns', expected 5 columns"),
    ('too many columns', sub(ROWS[1], ROWS[1] + ',9'), "events.csv, line 3: found '6 columns', expected 5 columns"),
    ('cut in the middle of a row', change(lambda b: b[:-15]), "events.csv, line 121: found '1 column', expected 5 columns"),
    ('NUL bytes in a number', cell('itemid', '1\0'), "events.csv, line 3, column itemid: found '1\\x00', expected an integer"),
    ('a block of NUL bytes', change(lambda b: b + b'\0' * 5000), "events.csv, line 122: found '1 column', expected 5 columns"),
    ('invalid UTF-8 in an event', cell('event', b'vi\xe9w'), "events.csv, line 3, column event: found 'vi\ufffdw', expected text in UTF-8"),
    ('invalid UTF-8 in a transactionid', cell('transactionid', b'\xff', 9), "events.csv, line 9, column transactionid: found '\ufffd', expected text in UTF-8"),
    ('a quote that never ends', cell('event', '"view'), "events.csv, line 3: found 'a quoted line break', expected every row on one line"),
    # odd, but readable: counted
    ('unknown event', cell('event', 'hover'), dict(rows=120, events=119, unknown_events={'hover': 1}, notes=['1 rows with unknown event types were dropped: hover.'])),
    ('empty event', cell('event', ''), dict(rows=120, events=119, unknown_events={'(empty)': 1})),
    ('many unknown events', add(*(f'{LAST},1,e{i},10,' for i in range(300))), dict(rows=420, events=120, unknown=300)),
    ('only unknown events', each_cell('event', lambda c: 'click'), "events.csv: found 'click', expected events of the types view, addtocart, transaction"),
    ('duplicate rows', add(*ROWS[:7], *ROWS[-7:]), dict(rows=134, events=120, duplicates=14, test=22)),
    ('same but for the transactionid', add(f'{LAST},3,transaction,11,1', f'{LAST},3,transaction,11,2', f'{LAST},3,transaction,11,1'), dict(duplicates=1, events=122)),
    ('unsorted rows', only(*ROWS[::-1]), dict(rows=120, events=120, unsorted=119, duplicates=0, test=22)),
    ('empty transactionid', only(*(r if 'view' in r else r[:-4] for r in ROWS)), dict(events=120, empty_transactions=24)),
    ('no transactionid column', columns(lambda r: r[:4]), dict(events=120, empty_transactions=0, notes=['There is no column transactionid; baskets are not known.'])),
    ('extra column', columns(lambda r: r + ['x']), dict(events=120, notes=[])),
    ('columns in another order', columns(lambda r: r[::-1]), dict(events=120, test=22)),
    ('BOM', change(lambda b: b'\xef\xbb\xbf' + b), dict(events=120, test=22)),
    ('CRLF', sub('\n', '\r\n'), dict(events=120, empty_transactions=0, test=22)),
    ('CR only', sub('\n', '\r'), dict(events=120, test=22)),
    ('empty lines', sub('\n', '\n\n'), dict(rows=120, events=120)),
    ('no newline at the end', change(lambda b: b.rstrip()), dict(events=120)),
    ('quoted numbers', columns(lambda r: [f'"{c}"' for c in r]), dict(events=120, empty_transactions=0, test=22)),
    ('spaces around numbers', each_cell('itemid', lambda c: f' {c} '), dict(events=120, items=4)),
    # logs that are too small for a study, or lopsided
    ('one visitor', only(*ROWS[::3]), dict(events=40, visitors=1, test=8)),
    ('one item', each_cell('itemid', lambda c: '10'), dict(items=1, test=22)),
    ('one event', only(ROWS[0]), 'the log spans 0.0 days, expected more than test_days + valid_days = 14: no event is left to train on'),
    ('too short for the windows', only(*ROWS[:39]), 'the log spans 12.1 days, expected more than test_days + valid_days = 14: no event is left to train on'),
    ('every item is rare', only(*(f'{T0 + i * DAY},1,view,{i},' for i in range(40))), 'no item has 5 events before the test window, expected at least one: lower min_item_events'),
    ('a lone event years later', add(f'{T0 + 4000 * DAY},1,view,10,'), dict(events=121, test=1, valid=0, purchases=0)),
    ('a lone stranger years later', add(f'{T0 + 4000 * DAY},9,view,99,'), dict(events=121, test=0, valid=0, purchases=0)),
    ('no transaction', each_cell('event', lambda c: 'view'), dict(events=120, purchases=0, test=22)),
    ('nobody comes back', each_cell('visitorid', lambda c, n=iter(range(10**6)): str(next(n))), dict(visitors=120, test=0, valid=0)),
    ('all in one millisecond of each day', each_cell('timestamp', lambda c: str(int(c) // DAY * DAY)), dict(events=120, test=23)),
    # the archive
    ('zip', zipped, dict(events=120, roots={3, 8})),
    ('deflated zip, one folder down', lambda files: zipped(files, 'archive/', zipfile.ZIP_DEFLATED), dict(events=120, roots={3, 8})),
    ('empty zip', lambda files: zipped({}), "archive.zip holds no events.csv, expected the files of RetailRocket's archive"),
    ('zip without events.csv', lambda files: zipped(without(E)(files)), "archive.zip holds no events.csv, expected the files of RetailRocket's archive"),
    ('folder without events.csv', without(E), "shop holds no events.csv, expected the files of RetailRocket's archive"),
    ('truncated zip', lambda files: zipped(files)[:2000], 'archive.zip is no complete zip (*), expected a folder or the zip as Kaggle ships it'),
    ('no zip at all', lambda files: b'%PDF-1.4 ' * 100, 'archive.zip is no complete zip (*), expected a folder or the zip as Kaggle ships it'),
    ('a lone events.csv', lambda files: files[E], 'archive.zip is no complete zip (*), expected a folder or the zip as Kaggle ships it'),
    ('corrupt stored member', flip(E), "archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file"),
    ('corrupt deflated member', flip(E, zipfile.ZIP_DEFLATED), "archive.zip: events.csv is damaged (*), expected a complete file"),
    ('corrupt bzip2 member', flip(E, zipfile.ZIP_BZIP2), "archive.zip: events.csv is damaged (*), expected a complete file"),
    ('corrupt lzma member', flip(E, zipfile.ZIP_LZMA), "archive.zip: events.csv is damaged (*), expected a complete file"),
    ('corrupt properties', flip(P), "archive.zip: item_properties_part1.csv is damaged (*), expected a complete file"),
    ('zip with a password', encrypted, "archive.zip: events.csv cannot be read from this zip (*password*), expected a complete zip without password"),
    ('zip with a path outside', lambda files: zipped(files, '../'), "archive.zip: found the member '../events.csv' with a path outside the zip, expected plain file names"),
    ('zip with an absolute path', lambda files: zipped(files, '/etc/'), "archive.zip: found the member '/etc/events.csv' with a path outside the zip, expected plain file names"),
    ('zip with a drive letter', lambda files: zipped(files, 'C:\\'), "archive.zip: found the member 'C:*events.csv' with a path outside the zip, expected plain file names"),
    # categories
    ('category cycle', add('1,2', '2,1', name=C), "category_tree.csv: found 'a cycle through categories 1, 2', expected a tree"),
    ('category its own parent', add('4,4', name=C), "category_tree.csv: found 'a cycle through categories 4', expected a tree"),
    ('unknown parent', add('50,99', name=C), dict(category_notes=['1 parents are not in the tree and count as roots.'])),
    ('text in the tree', cell('parentid', 'none', 4, C), "category_tree.csv, line 4, column parentid: found 'none', expected a category number"),
    ('negative category in the tree', cell('categoryid', '-4', 4, C), "category_tree.csv, line 4, column categoryid: found '-4', expected a category number"),
    ('tree without parents', change(lambda b: b'categoryid\n1\n', C), "category_tree.csv, line 1: found 'categoryid', expected the column parentid"),
    ('empty tree', change(lambda b: b'', C), "category_tree.csv, line 1: found 'an empty file', expected a header with categoryid, parentid"),
    ('missing tree', without(C), dict(roots={5, 6, 7, 8}, category_notes=['There is no category_tree.csv; categories have no path.'])),
    ('missing properties', without(P), dict(roots=None)),
    ('properties with a header only', change(lambda b: b.splitlines()[0], P), dict(roots=None)),
    ('properties without categories', text(lambda t: t.replace('categoryid', '888'), P), dict(roots=None)),
    ('empty properties', change(lambda b: b'', P), "item_properties_part1.csv, line 1: found 'an empty file', expected a header with timestamp, itemid, property, value"),
    ('non-numeric category', cell('value', 'shoes', 4, P), "item_properties_part1.csv, line 4, column value: found 'shoes', expected a category number"),
    ('negative category', cell('value', '-5', 4, P), "item_properties_part1.csv, line 4, column value: found '-5', expected a category number"),
    ('empty item in properties', cell('itemid', '', 4, P), "item_properties_part1.csv, line 4, column itemid: found '', expected an integer"),
    ('properties in seconds', sub(f'{T0},', f'{T0 // 1000},', P), "item_properties_part1.csv, line 2, column timestamp: found '1430000000', expected milliseconds since 1970, these look like seconds"),
    ('too few columns in properties', sub('11,categoryid,6', '11,categoryid', P), "item_properties_part1.csv, line 4: found '3 columns', expected 4 columns"),
    ('invalid UTF-8 in properties', cell('value', b'\xff', 3, P), "item_properties_part1.csv, line 3, column value: found '\ufffd', expected text in UTF-8"),
]


def study(path, cache):
    "Everything a study does before its first model, as a dict of facts."
    log, report = read_log(path, cache)
    assert report.events == len(log) and report.rows == len(log) + report.duplicates + sum(report.unknown_events.values()), 'a row is lost'
    times = log.timestamp.astype('int64').to_numpy()
    assert (np.diff(times) >= 0).all() and (log.dtypes.astype(str) == ['datetime64[ms, UTC]', 'int64', 'category', 'int64']).all()
    assert tuple(log.event.cat.categories) == EVENTS and not log.isna().any(axis=None)
    facts = vars(report) | dict(visitors=log.visitorid.nunique(), items=log.itemid.nunique(), unknown=sum(report.unknown_events.values()))
    categories = read_categories(path, cache)
    if categories is None: facts['roots'] = None
    else: facts |= dict(roots=set(categories.root(categories.at(log.itemid, log.timestamp)).tolist()), category_notes=categories.notes)
    p = make_protocols(log)
    for filtered in (True, False): published_baselines(p.split, filtered)
    published_sasrec(p.split)
    for q in (p.test, p.valid, p.purchases):
        assert len(is_repeat(q)) == len(q) and all(len(s) == len(q) for s in query_slices(q, p.groups).values())
    return facts | dict(test=len(p.test), valid=len(p.valid), purchases=len(p.purchases))


@pytest.mark.parametrize('damage, promised', [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_promise(tmp_path, damage, promised):
    files, path = damage(GOOD), tmp_path/'shop'
    if isinstance(files, bytes): path = tmp_path/'archive.zip'; path.write_bytes(files)
    else:
        path.mkdir()
        for name, content in files.items(): (path/name).write_bytes(content)
    for attempt in ('read', 'from the cache'):
        if isinstance(promised, dict):
            facts = study(path, tmp_path/'cache')
            assert {k: facts[k] for k in promised} == promised, attempt
        else:
            with pytest.raises(DataError) as error: study(path, tmp_path/'cache')
            assert fnmatchcase(str(error.value), promised), f'{attempt}: {error.value}'
            assert error.value.__suppress_context__ or error.value.__context__ is None, 'the cause would be printed as a second traceback'


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match='does not exist, expected a folder or zip with events.csv'): read_log(tmp_path/'shop')


def test_damaged_cache_is_read_anew(tmp_path):
    path, cache = tmp_path/'archive.zip', tmp_path/'cache'
    path.write_bytes(zipped(GOOD))
    log, report = read_log(path, cache); snapshots = read_categories(path, cache).snapshots
    for p in cache.iterdir(): p.write_bytes(p.read_bytes()[:100])
    again, report2 = read_log(path, cache)
    assert again.equals(log) and report2 == report and read_categories(path, cache).snapshots.equals(snapshots)
