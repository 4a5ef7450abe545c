//! `tarim replay`: makes journaled decisions again.

use std::path::{Path, PathBuf};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use tarim_datamart::gate::dates::iso_timestamp;
use tarim_decision::{
    convert,
    journal::{
        self,
        replay::{Event, Replay, Verdict, made_at_us},
    },
};
use tarim_proto::decision::v1::JournalEntry;

use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim replay\n  \
    tarim replay --from 2026-06-01 --to 2026-07-01\n  \
    tarim replay --member 001 --request-id r-17\n\n\
    Each decision is made again by the published rulebook of its own version, from its own recorded \
    inputs. The exit code is 1 if any differs by a bit or cannot be made again, or if there is none at all of \
    what was named. A server may be running.")]
pub struct Args {
    /// Folder of the journal; default: the installation's
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
    /// Only decisions made at this time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Only decisions made before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
    /// Only decisions of this member
    #[arg(long, value_name = "CODE")]
    member: Option<String>,
    /// Only the decisions of this request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

fn time(text: &str) -> Result<i64, String> {
    iso_timestamp(text).ok_or_else(|| "write it like 2026-06-30T10:00:00Z or 2026-06-30".into())
}

impl Args {
    fn chooses(&self, entry: &JournalEntry) -> bool {
        let at = entry.decision.as_ref().and_then(|d| convert::microseconds(d.decided_at.as_ref()?).ok());
        let at = at.or_else(|| made_at_us(entry));
        // An entry without a time is damaged: it is shown, not skipped.
        let within =
            at.is_none_or(|at| self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to));
        within
            && self.member.as_ref().is_none_or(|member| *member == entry.member)
            && self.request_id.as_ref().is_none_or(|id| *id == entry.request_id)
    }

    /// What is wrong if none of the decisions of a journal was chosen; None: a period may be without any.
    fn nothing(&self, folder: &Path, read: u64) -> Option<String> {
        let folder = folder.display();
        if read == 0 {
            return Some(format!(
                "{folder} has no decision: nothing was made again\n    fix: name the folder of the journal with --journal, or \
                 the installation with --home"
            ));
        }
        let member = self.member.as_ref().map(|member| format!("member `{member}`"));
        let request = self.request_id.as_ref().map(|id| format!("request `{id}`"));
        let named: Vec<String> = member.into_iter().chain(request).collect();
        let within = if self.from.or(self.to).is_some() { " within --from and --to" } else { "" };
        (!named.is_empty()).then(|| {
            format!(
                "none of the {read} decisions in {folder} is of {}{within}: nothing was made again\n    fix: see how they are \
                 written; without --member and --request-id all are made again",
                named.join(" and ")
            )
        })
    }
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let folder = args.journal.clone().unwrap_or_else(|| home.journal());
    if !folder.is_dir() {
        bail!(
            "there is no journal in {}: nothing was made again\n    fix: name its folder with --journal, or the \
             installation with --home",
            folder.display()
        );
    }
    let progress = ProgressBar::new(journal::size(&folder)?);
    progress.set_style(ProgressStyle::with_template(
        "{bar:30} {bytes} of {total_bytes}, {msg} decisions ({elapsed})",
    )?);
    let (mut read, mut replayed, mut differ, mut unreadable) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut first = None;
    let mut last = None;
    Replay::new(&home.published()).run(&folder, &|entry| args.chooses(entry), &mut |event| match event {
        Event::Read(bytes) => {
            read += 1;
            progress.inc(bytes);
        }
        Event::Replayed(number, entry, verdict) => {
            replayed += 1;
            first.get_or_insert(number);
            last = Some(number);
            if replayed.is_multiple_of(1024) {
                progress.set_message(replayed.to_string());
            }
            match verdict {
                Verdict::Same => {}
                Verdict::Differs(_) => differ += 1,
                Verdict::Unreadable(_) => unreadable += 1,
            }
            progress.suspend(|| show(number, entry, verdict));
        }
    })?;
    progress.finish_and_clear();
    if replayed == 0
        && let Some(what) = args.nothing(&folder, read)
    {
        bail!(what);
    }
    let range = match (first, last) {
        (Some(first), Some(last)) => format!(", numbers {first} to {last}"),
        _ => String::new(),
    };
    println!("{replayed} decisions made again{range}");
    println!("  {} the same, bit for bit", replayed - differ - unreadable);
    println!("  {differ} different");
    println!("  {unreadable} that cannot be made again");
    if differ + unreadable > 0 {
        bail!("{} of {replayed} decisions are not what they were", differ + unreadable);
    }
    Ok(())
}

/// Tells of a decision that is not the same.
fn show(number: u64, entry: &JournalEntry, verdict: &Verdict) {
    let about = format!("decision {number} (member {}, request {})", entry.member, entry.request_id);
    match verdict {
        Verdict::Same => {}
        Verdict::Unreadable(why) => println!("{about}: {why}"),
        Verdict::Differs(differences) => {
            println!("{about} differs:");
            for difference in differences {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
                println!("  {}", difference.field);
                println!("    recorded   {}", side(&difference.recorded));
                println!("    recomputed {}", side(&difference.recomputed));
            }
        }
    }
}
