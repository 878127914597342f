"""Notebooks are committed with what they show: cleaned, small, described, and not older than their cells."""

import base64
import io
import json
import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / '.ci'))

import outputs  # noqa: E402
from hooks import for_git, text_in_git  # noqa: E402

PATHS = outputs.with_outputs(ROOT)
MEND = 'make outputs ONLY={}'


def as_git_sees_it(path):
    "A notebook without the outputs of somebody's own Run All."
    text = path.read_text(encoding='utf-8')
    return json.loads(for_git(text, text_in_git(ROOT, path.relative_to(ROOT).as_posix())))


# The notebooks of this checkout


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_what_it_shows_is_not_older_than_its_cells(path):
    why = outputs.why_stale(path)
    assert why in ('', outputs.LIBRARY), f'{path.stem} {why}: {MEND.format(path.stem)}'


def test_what_they_show_is_not_older_than_the_library():
    "A warning: not every change of the library is worth a run of the notebooks that import it."
    old = [name for name, why in outputs.stale_notebooks(ROOT).items() if why == outputs.LIBRARY]
    if old:
        some = ', '.join(old[:5]) + (f' and {len(old) - 5} more' if len(old) > 5 else '')
        warnings.warn(
            f'{outputs.LIBRARY} since these notebooks were run: {some}; make outputs runs them', stacklevel=1
        )


def alternative_text(output):
    return output['metadata'].get('image/png', {}).get('alt', '')


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_what_it_shows_is_clean(path):
    "Nothing of this machine or this run, pictures that are small and described, nothing that GitHub hides."
    for cell in as_git_sees_it(path)['cells']:
        shown = cell.get('outputs', [])
        assert len(json.dumps(shown)) <= outputs.LARGEST_OUTPUT
        for output in shown:
            assert output.get('name') != 'stderr' and output.get('execution_count') is None
            data = output.get('data', {})
            if 'image/png' in data:
                assert len(base64.b64decode(data.pop('image/png'))) <= outputs.LARGEST_PICTURE
                assert alternative_text(output), f'{path.stem}: a picture of cell {cell["id"]} has no words'
            text = json.dumps(output)
            assert not [kind for kind in data if 'widget' in kind]
            assert 'src=\\"data:' not in json.dumps(data.get('text/html', ''))
            assert not outputs.HOST.search(text)
            for place in ('/home/', '/root/', '/work/', str(ROOT)):
                assert place not in text, f'{path.stem}, cell {cell["id"]}: {place}'


# How they are made


def picture(width=700, height=320, noise=False):
    image = Image.effect_noise((width, height), 200) if noise else Image.new('L', (width, height), 255)
    file = io.BytesIO()
    image.convert('RGB').save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


def shown(kind='display_data', metadata=(), **data):
    data = {name.replace('_', '/'): value for name, value in data.items()}
    return dict(output_type=kind, data=data, metadata=dict(metadata))


def test_noise_is_left_out():
    stream = dict(output_type='stream', name='stderr', text='DeprecationWarning')
    widget = shown(text_plain='IntSlider()', **{'application/vnd.jupyter.widget-view+json': {}})
    assert outputs.clean_outputs([stream, widget]) == []


def test_text_is_joined_and_says_nothing_of_the_machine(monkeypatch):
    monkeypatch.chdir(ROOT / 'nbs')
    lines = [f'{ROOT}/reports <f at 0x7f00ab>\n', '\x1b[1mbold\x1b[0m\n', ' 10%\r100%\n']
    parts = [dict(output_type='stream', name='stdout', text=line) for line in lines]
    (one,) = outputs.clean_outputs(parts)
    assert one['text'] == './reports <f>\nbold\n100%\n'
    assert outputs.clean_text('/tmp/tmpab12cd_9/events.csv') == 'tmp/tmp/events.csv'


def test_a_figure_becomes_a_picture_with_its_words():
    html = (
        f'<figure><img alt="A &lt; B" src="data:image/png;base64,{picture()}" '
        'style="max-width:100%;width:700px"><figcaption>A &lt; B.</figcaption></figure>'
    )
    image, below = outputs.clean_outputs([shown(text_html=html, text_plain='<HTML>')])
    assert set(image['data']) == {'image/png'}
    assert image['metadata'] == {'image/png': {'alt': 'A < B', 'width': 700}}
    assert below['data'] == {'text/html': '<p><em>A &lt; B.</em></p>'}


def test_a_figure_may_bring_its_picture():
    html = '<figure><picture><img src="data:image/png;base64,AAAA" alt="dark"></picture></figure>'
    about = {'image/png': {'alt': 'light'}}
    (image,) = outputs.clean_outputs([shown(text_html=html, image_png=picture(), metadata=about)])
    assert image['metadata']['image/png']['alt'] == 'light'
    assert outputs.joined(image['data']['image/png']) == picture()
    drawn = (
        '<div class="figure"><figure><img src="data:image/svg+xml;base64,AAAA" alt="drawn"></figure></div>'
    )
    (image,) = outputs.clean_outputs([shown(text_html=drawn, image_png=picture())])
    assert set(image['data']) == {'image/png'} and image['metadata']['image/png']['alt'] == 'drawn'


def test_pictures_are_small():
    small = outputs.small_picture(picture(700, 450, noise=True))
    assert len(base64.b64decode(small)) <= outputs.LARGEST_PICTURE
    assert outputs.small_picture(picture()) == picture()


def test_random_names_of_tables_are_counted():
    style = '<style type="text/css">\n#T_8ab3c_row0 {}\n</style>\n'
    html = f'{style}<table id="T_8ab3c"></table><table id="T_0ff12"></table>'
    text = outputs.clean_html(html)
    assert 'id="T_0"' in text and 'id="T_1"' in text and '#T_0_row0' in text
    assert outputs.clean_html('<style scoped>\n.dataframe {}\n</style>\n<table>') == '<table>'


def test_times_are_no_difference():
    def same(a, b):
        return outputs.but_for_measures([a]) == outputs.but_for_measures([b])

    assert same(shown(text_plain='took 3.2 s and 10 MB'), shown(text_plain='took 4 s and 12 MB'))
    assert not same(shown(text_plain='.532'), shown(text_plain='.533'))
    assert not same(shown(text_plain='12 sessions'), shown(text_plain='13 sessions'))
    rows = (
        '<table><tr><th></th><th>n</th><th>seconds</th></tr><tr><th>a</th><td>{}</td><td>{}</td></tr></table>'
    )
    assert same(shown(text_html=rows.format(1, 7)), shown(text_html=rows.format(1, 8)))
    assert not same(shown(text_html=rows.format(1, 7)), shown(text_html=rows.format(2, 7)))
    row = '<table><tr><th></th><th>A</th></tr><tr><th>targets per second</th><td>{}</td></tr></table>'
    assert same(shown(text_html=row.format('7,199')), shown(text_html=row.format('5,911')))
    caption = '<table><caption>Milliseconds</caption><tr><th></th></tr><tr><th>A</th><td>{}</td></tr></table>'
    assert same(shown(text_html=caption.format(17)), shown(text_html=caption.format(18)))


@pytest.fixture
def project(tmp_path):
    "A project of two notebooks that were run: one exports what the other imports."
    cells = {
        '71_tool': ['#| default_exp tool', '#| export\nx = 1'],
        '02_story': ['from recsys_nb.tool import x', 'x + 1 # a comment'],
    }
    for folder in ('nbs', 'recsys_nb'):
        (tmp_path / folder).mkdir()
    for name in ('settings.ini', '.gitignore'):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / 'recsys_nb' / 'tool.py').write_text('x = 1')
    for name, codes in cells.items():
        code = dict(cell_type='code', metadata={}, execution_count=None, outputs=[])
        cells = [dict(code, id=f'{name[:2]}{i:06}', source=[source]) for i, source in enumerate(codes)]
        notebook = dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)
        path = tmp_path / 'nbs' / f'{name}.ipynb'
        path.write_text(json.dumps(notebook), encoding='utf-8')
    return tmp_path


def run(project, name, text='2'):
    "Store what a run of a notebook would have shown."
    path = project / 'nbs' / f'{name}.ipynb'
    executed = json.loads(path.read_text(encoding='utf-8'))
    executed['cells'].insert(0, dict(cell_type='code', id='injected', outputs=[]))
    executed['cells'][-1]['outputs'] = [shown('execute_result', text_plain=text) | dict(execution_count=3)]
    return outputs.store(executed, path)


def change(project, name, old, new):
    path = project / name
    path.write_text(path.read_text(encoding='utf-8').replace(old, new), encoding='utf-8')


def test_what_is_stale(project):
    assert outputs.stale_notebooks(project) == {'02_story': 'has no outputs', '71_tool': 'has no outputs'}
    assert (run(project, '02_story'), run(project, '71_tool')) == (1, 1)
    assert outputs.stale_notebooks(project) == {}
    change(project, 'nbs/02_story.ipynb', '# a comment', '# another')
    assert outputs.stale_notebooks(project) == {}
    change(project, 'recsys_nb/tool.py', 'x = 1', 'x = 2')
    assert outputs.stale_notebooks(project) == {'02_story': outputs.LIBRARY}
    change(project, 'nbs/02_story.ipynb', 'x + 1', 'x + 2')
    assert outputs.stale_notebooks(project) == {'02_story': 'its cells changed'}


def test_a_second_run_leaves_no_difference(project):
    path = project / 'nbs' / '02_story.ipynb'
    assert run(project, '02_story', 'took 3.2 s') == 1
    before = path.read_bytes()
    assert run(project, '02_story', 'took 4.1 s') == 0
    assert path.read_bytes() == before
    assert for_git(path.read_text(encoding='utf-8')) == path.read_text(encoding='utf-8')
    assert run(project, '02_story', 'took 4.1 hits') == 1


def test_those_whose_results_are_read_run_first():
    names = ['00_data', '10_a', '18_hybrid', '30_comparison']
    assert outputs.in_turns(names, names) == [['00_data', '10_a'], ['18_hybrid'], ['30_comparison']]


def test_the_copy_reads_committed_reports(tmp_path):
    outputs.project_copy(ROOT, tmp_path)
    assert (tmp_path / 'reports' / 'sessions' / 'comparison.csv').exists()
    names = {path.name for path in outputs.committed_reports(ROOT)}
    assert {path.name for path in (tmp_path / 'reports').iterdir()} == names


def test_the_makefile_runs_it():
    text = (ROOT / 'Makefile').read_text()
    assert re.search(r'^outputs: notebooks.*\n\t\$\(BIN\)/python \.ci/outputs\.py ', text, re.M)
