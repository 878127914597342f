"Two processes at one search, and one training spread over processes: real ones, with what they leave behind."

import json
import os
import re
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
        time.sleep(0.01)


# searches: a process that has imported all that is needed forks those that search

TRIALS = 6


def search_there(folder, name, database, pause):
    "Search a parabola, writing down which process tries what; the second trial begins with a pause."
    from recsys_nb.tuning import tune

    def score(x):
        with open(folder / 'tried', 'a') as file:
            file.write(f'{name} {x!r}\n')
        if len(tried(folder)) == 2:
            pause()
        return -((x - 1) ** 2)

    study = tune(
        lambda trial: dict(x=trial.suggest_float('x', -5, 5)),
        score,
        TRIALS,
        folder / f'{database}.db',
        'x',
        0,
        dict(x=0.0),
    )
    (folder / f'{name}.json').write_text(
        json.dumps([(t.state.name, t.params.get('x'), t.value) for t in study.trials])
    )


def tried(folder):
    "Which process tried which point, in order."
    path = folder / 'tried'
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def fork(folder, name, database='shared', pause=lambda: None):
    "Search in a process of its own: its number."
    if pid := os.fork():
        return pid
    errors = os.open(folder / f'{name}.err', os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    try:
        search_there(folder, name, database, pause)
        os._exit(0)
    except BaseException as e:
        os.write(2, f'{type(e).__name__}: {e}'.encode())
        os._exit(1)


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def two_searches(folder, end_one):
    "The second comes while the first is in its second trial; when it waits, one may be ended."
    folder = Path(folder)
    first = fork(folder, 'first', pause=lambda: wait_for((folder / 'go on').exists))
    wait_for(lambda: len(tried(folder)) == 2)
    second = fork(folder, 'second')
    wait_for(
        lambda: (
            (folder / 'second.err').exists()
            and (folder / 'second.err').read_text()
            or (folder / 'second.json').exists()
        )
    )
    before = tried(folder)
    if end_one == 'first':
        os.kill(first, signal.SIGKILL)
    if end_one == 'second':
        os.kill(second, signal.SIGINT)
    if end_one == 'second':
        time.sleep(0.3)
    (folder / 'go on').touch()
    return before, status(first), status(second)


def serve():
    "Do what a test asks for, and unbroken the same."
    import recsys_nb.tuning  # noqa: F401

    for line in sys.stdin:
        folder, end_one = json.loads(line)
        (Path(folder) / 'alone').mkdir()
        answer = dict(ends=two_searches(folder, end_one), alone=status(fork(Path(folder) / 'alone', 'alone')))
        print(json.dumps(answer), flush=True)


@pytest.fixture(scope='module')
def searches():
    "Two searches at once, in processes of their own: what they did, said and kept."
    env = os.environ | dict(PYTHONPATH=f'{Path(__file__).parent}:{ROOT}')
    server = subprocess.Popen(
        [sys.executable, '-c', 'import test_two_processes; test_two_processes.serve()'],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def kept(path):
        return json.loads(path.read_text()) if path.exists() else None

    def ask(folder, end_one=None):
        server.stdin.write(json.dumps([str(folder), end_one]) + '\n')
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        return dict(
            before=answer['ends'][0],
            ends=answer['ends'][1:],
            tried=tried(folder),
            said=[(folder / f'{name}.err').read_text() for name in ('first', 'second')],
            kept=[kept(folder / f'{name}.json') for name in ('first', 'second')],
            alone=kept(folder / 'alone' / 'alone.json'),
            hidden=list(folder.glob('.*')),
        )

    yield ask
    server.kill()
    server.wait()


def test_two_searches_at_once(tmp_path, searches):
    "The second waits, saying so, and finds all trials done."
    found = searches(tmp_path)
    assert found['ends'] == [0, 0], found['said']
    assert found['said'][0] == '' and 'waits for its end' in found['said'][1]
    assert [who for who, _ in found['tried']] == ['first'] * TRIALS and len(
        {x for _, x in found['tried']}
    ) == TRIALS
    assert found['kept'][0] == found['kept'][1] == found['alone'] and found['hidden'] == []


def test_the_first_of_two_searches_is_killed(tmp_path, searches):
    "The second takes its place, and ends like an unbroken one but for the trial that was running."
    found = searches(tmp_path, 'first')
    assert found['ends'] == [-signal.SIGKILL, 0], found['said']
    assert [who for who, _ in found['before']] == ['first', 'first'] and 'waits for its end' in found['said'][
        1
    ]
    assert [t for t in found['kept'][1] if t[0] == 'COMPLETE'] == found['alone']
    assert [t[0] for t in found['kept'][1] if t[0] != 'COMPLETE'] == ['FAIL'] and found['hidden'] == []


def test_ctrl_c_while_a_search_waits(tmp_path, searches):
    "The second ends at once, and the first goes on as if alone."
    found = searches(tmp_path, 'second')
    assert found['ends'] == [0, 1] and 'KeyboardInterrupt' in found['said'][1]
    assert found['kept'] == [found['alone'], None] and found['hidden'] == []


# one training, several processes

TRAIN = '''
import hashlib, json, os, sys
import numpy as np, pandas as pd, torch
from pathlib import Path
from recsys_nb.data import EVENTS
from recsys_nb.protocol import Queries, encode, histories_from_lists
from recsys_nb.training import Curve
from recsys_nb.sasrec import SASRec
from recsys_nb.tuning import Hopeless, search


def little_log():
    "Item i is followed by i + 1."
    rng = np.random.default_rng(0)
    walks = [[(first + i) % 40 for i in range(rng.integers(3, 6))] for first in rng.integers(0, 40, 300)]
    events = pd.DataFrame([(v, i) for v, w in enumerate(walks) for i in w], columns=['visitorid', 'itemid'])
    events['timestamp'] = pd.to_datetime(np.arange(len(events)), unit='s', utc=True).as_unit('ms')
    ask = histories_from_lists([[i, (i + 1) % 40] for i in range(40)])
    targets = ((np.arange(40) + 2) % 40).astype(np.int32)
    valid = Queries(ask, targets, np.arange(41), np.arange(40), np.zeros(40, np.int64), np.ones(40, bool))
    return encode(events.assign(event=pd.Categorical(['view'] * len(events), EVENTS)), np.arange(40)), valid


def poison(rank, when):
    # Put a NaN into a weight of one process in the second epoch,
    # in its first batch or after its last step; returns what undoes it.
    entered = getattr(Curve, when)
    def both(self, trainer, module, *rest):
        if trainer.global_rank == rank and trainer.current_epoch == 1:
            with torch.no_grad(): module.norm.weight[0] = torch.nan
        return entered(self, trainer, module, *rest)
    setattr(Curve, when, both)
    return lambda: setattr(Curve, when, entered)


def hopeless(value, epoch):
    if epoch == 2: raise Hopeless('worse than the others')


def train(rank, epochs, folder=None, key='key', watch=False, poisoned='', searched=False, stop_after=None,
          rate=3e-3, lightning=None):
    "One training; how it ended."
    undo = poison(1, poisoned) if poisoned else lambda: None
    log, valid = little_log()
    model = SASRec(epochs=epochs, batch_rows=4, hidden_dim=16, blocks=1, warmup_steps=5, negatives=30,
                   dropout=.1, learning_rate=rate)
    folder = folder[rank] if isinstance(folder, list) else folder
    def fit(x=0):
        model.fit(log, valid, folder, key, watch=hopeless if watch else None, stop_after=stop_after,
                  lightning=dict(accelerator='cpu') | (lightning or {}))
        return 0.
    answer = {}
    try:
        if searched:
            search(folder, 'SASRec', lambda trial: dict(x=trial.suggest_float('x', 0, 1)), fit, 1, [])
        else:
            fit()
    except (Exception, SystemExit) as e:
        answer['raised'] = f'{type(e).__name__}: {e}'
    if hasattr(model, 'module') and hasattr(model, 'best_epoch'):
        weights = b''.join(w.detach().numpy().tobytes() for w in model.module.state_dict().values())
        history = model.history.drop(columns='seconds').to_dict('records')
        answer |= dict(weights=hashlib.sha256(weights).hexdigest(), history=history, best=model.best_epoch)
    undo()
    answer['processes'] = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    answer['kept'] = sorted(p.name for p in Path(folder).rglob('*.ckpt')) if folder else []
    return answer


def main(out, trainings):
    rank = int(os.environ.get('RANK', 0))
    Path(f'{out}.pid{rank}').write_text(str(os.getpid()))
    Path(f'{out}.{rank}').write_text(json.dumps([train(rank, **t) for t in trainings]))
'''
GUARDED = "\nif __name__ == '__main__': main(**json.loads(sys.argv[1]))\n"
UNGUARDED = '\nmain(**json.loads(sys.argv[1]))\n'


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def begin(place, trainings, torchrun=(), script=TRAIN + GUARDED, name='answer'):
    "Trainings one after another by a script, in one process or as torchrun starts it."
    path = place / f'train-{name}.py'
    path.write_text(script)
    env = os.environ | dict(PYTHONPATH=str(ROOT), GLOO_SOCKET_IFNAME='lo', OMP_NUM_THREADS='1')
    program = [sys.executable, *(['-m', 'torch.distributed.run', *torchrun] if torchrun else [])]
    with open(place / f'{name}.log', 'a') as log:
        return subprocess.Popen(
            [*program, str(path), json.dumps(dict(out=str(place / name), trainings=trainings))],
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def ended(place, processes, name='answer', timeout=200):
    "What each process answered, a list for each training; all of them have to end."
    try:
        for process in processes:
            process.wait(timeout)
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    answers = [json.loads(path.read_text()) for path in sorted(place.glob(f'{name}.[0-9]'))]
    assert answers, (place / f'{name}.log').read_text()
    return list(zip(*answers))


def one_node(place, *trainings):
    "torchrun on one machine, with two processes."
    process = begin(
        place,
        trainings,
        ['--nproc-per-node', '2', '--master-addr', '127.0.0.1', '--master-port', str(free_port())],
    )
    return ended(place, [process])


def start_nodes(place, trainings):
    "torchrun on two machines, or what passes for them, with a process each."
    port = str(free_port())

    def where(node):
        place = f'--master-addr 127.0.0.1 --master-port {port}'
        return f'--nnodes 2 --node-rank {node} --nproc-per-node 1 {place}'.split()

    return [begin(place, trainings, where(node)) for node in (0, 1)]


def alike(answers):
    "Two processes that ended the same way."
    assert len(answers) == 2, answers
    first, second = ({k: v for k, v in a.items() if k != 'kept'} for a in answers)
    assert first == second
    return first


def test_torchrun_on_one_machine(tmp_path):
    "Both processes end with the best epoch of both, and nothing is left in the folder that they share."
    asked, unasked = one_node(
        tmp_path, dict(folder=str(tmp_path / 'out'), epochs=2, lightning=dict(devices=2)), dict(epochs=2)
    )
    for answers in (asked, unasked):
        assert (
            'raised' not in alike(answers)
            and len(answers[0]['history']) == 2
            and answers[0]['processes'] == 2
        )
    assert not (tmp_path / 'out' / 'checkpoints' / 'key').exists()


@pytest.mark.torture
def test_two_machines_with_a_folder_each(tmp_path):
    """The same as with one folder;
    the second machine's folder stays empty; a training that was stopped goes on there, too."""
    folders = [str(tmp_path / name) for name in ('a', 'b')]
    whole, shared, stopped, again = ended(
        tmp_path,
        start_nodes(
            tmp_path,
            [
                dict(folder=folders, epochs=6),
                dict(folder=str(tmp_path / 'c'), epochs=6),
                dict(folder=folders, epochs=6, poisoned='on_train_epoch_end', key='x'),
                dict(folder=folders, epochs=6, key='x'),
            ],
        ),
    )
    assert alike(whole) == alike(shared) == alike(again) and whole[0]['best'] < 6
    assert alike(stopped)['raised'].startswith('FloatingPointError') and [a['kept'] for a in stopped] == [
        ['best.ckpt', 'last.ckpt'],
        [],
    ]
    assert not (tmp_path / 'b').exists() and not list((tmp_path / 'a').rglob('*.ckpt'))


@pytest.mark.torture
def test_processes_end_the_same_way(tmp_path):
    """Given up, poisoned in one process only, or set differently:
    every process says the same, none waits for ever."""
    out = str(tmp_path / 'out')
    given_up, early, late, differs, mismatch, spawn, searched, well = one_node(
        tmp_path,
        dict(folder=out, epochs=4, watch=True),
        dict(epochs=4, poisoned='on_train_batch_start'),
        dict(folder=out, epochs=4, poisoned='on_train_epoch_end'),
        dict(folder=[out, None], epochs=2),
        dict(epochs=2, lightning=dict(devices=1, num_nodes=1)),
        dict(epochs=2, lightning=dict(devices=2, strategy='ddp_spawn')),
        dict(folder=str(tmp_path / 'searched'), epochs=2, searched=True),
        dict(folder=out, epochs=2, key='well'),
    )
    assert alike(given_up)['raised'] == 'TrialPruned: worse than the others' and given_up[0]['kept'] == []
    assert re.match(
        r'FloatingPointError: training stopped: a gradient is not finite at step \d+; nothing is kept',
        alike(early)['raised'],
    )
    assert re.match(
        r'FloatingPointError: training stopped: .* is not finite after step \d+; '
        r'the model is as it was after epoch 1, which .*last.ckpt keeps',
        alike(late)['raised'],
    )
    assert 'differ in folder: give all of them the same' in alike(differs)['raised']
    assert 'torchrun has started 2 processes: leave both out' in alike(mismatch)['raised']
    assert 'leave out the strategy' in alike(spawn)['raised']
    assert 'search without them' in alike(searched)['raised']
    assert 'raised' not in alike(well) and len(well[0]['history']) == 2


@pytest.mark.torture
def test_processes_that_end_with_their_training(tmp_path):
    "ddp_spawn: what the processes met comes back, and who watches hears of it in the end."
    how = dict(lightning=dict(devices=2, strategy='ddp_spawn'))
    trainings = [
        dict(epochs=3, watch=True, searched=True, folder=str(tmp_path / 'a')) | how,
        dict(epochs=3, rate=1e30) | how,
    ]
    searched, explodes = (a for (a,) in ended(tmp_path, [begin(tmp_path, trainings)], timeout=500))
    assert 'no configuration of SASRec could be judged' in searched['raised'] and searched['kept'] == []
    assert re.match(
        'FloatingPointError: training stopped: .* not finite .* step .*; nothing is kept', explodes['raised']
    )


@pytest.mark.torture
def test_a_script_without_a_guard(tmp_path):
    "ddp_spawn would begin it anew in every process: it ends with a sentence."
    [[answer]] = ended(
        tmp_path,
        [
            begin(
                tmp_path,
                [dict(epochs=2, lightning=dict(devices=2, strategy='ddp_spawn'))],
                script=TRAIN + UNGUARDED,
            )
        ],
    )
    assert answer['raised'].startswith(
        'RuntimeError: a process that was started to help imports the script first'
    ), answer


@pytest.mark.torture
def test_a_machine_that_dies(tmp_path):
    "The other one ends, and the same command goes on where both were."
    folders = [str(tmp_path / name) for name in ('a', 'b')]
    [whole] = ended(
        tmp_path, start_nodes(tmp_path, [dict(folder=folders, epochs=40, stop_after=40, key='whole')])
    )
    (tmp_path / 'answer.0').unlink()
    nodes = start_nodes(tmp_path, [dict(folder=folders, epochs=40)])
    last = tmp_path / 'a' / 'checkpoints' / 'key' / 'last.ckpt'
    wait_for(last.exists)
    os.killpg(nodes[1].pid, signal.SIGKILL)  # torchrun, and what it has started
    os.kill(int((tmp_path / 'answer.pid1').read_text()), signal.SIGKILL)
    try:
        wait_for(lambda: (tmp_path / 'answer.0').exists() and (tmp_path / 'answer.0').read_text(), 120)
    finally:
        os.killpg(nodes[0].pid, signal.SIGKILL)  # torchrun waits for the other machine for five minutes
    for node in nodes:
        node.wait()
    assert 'raised' in json.loads((tmp_path / 'answer.0').read_text())[0] and last.exists(), (
        'it was done before it was killed'
    )
    [again] = ended(tmp_path, start_nodes(tmp_path, [dict(folder=folders, epochs=40)]))
    assert alike(again) == alike(whole)
