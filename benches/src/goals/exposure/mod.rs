//! The exposure ledger.

mod crash;
mod durable;
mod look;
mod postgres;
mod reopen;
mod reserve;

pub use self::{
    crash::ExposureCrash, durable::ExposureDurable, look::ExposureLook, reopen::ExposureReopen,
    reserve::ExposureReserve,
};

/// The executable that is measured, with the allocator that `tarim` has. This one's counts.
const NAME: &str = "tarim-benches-exposure";

/// Three counters for each loan.
pub const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 100000000000 }
warning = { share = 0.8 }

[[limit]]
id = "one_product"
zh = "产品"
en = "one product"
scope = "member"
per = ["product"]
hard = { fen = 100000000000000 }

[[limit]]
id = "all_loans"
zh = "全部贷款"
en = "all loans"
scope = "federation"
hard = { fen = 200000000000000 }

[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"
"#;
