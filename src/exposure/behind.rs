//! `tarim exposure behind`: the exposures that use something of a counter.

use anyhow::bail;
use tarim_decision::exposure::{Core, CounterUse, Filter, scheme::Scope};

use super::{When, exposures, known_limit, known_member, per, show};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure behind --member 001 --limit industry_section --per industry.section=J\n  \
    tarim exposure behind --member 001 --limit single_customer --per customer=c0001")]
pub struct Args {
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
    pub when: When,
}

pub fn run(core: &Core, args: &Args) -> anyhow::Result<()> {
    known_limit(core, &args.limit)?;
    if !args.member.is_empty() {
        known_member(core, &args.member)?;
    }
    let asked = args.per.join(", ");
    let is = |counter: &CounterUse| counter.member == args.member && parts(&per(counter)) == parts(&asked);
    let filter = Filter { limit: Some(&args.limit), ..Filter::default() };
    // A counter begins with the first exposure that uses it.
    let all = match core.utilisation(filter).find(is) {
        Some(counter) => core.behind(&counter).collect(),
        None => {
            check(core, args)?;
            Vec::new()
        }
    };
    show(all, exposures, "nothing is reserved or out under it");
    Ok(())
}

/// Refuses what can be no counter of the limit.
fn check(core: &Core, args: &Args) -> anyhow::Result<()> {
    let limit = &args.limit;
    let schemes = core.schemes();
    let Some(scheme) = schemes.schemes.iter().find(|scheme| scheme.id == *limit) else { return Ok(()) };
    match (scheme.scope(), args.member.is_empty()) {
        (Scope::Member, true) => bail!("limit `{limit}` is of each member by itself: name one with --member"),
        (Scope::Federation, false) => bail!("limit `{limit}` is of all members together: leave --member out"),
        _ => {}
    }
    let wanted: Vec<_> = scheme.per.iter().map(|per| schemes.name_of(per)).collect();
    let mut given: Vec<_> = args.per.iter().map(|per| per.split('=').next().unwrap_or_default()).collect();
    let mut sorted: Vec<_> = wanted.iter().map(String::as_str).collect();
    given.sort_unstable();
    sorted.sort_unstable();
    if given == sorted {
        return Ok(());
    }
    if wanted.is_empty() {
        bail!("limit `{limit}` has one counter for all: leave --per out");
    }
    let write: Vec<_> = wanted.iter().map(|name| format!("--per {name}=VALUE")).collect();
    bail!("limit `{limit}` has a counter for each {}: write {}", wanted.join(" and "), write.join(" "))
}

/// What a counter is apart by, in one order, whoever wrote it.
fn parts(per: &str) -> Vec<&str> {
    let mut parts: Vec<_> = per.split(", ").collect();
    parts.sort_unstable();
    parts
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
}
