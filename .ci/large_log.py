"""20 million made-up events in RetailRocket's layout and in others, read in turns: seconds and memory.

python .ci/large_log.py [ROWS] [TURNS]   files are kept in build/large, each about 50 bytes a row"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path('build/large')
FIRST = 1_430_000_000_000  # milliseconds since 1970
BLOCK = 1_000_000  # rows that are made at once


def blocks(rows):
    "Columns of so many events, a block at a time, in order of time."
    import numpy as np

    random = np.random.default_rng(0)
    names = np.array(['view', 'addtocart', 'transaction'])
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        times = FIRST + (start + np.arange(n)) * 1000 + random.integers(0, 1000, n)
        kinds = names[np.searchsorted([0.95, 0.98], random.random(n))]
        yield times, random.integers(0, max(2, rows // 4), n), kinds, random.zipf(1.3, n) % 300_000


def make_files(rows):
    "The same events in four files."
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [FOLDER / name for name in FILES.values()]
    done = FOLDER / f'rows-{rows}'
    if done.exists():
        return
    retailrocket, generic, text, parquet = wanted
    writer = None
    for number, (times, visitors, kinds, items) in enumerate(blocks(rows)):
        log = pd.DataFrame(dict(timestamp=times, visitorid=visitors, event=kinds, itemid=items))
        how = dict(index=False, header=number == 0, mode='a' if number else 'w')
        log.assign(transactionid='').to_csv(retailrocket, **how)
        other = log.rename(columns=dict(timestamp='when', visitorid='user', event='action', itemid='sku'))
        other[['user', 'sku', 'when', 'action']].to_csv(generic, **how)
        when = pd.to_datetime(other.when, unit='ms', utc=True).dt.strftime('%Y-%m-%d %H:%M:%S.%f')
        users, skus = ('u-' + other.user.astype(str), 'sku-' + other.sku.astype(str))
        words = other.assign(user=users, sku=skus, when=when)
        words[['user', 'sku', 'when', 'action']].to_csv(text, **how)
        table = pa.Table.from_pandas(other, preserve_index=False)
        writer = writer or pq.ParquetWriter(parquet, table.schema)
        writer.write_table(table)
    writer.close()
    done.touch()


FILES = {
    "RetailRocket's events.csv": 'events.csv',
    'another CSV, whole numbers': 'numbers.csv',
    'another CSV, ids of text and ISO times': 'text.csv',
    'another Parquet': 'numbers.parquet',
}


def read_one(name):
    "Seconds, peak memory and counts of one file, for the process that asked."
    sys.path.insert(0, '')
    from recsys_nb.data import read_log

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    log, _ = read_log(FOLDER / name)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = dict(seconds=seconds, peak=peak / 1e6, before=before / 1e6, events=len(log))
    found |= dict(visitors=log.visitorid.nunique(), items=log.itemid.nunique())
    print(json.dumps(found))


def main(rows=20_000_000, turns=3):
    subprocess.run([sys.executable, __file__, 'make', str(rows)], check=True)
    found = {what: [] for what in FILES}
    for _ in range(int(turns)):
        for what, name in FILES.items():
            done = subprocess.run(
                [sys.executable, __file__, 'read', name], check=True, stdout=subprocess.PIPE, text=True
            )
            found[what].append(json.loads(done.stdout.splitlines()[-1]))
    usual = statistics.median(one['seconds'] for one in found["RetailRocket's events.csv"])
    for what, runs in found.items():
        seconds = statistics.median(one['seconds'] for one in runs)
        last = runs[-1]
        print(
            f'{what:40} {seconds:6.1f} s, {seconds / usual:4.2f} times; peak {last["peak"]:.2f} GB;'
            f' {last["events"]:,} events, {last["visitors"]:,} visitors, {last["items"]:,} items'
        )


if __name__ == '__main__':
    if sys.argv[1:2] == ['read']:
        read_one(sys.argv[2])
    elif sys.argv[1:2] == ['make']:
        make_files(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
