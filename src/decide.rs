//! `tarim decide`: asks a server for decisions and shows them with every reason.

pub mod card;
pub mod json;
mod request;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ArgGroup;
use tarim_proto::decision::v1::{
    Decision, DecisionRequest, Reserve, decision_service_client::DecisionServiceClient,
    streamed_decision::Result as Streamed,
};
use tonic::{Status, transport::Channel};

pub use self::{
    card::Lang,
    json::code,
    request::{new_id, of as request_of, read as read_requests},
};
use crate::{
    endpoint::{DECISIONS, Tls},
    home::Home,
};

#[derive(clap::Args)]
#[command(after_help = "Examples, with a customer of the demo's bank:\n  \
    application='{\"customer_id\": \"c0010000001\", \"id_number\": \"450102198903071239\",\n    \
    \"amount_fen\": 5000000, \"term_months\": 12, \"purpose\": \"travel\", \"guarantee_type\": \"credit\"}'\n  \
    tarim decide --member 001 --product salary_loan --application \"$application\"\n  \
    tarim decide --call score --member 001 --product salary_loan --application \"$application\"\n  \
    tarim decide --reserve --member 001 --product salary_loan --application \"$application\"\n  \
    tarim decide --file requests.ndjson --stream --json\n\n\
    A line of the file, which may have a \"request_id\" too:\n  \
    {\"member\": \"001\", \"product\": \"salary_loan\", \"application\": {…}, \"reserve\": true}\n\n\
    Fields are those of the standard `applications`: those that it marks `required` must be given, or the request is \
    refused (INVALID_ARGUMENT); others that are left out are unknown. JSON's types are read by it: a date is \
    \"2026-01-31\". A request id that was used before gives the decision that was made then.")]
#[command(group = ArgGroup::new("asked").required(true).args(["application", "file"]))]
pub struct Args {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,
    /// Code of the legal entity that decides
    #[arg(long, requires = "application", value_name = "CODE")]
    member: Option<String>,
    /// Product that is applied for
    #[arg(long, requires = "application", value_name = "ID")]
    product: Option<String>,
    /// Fields of the application, as JSON
    #[arg(long, requires_all = ["member", "product"], value_name = "JSON")]
    application: Option<String>,
    /// Id of the request, unique within the member; default: a new one
    #[arg(long, conflicts_with = "file", value_name = "ID")]
    request_id: Option<String>,
    /// Requests, one JSON object a line; - is standard input
    #[arg(long, conflicts_with_all = ["member", "product", "application"], value_name = "FILE")]
    file: Option<PathBuf>,
    /// What to ask for
    #[arg(long, value_enum, default_value_t = Call::Decide)]
    call: Call,
    /// Send all requests down one stream, many in flight, instead of one after another
    #[arg(long)]
    stream: bool,
    /// Take room of the exposure limits for what is approved: as much as the limit, or at most so much, in fen. Requests of a
    /// file may say so themselves: "reserve": true, or the amount
    #[arg(long, value_name = "FEN", value_parser = most)]
    reserve: Option<Option<i64>>,
    /// One JSON object a line instead of a card
    #[arg(long)]
    json: bool,
    /// Language of the reasons on the card
    #[arg(long, value_enum, default_value_t = Lang::Both)]
    lang: Lang,
    #[command(flatten)]
    tls: Tls,
}

/// The calls of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Call {
    Decide,
    Admission,
    Fraud,
    Score,
    Limit,
    Rate,
}

type Client = DecisionServiceClient<Channel>;

/// The most to be reserved, in fen.
fn most(text: &str) -> Result<i64, String> {
    let fen = text.parse().ok().filter(|fen: &i64| *fen >= 1);
    fen.ok_or_else(|| "write 1 fen or more, or no amount to reserve as much as the limit".into())
}

pub fn run(_home: &Home, args: Args) -> anyhow::Result<()> {
    if args.stream && args.call != Call::Decide {
        bail!("--stream decides; there is no stream of {:?} alone: leave --stream or --call out", args.call);
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = connect(&args).await?;
        let mut shown = Shown { json: args.json, lang: args.lang, requests: 0, refused: 0 };
        if args.stream {
            stream(client, &args, &mut shown).await?;
        } else {
            one_by_one(client, &args, &mut shown).await?;
        }
        match (shown.requests, shown.refused) {
            (0, _) => bail!(
                "{}: there is no request in it\n    fix: write one JSON object a line; `tarim decide --help` shows one",
                args.file.unwrap_or_default().display()
            ),
            (_, 0) => Ok(()),
            (requests, refused) => bail!("{refused} of {requests} requests got no decision"),
        }
    })
}

/// The requests that the arguments name.
fn requests(args: &Args) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<DecisionRequest>> + Send>> {
    let reserve = args.reserve.map(|amount_fen| Reserve { amount_fen, expires_at: None });
    let all: Box<dyn Iterator<Item = _> + Send> =
        match (&args.file, &args.member, &args.product, &args.application) {
            (Some(file), ..) => request::read(file)?,
            (None, Some(member), Some(product), Some(application)) => {
                let id = args.request_id.clone().unwrap_or_else(|| request::new_id(1));
                Box::new(std::iter::once(request::of(id, member, product, application)))
            }
            _ => bail!("name --member, --product and --application, or a --file"),
        };
    let with = move |request: DecisionRequest| {
        let reserve = request.reserve.or(reserve);
        DecisionRequest { reserve, ..request }
    };
    Ok(Box::new(all.map(move |request| request.map(&with))))
}

async fn connect(args: &Args) -> anyhow::Result<Client> {
    let channel = args.tls.connect(&args.server, &DECISIONS).await?;
    Ok(DecisionServiceClient::new(channel))
}

async fn one_by_one(mut client: Client, args: &Args, shown: &mut Shown) -> anyhow::Result<()> {
    for request in requests(args)? {
        let request = request?;
        let asked = Asked::of(&request);
        let answer = match args.call {
            Call::Decide => client.decide(request).await,
            Call::Admission => client.check_admission(request).await,
            Call::Fraud => client.detect_fraud(request).await,
            Call::Score => client.score_application(request).await,
            Call::Limit => client.assign_limit(request).await,
            Call::Rate => client.quote_rate(request).await,
        };
        shown.show(&asked, answer.map(tonic::Response::into_inner));
    }
    Ok(())
}

async fn stream(mut client: Client, args: &Args, shown: &mut Shown) -> anyhow::Result<()> {
    let requests = requests(args)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(256);
    // Answers come in the order of the requests.
    let (ask, asked) = std::sync::mpsc::channel();
    // Reading blocks, so it has a thread; a line that cannot be read ends the stream behind those before it.
    let reader = std::thread::spawn(move || -> anyhow::Result<()> {
        for request in requests {
            let request = request?;
            let asked = Asked::of(&request);
            if ask.send(asked).is_err() || sender.blocking_send(request).is_err() {
                break;
            }
        }
        Ok(())
    });
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client.decide_stream(receiver).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let result = match answer.result {
            Some(Streamed::Decision(decision)) => Ok(decision),
            Some(Streamed::Error(error)) => Err(Status::new(error.code.into(), error.message)),
            None => bail!("{}: an answer that this client does not know", answer.request_id),
        };
        let asked = asked.recv().context("the server has answered what nobody asked")?;
        shown.show(&asked, result);
    }
    reader.join().map_err(|_| anyhow::anyhow!("the reader of the requests panicked"))?
}

/// What an answer does not tell of its request.
struct Asked {
    request_id: String,
    reserves: bool,
}

impl Asked {
    fn of(request: &DecisionRequest) -> Self {
        Self { request_id: request.request_id.clone(), reserves: request.reserve.is_some() }
    }
}

/// What is shown, and how often there was nothing to show.
struct Shown {
    json: bool,
    lang: Lang,
    requests: u64,
    refused: u64,
}

impl Shown {
    fn show(&mut self, asked: &Asked, answer: Result<Decision, Status>) {
        let Asked { request_id, reserves } = asked;
        self.requests += 1;
        self.refused += u64::from(answer.is_err());
        match (answer, self.json) {
            (Ok(decision), true) => println!("{}", json::decision(&decision)),
            (Ok(decision), false) => println!("{}", card::card(&decision, *reserves, self.lang)),
            (Err(status), true) => println!("{}", json::error(request_id, &status)),
            (Err(status), false) => {
                println!("request {request_id}: {}: {}\n", json::code(&status), status.message());
            }
        }
    }
}
