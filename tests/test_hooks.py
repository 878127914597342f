"""Opening, running and saving a notebook leaves no noise in git, and a commit is asked what CI asks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from traitlets.config.loader import PyFileConfigLoader

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / '.ci'))

from hooks import notebook_text, outputs_digest  # noqa: E402

NOTEBOOKS = ('04_metrics.ipynb', '12_sasrec.ipynb')


def git(folder, *arguments):
    identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.org']
    done = subprocess.run(
        ['git', *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def install(folder):
    "What `make install` runs, for a checkout whose environment is its .venv."
    code = 'import hooks; from pathlib import Path; hooks.install(Path.cwd(), Path(".venv-settings"))'
    home = folder / 'home'
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | dict(PYTHONPATH=str(folder / '.ci'), HOME=str(home), PYTHONDONTWRITEBYTECODE='1'),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert list(home.iterdir()) == []
    home.rmdir()
    return folder / '.venv-settings' / 'etc' / 'jupyter' / 'jupyter_server_config.py'


def files(folder):
    "Every file but those of git that change with each of its commands."
    paths = [p for p in sorted(folder.rglob('*')) if p.is_file() and '.venv/' not in f'{p}/']
    return {p: p.read_bytes() for p in paths if p.name != 'index'}


def as_committed(path):
    "A notebook of the project as `make outputs` leaves it: its first three cells of code show something."
    notebook = json.loads(path.read_text(encoding='utf-8'))
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    for cell in code:
        cell['outputs'] = []
    picture = dict(data={'image/png': 'aGVsbG8='}, metadata={'image/png': {'alt': 'a bar'}})
    code[0]['outputs'] = [dict(output_type='display_data', **picture)]
    code[1]['outputs'] = [dict(output_type='stream', name='stdout', text=['one\n', 'two\n'])]
    text = dict(data={'text/plain': ['7']}, metadata={})
    code[2]['outputs'] = [dict(output_type='execute_result', execution_count=None, **text)]
    notebook['metadata']['made'] = dict(code='c', library='l', outputs=outputs_digest(notebook))
    return notebook


@pytest.fixture
def checkout(tmp_path):
    "A repository with two notebooks that show something, and an environment."
    folder = tmp_path / 'a checkout'
    (folder / 'nbs').mkdir(parents=True)
    (folder / '.ci').mkdir()
    for name in NOTEBOOKS:
        text = notebook_text(as_committed(ROOT / 'nbs' / name))
        (folder / 'nbs' / name).write_text(text, encoding='utf-8')
    for name in ('settings.ini', '.gitignore', '.ci/hooks.py'):
        shutil.copy(ROOT / name, folder / name)
    (folder / '.venv').symlink_to(sys.prefix)
    (folder / '.git').mkdir()
    git(folder, 'init', '-q')
    (folder / '.git' / 'info' / 'exclude').write_text('.venv\n.venv-settings\n')
    git(folder, 'add', '-A')
    git(folder, 'commit', '-qm', 'before')
    return folder


def run_by_hand(node):
    "As JupyterLab leaves a notebook in which every cell was run."
    node.metadata |= dict(
        kernelspec=dict(display_name='Python 3 (ipykernel)', language='python', name='python3'),
        language_info=dict(name='python', version='3.11.14', file_extension='.py'),
    )
    for n, cell in enumerate(c for c in node.cells if c.cell_type == 'code'):
        cell.execution_count = n + 1
        cell.metadata |= dict(trusted=True, collapsed=False, scrolled=True)
        cell.outputs = [
            nbformat.v4.new_output('execute_result', {'text/plain': '<f at 0x7f00>'}, execution_count=n + 1),
            nbformat.v4.new_output('stream', text='done\n'),
        ]
    return node


def save(folder, name, config, change=run_by_hand):
    "Open a notebook and save it again, by Jupyter's own manager with the settings that were installed."
    settings = PyFileConfigLoader(config.name, path=str(config.parent)).load_config()
    manager = LargeFileManager(root_dir=str(folder), config=settings)
    model = manager.get(f'nbs/{name}')
    model['content'] = change(model['content'])
    manager.save(model, f'nbs/{name}')


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_running_and_saving_leaves_no_difference(checkout, name):
    config = install(checkout)
    before = (checkout / 'nbs' / name).read_bytes()
    save(checkout, name, config, lambda node: node)
    assert (checkout / 'nbs' / name).read_bytes() == before and git(checkout, 'status', '--porcelain') == ''

    save(checkout, name, config)
    kept = json.loads((checkout / 'nbs' / name).read_text(encoding='utf-8'))
    assert all(len(c['outputs']) == 2 for c in kept['cells'] if c['cell_type'] == 'code'), 'outputs stay'
    assert git(checkout, 'diff') == ''
    git(checkout, 'add', '-A')
    assert git(checkout, 'status', '--porcelain') == ''


def test_without_the_hooks_there_is_noise(checkout):
    "What the test above finds nothing of."
    (checkout / 'no.py').write_text('')
    save(checkout, NOTEBOOKS[0], checkout / 'no.py')
    assert 'execution_count' in git(checkout, 'diff')


def test_a_real_change_is_seen(checkout):
    def edit(node):
        node = run_by_hand(node)
        node.cells[-1].source += '\n# another thought'
        return node

    save(checkout, NOTEBOOKS[0], install(checkout), edit)
    changed = [line for line in git(checkout, 'diff', '-U0').splitlines() if re.match(r'[+-](?![+-])', line)]
    assert 1 <= len(changed) <= 3 and any('another thought' in line for line in changed), changed


def seen_by_git(folder, name):
    "A notebook as it would be committed now."
    git(folder, 'add', '-A')
    return json.loads(git(folder, 'show', f':nbs/{name}'))


def test_a_changed_cell_loses_what_it_showed(checkout):
    "The others keep theirs, whatever a run by hand showed in their place."
    name = NOTEBOOKS[1]
    before = json.loads((checkout / 'nbs' / name).read_text(encoding='utf-8'))

    def edit(node):
        node = run_by_hand(node)
        next(c for c in node.cells if c.cell_type == 'code').source += '\n# another thought'
        return node

    save(checkout, name, install(checkout), edit)
    committed = seen_by_git(checkout, name)
    outputs = [cell['outputs'] for cell in committed['cells'] if cell['cell_type'] == 'code']
    expected = [cell['outputs'] for cell in before['cells'] if cell['cell_type'] == 'code']
    assert outputs == [[], *expected[1:]]
    assert committed['metadata']['made'] == before['metadata']['made']


def test_what_make_outputs_left_is_committed(checkout):
    "Other outputs than before, with their digest; opening and saving such a notebook changes nothing."
    config = install(checkout)
    name = NOTEBOOKS[0]
    notebook = as_committed(checkout / 'nbs' / name)
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    code[1]['outputs'] = []
    code[2]['outputs'][0]['data']['text/plain'] = ['8\n', '9']
    notebook['metadata']['made']['outputs'] = outputs_digest(notebook)
    (checkout / 'nbs' / name).write_text(notebook_text(notebook), encoding='utf-8')
    save(checkout, name, config, lambda node: node)
    assert (checkout / 'nbs' / name).read_text(encoding='utf-8') == notebook_text(notebook)
    assert seen_by_git(checkout, name) == notebook


def test_a_new_notebook_is_committed_without_outputs(checkout):
    config = install(checkout)
    notebook = as_committed(checkout / 'nbs' / NOTEBOOKS[0])
    notebook['metadata'].pop('made')
    (checkout / 'nbs' / '19_new.ipynb').write_text(notebook_text(notebook), encoding='utf-8')
    save(checkout, '19_new.ipynb', config)
    committed = seen_by_git(checkout, '19_new.ipynb')
    assert all(cell['outputs'] == [] for cell in committed['cells'] if cell['cell_type'] == 'code')


def test_outputs_that_were_cleared_come_back(checkout):
    "As after Jupyter's *Clear all outputs*, or an editor that drops them."

    def clear(node):
        for cell in node.cells:
            if cell.cell_type == 'code':
                cell.outputs = []
        return node

    save(checkout, NOTEBOOKS[0], install(checkout), clear)
    assert git(checkout, 'diff') == ''


def test_branches_with_other_outputs_merge(checkout):
    "Both ran `make outputs` after a change of their own; the merge has both changes, and is a notebook."
    install(checkout)
    name = NOTEBOOKS[0]
    path = checkout / 'nbs' / name

    def change(which, shown):
        notebook = json.loads(path.read_text(encoding='utf-8'))
        code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
        code[which]['source'] = [*code[which]['source'], '\n', f'# {shown}']
        code[2]['outputs'][0]['data']['text/plain'] = [shown]
        notebook['metadata']['made']['outputs'] = outputs_digest(notebook)
        path.write_text(notebook_text(notebook), encoding='utf-8')
        git(checkout, 'commit', '-qam', shown)

    git(checkout, 'checkout', '-qb', 'other')
    change(-1, 'theirs')
    git(checkout, 'checkout', '-q', '-')
    change(4, 'ours')
    git(checkout, 'merge', '-q', '--no-edit', 'other')
    merged = seen_by_git(checkout, name)
    code = [cell for cell in merged['cells'] if cell['cell_type'] == 'code']
    assert code[-1]['source'][-1] == '# theirs' and code[4]['source'][-1] == '# ours'
    assert code[2]['outputs'][0]['data']['text/plain'] == ['ours']


def test_what_is_installed_and_where(checkout):
    "Into .git and the environment, whatever was there stays, and a second time changes nothing."
    info = checkout / '.git' / 'info' / 'attributes'
    info.write_text('*.png binary')
    before = files(checkout)
    install(checkout)
    once = files(checkout)
    install(checkout)
    assert files(checkout) == once
    changed = {p.relative_to(checkout) for p in once if before.get(p) != once[p]}
    jupyter = Path('.venv-settings/etc/jupyter/jupyter_server_config.py')
    assert changed == {Path('.git/config'), Path('.git/info/attributes'), jupyter}
    assert info.read_text().startswith('*.png binary\nnbs/*.ipynb filter=')
    driver = git(checkout, 'config', 'merge.nbdev-merge.driver').split()[0]
    assert (checkout / driver).exists()


def test_without_a_repository(checkout, tmp_path):
    "A copy without .git, in nobody's repository or in another one's."
    shutil.rmtree(checkout / '.git')
    before = files(checkout)
    config = install(checkout)
    assert set(files(checkout)) - set(before) == {config}
    git(tmp_path, 'init', '-q')
    install(checkout)
    assert 'recsys' not in (tmp_path / '.git' / 'config').read_text()


def test_what_is_no_notebook_stays(checkout):
    "As in the middle of a merge."
    text = '<<<<<<< ours\n{"cells": []}\n=======\n'
    done = subprocess.run(
        [sys.executable, '.ci/hooks.py', 'clean'], cwd=checkout, input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, text)


def test_a_commit_is_asked_what_ci_asks():
    "Each hook is a target of the Makefile, and each target's program is one that make install brings."
    config = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    hooks = [hook for repo in config['repos'] for hook in repo['hooks']]
    assert {repo['repo'] for repo in config['repos']} == {'local'}
    assert [hook['entry'] for hook in hooks] == ['make notebooks', 'make readme', 'make lint']
    makefile = (ROOT / 'Makefile').read_text()
    for hook in hooks:
        target = hook['entry'].removeprefix('make ')
        recipe = re.search(rf'^{target}: install.*\n((?:\t.*\n)+)', makefile, re.M)[1]
        programs = re.findall(r'\$\(BIN\)/([\w-]+)', recipe)
        assert programs and all((Path(sys.executable).parent / p).exists() for p in programs), target
    assert '$(BIN)/python .ci/hooks.py' in makefile
