//! What apt, dpkg, yum, dnf, pip, uv, conda and compilers print when they fail.

use crate::failure::ReasonCode;

/// How a rule's line names what is to blame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Culprit {
    /// It does not.
    Unnamed,
    /// Always the same.
    Is(&'static str),
    /// The word behind the needle.
    Word,
    /// Every word behind the needle.
    Words,
    /// From the needle to another text, without which the rule does not match.
    Until(&'static str),
    /// From the needle to another text or the end of the line.
    UpTo(&'static str),
    /// The word behind another text, without which the rule does not match.
    WordAfter(&'static str),
    /// The word in front of the needle, without its quotes.
    Before,
    /// The C header in front of the needle; what is no header does not match.
    Header,
    /// The host of the line's URL or `host='...'`.
    Host,
    /// The same, in lines without another text.
    HostUnless(&'static str),
    /// `Version '1.2' for 'git' was not found`: `git=1.2`.
    AptVersion,
    /// The `- name` lines that follow.
    ListBelow,
    /// The first word of the line that follows.
    NameBelow,
}

/// One thing a tool says.
pub(super) struct Rule {
    pub(super) code: ReasonCode,
    pub(super) needle: &'static str,
    pub(super) culprit: Culprit,
}

const fn rule(code: ReasonCode, needle: &'static str, culprit: Culprit) -> Rule {
    Rule {
        code,
        needle,
        culprit,
    }
}

use Culprit::{
    AptVersion, Before, Header, Host, HostUnless, Is, ListBelow, NameBelow, Unnamed, Until, UpTo,
    Word, WordAfter, Words,
};
use ReasonCode::{
    BuildDependencyMissing, DependencyConflict, EngineClockWrong, MirrorMismatch,
    MirrorUnreachable, MirrorUntrusted, NoSpaceLeft, OutOfMemory, PackageHashMismatch,
    PackageManagerBroken, PackageNotFound, TermsNotAccepted, ToolMismatch,
};

/// The rules, in groups of one code; the first group of which a rule matches decides.
pub(super) const GROUPS: [&[Rule]; 16] = [
    &[
        rule(NoSpaceLeft, "No space left on device", Unnamed),
        rule(NoSpaceLeft, "You don't have enough free space in", Unnamed),
        rule(NoSpaceLeft, "NoSpaceLeftError", Unnamed),
        rule(NoSpaceLeft, "Disk quota exceeded", Unnamed),
        // dnf and yum count before they install.
        rule(NoSpaceLeft, "more space needed on the", Unnamed),
    ],
    &[
        rule(OutOfMemory, "Cannot allocate memory", Unnamed),
        rule(OutOfMemory, "MemoryError", Unnamed),
        rule(OutOfMemory, "virtual memory exhausted", Unnamed),
        rule(OutOfMemory, "std::bad_alloc", Unnamed),
        rule(OutOfMemory, "Killed signal terminated program", Word),
        rule(OutOfMemory, "exit code: 137", Unnamed),
        rule(OutOfMemory, "returned a non-zero code: 137", Unnamed),
    ],
    &[
        rule(
            PackageManagerBroken,
            "dpkg was interrupted, you must manually run",
            Unnamed,
        ),
        rule(
            PackageManagerBroken,
            "Could not get lock /var/lib/",
            Unnamed,
        ),
        rule(
            PackageManagerBroken,
            "Unable to acquire the dpkg frontend lock",
            Unnamed,
        ),
        rule(
            PackageManagerBroken,
            "dpkg: error processing package ",
            Word,
        ),
        rule(
            PackageManagerBroken,
            "dpkg: error processing archive ",
            Word,
        ),
        rule(PackageManagerBroken, "rpmdb open failed", Unnamed),
        rule(
            PackageManagerBroken,
            "The package cache file is corrupted",
            Unnamed,
        ),
        rule(
            PackageManagerBroken,
            "Error in POSTIN scriptlet in rpm package ",
            Word,
        ),
        rule(
            PackageManagerBroken,
            "Error in PREIN scriptlet in rpm package ",
            Word,
        ),
    ],
    &[
        rule(
            TermsNotAccepted,
            "Terms of Service have not been accepted",
            Unnamed,
        ),
        rule(TermsNotAccepted, "CondaToSNonInteractiveError", Unnamed),
    ],
    &[
        rule(EngineClockWrong, "is not valid yet (invalid for", Host),
        rule(EngineClockWrong, "certificate is not yet valid", Host),
        rule(EngineClockWrong, "NotValidYet", Host),
        rule(EngineClockWrong, "SEC_ERROR_EXPIRED_ISSUER", Host),
    ],
    &[
        rule(
            ToolMismatch,
            "This script does not work on ",
            UpTo(". Please use"),
        ),
        rule(ToolMismatch, "Installer requires GLIBC ", UpTo("\n")),
        rule(ToolMismatch, ": version `GLIBC_", Until("' not found")),
        rule(ToolMismatch, "ERROR: size of ", Word),
        rule(
            ToolMismatch,
            "WARNING: md5sum mismatch of tar archive",
            Unnamed,
        ),
        rule(ToolMismatch, "tar: Error is not recoverable", Unnamed),
        rule(
            ToolMismatch,
            "tar: This does not look like a tar archive",
            Unnamed,
        ),
        rule(ToolMismatch, "gzip: stdin: ", UpTo("\n")),
        rule(ToolMismatch, "cannot execute binary file", Unnamed),
        rule(ToolMismatch, "Exec format error", Unnamed),
    ],
    &[
        rule(PackageHashMismatch, "Hash mismatch for `", Until("`")),
        rule(PackageHashMismatch, "Hash mismatch for ", Word),
        rule(
            PackageHashMismatch,
            "DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
            NameBelow,
        ),
        rule(PackageHashMismatch, "ChecksumMismatchError", Unnamed),
        rule(
            PackageHashMismatch,
            "Hashes are required in --require-hashes mode",
            Unnamed,
        ),
        rule(
            PackageHashMismatch,
            "In `--require-hashes` mode, all requirements must",
            Unnamed,
        ),
    ],
    &[
        // What answers is no mirror, whatever apt thinks of its signature.
        rule(MirrorUnreachable, "Clearsigned file isn't valid", Host),
        rule(MirrorUnreachable, "does not have a Release file", Host),
        rule(MirrorUnreachable, "no longer has a Release file", Host),
    ],
    &[
        // apt
        rule(MirrorUntrusted, "NO_PUBKEY", Host),
        rule(MirrorUntrusted, "BADSIG", Host),
        rule(MirrorUntrusted, "EXPKEYSIG", Host),
        rule(MirrorUntrusted, "REVKEYSIG", Host),
        rule(MirrorUntrusted, "' is not signed.", Host),
        // dnf and yum
        rule(MirrorUntrusted, "Problem repository: ", UpTo("\n")),
        rule(
            MirrorUntrusted,
            "You have enabled checking of packages via GPG keys",
            Unnamed,
        ),
        rule(
            MirrorUntrusted,
            "repomd.xml GPG signature verification error",
            Unnamed,
        ),
        rule(MirrorUntrusted, "Error: GPG check FAILED", Unnamed),
        rule(
            MirrorUntrusted,
            "Public key for ",
            Until(" is not installed"),
        ),
        rule(MirrorUntrusted, "Package ", Until(" is not signed")),
        rule(MirrorUntrusted, "GPG key retrieval failed", Host),
    ],
    &[rule(
        MirrorMismatch,
        "The repository located at ",
        Until(" is not a trusted or secure host and is being ignored"),
    )],
    &[
        // apt
        rule(MirrorUnreachable, "Could not resolve '", Until("'")),
        rule(
            MirrorUnreachable,
            "Temporary failure resolving '",
            Until("'"),
        ),
        rule(MirrorUnreachable, "Could not connect to ", Word),
        rule(MirrorUnreachable, "E: Failed to fetch ", Host),
        rule(MirrorUnreachable, "W: Failed to fetch ", Host),
        rule(MirrorUnreachable, "is expired (invalid since", Host),
        // pip
        rule(MirrorUnreachable, "Max retries exceeded with url", Host),
        rule(MirrorUnreachable, "NewConnectionError", Host),
        rule(MirrorUnreachable, "NameResolutionError", Host),
        rule(MirrorUnreachable, "ConnectTimeoutError", Host),
        rule(MirrorUnreachable, "ReadTimeoutError", Host),
        rule(
            MirrorUnreachable,
            "connection broken by 'ProtocolError",
            Host,
        ),
        rule(MirrorUnreachable, "connection broken by 'SSLError", Host),
        rule(
            MirrorUnreachable,
            "Failed to establish a new connection",
            Host,
        ),
        rule(MirrorUnreachable, "ERROR: HTTP error ", Host),
        rule(
            MirrorUnreachable,
            "Could not fetch URL ",
            HostUnless(": 404 Client Error"),
        ),
        rule(MirrorUnreachable, "not enough bytes were received", Unnamed),
        rule(MirrorUnreachable, "\u{2570}\u{2500}> URL: ", Host),
        rule(MirrorUnreachable, "IncompleteRead", Host),
        rule(MirrorUnreachable, "IncompleteDownload", Host),
        // uv
        rule(MirrorUnreachable, "error sending request for url (", Host),
        rule(MirrorUnreachable, "HTTP status server error (", Host),
        rule(MirrorUnreachable, "HTTP status client error (", Host),
        rule(MirrorUnreachable, "could not be queried", Host),
        rule(MirrorUnreachable, " returned a 403 Forbidden error", Host),
        rule(
            MirrorUnreachable,
            "end of file before message length reached",
            Unnamed,
        ),
        rule(MirrorUnreachable, "error decoding response body", Unnamed),
        // yum and dnf
        rule(MirrorUnreachable, "Could not resolve host: ", Word),
        rule(
            MirrorUnreachable,
            "Cannot find a valid baseurl for repo: ",
            Word,
        ),
        rule(MirrorUnreachable, "Status code: ", Host),
        rule(
            MirrorUnreachable,
            "Failed to download metadata for repo '",
            Until("'"),
        ),
        rule(MirrorUnreachable, "No more mirrors to try", Host),
        rule(MirrorUnreachable, "[Errno 14] ", Host),
        rule(MirrorUnreachable, "Curl error (", Host),
        // conda
        rule(MirrorUnreachable, "CondaHTTPError", Host),
        rule(MirrorUnreachable, "CondaSSLError", Host),
        rule(MirrorUnreachable, "CONNECTION FAILED for url", Host),
        rule(MirrorUnreachable, "UnavailableInvalidChannel", Host),
        rule(MirrorUnreachable, "Download error (", Host),
        // any
        rule(
            MirrorUnreachable,
            "Temporary failure in name resolution",
            Host,
        ),
    ],
    &[
        rule(
            BuildDependencyMissing,
            ": No such file or directory",
            Header,
        ),
        rule(BuildDependencyMissing, "' file not found", Header),
        rule(BuildDependencyMissing, "unable to execute 'gcc'", Is("gcc")),
        rule(
            BuildDependencyMissing,
            "command 'gcc' failed: No such file",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "unable to execute 'x86_64-linux-gnu-gcc'",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "command 'x86_64-linux-gnu-gcc' failed: No such file",
            Is("gcc"),
        ),
        rule(BuildDependencyMissing, "unable to execute 'cc'", Is("gcc")),
        rule(
            BuildDependencyMissing,
            "command 'cc' failed: No such file",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "No acceptable C compiler found",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "no acceptable C compiler found",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "CMAKE_C_COMPILER not set",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "CMAKE_CXX_COMPILER not set",
            Is("c++"),
        ),
        rule(
            BuildDependencyMissing,
            "command 'g++' failed: No such file",
            Is("c++"),
        ),
        rule(
            BuildDependencyMissing,
            "Unknown compiler(s): [['cc'",
            Is("gcc"),
        ),
        rule(
            BuildDependencyMissing,
            "can't find Rust compiler",
            Is("rustc"),
        ),
        rule(
            BuildDependencyMissing,
            "Rust, is not installed or is not on PATH",
            Is("rustc"),
        ),
        rule(
            BuildDependencyMissing,
            "Cargo, the Rust package manager, is not installed",
            Is("rustc"),
        ),
        rule(
            BuildDependencyMissing,
            "CMake must be installed",
            Is("cmake"),
        ),
        rule(BuildDependencyMissing, "Could not find CMake", Is("cmake")),
        rule(
            BuildDependencyMissing,
            "pg_config executable not found",
            Is("pg_config"),
        ),
        rule(
            BuildDependencyMissing,
            "mysql_config: not found",
            Is("mysql_config"),
        ),
        rule(
            BuildDependencyMissing,
            "mysql_config not found",
            Is("mysql_config"),
        ),
        rule(
            BuildDependencyMissing,
            "Specify MYSQLCLIENT_CFLAGS",
            Is("mysql_config"),
        ),
        rule(
            BuildDependencyMissing,
            "no Fortran compiler found",
            Is("gfortran"),
        ),
        rule(
            BuildDependencyMissing,
            "Unknown compiler(s): [['gfortran'",
            Is("gfortran"),
        ),
        rule(
            BuildDependencyMissing,
            "unable to execute 'swig'",
            Is("swig"),
        ),
        rule(
            BuildDependencyMissing,
            "command 'swig' failed: No such file",
            Is("swig"),
        ),
        rule(
            BuildDependencyMissing,
            "pkg-config: not found",
            Is("pkg-config"),
        ),
        rule(
            BuildDependencyMissing,
            "Cannot find command 'git'",
            Is("git"),
        ),
        rule(
            BuildDependencyMissing,
            "Git executable not found",
            Is("git"),
        ),
    ],
    &[
        // apt
        rule(PackageNotFound, "Unable to locate package ", Word),
        rule(
            PackageNotFound,
            "Couldn't find any package by regex '",
            Until("'"),
        ),
        rule(
            PackageNotFound,
            "Couldn't find any package by glob '",
            Until("'"),
        ),
        rule(PackageNotFound, "E: Version '", AptVersion),
        rule(PackageNotFound, " has no installation candidate", Before),
        // yum and dnf
        rule(PackageNotFound, "No match for argument: ", Word),
        rule(PackageNotFound, "Unable to find a match: ", Words),
        rule(PackageNotFound, "No package ", Until(" available")),
        // pip
        rule(
            PackageNotFound,
            "No matching distribution found for ",
            UpTo(" (from"),
        ),
        rule(
            PackageNotFound,
            "Could not find a version that satisfies the requirement ",
            UpTo(" (from"),
        ),
        // uv
        rule(
            PackageNotFound,
            " was not found in the package registry",
            Before,
        ),
        rule(
            PackageNotFound,
            " was not found in the provided package locations",
            Before,
        ),
        rule(PackageNotFound, "there is no version of ", Word),
        rule(PackageNotFound, "there are no versions of ", Word),
        rule(PackageNotFound, " was yanked", Before),
        rule(PackageNotFound, " has no wheels with a matching", Before),
        rule(PackageNotFound, " has no usable wheels", Before),
        rule(PackageNotFound, " depends on Python", Before),
        // conda
        rule(PackageNotFound, "PackagesNotFoundError", ListBelow),
        rule(PackageNotFound, "nothing provides requested ", Words),
        rule(PackageNotFound, " does not exist (perhaps a typo", Before),
        rule(PackageNotFound, "No candidates were found for ", Words),
    ],
    &[
        // pip
        rule(
            DependencyConflict,
            "Cannot install ",
            Until(" because these package versions"),
        ),
        // apt
        rule(DependencyConflict, " : Depends: ", Before),
        rule(DependencyConflict, " : PreDepends: ", Before),
        rule(DependencyConflict, " : Conflicts: ", Before),
        rule(DependencyConflict, " : Breaks: ", Before),
        // dnf
        rule(
            DependencyConflict,
            "nothing provides ",
            WordAfter(" needed by "),
        ),
        rule(DependencyConflict, " Problem: package ", Word),
        // yum
        rule(DependencyConflict, "Error: Package: ", Word),
        // conda
        rule(
            DependencyConflict,
            "specifications were found to be incompatible",
            ListBelow,
        ),
    ],
    // uv
    &[
        rule(DependencyConflict, " depends on ", Before),
        rule(DependencyConflict, " depend on ", Before),
    ],
    &[
        rule(DependencyConflict, "ResolutionImpossible", Unnamed),
        rule(DependencyConflict, "conflicting dependencies", Unnamed),
        rule(DependencyConflict, "have unmet dependencies", Unnamed),
        rule(DependencyConflict, "you have held broken packages", Unnamed),
        rule(DependencyConflict, "conflicting requests", Unnamed),
        rule(DependencyConflict, "UnsatisfiableError", Unnamed),
        rule(
            DependencyConflict,
            "No solution found when resolving",
            Unnamed,
        ),
        rule(
            DependencyConflict,
            "Could not solve for environment specs",
            Unnamed,
        ),
    ],
];
