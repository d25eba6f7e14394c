//! A verdict as one self-contained page: no script, nothing fetched, every word of others escaped.

use std::fmt::Write as _;

use comity_core::api::rfc3339;
use comity_core::evidence::{MessageSeen, Outcome, Verdict};

use super::text::{headline, key_words, times};
use crate::output::markup;

pub(super) fn page(verdict: &Verdict, file: &str) -> String {
    let mut page = String::new();
    let (_, words) = headline(verdict.outcome);
    let class = match verdict.outcome {
        Outcome::Proven => "proven",
        Outcome::Malformed | Outcome::Contradiction => "wrong",
        Outcome::Insufficient => "open",
    };
    // Nothing here can fail: a string takes what it is given.
    let _: Result<(), _> = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{words}</title><style>{STYLE}</style><main><h1 class={class}>{}</h1><p class=file>{}</p>",
        markup(words),
        markup(file),
    );
    if let Some(why) = &verdict.malformed {
        let _: Result<(), _> = write!(page, "<p>{}</p>", markup(why));
    }
    for one in &verdict.contradictions {
        let _: Result<(), _> =
            write!(page, "<section class=contradiction><h2>{}</h2>", markup(&one.what));
        for piece in [&one.first, &one.second] {
            let _: Result<(), _> = write!(
                page,
                "<figure><figcaption>{}</figcaption><pre>{}</pre></figure>",
                markup(&piece.place),
                lines(&piece.says)
            );
        }
        page.push_str("</section>");
    }
    list(&mut page, "Missing", &verdict.missing);
    if !verdict.messages.is_empty() {
        page.push_str("<h2>What was said</h2><ol class=timeline>");
        verdict.messages.iter().for_each(|message| article(&mut page, message));
        page.push_str("</ol>");
    }
    if !verdict.exports.is_empty() {
        page.push_str("<h2>Exports</h2><ul>");
        for export in &verdict.exports {
            let (from, to) = export.numbers;
            let _: Result<(), _> = write!(
                page,
                "<li><code>{}</code>: statements {from} to {to} of its chain, without a gap; {} shown, {} withheld</li>",
                markup(export.agent.as_str()),
                export.shown,
                export.withheld,
            );
        }
        page.push_str("</ul>");
    }
    let roots: Vec<String> = verdict
        .rests_on
        .iter()
        .map(|root| format!("{}: {} ({})", root.of, root.key, root.because))
        .collect();
    list(&mut page, "Rests on these keys; compare them with what their owners publish", &roots);
    page.push_str("</main></html>\n");
    page
}

fn article(page: &mut String, message: &MessageSeen) {
    let _: Result<(), _> = write!(
        page,
        "<li><article><h3>{} <span>{}</span></h3><dl><dt>from<dd><code>{}</code><dt>to<dd><code>{}</code>",
        markup(&message.id),
        markup(&message.type_),
        markup(message.from.as_str()),
        markup(message.to.as_str()),
    );
    let mut row = |name: &str, value: &str| {
        let _: Result<(), _> = write!(page, "<dt>{}<dd>{}", markup(name), markup(value));
    };
    row("thread", &message.thid);
    match (&message.kid, message.key) {
        (Some(kid), Some(state)) => row("signed", &format!("{kid}, {}", key_words(state))),
        _ => row("signed", "the signature is not shown"),
    }
    message.sent.iter().for_each(|sent| row("sent", &times(sent)));
    message.received.iter().for_each(|received| row("received", &times(received)));
    for reached in &message.reached {
        let code = reached.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
        let by = format!("{} by {}{code}", rfc3339(reached.at), reached.by);
        row(&reached.state, &by);
    }
    if let Some(allowed) = &message.allowed {
        let by = allowed.seq.map(|seq| format!(", decided in statement {seq}"));
        row("allowed", &format!("by {}{}", allowed.ground, by.unwrap_or_default()));
    }
    page.push_str("</dl>");
    if let Some(body) = &message.body {
        let _: Result<(), _> = write!(page, "<pre>{}</pre>", markup(body));
    }
    page.push_str("</article></li>");
}

fn list(page: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _: Result<(), _> = write!(page, "<h2>{}</h2><ul>", markup(title));
    for item in items {
        let _: Result<(), _> = write!(page, "<li>{}</li>", markup(item));
    }
    page.push_str("</ul>");
}

/// The same, on as many lines as it has: of a signed note the lines are what it says.
fn lines(text: &str) -> String {
    text.trim_end().split('\n').map(markup).collect::<Vec<_>>().join("\n")
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--dim:#777}\
body{margin:0;font:16px/1.5 system-ui,sans-serif}\
main{max-width:56rem;margin:0 auto;padding:2rem 1rem}\
h1{padding:.8rem 1rem;border-radius:.4rem;color:#fff;font-size:1.3rem;margin:0}\
h1.proven{background:#1a7f37}h1.wrong{background:#b3261e}h1.open{background:#8a6100}\
h2{font-size:1.1rem;margin:2rem 0 .5rem}\
.file{color:var(--dim);margin:.3rem 0 0}\
.contradiction{border-left:4px solid #b3261e;padding-left:1rem;margin-top:1rem}\
.contradiction h2{margin-top:0}\
figure{margin:.5rem 0}figcaption{color:var(--dim);font-size:.85rem}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8881;padding:.5rem .8rem;border-radius:.3rem;margin:.3rem 0}\
.timeline{list-style:none;padding:0;margin:0;border-left:2px solid var(--line)}\
.timeline>li{padding:0 0 1.2rem 1.4rem;position:relative}\
.timeline>li::before{content:'';position:absolute;left:-6px;top:.5rem;width:10px;height:10px;border-radius:50%;background:#57606a}\
h3{font-size:1rem;margin:0}h3 span{font-weight:normal;color:var(--dim);overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:6rem 1fr;gap:.1rem .8rem;margin:.4rem 0}\
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}\
li{overflow-wrap:anywhere}\
@media(max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.3rem}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_others_stay_words() {
        assert_eq!(
            markup("<script>alert('1')</script>&\u{1b}[31m\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;\\u{1b}[31m&quot;"
        );
    }
}
