//! Loads a million generated rows and prints how long it took and how much memory.
//!
//! ```text
//! cargo run -p tarim-datamart --example million -- [ROWS]
//! ```
//!
//! One row in a thousand breaks a rule. It fails if the counts are not as planned, or if the peak of resident
//! memory is above 512 MiB: a load must not need memory in proportion to its file.

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tarim_datamart::{Datamart, LoadOptions, Standards, Tokeniser, checks::identity};

const STANDARD: &str = include_str!("million/transactions.toml");
const PEAK_MIB: u64 = 512;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let folder = tempfile::tempdir()?;
    let standards = folder.path().join("rulebook/standards");
    fs::create_dir_all(&standards)?;
    fs::write(standards.join("transactions.toml"), STANDARD)?;
    let file = folder.path().join("transactions.csv");
    generate(&file, rows)?;
    let bytes = fs::metadata(&file)?.len();
    let before = peak_mib()?;

    let mart =
        Datamart::open(&folder.path().join("datamart"), Standards::read(&folder.path().join("rulebook"))?)?;
    let tokeniser = Tokeniser::open_or_create(&folder.path().join("token.key"))?;
    let seen = Arc::new(AtomicU64::new(0));
    let progress = seen.clone();
    let options = LoadOptions {
        progress: Some(Arc::new(move |bytes| progress.store(bytes, Ordering::Relaxed))),
        ..LoadOptions::default()
    };
    let begun = Instant::now();
    let report = mart.load(&file, &options, &tokeniser).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let peak = peak_mib()?;

    println!("{report}");
    println!(
        "{rows} rows, {:.0} MB: {seconds:.1} s, {:.0} rows/s; peak memory {peak} MiB ({before} MiB before the load)",
        bytes as f64 / 1e6,
        rows as f64 / seconds,
    );
    let bad = rows.div_ceil(1000);
    if (report.record.good, report.record.bad) != (rows - bad, bad) {
        return Err(format!("{bad} bad rows were planned").into());
    }
    if seen.load(Ordering::Relaxed) != bytes {
        return Err("progress did not reach the end of the file".into());
    }
    if peak > PEAK_MIB {
        return Err(format!("the peak of memory is above {PEAK_MIB} MiB").into());
    }
    Ok(())
}

/// Transactions of ten thousand customers; every thousandth has a direction that no code list knows.
fn generate(path: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    writeln!(
        out,
        "txn_id,member,customer_id,id_number,booked_at,posted,direction,amount,balance_fen,channel,note"
    )?;
    for i in 0..rows {
        let customer = i.wrapping_mul(2_654_435_761) % 10_000;
        let body = format!(
            "450103{:04}{:02}{:02}{:03}",
            1950 + customer % 50,
            1 + customer % 12,
            1 + customer % 28,
            customer % 1000
        );
        let check = char::from(identity::check_character(body.as_bytes()).ok_or("17 digits")?);
        let direction = if i % 1000 == 0 { "X" } else { ["C", "D"][(i % 2) as usize] };
        let (day, second) = (i / 4000 % 28 + 1, i % 86_400);
        writeln!(
            out,
            "T{i:010},{:03},C{customer:06},{body}{check},2026-01-{day:02},2026-01-{day:02}T{:02}:{:02}:{:02}Z,{direction},\
             {}.{:02},{},{},{}",
            customer % 83,
            second / 3600,
            second / 60 % 60,
            second % 60,
            i % 5000,
            i % 100,
            i * 37 % 10_000_000,
            ["counter", "mobile", "atm", "web"][(i % 4) as usize],
            if i % 10 == 0 { "工资" } else { "" },
        )?;
    }
    Ok(out.flush()?)
}

/// Most resident memory that this process ever had.
fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib / 1024)
}
