//! What a decision sees of the exposure ledger, kept from one decision to the next.

use std::mem;

use tarim_features::row::RowBuilder;

use super::{
    Inputs,
    exposed::{Exposed, Short, tightest},
};
use crate::exposure::{
    Spare,
    standing::{Seen, Standing, layout, pack_unknown},
};

/// The row `exposure`, and what is journaled beside it. One that is used again allocates nothing, unless there is a counter without
/// room for what is asked for.
pub struct Look {
    pub(super) row: RowBuilder,
    /// None: it was handed on with the inputs.
    pub(super) exposed: Option<Box<Exposed>>,
    spare: Spare,
}

const LAYOUT: &str = "the row has the layout of how counters stand";

impl Default for Look {
    fn default() -> Self {
        Self { row: RowBuilder::new(&layout()), exposed: None, spare: Spare::default() }
    }
}

impl Look {
    /// What the decision before was told is written over. (Else it is dropped when others are gathered.)
    pub fn take_back(&mut self, inputs: &mut Inputs) {
        self.exposed = inputs.exposed.take().or_else(|| self.exposed.take());
    }

    /// It is not known how the counters stand.
    pub fn unknown(&mut self) {
        self.forget();
        pack_unknown(&mut self.row).expect(LAYOUT);
    }

    /// They stand so, and so much is asked for; None: that is not known.
    pub fn note(&mut self, counters: &[impl Seen], asked_fen: Option<i64>) {
        self.forget();
        let Self { row, exposed, spare } = self;
        let standing = Standing::of(counters, asked_fen);
        standing.pack(row, spare).expect(LAYOUT);
        let exposed = exposed.get_or_insert_default();
        // Those that no limit within the room brings above their warning line are not kept.
        let headroom = standing.headroom_fen.max(0);
        let near = counters.iter().filter(|c| c.used_fen().saturating_add(headroom) > c.lines().warning_fen);
        exposed.counters.extend(near.map(|counter| counter.tell(spare)));
        let short = counters.iter().filter_map(|counter| {
            let fen = asked_fen?.saturating_sub(counter.headroom_fen());
            (fen > 0).then(|| Short { counter: Some(counter.tell(spare)), fen })
        });
        (exposed.short, exposed.more) = tightest(short.collect());
    }

    fn forget(&mut self) {
        self.row.clear();
        let Some(exposed) = &mut self.exposed else { return };
        let Exposed { mut counters, breaches, short, .. } = mem::take(&mut **exposed);
        let without_room = breaches.into_iter().chain(short).filter_map(|short| short.counter);
        counters.drain(..).chain(without_room).for_each(|counter| self.spare.take_back(counter));
        exposed.counters = counters;
    }
}
