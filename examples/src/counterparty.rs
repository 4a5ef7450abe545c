//! Who is at the other end of a booking.

/// Number and kind; the codes of the standard `event_transaction`.
#[derive(Clone, Copy)]
pub struct Counterparty {
    pub number: i64,
    pub kind: &'static str,
}

impl Counterparty {
    /// The counterparty of an everyday booking. Of transfers the number alone says what it is.
    pub fn everyday(number: i64, booking: &str) -> Self {
        let kind = match booking {
            "cash_in" | "cash_out" => "self",
            "consumption" => "merchant",
            "salary" | "utility" => "company",
            "loan_repayment" => "lender",
            _ => match number % 100 {
                0..66 => "person",
                66..80 => "company",
                80..88 => "self",
                88..93 => "lender",
                93..97 => "securities",
                _ => "property",
            },
        };
        Self { number, kind }
    }
}
