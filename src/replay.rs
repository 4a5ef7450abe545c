//! `tarim replay`.

use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_home: &Home, _args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`tarim replay` is not built yet")
}
