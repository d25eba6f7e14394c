//! The quickstart of the README, executed literally: what is typed in the first terminal runs while the
//! second one's is typed.
//!
//! The commands stand between `<!-- quickstart:begin -->` and `<!-- quickstart:end -->`, in `sh` blocks whose
//! first line says `# terminal 1` or `# terminal 2`; what comes a year later between `<!-- evidence:begin -->` and
//! `<!-- evidence:end -->`. Only the ports differ, each documented one by a free
//! one: they may be taken.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::support::wait_until;

#[test]
fn the_quickstart_works_as_typed() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"));
    let readme = readme.expect("the README is there");
    let [first, second] = terminals(&readme);
    let dispute = dispute(&readme);
    let ports = Ports::free(&first);
    let [first, second] = [first, second].map(|script| ports.renumber(&script));
    let nodes = first.matches("comity up").count();
    let home = tempfile::tempdir().unwrap();

    let mut node = Terminal(bash(home.path(), &ports, &first).spawn().unwrap());
    wait_until("every node", || {
        assert!(node.0.try_wait().unwrap().is_none(), "terminal 1 ended:\n{}", log(home.path()));
        count(home.path(), "node.json") == nodes
    });
    let output = bash(home.path(), &ports, &second).stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "terminal 2: {}\n{said}{}", output.status, log(home.path()));
    assert!(said.contains("did:"), "terminal 2 shows no identity:\n{said}");
    // The nodes witness each other's log within a second or so.
    wait_until("evidence that proves all of it", || {
        let output = bash(home.path(), &ports, &dispute).stdout(Stdio::piped()).output().unwrap();
        output.status.success()
    });
}

#[test]
fn commands_are_read_by_terminal() {
    let readme = "x\n<!-- quickstart:begin -->\nIn one:\n```sh\n# terminal 1\na\n```\n```sh\n# terminal 2\nb\n```\nthen\n\
                  ```sh\n# terminal 2\nc\n```\n<!-- quickstart:end -->\n```sh\n# terminal 1\nd\n```\n";
    assert_eq!(terminals(readme), ["# terminal 1\na\n", "# terminal 2\nb\n# terminal 2\nc\n"]);
}

/// A shell with everything that it started, ended together.
struct Terminal(Child);

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell leads a group of its own; the minus means all of it.
        let group = format!("-{}", self.0.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.0.wait());
    }
}

/// A free port for each documented one.
struct Ports(Vec<(String, String)>);

impl Ports {
    /// Finds the ports that a script names after a loopback address, and the two defaults.
    fn free(script: &str) -> Self {
        let named = script
            .split("127.0.0.1:")
            .skip(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        let mut documented: Vec<_> = named.chain(["7700".to_owned(), "7701".to_owned()]).collect();
        documented.sort();
        documented.dedup();
        // All at once, so that they differ.
        let held: Vec<_> =
            documented.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let free = held.iter().map(|held| held.local_addr().unwrap().port().to_string());
        Self(documented.into_iter().zip(free).collect())
    }

    fn renumber(&self, script: &str) -> String {
        self.0.iter().fold(script.to_owned(), |script, (documented, free)| {
            script.replace(&format!(":{documented}"), &format!(":{free}"))
        })
    }
}

fn terminals(readme: &str) -> [String; 2] {
    let blocks = blocks(readme, "quickstart");
    let terminals = ["# terminal 1\n", "# terminal 2\n"];
    assert!(
        blocks.iter().all(|block| terminals.iter().any(|terminal| block.starts_with(terminal))),
        "every block says its terminal: {blocks:?}"
    );
    terminals.map(|terminal| {
        blocks.iter().filter(|block| block.starts_with(terminal)).copied().collect()
    })
}

/// What is typed to show what was said, without the second verifier: `cargo xtask test` runs that.
fn dispute(readme: &str) -> String {
    let lines = blocks(readme, "evidence").concat();
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("python3 ")).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    lines.join("\n")
}

/// The blocks of a part that the README marks.
fn blocks<'r>(readme: &'r str, part: &str) -> Vec<&'r str> {
    let marked = readme
        .split_once(&format!("<!-- {part}:begin -->"))
        .and_then(|(_, rest)| rest.split_once(&format!("<!-- {part}:end -->")))
        .map(|(marked, _)| marked)
        .expect("the README marks it");
    let blocks = marked.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("the block ends").0).collect()
}

/// A shell at home in a fresh folder, with the program on its path.
fn bash(home: &Path, ports: &Ports, script: &str) -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_comity"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let log = std::fs::File::options().create(true).append(true).open(home.join("log")).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        // What is not named has the documented defaults.
        .env("COMITY_LISTEN", ports.renumber("127.0.0.1:7700"))
        .env("COMITY_LOCAL", ports.renumber("127.0.0.1:7701"))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(log)
        .process_group(0);
    command
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("log")).unwrap_or_default()
}

/// Counts the files of this name in a folder and those in it.
fn count(folder: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let count_at = |path: PathBuf| {
        if path.is_dir() { count(&path, name) } else { usize::from(path.ends_with(name)) }
    };
    entries.map(|entry| count_at(entry.path())).sum()
}
