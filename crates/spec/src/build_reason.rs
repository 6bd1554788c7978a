//! Why an image was built and not reused from an equal build.

use strum::{Display, EnumIter, EnumString};

use crate::failure::Sentence;

/// Why no image of an equal build was reused. The code (`no_cache`) is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum BuildReason {
    /// The request says `no_cache`.
    NoCache,
    /// Reuse is off in the configuration.
    ReuseOff,
    /// The image goes to a registry that is not the configured one.
    OtherRegistry,
    /// A password goes into the image.
    HoldsPassword,
    /// A file of the build context could not be read, so the plan has no key.
    FileUnreadable,
    /// No equal build has succeeded within `builds.reuse_seconds`.
    NoneEqual,
    /// Equal builds have succeeded, but their images are no longer in the registry.
    EqualGone,
    /// An equal build has succeeded, but the registry refused to tag its image again; the build's log
    /// says why.
    RegistryRefused,
}

impl BuildReason {
    /// The reason as a sentence.
    pub fn sentence(self) -> Sentence {
        let (zh, en) = match self {
            Self::NoCache => (
                "请求要求重新构建（no_cache）。",
                "The request asks for a new build (no_cache).",
            ),
            Self::ReuseOff => (
                "配置关闭了镜像复用（builds.reuse_seconds 为 0）。",
                "Reuse of images is off (builds.reuse_seconds is 0).",
            ),
            Self::OtherRegistry => (
                "目标镜像不在已配置的仓库里。",
                "The target image is not in the configured registry.",
            ),
            Self::HoldsPassword => (
                "镜像里有密码，不与其他构建共用。",
                "The image holds a password and is shared with no other build.",
            ),
            Self::FileUnreadable => (
                "要放进镜像的一个文件事先无法读取。",
                "A file of the build context could not be read before the build.",
            ),
            Self::NoneEqual => (
                "在复用期限内没有相同的构建成功过。",
                "No equal build has succeeded within builds.reuse_seconds.",
            ),
            Self::EqualGone => (
                "相同构建的镜像已不在仓库里。",
                "The images of equal builds are no longer in the registry.",
            ),
            Self::RegistryRefused => (
                "相同构建的镜像无法在仓库里取得新名称，原因见构建日志。",
                "The registry refused to tag the image of an equal build again; the build's log says why.",
            ),
        };
        Sentence::new(zh, en)
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn codes_are_stable_and_every_reason_has_its_own_words() {
        let codes: Vec<String> = BuildReason::iter().map(|why| why.to_string()).collect();
        assert_eq!(
            codes,
            [
                "no_cache",
                "reuse_off",
                "other_registry",
                "holds_password",
                "file_unreadable",
                "none_equal",
                "equal_gone",
                "registry_refused",
            ]
        );
        for one in BuildReason::iter() {
            assert_eq!(one.to_string().parse(), Ok(one));
            let same = |other: &BuildReason| other.sentence() == one.sentence();
            assert_eq!(BuildReason::iter().filter(same).count(), 1);
        }
    }
}
