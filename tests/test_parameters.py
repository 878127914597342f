"""Every notebook parameter and every command-line option: wrong type, out of range, contradictory.
All refused before anything runs."""

import ast
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
from typer.testing import CliRunner

from recsys_nb.parameters import (
    RULES,
    StudyError,
    model_names,
    read_notebook,
    read_profiles,
    resolve_settings,
    study_notebooks,
)
from recsys_nb.cli import app
from recsys_nb.places import story_paths

ROOT = Path(__file__).parent.parent
NOTEBOOKS = study_notebooks(ROOT)
PROFILES = read_profiles(ROOT)
FREE = {
    'data',
    'out',
    'full',
    'study',
    'peers',
    'results',
    'visitor',
}  # paths, and an id as the log writes it
OURS = [(n, p) for n, nb in NOTEBOOKS.items() for p in nb.parameters.values()]


def one_sentence(error, *named):
    text = str(error)
    assert '\n' not in text and len(text) < 1000 and all(word in text for word in named), text


# every parameter of every notebook


def test_every_parameter_says_what_is_allowed():
    "Numbers have both ends, words are listed, and only what is free or true or false has no brackets."
    for n, p in OURS:
        if p.name in FREE or p.kind == 'bool':
            assert p.allowed is None, f'{n}.{p.name}'
        elif p.allowed is None or not p.allowed.words:
            assert p.allowed and None not in (p.allowed.low, p.allowed.high), f'{n}.{p.name}: {p.help}'
        if p.allowed:
            assert p.help.endswith(']') and not re.search(r'\b[A-Z]{3,}_?[A-Z]*\.\.|\bmodels\|', p.help)


def test_a_name_means_the_same_everywhere():
    """What `-p name=value` sets in several notebooks has one range,
    unless 0 or a smaller size means something in one of them."""
    differ = {
        'epochs',
        'published_epochs',
        'hidden_dim',
        'max_len',
        'negatives',
        'queries',
        'rows',
        'dim',
        'items',
        'repeats',
    }
    found = {}
    for n, p in OURS:
        found.setdefault(p.name, {}).setdefault(p.kind, set()).add(str(p.allowed))
    assert {name for name, kinds in found.items() if any(len(a) > 1 for a in kinds.values())} <= differ


def wording(parameter):
    "What a parameter's comment says, brackets aside."
    return re.sub(r' \[[^\[\]]*\]$', '', parameter.help)


OTHER_MEANING = {  # name -> notebooks in which it means something of their own
    'data': {'00_data', '01_shop', '30_comparison', '91_reliability'},
    'epochs': {'18_hybrid', '31_ablation', '32_what_is_left', '35_leakage', '90_benchmarks'},
    'max_len': {'17_bert4rec'},  # the hidden place is one of them
    'most_queries': {'20_qualitative', '32_what_is_left'},
    'tune_queries': {'32_what_is_left'},
}


def test_a_shared_parameter_has_one_wording():
    "What several notebooks call by one name is said in the same words, unless it means another thing."
    found = {}
    for path in story_paths(ROOT):
        for p in read_notebook(path).parameters.values():
            if path.stem not in OTHER_MEANING.get(p.name, ()):
                found.setdefault(p.name, {}).setdefault(wording(p), []).append(path.stem)
    assert {name: words for name, words in found.items() if len(words) > 1} == {}


def test_what_people_change_comes_first():
    "A notebook with more than ten parameters has at most seven above its dividing line."
    for n, nb in NOTEBOOKS.items():
        cell = next(s for kind, s in nb.cells if kind == 'code' and 'out: str' in s)
        above, line, _ = cell.partition('\n# rarely changed\n')
        assert bool(line) == (len(nb.parameters) > 10), n
        assert not line or len(re.findall(r'(?m)^\w+: ', above)) <= 7, n


def constant(notebook, name):
    "A constant that a notebook's cell defines: its members or its keys that are words."
    for kind, source in read_notebook(ROOT / 'nbs' / f'{notebook}.ipynb').cells:
        for node in ast.parse(source).body if kind == 'code' else []:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return [k.value for k in node.value.keys if isinstance(k, ast.Constant)]


def test_what_is_written_out_is_what_the_library_has():
    "Bounds and words in the parameters cells are those of the constants that they come from."
    from recsys_nb.ablation import CHANGES
    from recsys_nb.metrics import KS, METRICS
    from recsys_nb.training import ROW

    allowed = {(n, p.name): p.allowed for n, p in OURS}
    assert allowed['30_comparison', 'metric'].words == METRICS
    assert allowed['30_comparison', 'k'].words == tuple(map(str, KS))
    assert [allowed[n, 'max_len'].high for n in ('12_sasrec', '16_gru4rec', '17_bert4rec')] == [ROW] * 3
    assert list(allowed['31_ablation', 'only'].words) == [c for c in CHANGES if ',' not in c]
    assert list(allowed['18_hybrid', 'parts'].words) == constant('18_hybrid', 'KINDS')
    names = (*model_names(ROOT / 'nbs'), 'Popularity (N days)')
    for where in (('34_certainty', 'seeded'), ('34_certainty', 'rolling'), ('35_leakage', 'models')):
        assert allowed[where].words == names


def test_every_rule_is_of_a_notebook():
    "And names the parameters that it is about."
    for rule in RULES:
        have = [n for n, nb in NOTEBOOKS.items() if set(rule.names) <= set(nb.parameters)]
        assert have and all(NOTEBOOKS[n].parameters[rule.names[0]].rule is rule for n in have), rule.words
        assert set(re.findall(r'[a-z]\w*', rule.words)) - {'is', 'or', 'and'} == set(rule.names)


def test_papermill_reads_every_line():
    "papermill's own reader gives up on a line with a bracket that does not close."
    for n, nb in NOTEBOOKS.items():
        assert set(papermill.inspect_notebook(str(ROOT / 'nbs' / f'{n}.ipynb'))) == set(nb.parameters), n


@pytest.mark.parametrize('profile', PROFILES)
def test_profiles_are_allowed(profile):
    assert list(resolve_settings(NOTEBOOKS, profile)) == list(NOTEBOOKS)


def test_order_of_a_cell_changes_nothing():
    "What a result depends on is compared by name."
    from recsys_nb.manifest import digest

    values = resolve_settings(NOTEBOOKS, 'tiny')['12_sasrec']
    assert digest(values) == digest(dict(reversed(values.items())))


def test_committed_studies_are_allowed():
    "What a report says it was made with can be asked for again, where its notebook is still part of a study."
    for path in (ROOT / 'reports').glob('*/manifest.json'):
        made = json.loads(path.read_text())['notebooks']
        for n in made.keys() & NOTEBOOKS:
            for name, value in made[n]['parameters'].items():
                if name not in ('data', 'out') and name in NOTEBOOKS[n].parameters:
                    NOTEBOOKS[n].parameters[name].parse(str(value))


def beyond(p):
    "What a parameter must refuse."
    tries = ['1' + '0' * 30, '-1' + '0' * 30]
    if p.kind == 'bool':
        return tries + ['', '0', '1', 'yes', '2.5', 'nan', 'none']
    tries += ['true', 'none', 'nan', 'x', '[0..1]']
    if p.allowed.words or p.allowed.many:
        tries += ['0.1'] * (not p.allowed.bounded or bool(p.allowed.many)) + ['true, true']
        tries += [''] * ('' not in p.allowed.words and p.allowed.many != 'any of')
    if p.allowed.words and p.allowed.bounded:  # days, or a date
        tries += [str(p.allowed.low), '-1', f'{p.allowed.high + 0.1}', 'inf', '-inf', '0x10', '1,5']
        tries += ['2015-13-01', '2015-02-30', '2015-9-11', '11.09.2015', '2015-09-11 noon']
    if p.allowed.words:
        return (
            tries
            + [w.swapcase() for w in p.allowed.words if w.swapcase() not in p.allowed.words]
            + [f'{w}x' for w in p.allowed.words if w]
        )
    tries += ['', 'inf', '-inf', '1e400', '0x10']
    tries += ['1,5'] * (not p.allowed.many)  # a list of two, where there may be a list
    below, above = (
        end - 1 if not p.allowed.many else f'{end - 1}' for end in (p.allowed.low, p.allowed.high + 2)
    )
    tries += [str(below), str(above)] + ['2.5', '1e2'] * (p.kind == 'int')
    if p.allowed.above:
        tries.append(str(p.allowed.low))
    if p.allowed.below:
        tries.append(str(p.allowed.high))
    if p.kind == 'float':
        tries += [
            repr(math.nextafter(p.allowed.high, math.inf)),
            repr(math.nextafter(p.allowed.low, -math.inf)),
        ]
    return tries + ['64,64', '64,', '64;128'] * bool(p.allowed.many)


@pytest.mark.parametrize('notebook', NOTEBOOKS)
def test_parameters_refuse(notebook, record):
    "Every wrong value of every parameter: one sentence with the parameter's name and what is allowed."
    tried = refused = 0
    for p in NOTEBOOKS[notebook].parameters.values():
        if p.name in FREE:
            continue
        for text in beyond(p):
            tried += 1
            with pytest.raises(StudyError) as e:
                resolve_settings(NOTEBOOKS, 'tiny', [f'{notebook}.{p.name}={text}'])
            one_sentence(e.value, f'{notebook}.{p.name} must be ', ' not ')
            refused += 1
    record('parameters', notebook, tried=tried, refused=refused)
    assert tried == refused


def ends(p):
    "The outermost values that a parameter must take."
    if p.kind == 'bool':
        return ['true', 'false', 'True']
    if p.allowed.many:
        return [
            ', '.join(w.replace('N days', '14 days') for w in p.allowed.words)
            or f'{p.allowed.low}, {p.allowed.high}'
        ]
    if p.allowed.words:
        words = [re.sub(r'\bN\b', '17', w).replace('DATE', '2015-09-11') for w in p.allowed.words]
        return words + ['1e-9', f'{p.allowed.high}', '0001-01-01', '9999-12-31T23:59'] * p.allowed.bounded

    def inside(end, outwards, open_):
        return str(math.nextafter(end, -outwards) if open_ else end)

    return [
        inside(p.allowed.low, -math.inf, p.allowed.above),
        inside(p.allowed.high, math.inf, p.allowed.below),
    ]


@pytest.mark.parametrize('notebook', NOTEBOOKS)
def test_parameters_take_their_ends(notebook):
    for p in NOTEBOOKS[notebook].parameters.values():
        if p.name not in FREE:
            for text in ends(p):
                p.parse(text)


CONTRADICTIONS = [  # settings, what the sentence must name
    (
        ['12_sasrec.heads=3'],
        (
            '12_sasrec.hidden_dim must be from 2 to 1,024, '
            'where hidden_dim % heads is 0, not 64, while heads is 3'
        ),
    ),
    (['heads=3', '12_sasrec.hidden_dim=66'], '17_bert4rec.hidden_dim must be'),
    (['12_sasrec.large_epochs=1', '12_sasrec.large_dim=129'], '12_sasrec.large_dim must be'),
    (
        ['11_als.max_factors=19'],
        (
            '11_als.min_factors must be from 1 to 1,024, '
            'where min_factors ≤ max_factors, not 20, while max_factors is 19'
        ),
    ),
    (['11_als.min_regularization=0.2'], 'max_regularization is 0.1'),
    (['11_als.min_iterations=51'], 'max_iterations is 50'),
    (['17_bert4rec.ending_share=0'], '17_bert4rec.ending_share must be'),
    (['90_benchmarks.widths=64,65'], '90_benchmarks.widths must be'),
    (['seed=1', 'seed=2'], '-p seed=1 and -p seed=2 contradict each other'),
    (['12_sasrec.epochs=1', 'seed=1', '12_sasrec.epochs=2'], 'contradict each other'),
    (['epochs=0'], '12_sasrec.epochs must be from 1 to 1,000, not 0'),
]


@pytest.mark.parametrize(
    'settings, named', CONTRADICTIONS, ids=lambda x: ' '.join(x) if isinstance(x, list) else None
)
def test_contradictions_are_refused(settings, named, record):
    with pytest.raises(StudyError) as e:
        resolve_settings(NOTEBOOKS, 'default', settings)
    one_sentence(e.value, named)
    record('parameters', ' '.join(settings), tried=1, refused=1)


def test_what_only_looks_like_a_contradiction():
    values = resolve_settings(
        NOTEBOOKS,
        'default',
        [
            '12_sasrec.epochs=7',
            'epochs=5',
            'epochs=5',
            '12_sasrec.heads=3',
            '12_sasrec.hidden_dim=96',
            '12_sasrec.large_dim=128',
        ],
    )
    assert values['12_sasrec']['epochs'] == 7 and values['16_gru4rec']['epochs'] == 5, (
        'a setting for one notebook counts more than one for all'
    )
    values = resolve_settings(NOTEBOOKS, 'default', ['34_certainty.rolling=Popularity (14 days), ALS'])
    assert values['34_certainty']['rolling'] == 'Popularity (14 days), ALS'
    only_cloze = ['17_bert4rec.ending_share=0', '17_bert4rec.cloze_share=1', 'trials=1']
    values = resolve_settings(NOTEBOOKS, 'default', only_cloze)
    assert values['17_bert4rec']['ending_share'] == 0


# the command line

LONG = 'x' * 300
REFUSED = [  # arguments, what the one sentence must name
    (['run', '--time-limit', 'nan'], '--time-limit must be a number from 0 to 525,600'),
    (['run', '--time-limit', '-1'], '--time-limit must be'),
    (['run', '--time-limit', 'inf'], '--time-limit must be'),
    (['run', '--time-limit', '1e9'], '--time-limit must be'),
    (['run', '--time-limit', 'soon'], '--time-limit must be'),
    (['run', '--time-limit', ''], '--time-limit must be'),
    (['demo', '--port', '0'], '--port must be a number from 1 to 65,535'),
    (['demo', '--port', '-1'], '--port must be'),
    (['demo', '--port', '70000'], '--port must be'),
    (['demo', '--port', 'http'], '--port must be'),
    (['demo', '--port', '80.5'], '--port must be'),
    (['demo', '--port', '1' + '0' * 30], '--port must be'),
    *(
        (['run', '--study', name], 'use letters, digits, - and _ only, at most 100')
        for name in (
            '.',
            '..',
            '-x',
            '../up',
            '/tmp',
            'a/b',
            'a\\b',
            'ends.',
            'with space',
            ' ',
            'a:b',
            'a*',
            'tab\t',
            'line\n',
            '\u202e',
            LONG,
            'ü' * 60,
        )
    ),
    (['run', '--data', 'no/such/place'], '--data no/such/place does not exist'),
    (['run', '--study', 'a', '--data', '-x'], 'does not exist'),
    (['run', '--study', 'a', '--data', LONG], 'does not exist'),
    (['run', '--data', LONG], 'at most 100'),
    *(
        (['run', '--data', f'simulated:{spec}'], '--data simulated')
        for spec in (
            'visitors=0',
            'items=-1',
            'days=1e9',
            'days=0',
            'visitors=nan',
            'visitors=2.5',
            'visitors=' + '9' * 30,
            'seed=-1',
            'seed=',
            'shops=3',
            '=3',
            'visitors',
            'tny',
            'tiny,full',
            'visitors=9,visitors=9',
            'days=30,days=31',
            'tiny;days=3',
            'visitors=100000000,items=10000000',
        )
    ),
    (['run', '--data', 'simulated:days=5,visitors=100000000'], 'GB of memory'),
    (['run', '--only', '90_benchmarks', '-p', '90_benchmarks.full=simulated:items=-1'], '90_benchmarks.full'),
    (['run', '--profile', ''], 'there is no profile'),
    (['run', '--profile', 'Tiny'], 'did you mean tiny'),
    (['run', '--profile', 'tiny', '--profile', 'x'], 'no profile x'),
    (['run', '--only', ''], 'there is no notebook'),
    (['run', '--only', '12_sasrec.ipynb'], 'did you mean 12_sasrec'),
    (['run', '--only', '83_study'], 'there is no notebook 83_study'),
    (['run', '--only', '11_als', '--only', '12_sasrek'], 'did you mean 12_sasrec'),
    (
        ['run', '--only', '02_eda', '-p', '12_sasrec.epochs=3'],
        '12_sasrec, which this run leaves out: add --only 12_sasrec',
    ),
    (['run', '--only', '02_eda', '-p', 'batch_rows=3'], 'which this run leaves out'),
    (['run', '-p', '90_benchmarks.growth=2'], 'add --only 90_benchmarks'),
    (['run', '-p', ''], 'write parameter=value'),
    (['run', '-p', '=3'], 'write parameter=value'),
    (['run', '-p', '12_sasrec.=3'], 'write parameter=value'),
    (['run', '-p', '.epochs=3'], 'there is no notebook'),
    (['run', '-p', 'a.b.epochs=3'], 'there is no notebook a.b'),
    (['run', '-p', 'out=x'], '--study'),
    (['run', '-p', '12_sasrec.hidden_dim=3'], '12_sasrec.hidden_dim must be from 2 to 1,024'),
    (['run', '-p', 'context=windw'], 'context must be all or window'),
    (['run', '-p', 'seed=1', '-p', 'seed=2'], 'contradict'),
    (['run', '-p', '12_sasrec.heads=3'], 'while heads is 3'),
    (['run', '-q', '-v'], 'contradict'),
    (['run', '--force', 'yes'], 'unexpected'),
    (['run', '--forc'], 'No such option'),
    (['run', '--study'], 'requires an argument'),
    (['demo', '--study', ''], 'there is no study'),
    (['demo', '--study', '..'], 'there is no study ..'),
    (['open'], 'name a study: there are '),
    (['open', '..'], 'there is no study ..'),
    (['open', LONG], 'there is no study'),
    (['open', 'a', 'b'], 'unexpected'),
    (['diff', 'a'], 'name a study: there are '),
    (['diff', 'sessions', 'sessions'], 'one study: name two'),
    (['diff', 'sessions', 'x'], 'there is no study x'),
    (['verify'], 'name a study: there are '),
    (['verify', 'README.md'], 'there is no study README.md'),
    (['verify', '../..'], 'there is no study'),
    (['fetch', '--dest', 'settings.ini'], 'choose a new or an empty folder'),
    (['fetch', '--dest', 'nbs'], 'choose a new or an empty folder'),
    (['fetch', '--dest', 'settings.ini/x'], 'choose another folder'),
    (['fetch', '--dest', LONG], '--dest'),
    (['fetch', 'x'], 'unexpected'),
    (['runs', 'x'], 'unexpected'),
    (['readme', '--all'], 'No such option'),
    (['rn'], 'there is no command rn: did you mean run?'),
]


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    "The project's notebooks and studies, where nothing may be written."
    folder = tmp_path_factory.mktemp('project')
    (folder / 'reports').mkdir()
    for name in ('nbs', 'settings.ini'):
        (folder / name).symlink_to(ROOT / name)
    for name in ('sessions', 'buyers'):
        (folder / 'reports' / name).mkdir()
        (folder / 'reports' / name / 'manifest.json').write_bytes(
            (ROOT / 'reports' / name / 'manifest.json').read_bytes()
        )
    (folder / 'reports' / 'README.md').write_text('of the reports')
    return folder


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if 'nbs' not in p.parts)


@pytest.mark.parametrize(
    'arguments, named',
    REFUSED,
    ids=lambda x: re.sub(r'[^ -~]', '?', ' '.join(x))[:60] if isinstance(x, list) else None,
)
def test_refused_before_anything_runs(project, arguments, named, record, monkeypatch):
    "Status 2, one sentence, no traceback, and not a file more than before."
    monkeypatch.chdir(project)
    before = files(project)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), (
        done.exit_code,
        done.exception,
        done.output,
    )
    assert (
        done.stderr.startswith('recsys-nb: ')
        and named in done.stderr
        and done.stderr.count('\n') == 1
        and not done.stdout
    ), done.output
    assert files(project) == before
    record('parameters', f"recsys-nb {' '.join(arguments)}"[:80], tried=1, refused=1)


def test_a_study_is_no_file(project, monkeypatch):
    monkeypatch.chdir(project)
    done = CliRunner().invoke(app, ['run', '--profile', 'tiny', '--study', 'README.md'])
    assert done.exit_code == 2 and 'reports/README.md is a file, choose another name' in done.stderr, (
        done.output
    )


@pytest.mark.parametrize(
    'arguments, named',
    [REFUSED[0], REFUSED[-1], (['run', '-p', '12_sasrec.hidden_dim=3'], 'from 2 to 1,024')],
    ids=lambda x: ' '.join(x) if isinstance(x, list) else None,
)
def test_refused_by_the_command_itself(project, arguments, named):
    done = subprocess.run(
        [str(Path(sys.executable).parent / 'recsys-nb'), *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {'COLUMNS': '80'},
    )
    assert (
        done.returncode == 2 and named in done.stderr and done.stderr.count('\n') == 1 and not done.stdout
    ), done.stdout + done.stderr


def test_help_is_still_help(project, monkeypatch):
    monkeypatch.chdir(project)
    assert (
        'Usage' in CliRunner().invoke(app, ['run', '--help']).stdout
        and CliRunner().invoke(app, ['run', '--help']).exit_code == 0
    )
    nothing = CliRunner().invoke(app, [])
    assert nothing.exit_code == 2 and 'Usage' in nothing.output


# a parameters cell that was edited by hand: the library says which argument is wrong


def wrong_arguments():
    from recsys_nb.als import ALS
    from recsys_nb.bert4rec import BERT4RecModule
    from recsys_nb.ease import EASE
    from recsys_nb.gru4rec import GRU4RecModule
    from recsys_nb.hybrid import Hybrid
    from recsys_nb.sasrec import SASRecModule
    from recsys_nb.protocol import latest, part_of
    from recsys_nb.tuning import search

    networks = [
        (m, dict(name_) | {})
        for m in (SASRecModule, BERT4RecModule, GRU4RecModule)
        for name_ in (
            dict(hidden_dim=0),
            dict(max_len=0),
            dict(max_len=65),
            dict(dropout=1.0),
            dict(negatives=-1),
            dict(temperature=-1.0),
            dict(temperature=math.nan),
        )
    ]
    yield from ((lambda m=m, c=c: m(9, **c), next(iter(c))) for m, c in networks)
    yield from ((lambda m=m: m(9, hidden_dim=64, heads=3), 'heads') for m in (SASRecModule, BERT4RecModule))
    yield lambda: GRU4RecModule(9, loss='hinge'), 'loss'
    yield lambda: BERT4RecModule(9, cloze_share=0.0, ending_share=0.0), 'ending_share'
    yield from (
        (lambda c=c: ALS(**c), next(iter(c)))
        for c in (dict(factors=0), dict(iterations=0), dict(regularization=0.0), dict(alpha=math.nan))
    )
    yield from (
        (lambda c=c: EASE(**c), next(iter(c)))
        for c in (dict(kept=0), dict(neighbours=-1), dict(max_items=0, neighbours=0))
    )
    yield lambda: Hybrid([], depth=0), 'depth'
    yield lambda: part_of(range(9), 0), 'n is 0'
    yield lambda: latest(None, -1), 'n is -1'
    yield lambda: search('.', 'ALS', None, None, -1, []), 'trials'


def wrong_windows():
    import numpy as np, pandas as pd
    from recsys_nb.protocol import make_protocols

    n = np.arange(400)
    log = pd.DataFrame(
        dict(
            timestamp=pd.to_datetime(n, unit='h', utc=True).as_unit('ms'),
            visitorid=n % 7,
            itemid=n % 5,
            event=pd.Categorical(['view'] * 400, ['view', 'addtocart', 'transaction']),
        )
    )
    for c in (
        dict(test_days=0),
        dict(test_days=-1),
        dict(valid_days=0),
        dict(context='windw'),
        dict(min_history=0),
        dict(min_item_events=0),
        dict(test_days=99),
    ):
        yield lambda c=c: make_protocols(log, **dict(test_days=3, valid_days=3) | c), next(iter(c))


@pytest.mark.parametrize('wrong', [wrong_arguments, wrong_windows])
def test_the_library_names_the_argument(wrong, record):
    tried = 0
    for call, named in wrong():
        tried += 1
        with pytest.raises(ValueError) as e:
            call()
        one_sentence(e.value, named, 'expected')
    record('parameters', wrong.__name__.replace('_', ' '), tried=tried, refused=tried)


@pytest.mark.parametrize(
    'name, config',
    [
        (
            'sasrec.SASRec',
            dict(
                hidden_dim=2,
                heads=2,
                blocks=1,
                max_len=1,
                dropout=0.0,
                negatives=1,
                temperature=0.0,
                warmup_steps=0,
                batch_rows=1,
            ),
        ),
        (
            'sasrec.SASRec',
            dict(
                hidden_dim=2,
                heads=1,
                max_len=64,
                dropout=0.999,
                negatives=100_000,
                temperature=10.0,
                learning_rate=1e-9,
                weight_decay=1.0,
                warmup_steps=10**6,
            ),
        ),
        (
            'gru4rec.GRU4Rec',
            dict(
                hidden_dim=2,
                max_len=1,
                dropout=0.0,
                loss='bpr-max',
                penalty=1000.0,
                negatives=1,
                alpha=0.0,
                temperature=0.0,
                warmup_steps=0,
                batch_rows=1,
            ),
        ),
        (
            'gru4rec.GRU4Rec',
            dict(hidden_dim=2, max_len=64, dropout=0.999, negatives=100_000, alpha=1.0, temperature=10.0),
        ),
        (
            'bert4rec.BERT4Rec',
            dict(
                hidden_dim=2,
                heads=1,
                blocks=1,
                max_len=2,
                mask_probability=1e-9,
                cloze_share=1.0,
                ending_share=0.0,
                negatives=1,
                temperature=0.0,
                batch_rows=1,
            ),
        ),
        (
            'bert4rec.BERT4Rec',
            dict(
                hidden_dim=2,
                heads=2,
                max_len=64,
                mask_probability=1.0,
                cloze_share=0.0,
                ending_share=1.0,
                negatives=100_000,
            ),
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else '',
)
def test_the_ends_train(name, config, record):
    "A network at the ends of its ranges learns something and recommends."
    import importlib
    import numpy as np, pandas as pd
    from recsys_nb.protocol import histories_from_log, make_protocols

    n = np.arange(600)
    log = pd.DataFrame(
        dict(
            timestamp=pd.to_datetime(n, unit='h', utc=True).as_unit('ms'),
            visitorid=n % 6,
            itemid=(n * 7 // 6) % 9,
            event=pd.Categorical(['view'] * 600, ['view', 'addtocart', 'transaction']),
        )
    )
    p = make_protocols(log, 5, 5)
    module, model = name.split('.')
    model = getattr(importlib.import_module(f'recsys_nb.{module}'), model)(
        epochs=1, seed=10**6, **config
    ).fit(p.split.fit, p.valid, progress=False)
    items, scores = model.recommend(histories_from_log(p.split.fit)[0], 3)
    assert items.shape == (6, 3) and np.isfinite(scores).all()
    record('parameters', f'{name} at the ends of its ranges', tried=len(config))


@pytest.mark.parametrize('profile', ['', *read_profiles(ROOT)])
def test_with_features_sasrec_is_trained_as_long_as_without(profile):
    "Else their difference would be one of passes over the events."
    values = resolve_settings(NOTEBOOKS, profile or 'tiny', [])
    defaults = {n: NOTEBOOKS[n].parameters['epochs'].default for n in ('12_sasrec', '19_features')}
    epochs = {n: values[n]['epochs'] for n in defaults} if profile else defaults
    assert epochs['19_features'] == epochs['12_sasrec']
