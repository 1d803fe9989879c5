//! What must hold for any input: the bodies of the fuzz targets.
//!
//! Each is a function of bytes that panics when what it claims does not hold. `libfuzzer/` hands them to libFuzzer
//! (`cargo +nightly fuzz run scop --fuzz-dir fuzz/libfuzzer`; `fuzz/libfuzzer/run tc` for those that take TC text, with
//! seeds); `tests/damage.rs` runs them over good texts with damage, the same ones each time.

use frontend_tc::Sources;
use polyhedral::testing::{PROGRAMS, Rng, program};
use polyhedral::text::print_tree;
use polyhedral::{Scop, isl};
use support::{Diagnostic, Stage, Target};
use transform::{Definitions, Options, Reason, Refused, Script, Session};

/// isl's operations for one input: a fuzzer wants many inputs, not hard ones.
const OPERATIONS: u64 = 200_000;

/// A `.scop` text is an error with a line, or a program whose text reads back to the same text; so does a tree's.
pub fn scop(data: &[u8]) {
    let (ctx, text) = (isl::Ctx::new(), String::from_utf8_lossy(data));
    // A budget that is spent is an answer too.
    let _ = ctx.with_budget(OPERATIONS, || {
        let scop = match Scop::parse(&ctx, &text) {
            Ok(scop) => scop,
            Err(error) => {
                assert!(error.line >= 1 && !error.message.is_empty(), "{error}");
                return Ok(());
            }
        };
        if scop.verify().is_err() {
            return Ok(());
        }
        let printed = scop.to_string();
        let Ok(again) = Scop::parse(&ctx, &printed) else { panic!("not read back:\n{printed}") };
        assert_eq!(again.to_string(), printed);
        Ok(())
    });
}

/// A `.sched` text is an error with a place, or a script whose text reads back to the same script and the same text.
pub fn script(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Script>() {
        Ok(script) => {
            let printed = script.to_string();
            let again: Script = printed.parse().unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again, script, "{printed}");
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1, "{error}");
            assert!(error.line <= text.lines().count() + 1, "{error}");
            assert!(text.parse::<Definitions>().is_err(), "its definitions are as wrong");
        }
    }
}

/// A TC text is a syntax tree, or errors, each with a message and with places that are in the text; a part of the text is
/// both, when the rest cannot be read.
pub fn parse(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, errors) = frontend_tc::parse(&text);
    said_well(&errors, &text);
    for def in &file.defs {
        assert!(text.get(def.span.range()).is_some_and(|def| def.starts_with("def")), "{:?}", def.span);
    }
}

/// A TC text is diagnosed without a panic; what is right prints as a definition that checks again to itself.
pub fn tc(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let checked = frontend_tc::check(&text);
    said_well(&checked.diagnostics, Sources::new("<tc>", &text).text());
    for def in &checked.defs {
        let printed = def.to_string();
        let again = frontend_tc::check(&printed);
        assert!(!again.has_errors(), "{printed}: {:?}", again.diagnostics);
        assert_eq!(again.defs.iter().map(ToString::to_string).collect::<String>(), printed);
    }
}

/// What [`tc`] accepts is a Scop that is well-formed and whose text reads back to the same text.
pub fn lower(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for def in &frontend_tc::check(&text).defs {
        let ctx = isl::Ctx::new();
        // A budget that is spent is an answer too; what was made within it is small enough for the rest.
        let Ok(Some(scop)) = ctx.with_budget(OPERATIONS, || Ok(frontend_tc::lower(def, &ctx).ok())) else { continue };
        scop.verify().unwrap_or_else(|malformed| panic!("{malformed}\n{def}"));
        let printed = scop.to_string();
        let again = Scop::parse(&ctx, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.to_string(), printed);
    }
}

/// Every diagnostic has a code with a page, a message and help, and its places are in the text.
fn said_well(diagnostics: &[Diagnostic], text: &str) {
    for diagnostic in diagnostics {
        assert!(frontend_tc::explain(diagnostic.code).is_some(), "{diagnostic:?}");
        assert!(!diagnostic.message.is_empty() && diagnostic.help.is_some(), "{diagnostic:?}");
        assert!(diagnostic.message.len() < 1000, "{diagnostic:?}");
        for label in &diagnostic.labels {
            assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
        }
    }
}

/// Random commands, eight bytes each, on a program of which the first byte decides: every one is applied or refused, what
/// was recorded replays to the same bytes, and the whole is legal or, where statements were changed, refused.
pub fn replay(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let (name, _) = PROGRAMS[usize::from(*first) % PROGRAMS.len()];
    let options = Options { operations: OPERATIONS, ..Options::default() };
    let begin = || Session::with_options(program(&isl::Ctx::new(), name), &target(), options);
    let Ok(mut session) = begin() else { return };
    for chunk in rest.chunks(8).take(12) {
        let mut seed = [0; 8];
        seed[..chunk.len()].copy_from_slice(chunk);
        let command = transform::testing::command(&mut Rng::new(u64::from_le_bytes(seed)), session.scop());
        // What is refused leaves the session as it was; whether that is so shows in the replay.
        let _ = session.apply(command);
    }
    let text = session.script().to_string();
    let recorded: Script = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut again = begin().expect("it could be begun before");
    again.replay(&recorded).unwrap_or_else(|refused| panic!("{refused}\n{text}"));
    assert_eq!(again.script().to_string(), text);
    assert_eq!(tree(&again), tree(&session), "{text}");
    let is_source = session.scop().is_source();
    match session.finish() {
        Ok(scheduled) => scheduled.verify().unwrap_or_else(|malformed| panic!("{malformed}\n{text}")),
        Err(Refused { reason: Reason::Quota(_), .. }) => {}
        // Values are proved of the whole program again, and that may refuse what is right.
        Err(_) if !is_source => {}
        Err(refused) => panic!("{refused}\n{text}"),
    }
}

/// Sets elsewhere in a program may print in another of their forms when isl was asked more of them in between.
fn tree(session: &Session) -> String {
    print_tree(session.scop(), &session.scop().tree).expect("the tree prints")
}

/// A machine with vectors of 64 bytes.
fn target() -> Target {
    Target {
        name: "fuzz".into(),
        triple: String::new(),
        cpu: String::new(),
        threads: 2,
        launch_cycles: 3000,
        vector_bytes: 64,
        vector_registers: 32,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: Vec::new(),
        features: String::new(),
    }
}
