//! What of the limits of entries and grants is used: counters of today, and of open tasks.

use comity_core::limits::DAY_S;
use comity_core::trust::{Meter, MeterId, Used};
use comity_didcomm::UnixTime;

use super::due::Due;
use super::keys;
use crate::batch::Batch;
use crate::store::{Store, StoreFault};

/// Counts one message in a batch, which conflicts if a limit would be broken.
pub fn count(batch: &mut Batch, meters: &[Meter], more: Used, now: UnixTime) {
    let day = day(now);
    for meter in meters {
        let counters = [
            (keys::count_messages(meter.id, day), meter.limits.messages_per_day, more.messages),
            (keys::count_bytes(meter.id, day), meter.limits.bytes_per_day, more.bytes),
        ];
        for (counter, limit, more) in counters {
            if let Some(limit) = limit {
                batch.add_bounded(&counter, signed(more), signed(limit));
                let after = UnixTime((day + 2).saturating_mul(DAY_S));
                Due::ForgetMeta(counter).put(batch, after);
            }
        }
        if let (Some(limit), 1..) = (meter.limits.tasks_open, more.tasks) {
            batch.add_bounded(&keys::count_tasks(meter.id), signed(more.tasks), signed(limit));
        }
    }
}

/// Counts a task that is not open any more.
pub(super) fn close_task(batch: &mut Batch, meter: MeterId) {
    batch.add(&keys::count_tasks(meter), -1);
}

/// Reads what is used today.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn used(store: &dyn Store, meter: &Meter, now: UnixTime) -> Result<Used, StoreFault> {
    let day = day(now);
    let mut used = Used::default();
    if meter.limits.messages_per_day.is_some() {
        used.messages = unsigned(store.counter(&keys::count_messages(meter.id, day)).await?);
    }
    if meter.limits.bytes_per_day.is_some() {
        used.bytes = unsigned(store.counter(&keys::count_bytes(meter.id, day)).await?);
    }
    if meter.limits.tasks_open.is_some() {
        used.tasks = unsigned(store.counter(&keys::count_tasks(meter.id)).await?);
    }
    Ok(used)
}

const fn day(now: UnixTime) -> u64 {
    now.0 / DAY_S
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
