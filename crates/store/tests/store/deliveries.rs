//! Callbacks on their way, and what is remembered of images.

use fastbuild_spec::profile::{ImageConfig, ImageProfile, OsRelease};
use fastbuild_store::{
    DeliveryFilter, DeliveryOutcome, DeliveryStatus, ImageFilter, ImageKind, NewBaseImage,
    NewDelivery, NewDeliveryAttempt, Page,
};

use crate::parts::{Site, at, callback, claim_due, enqueue, headers, next_delivery};

fn tried(seconds: i64, status: Option<u16>, body: &str, error: Option<&str>) -> NewDeliveryAttempt {
    NewDeliveryAttempt {
        started_at: at(seconds),
        ended_at: at(seconds + 1),
        request_headers: headers().into(),
        status,
        body: body.to_owned(),
        error: error.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_delivery_is_tried_on_its_schedule_across_a_restart() {
    let site = Site::new();
    let store = site.open().await;
    assert!(next_delivery(&store, 0).await.is_none());
    let task = enqueue(&store, 1, 0).await.id;
    store.request_cancel(task, &callback, at(1)).await.unwrap();
    assert!(claim_due(&store, 0).await.is_empty());
    let due = claim_due(&store, 1).await;
    assert_eq!(due[0].delivery.headers.expose(), &headers());

    let refused = tried(1, None, "", Some("connection refused"));
    let retry = DeliveryOutcome::Retry { at: at(61) };
    assert!(
        store
            .record_delivery_attempt(due[0].delivery.id, 1, &refused, retry, at(2))
            .await
            .unwrap()
    );
    assert!(claim_due(&store, 60).await.is_empty());
    assert_eq!(next_delivery(&store, 60).await, Some(at(61)));
    store.close().await.unwrap();

    let store = site.open().await;
    let due = claim_due(&store, 61).await;
    assert_eq!(due[0].delivery.tries, 1);
    let (shown, _) = store.deliveries(Page::ALL).await.unwrap();
    assert_eq!(shown[0].status, DeliveryStatus::Pending);
    assert_eq!(shown[0].result.as_deref(), Some("connection refused"));
    assert_eq!(shown[0].next_at, Some(at(61)));

    let long = "é".repeat(4000);
    let taken = tried(61, Some(204), &long, None);
    assert!(
        store
            .record_delivery_attempt(
                due[0].delivery.id,
                2,
                &taken,
                DeliveryOutcome::Delivered,
                at(62)
            )
            .await
            .unwrap()
    );
    assert!(claim_due(&store, 99).await.is_empty());
    assert!(next_delivery(&store, 99).await.is_none());
    let (shown, total) = store.deliveries(Page { number: 1, size: 1 }).await.unwrap();
    assert_eq!(
        (total, shown[0].status, shown[0].tries),
        (1, DeliveryStatus::Delivered, 2)
    );
    assert_eq!(shown[0].headers["Authorization"], "***");
    assert_eq!(shown[0].updated_at, at(62));

    let tries = store.delivery_tries(due[0].delivery.id).await.unwrap();
    let seen: Vec<_> = tries
        .iter()
        .map(|row| (row.number, row.status, row.body.len()))
        .collect();
    assert_eq!(seen, [(1, None, 0), (2, Some(204), 4096)]);
    assert_eq!(tries[0].error.as_deref(), Some("connection refused"));
    assert_eq!(tries[1].request_headers["Authorization"], "***");

    // A second worker that tried at the same time finds it settled.
    assert!(
        !store
            .record_delivery_attempt(
                due[0].delivery.id,
                2,
                &taken,
                DeliveryOutcome::GaveUp,
                at(63)
            )
            .await
            .unwrap()
    );
    assert_eq!(
        store
            .delivery_tries(due[0].delivery.id)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_single_delivery_is_recorded_and_can_be_repeated() {
    let site = Site::new();
    let store = site.open().await;
    let new = NewDelivery {
        url: "http://platform.site/test".to_owned(),
        headers: headers().into(),
        body: "{}".to_owned(),
    };
    let failed = tried(0, Some(500), "no", None);
    let id = store
        .record_single_delivery(None, &new, &failed, false, at(1))
        .await
        .unwrap();
    assert!(claim_due(&store, 99).await.is_empty());
    let last = store.last_delivery().await.unwrap().unwrap();
    assert_eq!(
        (last.id, last.url.as_str(), last.body.as_str()),
        (id, "http://platform.site/test", "{}")
    );
    assert_eq!(last.headers.expose(), &headers());
    let (shown, _) = store.deliveries(Page::ALL).await.unwrap();
    assert_eq!(shown[0].status, DeliveryStatus::GaveUp);
}

fn profile(image_id: &str, kernel: &str) -> ImageProfile {
    ImageProfile {
        image_id: image_id.to_owned(),
        size: 1,
        architecture: "amd64".to_owned(),
        config: ImageConfig::default(),
        kernel: kernel.to_owned(),
        os: OsRelease::default(),
        package_manager: None,
        pythons: Vec::new(),
        externally_managed: false,
        has_venv: false,
        pips: Vec::new(),
        pip_mirrors: Vec::new(),
        conda: None,
        sshd: None,
        jupyter_lab: None,
        has_sudo: false,
    }
}

#[tokio::test]
async fn profiles_are_found_by_image_and_by_name() {
    let site = Site::new();
    let store = site.open().await;
    store
        .put_profile(&profile("sha256:1", "old"), "base:v1", at(0))
        .await
        .unwrap();
    store
        .put_profile(&profile("sha256:1", "new"), "base:v1", at(1))
        .await
        .unwrap();
    store
        .put_profile(&profile("sha256:2", "other"), "base:v1", at(2))
        .await
        .unwrap();
    assert_eq!(store.profiles(10).await.unwrap().len(), 2);
    let found = store.profile("sha256:1").await.unwrap().unwrap();
    assert_eq!(found.profile.kernel, "new");
    assert_eq!((found.created_at, found.updated_at), (at(0), at(1)));
    let newest = store.profile_by_name("base:v1").await.unwrap().unwrap();
    assert_eq!(newest.profile.image_id, "sha256:2");
    assert!(store.profile("sha256:3").await.unwrap().is_none());
    assert_eq!(store.delete_profiles().await.unwrap(), 2);
    assert!(store.profiles(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn base_images_are_registered_and_listed() {
    let site = Site::new();
    let store = site.open().await;
    let new = NewBaseImage {
        reference: "registry.site:5000/base/debian:12".parse().unwrap(),
        image_id: "sha256:1".to_owned(),
        size: 120_000_000,
        description: "预置镜像".to_owned(),
    };
    store.put_base_image(&new, at(0)).await.unwrap();
    store.put_base_image(&new, at(1)).await.unwrap();
    let of = |keyword: &str, kind| ImageFilter {
        keyword: Some(keyword.to_owned()),
        kind,
    };
    let base = of("DEBIAN", Some(ImageKind::Base));
    let (images, total) = store.images(Page::ALL, &base).await.unwrap();
    assert_eq!(
        (total, images[0].build_id, images[0].tag.as_str()),
        (1, 0, "12")
    );
    assert_eq!((images[0].created_at, images[0].updated_at), (at(0), at(1)));
    let made = of("debian", Some(ImageKind::Customized));
    assert_eq!(store.images(Page::ALL, &made).await.unwrap().1, 0);
}

#[tokio::test]
async fn deliveries_and_images_are_searched_from_the_newest_on() {
    let site = Site::new();
    let store = site.open().await;
    let mut tasks = Vec::new();
    for number in 1..=3 {
        let task = enqueue(&store, number, 0).await.id;
        store.request_cancel(task, &callback, at(1)).await.unwrap();
        tasks.push(task);
        let new = NewBaseImage {
            reference: format!("registry.site:5000/base/debian:{number}")
                .parse()
                .unwrap(),
            image_id: "sha256:1".to_owned(),
            size: 1,
            description: String::new(),
        };
        store.put_base_image(&new, at(0)).await.unwrap();
    }
    let search = async |filter, before| {
        let found = store.search_deliveries(filter, before, 2).await.unwrap();
        found
            .into_iter()
            .map(|one| (one.id, one.build_id.unwrap()))
            .unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (ids, found) = search(DeliveryFilter::default(), None).await;
    assert_eq!(found, [tasks[2], tasks[1]]);
    let (_, found) = search(DeliveryFilter::default(), Some(ids[1])).await;
    assert_eq!(found, [tasks[0]]);
    let of_one = DeliveryFilter {
        status: Some(DeliveryStatus::Pending),
        build_id: Some(tasks[1]),
    };
    assert_eq!(search(of_one, None).await.1, [tasks[1]]);
    let one = store.delivery(ids[0]).await.unwrap().unwrap();
    assert_eq!(
        (one.delivery.build_id, one.tries.len()),
        (Some(tasks[2]), 0)
    );
    assert!(store.delivery(99).await.unwrap().is_none());

    let filter = ImageFilter::default();
    let images = store.search_images(&filter, None, 2).await.unwrap();
    let tags: Vec<&str> = images.iter().map(|image| image.tag.as_str()).collect();
    assert_eq!(tags, ["3", "2"]);
    let before = Some(images[1].id);
    let rest = store.search_images(&filter, before, 2).await.unwrap();
    assert_eq!((rest.len(), rest[0].tag.as_str()), (1, "1"));
    let same = store.image(rest[0].id).await.unwrap();
    assert_eq!(same.as_ref(), rest.first());
}
