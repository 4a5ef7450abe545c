//! `tarim intercept`: asks a control point, overrides what it says, and shows how it stands.

mod card;
mod json;

use tarim_proto::decision::v1::{
    ControlPoint, GetInterceptionRequest, InterceptRequest, Interception, Officer, OverrideReason,
    OverrideRequest, interception_service_client::InterceptionServiceClient,
};
use tonic::transport::Channel;

use crate::{
    decide::{Lang, code, new_id, request_of},
    endpoint::{DECISIONS, Tls},
    home::Home,
    warn::pair,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// May this loan pass the control point? PASS, WARN or BLOCK, with every reason
    Ask(Ask),
    /// An officer lets blocking reasons of the latest interception pass
    Override(Override),
    /// How an interception stands, with what was overridden
    Show(Show),
}

/// Where the server is, and how the answer is shown.
#[derive(clap::Args)]
struct Server {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,
    /// Code of the legal entity
    #[arg(long, value_name = "CODE")]
    member: String,
    /// A JSON object instead of a card
    #[arg(long)]
    json: bool,
    /// Language of the reasons on the card
    #[arg(long, value_enum, default_value_t = Lang::Both)]
    lang: Lang,
    #[command(flatten)]
    tls: Tls,
}

#[derive(clap::Args)]
#[command(after_help = "Example, with a customer of the demo's bank:\n  \
    tarim intercept ask --point contract --member 001 --product salary_loan --subject K-2026-17 \\\n    \
    --application '{\"customer_id\": \"c0010000001\", \"id_number\": \"450102198903071239\",\n    \
    \"amount_fen\": 5000000, \"term_months\": 12, \"purpose\": \"travel\", \"guarantee_type\": \"credit\",\n    \
    \"contract_fen\": 5000000}'\n\n\
    Fields are those of the standard `applications`: those that it marks `required` must be given, or the request is \
    refused (INVALID_ARGUMENT); others that are left out are unknown, and what is unknown does not pass unseen. The latest \
    interception of a subject at a point is the one that counts.")]
struct Ask {
    #[command(flatten)]
    server: Server,
    /// The control point
    #[arg(long, value_enum)]
    point: Point,
    /// Product
    #[arg(long, value_name = "ID")]
    product: String,
    /// Number of the application, the contract or the drawing
    #[arg(long, value_name = "NUMBER")]
    subject: String,
    /// What is known of the loan at this point, as JSON
    #[arg(long, value_name = "JSON")]
    application: String,
    /// Exposure that was reserved for this loan: its own room is not counted against it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    exposure: String,
    /// Id of the request, unique within the member; default: a new one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    tarim intercept override cli-17 --member 001 --officer o7 --name 王敏 --role risk_officer \\\n    \
    --rule 'C104=a second guarantor signed on 30 June'\n\n\
    All rules that are named, or none. What was overridden is never told as passed: the verdict becomes WARN once no \
    reason blocks any more.")]
struct Override {
    #[command(flatten)]
    server: Server,
    /// request_id of the interception
    interception: String,
    /// Id of the officer
    #[arg(long, value_name = "ID")]
    officer: String,
    /// His name
    #[arg(long)]
    name: String,
    /// His role, of the rulebook's interception/roles.toml
    #[arg(long)]
    role: String,
    /// A rule, and why it may pass; once for each
    #[arg(long = "rule", required = true, value_name = "RULE=REASON", value_parser = pair)]
    rules: Vec<(String, String)>,
    /// Id of the request, unique within the member; default: a new one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  tarim intercept show cli-17 --member 001")]
struct Show {
    #[command(flatten)]
    server: Server,
    /// request_id of the interception
    interception: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Point {
    Application,
    Contract,
    Disbursement,
}

impl Point {
    fn wire(self) -> ControlPoint {
        match self {
            Self::Application => ControlPoint::Application,
            Self::Contract => ControlPoint::Contract,
            Self::Disbursement => ControlPoint::Disbursement,
        }
    }
}

type Client = InterceptionServiceClient<Channel>;
type Answer = Result<tonic::Response<Interception>, tonic::Status>;

pub fn run(_home: &Home, args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Ask(ask) => {
            let id = ask.request_id.unwrap_or_else(|| new_id(1));
            let application = request_of(id.clone(), &ask.server.member, &ask.product, &ask.application)?;
            let request = InterceptRequest {
                request_id: id,
                member: ask.server.member.clone(),
                product: ask.product,
                point: ask.point.wire().into(),
                subject: ask.subject,
                application: application.application,
                exposure: ask.exposure,
            };
            ask.server.ask(async |client| client.intercept(request).await)
        }
        Verb::Override(this) => {
            let overrides = this.rules.into_iter().map(|(rule, reason)| OverrideReason { rule, reason });
            let request = OverrideRequest {
                request_id: this.request_id.unwrap_or_else(|| new_id(1)),
                member: this.server.member.clone(),
                interception: this.interception,
                officer: Some(Officer { id: this.officer, name: this.name, role: this.role }),
                overrides: overrides.collect(),
            };
            this.server.ask(async |client| client.r#override(request).await)
        }
        Verb::Show(show) => {
            let (member, request_id) = (show.server.member.clone(), show.interception);
            let request = GetInterceptionRequest { member, request_id };
            show.server.ask(async |client| client.get_interception(request).await)
        }
    }
}

impl Server {
    /// One call; shows its answer.
    fn ask(&self, ask: impl AsyncFnOnce(&mut Client) -> Answer) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            let channel = self.tls.connect(&self.server, &DECISIONS).await?;
            let answer = ask(&mut Client::new(channel)).await;
            answer.map_err(|status| anyhow::anyhow!("{}: {}", code(&status), status.message()))
        })?;
        let interception = answer.into_inner();
        match self.json {
            true => println!("{}", json::interception(&interception)),
            false => println!("{}", card::card(&interception, self.lang)),
        }
        Ok(())
    }
}
