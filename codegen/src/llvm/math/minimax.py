"""Minimax polynomials by Remez's exchange, with coefficients rounded one after another; needs mpmath."""
import struct
from mpmath import mp, mpf, matrix, lu_solve

mp.prec = 330


def to_single(x):
    """The float32 nearest to x."""
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0]) if x else mpf(0)


def to_double(x):
    return mpf(float(x))


def remez(f, weight, powers, a, b, rounds=12, grid=1200):
    """Coefficients c with max |weight(x) (f(x) - sum c_j x^powers_j)| least on [a, b], and that error."""
    n = len(powers)
    mid, half = (mpf(a) + b) / 2, (mpf(b) - a) / 2
    xs = [mid - half * mp.cos(mp.pi * i / n) for i in range(n + 1)]
    points = [mid - half * mp.cos(mp.pi * (2 * i + 1) / (2 * grid)) for i in range(grid)]
    values = [(x, f(x), weight(x)) for x in points]
    for _ in range(rounds):
        rows, right = [], []
        for i, x in enumerate(xs):
            w = weight(x)
            rows.append([w * x**p for p in powers] + [(-1) ** i])
            right.append(w * f(x))
        solution = lu_solve(matrix(rows), matrix(right))
        c = [solution[j] for j in range(n)]
        errors = [(x, w * (y - sum(cj * x**p for cj, p in zip(c, powers)))) for x, y, w in values]
        # One extremum for each run of one sign.
        extremes = []
        for x, e in errors:
            if extremes and (e > 0) == (extremes[-1][1] > 0):
                if abs(e) > abs(extremes[-1][1]):
                    extremes[-1] = (x, e)
            else:
                extremes.append((x, e))
        while len(extremes) > n + 1:
            if abs(extremes[0][1]) < abs(extremes[-1][1]):
                extremes.pop(0)
            else:
                extremes.pop()
        worst = max(abs(e) for _, e in errors)
        if len(extremes) < n + 1:
            break
        xs = [x for x, _ in extremes]
        if worst < abs(solution[n]) * mpf("1.0005"):
            break
    return c, worst


def least_squares(f, weight, powers, a, b):
    """Weighted least squares on Chebyshev's nodes: near the minimax polynomial, and exists for any powers."""
    n = len(powers)
    nodes = 6 * n + 20
    mid, half = (mpf(a) + b) / 2, (mpf(b) - a) / 2
    rows, right = [], []
    for i in range(nodes):
        x = mid - half * mp.cos(mp.pi * (2 * i + 1) / (2 * nodes))
        w = weight(x)
        rows.append([w * x**p for p in powers])
        right.append(w * f(x))
    m, r = matrix(rows), matrix(right)
    solution = lu_solve(m.T * m, m.T * r)
    return [solution[j] for j in range(n)]


def error_of(f, weight, powers, c, a, b):
    points = [mpf(a) + (mpf(b) - a) * (i + mpf(0.5)) / 1499 for i in range(1499)]
    return max(abs(weight(x) * (f(x) - sum(cj * x**p for cj, p in zip(c, powers)))) for x in points)


def fit(name, f, weight, powers, a, b, rounding):
    """The minimax polynomial; then rounds the coefficients from the lowest power on and refits the others each time,
    as long as that helps."""
    first, ideal = remez(f, weight, powers, a, b)
    best = [rounding(c) for c in first]
    worst = error_of(f, weight, powers, best, a, b)
    for start in (first, least_squares(f, weight, powers, a, b)):
        fixed = [rounding(start[0])]
        for j in range(1, len(powers)):
            rest = lambda x: f(x) - sum(c * x**p for c, p in zip(fixed, powers))
            fixed.append(rounding(least_squares(rest, weight, powers[j:], a, b)[0]))
        error = error_of(f, weight, powers, fixed, a, b)
        if error < worst:
            best, worst = fixed, error
    print(f"// {name}: [{mp.nstr(mpf(a), 6)}, {mp.nstr(mpf(b), 6)}], 2^{mp.nstr(mp.log(worst, 2), 4)} (unrounded 2^{mp.nstr(mp.log(ideal, 2), 4)})")
    print(f"&[{', '.join(repr(float(c)) for c in best)}],", flush=True)
    return best
