//! Who is connected: the caps on connections in all and per peer address (threat T33). An address
//! is known here only while it has a connection, so the table is no larger than the total cap.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use super::counters::ListenCounters;
use crate::limits::{ListenLimits, LoopbackPeers};

pub(super) struct Census {
    connections_max: usize,
    connections_per_address_max: usize,
    loopback: LoopbackPeers,
    counters: Arc<ListenCounters>,
    seated: Mutex<Seated>,
}

#[derive(Default)]
struct Seated {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place for one connection, held by its socket and given back when that is dropped.
pub(super) struct Seat {
    census: Arc<Census>,
    address: IpAddr,
}

impl Census {
    pub(super) fn new(limits: &ListenLimits, counters: Arc<ListenCounters>) -> Self {
        Self {
            connections_max: limits.connections_max,
            connections_per_address_max: limits.connections_per_address_max,
            loopback: limits.loopback,
            counters,
            seated: Mutex::default(),
        }
    }

    /// Gives the peer a seat, or counts why not.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let address = counted_as(peer);
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        if self.connections_max <= seated.total {
            self.counters.count_refused_full();
            return None;
        }
        let held = seated.by_address.get(&address).copied().unwrap_or(0);
        let exempt = self.loopback == LoopbackPeers::Exempt && address.is_loopback();
        if self.connections_per_address_max <= held && !exempt {
            self.counters.count_refused_address();
            return None;
        }
        seated.total += 1;
        seated.by_address.insert(address, held + 1);
        self.counters.count_open();
        Some(Seat { census: Arc::clone(self), address })
    }
}

impl Seat {
    pub(super) fn counters(&self) -> &ListenCounters {
        &self.census.counters
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.census.seated.lock().unwrap_or_else(PoisonError::into_inner);
        seated.total -= 1;
        if let Some(held) = seated.by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                seated.by_address.remove(&self.address);
            }
        }
        self.census.counters.count_close();
    }
}

/// Returns what a peer is counted as: its IPv4 address, or its IPv6 network of 64 bits, which one
/// customer has whole.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(limits: &ListenLimits) -> Arc<Census> {
        Arc::new(Census::new(limits, Arc::default()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_cap_and_gets_its_seat_back() {
        let limits = ListenLimits { connections_per_address_max: 2, ..Default::default() };
        let census = census(&limits);
        let first = census.admit(ip("192.0.2.1")).unwrap();
        let _second = census.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(census.admit(ip("192.0.2.1")).is_none());
        assert!(census.admit(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(census.admit(ip("192.0.2.1")).is_some());
        assert_eq!(census.counters.figures().refused_address, 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let limits = ListenLimits { connections_per_address_max: 1, ..Default::default() };
        let census = census(&limits);
        let _first = census.admit(ip("2001:db8:1:2::1")).unwrap();
        assert!(census.admit(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(census.admit(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn the_total_holds_for_everybody() {
        let limits = ListenLimits {
            connections_max: 1,
            loopback: LoopbackPeers::Exempt,
            ..Default::default()
        };
        let census = census(&limits);
        let seat = census.admit(ip("127.0.0.1")).unwrap();
        assert!(census.admit(ip("127.0.0.1")).is_none());
        drop(seat);
        assert!(census.admit(ip("192.0.2.1")).is_some());
        assert_eq!(census.counters.figures().refused_full, 1);
        assert_eq!(census.counters.figures().open, 0);
    }

    #[test]
    fn loopback_is_exempt_only_where_configured() {
        for (loopback, admitted) in [(LoopbackPeers::Capped, 1), (LoopbackPeers::Exempt, 5)] {
            let limits =
                ListenLimits { connections_per_address_max: 1, loopback, ..Default::default() };
            let census = census(&limits);
            let seats: Vec<_> = (0..5).filter_map(|_| census.admit(ip("::1"))).collect();
            assert_eq!(seats.len(), admitted);
        }
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_left() {
        let census = census(&ListenLimits::default());
        for last in 0..=255 {
            drop(census.admit(IpAddr::from([192, 0, 2, last])));
        }
        assert!(census.seated.lock().unwrap().by_address.is_empty());
    }
}
