"""One number is said in one way: the index, the terminal, a difference and comparison.md
have the same digits, and what stands in sentences and figures is the same number rounded."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from rich.console import Console

from recsys_nb.diff import APART, TESTED, how_compared, metrics_changed, write_diff
from recsys_nb.overview import bars_of, comparison_tables, exact, in_prose, terminal_table
from recsys_nb.show import COMMITTED

ROOT = Path(__file__).parent.parent
STUDIES = [s for s in COMMITTED if (ROOT / 'reports' / s / 'comparison.csv').exists()]


def next_items(study):
    "The table of all next-item queries."
    return next(t for t in comparison_tables(ROOT / 'reports' / study) if t['protocol'] == 'next-item')


def in_terminal(table):
    told = io.StringIO()
    Console(file=told, width=300).print(terminal_table(table))
    return told.getvalue()


@pytest.mark.parametrize('study', STUDIES)
def test_tables_round_the_same_numbers(study):
    "Four digits where a table is for comparing, in terminal and index; three where it is read."
    table = next_items(study)
    text = in_terminal(table)
    markdown = (ROOT / 'reports' / study / 'comparison.md').read_text()
    for model, _, cells in table['rows']:
        value, low, high, _ = cells[0]
        assert f'{exact(value)} [{exact(low)}, {exact(high)}]' in text, model
        assert f'| {model} | {value:.3f} [{low:.3f}, {high:.3f}]' in markdown, model


@pytest.mark.parametrize('study', STUDIES)
def test_figure_rounds_what_the_table_says(study):
    table = next_items(study)
    values = {model: cells[0][0] for model, _, cells in table['rows']}
    for bar in bars_of(table):
        assert bar['value'] == in_prose(values[bar['model']])
        digits = re.sub(r'^0\.0*', '', bar['value'])
        assert len(digits) == 3, bar['value']


@pytest.mark.skipif(len(STUDIES) < 2, reason='the committed reports are not in this checkout')
def test_different_queries_stand_side_by_side(tmp_path):
    "Two logs: one sentence, ten places, no row where nothing pairs."
    for study in STUDIES:
        folder = tmp_path / study
        folder.mkdir()
        for name in ('manifest.json', 'comparison.csv', 'ties.csv'):
            shutil.copy(ROOT / 'reports' / study / name, folder)
    a, b = (tmp_path / study for study in STUDIES[:2])
    verdict, went, tables, path = write_diff(a, b)
    assert set(how_compared(a, b, metrics_changed(a, b)).values()) == {APART}
    first = next_items(a.name)['rows'][0]
    assert f'{first[0]} with {in_prose(first[2][0][0])} in {a.name}' in verdict
    assert went.startswith('Different are data')
    title, note, head, rows = tables[0]
    assert (title, head[1:], len(rows)) == ('HitRate@10, next-item', [a.name, b.name], 10)
    assert rows[0][1] == f'{first[0]} {exact(first[2][0][0])}'
    page = BeautifulSoup(path.read_text(), 'html.parser')
    assert page.select_one('.answer').get_text() == verdict
    assert 'not paired' not in page.get_text()
    assert TESTED not in json.dumps(rows)
