"""What a training step of SASRec costs with features and without, in turns in one process.

    python .ci/feature_speed.py [items ...]

Items, events and features are made up: about eight tokens an item, two of them levels of a category path.
"""

import sys

import numpy as np
import scipy.sparse as sp

from recsys_nb.features import ItemFeatures
from recsys_nb.protocol import n_items
from recsys_nb.recommender import log_of_walks
from recsys_nb.sasrec import SASRec
from recsys_nb.sasrec_features import FeatureSASRec, step_milliseconds

STEPS = 30
HISTORIES = 20_000
WORDS = 6  # tokens of an item beside its category


def made_up_log(items, seed=0):
    "Walks of popular and rare items; every item is in the vocabulary."
    rng = np.random.default_rng(seed)
    weight = 1 / (np.arange(items) + 10) ** 0.8
    lengths = rng.integers(2, 12, HISTORIES)
    drawn = rng.permutation(items)[rng.choice(items, lengths.sum(), p=weight / weight.sum())]
    return log_of_walks(np.split(drawn, np.cumsum(lengths)[:-1]), items)


def made_up_features(log, seed=0):
    "Categories of two levels and words that few or many items have."
    rng = np.random.default_rng(seed)
    items = n_items(log)
    kinds = items // 8
    weight = 1 / (np.arange(kinds) + 10) ** 0.7
    words = rng.choice(kinds, (items, WORDS), p=weight / weight.sum())
    ends = np.arange(items + 1) * WORDS
    matrix = sp.csr_matrix((np.ones(words.size, np.float32), words.ravel(), ends), (items, kinds))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    leaf = rng.integers(1000, 2200, items)
    paths = np.stack([leaf % 25, leaf], 1)
    before = np.zeros(items, np.int64)
    ids = log.itemid.cat.categories.to_numpy(np.int64)
    names = [f'word={w}' for w in range(kinds)]
    return ItemFeatures(ids, np.zeros((items, 0), np.float32), [], matrix, names, leaf, paths, before, before)


def main():
    for items in map(int, sys.argv[1:] or ['36968', '235061']):
        log = made_up_log(items)
        plain = SASRec(0).fit(log)
        featured = FeatureSASRec(0).fit(log, features=made_up_features(log))
        pairs = featured.module.hparams.n_pairs / items
        spent = step_milliseconds({'SASRec': plain, 'SASRec with features': featured}, log, STEPS)
        print(f'{items:,} items, {pairs:.1f} tokens an item, {featured.module.hparams.n_tokens:,} tokens')
        plain_ms, featured_ms = spent
        ratio = featured_ms / plain_ms
        print(f'  SASRec {plain_ms:.1f} ms a step, with features {featured_ms:.1f} ms: {ratio:.2f} x')


if __name__ == '__main__':
    main()
