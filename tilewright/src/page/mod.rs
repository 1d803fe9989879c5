//! A report as one page of HTML that needs nothing else: what `tilewright inspect` writes.
//!
//! The page is three texts of this folder, `page.html`, `page.css` and the files of [`SCRIPTS`], around one object of JSON:
//! the [report](crate::report::Report), [models](Model) of the program at sizes at which each instance can be seen, and the places
//! of the graph of dependences. Nothing is judged in the page: it draws what the object says, and may not load anything.

mod column;
mod graph;
mod instances;
mod model;
mod scale;

pub use column::Column;
pub use graph::{Edge, Graph};
pub use instances::{Around, Instances, Touched, Value, Way};
pub use model::{Extent, Model};

use serde::Serialize;
use support::with_deep_stack;

use crate::compile::Options;
use crate::report::Report;
use crate::{Definition, Result};

/// Bytes of models that a page holds at most; larger models are left out.
const MODELS: usize = 1_400_000;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The programs of the page, in the order in which they run.
const SCRIPTS: [&str; 13] = [
    include_str!("base.js"),
    include_str!("selection.js"),
    include_str!("source.js"),
    include_str!("overview.js"),
    include_str!("plane.js"),
    include_str!("iterations.js"),
    include_str!("schedule.js"),
    include_str!("dependences.js"),
    include_str!("memory.js"),
    include_str!("roofline.js"),
    include_str!("code.js"),
    include_str!("device.js"),
    include_str!("main.js"),
];

/// What the page is about.
#[derive(Clone, Debug, Serialize)]
pub struct Data<'a> {
    /// What was done, and why.
    pub report: &'a Report,
    /// The same at small sizes, from the smallest on.
    pub models: Vec<Model>,
    /// Where the statements of the source are drawn.
    pub graph: Graph,
    /// Bytes that a core is taken to move in a cycle from what is beyond each cache, where nothing was measured.
    pub bytes_per_cycle: Vec<f64>,
    /// Who made it.
    pub version: &'static str,
}

impl<'a> Data<'a> {
    /// Of a report on `def`, which was compiled with these options.
    ///
    /// # Errors
    /// What isl says of the models.
    pub fn of(def: &Definition, report: &'a Report, options: &Options) -> Result<Data<'a>> {
        let mut models = with_deep_stack(|| model::models(def, report, options))?;
        while models.len() > 1 && json(&models).len() > MODELS {
            models.pop();
        }
        let levels = report.machine.caches.len();
        let beyond = (0..levels).map(|level| scheduler::bytes_per_cycle(level, levels));
        let bytes_per_cycle = if options.device.is_none() { beyond.collect() } else { Vec::new() };
        Ok(Data { report, models, graph: Graph::of(report), bytes_per_cycle, version: env!("CARGO_PKG_VERSION") })
    }

    /// The page.
    pub fn page(&self) -> String {
        let (before, rest) = PAGE.split_once("{{title}}").expect("the page has a title");
        let (head, rest) = rest.split_once("{{style}}").expect("the page has a style sheet");
        let (body, rest) = rest.split_once("{{data}}").expect("the page has data");
        let (between, end) = rest.split_once("{{scripts}}").expect("the page has programs");
        let title = escaped(&self.report.title);
        [before, &title, head, STYLE, body, &inside_script(&json(self)), between, &SCRIPTS.join("\n"), end].concat()
    }
}

/// The page of a report on `def`, which was compiled with these options. The same for the same report, byte for byte.
///
/// # Errors
/// What isl says of the models.
pub fn page(def: &Definition, report: &Report, options: &Options) -> Result<String> {
    Ok(Data::of(def, report, options)?.page())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("only numbers, text and lists of them")
}

/// No text of the program ends the element that it is in.
fn inside_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script_early() {
        let text = inside_script(&json(&"</script><!-- \u{2028}"));
        assert!(!text.contains('<') && !text.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), "</script><!-- \u{2028}");
    }

    #[test]
    fn programs_end_no_element() {
        assert!(SCRIPTS.iter().all(|script| !script.contains("</script")));
        assert!(!STYLE.contains("</style"));
        for lost in ["http:", "https:", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
            let all = SCRIPTS.iter().chain([&PAGE, &STYLE]);
            let inside = |text: &str| text.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
            assert!(all.clone().all(|text| !inside(text).contains(lost)), "{lost}");
        }
    }
}
