use super::Suite;
use super::array::{Array, max, min, sum};

#[test]
fn pool() {
    let mut suite = Suite::of("std/pool");
    let [n, c, h, w] = [2, 3, 11, 38];
    let image = Array::random(1, [n, c, h, w]);
    let half = [n, c, h / 2, w / 2];
    let tap = |[b, i, y, x]: [usize; 4], [p, q]: [usize; 2]| image.at([b, i, 2 * y + p, 2 * x + q]);
    suite.check("max_pool2", [&image], [Array::of(half, |at| max([2, 2], |by| tap(at, by)))]);
    suite.check("min_pool2", [&image], [Array::of(half, |at| min([2, 2], |by| tap(at, by)))]);
    suite.check("avg_pool2", [&image], [Array::of(half, |at| sum([2, 2], |by| tap(at, by)) / 4.0)]);
    let mean_square = Array::of(half, |at| (sum([2, 2], |by| tap(at, by).powi(2)) / 4.0).sqrt());
    suite.check("l2_pool2", [&image], [mean_square]);
    let third = [n, c, (h - 1) / 2, (w - 1) / 2];
    suite.check("max_pool3_stride2", [&image], [Array::of(third, |at| max([3, 3], |by| tap(at, by)))]);
    let same = Array::of([n, c, h.div_ceil(2), w.div_ceil(2)], |[b, i, y, x]| {
        let inside = |[p, q]: [usize; 2]| {
            let (y, x) = ((2 * y + p).checked_sub(1)?, (2 * x + q).checked_sub(1)?);
            (y < h && x < w).then(|| image.at([b, i, y, x]))
        };
        max([3, 3], |by| inside(by).unwrap_or(f64::NEG_INFINITY))
    });
    suite.check("max_pool3_stride2_same", [&image], [same]);
    let mean =
        Array::of([n, c, h - 2, w - 2], |[b, i, y, x]| sum([3, 3], |[p, q]| image.at([b, i, y + p, x + q])) / 9.0);
    suite.check("avg_pool3", [&image], [mean]);
    let area = (h * w) as f64;
    let mean = Array::of([n, c], |[b, i]| sum([h, w], |[y, x]| image.at([b, i, y, x])) / area);
    suite.check("global_avg_pool", [&image], [mean]);
    let largest = Array::of([n, c], |[b, i]| max([h, w], |[y, x]| image.at([b, i, y, x])));
    suite.check("global_max_pool", [&image], [largest]);
    let line = Array::random(2, [n, c, w + 1]);
    let largest = Array::of([n, c, w / 2], |[b, i, x]| max([2], |[q]| line.at([b, i, 2 * x + q])));
    suite.check("max_pool1d2", [&line], [largest]);
    let double = [n, c, 2 * h, 2 * w];
    suite.check("upsample_nearest2", [&image], [Array::of(double, |[b, i, y, x]| image.at([b, i, y / 2, x / 2]))]);
    let blocks = Array::random(3, [n, c, 2, 2, h, w]);
    let shuffled = Array::of(double, |[b, i, y, x]| blocks.at([b, i, y % 2, x % 2, y / 2, x / 2]));
    suite.check("pixel_shuffle2", [&blocks], [shuffled]);
    suite.finish();
}
