//! `tarim sql`.

use crate::home::Home;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_home: &Home, _args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`tarim sql` is not built yet")
}
