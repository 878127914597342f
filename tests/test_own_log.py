"""A log of one's own at the command line: shown, asked about, copied."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from recsys_nb.cli import app
from recsys_nb.data import read_ids, read_items, read_log


@pytest.fixture
def log(tmp_path):
    "A log of another shop, with a file of items."
    folder = tmp_path / 'shop'
    folder.mkdir()
    rows = [
        f'u{i % 7};s-{i % 5:03};{1_700_000_000 + 40_000 * i};{"paid" if i % 9 == 0 else "look"}'
        for i in range(90)
    ]
    (folder / 'log.csv').write_text('kunde;sku;when;action\n' + '\n'.join(rows) + '\n')
    (folder / 'items.csv').write_text(
        'sku;title;category\n' + ''.join(f's-{i:03};Lamp {i};Home\n' for i in range(5))
    )
    return folder


OPTIONS = ('--columns', 'visitorid=kunde', '--events', 'look=view,paid=transaction')


def typed(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_inspect_asks_and_says_what_to_type(log):
    done = typed('inspect', log)
    assert done.exit_code == 2
    assert 'First rows as they stand in the file' in done.output and 's-001' in done.output
    assert '--columns "visitorid=..."' in done.output


def test_inspect_shows_how_it_is_read(log):
    done = typed('inspect', log, *OPTIONS)
    assert done.exit_code == 0, done.output
    said = re.sub(r'\s+', ' ', re.sub('[^\x20-\x7e\n]', ' ', done.output))
    for words in (
        'log.csv kunde visitor, text u0',
        'log.csv when time, seconds',
        'items.csv title title of the item Lamp 0',
        '2023-11-14 22:13:20.000 u0 transaction s-000',
        'events kept 90',
        'visitors 7',
        'event look, read as view 80',
        'The test window',
    ):
        assert words in said, words
    assert (
        done.output.splitlines()[-1].startswith('recsys-nb run --data ')
        and '--columns visitorid=kunde' in done.output
    )


def test_a_copy_is_the_same_log(log, tmp_path):
    done = typed('convert', log, *OPTIONS, '--to', tmp_path / 'copy')
    assert done.exit_code == 0 and 'events.csv' in done.output, done.output
    place = f'{log}?columns=visitorid=kunde&events=look=view,paid=transaction'
    assert read_log(tmp_path / 'copy')[0].equals(read_log(place)[0])
    assert read_ids(tmp_path / 'copy') == read_ids(place)
    assert read_items(tmp_path / 'copy').equals(read_items(place))
    again = typed('convert', log, *OPTIONS, '--to', tmp_path / 'copy')
    assert again.exit_code == 2 and 'expected a new or an empty folder' in again.output


@pytest.mark.parametrize(
    'words, sentence',
    [
        (('--columns', 'visitor=kunde'), 'expected one of the roles visitorid'),
        (('--columns', 'visitor=kunde'), 'did you mean visitorid?'),
        (('--columns', 'visitorid=nobody'), "found 'nobody'"),
        (('--columns', 'visitorid=kunden'), 'did you mean kunde?'),
        (
            ('--columns', 'visitorid=kunde,itemid=kunde'),
            'kunde stands for visitorid and for itemid, expected one of them',
        ),
        (('--min-rating', '4', '--columns', 'visitorid=kunde'), 'expected a log with a column of ratings'),
        (('--events', 'look=see'), "found 'look=see'"),
    ],
)
def test_what_cannot_be_is_one_sentence(log, words, sentence):
    done = typed('inspect', log, *words)
    assert done.exit_code == 2 and sentence in ' '.join(done.output.split()), done.output
    assert 'Traceback' not in done.output


def test_inspect_says_what_a_study_needs(log):
    "Its last line keeps what was typed; where another setting makes a study possible, it says which."
    (log / 'few.csv').write_text(
        'user,item,time\n' + ''.join(f'u{i % 3},i{i % 40},{1_700_000_000 + 40_000 * i}\n' for i in range(100))
    )
    done = typed('inspect', log / 'few.csv')
    assert done.exit_code == 0, done.output
    assert 'with -p min_item_events=2 a study is possible' in done.output
    assert shlex.split(done.output.splitlines()[-1])[-2:] == ['-p', 'min_item_events=2']
    done = typed('inspect', log / 'few.csv', '-p', 'min_item_events=1', '-p', 'trials=2')
    assert done.exit_code == 0 and 'a study is possible' not in done.output
    assert shlex.split(done.output.splitlines()[-1])[4:] == ['-p', 'min_item_events=1', '-p', 'trials=2']
    done = typed('inspect', log / 'few.csv', '-p', 'min_item_events=5', '-p', '12_sasrec.test_days=3')
    line = shlex.split(done.output.splitlines()[-1])
    assert line[4:] == ['-p', '12_sasrec.test_days=3', '-p', 'min_item_events=2']
    done = typed('inspect', log / 'few.csv', '-p', 'trails=2')
    assert done.exit_code == 2 and 'did you mean trials?' in done.output
    (log / 'three.csv').write_text(
        'user,item,time\n' + 'u1,i1,1700000000\nu1,i2,1700000060\nu2,i1,1700000090\n'
    )
    done = typed('inspect', log / 'three.csv')
    assert done.exit_code == 1 and 'No study of this log is possible' in done.output
    assert 'recsys-nb run' not in done.output


def test_run_says_what_a_study_needs(log):
    (log / 'few.csv').write_text(
        'user,item,time\n' + ''.join(f'u{i % 3},i{i % 40},{1_700_000_000 + 40_000 * i}\n' for i in range(100))
    )
    done = typed('run', '--data', log / 'few.csv', '--study', 'few')
    assert done.exit_code == 2
    assert 'with -p min_item_events=2 a study is possible' in ' '.join(done.output.split())


def test_what_is_proposed_can_be_pasted(log):
    "Names in any alphabet are readable, and what is printed is read as what it says."
    rows = [
        f'u{i % 7};i{i % 5};{1_700_000_000 + 40_000 * i};{"заказ, новый" if i % 9 == 0 else "просмотр"}'
        for i in range(90)
    ]
    (log / 'events.txt').write_text('user;item;time;event\n' + '\n'.join(rows) + '\n')
    done = typed('inspect', log / 'events.txt')
    said = ' '.join(done.output.split())
    assert done.exit_code == 2 and '%D0' not in said
    proposed = re.search('--events "(.*?)"', said)[1].replace('...', 'view')
    assert 'просмотр=view' in proposed and 'заказ%2C новый=view' in proposed
    done = typed('inspect', log / 'events.txt', '--events', proposed)
    assert done.exit_code == 0, done.output
    line = shlex.split(done.output.splitlines()[-1])
    assert line[line.index('--events') + 1] == proposed


def test_an_event_column_is_named_among_those_to_give(log):
    (log / 'odd.csv').write_text('a,b,c,d\nx,y,z,look\n')
    done = typed('inspect', log / 'odd.csv')
    assert done.exit_code == 2 and 'event=... names the column that says what happened' in done.output
