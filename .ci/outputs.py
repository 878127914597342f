"""Run the notebooks that people read, and keep what they show in nbs/*.ipynb.

    make outputs                     those whose cells or library changed since they were run
    make outputs ONLY=12_sasrec      these, whatever changed (names, with spaces between them)
    make outputs FORCE=1             all
    python .ci/outputs.py --check    say which are stale, run nothing

Each runs as papermill runs it, at its defaults, in a copy of the project in a temporary folder: together they
are a study of `simulated:tiny`, so that what reads others' results finds them. Two run side by side. What
they show is cleaned until a second run leaves the same: no stderr, widgets, paths, host names, addresses;
a cell that shows the same but for times and memory keeps what it had. Figures become pictures of their own,
with their alternative text beside them, since GitHub shows no picture inside of HTML.

The notebook's metadata then say, as `made`, what the outputs were made from: a digest of its code, one of the
library that it imports and of the notebooks whose results it reads, and one of the outputs themselves, by
which git's filter (.ci/hooks.py) knows them from those of somebody's own Run All."""

import argparse
import ast
import base64
import html
import io
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / '.ci')]

from hooks import joined, nbdev_cleaned, notebook_text, outputs_digest, texts_joined  # noqa: E402

LIBRARY = 'the library or a committed report changed'
WITHOUT = {  # notebooks that are committed without outputs -> why
    '90_benchmarks': 'all it shows is how fast one machine is: reports/benchmarks has it',
    '91_reliability': 'all it shows is what `make torture` tried: reports/reliability has it',
}
LARGEST_PICTURE = 60_000  # bytes
LARGEST_OUTPUT = 100_000  # characters of a cell's outputs as JSON
LIMIT = 600  # seconds for a notebook
SIDE_BY_SIDE = 2
COPIED = ('nbs', 'recsys_nb', 'settings.ini', '.gitignore')
RICHER = ('text/html', 'text/markdown', 'image/png', 'image/svg+xml')  # than text/plain
ADDRESS = re.compile(r' at 0x[0-9a-fA-F]+')
TEMPORARY = re.compile(r'\btmp[a-z0-9_]{8}\b')
HOST = re.compile(rf'(?<![\w.-]){re.escape(socket.gethostname())}(?![\w.-])')
TERMINAL = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')
STYLED = re.compile(r'\bT_[0-9a-f]{5}(?![0-9a-z])')  # the random name of a pandas Styler's table
FRAME_STYLE = re.compile(r'<style scoped>.*?</style>\n?', re.S)
FIGURE = re.compile(r'\s*(?:<div[^>]*>\s*)*<figure\b')
IMAGE = re.compile(r'<img\b[^>]*\bsrc="data:image/png;base64,([^"]+)"[^>]*>')
UNITS = r'(?:µs|us|ms|s|sec|seconds?|min|minutes?|hours?|kB|MB|GB)'
NUMBER = r'\d[\d,]*(?:\.\d+)?(?:e-?\d+)?'
MEASURES = (
    rf'{NUMBER}(?=(?:\s|&nbsp;)?{UNITS}\b)',
    rf'{NUMBER}(?= [\w-]+ (?:a|per) second)',
    r'(?:\b202\d-\d\d-\d\d[ T])?\b\d+:\d\d(?::\d\d)?\b',  # simulated events are of 2015
)
MEASURED = re.compile('|'.join(MEASURES))
OF_MEASURES = re.compile(rf'\b(?:{UNITS}|milliseconds|memory)\b', re.I)  # in a table's heads or caption


# What is stale


def read_notebook(path):
    return json.loads(path.read_text(encoding='utf-8'))


def with_outputs(root):
    "Paths of the notebooks that are committed with outputs."
    return [p for p in sorted((root / 'nbs').glob('*.ipynb')) if p.stem not in WITHOUT]


def code_of(source):
    "A cell's code without comments and spaces; as it stands where Python can't read it."
    try:
        return ast.unparse(ast.parse(source))
    except SyntaxError:
        return source


def sources(path):
    "Sources of a notebook's code cells."
    return [joined(c['source']) for c in read_notebook(path)['cells'] if c['cell_type'] == 'code']


def code_digest(path):
    from recsys_nb.manifest import digest

    return digest([code for code in map(code_of, sources(path)) if code])


def modules_imported(path):
    from recsys_nb.manifest import imported_modules

    return set().union(*map(imported_modules, sources(path)))


def committed_reports(root):
    "Folders of the reports that are part of the project, as .gitignore lists them."
    text = (root / '.gitignore').read_text(encoding='utf-8')
    folders = [root / 'reports' / name for name in re.findall(r'^!reports/([\w-]+)/$', text, re.M)]
    return [folder for folder in folders if folder.is_dir()]


def reports_read(path):
    "Files of the committed reports that a notebook shows: its own finding, or all where it sums them up."
    from recsys_nb.manifest import own_module

    own = own_module([('code', code) for code in sources(path)])
    whole = 'summary' in {own, *modules_imported(path)}
    patterns = ['findings/*.txt', '*.csv', 'manifest.json'] if whole else [f'findings/{path.stem}.txt']
    return sorted(
        p for folder in committed_reports(path.parent.parent) for some in patterns for p in folder.glob(some)
    )


def library_digest(path):
    "What a notebook imports, directly or through others, and whose results and findings it reads."
    from recsys_nb.manifest import digest, library_of
    from recsys_nb.parameters import needed

    root = path.parent.parent
    numbered = [p.stem for p in sorted((root / 'nbs').glob('[0-9]*.ipynb'))]
    read = {name: code_digest(path.with_name(f'{name}.ipynb')) for name in needed(path.stem, numbered)}
    findings = {str(p.relative_to(root)): digest(p.read_text(encoding='utf-8')) for p in reports_read(path)}
    return digest([library_of(modules_imported(path), root / 'recsys_nb'), read, findings])


def why_stale(path):
    "Why a notebook's outputs are older than it; '' where they are not."
    made = read_notebook(path)['metadata'].get('made')
    if made is None:
        return 'has no outputs'
    if made['code'] != code_digest(path):
        return 'its cells changed'
    return LIBRARY if made['library'] != library_digest(path) else ''


def stale_notebooks(root=ROOT):
    "Notebook -> why its outputs are stale."
    found = {path.stem: why_stale(path) for path in with_outputs(root)}
    return {name: why for name, why in found.items() if why}


# What is kept of an output


def clean_text(text):
    "A text without what belongs to this machine or this run."
    from recsys_nb.places import scrub

    text = TERMINAL.sub('', scrub(joined(text)))
    text = HOST.sub('localhost', text)
    return TEMPORARY.sub('tmp', ADDRESS.sub('', text))


def clean_html(text):
    "HTML whose random names are counted, without the style that pandas repeats before every table."
    text = FRAME_STYLE.sub('', clean_text(text)).replace('<style type="text/css">\n</style>\n', '')
    names = list(dict.fromkeys(STYLED.findall(text)))
    return STYLED.sub(lambda m: f'T_{names.index(m[0])}', text)


def small_picture(encoded):
    "A picture of at most LARGEST_PICTURE bytes: of fewer colours, then smaller, where it is larger."
    from PIL import Image

    data = base64.b64decode(joined(encoded))
    picture = Image.open(io.BytesIO(data)).convert('RGB')
    for colours, part in ((256, 1), (64, 1), (64, 0.75), (64, 0.5), (32, 0.35), (16, 0.25)):
        if len(data) <= LARGEST_PICTURE:
            break
        size = [round(n * part) for n in picture.size]
        small = picture.resize(size, Image.LANCZOS) if part < 1 else picture
        file = io.BytesIO()
        small.quantize(colours, dither=Image.Dither.NONE).save(file, 'PNG', optimize=True)
        data = file.getvalue()
    return base64.b64encode(data).decode()


def attribute(tag, name):
    found = re.search(rf'\b{name}="(.*?)"', tag, re.S)
    return html.unescape(found[1]) if found else ''


def figure_outputs(data, metadata):
    "The picture of a figure, with its alternative text, and its caption below; None of what is no figure."
    text = joined(data.get('text/html', ''))
    image = IMAGE.search(text)
    encoded = data.get('image/png') or (image and image[1])
    if not FIGURE.match(text) or not encoded:
        return None
    tag = image[0] if image else text
    about = dict(metadata.get('image/png', {}))
    about['alt'] = about.get('alt') or attribute(tag, 'alt')
    if width := re.search(r'(?<![\w-])width:\s*(\d+)px', attribute(tag, 'style')):
        about.setdefault('width', int(width[1]))
    shown = {'image/png': small_picture(encoded)}
    found = [{'output_type': 'display_data', 'data': shown, 'metadata': {'image/png': about}}]
    if caption := re.search(r'<figcaption[^>]*>(.*?)</figcaption>', text, re.S):
        below = {'text/html': f'<p><em>{clean_text(caption[1].strip())}</em></p>'}
        found.append({'output_type': 'display_data', 'data': below, 'metadata': {}})
    return found


def clean_bundle(data):
    "What one output holds, in the one or two shapes that are shown somewhere."
    kept = {}
    for kind, value in data.items():
        if kind == 'text/html':
            kept[kind] = clean_html(value)
        elif kind == 'image/png':
            kept[kind] = small_picture(value)
        elif kind.startswith('text/') or kind == 'image/svg+xml':
            kept[kind] = clean_text(value)
    if any(kind in kept for kind in RICHER):
        kept.pop('text/plain', None)
    return kept


def clean_output(output):
    "What is kept of one output: a list, empty of what only this run or this machine has to say."
    kind = output['output_type']
    if kind == 'stream':
        text = ''.join(line.rpartition('\r')[2] for line in clean_text(output['text']).splitlines(True))
        return (
            [dict(output_type=kind, name='stdout', text=text)] if output['name'] == 'stdout' and text else []
        )
    if kind == 'error':  # that a notebook shows on purpose
        traceback = [clean_text(line) for line in output['traceback']]
        return [
            dict(
                output_type=kind,
                ename=output['ename'],
                evalue=clean_text(output['evalue']),
                traceback=traceback,
            )
        ]
    if any('widget' in k for k in output['data']):
        return []
    if found := figure_outputs(output['data'], output['metadata']):
        return found
    kept = clean_bundle(output['data'])
    metadata = {k: v for k, v in output['metadata'].items() if k in kept}
    one = {'output_type': kind, 'data': kept, 'metadata': metadata}
    return [one | {'execution_count': None} if kind == 'execute_result' else one] if kept else []


def clean_outputs(outputs):
    "What is kept of a cell's outputs; neighbouring texts are one."
    kept = []
    for output in outputs:
        for one in clean_output(output):
            if one['output_type'] == 'stream' and kept and kept[-1]['output_type'] == 'stream':
                kept[-1]['text'] += one['text']
            else:
                kept.append(one)
    return kept


def in_lines(output):
    "An output as Jupyter writes it: texts as lists of lines, pictures in one piece."
    output = dict(output)
    if 'text' in output:
        output['text'] = output['text'].splitlines(True)
    if 'data' in output:
        output['data'] = {
            kind: text.splitlines(True) if kind.startswith('text/') or 'svg' in kind else text
            for kind, text in output['data'].items()
        }
    return output


def table_but_for_measures(match):
    "The texts of a table without the numbers below a head or a caption that names a unit of time or memory."
    rows = re.findall(r'<tr.*?</tr>', match[0], re.S)
    table = [re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row, re.S) for row in rows]
    heads = table[0] if table else []
    caption = re.search(r'<caption[^>]*>(.*?)</caption>', match[0], re.S)
    every = caption is not None and OF_MEASURES.search(caption[1]) is not None
    columns = {i for i, text in enumerate(heads) if OF_MEASURES.search(text)}
    for cells in table[1:]:
        whole = every or bool(cells) and OF_MEASURES.search(cells[0]) is not None
        for i in range(1, len(cells)):
            if whole or i in columns:
                cells[i] = re.sub(NUMBER, '#', cells[i])
    return str(table)


def but_for_measures(outputs):
    "Outputs without their times and memory, to be compared."
    text = json.dumps([texts_joined(o) for o in outputs], sort_keys=True, ensure_ascii=False)
    return re.sub(r'<table.*?</table>', table_but_for_measures, MEASURED.sub('#', text), flags=re.S)


# Running and storing


def store(executed, path):
    "Write what an executed notebook shows into a notebook; returns how many cells show something else now."
    shown = {cell['id']: cell.get('outputs', []) for cell in executed['cells']}
    notebook = read_notebook(path)
    changed = 0
    for cell in notebook['cells']:
        if cell['cell_type'] != 'code':
            continue
        outputs = [in_lines(o) for o in clean_outputs(shown.get(cell['id'], []))]
        if len(json.dumps(outputs)) > LARGEST_OUTPUT:
            raise SystemExit(f'{path.stem}, cell {cell["id"]}: shows more than {LARGEST_OUTPUT:,} characters')
        if but_for_measures(outputs) != but_for_measures(cell['outputs']):
            cell['outputs'] = outputs
            changed += 1
    notebook['metadata'].pop('made', None)
    nbdev_cleaned(notebook)
    digests = dict(code=code_digest(path), library=library_digest(path), outputs=outputs_digest(notebook))
    notebook['metadata']['made'] = digests
    text = notebook_text(notebook)
    if text != path.read_text(encoding='utf-8'):
        path.write_text(text, encoding='utf-8')
    return changed


def project_copy(root, folder):
    "A project in another folder, whose notebooks write there and read the committed reports."
    ignored = shutil.ignore_patterns('.ipynb_checkpoints', '__pycache__')
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=ignored)
        else:
            shutil.copy(root / name, folder / name)
    (folder / 'reports').mkdir()
    (folder / 'data').mkdir()
    for report in committed_reports(root):
        (folder / 'reports' / report.name).symlink_to(report)


def run_one(folder, door, name):
    "In a process of its own: a notebook's error, or '', and the seconds it took."
    from recsys_nb.kernel import execute

    os.chdir(folder / 'nbs')
    began = time.monotonic()
    error, _ = execute(f'{name}.ipynb', str(folder / f'{name}.ipynb'), {}, limit=LIMIT, door=door)
    return name, error, time.monotonic() - began


def in_turns(names, numbered):
    "Groups of notebooks that may run side by side, each after those whose results it reads."
    from recsys_nb.parameters import needed

    groups = []
    left = list(names)
    while left:
        free = [n for n in left if not set(needed(n, numbered)) & set(left)]
        groups.append(free)
        left = [n for n in left if n not in free]
    return groups


def run_and_store(names, root=ROOT):
    "Run notebooks, and those whose results they read; keep what they show. Returns notebook -> error."
    from recsys_nb.kernel import kernel_environment
    from recsys_nb.parameters import needed
    from recsys_nb.warm import warm_kernels

    numbered = [p.stem for p in with_outputs(root) if p.stem[0].isdigit()]
    run = sorted({*names, *(n for name in names for n in needed(name, numbered))})
    failed = {}
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='outputs-'))).resolve()
        project_copy(root, folder)
        stack.enter_context(kernel_environment())
        os.environ['PYTHONPATH'] = f'{folder}{os.pathsep}{os.environ["PYTHONPATH"]}'  # the copy's library
        (folder / 'warm').mkdir()
        door = stack.enter_context(warm_kernels(folder / 'warm'))
        pool = stack.enter_context(ProcessPoolExecutor(SIDE_BY_SIDE))
        os.chdir(folder / 'nbs')  # so that its places, too, are taken out of what is shown
        for group in in_turns(run, numbered):
            for name, error, seconds in pool.map(partial(run_one, folder, door), group):
                said = error or 'ran for others'
                if error:
                    failed[name] = error
                elif name in names:
                    changed = store(read_notebook(folder / f'{name}.ipynb'), root / 'nbs' / f'{name}.ipynb')
                    said = f'{changed} cells show something else' if changed else 'shows the same'
                print(f'{name:24} {seconds:5.0f} s  {said}', flush=True)
        os.chdir(root)
    return failed


def megabytes(paths):
    return sum(path.stat().st_size for path in paths) / 1e6


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('names', nargs='*', help='notebooks to run, whatever changed')
    parser.add_argument('--all', action='store_true', help='run all of them')
    parser.add_argument('--check', action='store_true', help='say which are stale, run nothing')
    options = parser.parse_args(arguments)
    stale = stale_notebooks()
    if options.check:
        for name, why in stale.items():
            print(f'{name}: {why}')
        return int(bool(stale))
    known = [path.stem for path in with_outputs(ROOT)]
    if unknown := [n for n in options.names if n not in known]:
        parser.error(f'no notebook with outputs is called {", ".join(unknown)}')
    names = options.names or (known if options.all else list(stale))
    failed = run_and_store(names) if names else {}
    size = megabytes(with_outputs(ROOT))
    print(f'{len(names) - len(failed)} notebooks ran; all {len(known)} together have {size:.1f} MB')
    for name, why in WITHOUT.items():
        print(f'{name} has no outputs: {why}')
    for name, error in failed.items():
        print(f'{name} failed: {error}', file=sys.stderr)
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
