//! Page after page: the token says where the next one goes on, and of which list.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Refusal;

/// Warnings, or pushes, of a page when nothing is said, and at most.
const USUAL: usize = 100;
const MOST: usize = 1000;

pub fn size(page_size: u32) -> Result<usize, Refusal> {
    match page_size as usize {
        0 => Ok(USUAL),
        size if size <= MOST => Ok(size),
        size => Err(Refusal::invalid("page_size", format!("{size} is too many; at most {MOST}"))),
    }
}

/// The token of the page that goes on before a number.
pub fn token(member: &str, filter: &impl Hash, before: Option<u32>) -> String {
    before.map_or_else(String::new, |before| format!("{before}.{:08x}", list(member, filter)))
}

/// Where a page goes on; None: at the newest.
pub fn before(token: &str, member: &str, filter: &impl Hash) -> Result<Option<u32>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token
        .split_once('.')
        .and_then(|(before, of)| Some((before.parse::<u32>().ok()?, u32::from_str_radix(of, 16).ok()?)));
    match parsed {
        Some((before, of)) if of == list(member, filter) => Ok(Some(before)),
        Some(_) => Err(Refusal::invalid("page_token", "it is of another list; leave all else as it was")),
        None => Err(Refusal::invalid("page_token", "it is none; give the last answer's next_page_token")),
    }
}

/// Tells lists apart: a token of one makes no sense in another. It keeps no secret: a member's numbers are its own.
fn list(member: &str, filter: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    (member, filter).hash(&mut hasher);
    hasher.finish() as u32
}
