//! `tarim warn list | show | ack | dispose | escalate | close | inbox | digest`: what an account manager does, from a terminal.

mod inbox;
mod show;

use anyhow::{Context, bail};
use tarim_proto::warning::v1::{
    ChangeRequest, GetWarningRequest, Level, ListWarningsRequest, State,
    warning_service_client::WarningServiceClient,
};
use tonic::{Response, Status, transport::Channel};

pub use self::inbox::{Digest, Inbox, digest, inbox};
use crate::{
    decide::{code, new_id},
    endpoint::Tls,
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
    tarim warn list --member 001 --state open --level orange\n  \
    tarim warn list --member 001 --customer C000017 --json")]
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
    /// Most warnings to show, the newest first
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
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

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn ack 3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b --member 001 --by zhang\n  \
    tarim warn dispose 3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b --member 001 --by zhang --why 'visited: repaid on 3 July'\n  \
    tarim warn escalate 3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b --member 001 --by zhang --why 'does not answer'\n  \
    tarim warn close 3f1c8a90d2b74e6f8a5b0c1d2e3f4a5b --member 001 --by li --why 'checked'\n\n\
    open → acknowledged → disposed | escalated → closed. A change that may have been made is repeated with its \
    --request-id: it is made once.")]
pub struct Change {
    #[command(flatten)]
    desk: Desk,
    /// Id of the warning, or of any of its alerts
    warning: String,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// The reason, or what was found; only `ack` can do without
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    why: String,
    /// Id of the request, unique within the member; default: a new one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// What is done to a warning.
#[derive(Clone, Copy)]
pub enum Deed {
    Acknowledge,
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
        let (mut warnings, mut more) = (Vec::new(), true);
        while more && warnings.len() < args.limit {
            request.page_size = (args.limit - warnings.len()).min(1000) as u32;
            let answer = said(client.list_warnings(request.clone()).await)?;
            warnings.extend(answer.warnings);
            more = !answer.next_page_token.is_empty();
            request.page_token = answer.next_page_token;
        }
        Ok((warnings, more))
    })?;
    if args.desk.json {
        warnings.iter().for_each(|warning| println!("{}", show::json(warning)));
        return Ok(());
    }
    println!("{}", show::table(&warnings));
    let rest = if more { "; there are more: give a higher --limit, or say which" } else { "" };
    println!("{} warnings{rest}", warnings.len());
    Ok(())
}

pub fn show(args: Show) -> anyhow::Result<()> {
    let request = GetWarningRequest { member: args.desk.member.clone(), warning_id: args.warning };
    let warning = args.desk.ask(async |client| said(client.get_warning(request).await))?;
    args.desk.show(&warning);
    Ok(())
}

pub fn change(args: Change, deed: Deed) -> anyhow::Result<()> {
    let request = ChangeRequest {
        member: args.desk.member.clone(),
        request_id: args.request_id.unwrap_or_else(|| new_id(1)),
        warning_id: args.warning,
        by: args.by,
        why: args.why,
    };
    let id = request.request_id.clone();
    let warning = args.desk.ask(async |client| {
        let answer = match deed {
            Deed::Acknowledge => client.acknowledge(request).await,
            Deed::Dispose => client.dispose(request).await,
            Deed::Escalate => client.escalate(request).await,
            Deed::Close => client.close(request).await,
        };
        said(answer).with_context(|| format!("request {id}"))
    })?;
    args.desk.show(&warning);
    Ok(())
}

type Client = WarningServiceClient<Channel>;

/// Longest answer: a page of a thousand warnings, each with all that fired it.
const ANSWER_MAX: usize = 256 << 20;

impl Desk {
    /// One conversation with the server.
    fn ask<T>(&self, talk: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channel = self.tls.endpoint(&self.server, "http://127.0.0.1:7411")?.connect().await;
            let channel =
                channel.with_context(|| format!("no server at {}; start `tarim warn serve`", self.server))?;
            talk(&mut Client::new(channel).max_decoding_message_size(ANSWER_MAX)).await
        })
    }

    fn show(&self, warning: &tarim_proto::warning::v1::Warning) {
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
