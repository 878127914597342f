"""Mutations of a valid archive that nobody thought of:
each ends in a log that a second, simple reader agrees with, or in one `DataError` sentence.

The sample is the same on every run. `make torture` tries thousands."""

import csv
import io
import itertools
import re
import shutil
import zipfile
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from recsys_nb.data import DataError, EARLIEST, EVENTS, LATEST, own_source, read_categories, read_log
from test_bad_input import GOOD, HEADER, T0, zipped
from watch import watched

FILES = (*GOOD, 'item_properties_part2.csv')
ARCHIVE = {n: b'\n'.join(b.split(b'\n')[:40]) + b'\n' for n, b in GOOD.items()}
ARCHIVE['item_properties_part2.csv'] = (
    b'timestamp,itemid,property,value\n%d,11,categoryid,8\n%d,12,888,n5.000 shoes\n' % (T0, T0 + 1)
)

NASTY = [
    '',
    ' ',
    '0',
    '-0',
    '-1',
    '007',
    '+1',
    '1.0',
    '1e3',
    '0x10',
    '1_0',
    'NaN',
    'null',
    'inf',
    'None',
    'true',
    '٣',
    '\u00a01',
    '1 ',
    ' 1',
    '\t1',
    '1\0',
    '\0',
    str(2**31),
    str(2**53 + 1),
    str(2**63 - 1),
    str(2**63),
    str(-(2**63)),
    '9' * 400,
    '1430000000',
    '1430000000000',
    '1430000000000000',
    '946684799999',
    '4102444800000',
    'view',
    'View',
    'transaction',
    'addtocart',
    'categoryid',
    '=1+1',
    '@SUM(A1)',
    '+cmd|/c',
    '-2+3',
    '<script>alert(1)</script>',
    '"',
    '""',
    '"a',
    'a"b',
    '"a,b"',
    '"a\nb"',
    "'",
    '\\',
    ';',
    ',',
    ',,,',
    '\r',
    '\n',
    '\r\n',
    '\x1b[2J',
    '\u202e',
    '\ufeff',
    '\u2028',
    '%s%n',
    '../../x',
    'x' * 5000,
]


@st.composite
def cut(draw, b):  # two places in a file, in order
    a = draw(st.integers(0, len(b)))
    return a, min(len(b), a + draw(st.integers(0, 9) | st.integers(0, len(b))))


def near(size):
    return st.integers(0, max(0, size - 1))  # a place in something of this size


KINDS = (
    ['cell'] * 10
    + ['flip', 'insert', 'delete', 'repeat'] * 2
    + ['row twice', 'row away', 'rows swapped', 'columns', 'line ends', 'truncate', 'encoding', 'header']
)


@st.composite
def mutated(draw, b):
    "One change to the bytes, a row, or a cell of a file."
    kind = draw(st.sampled_from(KINDS))
    if kind == 'flip' and b:
        at = draw(near(len(b)))
        return b[:at] + bytes([b[at] ^ (1 << draw(st.integers(0, 7)))]) + b[at + 1 :]
    if kind == 'insert':
        at = draw(st.integers(0, len(b)))
        return b[:at] + draw(st.binary(max_size=12) | st.sampled_from([x.encode() for x in NASTY])) + b[at:]
    if kind in ('delete', 'repeat'):
        a, e = draw(cut(b))
        return b[:a] + b[e:] if kind == 'delete' else b[:e] + b[a:e] + b[e:]
    if kind == 'truncate':
        return b[: draw(st.integers(0, len(b)))]
    if kind == 'encoding':
        how = draw(st.sampled_from(['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32', 'cp500', 'utf-7', 'rot']))
        return (
            bytes(x ^ 0x20 for x in b)
            if how == 'rot'
            else b.decode('utf-8', 'replace').encode(how, 'replace')
        )
    if kind == 'line ends':
        return b.replace(
            b'\n',
            draw(st.sampled_from([b'\r\n', b'\r', b'\n\n', b'\r\r\n', b'\n\r', b' \n', b',\n', b'\0\n'])),
        )
    rows = b.split(b'\n')
    at = min(draw(st.integers(1, 40)), len(rows) - 1) if kind != 'header' else 0
    if kind == 'row twice':
        return b'\n'.join(rows[:at] + [rows[at]] * draw(st.integers(2, 9)) + rows[at + 1 :])
    if kind == 'row away':
        return b'\n'.join(rows[:at] + rows[at + 1 :])
    if kind == 'rows swapped':
        other = draw(near(len(rows)))
        rows[at], rows[other] = rows[other], rows[at]
        return b'\n'.join(rows)
    if kind == 'columns':
        return b'\n'.join(b','.join(r.split(b',')[::-1]) for r in rows)  # backwards
    cells = rows[at].split(b',')
    i = draw(near(len(cells)))
    cells[i] = draw(
        st.sampled_from(NASTY)
        | st.text(max_size=8)
        | st.integers(-(2**65), 2**65).map(str)
        | st.integers(EARLIEST - 5, LATEST + 5).map(str)
    ).encode('utf-8', 'surrogatepass')
    rows[at] = b','.join(cells)
    return b'\n'.join(rows)


@st.composite
def damaged(draw):
    "One to three changes to the files of the archive, and how they are brought."
    files = dict(ARCHIVE)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([FILES[0], *FILES]))
        files[name] = draw(mutated(files[name]))
    return files, draw(st.sampled_from(['folder', 'stored', 'deflated']))


@st.composite
def damaged_zip(draw):
    "Changes to the bytes of the zip itself, most of them where it describes its members."
    b = zipped(ARCHIVE, method=draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    heads = [m.end() for m in re.finditer(rb'PK(\x01\x02|\x03\x04|\x05\x06)', b)]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([*['head'] * 9, 'anywhere', 'delete', 'insert', 'repeat', 'truncate']))
        at = min(
            draw(st.sampled_from(heads)) + draw(st.integers(0, 42)) if kind == 'head' else draw(near(len(b))),
            len(b) - 1,
        )
        if kind in ('head', 'anywhere') and b:
            new = draw(st.binary(min_size=1, max_size=4))
            b = b[:at] + new + b[at + len(new) :]
        elif kind == 'truncate':
            b = b[:at]
        elif kind == 'insert':
            b = b[:at] + draw(st.binary(max_size=12)) + b[at:]
        elif b:
            a, e = draw(cut(b))
            b = b[:a] + b[e:] if kind == 'delete' else b[:e] + b[a:e] + b[e:]
    return b


def number(text):
    "As the reader understands it: decimal or hexadecimal, spaces around it."
    text = text.strip(' \t')
    if re.fullmatch('0[xX][0-9a-fA-F]{1,16}', text):
        return int(text, 16)
    assert re.fullmatch('-?[0-9]+', text), text
    return int(text)


def simple_log(b):
    """The log again, row by row in plain Python:
    rows as (timestamp, visitorid, event, itemid), and what was dropped."""
    rows = [r for r in csv.reader(io.StringIO(b.decode('utf-8-sig', 'replace'), newline='')) if r]
    header, rows = rows[0], rows[1:]
    at = [header.index(c) for c in HEADER.split(',') if c in header]
    found = [[r[i] if header[i] in ('event', 'transactionid') else number(r[i]) for i in at] for r in rows]
    assert all(len(r) == len(header) for r in rows) and all(min(r[0], r[1], r[3]) >= 0 for r in found)
    known = [r for r in found if r[2] in EVENTS]
    kept = dict.fromkeys(map(tuple, sorted(known, key=lambda r: r[:2])))
    return (
        [r[:4] for r in kept],
        len(rows),
        len(rows) - len(known),
        len(known) - len(kept),
        sum(a[0] > b[0] for a, b in zip(known, known[1:])),
    )


def simple_snapshots(files):
    found = {}
    for n in FILES[1], FILES[3]:
        rows = [r for r in csv.reader(io.StringIO(files[n].decode('utf-8-sig'), newline='')) if r]
        at = [rows[0].index(c) for c in ('timestamp', 'itemid', 'property', 'value')]
        for r in rows[1:]:
            t, i, p, v = (r[a] for a in at)
            if p == 'categoryid':
                found[number(t), number(i), int(v)] = True
    return sorted(found)


def check(path, cache, files):
    "Read, compare with the simple reader, read again from the cache; or one sentence."
    for attempt in range(2):
        log, report = read_log(path, cache)
        own = own_source(path, cache) is not None  # any other form, the simple reader knows nothing of
        if files and own and attempt == 0:
            rows, *counts = simple_log(files[FILES[0]])
            mine = zip(log.timestamp.astype('int64'), log.visitorid, log.event.astype(str), log.itemid)
            assert [*mine] == rows, 'another reader finds other rows'
            assert counts == [
                report.rows,
                sum(report.unknown_events.values()),
                report.duplicates,
                report.unsorted,
            ]
        dropped = report.duplicates + sum(report.unknown_events.values()) + report.without_id
        assert report.events == len(log) and report.rows == len(log) + dropped
        categories = read_categories(path, cache)
        if files and own and attempt == 0:
            mine = [] if categories is None else categories.snapshots.astype('int64').itertuples(index=False)
            assert sorted(map(tuple, mine)) == simple_snapshots(files)
        if categories is not None:
            asked = categories.at(log.itemid, log.timestamp)
            assert all(len(categories.path(c)) < 128 for c in set(asked.tolist())) and len(
                categories.root(asked)
            ) == len(log)


NUMBER = itertools.count()


def attempt(folder, tries, content, files=None):
    "One case: `content` is the bytes of a zip or a dict of files."
    place = folder / str(next(NUMBER))
    place.mkdir()
    path = place / ('archive.zip' if isinstance(content, bytes) else 'shop')
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.mkdir()
        for n, b in content.items():
            (path / n).write_bytes(b)
    said = None
    with watched(place, place / 'cache') as cost:
        try:
            check(path, place / 'cache', files)
        except DataError as e:
            said = str(e)
    shutil.rmtree(place)
    tries.append(SimpleNamespace(said=said, **vars(cost)))
    if said is None:
        return
    assert len(said.splitlines()) == 1 and len(said) < 500, said
    assert 'archive.zip' in said or 'shop' in said or any(f in said for f in FILES), (
        f'no file is named: {said}'
    )
    assert 'expected' in said and 'comma-separated values' not in said, f'no place is named: {said}'


def summary(record, kind, what, tries):
    record(
        kind,
        what,
        cases=len(tries),
        loaded=sum(t.said is None for t in tries),
        refused=sum(t.said is not None for t in tries),
        slowest_seconds=round(max(t.seconds for t in tries), 3),
        peak_mb=round(max(t.megabytes for t in tries)),
    )


def explore(strategy, examples, case):
    "Hypothesis without a memory: the same examples each time, everywhere."
    settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(case))()


@pytest.mark.parametrize('examples', [150, pytest.param(3000, marks=pytest.mark.torture)])
def test_files(tmp_path, record, examples):
    tries = []

    def case(damaged):
        files, how = damaged
        content = (
            files
            if how == 'folder'
            else zipped(files, method=zipfile.ZIP_STORED if how == 'stored' else zipfile.ZIP_DEFLATED)
        )
        attempt(tmp_path, tries, content, files)

    explore(damaged(), examples, case)
    assert len(tries) >= examples and any(t.said is None for t in tries) and any(t.said for t in tries)
    summary(record, 'bad input', f'files changed at random, {examples} times', tries)


@pytest.mark.parametrize('examples', [150, pytest.param(3000, marks=pytest.mark.torture)])
def test_zips(tmp_path, record, examples):
    tries = []
    explore(damaged_zip(), examples, lambda b: attempt(tmp_path, tries, b))
    assert len(tries) >= examples and any(t.said for t in tries)
    summary(record, 'archives', f'zips changed at random, {examples} times', tries)
