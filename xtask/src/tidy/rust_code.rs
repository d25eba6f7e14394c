//! Rust text without what is not code: comments and literals, and items that only tests compile.
//!
//! Not a parser: enough of the lexical structure (The Rust Reference, "Lexical structure") that a
//! rule which looks for a word is not misled by prose. Everything taken out becomes spaces, so line
//! numbers stay.

/// Returns the code with comments, string literals and character literals blanked.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let blank = blank_len(rest, previous);
        if blank == 0 {
            code.push(first);
            previous = first;
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        } else {
            push_blank(&mut code, rest.get(..blank).unwrap_or(rest));
            previous = ' ';
            rest = rest.get(blank..).unwrap_or("");
        }
    }
    code
}

/// Returns the code of [`code_of`] with items under `#[cfg(test)]` blanked as well.
pub(super) fn code_outside_tests(text: &str) -> String {
    let code = code_of(text);
    let mut kept = String::with_capacity(code.len());
    let mut rest = code.as_str();
    while let Some(at) = TEST_ATTRIBUTES.iter().filter_map(|attribute| rest.find(attribute)).min() {
        let (before, item) = rest.split_at(at);
        kept.push_str(before);
        let (item, after) = item.split_at(item_len(item));
        push_blank(&mut kept, item);
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Iterates over the places where `word` stands on its own, as line numbers from 1.
pub(super) fn lines_with<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.lines().enumerate().filter(move |(_, line)| has_word(line, word)).map(|(i, _)| i + 1)
}

/// Tells whether `word` stands in `line` without being part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

const TEST_ATTRIBUTES: [&str; 2] = ["#[cfg(test)]", "#[cfg(all(test"];

/// Returns the length of the comment or literal at the start of `text`, 0 when there is none.
fn blank_len(text: &str, previous: char) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_len(text);
    }
    if text.starts_with('"') {
        return quoted_len(text, '"');
    }
    if text.starts_with('\'') {
        return char_literal_len(text);
    }
    if is_name(previous) { 0 } else { raw_string_len(text) }
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn char_literal_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => quoted_len(text, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn raw_string_len(text: &str) -> usize {
    let Some(after) = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return 0;
    };
    let body = after.trim_start_matches('#');
    let hashes = after.len() - body.len();
    let Some(body) = body.strip_prefix('"') else {
        return 0;
    };
    let end = format!("\"{}", "#".repeat(hashes));
    let Some(at) = body.find(&end) else {
        return text.len();
    };
    text.len() - body.len() + at + end.len()
}

/// Returns the length of the item at the start of `code`, its attributes included.
fn item_len(code: &str) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && others == 0 {
                    return at + 1;
                }
            }
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            ';' if braces == 0 && others == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn push_blank(code: &mut String, text: &str) {
    code.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squeezed(code: &str) -> String {
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a(\"x \\\" y\"); // b\n/* c /* d */\n e */ f('g', '\\'', 'h: &'i str);\nr#\"j\"k\"# br\"l\" r#m";
        let code = code_of(text);
        assert_eq!(squeezed(&code), "a( ); f( , , 'h: &'i str); r#m");
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn literals_that_never_end_do_no_harm() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'", "'\\"] {
            assert_eq!(code_of(text).trim_matches([' ', '\'']), "");
        }
    }

    #[test]
    fn items_of_tests_are_blanked() {
        let text = "use a;\n#[cfg(test)]\n#[expect(x, reason = \"}\")]\nmod tests {\n fn b() { c(); }\n}\nfn d() {}\n\
                    #[cfg(test)]\nmod tests;\n#[cfg(test)]\nfn e() -> [u8; 4] { f() }\nfn g() {}\n";
        let code = code_outside_tests(text);
        assert_eq!(squeezed(&code), "use a; fn d() {} fn g() {}");
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn words_are_found_whole() {
        let code = "my_tokio tokio_x\n tokio::spawn\nx.tokio";
        assert_eq!(lines_with(code, "tokio").collect::<Vec<_>>(), [2, 3]);
    }
}
