"""On the simulated shop, whose order is planted,
SASRec must find more than Item-Item CF, and that more than Popularity."""

import math

import numpy as np
import pytest

from recsys_nb.baselines import ItemItemCF, Popularity
from recsys_nb.metrics import evaluate, metrics_at
from recsys_nb.protocol import histories_from_lists, make_protocols
from recsys_nb.sasrec import SASRec, SASRecModule
from recsys_nb.training import pack_rows, packed_batch
from recsys_nb.sources import load_log
from recsys_nb.oracle import oracle_hit_rate
from recsys_nb.shop import simulate_shop


def hit_rate(model, protocols, k=10):
    e = evaluate(model.fit(protocols.split.fit), protocols.test, protocols.split.fit, protocols.groups)
    return metrics_at(e.hits, np.ones(len(e.hits), int), k)[:, 0]


@pytest.fixture(scope='module')
def protocols():
    return make_protocols(load_log('simulated:tiny')[0])


def test_order_of_models(protocols):
    """Popularity < Item-Item CF < SASRec < the oracle that knows what is planted,
    by margins well beyond the intervals."""
    popularity, cf = hit_rate(Popularity('transaction'), protocols), hit_rate(ItemItemCF(), protocols)
    sasrec = hit_rate(SASRec(epochs=8), protocols)
    assert cf.mean() > popularity.mean() + 0.2
    assert sasrec.mean() > cf.mean() + 0.03
    assert sasrec.mean() < oracle_hit_rate('simulated:tiny') + 0.01


def test_direction_is_learned_not_only_company(tmp_path):
    """On shuffled histories SASRec loses what the planted direction gives;
    a model that ignores order would lose nothing."""
    protocols = make_protocols(load_log('simulated:tiny')[0])
    model = SASRec(epochs=8).fit(protocols.split.fit)
    queries = protocols.test[protocols.test.histories.length >= 3]
    rng, h = np.random.default_rng(0), queries.histories
    rows = [rng.permutation(h.items[s:e]) for s, e in zip(h.start, h.end)]
    shuffled = histories_from_lists(rows)
    found = [(model.recommend(x, 10)[0] == queries.targets[:, None]).any(1).mean() for x in (h, shuffled)]
    assert found[0] > found[1] + 0.1


def reference_forward(w, items, heads, temperature):
    """SASRec on one history, [length, d] with one answer a place:
    a loop over places and heads, an explicit causal mask, no library layer."""

    def norm(x, name):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w[
            f'{name}.weight'
        ] + w[f'{name}.bias']

    def linear(x, name):
        return x @ w[f'{name}.weight'].T + w[f'{name}.bias']

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    e, (n, d) = w['items.weight'], (len(items), w['items.weight'].shape[1])
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    x = e[items] * math.sqrt(d) + w['positions.weight'][:n]
    mask = np.array([[0.0 if j <= i else -np.inf for j in range(n)] for i in range(n)])
    for b in (f'blocks.{i}' for i in range(99) if f'blocks.{i}.qkv.weight' in w):
        q, k, v = np.split(linear(norm(x, f'{b}.norm1'), f'{b}.qkv'), 3, axis=1)
        seen = np.zeros_like(x)
        for part in np.split(np.arange(d), heads):
            scores = q[:, part] @ k[:, part].T / math.sqrt(len(part)) + mask
            weights = np.exp(scores - scores.max(1, keepdims=True))
            seen[:, part] = weights / weights.sum(1, keepdims=True) @ v[:, part]
        x = x + linear(seen, f'{b}.out')
        x = x + linear(gelu(linear(norm(x, f'{b}.norm2'), f'{b}.feed_forward.0')), f'{b}.feed_forward.2')
    x = norm(x, 'norm')
    return x / np.linalg.norm(x, axis=1, keepdims=True) / temperature, e


def reference_copies(w, x, items, temperature):
    """What the copy head adds to each distinct item of one history when its last place asks:
    a loop over places."""
    d, n, added = x.shape[1], len(items), {}
    unit = x * temperature * math.sqrt(d)
    query = unit[-1] @ w['copier.query.weight'].T + w['copier.query.bias']
    for j, item in enumerate(items):  # a later place of the same item overwrites an earlier one
        key = unit[j] @ w['copier.key.weight'].T + w['copier.key.bias']
        often = min(list(items).count(item), 8)
        added[item] = query @ key / math.sqrt(len(query)) + 10 * (
            w['copier.ago'][n - 1 - j] + w['copier.often.weight'][often - 1, 0]
        )
    return added


def test_forward_against_a_reference_with_an_explicit_mask():
    """Packed histories of many lengths, two heads, a copy head with weights that are not zero:
    every logit agrees."""
    import torch

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lists = [
        rng.integers(0, 30, n).tolist() for n in (1, 2, 3, 7, 12, 12, 19, 20, 27, 1)
    ]  # the longest is cut to 20
    module = SASRecModule(30, hidden_dim=16, heads=2, max_len=20)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.3)
    w, copied = {name: p.detach().double().numpy() for name, p in module.named_parameters()}, []
    with torch.inference_mode():
        found = (
            module.encode_histories(histories_from_lists(lists), rows=2, copied=copied)
            @ module.embed(torch.arange(30)).T
        ).numpy()
    for row, item, value in copied:
        found[row, item] += value
    for got, items in zip(found, lists):
        items = items[-20:]
        x, e = reference_forward(w, items, 2, module.hparams.temperature)
        expected = e @ x[-1]
        for item, value in reference_copies(w, x, items, module.hparams.temperature).items():
            expected[item] += value
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_loss_is_the_cross_entropy_of_the_logits():
    """With all items as negatives, the training loss is the mean cross-entropy
    of the reference's logits, copies included."""
    import torch

    torch.manual_seed(1)
    lists = [np.random.default_rng(i).integers(0, 12, n) for i, n in enumerate((2, 5, 9))]
    module = SASRecModule(12, hidden_dim=16, heads=2, max_len=20, dropout=0.0, negatives=0)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.3)
    h = histories_from_lists(lists)
    length = h.length - 1
    batch = packed_batch(h, h.start, length, *pack_rows(length), 1)
    module.log = lambda *a, **k: None
    loss = module.training_step(batch, 0).item()
    w, terms = {name: p.detach().double().numpy() for name, p in module.named_parameters()}, []
    for items in lists:
        for t in range(1, len(items)):
            x, e = reference_forward(w, items[:t], 2, module.hparams.temperature)
            logits = e @ x[-1]
            for item, value in reference_copies(w, x, items[:t], module.hparams.temperature).items():
                logits[item] += value
            terms.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[items[t]])
    assert loss == pytest.approx(np.mean(terms), rel=0.02)  # the fast loss multiplies in bfloat16


def test_same_seed_same_shop(tmp_path):
    for name in ('a', 'b'):
        simulate_shop(300, 40, 20, 7, tmp_path / name)
    for path in (tmp_path / 'a').iterdir():
        assert path.read_bytes() == (tmp_path / 'b' / path.name).read_bytes()


def test_killed_training_resumes_to_the_same_weights(protocols, tmp_path, monkeypatch):
    "A training that dies in its third epoch and is started again ends where an unbroken one ends."
    import torch
    from recsys_nb.training import Curve

    def fit(folder):
        model = SASRec(epochs=4, hidden_dim=16, batch_rows=16)
        return model.fit(protocols.split.train, protocols.valid, folder, 'key')

    unbroken = fit(tmp_path / 'a')
    start = Curve.on_train_epoch_start

    def die(self, trainer, module):
        if trainer.current_epoch == 2:
            raise RuntimeError('killed')
        start(self, trainer, module)

    with monkeypatch.context() as m:
        m.setattr(Curve, 'on_train_epoch_start', die)
        with pytest.raises(RuntimeError, match='killed'):
            fit(tmp_path / 'b')
    assert (tmp_path / 'b' / 'checkpoints' / 'key' / 'last.ckpt').exists()
    resumed = fit(tmp_path / 'b')
    assert (
        resumed.history.hit_rate.tolist() == unbroken.history.hit_rate.tolist()
        and resumed.best_epoch == unbroken.best_epoch
    )
    for a, b in zip(unbroken.module.parameters(), resumed.module.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize('seed', [0, 1])
def test_als_is_implicit(seed):
    """Factors, folded-in histories, scores and lists on a random log
    equal implicit's own `recommend`, with and without repeats."""
    import pandas as pd
    from implicit.cpu.als import AlternatingLeastSquares
    from recsys_nb.als import ALS, distinct_rows
    from recsys_nb.baselines import user_item_matrix
    from recsys_nb.data import EVENTS
    from recsys_nb.protocol import encode, histories_from_log

    rng, n = np.random.default_rng(seed), 3000
    log = encode(
        pd.DataFrame(
            dict(
                timestamp=pd.to_datetime(np.arange(n), unit='s', utc=True).as_unit('ms'),
                visitorid=rng.integers(0, 200, n),
                event=pd.Categorical.from_codes(rng.choice(3, n, p=[0.8, 0.1, 0.1]), EVENTS),
                itemid=rng.zipf(1.3, n) % 120,
            )
        ),
        np.arange(120),
    )
    histories = histories_from_log(log)[0]
    matrix = user_item_matrix(histories, 120, (1.0, 3.0, 5.0))
    for repeats in (True, False):
        ours = ALS(factors=16, iterations=8, alpha=4.0, repeats=repeats, seed=seed).fit(log)
        theirs = AlternatingLeastSquares(
            factors=16, regularization=ours.regularization, iterations=8, alpha=4.0
        )
        kinds = distinct_rows(ours.confidences(histories, 120))[
            0
        ]  # implicit begins where ours begins: alike visitors with one vector
        theirs.item_factors, theirs.user_factors = (
            ours.start(120).numpy(),
            np.zeros((len(histories), 16), np.float32),
        )
        theirs.item_factors[matrix.getnnz(0) == 0] = 0
        for kind, start in zip(kinds, ours.start(len(kinds)).numpy()):
            theirs.user_factors[(matrix.toarray() == matrix[kind].toarray()).all(1)] = start
        theirs.fit(matrix, show_progress=False)
        np.testing.assert_allclose(ours.item_factors, theirs.item_factors, atol=2e-3)
        ours.item_factors = (
            theirs.item_factors
        )  # from here on the same, so that lists can be held to four digits
        items, scores = theirs.recommend(
            np.arange(len(histories)),
            matrix,
            N=20,
            recalculate_user=True,
            filter_already_liked_items=not repeats,
        )
        lists, values = ours.recommend(histories, 20)
        np.testing.assert_allclose(values, scores, atol=1e-4)
        swapped = lists != items  # only where two scores are the same to the last digits
        assert swapped.mean() < 0.01 and np.abs(values - scores)[swapped].max(initial=0) < 1e-4


def test_two_processes_train_as_well_as_one():
    "Two processes on a processor (gloo) share the batches, and end as good as one."
    from recsys_nb.data import EVENTS
    from recsys_nb.protocol import encode, histories_from_lists
    from recsys_nb.sasrec import SASRec
    import pandas as pd

    rng = np.random.default_rng(0)
    walks = [[(first + i) % 40 for i in range(rng.integers(3, 6))] for first in rng.integers(0, 40, 600)]
    events = pd.DataFrame([(v, i) for v, w in enumerate(walks) for i in w], columns=['visitorid', 'itemid'])
    events['timestamp'] = pd.to_datetime(np.arange(len(events)), unit='s', utc=True).as_unit('ms')
    log = encode(events.assign(event=pd.Categorical(['view'] * len(events), EVENTS)), np.arange(40))
    ask, following = histories_from_lists([[i, (i + 1) % 40] for i in range(40)]), (np.arange(40) + 2) % 40

    def found(**lightning):
        config = dict(
            epochs=12, batch_rows=4, hidden_dim=16, dropout=0.0, warmup_steps=5, copy_head=False, negatives=30
        )
        model = SASRec(**config).fit(log, lightning=lightning)
        assert len(model.history) == 12 and np.isfinite(model.history.train_loss).all()
        return (model.recommend(ask, 1)[0][:, 0] == following).mean(), model

    one, first = found()
    two, second = found(devices=2, strategy='ddp_spawn', accelerator='cpu')
    assert one > 0.9 and two > one - 0.05
    assert first.history.train_loss.iloc[-1] == pytest.approx(second.history.train_loss.iloc[-1], rel=0.25)
