//! What an engine can do decides how an image is made on it: one place for every use of a plan.

use fastbuild_engine::{Compression, EngineInfo};
use fastbuild_spec::plan::{Dialect, PlanContext};

use crate::options::BuildOptions;

/// How an image is made on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildStrategy {
    /// What the plan may use.
    pub(crate) dialect: Dialect,
    /// Whether the plan may use `COPY --link`.
    pub(crate) link: bool,
    /// For how long package lists in the engine's caches count as fresh.
    pub(crate) lists_fresh_minutes: u32,
    /// How the build packs the layers; `None` where the push does.
    pub(crate) packing: Option<Compression>,
}

impl BuildStrategy {
    /// The means of an engine.
    pub(crate) fn of(info: &EngineInfo, options: &BuildOptions) -> Self {
        let dialect = if info.buildkit {
            Dialect::BuildKit
        } else {
            Dialect::Classic
        };
        Self {
            dialect,
            link: info.copy_link,
            lists_fresh_minutes: options.lists_fresh_minutes,
            packing: info.packs.then_some(options.compression),
        }
    }

    /// What a plan for the build `build_id` depends on.
    pub(crate) fn plan_context(self, build_id: i64) -> PlanContext {
        PlanContext {
            dialect: self.dialect,
            link: self.link,
            lists_fresh_minutes: self.lists_fresh_minutes,
            build_id,
        }
    }

    /// What of it decides the image's bytes.
    pub(crate) fn identity(self) -> String {
        format!(
            "{:?} {}",
            self.dialect,
            self.packing.map_or("moby", Compression::name)
        )
    }

    /// One line for the build's log.
    pub(crate) fn summary(self) -> String {
        let builder = match self.dialect {
            Dialect::BuildKit => "BuildKit",
            Dialect::Classic => "the classic builder",
        };
        match self.packing {
            Some(compression) => format!(
                "Built by {builder}, layers packed with {} while it builds, pushed as they are",
                compression.name()
            ),
            None => format!("Built by {builder}, layers packed by the push"),
        }
    }
}

#[cfg(test)]
mod tests {
    use fastbuild_engine::InsecureRegistries;

    use super::*;

    fn info() -> EngineInfo {
        EngineInfo {
            id: String::new(),
            version: "28.5.2".into(),
            api_version: "1.51".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            buildkit: true,
            containerd_store: true,
            copy_link: true,
            packs: true,
            cpus: 2,
            memory: 1,
            system_time: String::new(),
            insecure_registries: InsecureRegistries::default(),
        }
    }

    #[test]
    fn what_the_engine_can_do_decides() {
        let options = BuildOptions {
            compression: Compression::Zstd,
            ..BuildOptions::default()
        };
        let newest = BuildStrategy::of(&info(), &options);
        assert_eq!(newest.packing, Some(Compression::Zstd));
        assert_eq!(newest.plan_context(7).dialect, Dialect::BuildKit);
        let old = BuildStrategy::of(
            &EngineInfo {
                packs: false,
                ..info()
            },
            &options,
        );
        assert_eq!((old.packing, old.dialect), (None, Dialect::BuildKit));
        let oldest = BuildStrategy::of(
            &EngineInfo {
                buildkit: false,
                packs: false,
                ..info()
            },
            &options,
        );
        assert_eq!(oldest.dialect, Dialect::Classic);
        assert!(newest.summary().contains("zstd") && !old.summary().contains("zstd"));
    }
}
