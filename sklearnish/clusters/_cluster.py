"""Which cluster fits run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearnish.clusters._ray import on_ray
from sklearnish.data import is_whole
from sklearnish.estimators import ELSEWHERE


@contextmanager
def cluster(kind: str, *, n_workers: int, use_gpu: bool = False, **options: Any) -> Iterator[None]:
    """Let fits run on a cluster, one net on all its workers, for the time of a ``with`` block.

    Each `fit` of a Torch estimator in this thread is sent to the workers, which train together as
    the processes of ``n_processes`` do: `batch_size` is that of all of them, and the result that of
    one process, up to rounding. Arrays are sent once; files are opened by their paths on each
    worker.

    Parameters
    ----------
    kind : {"ray"}
        "ray" hands the fit to Ray Train's ``TorchTrainer`` [1]_. It joins the cluster of
        ``ray.init``, if that was called, or one that the environment names; else it starts Ray on
        this machine and stops it at the end. Needs ``pip install "sklearnish[ray]"``.
    n_workers : int
        Workers that train together; ``n_processes`` is not used.
    use_gpu : bool, default=False
        Whether each has a GPU.
    **options : dict
        Passed to Ray's ``ScalingConfig``, such as ``resources_per_worker={"CPU": 4}``.

    Yields
    ------
    None
        For the time of the block.

    Raises
    ------
    ValueError
        If `kind` is another one, `n_workers` is no whole number of at least 1, or this machine has
        fewer GPUs.
    ImportError
        If Ray is not installed.

    See Also
    --------
    joblib.parallel_config : Spreads the candidates of a search over a cluster of Dask or Ray.

    References
    ----------
    .. [1] https://docs.ray.io/en/latest/train/train.html

    Examples
    --------
    >>> import sklearnish as sn
    >>> with sn.cluster("ray", n_workers=8, use_gpu=True):  # doctest: +SKIP
    ...     clf.fit(ds)
    """
    if kind != "ray":
        raise ValueError(
            f'kind={kind!r} is no cluster that one fit can run on; there is "ray". For a search on '
            'Dask use joblib.parallel_config("dask"); on many machines without either, torchrun.'
        )
    if not is_whole(n_workers, 1):
        raise ValueError(f"n_workers must be a whole number of at least 1, got {n_workers!r}.")
    with on_ray(int(n_workers), use_gpu, options) as launch:
        token = ELSEWHERE.set(launch)
        try:
            yield
        finally:
            ELSEWHERE.reset(token)
