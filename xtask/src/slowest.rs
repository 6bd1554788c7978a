//! The slowest tests of a run, from the report that nextest writes (`JUnit` XML,
//! `[profile.default.junit]` in .config/nextest.toml).

use std::path::Path;

use anyhow::{Context as _, Result};

/// Where nextest writes its report.
const REPORT: &str = "target/nextest/default/junit.xml";
/// Tests that are printed.
const COUNT: usize = 20;

/// One test of a report.
#[derive(Debug, Clone, PartialEq)]
struct Test {
    /// The binary and the test's name.
    name: String,
    seconds: f64,
}

/// Prints how many tests ran, and the slowest of them.
///
/// # Errors
/// When there is no report, or one of another form.
pub(crate) fn print() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(REPORT);
    let report = std::fs::read_to_string(&path)
        .with_context(|| format!("nextest wrote no report to {}", path.display()))?;
    let tests = slowest_first(&report)?;
    println!("{} tests; the slowest:", tests.len());
    for test in tests.iter().take(COUNT) {
        println!("{:8.1} s  {}", test.seconds, test.name);
    }
    Ok(())
}

fn slowest_first(report: &str) -> Result<Vec<Test>> {
    let mut tests = report
        .split("<testcase ")
        .skip(1)
        .map(|case| {
            let attribute = |name| attribute(case, name);
            Ok(Test {
                name: format!("{} {}", attribute("classname")?, attribute("name")?),
                seconds: attribute("time")?.parse()?,
            })
        })
        .collect::<Result<Vec<Test>>>()?;
    tests.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    Ok(tests)
}

/// The value of an attribute. Names of tests and binaries need no escapes in XML.
fn attribute<'a>(element: &'a str, name: &str) -> Result<&'a str> {
    let head = element.split('>').next().unwrap_or_default();
    head.split_once(&format!("{name}=\""))
        .filter(|(before, _)| before.is_empty() || before.ends_with(' '))
        .or_else(|| head.split_once(&format!(" {name}=\"")))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(value, _)| value)
        .with_context(|| format!("the report has a test without {name}: {head}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="2" failures="0" errors="0" time="62.2">
    <testsuite name="fastbuild::real" tests="1">
        <testcase name="recovery::chaos::every_build_ends" classname="fastbuild::real" timestamp="2026-11-30T17:00:00Z" time="61.030">
        </testcase>
        <testcase classname="fastbuild-spec" name="plan::tests::pip" time="0.004"/>
        <testcase name="recovery::crashes::on_postgres" classname="fastbuild::real" time="180.5">
            <system-out>a line with time="9999"</system-out>
        </testcase>
    </testsuite>
</testsuites>"#;

    #[test]
    fn the_slowest_come_first() {
        let tests = slowest_first(REPORT).unwrap();
        let lines: Vec<String> = tests
            .iter()
            .map(|test| format!("{} {}", test.seconds, test.name))
            .collect();
        assert_eq!(
            lines,
            [
                "180.5 fastbuild::real recovery::crashes::on_postgres",
                "61.03 fastbuild::real recovery::chaos::every_build_ends",
                "0.004 fastbuild-spec plan::tests::pip",
            ]
        );
    }

    #[test]
    fn a_report_of_another_form_is_refused() {
        assert!(slowest_first("<testcase name=\"a\" classname=\"b\"/>").is_err());
    }
}
