//! `tarim.event.v1.Event`, read where it stands: no message is made of it.

use hashbrown::HashMap;
use prost::{
    Message,
    encoding::{self, DecodeContext, WireType},
};
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type as WireKind};

use tarim_proto::event::v1::{FeaturesChange, RulebookChange};

use super::{
    Head, Raw, Rejected, Taken,
    intake::{Desk, FEATURES, Intake, KindIntake, RULEBOOK, TICK},
};

/// How kinds and their fields are numbered on the wire.
#[derive(Debug)]
pub struct Wire {
    by_tag: HashMap<u32, WireKindOf>,
}

#[derive(Debug)]
struct WireKindOf {
    name: String,
    /// None: a tick, or a kind that the rulebook's standards do not know.
    kind: Option<usize>,
    /// By number: the column, None if the standards do not have it, and how it is written.
    fields: Vec<Option<(Option<usize>, WireType)>>,
}

impl Wire {
    pub(super) fn new(kinds: &[KindIntake]) -> Self {
        let descriptors =
            FileDescriptorSet::decode(tarim_proto::DESCRIPTORS).expect("the build wrote descriptors");
        let messages: HashMap<&str, &DescriptorProto> = descriptors
            .file
            .iter()
            .filter(|file| file.package() == "tarim.event.v1")
            .flat_map(|file| file.message_type.iter().map(|message| (message.name(), message)))
            .collect();
        let event = messages["Event"];
        let bodies = event.field.iter().filter(|f| f.r#type() == WireKind::Message);
        let by_tag = bodies.map(|body| {
            let message = messages[body.type_name().rsplit('.').next().unwrap_or_default()];
            let kind = kinds.iter().position(|k| k.name == body.name());
            let highest = message.field.iter().map(|f| f.number()).max().unwrap_or(0);
            let mut fields = vec![None; highest as usize + 1];
            for field in &message.field {
                let wire = match field.r#type() {
                    WireKind::String => WireType::LengthDelimited,
                    WireKind::Int64 => WireType::Varint,
                    other => unreachable!("{}.{} is {other:?}", body.name(), field.name()),
                };
                let column = kind.and_then(|kind| kinds[kind].column(field.name()));
                fields[field.number() as usize] = Some((column, wire));
            }
            (body.number() as u32, WireKindOf { name: body.name().to_owned(), kind, fields })
        });
        Self { by_tag: by_tag.collect() }
    }
}

pub(super) fn read<'r>(intake: &Intake, desk: &'r mut Desk, payload: &[u8]) -> Result<Taken<'r>, Rejected> {
    let mut head = Head::default();
    let mut body: Option<(&WireKindOf, &[u8])> = None;
    let mut rest = payload;
    while !rest.is_empty() {
        let (tag, wire) = key(&mut rest)?;
        match (tag, wire) {
            (1, WireType::LengthDelimited) => head.id = text(&mut rest, "event_id")?,
            (2, WireType::LengthDelimited) => head.member = text(&mut rest, "member")?,
            (3, WireType::LengthDelimited) => head.customer = text(&mut rest, "customer_id")?,
            (4, WireType::Varint) => head.happened_at_us = Some(varint(&mut rest)?),
            (5, WireType::Varint) => head.known_at_us = Some(varint(&mut rest)?),
            (tag, WireType::LengthDelimited) => {
                let bytes = bytes(&mut rest)?;
                // Of several kinds the last one counts, as in any `oneof`.
                if let Some(kind) = intake.wire.by_tag.get(&tag) {
                    body = Some((kind, bytes));
                }
            }
            (tag, wire) => skip(tag, wire, &mut rest)?,
        }
    }
    let Some((of, mut rest)) = body else {
        return Err(Rejected::because("kind: the event says nothing of what happened"));
    };
    let Some(kind) = of.kind else {
        return match of.name.as_str() {
            TICK => Desk::tick(&head),
            RULEBOOK => {
                let change = RulebookChange::decode(rest).map_err(|_| broken())?;
                desk.rulebook(&change.version, change.features.as_deref())
            }
            FEATURES => {
                let change = FeaturesChange::decode(rest).map_err(|_| broken())?;
                desk.features(&change.version)
            }
            name => Err(intake.unknown_kind(name)),
        };
    };
    let mut event = desk.begin(intake, kind, head, Vec::new());
    of.fields(&mut rest, |column, raw| event.set(column, raw))?;
    event.finish()
}

impl WireKindOf {
    /// Calls `set` with each field that the standards have. (An iterator of them would be slower: each value would be written
    /// to memory, to be read again at once.)
    #[inline]
    fn fields<'p>(&self, rest: &mut &'p [u8], mut set: impl FnMut(usize, Raw<'p>)) -> Result<(), Rejected> {
        while !rest.is_empty() {
            let (tag, wire) = key(rest)?;
            match (self.fields.get(tag as usize).copied().flatten(), wire) {
                (Some((Some(column), WireType::Varint)), WireType::Varint) => {
                    set(column, Raw::Int(varint(rest)?));
                }
                (Some((Some(column), WireType::LengthDelimited)), WireType::LengthDelimited) => {
                    set(column, Raw::Bytes(bytes(rest)?));
                }
                (Some((Some(_), _)), _) => return Err(broken()),
                // A field of a later version, or one that the standards do not have.
                _ => skip(tag, wire, rest)?,
            }
        }
        Ok(())
    }
}

/// The kind, without a look at what it says.
pub(super) fn kind(intake: &Intake, payload: &[u8]) -> Option<usize> {
    let (mut rest, mut kind) = (payload, None);
    while !rest.is_empty() {
        let (tag, wire) = key(&mut rest).ok()?;
        match intake.wire.by_tag.get(&tag) {
            Some(of) if wire == WireType::LengthDelimited => {
                bytes(&mut rest).ok()?;
                kind = of.kind;
            }
            _ => skip(tag, wire, &mut rest).ok()?,
        }
    }
    kind
}

/// Member and customer, if they stand before the event's kind.
pub(super) fn ids(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut rest, mut member) = (payload, [].as_slice());
    while !rest.is_empty() {
        let (tag, wire) = key(&mut rest).ok()?;
        match (tag, wire) {
            (2, WireType::LengthDelimited) => member = bytes(&mut rest).ok()?,
            (3, WireType::LengthDelimited) => return Some((member, bytes(&mut rest).ok()?)),
            _ => skip(tag, wire, &mut rest).ok()?,
        }
    }
    None
}

fn broken() -> Rejected {
    Rejected::unreadable(
        "payload: it is no tarim.event.v1.Event (is it JSON? then say so in the header `content-type`)",
    )
}

#[inline]
fn key(rest: &mut &[u8]) -> Result<(u32, WireType), Rejected> {
    let key = number(rest)?;
    let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag > 0).ok_or_else(broken)?;
    Ok((tag, WireType::try_from(key & 7).map_err(|_| broken())?))
}

#[inline]
fn varint(rest: &mut &[u8]) -> Result<i64, Rejected> {
    number(rest).map(|n| n as i64)
}

/// Most numbers are keys and lengths, of one byte.
#[inline]
fn number(rest: &mut &[u8]) -> Result<u64, Rejected> {
    if let Some((byte, after)) = rest.split_first().filter(|(byte, _)| **byte < 0x80) {
        *rest = after;
        return Ok(u64::from(*byte));
    }
    encoding::decode_varint(rest).map_err(|_| broken())
}

fn bytes<'p>(rest: &mut &'p [u8]) -> Result<&'p [u8], Rejected> {
    let len = number(rest)?;
    let len = usize::try_from(len).map_err(|_| broken())?;
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(broken)?;
    *rest = after;
    Ok(bytes)
}

fn text<'p>(rest: &mut &'p [u8], field: &str) -> Result<&'p str, Rejected> {
    std::str::from_utf8(bytes(rest)?).map_err(|_| Rejected::because(format!("{field}: it is not UTF-8")))
}

fn skip(tag: u32, wire: WireType, rest: &mut &[u8]) -> Result<(), Rejected> {
    encoding::skip_field(wire, tag, rest, DecodeContext::default()).map_err(|_| broken())
}
