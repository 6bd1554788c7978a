//! The pip part of a document: packages, requirement files and the files that stand in their place.

use super::installers::{list_or_object, mirror_file, packages_of};
use crate::{
    catalog::MirrorKind,
    failure::Sentence,
    image_spec::PipSpec,
    request::reader::{MAX_ITEMS, Place, Reader},
    requirements::{self, FileError, Files, RequirementSet, Sources},
};

/// The texts that can be the list of what to install, of which a document has one.
const LISTS: [&str; 3] = ["requirements", "pyproject", "pylock"];

const FIELDS: [&str; 9] = [
    "packages",
    "requirements",
    "files",
    "pyproject",
    "extras",
    "pylock",
    "indexes",
    "install",
    "uv",
];

/// pip packages: a list, or an object with `packages`; `requirements` (the text of a requirements.txt) with `files`,
/// the texts that it names; `pyproject` (the text of a pyproject.toml) with `extras`; `pylock` (of a pylock.toml);
/// `indexes`, names that the operator gave to package indexes; `install`, which installs pip itself; and `uv`, whether
/// uv may take its place.
pub(super) fn pip(
    reader: &mut Reader,
    place: &Place<'_>,
    mirror: &Place<'_>,
    sources: &Sources,
) -> PipSpec {
    let (object, packages) = list_or_object(reader, place, &FIELDS);
    let mut files = files(reader, &object, sources);
    let mut requirements = if requirements::simple(&files) {
        std::mem::take(&mut files).requirements
    } else {
        Vec::new()
    };
    indexes(reader, &object.field("indexes"), &mut files, sources);
    let count = files.requirements.len() + files.constraints.len() + requirements.len();
    reader.fits_length(&object.field("requirements"), count, MAX_ITEMS);
    requirements.extend(packages_of(reader, &packages, None, |reader, package| {
        package.requirement(reader)
    }));
    let options = &files.options;
    if (options.require_hashes || options.no_deps) && !requirements.is_empty() {
        reader.refuse(
            &packages,
            "",
            Sentence::new(
                "不能与带 --hash 的文件或 pylock.toml 一起使用，因为它们没有 hash；请把这些包加入该文件",
                "must be left out beside a file with --hash or a pylock.toml, as these packages have no hash; add them to \
                 that file",
            ),
        );
    }
    PipSpec {
        get_pip: reader.flag(&object.field("install")),
        mirror: mirror_file(reader, mirror, |_| Ok(MirrorKind::Pip)),
        requirements,
        files,
        uv: reader.choice(&object.field("uv")),
    }
}

/// What the one list of the document wants.
fn files(reader: &mut Reader, object: &Place<'_>, sources: &Sources) -> RequirementSet {
    let mut given = LISTS.iter().filter(|name| object.field(name).is_given());
    let first = given.next().copied();
    if let (Some(first), Some(second)) = (first, given.next()) {
        reader.refuse(
            &object.field(second),
            "",
            Sentence::new(
                format!("不能与 {first} 一起使用，三者选一：requirements、pyproject、pylock"),
                format!("must be left out beside {first}: give one of requirements, pyproject and pylock"),
            ),
        );
        return RequirementSet::default();
    }
    let named = named_files(reader, &object.field("files"));
    let extras = texts(reader, &object.field("extras"));
    let only = |reader: &mut Reader, field: &str, list: &str| {
        if object.field(field).is_given() && first != Some(list) {
            reader.refuse(
                &object.field(field),
                "",
                Sentence::new(
                    format!("只与 {list} 一起使用"),
                    format!("must stand beside {list}"),
                ),
            );
        }
    };
    only(reader, "files", "requirements");
    only(reader, "extras", "pyproject");
    let Some(list) = first else {
        return RequirementSet::default();
    };
    let place = object.field(list);
    let Some(text) = reader.text_once(&place) else {
        return RequirementSet::default();
    };
    let (set, errors) = match list {
        "pyproject" => requirements::pyproject(&text, &extras, sources),
        "pylock" => requirements::pylock(&text, sources),
        _ => requirements::read(&text, &named, sources),
    };
    for FileError {
        file,
        value,
        allowed,
    } in errors
    {
        let place = match file {
            Some(name) => object.field("files").field(&name),
            None => place.clone(),
        };
        reader.refuse(&place, &value, allowed);
    }
    set
}

/// Texts by the names under which a requirement file includes them.
fn named_files(reader: &mut Reader, place: &Place<'_>) -> Files {
    let place = reader.object(place);
    let mut files = Files::new();
    for name in place.names() {
        let parts: Vec<&str> = name.split('/').collect();
        let field = place.field(name);
        if parts.iter().any(|part| ["", ".", ".."].contains(part)) {
            reader.refuse(
                &field,
                name,
                Sentence::new(
                    "应为相对路径，不含 . 和 ..，例如 constraints.txt 或 requirements/base.txt",
                    "must be named by a relative path without . and .., such as constraints.txt or requirements/base.txt",
                ),
            );
            continue;
        }
        if let Some(text) = reader.text_once(&field) {
            files.insert(name.to_owned(), text);
        }
    }
    files
}

fn indexes(reader: &mut Reader, place: &Place<'_>, set: &mut RequirementSet, sources: &Sources) {
    let names = texts(reader, place);
    for (index, allowed) in requirements::with_indexes(set, &names, sources) {
        let item = reader.items(place).into_iter().nth(index);
        reader.refuse(
            &item.unwrap_or_else(|| place.clone()),
            &names[index],
            allowed,
        );
    }
}

fn texts(reader: &mut Reader, place: &Place<'_>) -> Vec<String> {
    let items = reader.items(place);
    items
        .iter()
        .filter_map(|item| reader.text_once(item))
        .collect()
}
