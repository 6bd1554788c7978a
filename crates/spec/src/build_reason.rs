//! Why the image of a build was built, where an equal build's might have done.

use strum::{Display, EnumIter, EnumString};

use crate::failure::Sentence;

/// Why an image was built rather than given to its build under a new name. The code is stable
/// (`no_cache`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum BuildReason {
    /// The request says `no_cache`.
    NoCache,
    /// The configuration reuses no images.
    ReuseOff,
    /// The image goes to a registry that is not the configured one.
    OtherRegistry,
    /// A password goes into the image.
    HoldsPassword,
    /// A file that goes into the image could not be read beforehand.
    FileUnreadable,
    /// No equal build has ended within the time in which images count as fresh.
    NoneEqual,
    /// Equal builds have ended, but the registry does not have their images any more.
    EqualGone,
    /// An equal build has ended, but its image could not be given the new name in the registry; the log
    /// of the build says why.
    RegistryRefused,
}

impl BuildReason {
    /// The reason for a person.
    pub fn sentence(self) -> Sentence {
        let (zh, en) = match self {
            Self::NoCache => (
                "请求要求重新构建（no_cache）。",
                "The request asks for a new build (no_cache).",
            ),
            Self::ReuseOff => (
                "配置关闭了镜像复用（builds.reuse_seconds 为 0）。",
                "The configuration reuses no images (builds.reuse_seconds is 0).",
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
                "A file that goes into the image could not be read beforehand.",
            ),
            Self::NoneEqual => (
                "在复用期限内没有相同的构建成功过。",
                "No equal build has succeeded within the time of reuse.",
            ),
            Self::EqualGone => (
                "相同构建的镜像已不在仓库里。",
                "The images of equal builds are not in the registry any more.",
            ),
            Self::RegistryRefused => (
                "相同构建的镜像无法在仓库里取得新名称，原因见构建日志。",
                "The image of an equal build could not be given the new name in the registry; the log says why.",
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
