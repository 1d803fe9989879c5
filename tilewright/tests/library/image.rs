use super::Suite;
use super::array::{Array, max, min, sum};

#[test]
fn image() {
    let mut suite = Suite::of("std/image");
    whole(&mut suite);
    floating(&mut suite);
    suite.finish();
}

const SHAPE: [usize; 3] = [3, 11, 41];

/// Pictures of bytes.
fn whole(suite: &mut Suite) {
    let [c, h, w] = SHAPE;
    let picture = Array::below(256, 1, SHAPE).map(f64::floor);
    let scalar = |value: f64| Array::of([], |[]| value);
    let gray = Array::of([h, w], |[y, x]| {
        let weighted =
            [4899.0, 9617.0, 1868.0].into_iter().enumerate().map(|(i, weight)| weight * picture.at([i, y, x]));
        ((weighted.sum::<f64>() + 8192.0) / 16384.0).floor()
    });
    suite.check("gray", [&picture], [gray]);
    suite.check("invert", [&picture], [picture.clone().map(|x| 255.0 - x)]);
    let adjusted = picture.clone().map(|x| (1.5 * x - 20.0).clamp(0.0, 255.0) + 0.5).map(f64::floor);
    suite.check("adjust", [&scalar(1.5), &scalar(-20.0), &picture], [adjusted]);
    let black = picture.clone().map(|x| if x > 99.0 { 255.0 } else { 0.0 });
    suite.check("threshold", [&scalar(99.0), &picture], [black]);
    let table = Array::below(256, 2, [256]).map(f64::floor);
    suite.check("lookup", [&table, &picture], [picture.clone().map(|x| table.at([x as usize]))]);
    let inner = [c, h - 2, w - 2];
    let tap = |[i, y, x]: [usize; 3], [p, q]: [usize; 2]| picture.at([i, y + p, x + q]);
    let box3 = Array::of(inner, |at| (sum([3, 3], |by| tap(at, by)) / 9.0).floor());
    suite.check("box3", [&picture], [box3]);
    suite.check("erode3", [&picture], [Array::of(inner, |at| min([3, 3], |by| tap(at, by)))]);
    suite.check("dilate3", [&picture], [Array::of(inner, |at| max([3, 3], |by| tap(at, by)))]);
    let flat = Array::of([h, w], |[y, x]| picture.at([0, y, x]));
    let histogram = Array::of([256], |[b]| sum([h, w], |at| f64::from(u8::from(flat.at(at) == b as f64))));
    suite.check("histogram", [&flat], [histogram]);
    let together = Array::of([h, w, c], |[y, x, i]| picture.at([i, y, x]));
    suite.check("interleave", [&picture], [together.clone()]);
    suite.check("deinterleave", [&together], [picture.clone()]);
}

/// Pictures of floating numbers.
fn floating(suite: &mut Suite) {
    let [c, h, w] = SHAPE;
    let picture = Array::random(3, SHAPE);
    let scalar = |value: f64| Array::of([], |[]| value);
    let other = Array::random(4, SHAPE);
    let blend = Array::of(SHAPE, |at| 0.25 * picture.at(at) + 0.75 * other.at(at));
    suite.check("blend", [&scalar(0.25), &picture, &other], [blend]);
    let filter = Array::random(5, [4, 3]);
    let filtered = Array::of([c, h - 3, w - 2], |[i, y, x]| {
        sum([4, 3], |[p, q]| picture.at([i, y + p, x + q]) * filter.at([p, q]))
    });
    suite.check("filter2d", [&picture, &filter], [filtered]);
    let (column, row) = (Array::random(6, [4]), Array::random(7, [3]));
    let separable = |column: &Array, row: &Array| {
        let [p, q] = [column.shape[0], row.shape[0]];
        Array::of([c, h - p + 1, w - q + 1], |[i, y, x]| {
            sum([p, q], |[p, q]| picture.at([i, y + p, x + q]) * column.at([p]) * row.at([q]))
        })
    };
    suite.check("filter_separable", [&picture, &column, &row], [separable(&column, &row)]);
    let binomial = Array { shape: vec![5], data: [1.0, 4.0, 6.0, 4.0, 1.0].map(|x| x / 16.0).to_vec() };
    suite.check("gaussian5", [&picture], [separable(&binomial, &binomial)]);
    let shrunk =
        Array::of([c, h / 2, w / 2], |[i, y, x]| sum([2, 2], |[p, q]| picture.at([i, 2 * y + p, 2 * x + q])) / 4.0);
    suite.check("shrink2", [&picture], [shrunk]);
    suite.check("rotate90", [&picture], [Array::of([c, w, h], |[i, x, y]| picture.at([i, h - 1 - y, x]))]);
    suite.check("flip_horizontal", [&picture], [Array::of(SHAPE, |[i, y, x]| picture.at([i, y, w - 1 - x]))]);
    suite.check("flip_vertical", [&picture], [Array::of(SHAPE, |[i, y, x]| picture.at([i, h - 1 - y, x]))]);

    borders(suite, &picture);

    let flat = Array::random(8, [h, w]);
    let inner = [h - 2, w - 2];
    let smooth = [1.0, 2.0, 1.0];
    let step = [-1.0, 0.0, 1.0];
    let windowed = |[y, x]: [usize; 2], weight: &dyn Fn(usize, usize) -> f64| {
        sum([3, 3], |[p, q]| flat.at([y + p, x + q]) * weight(p, q))
    };
    let dx = Array::of(inner, |at| windowed(at, &|p, q| smooth[p] * step[q]));
    let dy = Array::of(inner, |at| windowed(at, &|p, q| step[p] * smooth[q]));
    suite.check("sobel", [&flat], [dx.clone(), dy.clone()]);
    suite.check("edges", [&flat], [Array::of(inner, |at| dx.at(at).hypot(dy.at(at)))]);
    let cross = |p: usize, q: usize| match (p, q) {
        (1, 1) => -4.0,
        (1, _) | (_, 1) => 1.0,
        _ => 0.0,
    };
    suite.check("laplacian", [&flat], [Array::of(inner, |at| windowed(at, &cross))]);
    let sharp = Array::of(inner, |[y, x]| {
        let middle = flat.at([y + 1, x + 1]);
        middle + 0.5 * (middle - windowed([y, x], &|_, _| 1.0) / 9.0)
    });
    suite.check("unsharp", [&scalar(0.5), &flat], [sharp]);
    let corner = Array::of([h - 4, w - 4], |[y, x]| {
        let of = |a: &Array, b: &Array| sum([3, 3], |[p, q]| a.at([y + p, x + q]) * b.at([y + p, x + q]));
        let (xx, xy, yy) = (of(&dx, &dx), of(&dx, &dy), of(&dy, &dy));
        xx * yy - xy * xy - 0.04 * (xx + yy) * (xx + yy)
    });
    suite.check("harris", [&flat], [corner]);
}

/// Filters whose result is as large as the picture.
fn borders(suite: &mut Suite, picture: &Array) {
    let [c, h, w] = SHAPE;
    let clamp = |at: usize, by: usize, extent: usize| (at + by).saturating_sub(1).min(extent - 1);
    let mean =
        Array::of(SHAPE, |[i, y, x]| sum([3, 3], |[p, q]| picture.at([i, clamp(y, p, h), clamp(x, q, w)])) / 9.0);
    suite.check("box3_same", [picture], [mean]);
    // Places before the first and past the last are reflected there.
    let mirror = |at: usize, by: usize, extent: usize| {
        let reflected = (at + by).abs_diff(2);
        if at + by >= 2 && reflected >= extent { 2 * (extent - 1) - reflected } else { reflected }
    };
    let weights = [1.0, 4.0, 6.0, 4.0, 1.0].map(|x| x / 16.0);
    let blurred = Array::of(SHAPE, |[i, y, x]| {
        sum([5, 5], |[p, q]| picture.at([i, mirror(y, p, h), mirror(x, q, w)]) * weights[p] * weights[q])
    });
    suite.check("gaussian5_same", [picture], [blurred]);
    let rolled = Array::of(SHAPE, |[i, y, x]| picture.at([i, (y + h - 1) % h, (x + w - 1) % w]));
    suite.check("roll", [picture], [rolled]);
    // Each place of the result lies a quarter from one place of the picture and three quarters from another.
    let pair = |at: usize, extent: usize| {
        let near = at / 2;
        let far = if at.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(extent - 1) };
        [(near, 0.75), (far, 0.25)]
    };
    let enlarged = Array::of([c, 2 * h, 2 * w], |[i, y, x]| {
        sum([2, 2], |[p, q]| {
            let ((y, a), (x, b)) = (pair(y, h)[p], pair(x, w)[q]);
            a * b * picture.at([i, y, x])
        })
    });
    suite.check("enlarge2", [picture], [enlarged]);
}
