use proptest::prelude::*;

use super::*;

fn image(text: &str) -> ImageReference {
    text.parse().unwrap()
}

#[test]
fn every_way_to_write_a_docker_hub_image_is_the_same_image() {
    for text in [
        "debian:12",
        "library/debian:12",
        "docker.io/debian:12",
        "docker.io/library/debian:12",
        "index.docker.io/debian:12",
        "index.docker.io/library/debian:12",
    ] {
        let parsed = image(text);
        assert_eq!(parsed.to_string(), "debian:12", "{text}");
        assert_eq!(parsed, image("debian:12"));
        assert_eq!((parsed.registry(), parsed.path()), (None, "library/debian"));
    }
    assert_eq!(
        image("index.docker.io/me/app:1.0").to_string(),
        "me/app:1.0"
    );
}

#[test]
fn docker_hub_stays_written_where_the_rest_reads_as_another_image() {
    for (text, printed) in [
        (
            "index.docker.io/harbor.example/x:1",
            "docker.io/harbor.example/x:1",
        ),
        ("docker.io/localhost/x", "docker.io/localhost/x:latest"),
        ("docker.io/docker.io/x", "docker.io/docker.io/x:latest"),
        ("docker.io/sha256:1", "docker.io/sha256:1"),
        ("docker.io/library/library/x", "library/library/x:latest"),
    ] {
        let parsed = image(text);
        assert_eq!(parsed.to_string(), printed);
        assert_eq!(parsed.registry(), None, "{text}");
        assert_eq!(image(printed), parsed);
    }
    let id = "ab".repeat(32);
    assert_eq!(
        image(&format!("docker.io/{id}")).name(),
        format!("docker.io/{id}")
    );
}

#[test]
fn registry_port_tag_and_digest_are_told_apart() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (text, registry, repository, tag, has_digest) in [
        (
            "172.27.213.154:30003/base/ubuntu:v3",
            Some("172.27.213.154:30003"),
            "base/ubuntu",
            "v3",
            false,
        ),
        (
            "172.27.213.154:30003/base/ubuntu",
            Some("172.27.213.154:30003"),
            "base/ubuntu",
            "latest",
            false,
        ),
        ("localhost/x", Some("localhost"), "x", "latest", false),
        (
            "[2001:db8::9]:5000/team/app:1",
            Some("[2001:db8::9]:5000"),
            "team/app",
            "1",
            false,
        ),
        ("base/ubuntu:1", None, "base/ubuntu", "1", false),
        ("REG/app", Some("REG"), "app", "latest", false),
        (
            &format!("r.example/a@{digest}"),
            Some("r.example"),
            "a",
            "latest",
            true,
        ),
        (
            &format!("r.example:5000/a:1@{digest}"),
            Some("r.example:5000"),
            "a",
            "1",
            true,
        ),
    ] {
        let parsed = image(text);
        assert_eq!(
            (
                parsed.registry(),
                parsed.repository(),
                parsed.tag(),
                parsed.digest().is_some()
            ),
            (registry, repository, tag, has_digest),
            "{text}"
        );
        let latest = if text.contains('@') || parsed.tag() != "latest" {
            ""
        } else {
            ":latest"
        };
        assert_eq!(parsed.to_string(), format!("{text}{latest}"));
    }
}

#[test]
fn a_broken_name_is_refused_with_the_part_that_is_wrong() {
    use ReferenceError::{
        Digest, Empty, Host, Identifier, Path, Reserved, Tag, TooLong, UpperCase,
    };
    for (text, expected) in [
        ("", Empty),
        ("ab".repeat(32).as_str(), Identifier),
        ("a/Upper", UpperCase),
        ("Upper:1", UpperCase),
        ("A B", Path),
        ("a b", Path),
        ("../containers/x", Path),
        ("a;touch /pwned", Path),
        ("a\n", Path),
        ("a___b", Path),
        ("a/", Path),
        (format!("r.example/{}", "a".repeat(256)).as_str(), TooLong),
        ("a".repeat(248).as_str(), TooLong),
        ("a:", Tag),
        ("a:$(id)", Tag),
        ("r.example/a:版本1", Tag),
        ("r.example/a:v１", Tag),
        (format!("a:{}", "t".repeat(129)).as_str(), Tag),
        ("a@sha256:12", Digest),
        (format!("a@sha256:{}", "AB".repeat(32)).as_str(), Digest),
        (format!("a@md5:{}", "ab".repeat(16)).as_str(), Digest),
        ("höst.example/a", Host),
        ("a-.example/a", Host),
        ("[fe80::1%eth0]/a", Host),
        ("r.example:99999/a", Host),
        ("r.example:0/a", Host),
        ("my_host.example/a", Host),
        ("scratch", Reserved),
        ("docker.io/library/scratch:1", Reserved),
    ] {
        assert_eq!(
            ImageReference::parse_pullable(text),
            Err(expected),
            "{text:?}"
        );
        let Sentence { zh, en } = expected.allowed();
        assert!(!zh.is_empty() && en.starts_with("must "));
    }
    assert!(ImageReference::parse_pullable("r.example/scratch:1").is_ok());
}

proptest! {
    #[test]
    fn what_is_printed_is_the_same_image(text in "([a-zA-Z0-9.:_-]{1,12}/|docker.io/|index.docker.io/|\\[[0-9a-f:]{1,6}\\](:[0-9]{1,5})?/)?[a-z0-9._/-]{1,30}(:[a-zA-Z0-9._-]{1,10})?(@sha256:[0-9a-f]{64})?") {
        if let Ok(parsed) = text.parse::<ImageReference>() {
            prop_assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
            if let Some(digest) = parsed.digest() {
                prop_assert_eq!(format!("{}@{digest}", parsed.name()).parse::<ImageReference>().unwrap().name(), parsed.name());
            } else {
                prop_assert_eq!(format!("{}:{}", parsed.name(), parsed.tag()).parse(), Ok(image(&parsed.to_string())));
            }
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
        let _ = ImageReference::parse_pullable(&text);
    }
}
