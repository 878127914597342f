"""Damaged and odd logs:
each gives the promised `DataError` or the promised count, and never another exception."""

import io, zipfile
from datetime import UTC, datetime
from fnmatch import fnmatchcase
import numpy as np, pytest
from recsys_nb.data import DataError, EVENTS, read_categories, read_log
from watch import watched
from recsys_nb.protocol import is_repeat, make_protocols, published_baselines, published_sasrec, query_slices

T0, HOUR, DAY = 1_430_000_000_000, 3_600_000, 86_400_000
HEADER = 'timestamp,visitorid,event,itemid,transactionid'


def good_row(day, visitor):
    "A visitor's event of a day: every fifth one is a purchase."
    kind, order = ('transaction', 4000 + day) if (day + visitor) % 5 == 0 else ('view', '')
    return f'{T0 + day * DAY + visitor * HOUR},{visitor},{kind},{10 + day % 4},{order}'


ROWS = [good_row(day, visitor) for day in range(40) for visitor in (1, 2, 3)]
PROPERTIES = ['timestamp,itemid,property,value'] + [
    f'{T0},{i},{p},{x}' for i in range(10, 14) for p, x in (('categoryid', i - 5), ('790', 'n552.000'))
]
TREE = 'categoryid,parentid\n5,3\n6,3\n7,3\n8,\n3,\n'
GOOD = {
    'events.csv': '\n'.join([HEADER, *ROWS]) + '\n',
    'item_properties_part1.csv': '\n'.join(PROPERTIES) + '\n',
    'category_tree.csv': TREE,
}
GOOD = {k: v.encode() for k, v in GOOD.items()}
E, P, C = GOOD  # the three files
LAST = T0 + 39 * DAY + 3 * HOUR


# Ways to damage: each gives a function from files (name -> bytes) to files, or to the bytes of a zip.
def change(f, name=E):
    return lambda files: files | {name: f(files[name])}


def text(f, name=E):
    return change(lambda b: f(b.decode()).encode(), name)


def sub(old, new, name=E):
    return change(lambda b: b.replace(old.encode(), new.encode()), name)


def add(*rows, name=E):
    return change(lambda b: b + ('\n'.join(rows) + '\n').encode(), name)


def without(name):
    return lambda files: {k: v for k, v in files.items() if k != name}


def only(*rows, header=HEADER):
    return lambda files: files | {E: '\n'.join([header, *rows, '']).encode()}


def cell(column, value, line=3, name=E):
    "Replace one cell; line 1 is the header."

    def f(b):
        lines = b.split(b'\n')
        cells = lines[line - 1].split(b',')
        cells[lines[0].decode().split(',').index(column)] = (
            value if isinstance(value, bytes) else value.encode()
        )
        lines[line - 1] = b','.join(cells)
        return b'\n'.join(lines)

    return change(f, name)


def columns(f):
    return text(lambda t: '\n'.join(','.join(f(line.split(','))) for line in t.splitlines()) + '\n')


def each_cell(column, f):  # of every data row of events.csv
    i = HEADER.split(',').index(column)
    return text(
        lambda t: (
            '\n'.join(
                [HEADER]
                + [
                    ','.join(f(c) if j == i else c for j, c in enumerate(r))
                    for r in (line.split(',') for line in t.splitlines()[1:])
                ]
            )
            + '\n'
        )
    )


def iso(milliseconds):
    return f'{datetime.fromtimestamp(int(milliseconds) / 1000, UTC):%Y-%m-%d %H:%M:%S}'


def zipped(files, prefix='', method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', method) as z:
        [z.writestr(prefix + n, b) for n, b in files.items()]
    return buffer.getvalue()


def flip(name, method=zipfile.ZIP_STORED):
    "Change one byte in the middle of a member."

    def f(files):
        b = bytearray(zipped(files, method=method))
        at = b.index(name.encode()) + 200
        b[at] ^= 1
        return bytes(b)

    return f


# name, damage, and what is promised: the whole message of the `DataError` (* for any text),
# or a part of the facts of `study` below.
CASES = [
    (
        'untouched',
        lambda files: files,
        dict(
            rows=120,
            events=120,
            duplicates=0,
            unsorted=0,
            unknown_events={},
            empty_transactions=0,
            notes=[],
            roots={3, 8},
            test=22,
            purchases=3,
        ),
    ),
    # the header
    (
        'missing column',
        columns(lambda r: r[:3] + r[4:]),
        (
            'events.csv: found the columns timestamp, visitorid, event, transactionid, expected itemid among '
            'them: say which column is what with --columns "itemid=..."'
        ),
    ),
    (
        'column named twice',
        columns(lambda r: r + [r[3]]),
        "events.csv, line 1: found 'itemid twice', expected each column once",
    ),
    (
        'capital letters',
        sub('timestamp', 'Timestamp'),
        (dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3)),
    ),
    (
        'semicolons',
        sub(',', ';'),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'tabs',
        sub(',', '\t'),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'bars',
        sub(',', '|'),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'empty file',
        change(lambda b: b''),
        (
            "events.csv, line 1: found 'an empty file', "
            "expected a header with timestamp, visitorid, event, itemid"
        ),
    ),
    (
        'header only',
        change(lambda b: b.splitlines()[0]),
        "events.csv: found 'a header only', expected at least one event",
    ),
    (
        'header missing',
        change(lambda b: b.split(b'\n', 1)[1]),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'UTF-16',
        change(lambda b: b.decode().encode('utf-16')),
        dict(
            events=120,
            visitors=3,
            items=4,
            notes=['events.csv was read as utf-16, not UTF-8.'],
            roots={3, 8},
            test=22,
            purchases=3,
        ),
    ),
    (
        'header twice',
        text(lambda t: t + t),
        "events.csv, line 122, column timestamp: found 'timestamp', expected an integer",
    ),
    (
        'header in quotes',
        text(lambda t: t.replace(HEADER, ','.join(f'"{c}"' for c in HEADER.split(',')))),
        dict(events=120, test=22),
    ),
    (
        'header with spaces',
        sub(',visitorid', ', visitorid'),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'header with an unclosed quote',
        sub('transactionid\n', '"transactionid\n'),
        "events.csv, line 1: found 'a quoted line break', expected every row on one line",
    ),
    (
        'header of 100 kB',
        text(lambda t: t.replace(HEADER, HEADER + ',x' * 50_000)),
        "events.csv, line 1: found 'a longer line', expected a header of less than 65,536 bytes",
    ),
    (
        'invalid UTF-8 in the name of another column',
        change(lambda b: b.replace(b'transactionid', b'\xff')),
        dict(events=120, notes=['There is no column transactionid; baskets are not known.']),
    ),
    (
        'BOM twice',
        change(lambda b: b'\xef\xbb\xbf' * 2 + b),
        (dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3)),
    ),
    (
        'BOM and nothing else',
        change(lambda b: b'\xef\xbb\xbf'),
        (
            "events.csv, line 1: found 'an empty file', "
            "expected a header with timestamp, visitorid, event, itemid"
        ),
    ),
    (
        'line breaks and nothing else',
        change(lambda b: b'\n\r\n\r' * 9),
        (
            "events.csv, line 1: found 'an empty file', "
            "expected a header with timestamp, visitorid, event, itemid"
        ),
    ),
    ('empty lines before the header', change(lambda b: b'\n\n' + b), dict(events=120)),
    (
        'a line of spaces before the header',
        change(lambda b: b'  \n' + b),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        '100 kB of empty lines after the header',
        text(lambda t: t.replace(HEADER, HEADER + '\n' * 100_000)),
        dict(rows=120, events=120),
    ),
    (
        'UTF-16 without a mark',
        change(lambda b: b.decode().encode('utf-16-le')),
        dict(
            events=120,
            visitors=3,
            items=4,
            notes=['events.csv was read as utf-16-le, not UTF-8.'],
            roots={3, 8},
            test=22,
            purchases=3,
        ),
    ),
    (
        'UTF-32',
        change(lambda b: b.decode().encode('utf-32')),
        dict(
            events=120,
            visitors=3,
            items=4,
            notes=['events.csv was read as utf-32, not UTF-8.'],
            roots={3, 8},
            test=22,
            purchases=3,
        ),
    ),
    (
        'EBCDIC',
        change(lambda b: b.decode().encode('cp500')),
        (
            'events.csv: found the columns *..., expected visitorid, itemid, timestamp among them: say which '
            'column is what with --columns "visitorid=...,itemid=...,timestamp=..."'
        ),
    ),
    (
        'a web page',
        change(lambda b: b'<!DOCTYPE html>\n<html><script>alert(1)</script></html>\n'),
        (
            'shop: events.csv looks like a web page, '
            'expected a table as CSV, JSON lines or Parquet: download the file itself'
        ),
    ),
    (
        'JSON',
        change(lambda b: b'[{"timestamp": 1}]'),
        (
            'events.csv: found the columns timestamp, expected visitorid, itemid among them: '
            'say which column is what with --columns "visitorid=...,itemid=..."'
        ),
    ),
    (
        'a zip by the name of events.csv',
        lambda files: files | {E: zipped(files)},
        (
            'shop: events.csv looks like a zip, '
            'expected a table as CSV, JSON lines or Parquet: unpack it and give the folder'
        ),
    ),
    (
        'only NUL bytes',
        change(lambda b: b'\0' * 200_000),
        'shop: events.csv is no table: it is no text, expected a table as CSV, JSON lines or Parquet',
    ),
    # cells
    (
        'text in a number',
        cell('visitorid', 'abc'),
        "events.csv, line 3, column visitorid: found 'abc', expected an integer",
    ),
    (
        'float id',
        cell('itemid', '12.5'),
        "events.csv, line 3, column itemid: found '12.5', expected an integer",
    ),
    (
        'times as text',
        each_cell('timestamp', iso),
        dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3),
    ),
    (
        'empty id',
        cell('visitorid', ''),
        "events.csv, line 3, column visitorid: found '', expected an integer",
    ),
    (
        'negative id',
        cell('itemid', '-7', 9),
        dict(events=120, visitors=3, items=5, roots={-1, 3, 8}, test=22),
    ),
    (
        'number over 64 bits',
        cell('itemid', '9' * 20),
        (dict(events=120, visitors=3, items=5, roots={-1, 3, 8}, test=22)),
    ),
    ('huge id that fits', cell('visitorid', str(2**63 - 1)), dict(events=120, visitors=4)),
    (
        'negative timestamp',
        cell('timestamp', '-1'),
        (
            "events.csv, line 3, column timestamp: found '-1', "
            "expected milliseconds since 1970, between the years 2000 and 2100"
        ),
    ),
    (
        'absurd timestamp',
        cell('timestamp', '99999999999999999'),
        (
            "events.csv, line 3, column timestamp: found '99999999999999999', "
            "expected milliseconds since 1970, between the years 2000 and 2100"
        ),
    ),
    (
        'seconds',
        each_cell('timestamp', lambda c: c[:-3]),
        (dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3)),
    ),
    (
        'one row in seconds',
        cell('timestamp', '1430003600', 50),
        (
            "events.csv, line 50, column timestamp: found '1430003600', "
            "expected milliseconds since 1970, these look like seconds"
        ),
    ),
    (
        'microseconds',
        each_cell('timestamp', lambda c: c + '000'),
        (dict(events=120, visitors=3, items=4, notes=[], roots={3, 8}, test=22, purchases=3)),
    ),
    (
        'too few columns',
        sub(ROWS[1], ROWS[1][:-1]),
        "events.csv, line 3: found '4 columns', expected 5 columns",
    ),
    (
        'too many columns',
        sub(ROWS[1], ROWS[1] + ',9'),
        "events.csv, line 3: found '6 columns', expected 5 columns",
    ),
    (
        'cut in the middle of a row',
        change(lambda b: b[:-15]),
        "events.csv, line 121: found '1 column', expected 5 columns",
    ),
    (
        'NUL bytes in a number',
        cell('itemid', '1\0'),
        "events.csv, line 3, column itemid: found '1\\x00', expected an integer",
    ),
    (
        'a block of NUL bytes',
        change(lambda b: b + b'\0' * 5000),
        "events.csv, line 122: found '1 column', expected 5 columns",
    ),
    (
        'invalid UTF-8 in an event',
        cell('event', b'vi\xe9w'),
        "events.csv, line 3, column event: found 'vi\ufffdw', expected text in UTF-8",
    ),
    (
        'invalid UTF-8 in a transactionid',
        cell('transactionid', b'\xff', 9),
        "events.csv, line 9, column transactionid: found '\ufffd', expected text in UTF-8",
    ),
    (
        'a quote that never ends',
        cell('event', '"view'),
        "events.csv, line 3: found 'a quoted line break', expected every row on one line",
    ),
    ('plus sign', cell('itemid', '+5'), "events.csv, line 3, column itemid: found '+5', expected an integer"),
    (
        'exponent',
        cell('itemid', '1e3'),
        "events.csv, line 3, column itemid: found '1e3', expected an integer",
    ),
    (
        'underscore in a number',
        cell('itemid', '1_0'),
        "events.csv, line 3, column itemid: found '1_0', expected an integer",
    ),
    (
        'thousands separator',
        cell('itemid', '"1,000"'),
        "events.csv, line 3, column itemid: found '1,000', expected an integer",
    ),
    (
        'Arabic digits',
        cell('itemid', '١٢'),
        "events.csv, line 3, column itemid: found '١٢', expected an integer",
    ),
    (
        'full-width digits',
        cell('visitorid', '１'),
        "events.csv, line 3, column visitorid: found '１', expected an integer",
    ),
    (
        'non-breaking space',
        cell('itemid', '\u00a012'),
        "events.csv, line 3, column itemid: found '\\xa012', expected an integer",
    ),
    ('NaN', cell('itemid', 'NaN'), "events.csv, line 3, column itemid: found 'NaN', expected an integer"),
    (
        'null',
        cell('visitorid', 'null'),
        "events.csv, line 3, column visitorid: found 'null', expected an integer",
    ),
    (
        'infinity',
        cell('timestamp', 'inf'),
        "events.csv, line 3, column timestamp: found 'inf', expected an integer",
    ),
    ('true', cell('itemid', 'true'), "events.csv, line 3, column itemid: found 'true', expected an integer"),
    (
        'two to the 63',
        cell('visitorid', str(2**63)),
        (dict(events=120, visitors=4, items=4, test=22)),
    ),
    (
        '100,000 digits',
        cell('visitorid', '9' * 100_000),
        (dict(events=120, visitors=4, items=4, test=22)),
    ),
    (
        'a formula in a number',
        cell('visitorid', '=1+1'),
        "events.csv, line 3, column visitorid: found '=1+1', expected an integer",
    ),
    (
        'a script in a number',
        cell('itemid', '<script>alert(1)</script>'),
        "events.csv, line 3, column itemid: found '<script>alert(1)</script>', expected an integer",
    ),
    (
        'a path in a number',
        cell('itemid', '../../etc/passwd'),
        "events.csv, line 3, column itemid: found '../../etc/passwd', expected an integer",
    ),
    (
        'colours of a terminal in a number',
        cell('itemid', '\x1b[31m7\x1b[2J'),
        "events.csv, line 3, column itemid: found '\\x1b[[]31m7\\x1b[[]2J', expected an integer",
    ),
    (
        'the last millisecond of 1999',
        cell('timestamp', str(946_684_800_000 - 1)),
        (
            "events.csv, line 3, column timestamp: found '946684799999', "
            "expected milliseconds since 1970, between the years 2000 and 2100"
        ),
    ),
    (
        'the year 2100',
        cell('timestamp', str(4_102_444_800_000)),
        (
            "events.csv, line 3, column timestamp: found '4102444800000', "
            "expected milliseconds since 1970, between the years 2000 and 2100"
        ),
    ),
    (
        'the last wrong row of many',
        only(*ROWS * 300, ROWS[0].replace(',10,', ',x,')),
        "events.csv, line 36002, column itemid: found 'x', expected an integer",
    ),
    (
        'the last negative row of many',
        only(*ROWS * 1000, ROWS[0].replace(',10,', ',-1,')),
        dict(rows=120_001, events=121, items=5),
    ),
    (
        'a wrong row after empty lines',
        text(lambda t: t.replace('\n', '\n\n') + '1,1,view,1,1'),
        (
            "events.csv, line 243, column timestamp: found '1', "
            "expected milliseconds since 1970, between the years 2000 and 2100"
        ),
    ),
    (
        'two wrong rows',
        lambda files: cell('itemid', 'b', 9)(cell('itemid', 'a', 5)(files)),
        "events.csv, line 5, column itemid: found 'a', expected an integer",
    ),
    (
        'text with half a surrogate',
        cell('event', b'\xed\xa0\x80'),
        "events.csv, line 3, column event: found '\ufffd\ufffd\ufffd', expected text in UTF-8",
    ),
    (
        'a line break in quotes',
        cell('transactionid', '"a\nb"'),
        "events.csv, line 3: found 'a quoted line break', expected every row on one line",
    ),
    (
        'a stray quote in the last column',
        cell('transactionid', '"'),
        "events.csv, line 3: found 'a quoted line break', expected every row on one line",
    ),
    (
        'two stray quotes with rows between',
        lambda files: cell('transactionid', '"', 9)(cell('transactionid', '"', 3)(files)),
        "events.csv, line 3: found 'a quoted line break', expected every row on one line",
    ),
    (
        'a stray quote in a column that is not read',
        lambda files: cell('note', '"', 4)(
            columns(lambda r: [*r, 'note' if r[0] == 'timestamp' else ''])(files)
        ),
        "events.csv, line 4: found 'a quoted line break', expected every row on one line",
    ),
    (
        'a stray quote in the last row',
        cell('transactionid', '"', 121),
        "events.csv, line 121: found 'a quoted line break', expected every row on one line",
    ),
    (
        'a CR in the middle of a cell',
        cell('event', 'vi\rew'),
        "events.csv, line 3: found '3 columns', expected 5 columns",
    ),
    (
        'a million commas in a row',
        add(f'{LAST},1,view,10' + ',' * 1_000_000),
        "events.csv, line 122: found '1000004 columns', expected 5 columns",
    ),
    (
        'five million commas in a row',
        add(f'{LAST},1,view,10' + ',' * 5_000_000),
        "events.csv, line 122: found '5,000,024 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB in an event',
        cell('event', 'x' * 10_000_000),
        "events.csv, line 3: found '8,388,608 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB in a transactionid',
        cell('transactionid', 'x' * 10_000_000, 121),
        "events.csv, line 121: found '8,388,608 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB in a number',
        cell('itemid', '1' * 10_000_000),
        "events.csv, line 3: found '8,388,608 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB of three-byte letters in an event',
        cell('event', '語' * 3_333_333),
        "events.csv, line 3: found '10,000,020 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB that are not UTF-8 in an event',
        cell('event', b'\xff' * 10_000_000),
        "events.csv, line 3: found '* bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB without a line break',
        change(lambda b: b + b'7' * 10_000_000),
        "events.csv, line 122: found '8,388,608 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    (
        '10 MB of quotes',
        cell('event', '"' * 10_000_000),
        "events.csv, line 3: found '8,388,608 bytes or more', expected rows of at most 4,194,304 bytes",
    ),
    # odd, but readable: counted
    (
        'unknown event',
        cell('event', 'hover'),
        dict(
            rows=120,
            events=119,
            unknown_events={'hover': 1},
            notes=['1 row with unknown event types was dropped: hover.'],
        ),
    ),
    ('empty event', cell('event', ''), dict(rows=120, events=119, unknown_events={'(empty)': 1})),
    (
        'many unknown events',
        add(*(f'{LAST},1,e{i},10,' for i in range(300))),
        (
            "events.csv: found 'e0, e1, e2, *...', "
            "expected events of the types view, addtocart, transaction: 300 of 420 rows have others, "
            "say what each is with --events \"e0=...,e1=...,e2=...\" (none leaves its rows out)"
        ),
    ),
    (
        'only unknown events',
        each_cell('event', lambda c: 'click'),
        (
            "events.csv: found 'click', "
            "expected events of the types view, addtocart, transaction: 120 of 120 rows have others, "
            "say what each is with --events \"click=view\" (none leaves its rows out)"
        ),
    ),
    (
        'names of another shop',
        text(lambda t: t.replace('transaction,', 'Purchase,')),
        dict(
            events=120,
            unknown_events={},
            renamed={'Purchase': 'transaction'},
            test=22,
            purchases=3,
            notes=['Event types were read under other names: Purchase as transaction.'],
        ),
    ),
    (
        'every event in capitals',
        text(lambda t: t.replace('view', 'VIEW').replace('transaction,', 'TRANSACTION,')),
        dict(events=120, unknown_events={}, test=22, purchases=3),
    ),
    (
        'two names for what is missing',
        only(
            *ROWS[:90],
            *(r.replace('transaction', 'buy') for r in ROWS[90:105]),
            *(r.replace('transaction', 'order') for r in ROWS[105:]),
        ),
        (
            "events.csv: found 'buy, order', "
            "expected events of the types view, addtocart, transaction: 6 of 120 rows have others, say "
            "what each is with --events \"buy=transaction,order=transaction\" (none leaves its rows out)"
        ),
    ),
    (
        'too many names that nobody knows',
        only(*(r.replace('view', 'hover') if i % 10 == 1 else r for i, r in enumerate(ROWS))),
        (
            "events.csv: found 'hover', "
            "expected events of the types view, addtocart, transaction: 12 of 120 rows have others, "
            "say what each is with --events \"hover=...\" (none leaves its rows out)"
        ),
    ),
    (
        'as many as strays',
        only(*(r.replace('view', 'hover') if i in (0, 2, 4, 6, 9) else r for i, r in enumerate(ROWS))),
        dict(events=115, unknown_events={'hover': 5}),
    ),
    ('duplicate rows', add(*ROWS[:7], *ROWS[-7:]), dict(rows=134, events=120, duplicates=14, test=22)),
    (
        'same but for the transactionid',
        add(f'{LAST},3,transaction,11,1', f'{LAST},3,transaction,11,2', f'{LAST},3,transaction,11,1'),
        dict(duplicates=1, events=122),
    ),
    ('unsorted rows', only(*ROWS[::-1]), dict(rows=120, events=120, unsorted=119, duplicates=0, test=22)),
    (
        'empty transactionid',
        only(*(r if 'view' in r else r[:-4] for r in ROWS)),
        dict(events=120, empty_transactions=24),
    ),
    (
        'no transactionid column',
        columns(lambda r: r[:4]),
        dict(
            events=120,
            empty_transactions=0,
            notes=['There is no column transactionid; baskets are not known.'],
        ),
    ),
    ('extra column', columns(lambda r: r + ['x']), dict(events=120, notes=[])),
    ('columns in another order', columns(lambda r: r[::-1]), dict(events=120, test=22)),
    ('BOM', change(lambda b: b'\xef\xbb\xbf' + b), dict(events=120, test=22)),
    ('CRLF', sub('\n', '\r\n'), dict(events=120, empty_transactions=0, test=22)),
    ('CR only', sub('\n', '\r'), dict(events=120, test=22)),
    ('empty lines', sub('\n', '\n\n'), dict(rows=120, events=120)),
    ('no newline at the end', change(lambda b: b.rstrip()), dict(events=120)),
    (
        'quoted numbers',
        columns(lambda r: [f'"{c}"' for c in r]),
        dict(events=120, empty_transactions=0, test=22),
    ),
    ('spaces around numbers', each_cell('itemid', lambda c: f' {c} '), dict(events=120, items=4)),
    (
        '3 MB in an event',
        cell('event', 'x' * 3_000_000),
        dict(rows=120, events=119, unknown_events={'x' * 40: 1}),
    ),
    (
        '3 MB in a transactionid',
        cell('transactionid', 'x' * 3_000_000),
        dict(events=120, empty_transactions=0),
    ),
    ('hexadecimal is a number too', cell('itemid', '0x10'), dict(events=120, items=5)),
    ('minus zero', cell('itemid', '-0'), dict(events=120, items=5)),
    ('leading zeros', cell('itemid', '00012'), dict(events=120, items=4)),
    ('the first millisecond of 2000', cell('timestamp', str(946_684_800_000)), dict(events=120, unsorted=1)),
    (
        'the last millisecond of 2099',
        cell('timestamp', str(4_102_444_799_999)),
        dict(events=120, unsorted=1, test=1),
    ),
    (
        'events in capitals and with spaces',
        lambda files: cell('event', ' view', 4)(cell('event', 'VIEW')(files)),
        dict(events=118, unknown_events={'VIEW': 1, ' view': 1}),
    ),
    (
        'a script as an event',
        cell('event', '<script>alert(1)</script>'),
        dict(events=119, unknown_events={'<script>alert(1)</script>': 1}),
    ),
    (
        'formulas as events',
        lambda files: cell('event', '@SUM(A1)', 4)(
            cell('event', '=1+1', 5)(cell('event', '+cmd|x', 6)(cell('event', '-2', 7)(files)))
        ),
        dict(events=116, unknown_events={'@SUM(A1)': 1, '=1+1': 1, '+cmd|x': 1, '-2': 1}),
    ),
    (
        'markup and formulas as transactionids',
        lambda files: cell('transactionid', '<script>alert(1)</script>', 4)(
            cell('transactionid', '=1+1', 5)(cell('transactionid', '+cmd', 6)(files))
        ),
        dict(events=120),
    ),
    (
        'a terminal turned over by an event',
        cell('event', '\x1b[2J\u202eweiv'),
        dict(events=119, unknown_events={'\ufffd[2J\ufffdweiv': 1}),
    ),
    ('NUL bytes in an event', cell('event', 'view\0'), dict(events=119, unknown_events={'view\ufffd': 1})),
    (
        'separators that are no line breaks',
        cell('event', 'a\u2028b\x85c\x0bd\x0ce'),
        dict(rows=120, events=119, unknown=1),
    ),
    (
        'a zero-width space in an event',
        cell('event', 'view\u200b'),
        dict(events=119, unknown_events={'view\ufffd': 1}),
    ),
    ('a comma in quotes', cell('transactionid', '"a,b"'), dict(events=120)),
    ('quotes within quotes', cell('transactionid', '"a ""b"" c"'), dict(events=120)),
    ('quotes within text', cell('transactionid', 'a"b'), dict(events=120)),
    (
        'line breaks of all kinds',
        text(
            lambda t: ''.join(
                line + ('\n', '\r\n', '\r', '\r\r\n')[i % 4] for i, line in enumerate(t.splitlines())
            )
        ),
        dict(rows=120, events=120, test=22),
    ),
    ('every row fifty times', only(*ROWS * 50), dict(rows=6000, events=120, duplicates=5880, test=22)),
    (
        'spaces instead of a transactionid',
        each_cell('transactionid', lambda c: c or ' '),
        dict(events=120, empty_transactions=0),
    ),
    (
        'every event has a name of its own',
        each_cell('event', lambda c, n=iter(range(10**6)): f'view{next(n)}'),
        (
            "events.csv: found 'view0, view1, view2, view3, view4, vi...', "
            "expected events of the types view, addtocart, transaction: 120 of 120 rows have others, "
            "say what each is with --events \"view0=...,view1=...,view2=...\" (none leaves its rows out)"
        ),
    ),
    (
        'everything at one time',
        each_cell('timestamp', lambda c: str(T0)),
        'the log spans 0.0 days: no event is left to train on',
    ),
    (
        'from 2000 to 2099',
        add(f'{946_684_800_000},1,view,10,', f'{4_102_444_799_999},2,view,10,'),
        dict(events=122, unsorted=1),
    ),
    (
        '20,000 rows from one visitor in one millisecond',
        add(*(f'{LAST},3,view,{i % 500},' for i in range(20_000))),
        dict(rows=20_120, events=619, duplicates=19_501),
    ),
    # logs that are too small for a study, or lopsided
    ('one visitor', only(*ROWS[::3]), dict(events=40, visitors=1, test=8)),
    ('one item', each_cell('itemid', lambda c: '10'), dict(items=1, test=22)),
    (
        'one event',
        only(ROWS[0]),
        'the log spans 0.0 days: no event is left to train on',
    ),
    ('too short for windows of a week', only(*ROWS[:39]), dict(events=39, test=6, valid=3)),
    (
        'every item is rare',
        only(*(f'{T0 + i * DAY},1,view,{i},' for i in range(40))),
        'no item has 5 events before the test window, expected at least one (min_item_events)',
    ),
    (
        'a lone event years later',
        add(f'{T0 + 4000 * DAY},1,view,10,'),
        dict(events=121, test=1, valid=0, purchases=0),
    ),
    (
        'a lone stranger years later',
        add(f'{T0 + 4000 * DAY},9,view,99,'),
        dict(events=121, test=0, valid=0, purchases=0),
    ),
    ('no transaction', each_cell('event', lambda c: 'view'), dict(events=120, purchases=0, test=22)),
    (
        'nobody comes back',
        each_cell('visitorid', lambda c, n=iter(range(10**6)): str(next(n))),
        dict(visitors=120, test=0, valid=0),
    ),
    (
        'all in one millisecond of each day',
        each_cell('timestamp', lambda c: str(int(c) // DAY * DAY)),
        dict(events=120, test=23),
    ),
    # the archive: more of it in test_archives.py
    ('zip', zipped, dict(events=120, roots={3, 8})),
    (
        'deflated zip, one folder down',
        lambda files: zipped(files, 'archive/', zipfile.ZIP_DEFLATED),
        dict(events=120, roots={3, 8}),
    ),
    (
        'folder without events.csv',
        without(E),
        (
            'category_tree.csv says the tree of categories, expected a log with visitors, items and times: '
            'give its file, or the folder that holds both'
        ),
    ),
    (
        'corrupt properties',
        flip(P),
        "archive.zip: item_properties_part1.csv is damaged (*), expected a complete file",
    ),
    # categories
    (
        'category cycle',
        add('1,2', '2,1', name=C),
        "category_tree.csv: found 'a cycle through categories 1, 2', expected a tree",
    ),
    (
        'category its own parent',
        add('4,4', name=C),
        "category_tree.csv: found 'a cycle through categories 4', expected a tree",
    ),
    (
        'unknown parent',
        add('50,99', name=C),
        dict(category_notes=['1 parents are not in the tree and count as roots.']),
    ),
    (
        'text in the tree',
        cell('parentid', 'none', 4, C),
        "category_tree.csv, line 4, column parentid: found 'none', expected a category number",
    ),
    (
        'negative category in the tree',
        cell('categoryid', '-4', 4, C),
        "category_tree.csv, line 4, column categoryid: found '-4', expected a category number",
    ),
    (
        'tree without parents',
        change(lambda b: b'categoryid\n1\n', C),
        "category_tree.csv, line 1: found 'categoryid', expected the column parentid",
    ),
    (
        'empty tree',
        change(lambda b: b'', C),
        "category_tree.csv, line 1: found 'an empty file', expected a header with categoryid, parentid",
    ),
    (
        'missing tree',
        without(C),
        dict(roots={5, 6, 7, 8}, category_notes=['There is no category tree; categories have no path.']),
    ),
    ('missing properties', without(P), dict(roots=None)),
    ('properties with a header only', change(lambda b: b.splitlines()[0], P), dict(roots=None)),
    ('properties without categories', text(lambda t: t.replace('categoryid', '888'), P), dict(roots=None)),
    (
        'empty properties',
        change(lambda b: b'', P),
        (
            "item_properties_part1.csv, line 1: found 'an empty file', "
            "expected a header with timestamp, itemid, property, value"
        ),
    ),
    (
        'non-numeric category',
        cell('value', 'shoes', 4, P),
        "item_properties_part1.csv, line 4, column value: found 'shoes', expected a category number",
    ),
    (
        'negative category',
        cell('value', '-5', 4, P),
        "item_properties_part1.csv, line 4, column value: found '-5', expected a category number",
    ),
    (
        'empty item in properties',
        cell('itemid', '', 4, P),
        "item_properties_part1.csv, line 4, column itemid: found '', expected an integer",
    ),
    (
        'properties in seconds',
        sub(f'{T0},', f'{T0 // 1000},', P),
        (
            "item_properties_part1.csv, line 2, column timestamp: found '1430000000', "
            "expected milliseconds since 1970, these look like seconds"
        ),
    ),
    (
        'too few columns in properties',
        sub('11,categoryid,6', '11,categoryid', P),
        "item_properties_part1.csv, line 4: found '3 columns', expected 4 columns",
    ),
    (
        'invalid UTF-8 in properties',
        cell('value', b'\xff', 3, P),
        "item_properties_part1.csv, line 3, column value: found '\ufffd', expected text in UTF-8",
    ),
    (
        'BOM, CRLF and quotes in properties',
        change(
            lambda b: b'\xef\xbb\xbf' + b.replace(b'\n', b'\r\n').replace(b'categoryid,', b'"categoryid",'), P
        ),
        dict(roots={3, 8}, category_notes=[]),
    ),
    (
        'UTF-16 properties',
        change(lambda b: b.decode().encode('utf-16'), P),
        "item_properties_part1.csv, line 1: found 'text in UTF-16', expected text in UTF-8",
    ),
    (
        'semicolons in properties',
        sub(',', ';', P),
        (
            "item_properties_part1.csv, line 1: found 'columns separated by semicolons', "
            "expected columns separated by commas"
        ),
    ),
    (
        'no values in properties',
        sub(',value', '', P),
        "item_properties_part1.csv, line 1: found 'timestamp,itemid,property', expected the column value",
    ),
    (
        'value twice in properties',
        sub(',value', ',value,value', P),
        "item_properties_part1.csv, line 1: found 'value twice', expected each column once",
    ),
    (
        'only the second part',
        lambda files: without(P)(files | {P.replace('1', '2'): files[P]}),
        dict(roots={3, 8}, category_notes=[]),
    ),
    (
        'the same part twice',
        lambda files: files | {P.replace('1', '2'): files[P]},
        dict(roots={3, 8}, category_notes=[]),
    ),
    (
        'a wrong second part',
        lambda files: files | {P.replace('1', '2'): b'itemid\n1\n'},
        "item_properties_part2.csv, line 1: found 'itemid', expected the column timestamp",
    ),
    ('snapshots after every event', sub(f'{T0},', f'{LAST + 1},', P), dict(roots={-1}, category_notes=[])),
    ('snapshots at the very event', sub(f'{T0},', f'{LAST},', P), dict(roots={-1, 8})),
    (
        'two categories at one time',
        add(f'{T0},10,categoryid,8', name=P),
        dict(
            roots={3, 8},
            category_notes=[
                '1 snapshots give an item another category at the same time; the last one counts.'
            ],
        ),
    ),
    ('the same snapshot twice', add(f'{T0},10,categoryid,5', name=P), dict(roots={3, 8}, category_notes=[])),
    (
        'unsorted snapshots',
        text(lambda t: '\n'.join([t.splitlines()[0], *t.splitlines()[:0:-1]]) + '\n', P),
        dict(roots={3, 8}, category_notes=[]),
    ),
    ('snapshots of items that nobody saw', add(f'{T0},999,categoryid,5', name=P), dict(roots={3, 8})),
    ('a category that is not in the tree', cell('value', '77', 2, P), dict(roots={3, 8, 77})),
    ('a category of 18 digits', cell('value', '9' * 18, 2, P), dict(roots={3, 8, int('9' * 18)})),
    (
        'a category of 18 digits beside items without one',
        change(lambda b: b.split(b'\n')[0] + f'\n{T0},10,categoryid,{"9" * 17}1\n'.encode(), P),
        dict(roots={-1, int('9' * 17 + '1')}),
    ),
    (
        'a category of 19 digits',
        cell('value', '1' * 19, 4, P),
        (
            "item_properties_part1.csv, line 4, column value: found '1111111111111111111', "
            "expected a category number of at most 18 digits"
        ),
    ),
    (
        'a category of 100,000 digits',
        cell('value', '1' * 100_000, 4, P),
        (
            "item_properties_part1.csv, line 4, column value: found "
            "'1111111111111111111111111111111111111...', expected a category number of at most 18 digits"
        ),
    ),
    (
        'a space before a category',
        cell('value', ' 5', 4, P),
        "item_properties_part1.csv, line 4, column value: found ' 5', expected a category number",
    ),
    (
        'a category with a fraction',
        cell('value', '5.0', 4, P),
        "item_properties_part1.csv, line 4, column value: found '5.0', expected a category number",
    ),
    (
        'an empty category',
        cell('value', '', 4, P),
        "item_properties_part1.csv, line 4, column value: found '', expected a category number",
    ),
    (
        'a hexadecimal category',
        cell('value', '0x5', 4, P),
        "item_properties_part1.csv, line 4, column value: found '0x5', expected a category number",
    ),
    (
        'a formula as a category',
        cell('value', '=1+1', 4, P),
        "item_properties_part1.csv, line 4, column value: found '=1+1', expected a category number",
    ),
    ('categoryid in capitals', text(lambda t: t.replace('categoryid', 'CategoryID'), P), dict(roots=None)),
    (
        'markup and formulas in properties',
        add(f'{T0},10,<script>alert(1)</script>,=1+1', f'{T0},10,@SUM,+cmd', f'{T0},10,790,<script>', name=P),
        dict(roots={3, 8}, category_notes=[]),
    ),
    (
        'text for an item of another property',
        cell('itemid', 'abc', 3, P),
        "item_properties_part1.csv, line 3, column itemid: found 'abc', expected an integer",
    ),
    (
        'a negative item of a category',
        cell('itemid', '-1', 2, P),
        (
            "item_properties_part1.csv, line 2, column itemid: found '-1', "
            "expected a number that is not negative"
        ),
    ),
    (
        'an empty time in properties',
        cell('timestamp', '', 2, P),
        "item_properties_part1.csv, line 2, column timestamp: found '', expected an integer",
    ),
    (
        'a stray quote in properties',
        cell('value', '"', 3, P),
        "item_properties_part1.csv, line 3: found 'a quoted line break', expected every row on one line",
    ),
    (
        '10 MB in a value',
        cell('value', 'n' * 10_000_000, 3, P),
        (
            "item_properties_part1.csv, line 3: found '8,388,608 bytes or more', "
            "expected rows of at most 4,194,304 bytes"
        ),
    ),
    ('3 MB in a value', cell('value', 'n' * 3_000_000, 3, P), dict(roots={3, 8})),
    (
        '10 MB in a property',
        cell('property', 'n' * 10_000_000, 9, P),
        (
            "item_properties_part1.csv, line 9: found '8,388,608 bytes or more', "
            "expected rows of at most 4,194,304 bytes"
        ),
    ),
    (
        'a wrong category after 100,000 other rows',
        text(lambda t: t + f'{T0},10,790,n\n' * 100_000 + f'{T0},10,categoryid,x\n', P),
        "item_properties_part1.csv, line 100010, column value: found 'x', expected a category number",
    ),
    (
        'a cycle of three',
        add('1,2', '2,9', '9,1', name=C),
        "category_tree.csv: found 'a cycle through categories 1, 2, 9', expected a tree",
    ),
    (
        'a cycle of a thousand',
        add(*(f'{100 + i},{100 + (i + 1) % 1000}' for i in range(1000)), name=C),
        "category_tree.csv: found 'a cycle through categories 100, 101, ...', expected a tree",
    ),
    (
        'a long way into a cycle',
        add(*(f'{100 + i},{101 + i}' for i in range(500)), '600,599', name=C),
        "category_tree.csv: found 'a cycle through categories 599, 600', expected a tree",
    ),
    ('fifty levels', add(*(f'{100 + i},{101 + i}' for i in range(50)), '150,3', name=C), dict(roots={3, 8})),
    (
        '150 levels',
        add(*(f'{100 + i},{101 + i}' for i in range(150)), name=C),
        "category_tree.csv: found '128 levels or more', expected a tree",
    ),
    (
        '100,000 levels',
        add(*(f'{100 + i},{101 + i}' for i in range(100_000)), name=C),
        "category_tree.csv: found '128 levels or more', expected a tree",
    ),
    (
        'a root with 100,000 children',
        add(*(f'{100 + i},3' for i in range(100_000)), name=C),
        dict(roots={3, 8}),
    ),
    (
        'two parents',
        add('5,8', name=C),
        dict(roots={3, 8}, category_notes=['1 category has more than one parent; the last one counts.']),
    ),
    ('the same parent twice', add('5,3', name=C), dict(category_notes=[])),
    (
        'huge categories in the tree',
        add(f'{2**63 - 1},3', f'3,{2**63 - 2}', name=C),
        dict(roots={8, 2**63 - 2}),
    ),
    (
        'a category over 64 bits in the tree',
        cell('parentid', '9' * 25, 3, C),
        (
            "category_tree.csv, line 3, column parentid: found '9999999999999999999999999', "
            "expected an integer of at most 64 bits"
        ),
    ),
    (
        'an empty category in the tree',
        add(',3', name=C),
        "category_tree.csv, line 7, column categoryid: found '', expected a category number",
    ),
    (
        'a parent with a fraction',
        cell('parentid', '3.0', 2, C),
        "category_tree.csv, line 2, column parentid: found '3.0', expected a category number",
    ),
    (
        'nan for a root',
        cell('parentid', 'nan', 5, C),
        "category_tree.csv, line 5, column parentid: found 'nan', expected a category number",
    ),
    (
        'minus one for a root',
        cell('parentid', '-1', 5, C),
        "category_tree.csv, line 5, column parentid: found '-1', expected a category number",
    ),
    (
        'tree with a header only',
        change(lambda b: b'categoryid,parentid\n', C),
        dict(roots={5, 6, 7, 8}, category_notes=['There is no category tree; categories have no path.']),
    ),
    (
        'tree with BOM, CRLF, quotes and another column',
        change(lambda b: b'\xef\xbb\xbfparentid,x,categoryid\r\n"3",,5\r\n3,,6\r\n3,,7\r\n,,8\r\n,,3\r\n', C),
        dict(roots={3, 8}, category_notes=[]),
    ),
    (
        'spaces in the tree',
        change(lambda b: b.replace(b',', b' , '), C),
        "category_tree.csv, line 1: found 'categoryid , parentid', expected the column categoryid",
    ),
    (
        'spaces around numbers of the tree',
        change(lambda b: b.replace(b'5,3', b' 5 , 3 '), C),
        dict(roots={3, 8}),
    ),
    (
        'tree in UTF-16',
        change(lambda b: b.decode().encode('utf-16'), C),
        "category_tree.csv, line 1: found 'text in UTF-16', expected text in UTF-8",
    ),
    (
        'tree separated by tabs',
        sub(',', '\t', C),
        "category_tree.csv, line 1: found 'columns separated by tabs', expected columns separated by commas",
    ),
    (
        'a script in the tree',
        cell('parentid', '<script>alert(1)</script>', 2, C),
        (
            "category_tree.csv, line 2, column parentid: found '<script>alert(1)</script>', "
            "expected a category number"
        ),
    ),
    (
        '10 MB in the tree',
        cell('parentid', '1' * 10_000_000, 4, C),
        (
            "category_tree.csv, line 4: found '8,388,608 bytes or more', "
            "expected rows of at most 4,194,304 bytes"
        ),
    ),
    (
        'a stray quote in the tree',
        add('9,"', name=C),
        "category_tree.csv, line 7: found 'a quoted line break', expected every row on one line",
    ),
    (
        'NUL bytes for a tree',
        change(lambda b: b'\0' * 100, C),
        "category_tree.csv, line 1: found '\\x00*', expected the column categoryid",
    ),
]


def study(path, cache):
    "Everything a study does before its first model, as a dict of facts."
    log, report = read_log(path, cache)
    dropped = report.duplicates + sum(report.unknown_events.values()) + report.without_id
    assert report.events == len(log) and report.rows == len(log) + dropped, 'a row is lost'
    times = log.timestamp.astype('int64').to_numpy()
    assert (np.diff(times) >= 0).all() and (
        log.dtypes.astype(str) == ['datetime64[ms, UTC]', 'int64', 'category', 'int64']
    ).all()
    assert tuple(log.event.cat.categories) == EVENTS and not log.isna().any(axis=None)
    facts = vars(report) | dict(
        visitors=log.visitorid.nunique(),
        items=log.itemid.nunique(),
        unknown=sum(report.unknown_events.values()),
    )
    categories = read_categories(path, cache)
    if categories is None:
        facts['roots'] = None
    else:
        facts |= dict(
            roots=set(categories.root(categories.at(log.itemid, log.timestamp)).tolist()),
            category_notes=categories.notes,
        )
    p = make_protocols(log)
    for filtered in (True, False):
        published_baselines(p.split, filtered)
    published_sasrec(p.split)
    for q in (p.test, p.valid, p.purchases):
        assert len(is_repeat(q)) == len(q) and all(
            len(s) == len(q) for s in query_slices(q, p.groups).values()
        )
    return facts | dict(test=len(p.test), valid=len(p.valid), purchases=len(p.purchases))


@pytest.mark.parametrize('damage, promised', [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_promise(tmp_path, record, request, damage, promised):
    files, path, cost = damage(GOOD), tmp_path / 'shop', []
    if isinstance(files, bytes):
        path = tmp_path / 'archive.zip'
        path.write_bytes(files)
    else:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    for attempt in ('read', 'from the cache'):
        with watched(tmp_path, tmp_path / 'cache') as spent:
            if isinstance(promised, dict):
                facts = study(path, tmp_path / 'cache')
                assert {k: facts[k] for k in promised} == promised, attempt
            else:
                with pytest.raises(DataError) as error:
                    study(path, tmp_path / 'cache')
                assert fnmatchcase(str(error.value), promised), f'{attempt}: {error.value}'
                assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400
                assert error.value.__suppress_context__ or error.value.__context__ is None, (
                    'the cause would be printed as a second traceback'
                )
        cost.append(spent)
    record(
        'archives' if isinstance(files, bytes) else 'bad input',
        request.node.callspec.id,
        cases=1,
        loaded=int(isinstance(promised, dict)),
        refused=int(isinstance(promised, str)),
        slowest_seconds=round(max(c.seconds for c in cost), 3),
        peak_mb=round(max(c.megabytes for c in cost)),
    )


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match='does not exist, expected a file, a folder or a zip with a log'):
        read_log(tmp_path / 'shop')
