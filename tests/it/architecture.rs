//! The invariants of `docs/architecture.md`, held against the text of the code itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What computes figures: it is told what the time is, and tells what came of it.
const PURE: [&str; 8] = ["domain", "engine", "events", "format", "home", "money", "settings", "time"];
/// What touches the world.
const WORLD: [&str; 8] =
    ["rdkafka", "tokio", "axum", "hyper", "prometheus", "tracing", "std::time::Instant", "std::time::SystemTime"];
/// Folders, each with those that it may use of the ones named here.
const LAYERS: [(&str, &[&str]); 4] = [
    ("domain", &[]),
    ("events", &["domain"]),
    ("engine", &["domain", "events"]),
    ("kafka", &["domain", "engine", "events"]),
];
/// Files that use each other for now, and why: each line is to go.
const CIRCLES: [(&str, &str); 4] = [
    ("config", "its sections report problems in the words of the whole"),
    ("logging", "the configuration asks it what a level is, and it is configured"),
    ("engine::customers", "one state is worked on by several files"),
    ("shop", "what its customers and its platforms do next is one queue"),
];

/// The files of the library without their tests, by the path of their module: `engine::customers`.
struct Code(BTreeMap<String, String>);

impl Code {
    fn read() -> Code {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        walk(&root, &mut files);
        let mut code = BTreeMap::new();
        for file in files {
            let path = file.strip_prefix(&root).expect("below it").with_extension("");
            let parts: Vec<&str> = path.iter().map(|part| part.to_str().expect("a plain name")).collect();
            // The program is a crate of its own; tests are no part of what they test.
            if ["main", "cli"].contains(&parts[0]) || parts.contains(&"tests") {
                continue;
            }
            let parts = parts.iter().filter(|part| !["mod", "lib"].contains(part)).copied();
            let text = fs::read_to_string(&file).expect("it can be read");
            code.insert(parts.collect::<Vec<_>>().join("::"), without_tests_and_comments(&text));
        }
        assert!(code.len() > 100, "{:?}", code.keys());
        Code(code)
    }

    /// All that a file names: paths from the crate (`crate::engine::Stage`) or from another one (`rdkafka::Offset`).
    fn names(&self, module: &str) -> BTreeSet<String> {
        let text = &self.0[module];
        let mut names = BTreeSet::new();
        // The parent of a file is its folder's, unless it is that itself.
        let here: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        for path in paths(text) {
            let mut parts: Vec<&str> = path.split("::").collect();
            let mut base = here.clone();
            if parts[0] == "self" {
                parts.remove(0);
            } else if parts[0] == "super" {
                while parts.first() == Some(&"super") {
                    parts.remove(0);
                    base.pop();
                }
            } else if parts[0] == "crate" {
                parts.remove(0);
                base.clear();
            } else if self.0.contains_key(&[&here[..], &parts[..1]].concat().join("::")) {
                // A module of this one.
            } else {
                names.insert(path);
                continue;
            }
            names.insert([&["crate"], &base[..], &parts[..]].concat().join("::"));
        }
        names
    }

    /// The file in which something of the crate is to be looked for first.
    fn file_of(&self, name: &str) -> Option<&str> {
        let mut path = name.strip_prefix("crate::")?;
        loop {
            if let Some((module, _)) = self.0.get_key_value(path) {
                return Some(module);
            }
            path = path.rsplit_once("::").map_or("", |(module, _)| module);
        }
    }

    fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let of = |module: &'_ str| -> BTreeSet<&str> {
            let (module, _) = self.0.get_key_value(module).expect("one of them");
            let names = self.names(module);
            names
                .iter()
                .filter_map(|name| self.file_of(name))
                .filter(|other| *other != module && !other.is_empty())
                .collect()
        };
        self.0.keys().map(|module| (module.as_str(), of(module))).collect()
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Tests stand last in a file, in a module of their own.
fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Every path of two parts or more, with those of a `use` written out.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let (before, from) = rest.split_at(at);
        plain_paths(before, &mut found);
        let starts_a_line = before.lines().last().is_none_or(|line| {
            let before = line.trim_start();
            before.is_empty() || before.starts_with("pub")
        });
        let (tree, after) = from["use ".len()..].split_once(';').unwrap_or((from, ""));
        if starts_a_line {
            write_out("", tree, &mut found);
            rest = after;
        } else {
            rest = &from["use ".len()..];
        }
    }
    plain_paths(rest, &mut found);
    found
}

fn plain_paths(text: &str, found: &mut Vec<String>) {
    let is_of_path = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    for path in text.split(|character: char| !is_of_path(character)) {
        let path = path.trim_matches(':');
        if path.contains("::") && path.starts_with(|first: char| first.is_lowercase()) {
            found.push(path.to_owned());
        }
    }
}

/// `a::{b, c::{d, e}}`: `a::b`, `a::c::d`, `a::c::e`.
fn write_out(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        let path = format!("{prefix}{name}");
        if !name.is_empty() {
            found.push(path.trim_end_matches("::self").trim_end_matches("::*").to_owned());
        }
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut from) = (0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                write_out(&prefix, &inner[from..at], found);
                from = at + 1;
            }
            _ => {}
        }
    }
    write_out(&prefix, &inner[from..], found);
}

fn is_in(module: &str, folder: &str) -> bool {
    module == folder || module.strip_prefix(folder).is_some_and(|rest| rest.starts_with("::"))
}

#[test]
fn what_is_used_is_found_however_it_is_written() {
    let text =
        "use a::{self, b::{C, d}, e as f};\npub use super::g::*;\nfn h() { crate::i::j(); K::l(); let used = m::n(); }";
    assert_eq!(paths(text), ["a", "a::b::C", "a::b::d", "a::e", "super::g", "crate::i::j", "m::n"]);
}

#[test]
fn what_computes_figures_knows_no_kafka_no_threads_no_clock_and_no_metrics() {
    let code = Code::read();
    for module in code.0.keys().filter(|module| PURE.iter().any(|pure| is_in(module, pure))) {
        for name in code.names(module) {
            let of_world = WORLD.iter().find(|world| is_in(&name, world));
            assert_eq!(of_world, None, "{module} uses {name}");
            if let Some(other) = code.file_of(&name).filter(|other| !other.is_empty()) {
                assert!(PURE.iter().any(|pure| is_in(other, pure)), "{module} uses {other}");
            }
        }
    }
}

#[test]
fn the_direction_is_from_kafka_to_the_engine_to_the_domain() {
    let code = Code::read();
    for (module, uses) in code.uses() {
        let Some((layer, may)) = LAYERS.iter().find(|(layer, _)| is_in(module, layer)) else { continue };
        for other in uses {
            let of_other = LAYERS.iter().map(|(layer, _)| layer).find(|layer| is_in(other, layer));
            let is_allowed = of_other.is_none_or(|other| other == layer || may.contains(other));
            assert!(is_allowed, "{module} uses {other}");
        }
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let code = Code::read();
    let uses = code.uses();
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|module| (*module, reach(module, &uses))).collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .map(|(module, others)| {
            let back = others.iter().copied().filter(|other| reached[other].contains(module));
            back.collect::<Vec<&str>>()
        })
        .filter(|circle| !circle.is_empty())
        .collect();
    let is_known = |circle: &&Vec<&str>| circle.iter().all(|module| CIRCLES.iter().any(|(at, _)| is_in(module, at)));
    let new: Vec<&Vec<&str>> = circles.iter().filter(|circle| !is_known(circle)).collect();
    assert!(new.is_empty(), "in circles: {new:#?}");
    for (at, why) in CIRCLES {
        let is_there = circles.iter().flatten().any(|module| is_in(module, at));
        assert!(is_there, "{at} is in no circle any more: it is to be no exception ({why})");
    }
}

#[test]
fn what_the_page_says_where_to_look_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).expect("the page is there");
    let named = page.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = named
        .filter(|name| ["src/", "tests/", "docs/", "config/"].iter().any(|folder| name.starts_with(folder)))
        .collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        assert!(root.join(path).exists(), "{path} is not there");
    }
}

/// All that a file uses, and that these use.
fn reach<'a>(module: &str, uses: &BTreeMap<&str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = uses[module].iter().copied().collect();
    while let Some(other) = next.pop() {
        if reached.insert(other) {
            next.extend(&uses[other]);
        }
    }
    reached
}
