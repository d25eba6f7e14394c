//! From paths to a level: the sum with its bound for each anchor, the pair of paths that share
//! nobody, and what would change the outcome.

use comity_didcomm::UnixTime;

use super::chart::Trail;
use super::{ANCHORS_MIN, Change, Level, Named, PAIR_VOUCHES_MAX, POINTS};

/// What paths bring towards a level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Points {
    /// The sum, with the bound of each anchor applied.
    pub has: f64,
    /// What the level needs.
    pub needs: f64,
    /// What one anchor brings at most.
    pub of_an_anchor_max: f64,
    /// How many anchors bring any.
    pub anchors: usize,
}

/// What the paths to one agent come to. The paths of one anchor are added one after the other, then
/// closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    of_this_anchor: [f64; POINTS.len()],
    of_anchors: [Sum; POINTS.len()],
    pairs: [Pair; PAIRS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    points: f64,
    anchors: usize,
}

impl Tally {
    /// Tallies paths that are in the order of their anchors.
    pub(super) fn of(paths: &[Trail]) -> Self {
        Self::of_those(paths, |_| true)
    }

    fn of_those(paths: &[Trail], which: impl Fn(&Trail) -> bool) -> Self {
        let mut tally = Self::default();
        let numbered: Vec<_> = (0..).zip(paths).filter(|(_, path)| which(path)).collect();
        for of_one in numbered.chunk_by(|(_, one), (_, other)| one.anchor == other.anchor) {
            for (nth, path) in of_one {
                tally.add(path, *nth);
            }
            tally.close();
        }
        tally
    }

    pub(super) fn add(&mut self, path: &Trail, nth: usize) {
        let carried = path.level();
        for (sum, (level, _)) in self.of_this_anchor.iter_mut().zip(POINTS) {
            if level <= carried {
                *sum += path.points;
            }
        }
        if Level::Message < carried && path.vouches() <= PAIR_VOUCHES_MAX {
            for (pair, level) in self.pairs.iter_mut().zip(PAIRS) {
                if level <= carried {
                    pair.add(Way::new(path, nth));
                }
            }
        }
    }

    /// Says that all paths of an anchor are added; saying it again changes nothing.
    pub(super) fn close(&mut self) {
        let open = self.of_this_anchor.iter_mut().zip(&mut self.of_anchors);
        for ((points, sum), (_, of_an_anchor_max)) in open.zip(POINTS) {
            if 0.0 < *points {
                sum.points += points.min(of_an_anchor_max);
                sum.anchors += 1;
            }
            *points = 0.0;
        }
    }

    pub(super) fn level(&self, named: Named) -> Level {
        let by_pair = self.pairs.iter().zip(PAIRS).filter(|(pair, _)| pair.found.is_some());
        let by_points =
            POINTS.iter().map(|(level, _)| *level).filter(|level| self.points(*level).is_enough());
        let by_name = (named == Named::Anchor).then_some(Level::Message);
        let levels = by_pair.map(|(_, level)| level).chain(by_points).chain(by_name);
        levels.max().unwrap_or(Level::Blocked)
    }

    pub(super) fn points(&self, level: Level) -> Points {
        let known = self.of_anchors.iter().zip(POINTS).find(|(_, (known, _))| *known == level);
        known.map_or_else(Points::default, |(sum, (_, of_an_anchor_max))| Points {
            has: sum.points,
            needs: needs(of_an_anchor_max),
            of_an_anchor_max,
            anchors: sum.anchors,
        })
    }

    /// Returns the numbers of the two paths on which the highest level rests, if it does.
    pub(super) fn pair(&self) -> Option<[usize; 2]> {
        self.pairs.iter().find_map(|pair| pair.found)
    }
}

impl Points {
    /// Whether the level is reached.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        0.0 < self.needs && self.needs <= self.has
    }
}

/// Looks for two paths from two anchors that have nobody in common.
///
/// Paths of two vouches are the edges of a graph between anchors and those in between, and two that
/// share nobody are missing only if all paths share one end (Kőnig's theorem). So it is enough to
/// remember the first path, one that shares only its anchor, and one that shares only its middle.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    first: Option<Way>,
    same_anchor: Option<Way>,
    same_via: Option<Way>,
    found: Option<[usize; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    anchor: usize,
    /// Who stands between; of a direct vouch the anchor, which nobody else can have there.
    via: usize,
    nth: usize,
}

impl Way {
    fn new(path: &Trail, nth: usize) -> Self {
        let [via, ..] = path.via;
        Self { anchor: path.anchor, via: via.unwrap_or(path.anchor), nth }
    }
}

impl Pair {
    fn add(&mut self, way: Way) {
        let Some(first) = self.first else {
            self.first = Some(way);
            return;
        };
        match (way.anchor == first.anchor, way.via == first.via) {
            (false, false) => {
                self.found.get_or_insert([first.nth, way.nth]);
            }
            (true, false) => {
                self.same_anchor.get_or_insert(way);
            }
            (false, true) => {
                self.same_via.get_or_insert(way);
            }
            (true, true) => {}
        }
        if let (Some(one), Some(other)) = (self.same_anchor, self.same_via) {
            self.found.get_or_insert([one.nth, other.nth]);
        }
    }

    /// Returns how many paths that share nobody are missing.
    const fn missing(&self) -> usize {
        match (self.found, self.first) {
            (Some(_), _) => 0,
            (None, Some(_)) => 1,
            (None, None) => 2,
        }
    }
}

/// Says what would change the level: how to get further, then when it falls.
pub(super) fn changes(tally: &Tally, paths: &[Trail], anchors: usize, named: Named) -> Vec<Change> {
    let level = tally.level(named);
    let mut changes = Vec::new();
    let beyond = POINTS.iter().filter(|(reached, _)| level < *reached);
    if anchors < ANCHORS_MIN && level < Level::Message {
        changes.push(Change::NameAnchors { more: ANCHORS_MIN - anchors });
    } else {
        changes.extend(beyond.map(|(level, _)| Change::FurtherAnchors {
            level: *level,
            more: further_anchors(&tally.points(*level), paths, anchors, *level),
        }));
    }
    let pairs = tally.pairs.iter().zip(PAIRS).rev().filter(|(_, reached)| level < *reached);
    changes.extend(pairs.map(|(pair, level)| Change::FurtherPaths { level, more: pair.missing() }));
    changes.extend(runs_out(paths, level, named));
    changes
}

/// Counts the anchors that have to vouch directly, if those do that bring least.
fn further_anchors(points: &Points, paths: &[Trail], anchors: usize, level: Level) -> usize {
    let mut brought: Vec<f64> = paths
        .chunk_by(|one, other| one.anchor == other.anchor)
        .map(|of_one| {
            let carry_it = of_one.iter().filter(|path| level <= path.level());
            carry_it.map(|path| path.points).sum::<f64>().min(points.of_an_anchor_max)
        })
        .collect();
    brought.resize(anchors, 0.0);
    brought.sort_by(f64::total_cmp);
    let mut missing = points.needs - points.has;
    let enough = brought.into_iter().take_while(|has| {
        let still = 0.0 < missing;
        missing -= points.of_an_anchor_max - has;
        still
    });
    enough.count()
}

/// Finds the first moment at which so many paths have run out that the level is lower. It can only
/// fall as time goes by, so the moment is found by halving.
fn runs_out(paths: &[Trail], level: Level, named: Named) -> Option<Change> {
    let mut moments: Vec<UnixTime> = paths.iter().map(Trail::until).collect();
    moments.sort_unstable();
    moments.dedup();
    let level_at =
        |moment: UnixTime| Tally::of_those(paths, |path| moment < path.until()).level(named);
    let first = moments.partition_point(|moment| level_at(*moment) == level);
    let at = *moments.get(first)?;
    Some(Change::RunsOut { at, to: level_at(at) })
}

const fn needs(of_an_anchor_max: f64) -> f64 {
    of_an_anchor_max * ANCHORS_MIN as f64
}

/// Levels that rest on a pair, the highest first.
const PAIRS: [Level; 2] = [Level::Execute, Level::Task];
