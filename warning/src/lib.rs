//! Early warning: events in, alerts out
