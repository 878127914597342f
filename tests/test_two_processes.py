"Two processes at one search, and one training spread over processes: real ones, with what they leave behind."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def wait_for(what, seconds=60):
    "Wait until something is true."
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(.01)


# searches: a process that has imported all that is needed forks those that search

TRIALS = 6


def search_there(folder, name, database, pause):
    "Search a parabola, writing down which process tries what; the second trial begins with a pause."
    from recsys_nb.tuning import tune
    def score(x):
        with open(folder/'tried', 'a') as file: file.write(f'{name} {x!r}\n')
        if len(tried(folder)) == 2: pause()
        return -(x - 1) ** 2
    study = tune(lambda trial: dict(x=trial.suggest_float('x', -5, 5)), score, TRIALS, folder/f'{database}.db', 'x', 0, dict(x=0.))
    (folder/f'{name}.json').write_text(json.dumps([(t.state.name, t.params.get('x'), t.value) for t in study.trials]))


def tried(folder):
    "Which process tried which point, in order."
    path = folder/'tried'
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def fork(folder, name, database='shared', pause=lambda: None):
    "Search in a process of its own: its number."
    if pid := os.fork(): return pid
    errors = os.open(folder/f'{name}.err', os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    try:
        search_there(folder, name, database, pause)
        os._exit(0)
    except BaseException as e:
        os.write(2, f'{type(e).__name__}: {e}'.encode())
        os._exit(1)


def status(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def two_searches(folder, end_one):
    "The second comes while the first is in its second trial; when it waits, one may be ended."
    folder = Path(folder)
    go_on = lambda: wait_for((folder/'go on').exists)
    first = fork(folder, 'first', pause=go_on)
    wait_for(lambda: len(tried(folder)) == 2)
    second = fork(folder, 'second')
    wait_for(lambda: (folder/'second.err').exists() and (folder/'second.err').read_text() or (folder/'second.json').exists())
    before = tried(folder)
    if end_one == 'first': os.kill(first, signal.SIGKILL)
    if end_one == 'second': os.kill(second, signal.SIGINT)
    if end_one == 'second': time.sleep(.3)
    (folder/'go on').touch()
    return before, status(first), status(second)


def serve():
    "Do what a test asks for, and unbroken the same."
    import recsys_nb.tuning # noqa: F401
    for line in sys.stdin:
        folder, end_one = json.loads(line)
        (Path(folder)/'alone').mkdir()
        answer = dict(ends=two_searches(folder, end_one), alone=status(fork(Path(folder)/'alone', 'alone')))
        print(json.dumps(answer), flush=True)


@pytest.fixture(scope='module')
def searches():
    "Two searches at once, in processes of their own: what they did, said and kept."
    env = os.environ | dict(PYTHONPATH=f'{Path(__file__).parent}:{ROOT}')
    server = subprocess.Popen([sys.executable, '-c', 'import test_two_processes; test_two_processes.serve()'], env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def ask(folder, end_one=None):
        server.stdin.write(json.dumps([str(folder), end_one]) + '\n')
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        kept = lambda path: json.loads(path.read_text()) if path.exists() else None
        return dict(before=answer['ends'][0], ends=answer['ends'][1:], tried=tried(folder),
                    said=[(folder/f'{name}.err').read_text() for name in ('first', 'second')],
                    kept=[kept(folder/f'{name}.json') for name in ('first', 'second')],
                    alone=kept(folder/'alone'/'alone.json'), hidden=list(folder.glob('.*')))
    yield ask
    server.kill()
    server.wait()


def test_two_searches_at_once(tmp_path, searches):
    "The second waits, saying so, and finds all trials done."
    found = searches(tmp_path)
    assert found['ends'] == [0, 0], found['said']
    assert found['said'][0] == '' and 'waits for its end' in found['said'][1]
    assert [who for who, _ in found['tried']] == ['first'] * TRIALS and len({x for _, x in found['tried']}) == TRIALS
    assert found['kept'][0] == found['kept'][1] == found['alone'] and found['hidden'] == []


def test_the_first_of_two_searches_is_killed(tmp_path, searches):
    "The second takes its place, and ends like an unbroken one but for the trial that was running."
    found = searches(tmp_path, 'first')
    assert found['ends'] == [-signal.SIGKILL, 0], found['said']
    assert [who for who, _ in found['before']] == ['first', 'first'] and 'waits for its end' in found['said'][1]
    assert [t for t in found['kept'][1] if t[0] == 'COMPLETE'] == found['alone']
    assert [t[0] for t in found['kept'][1] if t[0] != 'COMPLETE'] == ['FAIL'] and found['hidden'] == []


def test_ctrl_c_while_a_search_waits(tmp_path, searches):
    "The second ends at once, and the first goes on as if alone."
    found = searches(tmp_path, 'second')
    assert found['ends'] == [0, 1] and 'KeyboardInterrupt' in found['said'][1]
    assert found['kept'] == [found['alone'], None] and found['hidden'] == []
