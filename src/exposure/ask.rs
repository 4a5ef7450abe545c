//! `tarim exposure reserve | commit | repay | release | file`: operations, asked of the server that has the ledger.

use anyhow::bail;
use tarim_proto::exposure::v1::{
    CommitRequest, FileLargeRequest, OperationAnswer, ReleaseRequest, RepayRequest, ReserveRequest,
    exposure_service_client::ExposureServiceClient,
};
use tonic::transport::Channel;

use crate::{
    decide::code,
    endpoint::{DECISIONS, Tls},
    materialize::parse_time,
    warn::pair,
};

/// Where the server is, and whose exposure it is.
#[derive(clap::Args)]
pub struct Server {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,
    /// Code of the legal entity
    #[arg(long, value_name = "CODE")]
    member: String,
    #[command(flatten)]
    tls: Tls,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    tarim exposure reserve a1 --member 001 --customer c0001 --fen 5000000 \\\n    \
    --of industry=6621 --of region=450102 --of product=salary_loan \\\n    \
    --of guarantee_type=credit --of purpose=consumption --of customer_type=salaried")]
pub struct Reserve {
    #[command(flatten)]
    server: Server,
    /// What it is called: the number of an application, say
    exposure: String,
    /// Who owes it
    #[arg(long, value_name = "ID")]
    customer: String,
    /// Amount
    #[arg(long, value_name = "FEN")]
    fen: i64,
    /// A value of a dimension that limits speak of, or none; once for each
    #[arg(long = "of", value_name = "DIMENSION=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// What is not drawn by then is given back: 2026-12-31T00:00:00Z, or a date [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    expires: Option<i64>,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure commit a1 --member 001 --key draw-1 --fen 3000000\n  \
    tarim exposure commit decide:mine-2 --member 001 --key draw-1 --fen 3000000 --grow")]
pub struct Commit {
    #[command(flatten)]
    part: Part,
    /// Take what is above the reservation too, if there is room
    #[arg(long)]
    grow: bool,
}

#[derive(clap::Args)]
pub struct Part {
    #[command(flatten)]
    server: Server,
    /// What it was reserved as
    exposure: String,
    /// Of this operation, once for each exposure: what is repeated with it is done once
    #[arg(long)]
    key: String,
    /// Amount
    #[arg(long, value_name = "FEN")]
    fen: i64,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim exposure release a1 --member 001 --key cancelled\n  \
    tarim exposure release a1 --member 001 --key part-1 --fen 500000")]
pub struct Release {
    #[command(flatten)]
    server: Server,
    /// What it was reserved as
    exposure: String,
    /// Of this operation, once for each exposure: what is repeated with it is done once
    #[arg(long)]
    key: String,
    /// Amount [default: all that is reserved]
    #[arg(long, value_name = "FEN")]
    fen: Option<i64>,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    tarim exposure file 12 --member 001 --reference F-2026-118 --officer zhang")]
pub struct File {
    #[command(flatten)]
    server: Server,
    /// Number of the large exposure
    large: u32,
    /// Of the filing, with whoever it is filed with
    #[arg(long, value_name = "TEXT")]
    reference: String,
    /// Who filed it
    #[arg(long, value_name = "NAME")]
    officer: String,
}

pub fn reserve(args: Reserve) -> anyhow::Result<()> {
    let request = ReserveRequest {
        member: args.server.member.clone(),
        exposure: args.exposure,
        customer_id: args.customer,
        attributes: args.attributes.into_iter().collect(),
        amount_fen: args.fen,
        expires_at: args.expires.map(tarim_decision::convert::timestamp),
    };
    args.server.ask(async |client| client.reserve(request).await)
}

pub fn commit(Commit { part, grow }: Commit) -> anyhow::Result<()> {
    let Part { server, exposure, key, fen: amount_fen } = part;
    let request = CommitRequest { member: server.member.clone(), exposure, key, amount_fen, grow };
    server.ask(async |client| client.commit(request).await)
}

pub fn repay(Part { server, exposure, key, fen: amount_fen }: Part) -> anyhow::Result<()> {
    let request = RepayRequest { member: server.member.clone(), exposure, key, amount_fen };
    server.ask(async |client| client.repay(request).await)
}

pub fn release(Release { server, exposure, key, fen }: Release) -> anyhow::Result<()> {
    if fen == Some(0) {
        bail!("--fen 0: leave it out to release all that is reserved");
    }
    let amount_fen = fen.unwrap_or(0);
    let request = ReleaseRequest { member: server.member.clone(), exposure, key, amount_fen };
    server.ask(async |client| client.release(request).await)
}

pub fn file(File { server, large, reference, officer }: File) -> anyhow::Result<()> {
    let request = FileLargeRequest { member: server.member.clone(), large, reference, officer };
    server.ask(async |client| client.file_large(request).await)
}

type Client = ExposureServiceClient<Channel>;

impl Server {
    /// One operation; shows its answer.
    fn ask(
        &self,
        ask: impl AsyncFnOnce(&mut Client) -> Result<tonic::Response<OperationAnswer>, tonic::Status>,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            let channel = self.tls.connect(&self.server, &DECISIONS).await?;
            match ask(&mut Client::new(channel)).await {
                Ok(answer) => Ok(answer.into_inner()),
                Err(status) => bail!("{}: {}", code(&status), status.message()),
            }
        })?;
        println!("done, operation {}", answer.sequence);
        for counter in answer.warnings {
            let per: Vec<_> = counter.per.iter().map(|(name, value)| format!("{name}={value}")).collect();
            println!(
                "above the warning line: {} {} {}: {} of {} fen",
                counter.limit,
                counter.member,
                per.join(", "),
                counter.used_fen,
                counter.hard_fen
            );
        }
        for large in answer.large {
            println!("large exposure {large}: to be filed (tarim exposure file)");
        }
        Ok(())
    }
}
