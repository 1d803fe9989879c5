use super::Suite;
use super::array::{Array, sum};

#[test]
fn conv() {
    let mut suite = Suite::of("std/conv");
    let [n, c, f, h, v, r, s] = [2, 5, 7, 13, 23, 3, 4];
    let image = Array::random(1, [n, c, h, v]);
    let filter = Array::random(2, [f, c, r, s]);
    let bias = Array::random(3, [f]);
    // The sum over a window whose places are `stride` apart and whose taps are `dilation` apart.
    let window = |[b, o, y, x]: [usize; 4], stride: usize, dilation: usize| {
        sum([c, r, s], |[i, p, q]| {
            image.at([b, i, stride * y + dilation * p, stride * x + dilation * q]) * filter.at([o, i, p, q])
        })
    };
    let [high, wide] = [h - r + 1, v - s + 1];
    let plain = Array::of([n, f, high, wide], |at| window(at, 1, 1));
    let shifted = Array::of([n, f, high, wide], |at| plain.at(at) + bias.at([at[1]]));
    suite.check("conv2d", [&image, &filter], [plain.clone()]);
    suite.check("conv2d_bias", [&image, &filter, &bias], [shifted.clone()]);
    suite.check("conv2d_bias_relu", [&image, &filter, &bias], [shifted.map(|x| x.max(0.0))]);
    let halved = [n, f, (h - r) / 2 + 1, (v - s) / 2 + 1];
    suite.check("conv2d_stride2", [&image, &filter], [Array::of(halved, |at| window(at, 2, 1))]);
    let spread = [n, f, h - 2 * (r - 1), v - 2 * (s - 1)];
    suite.check("conv2d_dilated2", [&image, &filter], [Array::of(spread, |at| window(at, 1, 2))]);

    let line = Array::random(4, [n, c, v]);
    let taps = Array::random(5, [f, c, s]);
    let along = |[b, o, x]: [usize; 3], dilation: usize| {
        sum([c, s], |[i, q]| line.at([b, i, x + dilation * q]) * taps.at([o, i, q]))
    };
    suite.check("conv1d", [&line, &taps], [Array::of([n, f, v - s + 1], |at| along(at, 1))]);
    suite.check("conv1d_dilated2", [&line, &taps], [Array::of([n, f, v - 2 * (s - 1)], |at| along(at, 2))]);

    let (groups, grouped) = (Array::random(6, [n, 3, c, h, v]), Array::random(7, [3, f, c, r, s]));
    let result = Array::of([n, 3, f, high, wide], |[b, g, o, y, x]| {
        sum([c, r, s], |[i, p, q]| groups.at([b, g, i, y + p, x + q]) * grouped.at([g, o, i, p, q]))
    });
    suite.check("conv2d_grouped", [&groups, &grouped], [result]);

    let each = Array::random(8, [c, r, s]);
    let depthwise = |[b, i, y, x]: [usize; 4], stride: usize| {
        sum([r, s], |[p, q]| image.at([b, i, stride * y + p, stride * x + q]) * each.at([i, p, q]))
    };
    let apart = Array::of([n, c, high, wide], |at| depthwise(at, 1));
    let mix = Array::random(9, [f, c]);
    let mixed = Array::of([n, f, high, wide], |[b, o, y, x]| sum([c], |[i]| apart.at([b, i, y, x]) * mix.at([o, i])));
    suite.check("conv2d_depthwise", [&image, &each], [apart]);
    suite.check("conv2d_separable", [&image, &each, &mix], [mixed]);
    let apart = Array::of([n, c, halved[2], halved[3]], |at| depthwise(at, 2));
    suite.check("conv2d_depthwise_stride2", [&image, &each], [apart]);
    let mixed = Array::of([n, f, h, v], |[b, o, y, x]| sum([c], |[i]| image.at([b, i, y, x]) * mix.at([o, i])));
    suite.check("conv2d_1x1", [&image, &mix], [mixed]);

    let last = Array::of([n, h, v, c], |[b, y, x, i]| image.at([b, i, y, x]));
    let turned = Array::of([r, s, c, f], |[p, q, i, o]| filter.at([o, i, p, q]));
    let result = Array::of([n, high, wide, f], |[b, y, x, o]| plain.at([b, o, y, x]));
    suite.check("conv2d_nhwc", [&last, &turned], [result]);

    let (volume, cube) = (Array::random(10, [n, c, 6, h, v]), Array::random(11, [f, c, 2, r, s]));
    let result = Array::of([n, f, 5, high, wide], |[b, o, z, y, x]| {
        sum([c, 2, r, s], |[i, w, p, q]| volume.at([b, i, z + w, y + p, x + q]) * cube.at([o, i, w, p, q]))
    });
    suite.check("conv3d", [&volume, &cube], [result]);

    let bytes = |array: &Array| array.clone().map(|x| (127.0 * x).trunc());
    let (image8, filter8) = (bytes(&image), bytes(&filter));
    let result = Array::of([n, f, high, wide], |[b, o, y, x]| {
        sum([c, r, s], |[i, p, q]| image8.at([b, i, y + p, x + q]) * filter8.at([o, i, p, q]))
    });
    suite.check("conv2d_int8", [&image8, &filter8], [result]);

    let gradient = Array::random(12, [n, f, high, wide]);
    let result = Array::of([f, c, r, s], |[o, i, p, q]| {
        sum([n, high, wide], |[b, y, x]| image.at([b, i, y + p, x + q]) * gradient.at([b, o, y, x]))
    });
    suite.check("conv2d_grad_filter", [&image, &gradient], [result]);
    padded(&mut suite, &image, &filter);
    suite.finish();
}

/// With zeros around the picture, and the other way round.
fn padded(suite: &mut Suite, image: &Array, filter: &Array) {
    let [n, c, h, v] = [0, 1, 2, 3].map(|dim| image.shape[dim]);
    let [f, _, r, s] = [0, 1, 2, 3].map(|dim| filter.shape[dim]);
    let pixel = |b: usize, i: usize, y: Option<usize>, x: Option<usize>| match (y, x) {
        (Some(y), Some(x)) if y < h && x < v => image.at([b, i, y, x]),
        _ => 0.0,
    };
    let same = Array::of([n, f, h, v], |[b, o, y, x]| {
        let tap = |[i, p, q]: [usize; 3]| pixel(b, i, (y + p).checked_sub(r / 2), (x + q).checked_sub(s / 2));
        sum([c, r, s], |[i, p, q]| tap([i, p, q]) * filter.at([o, i, p, q]))
    });
    suite.check("conv2d_same", [image, filter], [same]);
    let each = Array::random(13, [c, r, s]);
    let same = Array::of([n, c, h, v], |[b, i, y, x]| {
        let tap = |[p, q]: [usize; 2]| pixel(b, i, (y + p).checked_sub(r / 2), (x + q).checked_sub(s / 2));
        sum([r, s], |[p, q]| tap([p, q]) * each.at([i, p, q]))
    });
    suite.check("conv2d_depthwise_same", [image, &each], [same]);
    let (line, taps) = (Array::random(14, [n, c, v]), Array::random(15, [f, c, s]));
    let causal = Array::of([n, f, v], |[b, o, x]| {
        let tap = |i: usize, q: usize| (x + q + 1).checked_sub(s).map_or(0.0, |x| line.at([b, i, x]));
        sum([c, s], |[i, q]| tap(i, q) * taps.at([o, i, q]))
    });
    suite.check("conv1d_causal", [&line, &taps], [causal]);

    // Each element adds the filter at its place: the loops of the definition, not those of the gather.
    let spread = |stride: usize, into: &Array| {
        let [high, wide] = [stride * (h - 1) + r, stride * (v - 1) + s];
        let mut result = Array::of([n, f, high, wide], |_| 0.0);
        let each = Array::of([n, f, c, h, v, r, s], |[b, o, i, y, x, p, q]| {
            let at = ((b * f + o) * high + stride * y + p) * wide + stride * x + q;
            result.data[at] += image.at([b, i, y, x]) * into.at([i, o, p, q]);
            0.0
        });
        assert_eq!(each.data.len(), n * f * c * h * v * r * s);
        result
    };
    let into = Array::of([c, f, r, s], |[i, o, p, q]| filter.at([o, i, p, q]));
    suite.check("conv2d_transposed", [image, &into], [spread(1, &into)]);
    suite.check("conv2d_transposed_stride2", [image, &into], [spread(2, &into)]);
    suite.check("conv2d_grad_image", [image, &into], [spread(1, &into)]);
}
