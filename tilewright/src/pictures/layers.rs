//! Places for the nodes of a graph, layer below layer: the method of Sugiyama, Tagawa and Toda (Methods for Visual
//! Understanding of Hierarchical System Structures, 1981). An edge that passes layers gets a point in each of them, the order
//! in a layer follows the middle of its neighbours, and places are moved towards them as far as there is room.

use std::collections::BTreeMap;

/// A node to place: how wide it is.
pub(crate) struct Layout {
    /// The middle of each node.
    pub(crate) places: Vec<(f64, f64)>,
    /// For each edge that goes down, the middles of the points that it passes, its ends not among them.
    pub(crate) bends: Vec<Vec<(f64, f64)>>,
    /// Of everything.
    pub(crate) size: (f64, f64),
}

/// Rounds of ordering and of moving.
const ROUNDS: usize = 12;
/// Between neighbours, and what an edge that passes takes.
const GAP: f64 = 34.0;
const PASSING: f64 = 14.0;

/// A point of a layer: a node, or an edge that passes.
struct Dot {
    width: f64,
    layer: usize,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

/// Places nodes so wide; edges go from earlier nodes to later ones (others are for the caller to draw).
pub(crate) fn layout(widths: &[f64], edges: &[(usize, usize)], height: f64, between: f64) -> Layout {
    let layers_of = layers(widths.len(), edges);
    let dot = |(&width, &layer): (&f64, &usize)| Dot { width, layer, above: Vec::new(), below: Vec::new(), x: 0.0 };
    let mut dots: Vec<Dot> = widths.iter().zip(&layers_of).map(dot).collect();
    let mut passes: Vec<Vec<usize>> = Vec::new();
    for &(from, to) in edges {
        let mut way = Vec::new();
        let mut last = from;
        for layer in layers_of[from] + 1..layers_of[to] {
            dots.push(Dot { width: PASSING, layer, above: vec![last], below: Vec::new(), x: 0.0 });
            let new = dots.len() - 1;
            dots[last].below.push(new);
            way.push(new);
            last = new;
        }
        dots[last].below.push(to);
        dots[to].above.push(last);
        passes.push(way);
    }
    let depth = layers_of.iter().map(|layer| layer + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
    (0..dots.len()).for_each(|at| layers[dots[at].layer].push(at));
    order(&dots, &mut layers);
    place(&mut dots, &layers);
    let left = dots.iter().map(|dot| dot.x - dot.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = dots.iter().map(|dot| dot.x + dot.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let middle = |at: usize| (dots[at].x - left, dots[at].layer as f64 * (height + between) + height / 2.0);
    Layout {
        places: (0..widths.len()).map(middle).collect(),
        bends: passes.iter().map(|way| way.iter().map(|&at| middle(at)).collect()).collect(),
        size: ((right - left).max(0.0), depth as f64 * (height + between) - between),
    }
}

/// The layer of each node: one below the lowest node that comes before it.
fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0; nodes];
    for node in 0..nodes {
        let before = edges.iter().filter(|(from, to)| *to == node && *from < node);
        layers[node] = before.map(|(from, _)| layers[*from] + 1).max().unwrap_or(0);
    }
    layers
}

/// Orders each layer by the middle of the neighbours in the one before, down and up in turn.
fn order(dots: &[Dot], layers: &mut Vec<Vec<usize>>) {
    let mut best = (crossings(dots, layers), layers.clone());
    for round in 0..ROUNDS {
        let mut places: BTreeMap<usize, f64> = BTreeMap::new();
        for layer in layers.iter() {
            layer.iter().enumerate().for_each(|(at, &dot)| _ = places.insert(dot, at as f64));
        }
        let downwards = round % 2 == 0;
        let count = layers.len();
        for step in 0..count {
            let at = if downwards { step } else { count - 1 - step };
            let middle = |dot: &usize| {
                let near = if downwards { &dots[*dot].above } else { &dots[*dot].below };
                match near.len() {
                    0 => places[dot],
                    n => near.iter().map(|other| places[other]).sum::<f64>() / n as f64,
                }
            };
            let mut keyed: Vec<(f64, usize)> = layers[at].iter().map(|dot| (middle(dot), *dot)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            layers[at] = keyed.iter().map(|(_, dot)| *dot).collect();
            layers[at].iter().enumerate().for_each(|(place, &dot)| _ = places.insert(dot, place as f64));
        }
        swap_neighbours(dots, layers);
        let crossed = crossings(dots, layers);
        if crossed < best.0 {
            best = (crossed, layers.clone());
        }
    }
    *layers = best.1;
}

/// How many pairs of edges cross.
fn crossings(dots: &[Dot], layers: &[Vec<usize>]) -> usize {
    layers.windows(2).map(|pair| crossed(dots, &pair[0], &pair[1])).sum()
}

/// Those between two layers.
fn crossed(dots: &[Dot], upper: &[usize], lower: &[usize]) -> usize {
    let place = |dot: usize| lower.iter().position(|other| *other == dot).unwrap_or(0);
    let ends: Vec<Vec<usize>> =
        upper.iter().map(|&dot| dots[dot].below.iter().map(|&below| place(below)).collect()).collect();
    let pairs = (0..ends.len()).flat_map(|right| (0..right).map(move |left| (left, right)));
    pairs.map(|(a, b)| ends[a].iter().map(|a| ends[b].iter().filter(|b| *b < a).count()).sum::<usize>()).sum()
}

/// Swaps neighbours of a layer where fewer edges cross then.
fn swap_neighbours(dots: &[Dot], layers: &mut [Vec<usize>]) {
    for at in 0..layers.len() {
        for left in 0..layers[at].len().saturating_sub(1) {
            let before = crossings(dots, layers);
            layers[at].swap(left, left + 1);
            if crossings(dots, layers) >= before {
                layers[at].swap(left, left + 1);
            }
        }
    }
}

/// Moves each point of a layer towards the middle of its neighbours, keeping order and distance.
fn place(dots: &mut [Dot], layers: &[Vec<usize>]) {
    for layer in layers {
        let mut x = 0.0;
        for &dot in layer {
            dots[dot].x = x + dots[dot].width / 2.0;
            x += dots[dot].width + GAP;
        }
        layer.iter().for_each(|&dot| dots[dot].x -= (x - GAP) / 2.0);
    }
    for round in 0..2 * ROUNDS {
        for layer in layers {
            let wish = |dot: usize| {
                let near: Vec<usize> = match round % 3 {
                    0 => dots[dot].above.clone(),
                    1 => dots[dot].below.clone(),
                    _ => dots[dot].above.iter().chain(&dots[dot].below).copied().collect(),
                };
                let sum: f64 = near.iter().map(|&other| dots[other].x).sum();
                if near.is_empty() { dots[dot].x } else { sum / near.len() as f64 }
            };
            let wishes: Vec<f64> = layer.iter().map(|&dot| wish(dot)).collect();
            let widths: Vec<f64> = layer.iter().map(|&dot| dots[dot].width).collect();
            let placed = apart(&wishes, &widths);
            layer.iter().zip(placed).for_each(|(&dot, x)| dots[dot].x = x);
        }
    }
}

/// The places nearest to those wished for at which things so wide are apart, in this order: groups that touch move as one to
/// the middle of their wishes.
fn apart(wishes: &[f64], widths: &[f64]) -> Vec<f64> {
    // Of each group: where its first member wishes the group to begin on average, and how many members.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    let mut offsets = Vec::new();
    let mut begin = 0.0;
    for (wish, width) in wishes.iter().zip(widths) {
        let offset = begin + width / 2.0;
        begin += width + GAP;
        offsets.push(offset);
        groups.push((wish - offset, 1));
        while let [.., (a, n), (b, m)] = groups.as_slice() {
            if a <= b {
                break;
            }
            let joined = ((a * *n as f64 + b * *m as f64) / (n + m) as f64, n + m);
            groups.truncate(groups.len() - 2);
            groups.push(joined);
        }
    }
    let starts = groups.iter().flat_map(|&(start, members)| std::iter::repeat_n(start, members));
    starts.zip(offsets).map(|(start, offset)| start + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_edges_go_down() {
        let widths = [80.0, 120.0, 60.0, 90.0, 200.0, 50.0, 70.0];
        let edges = [(0, 1), (0, 4), (1, 2), (1, 3), (2, 6), (3, 6), (0, 6), (5, 6)];
        let Layout { places, bends, size } = layout(&widths, &edges, 30.0, 40.0);
        for a in 0..widths.len() {
            assert!(places[a].0 - widths[a] / 2.0 >= -1e-6 && places[a].0 + widths[a] / 2.0 <= size.0 + 1e-6);
            for b in 0..a {
                let is_beside = (places[a].1 - places[b].1).abs() > 1.0;
                let is_apart = (places[a].0 - places[b].0).abs() >= (widths[a] + widths[b]) / 2.0;
                assert!(is_beside || is_apart, "{a} and {b}");
            }
        }
        for ((from, to), bends) in edges.iter().zip(&bends) {
            let way = std::iter::once(&places[*from]).chain(bends).chain([&places[*to]]);
            assert!(way.map(|place| place.1).is_sorted_by(|a, b| a < b), "{from} to {to}");
        }
        assert_eq!(bends[6].len(), 2, "an edge that passes two layers");
    }
}
