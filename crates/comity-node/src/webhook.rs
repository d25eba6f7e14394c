//! Posts events to the webhook: one after the other, each at least once, for as long as it takes within
//! bounds. What a webhook does holds up nothing but what it is told itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::api::{WebhookStatus, rfc3339};
use comity_core::event::{Event, WebhookEnd};
use comity_core::webhook::{
    Attempt, ID_HEADER, SIGNATURE_HEADER, Secrets, Step, TIMESTAMP_HEADER, after_attempt, payload,
};
use comity_didcomm::UnixTime;
use comity_net::{ConnectError, PeerConnector, Unreachable, WebhookPoster};
use comity_store::records::events::{self, Happened, Progress, Reader};
use comity_store::{Batch, StoreFault};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout};

use crate::config::WebhookUrl;
use crate::events::info;
use crate::home::Home;
use crate::limits::{EVENTS_READ_AT_ONCE, SLOW_POLL, WEBHOOK_WAITING_COUNTED};

/// The webhook of a node, and how it does.
pub(crate) struct Webhook {
    url: WebhookUrl,
    secrets: Secrets,
    /// File with the secret; nothing if it comes from the environment.
    pub(crate) file: Option<PathBuf>,
    poster: WebhookPoster,
    health: Mutex<Health>,
}

#[derive(Clone, Default)]
struct Health {
    /// Since when it fails, and how it did last.
    failing: Option<(UnixTime, String)>,
    end: Option<WebhookEnd>,
    given_up: u64,
}

impl Webhook {
    pub(crate) fn new(
        url: WebhookUrl,
        secrets: Secrets,
        file: Option<PathBuf>,
        connector: PeerConnector,
    ) -> Self {
        let poster = WebhookPoster::new(connector);
        Self { url, secrets, file, poster, health: Mutex::default() }
    }

    /// Says how it does.
    pub(crate) async fn status(&self, home: &Home) -> Result<WebhookStatus, StoreFault> {
        let store = home.store.as_ref();
        let waiting = match events::progress(store, Reader::Webhook).await? {
            Some(progress) => {
                events::after(store, progress.place, WEBHOOK_WAITING_COUNTED).await?.len()
            }
            None => 0,
        };
        let health = self.health(|health| health.clone());
        let (state, trouble) = match (&health.end, &health.failing) {
            (Some(end), _) => ("disabled", end.as_str().to_owned()),
            (None, Some((_, trouble))) => ("failing", trouble.clone()),
            (None, None) => ("ok", String::new()),
        };
        Ok(WebhookStatus {
            origin: self.url.origin().to_owned(),
            state: state.to_owned(),
            trouble,
            since: health.failing.map(|(since, _)| rfc3339(since)),
            waiting,
            given_up: health.given_up,
        })
    }

    fn health<T>(&self, act: impl FnOnce(&mut Health) -> T) -> T {
        act(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes one attempt; says how it went, and that in words.
    async fn attempt(&self, home: &Home, id: &str, body: &[u8]) -> (Attempt, String) {
        // The time is that of the attempt, so that an old one cannot be replayed (Standard Webhooks,
        // "Webhook metadata").
        let now = home.now();
        let values = [
            (ID_HEADER, id.to_owned()),
            (TIMESTAMP_HEADER, now.to_string()),
            (SIGNATURE_HEADER, self.secrets.sign(id, now, body)),
        ];
        let headers: HeaderMap = values
            .into_iter()
            .filter_map(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
            })
            .collect();
        match self.poster.post(self.url.as_str(), headers, body.to_vec().into()).await {
            Ok(answer) => {
                let after_s = answer.after.map(|after| after.as_secs());
                let words = format!("it answered with status {}", answer.status);
                (Attempt::Answered { status: answer.status, after_s }, words)
            }
            Err(reason) => (of(reason), reason.to_string()),
        }
    }
}

/// An address that is denied is nobody's webhook (threat T32); whatever else fails may pass.
fn of(reason: Unreachable) -> Attempt {
    match reason {
        Unreachable::Connect(ConnectError::AddressDenied) => {
            Attempt::Unusable(WebhookEnd::AddressDenied)
        }
        Unreachable::Scheme | Unreachable::Url => Attempt::Unusable(WebhookEnd::UnusableUrl),
        _ => Attempt::Unreachable,
    }
}

/// Posts what happens, until the node stops or the webhook wants no more.
pub(crate) async fn run(home: Arc<Home>, webhook: Arc<Webhook>) {
    let mut news = home.news.listen();
    loop {
        match post_all(&home, &webhook).await {
            Ok(None) => {
                let _woken_or_time = timeout(SLOW_POLL, news.changed()).await.is_ok();
            }
            Ok(Some(end)) => return disable(&home, &webhook, end).await,
            Err(fault) => {
                tracing::error!(%fault, "events cannot be read for the webhook");
                tokio::time::sleep(SLOW_POLL).await;
            }
        }
    }
}

/// Posts everything that has happened; says so if the webhook wants no more.
async fn post_all(home: &Arc<Home>, webhook: &Webhook) -> Result<Option<WebhookEnd>, StoreFault> {
    let store = home.store.as_ref();
    let mut progress = events::begin(store, Reader::Webhook, "").await?;
    loop {
        let happened = events::after(store, progress.place, EVENTS_READ_AT_ONCE).await?;
        if happened.is_empty() {
            return Ok(None);
        }
        for event in happened {
            let place = event.place;
            if let Some(end) = post(home, webhook, event).await {
                return Ok(Some(end));
            }
            progress = Progress { place, ..progress };
            let mut batch = Batch::new();
            events::put_progress(&mut batch, Reader::Webhook, &progress);
            // If this fails the event is posted once more, with the same id.
            if let Err(error) = store.commit(batch).await {
                tracing::error!(%error, "it was not noted that an event was posted");
            }
        }
    }
}

/// Posts one event until it is taken or given up; says so if the webhook wants no more.
async fn post(home: &Arc<Home>, webhook: &Webhook, happened: Happened) -> Option<WebhookEnd> {
    let info = info(home, happened);
    let body = payload(&info);
    let began = Instant::now();
    let mut attempts = 0_u32;
    loop {
        let (attempt, words) = webhook.attempt(home, &info.id, &body).await;
        attempts = attempts.saturating_add(1);
        match after_attempt(attempt, attempts, began.elapsed().as_secs(), rand::random()) {
            Step::Next => {
                webhook.health(|health| health.failing = None);
                return None;
            }
            Step::Disable(end) => return Some(end),
            Step::GiveUp => {
                tracing::warn!(event = %info.id, "the webhook did not take an event for days: it is left out");
                webhook.health(|health| health.given_up += 1);
                return None;
            }
            Step::Retry { pause_ms } => {
                let now = home.now();
                tracing::debug!(event = %info.id, attempts, %words, "the webhook did not take an event");
                webhook.health(|health| {
                    let since = health.failing.take().map_or(now, |(since, _)| since);
                    health.failing = Some((since, words));
                });
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
    }
}

async fn disable(home: &Arc<Home>, webhook: &Webhook, end: WebhookEnd) {
    let origin = webhook.url.origin();
    tracing::warn!(%origin, reason = end.as_str(), "nothing more is posted to the webhook until the node starts again");
    webhook.health(|health| health.end = Some(end));
    let mut batch = Batch::new();
    events::put(&mut batch, home.now(), vec![Event::WebhookDisabled { reason: end }]);
    match home.store.commit(batch).await {
        Ok(_) => home.news.wake(),
        Err(error) => tracing::error!(%error, "the end of the webhook has no event"),
    }
}
