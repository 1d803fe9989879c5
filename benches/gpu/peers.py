"""What the programs compute, in PyTorch and, for programs of rows, in Triton.

`eager` has a function for each kernel, from the inputs in the order of the definition to a tuple of outputs; `compiled` is
the same through torch.compile, and `triton_kernels` what a person would write by hand for the row programs.
"""

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None


def kronecker3(u, v, w, x):
    p = torch.einsum("mkln,fn->mklf", x, w)
    q = torch.einsum("mklf,el->mkef", p, v)
    return (torch.einsum("mkef,dk->mdef", q, u),)


def gconv(i, v):
    n, g, c, h, w = i.shape
    f, r, s = v.shape[1], v.shape[3], v.shape[4]
    out = F.conv2d(i.reshape(n, g * c, h, w), v.reshape(g * f, c, r, s), groups=g)
    return (out.reshape(n, g, f, h - r + 1, w - s + 1),)


def mlp3(i, u, ub, v, vb, w, wb):
    x = torch.relu(F.linear(i, u, ub))
    y = torch.relu(F.linear(x, v, vb))
    return (torch.relu(F.linear(y, w, wb)),)


def lookup(table, rows):
    return F.embedding_bag(rows.long(), table, mode="sum")


def groupnorm(i, gamma, beta):
    n, g, d, h, w = i.shape
    flat = i.reshape(n, g * d, h, w)
    return (F.group_norm(flat, g, gamma.reshape(-1), beta.reshape(-1), 1e-5).reshape(i.shape),)


def wavenet(data, filter_weight, filter_bias, gate_weight, gate_bias, res_weight, res_bias, skip_weight, skip_bias, dilation):
    distance = dilation.numel()
    padded = F.pad(data, (distance, 0))
    filtered = F.conv1d(padded, filter_weight, filter_bias, dilation=distance)
    gate = F.conv1d(padded, gate_weight, gate_bias, dilation=distance)
    non_linear = torch.tanh(filtered) * torch.sigmoid(gate)
    residual = data + F.conv1d(non_linear, res_weight[:, :, None], res_bias)
    return (residual, F.conv1d(non_linear, skip_weight[:, :, None], skip_bias))


def rmsnorm_gate(x, w):
    scaled = x * torch.rsqrt(x.square().mean((1, 2), keepdim=True) + 1e-6) * w
    left, right = scaled.unbind(1)
    return (F.silu(left) * right,)


EAGER = {
    "gemm": lambda a, b: (a @ b,),
    "tmm": lambda a, b: (a @ b.T,),
    "tbmm": lambda x, y: (torch.bmm(x, y.transpose(1, 2)),),
    "gconv": gconv,
    "lut1": lambda t, i: (lookup(t, i),),
    "lut2": lambda t, i, u, j: (lookup(t, i), lookup(u, j)),
    "mlp1": lambda i, w, bias: (torch.relu(torch.addmm(bias, i, w)),),
    "mlp3": mlp3,
    "kronecker3": kronecker3,
    "groupnorm": groupnorm,
    "wavenet": wavenet,
    "rowsum": lambda i: (i.sum(1),),
    "colsum": lambda i: (i.sum(0),),
    "softmax": lambda i: (torch.softmax(i, 1),),
    "layernorm": lambda i, gamma, beta: (F.layer_norm(i, i.shape[1:], gamma, beta, 1e-5),),
    "transpose": lambda i: (i.T.contiguous(),),
    "rmsnorm_gate": rmsnorm_gate,
}

TRITON = {}

if triton is not None:

    @triton.jit
    def softmax_row(source, target, width: tl.constexpr, block: tl.constexpr):
        at = tl.arange(0, block)
        row = tl.program_id(0).to(tl.int64) * width
        x = tl.load(source + row + at, mask=at < width, other=float("-inf"))
        e = tl.exp(x - tl.max(x, 0))
        tl.store(target + row + at, e / tl.sum(e, 0), mask=at < width)

    @triton.jit
    def layernorm_row(source, gamma, beta, target, width: tl.constexpr, block: tl.constexpr):
        at = tl.arange(0, block)
        inside = at < width
        row = tl.program_id(0).to(tl.int64) * width
        x = tl.load(source + row + at, mask=inside, other=0.0)
        centred = tl.where(inside, x - tl.sum(x, 0) / width, 0.0)
        scale = tl.rsqrt(tl.sum(centred * centred, 0) / width + 1e-5)
        y = centred * scale * tl.load(gamma + at, mask=inside) + tl.load(beta + at, mask=inside)
        tl.store(target + row + at, y, mask=inside)

    @triton.jit
    def rmsnorm_gate_row(source, weight, target, half: tl.constexpr, block: tl.constexpr):
        at = tl.arange(0, block)
        inside = at < half
        row = tl.program_id(0).to(tl.int64)
        left = tl.load(source + row * 2 * half + at, mask=inside, other=0.0)
        right = tl.load(source + row * 2 * half + half + at, mask=inside, other=0.0)
        scale = tl.rsqrt((tl.sum(left * left, 0) + tl.sum(right * right, 0)) / (2 * half) + 1e-6)
        left = left * scale * tl.load(weight + at, mask=inside)
        right = right * scale * tl.load(weight + half + at, mask=inside)
        tl.store(target + row * half + at, left * tl.sigmoid(left) * right, mask=inside)

    @triton.jit
    def sum_of_row(source, target, width: tl.constexpr, block: tl.constexpr):
        at = tl.arange(0, block)
        row = tl.program_id(0).to(tl.int64)
        x = tl.load(source + row * width + at, mask=at < width, other=0.0)
        tl.store(target + row, tl.sum(x, 0))

    def warps(width):
        return 4 if width <= 2048 else 8 if width <= 4096 else 16

    def on_rows(kernel, outputs):
        def call(x, *others):
            target = outputs(x)
            width = x[0].numel() if kernel is not rmsnorm_gate_row else x.shape[2]
            kernel[(x.shape[0],)](
                x, *others, target, width, triton.next_power_of_2(width), num_warps=warps(width)
            )
            return (target,)

        return call

    TRITON = {
        "softmax": on_rows(softmax_row, torch.empty_like),
        "layernorm": on_rows(layernorm_row, torch.empty_like),
        "rowsum": on_rows(sum_of_row, lambda x: x.new_empty(x.shape[0])),
        "rmsnorm_gate": on_rows(rmsnorm_gate_row, lambda x: x.new_empty(x.shape[0], x.shape[2])),
    }


def of(kernel):
    """Every way to compute a kernel that this machine has, by name."""
    ways = {"eager": EAGER[kernel]}
    if hasattr(torch, "compile"):
        ways["torch.compile"] = torch.compile(EAGER[kernel], dynamic=False)
    if kernel in TRITON:
        ways["triton"] = TRITON[kernel]
    return ways
