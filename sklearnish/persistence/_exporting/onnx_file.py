"""ONNX: the one place that knows onnx and onnxruntime."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sklearnish.persistence._exporting.network import (
    AnyInput,
    Network,
    X,
    is_text,
    not_exported,
    quiet,
    traced,
)

_OPERATORS = "ai.onnx.ml"
"""Where the operator lies that looks text up."""

_MOST_BYTES = 2**31 - 2**22
"""Of weights: a message of protobuf holds 2 GiB, with room for the operations."""


def check_installed() -> None:
    """Refuse to begin what could not be ended.

    Raises
    ------
    ImportError
        If a package is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"An .onnx file is written with onnx, onnxscript and onnxruntime, and {error.name} is "
            'missing: pip install "sklearnish[onnx]". A .pt2 file needs torch alone.'
        ) from error


def onnx_bytes(network: Network, about: Mapping[str, Any]) -> bytes:
    """Return the file: its inputs are the columns of a table by their names, or X.

    Raises
    ------
    ValueError
        If torch has no ONNX for the module, or a file of ONNX cannot hold it.
    """
    _check_possible(network)
    program = traced(network)
    names = [f"sklearnish input {i}" for i in range(len(network.inputs))]
    with quiet():
        try:
            made = torch.onnx.export(
                program, input_names=names, output_names=["sklearnish output"], verbose=False
            )
        except Exception as error:
            raise not_exported(network, error.__cause__ or error) from error
    assert made is not None
    model = made.model_proto
    _name_ends(model, network.inputs, about["result"])
    told = zip(about["inputs"], network.inputs, strict=True)
    inputs = [_as_text(said) if is_text(one) else said for said, one in told]
    for key, value in {**about, "inputs": inputs}.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    data: bytes = model.SerializeToString()
    return data


def _as_text(said: Mapping[str, Any]) -> dict[str, Any]:
    """Say of an input of text what it is here: strings, not their codes."""
    kept = {key: value for key, value in said.items() if key not in ("unknown", "missing")}
    missing = {} if "" in said["levels"] else {"missing": ""}
    return {**kept, "type": "string", **missing}


def _check_possible(network: Network) -> None:
    """Refuse what is too large for one file, and columns that it could not take as they are."""
    n_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    if n_bytes > _MOST_BYTES:
        raise ValueError(
            f"The weights take {n_bytes / 1e9:.1f} GB, and an .onnx file holds at most 2 GB. "
            "Write a .pt2 file."
        )
    if not all(one.name for one in network.inputs):
        raise ValueError("A column has an empty name, which no input of ONNX has; rename it.")
    for one in filter(is_text, network.inputs):
        if one.is_ambiguous:
            raise ValueError(
                f"The column {one.name!r} has empty text and missing values, and an .onnx file "
                "takes both as empty text. Fit with another text in place of one of them, such as "
                f"X[{one.name!r}].fillna('missing'); or write a .pt2 file, which takes codes."
            )


def _name_ends(model: Any, inputs: list[AnyInput], result: str) -> None:
    """Give inputs and output the names that users know, which no value in between may have."""
    from onnx import TensorProto, checker, compose, helper

    graph, prefix = model.graph, "network/"
    while any(one.name.startswith(prefix) for one in inputs):
        prefix += "/"
    while result in {one.name for one in inputs}:
        result += "_"
    compose.add_prefix_graph(graph, prefix, inplace=True)
    pairs = list(zip(inputs, graph.input, strict=True))
    before = [_entry(one, inner.name) for one, inner in pairs]
    types = [TensorProto.STRING if is_text(one) else _type(inner) for one, inner in pairs]
    makes = helper.make_tensor_value_info
    given = [
        makes(one.name, of_values, ["n", *one.shape])
        for one, of_values in zip(inputs, types, strict=True)
    ]
    (output,) = graph.output
    shape = [dim.dim_value for dim in output.type.tensor_type.shape.dim[1:]]
    after = helper.make_node("Identity", [output.name], [result], name=f"{prefix}result")
    made = makes(result, _type(output), ["n", *shape])
    nodes = [*before, *graph.node, after]
    for field, values in (("node", nodes), ("input", given), ("output", [made])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    if any(map(is_text, inputs)):
        model.opset_import.append(helper.make_opsetid(_OPERATORS, 3))
    checker.check_model(model)


def _type(value: Any) -> int:
    """Return the number that ONNX has for the type of a value."""
    number: int = value.type.tensor_type.elem_type
    return number


def _entry(one: AnyInput, name: str) -> Any:
    """Make the node between an input of the file and that of the network."""
    from onnx import helper

    node = f"{name} from file"
    if not is_text(one):
        return helper.make_node("Identity", [one.name], [name], name=node)
    codes = one.codes
    return helper.make_node(
        "LabelEncoder",
        [one.name],
        [name],
        name=node,
        domain=_OPERATORS,
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=0,
    )


def onnx_runner(data: bytes) -> Callable[[Any], Any]:
    """Load a file; return what runs it on arrays, text included."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(rows: Any) -> Any:
        (found,) = session.run(None, rows if isinstance(rows, dict) else {X: rows})
        return found

    return run
