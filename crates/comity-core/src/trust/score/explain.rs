//! A score as plain lines of text, for an operator.

use std::fmt;

use super::{Change, Extent, Level, Named, Path, Points, Score};
use crate::api::rfc3339;

impl<N: fmt::Display> Score<N> {
    /// Writes down the level, what it rests on, and what would change it, for a terminal or a log.
    /// Members of a list are indented by two spaces.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match self.named {
            Named::Anchor => {
                format!(
                    "{}: level {}; an anchor is at level message by itself",
                    self.of, self.level
                )
            }
            Named::NoAnchor if self.level == Level::Blocked => {
                format!("{}: no level by vouches", self.of)
            }
            Named::NoAnchor => format!("{}: level {} by vouches", self.of, self.level),
        }];
        lines.push(points(Level::Introduced, &self.introduced));
        lines.push(points(Level::Message, &self.message));
        if let Some(pair) = &self.pair {
            lines.push(format!("level {}: two paths that share nobody", self.level));
            lines.extend(pair.iter().map(|path| self.path(path)));
        }
        if self.extent == Extent::Part {
            lines.push("there are more vouches than are looked at; some may be missed".to_owned());
        }
        lines.push(match (self.paths_found, self.paths.len()) {
            (0, _) => "no path leads here from an anchor".to_owned(),
            (found, shown) if shown < found => {
                format!("paths, the strongest {shown} of {found}:")
            }
            _ => "paths, the strongest first:".to_owned(),
        });
        lines.extend(self.paths.iter().map(|path| self.path(path)));
        if !self.changes.is_empty() {
            lines.push("what would change it:".to_owned());
            lines.extend(self.changes.iter().map(|change| format!("  {change}")));
        }
        lines
    }

    fn path(&self, path: &Path<N>) -> String {
        let Path { anchor, via, points, level, until } = path;
        let via: String = via.iter().map(|node| format!(" > {node}")).collect();
        let until = rfc3339(*until);
        format!("  {anchor}{via} > {}: {points:.2} points, level {level}, until {until}", self.of)
    }
}

fn points(level: Level, points: &Points) -> String {
    let Points { has, needs, of_an_anchor_max, anchors } = points;
    format!(
        "level {level}: {has:.2} of {needs:.2} points, from {}, at most {of_an_anchor_max:.2} from each",
        counted(*anchors, "anchor"),
    )
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameAnchors { more } => {
                write!(
                    f,
                    "name {} more: no score is reached with fewer than three",
                    counted(*more, "anchor")
                )
            }
            Self::FurtherAnchors { level, more } => {
                write!(
                    f,
                    "level {level}: the vouch of {}, or as many points over others",
                    counted(*more, "further anchor")
                )
            }
            Self::FurtherPaths { level, more } => {
                let paths = counted(*more, "further path");
                write!(
                    f,
                    "level {level}: {paths} of at most two vouches at that level, sharing nobody"
                )
            }
            Self::RunsOut { at, to: Level::Blocked } => {
                write!(f, "no level from {}, when paths run out", rfc3339(*at))
            }
            Self::RunsOut { at, to } => {
                write!(f, "level {to} from {}, when paths run out", rfc3339(*at))
            }
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}
