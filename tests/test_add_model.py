"""CONTRIBUTING.md's recipe for a model, followed to the letter in a copy of the project,
with and without its `make notebooks`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from studies import BIN, ROOT, TOYS, here, project

import recsys_nb.study  # and with it all that asks where the library is
from recsys_nb.data import DataError
from recsys_nb.recommender import load_model
from recsys_nb.protocol import histories_from_lists
from recsys_nb.manifest import not_exported
from recsys_nb.parameters import read_notebook
from recsys_nb.show import parse_models

# for somebody may have followed the recipe here already
OTHER_NAMES = (
    ('mymodel', 'recipe'),
    ('LastThenPopular', 'RecipeModel'),
    ('Last then popular', 'Recipe model'),
)
BLOCK = re.compile(r'([^\n]*(?:\n[^\n]+)*)\n\n^```(\w+)\n(.*?)\n```$', re.S | re.M)
TAG = re.compile(r'with the tag `(\w+)`|has the tag `(\w+)`')


def recipe():
    "What CONTRIBUTING.md says to write: a notebook's cells, as (kind, source, tags), and the model's entry."
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    for old, new in OTHER_NAMES:
        text = text.replace(old, new)
    section = re.split(r'\n## (?!The study)', text.partition('\n## Add a model\n')[2])[0]
    blocks = BLOCK.findall(section)
    cells = []
    for before, kind, source in blocks:
        if kind in ('markdown', 'python'):
            cells.append((kind, source, [''.join(found) for found in TAG.findall(before)]))
    (entry,) = (source for _, kind, source in blocks if kind == 'toml')
    assert cells[0][0] == 'markdown' and cells[1] == ('python', '#| default_exp recipe', [])
    return cells, entry


def test_tags():
    "The recipe's prose says which cell has which tag, in the order in which a notebook has them."
    tagged = [(source.split()[0], tag) for _, source, tags in recipe()[0] for tag in tags]
    assert [tag for _, tag in tagged] == ['committed', 'parameters', 'committed', 'study', 'main', 'limits']
    assert [word for word, tag in tagged if tag in ('study', 'main')] == ['##', 'show_beside(out,']


def write_notebook(folder, change=lambda source: source):
    "Follow the recipe in a project, up to `make notebooks`."
    cells, entry = recipe()
    kernel = dict(name='python3', display_name='python3', language='python')
    node = nbformat.v4.new_notebook(metadata=dict(kernelspec=kernel))
    for kind, source, tags in cells:
        make = nbformat.v4.new_markdown_cell if kind == 'markdown' else nbformat.v4.new_code_cell
        node.cells.append(make(change(source)))
        if tags:
            node.cells[-1].metadata['tags'] = tags
    nbformat.write(node, folder / 'nbs' / '19_recipe.ipynb')
    models = folder / 'nbs' / 'models.toml'
    if entry not in models.read_text(encoding='utf-8'):  # the notebook may be written again
        with open(models, 'a', encoding='utf-8') as file:
            file.write(f'\n{entry}\n')


@pytest.fixture
def copied(tmp_path, monkeypatch):
    "A project with a library of its own, which is the library that runs see, and one notebook more."
    project(tmp_path, TOYS)  # those that the profile names
    write_notebook(tmp_path)
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
    assert (added.name, added.notebook) == ('Recipe model', '19_recipe')
    kept = copied / 'reports/toy/results/Recipe model'

    code, said = here(copied, '19_recipe', own=True)
    assert code == 0 and 'runs: first time' in said, said
    assert '19_recipe defines RecipeModel, which the library does not have' in said, said
    assert 'run make notebooks' in said, said
    with pytest.raises(DataError, match='RecipeModel is in no module of the library: export') as refused:
        load_model(kept)
    assert len(str(refused.value).splitlines()) == 1

    make_notebooks(copied)
    code, said = here(copied, '19_recipe', own=True)
    assert code == 0 and 'runs: changed: the library (recipe)' in said and 'make notebooks' not in said, said
    model = load_model(kept)
    assert model.recommend(histories_from_lists([[3]]), 2)[0][0, 0] == 3

    code, said = here(copied, '19_recipe', own=True)
    assert code == 0 and 'skipped' in said, said


@pytest.mark.torture
def test_a_model_that_is_not_marked_for_export(copied):
    """Nothing that is exported differs, and nobody could load what was kept;
    the library has another class of its name."""

    def forget_to_export(source):
        source = source.replace('RecipeModel', 'Markov')
        return source.removeprefix('#| export\n') if 'class Markov' in source else source

    write_notebook(copied, forget_to_export)
    code, said = here(copied, '19_recipe', own=True)
    assert (
        code == 0 and '19_recipe kept Markov, which no module of the library has: put #| export on' in said
    ), said
    kept = copied / 'reports/toy/results/Recipe model'
    with pytest.raises(DataError, match='Markov is in no module'):
        load_model(kept)


@pytest.mark.parametrize('path', sorted((ROOT / 'nbs').glob('[0-9]*.ipynb')), ids=lambda p: p.stem)
def test_no_notebook_of_ours_is_said_to_differ(path):
    assert not_exported(read_notebook(Path(path)).cells, ROOT / 'recsys_nb') == []
