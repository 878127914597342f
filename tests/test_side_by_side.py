"""Notebooks that run side by side: the same results as one after the other, each with its own files,
failure of one leaves the others, and whatever ends the runner ends all kernels."""

import json
import os
import signal
import sys
import time

import pytest
from studies import (
    at_door,
    command,
    different,
    gone,
    here,
    kernels,
    nothing_half_written,
    recsys,
    temporary_files,
    toys,
)

MEET = """
import time
from pathlib import Path
place = Path(out)/'.met'
place.mkdir(parents=True, exist_ok=True)
(place/str(os.getpid())).touch()
until = time.monotonic() + 60
while len(list(place.iterdir())) < 2 and time.monotonic() < until:
    time.sleep(.05)
if len(list(place.iterdir())) < 2:
    raise ValueError('nobody else came')
"""
WAIT = """
import time
(open(os.path.join(out, f'.here.{os.getpid()}'), 'w')).close()
time.sleep(600)
"""


ALL = ('30_comparison', '31_ablation', '35_leakage')  # and the models, which they need

FORKED = """
import time
until = time.monotonic() + 120
while not os.path.exists(os.environ['TMPDIR'] + '/kernels') and time.monotonic() < until:
    time.sleep(.1)
words = open(f'/proc/{os.getppid()}/cmdline').read()
how = 'forked' if 'recsys_nb.warm' in words else 'started'
open(os.path.join(out, f'.{how}.{os.getpid()}'), 'w').close()
"""


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    "A study of toys, one after the other."
    folder = toys(tmp_path_factory.mktemp('alone'))
    code, told = here(folder, *ALL)
    assert code == 0, told
    return folder


def entries(folder):
    return json.loads((folder / 'reports' / 'toy' / 'manifest.json').read_text())['notebooks']


def same_as_alone(alone, folder):
    assert different(alone / 'reports' / 'toy', folder / 'reports' / 'toy') == []
    for name, entry in entries(alone).items():
        assert entries(folder)[name]['files'] == entry['files'], name
    nothing_half_written(folder / 'reports')


def began_and_ended(entry):
    return entry['started'], entry['finished']


def test_the_same_as_one_after_the_other(alone, tmp_path, monkeypatch):
    "Two kernels wait for each other; what each wrote is its own; the comparison waits for all models."
    folder = toys(tmp_path)
    monkeypatch.setenv('TOY', MEET)
    code, told = here(folder, *ALL, jobs=2)
    assert code == 0, told
    same_as_alone(alone, folder)
    found = entries(folder)
    models = [entry for name, entry in found.items() if name < '2']
    for name in ALL:
        assert all(entry['finished'] <= found[name]['started'] for entry in models)
    (b1, e1), (b2, e2) = (began_and_ended(found[n]) for n in ('10_baselines', '11_als'))
    assert max(b1, b2) < min(e1, e2)
    assert not list((folder / 'reports/toy/notebooks').glob('.*'))
    monkeypatch.delenv('TOY')
    code, told = here(folder, *ALL, jobs=2)
    assert code == 0 and told.count('skipped') == len(found), told


@pytest.mark.skipif(sys.platform != 'linux', reason='kernels are forked on Linux alone')
def test_a_forked_kernel_makes_the_same(alone, tmp_path, monkeypatch):
    "The first kernel waits until kernels can be forked: the others are."
    folder = toys(tmp_path)
    monkeypatch.setenv('TOY', FORKED)
    code, told = here(folder, *ALL, own=True)
    assert code == 0, told
    marks = [path.name.split('.')[1] for path in (folder / 'reports/toy').glob('.*.*')]
    asked = len(entries(folder)) - 1  # the comparison does as always
    assert marks.count('started') == 1 and marks.count('forked') == asked - 1
    same_as_alone(alone, folder)
    assert gone(folder)


@pytest.mark.skipif(sys.platform != 'linux', reason='kernels are forked on Linux alone')
def test_forked_kernels_take_no_library_from_the_current_folder(tmp_path, monkeypatch):
    from recsys_nb.kernel import kernel_environment
    from recsys_nb.warm import warm_kernels

    (tmp_path / 'recsys_nb').mkdir()
    (tmp_path / 'recsys_nb' / '__init__.py').write_text('raise ImportError("another one")')
    (tmp_path / 'place').mkdir()
    monkeypatch.chdir(tmp_path)
    with kernel_environment(), warm_kernels(tmp_path / 'place') as door:
        until = time.monotonic() + 60
        while not door.exists():
            assert time.monotonic() < until, 'nobody gives kernels'
            time.sleep(0.1)


def test_what_one_fails_leaves_the_others(alone, tmp_path, monkeypatch):
    folder = toys(tmp_path)
    monkeypatch.setenv(
        'TOY', "if 'factors' in dir() or 'min_factors' in dir(): raise ValueError('no factors')"
    )
    code, told = here(folder, *ALL, jobs=3)
    found = entries(folder)
    assert code == 1 and [n for n, e in found.items() if e['status'] == 'failed'] == ['11_als'], told
    assert found['11_als']['error'].endswith('ValueError: no factors')
    monkeypatch.delenv('TOY')
    code, told = here(folder, *ALL, jobs=3)
    assert code == 0, told
    same_as_alone(alone, folder)


def test_each_has_the_time_limit(tmp_path, monkeypatch):
    folder = toys(tmp_path)
    monkeypatch.setenv('TOY', WAIT)
    began = time.monotonic()
    code, told = here(folder, '10_baselines', '11_als', '12_sasrec', jobs=3, limit=3)
    assert code == 1 and told.count('ran longer than the time limit of 0:03') == 3, told
    assert time.monotonic() - began < 60
    assert gone(folder)


ASK = ('run', '--profile', 'tiny', '--study', 'toy', '--jobs', '2', *(x for n in ALL for x in ('--only', n)))


def running(folder, seconds=120):
    "Start a run, and wait until two kernels work."
    process = command(folder, *ASK, env=dict(TOY=WAIT))
    until = time.monotonic() + seconds
    while len(list((folder / 'reports/toy').glob('.here.*'))) < 2:
        assert time.monotonic() < until and process.poll() is None, process.communicate(timeout=10)
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    'number',
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.torture),
        signal.SIGKILL,
    ],
)
def test_whatever_ends_the_runner_ends_all_kernels(alone, tmp_path, number):
    folder = toys(tmp_path)
    process = running(folder)
    assert len(kernels(folder)) >= 2
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert gone(folder), 'a kernel lives on without its runner'
    found = entries(folder)
    if number == signal.SIGKILL:
        assert [e['status'] for e in found.values()] == ['running', 'running']
    else:
        assert process.returncode == 130 and err.startswith('Stopped: '), out + err
        assert [e['status'] for e in found.values()] == ['interrupted', 'interrupted']
    done = recsys(folder, *ASK, **at_door())
    assert done.returncode == 0 and done.stdout.count('it was interrupted') == 2, done.stdout + done.stderr
    same_as_alone(alone, folder)
    left = [path for path in temporary_files(folder / 'reports') if not path.name.startswith('.here')]
    assert left == []


def test_a_kernel_that_is_killed_takes_no_other_with_it(tmp_path, alone):
    folder = toys(tmp_path)
    process = running(folder)
    first = min(int(path.suffix[1:]) for path in (folder / 'reports/toy').glob('.here.*'))
    os.kill(first, signal.SIGKILL)
    while 'its kernel was ended by signal 9' not in (line := process.stdout.readline()):
        assert line, process.communicate(timeout=10)
    assert len([e for e in entries(folder).values() if e['status'] == 'running']) >= 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert gone(folder)


def test_the_manifest_says_how_many_threads_a_kernel_had(alone, tmp_path, monkeypatch):
    from recsys_nb.cli import kernels_like
    from recsys_nb.manifest import cores

    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    folder = toys(tmp_path)
    say = "if int(os.environ['OMP_NUM_THREADS']) != 1: raise ValueError(os.environ['OMP_NUM_THREADS'])"
    monkeypatch.setenv('TOY', say)
    code, told = here(folder, '10_baselines', '11_als', '12_sasrec', jobs=cores() + 1)
    assert code == 0, told
    manifest = json.loads((folder / 'reports/toy/manifest.json').read_text())
    assert manifest['machine']['threads'] == 1
    assert {e['threads'] for e in manifest['notebooks'].values()} == {1}
    assert manifest['plan'] == ['10_baselines', '11_als', '12_sasrec']
    assert kernels_like(manifest)['threads'] == 1
    manifest['machine']['threads'] = cores()
    assert kernels_like(manifest) == dict(jobs=1, threads=cores())
    manifest['machine']['threads'] = 0
    assert kernels_like(manifest)['threads'] == 0
