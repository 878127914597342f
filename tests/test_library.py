"""The library as others use it: from a wheel, in an empty folder, without study, repository or notebook.

The script is the one that CONTRIBUTING.md shows."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from studies import ROOT, install_wheel

EXAMPLE = ROOT / 'examples' / 'own_log.py'


@pytest.fixture
def empty(tmp_path):
    "An empty folder, the environment of somebody with an empty home, and where the wheel is installed."
    site = install_wheel(tmp_path)
    for name in ('empty', 'home'):
        (tmp_path / name).mkdir()
    kept = {name: os.environ[name] for name in ('PATH', 'OMP_NUM_THREADS') if name in os.environ}
    return tmp_path / 'empty', kept | dict(PYTHONPATH=str(site), HOME=str(tmp_path / 'home')), site


def test_the_script_of_contributing(empty):
    folder, env, site = empty
    shutil.copy(EXAMPLE, folder / 'script.py')
    with open(folder / 'script.py', 'a') as script:
        script.write("\nimport recsys_nb\nprint(recsys_nb.__file__)\n")
    done = subprocess.run(
        [sys.executable, 'script.py'], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *lines, library = done.stdout.splitlines()
    first, again = '\n'.join(lines[:2]), '\n'.join(lines[2:])
    assert first == again, 'what was saved and loaded recommends something else'
    assert ast.literal_eval(first.replace("' '", "', '").replace('\n', ','))[0][0] == 'cup'
    assert library.startswith(str(site)), 'the library of the repository was used, not the wheel'
    assert sorted(p.name for p in folder.iterdir()) == ['kept', 'script.py']


def test_the_script_is_short_and_shown():
    "Ten statements beside its imports, and where people are told of it, it stands as it is."
    text = EXAMPLE.read_text()
    statements = [n for n in ast.parse(text).body if not isinstance(n, (ast.Import, ast.ImportFrom))]
    assert len(statements) <= 11  # the first one is the sentence on top
    shown = ROOT / 'CONTRIBUTING.md'
    if shown.exists():
        assert text.strip() in shown.read_text(encoding='utf-8')
