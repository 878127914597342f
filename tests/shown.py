"""What a notebook shows, and what it only makes:
results that are thrown away, and sentences that point at nothing."""

import ast
import re

STYLED = {
    'style',
    'format',
    'set_caption',
    'set_properties',
    'background_gradient',
    'hide',
    'to_frame',
    'head',
    'tail',
    'describe',
    'sort_values',
    'sort_index',
    'rename_axis',
    'assign',
    'round',
    'pivot',
    'reindex',
}
MADE = {'HTML', 'Markdown', 'Image', 'SVG', 'Latex'}
FROM_PANDAS = {f'pd.{name}' for name in ('DataFrame', 'Series', 'concat', 'read_csv', 'read_parquet')}
KEEPS = re.compile(r'(write|save|keep|test)_')  # functions that are called for what they leave behind
RETURNS = re.compile(r'DataFrame|Series|Styler|HTML|Markdown|[Ff]igure')


def python(source):
    "A code cell's statements."
    return ast.parse(re.sub(r'^(\s*)[%!].*', r'\1pass', source, flags=re.M)).body


def made(node, known):
    "Whether an expression's value is there to be looked at."
    if isinstance(
        node, (ast.Name, ast.Attribute, ast.Subscript, ast.Dict, ast.JoinedStr, ast.BinOp, ast.Compare)
    ):
        return True  # it does nothing else
    if isinstance(node, (ast.Tuple, ast.List)):
        return any(made(part, known) for part in node.elts)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return made(node.elt, known)
    if isinstance(node, ast.IfExp):
        return made(node.body, known) or made(node.orelse, known)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in MADE | known
    return isinstance(node.func, ast.Attribute) and (
        node.func.attr in STYLED or ast.unparse(node.func) in FROM_PANDAS
    )


def called(node, known):
    "The same of calls alone."
    if isinstance(node, ast.IfExp):
        return called(node.body, known) or called(node.orelse, known)
    return isinstance(node, ast.Call) and made(node, known)


def returned(function):
    "What a function's own return statements give."
    inner = {
        id(n)
        for f in ast.walk(function)
        if f is not function and isinstance(f, (ast.FunctionDef, ast.Lambda))
        for n in ast.walk(f)
    }
    return [
        n.value
        for n in ast.walk(function)
        if isinstance(n, ast.Return) and n.value is not None and id(n) not in inner
    ]


def makers(functions):
    "Names of functions that give back a table, a figure or a text to be shown."
    known = {f.name for f in functions if f.returns and RETURNS.search(ast.unparse(f.returns))}
    while True:
        more = {
            f.name for f in functions if f.name not in known and any(called(v, known) for v in returned(f))
        }
        if not more:
            return {name for name in known if not KEEPS.match(name)}
        known |= more


def functions_of(sources):
    "All functions that some sources define, methods aside."
    found = []
    for source in sources:
        for node in python(source):
            found += (
                [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]
                if not isinstance(node, ast.ClassDef)
                else []
            )
    return found


def thrown_away(source, known):
    "Expressions of a cell that make something to look at, which nobody sees: all but the last one of a cell."
    body = python(source)
    last = body[-1] if body and isinstance(body[-1], ast.Expr) else None
    dropped = [n for node in body for n in ast.walk(node) if isinstance(n, ast.Expr) and n is not last]
    lists = (ast.ListComp, ast.GeneratorExp)  # shown as the names of their members' classes
    if last is not None and (
        source.rstrip().endswith(';') or isinstance(last.value, lists) and called(last.value.elt, known)
    ):
        dropped.append(last)
    dropped += [
        n
        for node in body
        for n in ast.walk(node)
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == '_' and called(n.value, known)
    ]
    return [ast.unparse(n) for n in dropped if made(n.value, known)]


POINTERS = {  # words of a sentence -> what it must find, in the page or after the sentence
    r'\b[Tt]he last table\b': 'a last table with results',
    r'\b[Tt]he last tables\b': 'last tables with results',
    r'\b[Tt]ables? (at the end|below)\b': 'a table below',
    (
        r'\b[Ll]ast line of this page\b|\b[Ss]entence (is written )?below\b|'
        r'\b[Ff]indings are below\b|\b(is|are) shown below\b'
    ): 'something below',
    r'\b([Pp]ictures?|[Ff]igures?|[Cc]harts?|[Dd]iagrams?) below\b': 'a figure below',
    r'\bnext cell\b': 'a cell of code',
}
RESULT = re.compile(r'HitRate|NDCG|MRR')


def is_table(output):
    return '<table' in output or 'dataframe' in output


def shown_by(cell):
    "What a cell of an executed notebook shows, as text."
    found = []
    for o in cell.get('outputs', []):
        if o.output_type == 'stream':
            found += [o.text] if o.name == 'stdout' else []
        elif o.output_type != 'error':
            found.append(
                ''.join(
                    o.data.get('text/html') or o.data.get('text/markdown') or o.data.get('text/plain', '')
                )
            )
    return found


def finds(what, cell_after, outputs):
    "Whether there is what a sentence points at: the next cell, and all that is shown after it."
    tables = [o for o in outputs if is_table(o)]
    if what == 'a last table with results':
        return bool(tables) and bool(RESULT.search(tables[-1]))
    if what == 'last tables with results':
        return len(tables) > 1 and all(RESULT.search(t) for t in tables[-2:])
    if what == 'a table below':
        return bool(tables)
    if what == 'a figure below':
        return any('<img' in o for o in outputs)
    if what == 'a cell of code':
        return cell_after is not None and cell_after.cell_type == 'code'
    return bool(outputs)


def points_at_nothing(node):
    "Sentences of an executed notebook that point at what is not there."
    missed = []
    for i, cell in enumerate(node.cells):
        if cell.cell_type != 'markdown':
            continue
        outputs = [o for c in node.cells[i + 1 :] for o in shown_by(c)]
        after = node.cells[i + 1] if i + 1 < len(node.cells) else None
        for words, what in POINTERS.items():
            if (m := re.search(words, cell.source)) and not finds(what, after, outputs):
                missed.append(f'{m[0]!r} wants {what}')
    return missed


def complaints(node):
    "What an executed notebook wrote to stderr."
    return [
        o.text
        for c in node.cells
        for o in c.get('outputs', [])
        if o.output_type == 'stream' and o.name == 'stderr'
    ]
