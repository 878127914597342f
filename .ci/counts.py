"""What style.md and house.md count, of a checkout.

    python .ci/counts.py [CHECKOUT]         how notebooks are written
    python .ci/counts.py [CHECKOUT] rooms   modules with their exported lines and what they import

Python is read with ast; IPython's own lines (% and !) count as `pass`."""

import ast
import io
import json
import re
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def cells_of(checkout):
    "(notebook's stem, kind of cell, source) of all cells that hold something."
    for path in sorted((checkout / 'nbs').glob('*.ipynb')):
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            source = ''.join(cell['source'])
            if source.strip():
                yield path.stem, cell['cell_type'], source


def parsed(source):
    return ast.parse(re.sub(r'^(\s*)[%!].*', r'\1pass', source, flags=re.M))


def exported(source):
    return re.match(r'#\| ?export', source)


def has_semicolon(source):
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return any(t.type == tokenize.OP and t.string == ';' for t in tokens)


def is_text(node):
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def is_condition(node):
    negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    called = isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'bool'
    return negated or called or isinstance(node, (ast.Compare, ast.BoolOp))


def is_packed(node):
    "`a, b = x, y` that is no swap."
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    targets = [t for t in node.targets if isinstance(t, ast.Tuple)]
    given = {ast.unparse(e) for e in node.value.elts}
    taken = {ast.unparse(e) for t in targets for e in t.elts}
    return bool(targets) and given != taken


def is_nested(node):
    if not isinstance(node, COMPREHENSIONS):
        return False
    inner = any(isinstance(n, COMPREHENSIONS) for n in ast.walk(node) if n is not node)
    return inner or len(node.generators) > 1


def is_text_times_condition(node):
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return False
    pairs = ((node.left, node.right), (node.right, node.left))
    return any(is_text(a) and is_condition(b) for a, b in pairs)


def is_lambda(node):
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)


def is_setattr(node):
    return isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setattr'


KINDS = {
    'a, b = x, y that is no swap': is_packed,
    'nested comprehensions': is_nested,
    'text times a condition': is_text_times_condition,
    'name = lambda': is_lambda,
    'setattr(...)': is_setattr,
}


def public_functions(tree):
    "Functions of a cell, and methods of its classes, without those whose name begins with an underscore."
    bodies = [tree.body] + [c.body for c in tree.body if isinstance(c, ast.ClassDef) and c.name[0] != '_']
    found = [f for body in bodies for f in body if isinstance(f, ast.FunctionDef)]
    return [f for f in found if f.name[0] != '_' or f.name == '__init__']


def is_squeezed(function):
    "Whether several parameters stand on a line."
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
    lines = [x.lineno for x in every if x and x.arg != 'self']
    return len(set(lines)) < len(lines)


def names_in_two_modules(checkout):
    where = defaultdict(set)
    for path in (checkout / 'recsys_nb').glob('[a-z]*.py'):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__all__':
                for name in ast.literal_eval(node.value):
                    where[name].add(path.stem)
    return sorted(name for name, modules in where.items() if len(modules) > 1)


def print_style(checkout):
    count, lengths, words, lines = Counter(), [], 0, []
    for _, kind, source in cells_of(checkout):
        if kind == 'markdown':
            words += len(source.split())
        if kind != 'code':
            continue
        lengths.append(source.count('\n') + 1)
        lines += source.split('\n')
        tree = parsed(source)
        count['cells with ;'] += has_semicolon(source)
        for name, found in KINDS.items():
            count[name] += sum(map(found, ast.walk(tree)))
        if not exported(source):
            continue
        for function in public_functions(tree):
            count['public functions and methods'] += 1
            count['with several parameters on a line'] += is_squeezed(function)
            count['without a docstring'] += function.name != '__init__' and not ast.get_docstring(function)
    tenth = sorted(lengths)[int(0.9 * len(lengths))]
    print(f'{len(lengths)} code cells, lines in one: median {statistics.median(lengths):g}, ', end='')
    print(f'p90 {tenth}, longest {max(lengths)}; words of prose for each: {words / len(lengths):.1f}')
    for columns in (110, 120):
        over = sum(len(line) > columns for line in lines)
        print(f'lines over {columns} columns: {over} of {len(lines)} ({over / len(lines):.1%})')
    print(f'longest line: {max(map(len, lines))}')
    for name, n in count.items():
        print(f'{name}: {n}')
    print('exported names in two modules:', ', '.join(names_in_two_modules(checkout)) or 'none')


def imported(node):
    "Own modules that a statement imports."
    if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'recsys_nb':
        _, dot, module = node.module.partition('.')
        return {module} if dot else {a.name for a in node.names}
    if isinstance(node, ast.Import):
        return {a.name.split('.')[1] for a in node.names if a.name.startswith('recsys_nb.')}
    return set()


def print_rooms(checkout):
    module_of, lines, arrows = {}, Counter(), defaultdict(set)
    for notebook, kind, source in cells_of(checkout):
        if kind != 'code':
            continue
        if named := re.match(r'#\| ?default_exp (\S+)', source):
            module_of[notebook] = named[1]
        if not exported(source):
            continue
        module = module_of[notebook]
        lines[module] += sum(bool(line.strip()) for line in source.split('\n')) - 1
        for node in ast.walk(parsed(source)):
            arrows[module] |= imported(node) - {module}
    for notebook, module in module_of.items():
        known = sorted(arrows[module] & set(module_of.values()))
        print(f'{notebook:18} {module:14} {lines[module]:5}  {" ".join(known)}')
    total = sum(len(a & set(module_of.values())) for a in arrows.values())
    print(f'{len(module_of)} rooms, {sum(lines.values())} exported lines, {total} arrows; ', end='')
    print('tests/test_notebooks.py::test_no_circle says whether there is a circle')


if __name__ == '__main__':
    rooms = 'rooms' in sys.argv[1:]
    places = [a for a in sys.argv[1:] if a != 'rooms']
    (print_rooms if rooms else print_style)(Path(*places[:1] or ['.']))
