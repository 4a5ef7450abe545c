//! Values of dimensions: which there are, and what lies above which.

use tarim_datamart::checks::{Level, industry, region};

use super::{Code, Dimension, Kind};

/// Says of an exposure that it has no value of a dimension: no industry, say, of a person. Then what is told apart by
/// that dimension is not about it.
pub const NONE: &str = "none";

/// A value that a dimension does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {dimension}: {why}")]
pub struct Unknown {
    pub dimension: String,
    pub value: String,
    pub why: String,
}

const INDUSTRY: [&str; 4] = ["section", "division", "group", "class"];
const REGION: [&str; 3] = ["province", "prefecture", "county"];

impl Dimension {
    /// Names of its levels, from the top. Of code lists only the top has one: lists are of any depth.
    pub fn levels(&self) -> &'static [&'static str] {
        match self.kind() {
            Kind::Industry => &INDUSTRY,
            Kind::Region => &REGION,
            Kind::Codes => &["top"],
            Kind::Customer | Kind::Group => &[],
        }
    }

    /// Whether it has this value.
    pub fn check(&self, value: &str) -> Result<(), Unknown> {
        let checked = match self.kind() {
            Kind::Customer | Kind::Group => Ok(()),
            Kind::Industry => {
                let levels = [Level::Section, Level::Division, Level::Group, Level::Class];
                match levels.get(value.len().wrapping_sub(1)) {
                    Some(level) => industry::check(*level, value),
                    None => Err("an industry has one to four characters"),
                }
            }
            Kind::Region => region::check(value),
            Kind::Codes => self.code(value).map(drop).ok_or("it is not in the list"),
        };
        checked.map_err(|why| Unknown { dimension: self.name.clone(), value: value.into(), why: why.into() })
    }

    /// A value that it has, and all that lie above it, the nearest first.
    pub fn chain(&self, value: &str) -> Vec<String> {
        let mut chain = vec![value.to_owned()];
        match self.kind() {
            Kind::Customer | Kind::Group => {}
            Kind::Industry => {
                chain.extend((2..value.len()).rev().map(|digits| value[..digits].to_owned()));
                chain.extend(industry::section_of(value).map(String::from));
            }
            Kind::Region => {
                let above = [format!("{}00", &value[..4]), format!("{}0000", &value[..2])];
                chain.extend(above.into_iter().filter(|code| code != value));
                chain.dedup();
            }
            Kind::Codes => {
                // No longer than the list: parents that go round in a circle end here.
                while let Some(code) = self.code(&chain[chain.len() - 1])
                    && !code.parent.is_empty()
                    && chain.len() <= self.codes.len()
                {
                    chain.push(code.parent.clone());
                }
            }
        }
        chain
    }

    /// The value at a level; where a value is not known so finely, itself: it is counted apart, never left out.
    pub fn at_level(&self, value: &str, level: u32) -> String {
        let mut chain = self.chain(value);
        match level as usize {
            0 => chain.swap_remove(0),
            level => {
                let from_top = chain.len().saturating_sub(level);
                chain.swap_remove(from_top)
            }
        }
    }

    /// Whether a value is `above`, or lies below it. One that is not known finely enough to tell counts too.
    pub fn is_under(&self, value: &str, above: &str) -> bool {
        self.chain(value).iter().any(|v| v == above) || self.chain(above).iter().any(|v| v == value)
    }

    /// Whether everything below `value` is certainly below `above`.
    pub fn is_within(&self, value: &str, above: &str) -> bool {
        self.chain(value).iter().any(|v| v == above)
    }

    fn code(&self, code: &str) -> Option<&Code> {
        // Sorted when the set was compiled.
        self.codes.binary_search_by(|c| c.code.as_str().cmp(code)).ok().map(|at| &self.codes[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(kind: Kind) -> Dimension {
        let code = |code: &str, parent: &str| Code { code: code.into(), parent: parent.into() };
        let codes =
            vec![code("b1", "business"), code("business", ""), code("loop", "loop2"), code("loop2", "loop")];
        Dimension { name: "x".into(), kind: kind.into(), codes }
    }

    #[test]
    fn values_roll_up() {
        let industry = dimension(Kind::Industry);
        assert_eq!(industry.chain("6621"), ["6621", "662", "66", "J"]);
        assert_eq!(industry.chain("J"), ["J"]);
        assert_eq!(industry.at_level("6621", 1), "J");
        assert_eq!(industry.at_level("6621", 3), "662");
        assert_eq!(industry.at_level("66", 4), "66", "not known so finely");
        assert!(industry.is_under("6621", "J") && !industry.is_under("6621", "K"));
        assert!(industry.is_under("66", "6621"), "it may be");
        assert!(!industry.is_within("66", "6621"));
        let region = dimension(Kind::Region);
        assert_eq!(region.chain("450103"), ["450103", "450100", "450000"]);
        assert_eq!(region.chain("450000"), ["450000"]);
        assert_eq!(region.at_level("450103", 2), "450100");
        let codes = dimension(Kind::Codes);
        assert_eq!(codes.chain("b1"), ["b1", "business"]);
        assert_eq!(codes.at_level("b1", 1), "business");
        assert!(codes.chain("loop").len() < 8, "a circle ends");
    }

    #[test]
    fn unknown_values_are_refused() {
        for (kind, good, bad) in [
            (Kind::Industry, "6621", "9999"),
            (Kind::Industry, "J", "j"),
            (Kind::Region, "450103", "999999"),
            (Kind::Codes, "b1", "b2"),
        ] {
            assert_eq!(dimension(kind).check(good), Ok(()));
            assert!(dimension(kind).check(bad).is_err(), "{bad}");
            assert!(dimension(kind).check("").is_err());
            assert!(dimension(kind).check("农村信用").is_err());
        }
    }
}
