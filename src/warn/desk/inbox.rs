//! `tarim warn inbox | digest`: what was pushed to an account manager.

use std::fmt::Write;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table};
use tarim_datamart::nearest;
use tarim_proto::warning::v1::{DigestLine, Level, ListPushesRequest, PushKind, PushMessage};
use tarim_warning::delivery::push_json;

use super::{Desk, known, said, show, there_are};
use crate::materialize::LINES;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn inbox --member 001 --manager m001003\n  \
    tarim warn inbox --member 001 --manager branch_head --kind escalation\n  \
    tarim warn inbox --member 001 --manager unassigned --json")]
pub struct Inbox {
    #[command(flatten)]
    desk: Desk,
    /// Only to this account manager, to `unassigned`, or to this role
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// Only of this kind
    #[arg(long, value_enum)]
    kind: Option<KindWord>,
    /// Most pushes to show, the newest first
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn digest --member 001 --manager m001003\n  \
    tarim warn digest --member 001 --manager m001003 --back 1      # the one before the last")]
pub struct Digest {
    #[command(flatten)]
    desk: Desk,
    /// Whose digest: an account manager, `unassigned`, or a role
    #[arg(long, value_name = "NAME")]
    manager: String,
    /// So many digests before the last one
    #[arg(long, default_value_t = 0, value_name = "N")]
    back: usize,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum KindWord {
    Alert,
    Digest,
    Escalation,
}

impl KindWord {
    fn wire(self) -> PushKind {
        match self {
            Self::Alert => PushKind::Alert,
            Self::Digest => PushKind::Digest,
            Self::Escalation => PushKind::Escalation,
        }
    }
}

pub fn inbox(args: Inbox) -> anyhow::Result<()> {
    let manager = args.manager.unwrap_or_default();
    let request = ListPushesRequest {
        member: args.desk.member.clone(),
        manager: manager.clone(),
        kind: args.kind.map_or(PushKind::Unspecified, KindWord::wire).into(),
        ..Default::default()
    };
    let mut pushes = Vec::new();
    let (more, others) = list(&args.desk, request, |push| {
        pushes.push(push);
        pushes.len() < args.limit
    })?;
    // Whoever has customers to whom nothing happens is not told anything either, so this is no error.
    if let Some(others) = others {
        eprintln!("nothing was pushed to `{}` of member {}; {others}", manager, args.desk.member);
    }
    if args.desk.json {
        pushes.iter().for_each(|push| println!("{}", push_json(push)));
        return Ok(());
    }
    println!("{}", table(&pushes));
    let rest = if more { "; there are more: give a higher --limit, or say which" } else { "" };
    println!("{} pushes{rest}", pushes.len());
    Ok(())
}

pub fn digest(args: Digest) -> anyhow::Result<()> {
    let request = ListPushesRequest {
        member: args.desk.member.clone(),
        manager: args.manager.clone(),
        kind: PushKind::Digest.into(),
        ..Default::default()
    };
    // All parts of the one that is wanted: the last part comes first.
    let (mut parts, mut numbers): (Vec<PushMessage>, Vec<u32>) = (Vec::new(), Vec::new());
    let (_, others) = list(&args.desk, request, |push| {
        let number = push.digest.as_ref().map_or(0, |digest| digest.number);
        if numbers.last() != Some(&number) {
            numbers.push(number);
        }
        if numbers.len() == args.back + 1 {
            parts.push(push);
        }
        numbers.len() <= args.back + 1
    })?;
    parts.reverse();
    let first = parts.first().with_context(|| match numbers.len() {
        0 => {
            let others = others.map_or_else(String::new, |others| format!("\n    nothing was pushed to it at all; {others}"));
            format!(
                "`{}` of member {} had no digest yet: at the times of day that `digest_at` says ([delivery] in warnings/ of the \
                 rulebook) there is one for everybody for whom something waits{others}",
                args.manager, args.desk.member
            )
        }
        n => format!(
            "`{}` of member {} had {n} digests: give a smaller --back",
            args.manager, args.desk.member
        ),
    })?;
    if args.desk.json {
        parts.iter().for_each(|push| println!("{}", push_json(push)));
        return Ok(());
    }
    println!("{} · digest of {}/{}", show::minute(first.at_us), first.member, first.manager);
    print!("{}", card(&parts));
    Ok(())
}

/// Pushes, the newest first, until `wants` has seen enough. True: there are more. And of a manager to whom nothing was pushed, to
/// whom something was.
fn list(
    desk: &Desk,
    mut request: ListPushesRequest,
    mut wants: impl FnMut(PushMessage) -> bool,
) -> anyhow::Result<(bool, Option<String>)> {
    desk.ask(async |client| {
        loop {
            let answer = said(client.list_pushes(request.clone()).await)?;
            known("--member", &request.member, &answer.known_members)?;
            let others = there_are(&answer.known_managers).map(|others| {
                let names: Vec<&str> = answer.known_managers.iter().map(String::as_str).collect();
                let near = nearest(&request.manager, &names);
                others + &near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
            });
            let mut pushes = answer.pushes.into_iter();
            while let Some(push) = pushes.next() {
                if !wants(push) {
                    return Ok((pushes.next().is_some() || !answer.next_page_token.is_empty(), others));
                }
            }
            if answer.next_page_token.is_empty() {
                return Ok((false, others));
            }
            request.page_token = answer.next_page_token;
        }
    })
}

/// One line a push.
fn table(pushes: &[PushMessage]) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header(["pushed", "to", "kind", "level", "customer", "what", "warning"]);
    for push in pushes {
        let (level, customer, what) = match (&push.digest, &push.escalation, &push.alert) {
            (Some(digest), ..) => {
                let lines = || digest.groups.iter().flat_map(|group| &group.lines);
                let alerts: u64 = lines().map(|line| u64::from(line.alerts)).sum();
                let part = if digest.parts > 1 {
                    format!(" (part {} of {})", digest.part, digest.parts)
                } else {
                    String::new()
                };
                let gravest = lines().map(DigestLine::level).max().unwrap_or_default();
                let what = format!("{} warnings, {alerts} alerts{part}", lines().count());
                (word(gravest), String::new(), what)
            }
            (_, Some(escalation), Some(alert)) => {
                let what = format!("{} (from {})", show::what(alert), escalation.from);
                (word(escalation.level()), alert.customer_id.clone(), what)
            }
            (.., Some(alert)) => (word(alert.level()), alert.customer_id.clone(), show::what(alert)),
            _ => Default::default(),
        };
        let kind = push.kind().as_str_name().trim_start_matches("PUSH_KIND_").to_lowercase();
        table.add_row([
            show::minute(push.at_us),
            push.manager.clone(),
            kind,
            level,
            customer,
            what,
            push.warning_id.clone(),
        ]);
    }
    table
}

/// A digest, group by group.
fn card(parts: &[PushMessage]) -> String {
    let mut card = String::new();
    for group in parts.iter().filter_map(|push| push.digest.as_ref()).flat_map(|digest| &digest.groups) {
        let title = [group.customer_id.as_str(), &group.group].into_iter().filter(|text| !text.is_empty());
        writeln!(card, "\n{}", title.collect::<Vec<_>>().join(" · ")).expect("a string grows");
        let mut table = Table::new();
        table.load_preset(LINES).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["level", "state", "alerts", "held back", "last raised", "what", "warning"]);
        for line in &group.lines {
            let from = match line.escalated_from.as_str() {
                "" => String::new(),
                from => format!(" (escalated from {from})"),
            };
            table.add_row([
                word(line.level()),
                line.state().as_str_name().trim_start_matches("STATE_").to_lowercase(),
                line.alerts.to_string(),
                line.held_back.to_string(),
                show::minute(line.last_raised_at_us),
                format!("{} {}{from}", line.zh, line.en).trim().to_owned(),
                line.warning_id.clone(),
            ]);
        }
        writeln!(card, "{table}").expect("a string grows");
    }
    card
}

fn word(level: Level) -> String {
    level.as_str_name().trim_start_matches("LEVEL_").to_lowercase()
}
