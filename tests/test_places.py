"""Where things are and what a terminal shows: another shop's events, events that were moved,
terminals of any encoding, places that are read-only, missing or somebody else's, a wheel."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import webbrowser
import zipfile
from pathlib import Path

import pytest
from studies import BIN, ROOT, command, install_wheel, one_sentence, recsys, toys
from test_resources import read_only

from recsys_nb.kernel import Execution

ASK = ('run', '--profile', 'tiny', '--only', '10_baselines')
CYRILLIC, SHOP = 'исследование-é', 'мои данные é'
DAY = 86_400_000
COMPARISON = 'protocol,slice,model,metric,k,value,low,high,n\nnext-item,all,Popularität,HitRate,10,0.5,,,9\n'


def events(visitors):
    "A small log: each visitor looks at an item a day for seven weeks."
    rows = [
        f'{1_433_221_332_117 + DAY * day + visitor},{visitor},view,{1 + (visitor + day) % 5},'
        for day in range(49)
        for visitor in range(visitors)
    ]
    return '\n'.join(['timestamp,visitorid,event,itemid,transactionid', *rows, ''])


def archive(path, visitors):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('events.csv', events(visitors))
    return path


def over(notebook, output, values, error=None):
    "A notebook whose kernel is gone."
    execution = Execution(notebook, Path(output), values, cell=1, error=error)
    execution.over.set()
    return execution


def fake_start(notebook, output, values, *_):
    "A notebook's result without its kernel: how many lines its log has."
    source = Path(values['data'])
    log = (
        zipfile.ZipFile(source).read('events.csv')
        if source.is_file()
        else (source / 'events.csv').read_bytes()
    )
    folder = Path(values['out']) / 'results' / notebook.removesuffix('.ipynb')
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'metrics.json').write_text(json.dumps(dict(lines=len(log.splitlines()))))
    (Path(values['out']) / 'comparison.csv').write_text(COMPARISON, encoding='utf-8')
    shutil.copy(notebook, output)
    return over(notebook, output, values)


@pytest.fixture
def quick(monkeypatch):
    "Notebooks end at once, and no browser opens."
    monkeypatch.setattr('recsys_nb.study.start', fake_start)
    monkeypatch.setattr(webbrowser, 'open', lambda url: True)
    monkeypatch.setattr('typer.launch', lambda url: 0)


@pytest.fixture
def place(tmp_path, quick):
    "An empty project of toys."
    folder = toys(tmp_path / 'project', data=None)
    (folder / 'data').mkdir()
    return folder


def typed(folder, *arguments, encoding='utf-8'):
    "A command in this process, on a terminal of that encoding: status, standard output, standard error."
    from recsys_nb.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    err = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors='backslashreplace')
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr(sys, 'argv', ['recsys-nb', *arguments])
        patch.setattr(sys, 'stdout', out)
        patch.setattr(sys, 'stderr', err)
        try:
            main()
            status = 0
        except SystemExit as e:
            status = e.code
        out.flush()
        err.flush()
    return status, *(stream.buffer.getvalue().decode(encoding) for stream in (out, err))


def refused(done, *words, status=2):
    "One sentence, nothing else."
    assert done[0] == status and done[2].count('\n') == 1 and done[2].startswith('recsys-nb: '), done
    for word in words:
        assert word in done[2], done


def manifest_of(study):
    return json.loads((study / 'manifest.json').read_text())


# another shop's events


def test_another_shop_never_replaces_a_study(place):
    """Two files of one name are two studies;
    nothing of the first is touched, by its default name or by the one that was typed."""
    one, two = archive(place / 'one' / 'archive.zip', 30), archive(place / 'two' / 'archive.zip', 31)
    assert typed(place, *ASK, '--data', str(one))[0] == 0
    study = place / 'reports' / 'archive'
    before = {p: p.read_bytes() for p in study.rglob('*') if p.is_file()}
    for more in ((), ('--study', 'archive'), ('--force',)):
        refused(
            typed(place, *ASK, '--data', str(two), *more),
            'one/archive.zip, 1,470 events of 30 visitors',
            '--study NAME',
            '--replace',
        )
    refused(
        typed(place, *ASK, '--data', 'simulated:visitors=30,items=20,days=28', '--study', 'archive'),
        'one/archive.zip',
    )
    assert {p: p.read_bytes() for p in study.rglob('*') if p.is_file()} == before
    assert typed(place, *ASK, '--data', str(two), '--study', 'two')[0] == 0
    assert typed(place, *ASK, '--data', str(two), '--replace')[0] == 0
    assert (
        manifest_of(study)['data']['events'] == 31 * 49
        and '1520' in (study / 'results' / '10_baselines' / 'metrics.json').read_text()
    )


def test_a_log_that_grew_is_run_again(place):
    "The same file with more events, as a shop writes it every week: a line says so."
    shop = archive(place / 'shop' / 'archive.zip', 30)
    assert typed(place, *ASK, '--data', str(shop))[0] == 0
    archive(shop, 33)
    status, out, _ = typed(place, *ASK, '--data', str(shop))
    assert (
        status == 0
        and 'are others than at the last run: 1,617, they were 1,470.' in out
        and 'changed: the events' in out
    ), out


def test_a_study_without_results_has_nothing_to_lose(place, monkeypatch):
    monkeypatch.setattr('recsys_nb.study.start', lambda *asked: over(*asked[:3], error=ValueError('none')))
    assert typed(place, *ASK, '--data', str(archive(place / 'one' / 'archive.zip', 30)))[0] == 1
    monkeypatch.setattr('recsys_nb.study.start', fake_start)
    assert typed(place, *ASK, '--data', str(archive(place / 'two' / 'archive.zip', 31)))[0] == 0


# events that were moved


def test_moved_events_are_found_again(place):
    """Nothing runs again, and everything that names the place names the new one:
    manifest, command, parameters, pages, verify."""
    archive(place / 'before' / 'archive.zip', 30)
    for name in ('10_baselines', '11_als'):
        assert (
            typed(
                place,
                'run',
                '--profile',
                'tiny',
                '--study',
                's',
                '--only',
                name,
                '--data',
                'before/archive.zip',
            )[0]
            == 0
        )
    (place / 'before').rename(place / 'after')
    again = 'recsys-nb run --profile tiny --study s --data PLACE'
    elsewhere = 'recsys-nb demo --study s --data PLACE'
    for arguments, says in (
        (('verify', 's'), again),
        (('demo', '--study', 's'), elsewhere),
        (('demo', '--study', 's', '--time'), elsewhere),
    ):
        refused(typed(place, *arguments), 'before/archive.zip', says)
    for arguments in (('runs',), ('open', 's'), ('render', 's')):
        assert typed(place, *arguments)[0] == 0
    status, out, _ = typed(place, *ASK, '--study', 's', '--data', 'after/archive.zip')
    assert (
        status == 0
        and 'The same events as before, now from after/archive.zip.' in out
        and '10_baselines  skipped' in out
    ), out
    study = place / 'reports' / 's'
    assert 'before/archive.zip' not in ''.join(
        p.read_text() for p in [study / 'manifest.json', *study.glob('*.html')]
    )
    assert [e['parameters']['data'] for e in manifest_of(study)['notebooks'].values()] == [
        '../after/archive.zip'
    ] * 2
    assert '--data after/archive.zip --only 11_als' in manifest_of(study)['command'], (
        'the command is that of the last run that ran something'
    )
    status, out, _ = typed(place, 'verify', 's')
    assert status == 0 and '3 of 3 files of results are the same' in out, out


def test_from_a_folder_to_a_zip_and_back(place):
    "The same events in another form, and in a place that no relative path leads to."
    archive(place / 'a' / 'shop.zip', 30)
    (place / 'b').mkdir()
    (place / 'b' / 'events.csv').write_text(events(30))
    for data in ('a/shop.zip', 'b', 'a/shop.zip'):
        assert typed(place, *ASK, '--study', 's', '--data', data)[0] == 0
        assert manifest_of(place / 'reports' / 's')['data']['source'] == f'../{data}'


# terminals


@pytest.fixture(scope='module')
def foreign(tmp_path_factory):
    "Two studies with names, events and models that few encodings have."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('recsys_nb.study.start', fake_start)
        folder = toys(tmp_path_factory.mktemp('foreign'), data=None)
        (folder / SHOP).mkdir()
        (folder / SHOP / 'events.csv').write_text(events(30))
        for study in (CYRILLIC, 'two'):
            assert typed(folder, *ASK, '--study', study, '--data', SHOP)[0] == 0
    return folder


COMMANDS = [  # command, what it says in ASCII
    ((*ASK, '--study', CYRILLIC, '--data', SHOP), '10_baselines  skipped'),
    ((*ASK, '--study', 'two', '--data', SHOP, '--force', '--verbose'), 'done in'),
    (('runs',), '1 done'),
    (('open', CYRILLIC), 'index.html'),
    (('render', CYRILLIC), '1 page and'),
    (('diff', CYRILLIC, 'two'), 'HitRate@10 of next-item'),
    (('diff', 'two', CYRILLIC, '--all'), 'not tested'),
    (('verify', CYRILLIC), 'byte for byte'),
    (('--help',), 'Usage'),
    (('run', '--help'), '--replace'),
    (('demo', '--help'), '--port'),
    (('fetch', '--help'), '--dest'),
]
REFUSED = [
    (*ASK, '--study', 'ж ж'),
    (*ASK, '--data', 'нет'),
    (*ASK, '-p', 'число=1'),
    ('run', '--only', 'ё'),
    ('open', 'нет'),
    ('verify', 'нет'),
    ('diff', 'нет', 'two'),
    ('render', 'нет'),
    ('demo', '--study', 'нет'),
    ('нет',),
    ('run', '--нет'),
]


@pytest.mark.parametrize(
    'encoding',
    [
        'ascii',
        'latin-1',
        *(
            pytest.param(e, marks=pytest.mark.torture)
            for e in ('utf-8', 'cp1251', 'cp437', 'shift_jis', 'utf-16')
        ),
    ],
)
def test_every_command_on_every_terminal(foreign, quick, encoding, record):
    "What a terminal cannot show is replaced, and nothing else changes."
    for arguments, said in COMMANDS:
        status, out, err = typed(foreign, *arguments, encoding=encoding)
        assert status == 0 and said in out and not err, (arguments, status, out, err)
    for arguments in REFUSED:
        refused(typed(foreign, *arguments, encoding=encoding))
    record('parameters', f'every command on a terminal of {encoding}', tried=len(COMMANDS) + len(REFUSED))


def test_a_terminal_of_ascii_shows_what_looks_alike(foreign, quick):
    "A dash for a dash, and the table keeps its columns."
    lines = typed(foreign, *COMMANDS[0][0], encoding='ascii')[1].splitlines()
    row = next(line for line in lines if 'Popularit' in line)
    assert (
        row.split('|')[1:4] == [' Popularit?t ', ' 9       ', ' 0.5000     ']
        and row.split('|')[4].strip() == '-'
    ), lines


@pytest.mark.parametrize(
    'settings',
    [
        dict(PYTHONIOENCODING='latin-1'),
        pytest.param(dict(LC_ALL='C'), marks=pytest.mark.torture),
        pytest.param(dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0'), marks=pytest.mark.torture),
    ],
    ids=lambda s: ' '.join(s),
)
def test_terminals_of_their_own(foreign, settings):
    "The same with a process of its own."
    done = command(foreign, 'runs', env=settings, encoding='latin-1')
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0 and '1 done' in out and not err, out + err


@pytest.mark.torture
def test_no_output_at_all(foreign):
    "Standard output that is closed, full, or read to its first line."
    for redirect, status in (('>&-', 0), ('> /dev/full', 1), ('| head -1', 0)):
        done = recsys(foreign, '-c', f'recsys-nb runs {redirect}', program=('sh',))
        assert done.returncode == status and done.stderr.count('\n') == status, done.stderr


# places that are read-only, missing, or somebody else's


def test_read_only_reports(foreign, quick):
    with read_only(foreign, 'reports'):
        for arguments in (
            ('diff', CYRILLIC, 'two'),
            ('render', 'two'),
            (*ASK, '--study', 'two', '--data', SHOP),
            (*ASK, '--study', 'new', '--data', SHOP),
        ):
            refused(typed(foreign, *arguments), 'Read-only file system', status=1)
        for arguments in (('runs',), ('open', 'two'), ('verify', 'two')):
            assert typed(foreign, *arguments)[0] == 0


def test_read_only_project(place):
    with read_only(place.parent, place.name), pytest.MonkeyPatch.context() as patch:
        patch.setattr('recsys_nb.cli.make_readme', lambda root, notebook: 'text')
        refused(typed(place, 'readme'), 'Read-only file system', 'README.md', status=1)
        refused(typed(place, 'fetch'), 'nothing can be written into')
        refused(typed(place, *ASK), 'Read-only file system', status=1)


def test_missing_places(place, monkeypatch):
    "No reports, a study without its first page, an index notebook that is missing or fails, no notebooks."
    assert typed(place, 'runs') == (0, 'No study was run yet: recsys-nb run makes one.\n', '')
    for arguments in (
        ('open', 'x'),
        ('verify', 'x'),
        ('render', 'x'),
        ('diff', 'x', 'y'),
        ('demo', '--study', 'x'),
    ):
        refused(typed(place, *arguments), 'there is no study x: there is none')
    archive(place / 'a' / 'shop.zip', 30)
    assert typed(place, *ASK, '--data', 'a/shop.zip')[0] == 0
    (place / 'reports' / 'shop' / 'index.html').unlink()
    refused(typed(place, 'open', 'shop'), 'recsys-nb render shop writes it')
    (place / 'nbs' / 'index.ipynb').unlink()
    refused(typed(place, 'readme'), str(place), 'has no nbs/index.ipynb')
    (place / 'nbs' / '10_baselines.ipynb').rename(place / 'nbs' / 'away')
    refused(typed(place, 'verify', 'shop'), 'there is nothing to compare')
    for path in (place / 'nbs').glob('*.ipynb'):
        path.unlink()
    refused(typed(place, *ASK), f'{place} was taken as the project, and has no notebooks in nbs')


@pytest.mark.torture
def test_a_readme_that_fails(place):
    (place / 'nbs' / 'index.ipynb').write_text(
        (ROOT / 'nbs' / 'index.ipynb').read_text().replace('from recsys_nb.summary', 'from no_such_module')
    )
    refused(typed(place, 'readme'), 'nbs/index.ipynb fails: ModuleNotFoundError')


EVERY = [
    ASK,
    ('runs',),
    ('verify', 'x'),
    ('open', 'x'),
    ('render', 'x'),
    ('diff', 'x', 'y'),
    ('demo',),
    ('demo', '--time'),
    ('readme',),
    ('fetch',),
]


@pytest.fixture
def theirs(tmp_path):
    "Another nbdev project."
    (tmp_path / 'theirs' / 'nbs').mkdir(parents=True)
    (tmp_path / 'theirs' / 'settings.ini').write_text('[DEFAULT]\nlib_name = theirs\nnbs_path = nbs\n')
    (tmp_path / 'theirs' / 'nbs' / '00_core.ipynb').write_text('{"cells": []}')
    return tmp_path / 'theirs'


@pytest.mark.parametrize('where', ['.', 'nbs', '..'])
def test_installed_without_notebooks(theirs, tmp_path, monkeypatch, where):
    """As from a wheel, in another project or in none:
    every command says what it looked for and where, and writes nothing."""
    monkeypatch.setattr('recsys_nb.places.package_root', lambda: tmp_path / 'site-packages')
    before = sorted(tmp_path.rglob('*'))
    for arguments in EVERY:
        refused(
            typed(theirs / where, *arguments),
            str((theirs / where).resolve()),
            'site-packages',
            'needs a checkout',
        )
    for arguments in (('--help',), ('run', '--help')):
        assert typed(theirs / where, *arguments)[0] == 0
    assert sorted(tmp_path.rglob('*')) == before


def test_a_checkout_in_another_project(theirs, place):
    "The nearest project that is ours counts; one that is not around the current folder is named."
    from recsys_nb.places import find_root, package_root

    shutil.move(place, theirs / 'vendor')
    assert (
        find_root(theirs / 'vendor' / 'nbs') == (theirs / 'vendor').resolve()
        and find_root(theirs) == package_root()
    )
    status, _, err = typed(theirs, 'runs')
    assert status == 0 and err == f'recsys-nb: the project is {package_root()}\n'
    assert typed(theirs / 'vendor', 'runs')[2] == ''


def test_no_completion_is_no_sentence(theirs, tmp_path):
    "The shell asks while somebody types: where there is nothing to name, it is told nothing."
    done = subprocess.run(
        [str(BIN / 'recsys-nb')],
        cwd=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ
        | {'_RECSYS_NB_COMPLETE': 'complete_bash', 'COMP_WORDS': 'recsys-nb open no-such', 'COMP_CWORD': '2'},
    )
    assert done.stdout.split() == [] and done.stderr == ''


def test_a_system_without_fcntl():
    "Windows: one sentence, no traceback; the library can be imported."
    code = (
        "import sys; sys.modules['fcntl'] = None; sys.argv = ['recsys-nb', 'runs']; "
        "import recsys_nb.tuning; from recsys_nb.cli import main; print('imported'); main()"
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == 'imported\n' and 'Linux and macOS' in done.stderr and 'WSL' in done.stderr
    one_sentence(done, 1)


@pytest.mark.torture
def test_a_wheel(tmp_path):
    "Built and installed: every module can be imported, every command answers in a sentence."
    site, empty = install_wheel(tmp_path), tmp_path / 'empty'
    empty.mkdir()
    code = (
        "import importlib, pkgutil, recsys_nb; print(recsys_nb.__file__); "
        "[importlib.import_module(f'recsys_nb.{m.name}') "
        "for m in pkgutil.iter_modules(recsys_nb.__path__)]"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=empty,
        env=os.environ | {'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith(str(site)), done.stderr
    for arguments in EVERY:
        one_sentence(
            recsys(
                empty, *arguments, program=(str(site / 'bin' / 'recsys-nb'),), env={'PYTHONPATH': str(site)}
            ),
            2,
            'needs a checkout',
            str(site),
        )
    assert list(empty.iterdir()) == []
