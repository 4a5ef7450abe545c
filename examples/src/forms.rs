//! What each file of the bank looks like: name, format, columns, and which cells can be spoiled.

use crate::sheet::{Form, Format, Spoil};

const COMMA: Format = Format::Csv(',');

pub static CUSTOMERS: Form = Form {
    file: "customers.csv",
    format: COMMA,
    columns: &[
        "member",
        "customer_id",
        "name",
        "id_number",
        "mobile",
        "address",
        "region",
        "birth_date",
        "gender",
        "customer_type",
        "education",
        "marital",
        "employer_id",
        "account_manager",
        "opened_on",
        "known_at",
    ],
    spoils: &[
        ("id_number", Spoil::Check("gb11643")),
        ("birth_date", Spoil::Date),
        ("region", Spoil::Code("gbt2260")),
        ("customer_type", Spoil::Code("codes")),
        ("customer_id", Spoil::Twice),
    ],
};

/// From an old core system: GB18030, separated by bars.
pub static COMPANIES: Form = Form {
    file: "companies.csv",
    format: Format::Gb18030('|'),
    columns: &[
        "member",
        "company_id",
        "name",
        "uscc",
        "region",
        "section",
        "division",
        "grp",
        "class",
        "legal_rep_id",
        "established_on",
        "registered_capital",
        "employees",
        "tax_grade",
        "opened_on",
        "known_at",
    ],
    spoils: &[
        ("uscc", Spoil::Check("gb32100")),
        ("section", Spoil::Code("gbt4754_section")),
        ("established_on", Spoil::Date),
        ("company_id", Spoil::Twice),
    ],
};

pub static ACCOUNTS: Form = Form {
    file: "accounts.csv",
    format: COMMA,
    columns: &["member", "account_id", "customer_id", "kind", "opened_on", "status", "known_at"],
    spoils: &[("kind", Spoil::Code("codes")), ("account_id", Spoil::Twice)],
};

pub static LOANS: Form = Form {
    file: "loans.csv",
    format: COMMA,
    columns: &[
        "member",
        "loan_id",
        "customer_id",
        "company_id",
        "product",
        "disbursed_on",
        "due_on",
        "amount_fen",
        "balance_fen",
        "rate_bp",
        "guarantee_type",
        "status",
        "class",
        "dpd",
        "known_at",
    ],
    spoils: &[
        ("class", Spoil::Code("mapping")),
        ("amount_fen", Spoil::Number("type")),
        ("due_on", Spoil::Date),
        ("customer_id", Spoil::Missing),
    ],
};

pub static REPAYMENTS: Form = Form {
    file: "repayments.csv",
    format: COMMA,
    columns: &[
        "member",
        "repayment_id",
        "loan_id",
        "customer_id",
        "instalment",
        "due_on",
        "due_fen",
        "paid_on",
        "paid_fen",
        "known_at",
    ],
    spoils: &[("due_fen", Spoil::Number("type")), ("due_on", Spoil::Date), ("loan_id", Spoil::Missing)],
};

pub static TRANSACTIONS: Form = Form {
    file: "transactions.csv",
    format: COMMA,
    columns: &[
        "member",
        "txn_id",
        "account_id",
        "customer_id",
        "booked_at",
        "direction",
        "amount_fen",
        "balance_fen",
        "kind",
        "channel",
        "counterparty",
        "known_at",
    ],
    spoils: &[
        ("booked_at", Spoil::Date),
        ("direction", Spoil::Code("codes")),
        ("amount_fen", Spoil::Number("type")),
        ("account_id", Spoil::Missing),
        ("txn_id", Spoil::Twice),
    ],
};

pub static BUREAU_REPORTS: Form = Form {
    file: "bureau_reports.ndjson",
    format: Format::Ndjson,
    columns: &[
        "member",
        "report_id",
        "customer_id",
        "reported_at",
        "loan_accounts#",
        "card_accounts#",
        "credit_fen#",
        "used_fen#",
        "overdue_accounts#",
        "overdue_now_fen#",
        "overdue_months_24m#",
        "max_dpd_24m#",
        "enquiries_1m#",
        "enquiries_3m#",
        "enquiries_6m#",
        "written_off_accounts#",
        "worst_class",
        "bad_guarantees#",
        "monthly_debt_fen#",
        "first_credit_on",
        "known_at",
    ],
    spoils: &[
        ("reported_at", Spoil::Date),
        ("worst_class", Spoil::Code("codes")),
        ("enquiries_3m#", Spoil::Number("type")),
        ("customer_id", Spoil::Missing),
    ],
};

pub static GUARANTEES: Form = Form {
    file: "guarantees.csv",
    format: COMMA,
    columns: &[
        "member",
        "guarantee_id",
        "guarantor_id",
        "guarantor_kind",
        "borrower_id",
        "loan_id",
        "amount_fen",
        "signed_on",
        "expires_on",
        "known_at",
    ],
    spoils: &[("guarantor_kind", Spoil::Code("codes")), ("guarantee_id", Spoil::Twice)],
};

pub static DEVICES: Form = Form {
    file: "devices.csv",
    format: COMMA,
    columns: &["member", "device_id", "os", "emulator", "rooted", "first_seen_at", "known_at"],
    spoils: &[("os", Spoil::Code("codes"))],
};

pub static DEVICE_USE: Form = Form {
    file: "device_use.csv",
    format: COMMA,
    columns: &["member", "use_id", "device_id", "customer_id", "used_at", "action", "ip_region", "known_at"],
    spoils: &[("used_at", Spoil::Date), ("ip_region", Spoil::Code("gbt2260")), ("use_id", Spoil::Twice)],
};

pub static LIST_ENTRIES: Form = Form {
    file: "list_entries.csv",
    format: COMMA,
    columns: &[
        "member",
        "entry_id",
        "list",
        "customer_id",
        "company_id",
        "id_number",
        "device_id",
        "reason",
        "source",
        "valid_from",
        "expires_at",
        "known_at",
    ],
    spoils: &[("valid_from", Spoil::Date), ("entry_id", Spoil::Twice)],
};

/// Amounts in decimal CNY.
pub static PROVIDENT_FUND: Form = Form {
    file: "provident_fund.csv",
    format: Format::Csv(';'),
    columns: &[
        "member",
        "record_id",
        "customer_id",
        "employer_id",
        "paid_on",
        "base",
        "paid",
        "months_total",
        "known_at",
    ],
    spoils: &[("base", Spoil::Number("scale")), ("paid_on", Spoil::Date), ("record_id", Spoil::Twice)],
};

/// Amounts in decimal CNY.
pub static PAYROLL: Form = Form {
    file: "payroll.csv",
    format: COMMA,
    columns: &["member", "payroll_id", "customer_id", "employer_id", "paid_on", "amount", "known_at"],
    spoils: &[("amount", Spoil::Number("scale")), ("payroll_id", Spoil::Twice)],
};

/// Days in eight digits.
pub static TAX_RECORDS: Form = Form {
    file: "tax_records.csv",
    format: COMMA,
    columns: &[
        "member",
        "record_id",
        "company_id",
        "period_end",
        "filed_on",
        "sales_fen",
        "tax_fen",
        "late",
        "known_at",
    ],
    spoils: &[("filed_on", Spoil::Date), ("sales_fen", Spoil::Number("type"))],
};

pub static APPLICATIONS: Form = Form {
    file: "applications.csv",
    format: COMMA,
    columns: &[
        "member",
        "application_id",
        "product",
        "applied_at",
        "customer_id",
        "company_id",
        "id_number",
        "mobile",
        "address",
        "device_id",
        "ip_region",
        "amount_fen",
        "term_months",
        "purpose",
        "guarantee_type",
        "section",
        "division",
        "grp",
        "class",
        "income_fen",
        "channel",
        "known_at",
    ],
    spoils: &[
        ("id_number", Spoil::Check("gb11643")),
        ("applied_at", Spoil::Date),
        ("purpose", Spoil::Code("codes")),
        ("application_id", Spoil::Twice),
    ],
};

pub static LOAN_OUTCOMES: Form = Form {
    file: "loan_outcomes.csv",
    format: COMMA,
    columns: &[
        "member",
        "application_id",
        "customer_id",
        "product",
        "observed_on",
        "outcome",
        "defaulted",
        "dpd_max",
        "loss_rate",
        "known_at",
    ],
    spoils: &[],
};
