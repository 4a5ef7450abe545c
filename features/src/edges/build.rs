//! From rows to compressed sparse rows.

use hashbrown::HashMap;

use super::graph::{Edges, Rows};

/// A row: an edge, of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Index of its kind.
    pub edge: usize,
    pub member: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    /// It stands from then on; None: since ever. In microseconds since 1970-01-01T00:00:00Z.
    pub since_us: Option<i64>,
    /// It stands before then; None: for ever.
    pub until_us: Option<i64>,
}

/// More customers or edges than fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {} customers with edges, or edges of a kind", u32::MAX)]
pub struct TooMany;

/// Takes rows in any order.
#[derive(Debug, Default)]
pub struct Builder {
    /// By member: ids, with the number that each has for now.
    members: HashMap<Box<str>, HashMap<Box<str>, u32>>,
    customers: u32,
    /// By kind.
    spans: Vec<Vec<Span>>,
}

/// An edge, from number to number. (Ordered by them, then by time.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from: u32,
    to: u32,
    since_us: i64,
    until_us: i64,
}

impl Builder {
    /// For so many kinds of edges.
    pub fn new(kinds: usize) -> Self {
        Self { spans: vec![Vec::new(); kinds], ..Self::default() }
    }

    /// Adds a row. What leads from a customer to the same, or never stands, is no edge.
    pub fn add(&mut self, row: Row<'_>) -> Result<(), TooMany> {
        let since_us = row.since_us.unwrap_or(i64::MIN);
        let until_us = row.until_us.unwrap_or(i64::MAX);
        if row.from == row.to || since_us >= until_us {
            return Ok(());
        }
        let (from, to) = (self.number(row.member, row.from)?, self.number(row.member, row.to)?);
        self.spans[row.edge].push(Span { from, to, since_us, until_us });
        Ok(())
    }

    fn number(&mut self, member: &str, id: &str) -> Result<u32, TooMany> {
        let ids = match self.members.get_mut(member) {
            Some(ids) => ids,
            None => self.members.entry(member.into()).or_default(),
        };
        if let Some(number) = ids.get(id) {
            return Ok(*number);
        }
        let number = self.customers;
        self.customers = number.checked_add(1).filter(|n| *n < u32::MAX).ok_or(TooMany)?;
        ids.insert(id.into(), number);
        Ok(number)
    }

    /// All edges, in order.
    pub fn finish(self) -> Result<Edges, TooMany> {
        let mut edges = Edges::default();
        let mut nodes = vec![0; self.customers as usize];
        let mut members: Vec<_> = self.members.into_iter().collect();
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (member, ids) in members {
            edges.members.push((member, edges.ends.len() as u32));
            let mut ids: Vec<_> = ids.into_iter().collect();
            ids.sort_unstable();
            for (id, number) in ids {
                nodes[number as usize] = edges.ends.len() as u32;
                edges.ids.push_str(&id);
                edges.ends.push(edges.ids.len());
            }
        }
        for mut spans in self.spans {
            for span in &mut spans {
                *span = Span { from: nodes[span.from as usize], to: nodes[span.to as usize], ..*span };
            }
            edges.kinds.push(rows(spans, nodes.len())?);
        }
        Ok(edges)
    }
}

fn rows(mut spans: Vec<Span>, nodes: usize) -> Result<Rows, TooMany> {
    spans.sort_unstable();
    // Versions of a row that follow each other are one edge.
    spans.dedup_by(|next, before| {
        let follows = (next.from, next.to) == (before.from, before.to) && next.since_us <= before.until_us;
        if follows {
            before.until_us = before.until_us.max(next.until_us);
        }
        follows
    });
    if u32::try_from(spans.len()).is_err() {
        return Err(TooMany);
    }
    let mut starts = Vec::with_capacity(nodes + 1);
    let mut at = 0;
    for node in 0..=nodes as u32 {
        while at < spans.len() && spans[at].from < node {
            at += 1;
        }
        starts.push(at as u32);
    }
    let timed = spans.iter().any(|s| s.since_us > i64::MIN || s.until_us < i64::MAX);
    let times = |of: fn(&Span) -> i64| match timed {
        true => spans.iter().map(of).collect(),
        false => Vec::new(),
    };
    Ok(Rows {
        starts,
        to: spans.iter().map(|s| s.to).collect(),
        since_us: times(|s| s.since_us),
        until_us: times(|s| s.until_us),
    })
}
