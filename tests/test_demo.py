"The demo: its functions, the app on 127.0.0.1, and a browser in front of it."
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys_nb.demo import answer_html, example_visitors, html_table, launch_app, launch_demo, load_demo, make_demo, parse_visitor, recommend_for
from recsys_nb.protocol import make_protocols
from recsys_nb.qualitative import SMALL, load_models
from recsys_nb.sasrec import SASRec
from recsys_nb.shop import load_log

DATA = 'simulated:tiny'
WRONG = {'': 'Enter the number', '   ': 'Enter the number', 'shoes': 'digits only', '-5': 'not negative', '1.5': 'digits only', '1e3': 'digits only', '1 2': 'digits only',
         '٣': 'digits only', '9' * 19: 'at most 18', '9' * 5000: '5,000 characters', 'x' * 100_000: '100,000 characters', '<b>1</b>': 'digits only',
         '${1+1}': 'digits only', '\x00': 'digits only', "1' OR 1=1": 'digits only', '../../etc/passwd': 'digits only'}


@pytest.fixture(scope='session')
def fit_log():
    return make_protocols(load_log(DATA)[0]).split.fit


@pytest.fixture(scope='session')
def study(tmp_path_factory, fit_log):
    "A study folder with every model fitted once."
    out = tmp_path_factory.mktemp('study')
    for name, make in SMALL.items():
        model = SASRec(epochs=1, hidden_dim=16) if name == 'SASRec' else make()
        folder = out/'results'/name
        folder.mkdir(parents=True)
        model.fit(fit_log).save(folder)
        np.save(folder/'vocabulary.npy', fit_log.itemid.cat.categories.to_numpy(np.int64))
    return out


@pytest.fixture(scope='session')
def state(study):
    return load_demo(study, DATA)


@pytest.fixture(scope='session')
def address(state):
    "The app, launched on a free port."
    app = make_demo(state)
    yield launch_app(app)
    app.close()


def test_takes_the_models_of_the_study(state):
    assert list(state.models)[0] == 'SASRec' and set(state.models) == set(SMALL) and state.notes == []
    assert state.models['SASRec'].module.hparams.hidden_dim == 16


@pytest.mark.parametrize('model', SMALL)
def test_known_visitor(state, model):
    for _, text in example_visitors(state)[:-1]:
        answer = recommend_for(state, text, model)
        assert answer.kind == 'known' and text in answer.message and model in answer.message
        assert len(answer.items) == 10 or model == 'History'
        own = state.raw[state.raw.visitorid == int(text)]
        assert answer.history.item.tolist() == own.itemid.astype(str).tolist()[::-1][:50]
        times = own.itemid.astype(str).value_counts()
        assert answer.items['seen before'].tolist() == [f'yes, {times[i]}×' if i in times else '' for i in answer.items.item]
        assert (answer.items.category != '').all() and answer.milliseconds < 5000


def test_history_is_everything_and_categories_are_of_their_time(state):
    text = example_visitors(state)[0][1]
    shown, own = recommend_for(state, text).history, state.raw[state.raw.visitorid == int(text)]
    assert shown['time (UTC)'].iloc[0] == f'{own.timestamp.iloc[-1]:%Y-%m-%d %H:%M:%S}'
    expected = [state.categories.path_text(c) for c in state.categories.at(own.itemid, own.timestamp)][::-1]
    assert shown.category.tolist() == expected[:50]


def test_unknown_visitor_gets_what_is_popular(state):
    answer = recommend_for(state, str(state.visitors.max() + 1))
    assert answer.kind == 'unknown' and 'not in this log' in answer.message and 'most popular' in answer.message
    assert len(answer.items) == 10 and len(answer.history) == 0
    assert [recommend_for(state, '9' * 18, m).items.item.tolist() for m in state.models] == [answer.items.item.tolist()] * len(state.models)


def test_visitor_of_rare_items_only(state):
    answer = recommend_for(state, example_visitors(state)[-1][1])
    assert answer.kind == 'no items' and 'none on an item that the models know' in answer.message and len(answer.history) > 0 and len(answer.items) == 10


@pytest.mark.parametrize('text', WRONG, ids=lambda t: ascii(t[:12]))
def test_no_visitor(state, text):
    answer = recommend_for(state, text)
    assert answer.kind == 'invalid' and WRONG[text] in answer.message and len(answer.message) < 150 and answer.items.empty
    assert '<b>' not in answer_html(answer) and parse_visitor(text)[0] is None


def test_everything_shown_is_escaped(state):
    import pandas as pd
    html = html_table(pd.DataFrame({'item': ['<script>alert(1)</script>'], '<i>': ['"&']}), '<u>')
    assert not re.search('<(script|i|u)>', html) and '&lt;script&gt;' in html
    assert '<img' not in answer_html(recommend_for(state, '<img src=x onerror=1>'))
    assert recommend_for(state, '1', '<b>').kind == 'invalid'


def test_results_of_another_vocabulary_are_not_used(study, fit_log, tmp_path):
    shutil.copytree(study/'results'/'ALS', tmp_path/'results'/'ALS')
    np.save(tmp_path/'results'/'ALS'/'vocabulary.npy', np.array([1, 2, 3]))
    models, notes = load_models(tmp_path, fit_log, ['ALS'])
    assert notes == ['ALS was fitted on other events or items, so a small one was fitted for this page.']
    assert len(models['ALS'].item_factors) == len(fit_log.itemid.cat.categories)


def test_damaged_results_are_said(study, fit_log, tmp_path):
    shutil.copytree(study/'results'/'ALS', tmp_path/'results'/'ALS')
    (tmp_path/'results'/'ALS'/'model.npz').write_bytes(b'nothing')
    assert 'could not be read' in load_models(tmp_path, fit_log, ['ALS'])[1][0]


def test_answers_through_the_client(state, address):
    from gradio_client import Client
    client = Client(address, verbose=False)
    text = example_visitors(state)[0][1]
    assert 'Top 10 from ALS' in client.predict(text, 'ALS', api_name='/recommend')
    assert 'most popular items' in client.predict('9' * 18, 'SASRec', api_name='/recommend')
    assert 'no fitted model' in client.predict(text, 'Nobody', api_name='/recommend')
    for wrong, why in WRONG.items(): assert why in client.predict(wrong, 'SASRec', api_name='/recommend')


def test_stays_on_this_machine(address):
    import httpx
    assert address.startswith('http://127.0.0.1:') and os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    page = httpx.get(address)
    assert "connect-src 'self'" in page.headers['content-security-policy'] and 'fonts.googleapis' not in page.text
    refused = httpx.post(f'{address}gradio_api/upload', files={'files': b'x'})
    assert refused.status_code == 403 and 'takes no files' in refused.text
    assert httpx.get(f'{address}docs').status_code == 404


def test_refuses_in_one_sentence(study):
    with pytest.raises(SystemExit, match='does not exist'): launch_demo(study, 'no/such/folder')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0)); s.listen()
        with pytest.raises(SystemExit, match='is taken'): launch_demo(study, DATA, port=s.getsockname()[1])


def test_runs_until_interrupted(study):
    code = f'from recsys_nb.demo import launch_demo; launch_demo({str(study)!r}, {DATA!r})'
    # a shell that starts tests in the background makes its children deaf to Ctrl-C
    p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        line = next(line for line in p.stdout if 'http' in line)
        assert re.search(r'http://127\.0\.0\.1:\d+/', line) and p.poll() is None
        p.send_signal(signal.SIGINT)
        p.wait(60)
    finally: p.kill()


def test_in_a_browser(state, address):
    chromium = shutil.which('chromium')
    if not chromium: pytest.skip('there is no chromium on this machine')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=['--no-sandbox', '--disable-gpu', '--disable-background-networking'])
        page, requests, complaints = browser.new_page(), [], []
        page.on('request', lambda r: requests.append(r.url))
        page.on('console', lambda m: complaints.append(m.text) if m.type in ('error', 'warning') else None)
        page.on('pageerror', lambda e: complaints.append(str(e)))
        page.goto(address)
        page.wait_for_selector('.answer table')
        words, visitor = example_visitors(state)[1]
        page.get_by_role('combobox', name='Pick a visitor').click()
        page.get_by_role('option', name=words).click()
        page.wait_for_selector(f'text=Visitor {visitor} has')
        page.get_by_role('combobox', name='Model').click()
        page.get_by_role('option', name='Item-Item CF').click()
        page.wait_for_selector('text=Top 10 from Item-Item CF')
        box = page.get_by_label('or enter a number')
        box.fill('999999999'); box.press('Enter')
        page.wait_for_selector('text=Visitor 999999999 is not in this log')
        box.fill('<img src=x onerror=alert(1)>'); page.get_by_role('button', name='Recommend').click()
        page.wait_for_selector('text=“<img src=x onerror=alert(1)>” is no visitor')
        assert page.locator('.answer img').count() == 0
        browser.close()
    assert {u.split('/')[2] for u in requests if u.startswith(('http', 'ws'))} == {address.split('/')[2]}
    assert complaints == []
