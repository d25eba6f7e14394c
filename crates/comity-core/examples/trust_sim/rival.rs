//! Other rules by which vouches could let somebody in.

use std::collections::VecDeque;

use comity_core::trust::Level;
use comity_core::trust::score::Web as _;

use crate::world::{Attack, Attacked, HONEST, World};

/// A rule to compare with.
#[derive(Clone, Copy)]
pub(crate) enum Rival {
    /// Two vouches by anybody.
    Counting,
    /// At most so many vouches from an anchor.
    Relay(u32),
    /// Maximum flow from the operator over agents whose capacity falls with their distance
    /// (Levien, "Attack-resistant trust metrics").
    Advogato,
}

/// Capacities by distance from the operator, whose anchors are at distance one.
const CAPACITIES: [u32; 7] = [800, 200, 50, 12, 4, 2, 1];

impl Rival {
    pub(crate) const ALL: [Self; 4] =
        [Self::Counting, Self::Relay(3), Self::Relay(4), Self::Advogato];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Counting => "two vouches".to_owned(),
            Self::Relay(depth) => format!("depth at most {depth}"),
            Self::Advogato => "Advogato".to_owned(),
        }
    }

    /// Returns the part of the honest that gets in, and how many attackers.
    pub(crate) fn judge(self, world: &World, attack: &Attack, sybils: u32) -> (f64, usize) {
        let web = Attacked { world, attack, sybils };
        let vouches: Vec<Vec<u32>> = (0..HONEST + sybils)
            .map(|voucher| {
                let given = web.given_by(&voucher).into_iter();
                let given = given.filter(|edge| Level::Message <= edge.level);
                let mut given: Vec<u32> = given.map(|edge| edge.vouched).collect();
                // Of several largest flows, which one is found depends on the order: sybils first.
                given.sort_by(|one, other| other.cmp(one));
                given
            })
            .collect();
        let anchors: Vec<u32> = world.anchors.iter().copied().collect();
        let accepted = match self {
            Self::Counting => {
                let mut counts = vec![0; vouches.len()];
                for vouched in vouches.iter().flatten() {
                    counts[*vouched as usize] += 1;
                }
                counts.into_iter().map(|count| 2 <= count).collect()
            }
            Self::Relay(depth) => {
                let within = |distance: Option<u32>| distance.is_some_and(|it| it <= depth);
                distances(&vouches, &anchors).into_iter().map(within).collect()
            }
            Self::Advogato => Network::new(&vouches, &anchors).accepted(),
        };
        let (honest, attackers) = accepted.split_at(HONEST as usize);
        let others = honest.iter().zip(0..).filter(|(_, agent)| !world.anchors.contains(agent));
        let of_all = 1.0 / (HONEST as usize - world.anchors.len()) as f64;
        let honest = others.filter(|(accepted, _)| **accepted).count() as f64 * of_all;
        (honest, attackers.iter().filter(|accepted| **accepted).count())
    }
}

fn distances(vouches: &[Vec<u32>], from: &[u32]) -> Vec<Option<u32>> {
    let mut distances = vec![None; vouches.len()];
    let mut queue = VecDeque::new();
    for start in from {
        distances[*start as usize] = Some(0);
        queue.push_back(*start);
    }
    while let Some(voucher) = queue.pop_front() {
        let next = distances[voucher as usize].map(|distance| distance + 1);
        for vouched in &vouches[voucher as usize] {
            if distances[*vouched as usize].is_none() {
                distances[*vouched as usize] = next;
                queue.push_back(*vouched);
            }
        }
    }
    distances
}

/// A flow network, and the flow through it (Dinic's algorithm). An agent `n` is entered at `2n` and
/// left at `2n + 1`, with one unit less: that one goes to the sink and means that it is accepted.
struct Network {
    arcs: Vec<Arc>,
    out_of: Vec<Vec<usize>>,
    source: usize,
    sink: usize,
}

/// An arc; its opposite has the number that differs in the last bit.
struct Arc {
    to: usize,
    room: u32,
}

impl Network {
    fn new(vouches: &[Vec<u32>], anchors: &[u32]) -> Self {
        let agents = vouches.len();
        let (source, sink) = (2 * agents, 2 * agents + 1);
        let mut network =
            Self { arcs: Vec::new(), out_of: vec![Vec::new(); 2 * agents + 2], source, sink };
        for anchor in anchors {
            network.join(source, 2 * *anchor as usize, CAPACITIES[1]);
        }
        for (agent, distance) in distances(vouches, anchors).into_iter().enumerate() {
            let Some(distance) = distance else {
                continue;
            };
            let capacity = CAPACITIES.get(distance as usize + 1).copied().unwrap_or(1);
            network.join(2 * agent, sink, 1);
            network.join(2 * agent, 2 * agent + 1, capacity - 1);
            for vouched in vouches[agent].iter().filter(|_| 1 < capacity) {
                network.join(2 * agent + 1, 2 * *vouched as usize, u32::MAX);
            }
        }
        network
    }

    fn join(&mut self, from: usize, to: usize, room: u32) {
        for (from, to, room) in [(from, to, room), (to, from, 0)] {
            self.out_of[from].push(self.arcs.len());
            self.arcs.push(Arc { to, room });
        }
    }

    fn accepted(mut self) -> Vec<bool> {
        let mut flow = CAPACITIES[0];
        loop {
            let levels = self.levels();
            let mut tried = vec![0; self.out_of.len()];
            let sent = self.send(self.source, flow, &levels, &mut tried);
            if sent == 0 {
                break;
            }
            flow -= sent;
        }
        let agents = self.out_of.len() / 2 - 1;
        let is_full = |agent: usize| {
            let to_sink = |arc: &&usize| self.arcs[**arc].to == self.sink;
            self.out_of[2 * agent].iter().find(to_sink).is_some_and(|arc| self.arcs[*arc].room == 0)
        };
        (0..agents).map(is_full).collect()
    }

    /// Numbers what the source reaches by distance.
    fn levels(&self) -> Vec<u32> {
        let mut levels = vec![u32::MAX; self.out_of.len()];
        levels[self.source] = 0;
        let mut queue = VecDeque::from([self.source]);
        while let Some(place) = queue.pop_front() {
            for arc in self.out_of[place].iter().map(|arc| &self.arcs[*arc]) {
                if 0 < arc.room && levels[arc.to] == u32::MAX {
                    levels[arc.to] = levels[place] + 1;
                    queue.push_back(arc.to);
                }
            }
        }
        levels
    }

    /// Sends at most so much from a place to the sink, along ever higher levels.
    fn send(&mut self, from: usize, most: u32, levels: &[u32], tried: &mut [usize]) -> u32 {
        if from == self.sink {
            return most;
        }
        let mut sent = 0;
        while sent < most
            && let Some(arc) = self.out_of[from].get(tried[from]).copied()
        {
            let Arc { to, room } = self.arcs[arc];
            if 0 < room && levels[to] == levels[from] + 1 {
                let through = self.send(to, room.min(most - sent), levels, tried);
                self.arcs[arc].room -= through;
                self.arcs[arc ^ 1].room = self.arcs[arc ^ 1].room.saturating_add(through);
                sent += through;
            }
            if sent < most {
                tried[from] += 1;
            }
        }
        sent
    }
}
