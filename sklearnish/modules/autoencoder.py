"""The default module of transformers: an autoencoder of dense layers."""

from collections.abc import Sequence
from numbers import Integral

from torch import Tensor, nn

from sklearnish.modules.mlp import dense, hidden_widths
from sklearnish.modules.scaling import InputScaling


class Autoencoder(InputScaling):
    """Multilayer perceptrons that squeeze rows into a few numbers, and make rows of those again.

    After Hinton and Salakhutdinov [1]_, without their training layer by layer. The first step is
    to standardise the inputs, so that the loss of a reconstruction counts every column alike.

    Parameters
    ----------
    in_features : int
        Number of values in a row.
    n_components : int, default=2
        Number of values in a code.
    hidden : int or sequence of int, default=None
        Widths of the hidden layers of the encoder; the decoder has them in reverse. None means two
        layers as wide as the smallest power of two that is not below
        ``in_features + n_components``, and between 128 and 512.
    dropout : float, default=0.0
        Fraction of hidden activations that are dropped in training.

    References
    ----------
    .. [1] Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks",
       2006, https://doi.org/10.1126/science.1127647

    Examples
    --------
    >>> import torch
    >>> from sklearnish.modules import Autoencoder
    >>> module = Autoencoder(4, n_components=2, hidden=16)
    >>> codes = module.encode(torch.zeros(5, 4))
    >>> codes.shape, module.decode(codes).shape
    (torch.Size([5, 2]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        in_features: int,
        n_components: int = 2,
        hidden: int | Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_features)
        n_codes = _checked(n_components)
        widths = hidden_widths(hidden, in_features + n_codes)
        self.encoder: nn.Module = dense(in_features, widths, n_codes, dropout)
        self.decoder: nn.Module = dense(n_codes, widths[::-1], in_features, dropout)

    def forward(self, X: Tensor) -> Tensor:
        """Reconstruct rows.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, in_features)
            What is to be like ``standardize(X)``.
        """
        rows: Tensor = self.decoder(self.encode(X))
        return rows

    def encode(self, X: Tensor) -> Tensor:
        """Compute codes.

        Parameters
        ----------
        X : Tensor of shape (n, in_features) or (n, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n, n_components)
            Codes.
        """
        codes: Tensor = self.encoder(self.standardize(X))
        return codes

    def decode(self, Z: Tensor) -> Tensor:
        """Make rows of codes.

        Parameters
        ----------
        Z : Tensor of shape (n, n_components)
            Codes.

        Returns
        -------
        Tensor of shape (n, in_features)
            Rows in the units of the inputs.
        """
        return self.restore(self.decoder(Z))


def _checked(n_components: object) -> int:
    """Refuse what is no number of values."""
    whole = isinstance(n_components, Integral) and not isinstance(n_components, bool)
    if not whole or int(n_components) < 1:  # type: ignore[call-overload]
        raise ValueError(f"n_components={n_components!r} must be an integer of at least 1.")
    return int(n_components)  # type: ignore[call-overload,no-any-return]
