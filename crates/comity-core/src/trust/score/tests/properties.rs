//! What holds in every web: the score is what its definition says, and nothing about order matters.

use proptest::prelude::*;

use super::*;

const NODES: u8 = 9;

/// Vouches between so many agents, at most one for each pair. Some of the vouched behaved so badly
/// that the points of a path are about what an anchor may bring.
fn webs(nodes: u8) -> impl Strategy<Value = BTreeMap<(u8, u8), Edge<u8>>> {
    let disputed = prop_oneof![Just(0.0), Just(4.0), Just(60.0)];
    let edge = (0..nodes, 0..nodes, 0_u64..=4, 0_u8..=3, 999_u64..1_004, disputed);
    proptest::collection::vec(edge, 0..50).prop_map(|edges| {
        let edges = edges.into_iter().map(|(voucher, vouched, level, depth, until, disputed)| {
            let level = Level::from_number(u8::try_from(level).unwrap()).unwrap();
            let until = UnixTime(until);
            let standing = Standing::of(&Outcomes { disputed, ..Outcomes::default() }, &[]);
            ((voucher, vouched), Edge { vouched, level, depth, until, standing })
        });
        edges.collect()
    })
}

fn by_voucher(
    edges: impl IntoIterator<Item = ((u8, u8), Edge<u8>)>,
) -> BTreeMap<u8, Vec<Edge<u8>>> {
    let mut web = BTreeMap::<u8, Vec<Edge<u8>>>::new();
    for ((voucher, _), edge) in edges {
        web.entry(voucher).or_default().push(edge);
    }
    web
}

/// All paths to an agent, by trying every sequence of nodes.
fn paths_by_definition(
    web: &BTreeMap<(u8, u8), Edge<u8>>,
    anchors: &BTreeSet<u8>,
    of: u8,
) -> Vec<Path<u8>> {
    let in_force = |edge: &Edge<u8>| NOW < edge.until && edge.level != Level::Blocked;
    let nodes: Vec<Vec<u8>> = (0..NODES).map(|node| vec![node]).collect();
    let pairs = nodes.iter().flat_map(|one| (0..NODES).map(move |other| vec![one[0], other]));
    let vias: Vec<Vec<u8>> = [vec![]].into_iter().chain(nodes.clone()).chain(pairs).collect();
    let mut paths = Vec::new();
    for anchor in anchors {
        'vias: for via in &vias {
            let all: Vec<u8> = [&[*anchor][..], via, &[of]].concat();
            let different: BTreeSet<_> = all.iter().collect();
            if different.len() < all.len() || via.iter().any(|node| anchors.contains(node)) {
                continue;
            }
            let (mut level, mut until) = (Level::Execute, UnixTime(u64::MAX));
            let mut points = 1_000.0;
            for (nth, pair) in all.windows(2).enumerate() {
                let edge = web.get(&(pair[0], pair[1])).filter(|edge| in_force(edge));
                let still = all.len() - 2 - nth;
                let Some(edge) = edge.filter(|edge| still <= usize::from(edge.depth)) else {
                    continue 'vias;
                };
                let given = web.iter().filter(|((voucher, vouched), edge)| {
                    *voucher == pair[0] && voucher != vouched && in_force(edge)
                });
                points *= 0.85 / given.count().max(5) as f64 * edge.standing.as_f64();
                level = level.min(edge.level);
                until = until.min(edge.until);
            }
            paths.push(Path { anchor: *anchor, via: via.clone(), points, level, until });
        }
    }
    paths
}

fn level_by_definition(paths: &[Path<u8>], is_anchor: bool) -> Level {
    let pair = |level| {
        let short: Vec<_> =
            paths.iter().filter(|path| level <= path.level && path.via.len() < 2).collect();
        short.iter().any(|one| {
            short.iter().any(|other| {
                one.anchor != other.anchor && one.via.iter().all(|via| !other.via.contains(via))
            })
        })
    };
    let enough = |level, of_an_anchor_max: f64| {
        let mut by_anchor = BTreeMap::<u8, f64>::new();
        for path in paths.iter().filter(|path| level <= path.level) {
            *by_anchor.entry(path.anchor).or_default() += path.points;
        }
        let sum: f64 = by_anchor.values().map(|points| points.min(of_an_anchor_max)).sum();
        3.0 * of_an_anchor_max <= sum
    };
    match () {
        () if pair(Level::Execute) => Level::Execute,
        () if pair(Level::Task) => Level::Task,
        () if is_anchor || enough(Level::Message, 2.0) => Level::Message,
        () if enough(Level::Introduced, 1.0) => Level::Introduced,
        () => Level::Blocked,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_score_is_what_its_definition_says(edges in webs(NODES), anchors in 1_u8..6) {
        let anchors: BTreeSet<u8> = (0..anchors).collect();
        let web = by_voucher(edges.clone());
        let chart = Chart::draw(&web, &anchors, NOW);
        let levels: BTreeMap<u8, Level> =
            chart.levels().map(|(node, level)| (*node, level)).collect();
        for of in 0..NODES {
            let paths = paths_by_definition(&edges, &anchors, of);
            let level = level_by_definition(&paths, anchors.contains(&of));
            let score = chart.score(&of);
            prop_assert_eq!(score.level, level, "{}: {:?}", of, paths);
            prop_assert_eq!(score.paths_found, paths.len());
            prop_assert_eq!(levels.get(&of).copied().unwrap_or(Level::Blocked), level);
            if score.paths_found <= PATHS_SHOWN_MAX {
                for path in &score.paths {
                    let same = |it: &&Path<u8>| (it.anchor, &it.via) == (path.anchor, &path.via);
                    let expected = paths.iter().find(same).unwrap();
                    prop_assert!((path.points - expected.points).abs() < 1e-9);
                    prop_assert_eq!((path.level, path.until), (expected.level, expected.until));
                }
            }
        }
    }

    #[test]
    fn the_order_of_vouches_changes_nothing(
        edges in webs(NODES).prop_map(|web| web.into_iter().collect::<Vec<_>>()),
        shuffled in any::<u64>(),
    ) {
        let mut other = edges.clone();
        // A rotation and a reversal reach every pair in both orders.
        let by = shuffled as usize % other.len().max(1);
        other.rotate_left(by);
        if shuffled % 2 == 0 {
            other.reverse();
        }
        let anchors = BTreeSet::from([0, 1, 2, 3]);
        for of in 0..NODES {
            prop_assert_eq!(
                score(&by_voucher(edges.clone()), &anchors, &of, NOW),
                score(&by_voucher(other.clone()), &anchors, &of, NOW)
            );
        }
    }

    #[test]
    fn what_runs_out_is_what_a_later_score_shows(edges in webs(6)) {
        let anchors = BTreeSet::from([0, 1, 2, 3]);
        let web = by_voucher(edges);
        for of in 0..6 {
            let now = score(&web, &anchors, &of, NOW);
            let falls = now.changes.iter().find_map(|change| match change {
                Change::RunsOut { at, to } => Some((*at, *to)),
                _ => None,
            });
            // With at most five vouches nobody's share grows when one runs out.
            for moment in 1_001..1_004 {
                let later = score(&web, &anchors, &of, UnixTime(moment)).level;
                match falls {
                    Some((at, to)) if at.0 == moment => prop_assert_eq!(later, to),
                    Some((at, _)) if at.0 < moment => prop_assert!(later < now.level),
                    _ => prop_assert_eq!(later, now.level),
                }
            }
        }
    }
}
