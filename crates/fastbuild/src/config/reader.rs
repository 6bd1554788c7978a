//! Reading single keys so that every mistake is known at once.

use std::{net::IpAddr, time::Duration};

use fastbuild_builder::options::{Compression, DiskMarks};
use fastbuild_spec::{
    callback::SigningSecret,
    limits::{BuildLimits, LIMIT_FIELDS},
    reference::ImageReference,
};
use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde::Deserialize;

use super::DEFAULT_FILE;

/// Asks for one key after the other and collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) figment: &'a Figment,
    pub(super) mistakes: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn get<'de, T: Deserialize<'de>>(&mut self, key: &str) -> Option<T> {
        match self.figment.extract_inner(key) {
            Ok(value) => Some(value),
            Err(errors) => {
                for error in errors {
                    let place = error
                        .metadata
                        .as_ref()
                        .and_then(|metadata| metadata.source.as_ref())
                        .map(|source| format!(" (in {source})"))
                        .unwrap_or_default();
                    self.mistake(key, &format!("{}{place}", error.kind));
                }
                None
            }
        }
    }

    /// The secret of callbacks, where there is one. A mistake does not repeat it.
    pub(super) fn signing_secret(&mut self) -> Option<SigningSecret> {
        let text: String = self.get("callback.signing_secret")?;
        if text.is_empty() {
            return None;
        }
        SigningSecret::parse(&text)
            .map_err(|error| self.mistake("callback.signing_secret", &error.to_string()))
            .ok()
    }

    /// The base images to register; each name that is none is a mistake.
    pub(super) fn base_images(&mut self) -> Option<Vec<ImageReference>> {
        let names: Vec<String> = self.get("base_images")?;
        names
            .iter()
            .map(|name| {
                ImageReference::parse_pullable(name)
                    .map_err(|error| {
                        self.mistake(
                            "base_images",
                            &format!("{name:?} is no image name: {error}"),
                        );
                    })
                    .ok()
            })
            // All of them, so that every mistake is named.
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    /// The longest limits that a request may set; none is shorter than what is in force without.
    pub(super) fn longest_limits(&mut self) -> Option<BuildLimits> {
        let mut longest = |name: &str| {
            let key = format!("builds.longest.{name}");
            let longest = self.at_least_one::<u64>(&key)?;
            let default: u64 = self.figment.extract_inner(&format!("builds.{name}")).ok()?;
            if longest < default {
                self.mistake(
                    &key,
                    &format!("must not be less than builds.{name} ({default})"),
                );
                return None;
            }
            Some(longest)
        };
        let [total, silence, push] = LIMIT_FIELDS.map(&mut longest);
        Some(BuildLimits {
            total: total?,
            silence: silence?,
            push: push?,
        })
    }

    /// How much an engine's disk may hold; `None` where that is turned off, or a mistake.
    pub(super) fn disk_marks(&mut self) -> Option<DiskMarks> {
        let high: Option<u64> = self.get("cleaning.disk_high_mark");
        let low: Option<u64> = self.get("cleaning.disk_low_mark");
        let (high, low) = (high.filter(|high| *high > 0)?, low?);
        if low > high {
            self.mistake(
                "cleaning.disk_low_mark",
                &format!("must not be more than cleaning.disk_high_mark ({high})"),
            );
            return None;
        }
        Some(DiskMarks { high, low })
    }

    pub(super) fn mistake(&mut self, key: &str, what: &str) {
        let line = format!("{key}: {what}");
        if !self.mistakes.contains(&line) {
            self.mistakes.push(line);
        }
    }

    pub(super) fn seconds(&mut self, key: &str) -> Option<Duration> {
        let seconds = self.at_least_one::<u64>(key)?;
        Some(Duration::from_secs(seconds))
    }

    pub(super) fn hours(&mut self, key: &str) -> Option<Duration> {
        let hours = self.at_least_one::<u32>(key)?;
        Some(Duration::from_secs(u64::from(hours) * 3600))
    }

    pub(super) fn at_least_one<T: for<'de> Deserialize<'de> + PartialOrd + From<u8>>(
        &mut self,
        key: &str,
    ) -> Option<T> {
        let number: T = self.get(key)?;
        if number < T::from(1) {
            self.mistake(key, "must be at least 1");
            return None;
        }
        Some(number)
    }

    pub(super) fn ask_for_the_rest(&mut self) {
        let _: Option<IpAddr> = self.get("listen.address");
        let _: Option<u16> = self.get("listen.port");
        let _: Option<Vec<u64>> = self.get("callback.retry_seconds");
        let _: Option<u64> = self.get("builds.image_size_limit");
        let _: Option<Compression> = self.get("builds.compression");
        let _: Option<Vec<u64>> = self.get("builds.push_retry_seconds");
        let _: Option<u32> = self.get("builds.package_lists_fresh_minutes");
        let _: Option<u64> = self.get("builds.reuse_seconds");
        let _: Option<String> = self.get("builds.registry_ca_file");
        let _: Option<u64> = self.get("builds.grace_seconds");
        let _: Option<u32> = self.get("cleaning.image_reserve_days");
        let _: Option<u32> = self.get("cleaning.task_retention_days");
        let _: Option<u32> = self.get("cleaning.callback_retention_days");
        let _: Option<u64> = self.get("cleaning.build_cache_limit");
        self.hours("cleaning.interval_hours");
        self.at_least_one::<u32>("builds.per_engine");
        self.at_least_one::<u64>("uploads.size_limit");
        self.at_least_one::<u64>("builds.log_limit");
        self.at_least_one::<u16>("api.stream_clients");
        for key in [
            "callback.timeout_seconds",
            "builds.lease_seconds",
            "builds.total_seconds",
            "builds.silence_seconds",
            "builds.push_seconds",
            "builds.preflight_seconds",
            "builds.engine_return_seconds",
        ] {
            self.seconds(key);
        }
    }

    /// A key that the default file does not have is a slip of the pen, not a setting.
    pub(super) fn refuse_unknown_keys(&mut self) {
        let default = Figment::from(Toml::string(DEFAULT_FILE));
        let (Ok(known), Ok(given)) = (
            default.extract::<serde_json::Value>(),
            self.figment.extract::<serde_json::Value>(),
        ) else {
            return;
        };
        let mut unknown = Vec::new();
        unknown_keys("", &known, &given, &mut unknown);
        for key in unknown {
            self.mistake(&key, "is no key of the configuration");
        }
    }
}

fn unknown_keys(
    prefix: &str,
    known: &serde_json::Value,
    given: &serde_json::Value,
    unknown: &mut Vec<String>,
) {
    // Names of headers and of indexes are the operator's own.
    if ["callback.headers", "sources.indexes"].contains(&prefix) {
        return;
    }
    let (Some(known), Some(given)) = (known.as_object(), given.as_object()) else {
        return;
    };
    for (key, value) in given {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match known.get(key) {
            Some(known) => unknown_keys(&path, known, value, unknown),
            None => unknown.push(path),
        }
    }
}
