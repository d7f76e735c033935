"""An ONNX graph, built node by node."""

import numpy as np


class Graph:
    """The nodes of a graph that is being built, and its constants."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def node(self, kind: str, *inputs, output: str = '', **attributes) -> str:
        """Adds a node; returns its output's name.  inputs: names of outputs, or arrays."""
        from onnx import helper

        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        output = output or f'{kind.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def _constant(self, array) -> str:
        from onnx import numpy_helper

        name = f'constant_{len(self.constants)}'
        # ascontiguousarray turns a scalar into [1]; the reshape turns it back.
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self.constants.append(numpy_helper.from_array(array, name))
        return name
