//! The edges of a moment, in compressed sparse rows.
//!
//! ```text
//!  members  001 ── nodes 0..3          kind 0: starts  0    2    2    3
//!           002 ── nodes 3..5                          │    │    └──┐
//!  ids      c1 c2 c7 │ c1 c4                   to      1  2 │       4
//!           sorted within the member           since,  …  … │       …
//!                                              until
//! ```
//!
//! A customer is found by binary search; the edges that leave it stand together. Nothing is hashed, and nothing depends on the order in
//! which the rows came.

use std::collections::HashSet;

/// Edges of all members.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    /// Code of each member, in order, and its first node; and the number of nodes.
    pub(super) members: Vec<(Box<str>, u32)>,
    /// Ids of the nodes, one behind the other, and where each ends.
    pub(super) ids: String,
    pub(super) ends: Vec<usize>,
    /// By kind.
    pub(super) kinds: Vec<Rows>,
}

/// Edges of a kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// By node: its first edge; and the number of edges.
    pub starts: Vec<u32>,
    pub to: Vec<u32>,
    /// In microseconds; of edges without times both are empty.
    pub since_us: Vec<i64>,
    pub until_us: Vec<i64>,
}

impl Rows {
    /// The nodes that edges lead to which stand at a time, in order.
    pub(super) fn of(&self, node: u32, at_us: i64) -> impl Iterator<Item = u32> {
        let first = self.starts.get(node as usize).copied().unwrap_or_default();
        let end = self.starts.get(node as usize + 1).copied().unwrap_or_default();
        let stands = move |i: &usize| {
            self.since_us.get(*i).is_none_or(|since| *since <= at_us)
                && self.until_us.get(*i).is_none_or(|until| at_us < *until)
        };
        (first as usize..end as usize).filter(stands).map(|i| self.to[i])
    }
}

/// How far to look, and along which edges.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Indexes of kinds of edges; of edges that lead to the same customer the first counts.
    pub along: &'a [usize],
    /// At most so many edges, one after the other.
    pub hops: u8,
    /// Edges that stand at this time, in microseconds.
    pub at_us: i64,
    /// At most so many neighbours: the nearest.
    pub most: usize,
}

/// The neighbours of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Near<'e> {
    /// The nearest first.
    pub found: Vec<Neighbour<'e>>,
    /// There are more than were asked for.
    pub cut: bool,
}

/// A customer that edges lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour<'e> {
    pub id: &'e str,
    /// Index of the kind of the edge that leads to it.
    pub edge: usize,
    /// How many edges lead to it.
    pub hops: u8,
    /// Whom the last edge comes from; None: from the customer itself.
    pub through: Option<&'e str>,
}

impl Edges {
    /// Each neighbour of a customer once, by the shortest way; of ways that are as short, by the one that is found first: in the
    /// order of those before, then of the edges, then of the ids. The customer itself is none.
    pub fn near(&self, member: &str, id: &str, search: Search<'_>) -> Near<'_> {
        let mut near = Near::default();
        let Some(start) = self.node(member, id) else { return near };
        let mut seen = HashSet::from([start]);
        let mut ring = vec![start];
        for hops in 1..=search.hops {
            let mut next = Vec::new();
            for from in &ring {
                let through = (*from != start).then(|| self.id(*from));
                for edge in search.along {
                    for to in self.kinds[*edge].of(*from, search.at_us) {
                        if !seen.insert(to) {
                            continue;
                        }
                        if near.found.len() == search.most {
                            near.cut = true;
                            return near;
                        }
                        near.found.push(Neighbour { id: self.id(to), edge: *edge, hops, through });
                        next.push(to);
                    }
                }
            }
            ring = next;
        }
        near
    }

    /// Customers that some edge leads from or to.
    pub fn customers(&self) -> usize {
        self.ends.len()
    }

    /// How many edges of a kind there are; an edge that stands at two spans of time is two.
    pub fn count(&self, kind: usize) -> usize {
        self.kinds.get(kind).map_or(0, |rows| rows.to.len())
    }

    pub(super) fn id(&self, node: u32) -> &str {
        let node = node as usize;
        let start = if node == 0 { 0 } else { self.ends[node - 1] };
        &self.ids[start..self.ends[node]]
    }

    fn node(&self, member: &str, id: &str) -> Option<u32> {
        let at = self.members.binary_search_by(|(code, _)| (**code).cmp(member)).ok()?;
        let mut low = self.members[at].1;
        let mut high = self.members.get(at + 1).map_or(self.ends.len() as u32, |(_, first)| *first);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}
