"""What the tests of the runner share:
projects to run in, the command, and what must be true of a study folder at any moment."""

import atexit
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
KILLED = 'its kernel was ended by signal 9'
QUICK = [
    '--profile',
    'tiny',
    *(
        x
        for p in (
            'trials=1',
            'epochs=1',
            '12_sasrec.published=false',
            '15_bpr.iterations=5',
            '17_bert4rec.shorter=0',
        )
        for x in ('-p', p)
    ),
]
TOYS = (
    '10_baselines',
    '11_als',
    '14_ease',
    '30_comparison',  # and those that the profile tiny names
    '12_sasrec',
    '17_bert4rec',
    '19_features',
    '19_graphs',
    '31_ablation',
    '34_certainty',
    '35_leakage',
)


def command(project, *arguments, program=(str(BIN / 'recsys-nb'),), before=(), env=None, **more):
    "Start the command in a session of its own, as a terminal would."
    environment = os.environ | {'PATH': f'{BIN}:{os.environ["PATH"]}', 'COLUMNS': '200'} | (env or {})
    return subprocess.Popen(
        [*before, *program, *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        **more,
    )


def recsys(project, *arguments, timeout=600, **more):
    "What a command prints and how it ends; never with a traceback."
    process = command(project, *arguments, **more)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    assert 'Traceback' not in out + err, out + err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@cache
def door():
    """Where tests get kernels that have imported what is slow to import: one for this process and all its
    tests, made when first asked for. None where kernels can't be forked."""
    from recsys_nb.kernel import kernel_environment
    from recsys_nb.warm import warm_kernels

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    with kernel_environment():
        found = stack.enter_context(warm_kernels(folder))
    until = time.monotonic() + 120
    while found and not found.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not found or found.exists(), 'nobody gives kernels'
    return found


# what a program begins with whose kernels come from that door
AT_DOOR = """import contextlib, os
from pathlib import Path
from recsys_nb import warm
door = os.environ['DOOR']
warm.warm_kernels = lambda *_: contextlib.nullcontext(Path(door) if door else None)
"""
TYPED = """
from recsys_nb.cli import app, import_without_grammar
import_without_grammar()
app(prog_name='recsys-nb')
"""


def at_door():
    "What `recsys` is to be given, so that a study's kernels are forked from those of the tests."
    return dict(program=(str(BIN / 'python'), '-c', AT_DOOR + TYPED), env=dict(DOOR=str(door() or '')))


def here(folder, *only, study='toy', own=False, **more):
    """The same in this process, which has everything imported: exit status, and what was said.
    Its kernels come from the door of all tests; `own`: from one that is the run's, as when it is typed."""
    from rich.console import Console
    from recsys_nb.study import run_study

    def shared(_, wanted):
        return contextlib.nullcontext(door() if wanted or door.cache_info().currsize else None)

    told = io.StringIO()
    with contextlib.nullcontext() if own else patch('recsys_nb.study.warm_kernels', shared):
        code = run_study(
            study=study, profile='tiny', only=only, root=folder, console=Console(file=told, width=200), **more
        )
    return code, told.getvalue()


def one_sentence(done, status, *words):
    "A command that ended as asked, saying why in one line."
    assert done.returncode == status, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def project(folder, only=None, data=ROOT / 'data'):
    "A copy of the project, all notebooks or only some; data are shared."
    shutil.copytree(
        ROOT / 'nbs',
        folder / 'nbs',
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns('.ipynb_checkpoints', 'images'),
    )
    for path in (folder / 'nbs').glob('[0-9]*.ipynb'):
        if only and path.stem not in only:
            path.unlink()
    shutil.copy(ROOT / 'settings.ini', folder)
    if data:
        data.mkdir(exist_ok=True)
        (folder / 'data').symlink_to(data)
    return folder


def install_wheel(folder):
    "The library alone, built and installed as others get it, without network: the folder that it is in."
    source, site = folder / 'source', folder / 'site'
    ignored = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
    for name in ('recsys_nb', 'nbs'):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ('settings.ini', 'setup.py', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']
    build = [*pip, 'wheel', '.', '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', folder]
    subprocess.run(build, cwd=source, check=True)
    subprocess.run([*pip, 'install', '--no-deps', '--target', site, *folder.glob('*.whl')], check=True)
    shutil.rmtree(source)
    return site


TOY = '''import hashlib, json, os
from pathlib import Path
exec(os.environ.get('TOY', ''))
folder = Path(out)/'results'/'{0}'; folder.mkdir(parents=True, exist_ok=True)
said = [data, {1}, '{0}']
value = int(hashlib.sha256(json.dumps(said).encode()).hexdigest()[:6], 16) / 0xffffff
part = folder/'.metrics.json.1'
_ = part.write_text(json.dumps(dict(value=value, said=said), indent=1))
os.replace(part, folder/'metrics.json')'''
TABLE = '''import json
from pathlib import Path
rows = ['protocol,slice,model,metric,k,value,low,high,n']
for path in sorted(Path(out).glob('results/1*/metrics.json')): # models: who else wrote by then is chance
    rows.append(f"next-item,all,{path.parent.name},HitRate,10,{json.loads(path.read_text())['value']:.6f},,,9")
_ = (Path(out)/'comparison.csv').write_text('\\n'.join(rows) + '\\n')'''


def toys(folder, **more):
    """A project whose notebooks have the names and the parameters of ours, and end in a second:
    a model's result is a digest of its data and seed."""
    project(folder, TOYS, **more)
    for path in (folder / 'nbs').glob('[0-9]*.ipynb'):
        notebook = json.loads(path.read_text())
        tagged = [c for c in notebook['cells'] if 'parameters' in c['metadata'].get('tags', [])]
        body = TABLE if path.stem == '30_comparison' else TOY.format(path.stem, 'seed')
        about = '# the library that its parameters speak of: ' + ', '.join(
            sorted(
                f'recsys_nb.{m}'
                for m in set(
                    re.findall(r'(?:recsys_nb\.|default_exp )([a-z]\w*)', json.dumps(notebook['cells']))
                )
            )
        )
        cell = dict(
            cell_type='code',
            id='toy',
            metadata={},
            outputs=[],
            execution_count=None,
            source=f'{about}\n{body}',
        )
        notebook['cells'] = [
            dict(cell_type='markdown', id='title', metadata={}, source=f'# {path.stem}'),
            *tagged,
            cell,
        ]
        path.write_text(json.dumps(notebook))
    return folder


def kernels(project):
    "Numbers of the processes that work in a project's notebooks folder, and of who forks them."
    found = []
    for path in Path('/proc').glob('[0-9]*'):
        try:
            inside = (path / 'cwd').resolve() == (project / 'nbs').resolve() and re.search(
                b'ipykernel|recsys_nb.warm', (path / 'cmdline').read_bytes()
            )
            if inside and (path / 'stat').read_text().rpartition(')')[2].split()[0] != 'Z':
                found.append(int(path.name))
        except OSError:
            pass
    return found


def gone(project, seconds=5):
    "Whether no kernel is left after a moment."
    until = time.monotonic() + seconds
    while (left := kernels(project)) and time.monotonic() < until:
        time.sleep(0.05)
    return not left


def nothing_half_written(folder):
    "Every file under its final name is whole."
    for path in folder.rglob('*'):
        if (
            path.name.startswith('.')
            or any(part.startswith('.') for part in path.relative_to(folder).parts)
            or not path.is_file()
        ):
            continue
        if path.suffix in ('.json', '.ipynb'):
            json.loads(path.read_text())
        if path.suffix == '.parquet':
            pq.read_table(path)
        if path.suffix in ('.npz', '.npy'):
            np.load(path, allow_pickle=False)
        if path.suffix == '.ckpt':
            import torch

            torch.load(path, weights_only=True)
        if path.suffix == '.html' and re.match(r'\d\d_|index', path.name):
            assert path.read_text().rstrip().endswith('</html>'), path
        if path.suffix == '.csv':
            assert path.read_text().endswith('\n'), path


def temporary_files(folder):
    "Files and folders under names that end with the number of a process."
    return [p for p in folder.rglob('.*') if re.search(r'\.\d+(\.ipynb)?$', p.name)]


def different(old, new):
    "Result files that differ."
    from recsys_nb.cli import compare_results

    found = compare_results(old, new)
    assert found
    return [pair for pair in found if pair[1] != 'same']


def forget_notebook(folder, name):
    "Make a study as if a notebook had never run."
    manifest = json.loads((folder / 'manifest.json').read_text())
    for path in [*manifest['notebooks'].pop(name)['files'], f'{name}.html', f'notebooks/{name}.ipynb']:
        (folder / path).unlink()
    (folder / 'manifest.json').write_text(json.dumps(manifest))
