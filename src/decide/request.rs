//! Requests as people write them: JSON.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use serde_json::{Map, Value as Json};
use tarim_proto::decision::v1::{DecisionRequest, Reserve, Value, value::Kind};

/// One request.
pub fn of(
    request_id: String,
    member: &str,
    product: &str,
    application: &str,
) -> anyhow::Result<DecisionRequest> {
    let application: Json = serde_json::from_str(application)
        .context("--application is not JSON; write '{\"customer_id\": \"c1\"}'")?;
    let Json::Object(application) = application else {
        bail!("--application is not a JSON object; write '{{\"customer_id\": \"c1\"}}'");
    };
    Ok(DecisionRequest {
        request_id,
        member: member.into(),
        product: product.into(),
        application: fields(application)?,
        reserve: None,
    })
}

/// Requests of a file, one a line; `-` is standard input. Empty lines do not count.
pub fn read(file: &Path) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<DecisionRequest>> + Send>> {
    let reader: Box<dyn BufRead + Send> = match file.to_str() {
        Some("-") => Box::new(BufReader::new(std::io::stdin())),
        _ => Box::new(BufReader::new(File::open(file).with_context(|| file.display().to_string())?)),
    };
    let file = file.display().to_string();
    Ok(Box::new(reader.lines().enumerate().filter_map(move |(i, line)| {
        let number = i + 1;
        let parsed = match line {
            Ok(line) if line.trim().is_empty() => return None,
            Ok(line) => from_line(&line, number),
            Err(e) => Err(e.into()),
        };
        Some(parsed.with_context(|| format!("{file}:{number}")))
    })))
}

/// Names of what a line says.
const KNOWN: [&str; 5] = ["request_id", "member", "product", "application", "reserve"];

fn from_line(line: &str, number: usize) -> anyhow::Result<DecisionRequest> {
    let Json::Object(mut line) = serde_json::from_str(line)? else { bail!("the line is not a JSON object") };
    if let Some(name) = line.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        bail!(
            "`{name}` is not known here; write {}; fields of the application stand in `application`",
            KNOWN.join(", ")
        );
    }
    let mut text = |name: &str| match line.remove(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(anyhow::anyhow!("`{name}` is {other}, not a text")),
    };
    let request_id = text("request_id")?.unwrap_or_else(|| new_id(number));
    let member = text("member")?.context("`member` is missing")?;
    let product = text("product")?.context("`product` is missing")?;
    let application = match line.remove("application") {
        Some(Json::Object(application)) => fields(application)?,
        _ => bail!("`application` is missing, or not an object"),
    };
    let reserve = match line.remove("reserve") {
        None | Some(Json::Bool(false)) => None,
        Some(Json::Bool(true)) => Some(Reserve::default()),
        Some(Json::Number(n)) if n.is_i64() => Some(Reserve { amount_fen: n.as_i64(), expires_at: None }),
        Some(other) => bail!("`reserve` is {other}; write true, or the most to be reserved in fen"),
    };
    Ok(DecisionRequest { request_id, member, product, application, reserve })
}

/// JSON's values with the kinds that JSON tells apart; the server reads them by its standard.
fn fields(object: Map<String, Json>) -> anyhow::Result<std::collections::BTreeMap<String, Value>> {
    let mut fields = std::collections::BTreeMap::new();
    for (name, value) in object {
        let kind = match value {
            Json::Null => continue,
            Json::Bool(b) => Kind::BoolValue(b),
            Json::String(text) => Kind::StringValue(text),
            Json::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(i), _) => Kind::IntValue(i),
                (None, Some(x)) if !n.is_u64() => Kind::DoubleValue(x),
                _ => bail!("`{name}`: {n} is too large"),
            },
            Json::Array(_) | Json::Object(_) => bail!("`{name}` is not a single value"),
        };
        fields.insert(name, Value { kind: Some(kind) });
    }
    Ok(fields)
}

/// An id for the `n`th request of this run, which nobody else has at the same microsecond.
pub fn new_id(n: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("cli-{}-{}-{n}", now.as_micros(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request() {
        let line = r#"{"request_id": "r", "member": "001", "product": "p",
            "application": {"a": 1, "b": 1.5, "c": "x", "d": true, "e": null}}"#;
        let request = from_line(line, 1).expect("a request");
        let kinds: Vec<_> = request.application.into_iter().map(|(name, v)| (name, v.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("a".into(), Some(Kind::IntValue(1))),
                ("b".into(), Some(Kind::DoubleValue(1.5))),
                ("c".into(), Some(Kind::StringValue("x".into()))),
                ("d".into(), Some(Kind::BoolValue(true))),
            ]
        );
    }

    #[test]
    fn a_decimal_is_the_nearest_number() {
        for share in (1..1019).map(|n| f64::from(n) / 1019.0) {
            let line = format!(r#"{{"member": "001", "product": "p", "application": {{"a": {share}}}}}"#);
            let request = from_line(&line, 1).expect("a request");
            assert_eq!(request.application["a"].kind, Some(Kind::DoubleValue(share)));
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, said) in [
            ("[]", "not a JSON object"),
            (r#"{"product": "p", "application": {}}"#, "`member` is missing"),
            (r#"{"member": 1}"#, "`member` is 1, not a text"),
            (r#"{"member": "m", "product": "p"}"#, "`application` is missing"),
            (r#"{"member": "m", "product": "p", "application": {"a": []}}"#, "`a` is not a single value"),
            (r#"{"member": "m", "product": "p", "application": {"a": 18446744073709551615}}"#, "too large"),
            (r#"{"member": "m", "product": "p", "application": {}, "reserve": "all"}"#, "write true"),
            (r#"{"member": "m", "product": "p", "application": {}, "amount": 1}"#, "`amount` is not known"),
            (r#"{"member": "m", "product": "p", "aplication": {}}"#, "`aplication` is not known"),
        ] {
            let e = from_line(line, 1).expect_err(line).to_string();
            assert!(e.contains(said), "{line}: {e}");
        }
    }
}
