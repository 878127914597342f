"""Write made-up property files as large as RetailRocket's, read them, and say what it cost.

    python .ci/large_features.py [ROWS]   # 20,000,000 by default; needs 2 GB in the temporary folder

About 417,000 items, 1,100 properties and 18 weekly snapshots; a fifth of the properties are numbers, the rest
one to eight hashed words. Each step runs in a process of its own, so that its peak is its own."""

import multiprocessing, resource, sys, tempfile, time
from pathlib import Path
import numpy as np, pyarrow as pa
from recsys_nb.data import DAY
from recsys_nb.features import ItemSnapshots, read_properties
from recsys_nb.shop import write_csv

ITEMS, PROPERTIES, WORDS, WEEKS = 417_000, 1_100, 400_000, 18
START = 1_431_226_800_000
BLOCK = 500_000  # rows that are made at once


def made_up_words(rng, n):
    "Values of one to eight hashed words, some of which are numbers."
    words = np.array([f'n{w}.000' if w % 8 == 0 else str(w * 7919 % 1_300_000) for w in range(WORDS)], object)
    lengths = rng.integers(1, 9, n)
    drawn = words[(WORDS * rng.random(lengths.sum()) ** 4).astype(int)]
    ends = np.cumsum(lengths)
    return [' '.join(drawn[end - k : end]) for end, k in zip(ends.tolist(), lengths.tolist())]


def made_up_rows(rng, n, words, numbers):
    "A table of n rows."
    property = (PROPERTIES * rng.random(n) ** 3).astype(int)
    number = rng.integers(0, len(numbers), n)
    value = np.where(property % 5 == 0, number, len(numbers) + rng.integers(0, len(words), n))
    return pa.table(
        dict(
            timestamp=START + 7 * DAY * rng.integers(0, WEEKS, n),
            itemid=rng.integers(0, ITEMS, n),
            property=pa.array([str(p) for p in range(PROPERTIES)]).take(pa.array(property)),
            value=pa.array([*numbers, *words]).take(pa.array(value)),
        )
    )


def write_files(folder, rows):
    "Two property files and a log of one event."
    rng = np.random.default_rng(0)
    numbers = [f'n{i * 12}.000' for i in range(60_000)]
    words = made_up_words(rng, 1_500_000)
    (folder / 'events.csv').write_text('timestamp,visitorid,event,itemid\n1433268643000,1,view,7\n')
    for part in (1, 2):
        sizes = [min(BLOCK, rows // 2 - made) for made in range(0, rows // 2, BLOCK)]
        tables = (made_up_rows(rng, n, words, numbers) for n in sizes)
        write_csv(folder / f'item_properties_part{part}.csv', tables)


def said(what, started, extra=''):
    "A line about a step."
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'{what}: {time.perf_counter() - started:.1f} s, peak {peak:,.0f} MB{extra}', flush=True)


def read(folder, cache, what):
    "Read the files, or what was kept of them, and ask what is known at the end."
    started = time.perf_counter()
    rows = read_properties(folder, cache)
    said(what, started, f', {len(rows.item):,} rows, {len(rows.texts):,} texts')
    if what == 'kept':
        started = time.perf_counter()
        asked, until = (START + weeks * 7 * DAY for weeks in (14, 17))
        features = ItemSnapshots(rows).as_of(asked, until, min_items=2, most_share=0.5)
        n, t = features.tokens.shape
        ones = features.tokens.nnz
        m = len(features.number_names)
        said('as_of', started, f', {n:,} items, {t:,} tokens, {ones:,} ones, {m} numbers')
        print(*features.notes, sep='\n')


def alone(function, *arguments):
    "Run a function in a process of its own."
    process = multiprocessing.get_context('spawn').Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f'{function.__name__} ended with {process.exitcode}')


if __name__ == '__main__':
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / 'log'
        folder.mkdir()
        alone(write_files, folder, rows)
        print(f'{rows:,} rows, {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:,.0f} MB', flush=True)
        alone(read, folder, Path(temporary) / 'cache', 'read')
        alone(read, folder, Path(temporary) / 'cache', 'kept')
