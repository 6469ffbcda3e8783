"""Many fits, one after the other, for test_together: run it alone, or under torchrun.

    python -m tests.together FOLDER [CASE ...]

Each process writes the weights and the history of every fit to FOLDER/RANK.npz.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback, EpochScoring, Freezer, GradientNormClipping, LRScheduler
from torch import nn

import sklearnish as sn

N, D = 203, 6  # 203 rows: the last batch is uneven, and smaller than there are processes


class Unused(nn.Module):
    """Has weights that never get a gradient, and some that get one from few rows only."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.used = nn.Linear(in_features, out_features)
        self.never = nn.Linear(in_features, out_features)
        self.positive = nn.Linear(in_features, out_features)

    def forward(self, X):
        outputs, few = self.used(X), X[:, 0] > 1.5
        return (
            outputs.index_add(0, few.nonzero()[:, 0], self.positive(X[few]))
            if few.any()
            else outputs
        )


class Rectified(nn.BatchNorm1d):
    """Does more than the layer that it is derived from."""

    def forward(self, X):
        return super().forward(X).relu()


class Normal(nn.Module):
    def __init__(self, in_features, out_features, dropout=0.5, layer=nn.BatchNorm1d, **options):
        super().__init__()
        normal = layer(8, **options)
        layers = nn.Linear(in_features, 8), normal, nn.ReLU(), nn.Dropout(dropout)
        self.layers = nn.Sequential(*layers, nn.Linear(8, out_features))

    def forward(self, X):
        return self.layers(X.view(X.size(0), -1))  # which refuses no rows


class StaysInEval(nn.Module):
    """Is never in training mode, and has constants: the least of float32, and thirds of them."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        least = torch.finfo(torch.float32).min
        self.register_buffer("constants", torch.tensor([least, 0.1, 0.7, -torch.inf]))

    def train(self, mode=True):
        return super().train(False)

    def forward(self, X):
        return self.linear(X)


class Decay(Callback):
    def on_epoch_begin(self, net, **kwargs):
        net.optimizer_.param_groups[0].update(weight_decay=0.5, initial_lr=1.0)


def shifted(x, rng):
    return x + 0.01 * rng.normal()


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    return X, (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1), X @ rng.normal(size=(D, 2))


def parquet(folder):
    X, y, _ = data()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(D)]).assign(
        y=y, w=np.random.default_rng(1).integers(1, 5, N)
    )
    path = folder / "rows.parquet"
    if not path.exists():
        frame.to_parquet(path, row_group_size=9)
    return path


def classifier(**params):
    defaults = {"max_epochs": 3, "batch_size": 20, "random_state": 0, "precision": "float64"}
    return sn.TorchClassifier(**defaults | {"num_threads": 1, "num_workers": 0} | params)


def regressor(**params):
    defaults = {"max_epochs": 3, "batch_size": 20, "random_state": 0, "precision": "float64"}
    return sn.TorchRegressor(**defaults | {"num_threads": 1} | params)


def cases(folder):
    """Name fits; each returns an estimator."""
    X, y, Y = data()
    w = np.random.default_rng(1).random(N)
    window = {"shuffle_memory": 8 * 45 * (D + 1) * 8}  # a window holds about five row groups
    ds = sn.scan_parquet(parquet(folder), target="y", weight="w")
    plain = sn.scan_parquet(parquet(folder), target="y").select([f"x{i}" for i in range(D)])
    table = pd.DataFrame(X, columns=list("abcdef")).assign(g=np.array(list("xyz"))[y])
    early = {"early_stopping": True, "max_epochs": 6, "patience": 2}
    mlp = {"max_iter": 4, "random_state": 0, "batch_size": 30, "alpha": 0.5}

    def synchronised(options=(), **params):
        module_params = {"dropout": 0.0, **dict(options)}
        return classifier(
            module=Normal, module_params=module_params, sync_batch_norm=True, **params
        )

    def twice(estimator):
        return estimator.fit(X, y).set_params(warm_start=True, lr=1e-2).fit(X, y)

    def in_parts():
        estimator = classifier()
        for _ in range(2):
            estimator.partial_fit(X, y)
        return estimator

    return {
        "arrays": lambda: classifier().fit(X, y),
        "float32": lambda: classifier(precision="float32").fit(X, y),
        "parquet": lambda: classifier(**window).fit(plain),
        "parquet, workers": lambda: classifier(**window, num_workers=1).fit(plain),
        "disorder": lambda: classifier(**window).fit(
            plain[np.random.default_rng(3).permutation(N)]
        ),
        "weights": lambda: classifier(**window).fit(ds),
        "drawn by weight": lambda: classifier(**window, sampler="weighted").fit(ds),
        "balanced": lambda: classifier(sampler="balanced").fit(X, y),
        "class_weight": lambda: classifier(class_weight="balanced").fit(X, y),
        "accumulated": lambda: classifier(accumulate_steps=3, clip_grad_norm=0.1).fit(X, y),
        "schedule": lambda: classifier(lr_schedule="onecycle", average_weights=0.9).fit(X, y),
        "early": lambda: classifier(**early).fit(X, y),
        "accuracy": lambda: classifier(**early, monitor="accuracy").fit(ds),
        "X_val": lambda: classifier(monitor="f1_macro").fit(X, y, X_val=X[:5], y_val=y[:5]),
        "one row of X_val": lambda: classifier().fit(X, y, X_val=X[:1], y_val=y[:1]),
        "targets": lambda: regressor(**early).fit(X, Y, sample_weight=w),
        "few rows": lambda: classifier(batch_size=500).fit(X[:3], [0, 1, 2]),
        "single rows": lambda: classifier(batch_size=1, max_epochs=1).fit(X[:30], y[:30]),
        "augmented": lambda: classifier(augment=shifted, **window).fit(plain),
        "compiled": lambda: classifier(compile=True, module=nn.Linear).fit(X, y),
        "unused weights": lambda: classifier(module=Unused, optimizer="adamw").fit(X, y),
        "warm start": lambda: twice(classifier()),
        "partial_fit": in_parts,
        "MLP": lambda: sn.MLPClassifier(**mlp).fit(X, y),
        "MLP of few rows": lambda: sn.MLPRegressor(**mlp | {"batch_size": 1}).fit(
            X[:20], Y[:20, 0]
        ),
        "MLP that stops": lambda: sn.MLPClassifier(**mlp, early_stopping=True).fit(X, y),
        "lbfgs": lambda: sn.MLPClassifier(solver="lbfgs", random_state=0, max_iter=3).fit(X, y),
        "codes": lambda: sn.TorchTransformer(
            max_epochs=2, random_state=0, precision="float64", batch_size=20
        ).fit(X),
        "table": lambda: sn.TabularRegressor(max_epochs=2, random_state=0, batch_size=40).fit(
            table, Y[:, 0]
        ),
        "callbacks": lambda: classifier(
            module=Unused,
            callbacks=[
                EpochScoring("accuracy", lower_is_better=False),
                LRScheduler("StepLR", step_size=3, step_every="batch"),
                Freezer("positive.*"),
            ],
        ).fit(X, y, X_val=X[:50], y_val=y[:50]),
        "gradients of callbacks": lambda: classifier(
            optimizer="adamw",
            accumulate_steps=2,
            callbacks=[GradientNormClipping(0.02), Decay()],
            monitor="accuracy",
            **early,
        ).fit(X, y),
        "always in eval mode": lambda: classifier(module=StaysInEval).fit(X, y),
        "seed of none": lambda: classifier(random_state=None).fit(X, y),
        "normalised": lambda: classifier(module=Normal).fit(X, y),
        "synchronised": lambda: synchronised(**early).fit(X, y),
        "synchronised, few rows": lambda: synchronised(batch_size=2).fit(X[:9], y[:9] % 2),
        "synchronised, plain": lambda: synchronised(
            {"affine": False, "track_running_stats": False}, accumulate_steps=2
        ).fit(X, y),
        "synchronised, files": lambda: synchronised({"momentum": None}, **window).fit(plain),
        "synchronised, derived": lambda: synchronised({"layer": Rectified}, compile=True).fit(X, y),
        "synchronised, frozen": lambda: synchronised(
            {"track_running_stats": False}, freeze=["layers.1"]
        ).fit(X, y),
        "bf16": lambda: classifier(precision="bf16").fit(X, y),
    }


def main(folder, *names):
    """Fit, and write what came of it."""
    found = {}
    for name, fit in cases(Path(folder)).items():
        if names and name not in names:
            continue
        estimator = fit()
        weights = [t.detach().double().flatten() for t in estimator.module_.state_dict().values()]
        found[f"{name}/weights"] = torch.cat(weights).numpy()
        for key in ("train_loss", "valid_loss", "valid_accuracy"):
            if key in estimator.history_[-1]:
                found[f"{name}/{key}"] = np.array([epoch[key] for epoch in estimator.history_])
    np.savez(Path(folder) / f"{os.environ.get('RANK', 'alone')}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
