//! From paths to a level: the sum with its bound for each anchor, the pair of paths that share
//! nobody, and what would change the outcome.

use comity_didcomm::UnixTime;

use super::trail::{Arrival, Found};
use super::{
    ANCHORS_MIN, Change, INTRODUCED_OF_AN_ANCHOR_MAX, Level, MESSAGE_OF_AN_ANCHOR_MAX, Named,
};

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

/// What the paths to one agent come to. They are added in the order of their anchors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    anchor: usize,
    introduced: Sum,
    message: Sum,
    task: Pair,
    execute: Pair,
}

/// The points towards a level.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// Of the anchor whose paths are being added.
    of_this_anchor: f64,
    of_others: f64,
    anchors: usize,
}

impl Sum {
    fn close(&mut self, of_an_anchor_max: f64) {
        if 0.0 < self.of_this_anchor {
            self.of_others += self.of_this_anchor.min(of_an_anchor_max);
            self.anchors += 1;
            self.of_this_anchor = 0.0;
        }
    }

    fn points(mut self, of_an_anchor_max: f64) -> Points {
        self.close(of_an_anchor_max);
        let needs = of_an_anchor_max * ANCHORS_MIN as f64;
        Points { has: self.of_others, needs, of_an_anchor_max, anchors: self.anchors }
    }
}

impl Tally {
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Found>) -> Self {
        let mut tally = Self::default();
        for (nth, path) in paths.into_iter().enumerate() {
            tally.add(&path.arrival, nth);
        }
        tally
    }

    pub(super) fn add(&mut self, arrival: &Arrival, nth: usize) {
        if self.anchor != arrival.anchor {
            self.introduced.close(INTRODUCED_OF_AN_ANCHOR_MAX);
            self.message.close(MESSAGE_OF_AN_ANCHOR_MAX);
            self.anchor = arrival.anchor;
        }
        // Each level includes those below it.
        match arrival.level {
            Level::Blocked => return,
            Level::Introduced => {}
            Level::Message => self.message.of_this_anchor += arrival.points,
            Level::Task => {
                self.message.of_this_anchor += arrival.points;
                self.task.add(arrival, nth);
            }
            Level::Execute => {
                self.message.of_this_anchor += arrival.points;
                self.task.add(arrival, nth);
                self.execute.add(arrival, nth);
            }
        }
        self.introduced.of_this_anchor += arrival.points;
    }

    pub(super) fn introduced(&self) -> Points {
        self.introduced.points(INTRODUCED_OF_AN_ANCHOR_MAX)
    }

    pub(super) fn message(&self) -> Points {
        self.message.points(MESSAGE_OF_AN_ANCHOR_MAX)
    }

    /// Returns the numbers of the two paths on which the level rests, if it does.
    pub(super) fn pair(&self) -> Option<[usize; 2]> {
        self.execute.found.or(self.task.found)
    }

    pub(super) fn level(&self, named: Named) -> Level {
        if self.execute.found.is_some() {
            Level::Execute
        } else if self.task.found.is_some() {
            Level::Task
        } else if named == Named::Anchor || self.message().is_enough() {
            Level::Message
        } else if self.introduced().is_enough() {
            Level::Introduced
        } else {
            Level::Blocked
        }
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
    same_meeting: Option<Way>,
    found: Option<[usize; 2]>,
}

/// A path of at most two vouches, with its number.
#[derive(Clone, Copy, Debug)]
struct Way {
    anchor: usize,
    meeting: usize,
    nth: usize,
}

impl Pair {
    fn add(&mut self, arrival: &Arrival, nth: usize) {
        let Some(meeting) = arrival.meeting else {
            return;
        };
        let way = Way { anchor: arrival.anchor, meeting, nth };
        let Some(first) = self.first else {
            self.first = Some(way);
            return;
        };
        match (way.anchor == first.anchor, way.meeting == first.meeting) {
            (false, false) => {
                self.found.get_or_insert([first.nth, way.nth]);
            }
            (true, false) => {
                self.same_anchor.get_or_insert(way);
            }
            (false, true) => {
                self.same_meeting.get_or_insert(way);
            }
            (true, true) => {}
        }
        if let (Some(one), Some(other)) = (self.same_anchor, self.same_meeting) {
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
pub(super) fn changes(tally: &Tally, paths: &[Found], anchors: usize, named: Named) -> Vec<Change> {
    let reached = tally.level(named);
    let mut changes = Vec::new();
    let by_points = [(Level::Introduced, tally.introduced()), (Level::Message, tally.message())];
    let by_pair = [(Level::Task, tally.task), (Level::Execute, tally.execute)];
    if anchors < ANCHORS_MIN && reached < Level::Message {
        changes.push(Change::NameAnchors { more: ANCHORS_MIN - anchors });
    } else {
        for (level, points) in by_points.into_iter().filter(|(level, _)| reached < *level) {
            let more = further_anchors(&points, paths, anchors, level);
            changes.push(Change::FurtherAnchors { level, more });
        }
    }
    for (level, pair) in by_pair.into_iter().filter(|(level, _)| reached < *level) {
        changes.push(Change::FurtherPaths { level, more: pair.missing() });
    }
    changes.extend(runs_out(paths, reached, named));
    changes
}

/// Counts the anchors that have to vouch directly, if those do that bring least.
fn further_anchors(points: &Points, paths: &[Found], anchors: usize, level: Level) -> usize {
    let of_each = paths.chunk_by(|one, other| one.arrival.anchor == other.arrival.anchor);
    let mut brought: Vec<f64> = of_each
        .map(|of_one| {
            let arrivals = of_one.iter().map(|path| path.arrival);
            let carry_it = arrivals.filter(|arrival| level <= arrival.level);
            carry_it.map(|arrival| arrival.points).sum::<f64>().min(points.of_an_anchor_max)
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
fn runs_out(paths: &[Found], reached: Level, named: Named) -> Option<Change> {
    let mut moments: Vec<UnixTime> = paths.iter().map(|path| path.until).collect();
    moments.sort_unstable();
    moments.dedup();
    let level_at =
        |moment: UnixTime| Tally::of(paths.iter().filter(|path| moment < path.until)).level(named);
    let first = moments.partition_point(|moment| level_at(*moment) == reached);
    let at = *moments.get(first)?;
    Some(Change::RunsOut { at, to: level_at(at) })
}
