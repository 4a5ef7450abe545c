//! zen-engine as a contestant: the graph compiled once and its inputs parsed beforehand.
//!
//! `peer-zen GRAPH INPUTS` reads a decision graph and a JSON array of inputs, answers with one line, the JSON
//! array of results, and then with one line for each line it is sent: the nanoseconds per evaluation
//! of one pass over all inputs. It ends with its standard input.

use std::{hint::black_box, io::Write, time::Instant};

use anyhow::Context;
use zen_engine::{Decision, Variable, model::GraphContent};

/// As Tarim's own programs: an evaluation allocates a great deal.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut files = std::env::args().skip(1);
    let mut file = |what: &str| -> anyhow::Result<String> {
        let path = files.next().with_context(|| format!("name the {what}: peer-zen GRAPH INPUTS"))?;
        std::fs::read_to_string(&path).with_context(|| path)
    };
    let graph: GraphContent = serde_json::from_str(&file("graph")?)?;
    let inputs: Vec<serde_json::Value> = serde_json::from_str(&file("inputs")?)?;
    let inputs: Vec<Variable> = inputs.into_iter().map(Variable::from).collect();
    let mut decision = Decision::from(graph);
    decision.compile();

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = std::io::stdout().lock();
    let results: Vec<serde_json::Value> = runtime.block_on(async {
        let mut results = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let response = decision.evaluate(input.clone()).await.map_err(|e| anyhow::anyhow!("{e}"))?;
            results.push(response.result.to_value());
        }
        anyhow::Ok(results)
    })?;
    writeln!(out, "{}", serde_json::to_string(&results)?)?;
    out.flush()?;
    for line in std::io::stdin().lines() {
        line?;
        let taken = runtime.block_on(async {
            let start = Instant::now();
            for input in &inputs {
                // The clone is of a reference: the engine takes its input by value.
                let response = decision.evaluate(input.clone()).await;
                black_box(response.is_ok());
                black_box(response.ok());
            }
            start.elapsed()
        });
        writeln!(out, "{}", taken.as_nanos() as f64 / inputs.len() as f64)?;
        out.flush()?;
    }
    Ok(())
}
