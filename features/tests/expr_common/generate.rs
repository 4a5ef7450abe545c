//! Random expressions, schemas and values.
//!
//! What can be generated is a table of templates ([`TEMPLATES`]): a construct that is supported and not in it
//! is not tested, so whoever adds a construct adds a line here.

use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Type, Value};
use tarim_features::row::{Column, Group, Layout};

pub const TYPES: [Type; 6] =
    [Type::Boolean, Type::Int64, Type::Float64, Type::Utf8, Type::Date32, Type::Timestamp];

/// A generated expression, as a tree, so that a failing one can be shrunk.
#[derive(Clone, Debug)]
pub struct Node {
    pub ty: Type,
    /// Index in [`TEMPLATES`]; None for a leaf.
    pub template: Option<usize>,
    /// SQL between the children: one more than there are children.
    pieces: Vec<String>,
    pub children: Vec<Node>,
}

impl Node {
    fn leaf(ty: Type, sql: String) -> Self {
        Self { ty, template: None, pieces: vec![sql], children: vec![] }
    }

    pub fn sql(&self) -> String {
        let mut out = self.pieces[0].clone();
        for (child, piece) in self.children.iter().zip(&self.pieces[1..]) {
            out.push_str(&child.sql());
            out.push_str(piece);
        }
        out
    }

    pub fn size(&self) -> usize {
        1 + self.children.iter().map(Node::size).sum::<usize>()
    }

    /// Smaller expressions of the same type, that may fail in the same way.
    pub fn smaller(&self) -> Vec<Node> {
        let mut out = Vec::new();
        self.descendants(&mut |node| {
            if node.ty == self.ty {
                out.push(node.clone());
            }
        });
        if !self.children.is_empty() {
            out.push(null(self.ty));
        }
        for (i, child) in self.children.iter().enumerate() {
            for candidate in child.smaller() {
                let mut changed = self.clone();
                changed.children[i] = candidate;
                out.push(changed);
            }
        }
        out.sort_by_key(Node::size);
        out
    }

    fn descendants(&self, f: &mut impl FnMut(&Node)) {
        for child in &self.children {
            f(child);
            child.descendants(f);
        }
    }
}

/// Result, and SQL with its operands in braces.
///
/// `b i f t d s`: boolean, int64, float64, utf8, date32, timestamp. `n`: int64 or float64. `m`: date or
/// timestamp. `x y`: any type, the same for all of that letter. `o`: any type but boolean. `p`: a LIKE pattern.
/// `u`: a text that is not a constant (CAST refuses those it cannot cast). `X T`: a constant of type x, of text. `L`: constants of type x. `#`: an interval. `@`: a part of a date. `=`: the first operand again.
#[rustfmt::skip]
pub const TEMPLATES: &[(char, &str)] = &[
    ('b', "({x} = {x})"), ('b', "({x} <> {x})"), ('b', "({x} < {x})"), ('b', "({x} <= {x})"),
    ('b', "({x} > {x})"), ('b', "({x} >= {x})"),
    ('b', "({x} = {X})"), ('b', "({X} <> {x})"), ('b', "({x} < {X})"), ('b', "({x} >= {X})"),
    ('b', "({t} = {T})"), ('b', "({T} <> {t})"),
    ('b', "({n} = {n})"), ('b', "({n} < {n})"), ('b', "({n} >= {n})"),
    ('b', "({m} = {m})"), ('b', "({m} <= {m})"),
    ('b', "({d} < '1990-02-28')"), ('b', "('2026-06-30 10:00:00' <= {s})"),
    ('b', "({x} IS DISTINCT FROM {x})"), ('b', "({x} IS NOT DISTINCT FROM {x})"),
    ('b', "({n} IS DISTINCT FROM {n})"),
    ('b', "({b} AND {b})"), ('b', "({b} OR {b})"), ('b', "(NOT {b})"),
    ('b', "({b} AND {b} AND {b} OR {b} OR {b} AND {b})"),
    ('b', "({x} BETWEEN {x} AND {x})"), ('b', "({x} NOT BETWEEN {X} AND {X})"), ('b', "({n} BETWEEN {n} AND {n})"),
    ('b', "({x} IN ({L}))"), ('b', "({x} NOT IN ({L}))"), ('b', "({x} IN ({L}, NULL))"),
    ('b', "({x} IN ({x}, {X}, {x}))"), ('b', "({x} NOT IN ({x}, {L}))"), ('b', "({n} IN ({n}, 1, 2.5, 0))"),
    ('b', "({x} IN ({L}) AND {=} IN ({L}))"), ('b', "({x} IN ({L}) AND {=} NOT IN ({L}, NULL))"),
    ('b', "({x} NOT IN ({L}) OR {=} NOT IN ({L}))"), ('b', "(NOT {x} IN ({L}) AND {=} IN ({L}, NULL))"),
    ('b', "(({x} = {X} OR {=} = {X}) AND ({=} = {X} OR {=} = {X}))"),
    ('b', "(NOT ({x} <> {X} AND {=} <> {X}) AND ({=} IN ({x}, {X}) OR {=} = {X}))"),
    ('b', "CASE WHEN {x} IN ({L}) THEN {=} IN ({L}) WHEN {=} NOT IN ({L}) THEN {=} = {X} END"),
    ('b', "({t} LIKE {p})"), ('b', "({t} NOT LIKE {p})"),
    ('b', "({x} IS NULL)"), ('b', "({x} IS NOT NULL)"), ('b', "({f} IS NULL)"),
    ('b', "({b} IS TRUE)"), ('b', "({b} IS NOT TRUE)"), ('b', "({b} IS FALSE)"), ('b', "({b} IS NOT FALSE)"),
    ('b', "({b} IS UNKNOWN)"), ('b', "({b} IS NOT UNKNOWN)"),
    ('b', "starts_with({t}, {t})"), ('b', "ends_with({t}, {T})"), ('b', "contains({t}, {T})"),
    ('b', "starts_with({t}, {T})"),
    ('b', "CAST({u} AS BOOLEAN)"), ('b', "TRY_CAST({T} AS BOOLEAN)"),

    ('x', "CASE WHEN {b} THEN {x} ELSE {x} END"), ('x', "CASE WHEN {b} THEN {x} WHEN {b} THEN {x} END"),
    ('x', "CASE WHEN {b} THEN NULL WHEN {b} THEN {x} ELSE {X} END"),
    ('x', "CASE {y} WHEN {y} THEN {x} WHEN {Y} THEN {x} ELSE {x} END"),
    ('x', "CASE {t} WHEN {T} THEN {X} WHEN {T} THEN {X} WHEN {T} THEN {X} END"),
    ('x', "COALESCE({x}, {x})"), ('x', "COALESCE({x}, NULL, {x}, {X})"), ('x', "NULLIF({x}, {x})"), ('x', "NULLIF({x}, {X})"),
    ('o', "greatest({o}, {o})"), ('o', "least({o}, {o}, {o})"),

    ('f', "({n} + {n})"), ('f', "({n} - {n})"), ('f', "({n} * {n})"), ('f', "({n} / {n})"), ('f', "({n} % {n})"),
    ('f', "({n} / COALESCE({n}, 0))"), ('f', "({n} * 1)"), ('f', "({n} - {n} + {n} * {n} / {n})"),
    ('f', "(- ({n}))"), ('f', "(+{f})"),
    ('f', "abs({n})"), ('f', "ceil({n})"), ('f', "floor({n})"), ('f', "exp({n})"), ('f', "ln({n})"), ('f', "log10({n})"),
    ('f', "sqrt({n})"), ('f', "power({n}, {n})"), ('f', "power({n}, 2)"), ('f', "round({n})"), ('f', "round({n}, 2)"),
    ('f', "round({n}, {i})"),
    ('f', "CAST({i} AS DOUBLE)"), ('f', "CAST({u} AS DOUBLE)"), ('f', "CAST({b} AS DOUBLE)"), ('f', "{i}::double"),
    ('f', "COALESCE({i}, {f})"), ('f', "CASE WHEN {b} THEN {i} ELSE {f} END"), ('f', "greatest({f}, {i})"),
    ('f', "nullif({i}, {f})"),

    ('i', "length({t})"), ('i', "char_length({t})"), ('i', "date_part('{@}', {m})"), ('i', "extract({@} FROM {m})"),
    ('i', "({d} - {d})"), ('i', "days_between({m}, {m})"), ('i', "months_between({m}, {m})"),
    ('i', "seconds_between({m}, {m})"), ('i', "months_between({m}, {d})"),
    ('i', "CAST({f} AS BIGINT)"), ('i', "CAST({u} AS BIGINT)"), ('i', "CAST({b} AS INT)"), ('i', "TRY_CAST({T} AS BIGINT)"),

    ('t', "lower({t})"), ('t', "upper({t})"), ('t', "trim({t})"), ('t', "substr({t}, {i})"), ('t', "substr({t}, {i}, {i})"),
    ('t', "substr({t}, 1, 2)"), ('t', "substring({t} FROM 2 FOR 3)"), ('t', "({t} || {t})"), ('t', "concat({t}, {T}, {t})"),
    ('t', "CAST({b} AS VARCHAR)"), ('t', "CAST({i} AS VARCHAR)"), ('t', "CAST({f} AS VARCHAR)"), ('t', "CAST({d} AS VARCHAR)"),
    ('t', "CAST({s} AS VARCHAR)"),

    ('d', "({d} + INTERVAL '{#}')"), ('d', "({d} - INTERVAL '{#}')"), ('d', "CAST({s} AS DATE)"), ('d', "CAST({u} AS DATE)"),
    ('d', "TRY_CAST({T} AS DATE)"), ('d', "(INTERVAL '1' MONTH + {d})"),

    ('s', "({s} + INTERVAL '{#}')"), ('s', "({s} - INTERVAL '{#}')"), ('s', "({s} + INTERVAL '90' MINUTE)"),
    ('s', "CAST({d} AS TIMESTAMP)"), ('s', "CAST({u} AS TIMESTAMP)"), ('s', "greatest({d}, {s})"),
];

const PARTS: [&str; 11] =
    ["year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "hour", "minute", "second"];
const INTERVALS: [&str; 7] =
    ["1 month", "13 months", "1 day", "-400 days", "1 year 2 months 3 days", "200000 years", "0 days"];

pub const WORDS: &[&str] = &[
    "",
    " ",
    "a",
    "A",
    "abc",
    "ABC",
    "aBc",
    "ab",
    "b",
    "%",
    "_",
    "\\",
    "\\%",
    "a%",
    "%b_",
    "'",
    "\"",
    "'; --",
    "贷款",
    "公积金贷",
    "公积金",
    "👍",
    "👩‍👩‍👧",
    "e\u{301}",
    "é",
    "ὈΔΥΣΣΕΎΣ",
    "σας",
    "Σ",
    "ß",
    "SS",
    "ﬃ",
    "İ",
    "\0",
    "\n",
    "a\nb",
    "  trim me\t",
    "\u{3000}",
    "1",
    "-1",
    "007",
    "1.5",
    "-0.0",
    "1e308",
    "1e309",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "１２",
    "9223372036854775807",
    "9223372036854775808",
    " 42 ",
    "true",
    "FALSE",
    "yes",
    "off",
    "2026-01-31",
    "20240229",
    "2026-02-29",
    "1969-12-31T23:59:59.999999",
    "2026-06-30 10:00:00+08:00",
    "0001-01-01",
    "9999-12-31",
    "null",
    "NULL",
];

/// What expressions can name.
pub struct Names {
    /// `relation.column`, or a variable or parameter.
    pub names: Vec<(String, Type)>,
}

pub struct Generator<'a> {
    pub rng: &'a mut ChaCha8Rng,
    pub names: &'a Names,
}

impl Generator<'_> {
    pub fn expression(&mut self, ty: Type, depth: usize) -> Node {
        if depth == 0 || self.rng.random_range(0..10) == 0 {
            return self.leaf(ty);
        }
        let fits = |result: char| match result {
            'x' => true,
            'o' => ty != Type::Boolean,
            letter => letter == letter_of(ty),
        };
        let candidates: Vec<usize> = (0..TEMPLATES.len()).filter(|i| fits(TEMPLATES[*i].0)).collect();
        // Constructs of the type itself as often as those of any type.
        let own: Vec<usize> =
            candidates.iter().copied().filter(|i| !matches!(TEMPLATES[*i].0, 'x' | 'o')).collect();
        let pool = if self.rng.random() { &own } else { &candidates };
        let template = *pool.choose(self.rng).expect("every type has templates");
        self.instance(template, ty, depth)
    }

    /// An expression of one template, whose operands are at most `depth - 1` deep.
    pub fn instance(&mut self, template: usize, ty: Type, depth: usize) -> Node {
        let (result, text) = TEMPLATES[template];
        let x = if matches!(result, 'x' | 'o') { ty } else { self.any_type() };
        let y = self.any_type();
        let mut node = Node { ty, template: Some(template), pieces: vec![String::new()], children: vec![] };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            node.pieces.last_mut().unwrap().push_str(before);
            let (letter, after) = after.split_once('}').expect("braces are closed");
            rest = after;
            let child = match letter {
                "x" | "o" => self.expression(x, depth - 1),
                "y" => self.expression(y, depth - 1),
                "n" => {
                    let ty = if self.rng.random() { Type::Int64 } else { Type::Float64 };
                    self.expression(ty, depth - 1)
                }
                "m" => {
                    let ty = if self.rng.random() { Type::Date32 } else { Type::Timestamp };
                    self.expression(ty, depth - 1)
                }
                "u" => loop {
                    let text = self.expression(Type::Utf8, depth - 1);
                    if !text.sql().starts_with('\'') {
                        break text;
                    }
                },
                "=" => node.children[0].clone(),
                "X" => Node::leaf(x, self.literal(x)),
                "Y" => Node::leaf(y, self.literal(y)),
                "T" => Node::leaf(Type::Utf8, self.literal(Type::Utf8)),
                "L" => {
                    let count = self.rng.random_range(1..9);
                    let list: Vec<String> = (0..count).map(|_| self.literal(x)).collect();
                    node.pieces.last_mut().unwrap().push_str(&list.join(", "));
                    continue;
                }
                "p" => {
                    let pattern = self.pattern();
                    node.pieces.last_mut().unwrap().push_str(&pattern);
                    continue;
                }
                "#" => {
                    let interval = INTERVALS.choose(self.rng).unwrap();
                    node.pieces.last_mut().unwrap().push_str(interval);
                    continue;
                }
                "@" => {
                    let part = PARTS.choose(self.rng).unwrap();
                    node.pieces.last_mut().unwrap().push_str(part);
                    continue;
                }
                letter => {
                    let ty = TYPES.into_iter().find(|t| letter_of(*t).to_string() == letter);
                    self.expression(ty.expect("a letter stands for a type"), depth - 1)
                }
            };
            node.children.push(child);
            node.pieces.push(String::new());
        }
        node.pieces.last_mut().unwrap().push_str(rest);
        node
    }

    fn any_type(&mut self) -> Type {
        *TYPES.choose(self.rng).unwrap()
    }

    fn leaf(&mut self, ty: Type) -> Node {
        let named: Vec<&str> =
            self.names.names.iter().filter(|(_, t)| *t == ty).map(|(n, _)| n.as_str()).collect();
        match self.rng.random_range(0..20) {
            0 => null(ty),
            1..=4 => Node::leaf(ty, self.literal(ty)),
            _ => match named.choose(self.rng) {
                Some(name) => Node::leaf(ty, (*name).to_owned()),
                None => Node::leaf(ty, self.literal(ty)),
            },
        }
    }

    fn literal(&mut self, ty: Type) -> String {
        match value(self.rng, &Column::new("", ty), false) {
            Value::Null => unreachable!("no NULL was asked for"),
            Value::Boolean(b) => b.to_string(),
            Value::Int64(n) => n.to_string(),
            // What cannot be written as a number is made by a cast.
            Value::Float64(x) if !x.is_finite() => format!("TRY_CAST('{x}' AS DOUBLE)"),
            Value::Float64(x) => format!("{x:?}"),
            Value::Utf8(s) => quoted(&s),
            Value::Date32(_) => {
                let dates =
                    ["DATE '1970-01-01'", "DATE '2024-02-29'", "DATE '1989-12-31'", "DATE '9999-12-31'"];
                (*dates.choose(self.rng).unwrap()).to_owned()
            }
            Value::Timestamp(_) => {
                let times = [
                    "TIMESTAMP '2026-06-30 10:00:00'",
                    "TIMESTAMP '1969-12-31 23:59:59.999999'",
                    "TIMESTAMP '0001-01-01'",
                ];
                (*times.choose(self.rng).unwrap()).to_owned()
            }
        }
    }

    fn pattern(&mut self) -> String {
        let bits =
            ["%", "_", "a", "b", "\\%", "\\_", "\\\\", "\\", "公", "贷", "👍", "Σ", "ß", ".", "*", "\n"];
        let len = self.rng.random_range(0..5);
        let pattern: String = (0..len).map(|_| *bits.choose(self.rng).unwrap()).collect();
        quoted(&pattern)
    }
}

fn null(ty: Type) -> Node {
    let name = match ty {
        Type::Boolean => "BOOLEAN",
        Type::Int64 => "BIGINT",
        Type::Float64 => "DOUBLE",
        Type::Utf8 => "VARCHAR",
        Type::Date32 => "DATE",
        Type::Timestamp => "TIMESTAMP",
    };
    Node::leaf(ty, format!("CAST(NULL AS {name})"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn letter_of(ty: Type) -> char {
    match ty {
        Type::Boolean => 'b',
        Type::Int64 => 'i',
        Type::Float64 => 'f',
        Type::Utf8 => 't',
        Type::Date32 => 'd',
        Type::Timestamp => 's',
    }
}

/// A value that a column can hold: often an ordinary one, often an extreme one.
pub fn value(rng: &mut ChaCha8Rng, column: &Column, nulls: bool) -> Value {
    if nulls && rng.random_range(0..6) == 0 {
        return Value::Null;
    }
    match column.ty {
        Type::Boolean => Value::Boolean(rng.random()),
        Type::Int64 => {
            let (low, high) = column.range.unwrap_or((i64::MIN, i64::MAX));
            let n = match rng.random_range(0..4) {
                0 => *[i64::MIN, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1, 0].choose(rng).unwrap(),
                1 => rng.random(),
                _ => rng.random_range(-3..8),
            };
            Value::Int64(n.clamp(low, high))
        }
        Type::Float64 => Value::Float64(match rng.random_range(0..4) {
            0 => *[
                f64::NAN,
                -f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                0.0,
                -0.0,
                f64::MAX,
                f64::MIN_POSITIVE,
                -5e-324,
                9_007_199_254_740_993.0,
                9_223_372_036_854_775_807.0,
                0.5,
                -2.5,
            ]
            .choose(rng)
            .unwrap(),
            1 => f64::from_bits(rng.random()),
            2 => f64::from(rng.random_range(-4..9)),
            _ => (rng.random::<f64>() - 0.3) * 100.0,
        }),
        Type::Utf8 if !column.codes.is_empty() => Value::Utf8(column.codes.choose(rng).unwrap().clone()),
        Type::Utf8 => {
            let word = *WORDS.choose(rng).unwrap();
            Value::Utf8(match rng.random_range(0..12) {
                0 => word.repeat(3),
                1 => format!("{word}{}", WORDS.choose(rng).unwrap()),
                2 if nulls => "长x".repeat(700),
                _ => word.to_owned(),
            })
        }
        Type::Date32 => {
            let (low, high) = column.range.unwrap_or((i32::MIN.into(), i32::MAX.into()));
            let day = match rng.random_range(0..5) {
                0 => *[i32::MIN, i32::MAX, 0, -1, -719_162, 2_932_896, 95_026_236, -96_465_292]
                    .choose(rng)
                    .unwrap(),
                1 => rng.random(),
                _ => rng.random_range(-15_000..25_000),
            };
            Value::Date32(i64::from(day).clamp(low, high) as i32)
        }
        Type::Timestamp => Value::Timestamp(match rng.random_range(0..5) {
            0 => *[i64::MIN, i64::MAX, 0, -1, 1].choose(rng).unwrap(),
            1 => rng.random(),
            _ => rng.random_range(-1_000_000_000_000_000..2_500_000_000_000_000),
        }),
    }
}

/// A layout with a few columns of each type, some of them narrow, in groups that may go stale.
pub fn layout(rng: &mut ChaCha8Rng) -> Layout {
    let groups: Vec<Group> = (0..rng.random_range(1..4))
        .map(|i| Group {
            name: format!("g{i}"),
            freshness_us: (i > 0 && rng.random()).then(|| rng.random_range(1..50)),
        })
        .collect();
    let mut columns = Vec::new();
    for ty in TYPES {
        for i in 0..rng.random_range(1..4) {
            let ranges: &[(i64, i64)] = match ty {
                Type::Int64 => {
                    &[(0, 1), (-3, 200), (-3, 60_000), (-3, 1 << 20), (0, 1 << 50), (i64::MIN, i64::MIN + 9)]
                }
                Type::Date32 => &[(-9, 9), (0, 20_000), (-20_000, 99_999)],
                _ => &[],
            };
            let range = ranges.choose(rng).filter(|_| rng.random()).copied();
            let words = WORDS.iter().filter(|_| ty == Type::Utf8).map(|word| (*word).to_owned());
            let mut codes: Vec<String> = words.collect();
            codes.shuffle(rng);
            codes.truncate([0, 0, 1, 4, 12][rng.random_range(0..5)]);
            let group = rng.random_range(0..groups.len() as u8);
            columns.push(Column { range, codes, group, ..Column::new(format!("{}{i}", letter_of(ty)), ty) });
        }
    }
    Layout::new(columns, groups).expect("names differ")
}
