//! `tarim materialize`.

use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_home: &Home, _args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`tarim materialize` is not built yet")
}
