//! `tarim features`: what is defined, and what is known of an entity.

use anyhow::{Context, bail};
use chrono::Utc;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value as Json, json};
use tarim_datamart::{Standards, Value};
use tarim_features::{
    entity::Entity,
    row::{Row, end_of_range},
    store::{EmbeddedStore, Entry, ListAnswer, OnlineStore, Snapshot},
    view::{Feature, FeatureSet, View, show_span},
};

use crate::{
    home::Home,
    materialize::{LINES, definitions, parse_time},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show what the online store knows of one entity
    Get(Get),
    /// Show the definitions of all features and lists
    List(List),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim features get --entity customer --member 001 --key c0010000000\n  \
    tarim features get --entity customer --member 001 --key c0010000000 --at 2026-07-15T00:00:00Z\n  \
    tarim features get --entity customer --member 001 --key c0010000000 --json\n\n\
    A value older than its freshness is NULL, shown as –, and called stale. Exit code 1: not known.")]
struct Get {
    /// Which kind of entity
    #[arg(long, value_name = "NAME")]
    entity: String,
    /// The member whose it is
    #[arg(long, value_name = "CODE")]
    member: String,
    /// Its key, as applications name it
    #[arg(long)]
    key: String,
    /// Judge freshness and lists at this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<i64>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim features list\n  \
    tarim features list --entity customer --json")]
struct List {
    /// Only the features of this entity
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let (standards, features) = definitions(home)?;
    match args.verb {
        Verb::List(list) => show_definitions(&features, &list),
        Verb::Get(get) => {
            let index = index_of(&features, &get.entity)?;
            let entity = &features.entities()[index];
            let store = EmbeddedStore::open(&home.store(), features.clone())?;
            let snapshot = store.snapshot();
            let key = stored_key(home, &standards, entity, &snapshot, index, &get)?;
            let Some(bytes) = snapshot.get(index, &get.member, &key) else {
                bail!(
                    "{} {:?} is not known to member {} (generation {}, as of {})",
                    entity.name,
                    get.key,
                    get.member,
                    snapshot.version(),
                    Value::Timestamp(snapshot.part(index).as_of_us),
                );
            };
            let at_us = get.at.unwrap_or_else(|| Utc::now().timestamp_micros());
            let row = Row::new(&entity.layout, bytes, snapshot.dictionary(index), at_us)?;
            let known = Known { features: &features, entity, index, snapshot: &snapshot, row, key, at_us };
            if get.json { known.write_json(&get) } else { known.show(&get.member) }
        }
    }
}

fn index_of(features: &FeatureSet, name: &str) -> anyhow::Result<usize> {
    let found = features.entities().iter().position(|e| e.name == name);
    found.with_context(|| {
        let known: Vec<_> = features.entities().iter().map(|e| e.name.as_str()).collect();
        format!("there is no entity {name:?}; the rulebook has {}", known.join(", "))
    })
}

/// The key as it stands in the store: a personal one is a token there.
fn stored_key(
    home: &Home,
    standards: &Standards,
    entity: &Entity,
    snapshot: &Snapshot,
    index: usize,
    get: &Get,
) -> anyhow::Result<String> {
    let field = standards.table(&entity.table).and_then(|t| t.field(&entity.key));
    match field.filter(|f| f.personal && snapshot.get(index, &get.member, &get.key).is_none()) {
        Some(field) => Ok(home.tokeniser()?.token(&field.kind, &get.key)),
        None => Ok(get.key.clone()),
    }
}

/// What is known of one entity.
struct Known<'a> {
    features: &'a FeatureSet,
    entity: &'a Entity,
    index: usize,
    snapshot: &'a Snapshot,
    row: Row<'a>,
    key: String,
    at_us: i64,
}

impl Known<'_> {
    /// Microseconds between the time of a column's values and now.
    fn age_us(&self, column: usize) -> Option<i64> {
        let group = usize::from(self.entity.layout.columns()[column].group);
        self.row.group_time(group).map(|t| self.at_us.saturating_sub(t))
    }

    /// Answers of the lists that are looked up by what names this entity.
    fn lists<'s>(&'s self, member: &'s str) -> impl Iterator<Item = (&'s str, ListAnswer<'s>)> {
        let lists = self.features.lists().iter().enumerate();
        lists.filter(|(_, list)| list.field == self.entity.application).map(move |(i, list)| {
            (list.name.as_str(), self.snapshot.list_hit(i, member, &self.key, self.at_us))
        })
    }

    fn show(&self, member: &str) -> anyhow::Result<()> {
        let mut table = new_table(&["feature", "value", "zh", "en", "age", "fresh for", ""]);
        for (column, view, feature) in self.entity.features() {
            table.add_row([
                feature.name.clone(),
                self.row.get(column).to_string(),
                feature.zh.clone(),
                feature.en.clone(),
                self.age_us(column).map_or_else(String::new, show_span),
                view.freshness_us.map_or_else(String::new, show_span),
                if self.row.is_stale(column) { "stale".into() } else { String::new() },
            ]);
        }
        println!("{table}");
        for (name, answer) in self.lists(member) {
            let texts = |e: Entry<'_>| {
                let texts = [Some(e.entry_id), e.reason, e.source].into_iter().flatten();
                texts.collect::<Vec<_>>().join(", ")
            };
            match answer {
                ListAnswer::Hit(entry) => println!("list.{name}: hit ({})", texts(entry)),
                ListAnswer::Miss => println!("list.{name}: no"),
                ListAnswer::NotLoaded => println!("list.{name}: unknown, for it was never loaded"),
            }
        }
        let part = self.snapshot.part(self.index);
        println!(
            "generation {}, as of {}; read at {}",
            self.snapshot.version(),
            Value::Timestamp(part.as_of_us),
            Value::Timestamp(self.at_us)
        );
        Ok(())
    }

    fn write_json(&self, get: &Get) -> anyhow::Result<()> {
        let features = self.entity.features().map(|(column, view, feature)| {
            json!({
                "name": feature.name,
                "value": to_json(&self.row.get(column)),
                "stale": self.row.is_stale(column),
                "age_seconds": self.age_us(column).map(|us| us as f64 / 1e6),
                "freshness_seconds": view.freshness_us.map(|us| us as f64 / 1e6),
                "view": view.name,
                "type": feature.ty.to_string(),
                "zh": feature.zh,
                "en": feature.en,
            })
        });
        let lists = self.lists(&get.member).map(|(name, answer)| {
            let entry = match answer {
                ListAnswer::Hit(e) => {
                    json!({ "entry_id": e.entry_id, "reason": e.reason, "source": e.source })
                }
                ListAnswer::Miss | ListAnswer::NotLoaded => Json::Null,
            };
            json!({ "name": name, "hit": answer.truth(), "entry": entry })
        });
        let out = json!({
            "entity": self.entity.name,
            "member": get.member,
            "key": get.key,
            "generation": self.snapshot.version(),
            "as_of": Value::Timestamp(self.snapshot.part(self.index).as_of_us).to_string(),
            "at": Value::Timestamp(self.at_us).to_string(),
            "features": features.collect::<Vec<_>>(),
            "lists": lists.collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&out)?);
        Ok(())
    }
}

fn show_definitions(features: &FeatureSet, args: &List) -> anyhow::Result<()> {
    let entities = match &args.entity {
        Some(name) => &features.entities()[index_of(features, name)?..][..1],
        None => features.entities(),
    };
    let all = entities.iter().flat_map(|e| e.features().map(move |(_, view, f)| (e, view, f)));
    if args.json {
        let features: Vec<Json> = all.map(|(e, view, f)| definition_json(e, view, f)).collect();
        println!("{}", serde_json::to_string_pretty(&features)?);
        return Ok(());
    }
    let mut table = new_table(&["feature", "type", "default", "view", "fresh for", "zh", "en"]);
    for (entity, view, feature) in all {
        table.add_row([
            format!("{}.{}", entity.name, feature.name),
            feature.ty.to_string(),
            feature.default.to_string(),
            view.name.clone(),
            view.freshness_us.map_or_else(String::new, show_span),
            feature.zh.clone(),
            feature.en.clone(),
        ]);
    }
    println!("{table}");
    if args.entity.is_none() && !features.lists().is_empty() {
        let mut table = new_table(&["list", "effect", "looked up by", "table", "zh", "en"]);
        for list in features.lists() {
            table.add_row([
                format!("list.{}", list.name),
                list.effect.name().into(),
                format!("application.{}", list.field),
                list.table.clone(),
                list.zh.clone(),
                list.en.clone(),
            ]);
        }
        println!("{table}");
    }
    Ok(())
}

fn definition_json(entity: &Entity, view: &View, feature: &Feature) -> Json {
    json!({
        "entity": entity.name,
        "name": feature.name,
        "type": feature.ty.to_string(),
        "default": to_json(&feature.default),
        "range": feature.range.map(|(low, high)| [low, high].map(|end| to_json(&end_of_range(feature.ty, end)))),
        "codes": (!feature.codes.is_empty()).then_some(&feature.codes),
        "sql": feature.sql.text,
        "view": view.name,
        "source": view.source(),
        "freshness_seconds": view.freshness_us.map(|us| us as f64 / 1e6),
        "zh": feature.zh,
        "en": feature.en,
    })
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES).set_header(header);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Dates and times as texts; a float that JSON cannot write as a text too.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => json!(v),
        Value::Int64(v) => json!(v),
        Value::Float64(v) if v.is_finite() => json!(v),
        Value::Utf8(v) => json!(v),
        other => json!(other.to_string()),
    }
}
