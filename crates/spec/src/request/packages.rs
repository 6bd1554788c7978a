//! The rules for packages that a request lists, whichever way it writes them.

use super::reader::{Place, Reader};
use crate::{
    failure::Sentence,
    image_spec::{PackageManager, SystemPackage},
    names::{
        NameError, parse_debian_package, parse_debian_version, parse_match_spec, parse_requirement,
        parse_rpm_package, parse_rpm_version,
    },
};

/// One package of a list.
#[derive(Debug)]
pub(super) struct Package<'body> {
    pub(super) name: String,
    /// Empty where none is given.
    pub(super) version: String,
    pub(super) written: Written<'body>,
}

/// How a request writes a package, and so what a mistake in it is a mistake of.
#[derive(Debug)]
pub(super) enum Written<'body> {
    /// In two fields.
    Apart {
        name: Place<'body>,
        version: Place<'body>,
    },
    /// As one text.
    Whole(Place<'body>, String),
}

/// Which half of a package a rule refuses.
#[derive(Debug)]
enum Refused {
    Name(NameError),
    Version(NameError),
}

impl Package<'_> {
    /// A package of the system, by the rules of its manager; of either manager where none is named.
    pub(super) fn system(
        &self,
        reader: &mut Reader,
        manager: Option<PackageManager>,
    ) -> Option<SystemPackage> {
        let parsed = match manager {
            Some(PackageManager::Apt) => self.apt(),
            Some(PackageManager::Yum) => self.yum(),
            None => self
                .apt()
                .or_else(|apt| self.yum().map_err(|yum| either(apt, yum))),
        };
        self.taken(reader, parsed)
    }

    /// A pip requirement (PEP 508).
    pub(super) fn requirement(&self, reader: &mut Reader) -> Option<String> {
        self.joined(reader, parse_requirement)
    }

    /// A conda match spec.
    pub(super) fn match_spec(&self, reader: &mut Reader) -> Option<String> {
        self.joined(reader, parse_match_spec)
    }

    /// A package whose name and version one parser reads together; where the name alone parses, the
    /// version is to blame.
    fn joined(
        &self,
        reader: &mut Reader,
        parse: impl Fn(&str, &str) -> Result<String, NameError>,
    ) -> Option<String> {
        let parsed =
            parse(&self.name, &self.version).map_err(|error| match parse(&self.name, "") {
                Ok(_) => Refused::Version(error),
                Err(error) => Refused::Name(error),
            });
        self.taken(reader, parsed)
    }

    fn apt(&self) -> Result<SystemPackage, Refused> {
        Ok(SystemPackage {
            name: parse_debian_package(&self.name).map_err(Refused::Name)?,
            version: self.parsed_version(parse_debian_version)?,
        })
    }

    fn yum(&self) -> Result<SystemPackage, Refused> {
        let name = parse_rpm_package(&self.name).map_err(Refused::Name)?;
        if name.starts_with('@') && !self.version.is_empty() {
            return Err(Refused::Version(NameError::new(
                "不能带版本，因为软件包组没有版本",
                "must name no version, as a package group has none",
            )));
        }
        Ok(SystemPackage {
            name,
            version: self.parsed_version(parse_rpm_version)?,
        })
    }

    fn parsed_version(
        &self,
        parse: impl Fn(&str) -> Result<String, NameError>,
    ) -> Result<Option<String>, Refused> {
        match self.version.as_str() {
            "" => Ok(None),
            version => parse(version).map(Some).map_err(Refused::Version),
        }
    }

    fn taken<T>(&self, reader: &mut Reader, parsed: Result<T, Refused>) -> Option<T> {
        let refused = match parsed {
            Ok(taken) => return Some(taken),
            Err(refused) => refused,
        };
        match (&self.written, refused) {
            (Written::Apart { name, .. }, Refused::Name(error)) => {
                reader.refuse(name, &self.name, error.allowed);
            }
            (Written::Apart { version, .. }, Refused::Version(error)) => {
                reader.refuse(version, &self.version, error.allowed);
            }
            (Written::Whole(place, text), Refused::Name(error) | Refused::Version(error)) => {
                reader.refuse(place, text, error.allowed);
            }
        }
        None
    }
}

/// The refusal of a package that neither manager takes: both rules, where both refuse the same half,
/// else that of the manager which took the name.
fn either(apt: Refused, yum: Refused) -> Refused {
    match (apt, yum) {
        (Refused::Name(apt), Refused::Name(yum)) => Refused::Name(both(&apt, &yum)),
        (Refused::Version(apt), Refused::Version(yum)) => Refused::Version(both(&apt, &yum)),
        (Refused::Version(apt), Refused::Name(_)) => Refused::Version(apt),
        (Refused::Name(_), version @ Refused::Version(_)) => version,
    }
}

fn both(one: &NameError, other: &NameError) -> NameError {
    NameError {
        allowed: Sentence::new(
            format!("{}；或{}", one.allowed.zh, other.allowed.zh),
            format!("{}; or {}", one.allowed.en, other.allowed.en),
        ),
    }
}
