//! Drawing: shapes as SVG with colours for light and dark.
//!
//! The text is the same for the same picture. Colours are classes, so that a page around it can change them; without one they
//! follow what the reader prefers.

use std::fmt::Write;

/// A picture being drawn, in pixels from the upper left corner.
pub(super) struct Canvas {
    body: String,
    width: f64,
    height: f64,
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What of a style is the same in light and dark.
const SHAPES: &str = "\
.tw text{font:12px ui-monospace,'DejaVu Sans Mono',monospace}\
.tw .title{font-size:14px;font-weight:600}.tw .soft{font-size:11px}\
.tw .label{font-size:11px;paint-order:stroke;stroke-width:4px;stroke-linejoin:round}\
.tw .tile{stroke-width:1.6;fill:none;stroke-linecap:square}.tw .subtile{stroke-width:.7;stroke-dasharray:3 2;fill:none}\
.tw .partial{fill:url(#tw-hatch);stroke:none}.tw .hatch{stroke-width:1.5}\
.tw .order{stroke-width:1;fill:none;stroke-linejoin:round}\
.tw .vector{stroke-opacity:.3;stroke-linecap:round;fill:none}.tw .grid{fill:none}\
.tw .edge{stroke-width:1.3;fill:none}.tw .arrow{stroke-width:1.1;stroke-opacity:.8;fill:none}";

/// What is coloured, and how: a selector, `fill` or `stroke`, the colour in light and in dark. Colours are written out, since not
/// everything that shows pictures knows variables.
const COLOURS: [(&str, &str, &str, &str); 22] = [
    ("text", "fill", "#1b1f24", "#e6edf3"),
    (".soft", "fill", "#59636e", "#9198a1"),
    (".label", "fill", "#59636e", "#9198a1"),
    (".label", "stroke", "#ffffff", "#0d1117"),
    (".paper", "fill", "#ffffff", "#0d1117"),
    (".lane", "fill", "#e9eef5", "#1a222d"),
    (".box", "fill", "#f6f8fa", "#151b23"),
    (".box", "stroke", "#b9c1ca", "#3d444d"),
    (".grid", "stroke", "#b9c1ca", "#3d444d"),
    (".hatch", "stroke", "#cdd4dc", "#30373f"),
    (".tile", "stroke", "#1b1f24", "#e6edf3"),
    (".subtile", "stroke", "#1b1f24", "#e6edf3"),
    (".order", "stroke", "#6e7781", "#8b949e"),
    (".vector", "stroke", "#6e7781", "#8b949e"),
    (".flow", "stroke", "#1f6feb", "#58a6ff"),
    (".anti", "stroke", "#bf3989", "#f778ba"),
    (".output", "stroke", "#9a6700", "#d29922"),
    (".reduction", "stroke", "#1a7f37", "#3fb950"),
    (".f-flow", "fill", "#1f6feb", "#58a6ff"),
    (".f-anti", "fill", "#bf3989", "#f778ba"),
    (".f-output", "fill", "#9a6700", "#d29922"),
    (".f-reduction", "fill", "#1a7f37", "#3fb950"),
];

/// The style sheet of a picture.
fn style() -> String {
    let rules = |dark: bool| -> String {
        let one = |(class, what, light, night): &(&str, &str, &str, &str)| {
            format!(".tw {class}{{{what}:{}}}", if dark { night } else { light })
        };
        COLOURS.iter().map(one).collect()
    };
    format!("{SHAPES}{}@media(prefers-color-scheme:dark){{{}}}", rules(false), rules(true))
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Canvas {
        Canvas { body: String::new(), width, height }
    }

    /// The whole text; `title` is read out where pictures are not seen.
    pub(super) fn finish(self, title: &str) -> String {
        let Canvas { body, width, height } = self;
        let (w, h) = (number(width), number(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tw\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             role=\"img\">\n<title>{}</title>\n<style>{}</style>\n<defs><pattern id=\"tw-hatch\" width=\"6\" \
             height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path class=\"hatch\" \
             d=\"M0 0V6\"/></pattern></defs>\n<rect class=\"paper\" width=\"{w}\" height=\"{h}\"/>\n{body}</svg>\n",
            escaped(title),
            style()
        )
    }

    /// A line of the text.
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{line}").expect("a string takes text");
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        self.add(format_args!("<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {y2}\"/>"));
    }

    /// A line with ends that are so wide.
    pub(super) fn thick(&mut self, class: &str, width: f64, from: (f64, f64), to: (f64, f64)) {
        let [w, x1, y1, x2, y2] = [width, from.0, from.1, to.0, to.1].map(number);
        self.add(format_args!("<path class=\"{class}\" stroke-width=\"{w}\" d=\"M{x1} {y1}L{x2} {y2}\"/>"));
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut d = String::new();
        for (at, point) in points.iter().enumerate() {
            let command = if at == 0 { 'M' } else { 'L' };
            write!(d, "{command}{} {}", number(point.0), number(point.1)).expect("a string takes text");
        }
        self.add(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// A smooth line downwards through some points.
    pub(super) fn curve(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut d = String::new();
        for (at, &(x, y)) in points.iter().enumerate() {
            let text = match at.checked_sub(1).map(|before| points[before]) {
                None => format!("M{} {}", number(x), number(y)),
                Some((from, above)) => {
                    let middle = number((above + y) / 2.0);
                    format!("C{} {middle} {} {middle} {} {}", number(from), number(x), number(x), number(y))
                }
            };
            d += &text;
        }
        self.add(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// The tip of an arrow that comes from a direction.
    pub(super) fn tip(&mut self, class: &str, at: (f64, f64), from: (f64, f64), size: f64) {
        let (dx, dy) = (at.0 - from.0, at.1 - from.1);
        let length = dx.hypot(dy).max(1e-9);
        let (ux, uy) = (dx / length * size, dy / length * size);
        let [x, y] = [at.0, at.1].map(number);
        let [a, b] = [at.0 - ux - uy * 0.5, at.1 - uy + ux * 0.5].map(number);
        let [c, d] = [at.0 - ux + uy * 0.5, at.1 - uy - ux * 0.5].map(number);
        self.add(format_args!("<path class=\"f-{class}\" d=\"M{x} {y}L{a} {b}L{c} {d}Z\"/>"));
    }

    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), round: f64) {
        let [x, y, w, h, r] = [x, y, w, h, round].map(number);
        self.add(format_args!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{r}\"/>"));
    }

    /// A rectangle of a colour.
    pub(super) fn swatch(&mut self, colour: &str, (x, y): (f64, f64), (w, h): (f64, f64)) {
        let [x, y, w, h] = [x, y, w, h].map(number);
        self.add(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{colour}\"/>"));
    }

    /// A disc of a colour, with what is said of it when it is pointed at.
    pub(super) fn dot(&mut self, colour: &str, (x, y): (f64, f64), radius: f64, said: &str) {
        let [x, y, r] = [x, y, radius].map(number);
        let said = escaped(said);
        self.add(format_args!(
            "<circle class=\"point\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{colour}\"><title>{said}</title></circle>"
        ));
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let [x, y] = [x, y].map(number);
        self.add(format_args!("<text{class} x=\"{x}\" y=\"{y}\"{anchor}>{}</text>", escaped(text)));
    }
}

/// The width of a text in pixels, in the font of labels.
pub(super) fn width_of(text: &str) -> f64 {
    7.3 * text.chars().count() as f64
}

/// A number with two digits behind the point at most.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text inside of a tag.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A colour between the first moment, 0, and the last one, 1: equally bright steps from violet to yellow, which are told
/// apart in print and by those who see few colours (after viridis, by Smith and van der Walt, 2015).
pub(super) fn colour(moment: f64) -> String {
    const STOPS: [[f64; 3]; 6] = [
        [72.0, 33.0, 115.0],
        [64.0, 71.0, 136.0],
        [45.0, 112.0, 142.0],
        [32.0, 163.0, 135.0],
        [115.0, 208.0, 85.0],
        [248.0, 225.0, 40.0],
    ];
    let place = moment.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let at = (place as usize).min(STOPS.len() - 2);
    let rest = place - at as f64;
    let mix = |channel: usize| (STOPS[at][channel] * (1.0 - rest) + STOPS[at + 1][channel] * rest).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_text_is_escaped() {
        assert_eq!([1.0, 0.5, 1.0 / 3.0, -0.001].map(number), ["1", "0.5", "0.33", "0"]);
        assert_eq!(escaped("a < b && \"c\""), "a &lt; b &amp;&amp; &quot;c&quot;");
        assert_eq!((colour(0.0), colour(1.0), colour(2.0)), ("#482173".into(), "#f8e128".into(), "#f8e128".into()));
    }
}
