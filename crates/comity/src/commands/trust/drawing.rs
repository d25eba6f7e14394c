//! A graph of vouches as a picture: one self-contained SVG, without scripts, links or fonts of its own.
//!
//! Anchors stand on the left, the others in columns by their distance. Every text in it is a peer's, and is escaped.

use std::{collections::HashMap, fmt::Write as _};

use comity_core::api::{GraphEdge, GraphNode, VouchGraph};

use crate::output::markup;

const BOX_WIDTH: f64 = 250.0;
const BOX_HEIGHT: f64 = 46.0;
const COLUMN: f64 = 470.0;
const ROW: f64 = 84.0;
const LEFT: f64 = 30.0;
const TOP: f64 = 120.0;

const LABEL_WIDTH: f64 = 84.0;
const LABEL_HEIGHT: f64 = 15.0;

/// Characters of a DID that fit into its box; the whole of it is in the tooltip.
const LABEL_CHARS: usize = 32;

/// A point of the picture.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// Draws the graph.
pub(super) fn svg(agent: &str, graph: &VouchGraph) -> String {
    let places = places(graph);
    let columns = graph.nodes.iter().map(|node| node.distance).max().unwrap_or_default() + 1;
    let bottom = places.values().map(|place| place.y).fold(TOP, f64::max);
    let (width, height) = (LEFT + number(columns) * COLUMN - 160.0, bottom + BOX_HEIGHT + 40.0);
    let width = width.max(760.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n{STYLE}\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let title = format!("Who vouches for whom around the anchors of {agent}");
    let _ = writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"34\">{}</text>", markup(&title));
    let under = match graph.is_part {
        true => format!("for {}; there are more vouches than are drawn", graph.protocol),
        false => format!("for {}", graph.protocol),
    };
    let _ = writeln!(out, "<text class=\"dim\" x=\"{LEFT}\" y=\"56\">{}</text>", markup(&under));
    out.push_str(LEGEND);
    if graph.nodes.is_empty() {
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{TOP}\">There are no anchors yet</text>");
    }
    let (mut lines, mut labels) = (String::new(), Labels::default());
    labels.boxes.extend(places.values());
    for edge in &graph.edges {
        let ends = (places.get(edge.from.as_str()), places.get(edge.to.as_str()));
        if let (Some(from), Some(to)) = ends {
            draw_edge(edge, (*from, *to), &mut lines, &mut labels);
        }
    }
    out.push_str(&lines);
    for node in &graph.nodes {
        if let Some(place) = places.get(node.did.as_str()) {
            draw_node(node, *place, &mut out);
        }
    }
    // Labels last: no line or box goes over them.
    out.push_str(&labels.text);
    out.push_str("</svg>");
    out
}

/// Finds the upper left corner of everybody's box. Whoever is vouched for stands near its vouchers.
fn places(graph: &VouchGraph) -> HashMap<&str, Point> {
    let mut places: HashMap<&str, Point> = HashMap::new();
    let last = graph.nodes.iter().map(|node| node.distance).max().unwrap_or_default();
    for distance in 0..=last {
        let mut column: Vec<(f64, &GraphNode)> = Vec::new();
        for node in graph.nodes.iter().filter(|node| node.distance == distance) {
            let into = graph.edges.iter().filter(|edge| edge.to == node.did);
            let from: Vec<f64> =
                into.filter_map(|edge| places.get(edge.from.as_str())).map(|at| at.y).collect();
            let middle = from.iter().sum::<f64>() / number(from.len().max(1));
            column.push((middle, node));
        }
        column.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        // Columns stand against each other by half a row: a line that goes past one goes between its
        // boxes.
        let top = TOP + if distance % 2 == 0 { 0.0 } else { ROW / 2.0 };
        let mut free = top;
        for (middle, node) in column {
            let y = (top + ((middle - top) / ROW).round() * ROW).max(free);
            places.insert(&node.did, Point { x: LEFT + number(distance) * COLUMN, y });
            free = y + ROW;
        }
    }
    places
}

fn draw_node(node: &GraphNode, at: Point, out: &mut String) {
    let class = if node.distance == 0 { "anchor" } else { "node" };
    let Point { x, y } = at;
    let _ = writeln!(
        out,
        "<g><title>{did}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" \
         height=\"{BOX_HEIGHT}\" rx=\"6\"/><text x=\"{tx}\" y=\"{first}\">{label}</text>\
         <text class=\"dim\" x=\"{tx}\" y=\"{second}\">{what}</text></g>",
        did = markup(&node.did),
        tx = x + 10.0,
        first = y + 19.0,
        second = y + 37.0,
        label = markup(&short(&node.did)),
        what = markup(&match node.distance {
            0 => format!("anchor, level {}", node.level),
            _ => format!("level {}", node.level),
        }),
    );
}

/// Draws a vouch from its voucher's box to that of whom it is for.
fn draw_edge(
    edge: &GraphEdge,
    (from, to): (Point, Point),
    lines: &mut String,
    labels: &mut Labels,
) {
    let class = match edge.state.as_str() {
        "good" => "good",
        "revoked" => "revoked",
        _ => "unknown",
    };
    let middle = BOX_HEIGHT / 2.0;
    let is_back = to.x < from.x;
    let start = Point { x: from.x + if is_back { 0.0 } else { BOX_WIDTH }, y: from.y + middle };
    // An arrow ends a little before the box; in its own column it bends back to the same side.
    let end = Point {
        x: if to.x <= from.x { to.x + BOX_WIDTH + 8.0 } else { to.x - 8.0 },
        y: to.y + middle + if is_back { 10.0 } else { 0.0 },
    };
    let bend = if is_back { -90.0 } else { 90.0 };
    let end_bend = if from.x < to.x { -90.0 } else { 90.0 };
    let (one, two) = (start.x + bend, end.x + end_bend);
    let _ = writeln!(
        lines,
        "<path class=\"{class}\" marker-end=\"url(#{class})\" \
         d=\"M{:.1} {:.1} C{one:.1} {:.1} {two:.1} {:.1} {:.1} {:.1}\"/>",
        start.x, start.y, start.y, end.y, end.x, end.y
    );
    let curve = |t: f64| {
        let s = 1.0 - t;
        let at = |a: f64, b: f64, c: f64, d: f64| {
            s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
        };
        let (x, y) = (at(start.x, one, two, end.x), at(start.y, start.y, end.y, end.y));
        Point { x, y: y - 5.0 }
    };
    let Point { x, y } = labels.place(curve);
    let mut label = edge.level.clone();
    if 0 < edge.depth {
        let _ = write!(label, " +{}", edge.depth);
    }
    let mut about = format!("{} vouches for {} until {}", edge.from, edge.to, edge.until);
    if !edge.protocols.is_empty() {
        let _ = write!(about, ", for {}", edge.protocols.join(", "));
    }
    if let Some(weight) = edge.weight {
        let _ = write!(about, "; passes on {weight:.3}");
    }
    let _ = writeln!(
        labels.text,
        "<text class=\"label {class}\" x=\"{x:.1}\" y=\"{y:.1}\"><title>{}</title>{}</text>",
        markup(&about),
        markup(&label)
    );
}

/// The labels of lines, each where none stood before.
#[derive(Default)]
struct Labels {
    text: String,
    boxes: Vec<Point>,
    taken: Vec<Point>,
}

impl Labels {
    /// Finds a place on a line: near a third of its way, unless something is there.
    fn place(&mut self, curve: impl Fn(f64) -> Point) -> Point {
        let steps = [0.35, 0.27, 0.43, 0.51, 0.19, 0.59, 0.67, 0.75, 0.12, 0.83];
        let found = steps.into_iter().map(&curve).find(|place| self.is_free(*place));
        let place = found.unwrap_or_else(|| curve(0.35));
        self.taken.push(place);
        place
    }

    fn is_free(&self, at: Point) -> bool {
        let near = |other: &Point| {
            (other.x - at.x).abs() < LABEL_WIDTH && (other.y - at.y).abs() < LABEL_HEIGHT
        };
        let half = LABEL_WIDTH / 2.0;
        let on = |place: &Point| {
            place.x - half < at.x
                && at.x < place.x + BOX_WIDTH + half
                && place.y < at.y
                && at.y < place.y + BOX_HEIGHT + LABEL_HEIGHT
        };
        !self.taken.iter().any(near) && !self.boxes.iter().any(on)
    }
}

/// Shortens a DID in its middle: its beginning says the method, its end whose it is.
fn short(did: &str) -> String {
    let chars: Vec<char> = did.chars().collect();
    if chars.len() <= LABEL_CHARS {
        return did.to_owned();
    }
    let half = LABEL_CHARS / 2 - 1;
    let (head, tail) = (chars.iter().take(half), chars.iter().skip(chars.len() - half - 1));
    head.chain(['…'].iter()).chain(tail).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count of boxes")]
const fn number(count: usize) -> f64 {
    count as f64
}

const STYLE: &str = "<style>\
.title{font-size:18px;font-weight:bold}.dim{fill:#555;font-size:12px}\
.node{fill:#f6f7f9;stroke:#8a929c}.anchor{fill:#e3eefb;stroke:#2b6cb0;stroke-width:2}\
path{fill:none;stroke-width:1.6}path.good{stroke:#23794a}\
path.unknown{stroke:#777;stroke-dasharray:6 4}path.revoked{stroke:#b3261e;stroke-dasharray:2 4}\
.label{font-size:12px;text-anchor:middle;stroke:#fff;stroke-width:4px;paint-order:stroke;stroke-linejoin:round}\
.label.good{fill:#1d633c}.label.unknown{fill:#555}.label.revoked{fill:#b3261e}\
</style>\n\
<defs>\
<marker id=\"good\" markerWidth=\"9\" markerHeight=\"8\" refX=\"1\" refY=\"4\" orient=\"auto\"><path d=\"M0 0L9 4L0 8z\" style=\"fill:#23794a\"/></marker>\
<marker id=\"unknown\" markerWidth=\"9\" markerHeight=\"8\" refX=\"1\" refY=\"4\" orient=\"auto\"><path d=\"M0 0L9 4L0 8z\" style=\"fill:#777\"/></marker>\
<marker id=\"revoked\" markerWidth=\"9\" markerHeight=\"8\" refX=\"1\" refY=\"4\" orient=\"auto\"><path d=\"M0 0L9 4L0 8z\" style=\"fill:#b3261e\"/></marker>\
</defs>\n";

const LEGEND: &str = "<g class=\"dim\">\
<path class=\"good\" d=\"M30 82h36\"/><text class=\"dim\" x=\"72\" y=\"86\">known to hold</text>\
<path class=\"unknown\" d=\"M180 82h36\"/><text class=\"dim\" x=\"222\" y=\"86\">not known to hold now</text>\
<path class=\"revoked\" d=\"M380 82h36\"/><text class=\"dim\" x=\"422\" y=\"86\">revoked</text>\
<text class=\"dim\" x=\"500\" y=\"86\">+1: counts for one step more</text></g>\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn node(did: &str, distance: usize) -> GraphNode {
        GraphNode { did: did.to_owned(), distance, level: "message".to_owned() }
    }

    fn edge(from: &str, to: &str, state: &str) -> GraphEdge {
        GraphEdge {
            id: "x".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            protocols: Vec::new(),
            level: "message".to_owned(),
            depth: 1,
            until: "2027-02-20T07:41:28Z".to_owned(),
            state: state.to_owned(),
            weight: Some(0.085),
        }
    }

    fn graph(nodes: Vec<GraphNode>, edges: Vec<GraphEdge>) -> VouchGraph {
        let (agent, protocol) = ("did:key:a".to_owned(), "https://example.org/a/1.0".to_owned());
        VouchGraph { agent, protocol, nodes, edges, is_part: false }
    }

    #[test]
    fn peers_write_nothing_into_the_picture_but_text() {
        let hostile = "did:x:\"/><script>alert('1')</script>&\u{202e}\u{1b}";
        let mut edge = edge(hostile, "did:key:b", "good");
        edge.level = hostile.to_owned();
        edge.protocols = vec![hostile.to_owned()];
        let drawn = svg(hostile, &graph(vec![node(hostile, 0), node("did:key:b", 1)], vec![edge]));
        assert!(!drawn.contains("<script") && !drawn.contains("'1'"), "{drawn}");
        assert!(drawn.contains("&lt;script&gt;alert(&#39;1&#39;)"), "{drawn}");
        assert!(!drawn.contains(['\u{202e}', '\u{1b}']), "{drawn}");
        assert!(!drawn.contains("href"), "nothing is fetched by it");
    }

    #[test]
    fn columns_follow_the_distance_and_a_vouch_in_doubt_is_dashed() {
        let nodes = vec![node("did:key:a", 0), node("did:key:b", 1), node("did:key:c", 2)];
        let edges = vec![
            edge("did:key:a", "did:key:b", "good"),
            edge("did:key:b", "did:key:c", "unknown"),
            edge("did:key:c", "did:key:a", "revoked"),
        ];
        let graph = graph(nodes, edges);
        let places = places(&graph);
        let x = |did: &str| places.get(did).map(|place| place.x);
        assert!(x("did:key:a") < x("did:key:b") && x("did:key:b") < x("did:key:c"));
        let drawn = svg("bruno", &graph);
        for class in ["good", "unknown", "revoked"] {
            let line = format!("<path class=\"{class}\" marker-end");
            assert_eq!(drawn.matches(&line).count(), 1, "{drawn}");
        }
        assert!(STYLE.contains("path.unknown{stroke:#777;stroke-dasharray"));
    }
}
