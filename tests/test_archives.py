"""Zips and folders that are not what they seem:
refused in one sentence, without unpacking, waiting, or writing anything."""

import gzip
import io
import os
import re
import socket
import stat
import struct
import tarfile
import zipfile
import zlib
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from recsys_nb.archives import list_files
from recsys_nb.data import DataError, fingerprint, open_source, read_categories, read_log
from test_bad_input import C, E, GOOD, P, flip, study, without, zipped
from watch import watched

COMPLETE = 'expected a folder or the zip as Kaggle ships it'
NONE = 'holds no table, expected a log as CSV, JSON lines or Parquet'
NO_LOG = 'expected a log with visitors, items and times: give its file, or the folder that holds both'
NO_TABLE = 'expected a table as CSV, JSON lines or Parquet'


def pack(*members, method=zipfile.ZIP_DEFLATED, comment=b''):
    "A zip of (name, bytes, what else to set)."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as z:
        z.comment = comment
        for name, content, *about in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for k, v in (about[0] if about else {}).items():
                setattr(info, k, v)
            z.writestr(info, content, compresslevel=1)
    return buffer.getvalue()


def patch(archive, name, local=(), central=()):
    "Overwrite header fields, (offset, format, value), of a member in both places where a zip keeps them."
    b = bytearray(archive)
    for magic, name_at, changes in ((b'PK\3\4', 30, local), (b'PK\1\2', 46, central)):
        for m in re.finditer(re.escape(magic), bytes(b)):
            if not b.startswith(name.encode(), m.start() + name_at):
                continue
            for at, form, value in changes:
                struct.pack_into(form, b, m.start() + at, value)
    return bytes(b)


LOCAL = dict(
    version=(4, '<H'), flags=(6, '<H'), method=(8, '<H'), crc=(14, '<I'), packed=(18, '<I'), size=(22, '<I')
)
CENTRAL = dict(
    version=(6, '<H'),
    flags=(8, '<H'),
    method=(10, '<H'),
    crc=(16, '<I'),
    packed=(20, '<I'),
    size=(24, '<I'),
    offset=(42, '<I'),
)


def claim(name=E, how=zipfile.ZIP_DEFLATED, **fields):
    "The good archive with false claims about one member."
    return patch(
        zipped(GOOD, method=how),
        name,
        [(*LOCAL[k], v) for k, v in fields.items() if k in LOCAL],
        [(*CENTRAL[k], v) for k, v in fields.items()],
    )


def with_mode(mode, content=b'/etc/passwd', name=E):
    return pack((name, content, dict(create_system=3, external_attr=(mode | 0o777) << 16)))


def good(**more):
    return pack(*GOOD.items(), **more)


def bomb(megabytes):
    return pack((E, GOOD[E] + b'1430000000000,1,view,1,\n' * (megabytes * 1_000_000 // 24)))


def start(n):
    return GOOD[E][:n]


REST = [(n, GOOD[n]) for n in (P, C)]

# name, bytes of the zip, and what is promised: a message, or that it loads
ZIPS = [
    ('empty zip', lambda: zipped({}), f'archive.zip {NONE}; it is empty'),
    (
        'no events.csv',
        lambda: zipped(without(E)(GOOD)),
        f'item_properties_part1.csv says what items are, {NO_LOG}',
    ),
    ('truncated', lambda: zipped(GOOD)[:2000], f'archive.zip is no complete zip (*), {COMPLETE}'),
    (
        'the last byte is missing',
        lambda: zipped(GOOD)[:-1],
        f'archive.zip is no complete zip (*), {COMPLETE}',
    ),
    ('the beginning is missing', lambda: zipped(GOOD)[3000:], 'archive.zip*expected a*'),
    ('an empty file', lambda: b'', f'archive.zip is no complete zip (*), {COMPLETE}'),
    ('another format', lambda: b'%PDF-1.4 ' * 100, f'archive.zip is no complete zip (*), {COMPLETE}'),
    ('a lone events.csv', lambda: GOOD[E], f'archive.zip is no complete zip (*), {COMPLETE}'),
    (
        'nested',
        lambda: pack(('archive.zip', zipped(GOOD))),
        f'archive.zip {NONE}; it holds archive.zip: unpack it and give that file itself',
    ),
    (
        'nested by the name of events.csv',
        lambda: pack((E, zipped(GOOD))),
        (f'archive.zip: events.csv looks like a zip, {NO_TABLE}: unpack it and give the folder'),
    ),
    ('nested beside events.csv', lambda: pack(*GOOD.items(), ('more.zip', zipped(GOOD))), True),
    (
        'corrupt stored member',
        lambda: flip(E)(GOOD),
        'archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file',
    ),
    (
        'corrupt deflated member',
        lambda: flip(E, zipfile.ZIP_DEFLATED)(GOOD),
        'archive.zip: events.csv is damaged (*), expected a complete file',
    ),
    (
        'bzip2',
        lambda: zipped(GOOD, method=zipfile.ZIP_BZIP2),
        "archive.zip: found the member 'events.csv' packed with bzip2, expected a stored or deflated file",
    ),
    (
        'lzma',
        lambda: zipped(GOOD, method=zipfile.ZIP_LZMA),
        "archive.zip: found the member 'events.csv' packed with lzma, expected a stored or deflated file",
    ),
    (
        'an unknown method',
        lambda: claim(method=93),
        (
            "archive.zip: found the member 'events.csv' packed with an unknown method, "
            "expected a stored or deflated file"
        ),
    ),
    (
        'bzip2 of something else',
        lambda: patch(pack(*GOOD.items(), ('readme', b'x')), 'readme', central=[(10, '<H', 12)]),
        True,
    ),
    (
        'password',
        lambda: claim(flags=1),
        (
            'archive.zip: events.csv cannot be read from this zip (*password*), '
            'expected a complete zip without password'
        ),
    ),
    (
        'strong encryption',
        lambda: claim(flags=65),
        (
            'archive.zip: events.csv cannot be read from this zip (strong encryption*), '
            'expected a complete zip without password'
        ),
    ),
    (
        'AES',
        lambda: claim(flags=1, method=99),
        (
            "archive.zip: found the member 'events.csv' packed with an unknown method, "
            "expected a stored or deflated file"
        ),
    ),
    (
        'password on the properties',
        lambda: claim(P, flags=1),
        (
            'archive.zip: item_properties_part1.csv cannot be read from this zip (*password*), '
            'expected a complete zip without password'
        ),
    ),
    (
        'a version from the future',
        lambda: claim(version=999),
        f'archive.zip is no complete zip (zip file version*), {COMPLETE}',
    ),
    (
        'a name that is not UTF-8',
        lambda: patch(
            pack(('events\xe9.csv', b'')).replace('events\xe9'.encode(), b'events\xff\xff'), 'events'
        ),
        f'archive.zip is no complete zip (*decode*), {COMPLETE}',
    ),
    (
        'a member without a name',
        lambda: pack(*GOOD.items(), ('@nameless', b'')).replace(b'@nameless', b'\0nameless'),
        "archive.zip: found the member '' without a name, expected plain file names",
    ),
    # ways out
    (
        '../',
        lambda: zipped(GOOD, '../'),
        (
            "archive.zip: found the member '../events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'a/../../',
        lambda: zipped(GOOD, 'a/../../'),
        (
            "archive.zip: found the member 'a/../../events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        '..\\',
        lambda: zipped(GOOD, '..\\'),
        (
            "archive.zip: found the member '..*events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'absolute',
        lambda: zipped(GOOD, '/etc/'),
        (
            "archive.zip: found the member '/etc/events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'drive letter',
        lambda: zipped(GOOD, 'C:\\'),
        (
            "archive.zip: found the member 'C:*events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'network share',
        lambda: zipped(GOOD, '\\\\host\\share\\'),
        (
            "archive.zip: found the member '*host*events.csv' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'another member leads outside',
        lambda: pack(*GOOD.items(), ('../../.bashrc', b'evil')),
        (
            "archive.zip: found the member '../../.bashrc' with a path outside the zip, "
            "expected plain file names"
        ),
    ),
    (
        'a link',
        lambda: with_mode(stat.S_IFLNK),
        "archive.zip: found the member 'events.csv' which is a link or a device, expected plain files",
    ),
    (
        'a link elsewhere',
        lambda: pack(
            *GOOD.items(), ('data', b'/', dict(create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16))
        ),
        "archive.zip: found the member 'data' which is a link or a device, expected plain files",
    ),
    (
        'a device',
        lambda: with_mode(stat.S_IFCHR),
        "archive.zip: found the member 'events.csv' which is a link or a device, expected plain files",
    ),
    (
        'a pipe',
        lambda: with_mode(stat.S_IFIFO),
        "archive.zip: found the member 'events.csv' which is a link or a device, expected plain files",
    ),
    (
        'an executable',
        lambda: pack((E, GOOD[E], dict(create_system=3, external_attr=(stat.S_IFREG | 0o6777) << 16)), *REST),
        True,
    ),
    # what comes out
    (
        '70 MB from a few kB',
        lambda: bomb(70),
        'archive.zip would be * bytes to read, expected at most 67,108,864',
    ),
    ('3 MB from a few kB', lambda: bomb(3), True),
    (
        'announced as 4 GB',
        lambda: claim(size=2**32 - 2),
        'archive.zip would be 4,294,9* bytes to read, expected at most 67,108,864',
    ),
    (
        'more than announced',
        lambda: claim(size=1000),
        'archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file',
    ),
    (
        'more than announced, with its checksum',
        lambda: claim(size=1000, crc=zlib.crc32(start(1000))),
        'archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file',
    ),
    ('less than announced', lambda: claim(size=100_000), True),  # the checksum agrees: nothing is missing
    (
        'a wrong checksum',
        lambda: claim(crc=1),
        'archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file',
    ),
    (
        'a bomb announced as 1 kB',
        lambda: patch(bomb(70), E, [(*LOCAL['size'], 1000)], [(*CENTRAL['size'], 1000)]),
        'archive.zip: events.csv is damaged (Bad CRC-32*), expected a complete file',
    ),
    (
        'a stored member longer than the zip',
        lambda: claim(how=zipfile.ZIP_STORED, packed=10**6, size=10**6),
        'archive.zip*, expected a complete file',
    ),
    (
        'members on top of each other',
        lambda: patch(zipped(GOOD, method=zipfile.ZIP_DEFLATED), P, central=[(*CENTRAL['offset'], 0)]),
        (
            'archive.zip: item_properties_part1.csv cannot be read from this zip (*), '
            'expected a complete zip without password'
        ),
    ),
    (
        'a member that begins after the end',
        lambda: claim(offset=10**6),
        'archive.zip: events.csv cannot be read from this zip (*), expected a complete zip without password',
    ),
    (
        '20 members with names of 60,000 letters',
        lambda: pack(*GOOD.items(), *((f'{i:060000}', b'') for i in range(20)), method=0),
        f'archive.zip is no complete zip (the list of its members is over 1 MB long), {COMPLETE}',
    ),
    ('500 members', lambda: pack(*GOOD.items(), *((f'{i}', b'') for i in range(500))), True),
    (
        'a name of 60,000 letters',
        lambda: pack(*GOOD.items(), ('../' + 'a' * 60_000, b'')),
        (
            "archive.zip: found the member '../aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' "
            "with a path outside the zip, expected plain file names"
        ),
    ),
    # names
    (
        'events.csv twice',
        lambda: patch(
            pack((E, GOOD[E]), ('events.csw', b'')),
            'events.csw',
            [(39, '<B', ord('v'))],
            [(55, '<B', ord('v'))],
        ),
        "archive.zip: found the member 'events.csv' 2 times, expected it once",
    ),
    ('one folder down', lambda: zipped(GOOD, 'archive/', zipfile.ZIP_DEFLATED), True),
    (
        'a folder called events.csv',
        lambda: pack(('events.csv/', b''), ('events.csv/readme', b'x')),
        f'archive.zip {NONE}; it holds events.csv/readme',
    ),
    ('events.csv in a folder called events.csv', lambda: zipped(GOOD, 'events.csv/'), True),
    ('capital letters', lambda: pack(*((n.upper(), b) for n, b in GOOD.items())), True),
    ('a wrong one in capital letters beside it', lambda: pack(('EVENTS.CSV', b'x'), *GOOD.items()), True),
    ('the shadows of a Mac', lambda: pack(('__MACOSX/._events.csv', b'\0\5\x16\7'), *GOOD.items()), True),
    ('a name that only ends like it', lambda: pack(('xevents.csv', GOOD[E])), True),
    (
        'a name cut by a NUL byte',
        lambda: patch(zipped(GOOD), E, [(39, '<B', 0)], [(55, '<B', 0)]),
        f'item_properties_part1.csv says what items are, {NO_LOG}',
    ),
    (
        'two names for one member',
        lambda: patch(zipped(GOOD), E, [(30, '<B', ord('E'))]),
        (
            'archive.zip: events.csv cannot be read from this zip (*differ*), '
            'expected a complete zip without password'
        ),
    ),
    ('something before it', lambda: b'#!/bin/sh\n' * 100 + zipped(GOOD), True),
    ('a comment of 60 kB', lambda: good(comment=b'x' * 60_000), True),
]


@pytest.mark.parametrize('make, promised', [z[1:] for z in ZIPS], ids=[z[0] for z in ZIPS])
def test_zip(tmp_path, record, request, make, promised):
    path, cache = tmp_path / 'archive.zip', tmp_path / 'cache'
    path.write_bytes(make())
    with watched(tmp_path, cache) as cost:
        if promised is True:
            assert read_log(path, cache)[1].events >= 120
            if holds_properties(path):
                assert len(read_categories(path, cache).snapshots) == 4
        else:
            with pytest.raises(DataError) as error:
                read_log(path, cache)
                read_categories(path, cache)
            assert fnmatchcase(str(error.value), promised), str(error.value)
            assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400
    record(
        'archives',
        request.node.callspec.id,
        cases=1,
        loaded=int(promised is True),
        refused=int(promised is not True),
        slowest_seconds=round(cost.seconds, 3),
        peak_mb=round(cost.megabytes),
    )


def test_limits_are_parameters(tmp_path, record):
    path = tmp_path / 'archive.zip'
    path.write_bytes(bomb(70))
    with pytest.raises(DataError, match='expected at most 67,108,864'):
        open_source(path)
    assert open_source(path, ratio=10_000).members == {E: E}
    with pytest.raises(DataError, match='expected at most 69,000,000'):
        open_source(path, ratio=10_000, most=69_000_000)
    folder = tmp_path / 'shop'
    folder.mkdir()
    (folder / E).write_bytes(GOOD[E])
    with pytest.raises(DataError, match='shop would be .* bytes to read, expected at most 1,000'):
        open_source(folder, most=1000)
    record('archives', 'limits of size and ratio as parameters', cases=4, refused=3, loaded=1)


def holds_properties(path):
    return path.suffix != '.csv' and any(n.endswith(P) for n in list_files(path).sizes)


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to('/dev/zero')


def endless(path):
    with open(path, 'wb') as f:
        f.truncate(100 << 30)  # a hole of 100 GB: takes no room


def bound(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            s.bind(path.name)
        finally:
            os.chdir(here)


def linked(path):
    real = path.parent.parent / 'elsewhere.csv'
    real.write_bytes(GOOD[E])
    path.symlink_to(real)


def in_capitals(path):
    (path.parent / 'Events.CSV').write_bytes(GOOD[E])


def below(path):
    path.mkdir()
    (path / E).write_bytes(GOOD[E])


def both(path):
    (path.parent / 'a').mkdir()
    (path.parent / 'a' / E).write_bytes(b'x')
    path.write_bytes(GOOD[E])


def ring(path):
    path.symlink_to(path)


FOLDERS = [
    ('a pipe', fifo, 'shop: events.csv is a pipe or a device, expected a file'),
    ('a device', device, 'shop: events.csv is a pipe or a device, expected a file'),
    ('a socket', bound, 'shop: events.csv is a pipe or a device, expected a file'),
    (
        'a link to nothing',
        lambda p: p.symlink_to('nothing'),
        'shop: events.csv is a link to nothing, expected a file',
    ),
    ('a link to itself', ring, 'shop: events.csv is a link to nothing, expected a file'),
    ('a folder', lambda p: p.mkdir(), f'category_tree.csv says the tree of categories, {NO_LOG}'),
    (
        'an endless file',
        endless,
        'shop: events.csv is no table: it is no text, expected a table as CSV, JSON lines or Parquet',
    ),
    ('a link to a file elsewhere', linked, True),
    ('a file in a folder of its name', below, True),
    ('capital letters', in_capitals, True),
    ('another one further down', both, True),
    ('a gzip', lambda p: p.write_bytes(gzip.compress(GOOD[E])), True),
]


@pytest.mark.parametrize('make, promised', [f[1:] for f in FOLDERS], ids=[f[0] for f in FOLDERS])
def test_folder(tmp_path, record, request, make, promised):
    "What may stand in the place of events.csv."
    path, cache = tmp_path / 'shop', tmp_path / 'cache'
    path.mkdir()
    make(path / E)
    for n in (P, C):
        (path / n).write_bytes(GOOD[n])
    with watched(tmp_path, cache) as cost:
        if promised is True:
            assert study(path, cache)['roots'] == {3, 8}
        else:
            with pytest.raises(DataError) as error:
                read_log(path, cache)
            assert fnmatchcase(str(error.value), promised), str(error.value)
    record(
        'archives',
        f'in the place of events.csv: {request.node.callspec.id}',
        cases=1,
        loaded=int(promised is True),
        refused=int(promised is not True),
        slowest_seconds=round(cost.seconds, 3),
        peak_mb=round(cost.megabytes),
    )


@pytest.mark.parametrize('name', ['item_properties_part2.csv', 'category_tree.csv'])
def test_pipe_for_an_optional_file(tmp_path, record, name):
    path = tmp_path / 'shop'
    path.mkdir()
    fifo(path / name)
    for n in GOOD:
        if n != name:
            (path / n).write_bytes(GOOD[n])
    with (
        watched(tmp_path, tmp_path / 'cache') as cost,
        pytest.raises(DataError, match=f'{name} is a pipe or a device'),
    ):
        read_log(path)
    record(
        'archives',
        f'a pipe in the place of {name}',
        cases=1,
        refused=1,
        slowest_seconds=round(cost.seconds, 3),
    )


def test_strange_paths(tmp_path, record):
    "Given in the place of a zip or folder: no traceback, no waiting."
    fifo(tmp_path / 'pipe')
    bound(tmp_path / 'socket')
    (tmp_path / 'empty').mkdir()
    ring(tmp_path / 'ring')
    strange = {
        tmp_path / 'pipe': 'is a pipe or a device',
        tmp_path / 'socket': 'is a pipe or a device',
        '/dev/zero': 'is a pipe or a device',
        '/dev/null': 'is a pipe or a device',
        tmp_path / 'empty': NONE,
        tmp_path / 'nothing': 'does not exist',
        tmp_path / 'a' / 'b': 'does not exist',
        tmp_path / 'ring': 'cannot be opened',
        'x' * 5000: 'cannot be opened',
        'a\0b': 'cannot be opened',
        tmp_path / 'empty' / '..' / 'nothing': 'does not exist',
        '=1+1': 'does not exist',
        '<script>alert(1)</script>': 'does not exist',
        'https://example.org/a.zip': 'does not exist',
    }
    with watched(tmp_path, tmp_path / 'cache') as cost:
        for path, message in strange.items():
            with pytest.raises(DataError) as error:
                read_log(path, tmp_path / 'cache')
            assert (
                message in str(error.value)
                and len(str(error.value).splitlines()) == 1
                and len(str(error.value)) < 400
            ), str(error.value)
    record(
        'bad input',
        'strange paths in the place of a folder or zip',
        cases=len(strange),
        refused=len(strange),
        slowest_seconds=round(cost.seconds, 3),
    )


# Other shapes of the same log: files in a folder, which of them is given ('' for the folder),
# and what is promised: how many events, or a message.
LAYOUT = "this version reads RetailRocket's layout: timestamp,visitorid,event,itemid"
TABLE = pacsv.read_csv(io.BytesIO(GOOD[E]))


def parquet(**columns):
    "The good log as Parquet with some columns replaced or left out."
    columns = {n: TABLE[n] for n in TABLE.column_names} | columns
    buffer = io.BytesIO()
    pq.write_table(pa.table({n: c for n, c in columns.items() if c is not None}), buffer)
    return buffer.getvalue()


def tar(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def flat(count):
    return pa.array(np.full(count, 1_430_000_000_000))


def long_parquet(rows):
    "Many rows from a few kB."
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(
            dict(
                timestamp=flat(rows),
                visitorid=flat(rows),
                event=pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ['view']),
                itemid=flat(rows),
            )
        ),
        buffer,
    )
    return buffer.getvalue()


BACK = [('shop\\' + n, b) for n, b in GOOD.items()]
SHAPES = [
    ('the file itself', {E: GOOD[E]}, E, 120),
    ('by another name', {'shop.csv': GOOD[E]}, 'shop.csv', 120),
    ('a gzip itself', {'events.csv.gz': gzip.compress(GOOD[E])}, 'events.csv.gz', 120),
    ('a gzip by another name', {'shop': gzip.compress(GOOD[E])}, 'shop', 120),
    (
        'a gzip in two parts',
        {'events.csv.gz': gzip.compress(GOOD[E][:1000]) + gzip.compress(GOOD[E][1000:])},
        '',
        120,
    ),
    ('a gzip in a folder', {'events.csv.gz': gzip.compress(GOOD[E]), P: GOOD[P]}, '', 120),
    ('a gzip beside the file', {'events.csv.gz': b'x', E: GOOD[E]}, '', 120),
    (
        'a gzip that ends early',
        {'events.csv.gz': gzip.compress(GOOD[E])[:-20]},
        '',
        'shop: events.csv.gz is damaged (*), expected a complete file',
    ),
    (
        'a gzip with a wrong byte',
        {'events.csv.gz': gzip.compress(GOOD[E])[:-8] + b'\0' * 8},
        'events.csv.gz',
        'events.csv.gz is damaged (*), expected a complete file',
    ),
    (
        '70 MB from a gzip of a few kB',
        {'events.csv.gz': gzip.compress(GOOD[E] + b'1430000000000,1,view,1,\n' * 3_000_000, 1)},
        '',
        'events.csv.gz would be more than 67,108,864 bytes to read, expected at most 67,108,864',
    ),
    (
        'a gzip of a web page',
        {'events.csv.gz': gzip.compress(b'<html>\n')},
        'events.csv.gz',
        (f'events.csv.gz looks like a web page, {NO_TABLE}: download the file itself'),
    ),
    (
        'a tar.gz',
        {'shop.tar.gz': tar(**{E: GOOD[E]})},
        'shop.tar.gz',
        (f'shop.tar.gz looks like a tar, {NO_TABLE}: unpack it and give the folder'),
    ),
    (
        'a tar.gz in a folder',
        {'shop.tar.gz': tar(**{E: GOOD[E]})},
        '',
        f'shop {NONE}; it holds shop.tar.gz: unpack it and give the folder',
    ),
    ('Parquet', {'events.parquet': parquet()}, '', 120),
    ('Parquet itself, by another name', {'shop': parquet()}, 'shop', 120),
    (
        'Parquet with times',
        {
            'events.parquet': parquet(
                timestamp=pa.array(TABLE['timestamp'].to_numpy(), pa.timestamp('ms', 'Europe/Berlin'))
            )
        },
        '',
        120,
    ),
    (
        'Parquet with nanoseconds',
        {
            'events.parquet': parquet(
                timestamp=pa.array(
                    TABLE['timestamp'].to_numpy().astype('datetime64[ms]').astype('datetime64[ns]')
                )
            )
        },
        '',
        120,
    ),
    (
        'Parquet with small numbers and large text',
        {
            'events.parquet': parquet(
                visitorid=TABLE['visitorid'].cast(pa.int16()),
                itemid=TABLE['itemid'].cast(pa.uint32()),
                event=TABLE['event'].cast(pa.large_string()),
            )
        },
        '',
        120,
    ),
    (
        'Parquet without transactionid, with more columns',
        {'events.parquet': parquet(transactionid=None, note=pa.nulls(120), tags=pa.array([[1]] * 120))},
        '',
        120,
    ),
    (
        'Parquet in seconds',
        {'events.parquet': parquet(timestamp=pa.array(TABLE['timestamp'].to_numpy() // 1000))},
        '',
        (120),
    ),
    (
        'Parquet with float ids',
        {'events.parquet': parquet(itemid=TABLE['itemid'].cast(pa.float64()))},
        '',
        120,
    ),
    (
        'Parquet with text ids',
        {'events.parquet': parquet(visitorid=TABLE['visitorid'].cast(pa.string()))},
        'events.parquet',
        120,
    ),
    (
        'Parquet with lists',
        {'events.parquet': parquet(event=pa.array([['view']] * 120))},
        '',
        "events.parquet, column event: found 'list<*', expected text",
    ),
    (
        'Parquet with a negative id',
        {'events.parquet': parquet(itemid=pa.array([10] * 119 + [-7]))},
        '',
        (120, 2),
    ),
    (
        'Parquet with an empty id',
        {'events.parquet': parquet(itemid=pa.array([10, None] + [11] * 118))},
        '',
        "events.parquet, row 2, column itemid: found '', expected an integer",
    ),
    (
        'Parquet with an id over 64 bits',
        {'events.parquet': parquet(itemid=pa.array([2**64 - 1] * 120, pa.uint64()))},
        '',
        (120, 1),
    ),
    (
        'Parquet without items',
        {'events.parquet': parquet(itemid=None)},
        '',
        (
            'events.parquet: found the columns timestamp, visitorid, event, transactionid, '
            'expected itemid among them: say which column is what with --columns "itemid=..."'
        ),
    ),
    (
        'Parquet that is cut',
        {'events.parquet': parquet()[:-100]},
        '',
        'shop: events.parquet is damaged (*), expected a complete Parquet file',
    ),
    (
        'Parquet with a wrong middle',
        {'events.parquet': parquet()[:300] + b'\xff' * 200 + parquet()[500:]},
        '',
        'shop: events.parquet is damaged (*), expected a complete Parquet file',
    ),
    (
        '3 million rows from Parquet of a few kB',
        {'events.parquet': long_parquet(3_000_000)},
        '',
        'shop: events.parquet would be 3,000,000 rows to read, expected at most 2,097,152',
    ),
    ('two folders down', {f'a/b/{n}': b for n, b in GOOD.items()}, '', 120),
    ('three folders down', {f'a/b/c/{n}': b for n, b in GOOD.items()}, '', 120),
    (
        'four folders down',
        {f'a/b/c/d/{n}': b for n, b in GOOD.items()},
        '',
        f'shop {NONE}; what lies more than three folders down, or is hidden, is not looked at',
    ),
    ('a backup beside it', {E: GOOD[E], 'old/events.csv': b'x', P: GOOD[P], 'old/' + P: b'x'}, '', 120),
    (
        'two shops',
        {'a/events.csv': GOOD[E], 'b/events.csv': GOOD[E]},
        '',
        (
            'shop holds a/events.csv and b/events.csv, '
            'expected one events.csv: give the folder of the one that is meant'
        ),
    ),
    (
        'two shops two folders down, one packed',
        {'x/a/events.csv': GOOD[E], 'x/b/events.csv.gz': gzip.compress(GOOD[E])},
        '',
        'shop holds x/a/events.csv and x/b/events.csv.gz, expected one events.csv: *',
    ),
    (
        'properties of two',
        {E: GOOD[E], 'a/' + P: GOOD[P], 'b/' + P: GOOD[P]},
        '',
        f'shop holds a/{P} and b/{P}, expected one {P}: *',
    ),
    (
        'what a Mac and an editor leave',
        {f'a/{E}': GOOD[E], '__MACOSX/events.csv': b'x', '.ipynb_checkpoints/events.csv': b'x'},
        '',
        120,
    ),
    ('a zip of Windows', {'archive.zip': pack(*BACK)}, 'archive.zip', 120),
    (
        'a zip of Windows with two shops',
        {'archive.zip': pack(('a\\events.csv', GOOD[E]), ('b\\events.csv', GOOD[E]))},
        'archive.zip',
        'archive.zip holds a*events.csv and b*events.csv, expected one events.csv: *',
    ),
    (
        'the same member in both ways of writing',
        {'archive.zip': pack(('a\\events.csv', GOOD[E]), ('a/events.csv', GOOD[E]))},
        'archive.zip',
        "archive.zip: found the member 'a/events.csv' 2 times, expected it once",
    ),
    (
        'a zip of Windows packed with lzma',
        {'archive.zip': pack(*BACK, method=zipfile.ZIP_LZMA)},
        'archive.zip',
        (
            "archive.zip: found the member 'shop*events.csv' packed with lzma, "
            "expected a stored or deflated file"
        ),
    ),
    ('a zip by another name', {'shop': pack(*GOOD.items())}, 'shop', 120),
    (
        'a zip in a folder',
        {'archive.zip': pack(*GOOD.items())},
        '',
        f'shop {NONE}; it holds archive.zip: give that file itself',
    ),
    (
        'a gzip in a zip',
        {'archive.zip': pack(('events.csv.gz', gzip.compress(GOOD[E])))},
        'archive.zip',
        120,
    ),
    (
        'a log by another name in a folder',
        {'my.csv': GOOD[E]},
        '',
        120,
    ),
    (
        'a zip that is a gzip',
        {'archive.zip': gzip.compress(GOOD[E])},
        'archive.zip',
        f'archive.zip is no complete zip (*; it looks like a gzip: call it what it is), {COMPLETE}',
    ),
    (
        'a link that was copied as text',
        {E: b'../plain/events.csv'},
        '',
        (
            'shop: events.csv looks like a link that was copied as text, to ../plain/events.csv, '
            'expected a table: copy that file itself'
        ),
    ),
    (
        'the tree itself',
        {C: GOOD[C], E: GOOD[E]},
        C,
        (f'category_tree.csv says the tree of categories, {NO_LOG}'),
    ),
    (
        'a database',
        {'shop.db': b'SQLite format 3\0' + b'\0' * 100},
        'shop.db',
        f'shop.db looks like an SQLite database, {NO_TABLE}: save it as one of these',
    ),
    (
        'an empty file',
        {'shop.csv': b''},
        'shop.csv',
        "shop.csv: found 'an empty file', expected a table as CSV, JSON lines or Parquet",
    ),
    (
        'a wrong cell of a file by another name',
        {'shop.csv': GOOD[E].replace(b',10,', b',x,', 1)},
        'shop.csv',
        "shop.csv, line 2, column itemid: found 'x', expected an integer",
    ),
]
OTHERS = {  # data sets that everybody has on disk
    "RecBole's atomic files": b'user_id:token\titem_id:token\ttimestamp:float\n1081\t507\t1433268643.43\n',
    "MovieLens' ratings": b'userId,movieId,rating,timestamp\n1081,507,4.0,1433268643\n',
    "YooChoose's clicks": b'1081,2015-06-02T18:10:43.430Z,507,0\n',
    "Diginetica's files": b'sessionId;userId;itemId;timeframe;eventdate\n1081;;507;65443430;2015-06-02\n',
    "session-rec's clicks": b'SessionId\tItemId\tTime\n1081\t507\t1433268643.43\n',
    "OTTO's sessions": (
        b'{"session": 1000, "events": [{"aid": 525, "ts": 1436161089324, "type": "clicks"}]}\n'
    ),
    "Amazon's reviews": b'user_id,parent_asin,rating,timestamp\nAE1081,B0507,5.0,1433268643430\n',
    "REES46's events": (
        b'event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n'
        b'2015-06-02 18:10:43 UTC,view,507,205,home.lamp,acme,12.50,1081,5f-1\n'
    ),
    "H&M's transactions": (
        b't_dat,customer_id,article_id,price,sales_channel_id\n2015-06-02,00ab12,0507,0.05,2\n'
    ),
    "Coveo's events": (
        b'session_id_hash,event_type,product_action,product_skus_hash,server_timestamp_epoch_ms,hashed_url\n'
        b'00ab12,event_product,detail,cd34,1433268643430,ef56\n'
    ),
}


@pytest.mark.parametrize('files, given, promised', [c[1:] for c in SHAPES], ids=[c[0] for c in SHAPES])
def test_shape(tmp_path, record, request, files, given, promised):
    "One log in many wrappings: read with every row, or one sentence that says what to do."
    shop, cache = tmp_path / 'shop', tmp_path / 'cache'
    for name, content in files.items():
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_bytes(content)
    path = shop / given
    for attempt in ('read', 'from the cache'):
        with watched(tmp_path, cache) as cost:
            if not isinstance(promised, str):
                log, report = read_log(path, cache)
                events, items = promised if isinstance(promised, tuple) else (promised, 4)
                found = len(log), log.itemid.nunique(), log.event.eq('transaction').sum()
                assert found == (events, items, 24), attempt
                assert log.timestamp.astype('int64').tolist()[:2] == [1_430_003_600_000, 1_430_007_200_000]
                if holds_properties(path):
                    assert len(read_categories(path, cache).snapshots) == 4
            else:
                with pytest.raises(DataError) as error:
                    read_log(path, cache)
                assert fnmatchcase(str(error.value), promised), str(error.value)
                assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400
    record(
        'archives',
        f'a shape: {request.node.callspec.id}',
        cases=1,
        loaded=int(not isinstance(promised, str)),
        refused=int(isinstance(promised, str)),
        slowest_seconds=round(cost.seconds, 3),
        peak_mb=round(cost.megabytes),
    )


@pytest.mark.parametrize('how', ['the file itself', 'in a folder', 'called events.csv', 'as a gzip'])
@pytest.mark.parametrize('what', OTHERS)
def test_another_data_set(tmp_path, what, how):
    "Another data set is read, whatever it is called."
    shop = tmp_path / 'shop'
    shop.mkdir()
    name = 'events.csv' if how == 'called events.csv' else 'data.csv.gz' if how == 'as a gzip' else 'data.txt'
    (shop / name).write_bytes(gzip.compress(OTHERS[what]) if how == 'as a gzip' else OTHERS[what])
    log, report = read_log(shop if 'folder' in how or 'events' in how else shop / name)
    assert report.layout and report.layout in what.replace("'s", '') and len(log) == report.rows == 1
    assert log.timestamp[0].date().isoformat() == ('2015-07-06' if 'OTTO' in what else '2015-06-02')


def test_one_fingerprint(tmp_path):
    """However a log is wrapped, it is the same log;
    a change of one byte or of what its events are called is another."""
    found = {}
    for name, content in {
        'plain/events.csv': GOOD[E],
        'packed/events.csv.gz': gzip.compress(GOOD[E]),
        'other.csv': GOOD[E],
        'deep/a/b/events.csv': GOOD[E],
        'archive.zip': pack(*BACK[:1]),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
        found[name] = fingerprint(open_source(tmp_path / name.split('/')[0]), E)
    assert len(set(found.values())) == 1, found
    (tmp_path / 'other.csv').write_bytes(GOOD[E] + b'\n')
    assert (
        fingerprint(open_source(tmp_path / 'other.csv'), E)
        != found['other.csv']
        != fingerprint(open_source(f'{tmp_path}/plain?events=view=none'), E)
    )
