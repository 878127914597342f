"""CONTRIBUTING.md's recipe for a model, followed to the letter in a copy of the project,
with and without its `make notebooks`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from studies import BIN, ROOT, TOYS, here, project

import recsys_nb
from recsys_nb.data import DataError
from recsys_nb.recommender import load_model
from recsys_nb.protocol import histories_from_lists
from recsys_nb.manifest import not_exported
from recsys_nb.parameters import read_notebook
from recsys_nb.show import parse_models


def recipe():
    "The cells of CONTRIBUTING.md's recipe, as (language, text), and the entry for models.toml."
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    chapter = text.partition('## Add a model')[2].partition('\n## ')[0]
    blocks = re.findall(r'```(\w+)\n(.*?)\n```', chapter, re.S)
    (entry,) = [block for language, block in blocks if language == 'toml']
    return [(language, block) for language, block in blocks if language in ('markdown', 'python')], entry


CELLS, ENTRY = recipe()


def write_notebook(path, change=lambda source: source):
    "The notebook of the recipe, each cell changed by a function."
    cells = []
    for n, (language, source) in enumerate(CELLS):
        cell = dict(cell_type='markdown', id=f'{n:08x}', metadata={}, source=source)
        if language == 'python':
            tags = ['parameters'] if source.startswith('data: str') else []
            metadata = dict(tags=tags) if tags else {}
            cell |= dict(
                cell_type='code', metadata=metadata, execution_count=None, outputs=[], source=change(source)
            )
        cells.append(cell)
    kernel = dict(kernelspec=dict(name='python3', display_name='python3', language='python'))
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=kernel, cells=cells), indent=1))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    "A project with a library of its own, which is the library that runs see, one notebook, one entry more."
    project(tmp_path, TOYS)  # those that the profile names
    entries = tmp_path / 'nbs/models.toml'
    entries.write_text(f'{entries.read_text()}\n{ENTRY}\n')
    write_notebook(tmp_path / 'nbs/19_mymodel.ipynb')
    shutil.copytree(ROOT / 'recsys_nb', tmp_path / 'recsys_nb', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'README.md'):
        shutil.copy(ROOT / name, tmp_path)
    for name, module in list(sys.modules.items()):
        if name.startswith('recsys_nb.') and hasattr(module, 'package_root'):
            monkeypatch.setattr(module, 'package_root', lambda: tmp_path)
    monkeypatch.setattr(recsys_nb, '__path__', [*recsys_nb.__path__, str(tmp_path / 'recsys_nb')])
    return tmp_path


def make_notebooks(folder):
    "What the target does, whose list of commands is in the Makefile."
    recipe = (ROOT / 'Makefile').read_text().partition('\nnotebooks:')[2].splitlines()[1:3]
    for command in recipe:
        program = BIN / command.strip().removeprefix('$(BIN)/')
        done = subprocess.run(
            [program],
            cwd=folder,
            capture_output=True,
            text=True,
            env=os.environ | {'PATH': f'{BIN}:{os.environ["PATH"]}'},
        )
        assert done.returncode == 0, done.stderr


def test_the_recipe(copied):
    added = parse_models((copied / 'nbs/models.toml').read_text())[-1]
    assert (added.name, added.notebook) == ('Last then popular', '19_mymodel')
    kept = copied / 'reports/toy/results/Last then popular'

    code, said = here(copied, '19_mymodel')
    assert code == 0 and 'runs: first time' in said, said
    assert '19_mymodel defines LastThenPopular, which the library does not have' in said, said
    assert 'run make notebooks' in said, said
    with pytest.raises(DataError, match='LastThenPopular is in no module of the library: export') as refused:
        load_model(kept)
    assert len(str(refused.value).splitlines()) == 1

    make_notebooks(copied)
    code, said = here(copied, '19_mymodel')
    assert code == 0 and 'runs: changed: the library (mymodel)' in said and 'make notebooks' not in said, said
    model = load_model(kept)
    assert model.recommend(histories_from_lists([[3]]), 2)[0][0, 0] == 3

    code, said = here(copied, '19_mymodel')
    assert code == 0 and 'skipped' in said, said


@pytest.mark.torture
def test_a_model_that_is_not_marked_for_export(copied):
    """Nothing that is exported differs, and nobody could load what was kept;
    the library has another class of its name."""

    def private_markov(source):
        source = source.replace('LastThenPopular', 'Markov')
        return source.removeprefix('#| export\n') if 'class Markov' in source else source

    write_notebook(copied / 'nbs/19_mymodel.ipynb', private_markov)
    code, said = here(copied, '19_mymodel')
    assert (
        code == 0 and '19_mymodel kept Markov, which no module of the library has: put #| export on' in said
    ), said
    kept = copied / 'reports/toy/results/Last then popular'
    with pytest.raises(DataError, match='Markov is in no module'):
        load_model(kept)


@pytest.mark.parametrize('path', sorted((ROOT / 'nbs').glob('[0-9]*.ipynb')), ids=lambda p: p.stem)
def test_no_notebook_of_ours_is_said_to_differ(path):
    assert not_exported(read_notebook(Path(path)).cells, ROOT / 'recsys_nb') == []
