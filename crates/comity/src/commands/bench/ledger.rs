//! What the log costs: messages through two nodes that keep one and through two that do not, in turns, of which
//! every other is the other way round, so that what else the machine does meets both.

use std::fs;

use serde::Serialize;

use super::{Args, figures::Figures, measure};
use crate::{commands::Context, error::CliError, folder::Folder, output::columns};

/// How often each is measured: first as often as second.
const TURNS: usize = 4;

/// The settings of a node that keeps no log.
const WITHOUT: &str = "[ledger]\nkept = false\n";

/// What came out.
#[derive(Debug, Serialize)]
struct Compared {
    /// Messages a second of each turn with the log.
    with_per_s: Vec<f64>,
    /// Without.
    without_per_s: Vec<f64>,
    /// Processor time of both nodes for a message, with the log.
    with_cpu_us: Vec<f64>,
    /// Without.
    without_cpu_us: Vec<f64>,
    /// Mean rate with it, of that without.
    ratio: f64,
    /// Mean processor time with it, of that without.
    cpu_ratio: f64,
}

pub(super) async fn tell(args: &Args, folder: &Folder, context: &Context) -> Result<(), CliError> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let mut both = [("without", Some(WITHOUT), &mut without), ("with", None, &mut with)];
        if turn % 2 == 1 {
            both.reverse();
        }
        for (name, settings, into) in both {
            let folder = folder.path().join(format!("{name}-{turn}"));
            for node in ["node-a", "node-b"] {
                let data = folder.join(node);
                let written = fs::create_dir_all(&data).and_then(|()| {
                    settings
                        .map_or(Ok(()), |settings| fs::write(data.join("comity.toml"), settings))
                });
                written.map_err(|error| {
                    CliError::config("folder", "A node's folder cannot be made").why(error)
                })?;
            }
            into.push(measure(args, &folder, context).await?);
        }
    }
    let rates = |figures: &[Figures]| figures.iter().map(Figures::rate).collect::<Vec<f64>>();
    let cpu = |figures: &[Figures]| figures.iter().map(Figures::cpu_us).collect::<Vec<f64>>();
    let compared = Compared {
        ratio: mean_ratio(&rates(&with), &rates(&without)),
        cpu_ratio: mean_ratio(&cpu(&with), &cpu(&without)),
        with_per_s: rates(&with),
        without_per_s: rates(&without),
        with_cpu_us: cpu(&with),
        without_cpu_us: cpu(&without),
    };
    context.output.object(&compared, || describe(&compared))
}

fn describe(compared: &Compared) -> String {
    let all = |values: &[f64]| {
        values.iter().map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(", ")
    };
    columns(&[
        vec!["messages/s with the log".to_owned(), all(&compared.with_per_s)],
        vec!["messages/s without".to_owned(), all(&compared.without_per_s)],
        vec!["us CPU/message with it".to_owned(), all(&compared.with_cpu_us)],
        vec!["us CPU/message without".to_owned(), all(&compared.without_cpu_us)],
        vec![
            "the log leaves".to_owned(),
            format!(
                "{:.1} % of the messages, for {:.1} % of the processor time",
                100.0 * compared.ratio,
                100.0 * compared.cpu_ratio
            ),
        ],
    ])
}

/// The mean of some measurements, of that of as many others.
fn mean_ratio(some: &[f64], others: &[f64]) -> f64 {
    some.iter().sum::<f64>() / others.iter().sum::<f64>()
}
