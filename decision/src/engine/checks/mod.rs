//! Rules over a whole application: the `[[check]]`s of the standard `applications`.
//!
//! ```text
//!   values as they came ──► checks that only DataFusion computes ──┐
//!     tokenised, packed                                            ├─ one is FALSE ──► DataFusion says what is broken
//!   row of the application ──► row program of all others ──────────┘
//!                                   └─ none is ──► the application is let through
//! ```
//!
//! A check means what DataFusion makes of it, and to ask DataFusion about one row costs many times what a decision does. So
//! those of which a row program is known to answer the same ([`plain`]) are asked of one. It says no more than whether
//! there is something to tell; telling is left to DataFusion, so that it is told in the same words, and if ever the two
//! disagreed on a FALSE, by its answer.

mod plain;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use tarim_datamart::{Broken, Field, RowChecks, Table, Type, ValueRef};
use tarim_features::{
    expr::{Answers, Bound, ExprId, ExprSet, Program, Scope, Scratch},
    row::{Column, Layout, Row, RowBuilder},
};

use self::plain::Plain;

/// The checks of a table of applications.
#[derive(Debug)]
pub struct Checks {
    /// All of them.
    all: RowChecks,
    /// Those that DataFusion computes for each application: they have arithmetic, functions, casts, or read what is personal.
    /// Which they are is decided here, when an engine is made.
    others: RowChecks,
    program: Option<CheckProgram>,
    /// Columns of the application, by field. None is the member.
    columns: Vec<Option<usize>>,
}

/// Checks that a row program computes.
#[derive(Debug)]
struct CheckProgram {
    /// The same, for DataFusion.
    checks: RowChecks,
    program: Program,
    bound: Bound,
    count: u32,
    layout: Arc<Layout>,
    /// Columns that must not be odd: see [`plain::odd`].
    watched: Vec<usize>,
}

/// What checks are computed with, kept from one application to the next.
#[derive(Default)]
pub struct CheckTools {
    registers: Scratch,
    request: Option<RowBuilder>,
}

impl Checks {
    /// `layout` is that of the application's row: the table's fields but the member, in any order.
    pub fn new(table: &Table, layout: &Arc<Layout>) -> Self {
        let all = RowChecks::compile(table).expect("reading the standards has compiled its checks before");
        let columns: Vec<Option<usize>> = table.fields.iter().map(|f| layout.index(&f.name)).collect();
        let scope = Scope::new(vec![
            (plain::APPLICATION.to_owned(), layout.clone()),
            (plain::REQUEST.to_owned(), request()),
        ]);
        let mut taken = Vec::new();
        let mut watched = Vec::new();
        let mut exprs = Vec::new();
        for (i, (planned, check)) in all.planned().zip(&table.checks).enumerate() {
            // What a row program cannot run, DataFusion does.
            let Some(plain) = Plain::of(planned, table) else { continue };
            let Ok(checked) = plain.checked(&scope, &check.place) else { continue };
            watched.extend(plain.watched.iter().filter_map(|field| columns[*field]));
            exprs.push(checked);
            taken.push(i);
        }
        watched.sort_unstable();
        watched.dedup();
        let count = exprs.len() as u32;
        let set = ExprSet::compile(&scope, exprs).ok().filter(|_| count > 0);
        let program = set.map(|set| {
            let program = set.program(&scope);
            let bound = program.bind(&[layout.codes(), request().codes()]);
            let checks = all.only(|i| taken.contains(&i));
            CheckProgram { checks, program, bound, count, layout: layout.clone(), watched }
        });
        let others = if program.is_some() { all.only(|i| !taken.contains(&i)) } else { all.clone() };
        Self { all, others, program, columns }
    }

    /// What an application breaks, by the checks that DataFusion computes; if something, by all. Asked before anything is
    /// tokenised: checks look at what is personal as it is. `values` are those of its columns.
    pub fn of_values(&self, member: &str, values: &[ValueRef<'_>]) -> Vec<Broken> {
        match self.ask(&self.others, member, values) {
            broken if broken.is_empty() || self.program.is_none() => broken,
            _ => self.ask(&self.all, member, values),
        }
    }

    /// What it breaks by all others. `row` is what `values` were packed to. Allocates nothing, once the tools are warm, if that is
    /// nothing.
    pub fn of_row(
        &self,
        member: &str,
        values: &[ValueRef<'_>],
        row: &[u8],
        at_us: i64,
        tools: &mut CheckTools,
    ) -> Vec<Broken> {
        match &self.program {
            Some(program) if !program.passes(member, values, row, at_us, tools) => {
                self.ask(&program.checks, member, values)
            }
            _ => Vec::new(),
        }
    }

    fn ask(&self, checks: &RowChecks, member: &str, values: &[ValueRef<'_>]) -> Vec<Broken> {
        checks.check(|field| match self.columns[field] {
            Some(column) => values[column],
            None => ValueRef::Utf8(member),
        })
    }
}

impl CheckProgram {
    /// Whether a value is one that it would take otherwise than DataFusion.
    fn has_odd(&self, values: &[ValueRef<'_>]) -> bool {
        self.watched.iter().any(|column| plain::odd(values[*column]))
    }

    /// Whether none is FALSE. No, too, where the program cannot know.
    fn passes(
        &self,
        member: &str,
        values: &[ValueRef<'_>],
        row: &[u8],
        at_us: i64,
        tools: &mut CheckTools,
    ) -> bool {
        if self.has_odd(values) {
            return false;
        }
        let request = tools.request.get_or_insert_with(|| RowBuilder::new(&self::request()));
        request.clear();
        if request.set_text(0, member).is_err() {
            return false;
        }
        let read = |layout, bytes| Row::new(layout, bytes, Layout::codes(layout), at_us);
        let (Ok(application), Ok(request)) =
            (read(&self.layout, row), read(request.layout(), request.finish()))
        else {
            return false;
        };
        self.program.evaluate(&self.bound, &[application, request], &mut tools.registers);
        let answers = tools.registers.answers(&self.program, 0);
        (0..self.count).all(|check| answers.truth(ExprId(check)) != Some(false))
    }
}

/// Is it the member? Each row of a table has one; of an application, it is no field but the request's.
fn is_member(field: &Field) -> bool {
    field.name == MEMBER
}

const MEMBER: &str = "member";

/// What a check may read beside the application.
fn request() -> Arc<Layout> {
    static LAYOUT: LazyLock<Arc<Layout>> = LazyLock::new(|| {
        let member = Column::new(MEMBER, Type::Utf8);
        Arc::new(Layout::new(vec![member], Vec::new()).expect("one column"))
    });
    LAYOUT.clone()
}
