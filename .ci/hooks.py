"""Notebooks that were only looked at leave no trace in git: `make install` runs this.

    python .ci/hooks.py         install, as often as one likes; without a git repository Jupyter's part alone
    python .ci/hooks.py clean   standard input to standard output: git's filter for nbs/*.ipynb

What nbdev_install_hooks does, with three differences. It writes into .git and .venv alone: never into the
home of who runs it, no file that git sees. The filter reads standard input, where nbdev 2.4.14's own
`nbdev_clean --stdin` fails. And it leaves out the outputs, since notebooks are committed without them: they
stay in the file on disk, `git diff` shows nothing, and `git status` names such a notebook until it is added.
When outputs are to be committed, `without_outputs` goes."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ATTRIBUTES = 'nbs/*.ipynb filter=recsys-nb merge=nbdev-merge'
GIT = {
    'filter.recsys-nb.clean': '.venv/bin/python .ci/hooks.py clean',
    'merge.nbdev-merge.name': 'resolve conflicts with nbdev_fix',
    'merge.nbdev-merge.driver': '.venv/bin/nbdev_merge %O %A %B %P',
}
JUPYTER = '''# written by .ci/hooks.py: what is saved is cleaned as by nbdev_clean, outputs stay
import sys


def clean(model, contents_manager, path, **more):
    if model['type'] != 'notebook' or model['content']['nbformat'] != 4:
        return
    sys.path.insert(0, {folder!r})
    try:
        from hooks import nbdev_cleaned
    except ImportError:
        return
    finally:
        sys.path.pop(0)
    nbdev_cleaned(model['content'])


c.ContentsManager.pre_save_hook = clean
'''


def nbdev_cleaned(notebook):
    "A notebook, changed in place as nbdev_clean does by this project's settings."
    from nbdev.clean import clean_nb
    from nbdev.config import get_config

    settings = get_config(path=ROOT)
    cells, whole = (settings.get(f'allowed_{key}').split() for key in ('cell_metadata_keys', 'metadata_keys'))
    clean_nb(notebook, settings.clear_all, whole, cells, settings.clean_ids)
    return notebook


def without_outputs(notebook):
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            cell['outputs'] = []
    return notebook


def for_git(text):
    "What git is to see of a notebook's text; what is no notebook (in the middle of a merge) stays as it is."
    try:
        notebook = json.loads(text)
        notebook = without_outputs(nbdev_cleaned(notebook))
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    return json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + '\n'


def git(root, *arguments):
    done = subprocess.run(['git', '-C', str(root), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def is_checkout(root):
    "Whether a folder is a working tree's top, rather than a copy that lies in somebody else's repository."
    try:
        top = git(root, 'rev-parse', '--show-toplevel')
    except FileNotFoundError:  # no git at all
        return False
    return top is not None and Path(top).resolve() == Path(root).resolve()


def install(root=ROOT, environment=Path(sys.prefix)):
    "Git's filter and merge driver in a repository's own settings, and Jupyter's hook in an environment's."
    config = environment / 'etc' / 'jupyter' / 'jupyter_server_config.py'
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(JUPYTER.format(folder=str(root / '.ci')), encoding='utf-8')
    if not is_checkout(root):
        return
    for key, value in GIT.items():
        git(root, 'config', '--local', key, value)
    attributes = root / git(root, 'rev-parse', '--git-path', 'info/attributes')
    attributes.parent.mkdir(exist_ok=True)
    there = attributes.read_text(encoding='utf-8').splitlines() if attributes.exists() else []
    if ATTRIBUTES not in there:
        attributes.write_text('\n'.join([*there, ATTRIBUTES, '']), encoding='utf-8')


if __name__ == '__main__':
    if sys.argv[1:] == ['clean']:
        sys.stdin.reconfigure(encoding='utf-8', newline='')
        sys.stdout.reconfigure(encoding='utf-8', newline='')
        sys.stdout.write(for_git(sys.stdin.read()))
    else:
        install()
