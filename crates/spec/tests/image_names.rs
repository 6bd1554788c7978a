//! Image names against Docker's own parser: 100,000 generated names, and what Docker Engine 28.5 answered for each.

#[path = "image_names/generator.rs"]
mod generator;
#[path = "image_names/table.rs"]
mod table;

use std::io::Read as _;

use fastbuild_spec::reference::ImageReference;

/// As the engine prints it, which leaves out Docker Hub's host even where the rest reads as another one.
fn familiar(image: &ImageReference) -> String {
    let printed = image.to_string();
    match printed.strip_prefix("docker.io/") {
        Some(short) if image.registry().is_none() => short.to_owned(),
        _ => printed,
    }
}

#[test]
fn hundred_thousand_generated_names_are_read_as_docker_reads_them() {
    let mut recorded = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("image_names/docker-28.5.gz")[..])
        .read_to_end(&mut recorded)
        .unwrap();
    let (pairs, rest) = recorded.as_chunks::<2>();
    assert!(rest.is_empty());
    assert_eq!(pairs.len(), table::COUNT);
    let mut taken = 0;
    for (name, answer) in generator::names(table::SEED, table::COUNT)
        .iter()
        .zip(pairs)
    {
        let ours = match name.parse::<ImageReference>() {
            Ok(image) => {
                taken += 1;
                let printed = image.to_string();
                assert_eq!(
                    printed.parse(),
                    Ok(image.clone()),
                    "{name:?} is printed as {printed}"
                );
                table::accepted(&familiar(&image))
            }
            Err(_) => table::REFUSED,
        };
        assert_eq!(
            ours,
            u16::from_le_bytes(*answer),
            "{name:?}: {:?}",
            name.parse::<ImageReference>()
        );
    }
    // Both kinds are there in number, so that neither rule goes untried.
    assert!((20_000..80_000).contains(&taken), "{taken} names are taken");
}
