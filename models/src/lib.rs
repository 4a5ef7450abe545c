//! Scorecards: bins, points, grades
