//! The pictures of `docs/pictures.md` are what its commands draw, and the commands of `docs/explain.md` say what it shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the command prints, run in a folder.
fn tilewright(dir: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_tilewright")).args(arguments).current_dir(dir).output();
    let output = run.expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// A line with a command in a comment, perhaps a script, and the name of the picture. `UPDATE_EXPECT=1` draws them anew.
#[test]
fn the_pictures_are_what_is_drawn() {
    let text = std::fs::read_to_string(repository().join("docs/pictures.md")).expect("the page");
    let place = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for part in text.split("<!-- draw ").skip(1) {
        let (command, rest) = part.split_once(" -->").expect("the end of the comment");
        let before_picture = rest.split_once("![").expect("a picture").0;
        let mut arguments: Vec<&str> = std::iter::once("emit").chain(command.split_whitespace()).collect();
        arguments.extend(["-t", "x86-64-v3"]);
        let script = place.path().join("picture.sched");
        let script_name = script.to_str().expect("a name").to_string();
        if let Some((_, script_text)) = before_picture.split_once("```sched\n") {
            let script_text = script_text.split_once("```").expect("the end of the script").0;
            std::fs::write(&script, script_text).expect("a file");
            arguments.extend(["--schedule", &script_name]);
        }
        let file = rest.split_once("](").and_then(|(_, file)| Some(file.split_once(')')?.0)).expect("a file");
        let drawn = tilewright(&repository(), &arguments);
        expect_file![repository().join("docs").join(file)].assert_eq(&drawn);
        count += 1;
    }
    assert!(count >= 5, "{count} pictures");
}

/// Blocks with a file's name hold that file; in `console` blocks each line after `$ ` is run, and the lines below it are
/// lines of what it prints, in order. `…` stands for others.
#[test]
fn the_tutorial_says_what_is_printed() {
    let text = std::fs::read_to_string(repository().join("docs/explain.md")).expect("the page");
    let place = tempfile::tempdir().expect("a folder");
    let mut commands = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ') {
            Some((_, file)) => std::fs::write(place.path().join(file), body.join("\n") + "\n").expect("a file"),
            None if info == "console" => commands += console(place.path(), &body),
            None => {}
        }
    }
    assert!(commands >= 3, "{commands} commands");
}

fn console(dir: &Path, body: &[&str]) -> usize {
    let mut commands = 0;
    let mut printed: Vec<String> = Vec::new();
    let mut from = 0;
    for line in body {
        if let Some(command) = line.strip_prefix("$ tilewright ") {
            let words = shlex::split(command).expect("quotes that end");
            let output = tilewright(dir, &words.iter().map(String::as_str).collect::<Vec<_>>());
            (printed, from) = (output.lines().map(str::to_string).collect(), 0);
            commands += 1;
        } else if *line != "…" && !line.is_empty() {
            let at = printed[from..].iter().position(|printed| printed == line);
            let at = at.unwrap_or_else(|| panic!("`{line}` is not in\n{}", printed[from..].join("\n")));
            from += at + 1;
        }
    }
    commands
}
