//! What an import took, what it left and why, as an operator reads it.

use std::{collections::BTreeMap, fmt};

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// Table by table.
    pub tables: Vec<TableReport>,
    /// Whether it was written; otherwise it was a dry run.
    pub applied: bool,
}

/// What came of one old table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The old table's name.
    pub table: &'static str,
    /// What its rows become.
    pub becomes: &'static str,
    /// Whether the old database has it.
    pub present: bool,
    /// Rows taken now.
    pub taken: usize,
    /// Rows an earlier run took.
    pub already: usize,
    /// Rows left, by reason.
    pub skipped: BTreeMap<String, Vec<i64>>,
    /// What is worth knowing of rows that were taken.
    pub remarks: BTreeMap<String, Vec<i64>>,
}

impl TableReport {
    pub(super) fn new(table: &'static str, becomes: &'static str, present: bool) -> Self {
        Self {
            table,
            becomes,
            present,
            taken: 0,
            already: 0,
            skipped: BTreeMap::new(),
            remarks: BTreeMap::new(),
        }
    }

    pub(super) fn took(&mut self, row: i64, remarks: Vec<String>) {
        self.taken += 1;
        for remark in remarks {
            self.remarks.entry(remark).or_default().push(row);
        }
    }

    pub(super) fn skipped(&mut self, row: i64, reason: String) {
        self.skipped.entry(reason).or_default().push(row);
    }

    /// Rows left.
    pub fn left(&self) -> usize {
        self.skipped.values().map(Vec::len).sum()
    }
}

impl fmt::Display for TableReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, becomes, .. } = self;
        if !self.present {
            return writeln!(formatter, "{table}: not there");
        }
        let found = self.taken + self.already + self.left();
        write!(
            formatter,
            "{table} ({becomes}): {found} found, {} taken",
            self.taken
        )?;
        if self.already > 0 {
            write!(formatter, ", {} taken by an earlier run", self.already)?;
        }
        writeln!(formatter, ", {} skipped", self.left())?;
        for (reason, rows) in &self.skipped {
            writeln!(formatter, "  skipped {}: {reason}", numbers(rows))?;
        }
        for (remark, rows) in &self.remarks {
            writeln!(formatter, "  note on {}: {remark}", numbers(rows))?;
        }
        Ok(())
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            write!(formatter, "{table}")?;
        }
        Ok(())
    }
}

/// Every row by its number; those that follow each other by the first and the last.
fn numbers(rows: &[i64]) -> String {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let named: Vec<String> = runs
        .flat_map(|run| match run {
            [first, _, .., last] => vec![format!("{first} to {last}")],
            few => few.iter().map(i64::to_string).collect(),
        })
        .collect();
    let noun = if rows.len() == 1 { "row" } else { "rows" };
    format!("{noun} {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_was_left_and_names_every_row() {
        let mut table = TableReport::new("fb_image_table", "images", true);
        table.took(1, vec![]);
        table.took(2, vec!["size is empty".to_owned()]);
        table.already = 1;
        for row in (10..32).chain([40, 41, 7]) {
            table.skipped(row, "name is empty".to_owned());
        }
        let report = ImportReport {
            tables: vec![
                table,
                TableReport::new("fb_callback_table", "callbacks", false),
            ],
            applied: false,
        };
        assert_eq!(
            report.to_string(),
            "fb_image_table (images): 28 found, 2 taken, 1 taken by an earlier run, 25 skipped\n  \
             skipped rows 7, 10 to 31, 40, 41: name is empty\n  note on row 2: size is empty\n\
             fb_callback_table: not there\n"
        );
    }
}
