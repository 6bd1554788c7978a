//! Where controllers enter themselves. A controller is one file that submits itself here; the
//! routes and the OpenAPI document are gathered from what was submitted, so there is no list to
//! edit when a file is added.

use utoipa::openapi::tag::TagBuilder;
use utoipa_axum::router::OpenApiRouter;

use crate::{docs, health, metrics, state::AppState, task_files};

/// One controller: a group of routes in one file.
pub(crate) struct Controller {
    /// Its name, which is its tag in the OpenAPI document and its place in the order: its file's,
    /// with `v1 ` before it in version 1.
    pub(crate) name: &'static str,
    /// What its routes are for, in one sentence.
    pub(crate) purpose: &'static str,
    /// Its routes, with their full paths.
    pub(crate) routes: fn() -> OpenApiRouter<AppState>,
}

inventory::collect!(Controller);

/// The routes of all controllers and the document that describes them, in alphabetic order: the
/// order in which the linker lays controllers down is nobody's.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    let mut controllers: Vec<_> = inventory::iter::<Controller>().collect();
    controllers.extend([
        &task_files::CONTROLLER,
        &health::CONTROLLER,
        &metrics::CONTROLLER,
    ]);
    controllers.sort_by_key(|controller| controller.name);
    let mut routes = docs::titled();
    for controller in controllers {
        routes = routes.merge((controller.routes)());
        routes.get_openapi_mut().tags.get_or_insert_default().push(
            TagBuilder::new()
                .name(controller.name)
                .description(Some(controller.purpose))
                .build(),
        );
    }
    docs::complete(routes.get_openapi_mut());
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_the_folder_is_a_controller_of_its_name() {
        let mut files = Vec::new();
        for (folder, prefix) in [("legacy", ""), ("v1", "v1 ")] {
            let folder = format!("{}/src/api/{folder}", env!("CARGO_MANIFEST_DIR"));
            files.extend(
                std::fs::read_dir(folder)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
                    .filter(|name| name != "mod")
                    .map(|name| format!("{prefix}{name}")),
            );
        }
        files.sort();
        let mut names: Vec<&str> = inventory::iter::<Controller>()
            .map(|controller| controller.name)
            .collect();
        names.sort_unstable();
        assert_eq!(names, files);
    }
}
