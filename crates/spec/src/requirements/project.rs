//! pyproject.toml (PEP 621) and pylock.toml (PEP 751) as requirements.

use toml::{Table, Value};

use super::{
    RequirementSet, Sources,
    lock::export,
    read::{FileError, read_list},
    requirement::is_hash,
};
use crate::failure::Sentence;

/// Extras of the project itself that lead to further ones; more is a circle.
const DEEPEST: usize = 20;

/// The dependencies of a project, with those of its `extras`. The project itself is not installed.
pub(crate) fn pyproject(
    text: &str,
    extras: &[String],
    sources: &Sources,
) -> (RequirementSet, Vec<FileError>) {
    match dependencies(text, extras) {
        Ok(lines) => read_list(&lines, sources),
        Err(allowed) => (RequirementSet::default(), vec![whole_file(allowed)]),
    }
}

fn whole_file(allowed: Sentence) -> FileError {
    FileError {
        file: None,
        value: String::new(),
        allowed,
    }
}

fn table(text: &str) -> Result<Table, Sentence> {
    text.parse::<Table>().map_err(|error| {
        let message = error.message();
        Sentence::new(
            format!("应为 TOML：{message}"),
            format!("must be TOML: {message}"),
        )
    })
}

fn dependencies(text: &str, extras: &[String]) -> Result<Vec<String>, Sentence> {
    let root = table(text)?;
    let Some(project) = root.get("project").and_then(Value::as_table) else {
        let poetry = root.get("tool").and_then(|tool| tool.get("poetry"));
        return Err(match poetry {
            Some(_) => export(
                "Poetry 的 pyproject.toml",
                "poetry export --format requirements.txt --output requirements.txt",
            ),
            None => Sentence::new(
                "没有 [project] 部分（PEP 621），因此没有依赖",
                "has no [project] table (PEP 621), and so no dependencies",
            ),
        });
    };
    let dynamic = project.get("dynamic").and_then(Value::as_array);
    for name in ["dependencies", "optional-dependencies"] {
        if dynamic.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(name))) {
            return Err(Sentence::new(
                format!(
                    "的 {name} 是 dynamic，由构建工具算出；请运行 uv pip compile pyproject.toml -o requirements.txt，然后使用其内容"
                ),
                format!(
                    "has dynamic {name}, which its build tool works out; run uv pip compile pyproject.toml -o requirements.txt and use that text"
                ),
            ));
        }
    }
    let own_name = project.get("name").and_then(Value::as_str).map(normal);
    let mut lines = strings(project.get("dependencies"), "dependencies")?;
    let optional = project
        .get("optional-dependencies")
        .and_then(Value::as_table);
    let mut wanted: Vec<(String, usize)> = extras.iter().map(|extra| (normal(extra), 0)).collect();
    let mut taken: Vec<String> = Vec::new();
    while let Some((extra, depth)) = wanted.pop() {
        if taken.contains(&extra) || depth > DEEPEST {
            continue;
        }
        let found = optional.and_then(|table| table.iter().find(|(name, _)| normal(name) == extra));
        let Some((_, list)) = found else {
            let known: Vec<&str> = optional
                .into_iter()
                .flat_map(|table| table.keys().map(String::as_str))
                .collect();
            return Err(Sentence::new(
                format!("没有附加项 {extra}；有：{}", known.join("、")),
                format!("has no extra {extra}; there are: {}", known.join(", ")),
            ));
        };
        for line in strings(Some(list), "optional-dependencies")? {
            match own_extras(&line, own_name.as_deref()) {
                Some(more) => wanted.extend(more.into_iter().map(|extra| (extra, depth + 1))),
                None => lines.push(line),
            }
        }
        taken.push(extra);
    }
    Ok(lines)
}

/// The extras of `name[a,b]`, where that is the project itself.
fn own_extras(line: &str, own_name: Option<&str>) -> Option<Vec<String>> {
    let (name, rest) = line.split_once('[')?;
    let (extras, after) = rest.split_once(']')?;
    let is_own = Some(normal(name.trim()).as_str()) == own_name && after.trim().is_empty();
    is_own.then(|| {
        extras
            .split(',')
            .map(|extra| normal(extra.trim()))
            .collect()
    })
}

/// A name as indexes compare it (PEP 503).
fn normal(name: &str) -> String {
    let mut normal = String::new();
    for character in name.chars() {
        if matches!(character, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.push(character.to_ascii_lowercase());
        }
    }
    normal
}

fn strings(value: Option<&Value>, name: &str) -> Result<Vec<String>, Sentence> {
    let refused = || {
        Sentence::new(
            format!("的 {name} 应为文本的列表"),
            format!("must have a list of texts as {name}"),
        )
    };
    let Some(value) = value else {
        return Ok(vec![]);
    };
    value
        .as_array()
        .ok_or_else(refused)?
        .iter()
        .map(|one| one.as_str().map(str::to_owned).ok_or_else(refused))
        .collect()
}

/// The packages of a lock file, each with its version and hashes. They are fetched from the mirror of the request, not
/// from where the file says; the hashes say that they are the same, and nothing beside them is installed.
pub(crate) fn pylock(text: &str, sources: &Sources) -> (RequirementSet, Vec<FileError>) {
    let lines = match packages(text) {
        Ok(lines) => lines,
        Err(allowed) => return (RequirementSet::default(), vec![whole_file(allowed)]),
    };
    let plain: Vec<String> = lines.iter().map(|(line, _)| line.clone()).collect();
    let (mut set, errors) = read_list(&plain, sources);
    if errors.is_empty() {
        for (line, (_, hashes)) in set.requirements.iter_mut().zip(&lines) {
            for hash in hashes {
                line.push_str(" --hash=");
                line.push_str(hash);
            }
        }
        set.options.require_hashes = lines.iter().all(|(_, hashes)| !hashes.is_empty());
        set.options.no_deps = true;
    }
    (set, errors)
}

/// Each package as a requirement, and its hashes.
fn packages(text: &str) -> Result<Vec<(String, Vec<String>)>, Sentence> {
    let root = table(text)?;
    if root.get("lock-version").and_then(Value::as_str) != Some("1.0") {
        return Err(Sentence::new(
            "应为 lock-version = \"1.0\" 的 pylock.toml（PEP 751）",
            "must be a pylock.toml with lock-version = \"1.0\" (PEP 751)",
        ));
    }
    let list = root.get("packages").and_then(Value::as_array);
    list.into_iter().flatten().map(package).collect()
}

fn package(package: &Value) -> Result<(String, Vec<String>), Sentence> {
    let text = |name: &str| package.get(name).and_then(Value::as_str);
    let name = text("name")
        .ok_or_else(|| Sentence::new("中有一个包没有 name", "has a package without a name"))?;
    let marker = text("marker").unwrap_or_default();
    if marker.contains("extras") || marker.contains("dependency_groups") {
        return Err(Sentence::new(
            format!(
                "的包 {name} 只属于附加项或依赖组；请不带它们重新导出：uv export --format pylock.toml --no-dev"
            ),
            format!(
                "has the package {name} for extras or dependency groups alone; export it without: uv export --format pylock.toml --no-dev"
            ),
        ));
    }
    let mut line = match (text("version"), package.get("archive"), package.get("vcs")) {
        (_, Some(archive), _) => format!("{name} @ {}", url_of(archive, name)?),
        (_, None, Some(vcs)) => {
            let commit = vcs.get("commit-id").and_then(Value::as_str);
            format!(
                "{name} @ git+{}@{}",
                url_of(vcs, name)?,
                commit.unwrap_or("HEAD")
            )
        }
        (Some(version), None, None) if package.get("directory").is_none() => {
            format!("{name}=={version}")
        }
        _ => {
            return Err(Sentence::new(
                format!(
                    "的包 {name} 是本机上的文件夹，构建时没有它；请不带项目本身重新导出：uv export --format pylock.toml --no-emit-project"
                ),
                format!(
                    "has the package {name} as a folder of your own machine, which a build does not have; export it without the project: uv export --format pylock.toml --no-emit-project"
                ),
            ));
        }
    };
    if !marker.is_empty() {
        line.push_str(" ; ");
        line.push_str(marker);
    }
    let wheels = package.get("wheels").and_then(Value::as_array);
    let files = wheels
        .into_iter()
        .flatten()
        .chain(package.get("sdist"))
        .chain(package.get("archive"));
    let hashes = files.filter_map(|file| {
        let hashes = file.get("hashes")?.as_table()?;
        let hash =
            |(algorithm, hex): (&String, &Value)| Some(format!("{algorithm}:{}", hex.as_str()?));
        hashes.iter().filter_map(hash).find(|hash| is_hash(hash))
    });
    Ok((line, hashes.collect()))
}

fn url_of<'toml>(from: &'toml Value, name: &str) -> Result<&'toml str, Sentence> {
    from.get("url").and_then(Value::as_str).ok_or_else(|| {
        Sentence::new(
            format!("的包 {name} 没有 url，它在本机上"),
            format!("has the package {name} without a url: it lies on your own machine"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = r#"
[project]
name = "My.App"
dependencies = ["flask>=3", "tomli ; python_version < '3.11'"]
[project.optional-dependencies]
gpu = ["torch"]
all = ["my-app[gpu, docs]", "six"]
docs = ["sphinx"]
"#;

    fn lines(extras: &[&str]) -> Vec<String> {
        let extras: Vec<String> = extras.iter().map(|extra| (*extra).to_owned()).collect();
        let (set, errors) = pyproject(PROJECT, &extras, &Sources::default());
        assert_eq!(errors, []);
        set.requirements
    }

    #[test]
    fn a_project_gives_its_dependencies_and_those_of_its_extras() {
        assert_eq!(lines(&[]), ["flask>=3", "tomli ; python_version < '3.11'"]);
        assert_eq!(lines(&["GPU"])[2..], ["torch"]);
        assert_eq!(lines(&["all"])[2..], ["six", "sphinx", "torch"]);
    }

    #[test]
    fn a_project_that_says_no_dependencies_is_refused_with_a_command() {
        for (text, part) in [
            (
                "[project]\nname='a'\ndynamic=['dependencies']",
                "uv pip compile",
            ),
            ("[tool.poetry.dependencies]\na='1'", "poetry export"),
            ("[build-system]\n", "[project]"),
            ("[project\n", "TOML"),
            ("[project]\ndependencies='a'", "list of texts"),
        ] {
            let (_, errors) = pyproject(text, &[], &Sources::default());
            assert!(errors[0].allowed.en.contains(part), "{:?}", errors[0]);
        }
        let (_, errors) = pyproject(PROJECT, &["x".to_owned()], &Sources::default());
        assert!(errors[0].allowed.en.contains("gpu"));
    }

    #[test]
    fn a_lock_file_gives_versions_with_the_hashes_of_all_their_files() {
        let (one, two) = ("ab".repeat(32), "cd".repeat(32));
        let text = format!(
            "lock-version = '1.0'\n[[packages]]\nname = 'six'\nversion = '1.16.0'\nmarker = \"os_name == 'posix'\"\nwheels = [{{url = 'https://x.example/six.whl', hashes = {{sha256 = '{one}'}}}}]\nsdist = {{url = 'https://x.example/six.tar.gz', hashes = {{sha256 = '{two}'}}}}\n"
        );
        let (set, errors) = pylock(&text, &Sources::default());
        assert_eq!(errors, []);
        assert_eq!(
            set.requirements,
            [format!(
                "six==1.16.0 ; os_name == 'posix' --hash=sha256:{one} --hash=sha256:{two}"
            )]
        );
        assert!(set.options.require_hashes && set.options.no_deps);
    }

    #[test]
    fn what_a_lock_file_has_on_another_machine_is_refused() {
        for (package, part) in [
            ("directory = {path = '.'}", "--no-emit-project"),
            ("version = '1'\nmarker = \"'x' in extras\"", "--no-dev"),
            ("archive = {path = 'a.zip'}", "own machine"),
            (
                "vcs = {url = 'https://h.example/a', commit-id = 'c'}",
                "allowed_hosts",
            ),
        ] {
            let text = format!("lock-version = '1.0'\n[[packages]]\nname = 'a'\n{package}\n");
            let (_, errors) = pylock(&text, &Sources::default());
            assert!(errors[0].allowed.en.contains(part), "{:?}", errors[0]);
        }
        let (_, errors) = pylock("lock-version = '2.0'", &Sources::default());
        assert!(errors[0].allowed.en.contains("PEP 751"));
    }
}
