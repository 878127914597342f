"""A pickle can do anything when it is loaded,
so none is loaded from a study or a data folder, wherever one is planted."""

import ast
import io
import json
import os
import pickle
import shutil
import sqlite3
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_recommenders import MODELS, answers, elsewhere, suggest, training

from recsys_nb.baselines import Popularity
from recsys_nb.recommender import ring_log
from recsys_nb.comparison import read_ranks
from recsys_nb.data import DataError, read_log
from recsys_nb.demo_data import study_vocabulary
from recsys_nb.evaluation import kept_vocabulary, study_parameters
from recsys_nb.recommender import load_model
from recsys_nb.qualitative import read_fitted
from recsys_nb.networks import keep_tuned, kept_tuned
from recsys_nb.tuning import tune

ROOT = Path(__file__).parent.parent


class Evil:
    "Makes a folder where it is unpickled."

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def array_of(thing):
    a = np.empty(1, object)
    a[0] = thing
    return a


def saved(write):
    "The bytes of what a function writes."
    file = io.BytesIO()
    write(file)
    return file.getvalue()


# kinds of files that run code where they are read carelessly: what is in them, and how one is careless
KINDS = {
    'a pickle': (lambda evil: pickle.dumps(evil), lambda path: pickle.loads(path.read_bytes())),
    'a checkpoint': (
        lambda evil: saved(lambda f: torch.save({'state': evil, 'state_dict': evil, 'loops': evil}, f)),
        lambda path: torch.load(path, weights_only=False),
    ),
    'a checkpoint of old': (
        lambda evil: saved(lambda f: torch.save({'state': evil}, f, _use_new_zipfile_serialization=False)),
        lambda path: torch.load(path, weights_only=False),
    ),
    'an array': (
        lambda evil: saved(lambda f: np.save(f, array_of(evil), allow_pickle=True)),
        lambda path: np.load(path, allow_pickle=True),
    ),
    'an archive of arrays': (
        lambda evil: saved(
            lambda f: np.savez(
                f,
                **dict.fromkeys(
                    (
                        'order',
                        'popular',
                        'item_factors',
                        'demand',
                        'weights.data',
                        'weights.indices',
                        'weights.indptr',
                        'known',
                    ),
                    array_of(evil),
                ),
            )
        ),
        lambda path: np.load(path, allow_pickle=True)['order'],
    ),
}


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'somebody was here'


@pytest.mark.parametrize('kind', KINDS)
def test_the_bait_is_poisoned(kind, tmp_path, marker):
    "Read carelessly, each of these files does what the others must not do."
    make, careless = KINDS[kind]
    (tmp_path / 'file').write_bytes(make(Evil(marker)))
    assert not marker.exists()
    careless(tmp_path / 'file')
    assert marker.exists()


@pytest.mark.parametrize(
    'name',
    [
        n
        if n in ('ALS', 'CountedHistory', 'EASE', 'Hybrid', 'SASRec')
        else pytest.param(n, marks=pytest.mark.torture)
        for n in MODELS
    ],
)
def test_planted_in_a_model(name, tmp_path, marker, record):
    "In every file of every kept model: one sentence that says what to do, and nothing else happens."
    model, place, tried = MODELS[name]().fit(ring_log()), tmp_path / 'model', 0
    model.save(place)
    for path in sorted(p for p in place.rglob('*') if p.is_file()):
        good = path.read_bytes()
        for kind, (make, _) in KINDS.items():
            path.write_bytes(make(Evil(marker)))
            with pytest.raises(
                DataError,
                match=(
                    r"the model kept there can't be read \(.*\), "
                    r"expected the files that save wrote: fit it again$"
                ),
            ) as said:
                load_model(place)
            assert (
                not marker.exists() and 'weights_only' not in str(said.value) and '\n' not in str(said.value)
            )
            tried += 1
        path.write_bytes(good)
    for a, b in zip(answers(load_model(place), ring_log()), answers(model, ring_log())):
        np.testing.assert_array_equal(a, b)
    record('intruders', f'pickles in the files of {name}', tried=tried)


UNPICKLED = []
LISTEN = [False]


def listen(event, arguments):
    if LISTEN[0] and event == 'pickle.find_class':
        UNPICKLED.append(arguments)


@pytest.fixture
def unpickled():
    "What is unpickled while a test runs; Python itself tells."
    if not UNPICKLED:
        sys.addaudithook(listen)
    UNPICKLED[:], LISTEN[0] = [], True
    yield UNPICKLED
    LISTEN[0] = False


def test_no_model_needs_a_pickle(tmp_path, unpickled, record):
    "Saving and loading what was honestly fitted unpickles nothing either."
    pickle.loads(pickle.dumps(Path('x')))
    assert unpickled.pop()[1] in ('PosixPath', 'Path')
    for name in ('ALS', 'EASE', 'Hybrid', 'Popularity'):
        MODELS[name]().fit(ring_log()).save(tmp_path / name)
        load_model(tmp_path / name)
    assert not unpickled
    record('intruders', 'unpickled while four models are kept and loaded', found=len(unpickled))


def test_planted_in_checkpoints(tmp_path, marker, record):
    """A killed training whose checkpoints somebody exchanged begins anew,
    says so, and ends as if nothing had been there."""
    elsewhere('kill_trainings', str(tmp_path), [('SASRec', 'in the third epoch')])
    whole, tried = training('SASRec', tmp_path / 'whole'), 0
    for file, kind in (('last.ckpt', 'a checkpoint'), ('best.ckpt', 'a pickle')):
        place = tmp_path / file
        shutil.copytree(tmp_path / 'SASRec/in the third epoch', place)
        (place / 'checkpoints/key' / file).write_bytes(KINDS[kind][0](Evil(marker)))
        with pytest.warns(
            UserWarning, match=f'{file} is no checkpoint of this network, so its training begins anew'
        ):
            model = training('SASRec', place)
        assert not marker.exists()
        for a, b in zip(model.module.state_dict().values(), whole.module.state_dict().values()):
            assert torch.equal(a, b)
        tried += 1
    record('intruders', 'pickles in checkpoints', tried=tried)


def test_a_checkpoint_deletes_nothing_elsewhere(tmp_path, record):
    "A checkpoint names earlier ones, which Lightning deletes: only names in its own folder count."
    elsewhere('kill_trainings', str(tmp_path), [('SASRec', 'in the third epoch')])
    place, precious = tmp_path / 'SASRec/in the third epoch', tmp_path / 'precious'
    precious.write_text('keep me')
    last = place / 'checkpoints/key/last.ckpt'
    kept = torch.load(last, weights_only=True)
    for state in kept['callbacks'].values():
        if 'best_model_path' not in state:
            continue
        state |= dict.fromkeys(('best_model_path', 'kth_best_model_path', 'last_model_path'), str(precious))
        if state['best_k_models']:
            state['best_k_models'], state['kth_value'], state['best_model_score'] = (
                {str(precious): torch.tensor(-1.0)},
                torch.tensor(-1.0),
                torch.tensor(-1.0),
            )
    torch.save(kept, last)
    training('SASRec', place)
    assert precious.read_text() == 'keep me'
    record('intruders', 'a checkpoint that names a file elsewhere to be deleted', tried=1)


@pytest.mark.parametrize('kind', KINDS)
def test_planted_beside_a_model(kind, tmp_path, marker, record):
    "A vocabulary, the model kept for the hybrid, the ranks, a parsed log: each is passed over, or refused."
    log, evil = ring_log(), KINDS[kind][0](Evil(marker))
    vocabulary, folder = log.itemid.cat.categories.to_numpy(np.int64), tmp_path / 'results/Popularity'
    Popularity().fit(log).save(folder)
    (folder / 'vocabulary.npy').write_bytes(evil)
    assert kept_vocabulary(folder) is None
    assert study_parameters(tmp_path, 'Popularity', vocabulary) == {}
    assert (
        read_fitted(folder, vocabulary)[0] is None
        and study_vocabulary(tmp_path, log.astype({'itemid': int})) is None
    )
    keep_tuned(Popularity().fit(log), folder, ['a'])
    for file in ('model.json', 'model.npz', 'windows.json'):
        good = (folder / 'train' / file).read_bytes()
        (folder / 'train' / file).write_bytes(evil)
        assert kept_tuned(folder, ['a']) == (None, 0.0)
        (folder / 'train' / file).write_bytes(good)
    assert kept_tuned(folder, ['a'])[0] is not None
    (folder / 'ranks.parquet').write_bytes(evil)
    with pytest.raises((pa.ArrowException, OSError, ValueError)):
        read_ranks(tmp_path, 'Popularity', 'next-item')
    assert not marker.exists()
    record('intruders', f'{kind} as vocabulary, kept model and ranks', tried=5)


def test_planted_in_a_cache(tmp_path, marker, record):
    """A parsed log in the data folder: another file in its place,
    and one with a type whose description is a pickle, as pyarrow once loaded it."""
    (tmp_path / 'shop').mkdir()
    (tmp_path / 'shop/events.csv').write_text(
        'timestamp,visitorid,event,itemid,transactionid\n'
        + ''.join(f'{1_430_000_000_000 + i},1,view,{i % 3},\n' for i in range(9))
    )
    log = read_log(tmp_path / 'shop', tmp_path / 'data')[0]
    cached = next((tmp_path / 'data').glob('log-*.parquet'))
    for make, _ in KINDS.values():
        cached.write_bytes(make(Evil(marker)))
        pd.testing.assert_frame_equal(read_log(tmp_path / 'shop', tmp_path / 'data')[0], log)
    table = pq.read_table(cached)
    field = table.schema.field('itemid').with_metadata(
        {
            b'ARROW:extension:name': b'arrow.py_extension_type',
            b'ARROW:extension:metadata': pickle.dumps(Evil(marker)),
        }
    )
    pq.write_table(table.cast(table.schema.set(table.schema.get_field_index('itemid'), field)), cached)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        read_log(tmp_path / 'shop', tmp_path / 'data')
    assert not marker.exists()
    record('intruders', 'pickles in the cache of a log', tried=len(KINDS) + 1)


def test_planted_in_a_search(tmp_path, marker, record):
    "In place of the database, and in the text columns of a real one."
    for i, (make, _) in enumerate(KINDS.values()):
        (tmp_path / f'{i}.db').write_bytes(make(Evil(marker)))
        with pytest.raises(DataError, match='expected what Optuna wrote: delete it to search anew'):
            tune(suggest, lambda x, y: x, 1, tmp_path / f'{i}.db', 'x')
    place = tmp_path / 'optuna.db'
    tune(suggest, lambda x, y: x, 3, place, 'x', first=dict(x=0.0, y='a'))
    with sqlite3.connect(place) as db:
        for table, column in (
            ('trial_params', 'distribution_json'),
            ('trial_system_attributes', 'value_json'),
            ('study_directions', 'direction'),
        ):
            db.execute(f'update {table} set {column} = ?', (pickle.dumps(Evil(marker)),))
    with pytest.raises(Exception):
        tune(suggest, lambda x, y: x, 4, place, 'x', first=dict(x=0.0, y='a'))
    assert not marker.exists()
    record('intruders', 'pickles in a search', tried=len(KINDS) + 1)


CARELESS = {'pickle', 'cPickle', '_pickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal'}


def careless(source):
    "Calls in Python source that load a pickle, or might."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or '']
            if {n.split('.')[0] for n in names} & CARELESS:
                yield f'imports {names}'
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, name, given = (
            ast.unparse(node.func.value),
            node.func.attr,
            {k.arg: ast.unparse(k.value) for k in node.keywords},
        )
        if name in ('read_pickle', 'to_pickle', 'load_from_checkpoint'):
            yield ast.unparse(node)
        if owner == 'torch' and name == 'load' and given.get('weights_only') != 'True':
            yield ast.unparse(node)
        if (
            owner == 'np'
            and name in ('load', 'save', 'savez')
            and given.get('allow_pickle', 'False') != 'False'
        ):
            yield ast.unparse(node)
        if (
            owner == 'trainer'
            and name == 'fit'
            and 'ckpt_path' in given
            and given.get('weights_only') != 'True'
        ):
            yield ast.unparse(node)


def test_no_careless_reading_in_the_source(record):
    "Library and notebooks: every call that could load a pickle says that it must not."
    texts = {p.name: p.read_text() for p in (ROOT / 'recsys_nb').glob('*.py')}
    for p in (ROOT / 'nbs').glob('*.ipynb'):
        cells = [
            '\n'.join(
                line for line in ''.join(c['source']).splitlines() if not line.lstrip().startswith(('%', '!'))
            )
            for c in json.loads(p.read_text())['cells']
            if c['cell_type'] == 'code'
        ]
        texts |= {f'{p.name} [{i}]': s for i, s in enumerate(cells)}
    found = {name: list(careless(text)) for name, text in texts.items()}
    assert {name: calls for name, calls in found.items() if calls} == {}
    for bad in (
        'import pickle',
        'from joblib import load',
        'torch.load(p)',
        'torch.load(p, weights_only=False)',
        'np.load(p, allow_pickle=True)',
        'trainer.fit(m, ckpt_path=p)',
        'pd.read_pickle(p)',
    ):
        assert list(careless(bad)), bad
    record(
        'intruders',
        'source read for calls that could load a pickle',
        files=len({name.split(' [')[0] for name in texts}),
    )
