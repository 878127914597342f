"The committed reports and a made-up one, in a browser: sorting, switching, no complaints, nothing from elsewhere, axe-core's rules."
import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from recsys_nb.report import LIMIT, comparison_tables, write_overview, write_page

ROOT = Path(__file__).parent.parent
COMMITTED = [s for s in ('sessions', 'buyers', 'benchmarks') if (ROOT/'reports'/s/'index.html').exists()]
PAGES = sorted(p for s in COMMITTED for p in (ROOT/'reports'/s).glob('*.html') if p.name != 'comparison.html')
EVIL = '<img src=x onerror=alert(1)></script><script>alert(2)</script>'


@pytest.fixture(scope='module')
def browser():
    chromium = shutil.which('chromium')
    if not chromium: pytest.skip('there is no chromium on this machine')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=['--no-sandbox', '--disable-gpu', '--disable-background-networking'])
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def axe():
    package = pytest.importorskip('axe_playwright_python')
    return (Path(package.__file__).parent/'axe.min.js').read_text(encoding='utf-8')


@pytest.fixture
def visit(browser):
    "Open a file; afterwards the page must not have complained or asked anybody for anything."
    contexts, requests, complaints = [], [], []

    def open_page(path, scheme='light', width=1280, **options):
        contexts.append(browser.new_context(color_scheme=scheme, viewport=dict(width=width, height=900), **options))
        page = contexts[-1].new_page()
        page.on('request', lambda r: requests.append(r.url))
        page.on('console', lambda m: complaints.append(f'{path.name}: {m.text}') if m.type in ('error', 'warning') else None)
        page.on('pageerror', lambda e: complaints.append(f'{path.name}: {e}'))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts: context.close()
    assert [u for u in requests if not u.startswith(('file:', 'data:'))] == [] and complaints == []


@pytest.fixture(scope='module')
def made_up(tmp_path_factory):
    "A study whose every text is hostile: two protocols, two slices, two models."
    folder = tmp_path_factory.mktemp('made-up')
    rows = [f'{p},{s},{m},{metric},{k},{v},{v - .05:.3f},{v + .05:.3f},{n}' for p, n in (('next-item', 40), ('purchases', 7)) for s in ('all', 'repeat')
            for metric, k in (('HitRate', 10), ('HitRate', 20), ('MRR', 20), ('NDCG', 10)) for m, v in ((EVIL, .5), ('Good', .75 if k == 10 else .4))]
    (folder/'comparison.csv').write_text('protocol,slice,model,metric,k,value,low,high,n\n' + '\n'.join(rows) + '\n')
    (folder/'ties.csv').write_text(f'protocol,slice,metric,k,model,mark\nnext-item,all,HitRate,10,Good,best\nnext-item,all,HitRate,10,{EVIL},tied\n')
    data = dict(name=EVIL, simulated=True, fingerprint='f', rows=1, events=1, kinds={EVIL: 1}, visitors=1, items=1, first='', last='', notes=[EVIL])
    manifest = dict(study='made-up', data=data, command=f'recsys-nb run --data {EVIL}', profile='tiny', seeds={}, versions={EVIL: EVIL}, started='', finished='',
                    notebooks={}, git=dict(commit='c', dirty=False), machine=dict(processor=EVIL, cores=2, threads=2, system='Linux'))
    study = SimpleNamespace(folder=folder, manifest=manifest)
    write_overview(study, {'10_a': dict(title=EVIL, status='failed', parameters={'x': EVIL}, page=False, finding='', error=EVIL, time='0:01')}, EVIL)
    write_page(study, '10_a', EVIL, '<h2 id="x">x</h2>', toc=[(2, 'x', EVIL)], notebook='10_a', finding=EVIL, failed=EVIL)
    return folder


def test_hostile_text_is_shown_as_text(made_up, visit):
    for name in ('index', '10_a'):
        page = visit(made_up/f'{name}.html')
        assert page.locator('main img').count() == 0 and EVIL in page.locator('body').inner_text()
        assert page.locator('script').count() <= 2


def test_index_sorts_and_switches(made_up, visit):
    page = visit(made_up/'index.html')
    models = lambda: [t.strip() for t in page.locator('#comparison-table tbody th').all_inner_texts()]
    assert models() == ['Good', EVIL]
    page.get_by_role('button', name='HitRate@20').click()
    assert models() == [EVIL, 'Good'] and page.locator('th[aria-sort=descending]').inner_text().startswith('HitRate@20')
    page.get_by_role('button', name='HitRate@20').click()
    assert models() == ['Good', EVIL] and page.locator('th[aria-sort=ascending]').count() == 1
    page.get_by_role('button', name='Model').press('Enter')
    assert models() == [EVIL, 'Good']
    assert page.locator('td[class~=metric] .mark').all_inner_texts()[0].strip() in '★≈'
    page.get_by_label('Protocol').select_option('purchases')
    assert page.locator('#comparison-table thead button').all_inner_texts() == ['Model', 'Queries', 'HitRate@10', 'Recall@10', 'Precision@10', 'NDCG@10']
    assert page.locator('#comparison-table tbody td').first.inner_text() == '7'
    page.get_by_label('Slice').select_option('repeat')
    assert page.get_by_label('Slice').input_value() == 'repeat' and 'buyer' in page.locator('#said').inner_text()


def test_index_without_scripts(made_up, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page(); page.goto((made_up/'index.html').as_uri())
    assert 'Good' in page.locator('#comparison-table').inner_text() and not page.locator('#switches').is_visible()
    context.close()


@pytest.mark.parametrize('study', COMMITTED)
def test_committed_index(study, visit):
    page, tables = visit(ROOT/'reports'/study/'index.html'), comparison_tables(ROOT/'reports'/study, None)
    for t in tables:
        if t['protocol'] != page.get_by_label('Protocol').input_value(): page.get_by_label('Protocol').select_option(t['protocol'])
        page.get_by_label('Slice').select_option(t['slice'])
        assert page.locator('#comparison-table tbody tr').count() == len(t['rows'])
        assert page.locator('#comparison-table tbody th').first.inner_text().strip() == t['rows'][0][0]
    for link in page.locator('main a').all():
        target = link.get_attribute('href')
        assert target.startswith(('http', '#')) or (ROOT/'reports'/study/target).exists(), target


@pytest.mark.parametrize('path', PAGES, ids=lambda p: f'{p.parent.name}-{p.stem}')
def test_page(path, visit, axe):
    "Light, on a desk: small enough, links that lead somewhere, no serious or critical finding of axe-core, with all code unfolded."
    assert path.stat().st_size < LIMIT
    page = visit(path, bypass_csp=True)
    fold = page.locator('#fold')
    if fold.count() and fold.is_visible(): fold.click()
    page.evaluate(axe)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(v['id'], v['nodes'][0]['html'][:200]) for v in found['violations'] if v['impact'] in ('serious', 'critical')] == []
    anchors = page.eval_on_selector_all('.toc a', 'links => links.filter(a => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map(a => a.hash)')
    assert anchors == []
    for name in page.eval_on_selector_all('a[rel]', 'links => links.map(a => a.getAttribute("href"))'): assert (path.parent/name).exists() or name.startswith('http')


@pytest.mark.parametrize('name', ['index', '12_sasrec', '30_comparison'])
@pytest.mark.parametrize('scheme, width', [('dark', 1280), ('light', 390)])
def test_dark_and_narrow(name, scheme, width, visit, axe):
    path = ROOT/'reports'/'buyers'/f'{name}.html'
    if not path.exists(): pytest.skip('the reports of buyers are not in this checkout')
    page = visit(path, scheme, width, bypass_csp=True)
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    page.evaluate(axe)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(v['id'], v['nodes'][0]['html'][:200]) for v in found['violations'] if v['impact'] in ('serious', 'critical')] == []
