//! What the operator can see: counts, and checks that say what to do.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::api::{CheckResult, RelayStatus, Status};
use comity_store::records::log::peers;
use comity_store::records::{log, mailbox, outbox, relay};
use comity_store::{Batch, StoreFault};

use crate::home::Home;
use crate::ledger;
use crate::via::{Link, Via};

/// Counts what the node holds and does.
pub(crate) async fn status(home: &Arc<Home>, started: Instant) -> Result<Status, StoreFault> {
    let store = home.store.as_ref();
    let head = store.tree_head().await?;
    let mut status = Status {
        did: home.did.to_string(),
        url: home
            .via
            .as_ref()
            .map_or_else(|| home.public_url.clone(), |via| via.parties.routing.to_string()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: started.elapsed().as_secs(),
        agents: home.identities.count(),
        peers_unreachable: home.transmitter.unreachable(),
        log_size: head.size,
        log_root: URL_SAFE_NO_PAD.encode(head.root),
        store_bytes: store.size_bytes(),
        sockets: home.mailboxes.sockets(),
        rss_bytes: rss_bytes().unwrap_or(0),
        cpu_us: cpu_us().unwrap_or(0),
        ..Status::default()
    };
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    for agent in home.identities.agents() {
        status.mailbox_messages += count(mailbox::messages(store, &agent.did).await?);
        status.requests_pending += count(mailbox::requests_pending(store, &agent.did).await?);
        status.outbox_messages += count(outbox::messages(store, &agent.did).await?);
    }
    status.outbox_messages += count(outbox::messages(store, &home.did).await?);
    if let Some(webhook) = &home.webhook {
        status.webhook = Some(webhook.status(home).await?);
    }
    if let Some(policy) = &home.config.relay {
        let held = relay::totals(store).await?;
        status.relay = Some(RelayStatus {
            register: policy.register.as_str().to_owned(),
            registrants: count(relay::grants(store).await?),
            messages: held.messages,
            bytes: held.bytes,
            live: home.relay.count(),
        });
    }
    Ok(status)
}

/// Checks what can go wrong, one line each.
pub(crate) async fn checks(home: &Arc<Home>) -> Vec<CheckResult> {
    let mut checks =
        vec![store(home).await, reachable(home).await, keys(home), agents(home), peers(home)];
    checks.extend(log(home).await);
    checks.extend(webhook(home).await);
    checks.extend(operator(home));
    checks
}

async fn store(home: &Home) -> CheckResult {
    // An empty batch is committed like any other: it shows that the disk takes writes.
    let result = home.store.commit(Batch::new()).await;
    let ok = result.is_ok();
    let detail = match result {
        Ok(_) => format!("{} takes writes, {} bytes", home.store.name(), home.store.size_bytes()),
        Err(error) => error.to_string(),
    };
    check("store", ok, detail, "Make room on the disk, then start the node again")
}

async fn reachable(home: &Home) -> CheckResult {
    if let Some(via) = &home.via {
        return relay(via);
    }
    if home.public_url.is_empty() {
        let hint = "Start with --public-url https://NAME behind a TLS proxy, or with --dev to try it on one machine";
        let detail = "peers cannot reach this node: it has no public URL".to_owned();
        return check("public url", false, detail, hint);
    }
    let fetched = match home.did.method() {
        "webvh" => {
            home.fetcher.get_log(&format!("{}/.well-known/did.jsonl", home.public_url)).await
        }
        _ => {
            let url = format!("{}/.well-known/did.json", home.public_url);
            home.fetcher.get(&url, "application/did+json").await
        }
    };
    match fetched {
        Ok(_) => check("public url", true, format!("{} answers", home.public_url), ""),
        Err(error) => {
            let hint = "Check DNS, the TLS proxy and the firewall; the proxy must pass /didcomm and /.well-known";
            check("public url", false, format!("{}: {error}", home.public_url), hint)
        }
    }
}

fn relay(via: &Via) -> CheckResult {
    let state = via.state();
    let relay = &via.parties.relay;
    let detail = match state.link {
        Link::Down => format!("no session with {relay}"),
        Link::Live => format!("{relay} delivers what comes"),
        Link::Open => format!("what waits at {relay} is being fetched"),
    };
    let ok = state.link != Link::Down && state.trouble.is_none();
    let detail = match state.trouble {
        Some(trouble) => format!("{detail}: {trouble}"),
        None => detail,
    };
    let hint = "See that the relay runs and is reached from here; meanwhile it keeps the messages";
    check("relay", ok, detail, hint)
}

fn keys(home: &Home) -> CheckResult {
    let config = &home.config;
    let generated = config.data.join("keystore.key");
    match (&config.passphrase, &config.key_file) {
        (Some(_), _) => check("keystore", true, "sealed with a passphrase".to_owned(), ""),
        (None, Some(file)) => {
            check("keystore", true, format!("sealed with {}", file.display()), "")
        }
        (None, None) => {
            let detail = format!("sealed with {}, beside the data", generated.display());
            check(
                "keystore",
                true,
                detail,
                "To keep them apart: key_file in comity.toml, COMITY_KEY_FILE or COMITY_PASSPHRASE",
            )
        }
    }
}

fn agents(home: &Home) -> CheckResult {
    let count = home.identities.count();
    // A relay serves other people's.
    let ok = 0 < count || home.config.relay.is_some();
    check("agents", ok, format!("{count} live here"), "Add one: comity agent add NAME")
}

fn peers(home: &Home) -> CheckResult {
    let away = home.transmitter.unreachable();
    let detail = format!("{away} with messages waiting cannot be reached");
    check(
        "peers",
        away == 0,
        detail,
        "They are tried until the messages expire; see comity trace ID",
    )
}

/// Checks the whole log, and whether anybody has cosigned it.
async fn log(home: &Arc<Home>) -> Option<CheckResult> {
    let key = home.ledger.log_key()?.public();
    let store = home.store.as_ref();
    let checked = match log::check::check(store).await {
        Ok(checked) => checked,
        Err(fault) => {
            let hint = "The store was changed or is damaged: restore a copy";
            return Some(check("log", false, fault.to_string(), hint));
        }
    };
    let log::check::Checked { entries, chains } = checked;
    let mut cosigned = 0;
    for witness in ledger::asked(home).await.unwrap_or_default() {
        cosigned = peers::cosigned(store, &witness.key, key).await.unwrap_or(0).max(cosigned);
    }
    let detail = match cosigned {
        0 => format!(
            "{entries} entries in {chains} chains hold; no other node has cosigned them yet"
        ),
        _ => format!("{entries} entries in {chains} chains hold; {cosigned} of them are cosigned"),
    };
    Some(check("log", true, detail, ""))
}

async fn webhook(home: &Home) -> Option<CheckResult> {
    let webhook = home.webhook.as_ref()?;
    let status = match webhook.status(home).await {
        Ok(status) => status,
        Err(fault) => return Some(check("webhook", false, fault.to_string(), "See store, above")),
    };
    let (origin, waiting) = (&status.origin, status.waiting);
    let detail = match (status.state.as_str(), &status.since) {
        ("ok", _) => {
            let file =
                webhook.file.as_ref().map(|file| format!(", signed with {}", file.display()));
            format!("{origin} takes events{}; {waiting} wait", file.unwrap_or_default())
        }
        (_, Some(since)) => format!("{origin}: {}, since {since}; {waiting} wait", status.trouble),
        (_, None) => format!("{origin}: {}; {waiting} wait", status.trouble),
    };
    let hint = match status.state.as_str() {
        "disabled" => "Correct webhook_url or its receiver, then start the node again",
        _ => "See that the receiver runs and answers 2xx; events are tried for three days",
    };
    Some(check("webhook", status.state == "ok", detail, hint))
}

fn operator(home: &Home) -> Option<CheckResult> {
    let operator = home.config.operator.as_ref()?;
    let trouble = home.told.trouble();
    let detail = match &trouble {
        None => format!("{operator} is told of requests, and decides"),
        Some(trouble) => format!("{operator} cannot be told of requests: {trouble}"),
    };
    let hint = "Check the setting with comity did resolve, and that its home is reached from here";
    Some(check("operator", trouble.is_none(), detail, hint))
}

fn check(name: &str, ok: bool, detail: String, hint: &str) -> CheckResult {
    CheckResult { name: name.to_owned(), ok, detail, hint: hint.to_owned() }
}

/// Reads the resident memory of this process, where the system tells (proc(5)).
fn rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Reads the CPU time of this process, where the system tells (proc(5), clock ticks of 10 ms).
fn cpu_us() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * 10_000)
}
