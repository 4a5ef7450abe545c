//! Where a customer's state keeps what, and how much room each has.
//!
//! A state is sections, one behind the other:
//!
//! ```text
//! | windows … (features::stream) | identity | episodes | standing | crossed | ended |
//! ```

use tarim_features::stream::{Plan, Sections};

use super::{
    crossed::CROSSED_BYTES_MAX, customers::IDS_MAX, ended::ENDED_BYTES_MAX, standing::STANDING_BYTES_MAX,
};

/// Which section of a customer's state is what. The windows' are the first ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateLayout {
    /// How many sections there are.
    pub(super) count: usize,
    /// Who the customer is.
    pub(super) identity: usize,
    /// Of this and of each below: which section it is, of how many.
    pub(super) episodes: (usize, usize),
    pub(super) standing: (usize, usize),
    pub(super) crossed: (usize, usize),
    pub(super) ended: (usize, usize),
    /// Most bytes of a customer's episodes.
    pub(super) episode_bytes: usize,
}

impl StateLayout {
    /// That of all customers whose windows are these.
    pub(super) fn new(plan: &Plan) -> Self {
        let windows = plan.sections();
        let count = windows + 5;
        Self {
            count,
            identity: windows,
            episodes: (windows + 1, count),
            standing: (windows + 2, count),
            crossed: (windows + 3, count),
            ended: (windows + 4, count),
            episode_bytes: episode_bytes(plan),
        }
    }
}

/// What the windows and all else of a customer leave of a state: however many episodes are open, no event is refused for want
/// of room.
fn episode_bytes(plan: &Plan) -> usize {
    // A pane that comes in before another one goes.
    const SLACK: usize = 1 << 10;
    let others = STANDING_BYTES_MAX + CROSSED_BYTES_MAX + ENDED_BYTES_MAX + IDS_MAX + SLACK;
    Sections::BYTES_MAX.saturating_sub(plan.bytes_most() + others)
}
