//! Everything that a decision depends on besides the rulebook: rows, and the time at which they are read.

use std::sync::Arc;

use smallvec::SmallVec;
use tarim_datamart::Value;
use tarim_features::{
    row::{Layout, Row, RowBuilder, RowError},
    store::Snapshot,
};

use super::{Exposed, checks::CheckTools, hits::ListHits};
use crate::{
    outcome::NamedValue,
    rulebook::{Relation, Rulebook, Source},
};

/// What a decision is made from, as it was gathered. Reused from request to request.
///
/// Rows may refer to texts by code of the snapshot they were read from, which is held; written down
/// ([`Inputs::encode`]) they carry their texts themselves.
#[derive(Default)]
pub struct Inputs {
    pub(super) member: String,
    pub(super) product: String,
    /// Id of the rulebook that they were gathered for, and the plan there, which is that of `member` and `product`; None: it
    /// is looked up by name.
    pub(super) plan: Option<(u64, usize)>,
    /// When the decision is made, microseconds since 1970-01-01T00:00:00Z.
    pub(super) at_us: i64,
    /// Packed rows of the relations that are given, in order: application, entities, lists, warnings, exposure.
    pub(super) rows: Packed,
    /// Entries of lists that were hit.
    pub(super) hits: ListHits,
    /// What the ledger told of the exposure beside its row; None: it was not asked, or knew of nothing to tell.
    pub(super) exposed: Option<Box<Exposed>>,
    /// Whose dictionaries the entities' rows use; None: the rows carry their texts.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// They were written down by a release that did not round the points of a scorecard.
    pub(super) unrounded_points: bool,
    /// What it is gathered with.
    pub(super) tools: Tools,
}

/// Packed rows one behind the other, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    ends: SmallVec<[usize; 8]>,
}

impl Packed {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// All rows, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }

    /// Takes the last row away.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Empty if there is no such row, which no layout fits.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let row = start.zip(self.ends.get(index).copied());
        row.map_or(&[], |(start, end)| &self.bytes[start..end])
    }
}

/// Kept from one request to the next, so that gathering allocates nothing.
#[derive(Default)]
pub(super) struct Tools {
    /// Tokens of personal fields, one after the other.
    pub tokens: String,
    /// Of each, the application's column, and where it ends.
    pub token_ends: Vec<(usize, usize)>,
    /// Compute the rules over the whole application.
    pub checks: CheckTools,
    /// Packs rows of one layout after the other.
    packers: Vec<RowBuilder>,
}

/// A copy is made to be kept: it has no tools.
impl Clone for Inputs {
    fn clone(&self) -> Self {
        let Self { member, product, plan, at_us, rows, hits, exposed, snapshot, unrounded_points, tools: _ } =
            self;
        Self {
            member: member.clone(),
            product: product.clone(),
            plan: *plan,
            at_us: *at_us,
            rows: rows.clone(),
            hits: hits.clone(),
            exposed: exposed.clone(),
            snapshot: snapshot.clone(),
            unrounded_points: *unrounded_points,
            tools: Tools::default(),
        }
    }
}

impl Tools {
    /// A packer of that layout with nothing set.
    pub fn packer(&mut self, layout: &Arc<Layout>) -> &mut RowBuilder {
        let at = self.packers.iter().position(|p| Arc::ptr_eq(p.layout(), layout));
        let at = at.unwrap_or_else(|| {
            // A rulebook has four such layouts: more are of rulebooks that were replaced.
            if self.packers.len() > 4 {
                self.packers.clear();
            }
            self.packers.push(RowBuilder::new(layout));
            self.packers.len() - 1
        });
        let packer = &mut self.packers[at];
        packer.clear();
        packer
    }
}

impl Inputs {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn member(&self) -> &str {
        &self.member
    }

    pub fn product(&self) -> &str {
        &self.product
    }

    /// When the decision is made, microseconds since 1970-01-01T00:00:00Z.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// Version of the features that were read; None when the inputs were read back.
    pub fn feature_version(&self) -> Option<&str> {
        self.snapshot.as_deref().map(Snapshot::version)
    }

    /// The row of a given relation.
    pub(super) fn row<'a>(&'a self, index: usize, relation: &'a Relation) -> Result<Row<'a>, RowError> {
        self.row_of(relation, self.rows.get(index))
    }

    /// The row of a relation from its bytes.
    #[inline]
    pub(super) fn row_of<'a>(&'a self, relation: &'a Relation, bytes: &'a [u8]) -> Result<Row<'a>, RowError> {
        let dictionary = match (&self.snapshot, relation.source) {
            (Some(snapshot), Source::Entity(entity)) => snapshot.dictionary(entity),
            _ => relation.layout.codes(),
        };
        Row::new(&relation.layout, bytes, dictionary, self.at_us)
    }

    /// Every value that was given, by name, in order of relations: for the journal, and for people.
    pub fn named_values(&self, rulebook: &Rulebook) -> Result<Vec<NamedValue>, RowError> {
        let mut values = Vec::new();
        for (i, relation) in rulebook.given().iter().enumerate() {
            let row = self.row(i, relation)?;
            for (j, column) in relation.layout.columns().iter().enumerate() {
                values.push(NamedValue {
                    name: format!("{}.{}", relation.name, column.name),
                    value: row.get(j),
                    stale: row.is_stale(j),
                });
            }
        }
        for hit in self.hits.iter() {
            for (what, text) in [("entry_id", hit.entry_id), ("reason", hit.reason), ("source", hit.source)] {
                values.push(NamedValue {
                    name: format!("list.{}.{what}", hit.list),
                    value: Value::Utf8(text.to_owned()),
                    stale: false,
                });
            }
        }
        Ok(values)
    }
}
