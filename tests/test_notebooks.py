"Every notebook runs at its defaults; export, clean and README are no-ops; the papermill tag survives."

import json
import os
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import nbformat
import papermill
import pytest

from shown import complaints, functions_of, makers, points_at_nothing, thrown_away

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / 'nbs').glob('*.ipynb'))
NUMBERED = [p for p in NOTEBOOKS if p.name[0].isdigit()]
BIN = Path(sys.executable).parent
IDS = attrgetter('stem')


@pytest.mark.parametrize('path', NOTEBOOKS, ids=IDS)
def test_runs(path, tmp_path, monkeypatch):
    "Run All at the defaults, results in a folder of its own."
    from recsys_nb.kernel import execute, kernel_environment

    monkeypatch.chdir(path.parent)
    out = {'out': str(tmp_path / 'study')} if 'out' in papermill.inspect_notebook(str(path)) else {}
    with kernel_environment():
        error, _ = execute(str(path), str(tmp_path / path.name), out, limit=300)
    assert error == ''
    node = nbformat.read(tmp_path / path.name, 4)
    assert complaints(node) == [] and points_at_nothing(node) == []


@pytest.fixture(scope='module')
def library():
    return makers(functions_of(p.read_text() for p in (ROOT / 'recsys_nb').glob('[a-z]*.py')))


@pytest.mark.parametrize('path', NOTEBOOKS, ids=IDS)
def test_what_is_made_is_shown(path, library):
    """No table, figure or text is made in a loop, a branch or the middle of a cell,
    where Jupyter shows nothing."""
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'code']
    known = library | makers(functions_of(code))
    assert [found for source in code for found in thrown_away(source, known)] == []


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "A copy of what export and clean may change, under git, so that a difference shows."
    folder = tmp_path_factory.mktemp('copy')
    for name in ('nbs', 'recsys_nb'):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
        )
    for name in ('settings.ini', 'setup.py', 'README.md'):
        shutil.copy(ROOT / name, folder / name)
    git = ['git', '-c', 'user.name=test', '-c', 'user.email=test@example.org']
    for arguments in (['init', '-q'], ['add', '-A'], ['commit', '-qm', 'before']):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize('command', ['nbdev_export', 'nbdev_clean'])
def test_is_no_op(copy, command):
    subprocess.run(
        [BIN / command],
        cwd=copy,
        check=True,
        capture_output=True,
        env=os.environ | {'PATH': f'{BIN}:{os.environ["PATH"]}'},
    )
    changed = subprocess.run(
        ['git', 'status', '--porcelain'], cwd=copy, capture_output=True, text=True, check=True
    ).stdout
    assert not changed, f'{command} changes a clean checkout:\n{changed}'


def test_readme_is_the_index_notebook(tmp_path):
    from recsys_nb.cli import make_readme

    assert make_readme(ROOT) == (ROOT / 'README.md').read_text(encoding='utf-8'), (
        'README.md is not what make readme writes'
    )


@pytest.mark.parametrize('path', NUMBERED, ids=IDS)
def test_parameters_cell(path):
    "One tagged cell, not exported, every line annotated and commented."
    tagged = [c for c in nbformat.read(path, 4).cells if 'parameters' in c.metadata.get('tags', [])]
    if path.name[:2] in ('38', '39', '40'):
        return  # the runner's own: no part of a study
    assert len(tagged) == 1
    for line in tagged[0].source.splitlines():
        assert ':' in line.split('=')[0] and '  # ' in line, line
    assert '#| export' not in tagged[0].source


@pytest.mark.parametrize('path', NOTEBOOKS, ids=IDS)
def test_style(path):
    "Cells stay short, nothing machine-bound is in them, outputs fit on a screen."
    cells = json.loads(path.read_text())['cells']
    code = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
    assert max(s.count('\n') + 1 for s in code) <= 40
    text = path.read_text()
    assert '/home/' not in text and '/root/' not in text and '/work/' not in text
    assert all(len(json.dumps(c.get('outputs', []))) < 20_000 for c in cells)


@pytest.mark.parametrize('path', NUMBERED, ids=IDS)
def test_imports_only_from_smaller_numbers(path):
    exporting = {}
    for p in NUMBERED:
        for c in nbformat.read(p, 4).cells:
            if c.source.startswith('#| default_exp'):
                exporting[c.source.split()[-1]] = p.stem
    for cell in nbformat.read(path, 4).cells:
        for line in cell.source.splitlines():
            if cell.cell_type == 'code' and line.startswith('from recsys_nb.'):
                module = line.split()[1].split('.')[1]
                assert exporting[module] < path.stem or exporting[module] == path.stem, line
