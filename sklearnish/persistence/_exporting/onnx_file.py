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

_ELEMENTS = {"float32": "FLOAT", "float64": "DOUBLE", "int64": "INT64", "int32": "INT32"}
_ELEMENTS |= {"uint8": "UINT8", "bool": "BOOL", "int16": "INT16", "int8": "INT8"}


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
        If torch has no ONNX for the module, or the file would be larger than it may be.
    """
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
        try:
            model = made.model_proto
            _name_ends(model, network.inputs, about["result"])
            for key, value in about.items():
                model.metadata_props.add(key=key, value=json.dumps(value))
            data: bytes = model.SerializeToString()
        except ValueError as error:
            raise ValueError(
                f"The file cannot be written: {error}. An .onnx file holds at most 2 GB; a .pt2 "
                "file may hold more."
            ) from error
    return data


def _name_ends(model: Any, inputs: list[AnyInput], result: str) -> None:
    """Give inputs and output the names that users know, which no value in between may have."""
    from onnx import TensorProto, checker, compose, helper

    graph = model.graph
    prefix = "network/"
    while any(one.name.startswith(prefix) for one in inputs):
        prefix += "/"
    compose.add_prefix_graph(graph, prefix, inplace=True)
    inner = [value.name for value in graph.input]
    nodes = [_entry(one, name) for one, name in zip(inputs, inner, strict=True)]
    makes = helper.make_tensor_value_info
    ends = [
        makes(
            one.name,
            getattr(TensorProto, "STRING" if is_text(one) else _ELEMENTS[one.dtype]),
            ["n", *one.shape],
        )
        for one in inputs
    ]
    (output,) = graph.output
    shape = [dim.dim_value for dim in output.type.tensor_type.shape.dim[1:]]
    while result in {one.name for one in inputs}:
        result += "_"
    nodes_after = [helper.make_node("Identity", [output.name], [result], name=f"{prefix}result")]
    last = makes(result, output.type.tensor_type.elem_type, ["n", *shape])
    between = [*nodes, *graph.node, *nodes_after]
    for field, values in (("node", between), ("input", ends), ("output", [last])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    if any(map(is_text, inputs)):
        model.opset_import.append(helper.make_opsetid(_OPERATORS, 3))
    checker.check_model(model)


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
