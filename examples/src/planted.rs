//! The ground truth: what was planted where.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// One thing that was planted.
pub struct Plant<'a> {
    /// `fraud_ring`, `structuring`, `guarantee_circle`, `default`, `default_90dpd`, a pattern of the events, or
    /// how a row was spoiled.
    pub kind: &'static str,
    pub member: &'a str,
    /// Table and key of the row that it shows in.
    pub table: &'a str,
    pub key: &'a str,
    /// What belongs together: the ring or circle; the loan or first event of a pattern.
    pub cluster: &'a str,
    pub detail: &'a str,
}

/// Folder of the ground truth, beside the files that are loaded.
pub const TRUTH: &str = "truth";

/// `truth/planted.csv`, and counts by kind.
pub struct Planted {
    out: BufWriter<File>,
    counts: BTreeMap<&'static str, u64>,
}

impl Planted {
    /// Creates `folder/truth/planted.csv`.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let folder = folder.join(TRUTH);
        std::fs::create_dir_all(&folder)?;
        let mut out = BufWriter::new(File::create(folder.join("planted.csv"))?);
        out.write_all(b"kind,member,table,key,cluster,detail\n")?;
        Ok(Self { out, counts: BTreeMap::new() })
    }

    /// Notes one.
    pub fn note(&mut self, plant: Plant<'_>) -> io::Result<()> {
        let Plant { kind, member, table, key, cluster, detail } = plant;
        *self.counts.entry(kind).or_default() += 1;
        writeln!(self.out, "{kind},{member},{table},{key},{cluster},\"{detail}\"")
    }

    /// Flushes the file; how many of each kind.
    pub fn finish(mut self) -> io::Result<BTreeMap<&'static str, u64>> {
        self.out.flush()?;
        Ok(self.counts)
    }
}
