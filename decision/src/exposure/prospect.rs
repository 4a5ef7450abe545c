//! An exposure that may come to be, in borrowed texts: to look at the counters that it would touch takes no more, and most
//! decisions only look.

use smallvec::SmallVec;

use super::operation::{Attribute, Operation, Prepared, Reserve, customer_hash, profile_hash};

/// Name and value of attributes, in order. More than limits mostly speak of are rare, and allocate.
pub type Pairs<'a> = SmallVec<[(&'a str, &'a str); 8]>;

/// Attributes as pairs, in their order.
pub fn pairs(attributes: &[Attribute]) -> Pairs<'_> {
    attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect()
}

/// Whose exposure it would be, and of what.
#[derive(Clone, Debug)]
pub struct Prospect<'a> {
    pub(super) member: &'a str,
    pub(super) customer: &'a str,
    pub(super) attributes: Pairs<'a>,
    /// Of member and attributes.
    pub(super) profile: u128,
    /// Of member and customer.
    pub(super) customer_hash: u64,
}

impl<'a> Prospect<'a> {
    /// Puts attributes in order, and hashes.
    pub fn new(member: &'a str, customer: &'a str, mut attributes: Pairs<'a>) -> Self {
        attributes.sort_unstable();
        let (profile, customer_hash) = (profile_hash(member, &attributes), customer_hash(member, customer));
        Self { member, customer, attributes, profile, customer_hash }
    }

    /// Of what is to be reserved; None: it is another operation.
    pub fn of(prepared: &'a Prepared) -> Option<Self> {
        let Operation::Reserve(Reserve { member, customer, attributes, .. }) = &prepared.operation else {
            return None;
        };
        let (profile, customer_hash) = (prepared.profile, prepared.customer);
        Some(Self { member, customer, attributes: pairs(attributes), profile, customer_hash })
    }

    /// What reserves it, under a name.
    pub fn reserve(&self, exposure: &str, fen: i64, expires_us: i64) -> Prepared {
        Prepared::new(Operation::Reserve(Reserve {
            member: self.member.to_owned(),
            exposure: exposure.to_owned(),
            customer: self.customer.to_owned(),
            attributes: self.attributes.iter().map(|(name, value)| Attribute::new(*name, *value)).collect(),
            fen,
            expires_us,
        }))
    }
}
