"""The file of torch.export."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sklearnish.persistence._exporting.network import Network, is_text, traced

ABOUT = "sklearnish.json"
"""The part of the file that says what is in it."""


def torch_bytes(network: Network, about: Mapping[str, Any]) -> bytes:
    """Return the file.

    Raises
    ------
    ValueError
        If torch cannot trace the module.
    """
    file = io.BytesIO()
    torch.export.save(traced(network), file, extra_files={ABOUT: json.dumps(about)})
    return file.getvalue()


def torch_runner(data: bytes, network: Network) -> Callable[[Any], Any]:
    """Load a file; return what runs it on arrays, text included."""
    module = torch.export.load(io.BytesIO(data)).module()
    codes = {one.name: one.codes for one in network.inputs if is_text(one)}

    def given(name: str, values: Any) -> torch.Tensor:
        if name in codes:
            values = [codes[name].get(text, 0) for text in values]
        return torch.tensor(values)

    def run(rows: Any) -> Any:
        if not network.is_dict:
            return module(torch.tensor(rows)).numpy()
        return module({name: given(name, values) for name, values in rows.items()}).numpy()

    return run
