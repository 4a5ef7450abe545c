pub mod core;
mod operation;
pub mod scheme;
#[cfg(test)]
mod tests;
