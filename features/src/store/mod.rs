//! The online store: what is known of every entity, ready to be read in well under a microsecond.
//!
//! ```text
//!   materialise ──> part files ──> generation (manifest) ──> CURRENT        (embedded: a folder)
//!                                                              │ reload()
//!   decision ──> snapshot() ──> get(entity, member, key) ──> packed row
//!                          └──> list_hit(list, member, value, now) ──> entry
//! ```
//!
//! A decision reads everything from one [`Snapshot`]: a whole, immutable version of all entities and
//! lists, whose [`Snapshot::version`] the journal records. A materialisation becomes visible at once and
//! whole, when the pointer to the snapshot is swapped; readers never wait for it.

mod disk;
mod embedded;
mod error;
mod file;
mod held;
mod kept;
mod key;
mod listing;
mod lists;
mod manifest;
mod perfect_hash;
mod records;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

pub use embedded::{EmbeddedStore, Publication};
pub use error::StoreError;
pub use file::Written;
pub use kept::{KeptGenerations, KeptRows};
pub use listing::Listed;
pub use lists::{Entry, ListAnswer};
pub(crate) use lists::{ListAbout, ListsAbout, encode_entries, write_lists};
pub use manifest::{Generation, Part};
pub use snapshot::{EntityAbout, MemberRows, Rows, Snapshot};
pub use writer::FileWriter;

/// A store that decisions read from.
///
/// The embedded store ([`EmbeddedStore`]) holds everything in memory, so its snapshot is the whole of a
/// generation. A remote store (Valkey) holds the same packed rows under `{generation}/{entity}/{member}/
/// {key}` beside the dictionaries and the lists of the generation, which stay small and are held in memory
/// by every node; it implements [`OnlineStore::snapshot`] as the newest generation that it has been told
/// of, and fills the rows of a request into that snapshot's near-cache before the decision starts, so that
/// [`Snapshot::get`] stays a look-up in memory. Whatever the store:
///
/// - a snapshot never changes, and all of it is of one version;
/// - a generation is visible as a whole or not at all;
/// - damage, or rows of another rulebook, are an error of `reload` (the last good snapshot stays), never
///   an unknown entity.
pub trait OnlineStore: Send + Sync {
    /// The newest snapshot that was loaded. Never blocks; cheap enough to call for every decision.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Looks for a newer generation and makes it the snapshot; true if there was one. On an error the
    /// former snapshot stays.
    fn reload(&self) -> Result<bool, StoreError>;
}
