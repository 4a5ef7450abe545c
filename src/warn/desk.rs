//! `tarim warn list | show | ack | dispose | escalate | close | inbox | digest`: what an account manager does, from a terminal.

mod inbox;
mod show;

use std::cmp::Reverse;

use anyhow::{Context, bail};
use tarim_proto::warning::v1::{
    ChangeRequest, GetWarningRequest, Level, ListWarningsRequest, State, Warning,
    warning_service_client::WarningServiceClient,
};
use tonic::{Response, Status, transport::Channel};

pub use self::inbox::{Digest, Inbox, digest, inbox};
use crate::{
    decide::{code, new_id},
    endpoint::{Tls, WARNINGS},
};

/// Where the server is, and how answers are shown.
#[derive(clap::Args)]
struct Desk {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:7411", value_name = "URL")]
    server: String,
    /// Code of the legal entity whose warnings they are
    #[arg(long, value_name = "CODE")]
    member: String,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: Tls,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn list --member 001\n  \
    tarim warn list --member 001 --state open --level orange --sort raised\n  \
    tarim warn list --member 001 --customer C000017 --json\n\n\
    `opened` is when the alert arose that opened the warning, `last raised` when the last of its alerts did. Unless --sort says \
    otherwise, the warnings that the desk opened last come first: mostly by `opened`, but alerts that arose before others may \
    reach the desk after them.")]
pub struct List {
    #[command(flatten)]
    desk: Desk,
    /// Only of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<StateWord>,
    /// Only of this level and above
    #[arg(long, value_enum)]
    level: Option<LevelWord>,
    /// Only of this rule
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Which come first, and stay within --limit; all but `desk` read every warning that is asked for
    #[arg(long, value_enum, default_value = "desk", value_name = "ORDER")]
    sort: Order,
    /// Most warnings to show
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Order {
    /// Those that the desk opened last
    Desk,
    /// Those of which the last alert is the newest
    Raised,
    /// The gravest, and of these those of which the last alert is the newest
    Level,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    tarim warn show 3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b --member 001")]
pub struct Show {
    #[command(flatten)]
    desk: Desk,
    /// Id of the warning, or of any of its alerts
    warning: String,
}

/// Below the help of all verbs that change a warning.
const CHANGING: &str = "Examples:\n  \
    id=3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b                # as `tarim warn list` shows it\n  \
    tarim warn ack $id --member 001 --by zhang\n  \
    tarim warn dispose $id --member 001 --by zhang --why 'visited: repaid on 3 July'\n  \
    tarim warn escalate $id --member 001 --by zhang --why 'does not answer'\n  \
    tarim warn close $id --member 001 --by li --why 'checked'\n\n\
    open → acknowledged → disposed | escalated → closed. A change that may have been made is repeated with its \
    --request-id: it is made once.";

#[derive(clap::Args)]
#[command(after_help = CHANGING)]
pub struct Ack {
    #[command(flatten)]
    by: By,
    /// Why, if there is anything to say: at most 2000 characters
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    why: String,
}

#[derive(clap::Args)]
#[command(after_help = CHANGING)]
pub struct Change {
    #[command(flatten)]
    by: By,
    /// What was found or done, or the reason, for whoever reads the warning's history: 1 to 2000 characters
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    why: String,
}

/// Which warning is changed, and by whom.
#[derive(clap::Args)]
struct By {
    #[command(flatten)]
    desk: Desk,
    /// Id of the warning, or of any of its alerts
    warning: String,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Id of the request, unique within the member; default: a new one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// What is done to a warning, and not without saying why.
#[derive(Clone, Copy)]
pub enum Deed {
    Dispose,
    Escalate,
    Close,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum StateWord {
    Open,
    Acknowledged,
    Disposed,
    Escalated,
    Closed,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LevelWord {
    Blue,
    Yellow,
    Orange,
    Red,
}

pub fn list(args: List) -> anyhow::Result<()> {
    let mut request = ListWarningsRequest {
        member: args.desk.member.clone(),
        customer_id: args.customer.unwrap_or_default(),
        state: args.state.map_or(State::Unspecified, StateWord::wire).into(),
        level_at_least: args.level.map_or(Level::Unspecified, LevelWord::wire).into(),
        rule_id: args.rule.unwrap_or_default(),
        ..Default::default()
    };
    let (warnings, more) = args.desk.ask(async |client| {
        let (mut warnings, mut more, mut left_out) = (Vec::new(), true, false);
        let all = args.sort != Order::Desk;
        while more && (all || warnings.len() < args.limit) {
            request.page_size = if all { 1000 } else { (args.limit - warnings.len()).min(1000) as u32 };
            let answer = said(client.list_warnings(request.clone()).await)?;
            known("--member", &args.desk.member, &answer.known_members)?;
            warnings.extend(answer.warnings);
            left_out |= args.sort.cut(&mut warnings, args.limit);
            more = !answer.next_page_token.is_empty();
            request.page_token = answer.next_page_token;
        }
        Ok((warnings, more || left_out))
    })?;
    if args.desk.json {
        warnings.iter().for_each(|warning| println!("{}", show::json(warning)));
        return Ok(());
    }
    println!("{}", show::table(&warnings));
    let rest = if more { "; there are more: give a higher --limit, or say which" } else { "" };
    println!("{} warnings, first {}{rest}", warnings.len(), args.sort.first());
    Ok(())
}

pub fn show(args: Show) -> anyhow::Result<()> {
    let request = GetWarningRequest { member: args.desk.member.clone(), warning_id: args.warning };
    let warning = args.desk.ask(async |client| said(client.get_warning(request).await))?;
    args.desk.show(&warning);
    Ok(())
}

pub fn ack(args: Ack) -> anyhow::Result<()> {
    args.by.change(args.why, async |client, request| client.acknowledge(request).await)
}

pub fn change(args: Change, deed: Deed) -> anyhow::Result<()> {
    args.by.change(args.why, async |client, request| match deed {
        Deed::Dispose => client.dispose(request).await,
        Deed::Escalate => client.escalate(request).await,
        Deed::Close => client.close(request).await,
    })
}

impl By {
    fn change(
        self,
        why: String,
        ask: impl AsyncFnOnce(&mut Client, ChangeRequest) -> Result<Response<Warning>, Status>,
    ) -> anyhow::Result<()> {
        let Self { desk, warning, by, request_id } = self;
        let request = ChangeRequest {
            member: desk.member.clone(),
            request_id: request_id.unwrap_or_else(|| new_id(1)),
            warning_id: warning,
            by,
            why,
        };
        let id = request.request_id.clone();
        let changed = desk
            .ask(async |client| said(ask(client, request).await).with_context(|| format!("request {id}")))?;
        desk.show(&changed);
        Ok(())
    }
}

impl Order {
    /// Which come first.
    fn first(self) -> &'static str {
        match self {
            Self::Desk => "those that the desk opened last",
            Self::Raised => "those raised last",
            Self::Level => "the gravest",
        }
    }

    /// Puts those that come first at the beginning, and takes what is beyond `limit` away. True: something was.
    fn cut(self, warnings: &mut Vec<Warning>, limit: usize) -> bool {
        let raised = |warning: &Warning| Reverse(warning.last_raised_at_us);
        // Of those that are alike the one that was opened last stays first.
        match self {
            Self::Desk => {}
            Self::Raised => warnings.sort_by_key(raised),
            Self::Level => warnings.sort_by_key(|warning| (Reverse(warning.level), raised(warning))),
        }
        let is_cut = warnings.len() > limit;
        warnings.truncate(limit);
        is_cut
    }
}

/// Names that are shown of those that there are.
const NAMES: usize = 20;

/// Refuses a name of which the desk says that there are others, but not this one: an empty table would be taken for an answer.
fn known(flag: &str, name: &str, others: &[String]) -> anyhow::Result<()> {
    match there_are(others) {
        None => Ok(()),
        Some(others) => bail!(
            "{flag} {name}: the desk does not know it; {others}\n    \
             fix: correct the name; if a rulebook has brought it since `tarim warn serve` was started, start that again"
        ),
    }
}

/// What there is instead of a name; None: there is nothing.
fn there_are(others: &[String]) -> Option<String> {
    let shown = others[..others.len().min(NAMES)].join(", ");
    let more = if others.len() > NAMES { ", …" } else { "" };
    (!others.is_empty()).then(|| format!("there are {shown}{more}"))
}

type Client = WarningServiceClient<Channel>;

/// Longest answer: a page of a thousand warnings, each with all that fired it.
const ANSWER_MAX: usize = 256 << 20;

impl Desk {
    /// One conversation with the server.
    fn ask<T>(&self, talk: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channel = self.tls.connect(&self.server, &WARNINGS).await?;
            talk(&mut Client::new(channel).max_decoding_message_size(ANSWER_MAX)).await
        })
    }

    fn show(&self, warning: &Warning) {
        if self.json {
            println!("{}", show::json(warning));
        } else {
            println!("{}", show::card(warning));
        }
    }
}

/// The answer, or the server's words.
fn said<T>(answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => bail!("{}: {}", code(&status), status.message()),
    }
}

impl StateWord {
    fn wire(self) -> State {
        match self {
            Self::Open => State::Open,
            Self::Acknowledged => State::Acknowledged,
            Self::Disposed => State::Disposed,
            Self::Escalated => State::Escalated,
            Self::Closed => State::Closed,
        }
    }
}

impl LevelWord {
    fn wire(self) -> Level {
        match self {
            Self::Blue => Level::Blue,
            Self::Yellow => Level::Yellow,
            Self::Orange => Level::Orange,
            Self::Red => Level::Red,
        }
    }
}
