"""The demo: its answers, the app on 127.0.0.1, a browser in front of it,
JupyterLab around it, intruders, and fifty clients at once."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest

from axe import barriers
from recsys_nb.comparison import harmless
from recsys_nb.demo import launch_demo, load_demo, time_demo
from recsys_nb.demo_answer import LEFT_OUT, answer, places_of, places_text, recommend_for, score_text
from recsys_nb.demo_app import DemoEvents, LARGEST, launch_app, make_demo
from recsys_nb.demo_data import (
    ADDED,
    OFFERED,
    Shopper,
    demo_state,
    example_visitors,
    example_written_state,
    find_items,
    follow,
    parse_visitor,
    reveal,
    shopper_history,
    shopper_rows,
    study_vocabulary,
)
from recsys_nb.demo_page import page_html, page_parts
from recsys_nb.evaluation import write_result
from recsys_nb.protocol import make_protocols, next_item_queries
from recsys_nb.qualitative import SMALL, load_models
from recsys_nb.sasrec import SASRec
from recsys_nb.sources import load_log

ROOT = Path(__file__).parent.parent
DATA = 'simulated:tiny'
web = httpx.Client(timeout=30, trust_env=False)  # one for all: each new one reads all certificates
IMAGE = '<img src=x onerror=alert(1)>'
FORMULA = '=HYPERLINK("http://evil.example","x")'
WRONG = {
    '': 'Enter the number',
    '   ': 'Enter the number',
    'shoes': 'digits only',
    '-5': 'not negative',
    '1.5': 'digits only',
    '1e3': 'digits only',
    '1 2': 'digits only',
    '٣': 'digits only',
    '9' * 19: 'at most 18',
    '9' * 5000: '5,000 characters',
    'x' * 50_000: '50,000 characters',
    IMAGE: 'digits only',
    FORMULA: 'digits only',
    '+1': 'digits only',
    '@SUM(1)': 'digits only',
    '${1+1}': 'digits only',
    '\x00': 'digits only',
    "1' OR 1=1": 'digits only',
    '../../etc/passwd': 'digits only',
}
# what would open the app to others if it listened to its surroundings
TEMPTING = dict(
    GRADIO_SHARE='True',
    GRADIO_SERVER_NAME='0.0.0.0',
    GRADIO_ALLOWED_PATHS='/',
    GRADIO_ROOT_PATH='/elsewhere',
    GRADIO_MCP_SERVER='True',
    GRADIO_SSR_MODE='True',
    HTTP_PROXY='http://127.0.0.1:9',
    HTTPS_PROXY='http://127.0.0.1:9',
    NO_PROXY='',
    no_proxy='',
)


@pytest.fixture(scope='module')
def fit_log():
    return make_protocols(load_log(DATA)[0]).split.fit


@pytest.fixture(scope='module')
def study(tmp_path_factory, fit_log):
    "A study folder with every model fitted once."
    out = tmp_path_factory.mktemp('study')
    for name, make in SMALL.items():
        model = SASRec(epochs=1, hidden_dim=16) if name == 'SASRec' else make()
        folder = out / 'results' / name
        folder.mkdir(parents=True)
        model.fit(fit_log).save(folder)
        np.save(folder / 'vocabulary.npy', fit_log.itemid.cat.categories.to_numpy(np.int64))
    (out / 'secret.txt').write_text('root: the secret of the study')
    return out


@pytest.fixture(scope='module')
def state(study):
    return load_demo(study, DATA)


@pytest.fixture(scope='module')
def process(study):
    "The demo in a process of its own, starting while other tests run."
    code = f'from recsys_nb.demo import launch_demo; launch_demo({str(study)!r}, {DATA!r})'
    # a shell that starts tests in the background makes its children deaf to Ctrl-C
    p = subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | TEMPTING,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    yield p
    p.kill()
    p.communicate()


@pytest.fixture(scope='module')
def server(process):
    "Its address."
    line = next((line for line in process.stdout if 'http' in line), '')
    assert (found := re.search(r'http://127\.0\.0\.1:\d+/', line)) and process.poll() is None, line
    return found[0]


def first_visitor(state):
    "Whom the page is about when it is opened."
    return DemoEvents(state).first().visitor


def shown(state, visitor):
    "How many events of a visitor the page shows: those before the hidden one."
    return len(shopper_rows(state, follow(state, Shopper(), int(visitor))))


def ask(server, text, model='SASRec'):
    "An answer through the app's own interface, as HTML."
    event = web.post(f'{server}gradio_api/call/recommend', json=dict(data=[text, model])).json()['event_id']
    lines = web.get(f'{server}gradio_api/call/recommend/{event}').text.splitlines()
    assert lines[0] == 'event: complete', lines[:2]
    return json.loads(lines[1].removeprefix('data: '))[0]


def trigger(server, fn_index, data, event=None, session='trigger'):
    "What the page would get for an event: the message that ends it."
    joined = web.post(
        f'{server}gradio_api/queue/join',
        json=dict(data=data, event_data=event, fn_index=fn_index, session_hash=session),
    )
    assert joined.status_code == 200, joined.text
    with web.stream('GET', f'{server}gradio_api/queue/data', params=dict(session_hash=session)) as stream:
        return next(
            m
            for line in stream.iter_lines()
            if line and (m := json.loads(line[6:]))['msg'] == 'process_completed'
        )


def send(server, method, path, body=b'', **headers):
    "One request exactly as written: no path is tidied up, no header corrected."
    connection = http.client.HTTPConnection('127.0.0.1', urlsplit(server).port, timeout=20)
    connection.putrequest(method, path, skip_host='host' in headers)
    for name, value in (
        headers | ({'content-length': len(body)} if body and 'transfer_encoding' not in headers else {})
    ).items():
        connection.putheader(name.replace('_', '-'), value)
    connection.endheaders()
    try:
        connection.send(body)
    except OSError:
        pass  # refused before the end
    response = connection.getresponse()
    found = response.status, response.read(10_000)
    connection.close()
    return found


# ---- answers


def test_reads_a_model_when_it_is_asked(study):
    state = load_demo(study, DATA)
    assert (
        list(state.models)[:2] == ['SASRec', 'Item-Item CF']
        and set(state.models) == set(SMALL)
        and state.notes == []
        and state.models.read == {}
    )
    assert answer(state, Shopper(), 'SASRec').kind == 'empty' and set(state.models.read) == {'SASRec'}
    assert state.models['SASRec'].module.hparams.hidden_dim == 16


@pytest.mark.parametrize('model', SMALL)
def test_known_visitor(state, model):
    for _, text in example_visitors(state)[:-1]:
        said = recommend_for(state, text, model)
        assert said.kind == 'known' and text in said.message and (len(said.items) == 10 or model == 'History')
        own = state.raw[state.raw.visitorid == int(text)]
        assert said.rows.itemid.tolist() == own.itemid.tolist()
        times = own.itemid.astype(str).value_counts()
        for item, seen in zip(said.items.item, said.items.seen):
            expected = (
                '' if item not in times else 'seen ' if times[item] == 1 else f'seen {times[item]}×, last '
            )
            assert seen.startswith(expected) and bool(seen) == bool(expected)
        assert (said.items.category != '').all() and set(said.items['because of']) <= {
            '',
            *own.itemid.astype(str),
        }
        assert said.items['because of'].any() or model == 'Popularity'


def test_history_shows_categories_of_their_time(state):
    visitor = int(example_visitors(state)[0][1])
    own, html = (
        state.raw[state.raw.visitorid == visitor],
        page_parts(state, Shopper(visitor), 'History', 'ALS')[1],
    )
    paths = [state.categories.path_text(c) for c in state.categories.at(own.itemid, own.timestamp)][::-1]
    expected = [f'category {p}'.replace('>', '&gt;') for p in paths]
    assert re.findall(r'class="tile"[^>]* title="([^"]*)"', html) == expected[:50]
    assert re.findall(r'<time>([^<]*)<', html) == [f'{t:%H:%M:%S}' for t in own.timestamp][::-1][:50]


def test_what_is_guessed_is_what_the_study_asks(state, fit_log):
    "The history before a hidden event is that of the evaluation's query, and so is the place of its target."
    queries = next_item_queries(make_protocols(load_log(DATA)[0]).split)
    asked = {(int(v), int(t)): i for i, (v, t) in enumerate(zip(queries.visitors, queries.times))}
    drawn = list(state.hidden.items())[:200]
    index = []
    for visitor, row in drawn:
        event = state.raw.iloc[row]
        i = asked[visitor, event.timestamp.value // 10**6]
        mine = shopper_history(state, shopper_rows(state, follow(state, Shopper(), visitor)))
        theirs = queries.histories[[i]]
        span = slice(theirs.start[0], theirs.end[0])
        assert mine.items.tolist() == theirs.items[span].tolist()
        index.append(i)
    rows = [row for _, row in drawn]
    for model in ('SASRec', 'Item-Item CF', 'History'):
        items, _ = state.models[model].recommend(queries.histories[index], 10)
        hit = items == state.codes[rows][:, None]
        assert places_of(state, model, rows) == np.where(hit.any(1), hit.argmax(1) + 1, 0).tolist()
        new = places_of(state, model, rows, new_only=True)
        assert LEFT_OUT in new and (model != 'History' or set(new) == {LEFT_OUT, 0})


@pytest.mark.parametrize('model', SMALL)
def test_only_new_items(state, model):
    for visitor in list(state.hidden)[:20]:
        shopper = follow(state, Shopper(), visitor)
        seen = {*shopper_rows(state, shopper).itemid.astype(str)}
        every, new = (answer(state, shopper, model, new_only=n).items.item.tolist() for n in (False, True))
        assert not seen & {*new} and len({*new}) == len(new)
        assert new[: len([i for i in every if i not in seen])] == [i for i in every if i not in seen]
        assert len(new) == 10 or model == 'History'


def test_a_score_goes_through_all_visitors(state):
    "Nobody comes twice before everybody was there."
    shopper, met = DemoEvents(state).first(), []
    for _ in range(30):
        met.append(shopper.visitor)
        shopper = DemoEvents(state).click(
            reveal(shopper), 'History', 'History', False, type('Event', (), dict(_data=dict(do='next')))
        )[0]
    assert len({*met}) == 30 and len(shopper.tried) == 30


def test_names_cannot_do_harm(state):
    "A hostile name of an item is text wherever it stands."
    from dataclasses import replace

    hostile = replace(state, names=[IMAGE] * len(state.names))
    shopper = reveal(DemoEvents(state).first())
    for html in (*page_parts(hostile, shopper, 'SASRec', 'History'), page_html(hostile, shopper, ['ALS'])):
        assert '<img' not in html
    assert '<img' not in DemoEvents(hostile).items('')


def test_strangers_get_what_is_popular(state):
    unknown = str(state.visitors.max() + 1)
    for shopper, kind, said in (
        (Shopper(int(unknown)), 'unknown', 'not in this log'),
        (Shopper(), 'empty', 'Nothing happened yet'),
        (Shopper(int(example_visitors(state)[-1][1])), 'no items', 'none on an item that the models know'),
    ):
        answers = [answer(state, shopper, m) for m in state.models]
        assert (
            {a.kind for a in answers} == {kind}
            and said in answers[0].message
            and 'most popular' in answers[0].message
        )
        assert len(answers[0].items) == 10 and all(
            a.items.item.tolist() == answers[0].items.item.tolist() for a in answers
        )


def test_very_long_sessions(state):
    longest = int(next(v for words, v in example_visitors(state) if 'longest' in words))
    items = state.vocabulary[find_items(state, '', 50)].tolist()
    shopper = Shopper(longest)
    for i in range(10 * ADDED):
        shopper = shopper.add(items[i % 50], 'addtocart')
    said, past, *lists = page_parts(state, shopper, 'SASRec', 'Item-Item CF')
    assert len(shopper.added) == ADDED and 'no more are kept' in said
    assert (
        past.count('data-do="remove"') == 50
        and 'earlier' in past
        and all(html.count('data-why') == 10 for html in lists)
    )


@pytest.mark.parametrize('text', WRONG, ids=lambda t: ascii(t[:12]))
def test_no_visitor(state, text):
    said = recommend_for(state, text)
    assert (
        said.kind == 'invalid'
        and WRONG[text] in said.message
        and len(said.message) < 150
        and said.items.empty
        and parse_visitor(text)[0] is None
    )


def test_the_report_shows_the_same_lists(state):
    shopper = Shopper(int(example_visitors(state)[0][1])).add(state.vocabulary[0])
    twin, live = (
        page_html(state, shopper, ['SASRec', 'ALS']),
        ''.join(page_parts(state, shopper, 'SASRec', 'ALS')),
    )
    assert '<button' not in twin and '<script' not in twin

    def words(html):
        text = re.sub(r'<style>.*?</style>|<button[^>]*chip.*?</button>|<[^>]+>|\d+ ms', ' ', html)
        return re.sub(r'\s+', ' ', text)

    assert words(live) in words(twin)


def test_results_of_another_vocabulary_are_left_out(study, fit_log, tmp_path):
    for name in ('ALS', 'History', 'Popularity'):
        shutil.copytree(study / 'results' / name, tmp_path / 'results' / name)
    np.save(tmp_path / 'results' / 'ALS' / 'vocabulary.npy', np.array([1, 2, 3]))
    assert len(study_vocabulary(tmp_path, load_log(DATA)[0])) == len(fit_log.itemid.cat.categories)
    state = load_demo(tmp_path, DATA)
    assert list(state.models) == ['History', 'Popularity'] and state.notes == [
        'ALS was fitted on other events or items, so it is left out.'
    ]
    models, notes = load_models(tmp_path, fit_log, ['ALS'])
    assert notes == ['ALS was fitted on other events or items, so a small one was fitted for this page.']
    assert len(models['ALS'].item_factors) == len(fit_log.itemid.cat.categories)


def test_a_damaged_model_is_said_and_the_others_answer(study, tmp_path, record):
    shutil.copytree(study / 'results', tmp_path / 'results')
    (tmp_path / 'results' / 'ALS' / 'model.npz').write_bytes(b'nothing')
    state = load_demo(tmp_path, DATA)
    said, past, *lists = page_parts(state, Shopper(int(example_visitors(state)[0][1])), 'ALS', 'History')
    assert (
        'ALS could not be read' in lists[0]
        and 'Top ' in lists[1]
        and 'events' in said
        and 'data-item' in past
    )
    record('bad input', 'a damaged model in front of the demo')


def test_times_are_printed(study, capsys):
    time_demo(study, DATA, n=8)
    printed = capsys.readouterr().out
    assert (
        re.match(r'Started after \d+\.\d\d s', printed)
        and 'both lists: SASRec, History' in printed
        and printed.count('\n') == 2 + 1 + len(SMALL)
    )


# ---- intruders


def test_answers_through_the_client(state, server):
    from gradio_client import Client

    client = Client(server, verbose=False)
    text = example_visitors(state)[0][1]
    assert 'Top 10 from ALS' in client.predict(text, 'ALS', api_name='/recommend')
    assert 'most popular items' in client.predict('9' * 18, 'SASRec', api_name='/recommend')
    assert [e for e in client.view_api(return_format='dict', print_info=False)['named_endpoints']] == [
        '/recommend'
    ]


def test_listens_on_this_machine_only(process, server, record):
    """Though the environment asks gradio for a public share,
    every address, all files, a tool server and a proxy."""
    import psutil

    own = psutil.Process(process.pid)
    listening = {
        c.laddr.ip
        for p in (own, *own.children(recursive=True))
        for c in p.net_connections()
        if c.status == 'LISTEN'
    }
    assert listening == {'127.0.0.1'} and server.startswith('http://127.0.0.1:') and not own.children()
    page = web.get(server)
    assert (
        "connect-src 'self'" in page.headers['content-security-policy']
        and 'fonts.googleapis' not in page.text
    )
    assert '"share_url":null' in page.text.replace(' ', '') or 'gradio.live' not in page.text
    for headers in (
        dict(host='evil.example'),
        dict(host='evil.example:7860'),
        dict(host='127.0.0.1.evil.example'),
        dict(host=''),
        dict(host='0.0.0.0'),
        dict(origin='http://evil.example'),
        dict(origin='null'),
        dict(origin='http://127.0.0.1@evil.example'),
    ):
        assert send(server, 'GET', '/config', **headers)[0] in (400, 403), headers
        record('intruders', f'calls as {headers}')
    for name in TEMPTING:
        record('intruders', f'environment variable {name}')


TARGETS = [
    '/etc/passwd',
    '{study}/secret.txt',
    '{root}/settings.ini',
    'secret.txt',
    '../../../../../../etc/passwd',
]
WAYS = [
    '/{t}',
    '/file={t}',
    '/file/{t}',
    '/gradio_api/file={t}',
    '/gradio_api/file/{t}',
    '/gradio_api//file={t}',
    '//gradio_api/file={t}',
    '/gradio_api/./file={t}',
    '/assets/../{t}',
    '/assets/..%2f..%2f..%2f..%2f{t}',
    '/static/../../{t}',
    '/static/%2e%2e/%2e%2e/{t}',
    '/static/....//{t}',
    '/static//{t}',
    '/assets/{t}',
    '/gradio_api/proxy=file://{t}',
    '/gradio_api/proxy={url}gradio_api/file={t}',
    '/svelte/{t}',
    '/custom_component/1/client/component/{t}',
    '/gradio_api/custom_component/x/server/y/{t}',
    '/gradio_api/stream/a/b/c/{t}',
    '/gradio_api/run-history/records/a/b/assets/{t}',
    '/gradio_api/%66ile={t}',
    '/gradio_api/file%3D{t}',
    '/gradio_api/FILE={t}',
    '/gradio_api/file=%252e%252e/{t}',
    '/theme.css/../{t}',
    '/config/..;/{t}',
    '/pwa_icon/{t}',
    '/elsewhere/file={t}',
]


def test_serves_no_file(study, server, record):
    for way in WAYS:
        for target in TARGETS:
            target = target.format(study=study, root=ROOT)
            for t in dict.fromkeys(
                (
                    target,
                    target.replace('/', '%2f'),
                    target.replace('.', '%2e'),
                    target.replace('/', '%5c'),
                    target + '%00.css',
                )
            ):
                status, body = send(server, 'GET', way.format(t=t, url=server))
                assert status in (400, 403, 404, 405) and b'root:' not in body and b'[DEFAULT]' not in body, (
                    way,
                    t,
                    status,
                    body[:200],
                )
        record('intruders', f'reads files by {way}')


@pytest.mark.parametrize(
    'path',
    [
        'docs',
        'redoc',
        'openapi.json',
        'monitoring',
        'monitoring/summary',
        'login',
        'token',
        'gradio_api/mcp/',
        'gradio_api/vibe-edit',
        'gradio_api/vibe-code',
        'gradio_api/runs',
        'gradio_api/profiling/traces',
        'gradio_api/deep_link',
        'dev/reload',
    ],
)
def test_has_no_back_door(server, path, record):
    assert (
        send(server, 'GET', f'/{path}')[0] == 404
        and send(server, 'POST', f'/{path}', b'{}', content_type='application/json')[0] == 404
    )
    record('intruders', f'opens /{path}')


def test_takes_no_files(server, record):
    for path in (
        'upload',
        'gradio_api/upload',
        'gradio_api/upload/',
        'gradio_api//upload',
        'gradio_api/upload?upload_id=1',
        'gradio_api/%75pload',
        'gradio_api/process_recording',
        'gradio_api/component_server/',
        'gradio_api/stream/1',
    ):
        body = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.txt"\r\n\r\nx\r\n--b--\r\n'
        assert (
            send(server, 'POST', f'/{path}', body, content_type='multipart/form-data; boundary=b')[0] == 404
        ), path
        record('intruders', f'uploads to /{path}')


def test_nonsense_is_refused_and_the_server_goes_on(state, server, record):
    join, call, run = '/gradio_api/queue/join', '/gradio_api/call/recommend', '/gradio_api/run/predict'
    of = dict(session_hash='nonsense')

    def as_json(x):
        return json.dumps(x).encode()

    large = as_json(dict(data=['x' * 1_000_000, 'SASRec']))
    tried = {
        '1 MB in the text': (call, large, {}),
        '1 MB in a click': (join, as_json(dict(data=[], event_data='x' * 10**6, fn_index=0, **of)), {}),
        '1 MB in chunks of unsaid length': (
            call,
            b'f4240\r\n' + b'x' * 10**6 + b'\r\n0\r\n\r\n',
            dict(transfer_encoding='chunked'),
        ),
        'a length that is no number': (call, b'{}', {'content-length': 'all'}),
        'malformed JSON': (call, b'{"data": [', {}),
        'no JSON': (call, b'\xff\xfe', {}),
        'deep JSON': (call, b'[' * 30_000, {}),
        'a list': (call, b'[]', {}),
        'no arguments': (call, as_json(dict(data=[])), {}),
        'a thousand arguments': (call, as_json(dict(data=[1] * 1000)), {}),
        'an unknown function': (join, as_json(dict(data=[], fn_index=10**6, **of)), {}),
        'a negative function': (join, as_json(dict(data=[], fn_index=-1, **of)), {}),
        'a function that is text': (join, as_json(dict(data=[], fn_index='a', **of)), {}),
        'a click past the queue': (run, as_json(dict(data=[None, 'ALS', 'ALS'], fn_index=0)), {}),
        'a batch of a thousand': (call, as_json(dict(data=[['1'] * 1000, ['ALS'] * 1000])), {}),
        'no session': (join, as_json(dict(data=[], fn_index=0)), {}),
        'an unknown name': ('/gradio_api/call/recommend/../click', b'{}', {}),
        'a private function by name': ('/gradio_api/call/click', as_json(dict(data=[])), {}),
    }
    for what, (path, body, headers) in tried.items():
        status, said = send(server, 'POST', path, body, **({'content_type': 'application/json'} | headers))
        assert 400 <= status <= 500 or status == 200 and path == call, (what, status, said)
        assert b'Traceback' not in said and b'site-packages' not in said, (what, said)
        if len(body) > LARGEST:
            assert status in (411, 413), (what, status)
        record('intruders', what)
    assert 'Top 10' in ask(server, example_visitors(state)[0][1])


def test_wrong_types_and_hostile_text_in_every_input(state, server, record):
    "Whatever is sent as a value ends in an error or in text."
    config = web.get(f'{server}config').json()
    assert not [
        d['api_name']
        for d in config['dependencies']
        if d['api_visibility'] == 'public' and d['api_name'] != 'recommend'
    ]
    values = [
        IMAGE,
        FORMULA,
        '"><svg onload=alert(1)>',
        '{{7*7}}',
        "'; DROP TABLE visitors; --",
        '\u202e1',
        None,
        1,
        -1.5,
        True,
        [],
        ['1'],
        {},
        {'path': '/etc/passwd', 'meta': {'_type': 'gradio.FileData'}},
    ]
    searches = [d['id'] for d in config['dependencies'] if d['targets'] and d['targets'][0][1] == 'change']
    assert len(searches) == 2 and all(d['queue'] for d in config['dependencies'])
    for value in values:
        said = [trigger(server, fn, [value], session='hostile') for fn in searches]
        for arguments in ([value, 'SASRec'], ['1', value]):
            event = web.post(f'{server}gradio_api/call/recommend', json=dict(data=arguments)).json()[
                'event_id'
            ]
            said.append(web.get(f'{server}gradio_api/call/recommend/{event}').text)
        assert not [
            s
            for s in map(str, said)
            if re.search(r'<(img|svg onload|script)', s.replace('\\u003c', '<'))
            or 'Traceback' in s
            or 'root:' in s
        ], said
        record('intruders', f'{json.dumps(value)} in every text input')
    for wrong in list(WRONG)[::4]:
        assert WRONG[wrong] in ask(server, wrong)
    assert 'Top 10' in ask(server, example_visitors(state)[0][1])


def test_clicks_are_checked_again(state, server, record):
    "A click that no page could have made changes nothing."
    clicks = [
        dict(do='steal', of='1'),
        dict(do='view', of=IMAGE),
        dict(do='view', of='9' * 18),
        dict(do='remove', of='-1'),
        dict(do='visitor', of=FORMULA),
        dict(do=['view'], of={}),
        dict(do='fit', of=IMAGE),
        dict(do='reveal ', of='1'),
        dict(),
        'view',
        ['view', '1'],
        None,
        7,
    ]
    first = f'Visitor {first_visitor(state)} has'
    for click in clicks:
        done = trigger(server, 0, [None, 'SASRec', 'ALS', False], click, f'click{clicks.index(click)}')
        assert done['success'] and first in done['output']['data'][1] and IMAGE not in str(done), click
        record('intruders', f'the click {json.dumps(click)}')


def test_the_box_takes_nothing_but_yes_and_no(state, server, record):
    "What is sent in place of a tick is an error, or no tick."
    first = f'Visitor {first_visitor(state)} has'
    for n, value in enumerate((IMAGE, FORMULA, 'x' * 10_000, None, 7, [], {'a': IMAGE}, ['<script>'])):
        done = trigger(server, 0, [None, 'SASRec', 'ALS', value], dict(do='clear'), f'box{n}')
        assert not done['success'] or first in done['output']['data'][1]
        assert '<img' not in str(done) and '<script' not in str(done) and 'Traceback' not in str(done)
        record('intruders', f'{json.dumps(value)[:30]} in the box “only new items”')


def test_the_hidden_event_stays_on_the_server(state, server):
    "Neither the page nor its first answers tell it: what they hold of it, a list or the history tells."
    shopper = DemoEvents(state).first()
    truth = str(state.raw.itemid.iloc[shopper.hidden])
    done = trigger(server, 0, [None, 'SASRec', 'ALS', False], dict(do='clear'), 'peek')['output']['data']
    known = {*shopper_rows(state, shopper).itemid.astype(str)}
    for model in ('SASRec', 'ALS'):
        known |= {*answer(state, shopper, model).items.item}
    found = {*re.findall(r'data-(?:item|id)="(\d+)"', ''.join(done[1:5]))}
    assert found <= known and (truth in known or truth not in found)
    assert 'came next is hidden' in done[2] and 'came-next' not in str(done) and done[0] is None
    told = trigger(server, 0, [None, 'SASRec', 'ALS', False], dict(do='reveal'), 'peek')['output']['data']
    assert f'Visitor {shopper.visitor} ' in re.search('came-next.*', told[1])[0]
    assert f'class="next" data-item="{truth}"' in told[2]


def test_requests_waiting_are_limited(record):
    """A model that does not answer:
    who comes when 128 wait is told so, and all who wait are answered in the end."""

    class Stuck:
        def recommend(self, histories, k):
            going.wait(60)
            return np.zeros((len(histories), 1), np.int32), np.ones((len(histories), 1), np.float32)

    going = threading.Event()
    going.set()
    log = load_log(DATA)[0].head(200)
    ids = np.sort(log.itemid.unique())
    app = make_demo(demo_state(log, None, {'Stuck': Stuck()}, ids))
    url, visitor = launch_app(app), str(log.visitorid.iloc[0])
    try:
        going.clear()
        with httpx.Client(base_url=url, trust_env=False) as client:
            joined = [
                client.post('/gradio_api/call/recommend', json=dict(data=[visitor, 'Stuck']))
                for _ in range(150)
            ]
            full = [r for r in joined if r.status_code == 503]
            assert 10 <= len(full) <= 22 and all('Queue is full' in r.text for r in full)
            going.set()
            events = [r.json()['event_id'] for r in joined if r.status_code == 200]
            assert all(
                'event: complete' in client.get(f'/gradio_api/call/recommend/{e}', timeout=30).text
                for e in events
            )
    finally:
        going.set()
        app.close(verbose=False)
    record('intruders', '150 requests to a model that is stuck', refused=len(full), answered=len(events))


def test_csv_files_hold_no_formula(tmp_path, record):
    """No visitor's or item's text reaches a CSV file;
    the names of models do, and a hostile one is refused or disarmed."""
    for name in (FORMULA, '+1', '-1', '@SUM(1)', '\t=1', '../../x', IMAGE):
        with pytest.raises(ValueError, match='expected letters'):
            write_result(tmp_path, name, None, {}, {}, {}, [])
        assert not any(tmp_path.iterdir())
        text = harmless(pd.DataFrame({'model': [name], 'value': [-0.5]})).to_csv(index=False)
        assert not re.search(r'(^|,)"?[=+@\t-](?!\.?\d)', text.replace('\n', ',')), text
        record('intruders', f'a model named {name!r}')
    for path in (ROOT / 'reports').glob('*/*.csv'):
        cells = pd.read_csv(path).select_dtypes(exclude='number').stack().astype(str)
        assert not cells.str.match(r'[=+@\t\r]|-(?!\d)').any(), path


# ---- bad days


def test_refuses_in_one_sentence(study, record):
    for start in (launch_demo, time_demo):
        with pytest.raises(SystemExit, match='does not exist'):
            start(study, 'no/such/folder')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        with pytest.raises(SystemExit, match='is taken') as refused:
            launch_demo(study, DATA, port=s.getsockname()[1])
    assert '\n' not in str(refused.value)
    record('resources', 'the demo\'s port is taken')


def test_events_that_are_elsewhere(tmp_path):
    "Who has a committed study and not its events is told what to type, and shown no path of ours."
    from recsys_nb.cli import demo_source
    from recsys_nb.parameters import StudyError

    manifest = dict(
        study='sessions',
        command='recsys-nb run --study sessions',
        data=dict(
            source='../../shared/data/retailrocket/sessions/archive.zip',
            name='archive.zip',
            simulated=False,
            events=710586,
            visitors=130903,
        ),
    )
    with pytest.raises(StudyError, match='--study sessions --data PLACE') as refused:
        demo_source(tmp_path, manifest, '')
    assert 'shared' not in str(refused.value) and str(tmp_path) not in str(refused.value)
    with pytest.raises(StudyError, match='nowhere.zip does not exist'):
        demo_source(tmp_path, manifest, 'nowhere.zip')


# ---- load


async def hold(server, clients, seconds, visitors, models):
    "Clients that ask without a pause; -> seconds of each answer, complaints."
    took, complaints, until = [], [], time.perf_counter() + seconds

    async def client(n, http, rng):
        while (began := time.perf_counter()) < until:
            try:
                asked = await http.post(
                    '/gradio_api/call/recommend',
                    json=dict(data=[str(rng.choice(visitors)), models[rng.integers(len(models))]]),
                )
                if asked.status_code != 200:
                    complaints.append(asked.text)
                    continue
                said = await http.get(f'/gradio_api/call/recommend/{asked.json()["event_id"]}')
                if not said.text.startswith('event: complete'):
                    complaints.append(said.text)
            except httpx.HTTPError as e:
                complaints.append(repr(e))
            took.append(time.perf_counter() - began)

    limits = httpx.Limits(
        max_connections=2 * clients, keepalive_expiry=2
    )  # the server closes a connection that rests for 5 s: one used at that moment is an error of nobody's
    async with httpx.AsyncClient(base_url=server, timeout=60, limits=limits) as http:
        await asyncio.gather(*(client(n, http, np.random.default_rng(n)) for n in range(clients)))
    return np.array(took), complaints


@pytest.mark.parametrize(
    'clients, warm, seconds', [(8, 2, 2), pytest.param(50, 20, 60, marks=pytest.mark.torture)]
)
def test_load(state, process, server, clients, warm, seconds, record):
    import psutil

    def memory():
        return psutil.Process(process.pid).memory_info().rss

    models = list(state.models)
    asyncio.run(hold(server, clients, warm, state.visitors, models))
    before = memory()
    took, complaints = asyncio.run(hold(server, clients, seconds, state.visitors, models))
    growth, (p50, p99) = memory() / before - 1, np.percentile(took * 1000, [50, 99])
    assert complaints == [] and len(took) > clients and growth < 0.05, (complaints[:3], len(took), growth)
    record(
        'load',
        f'{clients} clients ask the demo',
        clients=clients,
        seconds=seconds,
        requests=len(took),
        p50_ms=round(p50),
        p99_ms=round(p99),
        memory_growth=round(growth, 4),
    )


# ---- in a browser


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
def visit(browser, server):
    "Open the demo; afterwards it must not have complained, opened a dialog, or asked anybody but its server."
    contexts, requests, complaints = [], [], []

    def open_page(scheme='light', width=1280, height=900, address=server, ready='.list li', complain=True):
        contexts.append(browser.new_context(color_scheme=scheme, viewport=dict(width=width, height=height)))
        page = contexts[-1].new_page()
        page.on('request', lambda r: requests.append(r.url))
        if complain:
            page.on(
                'console', lambda m: complaints.append(m.text) if m.type in ('error', 'warning') else None
            )
        page.on('pageerror', lambda e: complaints.append(str(e)))
        page.on('dialog', lambda d: (complaints.append(d.message), d.dismiss()))
        page.goto(address)
        page.wait_for_selector(ready)
        if ready == '.list li':
            page.wait_for_function("document.querySelectorAll('.list ol').length === 2")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [
        u for u in requests if not u.startswith(('data:', 'blob:')) and urlsplit(u).hostname != '127.0.0.1'
    ] == [] and complaints == []


def expect(locator, text, milliseconds=20_000):  # the machine may be busy
    from playwright.sync_api import expect

    expect(locator).to_contain_text(text, timeout=milliseconds)


def parts(page):
    "What is said, the history, the two lists."
    return (
        page.locator('p.message[role=status]:not(.wrong)'),
        page.locator('.timeline'),
        page.locator('.list').nth(0),
        page.locator('.list').nth(1),
    )


def test_pick_a_visitor(visit, state):
    page = visit()
    said, past, *_ = parts(page)
    words, second = example_visitors(state)[1]
    expect(said, f'Visitor {first_visitor(state)} has')
    page.get_by_role('button', name=words).click()
    expect(said, f'Visitor {second} has')
    assert past.locator('[data-item]').count() == shown(state, second)
    field, chips = page.get_by_label('Follow a visitor'), page.locator('[data-do=visitor]')
    field.press_sequentially('123')
    page.get_by_role('button', name=re.compile(r'^123\d* \d+ event')).first.wait_for()
    field.press('Backspace')
    page.get_by_role('button', name=re.compile(r'^12[^3]')).first.wait_for()  # a deleted digit is heard
    assert all(t.startswith('12') for t in chips.all_inner_texts())
    picked = chips.nth(3).get_attribute('data-id')
    chips.nth(3).click()
    expect(said, f'Visitor {picked} has')
    field.fill('')
    page.get_by_role('button', name=words).wait_for()  # the examples are back


def test_shop_by_hand(visit, state):
    page = visit()
    said, past, left, right = parts(page)
    page.get_by_role('button', name='Shop by hand').click()
    expect(said, 'Nothing happened yet')
    expect(past, 'Nothing yet')
    expect(left, 'The 10 most popular items')
    item = str(state.vocabulary[state.counts.argsort()[-20]])
    field = page.get_by_label('Add an item')
    field.fill(item)
    page.get_by_role('button', name=f'View {state.name(int(item))}', exact=True).last.click()
    expect(said, 'A session of 1 event by hand')
    path = state.path(state.latest[state.counts.argsort()[-40]])
    field.fill(path)  # by category
    of_category = page.locator('.found li', has=page.locator(f'[title="category {path}"]'))
    of_category.first.get_by_role('button', name='into the cart').click()
    expect(said, 'A session of 2 events by hand')
    left.get_by_role('button', name=re.compile('^Buy ')).nth(2).click()  # go on with a recommendation
    expect(said, 'A session of 3 events by hand')
    right.get_by_role('button', name=re.compile('^View ')).nth(1).click()
    expect(said, 'A session of 4 events by hand')
    assert [i.get_attribute('class').split()[-1] for i in past.locator('[data-item] > .icon').all()] == [
        'view',
        'transaction',
        'addtocart',
        'view',
    ]
    assert past.locator('[data-item]').last.get_attribute('data-item') == item
    assert past.locator('.tile').count() == 4
    expect(left, f'Top 10 from {list(state.models)[0]}')
    assert re.search(r'otherwise (below )?place \d+', left.inner_text())
    assert re.search(r'\d+ ms', left.inner_text())
    why = left.locator('li:not([data-why=""])').first
    why.hover()
    assert {li.get_attribute('data-item') for li in past.locator('.cause').all()} == {
        why.get_attribute('data-why')
    }
    past.get_by_role('button', name='Take back the purchase').click()
    expect(said, 'A session of 3 events by hand')
    assert past.locator('.icon.transaction').count() == 0
    page.get_by_role('button', name='Take back what was added').click()
    expect(said, 'Nothing happened yet')
    field.fill(item)
    field.press('Enter')  # from the keyboard
    expect(said, 'A session of 1 event by hand')
    page.get_by_role('button', name='Shop by hand').press('Enter')
    expect(said, 'Nothing happened yet')


def test_follow_a_visitor_and_go_on(visit, state):
    "Events by hand follow those of the log, and two pages do not share a session."
    page, other = visit(), visit()
    said, past, left, right = parts(page)
    visitor = first_visitor(state)
    n = shown(state, visitor)
    first = left.locator('button.item').first.get_attribute('data-id')
    left.locator('button.item').first.click()
    expect(said, f'Visitor {visitor} has {n} events and 1 by hand')
    assert (
        past.locator('[data-item]').first.get_attribute('data-item') == first
        and past.locator('[data-item]').count() == n + 1
    )
    expect(past.locator('.by-hand'), 'by hand')
    assert 'by hand' not in parts(other)[0].inner_text()
    left.locator('button.add').first.focus()
    left.locator('button.add').first.press('Enter')
    expect(said, f'{n} events and 2 by hand')
    assert (
        page.evaluate('document.activeElement.dataset.do') == 'addtocart'
    )  # the keyboard stays where it was


def test_switch_both_models(visit, state):
    page = visit()
    _, _, left, right = parts(page)
    for label, shown, model in (
        ('Model', left, 'ALS'),
        ('Another model', right, 'History'),
        ('Model', left, 'Popularity'),
    ):
        page.get_by_role('combobox', name=label, exact=True).or_(
            page.get_by_label(label, exact=True)
        ).first.click()
        page.get_by_role('option', name=model, exact=True).click()
        expect(shown, f'from {model}')
        page.wait_for_function(
            "!document.querySelector('[role=option]')"
        )  # the list of one has closed before that of the other opens
    page.get_by_role('button', name=example_visitors(state)[1][0]).click()
    expect(parts(page)[0], f'Visitor {example_visitors(state)[1][1]} has')
    assert 'from Popularity' in left.inner_text() and 'from History' in right.inner_text()


def test_guess_and_reveal(visit, state):
    "What came next is hidden until it is asked for; the score is that of all who were revealed."
    page = visit()
    said, past, left, right = parts(page)
    tried = []
    for visitor in list(state.hidden)[:3]:
        expect(said, f'Visitor {visitor} has')
        expect(past, 'what came next is hidden')
        assert page.locator('.came-next, .truth').count() == 0
        page.get_by_role('button', name='Reveal').press('Enter')  # from the keyboard
        page.locator('.came-next').wait_for()
        tried.append(state.hidden[visitor])
        places = {m: places_of(state, m, tried) for m in ('SASRec', 'History')}
        expect(page.locator('.came-next'), places_text({m: p[-1] for m, p in places.items()}))
        expect(page.locator('.score'), score_text(places))
        for its_list, found in ((left, places['SASRec']), (right, places['History'])):
            truth = its_list.locator('.truth')
            assert truth.count() == (found[-1] > 0)
            if found[-1]:
                expect(truth.locator('.place'), str(found[-1]))
        item = str(state.raw.itemid.iloc[tried[-1]])
        assert past.locator('.next').get_attribute('data-item') == item
        page.get_by_role('button', name='Next visitor').click()
    expect(said, 'events so far')
    page.get_by_label('Only new items').check()
    expect(page.locator('.score'), score_text({m: places_of(state, m, tried, True) for m in places}))
    expect(right, 'History has nothing to say here')
    seen = {*shopper_rows(state, follow(state, Shopper(), list(state.hidden)[3])).itemid.astype(str)}
    assert not seen & {li.get_attribute('data-item') for li in left.locator('li').all()}
    page.get_by_label('Only new items').uncheck()
    expect(right, 'from History')
    left.locator('button.item').first.click()
    expect(page.locator('.note', has_text='another way'), 'take back what was added')
    assert page.get_by_role('button', name='Reveal').count() == 0


def test_a_phone_sees_recommendations_first(visit):
    page = visit(width=390, height=844)
    third = page.locator('.list').first.locator('li').nth(2).bounding_box()
    assert third['y'] + third['height'] <= 844
    assert page.get_by_role('button', name='Reveal').bounding_box()['y'] < 844


def test_a_study_without_models_offers_one(browser, fit_log, tmp_path, monkeypatch):
    "The page says so, fits a small network while somebody watches, and shows no path."
    monkeypatch.setattr('recsys_nb.demo_data.NEWEST', 20_000)
    state = load_demo(tmp_path, DATA, fit=False)
    app = make_demo(state)
    page = browser.new_page()
    try:
        page.goto(launch_app(app))
        left, right = page.locator('.list').nth(0), page.locator('.list').nth(1)
        expect(left, 'keeps its reports here, not its fitted models')
        expect(right, 'Top')
        page.get_by_role('button', name='Fit a small SASRec now').click()
        expect(left, re.compile('Fitting|The fit begins'))
        left.locator('li').first.wait_for(timeout=120_000)
        expect(left, f'from {OFFERED}')
        assert str(tmp_path) not in page.content() and '../' not in page.locator('body').inner_text()
    finally:
        page.close()
        app.close(verbose=False)


def test_whoever_it_is_gets_an_answer(visit, state):
    page = visit()
    said, past, left, right = parts(page)
    field = page.get_by_label('Follow a visitor')
    field.fill('999999999')
    field.press('Enter')  # unknown
    expect(said, 'Visitor 999999999 is not in this log')
    expect(left, 'most popular')
    field.fill('shoes')
    field.press('Enter')  # text in the id field
    expect(page.locator('.wrong'), '“shoes” is no visitor')
    expect(said, 'Visitor 999999999 is not in this log')
    field.fill('')
    longest = next((w, v) for w, v in example_visitors(state) if 'longest' in w)
    page.get_by_role('button', name=longest[0]).click()  # a very long history
    expect(said, f'Visitor {longest[1]} has {shown(state, longest[1])} events')
    expect(past, 'earlier')
    words, rare = example_visitors(state)[-1]
    page.get_by_role('button', name=words).click()  # only items that no model knows
    expect(said, f'Visitor {rare} has')
    expect(said, 'none on an item that the models know')
    past.get_by_role('button', name='View item').first.click()  # and one more of them
    expect(said, 'and 1 by hand, none on an item')


@pytest.mark.parametrize(
    'label, answer',
    [('Add an item', 'The models know no item “{}”'), ('Follow a visitor', '“{}” is no visitor')],
)
def test_markup_is_text(visit, label, answer, record):
    page = visit()
    for text in (IMAGE, '"><script>alert(1)</script>', FORMULA, '<b>'):
        before = page.locator('img, script, b').count()
        page.get_by_label(label).fill(text)
        page.get_by_text(answer.format(text)).wait_for()
        assert (
            page.locator('.shop img, .shop script').count() == 0
            and page.locator('img, script, b').count() <= before
        )
        page.get_by_label(label).press('Enter')
        record('intruders', f'{text} in the field “{label}”')
    assert page.get_by_label(label).get_attribute('maxlength') == '100'


@pytest.mark.parametrize('width', [1280, 390])
def test_another_shop_is_shown_as_it_writes(visit, width):
    "Visitors and items of a log that writes text are typed, found, shown and clicked as it writes them."
    state = example_written_state()
    app = make_demo(state)
    try:
        page = visit(width=width, address=launch_app(app))
        said, past, left, right = parts(page)
        visitor, item = page.get_by_label('Follow a visitor'), page.get_by_label('Add an item')
        visitor.fill('550e8400-E29B')
        page.locator('[data-do=visitor]', has_text='4 events').wait_for()
        visitor.press('Enter')  # the beginning of an id is no id
        expect(said, 'Visitor 550e8400-E29B is not in this log')
        page.get_by_role('button', name=re.compile(f'^{state.ids.visitors[1]}')).click()
        expect(said, f'Visitor {state.ids.visitors[1]} has')
        page.get_by_role('button', name='Shop by hand').click()
        expect(said, 'Nothing happened yet')
        for n, (text, label) in enumerate(
            {
                'чайник': 'View Чайник синий (id SKU 010)',
                'sku 030': 'View item SKU 030',
                '<i>': 'View <img src=x onerror=alert(1)> (id <i>"20"</i>)',
            }.items(),
            1,
        ):
            item.fill(text)
            page.locator('.found').get_by_role('button', name=label, exact=True).click()
            expect(said, f'A session of {n} event')
        expect(past, '<img src=x onerror=alert(1)>')
        expect(left, '1995 · Ёлка & Ко · price 12,50')
        left.locator('button.item').first.click()
        expect(said, 'A session of 4 events by hand')
        visitor.fill('00042')
        visitor.press('Enter')
        expect(said, 'Visitor 00042 has')
        visitor.fill('Ёж <b>')
        visitor.press('Enter')  # somebody who saw an item with a very long title, which no model knows
        expect(said, 'Visitor Ёж <b> has 1 event')
        expect(past, 'Очень длинное имя')
        assert page.locator('.shop img, .shop script, .shop i').count() == 0
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        assert barriers(page) == []
    finally:
        app.close(verbose=False)


@pytest.mark.parametrize('scheme, width', [('light', 1280), ('dark', 1280), ('light', 390), ('dark', 390)])
def test_everyone_can_read_it(visit, scheme, width):
    page = visit(scheme, width)
    page.get_by_role('button', name='Reveal').click()
    page.locator('.came-next').wait_for()
    violations = barriers(page)
    parts(page)[2].locator('button.add').first.click()
    expect(parts(page)[0], 'by hand')
    page.get_by_label('Follow a visitor').fill('shoes')
    page.locator('.wrong').wait_for()
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert page.evaluate('document.body.classList.contains("dark")') == (scheme == 'dark')
    assert violations + barriers(page) == []


WAIT = 120_000  # milliseconds for a kernel to import everything on a busy machine
NOTEBOOK = [
    "from recsys_nb.demo import load_demo\nfrom recsys_nb.demo_app import launch_app, make_demo",
    "app = make_demo(load_demo({study!r}, {data!r}))\nurl = launch_app(app, inline=True)",
]


@pytest.fixture
def lab(tmp_path, study):
    "A running JupyterLab with a notebook that shows the demo; its address."
    import nbformat

    cells = [nbformat.v4.new_code_cell(c.format(study=str(study), data=DATA)) for c in NOTEBOOK]
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=cells, metadata=dict(kernelspec=dict(name='python3', display_name='python3'))
        ),
        tmp_path / 'demo.ipynb',
    )
    settings = tmp_path / 'settings' / '@jupyterlab' / 'apputils-extension'
    settings.mkdir(parents=True)
    (settings / 'notification.jupyterlab-settings').write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    own = {
        name: str(tmp_path / name.lower())
        for name in (
            'JUPYTER_CONFIG_DIR',
            'JUPYTER_DATA_DIR',
            'JUPYTER_RUNTIME_DIR',
            'JUPYTERLAB_WORKSPACES_DIR',
            'IPYTHONDIR',
        )
    }
    own |= {
        'JUPYTERLAB_SETTINGS_DIR': str(tmp_path / 'settings'),
        'PYTHONPATH': f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
    }
    p = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'jupyterlab',
            '--no-browser',
            '--ip=127.0.0.1',
            f'--port={port}',
            '--ServerApp.port_retries=0',
            '--allow-root',
            '--IdentityProvider.token=abc',
            f'--ServerApp.root_dir={tmp_path}',
            '--LabApp.extension_manager=readonly',
        ],
        cwd=tmp_path,
        env=os.environ | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f'http://127.0.0.1:{port}/lab/tree/demo.ipynb?token=abc'
    p.terminate()
    try:
        p.wait(10)
    except subprocess.TimeoutExpired:
        p.kill()


def test_inline_in_jupyterlab(lab, visit):
    "Run All shows the demo at its natural height, and it answers a click."
    for _ in range(240):
        try:
            if web.get(lab).status_code == 200:
                break
        except httpx.HTTPError:
            time.sleep(0.25)
    page = visit(address=lab, ready='.jp-NotebookPanel .jp-Cell', complain=False)
    page.get_by_text('| Idle').wait_for(timeout=WAIT)  # what is asked of a kernel that only starts is lost
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.get_by_role('menuitem', name='Run All Cells', exact=True).click()
    frame = page.frame_locator('iframe.recsys-nb-demo')
    frame.locator('.list li').first.wait_for(timeout=WAIT)
    said = frame.locator('p.message[role=status]')

    def fits():
        return frame.locator('html').evaluate(
            'e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]'
        )

    for _ in range(40):
        if fits() == [0, 0]:
            break
        time.sleep(0.1)
    assert fits() == [0, 0]  # nothing to scroll inside
    height = page.locator('iframe.recsys-nb-demo').bounding_box()['height']
    assert (
        height - frame.locator('.shop .note').last.evaluate('e => e.getBoundingClientRect().bottom') < 250
    )  # and no empty space below
    for _ in range(10):  # a click before the app listens is lost, and a person clicks again
        frame.get_by_role('button', name='Shop by hand').click()
        with contextlib.suppress(AssertionError):
            expect(said, 'Nothing happened yet', 2000)
            break
    expect(said, 'Nothing happened yet')
    frame.locator('.list button.item').first.click()
    expect(said, 'A session of 1 event by hand')
    for _ in range(40):
        if fits() == [0, 0]:
            break
        time.sleep(0.1)
    assert fits() == [0, 0]


# ---- the end


def test_ends_when_interrupted(process, server):
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    with pytest.raises(httpx.HTTPError):
        web.get(server)
