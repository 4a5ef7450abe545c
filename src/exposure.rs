//! `tarim exposure`: what is out, beside what may be. What reads takes the ledger's folder and changes nothing, so it may run
//! beside the server; what changes something asks the server ([`ask`]).

mod ask;
pub mod events;

use std::collections::BTreeMap;

use anyhow::bail;
use comfy_table::{CellAlignment, Table};
use tarim_datamart::Value;
use tarim_decision::exposure::{Core, CounterUse, ExposureState, Filter, as_of};

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
    Behind(Behind),
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
    /// Of which at least this share is used: 0.8
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
#[command(after_help = "Examples:\n  \
    tarim exposure behind --member 001 --limit industry_section --per industry.section=J\n  \
    tarim exposure behind --member 001 --limit single_customer --per customer=c0001")]
struct Behind {
    /// Of this member; of the federation's own limits without it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
    member: String,
    /// Limit of the counter, by its id in the rulebook
    #[arg(long, value_name = "ID")]
    limit: String,
    /// What the counter is apart by, as `show` tells it: customer=c1, industry.section=J. Once for each, in any order
    #[arg(long, value_name = "NAME=VALUE")]
    per: Vec<String>,
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

/// A share of a hard line; a counter that is over it uses more than 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| "write a share from 0 on, such as 0.8 for four fifths".into())
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
            println!("{}", counters(core.utilisation(Filter { member, limit, used_share: args.used })));
            Ok(())
        }
        Verb::Behind(args) => {
            let core = core(&args.when)?;
            known_limit(&core, &args.limit)?;
            if !args.member.is_empty() {
                known_member(&core, &args.member)?;
            }
            let filter = Filter { limit: Some(&args.limit), ..Filter::default() };
            let asked = args.per.join(", ");
            let is =
                |counter: &CounterUse| counter.member == args.member && parts(&per(counter)) == parts(&asked);
            match core.utilisation(filter).find(is) {
                Some(counter) => println!("{}", exposures(core.behind(&counter))),
                None => bail!(
                    "limit `{}` has no such counter; `tarim exposure show --limit {}` lists them",
                    args.limit,
                    args.limit
                ),
            }
            Ok(())
        }
        Verb::Customer(args) => {
            let core = core(&args.when)?;
            known_member(&core, &args.member)?;
            println!("{}", exposures(core.exposures_of(&args.member, &args.customer)));
            Ok(())
        }
        Verb::Large(args) => {
            let core = core(&args.when)?;
            known_member(&core, &args.member)?;
            println!("{}", large(&core, &args.member, args.all));
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

fn counters(all: impl Iterator<Item = CounterUse>) -> Table {
    let mut table = plain();
    table.set_header(["limit", "member", "per", "used fen", "warning line", "hard line", "headroom", "used"]);
    // Of a limit together, those with the least room first.
    let mut ordered: BTreeMap<(String, i64, String, String), CounterUse> = BTreeMap::new();
    for counter in all {
        let key = (counter.limit.clone(), counter.headroom_fen(), counter.member.clone(), per(&counter));
        ordered.insert(key, counter);
    }
    for counter in ordered.into_values() {
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

fn exposures(all: impl Iterator<Item = ExposureState>) -> Table {
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

fn large(core: &Core, member: &str, all: bool) -> Table {
    let mut table = plain();
    table.set_header(["number", "of", "id", "recognised", "fen then", "fen now", "filed", "by"]);
    for large in core.large(member, all) {
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

/// What a counter is apart by, in one order, whoever wrote it.
fn parts(per: &str) -> Vec<&str> {
    let mut parts: Vec<_> = per.split(", ").collect();
    parts.sort_unstable();
    parts
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
    fn what_a_counter_is_apart_by_has_no_order() {
        assert_eq!(parts("customer=c1, product=loan"), parts("product=loan, customer=c1"));
        assert_ne!(parts("customer=c1"), parts("customer=c1, product=loan"));
        assert_ne!(parts(""), parts("customer=c1"));
    }

    #[test]
    fn a_share_is_not_below_nothing() {
        assert_eq!((share("0"), share("1.5")), (Ok(0.0), Ok(1.5)));
        for wrong in ["-0.1", "NaN", "inf", "80%"] {
            assert!(share(wrong).unwrap_err().contains("0.8"), "{wrong}");
        }
    }
}
