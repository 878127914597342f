"""One query: the lists of before, from a table that is prepared once and follows the weights"""

import tempfile

import numpy as np
import pytest
import torch
from recsys_nb.bert4rec import BERT4Rec
from recsys_nb.gru4rec import GRU4Rec
from recsys_nb.networks import NeuralRecommender, SequenceModule
from recsys_nb.protocol import histories_from_lists
from recsys_nb.recommender import assert_known, load_model, log_of_walks
from recsys_nb.sasrec import SASRec

N_ITEMS = 40
NETWORKS = [SASRec, GRU4Rec, BERT4Rec]
rng = np.random.default_rng(0)
WALKS = [rng.integers(0, N_ITEMS, rng.integers(2, 9)).tolist() for _ in range(60)]
LOG = log_of_walks(WALKS, N_ITEMS)
ASKED = histories_from_lists([rng.integers(0, N_ITEMS, rng.integers(1, 70)).tolist() for _ in range(64)])


def fitted(kind, seed=0, **config):
    return kind(epochs=1, seed=seed, hidden_dim=16, **config).fit(LOG, progress=False)


def weighed(model):
    "With weights of a calibration, typed here: they need not be good."
    days = model.demand.shape[1]
    model.weights = {'feature': [1.1, 0.9, 0.8] + [0.1] * days, 'age': [0.1] * 51, 'count': [0.2] * 6}
    return model


def plain_lists(model, histories, k):
    "What `recommend` says, from a table made anew and a product with all of it."
    kept = model.module.kept
    model.module.kept = None
    left, right, bias, (row, item, value) = model.ranking_terms(histories)
    model.module.kept = kept
    assert torch.equal(right, model.module.item_vectors())
    scores = torch.mm(left, model.module.item_vectors().T.contiguous())
    if bias is not None:
        scores += bias
    scores[row, item] = torch.from_numpy(value)
    best = scores.topk(k)
    return best.indices.numpy(), best.values.numpy()


@pytest.fixture
def made(monkeypatch):
    "How often the table of a network was made."
    calls = []
    make = SequenceModule.item_vectors

    def counted(self):
        calls.append(self)
        return make(self)

    monkeypatch.setattr(SequenceModule, 'item_vectors', counted)
    return calls


@pytest.mark.parametrize('kind', NETWORKS)
@pytest.mark.parametrize('temperature', [0.05, 0.0])
@pytest.mark.parametrize('calibrated', [True, False])
def test_lists_are_the_plain_ones(kind, temperature, calibrated):
    model = fitted(kind, temperature=temperature)
    if calibrated:
        weighed(model)
    for n in (1, 7, 64):
        items, scores = model.recommend(ASKED[:n], 10)
        expected, value = plain_lists(model, ASKED[:n], 10)
        np.testing.assert_array_equal(items, expected)
        np.testing.assert_array_equal(scores, value)


@pytest.mark.parametrize('kind', NETWORKS)
def test_the_table_is_made_once(kind, made):
    model = weighed(fitted(kind))
    made.clear()
    for i in range(5):
        model.recommend(ASKED[i], 10)
    model.recommend(ASKED, 10)
    assert len(made) == 1
    bias = model.ranking_terms(ASKED)[2]
    assert model.ranking_terms(ASKED)[2] is bias


@pytest.mark.parametrize('kind', NETWORKS)
def test_changed_weights_are_seen(kind):
    model = weighed(fitted(kind))
    other = weighed(fitted(kind, seed=1))
    first = model.recommend(ASKED, 10)
    model.module.load_state_dict(other.module.state_dict())
    expected = other.recommend(ASKED, 10)
    assert not np.array_equal(first[1], expected[1])
    np.testing.assert_array_equal(model.recommend(ASKED, 10)[1], expected[1])
    model.weights['feature'][-1] = 5.0
    np.testing.assert_array_equal(model.recommend(ASKED[:7], 10)[1], plain_lists(model, ASKED[:7], 10)[1])


def test_a_second_fit_is_seen():
    model = fitted(SASRec)
    model.recommend(ASKED, 10)
    more = log_of_walks([w[::-1] for w in WALKS], N_ITEMS)
    model.fit(more, progress=False)
    fresh = SASRec(epochs=1, seed=0, hidden_dim=16).fit(more, progress=False)
    for found, expected in zip(model.recommend(ASKED, 10), fresh.recommend(ASKED, 10)):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('kind', NETWORKS)
def test_the_table_is_not_saved(kind, made):
    model = weighed(fitted(kind))
    expected = model.recommend(ASKED, 10)
    assert not any('kept' in name for name in model.module.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        loaded = load_model(folder)
    assert loaded.module.kept is None
    made.clear()
    np.testing.assert_array_equal(loaded.recommend(ASKED, 10)[1], expected[1])
    assert made == [loaded.module]


def test_nothing_is_kept_while_training():
    model: NeuralRecommender = fitted(SASRec)
    model.recommend(ASKED[0], 10)
    assert model.module.kept is not None
    model.module.train()
    model.module.kept_vectors()
    assert model.module.kept is None


def test_an_unknown_item_of_one_history_is_named():
    with pytest.raises(ValueError, match=f'item code {N_ITEMS}'):
        many = histories_from_lists([[0] * 100, [1, N_ITEMS]])
        assert_known(many[1], N_ITEMS)
    assert_known(many[0], N_ITEMS)
