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


@pytest.fixture
def checkout(tmp_path):
    "A repository with two notebooks, and an environment."
    folder = tmp_path / 'a checkout'
    (folder / 'nbs').mkdir(parents=True)
    (folder / '.ci').mkdir()
    for name in NOTEBOOKS:
        shutil.copy(ROOT / 'nbs' / name, folder / 'nbs')
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
