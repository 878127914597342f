"""How fast two checkouts are, measured in turns on one machine: before and after a change.

python .ci/speed.py BEFORE AFTER LOG [TURNS]   LOG: a folder or zip of real events, for reading"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def measured(log):
    "Seconds of four things, of the checkout in the current folder; a digest of what was recommended."
    sys.path.insert(0, '')
    from recsys_nb.data import read_log
    from recsys_nb.protocol import make_protocols
    from recsys_nb.sasrec import SASRec

    if Path('recsys_nb/sources.py').exists():
        from recsys_nb.sources import load_log
    else:  # it moved
        from recsys_nb.shop import load_log

    found = {}

    def clock(what, do):
        start = time.perf_counter()
        result = do()
        found[what] = time.perf_counter() - start
        return result

    read_log(log)  # from now on it is kept
    clock('read a log that was read before', lambda: read_log(log))
    protocols = make_protocols(load_log('simulated:default')[0])
    SASRec(epochs=0, seed=0).fit(protocols.split.fit)
    model = clock('one epoch of SASRec', lambda: SASRec(epochs=1, seed=0).fit(protocols.split.fit))
    histories = protocols.test.histories
    model.recommend(histories[slice(0, 500)], 20)
    items, scores = clock('top 20', lambda: model.recommend(histories, 20))
    found['lists'] = hashlib.md5(items.tobytes() + scores.tobytes()).hexdigest()[:8]
    help_text = [
        sys.executable,
        '-c',
        'import sys; sys.argv[1:] = ["--help"]; from recsys_nb.%s import main; main()',
    ]
    help_text[-1] %= 'cli' if Path('recsys_nb/cli.py').exists() else 'study'
    clock('recsys-nb --help', lambda: subprocess.run(help_text, check=True, capture_output=True))
    return found


def in_a_process(checkout, log):
    environment = os.environ | {'PYTHONPATH': str(checkout)}
    program = [sys.executable, str(Path(__file__).resolve()), 'measure', str(log)]
    done = subprocess.run(program, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(before, after, log, turns=3):
    checkouts = {'before': Path(before).resolve(), 'after': Path(after).resolve()}
    runs = {name: [] for name in checkouts}
    for _ in range(int(turns)):
        for name, checkout in checkouts.items():
            runs[name].append(in_a_process(checkout, Path(log).resolve()))
    for what in runs['before'][0]:
        best = [min(run[what] for run in runs[name]) for name in checkouts]
        if what == 'lists':
            print('lists are the same' if best[0] == best[1] else f'lists differ: {best}')
            continue
        print(f'{what}: {best[0]:.4f} s before, {best[1]:.4f} s after, {best[1] / best[0] - 1:+.1%}')


if __name__ == '__main__':
    if sys.argv[1] == 'measure':
        print(json.dumps(measured(sys.argv[2])))
    else:
        main(*sys.argv[1:])
