"""The committed reports and a made-up one, in a browser:
sorting, switching, no complaints, nothing from elsewhere, axe-core's rules."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat.v4 as v4
import pytest

from axe import barriers
from measure_pages import MEASURE
from recsys_nb.report import LIMIT, mark_cells, notebook_body, page_body, write_page
from recsys_nb.manifest import Study
from recsys_nb.overview import (
    comparison_tables,
    data_limits,
    facts,
    few_models,
    known_limits,
    write_index,
    write_overview,
)
from recsys_nb.show import DARK, GROUND, INK
from recsys_nb.show import COMMITTED as REAL

ROOT = Path(__file__).parent.parent
COMMITTED = [
    s
    for s in ('sessions', 'buyers', 'benchmarks', 'benchmarks-gpu', 'reliability')
    if (ROOT / 'reports' / s / 'index.html').exists()
]
PAGES = sorted(
    p for s in COMMITTED for p in (ROOT / 'reports' / s).glob('*.html') if p.name != 'comparison.html'
)
EVIL = '<img src=x onerror=alert(1)></script><script>alert(2)</script>'


@pytest.mark.parametrize('study', COMMITTED)
def test_times_are_in_utc(study):
    "The row Run of a committed index, and what `facts` makes of its manifest now."
    manifest = json.loads((ROOT / 'reports' / study / 'manifest.json').read_text())
    run = facts(manifest)['Run']
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, '
        r'\d+:\d\d minutes in notebooks',
        run,
    ), run
    assert f'<td>{run}</td>' in (ROOT / 'reports' / study / 'index.html').read_text()


def test_dark_figures_suit_the_page():
    "Their ground and ink are the dark page's."
    css = (ROOT / 'nbs' / '_report' / 'page.css').read_text()
    dark = css[css.index('prefers-color-scheme: dark') :]
    assert f'--ink: {INK}' in dark and f'--paper: {GROUND}' in dark


@pytest.fixture(scope='module')
def browser():
    chromium = shutil.which('chromium')
    if not chromium:
        pytest.skip('there is no chromium on this machine')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium,
            args=['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    "Open a file; afterwards the page must not have complained or asked anybody for anything."
    contexts, requests, complaints = [], [], []

    def open_page(path, scheme='light', width=1280, **options):
        contexts.append(
            browser.new_context(color_scheme=scheme, viewport=dict(width=width, height=900), **options)
        )
        page = contexts[-1].new_page()
        page.on('request', lambda r: requests.append(r.url))
        page.on(
            'console',
            lambda m: complaints.append(f'{path.name}: {m.text}') if m.type in ('error', 'warning') else None,
        )
        page.on('pageerror', lambda e: complaints.append(f'{path.name}: {e}'))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [u for u in requests if not u.startswith(('file:', 'data:'))] == [] and complaints == []


@pytest.fixture(scope='module')
def made_up(tmp_path_factory):
    "A study whose every text is hostile: two protocols, two slices, two models."
    folder = tmp_path_factory.mktemp('made-up')
    rows = [
        f'{p},{s},{m},{metric},{k},{v},{v - 0.05:.3f},{v + 0.05:.3f},{n}'
        for p, n in (('next-item', 40), ('purchases', 7))
        for s in ('all', 'repeat')
        for metric, k in (('HitRate', 10), ('HitRate', 20), ('MRR', 20), ('NDCG', 10))
        for m, v in ((EVIL, 0.5), ('Good', 0.75 if k == 10 else 0.4))
    ]
    (folder / 'comparison.csv').write_text(
        'protocol,slice,model,metric,k,value,low,high,n\n' + '\n'.join(rows) + '\n'
    )
    (folder / 'ties.csv').write_text(
        'protocol,slice,metric,k,model,mark\n'
        f'next-item,all,HitRate,10,Good,best\nnext-item,all,HitRate,10,{EVIL},tied\n'
    )
    data = dict(
        name=EVIL,
        simulated=True,
        fingerprint='f',
        rows=1,
        events=1,
        kinds={EVIL: 1},
        visitors=1,
        items=1,
        first='',
        last='',
        notes=[EVIL],
    )
    manifest = dict(
        study='made-up',
        data=data,
        command=f'recsys-nb run --data {EVIL}',
        profile='tiny',
        seeds={},
        versions={EVIL: EVIL},
        started='',
        finished='',
        notebooks={},
        git=dict(commit='c', dirty=False),
        machine=dict(processor=EVIL, cores=2, threads=2, system='Linux'),
    )
    study = SimpleNamespace(folder=folder, manifest=manifest)
    write_overview(
        study,
        {
            '10_a': dict(
                title=EVIL,
                status='failed',
                parameters={'x': EVIL},
                page=False,
                finding='',
                error=EVIL,
                time='0:01',
            )
        },
        EVIL,
    )
    (folder / 'study.json').write_text(json.dumps(manifest))
    write_page(
        study,
        '10_a',
        EVIL,
        '<h2 id="x">x</h2>',
        toc=[(2, 'x', EVIL)],
        notebook='10_a',
        finding=EVIL,
        failed=EVIL,
    )
    return folder


def test_hostile_text_is_shown_as_text(made_up, visit, record):
    for name in ('index', '10_a'):
        page = visit(made_up / f'{name}.html')
        assert page.locator('main img').count() == 0 and EVIL in page.locator('body').inner_text()
        assert page.locator('script').count() <= 2
        record('intruders', f'markup in every text of a page made by the renderer: {name}')


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script>'
    '<a xlink:href="javascript:alert(3)"><text>SVG</text></a></svg>'
)
LOUD = EVIL + (
    '<iframe src="https://example.org"></iframe><a href="javascript:alert(4)">x</a>'
    '<form action="https://example.org"><input onfocus="alert(5)" autofocus></form>'
)
HOSTILE = {
    'text/html': LOUD,
    'text/markdown': LOUD,
    'image/svg+xml': SVG,
    'application/javascript': 'alert(6)',
    'text/latex': LOUD,
    'text/plain': LOUD,
}


def hostile_page(folder, study):
    "A notebook whose every output, of every kind, is full of markup."
    shown = [v4.new_output('display_data', data={kind: text}) for kind, text in HOSTILE.items()]
    shown += [
        v4.new_output('stream', name='stdout', text=LOUD),
        v4.new_output('error', ename='E', evalue=LOUD, traceback=[LOUD]),
        v4.new_output(
            'display_data', data={'image/png': 'AA=='}, metadata={'image/png': {'alt': f'"{LOUD}'}}
        ),
        v4.new_output(
            'display_data',
            data={
                'text/html': f'<table><tr><th>{EVIL}</th></tr><tr><td>1</td></tr></table>'
                f'<figure><figcaption>{"a" * 99}. {EVIL * 9}</figcaption></figure>'
            },
        ),
    ]
    cells = [
        v4.new_markdown_cell('# Hostile'),
        v4.new_code_cell('x: str = ""', metadata={'tags': ['parameters']}),
        v4.new_code_cell(f'#| export\ndef f():\n    {EVIL!r}\n'),
    ] + [v4.new_code_cell('show()', outputs=[o]) for o in shown]
    parameters = {'x': SimpleNamespace(name='x', default='', help=f'`{EVIL}`')}
    body, toc = notebook_body(
        mark_cells(v4.new_notebook(cells=cells), SimpleNamespace(parameters=parameters), {'x': f'a/{EVIL}'})
    )
    write_page(study, '10_hostile', 'Hostile', body, toc=toc, notebook='10_hostile', finding=EVIL)
    return folder / '10_hostile.html', body, toc


def assert_harmless(page, scripts=1):
    "One script, ours, and nothing left that could run or load."
    assert page.locator('script:not([type="application/json"])').count() == scripts
    assert page.locator('iframe, object, embed, form, link, base, input').count() == 0
    assert (
        page.evaluate("""() => [...document.querySelectorAll('*')]
            .flatMap(e => [...e.attributes])
            .filter(a => /^on/i.test(a.name) || (/(^|:)(href|src)$/i.test(a.name)
                && !/^(https?:|#|data:image|[\\w.-]+(#|$))/.test(a.value)))
            .map(a => a.name + '=' + a.value)""")
        == []
    )


def test_outputs_of_all_kinds_are_harmless(made_up, visit, record):
    study = SimpleNamespace(folder=made_up, manifest=json.loads((made_up / 'study.json').read_text()))
    path, body, toc = hostile_page(made_up, study)
    alerts = []
    page = visit(path)
    page.on('dialog', lambda d: (alerts.append(d.message), d.dismiss()))
    page.locator('details').evaluate_all('all => all.forEach(d => { d.open = true; })')
    assert_harmless(page)
    text = page.locator('main').inner_text()
    assert text.count(EVIL) >= 5 and alerts == []  # parameter, its meaning, folded code, text, finding
    assert page_body(path.read_text(encoding='utf-8')) == (body, toc), (
        'a page put into its frame again has changed'
    )
    record('intruders', 'markup in every kind of output of a notebook', tried=len(HOSTILE) + 4)


SQUARE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
FIGURE = {
    'text/html': f'<figure><img alt="A square" src="data:image/png;base64,{SQUARE}" style="width:700px">'
    '<figcaption>A square</figcaption></figure>',
    'image/png': SQUARE,
    DARK: SQUARE,
}
LONG = 'This is best of all of them: ' + ', '.join(f'model {n} .{n}' for n in range(100, 140)) + '.'


def study_cells():
    "A notebook as a model's is: definitions before the study, the figure and the table within it."
    shown = v4.new_output('display_data', data=FIGURE)
    table = v4.new_output(
        'display_data', data={'text/html': '<table><tr><th>A</th></tr><tr><td>1</td></tr></table>'}
    )

    def code(source, *outputs, tags=()):
        return v4.new_code_cell(source, outputs=list(outputs), metadata=dict(tags=list(tags)))

    return [
        v4.new_markdown_cell('# A model\n\n> In a line'),
        code('#| default_exp model'),
        v4.new_markdown_cell('**Question.** What is it?'),
        code("show_answer('12_model')", table, tags=['committed']),
        code('x: str = ""', tags=['parameters']),
        v4.new_markdown_cell('## Definitions'),
        code('#| export\ndef f():\n    "It is one."\n    return 1'),
        code('f()', v4.new_output('stream', name='stdout', text='an example')),
        v4.new_markdown_cell('## The study', metadata=dict(tags=['study'])),
        code('fit()'),
        v4.new_markdown_cell('What is seen.'),
        code('draw()', shown, tags=['thumbnail']),
        code('numbers()', table, tags=['main']),
        v4.new_markdown_cell('It is small.', metadata=dict(tags=['limits'])),
        v4.new_markdown_cell('### Further numbers'),
        code('more()', table),
    ]


def page_of(study, name, cells, **values):
    "Write the page of a notebook with these cells."
    parameters = {'x': SimpleNamespace(name='x', default='', help='a word')}
    node = mark_cells(v4.new_notebook(cells=cells), SimpleNamespace(parameters=parameters), {'x': 'a'})
    body, toc = notebook_body(node)
    write_page(study, name, 'A model', body, toc=toc, notebook=name, finding=LONG, **values)
    return study.folder / f'{name}.html'


@pytest.fixture
def results_first(made_up):
    study = SimpleNamespace(folder=made_up, manifest=json.loads((made_up / 'study.json').read_text()))
    study.manifest['data']['name'] = 'a shop'
    return page_of(study, '12_results', study_cells())


def top(page, text):
    "Where a text begins, in pixels from the top."
    return page.get_by_text(text).first.bounding_box()['y']


def test_results_come_first(results_first, visit):
    page = visit(results_first, width=1360)
    order = ['In a line', 'A square', 'It is small.', 'What is seen.', 'Further numbers', 'How it works']
    places = [top(page.locator('main'), text) for text in order]
    assert places == sorted(places)
    numbers = page.evaluate(MEASURE)
    assert numbers['bottom'] <= 900 and numbers['code'] == 0
    assert page.locator('details.code:visible').count() == 4
    assert not page.get_by_text('an example').is_visible()
    assert page.locator('.toc a').all_inner_texts() == [
        'The study',
        'Further numbers',
        'How it works',
        'Definitions',
    ]
    assert 'show_answer' not in page.content()
    assert not page.locator('.finding details').get_attribute('open') and LONG[-5:] in page.content()
    text = results_first.read_text(encoding='utf-8')
    body, toc = page_body(text)
    assert page_body(f'<main>{body}</main>') == (body, toc)


def test_contents_and_links_open_folds(results_first, visit):
    page = visit(results_first, width=1360)
    page.locator('.toc').get_by_role('link', name='Definitions').click()
    assert page.get_by_text('an example').is_visible()
    page.locator('details.how > summary').click()
    assert page.get_by_text('an example').is_hidden()
    page.locator('.toc').get_by_role('link', name='Definitions').click()  # the same place once more
    assert page.get_by_text('an example').is_visible()
    page.goto('about:blank')
    page.goto(results_first.as_uri() + '#Definitions')
    assert page.get_by_text('an example').is_visible()


def test_found_text_opens_its_fold(results_first, visit):
    "What find-in-page and links to a text do."
    page = visit(results_first, width=1360)
    page.goto('about:blank')
    page.goto(results_first.as_uri() + '#:~:text=an%20example')
    page.wait_for_timeout(500)
    assert page.get_by_text('an example').is_visible()


def test_all_code_is_shown_and_remembered(results_first, visit):
    page = visit(results_first, width=1360)
    page.get_by_role('button', name='Show all code').click()
    for source in ('draw()', 'It is one.'):
        assert page.locator('.highlight', has_text=source).first.is_visible()
    page.reload()
    assert page.get_by_text('an example').is_visible()
    page.get_by_role('button', name='Fold the code').click()
    assert page.get_by_text('an example').is_hidden()
    page.reload()
    assert page.get_by_text('an example').is_hidden()


def test_a_browser_that_keeps_nothing(results_first, browser):
    context = browser.new_context()
    page = context.new_page()
    errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})"
    )
    page.goto(results_first.as_uri())
    page.get_by_role('button', name='Show all code').click()
    assert page.get_by_text('an example').is_visible() and errors == []
    context.close()


def test_results_without_scripts(results_first, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(results_first.as_uri())
    assert page.locator('.results img.light').is_visible() and not page.locator('#fold').is_visible()
    page.locator('details.how > summary').click()
    assert page.get_by_text('an example').is_visible()
    context.close()


@pytest.mark.parametrize('scheme, media', [('light', 'screen'), ('dark', 'screen'), ('dark', 'print')])
def test_one_picture_for_each_ground(results_first, visit, scheme, media):
    "The light one on paper, whatever the screen is; and it is read once."
    page = visit(results_first, scheme)
    page.emulate_media(media=media, color_scheme=scheme)
    dark = scheme == 'dark' and media == 'screen'
    assert page.locator('img.dark').is_visible() == dark
    assert page.locator('img.light').is_visible() != dark
    assert page.get_by_role('img', name='A square').count() == 1


def test_results_on_paper(results_first, visit):
    page = visit(results_first)
    page.emulate_media(media='print')
    assert page.locator('details.how, details.code').evaluate_all(
        'all => all.every(d => !d.checkVisibility())'
    )
    assert page.get_by_text('a word').evaluate('e => e.checkVisibility()')  # a parameter
    page.emulate_media(media='screen')
    page.locator('details.how > summary').click()
    page.emulate_media(media='print')
    assert page.get_by_text('an example').is_visible()


@pytest.mark.parametrize('where', [7, 9])
def test_a_failure_is_in_sight(made_up, visit, where):
    study = SimpleNamespace(folder=made_up, manifest=json.loads((made_up / 'study.json').read_text()))
    cells = study_cells()
    cells[where].outputs = [v4.new_output('error', ename='E', evalue='no', traceback=['E: it broke'])]
    page = visit(page_of(study, '12_broken', cells, failed='This notebook failed in cell 7: E: it broke'))
    assert page.locator('pre.error').is_visible()


@pytest.mark.parametrize('scheme, width', [('light', 1360), ('dark', 1360), ('light', 390)])
def test_results_for_everybody(results_first, visit, scheme, width):
    page = visit(results_first, scheme, width, bypass_csp=True)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    page.locator('details').evaluate_all('all => all.forEach(d => { d.open = true; })')
    assert barriers(page) == []


@pytest.mark.parametrize('name', ['03_protocol', '12_sasrec', '32_what_is_left'])
def test_a_page_can_be_framed_again(name):
    "Committed ones, older than the mark that says where results are or not."
    text = (ROOT / 'reports' / 'sessions' / f'{name}.html').read_text(encoding='utf-8')
    body, toc = page_body(text)
    assert toc and page_body(f'<main>{body}</main>') == (body, toc)


def run_by_hand(cells, folder, **environment):
    "Run cells as Jupyter does, in a kernel of its own; the notebook, and the error that ended it."
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    env = {k: v for k, v in os.environ.items() if k != 'TQDM_DISABLE'} | environment
    client = NotebookClient(v4.new_notebook(cells=cells), timeout=120, kernel_name='python3')
    try:
        client.execute(cwd=str(folder), env=env)
        error = ''
    except CellExecutionError as e:
        error = e.ename
    return client.nb, error


@pytest.mark.parametrize('runner', [False, True], ids=['by hand', 'by the runner'])
def test_run_all_looks_at_a_study(results_first, runner):
    "By hand the results are shown and nothing after them runs; the runner goes on."
    folder = results_first.parent
    (folder / 'manifest.json').write_text('{}')
    cells = [
        v4.new_code_cell(
            'from recsys_nb.report import look_at\nlook_at(".", "12_results")', metadata=dict(tags=['study'])
        ),
        v4.new_code_cell('print("fitted")'),
    ]
    node, error = run_by_hand(cells, folder, **({'TQDM_DISABLE': '1'} if runner else {}))
    if runner:
        assert error == '' and node.cells[0].outputs == [] and node.cells[1].outputs[0].text == 'fitted\n'
        return
    shown, said = node.cells[0].outputs
    assert error == 'StudyShown' and len(said.traceback) == 1 and 'nothing was fitted' in said.traceback[0]
    assert 'It is small.' in shown.data['text/html'] and 'an example' not in shown.data['text/html']
    assert shown.data['text/html'].count('<img') == 1 and node.cells[1].outputs == []


def test_run_all_fits_where_there_is_no_study(tmp_path):
    cells = [v4.new_code_cell('from recsys_nb.report import look_at\nlook_at(".", "12_results")')]
    assert run_by_hand(cells, tmp_path)[1] == ''


def test_index_sorts_and_switches(made_up, visit):
    page = visit(made_up / 'index.html')

    def models():
        return [t.strip() for t in page.locator('#comparison-table tbody th').all_inner_texts()]

    assert models() == ['Good', EVIL]
    page.get_by_role('button', name='HitRate@20').click()
    assert models() == [EVIL, 'Good'] and page.locator('th[aria-sort=descending]').inner_text().startswith(
        'HitRate@20'
    )
    page.get_by_role('button', name='HitRate@20').click()
    assert models() == ['Good', EVIL] and page.locator('th[aria-sort=ascending]').count() == 1
    page.get_by_role('button', name='Model').press('Enter')
    assert models() == [EVIL, 'Good']
    assert page.locator('td[class~=metric] .mark').all_inner_texts()[0].strip() in '★≈'
    page.get_by_label('Protocol').select_option('purchases')
    assert page.locator('#comparison-table thead button').all_inner_texts() == [
        'Model',
        'Queries',
        'HitRate@10',
        'Recall@10',
        'Precision@10',
        'NDCG@10',
    ]
    assert page.locator('#comparison-table tbody td').first.inner_text() == '7'
    page.get_by_label('Slice').select_option('repeat')
    assert (
        page.get_by_label('Slice').input_value() == 'repeat' and 'buyer' in page.locator('#said').inner_text()
    )


def test_index_on_paper(made_up, visit):
    "What was chosen stays said, and so does what the marks mean; what can be pressed goes."
    page = visit(made_up / 'index.html', scheme='dark')
    page.get_by_label('Protocol').select_option('purchases')
    page.get_by_label('Slice').select_option('repeat')
    page.emulate_media(media='print', color_scheme='light')
    assert (
        page.locator('#comparison-table thead button').first.is_visible()
        and not page.locator('#switches').is_visible()
    )
    assert page.locator('#said').inner_text().startswith('purchases, repeat.')
    legend = page.locator('.legend').inner_text()
    assert 'best' in legend and '95 % interval' in legend and 'sorts' not in legend
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        'rgb(255, 255, 255)',
        'rgba(0, 0, 0, 0)',
    )


def test_index_without_scripts(made_up, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((made_up / 'index.html').as_uri())
    assert (
        'Good' in page.locator('#comparison-table').inner_text()
        and not page.locator('#switches').is_visible()
    )
    assert page.locator('.legend').is_visible() and not page.locator('#bars-legend').is_visible()
    assert page.locator('#said').inner_text().startswith('next-item, all.')
    context.close()


def test_index_of_a_study_that_is_being_run(made_up, tmp_path, visit):
    "What has ended, what runs and what is still to come, in order; who uses the page keeps it."
    data = json.loads((made_up / 'study.json').read_text())
    titles = {'00_data': 'Data', '10_a': 'A model', '30_comparison': 'Comparison'}
    inputs = dict(needs={}, data='f')
    ended = dict(status='done', error='', seconds=2, parameters={}, inputs=inputs, finished='t')
    entries = {'00_data': ended, '10_a': ended | dict(status='running', seconds=None)}
    rows = {'00_data': ('done', ''), '10_a': ('running', ''), '30_comparison': ('waiting', '')}
    notebooks = {name: SimpleNamespace(title=title) for name, title in titles.items()}
    study = Study(tmp_path, notebooks, data | dict(notebooks=entries), rows=rows)
    (tmp_path / '00_data.html').write_text('')
    write_index(study)
    page = visit(tmp_path / 'index.html')
    said = page.locator('#under-way').inner_text()
    assert '1 of 3 notebooks have ended, 10_a is running, 1 still to come' in said
    assert [step.split()[0] for step in page.locator('.progress li').all_inner_texts()] == list(titles)
    assert page.locator('.progress a').get_attribute('href') == '00_data.html'
    assert page.locator('.card').count() == 2  # what is still to come has no card yet
    study.rows = dict.fromkeys(titles, ('done', ''))
    write_index(study)
    assert 'class="progress"' not in (tmp_path / 'index.html').read_text()


def test_what_is_far_below_the_best_has_no_bar(made_up, visit):
    "Bars span the values that are at least half of the best one, with their intervals."
    page = visit(made_up / 'index.html')
    page.get_by_label('Protocol').select_option('purchases')
    bars = page.locator('#comparison-table tbody tr').first.locator('.bar')
    assert bars.count() >= 2
    for bar in bars.all():
        part = bar.locator('i')
        assert part.evaluate(
            'e => e.offsetLeft >= 0 && e.offsetLeft + e.offsetWidth <= e.parentElement.offsetWidth + 1'
        )


@pytest.mark.parametrize('study', [s for s in COMMITTED if s in REAL])
def test_first_screen_of_a_real_study(study, tmp_path, visit):
    "Made anew: question, answer, figure on the first screen of a desk; whole in dark, on a phone, on paper."
    folder = ROOT / 'reports' / study
    for name in ('comparison.csv', 'ties.csv'):
        shutil.copy(folder / name, tmp_path)
    shutil.copytree(folder / 'findings', tmp_path / 'findings')
    manifest = json.loads((folder / 'manifest.json').read_text())
    notebooks = {name: SimpleNamespace(title=name) for name in manifest['notebooks']}
    write_index(Study(tmp_path, notebooks, manifest))
    best = comparison_tables(tmp_path)[0]
    for scheme, width in (('light', 1360), ('dark', 1360), ('light', 390)):
        page = visit(tmp_path / 'index.html', scheme, width, bypass_csp=True)
        figure = page.locator('figure.bars')
        assert figure.locator('.row').count() == len(few_models(best)) >= 8
        assert figure.locator('.name').first.inner_text() == best['rows'][0][0]
        if width > 1000:
            box = figure.bounding_box()
            assert box['y'] + box['height'] <= 900, box
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        limits = page.locator('.known-limits').inner_text()
        assert len(data_limits(manifest['data'], [best])) >= 2 and 'test window' in limits
    page.emulate_media(media='print')
    page.set_viewport_size(dict(width=720, height=1000))
    assert page.evaluate('document.documentElement.scrollWidth') <= 720
    page.emulate_media(media='screen')
    assert barriers(page, '.bars, .words, .known-limits, .legend') == []


def test_limits_of_real_logs_are_known_by_their_events():
    "Whatever a study is called: the fingerprint of its events counts."
    for study in REAL:
        path = ROOT / 'reports' / study / 'manifest.json'
        if path.exists():
            assert known_limits(json.loads(path.read_text())['data']['fingerprint']), study
    assert known_limits('none') == []


@pytest.mark.parametrize('study', COMMITTED)
def test_committed_index(study, visit):
    page, tables = (
        visit(ROOT / 'reports' / study / 'index.html'),
        comparison_tables(ROOT / 'reports' / study, None),
    )
    for t in tables:
        if t['protocol'] != page.get_by_label('Protocol').input_value():
            page.get_by_label('Protocol').select_option(t['protocol'])
        page.get_by_label('Slice').select_option(t['slice'])
        assert page.locator('#comparison-table tbody tr').count() == len(t['rows'])
        assert page.locator('#comparison-table tbody th').first.inner_text().strip() == t['rows'][0][0]
    for link in page.locator('main a').all():
        target = link.get_attribute('href')
        assert target.startswith(('http', '#')) or (ROOT / 'reports' / study / target).exists(), target


def first_screen(page):
    "On the page of a study of real events the first figure or table is whole there, and no code is in sight."
    numbers = page.evaluate(MEASURE)
    assert numbers['bottom'] is not None and numbers['bottom'] <= 900
    assert numbers['code'] <= 0.05


def unfold(page):
    "All of a page: its code and how it works."
    page.locator('details').evaluate_all('all => all.forEach(d => { d.open = true; })')


def leads_nowhere(page, path):
    "Links of a page to its own headings, and to files beside it, that are not there."
    hashes = page.eval_on_selector_all('.toc a', 'links => links.map(a => a.hash)')
    lost = 'hashes => hashes.filter(hash => !document.getElementById(decodeURIComponent(hash.slice(1))))'
    names = page.eval_on_selector_all('a[rel]', 'links => links.map(a => a.getAttribute("href"))')
    missing = [n for n in names if not n.startswith('http') and not (path.parent / n).exists()]
    return page.evaluate(lost, hashes) + missing


# other figures in the pages of the same notebooks: what keeps from reading is asked of `benchmarks` alone;
# of these, too, in make torture, unfolded
TWINS = {'benchmarks-gpu'}
UNFOLDED = {'12_sasrec', '30_comparison'}  # a model and a question; all others, too, in make torture
EVERY = [(path, False) for path in PAGES if path.parent.name != 'buyers']
MORE = [(path, True) for path in PAGES if path.stem not in UNFOLDED or path.parent.name != 'sessions']
MORE += [(path, False) for path in PAGES if path.parent.name == 'buyers']


@pytest.mark.parametrize(
    'path, whole',
    [
        *EVERY,
        *[(path, True) for path in PAGES if path.stem in UNFOLDED and path.parent.name == 'sessions'],
        *[pytest.param(*page, marks=pytest.mark.torture) for page in MORE],
    ],
    ids=lambda x: f'{x.parent.name}-{x.stem}' if isinstance(x, Path) else 'unfolded' if x else 'as it opens',
)
def test_page(path, whole, visit):
    "Light, on a desk: small, results first, links that lead somewhere, nothing that keeps from reading."
    assert path.stat().st_size < LIMIT
    page = visit(path, width=1360, bypass_csp=True)
    if path.parent.name in REAL and page.locator('.results').count():
        first_screen(page)
    if whole:
        unfold(page)
    if whole or path.parent.name not in TWINS:
        assert barriers(page) == []
    assert leads_nowhere(page, path) == []


@pytest.mark.parametrize('name', ['index', '12_sasrec', '30_comparison'])
@pytest.mark.parametrize('scheme, width', [('dark', 1280), ('light', 390)])
def test_dark_and_narrow(name, scheme, width, visit):
    path = ROOT / 'reports' / 'buyers' / f'{name}.html'
    if not path.exists():
        pytest.skip('the reports of buyers are not in this checkout')
    page = visit(path, scheme, width, bypass_csp=True)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert barriers(page) == []


WORD = '<script>alert(1)</script><img src=x onerror=alert(2)>'


def hostile_archive(path):
    "A simulated shop's files, with markup wherever they hold text."
    from recsys_nb.sources import open_data

    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(Path(open_data('simulated:tiny')).glob('*.csv')):
            head, *rows = file.read_text().splitlines()
            stamp = rows[-1].split(',')[0]
            if file.name == 'events.csv':
                rows = [re.sub(r'(transaction,\d+),.*', rf'\1,{WORD}', row) for row in rows] + [
                    f'{stamp},{v},{WORD},1,' for v in range(1, 40)
                ]
            elif file.name.startswith('item_properties'):
                rows += [f'{stamp},1,{WORD},{WORD}'] * 9 + [f'{stamp},2,790,"{WORD}, {WORD}"']
            archive.writestr(file.name, '\n'.join([head, *rows, '']))


@pytest.mark.torture
def test_study_of_a_hostile_log(tmp_path, visit, record):
    """A whole tiny study over it:
    what its pages say about the log is text, and no page runs or asks for anything."""
    hostile_archive(tmp_path / '<b>log & co.zip')
    data = next(tmp_path.glob('*.zip'))
    shutil.copytree(ROOT / 'nbs', tmp_path / 'nbs', ignore=shutil.ignore_patterns('.ipynb_checkpoints'))
    shutil.copy(ROOT / 'settings.ini', tmp_path)
    (tmp_path / 'data').mkdir()
    quick = [
        x
        for p in ('epochs=1', '12_sasrec.published=false', '15_bpr.iterations=5', '17_bert4rec.shorter=0')
        for x in ('-p', p)
    ]
    done = subprocess.run(
        [
            Path(sys.executable).parent / 'recsys-nb',
            'run',
            '--data',
            data.name,
            '--study',
            'hostile',
            '--profile',
            'tiny',
            *quick,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages, said = sorted((tmp_path / 'reports' / 'hostile').glob('*.html')), 0
    for path in pages:
        page = visit(path)
        page.on('dialog', lambda d: pytest.fail(f'{path.name}: {d.message}'))
        page.locator('details').evaluate_all('all => all.forEach(d => { d.open = true; })')
        assert_harmless(page, scripts=0 if path.name == 'comparison.html' else 1)
        said += '<script>alert(1)</script>' in page.locator('body').inner_text()
    assert said >= 1  # the index tells which kinds of events were left out
    record('intruders', 'a log with markup in every text, a whole study over it', tried=len(pages))
