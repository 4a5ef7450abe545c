//! What verbs ask whose rulebook may let alerts spread.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tarim_warning::contagion::Network;

use crate::home::Home;

/// Along which edges alerts spread.
#[derive(clap::Args, Clone)]
pub struct Spread {
    /// Folder of the datamart, whose edges alerts spread along [default: datamart/ in the home]
    #[arg(long, value_name = "FOLDER")]
    datamart: Option<PathBuf>,
    /// Let no alert spread, whatever the rulebook says
    #[arg(long)]
    no_contagion: bool,
}

impl Spread {
    /// None: nothing spreads.
    pub fn network(&self, home: &Home) -> Option<Arc<Network>> {
        let folder = self.datamart.clone().unwrap_or_else(|| home.datamart());
        (!self.no_contagion).then(|| Arc::new(Network::of_datamart(&folder)))
    }
}

/// 90s, 30m, 1h or 1d; 0 is never.
pub fn span(text: &str) -> anyhow::Result<Duration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    const FIX: &str = "write it as 90s, 30m, 1h or 1d, or 0";
    let unit = text.chars().next_back().context(FIX)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().context(FIX)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => bail!(FIX),
    };
    Ok(Duration::from_secs(number.checked_mul(seconds).context(FIX)?))
}
