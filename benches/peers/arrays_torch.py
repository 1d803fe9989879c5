"""PyTorch, eager or through its compiler."""
import torch
import torch.nn.functional as F

import arrays_numpy as plain
from worker import Skip

F32, U8, I16, I32 = torch.float32, torch.uint8, torch.int16, torch.int32


def gconv(x, v):
    n, g, c, h, w = x.shape
    o = F.conv2d(x.reshape(n, g * c, h, w), v.reshape(-1, *v.shape[2:]), groups=g)
    return o.reshape(n, g, -1, *o.shape[2:])


def mlp3(i, u, a, v, b, w, c):
    return F.relu(F.linear(F.relu(F.linear(F.relu(F.linear(i, u, a)), v, b)), w, c))


def moments(x):
    var, mean = torch.var_mean(x, dim=1, correction=0)
    return mean, var


def cvtcolor(x):
    red, green, blue = x.to(I32)
    return ((red * 4899 + green * 9617 + blue * 1868 + 8192) >> 14).to(U8)


def gaussian(x, kx, ky):
    rows = F.conv2d(x.to(F32)[:, None], kx.view(1, 1, 1, 5))
    return F.conv2d(rows, ky.view(1, 1, 5, 1))[:, 0].to(U8)


def boxblur(x):
    rows = sum(plain.shifts(x.to(I16), 1, 3)) // 3
    return (sum(plain.shifts(rows, 3, 1)) // 3).to(U8)


def edge(x):
    around = plain.shifts(x.to(I16), 3, 3)
    ring = sum(around[:4] + around[5:]) // 8
    return ring[:, 1:, :-1] - ring[:, :-1, 1:] + ring[:, 1:, 1:] - ring[:, :-1, :-1]


def nb(x):
    negative, bright = 255 - x, torch.clamp(x.to(I16) * 2, max=255).to(U8)
    n, b = negative.to(I16), bright.to(I16)
    return negative, bright, torch.clamp(n + b, max=255).to(U8), torch.clamp(n - b, min=0).to(U8)


def stepped(step):
    def run(a, steps):
        a, b = a.clone(), a.clone()
        for _ in range(steps):
            b[(slice(1, -1),) * a.ndim] = step(a)
            a, b = b, a
        return a
    return run


OPS = dict(
    gemm=lambda a, b: a @ b,
    tmm=lambda a, b: a @ b.T,
    tbmm=lambda x, y: x @ y.transpose(1, 2),
    hgemm=lambda a, b: a @ b,
    i8gemm=lambda a, b: torch._int_mm(a, b),
    gconv=gconv,
    conv2d=lambda x, v: F.conv2d(x, v),
    conv2d_s2=lambda x, v: F.conv2d(x, v, stride=2),
    conv1x1=lambda x, v: F.conv2d(x, v[:, :, None, None]),
    depthwise=lambda x, v: F.conv2d(x, v[:, None], groups=len(v)),
    lut1=lambda t, i: F.embedding_bag(i, t, mode="sum"),
    lut2=lambda t, i, u, j: (F.embedding_bag(i, t, mode="sum"), F.embedding_bag(j, u, mode="sum")),
    mlp1=lambda i, w, b: F.relu(torch.addmm(b, i, w)),
    residual=lambda x, w, b, r: F.relu(torch.addmm(b, F.relu(x), w)) + r,
    mlp3=mlp3,
    kronecker3=plain.kronecker3,
    softmax=lambda x: torch.softmax(x, 1),
    layernorm=lambda x, g, b: F.layer_norm(x, x.shape[1:], g, b),
    batchnorm=lambda x, g, b, m, v: F.relu(F.batch_norm(x, m, v, g, b)),
    attention=lambda q, k, v: F.scaled_dot_product_attention(q[None], k[None], v[None])[0],
    cross_entropy=lambda x, t: F.cross_entropy(x, t.long(), reduction="none"),
    moments=moments,
    transpose=lambda x: x.T.contiguous(),
    rowsum=lambda x: x.sum(1),
    colsum=lambda x: x.sum(0),
    axpy=lambda a, x, y: a * x + y,
    cvtcolor=cvtcolor,
    gaussian=gaussian,
    conv3x3=lambda x, k: F.conv2d(x.to(F32)[:, None], k[None, None])[:, 0].to(U8),
    boxblur=boxblur,
    edge=edge,
    nb=nb,
    jacobi2d=stepped(plain.jacobi_step),
    heat3d=stepped(plain.heat_step),
)
# Sums of shifted views fuse; calls of a library's convolution do not.
FUSED = dict(
    gaussian=lambda x, kx, ky: plain.weighted(
        plain.shifts(plain.weighted(plain.shifts(x.to(F32), 1, 5), kx), 5, 1), ky).to(U8),
    conv3x3=lambda x, k: plain.weighted(plain.shifts(x.to(F32), 3, 3), k.reshape(9)).to(U8),
    depthwise=lambda x, v: plain.weighted(plain.shifts(x, 3, 3), v.reshape(-1, 9).T[:, :, None, None]),
)


def prepare(task):
    torch.set_num_threads(task.threads)
    torch.set_grad_enabled(False)
    ops = OPS
    if task.peer == "inductor":
        if task.op not in OPS:
            raise Skip
        torch._dynamo.reset()
        ops = {task.op: torch.compile((OPS | FUSED)[task.op], dynamic=False)}
    call, results = plain.bound(ops, task, [from_numpy(array) for array in task.arrays])
    return call, lambda: [to_numpy(r) for r in results()]


# Of NumPy and PyTorch each has a `bfloat16` that the other does not know.
def from_numpy(array):
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor):
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view("bfloat16")
    return tensor.numpy()
