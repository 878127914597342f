"On the simulated shop, whose order is planted, SASRec must find more than Item-Item CF, and that more than Popularity."
import numpy as np
import pytest

from recsys_nb.baselines import ItemItemCF, Popularity
from recsys_nb.metrics import evaluate, metrics_at
from recsys_nb.protocol import histories_from_lists, make_protocols
from recsys_nb.sasrec import SASRec
from recsys_nb.shop import load_log, oracle_hit_rate, simulate_shop


def hit_rate(model, protocols, k=10):
    e = evaluate(model.fit(protocols.split.fit), protocols.test, protocols.split.fit, protocols.groups)
    return metrics_at(e.hits, np.ones(len(e.hits), int), k)[:, 0]


@pytest.fixture(scope='module')
def protocols():
    return make_protocols(load_log('simulated:tiny')[0])


def test_order_of_models(protocols):
    "Popularity < Item-Item CF < SASRec < the oracle that knows what is planted, by margins well beyond the intervals."
    popularity, cf = hit_rate(Popularity('transaction'), protocols), hit_rate(ItemItemCF(), protocols)
    sasrec = hit_rate(SASRec(epochs=8), protocols)
    assert cf.mean() > popularity.mean() + .2
    assert sasrec.mean() > cf.mean() + .03
    assert sasrec.mean() < oracle_hit_rate('simulated:tiny') + .01


def test_direction_is_learned_not_only_company(tmp_path):
    "On shuffled histories SASRec loses what the planted direction gives; a model that ignores order would lose nothing."
    protocols = make_protocols(load_log('simulated:tiny')[0])
    model = SASRec(epochs=8).fit(protocols.split.fit)
    queries = protocols.test[protocols.test.histories.length >= 3]
    rng, h = np.random.default_rng(0), queries.histories
    rows = [rng.permutation(h.items[s:e]) for s, e in zip(h.start, h.end)]
    shuffled = histories_from_lists(rows)
    found = [(model.recommend(x, 10)[0] == queries.targets[:, None]).any(1).mean() for x in (h, shuffled)]
    assert found[0] > found[1] + .1


def test_same_seed_same_shop(tmp_path):
    for name in ('a', 'b'): simulate_shop(300, 40, 20, 7, tmp_path/name)
    for path in (tmp_path/'a').iterdir(): assert path.read_bytes() == (tmp_path/'b'/path.name).read_bytes()


def test_killed_training_resumes_to_the_same_weights(protocols, tmp_path, monkeypatch):
    "A training that dies in its third epoch and is started again ends where an unbroken one ends."
    import torch
    from recsys_nb.sasrec import Curve
    fit = lambda folder: SASRec(epochs=4, hidden_dim=16, batch_rows=16).fit(protocols.split.train, protocols.valid, folder, 'key')  # noqa: E731
    unbroken = fit(tmp_path/'a')
    start = Curve.on_train_epoch_start

    def die(self, trainer, module):
        if trainer.current_epoch == 2: raise RuntimeError('killed')
        start(self, trainer, module)
    with monkeypatch.context() as m:
        m.setattr(Curve, 'on_train_epoch_start', die)
        with pytest.raises(RuntimeError, match='killed'): fit(tmp_path/'b')
    assert (tmp_path/'b'/'checkpoints'/'key'/'last.ckpt').exists()
    resumed = fit(tmp_path/'b')
    assert resumed.history.hit_rate.tolist() == unbroken.history.hit_rate.tolist() and resumed.best_epoch == unbroken.best_epoch
    for a, b in zip(unbroken.module.parameters(), resumed.module.parameters()): assert torch.equal(a, b)


@pytest.mark.parametrize('seed', [0, 1])
def test_als_is_implicit(seed):
    "Factors, folded-in histories, scores and lists on a random log equal implicit's own `recommend`, with and without repeats."
    import pandas as pd
    from recsys_nb.als import ALS
    from recsys_nb.baselines import user_item_matrix
    from recsys_nb.data import EVENTS
    from recsys_nb.protocol import encode, histories_from_log
    rng, n = np.random.default_rng(seed), 3000
    log = encode(pd.DataFrame(dict(timestamp=pd.to_datetime(np.arange(n), unit='s', utc=True).as_unit('ms'), visitorid=rng.integers(0, 200, n),
                                   event=pd.Categorical.from_codes(rng.choice(3, n, p=[.8, .1, .1]), EVENTS), itemid=rng.zipf(1.3, n) % 120)), np.arange(120))
    histories = histories_from_log(log)[0]
    matrix = user_item_matrix(histories, 120, (1., 3., 5.))
    for repeats in (True, False):
        ours = ALS(factors=16, iterations=8, alpha=4., repeats=repeats, seed=seed).fit(log)
        theirs = ours.solver()
        theirs.fit(matrix, show_progress=False)
        items, scores = theirs.recommend(np.arange(len(histories)), matrix, N=20, recalculate_user=True, filter_already_liked_items=not repeats)
        lists, values = ours.recommend(histories, 20)
        np.testing.assert_allclose(values, scores, atol=1e-4)
        swapped = lists != items  # only where two scores are the same to the last digits
        assert swapped.mean() < .01 and np.abs(values - scores)[swapped].max(initial=0) < 1e-4
