//! What the tests share: the small rulebook beside them, and tables from inline CSV.
use std::{collections::BTreeMap, io::Cursor, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, TimestampMicrosecondArray},
    csv::ReaderBuilder,
    datatypes::{Field, Schema, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{datasource::MemTable, prelude::SessionContext};
use tarim_datamart::{Standards, Type};
use tarim_features::view::FeatureSet;

/// The rulebook in `tests/rulebook`.
pub fn rulebook() -> (FeatureSet, Standards) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
    let standards = Standards::read(&folder).unwrap_or_else(|p| panic!("{p}"));
    let features = FeatureSet::read(&folder, &standards).unwrap_or_else(|p| panic!("{p}"));
    (features, standards)
}

/// A batch of CSV whose header names columns of `schema`, in any order; an empty cell is NULL.
pub fn csv(text: &str, schema: &SchemaRef) -> RecordBatch {
    let header = text.trim().lines().next().expect("a header");
    let fields = header.split(',').map(|name| schema.field_with_name(name).expect(name).clone());
    let read = Arc::new(Schema::new(fields.map(|f| f.with_nullable(true)).collect::<Vec<_>>()));
    let reader =
        ReaderBuilder::new(read.clone()).with_header(true).build(Cursor::new(text.trim().to_owned()));
    let batches: Vec<_> =
        reader.expect("a reader").collect::<Result<_, _>>().expect("the CSV is well formed");
    let batch = arrow::compute::concat_batches(&read, &batches).expect("one schema");
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|f| batch.column_by_name(f.name()).expect("a column of the schema").clone())
        .collect();
    let schema = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    RecordBatch::try_new(Arc::new(Schema::new(schema.collect::<Vec<_>>())), columns).expect("the columns fit")
}

/// A session with every table of the standards: those given as CSV, the others empty.
pub fn session(standards: &Standards, tables: &BTreeMap<String, String>) -> SessionContext {
    let batches = tables.iter().map(|(name, text)| {
        let table = standards.table(name).unwrap_or_else(|| panic!("no table {name}"));
        (name.clone(), vec![vec![csv(text, &table.schema())]])
    });
    session_of(standards, batches.collect())
}

/// A session with every table of the standards: those given as batches, by partition, the others empty.
pub fn session_of(
    standards: &Standards,
    mut tables: BTreeMap<String, Vec<Vec<RecordBatch>>>,
) -> SessionContext {
    let session = SessionContext::new();
    for table in standards.tables() {
        let partitions = tables.remove(&table.name).unwrap_or_else(|| vec![vec![]]);
        let schema = partitions.iter().flatten().next().map_or_else(|| table.schema(), |b| b.schema());
        let rows = MemTable::try_new(schema, partitions).expect("batches of one schema");
        session.register_table(table.name.as_str(), Arc::new(rows)).expect("a new name");
    }
    assert!(tables.is_empty(), "unknown tables {:?}", tables.keys());
    session
}

/// Schema of a spine for the test rulebook.
pub fn spine_schema() -> SchemaRef {
    let fields = [
        ("spine_id", Type::Int64),
        ("member", Type::Utf8),
        ("as_of", Type::Timestamp),
        ("customer_id", Type::Utf8),
        ("device_id", Type::Utf8),
    ];
    Arc::new(Schema::new(fields.map(|(name, ty)| Field::new(name, ty.arrow(), true)).to_vec()))
}

/// The same spine with every row at one time.
pub fn at_one_time(spine: &RecordBatch, as_of_us: i64) -> RecordBatch {
    let mut columns = spine.columns().to_vec();
    columns[2] = Arc::new(TimestampMicrosecondArray::from(vec![as_of_us; spine.num_rows()]));
    RecordBatch::try_new(spine.schema(), columns).expect("the same schema")
}

/// A cell as text; NULL is empty.
pub fn cell(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_null("");
    ArrayFormatter::try_new(array, &options).expect("a type that prints").value(row).to_string()
}

/// Rows of the named columns as text, sorted by the first, which is an integer.
pub fn rows(batches: &[RecordBatch], columns: &[&str]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for i in 0..batch.num_rows() {
            let find = |c: &&str| batch.column_by_name(c).unwrap_or_else(|| panic!("no column {c}"));
            rows.push(columns.iter().map(|c| cell(find(c), i)).collect::<Vec<_>>());
        }
    }
    rows.sort_by_key(|r| r[0].parse::<i64>().unwrap_or_default());
    rows
}
