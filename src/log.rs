//! The log: on standard error, as text for people or as one JSON object a line for machines.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use anyhow::bail;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::{Layer, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How a line of the log looks.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts the log. TARIM_LOG says what is logged: `info`, or `warn,tarim_decision=debug`; warnings and errors
/// when it says nothing.
pub fn start(format: Format) -> anyhow::Result<()> {
    let wanted = std::env::var("TARIM_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = filter(wanted.as_deref().unwrap_or("warn"))?;
    let coloured = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|forbidden| forbidden.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(coloured);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.event_format(Json).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}

/// Of each level, its name.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// What TARIM_LOG means.
///
/// A level alone is of Tarim's own crates. What they are built on tells warnings and errors then, or its lines would bury ours; who
/// wants more of a crate names it.
fn filter(wanted: &str) -> anyhow::Result<Targets> {
    let mut alone = LevelFilter::OFF;
    let mut named = Vec::new();
    for directive in wanted.split(',').map(str::trim) {
        let (target, name) = match directive.split_once('=') {
            Some((target, name)) => (Some(target.trim()).filter(|target| !target.is_empty()), name.trim()),
            None => (None, directive),
        };
        let level = LEVELS.iter().find(|(level, _)| level.eq_ignore_ascii_case(name));
        match (level, target) {
            (Some((_, level)), Some(target)) => named.push((target, *level)),
            (Some((_, level)), None) if !directive.contains('=') => alone = *level,
            _ => bail!(
                "TARIM_LOG={wanted}: `{directive}` is no level and no crate with a level\n    fix: write one of {}, or a crate \
                 and its level too: warn,tarim_decision=debug",
                LEVELS.map(|(level, _)| level).join(", ")
            ),
        }
    }
    let ours = Targets::new().with_default(alone.min(LevelFilter::WARN)).with_target("tarim", alone);
    Ok(ours.with_targets(named))
}

/// An event and its fields as one flat object.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let mut line = Line(Map::new());
        line.put("time", time);
        line.put("level", event.metadata().level().as_str());
        line.put("target", event.metadata().target());
        event.record(&mut line);
        writeln!(out, "{}", Value::Object(line.0))
    }
}

struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_of_our_own_crates_and_others_are_named() {
        let (ours, theirs) = ("tarim_decision::service", "buoyant_kernel::log_segment");
        for (wanted, target, most) in [
            ("info", ours, Level::INFO),
            ("info", "tarim::serve", Level::INFO),
            ("info", theirs, Level::WARN),
            ("INFO", ours, Level::INFO),
            ("error", theirs, Level::ERROR),
            ("warn,tarim_decision=debug", ours, Level::DEBUG),
            ("tarim_decision=debug,warn", ours, Level::DEBUG),
            ("tarim=debug, info", ours, Level::DEBUG),
            ("warn,tarim_decision=debug", "tarim_warning", Level::WARN),
            ("info,buoyant_kernel=trace", theirs, Level::TRACE),
        ] {
            let filter = filter(wanted).unwrap();
            let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
            for level in all {
                assert_eq!(filter.would_enable(target, &level), level <= most, "{wanted}: {target} {level}");
            }
        }
        assert!(!filter("off").unwrap().would_enable(ours, &Level::ERROR));
        // A crate that is named alone has its own level, and nobody else any.
        assert!(!filter("tarim_decision=info").unwrap().would_enable(theirs, &Level::ERROR));
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for (wanted, wrong) in [
            ("warning", "`warning`"),
            ("verbose", "`verbose`"),
            ("tarim_decision", "`tarim_decision`"),
            ("info,", "``"),
            ("=info", "`=info`"),
            ("warn,tarim=loud", "`tarim=loud`"),
        ] {
            let error = filter(wanted).unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains("off, error, warn, info, debug, trace"),
                "{error}"
            );
        }
    }
}
