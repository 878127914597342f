"""Notebooks that were only looked at leave no trace in git: `make install` runs this.

    python .ci/hooks.py              install, as often as one likes; without git Jupyter's part alone
    python .ci/hooks.py clean PATH   standard input to standard output: git's filter for nbs/*.ipynb

What nbdev_install_hooks does, with three differences. It writes into .git and .venv alone: never into the
home of who runs it, no file that git sees. The filter reads standard input, where nbdev 2.4.14's own
`nbdev_clean --stdin` fails. And it knows whose outputs they are. Notebooks are committed with the outputs of
`make outputs`, which come from simulated data and have no times, paths or warnings in them; the notebook's
metadata hold their digest (`made`), so they are known again. Other outputs are those of somebody's own Run
All, perhaps on events that nobody else may see. They stay in the file on disk, and git sees those that it
had in their place, cell by cell; of a cell that is new or was changed it sees none. So `git diff` shows
what a person wrote, and `git status` names a notebook that was only run until it is added."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ATTRIBUTES = 'nbs/*.ipynb filter=recsys-nb merge=nbdev-merge'
GIT = {
    'filter.recsys-nb.clean': '.venv/bin/python .ci/hooks.py clean %f',
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


def joined(value):
    "A text that a notebook's file may hold as a list of lines."
    return ''.join(value) if isinstance(value, list) else value


def texts_joined(output):
    "An output, each of its texts in one piece."
    output = {key: joined(value) if key == 'text' else value for key, value in output.items()}
    if 'data' in output:
        output['data'] = {kind: joined(value) for kind, value in output['data'].items()}
    return output


def outputs_digest(notebook):
    "Twelve digits that stand for all outputs of a notebook, however their lines are written and counted."
    shown = []
    for cell in notebook['cells']:
        outputs = [texts_joined(output) for output in cell.get('outputs', [])]
        for output in outputs:
            output.pop('execution_count', None)
            output['data'] = {
                kind: text.rstrip('\n') if isinstance(text, str) else text
                for kind, text in output.get('data', {}).items()
            }
        if outputs:
            shown.append([cell['id'], outputs])
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:12]


def made_here(notebook):
    "Whether the outputs of a notebook are those that `make outputs` left in it."
    return outputs_digest(notebook) == notebook['metadata'].get('made', {}).get('outputs')


def with_outputs_of(notebook, before):
    "A notebook, changed in place: each cell whose source is as it was has the outputs that it had."
    was = {cell['id']: cell for cell in before['cells'] if cell['cell_type'] == 'code'}
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            old = was.get(cell['id'])
            same = old is not None and joined(old['source']) == joined(cell['source'])
            cell['outputs'] = old['outputs'] if same else []
    notebook['metadata'].pop('made', None)
    if 'made' in before['metadata']:
        notebook['metadata']['made'] = before['metadata']['made']
    return notebook


def notebook_text(notebook):
    "A notebook as its file has it, and as nbdev_clean writes it."
    return json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + '\n'


NOTHING = {'cells': [], 'metadata': {}}


def for_git(text, before=''):
    """What git is to see of a notebook's text, where it had `before`;
    what is no notebook (in the middle of a merge) stays as it is."""
    try:
        notebook = nbdev_cleaned(json.loads(text))
        if not made_here(notebook):
            with_outputs_of(notebook, json.loads(before) if before else NOTHING)
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    return notebook_text(notebook)


def git(root, *arguments):
    done = subprocess.run(['git', '-C', str(root), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def text_in_git(root, path):
    "What git has of a file: what was added last, or committed; '' where it has none."
    for place in (f':{path}', f'HEAD:{path}'):
        done = subprocess.run(['git', '-C', str(root), 'show', place], capture_output=True)
        if done.returncode == 0:
            return done.stdout.decode('utf-8')
    return ''


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
    if sys.argv[1:2] == ['clean']:
        sys.stdin.reconfigure(encoding='utf-8', newline='')
        sys.stdout.reconfigure(encoding='utf-8', newline='')
        sys.stdout.write(for_git(sys.stdin.read(), ''.join(text_in_git(ROOT, p) for p in sys.argv[2:3])))
    else:
        install()
