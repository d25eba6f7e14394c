//! Where settings come from, and what is said about one that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use comity_core::limits::WORK_BITS_MAX;
use comity_core::relay::{Recipients, Register};
use comity_core::trust::PolicySettings;
use comity_didcomm::Did;
use serde::Deserialize;
use thiserror::Error;

use super::relay::RelayLayer;
use super::{
    AgentSettings, Config, LedgerSettings, NodeDid, Passphrase, WebhookSecret, WebhookUrl,
    WebhookUrlError,
};

/// Why the settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No data directory was named.
    #[error("no data directory is known")]
    NoData,
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The file is not TOML, or a value is of the wrong kind.
    #[error("{path} is not a valid configuration: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A key is unknown.
    #[error("{place} has the unknown setting {key}")]
    UnknownKey {
        /// The file, or the environment.
        place: String,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// A value has no meaning.
    #[error("{setting} cannot be {value}")]
    BadValue {
        /// The setting.
        setting: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl ConfigError {
    /// Says what to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoData => "Name one with --data DIR or COMITY_DATA".to_owned(),
            Self::Unreadable { .. } => {
                "Check that the file exists and that you may read it".to_owned()
            }
            Self::Invalid { .. } => {
                "Correct the file; docs/operating.md lists the settings".to_owned()
            }
            Self::UnknownKey { nearest, .. } => format!("Did you mean {nearest}?"),
            Self::BadValue { expected, .. } => format!("Give {expected}"),
        }
    }
}

/// One layer of settings: the file, the environment or the flags. What is set wins over the layers
/// below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// As [`Config::data`].
    pub data: Option<PathBuf>,
    /// As [`Config::listen`].
    pub listen: Option<SocketAddr>,
    /// As [`Config::local`].
    pub local: Option<SocketAddr>,
    /// As [`Config::node_did`].
    pub node_did: Option<NodeDid>,
    /// As [`Config::public_url`].
    pub public_url: Option<String>,
    /// As [`Config::via`].
    pub via: Option<String>,
    /// As [`Config::dev`].
    pub dev: Option<bool>,
    /// As [`Config::key_file`].
    pub key_file: Option<PathBuf>,
    /// As [`Config::agreement_cache`].
    pub agreement_cache: Option<bool>,
    /// As [`Config::ledger`].
    pub ledger: Option<LedgerSettings>,
    /// As [`LedgerSettings::kept`], over the table.
    #[serde(skip)]
    pub ledger_kept: Option<bool>,
    /// As [`Config::mailbox_messages_max`].
    pub mailbox_messages_max: Option<u32>,
    /// As [`Config::policy`].
    pub policy: Option<PolicySettings>,
    /// As [`Config::agents`].
    pub agents: Option<BTreeMap<String, AgentSettings>>,
    /// As [`Config::operator`].
    pub operator: Option<Did>,
    /// URL of the webhook, see [`Config::webhook_url`].
    pub webhook_url: Option<String>,
    /// Whether the node is a relay.
    pub relay: Option<bool>,
    /// As [`Quotas::age_s_max`](comity_core::relay::Quotas::age_s_max).
    pub relay_age_s_max: Option<u64>,
    /// As [`RelayPolicy::allow`](comity_core::relay::RelayPolicy::allow).
    pub relay_allow: Option<Vec<Did>>,
    /// As [`Quotas::bytes_max`](comity_core::relay::Quotas::bytes_max).
    pub relay_bytes_max: Option<u64>,
    /// As [`Quotas::messages_max`](comity_core::relay::Quotas::messages_max).
    pub relay_messages_max: Option<u32>,
    /// As [`RelayPolicy::recipients`](comity_core::relay::RelayPolicy::recipients).
    pub relay_recipients: Option<Recipients>,
    /// As [`Quotas::recipients_max`](comity_core::relay::Quotas::recipients_max).
    pub relay_recipients_max: Option<u32>,
    /// As [`RelayPolicy::register`](comity_core::relay::RelayPolicy::register); `open` in
    /// development mode, otherwise `invitation`.
    pub relay_register: Option<Register>,
    /// As [`Quotas::strangers_percent`](comity_core::relay::Quotas::strangers_percent).
    pub relay_strangers_percent: Option<u8>,
    /// As [`Quotas::total_bytes_max`](comity_core::relay::Quotas::total_bytes_max).
    pub relay_total_bytes_max: Option<u64>,
    /// As [`Config::work_bits_max`].
    pub work_bits_max: Option<u8>,
}

/// The settings that a file may have.
const FILE_KEYS: [&str; 25] = [
    "agents",
    "agreement_cache",
    "dev",
    "key_file",
    "ledger",
    "listen",
    "local",
    "mailbox_messages_max",
    "node_did",
    "operator",
    "policy",
    "public_url",
    "relay",
    "relay_age_s_max",
    "relay_allow",
    "relay_bytes_max",
    "relay_messages_max",
    "relay_recipients",
    "relay_recipients_max",
    "relay_register",
    "relay_strangers_percent",
    "relay_total_bytes_max",
    "via",
    "webhook_url",
    "work_bits_max",
];

/// Variables that are settings.
const VARIABLES: [&str; 28] = [
    "COMITY_AGREEMENT_CACHE",
    "COMITY_DATA",
    "COMITY_DEV",
    "COMITY_KEY_FILE",
    "COMITY_LEDGER",
    "COMITY_LISTEN",
    "COMITY_LOCAL",
    "COMITY_MAILBOX_MESSAGES_MAX",
    "COMITY_NODE_DID",
    "COMITY_OPERATOR",
    "COMITY_PASSPHRASE",
    "COMITY_POLICY",
    "COMITY_PUBLIC_URL",
    "COMITY_RELAY",
    "COMITY_RELAY_AGE_S_MAX",
    "COMITY_RELAY_ALLOW",
    "COMITY_RELAY_BYTES_MAX",
    "COMITY_RELAY_MESSAGES_MAX",
    "COMITY_RELAY_RECIPIENTS",
    "COMITY_RELAY_RECIPIENTS_MAX",
    "COMITY_RELAY_REGISTER",
    "COMITY_RELAY_STRANGERS_PERCENT",
    "COMITY_RELAY_TOTAL_BYTES_MAX",
    "COMITY_VIA",
    "COMITY_WEBHOOK_SECRET",
    "COMITY_WEBHOOK_URL",
    "COMITY_WORK_BITS",
    "COMITY_WORK_BITS_MAX",
];

/// Variables that mean something to other parts of Comity.
const OTHER_VARIABLES: [&str; 6] =
    ["COMITY_BLESS", "COMITY_CONFIG", "COMITY_LOG", "COMITY_TOKEN", "COMITY_URL", "COMITY_VECTORS"];

pub(super) fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Overrides,
) -> Result<Config, ConfigError> {
    let (from_environment, secrets) = read_environment(environment)?;
    let data = flags.data.clone().or_else(|| from_environment.data.clone());
    let data = data.ok_or(ConfigError::NoData)?;
    let default_file = data.join("comity.toml");
    let from_file = match file {
        Some(file) => read_file(file)?,
        None if default_file.exists() => read_file(&default_file)?,
        None => Overrides::default(),
    };
    let Secret { passphrase, webhook_secret } = secrets;
    let mut config = Config { passphrase, webhook_secret, ..Config::in_directory(data) };
    let mut relay = RelayLayer::default();
    let mut webhook_url = None;
    for mut layer in [from_file, from_environment, flags] {
        relay = relay.under(&layer);
        webhook_url = layer.webhook_url.take().or(webhook_url);
        layer.apply(&mut config);
    }
    config.relay = relay.into_policy(config.dev, config.policy.to_policy().work_bits);
    if let Some(policy) = &config.relay
        && 100 < policy.quotas.strangers_percent
    {
        let setting = "relay_strangers_percent".to_owned();
        let value = policy.quotas.strangers_percent.to_string();
        return Err(ConfigError::BadValue { setting, value, expected: PERCENT });
    }
    if let Some(url) = &mut config.public_url {
        *url = check_url(url, config.dev)?;
    }
    if let Some(url) = webhook_url {
        config.webhook_url = Some(webhook(&url, config.dev)?);
    }
    let of_agents = config.agents.values().map(|agent| agent.policy.work_bits);
    let prices = [config.policy.work_bits].into_iter().chain(of_agents);
    let prices = prices.flatten().map(|bits| ("policy.work_bits", bits));
    let mut bits = prices.chain([("work_bits_max", config.work_bits_max)]);
    if let Some((setting, value)) = bits.find(|(_, bits)| WORK_BITS_MAX < *bits) {
        let (setting, value) = (setting.to_owned(), value.to_string());
        return Err(ConfigError::BadValue { setting, value, expected: BITS });
    }
    // Whoever is reached through a relay has no listener by which to be one, or to be reached.
    if let Some(via) = &config.via
        && (config.public_url.is_some() || config.relay.is_some() || config.node_did.is_some())
    {
        let (setting, value) = ("via".to_owned(), via.clone());
        let expected = "via alone: a node behind a relay has no public_url, no node_did, and is no relay itself";
        return Err(ConfigError::BadValue { setting, value, expected });
    }
    Ok(config)
}

impl Overrides {
    fn apply(self, config: &mut Config) {
        config.listen = self.listen.unwrap_or(config.listen);
        config.local = self.local.unwrap_or(config.local);
        config.mailbox_messages_max =
            self.mailbox_messages_max.unwrap_or(config.mailbox_messages_max);
        config.agreement_cache = self.agreement_cache.unwrap_or(config.agreement_cache);
        if let Some(ledger) = self.ledger {
            config.ledger = ledger;
        }
        config.ledger.kept = self.ledger_kept.unwrap_or(config.ledger.kept);
        config.dev = self.dev.unwrap_or(config.dev);
        config.node_did = self.node_did.or(config.node_did);
        if let Some(policy) = &self.policy {
            config.policy = policy.over(&config.policy);
        }
        config.agents.extend(self.agents.unwrap_or_default());
        config.public_url = self.public_url.or_else(|| config.public_url.take());
        config.operator = self.operator.or_else(|| config.operator.take());
        config.work_bits_max = self.work_bits_max.unwrap_or(config.work_bits_max);
        config.via = self.via.or_else(|| config.via.take());
        config.key_file = self.key_file.or_else(|| config.key_file.take());
    }
}

fn read_file(path: &Path) -> Result<Overrides, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    let invalid = |error: toml::de::Error| ConfigError::Invalid {
        path: path.to_owned(),
        reason: error.message().to_owned(),
    };
    let table: toml::Table = toml::from_str(&text).map_err(invalid)?;
    if let Some(key) = table.keys().find(|key| !FILE_KEYS.contains(&key.as_str())) {
        return Err(ConfigError::UnknownKey {
            place: path.display().to_string(),
            key: key.clone(),
            nearest: nearest(key, &FILE_KEYS),
        });
    }
    table.try_into().map_err(invalid)
}

/// What the environment alone can say, so that it stands in no file.
#[derive(Default)]
struct Secret {
    passphrase: Option<Passphrase>,
    webhook_secret: Option<WebhookSecret>,
}

fn read_environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(Overrides, Secret), ConfigError> {
    let mut settings = Overrides::default();
    let mut secret = Secret::default();
    for (name, value) in variables {
        match name.as_str() {
            "COMITY_AGREEMENT_CACHE" => {
                settings.agreement_cache = Some(parse(&name, &value, "true or false")?);
            }
            "COMITY_DATA" => settings.data = Some(PathBuf::from(value)),
            "COMITY_DEV" => settings.dev = Some(parse(&name, &value, "true or false")?),
            "COMITY_KEY_FILE" => settings.key_file = Some(PathBuf::from(value)),
            "COMITY_LEDGER" => {
                settings.ledger_kept = Some(parse(&name, &value, "true or false")?);
            }
            "COMITY_LISTEN" => settings.listen = Some(parse(&name, &value, ADDRESS)?),
            "COMITY_LOCAL" => settings.local = Some(parse(&name, &value, ADDRESS)?),
            "COMITY_MAILBOX_MESSAGES_MAX" => {
                settings.mailbox_messages_max = Some(parse(&name, &value, "a number")?);
            }
            "COMITY_NODE_DID" => {
                settings.node_did = Some(parse(&name, &value, "web or webvh")?);
            }
            "COMITY_OPERATOR" => settings.operator = Some(parse(&name, &value, "a DID")?),
            "COMITY_POLICY" => {
                let policy = settings.policy.get_or_insert_default();
                policy.template = Some(parse(&name, &value, "open, guarded, closed or ants")?);
            }
            "COMITY_PASSPHRASE" => {
                secret.passphrase = Some(Passphrase(zeroize::Zeroizing::new(value)));
            }
            "COMITY_PUBLIC_URL" => settings.public_url = Some(value),
            "COMITY_RELAY" => settings.relay = Some(parse(&name, &value, "true or false")?),
            "COMITY_RELAY_AGE_S_MAX" => {
                settings.relay_age_s_max = Some(parse(&name, &value, "a number of seconds")?);
            }
            "COMITY_RELAY_ALLOW" => {
                let dids = value.split([',', ' ']).filter(|did| !did.is_empty());
                let dids = dids.map(|did| parse(&name, did, "DIDs, with commas between them"));
                settings.relay_allow = Some(dids.collect::<Result<_, _>>()?);
            }
            "COMITY_RELAY_BYTES_MAX" => {
                settings.relay_bytes_max = Some(parse(&name, &value, "a number of bytes")?);
            }
            "COMITY_RELAY_MESSAGES_MAX" => {
                settings.relay_messages_max = Some(parse(&name, &value, "a number")?);
            }
            "COMITY_RELAY_RECIPIENTS" => {
                settings.relay_recipients = Some(parse(&name, &value, "proven or any")?);
            }
            "COMITY_RELAY_RECIPIENTS_MAX" => {
                settings.relay_recipients_max = Some(parse(&name, &value, "a number")?);
            }
            "COMITY_RELAY_REGISTER" => {
                let words = "open, invitation or allow-list";
                settings.relay_register = Some(parse(&name, &value, words)?);
            }
            "COMITY_RELAY_STRANGERS_PERCENT" => {
                settings.relay_strangers_percent = Some(parse(&name, &value, PERCENT)?);
            }
            "COMITY_RELAY_TOTAL_BYTES_MAX" => {
                settings.relay_total_bytes_max = Some(parse(&name, &value, "a number of bytes")?);
            }
            "COMITY_VIA" => settings.via = Some(value),
            "COMITY_WEBHOOK_SECRET" => {
                let expected = "whsec_ and 24 to 64 bytes in base64";
                let given = WebhookSecret::parse(value);
                secret.webhook_secret = Some(given.ok_or_else(|| hidden(&name, expected))?);
            }
            "COMITY_WEBHOOK_URL" => settings.webhook_url = Some(value),
            "COMITY_WORK_BITS" => {
                let policy = settings.policy.get_or_insert_default();
                policy.work_bits = Some(parse(&name, &value, BITS)?);
            }
            "COMITY_WORK_BITS_MAX" => settings.work_bits_max = Some(parse(&name, &value, BITS)?),
            other if !other.starts_with("COMITY_") || OTHER_VARIABLES.contains(&other) => {}
            unknown => {
                return Err(ConfigError::UnknownKey {
                    place: "the environment".to_owned(),
                    key: unknown.to_owned(),
                    nearest: nearest(unknown, &VARIABLES),
                });
            }
        }
    }
    Ok((settings, secret))
}

const PERCENT: &str = "a number from 0 to 100";
const BITS: &str = "a number of bits, 0 to 32";

const ADDRESS: &str = "an address and a port, such as 127.0.0.1:7700";

fn parse<T: std::str::FromStr>(
    setting: &str,
    value: &str,
    expected: &'static str,
) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError::BadValue {
        setting: setting.to_owned(),
        value: value.to_owned(),
        expected,
    })
}

/// Checks that a URL has a scheme that is allowed, a host, and no path, and drops a final slash.
fn check_url(url: &str, dev: bool) -> Result<String, ConfigError> {
    let bad = |expected| ConfigError::BadValue {
        setting: "public_url".to_owned(),
        value: url.to_owned(),
        expected,
    };
    let expected = "an https URL without a path, such as https://agents.example.org";
    let trimmed = url.strip_suffix('/').unwrap_or(url);
    let uri: http::Uri = trimmed.parse().map_err(|_| bad(expected))?;
    let plain = uri.path() == "/" && uri.query().is_none() && !trimmed.contains('@');
    match uri.scheme_str() {
        Some("https") if plain => Ok(trimmed.to_owned()),
        Some("http") if plain && dev => Ok(trimmed.to_owned()),
        Some("http") if plain => Err(bad("an https URL, or add --dev for a trial on one machine")),
        _ => Err(bad(expected)),
    }
}

/// Reads the URL of the webhook.
fn webhook(url: &str, dev: bool) -> Result<WebhookUrl, ConfigError> {
    WebhookUrl::parse(url, dev).map_err(|error| {
        let expected = match error {
            WebhookUrlError::PlainHttp => "an https URL, or add --dev for a trial on one machine",
            _ => "an https URL, such as https://hooks.example.org/comity",
        };
        hidden("webhook_url", expected)
    })
}

/// Says that a value has no meaning which may be a secret.
fn hidden(setting: &str, expected: &'static str) -> ConfigError {
    let (setting, value) = (setting.to_owned(), "what it is set to".to_owned());
    ConfigError::BadValue { setting, value, expected }
}

fn nearest(key: &str, known: &[&str]) -> String {
    let closest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    closest.copied().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn in_folder(toml: &str) -> (tempfile::TempDir, Overrides) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("comity.toml"), toml).unwrap();
        let flags = Overrides { data: Some(folder.path().to_owned()), ..Overrides::default() };
        (folder, flags)
    }

    #[test]
    fn every_setting_is_documented() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
        let text = fs::read_to_string(path).unwrap();
        for setting in FILE_KEYS.iter().chain(&VARIABLES) {
            assert!(
                text.contains(&format!("`{setting}`")),
                "{setting} is not in docs/operating.md"
            );
        }
    }

    #[test]
    fn nothing_is_required_but_a_place_for_data() {
        let flags = Overrides { data: Some(PathBuf::from("d")), ..Overrides::default() };
        let config = load(None, environment(&[]), flags).unwrap();
        assert_eq!(config, Config::in_directory("d"));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let (_folder, mut flags) =
            in_folder("listen = '127.0.0.1:1'\nlocal = '127.0.0.1:2'\ndev = true");
        flags.listen = Some("127.0.0.1:5".parse().unwrap());
        let variables =
            [("COMITY_LISTEN", "127.0.0.1:3"), ("COMITY_LOCAL", "127.0.0.1:4"), ("HOME", "x")];
        let config = load(None, environment(&variables), flags).unwrap();
        assert_eq!(config.listen.port(), 5);
        assert_eq!(config.local.port(), 4);
        assert!(config.dev);
    }

    #[test]
    fn the_relay_is_off_unless_it_is_switched_on_and_safe_unless_in_development() {
        let load_with = |toml: &str| {
            let (_folder, flags) = in_folder(toml);
            load(None, environment(&[]), flags).unwrap().relay
        };
        assert_eq!(load_with("relay_messages_max = 5"), None);
        let relay = load_with("relay = true\nrelay_messages_max = 5").unwrap();
        assert_eq!((relay.register, relay.quotas.messages_max), (Register::Invitation, 5));
        assert_eq!(relay.recipients, Recipients::Proven);
        assert_eq!(load_with("relay = true\ndev = true").unwrap().register, Register::Open);
        let listed = "relay = true\ndev = true\nrelay_register = 'allow-list'\n\
            relay_allow = ['did:web:a.example']";
        let listed = load_with(listed).unwrap();
        assert_eq!((listed.register, listed.allow.len()), (Register::AllowList, 1));
        let narrow = load_with("relay = true\nrelay_strangers_percent = 2").unwrap();
        assert_eq!(narrow.quotas.strangers_percent, 2);
        let (_folder, flags) = in_folder("relay = true\nrelay_strangers_percent = 101");
        let error = load(None, environment(&[]), flags).unwrap_err();
        assert_eq!(error.hint(), "Give a number from 0 to 100");
        let flags = Overrides { data: Some(PathBuf::from("d")), ..Overrides::default() };
        let wrong = environment(&[("COMITY_RELAY_REGISTER", "everybody")]);
        assert_eq!(
            load(None, wrong, flags).unwrap_err().hint(),
            "Give open, invitation or allow-list"
        );
    }

    #[test]
    fn a_node_behind_a_relay_is_not_reached_otherwise() {
        let via = || Overrides {
            data: Some(PathBuf::from("d")),
            via: Some("did:web:relay.example".to_owned()),
            ..Overrides::default()
        };
        assert!(load(None, environment(&[]), via()).is_ok());
        for with in [
            Overrides { public_url: Some("https://a.example".to_owned()), ..via() },
            Overrides { relay: Some(true), ..via() },
            Overrides { node_did: Some(NodeDid::Webvh), ..via() },
        ] {
            let error = load(None, environment(&[]), with).unwrap_err();
            assert!(matches!(error, ConfigError::BadValue { .. }), "{error}");
        }
    }

    #[test]
    fn prices_are_in_bits_and_can_be_nothing() {
        let (_folder, flags) = in_folder("work_bits_max = 32\n[policy]\nwork_bits = 0");
        let config = load(None, environment(&[]), flags.clone()).unwrap();
        assert_eq!((config.policy.work_bits, config.work_bits_max), (Some(0), 32));
        let variables = [("COMITY_WORK_BITS", "7"), ("COMITY_WORK_BITS_MAX", "9")];
        let config = load(None, environment(&variables), flags.clone()).unwrap();
        assert_eq!((config.policy.work_bits, config.work_bits_max), (Some(7), 9));
        for variable in ["COMITY_WORK_BITS", "COMITY_WORK_BITS_MAX"] {
            for value in ["33", "many"] {
                let variables = [(variable, value)];
                let error = load(None, environment(&variables), flags.clone()).unwrap_err();
                assert_eq!(error.hint(), "Give a number of bits, 0 to 32");
            }
        }
    }

    #[test]
    fn what_it_takes_to_go_up_by_itself_stands_in_the_file() {
        let toml = "[policy]\ntemplate = 'ants'\n[policy.ants.message]\ndays = 2\nmessages = 3\nvouchers = 4";
        let (_folder, flags) = in_folder(toml);
        let policy = load(None, environment(&[]), flags).unwrap().policy.to_policy();
        let message = policy.ants.message;
        assert_eq!((message.days, message.messages.get(), message.vouchers.get()), (2, 3, 4));
        for wrong in ["vouchers = 0", "voucher = 4"] {
            let (_folder, flags) = in_folder(&toml.replace("vouchers = 4", wrong));
            assert!(load(None, environment(&[]), flags).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_agreement_cache_can_be_switched_off() {
        let (_folder, flags) = in_folder("agreement_cache = false");
        assert!(!load(None, environment(&[]), flags.clone()).unwrap().agreement_cache);
        let variables = [("COMITY_AGREEMENT_CACHE", "true")];
        assert!(load(None, environment(&variables), flags).unwrap().agreement_cache);
    }

    #[test]
    fn a_webhook_is_posted_to_by_https_and_its_secret_shows_itself_nowhere() {
        let load_with = |toml: &str, variables: &[(&str, &str)]| {
            let (_folder, flags) = in_folder(toml);
            load(None, environment(variables), flags)
        };
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let variables = [("COMITY_WEBHOOK_SECRET", secret)];
        let hook = "webhook_url = 'https://a.example/hook?token=t'";
        let config = load_with(hook, &variables).unwrap();
        let url = config.webhook_url.as_ref().map(WebhookUrl::as_str);
        assert_eq!(url, Some("https://a.example/hook?token=t"));
        let shown = format!("{config:?}");
        assert!(!shown.contains("whsec_") && !shown.contains("token"), "{shown}");
        let variables = [("COMITY_WEBHOOK_SECRET", "whsec_c2hvcnQ=")];
        let error = load_with(hook, &variables).unwrap_err();
        assert!(!format!("{error} {}", error.hint()).contains("c2hvcnQ"), "{error}");
        assert!(load_with("webhook_url = 'http://a.example/'\ndev = true", &[]).is_ok());
        for bad in [
            "http://a.example/s3cret",
            "https://u:s3cret@a.example/",
            "s3cret",
            "https://a.example/#s3cret",
        ] {
            let error = load_with(&format!("webhook_url = '{bad}'"), &[]).unwrap_err();
            assert!(!format!("{error} {}", error.hint()).contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_operators_agent_is_a_did() {
        let (_folder, flags) = in_folder("operator = 'did:web:o.example'");
        let config = load(None, environment(&[]), flags.clone()).unwrap();
        assert_eq!(config.operator, Some("did:web:o.example".parse().unwrap()));
        let error = load(None, environment(&[("COMITY_OPERATOR", "olga")]), flags).unwrap_err();
        assert_eq!(error.hint(), "Give a DID");
    }

    #[test]
    fn a_node_is_given_one_of_two_kinds_of_did() {
        let (_folder, flags) = in_folder("node_did = 'webvh'");
        let config = load(None, environment(&[]), flags.clone()).unwrap();
        assert_eq!(config.node_did, Some(NodeDid::Webvh));
        let variables = [("COMITY_NODE_DID", "web")];
        let config = load(None, environment(&variables), flags.clone()).unwrap();
        assert_eq!(config.node_did, Some(NodeDid::Web));
        let error = load(None, environment(&[("COMITY_NODE_DID", "peer")]), flags).unwrap_err();
        assert_eq!(error.hint(), "Give web or webvh");
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let (_folder, flags) = in_folder("publik_url = 'x'");
        let error = load(None, environment(&[]), flags.clone()).unwrap_err();
        assert!(error.to_string().contains("publik_url"), "{error}");
        assert_eq!(error.hint(), "Did you mean public_url?");
        let error = load(None, environment(&[("COMITY_LISTN", "")]), flags).unwrap_err();
        assert_eq!(error.hint(), "Did you mean COMITY_LISTEN?");
    }

    #[test]
    fn a_value_without_meaning_says_what_it_should_be() {
        let (_folder, flags) = in_folder("listen = 'everywhere'");
        assert!(matches!(load(None, environment(&[]), flags), Err(ConfigError::Invalid { .. })));
        let flags = Overrides { data: Some(PathBuf::from("d")), ..Overrides::default() };
        let error = load(None, environment(&[("COMITY_DEV", "yes")]), flags).unwrap_err();
        assert_eq!(error.hint(), "Give true or false");
    }

    #[test]
    fn a_public_url_is_https_without_a_path_unless_in_development() {
        assert_eq!(check_url("https://a.example/", false).unwrap(), "https://a.example");
        assert_eq!(check_url("http://localhost:1", true).unwrap(), "http://localhost:1");
        for bad in [
            "http://a.example",
            "https://a.example/x",
            "a.example",
            "https://u@a.example",
            "ftp://a.example",
        ] {
            assert!(check_url(bad, false).is_err(), "{bad}");
        }
    }
}
