//! The score as a table of small webs. What it does in large ones is shown by `tests/sybil.rs`.

use super::*;
use crate::limits::{PATHS_SHOWN_MAX, VOUCHES_PER_VOUCHER_MAX};
use crate::trust::reputation::Outcomes;

mod properties;

const NOW: UnixTime = UnixTime(1_000);
const LATER: UnixTime = UnixTime(2_000);

type Vouches = BTreeMap<String, Vec<Edge<String>>>;

fn vouch(vouched: &str) -> Edge<String> {
    Edge {
        vouched: vouched.to_owned(),
        level: Level::Message,
        depth: 2,
        until: LATER,
        standing: Standing::FULL,
    }
}

fn at(level: Level, vouched: &str) -> Edge<String> {
    Edge { level, ..vouch(vouched) }
}

/// Makes a web of lines such as `a > x > t`, each vouch made by `vouch`.
fn web_of(lines: &[&str], vouch: impl Fn(&str) -> Edge<String>) -> Vouches {
    let mut web = Vouches::new();
    for line in lines {
        let names: Vec<_> = line.split(" > ").collect();
        for pair in names.windows(2) {
            let given: &mut Vec<_> = web.entry(pair[0].to_owned()).or_default();
            if given.iter().all(|edge| edge.vouched != pair[1]) {
                given.push(vouch(pair[1]));
            }
        }
    }
    web
}

fn web(lines: &[&str]) -> Vouches {
    web_of(lines, vouch)
}

/// Scores `t` from the anchors `a`, `b`, `c`.
fn score_t(web: &Vouches) -> Score<String> {
    score_from(&["a", "b", "c"], web)
}

fn score_from(anchors: &[&str], web: &Vouches) -> Score<String> {
    score(web, &anchors.iter().map(|anchor| (*anchor).to_owned()).collect(), &"t".to_owned(), NOW)
}

/// Fails unless two numbers of points are the same but for rounding.
#[track_caller]
fn assert_points(points: f64, expected: f64) {
    assert!((points - expected).abs() < 1e-9, "{points} points, not {expected}");
}

#[test]
fn three_anchors_reach_level_message_and_two_reach_none() {
    assert_eq!(score_t(&web(&["a > t", "b > t", "c > t"])).level, Level::Message);
    let two = score_t(&web(&["a > t", "b > t", "a > x > t", "b > x > y > t"]));
    assert_eq!(two.level, Level::Blocked);
    assert_eq!(two.message.has, 2.0 * two.message.of_an_anchor_max);
}

#[test]
fn an_anchor_brings_a_third_of_what_a_level_needs_over_whatever_paths() {
    let lines: Vec<_> = ["m", "n", "o", "p"].map(|via| format!("a > {via} > t")).into();
    let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
    lines.push("a > t");
    let score = score_t(&web(&lines));
    for points in [score.introduced, score.message] {
        assert_eq!((points.anchors, points.has), (1, points.needs / 3.0));
    }
    assert_eq!(score.paths_found, 5);
}

#[test]
fn a_vouch_passes_on_its_share_and_a_single_one_a_fifth() {
    let points = |web: &Vouches| score_t(web).paths[0].points;
    assert_points(points(&web(&["a > t"])), 170.0);
    assert_points(points(&web(&["a > x > t"])), 28.9);
    let mut many = web(&["a > t"]);
    many.get_mut("a").unwrap().extend((1..20).map(|n| vouch(&format!("other-{n}"))));
    assert_points(points(&many), 42.5);
}

#[test]
fn vouches_for_one_agent_count_as_one_and_each_path_takes_the_best() {
    let mut twice = web(&["a > x > t", "b > y > t"]);
    for anchor in ["a", "b"] {
        // For work, but not to be handed on; and to be handed on, but for letters.
        let given = twice.get_mut(anchor).unwrap();
        let again = Edge { level: Level::Task, depth: 0, ..given[0].clone() };
        given.extend(vec![again; 30]);
    }
    let score = score_t(&twice);
    assert_eq!(score.paths_found, 2);
    assert_points(score.paths[0].points, 28.9);
    assert_eq!(score.paths[0].level, Level::Message);
    assert_eq!(
        super::score(&twice, &["a".to_owned()].into(), &"x".to_owned(), NOW).paths[0].level,
        Level::Task
    );
}

#[test]
fn who_behaved_badly_gets_less_of_each_vouch_and_hands_on_less() {
    let standing = Standing::of(&Outcomes { disputed: 4.0, ..Outcomes::default() }, &[]);
    let web = web_of(&["a > x > t", "b > t"], |vouched| Edge { standing, ..vouch(vouched) });
    let score = score_t(&web);
    assert_points(score.paths[0].points, 170.0 * 0.25);
    assert_points(score.paths[1].points, 170.0 * 0.25 * 0.17 * 0.25);
}

#[test]
fn a_vouch_that_ran_out_counts_nothing_and_dilutes_nothing() {
    let over = Edge { until: NOW, ..vouch("t") };
    let mut all = web(&["a > t", "b > t"]);
    all.insert("c".to_owned(), vec![over]);
    assert_eq!(score_t(&all).level, Level::Blocked);
    let ran_out = (0..30).map(|n| Edge { until: NOW, ..vouch(&format!("other-{n}")) });
    all.get_mut("a").unwrap().extend(ran_out);
    assert_points(score_t(&all).paths[0].points, 170.0);
}

#[test]
fn what_the_web_leaves_out_as_out_of_scope_dilutes_nothing() {
    struct Scoped(Vouches, &'static str);
    impl Web<String> for Scoped {
        fn given_by(&self, voucher: &String) -> Vec<Edge<String>> {
            let all = self.0.given_by(voucher).into_iter();
            all.filter(|edge| edge.vouched.ends_with(self.1)).collect()
        }
    }
    let mut all = web(&["a > t", "b > t", "c > t"]);
    all.get_mut("a").unwrap().extend((0..30).map(|n| vouch(&format!("{n}-elsewhere"))));
    let anchors = ["a", "b", "c"].map(str::to_owned).into();
    let scoped = score(&Scoped(all, "t"), &anchors, &"t".to_owned(), NOW);
    assert_eq!(scoped.level, Level::Message);
    assert_points(scoped.paths[0].points, 170.0);
}

#[test]
fn a_path_goes_as_far_as_each_of_its_vouches_allows_and_no_further_than_three() {
    let long = |depths: [u8; 3]| {
        let line = ["x", "y", "t"];
        let web = web_of(&["a > x > y > t"], |vouched| {
            let nth = line.iter().position(|name| *name == vouched).unwrap();
            Edge { depth: depths[nth], ..vouch(vouched) }
        });
        score_t(&web).paths_found
    };
    for (depths, found) in [
        ([2, 1, 0], 1),
        ([3, 3, 3], 1),
        ([1, 1, 0], 0),
        ([2, 0, 0], 0),
        ([0, 2, 2], 0),
        ([1, 2, 2], 0),
    ] {
        assert_eq!(long(depths), found, "{depths:?}");
    }
    assert_eq!(score_t(&web(&["a > x > y > z > t"])).paths_found, 0);
}

#[test]
fn a_path_carries_the_lowest_level_of_its_vouches() {
    let mut web = web(&["a > x > t", "b > y > t", "c > z > t"]);
    for via in ["x", "y", "z"] {
        web.insert(via.to_owned(), vec![at(Level::Introduced, "t")]);
    }
    let score = score_t(&web);
    assert_eq!(score.level, Level::Introduced);
    assert_eq!((score.message.has, score.message.anchors), (0.0, 0));
    assert!(score.paths.iter().all(|path| path.level == Level::Introduced));
}

#[test]
fn a_vouch_at_level_blocked_is_none() {
    let web = web_of(&["a > t", "b > t", "c > t"], |vouched| at(Level::Blocked, vouched));
    assert_eq!(score_t(&web).paths_found, 0);
}

#[test]
fn a_path_leads_past_no_other_anchor_and_past_nobody_twice() {
    let through = score_t(&web(&["a > b > t", "c > b > x > t", "c > a"]));
    let anchors: Vec<_> = through.paths.iter().map(|path| path.anchor.as_str()).collect();
    assert_eq!(anchors, ["b", "b"]);
    let circle = score_t(&web(&["a > x > y > x", "y > a", "x > t", "t > x", "a > a"]));
    let ways: Vec<_> = circle.paths.iter().map(|path| path.via.join(" ")).collect();
    assert_eq!(ways, ["x"]);
}

#[test]
fn an_anchor_has_level_message_because_the_operator_named_it() {
    let alone = score_from(&["a", "t"], &web(&["a > t"]));
    assert_eq!((alone.level, alone.named), (Level::Message, Named::Anchor));
    assert_eq!(alone.lines()[0], "t: level message; an anchor is at level message by itself");
    let tasks = web_of(&["a > t", "b > x > t"], |vouched| at(Level::Task, vouched));
    assert_eq!(score_from(&["a", "b", "t"], &tasks).level, Level::Task);
}

#[test]
fn more_anchors_than_twenty_share_what_twenty_hand_out() {
    let anchors: Vec<String> = (0..40).map(|n| format!("anchor-{n:02}")).collect();
    let lines: Vec<_> = anchors.iter().map(|anchor| format!("{anchor} > t")).collect();
    let web = web(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let of_forty = score(&web, &anchors.iter().cloned().collect(), &"t".to_owned(), NOW);
    assert_points(of_forty.paths[0].points, 85.0);
    let of_twenty = score(&web, &anchors.into_iter().take(20).collect(), &"t".to_owned(), NOW);
    assert_points(of_twenty.paths[0].points, 170.0);
}

#[test]
fn levels_task_and_execute_need_two_short_paths_that_share_nobody() {
    let level = |level, lines: &[&str]| score_t(&web_of(lines, |vouched| at(level, vouched))).level;
    let no_pair: [&[&str]; 5] = [
        &["a > t"],
        &["a > t", "a > x > t"],
        &["a > x > t", "b > x > t", "c > x > t"],
        &["a > x > t", "a > y > t", "a > t"],
        &["a > x > z > t", "b > y > z > t", "c > t"],
    ];
    for lines in no_pair {
        assert!(level(Level::Execute, lines) < Level::Task, "{lines:?}");
    }
    let pair: [&[&str]; 5] = [
        &["a > t", "b > t"],
        &["a > t", "b > x > t"],
        &["a > x > t", "b > y > t"],
        &["a > x > t", "a > y > t", "b > x > t"],
        &["b > x > t", "a > x > t", "c > x > t", "a > y > t"],
    ];
    for lines in pair {
        assert_eq!(level(Level::Execute, lines), Level::Execute, "{lines:?}");
        assert_eq!(level(Level::Task, lines), Level::Task, "{lines:?}");
        assert!(level(Level::Message, lines) < Level::Task, "{lines:?}");
    }
}

/// Two who hold such vouches can hand the level on to whom they like, if the vouches let them. So a
/// vouch for work has depth 0 unless handing on is meant.
#[test]
fn a_vouch_for_tasks_of_depth_0_cannot_be_handed_on_by_two_who_collude() {
    let by_holders = |depth| {
        score_t(&web_of(&["a > x > t", "b > y > t"], |vouched| {
            let depth = if vouched == "t" { 0 } else { depth };
            Edge { depth, ..at(Level::Task, vouched) }
        }))
    };
    assert_eq!(by_holders(0).level, Level::Blocked);
    assert_eq!(by_holders(1).level, Level::Task);
}

#[test]
fn the_pair_that_gives_a_level_is_shown() {
    let mut web = web_of(&["a > x > t", "b > t"], |vouched| at(Level::Task, vouched));
    web.insert("c".to_owned(), vec![vouch("t")]);
    let pair = score_t(&web).pair.unwrap();
    assert_eq!(
        pair.map(|path| (path.anchor, path.via)),
        [("a".to_owned(), vec!["x".to_owned()]), ("b".to_owned(), vec![]),]
    );
}

#[test]
fn a_score_says_what_would_change_it() {
    let change = |lines: &[&str]| score_t(&web(lines)).changes;
    let pairs =
        |more| [Level::Task, Level::Execute].map(|level| Change::FurtherPaths { level, more });
    let further = |more| {
        [Level::Introduced, Level::Message].map(|level| Change::FurtherAnchors { level, more })
    };
    assert_eq!(change(&[]), [&further(3)[..], &pairs(2)].concat());
    assert_eq!(change(&["a > t"]), [&further(2)[..], &pairs(2)].concat());
    assert_eq!(
        score_from(&["a"], &web(&["a > t"])).changes,
        [&[Change::NameAnchors { more: 2 }][..], &pairs(2)].concat()
    );
    let reached = change(&["a > t", "b > t", "c > t"]);
    let falls = Change::RunsOut { at: LATER, to: Level::Blocked };
    assert_eq!(reached, [&pairs(2)[..], &[falls]].concat());
}

#[test]
fn a_level_falls_when_the_paths_that_it_needs_have_run_out() {
    let mut web = web(&["a > t", "b > t", "c > t", "d > t"]);
    for (anchor, until) in [("a", 1_100), ("b", 1_200), ("c", 1_300), ("d", 1_400)] {
        web.get_mut(anchor).unwrap()[0].until = UnixTime(until);
    }
    web.get_mut("d").unwrap()[0].level = Level::Introduced;
    let falls = |score: Score<String>| score.changes.last().copied();
    let runs_out = |at, to| Some(Change::RunsOut { at: UnixTime(at), to });
    let anchors = ["a", "b", "c", "d"];
    assert_eq!(falls(score_from(&anchors, &web)), runs_out(1_100, Level::Introduced));
    let at = |now| score(&web, &anchors.map(str::to_owned).into(), &"t".to_owned(), UnixTime(now));
    assert_eq!(at(1_100).level, Level::Introduced);
    assert_eq!(falls(at(1_100)), runs_out(1_200, Level::Blocked));
    assert_eq!(at(1_200).level, Level::Blocked);
}

#[test]
fn a_further_anchor_is_counted_by_what_the_others_bring_already() {
    // Three anchors that bring something each: every one of them has to vouch directly.
    let partly = web(&["a > x > t", "b > x > t", "c > x > t"]);
    let mut partly = partly;
    partly.get_mut("x").unwrap().extend((0..99).map(|n| vouch(&format!("other-{n}"))));
    let score = score_t(&partly);
    assert!(score.message.has < score.message.needs && score.message.anchors == 3);
    let further = Change::FurtherAnchors { level: Level::Message, more: 3 };
    assert!(score.changes.contains(&further), "{:?}", score.changes);
}

#[test]
fn an_explanation_is_readable() {
    let mut web = web_of(&["a > x > t", "b > t"], |vouched| at(Level::Task, vouched));
    web.insert("c".to_owned(), vec![Edge { until: UnixTime(1_500), ..vouch("t") }]);
    let lines = score_t(&web).lines().join("\n");
    assert_eq!(
        lines,
        "\
t: level task by vouches
level introduced: 3.00 of 3.00 points, from 3 anchors, at most 1.00 from each
level message: 6.00 of 6.00 points, from 3 anchors, at most 2.00 from each
level task: two paths that share nobody
  a > x > t: 28.90 points, level task, until 1970-01-01T00:33:20Z
  b > t: 170.00 points, level task, until 1970-01-01T00:33:20Z
paths, the strongest first:
  b > t: 170.00 points, level task, until 1970-01-01T00:33:20Z
  c > t: 170.00 points, level message, until 1970-01-01T00:25:00Z
  a > x > t: 28.90 points, level task, until 1970-01-01T00:33:20Z
what would change it:
  level execute: 2 further paths of at most two vouches at that level, sharing nobody
  no level from 1970-01-01T00:33:20Z, when paths run out"
    );
    let nobody = score_from(&["a"], &Vouches::new()).lines().join("\n");
    assert_eq!(
        nobody,
        "\
t: no level by vouches
level introduced: 0.00 of 3.00 points, from 0 anchors, at most 1.00 from each
level message: 0.00 of 6.00 points, from 0 anchors, at most 2.00 from each
no path leads here from an anchor
what would change it:
  name 2 anchors more: no score is reached with fewer than three
  level task: 2 further paths of at most two vouches at that level, sharing nobody
  level execute: 2 further paths of at most two vouches at that level, sharing nobody"
    );
}

#[test]
fn vouches_beyond_the_bound_of_a_voucher_are_not_looked_at() {
    let mut web = web(&["a > t", "b > t", "c > t"]);
    let others = (0..VOUCHES_PER_VOUCHER_MAX).map(|n| vouch(&format!("other-{n}")));
    web.get_mut("a").unwrap().extend(others);
    let score = score_t(&web);
    assert_eq!((score.extent, score.paths_found), (Extent::Part, 2));
}

#[test]
fn an_explanation_lists_the_strongest_paths_only() {
    let lines: Vec<_> = (0..2 * PATHS_SHOWN_MAX).map(|n| format!("a > m-{n} > t")).collect();
    let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
    lines.push("b > t");
    let score = score_t(&web(&lines));
    assert_eq!((score.paths.len(), score.paths_found), (PATHS_SHOWN_MAX, 2 * PATHS_SHOWN_MAX + 1));
    assert_eq!(score.paths[0].anchor, "b");
}

/// Everybody below `flood` vouches for as many as are looked at, none of them twice.
struct Flood(Vouches);

impl Web<String> for Flood {
    fn given_by(&self, voucher: &String) -> Vec<Edge<String>> {
        if voucher.starts_with("flood") {
            let each = |n| vouch(&format!("{voucher}-{n}"));
            return (0..VOUCHES_PER_VOUCHER_MAX).map(each).collect();
        }
        self.0.given_by(voucher)
    }
}

#[test]
fn who_gives_vouches_without_end_does_not_crowd_out_those_of_others() {
    let mut lines: Vec<String> = Vec::new();
    for anchor in ["a", "b", "c"] {
        lines.extend((0..9).map(|n| format!("{anchor} > m-{n} > t")));
        lines.extend((0..9).map(|n| format!("{anchor} > flood-{anchor}-{n}")));
    }
    let web = web(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let anchors: BTreeSet<_> = ["a", "b", "c"].map(str::to_owned).into();
    let chart = Chart::draw(&Flood(web.clone()), &anchors, NOW);
    let flooded = chart.score(&"t".to_owned());
    assert_eq!(flooded.extent, Extent::Part);
    assert_eq!(flooded.level, Level::Message);
    assert_eq!(flooded.paths_found, score_t(&web).paths_found);
}
