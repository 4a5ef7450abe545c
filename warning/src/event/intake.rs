//! Fields of events, and the gate that their values go through.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use tarim_datamart::{Field, RowChecks, Type, Value, ValueRef, nearest};
use tarim_features::{
    row::{Row, RowBuilder},
    stream::{EventKind, TABLE_PREFIX},
};

use super::{Event, Format, Head, Raw, Rejected, Taken, json, protobuf, quick::Quick};
use crate::rulebook::WarningBook;

/// What events of a rulebook look like.
#[derive(Debug)]
pub struct Intake {
    kinds: Vec<KindIntake>,
    by_name: HashMap<String, usize>,
    /// Codes of the members; none: every code is one.
    members: HashSet<String>,
    pub(super) wire: protobuf::Wire,
}

/// One kind.
#[derive(Debug)]
pub(super) struct KindIntake {
    pub name: String,
    kind: EventKind,
    /// By column.
    fields: Vec<Field>,
    quick: Vec<Quick>,
    /// Columns that an event which does not say them has all the same, or lacks.
    expected: Vec<usize>,
    by_name: HashMap<String, usize>,
    /// Rules over the whole event; None: there are none.
    checks: Option<RowChecks>,
    /// What they look at: columns, in the order of the standard. None is the member.
    checked: Vec<Option<usize>>,
}

/// Longest event, as a row, in bytes. What it says stands in an alert several times over (what the alert is about, its values, its
/// events), and an alert must fit into a record of the log.
const ROW_MAX: usize = 16 << 10;

/// Kind of the events that only say that time goes on.
pub(super) const TICK: &str = "tick";
/// Kind of the events that change the rulebook.
pub(super) const RULEBOOK: &str = "rulebook";
/// Kind of the events that change the generation of features.
pub(super) const FEATURES: &str = "features";

impl Intake {
    pub fn new(book: &WarningBook) -> Self {
        let kinds: Vec<KindIntake> =
            book.streams().kinds().iter().map(|kind| KindIntake::new(kind, book)).collect();
        let by_name = kinds.iter().enumerate().map(|(i, k)| (k.name.clone(), i)).collect();
        let wire = protobuf::Wire::new(&kinds);
        Self { kinds, by_name, members: book.members().iter().cloned().collect(), wire }
    }

    /// The kind of a name, or of its table's.
    pub(super) fn kind(&self, name: &str) -> Option<usize> {
        self.by_name.get(name.strip_prefix(TABLE_PREFIX).unwrap_or(name)).copied()
    }

    /// What is wrong with the name of a kind.
    pub(super) fn unknown_kind(&self, name: &str) -> Rejected {
        let names: Vec<&str> = self.kinds.iter().map(|k| k.name.as_str()).collect();
        let fix = nearest(name, &names).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
        Rejected::because(format!("kind: the rulebook's standards know no event `{name}`{fix}"))
    }
}

impl KindIntake {
    fn new(kind: &EventKind, book: &WarningBook) -> Self {
        let table = book.standards().table(&format!("{TABLE_PREFIX}{}", kind.name));
        let table = table.expect("a kind is a table of the standards");
        let field = |name: &str| table.field(name).expect("a column is a field of the table").clone();
        let mut fields: Vec<Field> = kind.layout.columns().iter().map(|c| field(&c.name)).collect();
        // Whatever the standard says: events of nobody would all be one customer's.
        fields[kind.customer].required = true;
        for head in [kind.id, kind.customer, kind.happened_at, kind.known_at] {
            fields[head].default = None;
        }
        let quick = fields.iter().map(|f| Quick::new(f, &kind.layout)).collect();
        let expected = |f: &Field| f.required || f.default.is_some();
        let expected = (0..fields.len()).filter(|i| expected(&fields[*i])).collect();
        let by_name: HashMap<_, _> = fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
        let checks = RowChecks::compile(table).expect("reading the standards has compiled its checks before");
        let checked = table.fields.iter().map(|f| by_name.get(&f.name).copied()).collect();
        Self {
            name: kind.name.clone(),
            kind: kind.clone(),
            fields,
            quick,
            expected,
            by_name,
            checks: Some(checks).filter(|c| !c.is_empty()),
            checked,
        }
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whether the head of an event says it.
    pub fn is_head(&self, column: usize) -> bool {
        let EventKind { id, customer, happened_at, known_at, .. } = self.kind;
        [id, customer, happened_at, known_at].contains(&column)
    }

    /// "did you mean", for a field that is none.
    pub fn unknown_field(&self, name: &str) -> String {
        let names: Vec<&str> = self.fields.iter().map(|f| f.name.as_str()).collect();
        match nearest(name, &names) {
            Some(near) => format!("{name}: an event {} has no such field (did you mean {near}?)", self.name),
            None => format!("{name}: an event {} has no such field; it has {}", self.name, names.join(", ")),
        }
    }
}

/// Reads events, one after the other.
#[derive(Debug)]
pub struct Reader {
    intake: Arc<Intake>,
    desk: Desk,
}

/// Where an event is put together. It stays until the next one is.
#[derive(Debug)]
pub(super) struct Desk {
    /// By kind.
    builders: Vec<RowBuilder>,
    /// By column: whether the event has the field, be it NULL.
    seen: Vec<bool>,
    member: String,
    id: String,
    customer: String,
    version: String,
    /// Version of a generation of features.
    features: String,
}

impl Reader {
    pub fn new(intake: Arc<Intake>) -> Self {
        let builders = intake.kinds.iter().map(|k| RowBuilder::new(&k.kind.layout)).collect();
        let (member, id, customer, version, features) = Default::default();
        let desk = Desk { builders, seen: Vec::new(), member, id, customer, version, features };
        Self { intake, desk }
    }

    /// Reads a record.
    pub fn read(&mut self, format: Format, payload: &[u8]) -> Result<Taken<'_>, Rejected> {
        let Self { intake, desk } = self;
        match format {
            Format::Protobuf => protobuf::read(intake, desk, payload),
            Format::Json => json::read(intake, desk, payload),
        }
    }

    /// The kind of an event that it would read, by its index; None: it is another kind of record, or that cannot be told
    /// without reading it.
    pub fn kind(&self, format: Format, payload: &[u8]) -> Option<usize> {
        match format {
            Format::Protobuf => protobuf::kind(&self.intake, payload),
            Format::Json => None,
        }
    }
}

impl Desk {
    pub(super) fn tick(head: &Head<'_>) -> Result<Taken<'static>, Rejected> {
        let at_us = head.happened_at_us.ok_or_else(|| Rejected::because("happened_at: a tick says when"))?;
        Ok(Taken::Tick { at_us })
    }

    /// The version of a rulebook: 64 digits, in hexadecimal. (It becomes the name of a folder.)
    pub(super) fn rulebook(&mut self, version: &str, features: Option<&str>) -> Result<Taken<'_>, Rejected> {
        if version.len() != 64 || !version.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(Rejected::because("version: it is no version of a rulebook (64 hexadecimal digits)"));
        }
        self.version.clear();
        self.version.push_str(version);
        let features = features.map(|features| self.generation(features)).transpose()?.is_some();
        Ok(Taken::Rulebook { version: &self.version, features: features.then_some(&self.features) })
    }

    /// The version of a generation of features.
    pub(super) fn features(&mut self, version: &str) -> Result<Taken<'_>, Rejected> {
        self.generation(version)?;
        Ok(Taken::Features { version: &self.features })
    }

    /// Number and checksum: 12-3f9a02bc.
    fn generation(&mut self, version: &str) -> Result<(), Rejected> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is = version.split_once('-').is_some_and(|(number, hash)| {
            number.parse::<u64>().is_ok_and(|n| n.to_string() == number)
                && hash.len() == 8
                && hash.bytes().all(hex)
        });
        if !is {
            return Err(Rejected::because(
                "features: it is no version of a generation of the online store, such as 12-3f9a02bc",
            ));
        }
        self.features.clear();
        self.features.push_str(version);
        Ok(())
    }

    /// Begins to put an event together. `wrong` is what is known to be wrong with it.
    pub(super) fn begin<'d, 'i, 'p>(
        &'d mut self,
        intake: &'i Intake,
        kind: usize,
        head: Head<'p>,
        wrong: Vec<String>,
    ) -> Filling<'d, 'i, 'p> {
        let of = &intake.kinds[kind];
        self.builders[kind].clear();
        self.seen.clear();
        self.seen.resize(of.fields.len(), false);
        let known_at_us = head.known_at_us.or(head.happened_at_us);
        let head = Head { known_at_us, ..head };
        let mut filling = Filling { desk: self, of, kind, head, wrong };
        let text = |text: &'p str| if text.is_empty() { Raw::Null } else { Raw::Text(text) };
        let time = |us: Option<i64>| us.map_or(Raw::Null, Raw::Int);
        filling.set(of.kind.id, text(head.id));
        filling.set(of.kind.customer, text(head.customer));
        filling.set(of.kind.happened_at, time(head.happened_at_us));
        filling.set(of.kind.known_at, time(known_at_us));
        if head.member.is_empty() {
            filling.wrong.push("member: there is no value".into());
        } else if !intake.members.is_empty() && !intake.members.contains(head.member) {
            // No "did you mean": codes are numbers, and all of them are like each other.
            filling.wrong.push(format!(
                "member: the rulebook has no member `{}`; one that is new comes in with its folder in members/",
                head.member
            ));
        }
        filling
    }
}

/// An event that is being put together: its head is, fields of its kind are to come.
pub(super) struct Filling<'d, 'i, 'p> {
    desk: &'d mut Desk,
    of: &'i KindIntake,
    kind: usize,
    head: Head<'p>,
    wrong: Vec<String>,
}

impl<'d, 'p> Filling<'d, '_, 'p> {
    /// Sets a column. The last value of a field counts.
    #[inline]
    pub fn set(&mut self, column: usize, raw: Raw<'_>) {
        self.desk.seen[column] = true;
        self.of.set(&mut self.desk.builders[self.kind], column, raw, &mut self.wrong);
    }

    /// The event, if nothing is wrong with it.
    pub fn finish(self) -> Result<Taken<'d>, Rejected> {
        let Self { desk, of, kind, head, mut wrong } = self;
        let builder = &mut desk.builders[kind];
        // What it does not say at all is NULL, or has its default, or breaks a rule, as in a load.
        for column in of.expected.iter().filter(|column| !desk.seen[**column]) {
            of.set(builder, *column, Raw::Null, &mut wrong);
        }
        if wrong.is_empty()
            && let Some(checks) = &of.checks
        {
            let row = Row::new(&of.kind.layout, builder.finish(), of.kind.layout.codes(), 0);
            let row = row.expect("a builder makes whole rows");
            let broken = checks.check(|field| match of.checked[field] {
                Some(column) => row.get_ref(column),
                None => ValueRef::Utf8(head.member),
            });
            wrong.extend(broken.into_iter().map(|b| format!("{}: {}", b.rule, b.message)));
        }
        let (Some(happened_at_us), Some(known_at_us), true) =
            (head.happened_at_us, head.known_at_us, wrong.is_empty())
        else {
            return Err(Rejected { reasons: wrong, unreadable: false });
        };
        let Desk { builders, member, id, customer, .. } = desk;
        for (to, from) in [(&mut *member, head.member), (&mut *id, head.id), (&mut *customer, head.customer)]
        {
            to.clear();
            to.push_str(from);
        }
        let row = builders[kind].finish();
        if row.len() > ROW_MAX {
            return Err(of.too_long(row));
        }
        Ok(Taken::Event(Event { kind, id, member, customer, happened_at_us, known_at_us, row }))
    }
}

impl KindIntake {
    /// Lets a value through the gate, or says what is wrong with it.
    #[inline]
    fn set(&self, builder: &mut RowBuilder, column: usize, raw: Raw<'_>, wrong: &mut Vec<String>) {
        if !self.quick[column].set(raw, column, builder) {
            self.set_slowly(builder, column, raw, wrong);
        }
    }

    /// The same of a value that every rule of its field is to be asked about.
    #[cold]
    fn set_slowly(&self, builder: &mut RowBuilder, column: usize, raw: Raw<'_>, wrong: &mut Vec<String>) {
        let field = &self.fields[column];
        if let Raw::Bytes(bytes) = raw {
            return match std::str::from_utf8(bytes) {
                Ok(text) => self.set(builder, column, Raw::Text(text), wrong),
                Err(_) => wrong.push(format!("{}: it is not UTF-8", field.name)),
            };
        }
        let value = match (raw, field.ty) {
            (Raw::Null, _) => field.default.as_ref().map_or(ValueRef::Null, Value::as_ref),
            (Raw::Boolean(b), Type::Boolean) => ValueRef::Boolean(b),
            (Raw::Int(i), Type::Int64) => ValueRef::Int64(i),
            (Raw::Int(i), Type::Float64) if i.unsigned_abs() <= 1 << 53 => ValueRef::Float64(i as f64),
            (Raw::Int(us), Type::Timestamp) => ValueRef::Timestamp(us),
            (Raw::Int(day), Type::Date32) if i32::try_from(day).is_ok() => ValueRef::Date32(day as i32),
            (Raw::Float(x), Type::Float64) => ValueRef::Float64(x),
            (Raw::Text(""), Type::Utf8) => return self.set(builder, column, Raw::Null, wrong),
            (Raw::Text(text), Type::Utf8) => ValueRef::Utf8(text),
            (Raw::Text(text), Type::Date32 | Type::Timestamp) => match field.parse(text) {
                Ok(value) => value,
                Err(broken) => return wrong.push(broken.message),
            },
            (raw, ty) => return wrong.push(format!("{}: {raw:?} is not {ty}", field.name)),
        };
        let broken = field.check(value);
        if broken.is_empty() {
            if let Err(e) = builder.set_ref(column, value) {
                wrong.push(format!("{}: {e}", field.name));
            }
        } else {
            wrong.extend(broken.into_iter().map(|b| b.message));
        }
    }

    /// Why an event is not taken that is too long.
    #[cold]
    fn too_long(&self, row: &[u8]) -> Rejected {
        let bytes = row.len();
        let row = Row::new(&self.kind.layout, row, self.kind.layout.codes(), 0)
            .expect("a builder makes whole rows");
        let len = |column: &usize| match row.get_ref(*column) {
            ValueRef::Utf8(text) => text.len(),
            _ => 0,
        };
        let longest = (0..self.fields.len()).max_by_key(len).map_or("", |column| &self.fields[column].name);
        Rejected::because(format!(
            "{longest}: the event takes {bytes} bytes, of which this field takes most; {ROW_MAX} are taken: shorten it"
        ))
    }

    pub fn ty(&self, column: usize) -> Type {
        self.fields[column].ty
    }

    pub fn field_count(&self) -> usize {
        self.fields.len()
    }
}

impl Intake {
    pub(super) fn of(&self, kind: usize) -> &KindIntake {
        &self.kinds[kind]
    }
}
