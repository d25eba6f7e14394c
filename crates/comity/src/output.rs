//! What reaches standard output and the terminal: one JSON object a line, or text for a person, and never a
//! peer's control characters.
//!
//! Not a table or progress-bar library. Colours appear on a terminal only, and not under `NO_COLOR` or `TERM=dumb`.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;

use crate::error::{CliError, Kind};

/// Whom the output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    Off,
    On,
}

/// How a piece of text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Bad,
    Bold,
    Dim,
    Good,
    /// Black on white, whatever the terminal's colours are.
    Ink,
    Notice,
}

/// Standard output, as this run uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    stdout: Colours,
    stderr: Colours,
    /// Whether a person sees a line on standard error change.
    is_watched: bool,
}

impl Output {
    /// Looks at where standard output and standard error go.
    pub(crate) fn detect(format: Format) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let unwanted =
            is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = |is_terminal: bool| match (is_terminal, unwanted) {
            (true, false) => Colours::On,
            _ => Colours::Off,
        };
        Self {
            format,
            stdout: colours(io::stdout().is_terminal()),
            stderr: colours(io::stderr().is_terminal()),
            is_watched: format == Format::Human && io::stderr().is_terminal() && !is_dumb,
        }
    }

    /// Tells whether a program reads this.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes one result: an object for programs, or the text that `human` makes of it.
    pub(crate) fn object<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Human => self.line(&human()),
            Format::Json => self.line(&to_line(value)?),
        }
    }

    /// Writes a line that only a person needs.
    pub(crate) fn remark(&self, text: &str) -> Result<(), CliError> {
        match self.format {
            Format::Human => self.line(text),
            Format::Json => Ok(()),
        }
    }

    /// Tells whether a person sees a line change.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Shows how far something is, in the place of what was shown before; nothing takes it away. Only where a
    /// person sees it change: elsewhere it would be noise.
    pub(crate) fn progress(&self, text: &str) {
        if self.is_watched {
            // Nobody watches any more if this fails.
            drop(write!(io::stderr(), "\r\u{1b}[K{}", escape(text)));
        }
    }

    /// Says why the command failed: to programs on standard output, to people on standard error.
    pub(crate) fn error(&self, error: &CliError) {
        if error.what.is_empty() {
            return;
        }
        // There is nowhere left to complain if this fails.
        drop(match self.format {
            Format::Json => writeln!(io::stdout(), "{}", ascii_safe(&error.to_json().to_string())),
            Format::Human => io::stderr().write_all(self.explain(error).as_bytes()),
        });
    }

    /// Returns how many columns a person sees; nothing when nobody does, or the terminal does not say.
    pub(crate) fn columns(&self) -> Option<usize> {
        if self.is_json() || !io::stdout().is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| 0 < *columns)
    }

    /// Tells whether colours may be used on standard output.
    pub(crate) fn is_coloured(&self) -> bool {
        self.stdout == Colours::On
    }

    /// Colours a piece of text for standard output.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.stdout, style, text)
    }

    fn explain(&self, error: &CliError) -> String {
        let mut text = paint(self.stderr, Style::Bad, "error");
        // Writing to a String cannot fail.
        let _ = writeln!(text, ": {}", escape(&error.what));
        if !error.why.is_empty() {
            let _ = writeln!(text, "  because: {}", escape(&error.why));
        }
        if error.kind == Kind::Refused {
            let _ = writeln!(text, "  code: {}", escape(&error.code));
        }
        if !error.hint.is_empty() {
            let hint = paint(self.stderr, Style::Notice, "hint");
            let _ = writeln!(text, "  {hint}: {}", escape(&error.hint));
        }
        text
    }

    fn line(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(b"\n"))
            .and_then(|()| stdout.flush())
            // Nobody listens any more, so nobody has to be told either.
            .map_err(|_| CliError::told(Kind::Fault))
    }
}

/// Writes a value as one line of JSON that is safe on a terminal.
fn to_line<T: Serialize>(value: &T) -> Result<String, CliError> {
    serde_json::to_string(value)
        .map(|text| ascii_safe(&text))
        .map_err(|error| CliError::fault("json", "The result cannot be written as JSON").why(error))
}

/// Makes a peer's text harmless on a terminal: control characters, and those that reorder or hide others, are
/// spelled out.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same within HTML or XML, and nothing of it is read as either; what is no character there is spelled out too.
pub(crate) fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in escape(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// The same for JSON text, where such characters can stand only within strings.
pub(crate) fn ascii_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, and Unicode's invisible and direction-changing ones (UTS 55, "Source code spoofing"): tags and
/// variation selectors too, in which whole sentences can be hidden. The one that makes an emoji colourful hides none.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn paint(colours: Colours, style: Style, text: &str) -> String {
    if colours == Colours::Off {
        return text.to_owned();
    }
    let code = match style {
        Style::Bad => "31",
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Ink => "38;5;16;48;5;231",
        Style::Notice => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Puts rows under each other with their columns aligned; columns that are empty take no room.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            if width == 0 {
                continue;
            }
            let _ = write!(line, "{cell:width$}  ");
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_control_characters_are_spelled_out() {
        let text = "a\u{1b}[2J\u{9b}31m\u{202e}b\nc\u{200b}";
        assert_eq!(escape(text), "a\\u{1b}[2J\\u{9b}31m\\u{202e}b\\u{a}c\\u{200b}");
        assert_eq!(escape("Grüße, 世界"), "Grüße, 世界");
        // Selectors, by which a text can carry another one that nobody sees.
        assert_eq!(escape("a\u{fe01}\u{e0100}\u{3164}b"), "a\\u{fe01}\\u{e0100}\\u{3164}b");
        assert_eq!(escape("\u{2764}\u{fe0f}"), "\u{2764}\u{fe0f}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"k": "a\u{9b}\u{202e}\u{e0041}\u{1b}\"b"});
        let line = to_line(&value).ok();
        let line = line.as_deref().unwrap_or_default();
        assert!(!line.chars().any(is_unsafe), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).ok(), Some(value));
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "a    bb\nccc  d");
        let rows = [["a", "", "b"], ["c", "", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "a  b\nc");
    }
}
