//! The admin API of what happened.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use comity_core::api::{Events, Problem};
use comity_store::Seq;
use comity_store::records::events::{self, Place};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::Local;
use super::extract::Params;
use crate::events::info;
use crate::limits::{EVENTS_READ_AT_ONCE, LONG_POLL_MAX, SLOW_POLL};
use crate::problem::ApiError;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// Only events whose `seq` is larger; from the oldest that is kept when absent.
    after: Option<u64>,
    /// Seconds to wait for the first, at most 60.
    wait_s: Option<u64>,
}

/// Lists what happened, oldest first, some of it at a time: ask again after the last `seq` for more.
#[utoipa::path(get, path = "/admin/events", tag = "admin", security(("token" = [])), params(After),
    responses((status = 200, body = Events), (status = "default", body = Problem)))]
pub(crate) async fn events(
    State(local): State<Local>,
    Params(After { after, wait_s }): Params<After>,
) -> Result<Json<Events>, ApiError> {
    let (home, mut stopping) = (&local.home, local.stopping.clone());
    let store = home.store.as_ref();
    let after = Seq(after.unwrap_or(0));
    let wait = Duration::from_secs(wait_s.unwrap_or(0)).min(LONG_POLL_MAX);
    let deadline = Instant::now() + wait;
    let mut news = home.news.listen();
    loop {
        let happened = events::after(store, Place::end_of(after), EVENTS_READ_AT_ONCE).await?;
        let is_over = deadline <= Instant::now() || *stopping.borrow();
        if !happened.is_empty() || is_over {
            let missed = after < events::forgotten(store).await?;
            let events = happened.into_iter().map(|one| info(home, one)).collect();
            return Ok(Json(Events { events, missed }));
        }
        let next_look = deadline.min(Instant::now() + SLOW_POLL);
        tokio::select! {
            _ = timeout_at(next_look, news.changed()) => {}
            _ = stopping.changed() => {}
        }
    }
}
