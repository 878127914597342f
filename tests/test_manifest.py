"""A study that was made elsewhere, by another version, from other events, or by somebody who means harm;
and the same numbers again."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from recsys_nb.parameters import needed
from studies import QUICK, ROOT, TOYS, different, here, one_sentence, project, recsys, toys

ASK = ('run', '--profile', 'tiny', '--study', 'toy')
BOTH = ('--only', '10_baselines', '--only', '11_als')
MODELS = [n for n in TOYS if n < '2']
ALONE = [n for n in MODELS if not needed(n, MODELS)]  # who reads no other's results


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Models and their comparison, of toys."
    folder = toys(tmp_path_factory.mktemp('made'))
    code, told = here(folder, '30_comparison')
    assert code == 0, told
    return folder


@pytest.fixture
def mine(made, tmp_path):
    "The study again, to be spoiled."
    return shutil.copytree(made, tmp_path / 'mine', symlinks=True)


def manifest_of(folder, change=None):
    "A study's manifest, after a change."
    path = folder / 'reports' / 'toy' / 'manifest.json'
    found = json.loads(path.read_text())
    if change:
        change(found)
        path.write_text(json.dumps(found))
    return found


DEEP, ESCAPE = '[' * 200_000, '\x1b[2J'


def spoiled(manifest):
    "What a manifest.json may hold -> what the sentence must name."

    def without(*path):
        found = copy.deepcopy(manifest)
        place = found
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        return json.dumps(found)

    def having(value, *path):
        found = copy.deepcopy(manifest)
        place = found
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return json.dumps(found)

    notebook = ('notebooks', '10_baselines')
    return {
        'empty': ('', 'is damaged'),
        'not JSON': ('no JSON', 'is damaged'),
        'cut in the middle': (json.dumps(manifest)[:700], 'is damaged'),
        'no object': ('[1, 2]', 'its top'),
        'not text': ('\x00\x01\x02', 'is damaged'),
        'half a character': ('"\\ud800"', 'is damaged'),
        'nested too deep': (DEEP, 'is damaged'),
        'another program\'s': ('{"name": "app"}', 'has no'),
        'from the future': (having(99, 'format'), 'format 99'),
        'no notebooks': (without('notebooks'), 'has no notebooks'),
        'no data': (without('data'), 'has no data'),
        'no fingerprint': (without('data', 'fingerprint'), 'data has no fingerprint'),
        'notebooks are a list': (having([], 'notebooks'), 'notebooks is []'),
        'an entry without inputs': (without(*notebook, 'inputs'), 'has no inputs'),
        'an entry without files': (without(*notebook, 'files'), 'has no files'),
        'a state nobody knows': (having('maybe', *notebook, 'status'), "status is 'maybe'"),
        'a time that is none': (having('yesterday', *notebook, 'started'), "'yesterday'"),
        'endless seconds': (having(1e999, *notebook, 'seconds'), 'seconds is inf'),
        'rows in words': (having('many', 'data', 'rows'), 'data.rows'),
        'files elsewhere': (having(['../../settings.ini'], *notebook, 'files'), 'settings.ini'),
        'an absolute file': (having(['/etc/passwd'], *notebook, 'files'), '/etc/passwd'),
        'codes that steer a terminal': (having(ESCAPE, *notebook, 'status'), 'status is'),
        'an escape in a name': (having(1, 'notebooks', ESCAPE), 'notebooks.?[2J'),
    }


CASES = [
    'empty',
    'not JSON',
    'cut in the middle',
    'no object',
    'not text',
    'half a character',
    'nested too deep',
    'another program\'s',
    'from the future',
    'no notebooks',
    'no data',
    'no fingerprint',
    'notebooks are a list',
    'an entry without inputs',
    'an entry without files',
    'a state nobody knows',
    'a time that is none',
    'endless seconds',
    'rows in words',
    'files elsewhere',
    'an absolute file',
    'codes that steer a terminal',
    'an escape in a name',
]


def test_every_case_is_listed(made):
    assert list(spoiled(manifest_of(made))) == CASES


@pytest.mark.parametrize('what', CASES)
def test_a_manifest_is_not_believed(mine, record, what):
    "In this process, where it costs nothing."
    from recsys_nb.parameters import StudyError
    from recsys_nb.cli import find_study, studies
    from recsys_nb.manifest import read_manifest

    text, word = spoiled(manifest_of(mine))[what]
    (mine / 'reports' / 'toy' / 'manifest.json').write_text(text)
    with pytest.raises(StudyError) as refused:
        read_manifest(mine / 'reports' / 'toy')
    assert (
        word in str(refused.value)
        and '\x1b' not in str(refused.value)
        and len(str(refused.value).splitlines()) == 1
    )
    with pytest.raises(StudyError):
        find_study(mine, 'toy')
    assert isinstance(studies(mine)['toy'], StudyError)
    assert (mine / 'settings.ini').exists()
    record('bad input', f'manifest.json: {what}', answer=str(refused.value))


@pytest.mark.parametrize(
    'what',
    [
        'files elsewhere',
        *(
            pytest.param(w, marks=pytest.mark.torture)
            for w in ('cut in the middle', 'codes that steer a terminal')
        ),
    ],
)
def test_no_command_believes_it(mine, record, what):
    "As typed."
    text, word = spoiled(manifest_of(mine))[what]
    (mine / 'reports' / 'toy' / 'manifest.json').write_text(text)
    for arguments in (
        (*ASK, *BOTH),
        ('open', 'toy'),
        ('diff', 'toy', 'toy'),
        ('demo', '--study', 'toy'),
        ('verify', 'toy'),
    ):
        one_sentence(
            recsys(mine, *arguments, timeout=120),
            2,
            'manifest.json',
            'name another study',
            word.replace('\x1b', '?'),
        )
    listed = recsys(mine, 'runs')
    assert listed.returncode == 0 and 'manifest.json' in listed.stdout and '\x1b[2J' not in listed.stdout, (
        listed.stdout + listed.stderr
    )
    assert (mine / 'settings.ini').exists()
    record(
        'bad input',
        f'manifest.json: {what}; run, open, diff, demo, verify, runs',
        answer=next(line for line in listed.stdout.splitlines() if 'manifest.json' in line).strip(),
    )


def test_a_manifest_from_an_older_version_opens(mine, record):
    "As version 0.1.0 wrote it, before formats had numbers, and before a parameter was there."

    def older(manifest):
        del manifest['format']
        for entry in manifest['notebooks'].values():
            del entry['peak_mb']
            entry['parameters'].pop('seed', None)

    manifest_of(mine, older)
    code, told = here(mine, '31_ablation')
    assert code == 0 and told.count('skipped') == len(MODELS), told
    record('same numbers', 'a manifest of the version before this one opens, and its results are kept')


OTHER = 'simulated:visitors=300,items=40,days=28'


def test_other_events_run_all_again(mine, record):
    """The same name with other events:
    nothing is skipped, and nothing of the first events is left in a result."""
    code, told = here(mine, '30_comparison', data=OTHER, replace=True)
    assert code == 0 and 'skipped' not in told and told.count('changed: the events') == len(MODELS) + 1, told
    for path in (mine / 'reports' / 'toy').glob('results/*/metrics.json'):
        assert OTHER in path.read_text()
    record('same numbers', 'other events under the name of a study: every notebook runs again')


@pytest.mark.torture
def test_a_comparison_of_other_events_is_out_of_date(mine, record):
    """Where only a model is run on other events, the comparison says so and keeps its own numbers;
    the next one compares only what is new."""
    before = (mine / 'reports' / 'toy' / 'comparison.csv').read_bytes()
    assert here(mine, '10_baselines', data=OTHER, replace=True)[0] == 0
    assert (mine / 'reports' / 'toy' / 'comparison.csv').read_bytes() == before
    assert (mine / 'reports' / 'toy' / 'index.html').read_text().count('out of date') >= len(MODELS)
    code, told = here(mine, '30_comparison', data=OTHER, replace=True)
    assert code == 0 and told.count('skipped') == 1 and told.count('changed: the events') == len(MODELS), told
    record('same numbers', 'a comparison never mixes results of different events')


def test_other_parameters_run_what_has_them(mine, record):
    code, told = here(mine, '30_comparison', settings=['11_als.seed=7'])
    assert (
        code == 0 and 'changed: its parameters (seed)' in told and told.count('skipped') == len(ALONE) - 1
    ), told
    assert 'changed: what it reads (11_als)' in told
    record('same numbers', 'another parameter: its notebook runs again, and what reads it')


@pytest.mark.torture
def test_other_code_runs_again(mine, record):
    path = mine / 'nbs' / '14_ease.ipynb'
    notebook = json.loads(path.read_text())
    notebook['cells'][-1]['source'] += '\n_ = "other code"'
    path.write_text(json.dumps(notebook))
    code, told = here(mine, '30_comparison')
    assert code == 0 and 'changed: its own cells' in told and told.count('skipped') == len(ALONE) - 1, told
    record('same numbers', 'other cells: their notebook runs again, and what reads it')


def test_results_of_unknown_origin_are_refused(mine, record):
    "A folder that somebody put there, and a study whose manifest is lost."
    shutil.copytree(
        mine / 'reports' / 'toy' / 'results' / '10_baselines', mine / 'reports' / 'toy' / 'results' / 'Mine'
    )
    mixed = recsys(mine, *ASK, '--only', '30_comparison')
    one_sentence(mixed, 2, 'reports/toy/results/Mine was not written by this study')
    shutil.rmtree(mine / 'reports' / 'toy' / 'results' / 'Mine')
    (mine / 'reports' / 'toy' / 'manifest.json').unlink()
    one_sentence(recsys(mine, *ASK, *BOTH), 2, 'was not written by this study')
    record('same numbers', 'results that no notebook of the study wrote', answer=mixed.stderr.strip())


def test_results_of_a_notebook_that_is_gone_are_gone(mine, record):
    "A model that was renamed, or belongs to an older version, stands in no new table."
    (mine / 'nbs' / '14_ease.ipynb').unlink()
    code, told = here(mine, '30_comparison')
    assert code == 0 and '14_ease' not in (mine / 'reports' / 'toy' / 'comparison.csv').read_text(), told
    for left in ('results/14_ease', '14_ease.html', 'notebooks/14_ease.ipynb', 'findings/14_ease.txt'):
        assert not (mine / 'reports' / 'toy' / left).exists(), left
    record('same numbers', 'results of a notebook that is gone are removed')


def test_what_somebody_put_beside_results_stays(mine):
    """Where a notebook is gone, its files go, and logs that no list of files names;
    a folder with something else in it is named."""
    folder = mine / 'reports' / 'toy' / 'results'
    (folder / '14_ease' / 'mine.txt').write_text('mine')
    log = folder / '11_als' / 'tensorboard' / 'key' / 'events.out.tfevents.1.box.2.0'
    log.parent.mkdir(parents=True)
    log.write_text('log')
    (folder / 'empty').mkdir()
    for name in ('14_ease', '11_als'):
        (mine / 'nbs' / f'{name}.ipynb').unlink()
    code, told = here(mine, '10_baselines')
    assert code == 0 and sorted(p.name for p in folder.iterdir() if p.name[0] in '1e') == sorted(
        {n for n in MODELS if n not in ('11_als', '14_ease')} | {'14_ease', 'empty'}
    ), told
    assert (
        [p.name for p in (folder / '14_ease').iterdir()] == ['mine.txt']
        and told.count('which stays') == 1
        and 'toy/results/14_ease is something' in told
    ), told


def test_no_name_of_a_manifest_leads_out_of_the_study(mine):
    "A notebook that is gone may be called anything."
    (mine / 'reports' / 'outside.html').write_text('mine')
    manifest_of(
        mine, lambda m: m['notebooks'].update({'../outside': m['notebooks']['14_ease'] | dict(files=[])})
    )
    assert here(mine, '10_baselines')[0] == 0
    assert (mine / 'reports' / 'outside.html').exists()


def test_paths_are_valid_where_the_command_was_typed(mine, monkeypatch):
    "From nbs/, and from a folder far away."
    from typer.testing import CliRunner
    from recsys_nb.cli import app

    monkeypatch.chdir(mine / 'nbs')
    monkeypatch.setenv('COLUMNS', '200')
    code, told = here(mine, '10_baselines')
    assert told.splitlines()[-1].split()[0] == '../reports/toy/index.html', told
    for command in (['runs'], ['render', 'toy']):
        assert ' ../reports/toy/index.html' in CliRunner().invoke(app, command).output
    monkeypatch.chdir('/')
    code, told = here(mine, '10_baselines')
    assert Path(told.splitlines()[-1].split()[0]).samefile(mine / 'reports' / 'toy' / 'index.html'), told
    monkeypatch.setenv('TOY', '1/0')
    code, told = here(mine, '10_baselines', force=True)
    assert code == 1 and Path(told.partition('read on in ')[2].split()[0]).samefile(
        mine / 'reports' / 'toy' / '10_baselines.html'
    ), told
    shutil.copytree(
        mine / 'reports' / 'toy' / 'results' / '11_als', mine / 'reports' / 'toy' / 'results' / 'Mine'
    )
    from recsys_nb.parameters import StudyError

    with pytest.raises(StudyError) as refused:
        here(mine, '10_baselines')
    assert Path(str(refused.value).partition(' was not')[0]).samefile(
        mine / 'reports' / 'toy' / 'results' / 'Mine'
    )


def test_diff_leaves_both_reports_alone(mine, monkeypatch):
    "The page stands beside them, where git does not look, and its link leads to the second study."
    from typer.testing import CliRunner
    from recsys_nb.cli import app

    reports = mine / 'reports'
    shutil.copytree(reports / 'toy', reports / 'other')
    before = {p: p.read_bytes() for p in reports.rglob('*') if p.is_file()}
    monkeypatch.chdir(mine)
    done = CliRunner().invoke(app, ['diff', 'toy', 'other'])
    assert done.exit_code == 0, done.output
    page = mine / next(line for line in done.output.splitlines() if line.endswith('.html')).strip()
    assert {p for p in reports.rglob('*') if p.is_file()} - set(before) == {page} and page.parent == reports
    assert all(p.read_bytes() == text for p, text in before.items())
    links = [link for link in re.findall(r'href="([^"#]+)"', page.read_text())]
    assert links and all((reports / link).exists() for link in links)
    ignored = subprocess.run(['git', 'check-ignore', '-q', f'reports/{page.name}'], cwd=ROOT)
    assert ignored.returncode == 0


def test_verify(mine, record):
    "Same, another number, another seed."
    shutil.rmtree(mine / 'reports' / 'toy')
    assert here(mine, '10_baselines', '11_als')[0] == 0
    same = recsys(mine, 'verify', 'toy')
    assert same.returncode == 0 and '2 of 2 files of results are the same, byte for byte.' in same.stdout, (
        same.stdout + same.stderr
    )
    path = mine / 'reports' / 'toy' / 'results' / '10_baselines' / 'metrics.json'
    path.write_text(path.read_text().replace('"value": 0.', '"value": 0.1', 1))
    manifest_of(mine, lambda m: m['notebooks']['11_als']['parameters'].update(seed=5))
    wrong = recsys(mine, 'verify', 'toy')
    assert wrong.returncode == 1 and '0 of 2 files' in wrong.stdout, wrong.stdout + wrong.stderr
    for model in ('10_baselines', '11_als'):
        assert f'results/{model}/metrics.json: differs from line 2 on: "value": 0.' in wrong.stdout, (
            wrong.stdout
        )
    record('same numbers', 'verify: the same study')
    record(
        'same numbers',
        'verify finds a number that was changed and a seed that was',
        answer=next(x for x in wrong.stdout.splitlines() if 'differs' in x),
    )


@pytest.mark.torture
def test_verify_finds_other_events(mine, tmp_path, record):
    events = tmp_path / 'events'
    shutil.copytree(mine / 'nbs' / manifest_of(mine)['data']['folder'], events)
    assert here(mine, '10_baselines', study='files', data=str(events))[0] == 0
    lines = (events / 'events.csv').read_text().splitlines(True)
    (events / 'events.csv').write_text(''.join(lines[:-1]))
    done = recsys(mine, 'verify', 'files')
    assert done.returncode == 1 and 'events: differ: fingerprint' in done.stdout, done.stdout + done.stderr
    record(
        'same numbers',
        'verify finds that the events are others',
        answer=next(x for x in done.stdout.splitlines() if 'events: differ' in x),
    )


@pytest.mark.torture
def test_every_model_with_one_and_two_threads(tmp_path, record):
    "Twice with one thread, twice with two: the same bytes with as many threads; how far apart with others."
    folder, made = project(tmp_path), {}
    for threads in (1, 2):
        for name in 'ab':
            study = f'{name}{threads}'
            done = recsys(
                folder,
                'run',
                '--study',
                study,
                *QUICK,
                '--only',
                '30_comparison',
                env=dict(OMP_NUM_THREADS=str(threads)),
                timeout=1800,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            made[study] = folder / 'reports' / study
        assert different(made[f'a{threads}'], made[f'b{threads}']) == []
    apart = {
        path.parent.name: furthest(path, made['a2'] / path.relative_to(made['a1']))
        for path in sorted(made['a1'].glob('results/*/metrics.json'))
    }
    record(
        'same numbers', f'{len(apart)} models, twice with 1 thread and twice with 2', files=2 * len(apart) + 2
    )
    for model, (difference, metric) in apart.items():
        record('same numbers', f'{model}: 1 thread against 2', largest_difference=difference, metric=metric)
    assert max(d for d, _ in apart.values()) < 0.05, apart


def furthest(one, other):
    "The largest difference of a metric's value between two metrics.json, and where it is."
    a, b = (json.loads(path.read_text())['protocols'] for path in (one, other))
    found = [
        (abs(a[p]['slices'][s][m][0] - b[p]['slices'][s][m][0]), f'{p} {s} {m}')
        for p in a
        for s in a[p]['slices']
        for m in a[p]['slices'][s]
        if m != 'n'
        and a[p]['slices'][s][m][0] is not None
        and b[p]['slices'][s][m][0] is not None
        and '@' in m
        and m.split('@')[0] in ('HitRate', 'Precision', 'Recall', 'NDCG', 'MRR')
    ]
    return max(found)
