"""What skl2onnx leaves to be done in a graph: copies and look-ups to be taken out, and types to be told."""

from collections.abc import Sequence

import onnx
import onnx.shape_inference


def finished(model: onnx.ModelProto, classes: Sequence[object] = ()) -> onnx.ModelProto:
    """The model, which is changed in place; `classes` are those that its first output is among."""
    _without_copies(model.graph)
    _by_place(model.graph, classes)
    _without_copies(model.graph)
    _truly_typed(model)
    return model


def _by_place(graph: onnx.GraphProto, classes: Sequence[object]) -> None:
    """Where classes that are texts are looked up last of all, their places are the answer, at a fraction of the cost.

    So a graph whose classes are texts and whose answers are whole numbers answers with places.
    """
    tables = {table.name: table for table in graph.initializer if table.data_type == onnx.TensorProto.STRING}
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    table = tables.get(last.input[0]) if last.op_type == "Gather" else None
    if table is not None and [text.decode() for text in table.string_data] == list(classes):
        last.CopyFrom(onnx.helper.make_node("Identity", last.input[1:], last.output, last.name))
        graph.initializer.remove(table)


def _without_copies(graph: onnx.GraphProto) -> None:
    """Where an output is a copy of a tensor, that tensor becomes the output."""
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # graphs within graphs use names of this one
    kept = {tensor.name for tensor in (*graph.input, *graph.initializer, *graph.output)}
    outputs = {output.name for output in graph.output}
    for copy in [node for node in graph.node if node.op_type == "Identity" and node.output[0] in outputs]:
        source, output = copy.input[0], copy.output[0]
        if source in kept:
            continue
        graph.node.remove(copy)
        for node in graph.node:
            node.input[:] = [output if name == source else name for name in node.input]
            node.output[:] = [output if name == source else name for name in node.output]


def _truly_typed(model: onnx.ModelProto) -> None:
    """Outputs are of the types that the nodes make: skl2onnx notes them before it knows."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:
        output.type.Clear()
    inferred = onnx.shape_inference.infer_shapes(bare).graph.output
    for output, found in zip(model.graph.output, inferred, strict=True):
        if found.type.tensor_type.elem_type:
            output.type.tensor_type.elem_type = found.type.tensor_type.elem_type
