"""What every model must keep to, whatever it learns;
trainings and searches that are killed or explode; one and two threads."""

import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import recsys_nb
from recsys_nb.als import ALS
from recsys_nb.recommender import CHECKS, check_recommender, odd_histories, ring_log
from recsys_nb.baselines import History, ItemItemCF, Popularity, prefixes
from recsys_nb.recommender import NotFitted
from recsys_nb.bert4rec import BERT4Rec
from recsys_nb.blend import AGES, COUNTS
from recsys_nb.bpr import BPR
from recsys_nb.ease import EASE
from recsys_nb.graphs import GlobalSRGNN, LightGCN, SRGNN
from recsys_nb.gru4rec import GRU4Rec
from recsys_nb.hybrid import Hybrid
from recsys_nb.recommender import Recommender
from recsys_nb.neighbours import HistoryWalk
from recsys_nb.protocol import Queries, histories_from_log
from recsys_nb.sasrec import SASRec
from recsys_nb.show import models
from recsys_nb.training import Checkpoints, Curve
from recsys_nb.tuning import FINISHED, GIVEN_UP, place_lock, search, tune

HERE = Path(__file__).parent
SMALL = dict(epochs=1, hidden_dim=8, batch_rows=4, negatives=64)


def weights(features):
    "Weights as `fit_listwise` finds them, of features that it would weigh so."
    return dict(
        feature=features, age=[0.0] + [1 / (i + 1) for i in range(AGES)], count=[0.0] + [0.1] * COUNTS
    )


# how a class is made small, or made at all; any other of the library is made without arguments
MAKE = {
    'ALS': lambda: ALS(factors=8, iterations=4),
    'BPR': lambda: BPR(factors=8, iterations=4),
    'SASRec': lambda: SASRec(**SMALL),
    'GRU4Rec': lambda: GRU4Rec(**SMALL),
    'BERT4Rec': lambda: BERT4Rec(**SMALL),
    'LightGCN': lambda: LightGCN(**SMALL),
    'SRGNN': lambda: SRGNN(**SMALL),
    'GlobalSRGNN': lambda: GlobalSRGNN(**SMALL),
    'Hybrid': lambda: Hybrid(
        [SASRec(**SMALL), HistoryWalk()], 10, weights([1.0, 0.5, 0.2, 0.1, -0.5] * 2 + [0.1] * 3)
    ),
}

# other shapes of the same classes that the study uses
SHAPES = {
    'Popularity (purchases)': lambda: Popularity('transaction'),
    'Popularity (7 days)': lambda: Popularity('view', 7),
    'Item-Item CF as published': lambda: ItemItemCF(0, repeats=False, fill=False),
    'Item-Item CF, new items only': lambda: ItemItemCF(decay=0.5, repeats=False),
    'ALS, new items only': lambda: ALS(factors=8, iterations=4, repeats=False),
    'EASE over nearest columns': lambda: EASE(max_items=5),
    'ALS as published': lambda: ALS(factors=8, iterations=4, repeats=False, fill=False),
    'SASRec (large)': lambda: SASRec(
        **SMALL | dict(hidden_dim=16, ligr=True, event_inputs=True, gap_inputs=True)
    ),
    'SASRec calibrated': lambda: SASRec(**SMALL, weights=weights([1.0, 1.0, 1.0, 0.1, 0.1, 0.1])),
}


def library_models():
    "Every recommender class that a notebook exports."
    for module in pkgutil.iter_modules(recsys_nb.__path__):
        importlib.import_module(f'recsys_nb.{module.name}')
    found, todo = {}, [Recommender]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        named = getattr(cls, 'Module', cls) is not None  # what networks share has none
        if cls is not Recommender and named and cls.__module__.startswith('recsys_nb.'):
            found[cls.__name__] = cls
    return found


MODELS = {name: MAKE.get(name, cls) for name, cls in sorted(library_models().items())} | SHAPES


@pytest.mark.parametrize('name', MODELS)
def test_model_keeps_every_promise(name, record):
    checked = check_recommender(MODELS[name])
    assert len(checked) == len(CHECKS) >= 15
    record('models', name, checks=len(checked))


LARGE = ['ALS', 'GRU4Rec', 'SASRec (large)', 'SASRec calibrated']  # the others with the slow tests
IN_LARGE = [
    do
    for do in CHECKS
    if 'form' in do
    or 'alone' in do
    or 'fill' in do
    or 'saving' in do
    or 'threads' in do
    or 'learn the same' in do
]


@pytest.mark.parametrize(
    'name', [n if n in LARGE else pytest.param(n, marks=pytest.mark.torture) for n in MODELS]
)
def test_model_in_a_large_catalogue(name, record):
    """With so many items, negatives are drawn, only touched rows are updated,
    and lists go by half precision first."""
    assert len(IN_LARGE) == 6
    record(
        'models',
        f'{name}, 1,000 items',
        checks=len(check_recommender(MODELS[name], IN_LARGE, ring_log(300, 900, 100))),
    )


def test_every_model_of_the_tables_is_checked():
    """Who adds a model adds a class to the library;
    the tables know each by a name whose letters are the class's."""

    def letters(name):
        return ''.join(c for c in name.lower() if c.isalnum())

    same = {
        'History (counted)': 'CountedHistory',
        'S-KNN': 'SKNN',
        'Popularity (views)': 'Popularity',
        'SR-GNN (global)': 'GlobalSRGNN',
        'SASRec with features': 'FeatureSASRec',
        'Hybrid (graphs)': 'Hybrid',
        'Hybrid with features': 'Hybrid',
    }
    known = {letters(n) for n in MODELS}
    assert {n for n in (m.name for m in models()) if letters(same.get(n, n)) not in known} == set()


def test_a_model_that_breaks_a_promise_is_named():
    "Each of these looks right, and breaks one promise."

    class Forgets(ItemItemCF):
        def load(folder):
            return ItemItemCF(neighbours=3).fit(ring_log(seed=5))

    class Remembers(Popularity):
        def fit(self, log):
            super().fit(log)
            self.order = self.first = vars(self).get('first', self.order)
            return self

    class Writes(History):
        def recommend(self, histories, k):
            answer = super().recommend(histories, k)
            histories.items[:] = 0
            return answer

    class Shares(Popularity):
        def recommend(self, histories, k):
            self.n = len(histories)
            for _ in range(99):
                items, scores = super().recommend(histories, k)
            return items[: self.n], scores[: self.n] - (self.n != len(histories))

    class Twice(Popularity):
        def recommend(self, histories, k):
            items, scores = super().recommend(histories, k)
            items[:, -1] = items[:, 0]
            return items, scores

    for cls, promise in (
        (Forgets, 'saving'),
        (Remembers, 'forget'),
        (Writes, 'form|as they were'),
        (Twice, 'form'),
    ):
        with pytest.raises(AssertionError, match=f'{cls.__name__} must .*({promise})'):
            check_recommender(cls)


def answers(model, log):
    return model.recommend(odd_histories(log), 10)


@pytest.mark.parametrize(
    'name', [n if n in ('ALS', 'BPR') else pytest.param(n, marks=pytest.mark.torture) for n in MODELS]
)
def test_how_much_company_changes(name, record):
    """A query among others against the same query alone:
    products in single precision round otherwise, nothing more."""
    log = ring_log()
    model, h = MODELS[name]().fit(log), odd_histories(log)
    (items, scores), parts = answers(model, log), [model.recommend(h[i], 10) for i in range(len(h))]
    alone = [np.concatenate(x) for x in zip(*parts)]
    real = np.isfinite(scores)
    worst = np.abs(scores[real] - alone[1][real]).max(initial=0) / max(1, np.abs(scores[real]).max(initial=0))
    record(
        'same numbers',
        f'{name}: a query alone and among others',
        largest_relative_difference=float(worst),
        other_items=int((items != alone[0]).sum()),
    )
    assert worst < 1e-5


# trainings: a small one that several tests begin, and what may happen to it

TRAINED = {'SASRec': SASRec, 'GRU4Rec': GRU4Rec, 'BERT4Rec': BERT4Rec}


def training(kind, folder=None, epochs=4, hand_over=None, **how):
    """Four epochs of a few batches each, watched on queries;
    the model goes into a list before it is trained, for who outlives that."""
    log = ring_log()
    asked, following = prefixes(histories_from_log(log)[0])
    n = len(asked)
    queries = Queries(
        asked, following, np.arange(n + 1), np.arange(n), np.zeros(n, np.int64), np.ones(n, bool)
    )
    config = dict(hidden_dim=8, batch_rows=1, negatives=12, warmup_steps=2) | how.pop('config', {})
    model = TRAINED[kind](epochs, patience=9, **config)
    if hand_over is not None:
        hand_over.append(model)
    return model.fit(log, queries, folder, 'key', **how)


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(cls, method, when=lambda *_: True):
    "Kill this process where a method is entered, for real."
    entered = getattr(cls, method)
    setattr(cls, method, lambda *a, **k: die() if when(*a) else entered(*a, **k))


def in_epoch(epoch, batch):
    return lambda self, trainer, module, data, index: (trainer.current_epoch, index) == (epoch, batch)


def moments():
    "When to die: name -> function that sees to it."
    from fsspec.implementations.local import LocalFileOpener

    written = []
    return {
        'in the first epoch': lambda: die_in(Curve, 'on_train_batch_start', in_epoch(0, 2)),
        'in the third epoch': lambda: die_in(Curve, 'on_train_batch_start', in_epoch(2, 1)),
        'before a validation': lambda: die_in(
            Curve, 'on_validation_start', lambda self, t, m: t.current_epoch == 1
        ),
        'before the best checkpoint': lambda: die_in(
            Checkpoints, '_save_topk_checkpoint', lambda self, t, m: t.current_epoch == 1 and self.monitor
        ),
        'between best and last checkpoint': lambda: die_in(
            Checkpoints, '_save_topk_checkpoint', lambda self, t, m: t.current_epoch == 1 and not self.monitor
        ),
        'while a checkpoint is written': lambda: die_in(
            LocalFileOpener, 'commit', lambda self: written.append(1) or len(written) == 4
        ),
        'after the last epoch': lambda: setattr(shutil, 'rmtree', die),
    }


SOME = [
    ('SASRec', 'in the third epoch'),
    ('SASRec', 'between best and last checkpoint'),
    ('GRU4Rec', 'while a checkpoint is written'),
]


def killed(f, *arguments):
    "Run a function in a process of its own, which has to be killed before it is done."
    pid = os.fork()
    if not pid:
        try:
            f(*arguments)
        finally:
            os._exit(3)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (
        f'{arguments} ended with {status}'
    )


def killed_training(kind, moment, folder):
    moments()[moment]()
    training(kind, folder)


def kill_trainings(folder, which):
    for kind, moment in which:
        killed(killed_training, kind, moment, Path(folder) / kind / moment)


def serve():
    "Answer calls of functions of this file, each in a process of its own that has done nothing but import."
    out = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        call, arguments = json.loads(line)
        if pid := os.fork():
            os.waitpid(pid, 0)
            continue
        try:
            answer = dict(answer=globals()[call](*arguments))
        except BaseException:
            answer = dict(error=traceback.format_exc())
        os.write(out, json.dumps(answer).encode() + b'\n')
        os._exit(0)


SERVER = []


def elsewhere(call, *arguments):
    "Call a function of this file in a fresh process; the server that forks it ends with this process."
    if not SERVER:
        env = os.environ | {'PYTHONPATH': f'{HERE}:{HERE.parent}'}
        SERVER.append(
            subprocess.Popen(
                [sys.executable, '-c', 'import test_recommenders; test_recommenders.serve()'],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    SERVER[0].stdin.write(json.dumps([call, arguments]) + '\n')
    SERVER[0].stdin.flush()
    answer = json.loads(SERVER[0].stdout.readline())
    assert 'error' not in answer, answer['error']
    return answer['answer']


def test_killed_trainings_end_like_unbroken_ones(tmp_path, record, request, which=SOME):
    "SIGKILL in a process of its own; then the same call again."
    elsewhere('kill_trainings', str(tmp_path), which)
    unbroken = {kind: training(kind, tmp_path / 'unbroken') for kind in dict(which)}
    for kind, moment in which:
        left = sorted(p.name for p in (tmp_path / kind / moment).rglob('*.ckpt'))
        resumed, whole = training(kind, tmp_path / kind / moment), unbroken[kind]
        columns = ['epoch', 'train_loss', 'hit_rate']
        assert (
            resumed.history[columns].equals(whole.history[columns]) and resumed.best_epoch == whole.best_epoch
        )
        for a, b in zip(resumed.module.state_dict().values(), whole.module.state_dict().values()):
            assert torch.equal(a, b)
        assert not list((tmp_path / kind / moment).rglob('*.ckpt'))
        record('crash points', f'{kind} killed {moment}', checkpoints_left=len(left))


@pytest.mark.torture
def test_killed_trainings_at_every_moment(tmp_path, record, request):
    test_killed_trainings_end_like_unbroken_ones(
        tmp_path, record, request, [(kind, moment) for kind in TRAINED for moment in moments()]
    )


@pytest.mark.torture
def test_a_moved_training_goes_on(tmp_path, record):
    """A study folder that was moved between kill and rerun:
    the best checkpoint of the old place is still the best."""
    elsewhere('kill_trainings', str(tmp_path), [('SASRec', 'in the third epoch')])
    (tmp_path / 'SASRec/in the third epoch').rename(tmp_path / 'moved')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        moved = training('SASRec', tmp_path / 'moved')
    whole = training('SASRec', tmp_path / 'whole')
    for a, b in zip(moved.module.state_dict().values(), whole.module.state_dict().values()):
        assert torch.equal(a, b)
    record('crash points', 'SASRec killed in the third epoch, its folder moved')


def poison(monkeypatch, epoch, batch, method='on_train_batch_start'):
    "Put a NaN into a weight in the middle of a training."

    def put(self, trainer, module, *rest):
        if (trainer.current_epoch, rest[-1]) == (epoch, batch):
            with torch.no_grad():
                module.items.weight[3, 0] = torch.nan

    entered = getattr(Curve, method)

    def both(self, trainer, module, *rest):
        put(self, trainer, module, *rest)
        entered(self, trainer, module, *rest)

    monkeypatch.setattr(Curve, method, both)


@pytest.mark.parametrize(
    'kind, method',
    [
        ('SASRec', 'on_train_batch_start'),
        ('SASRec', 'on_train_batch_end'),
        *(
            pytest.param(kind, method, marks=pytest.mark.torture)
            for kind in ('GRU4Rec', 'BERT4Rec')
            for method in ('on_train_batch_start', 'on_train_batch_end')
        ),
    ],
)
def test_a_poisoned_weight_stops_a_training(kind, method, tmp_path, monkeypatch, record):
    """In the third epoch's first batch, or after its last step, which no loss sees any more:
    the second epoch is what is left, and it goes on from there."""
    model = []
    with monkeypatch.context() as m:
        batches = len(
            list(
                training(kind, epochs=0)
                .training_data(histories_from_log(ring_log())[0], None)
                .batches(1, (0, 2))
            )
        )
        poison(m, 2, 0 if method == 'on_train_batch_start' else batches - 1, method)
        with pytest.raises(
            FloatingPointError,
            match=(
                r'training stopped: .* step \d+; '
                r'the model is as it was after epoch 2, which .*last.ckpt keeps; lower'
            ),
        ) as stopped:
            training(kind, tmp_path, hand_over=model)
    kept = torch.load(tmp_path / 'checkpoints/key/last.ckpt', weights_only=True)
    assert kept['epoch'] == 1 and all(torch.isfinite(w).all() for w in kept['state_dict'].values())
    for name, w in model[0].module.state_dict().items():
        assert torch.equal(w, kept['state_dict'][name])
    assert np.isfinite(answers(model[0], ring_log())[1]).any()
    whole, gone_on = training(kind, tmp_path / 'whole'), training(kind, tmp_path)
    for a, b in zip(gone_on.module.state_dict().values(), whole.module.state_dict().values()):
        assert torch.equal(a, b)
    record('crash points', f'{kind}: a weight becomes NaN ({method})', said=str(stopped.value)[:80])


@pytest.mark.parametrize('kind', TRAINED)
def test_a_training_that_explodes(kind, tmp_path, record):
    "With a learning rate beyond all measure there is no good epoch to go back to."
    model = TRAINED[kind](4, batch_rows=1, hidden_dim=8, warmup_steps=1, learning_rate=1e30)
    with pytest.raises(
        FloatingPointError, match=r'training stopped: .* step \d+; nothing is kept; lower learning_rate'
    ):
        model.fit(ring_log(), folder=tmp_path, key='key')
    with pytest.raises(NotFitted, match='call fit'):
        answers(model, ring_log())
    record('crash points', f'{kind}: a learning rate of 1e30')


# searches


def suggest(trial):
    return dict(x=trial.suggest_float('x', -3, 3), y=trial.suggest_categorical('y', ['a', 'b']))


def height(x, y):
    return 1 - (x - 1) ** 2 - (y == 'b')


def climbing(x, y, report):
    for epoch in range(1, 4):
        report(height(x, y) * epoch, epoch)
    return height(x, y)


def dying(f, at):
    "The same function, killed when it is asked for the nth time."
    asked = []

    def g(x, y, report):
        asked.append(1)
        if len(asked) > at:
            try:
                report(height(x, y), 1)
            finally:
                die()  # though it may just have been given up
        return f(x, y, report)

    return g


FIRST, TRIALS = dict(x=-2.0, y='b'), 14


def kill_searches(folder, ats):
    "One search, killed again and again: in its first trial, then so many trials later."
    for at in ats:
        killed(tune, suggest, dying(climbing, at), TRIALS, f'{folder}/optuna.db', 'x', 3, FIRST)
    return len(ats)


def test_a_killed_search_ends_like_an_unbroken_one(tmp_path, record, ats=(0, 3)):
    kills = elsewhere('kill_searches', str(tmp_path), ats)
    resumed, whole = (
        tune(suggest, climbing, TRIALS, tmp_path / name, 'x', 3, FIRST) for name in ('optuna.db', 'whole.db')
    )
    ended = [
        [
            (t.params, t.value, t.state, t.intermediate_values)
            for t in s.trials
            if t.state in (FINISHED, GIVEN_UP)
        ]
        for s in (resumed, whole)
    ]
    assert ended[0] == ended[1] and ended[0][0][0] == FIRST and any(t[2] == GIVEN_UP for t in ended[0])
    assert (resumed.best_params, resumed.best_value) == (whole.best_params, whole.best_value)
    assert len(resumed.trials) == TRIALS + kills == len(whole.trials) + kills
    record('crash points', 'a search killed in a trial', kills=kills, trials=TRIALS)


@pytest.mark.torture
def test_a_search_killed_in_every_trial(tmp_path, record):
    test_a_killed_search_ends_like_an_unbroken_one(tmp_path, record, [0] + [1] * (TRIALS - 1))


def train_a_trial(folder):
    """How a notebook judges a configuration of a network:
    a training that reports each epoch and resumes by itself."""

    def score(report, rate):
        return float(
            training(
                'SASRec', f'{folder}/{rate}', 3, config=dict(learning_rate=rate), watch=report
            ).history.hit_rate.max()
        )

    return search(
        folder,
        'SASRec',
        lambda trial: dict(rate=trial.suggest_float('rate', 1e-5, 1.0, log=True)),
        score,
        7,
        ['key'],
        0,
        dict(rate=3e-3),
    )


def killed_trial(folder, n):
    "Die in the third epoch of trial n."
    begun, start = [], Curve.on_train_epoch_start

    def on_train_epoch_start(self, trainer, module):
        begun.extend([1] * (trainer.current_epoch == 0))
        if len(begun) > n and trainer.current_epoch == 2:
            die()
        start(self, trainer, module)

    Curve.on_train_epoch_start = on_train_epoch_start
    train_a_trial(folder)


def kill_trials(folder, ns):
    for n in ns:
        killed(killed_trial, folder, n)


@pytest.mark.parametrize(
    'ns', [None, pytest.param((0, 0, 1, 1), marks=pytest.mark.torture)], ids=['once', 'often']
)
def test_a_trial_killed_in_its_training(ns, tmp_path, record):
    """Its first epochs are reported again when it goes on,
    so that it, and the trials after it, are given up or not as in an unbroken search."""
    whole = train_a_trial(tmp_path / 'whole')[:2]
    # processors round differently, so that which trials are given up is not the same on all of them
    ns = ns or [int(np.flatnonzero(whole[1].value.notna())[-1])]
    elsewhere('kill_trials', str(tmp_path / 'killed'), ns)
    found = [train_a_trial(tmp_path / 'killed')[:2], whole]
    assert found[0][0] == found[1][0]
    assert (
        found[0][1].drop(columns='seconds').equals(found[1][1].drop(columns='seconds'))
        and found[0][1].value.isna().any()
    )
    record('crash points', "a search killed in a trial's training", kills=len(ns), trials=7)


def test_a_training_waits_for_another_one_in_its_folder(tmp_path):
    "Else the first to finish would remove what the second goes by."
    place, done = tmp_path / 'checkpoints' / 'key', []
    thread = threading.Thread(target=lambda: done.append(training('SASRec', tmp_path)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        with place_lock(place, 'trained in'):
            thread.start()
            end = time.monotonic() + 60
            while not [w for w in said if 'is being trained in by another process' in str(w.message)]:
                assert time.monotonic() < end and thread.is_alive() and not done, 'it did not wait'
                time.sleep(0.01)
        thread.join(60)
    assert done[0].best_epoch and not place.exists() and not place.with_name('.key.lock').exists()


# threads

THREE = ['ALS', 'SASRec', 'VSKNN']


def fitted_answers(names, threads, path):
    "Fit models, and write down what they answer; returns how many threads torch had."
    torch.set_num_threads(threads)
    log = ring_log(2000, 900, 100)
    np.savez(
        path,
        **{f'{name}.{i}': x for name in names for i, x in enumerate(answers(MODELS[name]().fit(log), log))},
    )
    return torch.get_num_threads()


def compare_threads(names, folder, record, runs):
    "Each number of threads twice, to the bit; and how far one and two are apart."
    for run, threads in runs:
        assert elsewhere('fitted_answers', names, threads, str(folder / f'{threads}.{run}.npz')) == threads
    kept = {key: np.load(folder / f'{key[1]}.{key[0]}.npz') for key in runs}
    for name in names:
        for threads in (1, 2):
            first, *others = (k for key, k in kept.items() if key[1] == threads)
            for other in others:
                for i in (0, 1):
                    np.testing.assert_array_equal(first[f'{name}.{i}'], other[f'{name}.{i}'])
        one, two = kept[0, 1], kept[0, 2]
        s, t = one[f'{name}.1'], two[f'{name}.1']
        real = np.isfinite(s) & np.isfinite(t)
        apart = float(np.abs(s[real] - t[real]).max(initial=0) / max(1.0, np.abs(s[real]).max(initial=0)))
        record(
            'same numbers',
            f'{name} fitted again',
            threads=[1, 2],
            difference_between_1_and_2=apart,
            other_items=float((one[f'{name}.0'] != two[f'{name}.0']).mean()),
        )
        assert apart < 0.05


def test_three_models_learn_the_same_again_on_1_and_2_threads(tmp_path, record):
    compare_threads(THREE, tmp_path, record, [(0, 1), (0, 2), (1, 2)])


@pytest.mark.torture
def test_every_model_learns_the_same_again_on_1_and_2_threads(tmp_path, record):
    compare_threads(list(MODELS), tmp_path, record, [(run, threads) for run in (0, 1) for threads in (1, 2)])
