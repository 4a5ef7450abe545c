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
struct Show {
    /// Of this member, and of the federation
    #[arg(long)]
    member: Option<String>,
    /// Of this limit
    #[arg(long)]
    limit: Option<String>,
    /// Of which at least this share is used: 0.8
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    used: f64,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
struct Behind {
    /// Of this member; of the federation's own limits without it
    #[arg(long, default_value = "")]
    member: String,
    #[arg(long)]
    limit: String,
    /// What the counter is apart by, as `show` tells it: customer=c1, industry.section=J
    #[arg(long, value_name = "NAME=VALUE")]
    per: Vec<String>,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
struct Customer {
    #[arg(long)]
    member: String,
    /// Number of the customer
    customer: String,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
struct Large {
    #[arg(long)]
    member: String,
    /// Those too that were filed
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
struct Events {
    /// From this operation of the ledger on
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    from: u64,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let core = |when: &When| as_of(&home.exposure(), when.as_of.unwrap_or(i64::MAX));
    match args.verb {
        Verb::Check(when) => check(&core(&when)?),
        Verb::Show(args) => {
            let filter = Filter {
                member: args.member.as_deref(),
                limit: args.limit.as_deref(),
                used_share: args.used,
            };
            println!("{}", counters(core(&args.when)?.utilisation(filter)));
            Ok(())
        }
        Verb::Behind(args) => {
            let core = core(&args.when)?;
            let filter = Filter { limit: Some(&args.limit), ..Filter::default() };
            let is =
                |counter: &CounterUse| counter.member == args.member && per(counter) == args.per.join(", ");
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
            println!("{}", exposures(core(&args.when)?.exposures_of(&args.member, &args.customer)));
            Ok(())
        }
        Verb::Large(args) => {
            println!("{}", large(&core(&args.when)?, &args.member, args.all));
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
