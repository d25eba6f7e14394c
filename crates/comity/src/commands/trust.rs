//! `comity trust`: what an agent's policy says about somebody, and why; who vouches for whom.

mod drawing;

use comity_core::api::{Explained, VouchGraph};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity trust`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what would become of somebody's message, why, and what would change it
    Explain {
        /// Whose message: a DID, a handle NAME@HOST, or the link of an invitation
        who: String,
        /// The agent whose policy is asked
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// For which protocol; else for basic messages
        #[arg(long = "for", value_name = "PIURI")]
        protocol: Option<String>,
    },
    /// Show who vouches for whom around an agent's anchors, as far as the node knows
    Graph {
        /// The agent whose anchors they are
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// For which protocol; else for basic messages
        #[arg(long = "for", value_name = "PIURI")]
        protocol: Option<String>,
        /// Print a picture, for a browser: comity trust graph --as NAME --svg > graph.svg
        #[arg(long, conflicts_with = "json")]
        svg: bool,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Explain { who, name, protocol } => explain(&who, &name, protocol, context).await,
        Command::Graph { name, protocol, svg } => {
            let mut path = format!("/admin/agents/{}/graph", encode(&name));
            if let Some(protocol) = &protocol {
                path.push_str(&format!("?protocol={}", encode(protocol)));
            }
            let graph: VouchGraph = context.client()?.get(&path).await?;
            let human = || if svg { drawing::svg(&name, &graph) } else { table(&graph) };
            context.output.object(&graph, human)
        }
    }
}

async fn explain(
    who: &str,
    name: &str,
    protocol: Option<String>,
    context: &Context,
) -> Result<(), CliError> {
    let mut path = format!("/admin/agents/{}/explain?who={}", encode(name), encode(who));
    if let Some(protocol) = &protocol {
        path.push_str(&format!("&protocol={}", encode(protocol)));
    }
    let explained: Explained = context.client()?.get(&path).await?;
    context.output.object(&explained, || text(&explained))
}

fn table(graph: &VouchGraph) -> String {
    if graph.nodes.is_empty() {
        return "There are no anchors yet: comity allow WHO --as NAME --anchor".to_owned();
    }
    let mut lines: Vec<String> = Vec::new();
    let node = |node: &comity_core::api::GraphNode| {
        let place = match node.distance {
            0 => "anchor".to_owned(),
            1 => "1 vouch away".to_owned(),
            more => format!("{more} vouches away"),
        };
        vec![escape(&node.did), place, format!("level {}", node.level)]
    };
    lines.push(columns(&graph.nodes.iter().map(node).collect::<Vec<_>>()));
    let edge = |edge: &comity_core::api::GraphEdge| {
        let weight = edge.weight.map_or("-".to_owned(), |weight| format!("{weight:.3}"));
        vec![
            format!("{} > {}", escape(&edge.from), escape(&edge.to)),
            format!("{} +{}", edge.level, edge.depth),
            format!("until {}", edge.until),
            edge.state.clone(),
            format!("weight {weight}"),
        ]
    };
    if !graph.edges.is_empty() {
        lines.push("Vouches".to_owned());
        lines.push(columns(&graph.edges.iter().map(edge).collect::<Vec<_>>()));
    }
    if graph.is_part {
        lines.push("There are more than are listed".to_owned());
    }
    lines.join("\n")
}

fn text(explained: &Explained) -> String {
    let decision = match explained.ground.as_deref() {
        Some(ground) => format!("{} ({ground})", explained.decision),
        None => explained.decision.clone(),
    };
    let mut lines = vec![
        format!("{decision}: {}", escape(&explained.why)),
        format!("  who       {}", escape(&explained.did)),
        format!("  protocol  {}", escape(&explained.protocol)),
        format!("  level     {}, needed: {}", explained.level, explained.needed),
    ];
    let with = |title: &str, more: &[String], lines: &mut Vec<String>| {
        if !more.is_empty() {
            lines.push(title.to_owned());
            lines.extend(more.iter().map(|line| format!("  {}", escape(line))));
        }
    };
    with("What is known", &explained.known, &mut lines);
    with("What would change it", &explained.changes, &mut lines);
    lines.join("\n")
}
