"""How long one query of a network takes in two checkouts, measured in turns on one machine, one thread.

python .ci/one_query.py BEFORE AFTER [TURNS]   made-up networks, not trained, at two sizes of a catalogue"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SIZES = 36_968, 235_061  # items of the study's catalogue, and of the complete log
QUERIES = 40
CHECKED = 64  # histories that are asked at once, to compare


def made_up_model(kind, n):
    "A network as after a training: vectors at random, weights as of a calibration."
    import numpy as np
    import torch
    from recsys_nb.blend import AGES, COUNTS, DEMAND_DAYS

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = kind(seed=0)
    model.module = model.Module(n).eval()
    model.demand = rng.random((n, len(DEMAND_DAYS))).astype(np.float32)
    model.popular = rng.permutation(n).astype(np.int32)
    feature = [1.1, 0.9, 0.8] + [0.1] * len(DEMAND_DAYS)
    model.weights = {'feature': feature, 'age': [0.1] * (AGES + 1), 'count': [0.2] * (COUNTS + 1)}
    return model


def measured():
    "Milliseconds of a query, the median and the least, by network and size; a digest of all lists."
    sys.path.insert(0, '')
    import numpy as np
    import torch
    from recsys_nb.bert4rec import BERT4Rec
    from recsys_nb.gru4rec import GRU4Rec
    from recsys_nb.protocol import histories_from_lists
    from recsys_nb.sasrec import SASRec

    torch.set_num_threads(1)
    found = {}
    digest = hashlib.md5()
    for n in SIZES:
        rng = np.random.default_rng(0)
        asked = histories_from_lists(
            [rng.integers(0, n, rng.integers(1, 60)).tolist() for _ in range(CHECKED)]
        )
        for kind in (SASRec, GRU4Rec, BERT4Rec):
            model = made_up_model(kind, n)
            answers = [model.recommend(asked[i], 20) for i in range(3)]  # not timed
            seconds = []
            for i in range(QUERIES):
                start = time.perf_counter()
                answers.append(model.recommend(asked[i], 20))
                seconds.append(time.perf_counter() - start)
            answers.append(model.recommend(asked, 20))
            for items, scores in answers:
                digest.update(items.tobytes() + scores.tobytes())
            found[f'{kind.__name__}, {n:,} items'] = [1000 * float(np.median(seconds)), 1000 * min(seconds)]
    return {'milliseconds': found, 'lists': digest.hexdigest()}


def in_a_process(checkout):
    threads = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
    environment = os.environ | threads | {'PYTHONPATH': str(checkout)}
    program = [sys.executable, str(Path(__file__).resolve()), 'measure']
    done = subprocess.run(program, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(before, after, turns=2):
    checkouts = {'before': Path(before).resolve(), 'after': Path(after).resolve()}
    runs = {name: [] for name in checkouts}
    for _ in range(int(turns)):
        for name, checkout in checkouts.items():
            runs[name].append(in_a_process(checkout))
    for what in runs['before'][0]['milliseconds']:
        best = {}
        for name in checkouts:
            best[name] = [min(times) for times in zip(*(run['milliseconds'][what] for run in runs[name]))]
        (then, least_then), (now, least_now) = best['before'], best['after']
        print(
            f'{what}: p50 {then:.2f} ms before, {now:.2f} ms after, {then / now:.1f} times as fast; '
            f'least {least_then:.2f} and {least_now:.2f} ms'
        )
    digests = {run['lists'] for name in runs for run in runs[name]}
    print('lists are the same' if len(digests) == 1 else f'lists differ: {digests}')


if __name__ == '__main__':
    if sys.argv[1] == 'measure':
        print(json.dumps(measured()))
    else:
        main(*sys.argv[1:])
