//! What recommendations are worth: of the first ten that the formula and the model recommend, how many would be chosen by members
//! who choose in three ways (the crate `behaviours`). Nothing of it depends on the machine.

use behaviours::{Behaviour, FIRST, Precision, SEEDS, precision};

use crate::report::{Report, Row};

/// Measures all behaviours with all seeds.
pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut rows = Vec::new();
    for behaviour in Behaviour::ALL {
        let mut found = Vec::with_capacity(SEEDS.len());
        for seed in SEEDS {
            let precision = precision(behaviour, seed).map_err(anyhow::Error::msg)?;
            rows.push(row(behaviour, &seed.to_string(), precision));
            found.push(precision);
        }
        let mean = |of: fn(&Precision) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        let mean = Precision { formula: mean(|found| found.formula), model: mean(|found| found.model) };
        rows.push(row(behaviour, "mean", mean));
    }
    let about = vec![format!(
        "precision@{FIRST} of simulated members whom the model has never seen, recommended to each other after a time in which it \
         learnt from others; by the way in which members choose, and by seed."
    )];
    Ok(Report { bench: "recommend", engine: "simulated", about, rows })
}

fn row(behaviour: Behaviour, seed: &str, precision: Precision) -> Row {
    let points = (precision.model - precision.formula) * 100.0;
    Row::default()
        .with("members choose", behaviour.name())
        .with("seed", seed)
        .with("formula", precision.formula)
        .with("model", precision.model)
        .with("points", points)
}
