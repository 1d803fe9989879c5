"""Halide: hand-written schedules for what is a product and for images (`halide`), or those of the autoscheduler of
Mullapudi and others, SIGGRAPH 2016 (`halide-auto`, images only). Variables are written innermost first, as Halide does."""
import os

import halide as hl

from worker import Skip

LANES = 16  # of float32 in a vector of 512 bits: the schedules are for that many
REGISTERS = 24  # of accumulators, beside those for operands


class Contraction:
    """`out[variables] = finish(sum of term over the reduction)`, scheduled as register tiles of x by y."""

    def __init__(self, extents, reduction, term, x, y, packed=None, finish=lambda value, *_: value):
        self.extents, self.reduction, self.term, self.finish = extents, reduction, term, finish
        self.x, self.y, self.packed = x, y, packed

    def tile(self, lanes):
        """Vectors and rows of the register tile that pads least and loads least. None is larger than the extents: tiles at
        the edge are shifted inwards."""
        columns, rows = self.extents[self.x], self.extents[self.y]

        def cost(tile):
            nx, ny = tile
            pad = lambda extent, by: -(-extent // by) * by
            return pad(columns, nx * lanes) * pad(rows, ny) * (1 + (nx + ny) / (nx * ny))
        return min(((nx, ny) for nx in (1, 2, 3, 4) if nx * lanes <= columns
                    for ny in range(1, min(REGISTERS // nx, rows) + 1)), key=cost)

    def build(self):
        variables = [hl.Var(f"v{i}") for i in range(len(self.extents))]
        r = hl.RDom([(0, extent) for extent in self.reduction])
        total, out = hl.Func("total"), hl.Func("out")
        term = self.term(variables, [r[i] for i in range(len(self.reduction))])
        total[tuple(variables)] = hl.cast(term.type(), 0)
        total[tuple(variables)] += term
        out[tuple(variables)] = self.finish(total[tuple(variables)], *variables)
        lanes = LANES * 32 // term.type().bits()
        while lanes > self.extents[self.x]:
            lanes //= 2
        nx, ny = self.tile(lanes)
        x, y = variables[self.x], variables[self.y]
        others = [v for i, v in enumerate(variables) if i not in (self.x, self.y)]
        xo, yo, xi, yi = (hl.Var(name) for name in ("xo", "yo", "xi", "yi"))
        out.split(x, xo, xi, nx * lanes).split(y, yo, yi, ny).reorder(xi, yi, yo, xo, *others)
        out.vectorize(xi, lanes).unroll(xi).unroll(yi)
        for v in others or [xo]:
            out.parallel(v)
        total.compute_at(out, yo).vectorize(x, lanes).unroll(x).unroll(y)
        total.update(0).reorder(x, y, *[r[i] for i in range(len(self.reduction))])
        total.update(0).vectorize(x, lanes).unroll(x).unroll(y)
        if self.packed:
            tensor, inner = self.packed
            panel = tensor.in_(total)
            order = panel.args()
            order.insert(0, order.pop(inner))
            panel.compute_at(out, xo).reorder_storage(*order).vectorize(order[0], lanes)
        return [out]


def convolution(i, v, stride=1):
    (w, h, c, n), (s, r, _, f) = i.extents, v.extents
    return Contraction([(w - s) // stride + 1, (h - r) // stride + 1, f, n], [s, r, c],
                       lambda o, k: i[o[0] * stride + k[0], o[1] * stride + k[1], k[2], o[3]] * v[k[0], k[1], k[2], o[2]], 0, 2)


class Input(hl.ImageParam):
    """A parameter of constant extents."""

    def __init__(self, name, array):
        super().__init__(TYPES[array.dtype.name], array.ndim, name)
        self.extents = list(array.shape[::-1])


TYPES = {"float32": hl.Float(32), "float64": hl.Float(64), "uint8": hl.UInt(8), "uint16": hl.UInt(16), "int8": hl.Int(8)}


def products(op, p):
    """The contraction of a workload."""
    extents = [x.extents for x in p]

    def gemm(transposed, finish=lambda value, *_: value):
        a, b = p[:2]
        read = (lambda n, k: b[k, n]) if transposed else (lambda n, k: b[n, k])
        inner = 1 if transposed else 0
        return Contraction([extents[1][inner], extents[0][1]], [extents[0][0]],
                           lambda v, r: a[r[0], v[1]] * read(v[0], r[0]), 0, 1, (b, inner), finish)

    def tbmm():
        x, y = p
        (m, n, b), (_, k, _) = extents
        return Contraction([k, n, b], [m], lambda v, r: x[r[0], v[1], v[2]] * y[r[0], v[0], v[2]], 0, 1, (y, 1))

    def conv1x1():
        i, v = p
        (w, h, c, n), (_, f) = extents
        return Contraction([w, h, f, n], [c], lambda o, k: i[o[0], o[1], k[0], o[3]] * v[k[0], o[2]], 0, 2)

    def gconv():
        i, v = p
        (w, h, c, g, n), (s, r, _, f, _) = extents
        return Contraction([w - s + 1, h - r + 1, f, g, n], [s, r, c],
                           lambda o, k: i[o[0] + k[0], o[1] + k[1], k[2], o[3], o[4]] * v[k[0], k[1], k[2], o[2], o[3]], 0, 2)

    def depthwise():
        i, v = p
        (w, h, c, n), (s, r, _) = extents
        return Contraction([w - s + 1, h - r + 1, c, n], [s, r],
                           lambda o, k: i[o[0] + k[0], o[1] + k[1], o[2], o[3]] * v[k[0], k[1], o[2]], 0, 1)

    forms = dict(gemm=lambda: gemm(False), tmm=lambda: gemm(True), tbmm=tbmm, conv1x1=conv1x1, gconv=gconv,
                 depthwise=depthwise, conv2d=lambda: convolution(*p), conv2d_s2=lambda: convolution(*p, 2),
                 mlp1=lambda: gemm(False, lambda value, n, m: hl.max(value + p[2][n], hl.f32(0))))
    return forms[op]().build() if op in forms else None


def images(op, p, by_hand):
    """The outputs of an image workload, scheduled by hand in rows where asked for."""
    x, y, c = hl.Var("x"), hl.Var("y"), hl.Var("c")
    u8, u16, i16, u32, f32 = (lambda e, t=t: hl.cast(t, e) for t in (hl.UInt(8), hl.UInt(16), hl.Int(16), hl.UInt(32), hl.Float(32)))
    stages, out = [], hl.Func("out")
    i = p[0]

    def total(terms):
        return sum(terms[1:], terms[0])

    def stage(name, value, *at):
        """A picture before the last one."""
        func = hl.Func(name)
        func[at or (x, y)] = value
        stages.append(func)
        return func

    def gaussian():
        first = stage("first", total([f32(i[x + k, y, c]) * p[1][k] for k in range(5)]), x, y, c)
        out[x, y, c] = u8(total([first[x, y + k, c] * p[2][k] for k in range(5)]))
        return [out]

    def conv3x3():
        out[x, y, c] = u8(total([f32(i[x + s, y + r, c]) * p[1][s, r] for r in range(3) for s in range(3)]))
        return [out]

    def boxblur():
        first = stage("first", total([u16(i[x + k, y, c]) for k in range(3)]) // u16(3), x, y, c)
        out[x, y, c] = u8(total([first[x, y + k, c] for k in range(3)]) // u16(3))
        return [out]

    def blur():
        first = stage("first", total([i[x + k, y] for k in range(3)]) // u16(3))
        out[x, y] = total([first[x, y + k] for k in range(3)]) // u16(3)
        return [out]

    def gray_picture():
        parts = zip((0.299, 0.587, 0.114), range(3))
        return stage("gray", total([hl.f32(weight) * i[x, y, k] for weight, k in parts]))

    def unsharp():
        taps = [hl.f32(tap) for tap in (0.0625, 0.25, 0.375, 0.25, 0.0625)]
        gray = gray_picture()
        column = stage("column", total([taps[k] * gray[x, y + k] for k in range(5)]))
        blurred = total([taps[k] * column[x + k, y] for k in range(5)])
        here = gray[x + 2, y + 2]
        ratio = stage("ratio", (hl.f32(2) * here - blurred) / (here + hl.f32(0.001)))
        out[x, y, c] = ratio[x, y] * i[x + 2, y + 2, c]
        if by_hand:
            out.reorder(x, c, y)
        return [out]

    def harris():
        gray = gray_picture()
        at = lambda s, r: gray[x + s, y + r]
        dy = stage("dy", (at(0, 2) - at(0, 0) + hl.f32(2) * (at(1, 2) - at(1, 0)) + at(2, 2) - at(2, 0)) / hl.f32(12))
        dx = stage("dx", (at(2, 0) - at(0, 0) + hl.f32(2) * (at(2, 1) - at(0, 1)) + at(2, 2) - at(0, 2)) / hl.f32(12))
        window = [(s, r) for r in range(3) for s in range(3)]
        xx, yy, xy = (total([f[x + s, y + r] * g[x + s, y + r] for s, r in window]) for f, g in ((dx, dx), (dy, dy), (dx, dy)))
        out[x, y] = xx * yy - xy * xy - hl.f32(0.04) * (xx + yy) * (xx + yy)
        return [out]

    def edge():
        ring = [u16(i[x + s, y + r, c]) for r in range(3) for s in range(3) if (r, s) != (1, 1)]
        first = stage("first", u8(total(ring) // u16(8)), x, y, c)
        at = lambda s, r: i16(first[x + s, y + r, c])
        out[x, y, c] = at(0, 1) - at(1, 0) + at(1, 1) - at(0, 0)
        return [out]

    def cvtcolor():
        parts = zip((4899, 9617, 1868), range(3))
        out[x, y] = u8((total([u32(i[x, y, k]) * u32(weight) for weight, k in parts]) + u32(8192)) >> u32(14))
        return [out]

    def nb():
        names = ("negative", "bright", "sum", "difference")
        negative, bright, added, difference = outs = [hl.Func(name) for name in names]
        negative[x, y, c] = u8(i16(255) - i16(i[x, y, c]))
        bright[x, y, c] = u8(hl.min(i16(2) * i16(i[x, y, c]), i16(255)))
        n, b = i16(negative[x, y, c]), i16(bright[x, y, c])
        added[x, y, c] = u8(hl.min(n + b, i16(255)))
        difference[x, y, c] = u8(hl.max(n - b, i16(0)))
        return outs

    def warpaffine():
        width, height = i.extents
        tenth = hl.f32(0.1)
        v = hl.f32(0.9) * f32(y) + tenth * f32(x) + tenth
        u = hl.f32(0.95) * f32(x) - tenth * f32(y) + tenth
        r, s = v - hl.floor(v), u - hl.floor(u)
        row, column = hl.cast(hl.Int(32), hl.floor(v)), hl.cast(hl.Int(32), hl.floor(u))
        at = lambda a, b: f32(i[hl.clamp(column + b, 0, width - 1), hl.clamp(row + a, 0, height - 1)])
        side = lambda b: at(0, b) * (f32(1) - r) + at(1, b) * r
        out[x, y] = side(0) * (f32(1) - s) + side(1) * s
        return [out]

    forms = dict(gaussian=gaussian, conv3x3=conv3x3, boxblur=boxblur, edge=edge, cvtcolor=cvtcolor, nb=nb, warpaffine=warpaffine,
                 blur=blur, unsharp=unsharp, harris=harris)
    if op not in forms:
        return None
    outs = forms[op]()
    if by_hand and len(outs) == 1:
        yo, yi = hl.Var("yo"), hl.Var("yi")
        lanes = 32 if op in ("boxblur", "blur", "edge") else 16
        out.split(y, yo, yi, 64).vectorize(x, lanes).parallel(yo)
        if c.name() in [v.name() for v in out.args()] and op != "unsharp":
            out.parallel(c)
        for each in stages:
            each.store_at(out, yo).compute_at(out, yi).vectorize(x, lanes)
    elif by_hand:
        for each in outs:
            each.compute_root().vectorize(x, 32).parallel(c)
    return outs


def autoschedule(pipeline, outs, inputs, task, target):
    library = os.path.join(os.path.dirname(hl.__file__), "lib64", "libautoschedule_mullapudi2016.so")
    hl.load_plugin(library)
    for parameter in inputs:
        parameter.set_estimates([(0, extent) for extent in parameter.extents])
    for out, array in zip(outs, task.results):
        out.set_estimates([(0, extent) for extent in array.shape[::-1]])
    machine = hl.AutoschedulerParams("Mullapudi2016", {"parallelism": "2", "last_level_cache_size": str(2 << 20), "balance": "40"})
    pipeline.apply_autoscheduler(target, machine)


def prepare(task):
    if any(array.dtype.name not in TYPES for array in task.arrays) or task.op == "i8gemm":
        raise Skip
    inputs = [Input(name, array) for name, array in zip(task.names, task.arrays)]
    for parameter in inputs:
        for at, extent in enumerate(parameter.extents):
            parameter.dim(at).set_bounds(0, extent)
    automatic = task.peer == "halide-auto"
    outs = images(task.op, inputs, not automatic) or (None if automatic else products(task.op, inputs))
    if outs is None:
        raise Skip
    for out, array in zip(outs, task.results):
        for at, extent in enumerate(array.shape[::-1]):
            out.output_buffer().dim(at).set_bounds(0, extent)
    target = hl.get_jit_target_from_environment().with_feature(hl.TargetFeature.NoAsserts)
    target = target.with_feature(hl.TargetFeature.NoBoundsQuery)
    pipeline = hl.Pipeline(outs)
    if automatic:
        autoschedule(pipeline, outs, inputs, task, target)
    function = pipeline.compile_to_callable(inputs, target)
    arguments = [hl.Buffer(array) for array in [*task.arrays, *task.results]]
    return lambda: function(*arguments), lambda: task.results
