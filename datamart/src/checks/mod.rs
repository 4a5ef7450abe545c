//! Checks of national codes that are built in, for fields (`checks = ["gb11643"]`) and as SQL functions.
//!
//! | name | what it accepts |
//! |---|---|
//! | `gb11643` | identity number of a person, GB 11643: see [`identity`] |
//! | `gb32100` | unified social credit code of an organisation, GB 32100: see [`credit_code`] |
//! | `gbt2260` | region (province, prefecture or county), GB/T 2260: see [`region`] |
//! | `gbt4754_section`, `_division`, `_group`, `_class` | industry, GB/T 4754-2017: see [`industry`] |
//! | `luhn` | card number with the check digit of ISO/IEC 7812-1: see [`luhn`] |

pub mod credit_code;
pub mod identity;
pub mod industry;
pub mod luhn;
pub mod region;

pub use industry::Level;

/// A built-in check of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    Gb11643,
    Gb32100,
    Gbt2260,
    Gbt4754(Level),
    Luhn,
}

impl Builtin {
    /// All of them, in the order of the documentation.
    pub const ALL: [Builtin; 8] = [
        Builtin::Gb11643,
        Builtin::Gb32100,
        Builtin::Gbt2260,
        Builtin::Gbt4754(Level::Section),
        Builtin::Gbt4754(Level::Division),
        Builtin::Gbt4754(Level::Group),
        Builtin::Gbt4754(Level::Class),
        Builtin::Luhn,
    ];

    /// Its name in a standard, and of its rule in a quality report.
    pub fn name(self) -> &'static str {
        match self {
            Builtin::Gb11643 => "gb11643",
            Builtin::Gb32100 => "gb32100",
            Builtin::Gbt2260 => "gbt2260",
            Builtin::Gbt4754(Level::Section) => "gbt4754_section",
            Builtin::Gbt4754(Level::Division) => "gbt4754_division",
            Builtin::Gbt4754(Level::Group) => "gbt4754_group",
            Builtin::Gbt4754(Level::Class) => "gbt4754_class",
            Builtin::Luhn => "luhn",
        }
    }

    /// The check of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|b| b.name() == name)
    }

    /// Whether the text is a code of this kind, else what is wrong with it. What is said never repeats
    /// the text: it may be personal.
    pub fn check(self, text: &str) -> Result<(), &'static str> {
        match self {
            Builtin::Gb11643 => identity::check(text),
            Builtin::Gb32100 => credit_code::check(text),
            Builtin::Gbt2260 => region::check(text),
            Builtin::Gbt4754(level) => industry::check(level, text),
            Builtin::Luhn => luhn::check(text),
        }
    }
}
