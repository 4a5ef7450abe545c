//! Who the account manager of a customer is.

use std::sync::Arc;

use datafusion::{
    arrow::{array::StringArray, datatypes::DataType},
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
    prelude::SessionContext,
};
use futures::{StreamExt as _, executor::block_on};
use hashbrown::HashMap;
use tarim_datamart::{At, Problems, Standards, register_functions};

/// Reader of a member's customers who have no account manager.
pub const UNASSIGNED: &str = "unassigned";

/// Columns of the query, all texts.
const COLUMNS: [&str; 3] = ["member", "customer_id", "manager"];

/// Longest name of an account manager, in characters.
const NAME_MAX: usize = 64;

/// Account managers by customer, each within its member.
#[derive(Clone, Debug)]
pub struct Managers {
    members: HashMap<String, HashMap<Box<str>, Arc<str>>>,
    /// Each name once, however many customers it has.
    names: HashMap<String, Arc<str>>,
    unassigned: Arc<str>,
    /// Customers of whom two are said; the first by name was taken.
    doubtful: u64,
}

/// Why the account managers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManagersError {
    #[error(
        "cannot ask who the account managers are: {0}\n    fix: load the tables that `managers_sql` names (`tarim load`), or correct it"
    )]
    Query(#[from] DataFusionError),
    #[error(
        "managers_sql: its column `{column}` is {is}, not a text\n    fix: select arrow_cast({column}, 'Utf8')"
    )]
    NoText { column: &'static str, is: String },
    #[error(
        "managers_sql: `{name}` of member {member} is longer than {NAME_MAX} characters\n    fix: select a shorter name or number of the account manager"
    )]
    TooLong { member: String, name: String },
}

impl Default for Managers {
    fn default() -> Self {
        Self { members: HashMap::new(), names: HashMap::new(), unassigned: UNASSIGNED.into(), doubtful: 0 }
    }
}

impl Managers {
    /// Who reads what is about a customer: never nobody.
    pub fn of(&self, member: &str, customer: &str) -> Arc<str> {
        let found = self.members.get(member).and_then(|of| of.get(customer));
        found.unwrap_or(&self.unassigned).clone()
    }

    /// Says who the account manager of a customer is. Of two, the first by name is taken, in whatever order they come.
    pub fn put(&mut self, member: &str, customer: &str, manager: &str) {
        let name = self.names.entry_ref(manager).or_insert_with(|| manager.into()).clone();
        let of = self.members.entry_ref(member).or_default();
        match of.get_mut(customer) {
            Some(known) if known.as_ref() != manager => {
                self.doubtful += 1;
                if manager < known.as_ref() {
                    *known = name;
                }
            }
            Some(_) => {}
            None => drop(of.insert(customer.into(), name)),
        }
    }

    /// Customers who have one.
    pub fn customers(&self) -> usize {
        self.members.values().map(HashMap::len).sum()
    }

    /// Times that a customer was said to have another one, too.
    pub fn doubtful(&self) -> u64 {
        self.doubtful
    }

    /// Runs the rulebook's query.
    pub async fn load(session: &SessionContext, sql: &str) -> Result<Self, ManagersError> {
        let mut rows = session.sql_with_options(sql, read_only()).await?.execute_stream().await?;
        let mut managers = Self::default();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let column = |column: &'static str| {
                let found = batch.column_by_name(column);
                let text = found.and_then(|column| column.as_any().downcast_ref::<StringArray>());
                let is = || found.map_or("missing".to_owned(), |found| found.data_type().to_string());
                text.ok_or_else(|| ManagersError::NoText { column, is: is() })
            };
            let [members, customers, names_of] =
                [column(COLUMNS[0])?, column(COLUMNS[1])?, column(COLUMNS[2])?];
            for ((member, customer), manager) in members.iter().zip(customers).zip(names_of) {
                let (Some(member), Some(customer), Some(manager)) = (member, customer, manager) else {
                    continue;
                };
                let manager = manager.trim();
                if manager.is_empty() {
                    continue;
                }
                if manager.chars().count() > NAME_MAX {
                    return Err(ManagersError::TooLong { member: member.into(), name: manager.into() });
                }
                managers.put(member, customer, manager);
            }
        }
        Ok(managers)
    }
}

fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Plans the query against the tables of the standards, and tells what it lacks.
pub(crate) fn check(sql: &At<String>, standards: &Standards, problems: &mut Problems) {
    let plan = match block_on(plan(&sql.value, standards)) {
        Ok(plan) => plan,
        Err(e) => {
            let text = e.strip_backtrace();
            let line = text.lines().next().unwrap_or_default().to_owned();
            problems.push(sql.place.problem(
                format!("this query cannot be run: {line}"),
                "correct the SQL; the tables are those of standards/",
            ));
            return;
        }
    };
    for column in COLUMNS {
        let found = plan.schema().fields().iter().find(|field| field.name() == column);
        match found.map(|field| field.data_type()) {
            Some(DataType::Utf8) => {}
            Some(is) => problems.push(sql.place.problem(
                format!("its column `{column}` is {is}, not a text"),
                format!("select arrow_cast({column}, 'Utf8') AS {column}"),
            )),
            None => problems.push(sql.place.problem(
                format!("the query has no column `{column}`"),
                "write SELECT member, customer_id, … AS manager FROM …",
            )),
        }
    }
}

async fn plan(sql: &str, standards: &Standards) -> Result<LogicalPlan, DataFusionError> {
    let session = SessionContext::new_with_config(tarim_config());
    register_functions(&session);
    for table in standards.tables() {
        session.register_table(table.name.as_str(), Arc::new(EmptyTable::new(table.schema())))?;
    }
    let plan = session.state().create_logical_plan(sql).await?;
    read_only().verify_plan(&plan)?;
    Ok(plan)
}

/// Texts are Utf8, as in the datamart's sessions.
fn tarim_config() -> datafusion::prelude::SessionConfig {
    let mut config = datafusion::prelude::SessionConfig::new();
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rows: &str) -> Result<Managers, ManagersError> {
        let sql = format!("SELECT * FROM (VALUES {rows}) AS t (member, customer_id, manager)");
        block_on(Managers::load(&SessionContext::new_with_config(tarim_config()), &sql))
    }

    #[test]
    fn who_has_one_and_who_has_none() {
        let rows = "('001', 'c1', 'm1'), ('001', 'c2', NULL), ('001', 'c3', '  '), ('002', 'c1', ' n1 '), (NULL, 'c4', 'm1')";
        let managers = load(rows).unwrap();
        for (member, customer, manager) in [
            ("001", "c1", "m1"),
            ("001", "c2", UNASSIGNED),
            ("001", "c3", UNASSIGNED),
            ("001", "c9", UNASSIGNED),
            ("002", "c1", "n1"),
            ("002", "c2", UNASSIGNED),
            ("003", "c1", UNASSIGNED),
        ] {
            assert_eq!(managers.of(member, customer).as_ref(), manager, "{member}/{customer}");
        }
        assert_eq!((managers.customers(), managers.doubtful()), (2, 0));
    }

    #[test]
    fn of_two_the_first_by_name_is_taken_in_whatever_order_they_come() {
        for rows in ["('1', 'c', 'b'), ('1', 'c', 'a'), ('1', 'c', 'a')", "('1', 'c', 'a'), ('1', 'c', 'b')"]
        {
            let managers = load(rows).unwrap();
            assert_eq!((managers.of("1", "c").as_ref(), managers.doubtful()), ("a", 1));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (rows, said) in [
            ("('1', 'c', 7)", "its column `manager` is Int64, not a text"),
            (&format!("('1', 'c', '{}')", "m".repeat(65)), "of member 1 is longer than 64 characters"),
            ("('1', 'c'", "cannot ask who the account managers are"),
        ] {
            let e = load(rows).unwrap_err().to_string();
            assert!(e.contains(said) && e.contains("fix: "), "{e}");
        }
    }
}
