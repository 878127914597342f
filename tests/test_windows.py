"""Logs that leave little or nothing to ask, and logs with other words for their events:
what is said before a study runs, and what its notebooks make of it."""

import json
import re
import warnings

import pytest
from studies import QUICK, ROOT, here, one_sentence, project, recsys, toys

from recsys_nb.data import DataError, read_log
from recsys_nb.protocol import make_protocols
from recsys_nb.parameters import StudyError
from recsys_nb.events import placed
from recsys_nb.cli import verify_study

T0, HOUR, DAY = 1_430_000_000_000, 3_600_000, 86_400_000
HEADER = 'timestamp,visitorid,event,itemid,transactionid'


def row(day, visitor, item, event='view'):
    return f'{int(T0 + day * DAY)},{visitor},{event},{item},'


def days(first, last, visitors=range(6)):
    "Six visitors a day, an hour apart, on four items; every fifth event is a transaction."
    return [
        row(d + v / 24, v, 10 + (d * 7 + v) % 4, 'transaction' if (d + v) % 5 == 0 else 'view')
        for d in range(first, last)
        for v in visitors
    ]


def shop(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'events.csv').write_text('\n'.join([HEADER, *rows, '']))
    return folder


FULL = days(0, 40)
STRANGERS = [row(d + v / 24, 1000 + 10 * d + v, 10) for d in range(40) for v in range(6)]
CLOCK = 'as if a clock had been wrong: leave such rows out of the log'
NOTHING = {  # rows, and what the one sentence names
    'a stranger in 2099': (
        [*FULL, '4070908800000,999,view,99,'],
        [
            '1 event, 0 next-item',
            '2098-12-25 to 2099-01-01',
            'the newest event, of 2099-01-01 00:00:00 (visitor 999, item 99)',
            CLOCK,
        ],
    ),
    'a visitor in 2099': (
        [*FULL, '4070908800000,1,view,10,'],
        ['1 next-item', 'the newest event, of 2099-01-01 00:00:00 (visitor 1, item 10)', CLOCK],
    ),
    'three clocks within a week': (
        [*FULL, row(4000, 1, 10), row(4001, 1, 10), row(4002, 2, 10)],
        ['the first of the 3 newest events', 'comes 3,961 days after everything else', CLOCK],
    ),
    'a clock a month off': (
        [*FULL, row(75, 1, 10)],
        ['the newest event, of', 'comes 36 days after everything else'],
    ),
    'nobody comes back': (
        STRANGERS,
        [
            'the test window',
            '0 next-item',
            (
                'nobody in it has an earlier event: set -p test_days=... longer, '
                'or bring a log in which visitors come back'
            ),
        ],
    ),
    'only new items': (
        [*days(0, 30), *(row(30 + d / 4, d % 6, 500 + d) for d in range(40))],
        ['none of its events is on an item with enough earlier ones: set -p min_item_events=... lower'],
    ),
    'nothing to choose by': (
        [*days(0, 20), *days(35, 40)],
        ['the valid window', '0 events, 0 next-item', 'set -p valid_days=... longer'],
    ),
}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return toys(tmp_path_factory.mktemp('project'), data=None)


@pytest.mark.parametrize('what', NOTHING)
def test_nothing_to_measure(place, tmp_path, what):
    "A study that has nothing to ask is refused before anything runs, by name."
    rows, named = NOTHING[what]
    with pytest.raises(StudyError) as error:
        here(place, data=str(shop(tmp_path / 'shop', rows)), study='nothing')
    for words in named:
        assert words in str(error.value), str(error.value)
    assert not list(place.glob('reports/nothing/*.html'))
    log = read_log(tmp_path / 'shop')[0]
    with pytest.warns(UserWarning, match='nothing can be measured|clock had been wrong'):
        make_protocols(log)


def test_nothing_to_measure_at_the_command_line(place, tmp_path):
    one_sentence(
        recsys(
            place,
            'run',
            '--data',
            str(shop(tmp_path / 'shop', NOTHING['a stranger in 2099'][0])),
            '--profile',
            'tiny',
        ),
        2,
        'visitor 999',
        CLOCK,
    )


LITTLE = {  # rows that are no reason to refuse: a pause, one query, clocks that are a little early or late
    'a pause of ten days': [*days(0, 20), *days(30, 40)],
    'one query': [*days(0, 30), row(36, 1, 10), row(37, 77, 10)],
    'a last event three days later': [*FULL, row(43, 1, 10)],
    'a first event ten years earlier': [row(-3650, 1, 10), *FULL],
}


@pytest.mark.parametrize('what', LITTLE)
def test_little_to_measure(tmp_path, what):
    "What a study can be made of is said, not refused."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert len(make_protocols(read_log(shop(tmp_path / 'shop', LITTLE[what]))[0]).test)


def test_windows_are_said(tmp_path):
    "The windows, what they hold, and that it is little: on the terminal and in the manifest."
    folder = toys(tmp_path / 'toys', data=None)
    code, told = here(folder, '10_baselines', data=str(shop(tmp_path / 'shop', LITTLE['one query'])))
    assert code == 0
    assert (
        'The test window 2015-05-25 to 2015-06-01: ' in told and '1 next-item and 0 purchase queries' in told
    )
    notes = json.loads((folder / 'reports/toy/manifest.json').read_text())['data']['notes']
    assert any('holds 1 next-item queries, fewer than 100' in n for n in notes) and any(
        'Nobody buys in the test window' in n for n in notes
    )
    for n in notes:
        assert n in told


SUMMER = days(0, 160)  # from 2015-04-25 22:13:20 on
ASKED = {  # settings, rows, and what is said before anything runs
    'nothing': ([], FULL, ['The test window 2015-05-28 to 2015-06-04: 43 events']),
    'a week': (
        ['test_days=7', 'valid_days=7'],
        FULL,
        ['The test window 2015-05-28 to 2015-06-04: 43 events'],
    ),
    'auto': (['test_days=auto'], FULL, ['The test window 2015-05-28 to 2015-06-04: 43 events']),
    'half a day': (
        ['test_days=.5'],
        FULL,
        ['2015-06-03 to 2015-06-04: 6 events', 'The valid window 2015-05-27 to 2015-06-03: 42'],
    ),
    'a date': (
        ['test_days=2015-09-11'],
        SUMMER,
        [
            'The test window 2015-09-11 to 2015-10-02: 130 events',
            'The valid window 2015-09-04 to 2015-09-11: 42 events',
        ],
    ),
    'two dates': (
        ['test_days=2015-09-11', 'valid_days=2015-09-01T12:00'],
        SUMMER,
        ['The valid window 2015-09-01 to 2015-09-11: 5'],
    ),
    'auto on a short log': (
        ['min_item_events=1'],
        days(0, 12),
        [
            'The log spans 11.2 days, less than 21 days, so the windows are a tenth of it, 1.1 days long.',
            'The test window 2015-05-06 to 2015-05-07: 9 events',
        ],
    ),
    'auto on a short log of dates': (
        ['min_item_events=1'],
        [row(d - T0 % DAY / DAY, v, 10 + (d + v) % 4) for d in range(1, 13) for v in range(6)],
        [
            'The log spans 11 days, less than 21 days, so the windows are a tenth of it, 2 days long.',
            'The test window 2015-05-06 to 2015-05-07: 12 events',
            'The valid window 2015-05-04 to 2015-05-06: 12 events',
        ],
    ),
    'auto within an hour': (
        ['min_item_events=1'],
        [row(n / 1440, n % 6, 10 + n % 4) for n in range(50)],
        ['The log spans 49 minutes, less than 21 days, so the windows are a tenth of it, 4.9 minutes long.'],
    ),
}


@pytest.mark.parametrize('what', ASKED)
def test_windows_as_asked(place, tmp_path, what):
    "Windows by their length, by auto and by date."
    settings, rows, said = ASKED[what]
    code, told = here(
        place, '10_baselines', data=str(shop(tmp_path / 'shop', rows)), settings=settings, replace=True
    )
    assert code == 0, told
    for words in said:
        assert words in ' '.join(told.split()), told


def test_a_week_is_what_auto_finds(tmp_path):
    "Where windows are the same, however they were asked for, what was kept for them is the same."
    log = read_log(shop(tmp_path / 'shop', FULL))[0]
    splits = [
        make_protocols(log, *asked).split for asked in ([], ['auto', 7], [7, 7.0], ['2015-05-29T03:13:20Z'])
    ]
    assert [str(s.days) for s in splits] == ['(7, 7)'] * 3 + ['(6, 7)']
    log.attrs['test_start'] = T0 + 30 * DAY
    own = make_protocols(log).split
    assert own.test_start == T0 + 30 * DAY and own.days[0] == own.days[1]
    assert own.fitted.startswith("With the log's own test events, on 2015-05-25 22:13:20")
    assert make_protocols(log, 7, 7).split.days == (7, 7)


REFUSED = {  # -p, and what the one sentence says
    'test_days=soon': (
        "10_baselines.test_days must be a number above 0 and at most 3,650, auto "
        "or a date such as 2015-09-11, not 'soon'"
    ),
    'test_days=0': 'test_days must be a number above 0 and at most 3,650, auto or a date',
    'test_days=nan': "or a date such as 2015-09-11, not 'nan'",
    'test_days=2015-02-30': "or a date such as 2015-09-11, not '2015-02-30'",
    'test_days=20150911': "auto or a date such as 2015-09-11, not '20150911'",
    'valid_days=Auto': "valid_days must be a number above 0 and at most 3,650, auto or a date",
    'test_days=2019-01-01': (
        'test_days is 2019-01-01, expected a date after 2015-04-25 22:13:20, when the log begins, '
        'and not after 2015-06-04 03:13:20; with -p test_days='
    ),
    'test_days=2014-01-01': 'test_days is 2014-01-01, expected a date after 2015-04-25 22:13:20',
    'valid_days=2015-06-01': (
        'valid_days is 2015-06-01, expected a date after 2015-04-25 22:13:20, when the log begins, '
        'and not after 2015-05-28'
    ),
    'test_days=400': 'the log spans 39.2 days, expected more than test_days = 400: no event is left to train',
    'valid_days=35': '32.2 of them before the test window, expected more than valid_days = 35: no event is',
}


@pytest.mark.parametrize('setting', REFUSED)
def test_no_window(place, tmp_path, setting):
    with pytest.raises(StudyError) as error:
        here(place, data=str(shop(tmp_path / 'shop', FULL)), study='nothing', settings=[setting])
    assert REFUSED[setting] in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('asked', ['auto', '2015-05-30', 'soon'])
def test_windows_at_the_command_line(place, tmp_path, asked):
    data = str(shop(tmp_path / 'shop', FULL))
    run = ('run', '--data', data, '--profile', 'tiny', '--only', '10_baselines', '-p', f'test_days={asked}')
    done = recsys(place, *run)
    if asked == 'soon':
        one_sentence(done, 2, "10_baselines.test_days must be a number above 0", "not 'soon'")
    else:
        assert done.returncode == 0, done.stderr
        begins = {'auto': '2015-05-28', '2015-05-30': '2015-05-30'}[asked]
        assert f'The test window {begins} to 2015-06-04' in done.stdout + done.stderr


def test_names_of_events(tmp_path):
    """What the log calls its events reaches the notebooks, the manifest, the next run and verify;
    and another meaning is another log."""
    words = {'view': 'schau', 'transaction': 'kauf, bar/karte'}
    rows = [
        r.replace('view', words['view']).replace('transaction', '"' + words['transaction'] + '"')
        for r in FULL
    ]
    folder, data = toys(tmp_path / 'toys', data=None), str(shop(tmp_path / 'shop', rows))
    with pytest.raises(StudyError, match=re.escape('--events "schau=...,kauf%2C bar/karte=..."')):
        here(folder, '10_baselines', data=data)
    said = 'schau=view,kauf%2C bar/karte=transaction'
    code, told = here(folder, '10_baselines', data=placed(data, said))
    assert code == 0 and 'kauf, bar/karte as transaction' in told and 'first time' in told
    manifest = json.loads((folder / 'reports/toy/manifest.json').read_text())
    assert manifest['data']['kinds'] == {'view': 192, 'transaction': 48, 'addtocart': 0}
    assert manifest['data']['name'] == 'shop' and manifest['data']['source'].endswith(
        '/shop?events=kauf%2C bar%2Fkarte=transaction,schau=view'
    )
    given = json.loads((folder / 'reports/toy/results/10_baselines/metrics.json').read_text())['said'][0]
    assert given == manifest['data']['source']
    assert 'skipped' in here(folder, '10_baselines', data=placed(data, said))[1]
    assert 'events' not in dict(verify_study(folder, 'toy')), (
        'another fingerprint'
    )  # these toys also write down the path, which is another one there
    assert (
        'changed: the events'
        in here(folder, '10_baselines', data=placed(data, 'schau=view,kauf%2C bar/karte=none'))[1]
    )
    assert json.loads((folder / 'reports/toy/manifest.json').read_text())['data']['kinds']['transaction'] == 0


MISNAMED = {  # --events, and what the one sentence names
    'schau=look': (
        "found 'schau=look', expected name=kind with one of view, addtocart, transaction, none as the kind"
    ),
    'schau': "found 'schau'",
    '=view': "found '=view'",
    'schau=view,schau=none': "expected one kind for 'schau'",
    'schau=view,kaufen=transaction': "expected the event 'kaufen' that --events names",
}


@pytest.mark.parametrize('events', MISNAMED)
def test_wrong_names_of_events(place, tmp_path, events):
    data = str(shop(tmp_path / 'shop', [r.replace('view', 'schau') for r in FULL]))
    with pytest.raises(StudyError) as error:
        here(place, data=placed(data, events))
    assert MISNAMED[events] in str(error.value) and len(str(error.value).splitlines()) == 1


def test_names_in_the_path(tmp_path):
    "The library takes them as a part of the path, cached under a key of their own."
    path = shop(tmp_path / 'shop', [r.replace('view', 'schau') for r in FULL])
    with pytest.raises(DataError, match='192 of 240 rows have others'):
        read_log(path, tmp_path / 'cache')
    for _ in range(2):
        log, report = read_log(f'{path}?events=schau=view', tmp_path / 'cache')
        assert len(log) == 240 and report.renamed == {'schau': 'view'}
    log, report = read_log(f'{path}?events=schau=none', tmp_path / 'cache')
    assert len(log) == 48 and report.left_out == 192


def test_coarse_times(tmp_path):
    """Where times know the day alone, equal rows are repeats and stay, in the order of the file;
    where they know the millisecond, they are duplicates."""
    day = [
        f'{T0 // DAY * DAY + d * DAY},{v},view,{10 + i},'
        for d in range(20)
        for v in range(3)
        for i in (3, 1, 1, 2)
    ]
    log, report = read_log(shop(tmp_path / 'coarse', day))
    assert len(log) == 240 and report.duplicates == 0 and report.coarse and report.tied == 240
    assert report.notes[-1].startswith(
        'Times are coarse: 100% of the rows share their time with another row of the same visitor; '
        'equal rows were kept'
    )
    assert log[log.visitorid == 1].itemid.tolist() == [13, 11, 11, 12] * 20
    assert len(make_protocols(log).test)
    log, report = read_log(shop(tmp_path / 'fine', [*FULL, *FULL[:30]]))
    assert len(log) == 240 and report.duplicates == 30 and not report.coarse
    second = [
        f'{T0 + d * DAY + h * 1000},{d % 7},view,{10 + i},'
        for d in range(40)
        for h, i in enumerate((1, 2, 3, 3, 4, 5, 6))
    ]  # whole seconds, few of them tied
    log, report = read_log(shop(tmp_path / 'seconds', [*second, *second[:9], row(0, 0, 12)]))
    assert report.duplicates == 9 and not report.coarse and report.tied == 2


@pytest.mark.torture
@pytest.mark.parametrize('what', ['one query', 'no query', 'no query in either window', 'nobody comes back'])
def test_every_notebook_survives(tmp_path, monkeypatch, what):
    """A study is refused where it has nothing to ask;
    a notebook that is opened by hand is not, and shows that there is nothing."""
    rows = {
        'one query': LITTLE['one query'],
        'no query': [*days(0, 30), *(row(30 + d, 100 + d, 10) for d in range(7))],
        'no query in either window': NOTHING['a stranger in 2099'][0],
        'nobody comes back': STRANGERS,
    }
    monkeypatch.setattr("recsys_nb.study.check_windows", lambda *_: [])
    settings = [
        *QUICK[3::2],
        '12_sasrec.published=true',
        '12_sasrec.published_epochs=1',
        '17_bert4rec.shorter=1',
    ]
    settings = [s for s in settings if s not in ('12_sasrec.published=false', '17_bert4rec.shorter=0')]
    code, told = here(
        project(tmp_path / 'project', data=ROOT / 'data'),
        data=str(shop(tmp_path / 'shop', rows[what])),
        study='little',
        settings=settings,
    )
    assert code == 0, told
