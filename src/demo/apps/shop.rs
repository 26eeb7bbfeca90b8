//! The shop: the storefront asks a service for each part of a page; some parts only now and then.

use std::collections::BTreeMap;

use crate::demo::router::Caller;
use crate::demo::seed::{LONGEST_NAME, RELEASED};
use crate::demo::traffic::mesh::{Answer, Call, Mesh, headers_of};

/// One visit by `user` (empty = a guest).
pub fn visit(mesh: &mut Mesh<'_>, user: &str) {
    let headers = headers_of(user);
    let path = if mesh.percent(25.0) { "/account/orders" } else { "/" };
    let call = Call { authority: "shop.example.com", port: 80, method: "GET", path, headers: &headers };
    let outside = Caller::outside("shop/shop-gateway");
    mesh.call(&outside, &call, |mesh, pod| {
        // The gateway sends a part of the paths to `accounts`, which calls no other service.
        let answers_alone = &*pod.service.name != "storefront";
        if answers_alone { Answer::ok((), 0.0) } else { storefront(mesh, &Caller::pod(pod), &headers) }
    });
}

fn storefront(mesh: &mut Mesh<'_>, from: &Caller, headers: &BTreeMap<String, String>) -> Answer<()> {
    let mut beta = headers.clone();
    if mesh.percent(4.0) {
        beta.insert("x-beta".to_owned(), "true".to_owned());
    }
    let mut waited_ms = mesh.connect(from, "sessions", 6379).ms;
    let mut status = 200;
    for (service, path, method, percent) in [
        ("catalog", "/items", "GET", 100.0),
        ("cart", "/cart", "GET", 60.0),
        ("search", "/suggest", "GET", 30.0),
        ("checkout", "/checkout", "POST", 20.0),
        (LONGEST_NAME, "/estimate", "GET", 20.0),
        ("gift-cards", "/balance", "GET", 15.0),
        ("legacy-invoices", "/invoices", "GET", 8.0),
        // Only there while the demo shows releases.
        (RELEASED[0], "/price", "GET", 90.0),
        (RELEASED[1], "/subscribe", "POST", 70.0),
    ] {
        let there = !RELEASED.contains(&service) || mesh.knows("shop", service);
        if !there || !mesh.percent(percent) {
            continue;
        }
        let call = Call { authority: service, port: 8080, method, path, headers: &beta };
        let (hop, _) = mesh.call(from, &call, |_, _| Answer::ok((), 0.0));
        waited_ms += hop.ms;
        // Without the catalogue there is no page; every other part may be missing.
        if service == "catalog" && !hop.is_ok() {
            status = 503;
        }
    }
    Answer { status, waited_ms, body: () }
}
