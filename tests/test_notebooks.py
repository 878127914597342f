"Every notebook runs at its defaults; export, clean and README are no-ops; the papermill tag survives."

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import cache
from operator import attrgetter
from pathlib import Path

import nbformat
import papermill
import pytest

from recsys_nb.cli import PAGES
from recsys_nb.kernel import execute, kernel_environment
from recsys_nb.parameters import read_profiles, resolve_settings, study_notebooks
from studies import door
from shown import complaints, functions_of, makers, points_at_nothing, thrown_away

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / 'nbs').glob('*.ipynb'))
NUMBERED = [p for p in NOTEBOOKS if p.name[0].isdigit()]
BIN = Path(sys.executable).parent
IDS = attrgetter('stem')
SMALL = 'simulated:visitors=6000,items=200,days=28'
MEASURES = {  # measured once, on little: how fast this machine is, nobody asks here
    '90_benchmarks': dict(data=SMALL, full=SMALL, repeats=1, batches=1)
}
SCRIPTS = [name for name in ('tests', '.ci', 'examples', 'setup.py') if (ROOT / name).exists()]


@cache
def tiny():
    "What the profile `tiny` gives the notebooks of the story: notebook -> parameter -> value."
    return resolve_settings(study_notebooks(ROOT), 'tiny', profiles=read_profiles(ROOT))


STORY = [p for p in NUMBERED if p.name < '7']


@pytest.mark.parametrize(
    'path, profile',
    [
        *[pytest.param(p, 'tiny', id=p.stem) for p in NOTEBOOKS],
        *[pytest.param(p, '', id=f'{p.stem}-defaults', marks=pytest.mark.torture) for p in STORY],
    ],
)
def test_runs(path, profile, tmp_path, monkeypatch):
    """Run All, results in a folder of its own. A notebook of the story learns as little as in the profile
    tiny: at its defaults `make outputs` has run it, as its committed outputs say, and `make torture` does."""
    monkeypatch.chdir(path.parent)
    out = {'out': str(tmp_path / 'study')} if 'out' in papermill.inspect_notebook(str(path)) else {}
    values = tiny().get(path.stem, {}) if profile else {}
    values = {name: value for name, value in values.items() if name != 'data'}  # a run gives a folder
    measures = path.stem in MEASURES  # memory of a fork is that of what it was forked from
    with kernel_environment():
        error, _ = execute(
            str(path), str(tmp_path / path.name), values | out, limit=300, door=None if measures else door()
        )
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


@pytest.mark.parametrize('page, notebook', PAGES.items())
def test_page_is_its_notebook(page, notebook):
    from recsys_nb.cli import make_readme

    assert make_readme(ROOT, notebook) == (ROOT / page).read_text(encoding='utf-8'), (
        f'{page} is not what make readme writes'
    )


def test_readme_is_short():
    "Two screens, with the first command on the second at the latest."
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert len(text.split()) <= 900
    assert '```sh' in text.splitlines()[:40]
    tables = re.findall(r'(?:^\|.*\n)+', text, re.M)
    assert all(table.count('\n') <= 2 + 8 for table in tables)


def test_links_lead_somewhere():
    "Those of the pages that are made, to files of this checkout and to headings of theirs."
    for page in PAGES:
        text = (ROOT / page).read_text(encoding='utf-8')
        links = re.findall(r'\]\((?!https?:)([^)]+)\)', text) + re.findall(r'src(?:set)?="([^"]+)"', text)
        assert links
        for link in links:
            path, _, heading = link.partition('#')
            assert (ROOT / path).exists(), f'{page}: {link}'
            if heading:
                lines = (ROOT / path).read_text(encoding='utf-8').splitlines()
                headings = [line.lstrip('#').strip().lower() for line in lines if line.startswith('#')]
                assert heading in [re.sub(r'[^\w -]', '', h).replace(' ', '-') for h in headings], link


def test_the_picture_shows_the_reports():
    from recsys_nb.summary import GROUNDS, kept_digest, picture_digest, rankings

    numbers = picture_digest(rankings(ROOT / 'reports'))
    for theme in GROUNDS:
        path = ROOT / 'nbs' / 'images' / f'models-{theme}.png'
        assert kept_digest(path) == numbers, f'{path.name} shows other numbers: make readme draws it again'
        assert path.stat().st_size <= 60_000


@pytest.mark.parametrize('path', NUMBERED, ids=IDS)
def test_parameters_cell(path):
    """One tagged cell, not exported, every parameter annotated and commented, other lines comments;
    workshop and runner need none."""
    tagged = [c for c in nbformat.read(path, 4).cells if 'parameters' in c.metadata.get('tags', [])]
    if not tagged and path.name[0] in '78':
        return
    assert len(tagged) == 1
    lines = tagged[0].source.splitlines()
    for node in ast.parse(tagged[0].source).body:
        last = lines[node.end_lineno - 1]
        assert isinstance(node, ast.AnnAssign) and '  # ' in last, last
        lines[node.lineno - 1 : node.end_lineno] = ['#'] * (node.end_lineno - node.lineno + 1)
    assert all(line.startswith('#') for line in lines)
    assert '#| export' not in tagged[0].source


def ruff(*arguments):
    "What ruff has against some files, by the rules in ruff.toml."
    done = subprocess.run([BIN / 'ruff', *arguments, '--no-cache'], cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ''


@pytest.mark.parametrize('path', NOTEBOOKS, ids=IDS)
def test_lint(path):
    assert ruff('check', '--output-format', 'concise', path) == ''


@pytest.mark.parametrize('folder', SCRIPTS)
def test_lint_scripts(folder):
    "What a person writes outside of notebooks."
    assert ruff('check', '--output-format', 'concise', folder) == ''
    assert ruff('format', '--check', folder) == ''


def test_lint_looks_at_notebooks(tmp_path):
    "A line that no rule allows, in a notebook of the project."
    cell = nbformat.v4.new_code_cell('import os; l = lambda x: x' + '  # long' * 20)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / 'a.ipynb')
    found = ruff('check', '--config', ROOT / 'ruff.toml', '--output-format', 'concise', tmp_path / 'a.ipynb')
    for rule in ('E501', 'E702', 'E731', 'E741', 'F401'):
        assert rule in found, found


@pytest.mark.parametrize('path', NOTEBOOKS, ids=IDS)
def test_style(path):
    "Cells stay short, nothing machine-bound is in them. Lines are ruff's, outputs are test_outputs'."
    notebook = json.loads(path.read_text(encoding='utf-8'))
    code = [''.join(c['source']) for c in notebook['cells'] if c['cell_type'] == 'code']
    assert max(s.count('\n') + 1 for s in code) <= 50
    for cell in notebook['cells']:
        cell.pop('outputs', None)
    text = json.dumps(notebook)
    assert '/home/' not in text and '/root/' not in text and '/work/' not in text


def imports():
    """The rooms: module -> (its notebook, lines of its code, the modules that its exported code imports).

    `python tests/test_notebooks.py` prints them."""
    rooms = {}
    for path in NUMBERED:
        code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'code']
        name = re.search(r'^#\| ?default_exp (\w+)', '\n'.join(code), re.M)
        if name is None:  # it exports nothing
            continue
        exported = '\n'.join(source for source in code if re.match(r'#\| ?exporti?\b', source))
        body = ast.parse(exported)
        used = {n.module.partition('.')[2] for n in ast.walk(body) if is_ours(n)}
        lines = sum(bool(line.strip()) for line in exported.splitlines())
        rooms[name[1]] = path.stem, lines, used - {name[1]}
    return rooms


def is_ours(node):
    "`from recsys_nb.x import ...`, wherever it stands."
    return isinstance(node, ast.ImportFrom) and (node.module or '').startswith('recsys_nb.')


def circle(rooms):
    "Modules that import each other in a circle, or nothing."
    left = {name: set(used) & set(rooms) for name, (_, _, used) in rooms.items()}
    while free := [name for name, used in left.items() if not used]:
        for name in free:
            del left[name]
        for used in left.values():
            used.difference_update(free)
    return sorted(left)


def test_no_circle():
    "A notebook may import any other, however they are numbered, as long as none needs itself in the end."
    rooms = imports()
    assert {used for _, _, some in rooms.values() for used in some} <= set(rooms)
    assert circle(rooms) == []
    assert circle(dict(a=('1', 1, {'b'}), b=('2', 1, {'c'}), c=('3', 1, {'b'}), d=('4', 1, set()))) == [
        'a',
        'b',
        'c',
    ]


def in_two_modules(exported):
    "Names that several modules export: name -> the modules."
    where = defaultdict(list)
    for module, names in sorted(exported.items()):
        for name in names:
            where[name].append(module)
    return {name: modules for name, modules in where.items() if len(modules) > 1}


def exported_names(path):
    "A module's `__all__`."
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__all__':
            return ast.literal_eval(node.value)
    return []


def test_a_name_has_one_meaning():
    "No exported name stands in two modules: what two of them need is imported from one."
    exported = {path.stem: exported_names(path) for path in (ROOT / 'recsys_nb').glob('[a-z]*.py')}
    assert len(exported) > 40 and 'listed' in exported['show']
    assert in_two_modules(exported) == {}
    assert in_two_modules(dict(a=['x', 'y'], b=['y'], c=['z'])) == {'y': ['a', 'b']}


def print_rooms():
    rooms = imports()
    for name, (notebook, lines, used) in rooms.items():
        print(f'{notebook:24} {name:16} {lines:5} lines   imports {", ".join(sorted(used)) or "nothing"}')
    arrows = sum(len(used) for _, _, used in rooms.values())
    print(f'{len(rooms)} rooms, {arrows} arrows, in a circle: {", ".join(circle(rooms)) or "none"}')


if __name__ == '__main__':
    print_rooms()
