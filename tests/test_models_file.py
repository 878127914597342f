"Models stand in one file, nbs/models.toml: every page reads it, and what failed has a row that says so."

import json
import re

import numpy as np
import pandas as pd
import pytest
from studies import ROOT

from recsys_nb import comparison, show
from recsys_nb.comparison import comparison_rows, missing_models
from recsys_nb.metrics import METRICS
from recsys_nb.show import colour, demo_order, models, side_by_side, unfinished_models

COLOURS = {
    'Popularity': '#6B6B6B',
    'Popularity (views)': '#555555',
    'Popularity (7 days)': '#404040',
    'History': '#111111',
    'History (counted)': '#2B2B2B',
    'Item-Item CF': '#B5E6B0',
    'Association Rules': '#9FDCA6',
    'Markov': '#88D29D',
    'Sequential Rules': '#6FC896',
    'S-KNN': '#55BD90',
    'VS-KNN': '#45B58C',
    'STAN': '#32AC87',
    'VSTAN': '#22A584',
    'History + STAN': '#149E80',
    'History + Walk': '#0A9A7C',
    'EASE': '#86BFF0',
    'BPR': '#3F8FDD',
    'ALS': '#0062A8',
    'GRU4Rec': '#F5C26B',
    'BERT4Rec': '#E69F00',
    'SASRec': '#D55E00',
    'SASRec (large)': '#A33C00',
    'Hybrid': '#4B0B6B',
}
PARAMETERS = dict(large_epochs=4, recent_days=7)
COLUMNS = ['protocol', 'slice', 'model', 'metric', 'k', 'value', 'low', 'high', 'n']


def test_colours_and_order_are_those_of_the_reports():
    "A reader knows a model by its colour and its place, in reports that were made years apart."
    reported = [m for m in models() if m.name in COLOURS]  # a new one may stand between them
    assert {m.name: m.colour for m in reported} == COLOURS
    assert [m.name for m in reported] == list(COLOURS)
    assert all(re.fullmatch('#[0-9A-F]{6}', m.colour) for m in models())
    assert len({m.colour for m in models()}) == len(models())
    assert colour("Somebody's own") in show.SPARE


def test_entries_name_notebooks_and_parameters_that_exist():
    for m in models():
        path = ROOT / 'nbs' / f'{m.notebook}.ipynb'
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        code = '\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'code')
        for parameter in [m.only_with, *re.findall(r'{(\w+)}', m.named)]:
            assert not parameter or re.search(rf'^{parameter}: ', code, re.M), (m.name, parameter)
        made = m.named.format(**PARAMETERS) if m.named else m.name
        assert made == m.name
        assert m.name in code or m.named in code, f'{m.notebook} makes no {m.name}'


def test_every_notebook_of_models_has_an_entry():
    numbered = {p.stem for p in (ROOT / 'nbs').glob('1[0-9]_*.ipynb')}
    assert numbered == {m.notebook for m in models()}


def test_places_are_counted_without_a_gap():
    for places in ([m.side_by_side for m in models()], [m.demo for m in models()]):
        chosen = sorted(p for p in places if p)
        assert chosen == list(range(1, len(chosen) + 1))
    assert side_by_side()[0] == 'Popularity' and demo_order(COLOURS)[0] == 'SASRec'


def write_study(folder, entries, there):
    "A study folder of these notebooks, with a metric of each of these models."
    (folder / 'manifest.json').write_text(json.dumps(dict(notebooks=entries)))
    for name in there:
        (folder / 'results' / name).mkdir(parents=True)
        (folder / 'results' / name / 'metrics.json').write_text('{"size": 1}')
        asked = dict(protocol='next-item', visitorid=np.arange(3), time=0, targets=1, history=1, all=True)
        queries = pd.DataFrame(asked)
        queries['ranks'] = [[1], [2], []]
        queries.to_parquet(folder / 'results' / name / 'ranks.parquet')
    rows = [
        ('next-item', 'all', name, metric, k, 0.5, 0.4, 0.6, 3)
        for name in there
        for metric in METRICS
        for k in (10, 20)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def ended(status, **parameters):
    return dict(status=status, parameters=PARAMETERS | parameters)


BASELINES = [m.name for m in models() if m.notebook == '10_baselines']


def test_a_failed_notebook_leaves_a_row_for_each_of_its_models(tmp_path):
    "12_sasrec fails: both SASRecs have a row, and the others are as they were."
    entries = {'10_baselines': ended('done'), '11_als': ended('done'), '12_sasrec': ended('failed')}
    table = write_study(tmp_path, entries, [*BASELINES, 'ALS'])
    rows = comparison_rows(table, tmp_path, 'next-item')
    assert list(rows.index) == [*BASELINES, 'ALS', 'SASRec', 'SASRec (large)']
    assert rows.loc[['SASRec', 'SASRec (large)'], 'HitRate@10'].tolist() == ['failed', 'failed']
    assert rows.loc['ALS', 'HitRate@10'] == '0.500 [0.400, 0.600]'
    assert not rows['HitRate@10'].isin(['not run', 'not finished']).any()


def test_a_model_that_nobody_asked_for_has_not_failed(tmp_path):
    "Without large_epochs there is no wider SASRec; who looks back 14 days has no Popularity of 7 days."
    entries = {'12_sasrec': ended('failed', large_epochs=0), '10_baselines': ended('failed', recent_days=14)}
    write_study(tmp_path, entries, [])
    missing = unfinished_models(tmp_path)
    assert 'SASRec' in missing and 'SASRec (large)' not in missing
    assert 'Popularity (14 days)' in missing and 'Popularity (7 days)' not in missing


def test_what_was_not_run_does_not_say_failed(tmp_path):
    "The original's models and the references are missed by name; nothing else that was not asked for is."
    write_study(tmp_path, {'14_ease': ended('done')}, ['EASE'])
    expected = {'Popularity', 'History', 'Item-Item CF', 'ALS', 'SASRec'}
    assert missing_models(tmp_path, ['EASE'], 'next-item') == dict.fromkeys(expected, 'not run')
    assert set(missing_models(tmp_path, [], 'as-published')) == expected - {'History'}


def test_what_was_there_before_it_failed_is_shown(tmp_path):
    "A notebook that kept one model and failed at the next misses the next one only."
    write_study(tmp_path, {'12_sasrec': ended('interrupted')}, ['SASRec'])
    assert unfinished_models(tmp_path) == {'SASRec (large)': 'not finished'}


def test_a_new_model_is_one_entry(tmp_path, monkeypatch):
    "It gives a model its colour, its place in tables, figures and demo, and a row where its notebook fails."
    entry = '\n[[model]]\nname = "Mine"\nfamily = "neural"\ncolour = "#123456"\nnotebook = "19_mine"\n'
    text = show.models_file().read_text(encoding='utf-8') + entry + 'side_by_side = 10\ndemo = 4\n'
    monkeypatch.setattr(show, 'models', lambda: show.parse_models(text))
    assert show.families()['neural'][-1] == 'Mine'
    assert show.model_order(['Theirs', 'Mine', 'SASRec']) == ['SASRec', 'Mine', 'Theirs']
    assert show.side_by_side()[-1] == 'Mine' and show.demo_order(['ALS', 'Mine']) == ['Mine', 'ALS']
    write_study(tmp_path, {'19_mine': ended('failed')}, [])
    assert show.unfinished_models(tmp_path) == {'Mine': 'failed'}
    assert 'Mine' in comparison.missing_models(tmp_path, [], 'next-item')


def test_without_an_entry_a_failed_notebook_stands_for_its_models(tmp_path):
    write_study(tmp_path, {'19_theirs': ended('failed')}, [])
    assert unfinished_models(tmp_path) == {'19_theirs': 'failed'}


@pytest.mark.parametrize('place', ['checkout', 'wheel'])
def test_the_file_is_found(tmp_path, monkeypatch, place):
    "Beside the notebooks in a checkout, in the package where there are none."
    package = tmp_path / 'recsys_nb'
    package.mkdir()
    expected = package / 'models.toml' if place == 'wheel' else tmp_path / 'nbs/models.toml'
    expected.parent.mkdir(exist_ok=True)
    expected.write_text('')
    monkeypatch.setattr('recsys_nb.__file__', str(package / '__init__.py'))
    assert show.models_file() == expected
