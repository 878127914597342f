"""Files that say something of items: damaged and odd ones end in one clear sentence or are counted in a note,
and what is known as of a time is what a slow loop over the same rows finds."""

import io, zipfile
import numpy as np, pandas as pd, pytest
from recsys_nb.archives import DataError
from recsys_nb.data import read_categories
from recsys_nb.features import MOST_CELL_TOKENS, ItemSnapshots, load_features, read_properties, words_of_cell
import recsys_nb.features as features_module

T0, DAY = 1_430_000_000_000, 86_400_000
EVENTS = 'timestamp,visitorid,event,itemid,transactionid\n' + ''.join(
    f'{T0 + day * DAY},{1 + day % 3},view,{10 + day % 4},\n' for day in range(20)
)
LAST = T0 + 19 * DAY
HEAD = 'timestamp,itemid,property,value\n'
ROWS = ''.join(
    f'{T0},{item},{p},{x}\n'
    for item in range(10, 14)
    for p, x in (
        ('categoryid', item - 5),
        ('790', f'n{item}.000'),
        ('888', f'{item} 639502'),
        ('available', item % 2),
    )
)
ROWS += ''.join(f'{T0 + k},13,790,n{13 + k}\n' for k in range(1, 21))  # so that one word leaves it a number
TREE = 'categoryid,parentid\n5,3\n6,3\n7,3\n8,\n3,\n'
PART, OTHER = 'item_properties_part1.csv', 'item_properties_part2.csv'


def shop(folder, **changed):
    "A small log in RetailRocket's form; `rows`, `header`, `tree` or `files` in the place of the good ones."
    folder.mkdir(exist_ok=True)
    rows = changed.pop('header', HEAD) + changed.pop('rows', ROWS) + changed.pop('more', '')
    files = {'events.csv': EVENTS, PART: rows, 'category_tree.csv': changed.pop('tree', TREE)}
    files |= changed.pop('files', {})
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def said(folder, monkeypatch):
    "The features of a log as of its end, and all notes about them."
    monkeypatch.chdir(folder.parent)  # where data/ is then
    snapshots = load_features(str(folder))
    if snapshots is None:
        return None, []
    features = snapshots.as_of(LAST)
    return features, snapshots.notes + features.notes


def row(item, property, value, time=T0):
    return f'{time},{item},{property},{value}\n'


REFUSED = {  # what is wrong: what is changed, and what the sentence must hold
    'no column value': (dict(header='timestamp,itemid,property,worth\n'), ['the column value']),
    'no column itemid': (dict(header='timestamp,item,property,value\n'), ['the column itemid']),
    'a column twice': (dict(header='timestamp,itemid,itemid,value\n'), ['itemid twice']),
    'semicolons': (dict(header=HEAD.replace(',', ';'), rows=ROWS.replace(',', ';')), ['semicolons']),
    'an empty file': (dict(files={PART: ''}), ['an empty file', PART]),
    'a ragged row': (dict(more=f'{T0},10,790\n'), ['line 38', '4 columns', '3 columns']),
    'a row with too much': (dict(more=f'{T0},10,790,n1,n2\n'), ['line 38', '5 columns']),
    'a comma in a value without quotes': (dict(more=f'{T0},10,888,red,blue\n'), ['line 38', '5 columns']),
    'a quote never closed': (dict(more=f'{T0},10,888,"red\n{T0},11,888,blue\n'), ['line 38']),
    'not UTF-8': (dict(files={PART: f'{HEAD}{ROWS}{T0},10,888,'.encode() + b'\xff\xfe\n'}), ['UTF-8']),
    'UTF-16': (dict(files={PART: (HEAD + ROWS).encode('utf-16')}), ['UTF-16']),
    '10 MB in a cell': (dict(more=row(10, '888', 'x' * (10 << 20))), ['at most 4,194,304 bytes', 'line 38']),
    'a negative id': (dict(more=row(-1, '888', '1')), ['line 38', 'itemid', 'not negative']),
    'an id that is a word': (dict(more=row('lamp', '888', '1')), ['line 38', 'itemid', 'an integer']),
    'an id that is empty': (dict(more=row('', '888', '1')), ['line 38', 'itemid']),
    'an id of 80 digits': (dict(more=row('9' * 80, '888', '1')), ['line 38', '64 bits']),
    'a time before 1970': (dict(more=row(10, '888', '1', -5)), ['line 38', 'timestamp']),
    'a time in seconds': (dict(more=row(10, '888', '1', T0 // 1000)), ['line 38', 'seconds']),
    'no time': (dict(more=row(10, '888', '1', '')), ['line 38', 'timestamp']),
    'a time that is a date': (dict(more=row(10, '888', '1', '2015-05-03')), ['line 38', 'timestamp']),
    'a category that is a word': (dict(more=row(10, 'categoryid', 'a')), ['line 38', 'a category number']),
    'a category below 0': (dict(more=row(10, 'categoryid', '-3')), ['line 38', 'a category number']),
    'a category cycle': (dict(tree='categoryid,parentid\n5,3\n3,5\n'), ['cycle']),
    'a zip that is cut off': (None, ['damaged']),
}


@pytest.mark.parametrize('what', REFUSED)
def test_a_wrong_file_is_refused_in_one_sentence(what, tmp_path, monkeypatch):
    change, words = REFUSED[what]
    folder = tmp_path / 'shop'
    if change is None:
        folder.mkdir()
        (folder / 'events.csv').write_text(EVENTS)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as z:
            z.writestr('events.csv', EVENTS)
            z.writestr(PART, HEAD + ROWS * 50)
        data = packed.getvalue()
        folder = tmp_path / 'shop.zip'
        at = data.rindex(b'PK\x03\x04') + 80
        folder.write_bytes(data[:at] + bytes(40) + data[at + 40 :])
    else:
        shop(folder, **change)
    with pytest.raises(DataError) as error:
        said(folder, monkeypatch)
    text = str(error.value)
    assert '\n' not in text and len(text) < 600
    for word in words:
        assert word in text, text


ONE_VALUE = '1 value of a property that is a number'
LATER = 'was later than the last'
COUNTED = {  # what is odd: what is changed, and what a note must hold
    'a word where a number was': (row(10, '790', 'cheap', T0 + 5), ONE_VALUE),
    'an n without digits': (row(10, '790', 'n', T0 + 5), ONE_VALUE),
    'n1e400': (row(10, '790', 'n1e400', T0 + 5), ONE_VALUE),
    'a number of 400 digits': (row(10, '790', 'n' + '9' * 400, T0 + 5), ONE_VALUE),
    'nInfinity': (row(10, '790', 'nInfinity', T0 + 5), ONE_VALUE),
    'a row twice': (row(10, '790', 'n10.000'), '1 row of properties was there twice'),
    'two values at once': (row(10, '790', 'n99'), '1 row of properties was there with another value'),
    'a snapshot after the last event': (row(10, '790', 'n99', LAST + 1), '1 row of properties ' + LATER),
    'a category after the last event': (row(10, 'categoryid', '7', LAST + 1), '1 row of categories ' + LATER),
    'too many words in a cell': (row(10, '777', ' '.join(map(str, range(300)))), '44 tokens after the first'),
    'two categories at once': (row(10, 'categoryid', '7'), 'another category at the same time'),
}


@pytest.mark.parametrize('what', COUNTED)
def test_an_odd_row_is_counted(what, tmp_path, monkeypatch):
    more, words = COUNTED[what]
    features, notes = said(shop(tmp_path / 'shop', more=more), monkeypatch)
    assert any(words in note for note in notes), notes
    assert features.items.tolist() == [10, 11, 12, 13]
    assert np.isfinite(features.numbers[1:]).all()


def test_empty_and_odd_texts_are_neither_tokens_nor_numbers(tmp_path, monkeypatch):
    more = row(10, '790', '', T0 + 5) + row(11, '888', '  two   blanks ', T0 + 5)
    more += row(12, '', 'x') + row(13, '888', '', T0 + 5)
    features, notes = said(shop(tmp_path / 'shop', more=more), monkeypatch)
    assert np.isnan(features.numbers[0, features.number_names.index('790')])
    assert not any('a number' in note for note in notes)
    assert tokens_of(features, 11) == {'888=two', '888=blanks'}
    assert tokens_of(features, 13) == set()
    assert '=x' in features.token_names


def test_nothing_is_known_of_any_item_of_the_log(tmp_path, monkeypatch):
    rows = row(91, '790', 'n5') + row(92, '790', 'n5')
    features, notes = said(shop(tmp_path / 'shop', rows=rows), monkeypatch)
    assert features.items.tolist() == [91, 92]
    assert any('No event is about any' in note for note in notes)


@pytest.mark.parametrize('files', [{PART: None, 'category_tree.csv': None}, {PART: HEAD}])
def test_a_log_without_properties_has_none(files, tmp_path, monkeypatch):
    assert said(shop(tmp_path / 'shop', files=files), monkeypatch) == (None, [])


def tokens_of(features, item):
    "The tokens of an item."
    here = features.tokens[features.rows([item])[0]]
    return {features.token_names[t] for t in here.indices}


def random_rows(seed, n=4000, items=60, times=30):
    "Rows of six properties, two of which are numbers, with repeats, and categories."
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        p = str(rng.integers(0, 6))
        words = ' '.join(str(w) for w in rng.integers(0, 9, rng.integers(0, 4)))
        value = f'n{rng.integers(0, 50)}.500' if p in '01' else words
        if p == '0' and rng.random() < 0.01:
            value = 'unknown'
        found.append((T0 + int(rng.integers(0, times)) * DAY, int(rng.integers(1, items)), p, value))
    # a category a moment, so that its two readers need not agree about ties
    found += [
        (T0 + t * DAY, int(i), 'categoryid', str(rng.integers(5, 9)))
        for t in range(times)
        for i in rng.choice(items, 3, replace=False)
    ]
    return found


def slow_features(rows, time, until):
    "What is known by a loop over the rows: item -> (property -> value, first time, newest time)."
    frame = pd.DataFrame(rows, columns=['time', 'item', 'property', 'value'])
    known = {}
    for item, mine in frame.groupby('item'):
        first = mine.time.min()
        if first <= time:
            mine = mine[mine.time <= time]
        elif until is not None and first <= until:
            mine = mine[mine.time == first]
        else:
            continue
        values = {}
        moments = {}
        for r in mine.itertuples():  # in the order of the file; a later or equal time replaces
            if r.time >= moments.get(r.property, -1):
                if values.get(r.property) != r.value:
                    values[r.property] = r.value
                moments[r.property] = r.time
        known[item] = values, first, max(moments.values())
    return known


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('asked', [(3, None), (3, 12), (29, None), (-1, 2)])
def test_as_of_is_what_a_loop_finds(seed, asked, tmp_path):
    rows = random_rows(seed)
    folder = shop(tmp_path / 'shop', rows=''.join(f'{t},{i},{p},{v}\n' for t, i, p, v in rows))
    time, until = (None if day is None else T0 + day * DAY for day in asked)
    features = ItemSnapshots(read_properties(folder), read_categories(folder)).as_of(time, until)
    slow = slow_features(rows, time, until)
    assert features.items.tolist() == sorted(slow)
    for i, item in enumerate(features.items.tolist()):
        values, first, newest = slow[item]
        category = int(values.pop('categoryid', -1))
        numbers = {p: v for p, v in values.items() if p in '01'}
        assert features.category[i] == category
        assert (features.paths[i, 0] if category >= 0 else -1) == {-1: -1, 8: 8}.get(category, 3)
        assert features.known_since[i] == first
        assert features.newest[i] <= newest
        words = {p: v.split() for p, v in values.items() if p not in '01'}
        assert tokens_of(features, item) == {f'{p}={w}' for p, found in words.items() for w in found}
        for p in '01':
            there = p in features.number_names
            found = features.numbers[i, features.number_names.index(p)] if there else np.nan
            right = float(numbers[p][1:]) if numbers.get(p, '')[:1] == 'n' else np.nan
            np.testing.assert_equal(found, np.float32(right))


@pytest.mark.parametrize('asked', [(3, None), (3, 12), (-1, 2)])
def test_nothing_later_is_looked_at(asked, tmp_path):
    "Whatever is changed after the time asked for, or after an item's first moment, changes nothing."
    rows = random_rows(7)
    time, until = (None if day is None else T0 + day * DAY for day in asked)
    first = pd.DataFrame(rows).groupby(1)[0].min()
    begins = {i: t for i, t in first.items() if time < t <= (until or 0)}
    kept = [r for r in rows if r[0] <= time or begins.get(r[1]) == r[0]]
    later = [(t + 40 * DAY, i, p, 'n77') for t, i, p, _ in rows if p != 'categoryid']
    found = []
    for name, some in (('all', rows + later), ('kept', kept)):
        folder = shop(tmp_path / name, rows=''.join(f'{t},{i},{p},{v}\n' for t, i, p, v in some))
        found.append(ItemSnapshots(read_properties(folder), read_categories(folder)).as_of(time, until))
    full, alone = found
    for name in ('items', 'numbers', 'category', 'paths', 'known_since', 'newest'):
        np.testing.assert_array_equal(getattr(full, name), getattr(alone, name))
    assert full.token_names == alone.token_names and full.number_names == alone.number_names
    assert (full.tokens != alone.tokens).nnz == 0
    known = full.known_since <= time
    assert (full.newest[known] <= time).all()
    assert (full.newest[~known] == full.known_since[~known]).all()


def test_a_loop_finds_the_leak(tmp_path):
    "The check above catches a reader that looks one day ahead."
    rows = random_rows(7)
    folder = shop(tmp_path / 'shop', rows=''.join(f'{t},{i},{p},{v}\n' for t, i, p, v in rows))
    snapshots = ItemSnapshots(read_properties(folder), read_categories(folder))
    ahead = snapshots.as_of(T0 + 4 * DAY)
    assert (ahead.newest > T0 + 3 * DAY).any()


def same(a, b):
    "Whether two features are equal in all."
    for name in ('items', 'numbers', 'category', 'paths', 'known_since', 'newest'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.number_names == b.number_names and a.token_names == b.token_names and a.notes == b.notes
    assert (a.tokens != b.tokens).nnz == 0


def test_what_is_kept_is_what_was_read(tmp_path, monkeypatch):
    folder = shop(tmp_path / 'shop', more=row(10, '790', 'n10.000') + row(11, '888', 'ä 639502', T0 + 5))
    cache = tmp_path / 'cache'
    first = read_properties(folder, cache)
    assert len([*cache.glob('propert*')]) == 4
    monkeypatch.setattr(features_module, '_read_own_rows', None)  # so that nothing can be read again
    kept = read_properties(folder, cache)
    same(ItemSnapshots(first).as_of(LAST), ItemSnapshots(kept).as_of(LAST))
    assert first.notes == kept.notes


@pytest.mark.parametrize('piece', ['properties', 'property-texts', 'property-items', 'property-moments'])
def test_a_damaged_cache_is_made_again(piece, tmp_path):
    folder = shop(tmp_path / 'shop')
    cache = tmp_path / 'cache'
    first = ItemSnapshots(read_properties(folder, cache)).as_of(LAST)
    (file,) = cache.glob(f'{piece}-*')
    data = file.read_bytes()
    for at in range(8, len(data), max(1, len(data) // 40)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        same(first, ItemSnapshots(read_properties(folder, cache)).as_of(LAST))


def test_another_file_is_not_taken_for_the_one_that_was_kept(tmp_path):
    cache = tmp_path / 'cache'
    read_properties(shop(tmp_path / 'shop'), cache)
    other = read_properties(shop(tmp_path / 'shop', more=row(10, '790', 'n77', T0 + 5)), cache)
    assert ItemSnapshots(other).as_of(LAST).numbers[0, 0] == 77


def test_tokens_that_no_neighbour_shares_can_be_left_out(tmp_path):
    snapshots = ItemSnapshots(read_properties(shop(tmp_path / 'shop', more=row(12, '888', '10', T0 + 5))))
    every = snapshots.as_of(LAST)
    some = snapshots.as_of(LAST, min_items=2, most_share=0.5)
    assert every.token_names == ['888=10', '888=11', '888=13', '888=639502']
    assert some.token_names == ['888=10'] and '3 tokens of fewer than 2 items' in some.notes[0]


def test_caps_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(features_module, 'MOST_TOKENS', 2)
    monkeypatch.setattr(features_module, 'MOST_NUMBER_CELLS', 4)
    folder = shop(tmp_path / 'shop', more=row(12, '888', '10', T0 + 5))
    features = ItemSnapshots(read_properties(folder)).as_of(LAST)
    assert len(features.token_names) == 2 and '888=10' in features.token_names
    assert features.numbers.shape == (4, 1)
    assert any('2 of 4 distinct tokens' in note for note in features.notes)
    assert any('left out for want of memory' in note for note in features.notes)
    assert MOST_CELL_TOKENS == 256


ITEMS = 'item_id,title,price,brand,genres,year,image_url\n' + ''.join(
    f'{i},Lamp Nr {i},"{i},50",Acme Co,Home|Light,{1990 + i},http://x/{i}\n' for i in range(10, 15)
)
TABLE_LOG = 'user,item_id,timestamp,event\n' + ''.join(
    f'u{1 + day % 3},{10 + day % 4},{T0 + day * DAY},view\n' for day in range(20)
)


def table_shop(folder, items=ITEMS, log=TABLE_LOG):
    "A log of another layout with an item file."
    folder.mkdir(exist_ok=True)
    (folder / 'log.csv').write_text(log)
    (folder / 'items.csv').write_bytes(items if isinstance(items, bytes) else items.encode())
    return folder


def test_an_item_table_gives_numbers_words_and_titles(tmp_path, monkeypatch):
    features, notes = said(table_shop(tmp_path / 'shop'), monkeypatch)
    assert features.items.tolist() == [10, 11, 12, 13, 14]  # the last one has no event
    assert {'price', 'year'} <= set(features.number_names)
    assert features.numbers[0, features.number_names.index('price')] == 10.5
    assert tokens_of(features, 10) == {'title=lamp', 'title=nr', 'title=10', 'brand=Acme_Co'}
    assert (features.known_since == T0).all() and (features.category >= 0).all()
    assert any('from the first event on' in note for note in notes)


@pytest.mark.parametrize('seed', range(2))
def test_an_item_table_from_the_cache_is_the_same(seed, tmp_path, monkeypatch):
    folder = table_shop(tmp_path / 'shop')
    first, second = said(folder, monkeypatch), said(folder, monkeypatch)
    same(first[0], second[0])
    assert first[1] == second[1]


ODD_TABLES = {
    'a ragged row': ITEMS + '15,Lamp\n',
    'an item twice': ITEMS + '10,Other,1,B,C,1990,\n',
    'a word where a price was': ITEMS + '15,Lamp,dear,B,C,1990,\n',
    'not UTF-8': ITEMS.encode() + b'15,\xff\xfe,1,B,C,1990,\n',
    'empty': '',
    'a header only': ITEMS.splitlines()[0] + '\n',
    '10 MB in a cell': ITEMS + f'15,{"x " * (5 << 20)},1,B,C,1990,\n',
    'ids of nothing': 'item_id,title,price\n900,Lamp,3\n901,Lamp,4\n',
    'a price of 400 digits': ITEMS + f'15,Lamp,{"9" * 400},B,C,1990,\n',
    'a negative id': ITEMS + '-15,Lamp,1,B,C,1990,\n',
}


REFUSED_TABLES = {
    'a ragged row': 'line 7',
    'empty': 'an empty file',
    '10 MB in a cell': 'at most 4,194,304 bytes',
}
SAID_OF_TABLES = {
    'an item twice': '1 row of item files was followed by another',
    'a negative id': '1 row of item files was about an id that no event has',
    'ids of nothing': 'No event is about any of the items',
}


@pytest.mark.parametrize('what', ODD_TABLES)
def test_an_odd_item_table_is_refused_or_read_right(what, tmp_path, monkeypatch):
    folder = table_shop(tmp_path / 'shop', ODD_TABLES[what])
    if what in REFUSED_TABLES:
        with pytest.raises(DataError, match=REFUSED_TABLES[what]) as error:
            said(folder, monkeypatch)
        assert '\n' not in str(error.value)
        return
    features, notes = said(folder, monkeypatch)
    assert any(SAID_OF_TABLES.get(what, '') in note for note in [*notes, '']), notes
    if what == 'a header only':
        assert features is None
    elif what != 'ids of nothing':
        assert (features.rows([10, 11]) >= 0).all() and (features.items >= 0).all()
        assert {'title=lamp', 'title=11'} <= tokens_of(features, 11)


def test_words_of_cells_are_plain():
    assert words_of_cell('brand', '\n') == '' and words_of_cell('title', '☂☂') == ''
    assert words_of_cell('genres', '["A B", "C"]') == 'A_B C'
