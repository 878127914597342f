"""Kill the runner, a kernel or both, at many moments:
the next run finishes, and its numbers are those of a run that was never killed."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from studies import (
    AT_DOOR,
    BIN,
    KILLED,
    ROOT,
    different,
    door,
    forget_notebook,
    gone,
    nothing_half_written,
    project,
    recsys,
    temporary_files,
    toys,
)

NOTEBOOKS = ('10_baselines', '11_als', '12_sasrec', '30_comparison')
DRIVER = '''import sys
from recsys_nb import kernel
from recsys_nb.study import run_study
kernel.SAVE_EVERY = 0  # every note of a cell is written, so that they can be counted
few = dict(data='simulated:tiny', trials=2, tune_queries=300, epochs=2)
profiles = {'tiny': {'*': few, '12_sasrec': dict(published=False)}}
sys.exit(run_study(study='whole', profile='tiny', only=sys.argv[1:], profiles=profiles))'''


def run(folder, *only, crash=None, temporary=None):
    "A study of few and quick notebooks; without a crash, in a kernel that is forked at the tests' door."
    env = dict(
        PYTHONPATH=f'{Path(__file__).parent / "crashes"}:{ROOT}', CRASH=json.dumps(crash) if crash else ''
    )
    if temporary:
        temporary.mkdir(exist_ok=True)
        env['TMPDIR'] = str(temporary)
    driver = DRIVER
    if not crash:
        driver, env = AT_DOOR + DRIVER, env | dict(DOOR=str(door() or ''))
    return recsys(folder, *only, program=(str(BIN / 'python'), '-c', driver), env=env)


def cell(name, words):
    """The event in which the runner notes that a cell starts, and the file that it notes it in:
    one note at the start, two a cell."""
    cells = json.loads((ROOT / 'nbs' / f'{name}.ipynb').read_text())['cells']
    position = (
        next(
            i
            for i, c in enumerate(cells)
            if c['cell_type'] == 'code'
            and words in re.sub(r'\s', '', ''.join(c['source']))  # however its lines are divided
            and 'export' not in ''.join(c['source'])
        )
        + 1
    )
    return dict(when='wrote', match=rf'notebooks/\.{name}\..*ipynb$', number=2 * position + 2)


def points():
    "(notebook, who is killed, at which event)."

    def at(who, when, match, number=1, delay=0):
        return dict(who=who, when=when, match=match + '$', number=number, delay=delay)

    def in_cell(name, words, who, delay):
        return cell(name, words) | dict(who=who, delay=delay)

    baselines = [
        at('group', 'before', 'manifest.json'),
        at('group', 'half', 'manifest.json'),
        at('runner', 'after', 'manifest.json'),
        at('group', 'half', 'Popularity/metrics.json'),
        at('kernel', 'before', 'History/ranks.parquet'),
        at('group', 'half', 'Item-Item CF/ranks.parquet'),
        at('runner', 'after', 'Item-Item CF/model.npz'),
        at('group', 'half', 'Item-Item CF/model.npz'),
        at('kernel', 'half', 'Item-Item CF/metrics.json'),
        at('group', 'writing', r'notebooks/\.10_baselines\..*ipynb', 60),
        at('group', 'half', '/10_baselines.html'),
        at('group', 'after', '/10_baselines.html'),
        at('runner', 'half', 'index.html', 2),
        at('group', 'before', 'manifest.json', 2),
        at('group', 'after', 'manifest.json', 2),
    ]
    als = [
        in_cell('11_als', 'search(out', 'group', 0.2),
        in_cell('11_als', 'search(out', 'runner', 1.0),
        in_cell('11_als', 'search(out', 'kernel', 0.6),
        at('group', 'half', 'ALS/model.npz'),
        at('kernel', 'half', 'ALS/metrics.json'),
        at('runner', 'after', 'ALS/metrics.json'),
        at('group', 'after', 'findings/11_als.txt'),
    ]
    sasrec = [
        at('group', 'half', 'best.ckpt'),
        at('group', 'after', 'last.ckpt'),
        at('kernel', 'before', 'last.ckpt', 2),
        at('runner', 'half', 'SASRec/model.ckpt'),
        at('group', 'half', 'train/model.ckpt'),
        at('group', 'half', 'vocabulary.npy'),
        at('kernel', 'half', 'SASRec/ranks.parquet'),
        at('group', 'after', 'best.ckpt', 3),
    ]
    comparison = [
        at('group', 'half', 'comparison.csv'),
        at('kernel', 'half', '/comparison.html'),
        at('runner', 'half', 'comparison.md'),
        at('group', 'after', 'ties.csv'),
        at('group', 'half', '30_comparison.html'),
        at('group', 'half', 'manifest.json', 3),
    ]
    return [
        (name, point) for name, some in zip(NOTEBOOKS, (baselines, als, sasrec, comparison)) for point in some
    ]


def in_words(name, point):
    if point.get('delay'):
        return f'{point["who"]} killed in {name}, {point["delay"]} s into the cell that searches or trains'
    moment = dict(
        before='before the last step of writing',
        half='half-way through writing',
        after='right after writing',
        writing='half-way through writing',
    )[point['when']]
    return f'{point["who"]} killed in {name}, {moment} {point["match"]}, time {point.get("number", 1)}'


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    "The study that was never killed."
    folder = project(tmp_path_factory.mktemp('whole'), NOTEBOOKS)
    done = run(folder, '30_comparison')
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def killed_as_asked(done, folder, point):
    "The kill happened, and left nothing that a reader could take for a result."
    if point['who'] == 'kernel':
        assert done.returncode == 1 and KILLED in done.stdout, done.stdout + done.stderr
    else:
        assert done.returncode == -9, done.stdout + done.stderr
    assert gone(folder), 'a kernel lives on without its runner'
    nothing_half_written(folder / 'reports')


@pytest.mark.torture
@pytest.mark.parametrize('name, point', points(), ids=[f'{n}-{i}' for i, (n, _) in enumerate(points())])
def test_killed_and_run_again(reference, tmp_path, record, name, point):
    folder, start = project(tmp_path, NOTEBOOKS), time.monotonic()
    shutil.copytree(reference / 'reports' / 'whole', folder / 'reports' / 'whole')
    forget_notebook(folder / 'reports' / 'whole', name)
    killed_as_asked(run(folder, name, crash=point, temporary=tmp_path / 'tmp'), folder, point)
    again = run(folder, name, temporary=tmp_path / 'tmp')
    assert again.returncode == 0, again.stdout + again.stderr
    assert different(reference / 'reports' / 'whole', folder / 'reports' / 'whole') == []
    assert temporary_files(folder / 'reports') == [] and list((tmp_path / 'tmp').iterdir()) == []
    record('crash points', in_words(name, point), seconds=round(time.monotonic() - start, 1))


@pytest.mark.torture
def test_killed_again_and_again(reference, tmp_path, record):
    "Every run is killed at the next point, from before the events are made to the last page."
    folder, start = project(tmp_path, NOTEBOOKS, data=tmp_path / 'own'), time.monotonic()
    first = [
        dict(who='group', when='before', match=r'simulated-[^/]*$'),
        dict(who='group', when='half', match=r'log-[^/]*\.parquet$'),
    ]
    for point in [*first, *(p for _, p in points())]:
        done = run(folder, '30_comparison', crash=point, temporary=tmp_path / 'tmp')
        assert done.returncode in (-9, 0, 1), (
            done.stdout + done.stderr
        )  # a later run may skip the notebook that a point is in
        assert gone(folder)
        nothing_half_written(folder / 'reports')
    assert run(folder, '30_comparison', temporary=tmp_path / 'tmp').returncode == 0
    assert different(reference / 'reports' / 'whole', folder / 'reports' / 'whole') == []
    assert (
        temporary_files(folder / 'reports')
        == temporary_files(tmp_path / 'own')
        == list((tmp_path / 'tmp').iterdir())
        == []
    )
    record(
        'crash points',
        f'{len(points()) + 2} kills one after another in one study',
        kills=len(points()) + 2,
        seconds=round(time.monotonic() - start, 1),
    )


SAMPLE = {  # how a project is made -> who is killed at which event
    'real': [
        dict(who='group', when='half', match=r'Item-Item CF/ranks.parquet$'),
    ],
    'toys': [
        dict(who='runner', when='after', match=r'10_baselines/metrics.json$'),
        dict(who='kernel', when='before', match=r'10_baselines/metrics.json$'),
        dict(who='group', when='half', match=r'manifest.json$', number=2),
    ],
}


@pytest.mark.parametrize('kind', SAMPLE)
def test_a_sample_of_kills(tmp_path, record, kind):
    "A study of one notebook, ours or a quick one, killed again and again, and one that was not."
    folders = [tmp_path / name for name in ('never', 'killed')]
    for folder in folders:
        project(folder, NOTEBOOKS) if kind == 'real' else toys(folder)
    done = run(folders[0], '10_baselines')
    assert done.returncode == 0, done.stdout + done.stderr
    for point in SAMPLE[kind]:
        start = time.monotonic()
        killed_as_asked(
            run(folders[1], '10_baselines', crash=point, temporary=tmp_path / 'tmp'), folders[1], point
        )
        record(
            'crash points',
            in_words('10_baselines' if kind == 'real' else 'a toy', dict(number=1) | point),
            seconds=round(time.monotonic() - start, 1),
        )
    assert run(folders[1], '10_baselines', temporary=tmp_path / 'tmp').returncode == 0
    assert different(*(folder / 'reports' / 'whole' for folder in folders)) == []
    assert temporary_files(folders[1] / 'reports') == [] and list((tmp_path / 'tmp').iterdir()) == []
