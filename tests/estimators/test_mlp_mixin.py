import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import sklearnish as sn
from tests.estimators.common import classification, regression

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = classification(150)
X64 = X.astype(np.float64)
PAIR = sn.MLPClassifier, neural_network.MLPClassifier
WHOLE = {"batch_size": 150, "max_iter": 12, "random_state": 0}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"activation": "logistic", "alpha": 1.0, "beta_1": 0.5},
        {"activation": "tanh", "hidden_layer_sizes": (7, 5)},
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "sgd", "nesterovs_momentum": False, "activation": "identity"},
        {"hidden_layer_sizes": ()},
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_of_one_batch_are_those_of_scikit_learn(params, weighted):
    weight = np.linspace(1, 20, len(X)) if weighted else None
    ours = sn.MLPClassifier(**WHOLE | params).fit(X64, y, weight)
    theirs = neural_network.MLPClassifier(**WHOLE | params).fit(X64, y, weight)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X64), theirs.predict_proba(X64), atol=1e-4)
    for name in ("coefs_", "intercepts_"):
        shapes = [a.shape for a in getattr(theirs, name)]
        assert [a.shape for a in getattr(ours, name)] == shapes
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.loss_ == ours.loss_curve_[-1]
    assert ours.best_loss_ == min(ours.loss_curve_)
    assert ours.validation_scores_ is None
    assert ours.best_validation_score_ is None


def test_early_stopping_goes_by_the_score_and_restores_the_best():
    params = {"early_stopping": True, "n_iter_no_change": 3, "random_state": 0}
    mlp = sn.MLPClassifier(learning_rate_init=0.02, **params).fit(X, y)
    scores = mlp.validation_scores_
    assert mlp.n_iter_ == len(scores) < 200
    assert mlp.best_validation_score_ == max(scores)
    assert mlp.best_loss_ is None
    assert max(scores[-4:]) < max(scores) + 1e-4
    assert mlp.batch_size_ == 135


def test_a_fit_that_did_not_converge_says_so():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        sn.MLPClassifier(max_iter=2).fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_computes_in_the_numbers_that_are_given(dtype):
    rows = {"arrays": X.astype(dtype), "CSR": sparse.csr_matrix(X.astype(dtype))}
    rows["tensors"] = torch.from_numpy(X.astype(dtype))
    wide = sn.as_dataset(X.astype(dtype))
    rows["Dataset"] = wide if dtype == np.float32 else wide.with_dtype(torch.float64)
    for kind, given in rows.items():
        mlp = sn.MLPRegressor(max_iter=1).fit(given, y)
        assert {a.dtype for a in (*mlp.coefs_, *mlp.intercepts_)} == {np.dtype(dtype)}, kind
        assert mlp.predict(given).dtype == dtype, kind


def test_whole_numbers_and_lists_are_float64_as_in_scikit_learn():
    for given in (X.astype(int), X.tolist()):
        assert sn.MLPClassifier(max_iter=1).fit(given, y).coefs_[0].dtype == np.float64


def test_files_are_float32_unless_asked_otherwise(tmp_path):
    np.save(tmp_path / "X.npy", X64)
    ds = sn.scan_npy(tmp_path / "X.npy")
    for rows, dtype in ((ds, np.float32), (ds.with_dtype(torch.float64), np.float64)):
        assert sn.MLPClassifier(max_iter=1).fit(rows, y).coefs_[0].dtype == dtype


def test_first_weights_are_those_of_scikit_learn():
    params = {"max_iter": 1, "learning_rate_init": 1e-12, "random_state": 5}
    for activation in ("relu", "logistic"):
        ours = sn.MLPClassifier(activation=activation, **params).fit(X64, y)
        theirs = neural_network.MLPClassifier(activation=activation, **params).fit(X64, y)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-9)


def test_partial_fits_are_the_epochs_of_a_fit():
    params = {"random_state": 0, "batch_size": 32}
    whole = sn.MLPClassifier(max_iter=4, **params).fit(X, y)
    parts = sn.MLPClassifier(**params)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1, 2])
        assert parts.n_iter_ == 1
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.t_ == whole.t_ == 600


def test_a_warm_start_counts_its_own_epochs():
    mlp = sn.MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(X, y)
    mlp.fit(X, y)
    assert mlp.n_iter_ == 3
    assert len(mlp.loss_curve_) == 6
    assert mlp.t_ == 6 * len(X)


def test_a_penalty_that_was_changed_is_used_from_then_on():
    mlp = sn.MLPClassifier(max_iter=1, warm_start=True, random_state=0).fit(X, y)
    before = mlp.loss_
    mlp.set_params(alpha=1e4).fit(X, y)
    assert mlp.loss_ > 10 * before


def test_files_give_the_bits_of_arrays(tmp_path):
    np.save(tmp_path / "X.npy", X)
    params = {"max_iter": 3, "random_state": 0, "num_workers": 0, "early_stopping": True}
    params["num_threads"] = 1  # "auto" leaves a core to what reads files; sums then round otherwise
    expected = sn.MLPClassifier(**params).fit(sn.as_dataset(X), y)
    found = sn.MLPClassifier(**params).fit(sn.scan_npy(tmp_path / "X.npy"), y)
    assert found.validation_scores_ == expected.validation_scores_
    np.testing.assert_array_equal(found.coefs_[0], expected.coefs_[0])


def test_copies_by_pickle_and_by_save_predict_and_train_on(tmp_path):
    mlp = sn.MLPRegressor("poisson", (5,), max_iter=3, random_state=0).fit(X, y)
    sn.save(mlp, tmp_path / "mlp.sn")
    expected = mlp.predict(X)
    for copied in (pickle.loads(pickle.dumps(mlp)), sn.load(tmp_path / "mlp.sn")):
        np.testing.assert_array_equal(copied.predict(X), expected)
        assert copied.loss_curve_ == mlp.loss_curve_
        copied.partial_fit(X, y)
        assert copied.t_ == 4 * len(X)


def test_checkpoints_resume_a_fit_bit_for_bit(tmp_path):
    params = {"solver": "sgd", "learning_rate": "invscaling", "max_iter": 4, "random_state": 0}
    expected = sn.MLPClassifier(**params).fit(X, y)
    for _ in range(2):  # run, and found done
        found = sn.MLPClassifier(**params, checkpoint_dir=tmp_path).fit(X, y)
        np.testing.assert_array_equal(found.coefs_[0], expected.coefs_[0])
        assert (found.n_iter_, found.t_) == (expected.n_iter_, expected.t_)


def test_a_fit_that_diverges_is_an_error_and_leaves_the_last_one():
    reg = sn.MLPRegressor(solver="sgd", max_iter=30, learning_rate_init=1e-3).fit(X, y)
    before = reg.predict(X)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        reg.set_params(learning_rate_init=1e9).fit(X, y)
    np.testing.assert_array_equal(reg.predict(X), before)


@pytest.mark.filterwarnings("ignore:The first validation loss")
def test_a_fit_that_diverges_keeps_the_best_weights_of_early_stopping(tmp_path):
    params = {"solver": "sgd", "learning_rate_init": 0.05, "max_iter": 20, "early_stopping": True}
    params |= {"hidden_layer_sizes": (5,), "random_state": 0}
    targets = regression(150)[1] / 10
    told = "Training diverged in epoch [2-9], .* those after epoch 1. Scale X"
    with pytest.warns(ConvergenceWarning, match=told):
        reg = sn.MLPRegressor(**params).fit(3 * X64, targets)
    *scores, last = reg.validation_scores_
    assert np.isnan(last)
    assert np.isfinite(reg.predict(X64)).all()
    assert reg.best_validation_score_ == scores[0] == max(scores)
    assert reg.n_iter_ == len(scores) + 1 < 20
    for _ in range(2):  # run, and found done
        with pytest.warns(ConvergenceWarning, match=told):
            found = sn.MLPRegressor(**params, checkpoint_dir=tmp_path).fit(3 * X64, targets)
        np.testing.assert_array_equal(found.predict(X64), reg.predict(X64))
    once = sn.MLPRegressor(**params | {"max_iter": 1}).fit(3 * X64, targets)
    np.testing.assert_array_equal(once.predict(X64), reg.predict(X64))


@pytest.mark.parametrize("train_on", ["fit", "partial_fit"])
def test_an_activation_that_was_changed_is_used_from_then_on(train_on):
    params = {"max_iter": 3, "warm_start": True, "random_state": 0}
    params |= {"hidden_layer_sizes": (5,), "shuffle": False}
    ours, theirs = (kind(**params).fit(X64, y) for kind in PAIR)
    for mlp in (ours, theirs):
        getattr(mlp.set_params(activation="tanh"), train_on)(X64, y)
    np.testing.assert_allclose(ours.predict_proba(X64), theirs.predict_proba(X64), rtol=1e-10)


def test_parameters_set_after_a_fit_change_nothing_of_it(tmp_path):
    mlp = sn.MLPClassifier((5,), max_iter=3, random_state=0).fit(X, y)
    expected, best, curve = mlp.predict_proba(X), mlp.best_loss_, mlp.loss_curve_
    mlp.set_params(activation="tanh", early_stopping=True)
    assert mlp.best_loss_ == best == min(curve)
    sn.save(mlp, tmp_path / "mlp.sn")
    for each in (mlp, sn.load(tmp_path / "mlp.sn")):
        np.testing.assert_array_equal(each.predict_proba(X), expected)
    assert mlp.set_params(solver="lbfgs").loss_curve_ == curve


def test_epochs_after_lbfgs_are_counted_alone():
    mlp = sn.MLPClassifier((5,), solver="lbfgs", max_iter=2, warm_start=True, random_state=0)
    mlp.fit(X, y)
    assert not hasattr(mlp, "loss_curve_")
    mlp.set_params(solver="adam").fit(X, y)
    assert mlp.loss_curve_ == [epoch["train_loss"] for epoch in mlp.history_[1:]]
    assert (mlp.n_iter_, mlp.t_, mlp.best_loss_) == (2, 300, min(mlp.loss_curve_))


def test_a_fit_found_done_goes_on_as_one_that_was_run(tmp_path):
    params = {"tol": 0.05, "n_iter_no_change": 2, "warm_start": True, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = [
            sn.MLPClassifier((5,), checkpoint_dir=tmp_path, **params).fit(X, y) for _ in range(2)
        ]
        assert [mlp._no_improvement_count for mlp in fits] == [3, 3]
        assert {mlp.n_iter_ for mlp in fits} == {len(fits[0].loss_curve_)}
        assert fits[1].fit(X, y).n_iter_ == 1


def test_few_rows_to_validate_on_are_refused():
    with pytest.raises(ValueError, match="The validation set is too small"):
        sn.MLPRegressor(early_stopping=True).fit(X[:3], y[:3])


def test_a_batch_larger_than_the_rows_is_clipped_with_a_warning():
    with pytest.warns(UserWarning, match="200 for 150 rows. It is going to be clipped"):
        assert sn.MLPClassifier(batch_size=200, max_iter=1).fit(X, y).batch_size_ == 150


def test_partial_fit_does_not_stop_early():
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        sn.MLPClassifier(early_stopping=True).partial_fit(X, y)


def test_without_shuffle_and_with_many_batches_it_is_scikit_learn_all_the_same():
    params = {"shuffle": False, "batch_size": 40, "max_iter": 5, "random_state": 0}
    targets = regression(150)[1] / 1000
    ours = sn.MLPRegressor(**params).fit(X64, targets)
    theirs = neural_network.MLPRegressor(**params).fit(X64, targets)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict(X64), theirs.predict(X64), rtol=1e-3)


@pytest.mark.parametrize("n_rows", [50, 51])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_steps_and_epsilon_are_those_of_scikit_learn(n_rows, epsilon):
    params = {"batch_size": 50, "epsilon": epsilon, "max_iter": 5, "random_state": 0}
    params |= {"shuffle": False, "hidden_layer_sizes": (5,)}
    ours = sn.MLPClassifier(**params).fit(X64[:n_rows], y[:n_rows])
    theirs = neural_network.MLPClassifier(**params).fit(X64[:n_rows], y[:n_rows])
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(ours.predict_proba(X64), theirs.predict_proba(X64), rtol=1e-9)


@pytest.mark.parametrize(
    "params", [{"epsilon": 1e-2}, {"solver": "sgd", "learning_rate": "invscaling"}]
)
def test_a_copy_by_save_goes_on_as_the_original(tmp_path, params):
    mlp = sn.MLPClassifier((5,), max_iter=2, random_state=0, **params).fit(X64, y)
    sn.save(mlp, tmp_path / "mlp.sn")
    loaded = sn.load(tmp_path / "mlp.sn")
    for each in (mlp, loaded):
        each.partial_fit(X64, y)
    np.testing.assert_array_equal(loaded.predict_proba(X64), mlp.predict_proba(X64))


def test_one_row_may_be_passed_to_validate_on():
    mlp = sn.MLPClassifier((5,), max_iter=2, random_state=0).fit(X, y, X_val=X[:1], y_val=y[:1])
    assert len(mlp.validation_scores_) == 2
