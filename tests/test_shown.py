"The rules of shown.py, tried on cells and pages made for them."

import nbformat.v4 as v4
import pytest

from shown import complaints, functions_of, makers, points_at_nothing, thrown_away

KNOWN = {'show_metrics'}
LOST = [
    'for name, t in tables.items(): show_metrics(t)',
    'if published: show_metrics(t)',
    'with place: show_metrics(t)',
    'show_metrics(t)\nx = 1',
    'show_metrics(t);',
    'try: show_metrics(t)\nexcept ValueError: pass',
    'table\nx = 1',
    'def tell(t):\n    show_metrics(t)',
    '_ = show_metrics(t)',
    '[show_metrics(t) for t in tables]',
    'for t in tables: t.style.format("{:.2f}")',
    'pd.DataFrame(rows)\nprint(1)',
    'for t in tables: HTML(t)',
    'for t in tables: t.head()',
    'if big: rows[:5]',
    'f"{x} of them"\nx = 1',
]
SHOWN = [
    'show_metrics(t)',
    'for t in tables: display(show_metrics(t))',
    'x = show_metrics(t)',
    'def tell(t): return show_metrics(t)',
    'for a in axes: a.plot(x, y)',
    'fit(model)\nx = 1',
    '"""words"""\nx = 1',
    'rows.append(show_metrics(t))',
    'np.random.seed(1), torch.manual_seed(1)\nx = 1',
    'for t in tables: print(t)',
]


@pytest.mark.parametrize('source', LOST)
def test_lost(source):
    assert thrown_away(source, KNOWN)


@pytest.mark.parametrize('source', SHOWN)
def test_not_lost(source):
    assert thrown_away(source, KNOWN) == []


def test_makers():
    """By what they say that they return, by what they do, and through each other;
    not those that are called for what they write."""
    source = """
def a()->pd.DataFrame: ...
def b(): return HTML('x')
def c(): return b()
def d(): return 1
def write_e()->pd.DataFrame: ...
def f():
    def g(): return HTML('x')
    return 1
def h(): return t.style.format('{}')"""
    assert makers(functions_of([source])) == {'a', 'b', 'c', 'g', 'h'}


def page(*cells):
    "An executed notebook: text, or a cell's outputs."
    made = [
        v4.new_markdown_cell(c)
        if isinstance(c, str)
        else v4.new_code_cell('x', outputs=[v4.new_output('display_data', {'text/html': o}) for o in c])
        for c in cells
    ]
    return v4.new_notebook(cells=made)


COSTS, NUMBERS, FIGURE = '<table>seconds</table>', '<table>HitRate@10</table>', '<figure><img></figure>'


@pytest.mark.parametrize(
    'cells, missed',
    [
        (('The last table says it.', [NUMBERS, COSTS]), 1),
        (('The last table says it.', [COSTS], [NUMBERS]), 0),
        (('The last table says it.', []), 1),
        (([NUMBERS], 'The last table says it.'), 1),
        (('The last tables say it.', [NUMBERS]), 1),
        (('The last tables say it.', [NUMBERS], [NUMBERS]), 0),
        (('the tables at the end', [COSTS]), 0),
        (('the tables at the end', [FIGURE]), 1),
        (('The pictures below show it.', [NUMBERS]), 1),
        (('The pictures below show it.', [FIGURE]), 0),
        (('stands in the next cell', 'more words'), 1),
        (('stands in the next cell', []), 0),
        (('the table below', 'no more'), 1),
        (('the table below', [COSTS]), 0),
        (('The sentence is written below', []), 1),
    ],
)
def test_what_a_sentence_points_at(cells, missed):
    assert len(points_at_nothing(page(*cells))) == missed


def test_stderr():
    node = page([NUMBERS])
    assert complaints(node) == []
    node.cells[0].outputs.append(v4.new_output('stream', name='stderr', text='DeprecationWarning'))
    assert complaints(node) == ['DeprecationWarning']
