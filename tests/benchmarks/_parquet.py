"""Random Parquet files, and the best loop over row groups that we can write by hand."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

N_FEATURES = 64
PIECE = 65_536
"""Rows drawn at a time, and of a row group that suits a shuffle."""

PANDAS_GROUP = 1_048_576
"""Rows of a row group as DataFrame.to_parquet writes it."""


class Perceptron(nn.Module):
    """A light module: reading is what is measured."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(N_FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


def write_parquet(path: Path, n_rows: int, group_rows: int = PIECE) -> Path:
    """Write random features and labels that depend on them, as pyarrow does by default."""
    rng = np.random.default_rng(0)
    pieces: list[pa.Table] = []
    with pq.ParquetWriter(path, _random_table(rng, 1).schema) as writer:
        for start in range(0, n_rows, PIECE):
            pieces.append(_random_table(rng, min(PIECE, n_rows - start)))
            if sum(map(len, pieces)) >= group_rows:
                writer.write_table(pa.concat_tables(pieces), row_group_size=group_rows)
                pieces = []
        if pieces:
            writer.write_table(pa.concat_tables(pieces), row_group_size=group_rows)
    return path


def _random_table(rng: np.random.Generator, n_rows: int) -> pa.Table:
    X = rng.standard_normal((N_FEATURES, n_rows), dtype=np.float32)
    y = (X[:8].sum(axis=0) > rng.logistic(size=n_rows)).astype(np.int64)
    return pa.table({f"x{j}": column for j, column in enumerate(X)} | {"y": y})


@dataclass(frozen=True)
class HandLoop:
    """Row groups -> float32 matrix -> batches; one thread reads ahead of the training step.

    Attributes
    ----------
    path : Path
        The file.
    groups : int
        Row groups that are shuffled together.
    stripes : bool
        Fill the matrix in stripes that stay in the cache; otherwise stack columns.
    memory_map : bool
        Of the file.
    """

    path: Path
    groups: int = 1
    stripes: bool = True
    memory_map: bool = False

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every row once, in an order that is random among and within windows."""
        with pq.ParquetFile(self.path, memory_map=self.memory_map) as file:
            order = rng.permutation(file.num_row_groups)
            windows = [order[i : i + self.groups] for i in range(0, len(order), self.groups)]
            seeds = rng.integers(2**63, size=len(windows))
            with ThreadPoolExecutor(1) as pool:
                ahead = pool.submit(self._read, file, windows[0], seeds[0])
                for i in range(len(windows)):
                    X, y = ahead.result()
                    if i + 1 < len(windows):
                        ahead = pool.submit(self._read, file, windows[i + 1], seeds[i + 1])
                    yield from zip(X.split(batch_size), y.split(batch_size), strict=True)

    def _read(
        self, file: pq.ParquetFile, window: npt.NDArray[np.int64], seed: int
    ) -> tuple[Tensor, Tensor]:
        read = [file.read_row_group(int(g), use_threads=False) for g in window]
        X = torch.cat([self._matrix(group) for group in read])
        y = torch.cat([torch.from_numpy(group["y"].to_numpy().copy()) for group in read])
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(X)))
        return X[order], y[order]

    def _matrix(self, group: pa.Table) -> Tensor:
        columns = [group[f"x{j}"].to_numpy() for j in range(N_FEATURES)]
        if not self.stripes:
            return torch.from_numpy(np.stack(columns, axis=1))
        out = np.empty((len(group), N_FEATURES), dtype=np.float32)
        for start in range(0, len(out), 2048):
            stripe = slice(start, start + 2048)
            for j, column in enumerate(columns):
                out[stripe, j] = column[stripe]
        return torch.from_numpy(out)


class Trainer:
    """The step of the hand-written loops: module, fused Adam, loss."""

    def __init__(self, lr: float = 1e-3, make: Callable[[], nn.Module] = Perceptron) -> None:
        torch.manual_seed(0)
        self.module = make()
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=lr, fused=True)
        self.criterion = nn.CrossEntropyLoss()

    def epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Train on all batches; return the seconds it took."""
        begun, losses = time.perf_counter(), []
        for X, y in batches:
            loss = self.criterion(self.module(X), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        assert torch.isfinite(torch.stack(losses).mean())
        return time.perf_counter() - begun
