"""
MLflow: losses, parameters and models of fits
=============================================

skorch's ``MlflowLogger`` writes what ``history_`` has. The model is stored with ``sn.save``,
which uses no pickle. Runs are kept in a database in a temporary folder; yours go where
``MLFLOW_TRACKING_URI`` says.
"""

# sphinx_gallery_thumbnail_path = "_static/history.png"

import tempfile
from pathlib import Path

from mlflow import MlflowClient
from sklearn.datasets import make_classification
from skorch.callbacks import MlflowLogger

import sklearnish as sn


def main() -> None:
    """Fit with a logger, then read the run back."""
    X, y = make_classification(1_000, 20, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(f"sqlite:///{folder}/runs.db")
        experiment = client.create_experiment("example", (Path(folder) / "files").as_uri())
        run = client.create_run(experiment).info.run_id

        logger = MlflowLogger(client.get_run(run), client, create_artifact=False)
        clf = sn.TorchClassifier(
            max_epochs=5, early_stopping=True, callbacks=[logger], random_state=0
        ).fit(X, y)
        for name in ("lr", "batch_size", "max_epochs"):
            client.log_param(run, name, getattr(clf, name))
        sn.save(clf.set_params(callbacks=None), Path(folder) / "model.sn")
        client.log_artifact(run, f"{folder}/model.sn")

        for metric in client.get_metric_history(run, "valid_loss"):
            print(f"epoch {metric.step}: validation loss {metric.value:.4f}")
        loaded = sn.load(client.download_artifacts(run, "model.sn", folder))
        print(f"Accuracy of the model that MLflow keeps: {loaded.score(X, y):.3f}")


if __name__ == "__main__":
    main()
