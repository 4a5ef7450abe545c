//! `tarim exposure`: what is out, beside what may be. What reads takes the ledger's folder and changes nothing, so it may run
//! beside the server; what changes something asks the server ([`ask`]).

mod ask;
mod behind;
pub mod events;

use anyhow::bail;
use comfy_table::{CellAlignment, Table};
use tarim_datamart::Value;
use tarim_decision::exposure::{Core, CounterUse, ExposureState, Filter, Large as LargeExposure, as_of};

use crate::{
    home::Home,
    materialize::{LINES, parse_time},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Sum every exposure anew and compare it with every counter
    #[command(after_help = "Examples:\n  tarim exposure check\n  tarim exposure check --as-of 2026-06-30")]
    Check(When),
    /// Show how much of each limit is used
    Show(Show),
    /// List the exposures that use something of a counter
    Behind(behind::Args),
    /// List the exposures of a customer, the newest first
    Customer(Customer),
    /// List large exposures that are to be filed
    Large(Large),
    /// Show what was told, or is to be, of large exposures, as events that the warning pipeline reads
    Events(Events),
    /// Ask a server to take room for an exposure
    Reserve(ask::Reserve),
    /// Ask a server to turn what is reserved into what is out
    Commit(ask::Commit),
    /// Ask a server to give back what was out
    #[command(after_help = "Example:\n  tarim exposure repay a1 --member 001 --key pay-1 --fen 1000000")]
    Repay(ask::Part),
    /// Ask a server to give back what was reserved and not drawn
    Release(ask::Release),
    /// Tell a server that a large exposure was filed
    File(ask::File),
}

#[derive(clap::Args)]
struct When {
    /// As it was at this time: 2026-06-30T00:00:00Z, or a date [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    as_of: Option<i64>,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure show --member 001 --used 0.8\n  \
    tarim exposure show --limit single_customer --as-of 2026-06-30T00:00:00Z")]
struct Show {
    /// Of this member, and of the federation
    #[arg(long, value_name = "CODE")]
    member: Option<String>,
    /// Of this limit
    #[arg(long, value_name = "ID")]
    limit: Option<String>,
    /// Of which at least this share is used: 0.8 is 80 %
    #[arg(
        long,
        default_value_t = 0.0,
        allow_negative_numbers = true,
        value_name = "SHARE",
        value_parser = share
    )]
    used: f64,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  tarim exposure customer --member 001 c0001")]
struct Customer {
    /// Code of the legal entity
    #[arg(long, value_name = "CODE")]
    member: String,
    /// Number of the customer
    customer: String,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure large --member 001\n  \
    tarim exposure large --member 001 --all --as-of 2026-06-30")]
struct Large {
    /// Code of the legal entity
    #[arg(long, value_name = "CODE")]
    member: String,
    /// Those too that were filed
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure events\n  \
    tarim exposure events --from 4711 > events.ndjson")]
struct Events {
    /// From this operation of the ledger on
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    from: u64,
}

/// No counter is used ten times over: whoever asks for more means percent.
const SHARE_MAX: f64 = 10.0;

/// A share of a hard line; a counter that is over it uses more than 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=SHARE_MAX).contains(&share) => Ok(share),
        _ => Err(format!("write a share from 0 to {SHARE_MAX}: 0.8 is 80 %")),
    }
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let core = |when: &When| as_of(&home.exposure(), when.as_of.unwrap_or(i64::MAX));
    match args.verb {
        Verb::Check(when) => check(&core(&when)?),
        Verb::Show(args) => {
            let core = core(&args.when)?;
            let (member, limit) = (args.member.as_deref(), args.limit.as_deref());
            if let Some(member) = member {
                known_member(&core, member)?;
            }
            if let Some(limit) = limit {
                known_limit(&core, limit)?;
            }
            let all = core.utilisation(Filter { member, limit, used_share: args.used });
            let none = match (limit, args.used > 0.0) {
                (_, true) => format!("no counter is used to {} of its hard line", args.used),
                (Some(_), false) => "nothing is reserved or out under it".into(),
                (None, false) => "nothing is reserved or out".into(),
            };
            show(all.collect(), counters, &none);
            Ok(())
        }
        Verb::Behind(args) => behind::run(&core(&args.when)?, &args),
        Verb::Customer(args) => {
            let core = core(&args.when)?;
            known_member(&core, &args.member)?;
            let all = core.exposures_of(&args.member, &args.customer);
            let none =
                format!("nothing was reserved for customer {} of member {}", args.customer, args.member);
            show(all.collect(), exposures, &none);
            Ok(())
        }
        Verb::Large(args) => {
            let core = core(&args.when)?;
            known_member(&core, &args.member)?;
            let all = core.large(&args.member, args.all);
            let none =
                if args.all { "there was no large exposure" } else { "no large exposure is to be filed" };
            show(all.collect(), large, none);
            Ok(())
        }
        Verb::Events(args) => events::show(&core(&When { as_of: None })?, args.from),
        Verb::Reserve(args) => ask::reserve(args),
        Verb::Commit(args) => ask::commit(args),
        Verb::Repay(args) => ask::repay(args),
        Verb::Release(args) => ask::release(args),
        Verb::File(args) => ask::file(args),
    }
}

/// Is it one of the limits that the ledger counts by?
fn known_limit(core: &Core, limit: &str) -> anyhow::Result<()> {
    known("--limit", limit, core.schemes().schemes.iter().map(|scheme| scheme.id.as_str()))
}

/// Is it a member of the federation that the ledger counts for, or one that has left it and still has exposures?
fn known_member(core: &Core, member: &str) -> anyhow::Result<()> {
    let members = &core.schemes().members;
    if !members.iter().any(|code| code == member) && core.all_exposures().any(|e| e.member == member) {
        return Ok(());
    }
    known("--member", member, members.iter().map(String::as_str))
}

/// Refuses what is not there: an empty table would be taken for an answer.
fn known<'a>(flag: &str, name: &str, all: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        bail!(
            "{flag} {name}: the ledger had no limits then; `tarim serve` gives it those of the published rulebook"
        );
    }
    if !all.contains(&name) {
        bail!("{flag} {name}: the ledger does not know it; there are {}", all.join(", "));
    }
    Ok(())
}

fn check(core: &Core) -> anyhow::Result<()> {
    if let Err(what) = core.verify() {
        bail!(
            "the ledger is not the sum of its exposures: {what}\n    fix: this is a defect of Tarim: keep the folder, and report it"
        );
    }
    let mut table = plain();
    let over = core.utilisation(Filter::default()).filter(|counter| counter.headroom_fen() < 0).count();
    for (what, count) in [
        ("operations", core.sequence()),
        ("exposures", core.exposures().into()),
        ("counters", core.counters().into()),
        ("counters over their hard line", over as u64),
    ] {
        table.add_row([what.to_owned(), count.to_string()]);
    }
    println!("{table}\nevery counter is the sum of its exposures");
    Ok(())
}

/// The table of what there is. An empty one would leave open whether there is nothing, or nothing was found.
fn show<T>(all: Vec<T>, table: impl FnOnce(Vec<T>) -> Table, none: &str) {
    if all.is_empty() {
        println!("{none}");
    } else {
        println!("{}", table(all));
    }
}

fn counters(mut all: Vec<CounterUse>) -> Table {
    let mut table = plain();
    table.set_header(["limit", "member", "per", "used fen", "warning line", "hard line", "headroom", "used"]);
    // Of a limit together, those with the least room first.
    all.sort_by_cached_key(|c| (c.limit.clone(), c.headroom_fen(), c.member.clone(), per(c)));
    for counter in all {
        table.add_row([
            counter.limit.clone(),
            counter.member.clone(),
            per(&counter),
            counter.used_fen.to_string(),
            counter.warning_fen.to_string(),
            counter.hard_fen.to_string(),
            counter.headroom_fen().to_string(),
            format!("{:.1} %", 100.0 * counter.used_fen as f64 / counter.hard_fen as f64),
        ]);
    }
    right(&mut table, 3..8);
    table
}

fn exposures(all: Vec<ExposureState>) -> Table {
    let mut table = plain();
    table.set_header([
        "member",
        "exposure",
        "customer",
        "group",
        "attributes",
        "reserved fen",
        "outstanding",
        "expires",
    ]);
    for state in all {
        let attributes: Vec<_> = state.attributes.iter().map(|a| format!("{}={}", a.name, a.value)).collect();
        table.add_row([
            state.member,
            state.exposure,
            state.customer,
            state.group.unwrap_or_default(),
            attributes.join(" "),
            state.reserved_fen.to_string(),
            state.outstanding_fen.to_string(),
            state.expires_us.map(time).unwrap_or_default(),
        ]);
    }
    right(&mut table, 5..7);
    table
}

fn large(all: Vec<LargeExposure>) -> Table {
    let mut table = plain();
    table.set_header(["number", "of", "id", "recognised", "fen then", "fen now", "filed", "by"]);
    for large in all {
        let (reference, officer, at) = large.filed.unwrap_or_default();
        let filed = if at == 0 { "to be filed".into() } else { format!("{} {reference}", time(at)) };
        table.add_row([
            large.number.to_string(),
            if large.is_customer { "customer" } else { "group" }.to_owned(),
            large.id,
            time(large.recognised_us),
            large.fen.to_string(),
            large.used_fen.to_string(),
            filed,
            officer,
        ]);
    }
    right(&mut table, 4..6);
    table
}

fn per(counter: &CounterUse) -> String {
    counter.per.iter().map(|a| format!("{}={}", a.name, a.value)).collect::<Vec<_>>().join(", ")
}

fn time(us: i64) -> String {
    Value::Timestamp(us).to_string()
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_neither_below_nothing_nor_percent() {
        assert_eq!((share("0"), share("1.5")), (Ok(0.0), Ok(1.5)));
        for wrong in ["-0.1", "NaN", "inf", "80%", "80"] {
            assert!(share(wrong).unwrap_err().contains("0.8 is 80 %"), "{wrong}");
        }
    }
}
