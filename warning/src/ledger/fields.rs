//! The fields of a Protobuf message, one by one, where they stand.

/// What a field has; of texts, bytes and messages also where in the message it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    Number(u64),
    Bytes(usize, &'a [u8]),
    /// Four or eight bytes, which we have none of.
    Fixed,
}

/// Number and field of each, and where it ends; or what is wrong with the message, which ends it.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>, usize), String>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == message.len() {
            return None;
        }
        let found = field(message, &mut at);
        if found.is_none() {
            at = message.len();
        }
        Some(
            found
                .map(|(number, field)| (number, field, at))
                .ok_or_else(|| "not a message of Protobuf".to_owned()),
        )
    })
}

fn field<'a>(message: &'a [u8], at: &mut usize) -> Option<(u32, Field<'a>)> {
    let key = varint(message, at)?;
    let field = match key & 7 {
        0 => Field::Number(varint(message, at)?),
        1 => bytes(message, at, 8).map(|_| Field::Fixed)?,
        5 => bytes(message, at, 4).map(|_| Field::Fixed)?,
        2 => {
            let length = varint(message, at)?;
            bytes(message, at, length)?
        }
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok().filter(|number| *number > 0)?, field))
}

fn bytes<'a>(message: &'a [u8], at: &mut usize, length: u64) -> Option<Field<'a>> {
    let begins = *at;
    let end = begins.checked_add(usize::try_from(length).ok()?)?;
    let bytes = message.get(begins..end)?;
    *at = end;
    Some(Field::Bytes(begins, bytes))
}

fn varint(message: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
