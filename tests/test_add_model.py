"""README's recipe for a model, followed to the letter in a copy of the project,
with and without its `make notebooks`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from studies import BIN, ROOT, TOYS, here, project

import recsys_nb
from recsys_nb.data import DataError
from recsys_nb.recommender import load_model
from recsys_nb.protocol import histories_from_lists
from recsys_nb.manifest import not_exported
from recsys_nb.parameters import read_notebook

MODEL = '''#| export
class LastThenPopular(Recommender):
    "The last item, then the most popular ones."
    def __init__(self, bonus=1.): self.bonus = bonus

    def fit(self, log):
        check_log(log)
        self.order, self.n = popularity_order(log), n_items(log)
        return self

    def score(self, histories):
        row, item, age = last_places(histories)
        values = np.where(age == 0, self.bonus, 0.).astype(np.float32)
        return sp.csr_matrix((values, (row, item)), shape=(len(histories), self.n))

    def recommend(self, histories, k): return ranked_lists(self.score, histories, k, self.order)'''
PARAMETERS = '''data: str = "simulated:tiny"  # where events come from
out: str = "../reports/scratch"  # study folder
test_days: int = 7  # length of the test window [1..3650]
valid_days: int = 7  # length of the validation window [1..3650]
context: str = "all"  # histories [all|window]
min_history: int = 1  # shortest history that makes a query [1..1000]
min_item_events: int = 5  # an item is in the vocabulary with this many events [1..100_000]'''
IMPORTS = '''#| export
import numpy as np, scipy.sparse as sp
from recsys_nb.data import *
from recsys_nb.protocol import *
from recsys_nb.files import save_finding
from recsys_nb.recommender import *
from recsys_nb.evaluation import *
from recsys_nb.lists import *'''
STUDY = '''from recsys_nb.sources import load_log
check_recommender(LastThenPopular)
log, report = load_log(data)
protocols = make_protocols(log, test_days, valid_days, context, min_history, min_item_events)
model = LastThenPopular().fit(protocols.split.fit)
found = evaluate_shared(model, protocols)
table = write_result(out, 'Last then popular', model, found, {}, dict(fit=0.), protocols.split.vocabulary)
save_finding(out, '19_mymodel', 'it ran')'''


def write_notebook(path, model=MODEL, study=STUDY):
    "The notebook of the recipe."
    title = '# My model\n\n> The last item, then what is popular'
    cells = [dict(cell_type='markdown', id='0' * 8, metadata={}, source=title)]
    for n, source in enumerate(('#| default_exp mymodel', PARAMETERS, IMPORTS, model, study), 1):
        metadata = dict(tags=['parameters']) if source == PARAMETERS else {}
        cells.append(
            dict(
                cell_type='code',
                id=f'{n:08x}',
                metadata=metadata,
                execution_count=None,
                outputs=[],
                source=source,
            )
        )
    kernel = dict(kernelspec=dict(name='python3', display_name='python3', language='python'))
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=kernel, cells=cells), indent=1))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    "A project with a library of its own, which is the library that runs see, and one notebook more."
    project(tmp_path, TOYS)  # those that the profile names
    write_notebook(tmp_path / 'nbs/19_mymodel.ipynb')
    shutil.copytree(ROOT / 'recsys_nb', tmp_path / 'recsys_nb', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'README.md'):
        shutil.copy(ROOT / name, tmp_path)
    for module in ('manifest', 'kernel', 'study'):
        monkeypatch.setattr(f'recsys_nb.{module}.package_root', lambda: tmp_path)
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
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert 'make notebooks' in readme.partition('## Add a model')[2].partition('## ')[0]
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
    model, study = (text.replace('LastThenPopular', 'Markov') for text in (MODEL, STUDY))
    write_notebook(copied / 'nbs/19_mymodel.ipynb', model.removeprefix('#| export\n'), study)
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
