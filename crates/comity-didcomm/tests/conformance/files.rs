//! The published files of `docs/conformance/`: how they are laid out, written and read.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::letter::NOW;
use super::world::World;

/// Where the files are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance")
}

pub(crate) fn read(name: &str) -> Value {
    let text = std::fs::read(folder().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The entries of a published list.
pub(crate) fn entries(name: &str) -> Vec<Value> {
    let Value::Array(entries) = read(name)["entries"].take() else { panic!("{name}") };
    entries
}

/// Compares a file with what it should be, or writes it when `COMITY_BLESS` is set.
pub(crate) fn check(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("COMITY_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{name} is not what the code makes: run `cargo xtask generate`");
}

/// Writes a list with its head, one entry a line.
pub(crate) fn list(head: &Map<String, Value>, name: &str, items: &[Value]) -> String {
    let mut text = String::from("{\n");
    for (name, value) in head {
        text.push_str(&format!("  {}: {value},\n", json!(name)));
    }
    text.push_str(&format!("  {}: [\n", json!(name)));
    for (at, item) in items.iter().enumerate() {
        let end = if at + 1 < items.len() { "," } else { "" };
        text.push_str(&format!("    {item}{end}\n"));
    }
    text.push_str("  ]\n}\n");
    text
}

/// What every list begins with.
pub(crate) fn head(about: &str) -> Map<String, Value> {
    super::jwe::object(json!({ "about": about, "format": 1, "now": NOW }))
}

pub(crate) fn documents(world: &World) -> String {
    let documents = world.documents();
    list(&head("DID documents of the parties; resolve these DIDs to them"), "dids", documents)
}

pub(crate) fn secrets(world: &World) -> String {
    list(
        &head("private keys of the parties; public knowledge, for tests only"),
        "secrets",
        &world.secrets(),
    )
}
