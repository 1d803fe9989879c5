"""onnxruntime, where the workload is one or a few standard operators. Weights are constants, as in a deployed model, so that
they may be packed ahead of time."""
import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

from worker import Skip

WEIGHTS_ARE_CONSTANT = ("conv2d", "conv2d_s2", "conv1x1", "gconv", "depthwise", "mlp1", "mlp3", "layernorm", "batchnorm")


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def __call__(self, kind, *arguments, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(arguments), [name], **attributes))
        return name

    def constant(self, value, dtype=np.int64):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def reshape(self, x, shape):
        return self("Reshape", x, self.constant(shape))

    def layer(self, i, w, b, transposed):
        return self("Relu", self("Gemm", i, w, b, transB=transposed))


def output(g, task):
    """The name of the result of the operators that make up the workload."""
    x, *more = task.names
    shape = dict(zip(task.names, (array.shape for array in task.arrays)))

    def gconv():
        (n, groups, _, h, w), v = shape[x], shape[more[0]]
        o = g("Conv", g.reshape(x, [n, -1, h, w]), g.reshape(more[0], [-1, *v[2:]]), group=groups)
        return g.reshape(o, task.results[0].shape)

    def attention():
        scores = g("MatMul", x, g("Transpose", more[0], perm=[0, 2, 1]))
        return g("MatMul", g("Softmax", g("Mul", scores, g.constant(.125, np.float32))), more[1])

    forms = dict(
        gemm=lambda: g("MatMul", x, *more),
        tmm=lambda: g("Gemm", x, *more, transB=1),
        tbmm=lambda: g("MatMul", x, g("Transpose", *more, perm=[0, 2, 1])),
        hgemm=lambda: g("MatMul", x, *more),
        i8gemm=lambda: g("MatMulInteger", x, *more),
        conv2d=lambda: g("Conv", x, *more),
        conv2d_s2=lambda: g("Conv", x, *more, strides=[2, 2]),
        conv1x1=lambda: g("Conv", x, g.reshape(more[0], [*shape[more[0]], 1, 1])),
        depthwise=lambda: g("Conv", x, g.reshape(more[0], [-1, 1, 3, 3]), group=shape[more[0]][0]),
        gconv=gconv,
        mlp1=lambda: g.layer(x, *more, 0),
        mlp3=lambda: g.layer(g.layer(g.layer(x, *more[:2], 1), *more[2:4], 1), *more[4:], 1),
        lut1=lambda: g("ReduceSum", g("Gather", x, *more), g.constant([1]), keepdims=0),
        softmax=lambda: g("Softmax", x, axis=1),
        layernorm=lambda: g("LayerNormalization", x, *more, epsilon=1e-5),
        batchnorm=lambda: g("Relu", g("BatchNormalization", x, *more)),
        attention=attention,
        transpose=lambda: g("Transpose", x),
        rowsum=lambda: g("ReduceSum", x, g.constant([1]), keepdims=0),
        colsum=lambda: g("ReduceSum", x, g.constant([0]), keepdims=0),
        axpy=lambda: g("Add", g("Mul", x, more[0]), more[1]),
    )
    if task.op not in forms or any(array.dtype.name == "bfloat16" for array in task.arrays):
        raise Skip
    return forms[task.op]()


def prepare(task):
    g = Graph()
    result = output(g, task)
    constant = set(task.names[1:] if task.op in WEIGHTS_ARE_CONSTANT else [])
    arrays = dict(zip(task.names, task.arrays))
    info = lambda name, array: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    g.constants += [numpy_helper.from_array(arrays[name], name) for name in task.names if name in constant]
    feed = {name: array for name, array in arrays.items() if name not in constant}
    graph = helper.make_graph(g.nodes, "workload", [info(*item) for item in feed.items()],
                              [info(result, task.results[0])], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = task.threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    last = []

    def call():
        last[:] = session.run(None, feed)

    return call, lambda: last
