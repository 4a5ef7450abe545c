//! The synthetic bank and the example rulebooks.
