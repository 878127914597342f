"""Who is ahead, said in one way:
on a study on which two rules would disagree, every page, mark, figure and sentence names the same models."""

import html
import json
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from studies import ROOT, project

from recsys_nb.metrics import METRICS, difference_tests, holm, metrics_at, visitor_sums
from recsys_nb.overview import comparison_tables, write_overview

OTHERS = ('Popularity', 'History', 'Markov', 'S-KNN', 'STAN', 'EASE', 'BPR', 'ALS', 'GRU4Rec')
QUERIES = 400
MANIFEST = dict(
    study='sessions',
    command='recsys-nb run',
    profile='tiny',
    started='2026-11-27T18:00:00.000Z',
    finished='2026-11-27T18:01:00.000Z',
    seeds={},
    versions={},
    notebooks={},
    git=dict(commit=None, dirty=True),
    machine=dict(processor='any', cores=2, threads=1, system='Linux'),
    data=dict(
        name='made',
        source='../made',
        simulated=False,
        folder='made',
        fingerprint='f',
        rows=1,
        events=1,
        kinds={},
        visitors=1,
        items=1,
        first='',
        last='',
        notes=[],
    ),
)


def made_up():
    """Which targets each model finds:
    Hybrid in 14 queries more than SASRec, and both in far more than all the others, which are alike."""
    at, rng = np.arange(QUERIES), np.random.default_rng(3)
    found = {'Hybrid': at < 240, 'SASRec': (at >= 20) & (at < 246)}
    return found | {m: rng.random(QUERIES) < 0.2 for m in OTHERS}


def write_results(folder, found):
    "Results folders, of a query for each visitor."
    for model, hit in found.items():
        frame = pd.DataFrame(
            dict(
                protocol='next-item',
                visitorid=np.arange(QUERIES),
                time=0,
                targets=1,
                history=1,
                all=True,
                repeat=False,
                ranks=[[1] if h else [] for h in hit],
            )
        )
        place = folder / 'results' / model
        place.mkdir(parents=True)
        frame.to_parquet(place / 'ranks.parquet')
        hits = np.zeros((QUERIES, 20), bool)
        hits[:, 0] = hit
        numbers = {'n': QUERIES}
        for k in (10, 20):
            value = metrics_at(hits, np.ones(QUERIES, int), k).mean(0).tolist()
            numbers |= {f'{m}@{k}': [v, v - 0.01, v + 0.01] for m, v in zip(METRICS, value)}
        (place / 'metrics.json').write_text(
            json.dumps(
                dict(
                    model=model, size=1, parameters={}, protocols={'next-item': {'slices': {'all': numbers}}}
                )
            )
        )


@pytest.fixture(scope='module')
def study(tmp_path_factory):
    "A study with this comparison: its folder, and the executed notebook."
    from recsys_nb.kernel import execute, kernel_environment

    folder = project(tmp_path_factory.mktemp('verdict'), ['30_comparison'])
    reports = folder / 'reports' / 'sessions'
    write_results(reports, made_up())
    with pytest.MonkeyPatch.context() as patch, kernel_environment():
        patch.chdir(folder / 'nbs')
        error, _ = execute(
            '30_comparison.ipynb', str(folder / '30.ipynb'), dict(out='../reports/sessions'), limit=300
        )
    assert error == ''
    (reports / 'manifest.json').write_text(json.dumps(MANIFEST))
    return reports, nbformat.read(folder / '30.ipynb', 4)


def named(text):
    "The models that a sentence names."
    return {m for m in ('Hybrid', 'SASRec', *OTHERS) if re.search(rf'(?<![\w-]){m}(?![\w-])', text)}


def first_sentence(text):
    return re.split(r'(?<=[a-zA-Z])\. ', text)[0]


def alternative_texts(node):
    "What the figures of an executed notebook show, in words."
    outputs = [
        ''.join(o.data.get('text/html', ''))
        for c in node.cells
        for o in c.get('outputs', [])
        if o.output_type == 'display_data'
    ]
    return [
        html.unescape(m[1]) for o in outputs for m in re.finditer(r'<figcaption>(.*?)</figcaption>', o, re.S)
    ]


def test_the_rules_disagree_here():
    """The best model against each other one, corrected for these tests alone, is ahead of all;
    corrected for all pairs it is not."""
    found = pd.DataFrame(made_up()).astype(float)
    differences = found.drop(columns='Hybrid').rsub(found.Hybrid, axis=0)
    sums = visitor_sums(np.c_[differences, np.ones(QUERIES)], np.arange(QUERIES))[:, 0]
    p = holm(difference_tests(sums[:, :-1], sums[:, -1:])['p'])
    assert (p < 0.05).all()
    from recsys_nb.comparison import compare_models

    assert compare_models(found, np.arange(QUERIES)).tied == ['SASRec']


def test_every_place_names_the_same_models(study):
    reports, node = study
    said = {}
    finding = (reports / 'findings' / '30_comparison.txt').read_text()
    said['headline'] = named(first_sentence(finding))
    for kind in ('md', 'html'):
        said[f'comparison.{kind}'] = named(
            first_sentence(
                html.unescape((reports / f'comparison.{kind}').read_text()).partition('HitRate@10')[2]
            ).partition('queries')[2]
        ) | {'Hybrid'}
    rows = pd.read_csv(reports / 'ties.csv').query(
        'protocol == "next-item" and slice == "all" and metric == "HitRate" and k == 10'
    )
    said['ties.csv'] = set(rows.model)
    table = next(
        line for line in (reports / 'comparison.md').read_text().splitlines() if line.startswith('| SASRec |')
    )
    said['the table'] = {'Hybrid'} | {'SASRec'} if '(tied)' in table else {'Hybrid'}
    diagram = next(
        text for text in alternative_texts(node) if text.startswith('HitRate@10 of') and 'best first' in text
    )
    said['the diagram'] = (
        named(re.split(r' Bars join| Not to be told apart: ', diagram)[0])
        if 'Bars join' in diagram
        else named(diagram.partition('apart: ')[2].partition(';')[0])
    )
    bar = re.search(r'(?:Bars join|apart:) ([^;.]*)', diagram)[1]
    said['the diagram\'s first bar'] = named(bar)
    slices = next(text for text in alternative_texts(node) if 'coloured by share of the' in text)
    said['the heatmap'] = {'Hybrid'} | (
        {'SASRec'} if 'all (400) Hybrid (tied with 1 more)' in slices else set()
    )
    terminal = Console(width=200, record=True, file=open('/dev/null', 'w'))
    tables = comparison_tables(reports)
    from recsys_nb.overview import terminal_table

    terminal.print(terminal_table(tables[0]))
    lines = [line.split('│') for line in terminal.export_text().splitlines() if '│' in line]
    said['the terminal'] = {cells[1].strip() for cells in lines if cells[3].rstrip().endswith(('~', '*'))}
    assert said == dict.fromkeys(said, {'Hybrid', 'SASRec'})
    assert 'beyond chance' not in first_sentence(finding)


def test_index_and_results_say_so_too(study):
    from recsys_nb.cli import make_readme

    reports, _ = study
    finding = (reports / 'findings' / '30_comparison.txt').read_text().strip()
    card = dict(
        title='Comparison', status='done', parameters={}, page=False, finding=finding, error='', time='0:01'
    )
    write_overview(SimpleNamespace(folder=reports, manifest=MANIFEST), {'30_comparison': card})
    index = (reports / 'index.html').read_text()
    assert html.escape(finding, quote=False) in html.unescape(index).replace(
        '&', '&amp;'
    ) or finding in html.unescape(index)
    data = json.loads(re.search(r'id="comparison-data">(.*?)</script>', index, re.S)[1])
    shown = next(t for t in data['tables'] if (t['protocol'], t['slice']) == ('next-item', 'all'))
    assert {model: cells[0][3] for model, _, cells in shown['rows'] if cells[0][3]} == {
        'Hybrid': 2,
        'SASRec': 1,
    }
    assert finding in make_readme(reports.parent.parent, 'results')


def test_of_few_queries_nothing_is_claimed(tmp_path):
    "Fewer than a hundred: no star and no tie, in the table, the marks or the terminal."
    from recsys_nb.comparison import comparison_rows, tie_table, verdict
    from recsys_nb.evaluation import result_table

    found = {m: hit[::5] for m, hit in made_up().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), 'QUERIES', 80)
        write_results(tmp_path, found)
    assert (verdict(tmp_path, list(found), 'next-item').best, len(tie_table(tmp_path, list(found)))) == (
        '',
        0,
    )
    table = result_table(tmp_path)
    table.to_csv(tmp_path / 'comparison.csv', index=False)
    assert set(comparison_rows(table, tmp_path, 'next-item')['p against best']) == {
        'too few queries',
        '',
    }  # '': not run
    assert not any(
        cell[3] for _, _, cells in comparison_tables(tmp_path)[0]['rows'] for cell in cells if cell
    )


def test_equal_models_are_seldom_told_apart():
    """Of many families of equally good models,
    with several queries for a visitor, hardly any pair looks different."""
    from recsys_nb.comparison import compare_models

    rng, claimed = np.random.default_rng(0), 0
    visitors = np.repeat(np.arange(150), 2)
    for _ in range(200):
        found = compare_models(
            pd.DataFrame((rng.random((300, 5)) < 0.3).astype(float), columns=list('abcde')), visitors
        )
        claimed += bool(found.apart.to_numpy().any())
    assert claimed / 200 < 0.09


def test_a_difference_can_be_seen_among_many_metrics():
    """The diff of two whole studies makes almost two hundred tests;
    2,000 resamples could never show one of them."""
    from recsys_nb.comparison import difference_p

    better = np.r_[np.ones(60), -np.ones(10), np.zeros(330)][:, None]
    p = difference_p(better, np.ones(400))[0]
    sums = difference_tests(better, np.ones((400, 1)))['p'][0]
    others = np.full(183, 0.5)
    assert holm(np.r_[p, others])[0] < 0.05 < holm(np.r_[sums, others])[0]


@pytest.mark.parametrize('name', ['sessions', 'buyers'])
def test_committed_sentences_agree_with_committed_marks(name):
    "The finding, RESULTS.md and ties.csv of a committed report."
    folder = ROOT / 'reports' / name
    finding = (folder / 'findings' / '30_comparison.txt').read_text().strip()
    rows = pd.read_csv(folder / 'ties.csv').query(
        'protocol == "next-item" and slice == "all" and metric == "HitRate" and k == 10'
    )
    tied = re.search(r'(?:told apart from it: |tied with )(.*?)\. ', finding)
    said = re.split(', | and (?=[A-Z])', re.sub(r' and \d+ more$', '', tied[1])) if tied else []
    marked = set(rows.model[rows.mark == 'tied'])
    more = re.search(r' and (\d+) more$', tied[1]) if tied else None
    assert marked >= set(said)
    assert len(marked) == len(said) + (int(more[1]) if more else 0)
    assert finding in (ROOT / 'RESULTS.md').read_text()
    bar = re.search(
        rf'(?:Not to be told apart: |Bars join )({finding.split()[0]}, [^;.]*)',
        (folder / '30_comparison.html').read_text(),
    )
    assert set(said) >= set(bar[1].split(', ')[1:])


def verdict_of(**right):
    "The verdict on models that are right in the first of the queries, so many each."
    from recsys_nb.comparison import compare_models

    found = pd.DataFrame({m: np.arange(QUERIES) < n for m, n in right.items()}).astype(float)
    return compare_models(found, np.arange(QUERIES))


@pytest.mark.parametrize(
    'right',
    [
        dict(SASRec=200, STAN=200, History=200),  # alike to the last query
        dict(SASRec=0, STAN=0, History=0),  # nobody is ever right
        dict(SASRec=200, STAN=196, History=10),  # too near to be told apart
        dict(SASRec=10, STAN=200, History=100),
        dict(SASRec=200, STAN=10, History=10),
    ],
)
def test_every_sentence_says_what_the_tests_say(right):
    """The answer, how many times, whether a Transformer pays, who beats a reference:
    two models that can't be told apart are ahead of each other in none of them."""
    from recsys_nb.comparison import beaten_text, shared_answer, times_text, transformers_text

    verdict = verdict_of(**right)
    words = verdict.compared('SASRec', 'STAN')
    numbers = pd.DataFrame({'value': verdict.value, 'low': verdict.value, 'high': verdict.value})
    answer = shared_answer(numbers, verdict)
    times = times_text(verdict)
    assert times in answer
    simple = 'STAN' if right['STAN'] > right['History'] else 'History'
    if not any(right.values()):
        assert 'none is best' in answer and times == ''
        return
    assert (verdict.compared('SASRec', simple) in times) or "can't be told apart" in times
    if simple == 'STAN':
        assert f'SASRec is {words} (' in transformers_text(verdict)
    if words == 'not to be told apart':
        assert "can't be told apart" in times
        assert 'beyond chance' not in times
    if not verdict.beats('SASRec', 'History'):
        assert 'better than History' in beaten_text(verdict, 'History')
        assert 'every other model is better' not in beaten_text(verdict, 'History')


def test_one_model_alone_is_ahead_of_nobody():
    from recsys_nb.comparison import shared_answer

    verdict = verdict_of(SASRec=200)
    answer = shared_answer(pd.DataFrame({'value': [0.5], 'low': [0.4], 'high': [0.6]}, ['SASRec']), verdict)
    assert answer.endswith('the only model that was asked.')
    assert 'times' not in answer


def test_the_ladder_and_the_comparison_agree():
    "What is left of 4.7x has no second rule for who is ahead: its words are the verdict's of its last step."
    from recsys_nb.what_is_left import left_text, step_verdict, steps_table

    who = np.arange(QUERIES)
    for sasrec, stan in ((200, 196), (200, 60), (60, 200)):
        models = {'SASRec': (who < sasrec, who), 'STAN': (who < stan, who)}
        verdict = step_verdict(models)
        said = left_text(steps_table({'tuned alike': models}, resamples=50), verdict)
        words = verdict.compared('SASRec', 'STAN')
        assert ("can't be told apart" in said) == (words == 'not to be told apart')
        assert (f'{words} beyond chance' in said) == (words != 'not to be told apart')
