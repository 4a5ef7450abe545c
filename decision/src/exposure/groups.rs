//! Groups of connected customers, from the datamart's edges: which customers change theirs.

use std::collections::BTreeMap;

use tarim_features::edges::Edges;

use super::{core::Core, operation::Regroup};

/// What brings the groups of a ledger to what edges of these kinds (indexes) say at a time. A group is called by the first
/// of its customers. Told in order of member and customer; each is an operation of its own, so the ledger goes on meanwhile.
pub fn regroupings(core: &Core, edges: &Edges, along: &[usize], at_us: i64) -> Vec<Regroup> {
    let mut wanted: BTreeMap<(String, String), String> = BTreeMap::new();
    edges.connected(along, at_us, |member, customer, first| {
        wanted.insert((member.to_owned(), customer.to_owned()), first.to_owned());
    });
    for (member, customer, group) in core.grouped() {
        let key = (member.to_owned(), customer.to_owned());
        match wanted.get(&key) {
            Some(same) if same == group => _ = wanted.remove(&key),
            Some(_) => {}
            None => _ = wanted.insert(key, String::new()),
        }
    }
    // A member that the ledger does not count by has no limits that a group could touch.
    let members = &core.schemes().members;
    let known = wanted.into_iter().filter(|((member, _), _)| members.binary_search(member).is_ok());
    known.map(|((member, customer), group)| Regroup { member, customer, group }).collect()
}
