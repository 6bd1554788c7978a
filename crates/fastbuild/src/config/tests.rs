//! What a configuration may say.

use clap::Parser as _;
use fastbuild_builder::options::DiskMarks;

use super::*;

fn load(toml: &str) -> Result<Config, Mistakes> {
    Config::from_figment(&Figment::from(Toml::string(DEFAULT_FILE)).merge(Toml::string(toml)))
}

#[test]
fn the_shipped_file_is_a_whole_configuration() {
    let config = load("").unwrap();
    assert_eq!(config.port, 48001);
    assert_eq!(
        config.folders.source_dir,
        Path::new("/var/lib/fastbuild/source")
    );
    assert_eq!(
        config.database_url,
        "sqlite:///var/lib/fastbuild/fastbuild.db"
    );
    assert_eq!(config.limits.image_bytes, 50_000_000_000);
    assert_eq!(config.callbacks.retry_after.len(), 11);
    assert_eq!(config.callback_headers["X-BizType"], "DROS");
    assert_eq!(config.cleaning.image_reserve_days, 30);
    assert_eq!(config.cleaning.task_retention_days, 90);
    assert_eq!(config.cleaning.callback_retention_days, 90);
    assert_eq!(config.cleaning.build_cache_bytes, 50_000_000_000);
    assert_eq!(config.cleaning.interval, Duration::from_hours(24));
    assert_eq!(config.cleaning.disk_marks, None);
    assert!(config.base_images.is_empty());
}

#[test]
fn base_images_are_names_of_images() {
    let config = load("base_images = ['10.0.0.9/base/debian:12', 'centos']").unwrap();
    let names: Vec<String> = config.base_images.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["10.0.0.9/base/debian:12", "centos:latest"]);
    let mistakes = load("base_images = ['../containers/x', 'A B', 'fine:1']").unwrap_err();
    assert_eq!(mistakes.0.len(), 2, "{mistakes}");
    assert!(
        mistakes.0[0].starts_with("base_images: \"../containers/x\" is no image name"),
        "{mistakes}"
    );
}

#[test]
fn folders_follow_base_dir_and_can_be_set_each() {
    let config = load("base_dir = '/srv/fb'\ntask_dir = '/data/task'").unwrap();
    assert_eq!(config.folders.tools_dir, Path::new("/srv/fb/tools"));
    assert_eq!(config.folders.task_dir, Path::new("/data/task"));
    assert_eq!(config.seal_key_file, Path::new("/srv/fb/seal.key"));
}

#[test]
fn a_relative_base_dir_of_the_command_line_is_below_the_current_folder() {
    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        overrides: Overrides,
    }
    let parsed = |dir: &str| {
        let line = CommandLine::try_parse_from(["fastbuild", "--base-dir", dir]);
        line.map(|line| Config::load(None, &line.overrides).unwrap().base_dir)
    };
    let current = std::env::current_dir().unwrap();
    assert_eq!(parsed("data/fb").unwrap(), current.join("data/fb"));
    assert_eq!(parsed("/srv/fb").unwrap(), Path::new("/srv/fb"));
    assert!(parsed("").is_err());
}

#[test]
fn no_longest_limit_is_less_than_the_one_in_force() {
    assert_eq!(load("").unwrap().limits.bounds().longest.total, 86400);
    let mistakes =
        load("[builds]\ntotal_seconds = 90000\n[builds.longest]\npush_seconds = 0").unwrap_err();
    assert_eq!(
        mistakes.0,
        [
            "builds.longest.total_seconds: must not be less than builds.total_seconds (90000)",
            "builds.longest.push_seconds: must be at least 1",
        ]
    );
}

#[test]
fn the_low_mark_of_the_disk_is_not_above_the_high_one() {
    let marks = |high: u64, low: u64| {
        load(&format!(
            "[cleaning]\ndisk_high_mark = {high}\ndisk_low_mark = {low}"
        ))
    };
    let both = DiskMarks { high: 9, low: 7 };
    assert_eq!(marks(9, 7).unwrap().cleaning.disk_marks, Some(both));
    assert_eq!(marks(0, 7).unwrap().cleaning.disk_marks, None);
    assert_eq!(
        marks(9, 10).unwrap_err().0,
        ["cleaning.disk_low_mark: must not be more than cleaning.disk_high_mark (9)"]
    );
}

#[test]
fn every_mistake_is_named_at_once() {
    let mistakes = load(
        "base_dir = 'relative'\nbase_dri = '/x'\n[listen]\nport = 'eighty'\naddress = 'here'\n\
         [aes]\nkey = 'short'\n[callback]\nsigning_secret = 'hunter2'\n[callback.headers]\n'bad name' = 'x'\n\
         [builds]\nper_engine = 0\n[log]\nformat = 'xml'",
    )
    .unwrap_err();
    insta::assert_snapshot!(mistakes.0.join("\n"), @"
    base_dri: is no key of the configuration
    base_dir: must be an absolute path
    aes: the key of the wire secrets must be exactly 16 printable ASCII characters
    callback.headers.bad name: must be an HTTP header name (letters, digits and hyphens)
    log: unknown variant: found `xml`, expected ``text` or `json``
    callback.signing_secret: must be whsec_ and the base64 of 24 to 64 random bytes
    listen.address: invalid IP address syntax
    listen.port: invalid type: found string \"eighty\", expected u16
    builds.per_engine: must be at least 1
    ");
}
