"""The module of tables: a few small networks that share their weights, on waves of each number."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

BLANKED = 0.01
"""Share of categories that training makes unknown, so that an unknown one has been learned."""

ONE_HOT = 102
"""Codes up to which a category is one column per code: unknown, missing and 100 levels."""

_VALUES = 16
"""Values that stand for a category of more codes."""

_SLOWEST, _FASTEST = 0.01, 10.0
"""Frequencies of the waves, in periods per deviation of a number."""

_TASKS = ("values", "classes", "labels")
_EMBEDDINGS = ("periodic", "none")


class EnsembleLinear(nn.Module):
    """A linear layer of several members that differ in scales and bias alone.

    Member k computes ``x @ (r[k] * W * s[k]) + b[k]``: one product of matrices per member, and
    nothing to be done for each activation.
    """

    def __init__(self, n_members: int, n_in: int, n_out: int, *, spread: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(1, n_in))
        draw = torch.randn if spread else torch.ones
        self.weight = nn.Parameter(torch.empty(n_in, n_out).uniform_(-bound, bound))
        self.scale_in = nn.Parameter(draw(n_members, n_in, 1))
        self.scale_out = nn.Parameter(torch.ones(n_members, 1, n_out))
        self.bias = nn.Parameter(torch.empty(n_members, 1, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (n_members, n, n_out) from rows of each member, or from (n, n_in) for all."""
        weight = self.scale_in * self.weight * self.scale_out
        return torch.baddbmm(self.bias, x.expand(len(weight), *x.shape[-2:]), weight)


class TableModule(nn.Module):
    """Ensemble of small multilayer perceptrons for tables, which share most of their weights.

    Numbers are given as scores (around zero, of deviation one), and enter as they are and as
    `n_frequencies` waves ``cos(2 pi (w z + b))`` each [1]_. Categories are given as codes and enter
    as one column of zeros and ones per code; with more than 102 codes, as 16 learned values. In
    training, one code in a hundred is replaced by 0, which stands for unknown levels. The members
    are those of BatchEnsemble [2]_, as TabM [3]_ has them for tables: they share the matrix of a
    layer, and scale its inputs and outputs.

    In training the module returns the outputs of each member, so that each is trained for itself;
    in eval mode those of the ensemble: the logarithm of the mean probability, or the mean value.

    Parameters
    ----------
    in_features : int
        Number of columns.
    out_features : int
        Number of outputs.
    task : {"values", "classes", "labels"}
        What the outputs are: values, logits of classes, or a logit for each of several labels.
    numbers : sequence of int, default=None
        Columns of numbers. None is every column that is neither of the following.
    indicators : sequence of int, default=()
        Columns that enter as they are.
    categories : sequence of (int, int), default=()
        Columns of codes, each with its number of codes. What is no such code counts as 0.
    n_members : int, default=8
        Number of networks.
    width : int, default=64
        Width of the hidden layers.
    depth : int, default=3
        Number of hidden layers.
    embedding : {"periodic", "none"}, default="periodic"
        Whether numbers enter as waves, too.
    n_frequencies : int, default=16
        Waves per number.

    References
    ----------
    .. [1] Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning", 2022,
       https://arxiv.org/abs/2203.05556
    .. [2] Wen et al., "BatchEnsemble: an Alternative Approach to Efficient Ensemble and Lifelong
       Learning", 2020, https://arxiv.org/abs/2002.06715
    .. [3] Gorishniy et al., "TabM: Advancing Tabular Deep Learning with Parameter-Efficient
       Ensembling", 2024, https://arxiv.org/abs/2410.24210

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import TableModule
    >>> module = TableModule(5, 3, task="classes", categories=[(4, 10)])
    >>> module(torch.zeros(7, 5)).shape
    torch.Size([7, 8, 3])
    >>> module.eval()(torch.zeros(7, 5)).shape
    torch.Size([7, 3])
    """

    members_apart = True
    """In training, outputs have an axis of members behind that of the rows."""

    numbers: Tensor
    indicators: Tensor
    coded: Tensor
    looked_up: Tensor
    n_codes: Tensor
    starts: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        task: str,
        numbers: Sequence[int] | None = None,
        indicators: Sequence[int] = (),
        categories: Sequence[tuple[int, int]] = (),
        n_members: int = 8,
        width: int = 64,
        depth: int = 3,
        embedding: str = "periodic",
        n_frequencies: int = 16,
    ) -> None:
        super().__init__()
        _check_choice("task", task, _TASKS)
        _check_choice("embedding", embedding, _EMBEDDINGS)
        if numbers is None:
            others = {*indicators, *(column for column, _ in categories)}
            numbers = [column for column in range(in_features) if column not in others]
        _check_columns(in_features, [*numbers, *indicators, *(column for column, _ in categories)])
        self.task = task
        few = [(column, n) for column, n in categories if n <= ONE_HOT]
        many = [(column, n) for column, n in categories if n > ONE_HOT]
        self._note("numbers", numbers)
        self._note("indicators", indicators)
        self._note("coded", [column for column, _ in few + many])
        self._note("n_codes", [n for _, n in few + many])
        self._note("starts", [*_starts(n for _, n in few), *_starts(n for _, n in many)])
        self.n_one_hot, self.n_few = sum(n for _, n in few), len(few)
        n_waves = n_frequencies if embedding == "periodic" else 0
        self.frequencies, self.phases = _waves(len(numbers), n_waves)
        self.vectors = nn.Parameter(torch.randn(1, sum(n for _, n in many), _VALUES))
        n_in = len(numbers) * (1 + n_waves) + len(indicators)
        widths = [n_in + self.n_one_hot + _VALUES * len(many), *[width] * depth]
        self.layers = nn.ModuleList(
            EnsembleLinear(n_members, widths[i], width, spread=i == 0) for i in range(depth)
        )
        bound = 1 / math.sqrt(max(1, widths[-1]))
        heads = torch.empty(n_members, widths[-1], out_features).uniform_(-bound, bound)
        self.heads = nn.Parameter(heads)
        self.bias = nn.Parameter(torch.zeros(n_members, 1, out_features))

    def _note(self, name: str, values: Sequence[int]) -> None:
        """Keep whole numbers where the module is; they are no weights."""
        self.register_buffer(name, torch.tensor(list(values), dtype=torch.int64), persistent=False)

    def set_output_bias(self, bias: Tensor) -> None:
        """Let every member begin with these outputs.

        Parameters
        ----------
        bias : Tensor of shape (out_features,)
            Logarithms of the shares of the classes, for example.
        """
        with torch.no_grad():
            self.bias.copy_(bias.expand_as(self.bias))

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, in_features)
            Rows.

        Returns
        -------
        Tensor of shape (n, n_members, out_features) or, in eval mode, (n, out_features)
            Logits or values.
        """
        members = self.members(X)
        if self.training:
            return members
        if self.task == "values":
            return members.mean(1)
        if self.task == "classes":
            return _log_mean_exp(members.log_softmax(-1))
        log = nn.functional.logsigmoid
        return _log_mean_exp(log(members)) - _log_mean_exp(log(-members))

    def members(self, X: Tensor) -> Tensor:
        """Compute what each member makes of a batch.

        Parameters
        ----------
        X : Tensor of shape (n, in_features)
            Rows.

        Returns
        -------
        Tensor of shape (n, n_members, out_features)
            Logits or values.
        """
        hidden = self._inputs(X.flatten(1))
        for layer in self.layers:
            hidden = layer(hidden).relu()
        outputs = torch.baddbmm(self.bias, hidden.expand(len(self.bias), -1, -1), self.heads)
        return outputs.transpose(0, 1)

    def _inputs(self, X: Tensor) -> Tensor:
        """Make the inputs of the first layer: numbers, indicators, categories, waves."""
        dtype = self.heads.dtype
        z = X[:, self.numbers].to(dtype)
        parts = [z, X[:, self.indicators].to(dtype)]
        if len(self.coded):
            parts += self._categories(X[:, self.coded].long(), dtype)
        waves = torch.cos(2 * torch.pi * (z.unsqueeze(-1) * self.frequencies + self.phases))
        return torch.cat([*parts, waves.flatten(1)], 1)

    def _categories(self, codes: Tensor, dtype: torch.dtype) -> list[Tensor]:
        """Make columns of zeros and ones of the codes, and learned values of those of many."""
        known = (codes >= 0) & (codes < self.n_codes)
        if self.training:
            known &= torch.rand(codes.shape, device=codes.device) >= BLANKED
        places = codes * known + self.starts
        ones = torch.zeros(codes.shape[0], self.n_one_hot, dtype=dtype, device=codes.device)
        ones = ones.scatter(1, places[:, : self.n_few], 1.0)
        return [ones, self.vectors[0, places[:, self.n_few :]].flatten(1)]


def _waves(n_numbers: int, n: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Draw frequencies, slow and fast ones for each number, and phases."""
    spread = torch.logspace(math.log10(_SLOWEST), math.log10(_FASTEST), n)
    frequencies = torch.randn(1, n_numbers, n) * spread
    return nn.Parameter(frequencies), nn.Parameter(torch.rand(1, n_numbers, n))


def _starts(counts: Iterable[int]) -> list[int]:
    """Say where the codes of each category begin, if those of all are numbered in one row."""
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + count)
    return starts[:-1]


def _log_mean_exp(logs: Tensor) -> Tensor:
    """Average over members what is given by its logarithm."""
    return logs.logsumexp(1) - math.log(logs.shape[1])


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse what is not offered."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}.")


def _check_columns(in_features: int, columns: list[int]) -> None:
    """Refuse columns that are not there, or that are named twice."""
    if bad := sorted({c for c in columns if not 0 <= c < in_features or columns.count(c) > 1}):
        raise ValueError(
            f"Columns {bad} are named twice, or are not from 0 to in_features - 1 = "
            f"{in_features - 1}. Name each column once: in numbers, indicators or categories."
        )
