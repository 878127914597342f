"The command line, good and bad, and two studies with one seed."

import json
import re
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from studies import QUICK, at_door, project as copy_project

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    "A copy of the project, so that reports of tests never mix with real ones; data are shared."
    return copy_project(tmp_path_factory.mktemp('project'))


def recsys(project, *arguments, timeout=600, program=(str(BIN / 'recsys-nb'),), env=None):
    "What a command prints and how it ends."
    done = subprocess.run(
        [*program, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env=os.environ | {'PATH': f'{BIN}:{os.environ["PATH"]}', 'COLUMNS': '200'} | (env or {}),
    )
    assert 'Traceback' not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


REFUSED = [  # arguments, what the one sentence must name
    (['run', '--profile', 'tniy'], 'did you mean tiny'),
    (['run', '--only', '12_sasrce'], 'did you mean 12_sasrec'),
    (['run', '-p', '12_sasrec.hiden_dim=128'], 'did you mean hidden_dim'),
    (['run', '-p', '12_sasrc.hidden_dim=128'], 'did you mean 12_sasrec'),
    (['run', '-p', 'contxt=window'], 'did you mean context'),
    (['run', '-p', '12_sasrec.hidden_dim=wide'], 'must be of type int'),
    (['run', '-p', 'seed'], 'write parameter=value'),
    (['run', '-p', 'data=elsewhere'], '--data'),
    (['run', '--data', 'no/such/place'], 'does not exist'),
    (['run', '--data', 'simulated:tny'], 'tiny'),
    (['run', '--profile', 'tiny', '-p', 'test_days=400'], 'no event is left to train on'),
    (['run', '--study', '../elsewhere'], 'use letters'),
    (['demo', '--study', 'nothing'], 'no study nothing'),
    (['open', 'nothing'], 'no study nothing'),
    (['open', 'tiny'], 'recsys-nb run --profile tiny makes it'),
    (['open'], 'name a study'),
    (['diff'], 'name two studies'),
    (['rnus'], 'did you mean runs'),
    (['diff', 'nothing', 'one'], 'no study nothing'),
    (['run', '--quiet', '--verbose'], 'contradict'),
]


@pytest.mark.parametrize(
    'arguments, named', REFUSED, ids=lambda x: ' '.join(x) if isinstance(x, list) else None
)
def test_refused_before_anything_runs(project, arguments, named):
    done = recsys(project, *arguments)
    assert done.returncode == 2 and named in ' '.join(done.stderr.split()), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_explains_every_option(project):
    text = recsys(project, 'run', '--help').stdout
    for option in ('--data', '--events', '--study', '--profile', '--parameter', '--only', '--force'):
        assert option in text


@pytest.mark.parametrize('columns', ['60', '80', '160'])
def test_summaries_end_where_a_sentence_ends(project, columns):
    done = subprocess.run(
        [str(BIN / 'recsys-nb'), '--help'],
        cwd=project,
        capture_output=True,
        text=True,
        env=os.environ | {'COLUMNS': columns},
    )
    commands = done.stdout.partition('Commands:')[2]
    assert '...' not in commands
    said = re.split(r'\n  (?=\w)', '\n' + commands.strip('\n'))[1:]
    assert len(said) >= 9 and all(text.rstrip().endswith('.') for text in said), said


def test_help_imports_nothing_heavy():
    "`recsys-nb --help` has to answer at once."
    heavy = {"numpy", "pandas", "torch", "jinja2", "pydantic"}
    code = f"import sys, recsys_nb.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'set()\n'


def test_version(project):
    done = recsys(project, '--version')
    assert done.returncode == 0 and re.fullmatch(r'recsys-nb \d+\.\d+\S*\n', done.stdout)


def test_bad_data_is_one_sentence(project, tmp_path):
    rows = ''.join(f'143062200438{i},{who},view,1,\n' for i, who in enumerate(('abc', 7, 8)))
    (tmp_path / 'events.csv').write_text(f'timestamp,visitorid,event,itemid,transactionid\n{rows}')
    done = recsys(project, 'run', '--data', str(tmp_path))
    assert (
        done.returncode == 2 and "line 2, column visitorid: found 'abc', expected an integer" in done.stderr
    )


ALL = sorted(p.stem for p in (ROOT / 'nbs').glob('1*.ipynb'))
RANDOM = ('11_als', '12_sasrec', '15_bpr', '16_gru4rec', '17_bert4rec')


def quick(models):
    "Small settings of these notebooks."
    return [
        *QUICK[:2],
        *(x for p in QUICK[3::2] if '.' not in p or p.split('.')[0] in models for x in ('-p', p)),
    ]


def forget_in_profiles(project, notebook):
    "Profiles speak of notebooks that are there only."
    profiles = project / 'nbs/profiles.toml'
    profiles.write_text(re.sub(rf'(?m)^\[\w+\.{notebook}\]\n(^[^\[\n].*\n)*', '', profiles.read_text()))


def run_twice(project, models, random):
    """The model notebooks and the comparison, and those that draw random numbers once more, same seed:
    first in kernels that are forked, then in such that are started."""
    again = [x for n in random for x in ('--only', n)]
    return [
        (
            recsys(project, 'run', '--study', 'one', *quick(models), '--only', '30_comparison', **at_door()),
            project / 'reports/one',
        ),
        (recsys(project, 'run', '--study', 'two', *quick(models), *again), project / 'reports/two'),
    ]


def same_seed_same_numbers(twice, random):
    for done, _ in twice:
        assert done.returncode == 0, done.stdout + done.stderr
    (_, one), (_, two) = twice
    results = sorted(
        p.relative_to(two)
        for pattern in ('results/*/metrics.json', 'results/*/ranks.parquet')
        for p in two.glob(pattern)
    )
    assert len(results) == 2 * len(random)
    for path in results:
        assert (one / path).read_bytes() == (two / path).read_bytes(), f'{path} differs between two runs'


def what_a_study_writes(twice):
    folder = twice[0][1]
    manifest = json.loads((folder / 'manifest.json').read_text())
    assert {'commit', 'dirty'} <= set(manifest['git']) and manifest['notebooks']['12_sasrec']['parameters'][
        'epochs'
    ] == 1
    table = pd.read_csv(folder / 'comparison.csv')
    assert list(table.columns) == ['protocol', 'slice', 'model', 'metric', 'k', 'value', 'low', 'high', 'n']
    assert {'Popularity', 'History', 'Item-Item CF', 'SASRec'} <= set(table.model)
    assert {'next-item', 'purchases', 'as-published'} == set(table.protocol)
    assert {'all', 'repeat', 'explore', 'short', 'long', 'head', 'tail', 'new', 'returning'} <= set(
        table['slice']
    )
    assert set(table.k) == {1, 5, 10, 20}
    for page in ('index.html', '12_sasrec.html', 'comparison.html', 'comparison.md'):
        text = (folder / page).read_text()
        assert (
            str(ROOT) not in text
            and str(Path.home()) + '/' not in text
            and 'src="http' not in text
            and '<link' not in text
        )
        assert len(text) < 3_000_000


def rerun_skips_what_did_not_change(project, models):
    done = recsys(project, 'run', '--study', 'one', *quick(models), '--only', '30_comparison')
    assert done.returncode == 0 and done.stdout.count('skipped') == len(models) + 1, done.stdout


def the_difference_of_two_studies(project):
    done = recsys(project, 'diff', 'one', 'two')
    assert done.returncode == 0 and 'Different are notebooks.' in done.stdout, done.stdout
    assert 'The studies have no metric in common.' in done.stdout.splitlines()[0]  # two has no comparison
    page = (project / 'reports/one-against-two.html').read_text()
    assert 'one against two' in page and '30_comparison' in page


def a_failing_notebook_leaves_a_row(project, models):
    done = recsys(
        project,
        'run',
        '--study',
        'one',
        *quick(models),
        '--only',
        '30_comparison',
        '-p',
        '12_sasrec.temperature=1e-300',
        **at_door(),
    )
    assert done.returncode == 1 and '12_sasrec  failed' in done.stdout
    assert '| SASRec | failed |' in (project / 'reports/one/comparison.md').read_text()
    assert 'failed' in (project / 'reports/one/12_sasrec.html').read_text()


@pytest.mark.parametrize(
    'models',
    [('10_baselines', '12_sasrec'), pytest.param(ALL, marks=pytest.mark.torture)],
    ids=['some', 'all'],
)
def test_studies(tmp_path, models):
    """One test, since the two studies take a minute and must not be made once for each process.

    Of models that draw random numbers there is a network: `check_recommender` holds the others
    to learning the same again, and `make torture` runs them all."""
    project = copy_project(tmp_path)
    for path in (project / 'nbs').glob('1*.ipynb'):
        if path.stem not in models:
            path.unlink()
            forget_in_profiles(project, path.stem)
    random = [n for n in RANDOM if n in models]
    twice = run_twice(project, models, random)
    same_seed_same_numbers(twice, random)
    what_a_study_writes(twice)
    rerun_skips_what_did_not_change(project, models)
    the_difference_of_two_studies(project)
    a_failing_notebook_leaves_a_row(project, models)


def test_what_the_shell_completes(project):
    def complete(line):
        done = subprocess.run(
            [str(BIN / 'recsys-nb')],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ
            | {
                '_RECSYS_NB_COMPLETE': 'complete_bash',
                'COMP_WORDS': line,
                'COMP_CWORD': str(len(line.split(' ')) - 1),
            },
        )
        return done.stdout.split()

    assert complete('recsys-nb run --profile ti') == ['tiny'] and complete('recsys-nb run --only 12') == [
        '12_sasrec'
    ]
    assert '12_sasrec.hidden_dim=' in complete('recsys-nb run -p 12_sasrec.h') and 'diff' in complete(
        'recsys-nb d'
    )


def test_a_terminal_gets_a_line_a_notebook(project):
    "On a pseudo-terminal the board is drawn, and stays at the end; what was a line of it before is gone."
    import pty

    leader, follower = pty.openpty()
    p = subprocess.Popen(
        [str(BIN / 'recsys-nb'), 'run', '--profile', 'tiny', '--study', 'terminal', '--only', '04_metrics'],
        cwd=project,
        stdout=follower,
        stderr=follower,
        stdin=follower,
        close_fds=True,
        env=os.environ | {'COLUMNS': '100', 'LINES': '30', 'TERM': 'xterm'},
    )
    os.close(follower)
    told = b''
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:
            break
        if not part:
            break
        told += part
    assert p.wait(60) == 0, told.decode()
    text = told.decode()
    assert (
        'cell ' in text
        and '▸' in text
        and '✓' in text.splitlines()[-2]
        and 'done' in text.splitlines()[-2]
        and 'reports/terminal/index.html' in text.splitlines()[-1]
    )
