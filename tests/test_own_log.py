"""A log of one's own at the command line: shown, asked about, copied."""

import re

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
        (('--columns', 'visitorid=kunde,itemid=kunde'), 'kunde once'),
        (('--min-rating', '4', '--columns', 'visitorid=kunde'), 'expected a log with a column of ratings'),
        (('--events', 'look=see'), "found 'look=see'"),
    ],
)
def test_what_cannot_be_is_one_sentence(log, words, sentence):
    done = typed('inspect', log, *words)
    assert done.exit_code == 2 and sentence in ' '.join(done.output.split()), done.output
    assert 'Traceback' not in done.output
