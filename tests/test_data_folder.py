"""The data folder on bad days: a full disk, no permission, damaged and planted files;
and text of a log that would like to be code."""

import os
import pickle
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_nb.data import DataError, read_categories, read_log
from recsys_nb.files import write_parquet
from recsys_nb.sources import open_data
from test_bad_input import E, GOOD, P, T0, flip
from watch import watched

ROOT = Path(__file__).parent.parent


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / 'shop'
    path.mkdir()
    for n, b in GOOD.items():
        (path / n).write_bytes(b)
    return path


def same(path, cache, truth):
    log, report = read_log(path, cache)
    categories = read_categories(path, cache)
    pd.testing.assert_frame_equal(log, truth[0])
    assert report == truth[1]
    pd.testing.assert_frame_equal(categories.snapshots, truth[2].snapshots)
    assert categories.parent == truth[2].parent and categories.notes == truth[2].notes


def truth(path):
    return *read_log(path), read_categories(path)


# where nothing can be kept


def as_file(cache):
    cache.write_text('not a folder')


def as_folders(cache):  # a folder stands where the file must go
    read_log(cache.parent / 'shop', cache)
    read_categories(cache.parent / 'shop', cache)
    for p in list(cache.iterdir()):
        p.unlink()
        p.mkdir()
        (p / 'x').write_text('x')


@pytest.mark.parametrize(
    'spoil', [as_file, as_folders], ids=['a file in its place', 'folders in the place of its files']
)
def test_cache_that_cannot_be(tmp_path, shop, record, spoil):
    spoil(tmp_path / 'cache')
    expected = truth(shop)
    with pytest.warns(UserWarning, match='cannot keep what was read .* read anew each time'):
        same(shop, tmp_path / 'cache', expected)
    record('resources', f'cache: {spoil.__name__.replace("_", " ")}', cases=1)


def mount(folder, *options):
    folder.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', *options, 'tmpfs', folder], capture_output=True).returncode:
        pytest.skip('no file system can be mounted here')


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / 'disk'
    mount(disk, '-o', 'size=64k')
    yield disk
    subprocess.run(['mount', '-o', 'remount,rw', disk], capture_output=True)
    subprocess.run(['umount', disk], check=True)


@pytest.mark.parametrize('pages', [0, 1])
def test_full_disk(small_disk, shop, record, pages):
    """The cache lies on a disk with no room, or with room for its first file:
    the log is read, nothing half-written stays."""
    (small_disk / 'filler').write_bytes(b'x' * ((64 << 10) - pages * 4096))
    expected = truth(shop)
    cache = small_disk / 'cache'
    with pytest.warns(UserWarning, match='No space left on device'):
        same(shop, cache, expected)
    assert len([*cache.iterdir()]) == pages and not any(p.name.startswith('.') for p in cache.iterdir())
    (small_disk / 'filler').unlink()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        same(shop, cache, expected)
    assert len([*cache.iterdir()]) == 2
    record('resources', f'cache on a full disk, {4 * pages} kB left', cases=1)


def test_read_only_disk(small_disk, shop, record):
    expected = truth(shop)
    subprocess.run(['mount', '-o', 'remount,ro', small_disk], check=True)
    with pytest.warns(UserWarning, match='Read-only file system'):
        same(shop, small_disk / 'cache', expected)
    record('resources', 'cache on a read-only disk', cases=1)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_no_permission(record):
    "For a user who may not read the log, or read it but not write beside it."
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        shop = folder / 'shop'
        shop.mkdir()
        for n, b in GOOD.items():
            (shop / n).write_bytes(b)
        expected = truth(shop)
        os.seteuid(65534)
        with pytest.warns(UserWarning, match='Permission denied'):
            same(shop, folder / 'cache', expected)
        for path, mode, message in (
            (shop / E, 0, 'shop: events.csv cannot be read .Permission denied.'),
            (shop, 0o700, 'cannot be opened .Permission denied.|cannot be seen .Permission denied.'),
            (folder, 0o700, 'cannot be opened .Permission denied.'),
        ):
            os.seteuid(0)
            path.chmod(mode)
            os.seteuid(65534)
            with pytest.raises(DataError, match=message):
                read_log(shop)
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)
    record('resources', 'a user without permission', cases=4)


def limited(code, *arguments, size):
    "Run Python with a limit on the size of files: as real as a full disk, and needs no mount."

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, '-W', 'always', '-c', code, *map(str, arguments)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=100,
    )


def test_no_room_and_no_permission(tmp_path, shop, record):
    "Files of at most 1,000 bytes, for a real log and for a simulated one: a warning, and one sentence."
    code = '''
import sys, os
from pathlib import Path
from recsys_nb.data import read_log, DataError
from recsys_nb.sources import load_log
folder = Path(sys.argv[1])
print(len(read_log(folder/'shop', folder/'cache')[0]))
os.chdir(folder)
try: load_log('simulated:visitors=300,items=50,days=20')
except DataError as e: print(e)
'''
    done = limited(code, tmp_path, size=1000)
    assert done.returncode == 0, done.stderr
    events, sentence = done.stdout.splitlines()
    assert events == '120' and 'cannot keep what was read' in done.stderr and 'Traceback' not in done.stderr
    assert (
        'simulated:visitors=300,items=50,days=20 cannot be written' in sentence
        and 'File too large' in sentence
    )
    assert [*(tmp_path / 'cache').iterdir()] == [] and [*(tmp_path / 'data').iterdir()] == []
    record('resources', 'files of at most 1,000 bytes', cases=2)


def test_data_folder_that_cannot_be(tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').write_text('a file')
    with pytest.raises(
        DataError,
        match='simulated:tiny cannot be written to data .*expected a folder with room and permission',
    ):
        open_data('simulated:tiny')
    record('resources', 'a file in the place of the data folder', cases=1)


def test_study_of_a_damaged_archive(tmp_path, monkeypatch, record):
    "A study says in one sentence what is wrong with a file that it has not read yet."
    from recsys_nb.parameters import StudyError
    from recsys_nb.events import describe_data

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'archive.zip').write_bytes(flip(P)(GOOD))
    with pytest.raises(StudyError, match='archive.zip: item_properties_part1.csv is damaged'):
        describe_data('archive.zip')
    record('archives', 'a study of an archive with damaged properties', cases=1, refused=1)


def test_changed_while_read(shop, tmp_path, record):
    "A download that still grows is not kept under the name of what it was."
    row = f'{T0},1,view,10,\n' * 20_000
    with open(shop / E, 'a') as f:
        f.write(row)
    stop = threading.Event()

    def grow():
        with open(shop / E, 'a', buffering=1) as f:
            while not stop.is_set():
                f.write(f'{T0},1,view,10,\n')

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(DataError, match='shop changed while it was read'):
            read_log(shop, tmp_path / 'cache')
    finally:
        stop.set()
        writer.join()
    assert not (tmp_path / 'cache').exists()
    record('resources', 'a log that grows while it is read', cases=1)


# what is in the cache


class Evil:
    def __reduce__(self):
        return os.system, ('touch ' + os.environ['EVIL'],)


@pytest.fixture
def evil(tmp_path, monkeypatch):
    "A pickle that leaves a mark where it is loaded; it must not."
    mark = tmp_path / 'mark'
    monkeypatch.setenv('EVIL', str(mark))
    content = pickle.dumps(Evil())
    pickle.loads(content)
    assert mark.exists(), 'the test itself is harmless'
    mark.unlink()
    yield content
    assert not mark.exists(), 'a pickle was loaded'


def kept(shop, cache):
    read_log(shop, cache)
    read_categories(shop, cache)
    (log,) = cache.glob('log-*')
    (categories,) = cache.glob('categories-*')
    return log, categories


def parquet(df, path, **meta):
    write_parquet(df, path, **meta)
    return path.read_bytes()


def with_meta(b, path, change):
    table = pq.read_table(pa.BufferReader(b))
    pq.write_table(table.replace_schema_metadata(change(dict(table.schema.metadata))), path)
    return path.read_bytes()


def array(x, path):
    np.save(path, np.array([x], object), allow_pickle=True)
    return Path(f'{path}.npy').read_bytes()


def archive(x, path):
    np.savez(path, x=np.array([x], object))
    return Path(f'{path}.npz').read_bytes()


def frame(x, path):
    pd.to_pickle(pd.DataFrame({'a': [x]}), path)
    return Path(path).read_bytes()


def extension(x, path):
    "What old versions of Arrow unpickled: an extension type whose metadata is a pickle."
    field = pa.field(
        'timestamp',
        pa.int64(),
        metadata={
            'ARROW:extension:name': 'arrow.py_extension_type',
            'ARROW:extension:metadata': pickle.dumps(x),
        },
    )
    pq.write_table(pa.table([pa.array([1])], schema=pa.schema([field])), path)
    return Path(path).read_bytes()


def test_planted_pickles(tmp_path, shop, evil, record):
    "Under the names of the cache, as whatever might be unpickled; and in the place of every file of the log."
    expected, cache, spare = truth(shop), tmp_path / 'cache', tmp_path / 'spare'
    planted = [evil, *(f(Evil(), spare) for f in (array, archive, frame, extension))]
    log, categories = kept(shop, cache)
    for content in planted:
        for path in (log, categories):
            path.write_bytes(content)
        with watched(tmp_path, cache):
            same(shop, cache, expected)
    for content in planted:
        for name in GOOD:
            (shop / name).write_bytes(content)
            with watched(tmp_path, cache), pytest.raises(DataError):
                read_log(shop, cache)
                read_categories(shop, cache)
            (shop / name).write_bytes(GOOD[name])
    (tmp_path / 'archive.zip').write_bytes(evil)
    with watched(tmp_path, cache), pytest.raises(DataError):
        read_log(tmp_path / 'archive.zip', cache)
    for name in ('vocabulary.npy', 'log.pkl', 'events.pkl', 'sitecustomize.py', 'events.csv.pkl'):
        (shop / name).write_bytes(evil)
        (cache / name).write_bytes(evil)
    same(shop, cache, expected)
    record(
        'intruders', 'pickles planted in the cache and in the log', cases=len(planted) * (len(GOOD) + 2) + 2
    )


def test_damaged_cache(tmp_path, shop, record):
    """Truncated, garbage, another schema, another log, the right shape with other numbers:
    made again, never trusted."""
    expected, cache, spare = truth(shop), tmp_path / 'cache', tmp_path / 'spare'
    log, categories = kept(shop, cache)
    other = tmp_path / 'other'
    shutil.copytree(shop, other)
    (other / E).write_bytes(GOOD[E].replace(b',10,', b',11,'))
    (other / P).write_bytes(GOOD[P].replace(b'categoryid,5', b'categoryid,6'))
    theirs = dict(zip((log, categories), (p.read_bytes() for p in kept(other, tmp_path / 'cache2'))))
    cases = 0
    for path, df in ((log, expected[0]), (categories, expected[2].snapshots)):
        good = path.read_bytes()
        swap = {k.encode(): v.encode() for k, v in dict(about='{}', checksum='0' * 64).items()}
        wrong = [
            b'',
            b'PAR1',
            b'PAR1' * 9,
            good[:100],
            good[:-1],
            good[1:],
            good[:-8] + b'\xff\xff\xff\x7fPAR1',
            good + b'x',
            random.Random(0).randbytes(5000),
            GOOD[E],
            theirs[path],
            parquet(df.assign(itemid=1), spare),
            parquet(df.drop(columns='timestamp'), spare),
            parquet(df[:5], spare),
            parquet(df.assign(x=1), spare),
            parquet(pd.DataFrame({'a': ['x']}), spare),
            with_meta(good, spare, lambda m: m | swap),
            with_meta(good, spare, lambda m: {}),
            with_meta(good, spare, lambda m: m | {b'about': b'not json'}),
            with_meta(
                good,
                spare,
                lambda m: (
                    m | {b'about': m[b'about'].replace(b'"duplicates": 0', b'"duplicates": 9')}
                    if path == log
                    else {}
                ),
            ),
            with_meta(
                parquet(df.assign(itemid=1), spare),
                spare,
                lambda m: pq.read_schema(pa.BufferReader(good)).metadata,
            ),
        ]
        if path == log:  # the same values, said to be in an order
            ordered = df.assign(event=df.event.cat.as_ordered())
            own = pq.read_schema(pa.BufferReader(good)).metadata
            wrong.append(with_meta(parquet(ordered, spare), spare, lambda m: own))
        for content in wrong:
            path.write_bytes(content)
            with watched(tmp_path, cache):
                same(shop, cache, expected)
            assert path.read_bytes() == good, 'it was not made again'
        cases += len(wrong)
    record('bad input', 'damaged and foreign files in the cache', cases=cases, loaded=cases)


@pytest.mark.parametrize('flips', [40, pytest.param(3000, marks=pytest.mark.torture)])
def test_flipped_bits_in_the_cache(tmp_path, shop, record, flips):
    """One bit anywhere:
    the same log comes out, from the cache where the bit does not matter, anew where it does."""
    expected, cache, draw = truth(shop), tmp_path / 'cache', random.Random(1)
    made_again = 0
    for path in kept(shop, cache):
        good = path.read_bytes()
        for at in draw.sample(range(len(good) * 8), min(flips, len(good) * 8)):
            b = bytearray(good)
            b[at // 8] ^= 1 << at % 8
            path.write_bytes(bytes(b))
            same(shop, cache, expected)
            made_again += path.read_bytes() == good
            path.write_bytes(good)
    record(
        'bad input',
        f'one bit flipped in a cached file, {flips} times each',
        cases=2 * flips,
        loaded=2 * flips,
        made_again=made_again,
    )
    assert made_again > flips / 2


def test_pipe_in_the_cache(tmp_path, shop, record):
    expected, cache = truth(shop), tmp_path / 'cache'
    for p in kept(shop, cache):
        p.unlink()
        os.mkfifo(p)
    with watched(tmp_path, cache):
        same(shop, cache, expected)
    target = tmp_path / 'target'
    target.write_text('precious')
    for p in kept(shop, cache):
        p.unlink()
        p.symlink_to(target)
    with watched(tmp_path, cache):
        same(shop, cache, expected)
    assert target.read_text() == 'precious', 'a link led the cache outside'
    record('intruders', 'pipes and links planted in the cache', cases=4)


def test_cache_is_used(tmp_path, shop):
    "All this is worth nothing if the cache is never read."
    log, _ = kept(shop, tmp_path / 'cache')
    before = log.stat().st_mtime_ns
    read_log(shop, tmp_path / 'cache')
    assert log.stat().st_mtime_ns == before


@pytest.mark.parametrize('delays', [4, pytest.param(60, marks=pytest.mark.torture)])
def test_killed_while_the_cache_is_written(tmp_path, record, delays):
    "Readers that are killed at any moment: what they leave is whole or not there."
    shop = tmp_path / 'shop'
    shop.mkdir()
    (shop / E).write_bytes(
        GOOD[E] + b''.join(b'%d,%d,view,%d,\n' % (T0 + i, i, i % 97) for i in range(50_000))
    )
    expected, cache = read_log(shop), tmp_path / 'cache'
    whole, left = 0, 0
    for delay in np.linspace(0.01, 0.15, delays):
        shutil.rmtree(cache, ignore_errors=True)
        child = os.fork()
        if not child:
            try:
                read_log(shop, cache)
            finally:
                os._exit(0)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = [*cache.iterdir()] if cache.exists() else []
        whole += any(not p.name.startswith('.') for p in found)
        left += any(p.name.startswith('.') for p in found)
        log, report = read_log(shop, cache)
        pd.testing.assert_frame_equal(log, expected[0])
        assert report == expected[1]
    record(
        'crash points',
        'while a log is read and kept',
        cases=delays,
        whole=whole,
        half_written_and_ignored=left,
    )


# text that would like to be code

EVIL = [
    '<script>alert(1)</script>',
    '=1+1',
    '@SUM(A1)',
    '+cmd|x',
    '-2+3',
    '"><img src=x onerror=alert(1)>',
    '{{7*7}}',
    '[/bold]',
    '$(touch x)',
    '\x1b[2J',
    '`touch x`',
    '<!--',
    ']]>',
    '\u202e',
]


MANY = 700  # ordinary rows, so that the others are strays


def quote(text):
    "As a field of a CSV file."
    return '"' + text.replace('"', '""') + '"'


def evil_log(path):
    rows = [f'{T0 + i},{i},{quote(t)},10,{quote(t)}' for i, t in enumerate(EVIL)] + [
        f'{T0},1,transaction,10,{quote(t)}' for t in EVIL
    ]
    rows += [f'{T0 + i},{1000 + i},view,10,' for i in range(MANY)]
    (path / E).write_text(GOOD[E].decode() + '\n'.join(rows) + '\n', encoding='utf-8')
    (path / P).write_text(
        GOOD[P].decode() + ''.join(f'{T0},10,{quote(a)},{quote(b)}\n' for a in EVIL for b in EVIL),
        encoding='utf-8',
    )


def test_evil_text_page(tmp_path, shop, record):
    "The page of 00_data for a log with code in every field of text: all of it is shown as text."
    evil_log(shop)
    log, report = read_log(shop, tmp_path / 'cache')
    assert (
        report.unknown_events
        and sum(report.unknown_events.values()) == len(EVIL)
        and report.rows == 120 + 2 * len(EVIL) + MANY
        and report.events == 120 + len(EVIL) + MANY
    )
    assert not any(c in report.notes[0] for c in '\x1b\u202e'), 'what moves a cursor or turns a line around'
    study = tmp_path / 'study'
    study.mkdir()
    done = papermill.execute_notebook(
        str(ROOT / 'nbs/00_data.ipynb'),
        str(study / '00_data.ipynb'),
        parameters=dict(data=str(shop), out=str(study)),
        cwd=str(ROOT / 'nbs'),
        kernel_name='python3',
        progress_bar=False,
    )
    tables = [
        o.data['text/html']
        for c in done.cells
        for o in c.get('outputs', [])
        if 'text/html' in o.get('data', {})
    ]
    assert any('&lt;script&gt;alert(1)' in t for t in tables), (
        'the note with the event names is nowhere on the page'
    )
    for t in tables:
        assert '<script>alert' not in t and '<img src=x' not in t
    record('intruders', 'a log with code in every field of text', cases=len(EVIL) * 4)


def test_nothing_unpickles(record):
    """What the library could load as code, it does not:
    no pickle, no array of objects, no checkpoint with more than numbers, no evaluated text."""
    bad = re.compile(
        r'\b(import|from) (pickle|dill|joblib|shelve|marshal)\b|read_pickle|allow_pickle=True|'
        r'weights_only=False|torch\.load\((?!.*weights_only=True)|yaml\.(unsafe_)?load\(|(?<![\w.])(eval|exec)\('
    )
    # a rule between parameters, from the cells of a notebook that runs next anyway
    ours = 'eval(python_of(rule)'
    found = [
        f'{p.name}: {line.strip()}'
        for p in sorted((ROOT / 'recsys_nb').glob('*.py'))
        for line in p.read_text().splitlines()
        if bad.search(line) and ours not in line
    ]
    assert not found
    record('intruders', 'library searched for what loads code', cases=1)
