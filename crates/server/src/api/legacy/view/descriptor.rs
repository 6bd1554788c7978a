//! What `check-image` answers, as the OpenAPI document describes it. The answer itself is
//! [`fastbuild_spec::profile::Descriptor`].

use utoipa::ToSchema;

/// What an image contains. Every part is there, found or not.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
pub(crate) struct ImageDescriptor {
    /// The image's name as it was sent.
    #[schema(example = "registry.example:5000/base/ubuntu:20.04")]
    image_name: String,
    /// The engine's id of the image.
    #[schema(example = "sha256:e682b1caa2a13f2eaa3dbdec92e96159dc1ab3fba6a2262382cfc1de2657f26d")]
    image_id: String,
    /// The kernel; its version is the output of `uname -a`.
    #[schema(example = json!({"name": "Linux", "available": true, "version": "Linux 5.15.0-generic"}))]
    kernel: DescribedVersion,
    /// The distribution.
    #[schema(example = json!({"name": "Ubuntu", "available": true, "version": "20.04.6 LTS (Focal Fossa)"}))]
    os: DescribedVersion,
    /// apt or yum.
    package_manager: DescribedManager,
    /// Python commands.
    python: DescribedVersions,
    /// pip commands.
    pip: DescribedPip,
    /// conda.
    conda: DescribedConda,
    /// The SSH server.
    #[schema(example = json!({"name": "sshd", "available": false, "version": ""}))]
    sshd: DescribedVersion,
    /// `JupyterLab`.
    #[schema(example = json!({"name": "jupyterlab", "available": false, "version": ""}))]
    jupyter_lab: DescribedVersion,
}

/// A part with one version.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
struct DescribedVersion {
    /// Its name.
    name: String,
    /// Whether it is there.
    available: bool,
    /// Its version; empty where it is not there.
    version: String,
}

/// The package manager.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
struct DescribedManager {
    /// `apt` or `yum`; empty where there is none.
    #[schema(example = "apt")]
    name: String,
    /// Whether it is there.
    available: bool,
    /// Its version; empty where it is not there.
    #[schema(example = "apt 2.0.10 (amd64)")]
    version: String,
    /// Mirrors in use: `aliyun`, `163`, `tsinghua`, `ustc`.
    #[schema(example = json!(["aliyun"]))]
    source: Vec<String>,
}

/// The Python commands.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
struct DescribedVersions {
    /// Always `python`.
    #[schema(example = "python")]
    name: String,
    /// Whether there is any.
    available: bool,
    /// Command and version of each.
    #[schema(example = json!(["python3(Python 3.8.10)"]))]
    version: Vec<String>,
}

/// The pip commands.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
struct DescribedPip {
    /// Always `pip`.
    #[schema(example = "pip")]
    name: String,
    /// Whether there is any.
    available: bool,
    /// Command and version of each.
    #[schema(example = json!(["pip3(pip 20.0.2 from /usr/lib/python3/dist-packages/pip (python 3.8))"]))]
    version: Vec<String>,
    /// Mirrors in use: `aliyun`, `163`, `tsinghua`, `ustc`.
    source: Vec<String>,
}

/// conda.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an answer to the OpenAPI document")]
struct DescribedConda {
    /// Always `conda`.
    #[schema(example = "conda")]
    name: String,
    /// Whether it is there.
    available: bool,
    /// Its version; empty where it is not there.
    version: String,
    /// Names of its environments.
    environments: Vec<String>,
    /// Mirrors in use: `aliyun`, `163`, `tsinghua`, `ustc`.
    source: Vec<String>,
}
