//! Pages in a real browser: what is shown is what the report and the pictures say, by mouse and by keys, on screens large and
//! small, without a complaint and without the network.
//!
//! `TILEWRIGHT_PAGES=DIR` keeps the pages, screenshots and a print of each in a folder. Where there is no Chromium the tests say so
//! and are skipped.

mod browser;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use browser::Browser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tilewright::page::page;
use tilewright::pictures::{Wanted, domain};
use tilewright::report::{Asked, Report, report};
use tilewright::{Definition, Gpu, Options, Script, Source, check, target_named};

const SOLVE: &str = "# L X = B, column after column.
def solve(float(N,N) L, float(N,R) B) -> (X) {
  X(i,r) = B(i,r)
  for i in 0:N {
    for j in 0:i {
      X(i,r) = X(i,r) - L(i,j) * X(j,r)
    }
    X(i,r) = X(i,r) / L(i,i)
  }
}";

/// A program, and how it is compiled.
struct Case {
    name: &'static str,
    text: String,
    sizes: &'static [(&'static str, i64)],
    target: &'static str,
    script: Option<&'static str>,
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    fs::read_to_string(root.join(name)).expect("an example")
}

fn cases() -> Vec<Case> {
    let case = |name, text: String, sizes, target, script| Case { name, text, sizes, target, script };
    let x86 = "x86-64-v3";
    let mm: &[(&str, i64)] = &[("M", 256), ("N", 256), ("K", 256)];
    vec![
        case("product", example("examples/mm.tc"), mm, x86, None),
        case(
            "convolution",
            example("examples/conv.tc"),
            &[("N", 4), ("C", 16), ("H", 30), ("W", 30), ("M", 16), ("KH", 3), ("KW", 3)],
            x86,
            None,
        ),
        case("softmax", example("examples/softmax.tc"), &[("M", 512), ("N", 1024)], x86, None),
        case(
            "sweep",
            example("examples/sweep.tc"),
            &[("N", 512), ("T", 100)],
            x86,
            Some("skew A.2.i by 1 of A.2.t as w\ntile A.2.t A.2.w by 8 16\n"),
        ),
        case("solve", SOLVE.into(), &[("N", 64), ("R", 32)], x86, None),
        case("attention", example("benches/kernels/attention.tc"), &[("B", 2), ("S", 128), ("D", 64)], x86, None),
        case("gather", example("examples/gather.tc"), &[("Rows", 1000), ("D", 64), ("N", 500)], x86, None),
        case("kernel", example("examples/mm.tc"), mm, "cuda:sm_80", None),
    ]
}

/// A program with its report and its page.
struct Made {
    name: &'static str,
    def: Definition,
    options: Options,
    report: Report,
    page: String,
}

impl Case {
    fn make(&self) -> Made {
        let source = Source::new(format!("{}.tc", self.name), self.text.as_str().into());
        let (mut defs, _) = check(&source).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let def = defs.remove(0);
        let size = |name: &String| self.sizes.iter().find(|(known, _)| known == name).expect("a size").1;
        let sizes: Vec<i64> = def.sizes.iter().map(size).collect();
        let device = Gpu::named(self.target);
        let host = if device.is_some() { "x86-64-v3" } else { self.target };
        let script = self.script.map(|text| text.parse::<Script>().expect("a script"));
        let options = Options { device, script, ..Options::new(target_named(host).expect("a known target")) };
        let asked = Asked { source: Some(&source), code: true, ..Asked::default() };
        let report =
            report(&def, Some(&sizes), &options, asked).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let page = page(&def, &report, &options).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Made { name: self.name, def, options, report, page }
    }
}

/// Where pages are written: a folder that is asked for, or one that goes.
struct Folder {
    path: PathBuf,
    _own: Option<TempDir>,
}

impl Folder {
    fn new() -> Folder {
        match std::env::var_os("TILEWRIGHT_PAGES") {
            Some(path) => {
                fs::create_dir_all(&path).expect("a folder");
                Folder { path: fs::canonicalize(path).expect("a folder"), _own: None }
            }
            None => {
                let own = TempDir::new().expect("a folder");
                Folder { path: own.path().to_path_buf(), _own: Some(own) }
            }
        }
    }

    /// Writes a page; its address.
    fn write(&self, made: &Made) -> String {
        let file = self.path.join(format!("{}.html", made.name));
        fs::write(&file, &made.page).expect("written");
        format!("file://{}", file.display())
    }

    fn keep(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path.join(name), bytes).expect("written");
    }
}

fn number(browser: &mut Browser, expression: &str) -> u64 {
    browser.value(expression).as_u64().unwrap_or_else(|| panic!("no number: {expression}"))
}

fn count(browser: &mut Browser, selector: &str) -> u64 {
    number(browser, &format!("document.querySelectorAll({}).length", json!(selector)))
}

fn text(browser: &mut Browser, selector: &str) -> String {
    let found = browser.value(&format!("document.querySelector({})?.textContent", json!(selector)));
    found.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_string()
}

#[test]
fn pages_show_what_reports_say() {
    let Some(mut browser) = Browser::start() else {
        eprintln!("there is no Chromium here: pages are not opened");
        return;
    };
    let folder = Folder::new();
    // Half of them are made while the others are.
    let cases = cases();
    let (some, others) = cases.split_at(cases.len() / 2);
    let made: Vec<Made> = std::thread::scope(|scope| {
        let make = |cases: &[Case]| cases.iter().map(Case::make).collect::<Vec<_>>();
        let others = scope.spawn(move || make(others));
        let mut made = make(some);
        made.extend(others.join().expect("they are made"));
        made
    });
    for made in &made {
        assert!(made.page.len() < 3_000_000, "{}: {} bytes", made.name, made.page.len());
        let url = folder.write(made);
        browser.open(&url, 1366, 768, false);
        all_panes(&mut browser, made, &folder);
        panes_agree(&mut browser, made);
        browser.open(&url, 390, 844, false);
        small_screen(&mut browser, made, &folder);
        assert_eq!(browser.complaints, Vec::<String>::new(), "{}", made.name);
    }
    let named = |name: &str| made.iter().find(|made| made.name == name).expect("it is made");
    let address = |name: &str| format!("file://{}", folder.path.join(format!("{name}.html")).display());
    browser.open(&address("product"), 1366, 768, false);
    keys(&mut browser);
    play(&mut browser);
    why_not(&mut browser, named("product"));
    browser.open(&address("sweep"), 1366, 768, false);
    planes_are_those_of_pictures(&mut browser, named("sweep"));
    browser.open(&address("solve"), 1366, 768, false);
    planes_are_those_of_pictures(&mut browser, named("solve"));
    browser.open(&address("product"), 1366, 768, true);
    colours(&mut browser, &folder);
    prints(&mut browser, &folder);
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// Every pane opens by a click and has something to show.
fn all_panes(browser: &mut Browser, made: &Made, folder: &Folder) {
    let ids = browser.value("PANES.map(([id]) => id)");
    let ids: Vec<&str> = ids.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let expected = ["overview", "iterations", "tree", "script", "dependences", "memory", "roofline", "code"];
    assert!(expected.iter().all(|id| ids.contains(id)), "{}: {ids:?}", made.name);
    assert_eq!(ids.contains(&"device"), !made.report.kernels.is_empty(), "{}", made.name);
    assert!(!ids.contains(&"times"), "times are not asked for");
    for id in ids {
        browser.click(&format!("#tab-{id}"));
        let shown = browser.value(
            "[...document.querySelectorAll('.panel')].filter((panel) => panel.offsetParent).map((panel) => panel.id)",
        );
        assert_eq!(shown, json!([format!("panel-{id}")]), "{}", made.name);
        assert!(text(browser, &format!("#panel-{id}")).len() > 60, "{}: {id} is empty", made.name);
        let wide = number(browser, "Math.max(0, document.documentElement.scrollWidth - innerWidth)");
        assert_eq!(wide, 0, "{}: {id} is wider than the window", made.name);
        if std::env::var_os("TILEWRIGHT_PAGES").is_some() {
            let bytes = browser.screenshot();
            folder.keep(&format!("{}-{id}.png", made.name), &bytes);
        }
    }
}

/// What is chosen is marked in all panes, and numbers are those of the report.
fn panes_agree(browser: &mut Browser, made: &Made) {
    let report = &made.report;
    assert_eq!(count(browser, "#lists li[data-refs^='loop:']"), report.loops.len() as u64, "{}", made.name);
    assert_eq!(count(browser, "#steps > li"), report.script.len() as u64, "{}", made.name);
    let edges: BTreeSet<(&str, &str)> = report.dependences.iter().map(|one| (&*one.from, &*one.to)).collect();
    assert_eq!(count(browser, "#graph .dependence"), edges.len() as u64, "{}", made.name);
    // The last step's outline has a line for each loop of the tree.
    if !report.script.is_empty() {
        browser.value("showStep(report.script.length - 1)");
        let lines = browser.value(
            "script.outlines[script.outlines.length - 1].filter((line) => line.trim().startsWith('for ')).length",
        );
        assert_eq!(lines, json!(report.loops.len()), "{}", made.name);
    }
    let name = &report.loops[0].name;
    browser.click(&format!("#lists li[data-refs='loop:{name}']"));
    assert_eq!(browser.value("selection.chosen"), json!(format!("loop:{name}")));
    for pane in ["#lists", "#panel-tree"] {
        let chosen = count(browser, &format!("{pane} [data-refs~='loop:{name}'].chosen"));
        assert!(chosen > 0, "{}: {name} is not marked in {pane}", made.name);
    }
    let inside = &report.loops[0].statements[0];
    assert!(count(browser, &format!("[data-refs~='statement:{inside}'].near")) > 0, "{}: {inside}", made.name);
    browser.press("Escape");
    assert_eq!(count(browser, ".chosen[data-refs]"), 0, "{}: Esc chooses nothing", made.name);
    let stmt = &report.source_statements[0].name;
    browser.point_at(&format!("#lists li[data-refs='statement:{stmt}']"));
    assert!(
        count(browser, &format!("#graph g[data-refs='statement:{stmt}'].lit")) > 0,
        "{}: what is under the pointer is marked",
        made.name
    );
}

/// On a phone nothing is cut off, and the program can be folded away.
fn small_screen(browser: &mut Browser, made: &Made, folder: &Folder) {
    let name = made.name;
    assert_eq!(number(browser, "Math.max(0, document.documentElement.scrollWidth - innerWidth)"), 0, "{name}");
    let folded = "document.getElementById('lists').offsetParent === null";
    for expected in [true, false, true] {
        assert_eq!(browser.value(folded), json!(expected), "{name}: the program is folded away until it is asked for");
        browser.click("#fold");
    }
    browser.click("#fold");
    for id in ["overview", "iterations", "script", "code"] {
        browser.click(&format!("#tab-{id}"));
        let wide = number(browser, "Math.max(0, document.documentElement.scrollWidth - innerWidth)");
        assert_eq!(wide, 0, "{name}: {id} is wider than a phone");
        if std::env::var_os("TILEWRIGHT_PAGES").is_some() {
            let bytes = browser.screenshot();
            folder.keep(&format!("{name}-{id}-phone.png"), &bytes);
        }
    }
}

/// All of it without a mouse.
fn keys(browser: &mut Browser) {
    browser.press("4");
    assert_eq!(browser.value("document.activeElement.id"), json!("tab-script"));
    browser.press("ArrowRight");
    assert_eq!(browser.value("document.activeElement.id"), json!("tab-dependences"));
    assert_eq!(browser.value("document.getElementById('panel-dependences').hidden"), json!(false));
    browser.press("ArrowLeft");
    browser.value("document.querySelector('#steps > li').focus()");
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    assert!(text(browser, "#step").contains("command 3 of"), "the arrow keys walk through the script");
    browser.press("End");
    assert_eq!(browser.value("script.at === report.script.length - 1"), json!(true));
    browser.value("document.querySelector('#lists [role=listbox] > li').focus()");
    browser.press("Enter");
    assert_eq!(browser.value("selection.chosen"), json!("loop:C.init.no"));
    browser.press("Escape");
    assert_eq!(browser.value("selection.chosen"), Value::Null);
    browser.press("?");
    assert_eq!(browser.value("document.getElementById('help').hidden"), json!(false));
    browser.press("Escape");
    // Tab reaches something in every part of the page.
    browser.press("2");
    let mut reached = BTreeSet::new();
    for _ in 0..16 {
        browser.press("Tab");
        let at = browser.value("document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.className.baseVal");
        reached.extend(at.as_str().map(str::to_string));
    }
    for wanted in ["size", "play", "moment", "The instances of C.update in m and n"] {
        assert!(reached.contains(wanted), "Tab does not reach {wanted}: {reached:?}");
    }
}

/// The animation shows a prefix of the order, and ends.
fn play(browser: &mut Browser) {
    browser.press("2");
    browser.click("#all");
    assert_eq!(count(browser, ".plane circle.waiting"), 0);
    browser.press(".");
    assert_eq!(browser.value("iterations.moment"), json!(0));
    let points = number(browser, "iterations.plane.points.length");
    let first = number(browser, "iterations.plane.points.filter((point) => point.first === 0).length");
    assert_eq!(count(browser, ".plane circle.waiting"), points - first);
    assert_eq!(count(browser, ".plane circle.now"), first);
    assert!(count(browser, "#maps rect.written") > 0, "what is written now is marked");
    browser.press("p");
    browser.wait("iterations.moment > 2");
    browser.press("p");
    assert_eq!(browser.value("iterations.timer"), Value::Null);
    browser.value("moveTo(iterations.plane.moments - 1)");
    assert_eq!(count(browser, ".plane circle.waiting"), 0);
    let before = number(browser, "iterations.plane.points.length");
    browser.value("chooseModel(data.models.length - 1)");
    assert!(number(browser, "iterations.plane.points.length") > before, "a larger size has more points");
}

/// Asks why a sum runs in order, and looks at the pair.
fn why_not(browser: &mut Browser, made: &Made) {
    let sum = made.report.loops.iter().find(|one| one.conflict.is_some() && one.kind == "in order").expect("a sum");
    browser.click(&format!("#lists li[data-refs='loop:{}']", sum.name));
    browser.click("#chosen button");
    let answer = text(browser, "#because");
    let conflict = sum.conflict.as_ref().expect("it has one");
    let pair = conflict.pair.source.point.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    assert!(
        answer.contains("cannot run at once") && answer.contains(&pair) && answer.contains(&conflict.kind),
        "{answer}"
    );
    browser.click("#because button");
    assert_eq!(count(browser, ".plane .pair"), 2, "the two instances are marked");
}

/// The plane that the page finds is the one that `emit domain.json` has: for the sizes and the script of each model.
fn planes_are_those_of_pictures(browser: &mut Browser, made: &Made) {
    let models = number(browser, "data.models.length");
    let statements = browser.value("data.models[0].statements.map((of) => of.statement)");
    for model in 0..models {
        let sizes: Vec<i64> =
            serde_json::from_value(browser.value(&format!("data.models[{model}].sizes.map((size) => size.value)")))
                .expect("numbers");
        let lines = browser.value(&format!(
            "report.script.map((step, at) => data.models[{model}].left_out.some(([out]) => out === at) ? '# left out' \
             : (data.models[{model}].changed.find(([other]) => other === at) || [at, step.command])[1]).join('\\n')"
        ));
        let script = lines.as_str().expect("text").to_string() + "\n# as it is\n";
        let options = Options { script: Some(script.parse().expect("a script")), ..made.options.clone() };
        for statement in statements.as_array().expect("a list").iter().filter_map(Value::as_str) {
            let of = format!("data.models[{model}].statements.find((of) => of.statement === {})", json!(statement));
            if number(browser, &format!("{of}.count")) == 0 || number(browser, &format!("{of}.dims.length")) < 2 {
                continue;
            }
            let wanted = Wanted { statement: Some(statement.into()), dims: Vec::new() };
            let picture = domain(&made.def, &sizes, &options, &wanted).unwrap_or_else(|error| panic!("{error}"));
            let plane = format!("planeOf({of}, ...{}.map((name) => {of}.dims.indexOf(name)))", json!(picture.dims));
            let found = browser.value(&format!(
                "{plane}.points.map((point) => [...point.at, point.first, point.last, point.instances.length])"
            ));
            let expected: Vec<[i64; 5]> = picture
                .points
                .iter()
                .map(|point| [point.at[0], point.at[1], point.first as i64, point.last as i64, point.instances as i64])
                .collect();
            assert_eq!(found, json!(expected), "{} {statement} at {sizes:?}", made.name);
            let tiles = browser.value(&format!(
                "{plane}.tiles.map((level) => level.map((tile) => [tile.points, tile.whole]).sort().join())"
            ));
            let expected: Vec<String> = picture
                .tiles
                .iter()
                .map(|level| {
                    let mut all: Vec<String> =
                        level.iter().map(|tile| format!("{},{}", tile.points, tile.whole)).collect();
                    all.sort();
                    all.join(",")
                })
                .collect();
            assert_eq!(tiles, json!(expected), "{} {statement} at {sizes:?}", made.name);
            if picture.left_out == 0 && browser.value(&format!("{plane}.leftOut")) == json!(0) {
                let arrows = browser.value(&format!(
                    "{plane}.arrows.map((arrow) => [arrow.kind, ...arrow.from, ...arrow.to].join()).sort()"
                ));
                let mut expected: Vec<String> = picture
                    .arrows
                    .iter()
                    .map(|arrow| {
                        format!("{},{},{},{},{}", arrow.kind, arrow.from[0], arrow.from[1], arrow.to[0], arrow.to[1])
                    })
                    .collect();
                expected.sort();
                assert_eq!(arrows, json!(expected), "{} {statement} at {sizes:?}", made.name);
            }
        }
    }
}

/// Dark where that is preferred, and light where it is asked for.
fn colours(browser: &mut Browser, folder: &Folder) {
    let ground = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.value(ground), json!("rgb(13, 17, 23)"));
    browser.press("2");
    let bytes = browser.screenshot();
    folder.keep("product-dark.png", &bytes);
    browser.click("#theme");
    assert_eq!(browser.value(ground), json!("rgb(255, 255, 255)"));
    browser.click("#theme");
    assert_eq!(browser.value(ground), json!("rgb(13, 17, 23)"));
}

/// A print is light and has every pane.
fn prints(browser: &mut Browser, folder: &Folder) {
    let bytes = browser.printed();
    assert!(bytes.starts_with(b"%PDF"));
    folder.keep("product.pdf", &bytes);
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    let hidden =
        browser.value("[...document.querySelectorAll('.panel')].filter((panel) => !panel.offsetParent).length");
    assert_eq!(hidden, json!(0), "a pane is not printed");
    assert_eq!(browser.value("getComputedStyle(document.body).backgroundColor"), json!("rgb(255, 255, 255)"));
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
}

/// The same page for the same report, and nothing in it ends early.
#[test]
fn pages_are_the_same_each_time() {
    let case = &cases()[3];
    let (one, other) = (case.make(), case.make());
    assert!(one.page == other.page, "the page differs from one time to the next");
    assert_eq!(one.page.matches("</script>").count(), 2);
    let hostile = Case {
        name: "hostile",
        text: "# </script><script>alert(1)</script> <!--\ndef f(float(N) A) -> (B) { B(i) = A(i) }".into(),
        sizes: &[("N", 8)],
        target: "x86-64-v3",
        script: None,
    };
    assert_eq!(hostile.make().page.matches("</script>").count(), 2);
}
